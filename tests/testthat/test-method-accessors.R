for_twins("accessors agree with lme4's", function(ours, theirs) {
  expect_equal(fixef(ours), lme4::fixef(theirs), tolerance = 1e-7)
  expect_equal(sigma(ours), sigma(theirs), tolerance = 1e-8)
  expect_equal(ngrps(ours), lme4::ngrps(theirs))
  # lme4 1.1 does not pad weights after na.exclude, lm() and lme4 2.0 do
  reference <- weights(theirs)
  if (length(reference) == nobs(theirs)) {
    reference <- naresid(ours$na.action, reference)
  }
  expect_equal(weights(ours), reference)
  expect_equal(formula(ours, fixed.only = TRUE), formula(theirs, fixed.only = TRUE),
               ignore_attr = TRUE)
  # lme4 writes (x || g) as two terms; ours is the formula as the user wrote it
  if (!"||" %in% all.names(formula(ours))) {
    expect_equal(formula(ours), formula(theirs), ignore_attr = TRUE)
    expect_equal(formula(ours, random.only = TRUE), formula(theirs, random.only = TRUE),
                 ignore_attr = TRUE)
  }
  x <- model.matrix(ours)
  expect_equal(
    x, lme4::getME(theirs, "X"),
    ignore_attr = c("msgScaleX", "msgRankdrop", "contrasts", "col.dropped")
  )
  expect_equal(unname(attr(x, "contrasts")), unname(attr(lme4::getME(theirs, "X"), "contrasts")))
  expect_equal(model.matrix(ours, "random"), model.matrix(theirs, "random"))
})

test_that("fixef() keeps dropped coefficients on demand", {
  fit <- our_twin("deficient")
  expect_named(fixef(fit), c("(Intercept)", "Days", "latelate"))
  expect_identical(fixef(fit, add.dropped = TRUE)[["I(2 * Days)"]], NA_real_)
  expect_identical(variable.names(fit), names(fixef(fit)))
})

test_that("terms() are those of the fixed part, and all of them on demand", {
  fit <- our_twin("slope")
  expect_identical(attr(terms(fit), "term.labels"), "Days")
  expect_false(is.null(attr(terms(fit), "predvars")))
  expect_true("Subject" %in% attr(terms(fit, fixed.only = FALSE), "term.labels"))
  expect_true("Subject" %in% attr(terms(fit, random.only = TRUE), "term.labels"))
  expect_error(terms(fit, TRUE, TRUE), class = "ferrolmm_error_argument")
  expect_error(formula(fit, TRUE, TRUE), class = "ferrolmm_error_argument")
})

test_that("model.frame() has the response first, and can be narrowed", {
  fit <- our_twin("weighted")
  expect_named(model.frame(fit), c("Reaction", "Days", "Subject", "(weights)"))
  expect_named(model.frame(fit, fixed.only = TRUE), c("Reaction", "Days", "(weights)"))
  expect_s3_class(attr(model.frame(our_twin("missing")), "na.action"), "exclude")
  expect_equal(model.offset(model.frame(our_twin("offset"))), our_twin("offset")$offset)
})

test_that("weights are 1 when none were given", {
  expect_identical(weights(our_twin("slope")), rep(1, 180))
})

test_that("names of cases and of terms, and the family", {
  expect_identical(labels(our_twin("deficient")), c("Days", "I(2 * Days)", "late"))
  fit <- our_twin("missing")
  expect_identical(case.names(fit), setdiff(as.character(1:180), c("3", "50", "120")))
  expect_identical(family(fit)$family, "gaussian")
})
