groups_of <- function(formula) {
  bars <- parse_formula(formula, NULL, globalenv())$bars
  unlist(lapply(bars, function(bar) vapply(bar$groups, function(g) g$name, "")))
}
fixed_of <- function(formula, data = NULL) {
  deparse(parse_formula(formula, data, globalenv())$fixed[[3L]])
}

test_that("grouping expressions expand as in lme4", {
  expect_identical(groups_of(y ~ (1 | g)), "g")
  expect_identical(groups_of(y ~ (1 | a / b)), c("b:a", "a"))
  expect_identical(groups_of(y ~ (1 | a / b / c)), c("c:(b:a)", "b:a", "a"))
  expect_identical(groups_of(y ~ (1 | a:b)), "a:b")
  expect_identical(groups_of(y ~ (1 | a * b)), c("a", "b", "a:b"))
  expect_identical(groups_of(y ~ (1 | b %in% a)), "b:a")
  expect_identical(groups_of(y ~ (1 | b %in% c("u", "v"))), "b %in% c(\"u\", \"v\")")
  expect_identical(groups_of(y ~ (1 | (g))), "g")
  expect_identical(groups_of(y ~ (1 | factor(g)) + (x | h)), c("factor(g)", "h"))
})

test_that("slashes agree with lme4::findbars()", {
  skip_if_not_installed("lme4")
  for (f in list(y ~ (1 | a / b), y ~ (1 | a / b / c), y ~ x + (x | a / b), y ~ (1 | a:b))) {
    theirs <- vapply(lme4::findbars(f), function(bar) deparse(bar[[3L]]), "")
    # lme4 1.x writes c:(b:a), 2.x c:b:a
    expect_identical(gsub("[()]", "", groups_of(f)), gsub("[()]", "", theirs))
  }
})

test_that("the fixed part is what is left without the bars", {
  expect_identical(fixed_of(y ~ (1 | g)), "1")
  expect_identical(fixed_of(y ~ x + (1 | g) + z), "x + z")
  expect_identical(fixed_of(y ~ (1 | g) + x), "x")
  expect_identical(fixed_of(y ~ (1 | g) - 1), "-1")
  expect_identical(fixed_of(y ~ x + (1 | g) - 1), "x - 1")
  expect_identical(fixed_of(y ~ (x + z) * w + ((1 | g) + (0 + x | g))), "(x + z) * w")
  expect_identical(fixed_of(y ~ 0 + (1 | g)), "0")
  expect_identical(fixed_of(y ~ x + diag(x | g)), "x")
})

test_that("a bar inside a function is a logical or", {
  expect_identical(fixed_of(y ~ I(a | b) + (1 | g)), "I(a | b)")
  expect_identical(fixed_of(y ~ ifelse(a || b, 1, 2) + (1 | g)), "ifelse(a || b, 1, 2)")
  expect_error(parse_formula(y ~ I(a | b), NULL, globalenv()), class = "ferrolmm_error_formula")
})

test_that("a dot stands for the columns that are not in the response", {
  data <- data.frame(y = 1, x = 1, `a b` = 1, g = 1, h = 1, check.names = FALSE)
  expect_identical(fixed_of(y ~ . + (1 | g / h), data), "(x + `a b` + g + h)")
  expect_identical(
    fixed_of(log(y) ~ . - x + (x | g) + (1 | h), data), "(x + `a b` + g + h) - x"
  )
  expect_identical(fixed_of(y ~ . + (1 | g), data["y"]), "(1)")
  expect_error(fixed_of(y ~ . + (1 | g)), "data frame", class = "ferrolmm_error_formula")
  expect_error(fixed_of(y ~ x + (. | g), data), "`.`", class = "ferrolmm_error_formula")
})

test_that("double bars and structures are kept for the data stage", {
  bars <- parse_formula(y ~ (x || g) + diag(x | h) + us(1 | i), NULL, globalenv())$bars
  expect_identical(vapply(bars, function(b) b$double, NA), c(TRUE, FALSE, FALSE))
  expect_identical(vapply(bars, function(b) b$structure, ""), c("us", "diag", "us"))
  expect_error(fixed_of(y ~ rr(1 | g)), "rr\\(\\)", class = "ferrolmm_error_formula")
  expect_error(fixed_of(y ~ us(1 | g, 2)), "us\\(\\)", class = "ferrolmm_error_formula")
  expect_error(fixed_of(y ~ diag(x || g)), "\\|\\|", class = "ferrolmm_error_formula")
})

test_that("strings, calls and formulas are formulas", {
  env <- new.env()
  model <- parse_formula("y ~ x + (1 | g)", NULL, env)
  expect_identical(environment(model$formula), env)
  expect_identical(fixed_of(quote(y ~ x + (1 | g))), "x")
  local_formula <- local({
    here <- TRUE
    y ~ x + (1 | g)
  })
  expect_true(environment(parse_formula(local_formula, NULL, env)$fixed)$here)
})

test_that("what cannot be read says why", {
  bad <- function(formula, pattern) {
    expect_error(parse_formula(formula, NULL, globalenv()), pattern,
                 class = "ferrolmm_error_formula")
  }
  bad(42, "formula")
  bad(NULL, "formula")
  bad(c("y ~ x", "z"), "formula")
  bad("y x", "string")
  bad(data.frame(a = 1), "comes first")
  bad(~ x + (1 | g), "response")
  bad(y ~ x, "random-effects term")
  bad(y ~ x + (1 | h) | g, "Two bars")
  bad(y ~ (1 | g | h), "Two bars")
  bad(y ~ (1 || g | h), "Two bars")
  bad(y ~ ((1 | g) | h), "Two bars")
  bad(y ~ (1 | (g | h)), "Two bars")
  bad(y ~ x * (1 | g), "only be added")
  bad(y ~ x:(1 | g), "only be added")
  bad(y ~ x - (1 | g), "only be added")
  bad(y ~ x + (1 | g)^2, "only be added")
  bad(y ~ (1 | g + h), "`g \\+ h`")
  bad(y ~ (1 | g - h), "cannot be read")
  bad(y ~ (1 | 1), "must be a variable")
  bad(y ~ (1 | "g"), "must be a variable")
  bad(y ~ (2 | g), "left side")
  bad(y ~ (offset(x) | g), "offset")
})

test_that("structures have lme4's and glmmTMB's names and defaults", {
  bar <- function(formula) parse_formula(formula, NULL, globalenv())$bars[[1L]]
  found <- function(formula) bar(formula)[c("structure", "hom")]
  expect_identical(found(y ~ us(x | g)), list(structure = "us", hom = FALSE))
  expect_identical(found(y ~ (x | g)), list(structure = "us", hom = FALSE))
  expect_identical(found(y ~ cs(x | g)), list(structure = "cs", hom = FALSE))
  expect_identical(found(y ~ cs(x | g, hom = TRUE)), list(structure = "cs", hom = TRUE))
  expect_identical(found(y ~ homcs(x | g)), list(structure = "cs", hom = TRUE))
  expect_identical(found(y ~ ar1(0 + x | g)), list(structure = "ar1", hom = TRUE))
  expect_identical(found(y ~ ar1(0 + x | g, hom = FALSE)), list(structure = "ar1", hom = FALSE))
  expect_identical(found(y ~ hetar1(0 + x | g)), list(structure = "ar1", hom = FALSE))
  expect_identical(found(y ~ diag(x | g)), list(structure = "diag", hom = FALSE))
  expect_identical(found(y ~ homdiag(x | g)), list(structure = "diag", hom = TRUE))
  expect_identical(found(y ~ toep(0 + x | g)), list(structure = "toep", hom = FALSE))
  expect_identical(found(y ~ homtoep(0 + x | g)), list(structure = "toep", hom = TRUE))
  known <- bar(y ~ us(1 | g, cov = K + 1))$known
  expect_identical(known, list(kind = "cov", expr = quote(K + 1)))
  expect_identical(bar(y ~ us(1 | g, prec = Q))$known$kind, "prec")
})

test_that("arguments of a structure that make no sense are told", {
  bad <- function(formula, pattern) {
    expect_error(
      parse_formula(formula, NULL, globalenv()), pattern, class = "ferrolmm_error_formula"
    )
  }
  bad(y ~ cs(x | g, homo = TRUE), "Did you mean `hom`")
  bad(y ~ cs(x | g, hom = 2), "`hom` of cs")
  bad(y ~ us(x | g, hom = TRUE), "cannot be homogeneous")
  bad(y ~ homcs(x | g, hom = FALSE), "contradicts")
  bad(y ~ us(1 | g, cov = K, prec = Q), "one of `cov` and `prec`")
  bad(y ~ us(1 | a / b, cov = K), "one grouping factor")
  bad(y ~ csh(x | g), "residual = ~ csh")
  bad(y ~ x, "residual = ~ us\\(visit")
})

test_that("a residual structure needs no random effects, and brings its variables", {
  model <- parse_formula(y ~ x, NULL, globalenv(), list(variables = list(quote(t), quote(g))))
  expect_identical(model$frame, y ~ x + t + g, ignore_formula_env = TRUE)
  expect_length(model$bars, 0L)
})

test_that("sums of any length are read without a call for each term", {
  set.seed(1)
  k <- 450L
  d <- as.data.frame(matrix(rnorm(1200L * k), 1200L))
  d$g <- rep(1:40, 30)
  d$y <- rnorm(1200)
  long <- stats::as.formula(paste("y ~", paste0("V", seq_len(k), collapse = " + "), "+ (1 | g)"))
  fit <- lmm(long, d)
  expect_length(fixef(fit), k + 1L)
  expect_identical(formula(fit), long, ignore_formula_env = TRUE)
  expect_length(fixef(update(fit, . ~ . - V3)), k)
  expect_length(predict(fit, d[1:5, ]), 5L)
  expect_equal(fixef(lmm(y ~ . - g + (1 | g), d)), fixef(fit))
  ## one term two thousand times, on either side of the bar, and as one variable
  short <- lmm(y ~ V1 + (1 | g), d)
  many <- paste(rep("V1", 2000), collapse = " + ")
  repeated <- lmm(stats::as.formula(paste("y ~ (1 | g) +", many)), d)
  expect_equal(fixef(repeated), fixef(short))
  expect_equal(fixef(update(repeated, . ~ . + V2)), fixef(update(short, . ~ . + V2)))
  expect_equal(
    fixef(lmm(stats::as.formula(paste("y ~ V1 + (1 | g)", strrep(" - V2", 2000))), d)),
    fixef(short)
  )
  summed <- lmm(stats::as.formula(paste("y ~ (1 | g) + I(", many, ")")), d)
  expect_equal(2000 * fixef(summed)[[2L]], fixef(short)[[2L]])
  expect_equal(predict(summed, d[1:5, ]), predict(short, d[1:5, ]))
  slopes <- stats::as.formula(paste("y ~ (1 | g) + (0 +", many, "| g)"))
  expect_equal(suppressMessages(lmm(slopes, d))$criterion,
               suppressMessages(lmm(y ~ (1 | g) + (0 + V1 | g), d))$criterion)
})

test_that("the parts of a sum stay as they are written", {
  split <- function(x) split_random(x)$fixed
  for (x in list(quote(a), quote(a + b), quote(-a), quote(a - b + c), quote(a + (b + c)),
                 quote(a * b + c), quote(a + b - 1), quote(-1 + a))) {
    expect_identical(split(x), x)
  }
  expect_identical(split(quote((1 | g) + a)), quote(a))
  expect_identical(split(quote((1 | g) - a)), quote(-a))
  expect_identical(split(quote(a + (1 | g) - 1)), quote(a - 1))
  expect_identical(split(quote(a + (b + (1 | g)) + c)), quote(a + b + c))
  expect_identical(split(quote(+a)), quote(a))
  expect_null(split(quote((1 | g) + (1 | h))))
  expect_length(split_random(quote((1 | g) + a + (b + (1 | h)) + (x || k)))$bars, 3L)
  expect_error(split(quote(a - (1 | g))), class = "ferrolmm_error_formula")
  expect_true(contains_bar(quote(a * (b + (1 | g)))))
  expect_false(contains_bar(quote(a * (b + I(1 | g)))))
  parts <- sum_parts(quote(a + (b - c) + d + 1))
  expect_identical(parts, list(quote(a), quote((b - c)), quote(d)))
  expect_identical(variables_of(quote(f(b, a$x) + a:c - stats::d(b))), c("b", "a", "c"))
})

test_that("calls inside each other are refused before R runs out of stack", {
  s <- lme4::sleepstudy
  nest <- function(x, wrap, times) {
    for (i in seq_len(times)) x <- wrap(x)
    x
  }
  wraps <- list(
    function(x) call("(", x), function(x) call("exp", call("-", x)), function(x) call("-", x),
    function(x) call("*", quote(Days), x), function(x) call("/", x, quote(Days))
  )
  for (wrap in wraps) {
    for (times in c(101, 3000)) {
      fixed <- group <- Reaction ~ Days + (1 | Subject)
      fixed[[3L]][[2L]] <- nest(quote(Days), wrap, times)
      group[[3L]][[3L]][[2L]][[3L]] <- nest(quote(Subject), wrap, times)
      expect_error(lmm(fixed, s), "inside each other", class = "ferrolmm_error_formula")
      expect_error(lmm(group, s), "inside each other", class = "ferrolmm_error_formula")
    }
  }
  fixed[[3L]][[2L]] <- nest(quote(Days), wraps[[1L]], 90)
  expect_equal(fixef(lmm(fixed, s)), fixef(lmm(Reaction ~ Days + (1 | Subject), s)),
               ignore_attr = TRUE)
  # a sum is as long as it likes
  long <- Reaction ~ Days
  long[[3L]] <- call("+", nest(quote(Days), function(x) call("+", x, quote(Days)), 500),
                     quote((1 | Subject)))
  expect_length(fixef(lmm(long, s)), 2L)
})
