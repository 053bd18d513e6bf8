draw <- function(...) {
  grDevices::pdf(NULL)
  on.exit(grDevices::dev.off())
  image(...)
}

test_that("Lambda has a triangle for each level", {
  data(Orthodont, package = "nlme")
  fit <- lmm(distance ~ age + (age | Subject), Orthodont)
  pattern <- square_pattern(fit, "Lambda")
  lambda <- as.matrix(getME(fit, "Lambda"))
  expect_identical(pattern$dim, c(54L, 54L))
  filled <- matrix(FALSE, 54, 54)
  filled[cbind(pattern$row, pattern$column)] <- TRUE
  expect_true(all(filled[lambda != 0]))
  expect_identical(draw(fit, "Lambda")$entries, c(all = 81L, fill = 0L))
})

test_that("the entries of L are those of the factor, fill-in those that the equations have not", {
  skip_if_not_installed("lme4")
  fit <- lmm(diameter ~ 1 + (1 | plate) + (1 | sample), lme4::Penicillin)
  pattern <- draw(fit, "L")
  z <- as.matrix(getME(fit, "Z"))
  equations <- crossprod(z) + diag(30)
  factor <- t(chol(equations))
  expect_identical(pattern$entries[["all"]], sum(factor != 0))
  expect_identical(
    pattern$entries[["fill"]], sum(factor != 0) - sum(equations[lower.tri(equations, TRUE)] != 0)
  )
  expect_identical(pattern$blocks$group, c("plate", "sample"))
})

test_that("arguments for Z only are refused, and par() is as before", {
  fit <- lmm(mobility ~ Age + (1 | doctor), doctors)
  expect_error(draw(fit, "L", levels = 1:3), class = "ferrolmm_error_argument")
  grDevices::pdf(NULL)
  on.exit(grDevices::dev.off())
  before <- graphics::par("mar", "las", "pty")
  image(fit, "L")
  expect_identical(graphics::par("mar", "las", "pty"), before)
})
