# The table of rows and the lists of what is known about them. A row is a call on a fit `m`.

rows <- list()

# Calls of a package, each with its label, as in
# calls("emmeans", on = "cake", "means of a factor" = emmeans::emmeans(m, ~ recipe)).
# on: names of fits; peer: which peer's fit, where it is not the first; also: packages needed
# besides; kind: "values" (numbers and text of the result are compared), "numbers" (text is not) or
# "runs" (a picture without data of its own, random draws: only that it runs).
calls <- function(package, ..., on = c("slopes", "cake"), peer = NULL, also = NULL,
                  kind = "values") {
  add_rows(package, as.list(substitute(list(...)))[-1L], on, peer, also, kind)
}

# The same call of several functions of a package: those that the installed version exports.
calls_of <- function(package, functions, on = c("slopes", "cake"), peer = NULL, kind = "values") {
  if (!nzchar(system.file(package = package))) {
    return(invisible())
  }
  functions <- intersect(functions, getNamespaceExports(package))
  exprs <- lapply(functions, function(name) {
    as.call(list(call("::", as.name(package), as.name(name)), quote(m)))
  })
  add_rows(package, stats::setNames(exprs, functions), on, peer, NULL, kind)
}

add_rows <- function(package, exprs, on, peer, also, kind) {
  stopifnot(
    all(nzchar(names(exprs))), all(on %in% names(fits)), kind %in% c("values", "numbers", "runs")
  )
  for (label in names(exprs)) {
    for (fit in on) {
      rows[[length(rows) + 1L]] <<- list(
        package = package, label = label, fit = fit, call = exprs[[label]], kind = kind,
        needs = c(package, also), peer = peer
      )
    }
  }
}

known <- list()

# A call that cannot work: a list of classes inside the package, or slots of an S4 class. `says` is
# a regular expression for our error message; when: a condition on versions, as an expression.
gate <- function(package, labels, says, because, on = names(fits), when = TRUE) {
  note("gate", package, labels, says, because, on, substitute(when))
}

# A result that differs, with who is right and how that was shown. `says` is a regular expression
# for each line of differences.
differs <- function(package, labels, says, because, on = names(fits), when = TRUE) {
  note("differs", package, labels, says, because, on, substitute(when))
}

note <- function(what, package, labels, says, because, on, when) {
  stopifnot(is.character(because), nchar(because) > 20L, all(on %in% names(fits)))
  known[[length(known) + 1L]] <<- list(
    what = what, package = package, labels = labels, says = says, because = because, on = on,
    when = when, seen = FALSE, looked = FALSE
  )
}

version_of <- function(package) utils::packageVersion(package)
