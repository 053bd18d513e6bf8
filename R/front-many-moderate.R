# Moderated residual variances of many responses (empirical Bayes).

#' Moderate the residual variances of many responses
#'
#' Where thousands of responses have few rows each, as expressions of genes, their residual
#' variances vary by chance, and those that are too small make tests significant. `moderate()` draws
#' them towards a common value, as far as they vary by chance, as `limma::eBayes()` does for linear
#' models and `variancePartition::eBayes()` for fits of `dream()`.
#'
#' The residual variances \eqn{s_g^2}{s2} are taken for \eqn{\sigma_g^2 \chi^2_{d_g} / d_g}{sigma2
#' chi2_d / d}, and \eqn{1 / \sigma_g^2}{1 / sigma2} for draws of \eqn{\chi^2_{d_0} / (d_0
#' s_0^2)}{chi2_d0 / (d0 s02)}. The prior is estimated by the mean and the variance of \eqn{\log
#' s_g^2}{log s2} (Smyth 2004, section 6.2), and the moderated variance is \deqn{\tilde s_g^2 =
#' \frac{d_0 s_0^2 + d_g s_g^2}{d_0 + d_g}.}{(d0 s02 + d s2) / (d0 + d).} Standard errors are
#' multiplied by \eqn{\tilde s_g / s_g}{the ratio of the standard deviations}, and the degrees of
#' freedom of each test, by Satterthwaite's method, are increased by \eqn{d_0}{d0} (Hoffman and
#' Roussos 2021). The degrees of freedom of the residual variance of a mixed model are \eqn{d_g =
#' \mathrm{tr}((I - H)'(I - H))}{d = tr((I - H)'(I - H))}, \eqn{H} the matrix that makes fitted
#' values of the response: \eqn{n - p} where the model has no random effects. Variance components
#' other than that of residuals are not moderated: they enter the standard errors relative to it.
#'
#' Responses without a fit do not enter the prior. Variances less than 1e-5 of their median are
#' taken for that in the estimate of the prior. Prior variances that depend on a covariate (`trend`)
#' or are robust against outliers are not available.
#'
#' @param object Fits of many responses by REML, from [refit()] with the default `ddf`.
#' @param ... Not used.
#' @returns `object` with `moderated`, a list of `df_prior` \eqn{d_0}{d0} (`Inf`: the residual
#'   variances do not vary more than by chance), `s2_prior` \eqn{s_0^2}{s02}, `s2_post`, a moderated
#'   residual variance for each response; [top_table()] then has the moderated tests.
#' @references Smyth, G. K. (2004). Linear models and empirical Bayes methods for assessing
#'   differential expression in microarray experiments. *Statistical Applications in Genetics and
#'   Molecular Biology*, 3(1).
#'
#'   Hoffman, G. E. and Roussos, P. (2021). Dream: powerful differential expression analysis for
#'   repeated measures designs. *Bioinformatics*, 37(2), 192-201.
#' @seealso [top_table()], [refit.lmm()], [lmm_many]
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (1 | Subject), Orthodont)
#' many <- refit(fit, simulate(fit, nsim = 20, seed = 1))
#' moderate(many)$moderated$df_prior
#' top_table(moderate(many), "age", n = 3)
#' @export
moderate <- function(object, ...) {
  check_dots(...)
  check_many(object)
  refuse_moderation(object)
  used <- has_optimum(object) & is.finite(object$residual_df) & object$residual_df > 0
  if (sum(used) < 2L) {
    ferrolmm_abort(
      paste0("Moderated variances need several responses with a fit, there are ", sum(used), "."),
      "argument"
    )
  }
  s2 <- unname(object$sigma)^2
  d <- unname(object$residual_df)
  prior <- variance_prior(s2[used], d[used])
  post <- rep.int(NA_real_, length(s2))
  post[used] <- if (is.finite(prior$df)) {
    (prior$df * prior$s2 + d[used] * s2[used]) / (prior$df + d[used])
  } else {
    prior$s2
  }
  object$moderated <- list(
    df_prior = prior$df, s2_prior = prior$s2,
    s2_post = stats::setNames(post, names(object$sigma))
  )
  object
}

#' @noRd
check_many <- function(object) {
  if (!inherits(object, "lmm_many")) {
    ferrolmm_abort(
      "These must be fits of many responses.", "argument",
      i = "refit(fit, Y) makes them, `Y` with a column for each response."
    )
  }
}

#' @noRd
refuse_moderation <- function(object) {
  refuse <- function(why, i = NULL) {
    ferrolmm_abort(paste0("Residual variances cannot be moderated: ", why, "."), "argument", i = i)
  }
  if (!object$REML) {
    refuse("the fits are by ML, and their variances biased", "Fit the model with REML = TRUE.")
  }
  if (object$known_sigma) refuse("sigma is known")
  if (object$penalised) refuse("the fits have penalised covariances")
  if (object$ddf == "none") {
    refuse("there are no degrees of freedom", "Leave `ddf = \"none\"` out of refit().")
  }
  if (any(has_optimum(object)) && all(is.na(object$residual_df))) {
    refuse("their degrees of freedom are not known for this model")
  }
}

#' Which responses have a fit with tests that hold?
#' @noRd
has_optimum <- function(object) unname(object$status) %in% c("converged", "singular")

#' The prior of residual variances by moments of their logarithms (Smyth 2004, section 6.2)
#'
#' With e = log s2 - digamma(d / 2) + log(d / 2), E(e) = log s0^2 - digamma(d0 / 2) + log(d0 / 2)
#' and Var(e) = trigamma(d / 2) + trigamma(d0 / 2). Where the e vary less than trigamma(d / 2) on
#' average, d0 is infinite, and s0^2 the mean of the variances, as in limma.
#'
#' @param s2,d variances and their degrees of freedom, positive.
#' @returns list(df = d0, s2 = s0^2)
#' @noRd
variance_prior <- function(s2, d) {
  s2 <- pmax(s2, 1e-5 * stats::median(s2))
  e <- log(s2) - digamma(d / 2) + log(d / 2)
  excess <- stats::var(e) - mean(trigamma(d / 2))
  if (excess <= 0) {
    return(list(df = Inf, s2 = mean(s2)))
  }
  df <- 2 * inverse_trigamma(excess)
  list(df = df, s2 = exp(mean(e) + digamma(df / 2) - log(df / 2)))
}

#' The y with trigamma(y) = x > 0
#'
#' Newton steps for 1 / trigamma(y) = 1 / x, which is nearly linear and convex in y, so that steps
#' from 1/2 + 1/x increase towards the solution (Smyth 2004, appendix); 1 / sqrt(x) and 1 / x are
#' its limits.
#' @noRd
inverse_trigamma <- function(x) {
  if (x > 1e7) {
    return(1 / sqrt(x))
  }
  if (x < 1e-6) {
    return(1 / x)
  }
  y <- 0.5 + 1 / x
  for (step in seq_len(50L)) {
    at <- trigamma(y)
    change <- at * (1 - at / x) / psigamma(y, 2L)
    y <- y + change
    if (abs(change) <= 1e-12 * y) break
  }
  y
}
