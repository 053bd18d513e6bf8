certificate <- function(status, ...) {
  utils::modifyList(
    list(
      status = status, message = "", max_gradient = 3.2e-11, min_eigenvalue = 0.41,
      multipliers = NA_real_, rank = 2L, evaluations = 9L
    ),
    list(...)
  )
}

test_that("the certificate in words", {
  local_reproducible_output(width = 80)
  expect_snapshot({
    writeLines(format_certificate(certificate("converged")))
    writeLines(format_certificate(certificate("singular", multipliers = c(NA, 0.034))))
    writeLines(format_certificate(certificate("not-identified", min_eigenvalue = 0)))
    writeLines(format_certificate(certificate("iteration-limit", evaluations = 1L)))
    writeLines(format_certificate(certificate("interrupted", min_eigenvalue = NaN)))
    writeLines(format_certificate(certificate("failed")))
    writeLines(format_certificate(certificate("evaluated")))
    writeLines(format_certificate(certificate("converged", starts = 1L)))
    writeLines(
      format_certificate(certificate("converged", starts = 9L, agree = 5L, vanishing = 2L))
    )
  })
})

test_that("findings come from ranks and from the engine's message", {
  fit <- our_twin("slope")
  expect_null(format_findings(fit))
  fit$certificate <- certificate("failed", message = "no progress along any direction")
  expect_identical(format_findings(fit), "  * No progress along any direction.")
  fit$certificate <- certificate("singular", rank = 1L)
  fit$theta[] <- c(1, 0.5, 0)
  expect_match(format_findings(fit), "correlation between `(Intercept)` and `Days`", fixed = TRUE,
               all = FALSE)
})

test_that("the call, also when values stand in it", {
  f <- y ~ x + (1 | g)
  expect_identical(
    format_call(quote(lmm(formula = f, data = d, weights = w, subset = x > 1)), f),
    c("Formula: y ~ x + (1 | g)", "   Data: d", "Weights: w", " Subset: x > 1")
  )
  by_value <- as.call(list(quote(lmm), formula = f, data = data.frame(x = 1:3)))
  expect_identical(format_call(by_value, f)[[2]], "   Data: <data.frame, 3 rows>")
})

test_that("an ML fit's table, the numbers of levels", {
  table <- c(
    AIC = 1763.9393, BIC = 1783.0971, logLik = -875.9697, deviance = 1751.9393, df.resid = 174
  )
  expect_identical(
    format_criterion(table, 1),
    c("   AIC    BIC logLik deviance df.resid", "1763.9 1783.1 -876.0   1751.9      174")
  )
  counts <- list(nobs = 180L, ngrps = c(g = 18L, h = 3L), subjects = NULL, omitted = 0L)
  expect_identical(format_counts(counts), "Number of obs: 180, groups:  g, 18; h, 3")
  counts$subjects <- list(name = "h", count = 3L, most = 60L)
  counts$omitted <- 1L
  local_reproducible_output(width = 120)
  expect_identical(
    format_counts(counts),
    paste0("Number of obs: 180, groups:  g, 18; h, 3 (up to 60 rows each); ",
           "1 row with missing values left out")
  )
})

test_that("the certificate is short where all is well", {
  brief <- function(...) format_certificate(certificate(...), brief = TRUE)
  expect_identical(brief("converged"), "Certificate: optimum proved")
  expect_identical(
    brief("converged", starts = 9L, agree = 9L, vanishing = 0L), "Certificate: optimum proved"
  )
  expect_identical(
    brief("converged", starts = 9L, agree = 5L, vanishing = 0L),
    "Certificate: optimum proved (5 of 9 starts agree)"
  )
  expect_identical(brief("singular"), format_certificate(certificate("singular")))
  expect_identical(brief("failed"), format_certificate(certificate("failed")))
  shown <- capture.output(print(our_twin("slope")$certificate))
  expect_match(shown, "scaled gradient", all = FALSE)
})
