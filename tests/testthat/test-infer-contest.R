test_that("single and joint tests are lmerTest's", {
  skip_if_not_installed("lmerTest")
  ours <- our_twin("shared_factor")
  theirs <- suppressMessages(lmerTest::as_lmerModLmerTest(lme4_twin("shared_factor")))
  set.seed(2)
  # of other rows lmerTest's degrees of freedom depend on how they are written
  L <- t(qr.Q(qr(matrix(rnorm(3 * 18), 18))))
  for (rhs in list(0, c(1, 2, -1))) {
    expect_equal(
      contest(ours, L, rhs), as.data.frame(lmerTest::contest(theirs, L, rhs = rhs)),
      tolerance = 1e-5, ignore_attr = TRUE
    )
  }
  rows <- contest(ours, L, joint = FALSE)
  reference <- lmerTest::contest(theirs, L, joint = FALSE)
  expect_named(rows, names(reference))
  expect_equal(rows, as.data.frame(reference), tolerance = 1e-5, ignore_attr = TRUE)
  expect_equal(
    contest(ours, L, rhs = 2, joint = FALSE)[["t value"]],
    as.data.frame(lmerTest::contest(theirs, L, rhs = 2, joint = FALSE))[["t value"]],
    tolerance = 1e-6
  )
})

test_that("lmerTest's generics serve our models, and ours its", {
  skip_if_not_installed("lmerTest")
  fit <- our_twin("slope")
  expect_equal(lmerTest::contest(fit, diag(2)), contest(fit, diag(2)))
  expect_equal(lmerTest::contestMD(fit, diag(2)), contest(fit, diag(2)))
  expect_equal(
    lmerTest::contest1D(fit, c(0, 1)), contest(fit, c(0, 1), joint = FALSE, confint = FALSE)
  )
  theirs <- suppressMessages(lmerTest::as_lmerModLmerTest(lme4_twin("slope")))
  expect_equal(contest(theirs, c(0, 1)), lmerTest::contest(theirs, c(0, 1)))
})

test_that("rows that follow from others do not count", {
  fit <- our_twin("shared_factor")
  L <- diag(18)[2:4, ]
  whole <- contest(fit, L, ddf = "Kenward-Roger")
  repeated <- contest(fit, rbind(L, L[1, ] + L[2, ], 0), ddf = "Kenward-Roger")
  expect_identical(repeated$NumDF, 3L)
  expect_equal(repeated, whole, tolerance = 1e-8)
  satterthwaite <- contest(fit, rbind(L, L[1, ] + L[2, ], 0))
  expect_equal(satterthwaite[["F value"]], contest(fit, L)[["F value"]], tolerance = 1e-8)
  expect_equal(
    contest(fit, rbind(L, 2 * L[1, ]), c(1, 2, 3, 2), ddf = "Kenward-Roger"),
    contest(fit, L, 1:3, ddf = "Kenward-Roger"), tolerance = 1e-8
  )
  expect_error(
    contest(fit, rbind(L, 2 * L[1, ]), c(1, 2, 3, 4)), "contradict",
    class = "ferrolmm_error_argument"
  )
  nothing <- contest(fit, numeric(18))
  expect_identical(nothing$NumDF, 0L)
  expect_true(is.na(nothing[["F value"]]))
})

test_that("rows of very different sizes are all tested", {
  fit <- our_twin("slope")
  small <- contest(fit, diag(c(1e-9, 1)))
  expect_identical(small$NumDF, 2L)
  expect_equal(small[["F value"]], contest(fit, diag(2))[["F value"]], tolerance = 1e-6)
})

test_that("L can be named, or a list", {
  fit <- our_twin("slope")
  expected <- contest(fit, c(0, 1))
  expect_equal(contest(fit, c(Days = 1)), expected)
  expect_equal(contest(fit, cbind(Days = 1, `(Intercept)` = 0)), expected)
  expect_equal(contest(fit, data.frame(Days = 1)), expected)
  expect_identical(nrow(contest(fit, list(c(0, 1), diag(2)))), 2L)
})

test_that("equations are read", {
  fit <- our_twin("slope")
  expect_equal(contest(fit, "Days = 10"), contest(fit, c(0, 1), 10))
  expect_equal(contest(fit, "10 = Days"), contest(fit, c(0, 1), 10))
  expect_equal(contest(fit, "Days"), contest(fit, c(0, 1)))
  expect_equal(
    contest(fit, c("`(Intercept)` - 2 * (Days + 3) = 4", "(Intercept)/2 = -Days")),
    contest(fit, rbind(c(1, -2), c(0.5, 1)), c(10, 0))
  )
  named <- contest(fit, c(slope = "Days", "(Intercept) = 250"), joint = FALSE)
  expect_identical(rownames(named), c("slope", "(Intercept) = 250"))
  expect_equal(named$Estimate, unname(rev(fixef(fit))))
  other <- our_twin("shared_factor")
  term <- names(fixef(other))[8:9]
  expect_equal(
    contest(other, paste(term[1], "=", term[2])), contest(other, diag(18)[8, ] - diag(18)[9, ])
  )
  quadratic <- our_twin("poly")
  expect_equal(contest(quadratic, "poly(Days, 2)2 = 3"), contest(quadratic, c(0, 0, 1), 3))
})

test_that("equations that are none are told", {
  fit <- our_twin("slope")
  wrong <- function(text, message) {
    expect_error(contest(fit, text), message, class = "ferrolmm_error_argument")
  }
  wrong("Dais = 1", "Did you mean `Days`")
  wrong("Days = 1 = 2", "more than one")
  wrong("Days^2 = 1", "not linear")
  wrong("Days * (", "cannot be read")
  wrong("log(Days)", "no linear equation")
  wrong("Days * (Intercept)", "not linear")
})

test_that("dropped coefficients have no part in L, unless it can be estimated", {
  fit <- our_twin("deficient")
  expected <- contest(fit, c(0, 1, 1))
  expect_equal(contest(fit, c(0, 1, 0, 1)), expected)
  expect_equal(contest(fit, c(Days = 1, latelate = 1)), expected)
  expect_equal(contest(fit, c(Days = 1, `I(2 * Days)` = 2)), contest(fit, c(0, 1, 0)))
  expect_error(
    contest(fit, c(`I(2 * Days)` = 1)), "cannot be estimated", class = "ferrolmm_error_argument"
  )
})

test_that("wrong L, rhs and level are told", {
  fit <- our_twin("slope")
  wrong <- function(code, message) {
    expect_error(code, message, class = "ferrolmm_error_argument")
  }
  wrong(contest(fit, 1:3), "3 columns, the model has 2 coefficients")
  wrong(contest(fit, c(Tage = 1)), "no coefficient `Tage`")
  wrong(contest(fit, c(1, NA)), "missing values")
  wrong(contest(fit, TRUE), "numeric matrix")
  wrong(contest(fit, diag(2), rhs = 1:3), "`rhs`")
  wrong(contest(fit, diag(2), level = 95, joint = FALSE), "`level`")
  expect_error(contest("fit", 1), "method")
})

test_that("intervals have the level asked for", {
  fit <- our_twin("slope")
  row <- contest(fit, "Days", joint = FALSE, level = 0.9)
  expect_equal(row$upper - row$Estimate, qt(0.95, row$df) * row[["Std. Error"]])
})

test_that("the degrees of freedom of a joint test do not depend on how the hypothesis is written", {
  set.seed(4)
  d <- data.frame(g = gl(14, 6), f = factor(sample(letters[1:4], 84, TRUE)), x = rnorm(84))
  d$y <- rnorm(14)[d$g] + 0.5 * rnorm(14)[d$g] * d$x + rnorm(84)
  fit <- suppressMessages(lmm(y ~ f + x + (x | g), d))
  L <- cbind(0, diag(4))
  tests <- function(L) unlist(contest(fit, L)[c("NumDF", "DenDF", "F value")])
  right <- tests(L)
  for (i in 1:10) {
    change <- matrix(rnorm(16), 4)
    expect_equal(tests(change %*% L), right, tolerance = 1e-8)
    expect_equal(tests(diag(10^runif(4, -4, 4)) %*% L), right, tolerance = 1e-8)
    # rows that follow from others
    expect_equal(tests(rbind(L, rnorm(4) %*% L, L[2, ])), right, tolerance = 1e-8)
  }
})

test_that("joint tests keep their digits where predictors are far from zero", {
  skip_if_not_installed("car")
  set.seed(1)
  d <- data.frame(g = gl(8, 5), z = 0.5 * rnorm(40))
  d$y <- 3 + 0.2 * d$z + rnorm(8)[d$g] + rnorm(40)
  centred <- lmm(y ~ z + (1 | g), d)
  right <- contest(centred, diag(2), ddf = "asymptotic")
  for (shift in c(1e2, 15000, 1e5)) {
    d$x <- d$z + shift
    fit <- lmm(y ~ x + (1 | g), d)
    # what rounding of X leaves of X'V^-1X
    tolerance <- max(1e-8, 20 * .Machine$double.eps * (shift / sd(d$x))^2)
    # both coefficients, however they are combined: the mean and the slope of the centred model
    for (L in list(rbind(1:2, 1), rbind(c(1, shift), 0:1), diag(2))) {
      found <- contest(fit, L, ddf = "asymptotic")
      expect_identical(found$NumDF, 2L)
      expect_equal(found[["F value"]], right[["F value"]], tolerance = tolerance)
      table <- car::linearHypothesis(fit, L, test = "Chisq")
      expect_equal(table$Chisq[[1L]], 2 * right[["F value"]], tolerance = tolerance)
    }
  }
})
