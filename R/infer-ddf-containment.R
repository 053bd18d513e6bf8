#' @rdname ddf
#' @order 6
#' @section `"containment"`:
#' The rule of SAS, `DDFM=CONTAIN`, its default for models with random effects. A random effect
#' contains a term of the fixed part if it has all its factors and the same covariates. Of those
#' that do, the one that adds least to the rank of X and the random effects before it gives the
#' degrees of freedom: what it adds. Their order is from the coarsest groups to the finest, as SAS
#' users write it. A term that none contains has the rows less the rank of X and Z together. For
#' balanced split plots that is the classical analysis.
#'
#' What contains what is read from the formula, not from the data: `(1 | subject)` does not contain
#' `sex`, although no subject has two; write `(1 | sex:subject)`, which is the same model, for the
#' degrees of freedom between subjects. `(age | subject)` is two random effects: `subject`, which
#' contains the intercept, and `age:subject`, which contains `age`, and not `age:sex`.
#' `(0 + f | g)` is `f:g`, which contains `f`, `g` and the intercept. Without random effects the
#' degrees of freedom are those of `"residual"`.
#'
#' The method takes ranks of matrices with a column for each random effect but those of the largest
#' grouping factor: with more than 6000 of them it is an error.
#' @name ddf
NULL

#' Degrees of freedom of the smallest random effect that contains a term
#' @noRd
containment <- function(object) {
  design <- ruled_design(object, "ddf = \"containment\"")
  refuse_members_of(object, "`ddf = \"containment\"`")
  effects <- random_parts(object)
  x <- design$x
  ranks <- engine_design_ranks(
    x, unname(lapply(as.list(object$flist), function(f) {
      list(codes = as.integer(f), n_levels = nlevels(f))
    })),
    lapply(effects, `[`, c("factor", "columns"))
  )
  added <- diff(c(ncol(x), ranks))
  left <- nrow(x) - max(ranks, ncol(x))
  df_of <- function(variables) {
    contains <- vapply(effects, function(effect) {
      all(variables$class %in% effect$class) && setequal(variables$continuous, effect$continuous)
    }, NA)
    if (any(contains)) min(added[contains]) else left
  }
  of_terms <- vapply(term_variables(object), df_of, 0)
  of_intercept <- df_of(list(continuous = character(), class = character()))
  columns <- c(of_intercept, of_terms)[design$assign + 1L]
  ruled_ddf(object, list(columns = columns, terms = stats::setNames(of_terms, design$labels)))
}

#' The random effects as SAS has them: one for each term of what varies in a bar term, those of
#' coarse groups (few variables, then few levels) first
#'
#' @returns a list; of each effect `factor` (index into `flist`), `columns` (of a level), and its
#'   variables `class` and `continuous`
#' @noRd
random_parts <- function(object) {
  parts <- lapply(object$random, function(term) {
    frame <- set_levels(object$frame, term$levels)
    basis <- basis_columns(term$lhs, frame, term$contrasts)
    owners <- basis$assign[term$columns]
    lapply(unique(owners), function(owner) {
      variables <- split_variables(variables_of_part(term$lhs, owner), object$frame)
      list(
        factor = term$factor, columns = unname(basis$columns[term$columns[owners == owner]]),
        class = c(variables$class, term$leaves), continuous = variables$continuous,
        leaves = term$leaves
      )
    })
  })
  parts <- unlist(parts, recursive = FALSE)
  width <- vapply(parts, function(part) length(part$leaves), 1L)
  size <- vapply(parts, function(part) nlevels(object$flist[[part$factor]]), 1L)
  parts[order(width, size)]
}

#' Variables of the term with this number of what varies in a bar term, none for the intercept
#' @noRd
variables_of_part <- function(lhs, owner) {
  if (owner == 0L) {
    return(character())
  }
  terms <- stats::terms.formula(as.call(list(quote(`~`), lhs)))
  variables <- variable_names(as.list(attr(terms, "variables"))[-1L])
  variables[attr(terms, "factors")[, owner] > 0L]
}
