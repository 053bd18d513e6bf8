# Covariance matrices of the fixed effects from the residuals of independent clusters, and tests
# with them.

#' Robust covariance matrices and tests
#'
#' `vcov(fit, type = )` estimates the covariance matrix of the fixed effects from the residuals of
#' independent clusters, which stays right in large samples where the variances and correlations of
#' the model are not (Liang and Zeger 1986). The argument `vcov` of [summary.lmm()], [anova.lmm()],
#' [contest()], [drop1.lmm()] and [confint.lmm()], and `vcov.` of 'emmeans', makes tests and
#' intervals with it. No matrix of the size of the data is built.
#'
#' @section The estimate:
#' \deqn{C \Big(\sum_j X_j' V_j^{-1} A_j r_j r_j' A_j' V_j^{-1} X_j\Big) C}
#' with \eqn{C = (X'V^{-1}X)^{-1}}, \eqn{V_j} the covariance matrix of the observations of a cluster
#' in the model, \eqn{r_j} their marginal residuals, and \eqn{A_j} an adjustment, as residuals vary
#' less than observations. With \eqn{H_j = X_j C X_j' V_j^{-1}}, \eqn{m} clusters, \eqn{n} rows and
#' \eqn{p} coefficients the types are, in the words of 'clubSandwich':
#' - `"CR0"`: none. This is `EMPIRICAL` of SAS, and `"Empirical"` of 'mmrm', which is understood.
#' - `"CR1"`, `"CR1p"`, `"CR1S"`: CR0 times \eqn{m / (m - 1)}, \eqn{m / (m - p)} or
#'   \eqn{m (n - 1) / ((m - 1)(n - p))}.
#' - `"CR2"`: the symmetric \eqn{A_j} with \eqn{A_j (V_j - X_j C X_j') A_j = V_j}, with which the
#'   estimate is unbiased where the model is right (Bell and McCaffrey 2002; Pustejovsky and Tipton
#'   2018). A cluster of thousands of rows whose residuals are correlated, or have thousands of
#'   variances, is refused: it would take a matrix of its size.
#' - `"Empirical-Bias-Reduced"`: \eqn{A_j = (I - H_j)^{-1/2}}, which is unbiased in the same sense,
#'   as 'mmrm' has it. Both are the same where \eqn{V_j} is a multiple of the identity, and differ a
#'   little elsewhere; this one takes clusters of any size.
#' - `"CR3"`: \eqn{A_j = (I - H_j)^{-1}}, the change of the estimates without the cluster (variance
#'   parameters as they are): a jackknife, on the safe side. `"Empirical-Jackknife"` of 'mmrm'.
#'
#' They do not depend on \eqn{\sigma}, and are defined for fits by ML and REML.
#'
#' @section Clusters:
#' `cluster` is a formula (`~ subject`, `~ site:subject`), the name of a variable of the model or
#' its data, or a value for each row. Rows of different clusters must be independent in the model: a
#' cluster holds whole levels of all grouping factors, whole groups of correlated residuals, and all
#' levels that a known matrix relates. Clusters that do not are an error: 'clubSandwich' computes
#' something for such clusters with some models, but not with an estimate of \eqn{V_j} in which
#' clusters are correlated. Crossed factors have independent clusters where a coarser grouping holds
#' both, such as districts. By default clusters are the levels of the coarsest grouping factor, or
#' the groups of correlated residuals; where it does not hold all others, the sets of rows that are
#' connected; without groups, the rows.
#'
#' A combination of coefficients that a cluster alone determines (the mean of a treatment that one
#' subject had) has no residuals and so no such variance. `vcov()` then is an error of class
#' `ferrolmm_error_cluster`, and tests of that combination are `NA`, with a warning of class
#' `ferrolmm_warning_cluster`.
#'
#' @section Degrees of freedom:
#' With `ddf = "Satterthwaite"`, the default, a test of one row has the degrees of freedom that
#' match the variance that the estimate has if the model is right (Bell and McCaffrey 2002), and a
#' joint test is Hotelling's \eqn{T^2} with the degrees of freedom of Pustejovsky and Tipton (2018),
#' their "HTZ", which do not depend on how the hypothesis is written:
#' \eqn{(\eta - q + 1) / (\eta q)} times Wald's statistic of \eqn{q} rows is compared with F of
#' \eqn{q} and \eqn{\eta - q + 1} degrees of freedom. Where there are too few clusters for that the
#' test is `NA`, with a warning. `ddf = "asymptotic"` takes the normal distribution, and `"none"`
#' leaves p-values out. Kenward and Roger's method corrects the model's matrix, and cannot be
#' combined with another one.
#'
#' `vcov` can also be a matrix, or a function that makes one of the fit, such as
#' `function(x) clubSandwich::vcovCR(x, type = "CR2")`. It has no degrees of freedom of its own:
#' `ddf` has to be `"asymptotic"` or `"none"` then. ('emmeans' combines a matrix that is given with
#' any degrees of freedom, see [emmeans-lmm].)
#' @references
#' Bell, R. M. and McCaffrey, D. F. (2002). Bias reduction in standard errors for linear regression
#' with multi-stage samples. *Survey Methodology*, 28, 169-181.
#'
#' Liang, K.-Y. and Zeger, S. L. (1986). Longitudinal data analysis using generalized linear models.
#' *Biometrika*, 73, 13-22.
#'
#' Pustejovsky, J. E. and Tipton, E. (2018). Small-sample methods for cluster-robust variance
#' estimation and hypothesis testing in fixed effects models. *Journal of Business & Economic
#' Statistics*, 36, 672-683.
#' @seealso [vcov.lmm()]; [ddf] for tests with the model's own matrix; [vcovCR.lmm()] and
#'   [estfun.lmm()] for other packages.
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age * Sex + (age | Subject), Orthodont)
#' vcov(fit, type = "CR0")
#' summary(fit, vcov = "CR2")
#' anova(fit, vcov = "CR2", cluster = ~ Subject)
#' contest(fit, c("SexFemale", "age:SexFemale"), vcov = "CR3")
#' @name robust
NULL

#' The types, with the adjustment of the engine, the factor of the covariance matrix for m clusters,
#' n rows and p coefficients, and other spellings
#' @noRd
sandwich_types <- list(
  CR0 = list(adjustment = "none", alias = "Empirical"),
  CR1 = list(adjustment = "none", factor = function(m, n, p) m / (m - 1)),
  CR1p = list(adjustment = "none", factor = function(m, n, p) m / (m - p)),
  CR1S = list(adjustment = "none", factor = function(m, n, p) m * (n - 1) / ((m - 1) * (n - p))),
  CR2 = list(adjustment = "symmetric_root"),
  CR3 = list(adjustment = "inverse", alias = "Empirical-Jackknife"),
  `Empirical-Bias-Reduced` = list(adjustment = "root")
)

#' @noRd
sandwich_choices <- function() {
  paste0("`\"", names(sandwich_types), "\"`", collapse = ", ")
}

#' One of the types, by its name or alias in any case
#' @noRd
match_sandwich <- function(type, name) {
  aliases <- unlist(lapply(sandwich_types, `[[`, "alias"))
  spellings <- c(
    stats::setNames(nm = names(sandwich_types)), stats::setNames(names(aliases), aliases)
  )
  found <- if (is_string(type) && !is.na(type)) match(tolower(type), tolower(names(spellings)))
  if (length(found) == 0L || is.na(found)) {
    ferrolmm_abort(
      paste0("`", name, "` must be one of ", quote_names(names(spellings), Inf),
             describe_given(type), "."),
      "argument", i = "SAS's EMPIRICAL is \"CR0\"."
    )
  }
  spellings[[found]]
}

#' What a sandwich estimate is made of
#'
#' @param moments also what degrees of freedom need?
#' @returns list(type, clusters, variance, root, scores, undetermined, spread, cross): see
#'   [engine_sandwich()]; `scores` have the factor of the type in them
#' @noRd
sandwich_of <- function(object, type, cluster, moments = FALSE) {
  is_sampled <- is_sampled(object)
  clusters <- if (is_sampled) {
    clusters_of_sample(object, cluster)
  } else {
    independent_clusters(object, cluster)
  }
  m <- clusters$count
  p <- object$rank
  if (m < 2L || type == "CR1p" && m <= p) {
    ferrolmm_abort(
      paste0("There ", if (m == 1L) "is " else "are ", count_of(m, "cluster"),
             if (m > 1L) paste0(" for ", count_of(p, "coefficient")), ": ",
             "type \"", type, "\" needs more."),
      "cluster"
    )
  }
  entry <- sandwich_types[[type]]
  engine <- if (is_sampled) engine_sampled_sandwich else engine_sandwich
  found <- with_memory(engine_inference(
    engine, object, clusters$codes, m, entry$adjustment, moments,
    is_sampled && object$sampling$information == "joint"
  ))
  found$scores <- matrix(found$scores, p, m)
  if (!is.null(entry$factor)) {
    found$scores <- found$scores * sqrt(entry$factor(m, count_rows(object), p))
  }
  half <- found$root %*% found$scores
  variance <- tcrossprod(half)
  dimnames(variance) <- rep(list(names(object$coefficients)[kept_columns(object)]), 2L)
  c(list(type = type, clusters = clusters, variance = variance), found)
}

#' The covariance matrix, where the clusters determine all of it
#' @noRd
sandwich_variance <- function(object, type, cluster = NULL, name = "type") {
  found <- sandwich_of(object, match_sandwich(type, name), cluster)
  if (length(found$undetermined) > 0L) {
    alone <- unique(found$clusters$levels[found$undetermined_in])
    names <- rownames(found$variance)[
      !determined_rows(found, diag(nrow(found$variance)))
    ]
    ferrolmm_abort(
      paste0("The clusters do not determine the covariance matrix of all fixed effects: ",
             "each of ", quote_names(alone), " alone determines one."),
      "cluster",
      x = paste0("Without a variance are ", quote_names(names), "."),
      i = "summary(fit, vcov = ) and contest() have the tests of the others."
    )
  }
  found$variance
}

#' Which rows of L have a variance
#'
#' What a cluster alone determines has residuals of zero, whatever its variance.
#' @noRd
determined_rows <- function(sandwich, L) {
  if (length(sandwich$undetermined) == 0L) {
    return(rep.int(TRUE, nrow(L)))
  }
  along <- L %*% sandwich$root
  reach <- abs(along %*% sandwich$undetermined)
  rowSums(reach > 1e-8 * sqrt(rowSums(along^2))) == 0
}

#' A covariance matrix of the fixed effects: a type, one that a user gives, or what a function makes
#' of the fit
#' @param name the argument.
#' @noRd
other_variance <- function(object, variance, name = "vcov.", ...) {
  if (is.character(variance)) {
    return(sandwich_variance(object, variance, name = name))
  }
  if (is.function(variance)) {
    variance <- tryCatch(variance(object, ...), error = function(e) {
      ferrolmm_abort(
        paste0("The function `", name, "` fails for this fit."), "argument",
        x = conditionMessage(e), i = "It is called with the fit as its first argument."
      )
    })
  }
  variance <- tryCatch(as.matrix(variance), error = function(e) NULL)
  variance <- match_variance(variance, names(object$coefficients), kept_columns(object), name)
  if (!is.numeric(variance) || !identical(dim(variance), rep(object$rank, 2L))) {
    ferrolmm_abort(
      paste0("`", name, "` must be a covariance matrix of the ",
             count_of(object$rank, "fixed effect"), ", a function that gives one, or a type ",
             "such as \"CR2\"."),
      "argument"
    )
  }
  if (!all(is.finite(variance)) || any(diag(variance) < 0) || !is_nearly_symmetric(variance)) {
    ferrolmm_abort(
      paste0("`", name, "` is no covariance matrix: it must be symmetric, with finite numbers and ",
             "variances that are not negative."), "argument"
    )
  }
  variance
}

#' A matrix with names in the order of the coefficients, without those that are aliased
#'
#' Without names, or where coefficients share one, rows are taken as they come.
#' @noRd
match_variance <- function(variance, names, kept, name) {
  own <- rownames(variance)
  known <- names[kept]
  if (is.null(own) || !identical(own, colnames(variance)) || anyDuplicated(own) ||
        anyDuplicated(names) || identical(own, known)) {
    return(variance)
  }
  if (!all(known %in% own) || !all(own %in% names)) {
    ferrolmm_abort(
      paste0("`", name, "` has names that are not those of the coefficients: ",
             quote_names(c(setdiff(own, names), setdiff(known, own)), 6L), "."), "argument",
      i = paste0("They are ", quote_names(known, 12L), "; a matrix without names is taken in that ",
                 "order.")
    )
  }
  variance[known, known, drop = FALSE]
}

#' Up to rounding, and what users' formulas add to it
#' @noRd
is_nearly_symmetric <- function(variance) {
  size <- sqrt(diag(variance))
  all(abs(variance - t(variance)) <= 1e-6 * outer(size, size))
}

# Inference ----------------------------------------------------------------------------------------

#' Inference with a sandwich estimate
#'
#' `single()` and `joint()` are NA, with a warning, for what the clusters do not determine.
#' @param sandwich what [sandwich_of()] returns, with moments where `fixed` is NULL.
#' @param fixed degrees of freedom of all tests; NULL: those of Bell and McCaffrey, and Pustejovsky
#'   and Tipton.
#' @returns as `infer()` of a method
#' @noRd
infer_sandwich <- function(object, sandwich, fixed = NULL) {
  half <- sandwich$root %*% sandwich$scores
  is_whole <- length(sandwich$undetermined) == 0L
  # without p-values NA is no sign of what is not determined
  unknown <- !is.null(fixed) && is.na(fixed)
  single <- function(L) {
    ddf <- rep.int(if (unknown && !is_whole) Inf else c(fixed, NA_real_)[[1L]], nrow(L))
    known <- determined_rows(sandwich, L) & rowSums(L != 0) > 0
    if (is.null(fixed) && any(known)) {
      rows <- t(L[known, , drop = FALSE] %*% sandwich$root)
      ddf[known] <- engine_sandwich_ddf(sandwich, rows, joint = FALSE)
    }
    lost <- !known & rowSums(L != 0) > 0
    if (any(lost)) warn_clusters(sum(lost), "A cluster alone determines what is tested.")
    ddf[lost] <- NA_real_
    ddf
  }
  list(
    beta = object$beta, variance = sandwich$variance, single = single,
    determined = if (!unknown || !is_whole) function() is_whole,
    joint = function(L, estimate) {
      rows <- independent_rows(L, fixed_covariance(object))
      joint_sandwich(sandwich, L[rows, , drop = FALSE], estimate[rows], half, fixed)
    }
  )
}

#' Hotelling's T^2, or with degrees of freedom that are given, Wald's F
#'
#' @param half a root of the covariance matrix, r x clusters.
#' @noRd
joint_sandwich <- function(sandwich, L, estimate, half, fixed) {
  q <- nrow(L)
  none <- list(statistic = NA_real_, unscaled = NA_real_, numdf = q, dendf = NA_real_)
  if (q == 0L) {
    return(none)
  }
  if (!all(determined_rows(sandwich, L))) {
    warn_clusters(1L, "A cluster alone determines a part of what is tested.")
    return(none)
  }
  parts <- t(L %*% half)
  size <- sqrt(colSums(parts^2))
  size[size == 0] <- 1
  decomposed <- qr(parts / rep(size, each = nrow(parts)), tol = 1e-10)
  few <- paste0("There are too few clusters for a test of ", count_of(q, "row"), ".")
  if (decomposed$rank < q) {
    warn_clusters(1L, few)
    return(none)
  }
  order <- decomposed$pivot
  root <- qr.R(decomposed)
  f <- sum(backsolve(root, (estimate / size)[order], transpose = TRUE)^2) / q
  if (!is.null(fixed)) {
    return(list(statistic = f, unscaled = f, numdf = q, dendf = fixed))
  }
  eta <- engine_sandwich_ddf(sandwich, t(L %*% sandwich$root), joint = TRUE)
  if (length(eta) == 0L || !isTRUE(eta > q - 1)) {
    warn_clusters(1L, few)
    return(none)
  }
  list(
    statistic = f * (eta - q + 1) / eta, unscaled = f, numdf = q, dendf = eta - q + 1
  )
}

#' @noRd
warn_clusters <- function(tests, why) {
  ferrolmm_warn(
    paste0(
      "The clusters do not determine ", count_of(tests, "test"), ": ",
      if (tests == 1L) "it is" else "they are", " NA."
    ),
    "cluster", x = why,
    i = "Use the model's covariance matrix for it, or clusters that are more."
  )
}
