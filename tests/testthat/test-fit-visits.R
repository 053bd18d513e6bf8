orthodont <- function() {
  data(Orthodont, package = "nlme", envir = environment())
  d <- as.data.frame(Orthodont)
  d$Subject <- factor(as.character(d$Subject))
  d$`the visit` <- factor(d$age, labels = paste("Week", c(8, 10, 12, 14)))
  d$position <- as.integer(d$`the visit`)
  # the first subject lacks a visit
  d$distance[which(d$Subject == levels(d$Subject)[[1L]])[[2L]]] <- NA
  d
}

test_that("the covariance matrix of the visits is nlme's, whatever the first group lacks", {
  d <- orthodont()
  ours <- lmm(distance ~ `the visit` * Sex, d, residual = ~ us(`the visit` | Subject))
  theirs <- nlme::gls(
    distance ~ factor(age) * Sex, d, na.action = na.omit,
    correlation = nlme::corSymm(form = ~ position | Subject),
    weights = nlme::varIdent(form = ~ 1 | age)
  )
  value <- getVarCov(ours)
  expect_identical(rownames(value), paste("Week", c(8, 10, 12, 14)))
  expect_identical(colnames(value), rownames(value))
  expect_equal(
    unname(value), unclass(nlme::getVarCov(theirs, "M16")), tolerance = 1e-4, ignore_attr = TRUE
  )
  # the groups are there when they are asked for
  expect_identical(dim(getVarCov(ours, "F01")[[1L]]), c(3L, 3L))
  expect_identical(ngrps(ours), c(Subject = 27L))
})

test_that("each structure with visits has the covariance matrix of a whole group", {
  d <- orthodont()
  structures <- list(
    ~ ad(`the visit` | Subject), ~ adh(`the visit` | Subject), ~ toep(`the visit` | Subject),
    ~ toeph(`the visit` | Subject), ~ ar1(age | Subject), ~ ar1h(`the visit` | Subject),
    ~ csh(`the visit` | Subject)
  )
  for (residual in structures) {
    fit <- lmm(distance ~ age, d, residual = residual)
    whole <- getVarCov(fit, "M16")[[1L]]
    expect_equal(unname(getVarCov(fit)), unname(whole))
  }
  serial <- lmm(distance ~ age + Sex, d, correlation = corAR1(form = ~ 1 | Subject))
  expect_identical(rownames(getVarCov(serial)), as.character(1:4))
})

test_that("standard deviations may differ between strata, or depend on no visit", {
  d <- orthodont()
  by_sex <- lmm(
    distance ~ age, d, correlation = corAR1(form = ~ age | Subject),
    weights = varIdent(form = ~ 1 | Sex)
  )
  both <- getVarCov(by_sex)
  expect_named(both, c("Male", "Female"))
  expect_equal(unname(both$Male), unname(getVarCov(by_sex, "M16")[[1L]]))
  expect_equal(unname(both$Female), unname(getVarCov(by_sex, "F02")[[1L]]))
  d$size <- seq_len(nrow(d)) / 50
  varying <- lmm(
    distance ~ age, d, correlation = corAR1(form = ~ age | Subject),
    weights = varExp(form = ~ size)
  )
  expect_null(visit_covariances(varying))
  expect_named(getVarCov(varying), "F01")
  # without visits: distances, and one correlation of all rows
  expect_null(visit_covariances(lmm(distance ~ age, d, residual = ~ sp_exp(age | Subject))))
  expect_null(visit_covariances(lmm(distance ~ age, d, residual = ~ cs(age | Subject))))
  expect_null(visit_covariances(our_twin("slope")))
})

test_that("an MMRM prints standard deviations, subjects and the rows left out", {
  local_reproducible_output(width = 80)
  d <- orthodont()
  fit <- lmm(distance ~ `the visit` * Sex, d, residual = ~ us(`the visit` | Subject))
  expect_snapshot({
    print(fit, digits = 3)
    print(summary(fit), digits = 3)
    print(VarCorr(fit))
    print(lmm(distance ~ age + Sex, d, residual = ~ ar1h(`the visit` | Subject)), digits = 3)
  })
})
