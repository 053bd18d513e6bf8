for (name in c("slope", "crossed", "weighted", "double_bar", "poly")) {
  test_that(paste0("variances over the rows, densely: ", name), {
    fit <- our_twin(name)
    model <- dense_model(fit)
    random <- sigma(fit)^2 * mean(rowSums((model$z %*% model$lambda)^2))
    residual <- sigma(fit)^2 * mean(1 / model$w)
    fixed <- var(drop(model$x %*% fixef(fit)))
    expect_equal(
      r_squared(fit),
      c(marginal = fixed, conditional = fixed + random) / (fixed + random + residual)
    )
    table <- intraclass(fit)
    all <- table[table$group == "(all)", ]
    expect_equal(all$adjusted, random / (random + residual))
    expect_equal(all$unadjusted, random / (random + residual + fixed))
    expect_equal(sum(table$adjusted), 2 * all$adjusted)
  })
}

test_that("with random intercepts they are ratios of variance components", {
  fit <- our_twin("crossed")
  variances <- c(plate = VarCorr(fit)$plate[1], sample = VarCorr(fit)$sample[1])
  expect_equal(
    intraclass(fit)$adjusted[1:2], unname(variances) / (sum(variances) + sigma(fit)^2)
  )
  expect_identical(intraclass(fit)$group, c("plate", "sample", "(all)"))
})

test_that("the method for performance::r2() has its shape", {
  values <- r2.lmm(our_twin("slope"))
  expect_s3_class(values, "r2_nakagawa")
  expect_identical(values$R2_marginal[[1]], r_squared(our_twin("slope"))[["marginal"]])
})

test_that("other models are refused", {
  expect_error(r_squared(1), "lmm", class = "ferrolmm_error_argument")
})
