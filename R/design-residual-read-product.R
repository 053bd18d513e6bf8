# Products of structures in `residual`: ~ us(trait):ar1(visit) | id, ~ ar1(row):ar1(col).

#' Structures that can be a factor of a product, and the most factors of one (the engine's)
#' @noRd
product_structures <- c("us", "ante", "toep", "ar1", "cs")

#' @noRd
most_factors <- 3L

#' One structure, or a product of several
#' @noRd
read_structures <- function(x) {
  core <- if (is_bar(x)) x[[2L]] else x
  if (is_call_to(core, ":")) read_product(x) else read_structure(x)
}

#' @param x the product, before a bar and its groups where there is one.
#' @returns as [read_structure()], the correlation with `axes`, a list(type, name) for each factor
#' @noRd
read_product <- function(x) {
  groups <- if (is_bar(x)) x[[3L]]
  factors <- factors_of(if (is_bar(x)) x[[2L]] else x)
  if (length(factors) > most_factors) {
    ferrolmm_abort(
      paste0("`residual`: ", code_label(x), " has ", length(factors), " factors, and a product at ",
             "most ", most_factors, "."),
      "residual"
    )
  }
  last <- length(factors)
  read <- lapply(seq_along(factors), function(k) read_factor(factors[[k]], x, k == last))
  covariates <- lapply(read, `[[`, "covariate")
  if (anyDuplicated(variable_names(covariates))) {
    ferrolmm_abort(
      paste0("`residual`: the factors of ", code_label(x), " must be of different variables."),
      "residual"
    )
  }
  by <- if (!is.null(groups)) read_by_group(groups, x)
  own <- vapply(read, `[[`, NA, "by_visit")
  if (!is.null(by) && sum(own) > 1L) {
    ferrolmm_abort(
      paste0("`residual`: ", code_label(x), " has standard deviations of two factors for each `",
             paste(variable_names(by), collapse = ":"), "`, which cannot be told apart."),
      "residual", i = "One factor may have them: take cs(), ar1(), toep() or ad() for the others."
    )
  }
  strata <- lapply(covariates[own], function(covariate) c(by, list(covariate)))
  if (!is.null(by) && !any(own)) {
    strata <- list(by)
  }
  names <- vapply(read, `[[`, "", "name")
  list(
    source = "residual",
    correlation = list(
      type = "product", covariates = covariates,
      group = if (!is.null(groups)) group_leaves(groups, x), nugget = read[[last]]$nugget,
      metric = "euclidean", p = NULL, q = NULL, value = NULL, fixed = FALSE,
      name = paste(names, collapse = ":"), by_level = TRUE,
      options = if (read[[last]]$nugget) ", nugget = TRUE", by = by,
      axes = lapply(read, `[`, c("type", "name"))
    ),
    scales = lapply(strata, function(stratum) {
      list(
        type = "ident", covariate = NULL, fitted = FALSE, stratum = stratum, value = NULL,
        fixed = NULL, by_level = TRUE
      )
    }),
    fixed = list()
  )
}

#' `a:b:c` as list(a, b, c)
#' @noRd
factors_of <- function(x) {
  if (is_call_to(x, ":")) c(factors_of(x[[2L]]), factors_of(x[[3L]])) else list(x)
}

#' One factor: us(trait)
#'
#' @returns list(type, name, by_visit, covariate (an expression), nugget)
#' @noRd
read_factor <- function(factor, x, is_last) {
  name <- if (is.call(factor) && is.symbol(factor[[1L]])) as.character(factor[[1L]]) else ""
  entry <- residual_structure(name, factor)
  type <- entry$type[[1L]]
  possible <- Filter(
    function(s) residual_structures[[s]]$type[[1L]] %in% product_structures,
    names(residual_structures)
  )
  if (!name %in% possible) {
    ferrolmm_abort(
      paste0("`residual`: ", name, "() cannot be a factor of a product."), "residual",
      x = paste0("In ", code_label(x), "."),
      i = paste0("Factors are ", quote_names(paste0(possible, "()"), 20L), ".")
    )
  }
  arguments <- as.list(factor)[-1L]
  nugget <- arguments[["nugget"]]
  arguments[["nugget"]] <- NULL
  given <- length(arguments) == 1L && is.null(names(arguments)) || identical(names(arguments), "")
  if (given && is_bar(arguments[[1L]])) {
    ferrolmm_abort(
      paste0("`residual` cannot be read: ", code_label(x), "."), "residual",
      i = paste0("The groups of a product are written once, after it: ~ us(trait):ar1(visit) | ",
                 code_label(arguments[[1L]][[3L]]), ".")
    )
  }
  if (!given || is.numeric(arguments[[1L]])) {
    ferrolmm_abort(
      paste0("`residual` cannot be read: ", code_label(x), "."), "residual",
      i = "Each factor has one variable, as in ~ us(trait):ar1(visit) | id."
    )
  }
  if (!is.null(nugget) && !(is_last && is.logical(nugget) && !is.na(nugget))) {
    ferrolmm_abort(
      paste0("`residual` cannot be read: ", code_label(x), "."), "residual",
      i = "`nugget` is TRUE or FALSE, in the last factor, as in ar1(row):ar1(col, nugget = TRUE)."
    )
  }
  covariate <- arguments[[1L]]
  if (is_call_to(covariate, c("+", "-"))) {
    refuse_sums(list(covariate), name, quote(x | g))
  }
  list(
    type = type, name = name, by_visit = entry$by_visit,
    covariate = as_plain_variable(covariate), nugget = isTRUE(nugget)
  )
}
