# What the Rust side of the package is made of; sourced by dev/vendor and dev/authors.

# The platforms on which the source package has to build.
targets <- c(
  "x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu",
  "x86_64-apple-darwin", "aarch64-apple-darwin",
  "x86_64-pc-windows-gnu", "x86_64-pc-windows-gnullvm", "aarch64-pc-windows-gnullvm"
)

manifest <- "src/rust/Cargo.toml"

cargo <- function(..., stdout = TRUE) {
  arguments <- c(...)
  output <- system2("cargo", shQuote(arguments), stdout = stdout)
  status <- if (isTRUE(stdout)) attr(output, "status") else output
  if (!is.null(status) && status != 0L) {
    stop("cargo ", paste(arguments, collapse = " "), " failed")
  }
  output
}

# "name-version" of every crate that some target compiles into the package (or runs to build it).
compiled_crates <- function() {
  lines <- unlist(lapply(targets, function(target) {
    cargo(
      "tree", "--locked", "--manifest-path", manifest, "--package", "ferrolmm",
      "--target", target, "--edges", "normal,build", "--prefix", "none", "--format", "{p}"
    )
  }))
  # "name v1.2.3 (proc-macro) (*)"; our own crates have a path in parentheses.
  ours <- grepl("^ferrolmm(-engine)? ", lines)
  unique(sub("^([^ ]+) v([^ ]+).*$", "\\1-\\2", lines[!ours]))
}
