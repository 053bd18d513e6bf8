for_twins("vcov() is lme4's, as a base matrix", function(ours, theirs) {
  reference <- as.matrix(vcov(theirs))
  names <- names(lme4::fixef(theirs))
  expect_equal(
    vcov(ours), matrix(reference, length(names), dimnames = list(names, names)),
    tolerance = 1e-7
  )
})

test_that("aliased coefficients are padded on demand", {
  fit <- our_twin("deficient")
  expect_identical(dim(vcov(fit)), c(3L, 3L))
  padded <- vcov(fit, complete = TRUE)
  expect_identical(rownames(padded), names(fit$coefficients))
  expect_true(all(is.na(padded["I(2 * Days)", ])))
  expect_equal(padded[rownames(vcov(fit)), rownames(vcov(fit))], vcov(fit))
})

test_that("correlation = adds the correlations", {
  v <- vcov(our_twin("slope"), correlation = TRUE)
  expect_equal(attr(v, "correlation"), cov2cor(vcov(our_twin("slope"))))
})

test_that("the summary has it too", {
  fit <- our_twin("slope")
  expect_identical(vcov(summary(fit)), vcov(fit))
})

test_that("adjusted = gives Kenward and Roger's matrix", {
  fit <- our_twin("deficient")
  adjusted <- vcov(fit, adjusted = TRUE)
  expect_identical(dimnames(adjusted), dimnames(vcov(fit)))
  expect_equal(
    sqrt(diag(adjusted)),
    coef(summary(fit, ddf = "Kenward-Roger"))[rownames(adjusted), "Std. Error"]
  )
  expect_identical(dim(vcov(fit, adjusted = TRUE, complete = TRUE)), c(4L, 4L))
})

for (name in c("slope", "crossed", "shared_factor", "weighted", "deficient", "no_fixed")) {
  test_that(paste0("the joint covariance matrix is the inverse of Henderson's: ", name), {
    fit <- our_twin(name)
    model <- dense_model(fit)
    p <- model$p
    to_b <- diag(nrow(model$inverse))
    to_b[p + seq_len(ncol(model$lambda)), p + seq_len(ncol(model$lambda))] <- model$lambda
    expected <- sigma(fit)^2 * to_b %*% model$inverse %*% t(to_b)
    joint <- vcov(fit, full = TRUE)
    expect_equal(unname(joint), expected)
    expect_identical(joint, t(joint))
    expect_identical(
      rownames(joint)[seq_len(p)], as.character(rownames(vcov(fit)))
    )
  })
}

test_that("a joint covariance matrix that is too large is refused", {
  fit <- our_twin("slope")
  fit$b <- numeric(20000)
  expect_error(joint_covariance(fit), "too large", class = "ferrolmm_error_argument")
})

test_that("switches are TRUE or FALSE", {
  fit <- our_twin("slope")
  for (argument in c("complete", "correlation", "full", "adjusted")) {
    arguments <- c(list(fit), stats::setNames(list(1), argument))
    expect_error(do.call(vcov, arguments), argument, class = "ferrolmm_error_argument")
  }
})

test_that("an adjusted covariance matrix is that of its method", {
  fit <- lmm(distance ~ age + (age | Subject), nlme::Orthodont)
  for (method in c("Kenward-Roger", "Kenward-Roger2", "Kenward-Roger-linear")) {
    tested <- contest(fit, diag(2), joint = FALSE, ddf = method)
    expect_equal(unname(sqrt(diag(vcov(fit, adjusted = method)))), tested[["Std. Error"]])
  }
  expect_identical(vcov(fit, adjusted = TRUE), vcov(fit, adjusted = "kr"))
  expect_identical(vcov(fit, adjusted = FALSE), vcov(fit))
  expect_error(
    vcov(fit, adjusted = "Satterthwaite"), "of their own", class = "ferrolmm_error_argument"
  )
  expect_error(vcov(fit, adjusted = NA), "adjusted", class = "ferrolmm_error_argument")
  expect_error(vcov(fit, adjusted = "kr", type = "CR2"), class = "ferrolmm_error_argument")
})
