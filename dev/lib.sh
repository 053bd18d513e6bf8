# Sourced by dev/run-example and dev/test, in the package's top folder: sets up a Debian or Ubuntu
# machine. Installs what is missing from the system's own archive, nothing else; does nothing where
# everything is there. Works without a terminal.

# The same messages, sorting and encoding on every machine; Debian has this locale always.
LC_ALL=C.UTF-8
export LC_ALL

say() { printf '\n== %s\n' "$*"; }
die() { printf '\nferrolmm: %s\n' "$*" >&2; exit 1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null 2>&1; then
    if [ -t 0 ]; then sudo "$@"; else sudo -n "$@"; fi
  else
    die "root is needed for: $* (neither root nor sudo is there)"
  fi
}

apt_updated=no
apt_update() {
  [ "$apt_updated" = yes ] && return 0
  command -v apt-get >/dev/null 2>&1 ||
    die "this script installs with apt-get, which is not here. Needed: R >= 4.2, Rust >= $msrv, a C compiler, xz."
  as_root apt-get update -q || die "apt-get update failed: is the network there?"
  apt_updated=yes
}

# Installs those of the packages that are missing.
apt_need() {
  missing=
  for package in "$@"; do
    case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
      *" installed") ;;
      *) missing="$missing $package" ;;
    esac
  done
  [ -n "$missing" ] || return 0
  say "Installing$missing"
  apt_update
  # shellcheck disable=SC2086 # a list of words
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing ||
    die "apt-get could not install:$missing"
}

# The version that apt would install; nothing if there is none.
apt_candidate() { apt-cache policy "$1" 2>/dev/null | sed -n 's/^  Candidate: \([0-9].*\)/\1/p'; }

# Is version $1 at least $2?
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

msrv=$(sed -n 's/.*rustc (>= \([0-9.]*\)).*/\1/p' DESCRIPTION)

rust_is_there() {
  for tool in cargo rustc; do
    version=$("$tool" --version 2>/dev/null | sed -n 's/^[a-z]* \([0-9.]*\).*/\1/p')
    [ -n "$version" ] && at_least "$version" "$msrv" || return 1
  done
}

setup_rust() {
  PATH="$PATH:${HOME:-/root}/.cargo/bin"
  export PATH
  if rust_is_there; then return 0; fi
  apt_update
  # Debian names its newer Rust cargo-web, Ubuntu cargo-1.NN.
  best= best_version=0
  for package in cargo cargo-web $(apt-cache search --names-only '^cargo-1\.[0-9]+$' | cut -d' ' -f1); do
    version=$(apt_candidate "$package")
    case $package in
      # cargo itself was numbered 0.N+1 while Rust was 1.N; that is far too old.
      cargo-1.*) version=${package#cargo-} ;;
    esac
    case $version in 0.*) continue ;; esac
    if [ -n "$version" ] && at_least "$version" "$best_version"; then
      best=$package best_version=$version
    fi
  done
  if [ -n "$best" ] && at_least "$best_version" "$msrv"; then
    case $best in
      cargo) apt_need cargo rustc ;;
      cargo-web) apt_need cargo-web rustc-web ;;
      *)
        apt_need "$best" "rustc-${best#cargo-}"
        # These come as cargo-1.NN and rustc-1.NN; put them on the PATH under their own names.
        tools=${XDG_CACHE_HOME:-$HOME/.cache}/ferrolmm/bin
        mkdir -p "$tools"
        for tool in cargo rustc rustdoc rustfmt clippy-driver cargo-clippy cargo-fmt; do
          if [ -x "/usr/lib/rust-${best#cargo-}/bin/$tool" ]; then
            ln -sf "/usr/lib/rust-${best#cargo-}/bin/$tool" "$tools/$tool"
          elif [ -x "/usr/bin/$tool-${best#cargo-}" ]; then
            ln -sf "/usr/bin/$tool-${best#cargo-}" "$tools/$tool"
          fi
        done
        PATH="$tools:$PATH"
        ;;
    esac
  elif [ -n "$(apt_candidate rustup)" ]; then
    apt_need rustup
    rustup toolchain install stable --profile minimal || die "rustup could not install Rust"
    rustup default stable
  fi
  hash -r
  rust_is_there ||
    die "Rust $msrv or later is needed, and this system's archive has none: see https://rustup.rs, then run this again."
}

# clippy and rustfmt, from where cargo comes.
setup_rust_tools() {
  if cargo clippy --version >/dev/null 2>&1 && cargo fmt --version >/dev/null 2>&1; then return 0; fi
  if command -v rustup >/dev/null 2>&1; then
    rustup component add clippy rustfmt || die "rustup could not install clippy and rustfmt"
  elif dpkg-query -W cargo-web >/dev/null 2>&1; then
    apt_need rust-web-clippy rustfmt-web
  else
    apt_need rust-clippy rustfmt
  fi
}

# Debian's packages for the R packages that a field of DESCRIPTION names and R itself lacks.
r_packages() {
  sed -n "/^$1:/,/^[A-Z]/p" DESCRIPTION | sed -n 's/^  *\([A-Za-z0-9.]*\).*/\1/p' |
    grep -vE '^(base|compiler|graphics|grDevices|grid|methods|parallel|splines|stats|stats4|tools|utils)$' |
    sed 's/^/r-cran-/' | tr 'A-Z' 'a-z'
}

setup_r() {
  # shellcheck disable=SC2046 # a list of words
  apt_need r-base-core r-base-dev $(r_packages Imports)
  version=$(R --version | sed -n 's/^R version \([0-9.]*\).*/\1/p')
  at_least "$version" 4.2 ||
    die "R 4.2 or later is needed, and this system has $version: see https://cloud.r-project.org for newer ones."
}

# What it takes to build and install the package.
setup_build() {
  apt_need ca-certificates gcc make xz-utils
  setup_r
  setup_rust
}

# Debian's packages for those that tests/battery calls.
battery_packages() {
  sed -n 's/^\([A-Za-z][A-Za-z0-9.]*\).*/r-cran-\1/p' tests/battery/packages | tr 'A-Z' 'a-z'
}

# Ends the server whose process is in FOLDER/pid, if that process is still one that names the folder.
#   stop_server FOLDER
stop_server() {
  [ -s "$1/pid" ] || return 0
  server=$(cat "$1/pid")
  waited=0
  while tr '\0' ' ' <"/proc/$server/cmdline" 2>/dev/null | grep -qF "$1"; do
    case $waited in
      0) kill "$server" 2>/dev/null || true ;;
      100) kill -9 "$server" 2>/dev/null || true ;;
      200) return 1 ;;
    esac
    waited=$((waited + 1))
    sleep 0.1
  done
}
