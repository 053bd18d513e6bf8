# The one test that anova(fit, L = ) and anova(fit, Terms = ) make, as 'nlme' has them.

#' @noRd
chosen_test <- function(object, L, Terms, ddf, vcov, cluster) {
  if (!is.null(L) && !is.null(Terms)) {
    ferrolmm_abort("`L` and `Terms` are two tests: give one of them.", "argument")
  }
  if (is.null(L)) {
    chosen <- match_terms(Terms, object)
    L <- chosen$L
    heading <- paste("F-test for:", paste(chosen$names, collapse = ", "))
  } else {
    heading <- "F-test for linear combination(s)"
  }
  if (is.list(L)) {
    ferrolmm_abort("`L` must be one hypothesis.", "argument", i = "contest() takes a list of them.")
  }
  inference <- ddf_for(object, match_ddf(ddf), vcov, cluster)
  structure(
    contest_joint(inference, L, 0),
    heading = paste0(heading, describe_inference(inference, " with ")),
    class = c("anova.lmm", "anova", "data.frame")
  )
}

#' Terms of the fixed part by name or number
#'
#' @returns list(names, L: the coefficients that these terms have)
#' @noRd
match_terms <- function(terms, object) {
  assign <- object$assign[kept_columns(object)]
  owners <- sort(unique(object$assign))
  names <- c("(Intercept)", labels.lmm(object))[owners + 1L]
  at <- if (is.character(terms)) {
    match_names(terms, names, "Terms", "term")
  } else {
    match_numbers(terms, length(names), "Terms", "term")
  }
  own <- which(assign %in% owners[at])
  if (length(own) == 0L) {
    ferrolmm_abort(
      "`Terms` has no coefficient that can be estimated.", "argument",
      i = paste0("The terms are ", quote_names(names), ".")
    )
  }
  L <- matrix(0, length(own), length(assign))
  L[cbind(seq_along(own), own)] <- 1
  list(names = names[at], L = L)
}
