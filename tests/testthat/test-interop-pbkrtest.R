## Fits of one formula by lmm() and by lmer() at the same theta
pair_of <- function(formula, data, ...) {
  fit <- lmm(formula, data, ...)
  control <- lme4::lmerControl(optimizer = NULL, calc.derivs = FALSE)
  theirs <- suppressMessages(do.call(
    lme4::lmer, list(formula, data, start = unname(fit$theta), control = control, ...)
  ))
  list(ours = fit, theirs = theirs)
}

test_that("KRmodcomp() is that of lmer(), for models, formulas, matrices and other hypotheses", {
  skip_if_not_installed("pbkrtest")
  d <- twin_data()
  m <- pair_of(angle ~ recipe * temperature + (1 | recipe:replicate), d$cake)
  small <- pair_of(angle ~ recipe + temperature + (1 | recipe:replicate), d$cake)
  unbalanced <- d$sleepstudy[-c(3, 17, 40:44, 100), ]
  s <- pair_of(Reaction ~ Days + late + w + (Days | Subject), unbalanced)
  L <- rbind(c(0, 1, 0, 0), c(0, 0, 1, 1))
  for (case in list(
    list(m, small), list(m, . ~ . - recipe:temperature), list(s, L), list(s, c(0, 1, 0, 0)),
    list(s, L, betaH = c(0, 8, 1, 2))
  )) {
    of_side <- function(side) {
      other <- if (is.list(case[[2L]])) case[[2L]][[side]] else case[[2L]]
      suppressMessages(do.call(
        pbkrtest::KRmodcomp, c(list(case[[1L]][[side]], other), case[-(1:2)])
      ))
    }
    ours <- of_side("ours")
    wanted <- of_side("theirs")
    expect_s3_class(ours, "KRmodcomp")
    expect_equal(ours$test, wanted$test, tolerance = 1e-5)
    for (part in c("ndf", "ddf", "Fstat", "p.value", "F.scaling", "FstatU", "p.valueU")) {
      expect_equal(
        pbkrtest::getKR(ours, part), pbkrtest::getKR(wanted, part), tolerance = 1e-5,
        ignore_attr = TRUE
      )
    }
    # a constant that cancels in tests of one row is 0 in 'pbkrtest' within 1e-10
    expect_equal(ours$aux, wanted$aux, tolerance = 1e-5)
  }
  printed <- capture.output(print(pbkrtest::KRmodcomp(m$ours, . ~ . - recipe:temperature)))
  expect_match(printed, "large : ", all = FALSE)
  expect_match(capture.output(print(summary(pbkrtest::KRmodcomp(s$ours, L)))), "Ftest", all = FALSE)
})

test_that("SATmodcomp() is that of lmer()", {
  skip_if_not_installed("pbkrtest")
  d <- twin_data()
  unbalanced <- d$sleepstudy[-c(3, 17, 40:44, 100), ]
  s <- pair_of(Reaction ~ Days + late + w + (Days | Subject), unbalanced)
  for (change in list(. ~ . - w, . ~ . - late - w)) {
    ours <- pbkrtest::SATmodcomp(s$ours, change)
    wanted <- suppressMessages(pbkrtest::SATmodcomp(s$theirs, change))
    expect_equal(ours$test$statistic, wanted$test$statistic, tolerance = 1e-5)
    # theirs depend on how joint hypotheses are scaled: contest() says why ours do not
    if (nrow(ours$L) == 1L) expect_equal(ours$test, wanted$test, tolerance = 1e-5)
    expect_equal(ours$test$ddf, contest(s$ours, ours$L)$DenDF, tolerance = 1e-8)
    expect_identical(pbkrtest::getSAT(ours, "ndf"), ours$test$ndf)
  }
  ours <- pbkrtest::SATmodcomp(s$ours, . ~ . - w - late)
  expect_equal(
    ours$test$ddf, contest(s$ours, rbind(c(0, 0, 1, 0), c(0, 0, 0, 1)))$DenDF, tolerance = 1e-8
  )
  expect_match(capture.output(print(ours)), "large : ", all = FALSE)
})

test_that("the adjusted matrix and what follows from it are those of lmer()", {
  skip_if_not_installed("pbkrtest")
  d <- twin_data()
  unbalanced <- d$sleepstudy[-c(3, 17, 40:44, 100), ]
  s <- pair_of(Reaction ~ Days + late + (Days | Subject), unbalanced)
  adjusted <- pbkrtest::vcovAdj(s$ours)
  wanted <- pbkrtest::vcovAdj(s$theirs)
  expect_equal(as.matrix(adjusted), as.matrix(wanted), tolerance = 1e-6, ignore_attr = TRUE)
  for (L in list(c(0, 1, 0), rbind(c(0, 1, 0), c(0, 0, 1)))) {
    ddf <- pbkrtest::get_Lb_ddf(s$theirs, L)
    expect_equal(pbkrtest::get_Lb_ddf(s$ours, L), ddf, tolerance = 1e-6)
    expect_equal(pbkrtest::Lb_ddf(L, vcov(s$ours), adjusted), ddf, tolerance = 1e-6)
  }
  L <- pbkrtest::model2restriction_matrix(s$ours, update(s$ours, . ~ . - late))
  expect_equal(
    L, pbkrtest::model2restriction_matrix(s$theirs, update(s$theirs, . ~ . - late)),
    tolerance = 1e-6
  )
  expect_s4_class(
    pbkrtest::model2restriction_matrix(s$ours, . ~ . - late, sparse = TRUE), "sparseMatrix"
  )
})

test_that("tests of residual structures are those of contest(), and ML fits are fitted again", {
  skip_if_not_installed("pbkrtest")
  d <- as.data.frame(nlme::Orthodont)
  d$visit <- factor(d$age)
  fit <- lmm(distance ~ Sex * visit, d, residual = ~ us(visit | Subject))
  L <- diag(8)[6:8, ]
  for (method in c("Kenward-Roger", "Satterthwaite")) {
    test <- if (method == "Satterthwaite") pbkrtest::SATmodcomp else pbkrtest::KRmodcomp
    found <- test(fit, . ~ . - Sex:visit)
    wanted <- contest(fit, L, ddf = method)
    expect_equal(found$test[1L, "ddf"], wanted$DenDF, tolerance = 1e-8)
    expect_equal(found$test[1L, 1L], wanted[["F value"]], tolerance = 1e-8)
  }
  ml <- lmm(distance ~ age + Sex + (1 | Subject), d, REML = FALSE)
  expect_message(found <- pbkrtest::SATmodcomp(ml, . ~ . - Sex), class = "ferrolmm_message_refit")
  expect_equal(found$test$ddf, drop1(update(ml, REML = TRUE), "Sex")$DenDF, tolerance = 1e-6)
})

test_that("models that do not compare are refused", {
  skip_if_not_installed("pbkrtest")
  d <- twin_data()$sleepstudy
  fit <- our_twin("slope")
  expect_error(pbkrtest::KRmodcomp(fit, fit), "the same", class = "ferrolmm_error_argument")
  expect_error(
    pbkrtest::KRmodcomp(fit, lmm(Reaction ~ w + (1 | Subject), d)), "same|nested",
    class = "ferrolmm_error_argument"
  )
  expect_error(
    pbkrtest::KRmodcomp(fit, lmm(Reaction ~ 1 + (1 | Subject), d[-1, ])), "different rows",
    class = "ferrolmm_error_data"
  )
  expect_error(
    pbkrtest::KRmodcomp(fit, . ~ . - Days, betaH = 1:3), "betaH", class = "ferrolmm_error_argument"
  )
})

test_that("getLRT() is the likelihood ratio of both models by ML", {
  skip_if_not_installed("pbkrtest")
  d <- as.data.frame(nlme::Orthodont)
  fit <- lmm(distance ~ age * Sex + (1 | Subject), d)
  small <- lmm(distance ~ age + Sex + (1 | Subject), d)
  found <- pbkrtest::getLRT(fit, small)
  wanted <- anova(fit, small, refit = TRUE)
  expect_named(found, c("tobs", "df", "p.value"))
  expect_equal(unname(found), c(wanted$Chisq[2], wanted$Df[2], wanted[["Pr(>Chisq)"]][2]))
  expect_equal(pbkrtest::getLRT(fit, . ~ . - age:Sex), found)
  expect_error(pbkrtest::getLRT(fit, matrix(c(0, 0, 0, 1), 1)), class = "ferrolmm_error_argument")
})
