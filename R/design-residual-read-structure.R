# A structure in the argument `residual`: ~ us(visit | subject), ~ us(visit | arm / subject).

#' @noRd
read_structure <- function(x) {
  name <- if (is.call(x) && is.symbol(x[[1L]])) as.character(x[[1L]]) else ""
  entry <- residual_structure(name, x)
  arguments <- as.list(x)[-1L]
  named <- if (is.null(names(arguments))) logical(length(arguments)) else nzchar(names(arguments))
  options <- read_structure_options(arguments[named], entry, x)
  arguments <- unname(arguments[!named])
  bars <- vapply(arguments, is_bar, NA)
  if (sum(bars) != 1L || !bars[[length(bars)]]) {
    ferrolmm_abort(
      paste0("`residual` cannot be read: ", code_label(x), "."), "residual",
      i = if (is_spatial(entry$type[[1L]])) {
        paste0("Write it as ", name, "(x, y | subject): coordinates, a bar, the group.")
      } else {
        paste0("Write it as ", name, "(visit | subject): the visit, a bar, the group.")
      }
    )
  }
  bar <- arguments[[length(arguments)]]
  covariates <- c(arguments[-length(arguments)], list(bar[[2L]]))
  if (length(covariates) > 1L && !is_spatial(entry$type[[1L]])) {
    ferrolmm_abort(
      paste0("`residual`: ", name, "() has one visit variable, ", code_label(x), " has ",
             length(covariates), "."),
      "residual"
    )
  }
  refuse_sums(covariates, name, bar)
  by <- read_by_group(bar[[3L]], x)
  no_time <- is.numeric(covariates[[1L]])
  if (no_time && (entry$by_visit || has_visits(entry$type[[1L]]))) {
    ferrolmm_abort(
      paste0("`residual`: ", name, "() needs a visit variable left of the bar."), "residual",
      i = paste0("As in ~ ", name, "(visit | subject).")
    )
  }
  visit <- if (!no_time) lapply(covariates, as_plain_variable)
  list(
    source = "residual",
    correlation = list(
      type = options$type, covariates = if (!is_exchangeable(options$type)) visit,
      group = group_leaves(bar[[3L]], x), nugget = options$nugget, metric = "euclidean",
      p = NULL, q = NULL, value = NULL, fixed = FALSE, name = name, by_level = TRUE,
      options = options$text, by = by
    ),
    scales = if (entry$by_visit || !is.null(by)) {
      list(list(
        type = "ident", covariate = NULL, fitted = FALSE,
        stratum = c(by, if (entry$by_visit) visit), value = NULL, fixed = NULL, by_level = TRUE
      ))
    },
    fixed = list()
  )
}

#' A structure by what users call it
#' @noRd
residual_structure <- function(name, x) {
  entry <- residual_structures[[name]]
  if (is.null(entry)) {
    known <- names(residual_structures)
    ferrolmm_abort(
      paste0("`residual` has a structure that is not known: ", code_label(x), "."), "residual",
      i = c(
        if (nzchar(name)) did_you_mean(name, known),
        paste0("Structures are ", quote_names(paste0(known, "()"), 20L), ".")
      )
    )
  }
  entry
}

#' In a formula `x + y` are two variables, in arithmetic one: neither is taken for the other
#'
#' @noRd
refuse_sums <- function(covariates, name, bar) {
  for (covariate in covariates[vapply(covariates, is_call_to, NA, c("+", "-", ":"))]) {
    parts <- lapply(as.list(covariate)[-1L], code_label)
    ferrolmm_abort(
      paste0("`residual`: ", name, "() takes variables, and ", code_label(covariate),
             " can be read as one or as two."),
      "residual",
      i = c(
        if (is_spatial(residual_structures[[name]]$type[[1L]]) && length(parts) == 2L) {
          paste0("Coordinates are written ", name, "(", parts[[1L]], ", ", parts[[2L]], " | ",
                 code_label(bar[[3L]]), ").")
        },
        if (!is_call_to(covariate, ":")) {
          paste0("What is computed is written I(", code_label(covariate), ").")
        }
      )
    )
  }
}

#' What covariances differ by: `arm` in `us(visit | arm / subject)`; NULL where they are the same
#'
#' @param groups what stands right of the bar of the structure `x`.
#' @noRd
read_by_group <- function(groups, x) {
  if (!is_call_to(groups, "/")) {
    return(NULL)
  }
  if (is_call_to(groups[[2L]], "/")) {
    ferrolmm_abort(
      paste0("`residual`: ", code_label(groups), " in ", code_label(x),
             " has more than one slash."),
      "residual",
      i = c(
        "Left of the slash is what covariances differ by, right of it whose rows are correlated.",
        "An interaction has a colon, as in us(visit | arm:centre / subject)."
      )
    )
  }
  group_leaves(groups[[2L]], x)
}

#' What is written in a structure besides variables: `nugget` of spatial ones, `nu` of sp_matern()
#'
#' @returns list(type, nugget, text (", nu = 1.5"; NULL without options))
#' @noRd
read_structure_options <- function(given, entry, x) {
  usual <- entry$type[[1L]]
  known <- c(if (!is.null(entry$nu)) "nu", if (correlation_kind(usual)$nugget) "nugget")
  unknown <- setdiff(names(given), known)
  if (length(unknown) || anyDuplicated(names(given))) {
    what <- c(unknown, names(given)[duplicated(names(given))])[[1L]]
    ferrolmm_abort(
      paste0("`residual` cannot be read: ", code_label(x), "."), "residual",
      x = if (length(unknown)) paste0("There is no argument `", what, "`.") else
        paste0("`", what, "` is given twice."),
      i = if (length(known)) paste0("Its arguments by name are ", quote_names(known), ".")
    )
  }
  nu <- given[["nu"]]
  if (!is.null(nu) && !(is.numeric(nu) && nu %in% entry$nu)) {
    ferrolmm_abort(
      paste0("`nu` of ", as.character(x[[1L]]), "() must be one of the numbers ",
             paste(sort(entry$nu), collapse = ", "), "."),
      "residual", x = paste0("In ", code_label(x), "."),
      i = "nu is the smoothness; it is not estimated."
    )
  }
  nugget <- given[["nugget"]]
  if (is.null(nugget)) {
    nugget <- FALSE
  }
  if (!isTRUE(nugget) && !isFALSE(nugget)) {
    ferrolmm_abort(
      paste0("`nugget` of ", as.character(x[[1L]]), "() must be TRUE or FALSE."), "residual",
      x = paste0("In ", code_label(x), ".")
    )
  }
  list(
    type = if (is.null(nu)) usual else entry$type[[match(nu, entry$nu)]], nugget = nugget,
    text = if (length(given)) paste0(", ", names(given), " = ", vapply(given, code_label, ""),
                                     collapse = "")
  )
}
