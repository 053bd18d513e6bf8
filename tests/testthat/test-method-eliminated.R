test_that("effects of levels and their standard errors are those of lm()", {
  d <- eliminated_data()
  own <- fixed_levels(lmm(y ~ x + fixed(1 | g), d), se = TRUE)
  dense <- summary(lm(y ~ 0 + g + x, d))$coefficients[1:30, ]
  expect_named(own, "1 | g")
  expect_identical(own[[1L]]$level, levels(d$g))
  expect_equal(own[[1L]]$estimate, unname(dense[, 1L]), tolerance = 1e-8)
  expect_equal(own[[1L]]$std.error, unname(dense[, 2L]), tolerance = 1e-8)
})

test_that("one level of each set of several factors is the origin", {
  d <- eliminated_data()
  fit <- lmm(y ~ x + fixed(1 | g) + fixed(1 | f2), d)
  own <- fixed_levels(fit, se = TRUE)
  expect_named(own, c("1 | g", "1 | f2"))
  origin <- own[[2L]]$estimate == 0
  expect_identical(sum(origin), 2L)
  expect_identical(own[[2L]]$std.error == 0, origin)
  at <- own[[2L]]$level[origin]
  # the same origin in lm()
  d$f3 <- factor(d$f2, c(at, setdiff(levels(d$f2), at)))
  x <- model.matrix(~ 0 + g + f3, d)
  x <- cbind(x[, !colnames(x) %in% paste0("f3", at)], x = d$x)
  dense <- summary(lm(d$y ~ 0 + x))$coefficients
  expect_equal(own[[1L]]$estimate, unname(dense[1:30, 1L]), tolerance = 1e-7)
  expect_equal(own[[1L]]$std.error, unname(dense[1:30, 2L]), tolerance = 1e-7)
})

test_that("a model without them is refused", {
  expect_error(
    fixed_levels(lmm(distance ~ age + (1 | Subject), nlme::Orthodont)),
    class = "ferrolmm_error_argument"
  )
})
