# Sourced after dev/lib.sh by the scripts that start what PyPI has: programs in wheels.

# The folder of an environment with one package of PyPI at one version; makes it when it is missing, as a
# whole or not at all.
#   pypi PACKAGE VERSION
pypi() {
  tools=${XDG_CACHE_HOME:-$HOME/.cache}/ferrolmm
  environment=$tools/$1-$2
  if [ ! -e "$environment/complete" ]; then
    mkdir -p "$tools"
    if ! python3 -c 'import ensurepip, venv' >/dev/null 2>&1; then apt_need python3-venv >&2; fi
    rm -rf "$environment"
    if ! { python3 -m venv "$environment" &&
      "$environment/bin/pip" install --quiet --disable-pip-version-check "$1==$2"; } >&2; then
      rm -rf "$environment"
      die "PyPI's $1 $2 could not be installed into $environment: are Python 3 and the network there?"
    fi
    : >"$environment/complete"
  fi
  echo "$environment"
}

# The folder of a module in such an environment, without loading it
#   module_folder ENVIRONMENT MODULE
module_folder() {
  for folder in "$1"/lib/python3*/site-packages/"$2"; do
    if [ -d "$folder" ]; then
      echo "$folder"
      return 0
    fi
  done
  die "$1 lacks the module $2: remove the folder and try again"
}
