#' @rdname ddf
#' @order 5
#' @section `"between-within"`:
#' The rule of SAS, `DDFM=BETWITHIN` (Schluchter and Elashoff 1990), its default for models with
#' structured residuals: the residual degrees of freedom are divided between subjects and within
#' them. A term with a column that changes within some subject has those within, any other, and the
#' intercept, those between. With \eqn{n} rows, \eqn{N} subjects, \eqn{b} coefficients of terms that
#' do not change within subjects (the intercept counts) and \eqn{w} of others, they are \eqn{N - b}
#' and \eqn{n - N - w}. Where factors that change within subjects make several sets of cells, as
#' `a`, `b` and `a:b` do, the degrees of freedom within are parted: those of a set are what its
#' cells within subjects add to the rank of X and the subjects, set after set. With unstructured
#' residuals of visits, `us(visit | subject)`, and no random effects all terms have the degrees of
#' freedom between subjects. The columns of [within_between()] are terms of their own.
#'
#' Subjects are the levels of the coarsest grouping factor, or the groups of correlated residuals if
#' they are coarser. All others have to be nested in it: with crossed factors there are no subjects,
#' which is an error.
#'
#' What 'mmrm' calls `"Between-Within"` differs: it knows no unstructured residuals, parts nothing,
#' and has the intercept within subjects. That is `"inner-outer"` of such a model.
#' @references
#' Schluchter, M. D. and Elashoff, J. T. (1990). Small-sample adjustments to tests with unbalanced
#' repeated measures assuming several covariance structures. *Journal of Statistical Computation and
#' Simulation*, 37, 69-87.
#' @name ddf
NULL

#' Degrees of freedom between and within subjects
#' @noRd
between_within <- function(object) {
  what <- "ddf = \"between-within\""
  design <- ruled_design(object, what)
  subjects <- subject_codes(object, what)
  varies <- varies_within(design$x, subjects)
  within <- vapply(seq_along(varies), function(j) {
    own <- design$assign == design$assign[[j]]
    term <- design$assign[[j]]
    if (term == 0L || design$by_column[[term]]) varies[[j]] else any(varies[own])
  }, NA)
  count <- max(subjects)
  between_df <- count - sum(!within)
  columns <- rep.int(between_df, length(within))
  if (!has_visit_covariances(object)) {
    total <- length(subjects) - count - sum(within)
    columns[within] <- within_ddf(object, design, subjects, total)[design$assign[within]]
  }
  ruled_ddf(object, list(columns = columns, terms = terms_of_columns(columns, design)))
}

#' Degrees of freedom within subjects of each term that has some
#'
#' The cells of a term are the combinations of its factors that change within subjects. Where there
#' is one set of cells, or none, nothing is parted.
#' @param total the degrees of freedom within subjects.
#' @noRd
within_ddf <- function(object, design, subjects, total) {
  frame <- object$frame
  cells <- lapply(term_variables(object), function(variables) {
    changes <- vapply(variables$class, function(name) {
      codes <- joint_codes(list(.subset2(frame, name)))
      varies_within(matrix(as.double(codes)), subjects)
    }, NA)
    sort(variables$class[changes])
  })
  key <- vapply(cells, paste, "", collapse = "\r")
  keys <- setdiff(unique(key), "")
  df <- rep.int(total, length(key))
  if (length(keys) > 1L) {
    sets <- lapply(cells[match(keys, key)], function(names) {
      joint_codes(c(list(subjects), lapply(names, function(name) .subset2(frame, name))))
    })
    added <- rank_contributions(design$x, c(list(subjects), sets))[-1L]
    df[key != ""] <- added[match(key[key != ""], keys)]
  }
  df
}

#' What the levels of some factors add to the rank of X, one after the other
#' @param codes list of codes from 1.
#' @noRd
rank_contributions <- function(x, codes) {
  factors <- lapply(codes, function(code) list(codes = as.integer(code), n_levels = max(code)))
  effects <- lapply(seq_along(codes), function(i) list(factor = i, columns = list(NULL)))
  diff(c(ncol(x), engine_design_ranks(x, factors, effects)))
}

#' The subject of each row: a level of the coarsest grouping factor, in which all others are nested
#' @noRd
subject_codes <- function(object, what) {
  refuse_members_of(object, paste0("`", what, "`"))
  groups <- unname(lapply(dependent_groups(object), `[[`, "codes"))
  if (length(groups) == 0L) {
    ferrolmm_abort(
      paste0("`", what, "` is for models with subjects, and this one has no groups of rows."),
      "argument", i = "Use ddf = \"residual\"."
    )
  }
  groups <- lapply(groups, function(codes) match(codes, unique(codes)))
  coarsest <- groups[[which.min(vapply(groups, max, 1L))]]
  if (!all(vapply(groups, is_nested, NA, coarsest))) {
    ferrolmm_abort(
      paste0("`", what, "` is for models with subjects, and here groups are crossed: no level of ",
             "one holds all rows of the others."),
      "argument", i = "Use ddf = \"containment\", \"Satterthwaite\" or \"Kenward-Roger\"."
    )
  }
  coarsest
}

#' Are residuals of visits unstructured, and all there is?
#' @noRd
has_visit_covariances <- function(object) {
  correlation <- object$residual$correlation
  visits <- correlation$covariates
  length(object$random) == 0L && identical(correlation$type, "us") && any(vapply(
    object$residual$scales, function(scale) all(visits %in% scale$stratum), NA
  ))
}
