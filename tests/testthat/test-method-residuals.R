for_twins("residuals() and fitted() are lme4's", function(ours, theirs) {
  for (type in c("response", "pearson", "working", "deviance")) {
    expect_equal(residuals(ours, type = type), residuals(theirs, type = type), tolerance = 1e-7)
    expect_equal(
      residuals(ours, type = type, scaled = TRUE),
      residuals(theirs, type = type, scaled = TRUE),
      tolerance = 1e-7
    )
  }
  expect_equal(residuals(ours, "scaled"), residuals(ours, "pearson") / sigma(ours))
  expect_equal(fitted(ours), fitted(theirs), tolerance = 1e-7)
})

test_that("na.exclude puts the rows back", {
  fit <- our_twin("missing")
  expect_length(residuals(fit), 180)
  expect_identical(unname(which(is.na(fitted(fit)))), c(3L, 50L, 120L))
  expect_identical(nobs(fit), 177L)
})

test_that("an unknown type is an error", {
  expect_error(residuals(our_twin("slope"), type = "partial"), "type|arg")
})

for (name in names(twin_calls)) {
  test_that(paste0("standardised residuals by their covariance matrices, densely: ", name), {
    fit <- our_twin(name)
    model <- dense_model(fit)
    v <- model$v
    inverse <- solve(v)
    c <- if (model$p > 0) {
      model$x %*% solve(crossprod(model$x, inverse %*% model$x), t(model$x))
    } else {
      0 * v
    }
    p <- inverse - inverse %*% c %*% inverse
    used <- function(type) unname(na.omit(as.vector(residuals(fit, type))))
    marginal <- model$e - if (model$p > 0) drop(model$x %*% fixef(fit)) else 0
    expect_equal(used("marginal"), marginal, ignore_attr = TRUE)
    expect_equal(
      used("std_marginal"), marginal / (sigma(fit) * sqrt(diag(v - c))), ignore_attr = TRUE
    )
    r <- diag(1 / model$w)
    conditional <- drop(r %*% p %*% model$e)
    expect_equal(
      used("std_conditional"), conditional / (sigma(fit) * sqrt(diag(r %*% p %*% r))),
      ignore_attr = TRUE
    )
    expect_identical(rstandard(fit), residuals(fit, "std_conditional"))
  })
}

test_that("unknown types of residuals are refused, abbreviations are known", {
  fit <- our_twin("slope")
  expect_error(residuals(fit, "zz"), "pearson", class = "ferrolmm_error_argument")
  expect_identical(residuals(fit, "pears"), residuals(fit, "pearson"))
  expect_identical(residuals(fit), residuals(fit, "response"))
})
