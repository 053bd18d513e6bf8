#' Likelihood ratio test by parametric bootstrap
#'
#' Compares two nested models by ML. The distribution of the likelihood ratio statistic under the
#' smaller model is found by simulation, so it is right in small samples and where a variance is
#' zero under the hypothesis, where the chi-squared distribution is not.
#'
#' @details
#' Both models are fitted to each response that is simulated from the ML fit of the smaller one.
#' With n statistics that could be computed, the p-value is `(1 + #{LR* >= LR}) / (1 + n)` (Davison
#' and Hinkley 1997, section 4.2), never zero. Statistics below zero, which are due to rounding,
#' count as zero.
#'
#' With 'pbkrtest' loaded, its `PBmodcomp()` takes these models too and gives the same result.
#'
#' @param large,small Models fitted by [lmm()] to the same response, `small` within `large`. Fits by
#'   REML are fitted again by ML.
#' @param nsim The number of simulated responses.
#' @param seed A seed for [set.seed()], set for this call only.
#' @param threads The number of threads; by default that of the larger fit's [lmm_control()].
#' @returns An object of class `pb_test`: a list with `test`, a data frame of the statistic, degrees
#'   of freedom and p-value by the chi-squared distribution (`LRT`) and the bootstrap (`PBtest`);
#'   `reference`, the simulated statistics, `NA` where a fit failed; `nsim`, `used`, `seed` and the
#'   formulas `large` and `small`.
#' @references
#' Halekoh, U. and Højsgaard, S. (2014). A Kenward-Roger approximation and parametric bootstrap
#' methods for tests in linear mixed models. *Journal of Statistical Software*, 59(9), 1-32.
#' \doi{10.18637/jss.v059.i09}
#'
#' Davison, A. C. and Hinkley, D. V. (1997). *Bootstrap Methods and Their Application*. Cambridge
#' University Press.
#' @seealso [anova.lmm()], [ranova()], [bootstrap()]
#' @examples
#' data(Orthodont, package = "nlme")
#' large <- lmm(distance ~ age + Sex + (age | Subject), Orthodont)
#' small <- lmm(distance ~ age + Sex + (1 | Subject), Orthodont)
#' pb_test(large, small, nsim = 200, seed = 1)
#' @export
pb_test <- function(large, small, nsim = 1000L, seed = NULL, threads = NULL, ...) {
  check_dots(...)
  nsim <- check_count(nsim, "nsim", 1L)
  check_nested(large, small)
  for (model in list(large, small)) require_maximum(model, "pb_test()")
  control <- large$control
  if (!is.null(threads)) {
    control$threads <- choose_threads(threads)
  }
  large <- quietly(refitML.lmm(large))
  small <- quietly(refitML.lmm(small))
  warn_cut_off(statuses_of(list(large, small)), c("large", "small"))
  observed <- small$criterion - large$criterion
  if (observed < -1e-4) {
    ferrolmm_abort(
      "`small` fits better than `large`: it is not within it.", "argument",
      i = "Is their order right?"
    )
  }
  state <- random_state(seed)
  if (!is.null(state$before)) {
    on.exit(assign(".Random.seed", state$before, envir = globalenv()))
  }
  inputs <- list(engine_inputs(large), engine_inputs(small))
  batches <- simulate_batches(small, nsim, function(responses) {
    fits <- lapply(inputs, fit_responses, responses = responses, reml = FALSE, control = control)
    ratio <- fits[[2L]]$criterion - fits[[1L]]$criterion
    good <- c("converged", "singular")
    ratio[!fits[[1L]]$status %in% good | !fits[[2L]]$status %in% good] <- NA
    pmax(ratio, 0)
  })
  reference <- unlist(batches)
  used <- sum(!is.na(reference))
  df <- count_parameters(large) - count_parameters(small)
  observed <- max(observed, 0)
  p <- c(
    stats::pchisq(observed, df, lower.tail = FALSE),
    p_of_optima(reference, function(found) {
      (1 + count_reaching(observed, found)) / (1 + length(found))
    }, "`large` against `small`")
  )
  structure(
    list(
      test = data.frame(
        stat = observed, df = c(df, NA), p.value = p, row.names = c("LRT", "PBtest")
      ),
      reference = reference, nsim = nsim, used = used, seed = state$seed,
      large = full_formula(large), small = full_formula(small)
    ),
    class = "pb_test"
  )
}

#' @noRd
check_nested <- function(large, small) {
  if (!inherits(large, "lmm") || !inherits(small, "lmm")) {
    ferrolmm_abort("`large` and `small` must be models fitted by lmm().", "argument")
  }
  check_fit(small)
  if (!identical(response_values(large), response_values(small))) {
    ferrolmm_abort(
      "`large` and `small` must be fits of the same response and rows.", "argument",
      i = "Rows with missing values may differ: fit both models to the rows that both can use."
    )
  }
  for (model in list(large, small)) {
    if (depends_on_fitted(model$residual)) {
      ferrolmm_abort(
        "pb_test() needs variances that do not depend on the fitted values.", "argument"
      )
    }
  }
  weights <- lapply(list(large, small), function(model) {
    rep_len(weights_or_one(model), count_rows(model))
  })
  offsets <- lapply(list(large, small), getME.lmm, "offset")
  same <- function(x) isTRUE(all.equal(x[[1L]], x[[2L]], tolerance = 1e-12))
  if (!same(weights) || !same(offsets)) {
    ferrolmm_abort("`large` and `small` must have the same weights and offset.", "argument")
  }
  if (count_parameters(large) <= count_parameters(small)) {
    ferrolmm_abort("`large` must have more parameters than `small`.", "argument",
                   i = "Is their order right?")
  }
  x_large <- engine_inputs(large)$fixed$X
  x_small <- engine_inputs(small)$fixed$X
  rest <- qr.resid(qr(x_large), x_small)
  if (any(colSums(rest^2) > 1e-12 * colSums(x_small^2))) {
    ferrolmm_abort(
      "The fixed effects of `small` are not within those of `large`.", "argument"
    )
  }
}

#' @param x What `pb_test()` returned.
#' @param digits The number of significant digits to print.
#' @param ... Not used.
#' @rdname pb_test
#' @export
print.pb_test <- function(x, digits = 4L, ...) {
  check_dots(...)
  check_digits(digits)
  cat("Likelihood ratio test by parametric bootstrap, ", count_of(x$nsim, "simulation"), "\n",
      sep = "")
  cat("large: ", code_label(x$large, 200L), "\n", sep = "")
  cat("small: ", code_label(x$small, 200L), "\n", sep = "")
  if (x$used < x$nsim) {
    cat(count_of(x$nsim - x$used, "simulation"), " left out: no fit\n", sep = "")
  }
  cat("\n")
  stats::printCoefmat(
    as.matrix(x$test), digits = digits, P.values = TRUE, has.Pvalue = TRUE, cs.ind = NULL,
    tst.ind = 1L, na.print = ""
  )
  invisible(x)
}

#' For pbkrtest::PBmodcomp(); its other arguments are of no use here
#'
#' @rawNamespace S3method(pbkrtest::PBmodcomp, lmm)
#' @noRd
PBmodcomp.lmm <- function(largeModel, smallModel, nsim = 1000, ref = NULL, seed = NULL, cl = NULL,
                          details = 0, ...) {
  check_dots(...)
  if (!is.null(ref) || !is.null(cl) || !is.numeric(details) || !isTRUE(all(details == 0))) {
    ferrolmm_abort(
      "`ref`, `cl` and `details` of PBmodcomp() have no meaning for models of lmm().", "argument",
      i = "pb_test() simulates and fits in parallel as it is."
    )
  }
  pb_test(largeModel, smallModel, nsim = nsim, seed = seed)
}
