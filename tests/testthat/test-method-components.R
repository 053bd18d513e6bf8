test_that("cells are counted column by column, in either order of their indices", {
  k <- 4L
  at <- which(lower.tri(diag(k), diag = TRUE), arr.ind = TRUE)
  expect_identical(cell_number(at[, 1], at[, 2], k), 1:10)
  expect_identical(cell_number(at[, 2], at[, 1], k), 1:10)
})

test_that("gradients are those of the closed form", {
  components <- list(values = c(2, 0, 5), covariance = diag(c(1, 0.5, 2)))
  gradient <- component_gradient(components, quote(.b1^3 / .b3 + exp(.b2)))
  expect_equal(gradient, c(3 * 4 / 5, 1, -8 / 25), tolerance = 1e-9)
  # what does not vary has no slope
  components$covariance[1, 1] <- 0
  expect_identical(component_gradient(components, quote(.b1))[[1]], 0)
})

test_that("named parameters and numbered components have the values that are printed", {
  fits <- list(
    our_twin("slope"), our_twin("shared_factor"),
    lmm(distance ~ age + hetar1(0 + factor(age) | Subject), nlme::Orthodont),
    lmm(distance ~ age, nlme::Orthodont, residual = ~ toeph(ordered(age) | Subject))
  )
  for (fit in fits) {
    values <- component_values(fit)
    natural <- vapply(
      parameter_expressions(fit), evaluate_components, 0, values = values
    )[seq_len(count_variance(fit))]
    expect_equal(unname(natural), natural_parameters(fit), tolerance = 1e-10)
    table <- as.data.frame(VarCorr(fit))
    numbered <- vapply(numbered_components(fit, table), evaluate_components, 0, values = values)
    expect_equal(unname(numbered), table$vcov, tolerance = 1e-10)
  }
})
