# Fixed effects of levels, fixed(1 | g): a value for each level of a grouping factor, which no
# column of X stands for.
#
# What a fit keeps of them is a list:
#   terms      one descriptor a column, as those of random effects (see describe_term()); `factor`
#              is an index into flist
#   flist      named list of the grouping factors, used levels only
#   keys       list parallel to flist: what its levels are, see R/data-levels.R
#   rank       rank of the columns
#   b          list parallel to `terms`: a value for each level
# To the engine each of the columns is a random effect of structure "fixed", with a grouping factor
# of its own, after all others.

#' The fixed effects of levels of a model, as above without `rank` and `b`; NULL where it has none
#'
#' Terms with most levels come first: those are eliminated.
#' @param model what [parse_formula()] returns.
#' @noRd
build_eliminated <- function(model, frame, control) {
  if (length(model$eliminated) == 0L) {
    return(NULL)
  }
  groups <- name_groups(mark_partitions(code_groups(model$eliminated, frame, control)))
  terms <- list()
  for (bar in model$eliminated) {
    basis <- basis_columns(bar$lhs, frame, coded = TRUE)
    if (length(basis$columns) == 0L) {
      ferrolmm_abort(
        paste0("The term fixed(", code_label(bar$lhs), " | ", bar$groups[[1L]]$name,
               ") has no effects."),
        "formula", i = "Write 1 for a value of each level, or the variable whose effect differs."
      )
    }
    for (group in bar$groups) {
      for (column in seq_along(basis$columns)) {
        term <- describe_term(bar, basis, column, group, groups)
        term$structure <- "fixed"
        terms[[length(terms) + 1L]] <- term
      }
    }
  }
  check_eliminated_once(terms)
  keys <- vapply(terms, `[[`, "", "key")
  sizes <- vapply(groups[keys], `[[`, 1L, "n_levels")
  order <- order(-sizes)
  terms <- terms[order]
  keys <- keys[order]
  distinct <- unique(keys)
  flist <- lapply(groups[distinct], `[[`, "factor")
  names(flist) <- vapply(groups[distinct], `[[`, "", "name")
  for (t in seq_along(terms)) {
    terms[[t]]$factor <- match(keys[[t]], distinct)
    terms[[t]]$values <- terms[[t]]$key <- terms[[t]]$partition <- NULL
  }
  list(terms = terms, flist = flist, keys = lapply(unname(groups[distinct]), `[[`, "key"))
}

#' The same column of the same levels twice
#' @noRd
check_eliminated_once <- function(terms) {
  what <- vapply(terms, function(term) paste(term$cnms, term$partition, sep = "\r"), "")
  twice <- which(duplicated(what))
  if (length(twice) > 0L) {
    term <- terms[[twice[[1L]]]]
    ferrolmm_abort(
      paste0("Fixed effects of `", term$cnms, "` for the levels of `", term$group,
             "` are in the formula twice."),
      "formula", i = "Leave one of them out."
    )
  }
}

#' What a model with fixed effects of levels cannot have
#' @noRd
check_eliminated <- function(model, fixed, spec, reml, control) {
  if (length(model$eliminated) == 0L) {
    return(invisible())
  }
  if (!reml) {
    ferrolmm_abort(
      "Fixed effects of levels, fixed(1 | g), are fitted by REML.", "fixed_levels",
      x = paste0("Maximum likelihood estimates of variances are far too small where there are as ",
                 "many fixed effects (Neyman & Scott, 1948)."),
      i = "Leave `REML` at TRUE."
    )
  }
  given <- c(
    "residual structures, and variance functions" = !is.null(spec),
    "smooth terms" = length(model$smooths) > 0L,
    "rr() and fa()" = any(vapply(model$bars, `[[`, "", "structure") %in% c("rr", "fa")),
    "sampling weights" = !is.null(fixed$sampling),
    "solver = \"iterative\"" = identical(control$solver, "iterative")
  )
  of_control <- c("sigma", "hold", "tie", "penalty", "nobound")
  set <- vapply(of_control, function(name) {
    length(control[[name]]) > 0L && !isFALSE(control[[name]])
  }, NA)
  given[paste0("`", of_control, "` of lmm_control()")] <- set
  if (any(given)) {
    ferrolmm_abort(
      paste0("Fixed effects of levels, fixed(1 | g), do not go with ",
             toString(names(given)[given]), "."),
      "fixed_levels", i = "Leave one of them out, or make g a factor among the other predictors."
    )
  }
}

#' The random part with fixed effects of levels after it, as the engine takes them
#'
#' @param design list(factors, terms), see [random_design()].
#' @noRd
with_eliminated <- function(design, eliminated, frame, in_place = TRUE) {
  if (is.null(eliminated)) {
    return(design)
  }
  terms <- eliminated$terms
  flist <- eliminated$flist[vapply(terms, `[[`, 1L, "factor")]
  own <- random_design(terms, flist, frame, vector("list", length(terms)), NULL, in_place)
  for (t in seq_along(terms)) {
    own$terms[[t]]$factor <- length(design$factors) + t
  }
  list(factors = c(design$factors, own$factors), terms = c(design$terms, own$terms))
}
