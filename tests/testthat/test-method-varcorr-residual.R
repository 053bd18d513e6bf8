# Each visit of each subject is there, and every visit has its own means: the estimate by REML is
# the covariance matrix within the sexes, on 25 degrees of freedom, and that of a Wishart matrix.
complete_visits <- function() {
  data <- as.data.frame(nlme::Orthodont)
  data$visit <- factor(paste("age", data$age), levels = paste("age", c(8, 10, 12, 14)))
  data$Subject <- factor(as.character(data$Subject))
  data
}

within_sexes <- function(data) {
  wide <- matrix(data$distance[order(data$Subject, data$visit)], ncol = 4L, byrow = TRUE)
  sex <- data$Sex[match(levels(data$Subject), data$Subject)]
  dimnames(wide) <- list(NULL, levels(data$visit))
  stats::estVar(stats::lm(wide ~ sex))
}

test_that("the table of VarCorr() has the variance of every visit, and covariances", {
  data <- complete_visits()
  fit <- lmm(distance ~ visit * Sex, data, residual = ~ us(visit | Subject))
  v <- within_sexes(data)
  table <- as.data.frame(VarCorr(fit, se = TRUE))
  expect_identical(table$grp, rep("Residual", 10L))
  expect_identical(table$var1[1:4], levels(data$visit))
  expect_identical(table$var2[1:5], c(NA, NA, NA, NA, "age 10"))
  cells <- rbind(cbind(1:4, 1:4), which(lower.tri(v), arr.ind = TRUE))
  expect_equal(table$vcov, v[cells], tolerance = 1e-6)
  expect_equal(table$sdcor[1:4], unname(sqrt(diag(v))), tolerance = 1e-6)
  expect_equal(table$sdcor[5:10], cov2cor(v)[lower.tri(v)], tolerance = 1e-6)
  # the variance of an entry of a Wishart matrix
  errors <- sqrt((outer(diag(v), diag(v)) + v^2) / 25)
  expect_equal(table$se.vcov, errors[cells], tolerance = 1e-5)
  expect_equal(table$se.sdcor[5:10], (1 - table$sdcor[5:10]^2) / 5, tolerance = 1e-5)
  expect_true(all(table$conf.low < table$sdcor & table$sdcor < table$conf.high))
  expect_identical(table[1:5], as.data.frame(VarCorr(fit)))
  by_column <- as.data.frame(VarCorr(fit, se = TRUE), order = "lower.tri")
  expect_identical(by_column$var1, c(rep("age 8", 4), rep("age 10", 3), rep("age 12", 2), "age 14"))
  expect_equal(by_column$se.vcov, errors[lower.tri(errors, diag = TRUE)], tolerance = 1e-5)
  # relative to sigma^2, that of the first visit
  expect_equal(as.data.frame(VarCorr(fit, sigma = 1))$vcov[1:2], c(1, v[2, 2] / v[1, 1]),
               tolerance = 1e-6)
})

test_that("strata without visits have a variance each", {
  data <- complete_visits()
  fit <- lmm(distance ~ age * Sex + (1 | Subject), data, weights = nlme::varIdent(form = ~ 1 | Sex))
  peer <- nlme::lme(distance ~ age * Sex, data, ~ 1 | Subject,
                    weights = nlme::varIdent(form = ~ 1 | Sex))
  table <- as.data.frame(VarCorr(fit, se = TRUE))
  ratio <- coef(peer$modelStruct$varStruct, unconstrained = FALSE, allCoef = TRUE)
  expect_identical(table$var1, c("(Intercept)", "Male", "Female"))
  expect_equal(table$sdcor[2:3], unname(sigma(peer) * ratio[c("Male", "Female")]), tolerance = 1e-4)
  expect_true(all(table$se.vcov > 0))
  # by the delta method, from the table's own errors of variances
  expect_equal(table$se.sdcor[2:3], table$se.vcov[2:3] / (2 * table$sdcor[2:3]), tolerance = 1e-6)
  expect_named(
    table, c("grp", "var1", "var2", "vcov", "sdcor", "se.vcov", "se.sdcor", "conf.low", "conf.high")
  )
})

test_that("visits in strata have a group for each stratum", {
  data <- complete_visits()
  data$number <- as.integer(data$visit)
  fit <- lmm(distance ~ visit * Sex, data, correlation = nlme::corSymm(form = ~ number | Subject),
             weights = nlme::varIdent(form = ~ 1 | Sex))
  table <- as.data.frame(VarCorr(fit))
  expect_setequal(table$grp, c("Residual, Male", "Residual, Female"))
  matrices <- getVarCov(fit)
  expect_equal(table$vcov[1:4], unname(diag(matrices[[1]])))
  expect_equal(table$vcov[11:14], unname(diag(matrices[[2]])))
})

test_that("one variance of all rows stays one row", {
  data <- complete_visits()
  fit <- lmm(distance ~ age * Sex + (1 | Subject), data,
             correlation = nlme::corAR1(form = ~ 1 | Subject))
  expect_identical(as.data.frame(VarCorr(fit))$var1, c("(Intercept)", NA))
  power <- lmm(distance ~ age * Sex + (1 | Subject), data, weights = nlme::varPower(form = ~ age))
  expect_identical(as.data.frame(VarCorr(power))$var1, c("(Intercept)", NA))
})
