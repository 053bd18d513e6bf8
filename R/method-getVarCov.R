#' Covariance matrices of random effects and of the observations of a group
#'
#' For nlme's generic. `"random.effects"`: the covariance matrices of the random effects, one for
#' each term. `"conditional"`: for some groups, the covariance matrix of their observations given
#' the random effects, \eqn{\sigma^2 R}; unless groups are named, that of all visits, where the
#' residual structure has visits. `"marginal"`: that of their observations,
#' \eqn{Z G Z' + \sigma^2 R}.
#'
#' @param obj A model fitted by [lmm()].
#' @param individuals The groups: names or positions of levels of the residual structure's groups;
#'   of the first grouping factor where the model has none. By default the first one, but for the
#'   covariance matrix of visits.
#' @param individual The same, under the name that 'nlme' uses for `gls()`.
#' @param type Which covariance matrix: `"random.effects"` where there are random effects, else
#'   `"conditional"`.
#' @param ... Not used.
#' @returns For `"random.effects"` a matrix, or a list of them for several terms. For the visits a
#'   matrix with their names, whichever of them a group lacks, for a row of weight 1; a list of
#'   matrices where standard deviations differ between strata of rows. Otherwise a list
#'   with a matrix for each of `individuals`, named by it; rows are named by the rows of the data,
#'   and in the order of the visits, if there are any.
#' @seealso [VarCorr.lmm()], [getME.lmm()]
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(
#'   distance ~ age * Sex, Orthodont, residual = ~ us(age | Subject)
#' )
#' getVarCov(fit)
#' getVarCov(fit, "F01")
#' @method getVarCov lmm
#' @export
getVarCov.lmm <- function(obj, individuals = 1L,
                          type = c("random.effects", "conditional", "marginal"),
                          individual = individuals, ...) {
  check_dots(...)
  if (missing(type) && length(obj$random) == 0L) {
    type <- "conditional"
  }
  type <- match_choice(type, "type", c("random.effects", "conditional", "marginal"))
  if (type == "random.effects") {
    if (!missing(individuals) || !missing(individual)) {
      ferrolmm_abort(
        "`individuals` are for the covariance matrix of observations.", "argument",
        i = "Use type = \"conditional\" or \"marginal\"."
      )
    }
    matrices <- lapply(VarCorr.lmm(obj), function(v) {
      matrix(as.numeric(v), nrow(v), dimnames = dimnames(v))
    })
    if (length(matrices) == 0L) {
      ferrolmm_abort(
        "The model has no random effects.", "argument", i = "Use type = \"conditional\"."
      )
    }
    return(if (length(matrices) == 1L) matrices[[1L]] else matrices)
  }
  if (type == "conditional" && missing(individuals) && missing(individual)) {
    visits <- visit_covariances(obj)
    if (!is.null(visits)) {
      return(if (length(visits) == 1L) visits[[1L]] else `attr<-`(visits, "complete", NULL))
    }
  }
  groups <- covariance_groups(obj)
  chosen <- if (is.character(individual) || is.factor(individual)) {
    find_levels(individual, groups, groups$name)
  } else {
    match(individual, seq_along(groups$levels))
  }
  if (anyNA(chosen)) {
    ferrolmm_abort(
      paste0("`individuals` names no level of `", groups$name, "`."), "argument",
      i = paste0("Its levels are ", quote_names(groups$levels, 8L), ".")
    )
  }
  matrices <- lapply(chosen, function(level) {
    rows <- which(groups$codes == level)
    if (!is.null(groups$position)) {
      rows <- rows[order(groups$position[rows])]
    }
    value <- residual_covariance(obj, rows)
    if (type == "marginal") {
      zt <- build_zt(obj)[, rows, drop = FALSE]
      scaled <- build_lambdat(obj) %*% zt
      value <- value + obj$sigma^2 * as.matrix(Matrix::crossprod(scaled))
    }
    value
  })
  stats::setNames(matrices, groups$levels[chosen])
}

#' @importFrom nlme getVarCov
#' @export
nlme::getVarCov

#' @noRd
covariance_groups <- function(object) {
  refuse_members_of(object, "getVarCov() of observations")
  if (has_correlation(object)) {
    groups <- residual_groups(object$residual$correlation, object$frame)
    position <- training_design(object)$correlation$position
    return(list(
      name = object$residual$correlation$group_label, codes = groups$codes, levels = groups$levels,
      key = groups$key,
      position = if (!is.list(position)) position
    ))
  }
  if (length(object$flist) == 0L) {
    return(list(
      name = "all rows", codes = rep.int(1L, nobs.lmm(object)), levels = "(all rows)"
    ))
  }
  list(
    name = names(object$flist)[[1L]], codes = as.integer(object$flist[[1L]]),
    levels = levels(object$flist[[1L]]), key = object$keys[[1L]]
  )
}
