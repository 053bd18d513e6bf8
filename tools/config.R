# Run by configure and configure.win in the package's top folder: checks the toolchain and
# writes src/Makevars (src/Makevars.win) from its template.
#
# Environment variables, for developers:
#   NOT_CRAN=true           build online with cargo's own cache, keep the target folder
#   CARGO_TARGET_DIR        where, instead of src/rust/target (only with NOT_CRAN=true)
#   FERROLMM_PROFILE        release (default), dev-fast (links in seconds), dev (unoptimised)

source("tools/msrv.R")
check_rust()

developer <- identical(Sys.getenv("NOT_CRAN"), "true")
offline <- file.exists("src/rust/vendor.tar.xz") && !developer
if (!offline && !developer) {
  cat("ferrolmm: no src/rust/vendor.tar.xz, so cargo downloads the Rust crates.\n")
}

profile <- if (developer) Sys.getenv("FERROLMM_PROFILE", "release") else "release"
if (!profile %in% c("release", "dev-fast", "dev")) {
  stop("FERROLMM_PROFILE is '", profile, "': use release, dev-fast or dev", call. = FALSE)
}

windows <- .Platform$OS.type == "windows"
# R on Windows is built by mingw-w64's gcc, or by clang on arm64.
target <- if (!windows) {
  ""
} else if (grepl("aarch64", R.version$arch)) {
  "aarch64-pc-windows-gnullvm"
} else {
  "x86_64-pc-windows-gnu"
}

# Relative to src/. Never outside the build folder, unless a developer asks for it.
target_dir <- if (developer) Sys.getenv("CARGO_TARGET_DIR") else ""
if (!nzchar(target_dir)) {
  target_dir <- "rust/target"
}
profile_dir <- if (profile == "dev") "debug" else profile

cargo_flags <- c(
  "--locked",
  if (profile != "dev") c("--profile", profile),
  if (nzchar(target)) c("--target", target),
  # CRAN's limit is two processes; a developer has CARGO_BUILD_JOBS.
  if (!developer) c("-j", "2"),
  if (offline) "--offline"
)

values <- c(
  TARGET_DIR = target_dir,
  LIB_DIR = paste(c(target_dir, if (nzchar(target)) target, profile_dir), collapse = "/"),
  CARGO_FLAGS = paste(cargo_flags, collapse = " "),
  OFFLINE = if (offline) "true" else "false",
  # make cannot know whether Rust sources have changed; cargo can.
  ALWAYS = if (developer) "always" else "",
  CLEAN = if (developer) "" else "rust/target"
)

template <- if (windows) "src/Makevars.win.in" else "src/Makevars.in"
text <- readLines(template)
for (name in names(values)) {
  text <- gsub(paste0("@", name, "@"), values[[name]], text, fixed = TRUE)
}
makevars <- sub("\\.in$", "", template)
# make sees files, not flags: another profile needs another link.
if (!file.exists(makevars) || !identical(readLines(makevars), text)) {
  unlink(paste0("src/ferrolmm", .Platform$dynlib.ext))
}
# Binary mode: make on Windows wants lines that end in \n.
connection <- file(makevars, "wb")
writeLines(text, connection)
close(connection)
