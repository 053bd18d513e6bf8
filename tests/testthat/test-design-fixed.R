local_d <- function() {
  set.seed(1)
  n <- 60L
  d <- data.frame(
    y = rnorm(n), x = rnorm(n), z = rpois(n, 3), l = rep(c(TRUE, FALSE), n / 2),
    f = factor(sample(c("a", "b", "c"), n, TRUE)), k = sample(c("p", "q"), n, TRUE),
    o = ordered(sample(1:4, n, TRUE)), g = factor(rep(1:6, 10)),
    day = as.Date("2024-01-01") + seq_len(n)
  )
  d$m <- matrix(rnorm(2 * n), n)
  d$named <- matrix(rnorm(2 * n), n, dimnames = list(NULL, c("u", "v")))
  d$one <- matrix(rnorm(n), n)
  d
}

test_that("X is that of model.matrix(), to the bit", {
  d <- local_d()
  sides <- list(
    ~1, ~0, ~x, ~0 + x, ~ x + z, ~ x * z, ~f, ~ 0 + f, ~ f + l, ~ 0 + l + f, ~ x:f, ~ f:x - 1,
    ~ f:l, ~ f:l - 1, ~ f * l * x, ~ f * o, ~ 0 + o, ~ 0 + x:f + f:l, ~ f / x, ~ x %in% f,
    ~ (f + l + x)^2 - f:l, ~ poly(x, 3), ~ poly(x, 2) * f, ~ splines::ns(x, 4), ~ scale(x),
    ~ I(x^2) + log(z + 1), ~ m, ~ named * x, ~ one, ~ one:f, ~ day, ~ k, ~ 0 + k:f, ~ (x > 0) * z,
    ~ C(f, contr.sum), ~ C(f, contr.helmert, 1) + x, ~ cut(x, 3), ~ factor(z), ~ offset(z) + x,
    ~ as.integer(f) + x, ~ x + offset(x) + offset(z)
  )
  for (side in sides) {
    formula <- stats::as.formula(call("~", quote(y), side[[2L]]))
    mixed <- stats::as.formula(call("~", quote(y), call("+", side[[2L]], quote((1 | g)))))
    frame <- stats::model.frame(formula, d)
    theirs <- stats::model.matrix(formula, frame)
    ours <- front_end(mixed, d)$fixed
    info <- deparse(side)
    expect_identical(c(theirs), c(ours$X), info = info)
    expect_identical(colnames(theirs), ours$names, info = info)
    expect_identical(attr(theirs, "assign"), ours$assign, info = info)
    expect_identical(attr(theirs, "contrasts"), ours$contrasts, info = info)
    expect_identical(rownames(ours$X), NULL)
    levels <- stats::.getXlevels(stats::terms(frame), frame)
    expect_identical(ours$xlevels, if (length(levels)) levels, info = info)
    offset <- stats::model.offset(frame)
    expect_identical(ours$offset, if (!is.null(offset)) as.double(offset), info = info)
  }
})

test_that("contrasts come from the argument, the factor, the option", {
  d <- local_d()
  same <- function(formula, contrasts) {
    frame <- stats::model.frame(lme4::nobars(formula), d)
    theirs <- stats::model.matrix(lme4::nobars(formula), frame, contrasts)
    ours <- front_end(formula, d, contrasts = contrasts)$fixed
    expect_identical(c(theirs), c(ours$X))
    expect_identical(colnames(theirs), ours$names)
    expect_identical(attr(theirs, "contrasts"), ours$contrasts)
    # what is stored gives the same matrix again
    again <- fixed_matrix(ours$terms, front_end(formula, d)$frame, ours$contrasts)
    expect_identical(again, ours$X)
  }
  skip_if_not_installed("lme4")
  same(y ~ f * x + (1 | g), list(f = "contr.sum"))
  same(y ~ f + l + (1 | g), list(f = contr.helmert, l = "contr.sum"))
  same(y ~ f + (1 | g), list(f = contr.SAS(3)))
  same(y ~ f + (1 | g), list(f = cbind(c(1, -1, 0))))
  same(y ~ k + (1 | g), list(k = "contr.sum"))
  stats::contrasts(d$f) <- contr.sum(3)
  same(y ~ f + (1 | g), NULL)
  withr_options <- options(contrasts = c("contr.sum", "contr.poly"))
  on.exit(options(withr_options))
  same(y ~ k * o + (1 | g), NULL)
})

test_that("predvars repeat data-dependent bases on new data", {
  d <- local_d()
  ours <- front_end(y ~ poly(x, 2) + splines::ns(z, 2) + scale(x) + (1 | g), d)
  new <- d[1:5, ]
  frame <- stats::model.frame(stats::delete.response(ours$fixed$terms), new)
  expect_equal(
    fixed_matrix(stats::delete.response(ours$fixed$terms), frame), ours$fixed$X[1:5, ],
    ignore_attr = TRUE
  )
})

test_that("offsets add up: formula and argument", {
  d <- local_d()
  ours <- front_end(y ~ x + offset(z) + offset(2 * x) + (1 | g), d, offset = x^2)$fixed
  expect_equal(ours$offset, d$z + 2 * d$x + d$x^2)
  expect_identical(ours$names, c("(Intercept)", "x"))
})

test_that("responses: one column, numbers", {
  d <- local_d()
  expect_equal(front_end(scale(y) ~ x + (1 | g), d)$fixed$y, as.double(scale(d$y)))
  expect_identical(front_end(l ~ x + (1 | g), d)$fixed$y, as.double(d$l))
  expect_identical(front_end(z ~ x + (1 | g), d)$fixed$y, as.double(d$z))
  bad <- function(formula, pattern) {
    expect_error(front_end(formula, d), pattern, class = "ferrolmm_error_response")
  }
  bad(cbind(y, x) ~ z + (1 | g), "matrix of 2 columns")
  bad(f ~ x + (1 | g), "`f` must be numeric")
  bad(k ~ x + (1 | g), "`k` must be numeric")
  bad(I(0 * x + 3) ~ x + (1 | g), "constant: it is 3 in all 60 rows")
  expect_no_error(front_end(I(0 * x + 3) ~ x + (1 | g), d, offset = x))
})

test_that("a response among the predictors is dropped with a warning", {
  d <- local_d()
  expect_warning(a <- front_end(y ~ y + x + (1 | g), d), class = "ferrolmm_warning_formula")
  expect_identical(a$fixed$names, c("(Intercept)", "x"))
  expect_warning(b <- front_end(y ~ 0 + y + (1 | g), d), class = "ferrolmm_warning_formula")
  expect_identical(dim(b$fixed$X), c(60L, 0L))
})

test_that("predictors that cannot be coded are named", {
  d <- local_d()
  bad <- function(formula, pattern, ...) {
    expect_error(front_end(formula, d, ...), pattern, class = "ferrolmm_error_predictor")
  }
  d$single <- factor("only")
  bad(y ~ single + (1 | g), "`single` has only one level: \"only\"")
  bad(y ~ x + (single | g), "`single` has only one level")
  bad(y ~ f + (1 | g), "`f` has only one level", subset = f == "a")
  d$text <- matrix("a", 60L, 2L)
  bad(y ~ text + (1 | g), "`text` cannot be a predictor")
  expect_error(
    front_end(y ~ f + (1 | g), d, contrasts = list(f = "contr.none")), "`f`.*contr.none",
    class = "ferrolmm_error_predictor"
  )
  expect_error(
    front_end(y ~ f + (1 | g), d, contrasts = list(f = contr.sum(4))), "contrasts of `f`",
    class = "ferrolmm_error_predictor"
  )
  expect_error(
    front_end(y ~ x + (1 | g), d, contrasts = list(x = "contr.sum")), "`x`, which is no factor",
    class = "ferrolmm_error_predictor"
  )
  expect_error(front_end(y ~ f + (1 | g), d, contrasts = "contr.sum"), "named list",
               class = "ferrolmm_error_argument")
  expect_warning(front_end(y ~ f + (1 | g), d, contrasts = list(ff = "contr.sum")), "`ff`",
                 class = "ferrolmm_warning_contrasts")
})

test_that("contrasts by the name of a function are the user's, whatever ours are called", {
  d <- data.frame(y = sin(1:60), f = factor(rep(1:3, 20)), g = factor(rep(1:6, each = 10)))
  given <- function(n, ...) stats::contr.sum(n)
  on.exit(rm("fixed_matrix", envir = globalenv()))
  assign("fixed_matrix", given, envir = globalenv())
  fit <- lmm(y ~ f + (1 | g), d, contrasts = list(f = "fixed_matrix"))
  expect_equal(unname(model.matrix(fit)[, -1]), unname(contr.sum(3)[d$f, ]))
})
