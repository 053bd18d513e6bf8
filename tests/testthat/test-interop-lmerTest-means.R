expect_same_means <- function(formula, data, ..., args = list()) {
  fit <- do.call(lmm, c(list(formula, data), args))
  theirs <- suppressMessages(do.call(lmerTest::lmer, c(list(formula, data), args)))
  for (f in list(lmerTest::ls_means, lmerTest::difflsmeans)) {
    ours <- f(fit, ...)
    wanted <- f(theirs, ...)
    expect_identical(rownames(ours), rownames(wanted))
    expect_equal(ours, wanted, tolerance = 1e-4, ignore_attr = TRUE)
    for (part in c("heading", "confidence_level", "ddf", "response")) {
      expect_identical(attr(ours, part), attr(wanted, part))
    }
    expect_equal(
      lmerTest::show_tests(ours), lmerTest::show_tests(wanted), ignore_attr = "contrasts"
    )
    expect_equal(as.data.frame(ours)[1:2], as.data.frame(wanted)[1:2])
  }
}

test_that("means and differences are those of 'lmerTest'", {
  skip_if_not_installed("lmerTest")
  d <- twin_data()
  sleepstudy <- d$sleepstudy
  sleepstudy$third <- factor(sleepstudy$Days %% 3, ordered = TRUE)
  expect_same_means(angle ~ recipe * temperature + (1 | recipe:replicate), d$cake, "recipe")
  expect_same_means(Reaction ~ late * third + Days + (Days | Subject), sleepstudy, level = 0.9)
  expect_same_means(Reaction ~ late + third + Days + (1 | Subject), sleepstudy,
                    ddf = "Kenward-Roger")
  expect_same_means(
    Reaction ~ late * Days + (1 | Subject), sleepstudy,
    args = list(weights = sleepstudy$w, contrasts = list(late = "contr.sum"))
  )
})

test_that("means count matrix columns, offsets and logical values as they should", {
  skip_if_not_installed("lmerTest")
  d <- twin_data()$sleepstudy
  d$is_late <- d$late == "late"
  fit <- lmm(Reaction ~ is_late + poly(Days, 2) + offset(w) + (1 | Subject), d)
  means <- lmerTest::ls_means(fit)
  expect_identical(rownames(means), c("is_lateFALSE", "is_lateTRUE"))
  # the columns of poly() have means of zero
  expect_equal(means$Estimate, unname(c(fixef(fit)[[1L]], sum(fixef(fit)[1:2]))))
  expect_identical(nrow(lmerTest::ls_means(lmm(Reaction ~ Days + (1 | Subject), d))), 0L)
})

test_that("means of empty cells are NA, and the others do not depend on the dropped column", {
  skip_if_not_installed("lmerTest")
  d <- twin_data()$sleepstudy
  d$third <- factor(d$Days %% 3)
  d <- d[!(d$late == "late" & d$third == "2"), ]
  fit <- suppressMessages(lmm(Reaction ~ late * third + (1 | Subject), d))
  theirs <- suppressMessages(lmerTest::lmer(Reaction ~ late * third + (1 | Subject), d))
  ours <- lmerTest::ls_means(fit)
  wanted <- lmerTest::ls_means(theirs)
  expect_equal(ours, wanted, tolerance = 1e-4, ignore_attr = TRUE)
  expect_true(anyNA(ours$Estimate))
})

test_that("the model that step() finds has a picture of its means", {
  skip_if_not_installed("lmerTest")
  skip_if_not_installed("ggplot2")
  grDevices::pdf(NULL)
  on.exit(grDevices::dev.off())
  cake <- twin_data()$cake
  fit <- lmm(angle ~ recipe + temperature + (1 | recipe:replicate), cake)
  pictures <- plot(lmerTest::step(fit), mult = FALSE)
  expect_named(pictures, "temperature")
})

test_that("means of a model of residuals are those of its closed form", {
  skip_if_not_installed("lmerTest")
  d <- as.data.frame(nlme::Orthodont)
  d$visit <- factor(d$age)
  fit <- lmm(distance ~ Sex * visit, d, residual = ~ us(visit | Subject))
  means <- lmerTest::ls_means(fit, "Sex:visit")
  cells <- tapply(d$distance, list(paste0("Sex", d$Sex, ":visit", d$visit)), mean)
  expect_equal(means$Estimate, as.vector(cells[rownames(means)]), tolerance = 1e-8)
  expect_error(
    lmerTest::ls_means(fit, "age"), "Sex:visit", class = "ferrolmm_error_argument"
  )
})
