# Fits for which only some functions are known to hold.

test_that("functions that hold are functions of the package", {
  home <- asNamespace("ferrolmm")
  for (kind in restricted_kinds()) {
    expect_gt(length(kind$holds), 0L)
    expect_false(anyDuplicated(kind$holds) > 0L)
    known <- vapply(kind$holds, exists, NA, envir = home, mode = "function", inherits = FALSE)
    expect_identical(kind$holds[!known], character())
  }
})

test_that("others are refused by name, however they are called", {
  d <- lme4::sleepstudy
  d$w <- rep(c(1, 2), 90L)
  fits <- list(
    smooth = lmm(Reaction ~ s(Days, k = 5) + (1 | Subject), d),
    sampling = lmm(Reaction ~ Days + (1 | Subject), d, REML = FALSE, weights = sampling_weights(w))
  )
  for (class in names(fits)) {
    fit <- fits[[class]]
    refused <- function(call) expect_error(call, class = paste0("ferrolmm_error_", class))
    refused(influence(fit))
    refused(do.call(influence, list(fit)))
    refused(lapply(list(fit), bootstrap, nsim = 2L))
    refused(as_lmerMod(fit))
    expect_no_error(capture.output(print(fit)))
  }
})
