# Is there a Rust compiler, and is it new enough? Sourced by tools/config.R.
#
# The least version stands once, in DESCRIPTION's SystemRequirements.

msrv_required <- function() {
  requirements <- read.dcf("DESCRIPTION", fields = "SystemRequirements")[[1L]]
  found <- regmatches(
    requirements,
    regexec("rustc \\(>= ([0-9.]+)\\)", requirements)
  )[[1L]]
  if (length(found) != 2L) {
    stop("DESCRIPTION: SystemRequirements does not name the least rustc version")
  }
  found[[2L]]
}

# The answer of `<command> --version`, NULL if it is not there or fails.
rust_version <- function(command) {
  answer <- tryCatch(
    suppressWarnings(system2(command, "--version", stdout = TRUE, stderr = FALSE)),
    error = function(e) NULL
  )
  status <- attr(answer, "status")
  if (length(answer) == 0L || (!is.null(status) && status != 0L)) {
    return(NULL)
  }
  answer[[1L]]
}

version_number <- function(answer) {
  numeric_version(regmatches(answer, regexpr("[0-9]+(\\.[0-9]+)+", answer)))
}

install_hint <- function(required) {
  system <- Sys.info()[["sysname"]]
  paste(c(
    "",
    paste0("Install Rust ", required, " or later, then install ferrolmm again:"),
    switch(system,
      Windows = "  * https://rustup.rs (rustup-init.exe), with the toolchain stable-x86_64-pc-windows-gnu",
      Darwin = "  * brew install rust",
      c(
        "  * Debian 13, Ubuntu 25.04 and later: apt-get install cargo",
        "  * Debian 12:                         apt-get install cargo-web",
        "  * Ubuntu 22.04, 24.04:               apt-get install cargo-1.85 rustc-1.85",
        "  * Fedora, RHEL:                      dnf install cargo"
      )
    ),
    "  * any system: https://rustup.rs",
    "or install a binary package of ferrolmm, which needs no Rust.",
    ""
  ), collapse = "\n")
}

check_rust <- function() {
  # As the Makevars do: rustup installs there, and R's PATH may lack it.
  cargo_bin <- file.path(Sys.getenv("HOME", path.expand("~")), ".cargo", "bin")
  Sys.setenv(PATH = paste(Sys.getenv("PATH"), cargo_bin, sep = .Platform$path.sep))

  required <- msrv_required()
  versions <- list(cargo = rust_version("cargo"), rustc = rust_version("rustc"))
  for (tool in names(versions)) {
    version <- versions[[tool]]
    if (is.null(version)) {
      stop("ferrolmm needs `", tool, "`, which was not found.\n", install_hint(required),
        call. = FALSE
      )
    }
    # R >= 4.6 looks for the line "rustc <version>" in the log.
    cat(version, "\n", sep = "")
    if (version_number(version) < required) {
      stop("ferrolmm needs ", tool, " ", required, " or later; found: ", version, ".\n",
        install_hint(required),
        call. = FALSE
      )
    }
  }
  if (is.null(rust_version("xz")) && file.exists("src/rust/vendor.tar.xz")) {
    stop("ferrolmm needs `xz` to unpack its Rust sources: install it (package xz-utils or xz).",
      call. = FALSE
    )
  }
}
