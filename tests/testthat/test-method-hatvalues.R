for_twins("hatvalues() are lme4's", function(ours, theirs) {
  if (ours$rank == 0L) {
    skip("lme4 has no hatvalues() without fixed effects")
  }
  expect_equal(hatvalues(ours), stats::hatvalues(theirs), tolerance = 1e-6)
})

for (name in names(twin_calls)) {
  test_that(paste0("hatvalues() are the diagonal of the hat matrix: ", name), {
    fit <- our_twin(name)
    model <- dense_model(fit)
    hat <- rowSums((model$t %*% model$inverse) * model$t) * model$w
    expect_equal(unname(na.omit(as.vector(hatvalues(fit)))), hat, ignore_attr = TRUE)
  })
}

test_that("hatvalues() of all ratings take little time and space", {
  skip_on_cran()
  skip_if_not_installed("lme4")
  ratings <- new.env()
  data("InstEval", package = "lme4", envir = ratings)
  fit <- lmm(y ~ service + (1 | s) + (1 | d), ratings$InstEval)
  hat <- hatvalues(fit)
  expect_length(hat, 73421)
  expect_true(all(hat > 0 & hat < 1))
})
