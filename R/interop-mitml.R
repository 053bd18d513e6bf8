# Methods for 'mitml', whose generics are internal (registered in zzz.R): its defaults read coef(),
# which for these models is a table for each grouping factor, and have no likelihood at other
# parameters.

#' Multiple imputation: support for 'mice' and 'mitml'
#'
#' Fits to each of several imputed data sets are pooled by `mice::pool()` (through [tidy.lmm()] and
#' `glance()`) or `mitml::testEstimates()`, and compared by `mice::D1()`, `mice::D2()` and
#' `mitml::testModels()` with any of its methods: D1 and D2 pool Wald tests, D3 (Meng and Rubin,
#' 1992) and D4 (Chan and Meng, 2022) likelihood ratios. With `extra.pars = TRUE` the variances and
#' covariances are pooled, too, and parameters of a residual structure.
#'
#' D3 takes the likelihood at the pooled parameters: means of the fixed effects, of the covariance
#' matrices (of structured terms: of standard deviations and correlations), of the parameters of
#' the residual structure and of \eqn{\sigma^2}. D4 fits all data sets together, with groups of
#' their own in each. `mice::D3()` makes its models itself, by rules for other classes, and ends in
#' an error: use `mitml::testModels(method = "D3")`.
#' @references
#' Chan, K. W. and Meng, X.-L. (2022). Multiple improvements of multiple imputation likelihood ratio
#' tests. *Statistica Sinica*, 32, 1489-1514.
#'
#' Meng, X.-L. and Rubin, D. B. (1992). Performing likelihood ratio tests with multiply-imputed data
#' sets. *Biometrika*, 79, 103-111.
#' @seealso [tidy.lmm()], [lmm()]
#' @examplesIf requireNamespace("mice", quietly = TRUE)
#' data(Orthodont, package = "nlme")
#' gaps <- data.frame(Orthodont[c("distance", "age", "Subject")])
#' gaps$distance[seq(3, 108, by = 9)] <- NA
#' imputed <- mice::mice(gaps, m = 3, maxit = 2, seed = 1, printFlag = FALSE)
#' fits <- with(imputed, lmm(distance ~ age + (1 | Subject)))
#' summary(mice::pool(fits))
#' @name mice-lmm
NULL

#' @noRd
.getCoef.lmm <- function(object, ...) fixef.lmm(object)

#' @noRd
.checkREML.lmm <- function(object, ...) object$REML

#' @noRd
.updateML.lmm <- function(object, ...) refitML.lmm(object)

#' Variances, covariances and other parameters of the covariances, by name
#' @noRd
.getMisc.lmm <- function(object, ...) {
  plain <- function(names) sub("^[(]Intercept[)]$", "Intercept", names)
  terms <- Map(function(v, group) {
    names <- plain(rownames(v))
    cells <- which(upper.tri(v), arr.ind = TRUE)
    values <- c(diag(v), v[cells])
    row <- c(seq_along(names), cells[, 1L])
    column <- c(seq_along(names), cells[, 2L])
    stats::setNames(values, paste0(names[row], "~~", names[column], "|", group))
  }, unclass(VarCorr.lmm(object)), block_names(object))
  residual <- c("Residual~~Residual" = object$sigma^2)
  found <- c(unlist(unname(terms)), residual, object$phi)
  if (length(block_names(object)) == 1L && !has_residual(object)) {
    between <- found[paste0("Intercept~~Intercept|", block_names(object))]
    if (!is.na(between)) {
      icc <- unname(between / (between + residual))
      found <- c(found, stats::setNames(icc, paste0("ICC|", block_names(object))))
    }
  }
  found
}

#' The parameters that D3 pools
#' @noRd
.getArgsLL.lmm <- function(object, ...) {
  covariances <- Map(function(theta, term) {
    if (is_natural(term)) {
      sd <- seq_len(count_sd(term))
      theta[sd] <- theta[sd] * object$sigma
      return(theta)
    }
    object$sigma^2 * tcrossprod(term_factor(theta, term))
  }, split_theta(object$theta, object$random), random_blocks(object$random))
  names(covariances) <- paste0("Tau", seq_along(covariances), recycle0 = TRUE)
  list(
    object = object,
    parameters = c(
      list(beta = object$beta), covariances, if (length(object$phi) > 0L) list(phi = object$phi),
      list(sigma2 = object$sigma^2)
    )
  )
}

#' The log-likelihood of the fit, or at other parameters
#' @noRd
.getUserLL.lmm <- function(object, parameters, force.update = TRUE, ...) {
  require_maximum(object, "A likelihood ratio test")
  likelihood <- log_likelihood(object, REML = FALSE)
  value <- as.numeric(likelihood)
  if (force.update) {
    sigma <- sqrt(parameters$sigma2)
    blocks <- random_blocks(object$random)
    terms <- Map(function(term, t) {
      pooled <- parameters[[paste0("Tau", t)]]
      if (is_natural(term)) {
        sd <- seq_len(count_sd(term))
        pooled[sd] <- pooled[sd] / sigma
        return(pooled)
      }
      lower_root(pooled / sigma^2)[theta_entries(term)]
    }, blocks, seq_along(blocks))
    value <- log_likelihood_at(
      object, parameters$beta, c(unlist(terms), parameters$phi), sigma
    )
  }
  structure(value, df = attr(likelihood, "df"))
}

#' The data of a fit, where they are, or its model frame
#' @noRd
.getDataLL.lmm <- function(object, ...) {
  data <- tryCatch(eval(object$call$data, fit_home(object)), error = function(e) NULL)
  if (is.data.frame(data)) data else as.data.frame(object$frame)
}

#' The fit of all imputed data together, with groups of their own in each
#' @noRd
.updateStackedLL.lmm <- function(object, datalist, ...) {
  if (has_known(object)) {
    ferrolmm_abort(
      "D4 has other levels in each data set, and this model a covariance matrix of its levels.",
      "known", i = "Use method = \"D1\", \"D2\" or \"D3\"."
    )
  }
  need_known_rows(
    object, "D4, whose data have more rows,", "Use method = \"D1\", \"D2\" or \"D3\"."
  )
  groups <- unique(as.character(c(
    unlist(lapply(object$random, `[[`, "leaves")), object$residual$correlation$group
  )))
  fixed <- variable_columns(object$terms)
  if (any(groups %in% fixed)) {
    ferrolmm_abort(
      paste0("D4 renames the groups in each data set, and ", quote_names(intersect(groups, fixed)),
             " is a predictor as well."), "grouping", i = "Use method = \"D1\", \"D2\" or \"D3\"."
    )
  }
  missing <- setdiff(groups, names(datalist[[1L]]))
  if (length(missing) > 0L) {
    ferrolmm_abort(
      paste0("The data have no column ", quote_names(missing), ", which D4 renames in each set."),
      "data"
    )
  }
  stacked <- Map(function(data, i) {
    data <- as.data.frame(data)
    data[groups] <- lapply(data[groups], function(g) paste0("imp", i, "_", g))
    data
  }, datalist, seq_along(datalist))
  update.lmm(object, data = do.call(rbind, unname(stacked)))
}
