# Fixed effects of levels against the same model with ordinary factors, and against lm()

expect_like_dense <- function(formula, dense, data, rows = NULL, ...) {
  own <- suppressMessages(lmm(formula, data, ...))
  dense <- suppressMessages(lmm(dense, data, ...))
  expect_equal(as.numeric(logLik(own)), as.numeric(logLik(dense)), tolerance = 1e-9)
  expect_identical(attr(logLik(own), "df"), attr(logLik(dense), "df"))
  expect_identical(df.residual(own), df.residual(dense))
  expect_equal(own$theta, dense$theta, tolerance = 1e-5)
  expect_equal(sigma(own), sigma(dense), tolerance = 1e-7)
  expect_equal(fitted(own), fitted(dense), tolerance = 1e-6)
  expect_equal(residuals(own, "pearson"), residuals(dense, "pearson"), tolerance = 1e-5)
  for (ddf in c("Satterthwaite", "Kenward-Roger", "residual")) {
    tests <- common_tests(own, dense, ddf)
    expect_equal(tests$own, tests$dense, tolerance = 1e-5)
  }
  expect_equal(ranef(own), ranef(dense), tolerance = 1e-4)
  if (!is.null(rows)) {
    for (re.form in list(NULL, NA)) {
      expect_equal(predict(own, rows, re.form = re.form, se.fit = TRUE),
                   predict(dense, rows, re.form = re.form, se.fit = TRUE), tolerance = 1e-5)
    }
    expect_equal(predict(own, rows, interval = "prediction"),
                 predict(dense, rows, interval = "prediction"), tolerance = 1e-5)
  }
  invisible(own)
}

test_that("fixed effects of levels are those of an ordinary factor", {
  d <- eliminated_data()
  rows <- transform(d[c(3, 50, 120), ], x = x + 1)
  expect_like_dense(y ~ x + fixed(1 | g) + (x | h), y ~ x + g + (x | h), d, rows)
  expect_like_dense(y ~ x + fixed(1 | g) + (0 + x | g), y ~ x + g + (0 + x | g), d, rows)
  expect_like_dense(
    y ~ x + fixed(1 | g) + offset(o) + (1 | h), y ~ x + g + offset(o) + (1 | h), d, rows,
    weights = w
  )
  expect_like_dense(y ~ z + fixed(x | g) + (1 | h), y ~ z + g + x:g + (1 | h), d)
})

test_that("several factors have the rank of all their columns", {
  d <- eliminated_data()
  rows <- transform(d[c(3, 50, 120), ], x = x + 1)
  expect_like_dense(
    y ~ x + fixed(1 | g) + fixed(1 | f) + (x | h), y ~ x + g + f + (x | h), d, rows
  )
  two_sets <- expect_like_dense(
    y ~ x + fixed(1 | g) + fixed(1 | f2) + (x | h), y ~ x + g + f2 + (x | h), d
  )
  expect_identical(two_sets$eliminated$rank, 30L + 9L - 2L)
  expect_like_dense(
    y ~ z + fixed(1 | g) + fixed(1 | f) + fixed(1 | f2) + (x | h),
    y ~ z + g + f + f2 + (x | h), d
  )
  expect_like_dense(
    y ~ z + fixed(1 | g) + fixed(0 + x | f) + (1 | h), y ~ z + g + x:f + (1 | h), d
  )
  expect_like_dense(y ~ z + fixed(1 | g / f) + (x | h), y ~ z + g:f + (x | h), d)
})

test_that("predictors that the levels reproduce have no coefficient", {
  d <- eliminated_data()
  expect_message(
    fit <- lmm(y ~ x + k + z + fixed(1 | g) + (1 | h), d), class = "ferrolmm_message_rank"
  )
  expect_identical(names(which(is.na(fit$coefficients))), c("(Intercept)", "k"))
  dense <- lmm(y ~ x + z + g + (1 | h), d)
  tests <- common_tests(fit, dense)
  expect_equal(tests$own, tests$dense, tolerance = 1e-6)
  expect_error(predict(fit, d[1:2, ]), class = "ferrolmm_error_fixed_levels")
  # the intercept alone is no news
  expect_no_message(lmm(y ~ x + fixed(1 | g) + (1 | h), d))
})

test_that("without random effects they are those of lm()", {
  d <- eliminated_data()
  check <- function(own, dense) {
    kept <- names(which(!is.na(own$coefficients)))
    expect_equal(unname(summary(own)$coefficients[kept, 1:2]),
                 unname(summary(dense)$coefficients[kept, 1:2]), tolerance = 1e-8)
    expect_equal(summary(own)$coefficients[kept, "df"],
                 stats::setNames(rep.int(dense$df.residual, length(kept)), kept))
    expect_equal(sigma(own), sigma(dense), tolerance = 1e-10)
    expect_equal(fitted(own), fitted(dense), tolerance = 1e-8)
  }
  check(lmm(y ~ x + z + fixed(1 | g), d), lm(y ~ x + z + g, d))
  check(lmm(y ~ x + z + fixed(1 | g) + fixed(1 | f2), d), lm(y ~ x + z + g + f2, d))
  check(lmm(y ~ x + z + fixed(1 | g), d, weights = w), lm(y ~ x + z + g, d, weights = w))
})

test_that("coefficients are those of fixest::feols()", {
  # 'fixest', feols(c(Petal.Width, Sepal.Width) ~ x + Petal.Length | Species, iris): middles of the
  # intervals in tests/testthat/_snaps/model_parameters.fixest_multi.md of 'parameters', github
  # easystats/parameters at 2e42bdc, whose data are these
  set.seed(123)
  iris$x <- rnorm(150)
  coefficients_of <- function(formula) unname(fixef(lmm(formula, iris))[c("x", "Petal.Length")])
  expect_equal(
    coefficients_of(Petal.Width ~ x + Petal.Length + fixed(1 | Species)),
    c(-0.06835071 + 0.09635073, -0.06642354 + 0.52593096) / 2, tolerance = 1e-6
  )
  expect_equal(
    coefficients_of(Sepal.Width ~ x + Petal.Length + fixed(1 | Species)),
    c(-0.22124463 + 0.30818414, 0.04898068 + 0.54369328) / 2, tolerance = 1e-6
  )
})

test_that("what is not known beside them is refused", {
  d <- eliminated_data()
  refused <- function(...) expect_error(lmm(...), class = "ferrolmm_error_fixed_levels")
  refused(y ~ x + fixed(1 | g) + (1 | h), d, REML = FALSE)
  refused(y ~ x + fixed(1 | g), d, residual = ~ cs(1 | h))
  refused(y ~ s(x) + fixed(1 | g) + (1 | h), d)
  refused(y ~ x + fixed(1 | g) + rr(0 + f | h, k = 1), d)
  refused(y ~ x + fixed(1 | g) + (1 | h), d, control = lmm_control(sigma = 1))
  refused(y ~ x + fixed(1 | g) + (1 | h), d, control = lmm_control(penalty = penalty_wishart()))
  refused(y ~ x + fixed(1 | g) + (1 | h), d, control = lmm_control(nobound = TRUE))
  expect_error(lmm(y ~ x + fixed(1 | g, hom = TRUE), d), class = "ferrolmm_error_formula")
  expect_error(lmm(y ~ x + fixed(0 | g), d), class = "ferrolmm_error_formula")
  expect_error(lmm(y ~ x + fixed(1 | mm(g, f)), d), class = "ferrolmm_error_formula")
  expect_error(lmm(y ~ x + fixed(1 | g) + fixed(x | g), d), class = "ferrolmm_error_formula")
  expect_error(lmm(y ~ fixed(1 | g) * x, d), class = "ferrolmm_error_formula")
  d$id <- seq_len(nrow(d))
  expect_error(lmm(y ~ x + fixed(1 | id), d), class = "ferrolmm_error_no_residual_df")
})
