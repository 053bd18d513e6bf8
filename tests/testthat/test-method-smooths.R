d <- smooth_data_of()

test_that("values of smooths and their standard errors are the terms of predict() of a gam", {
  for (formula in list(
    y ~ f + s(x) + s(z, k = 5) + (1 | g), y ~ f + s(x, by = f) + (1 | g),
    y ~ s(x, f, bs = "fs", k = 5) + (1 | g), y ~ s(x, by = u, k = 6) + s(z) + (1 | g)
  )) {
    fit <- suppressMessages(lmm(formula, d))
    terms <- predict(gam_twin(formula, d), type = "terms", se.fit = TRUE)
    posterior <- smooth_posterior(fit)
    for (smooth in smooths_of(fit)) {
      if (isSingular(fit, 1e-3)) next
      found <- smooth_values_at(fit, smooth, fit$frame, posterior)
      expect_equal(found$fit, unname(terms$fit[, smooth$label]), tolerance = 1e-4)
      expect_equal(found$se, unname(terms$se.fit[, smooth$label]), tolerance = 1e-4)
    }
  }
})

test_that("edf are the trace of F by dense algebra", {
  fit <- suppressMessages(lmm(y ~ f + s(x) + t2(x, z, k = 4) + (1 | g), d))
  x <- cbind(model.matrix(fit), as.matrix(getME(fit, "Z")) %*% as.matrix(getME(fit, "Lambda")))
  free <- length(fixef(fit))
  penalty <- diag(rep(0:1, c(free, ncol(x) - free)))
  f <- solve(crossprod(x) + penalty, crossprod(x))
  edf <- smooth_edf(fit, smooth_posterior(fit))
  for (smooth in smooths_of(fit)) {
    at <- c(
      match(smooth$fixed, names(fixef(fit))),
      free + unlist(lapply(terms_of_smooth(fit, smooth), effects_of_term, object = fit))
    )
    expect_equal(edf[[smooth$label, "edf"]], sum(diag(f)[at]), tolerance = 1e-8)
    expect_equal(edf[[smooth$label, "edf1"]], sum(diag(2 * f - f %*% f)[at]), tolerance = 1e-8)
  }
})
