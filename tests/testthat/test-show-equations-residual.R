orthodont <- function() {
  data(Orthodont, package = "nlme", envir = environment())
  as.data.frame(Orthodont)
}

text_of <- function(...) paste(equations(...)$lines, collapse = "\n")

test_that("equations show variance functions and correlations", {
  skip_if_not(l10n_info()[["UTF-8"]])
  d <- orthodont()
  fit <- lmm(
    distance ~ age + (1 | Subject), d, correlation = corAR1(form = ~ 1 | Subject),
    weights = varIdent(form = ~ 1 | Sex)
  )
  text <- text_of(fit)
  expect_match(text, "N(0, \u03c3\u00b2 d\u00b2_ij)", fixed = TRUE)
  expect_match(text, "d_ij = 1 for Male, \u03b4_2 for Female (Sex)", fixed = TRUE)
  expect_match(text, "cor(\u03b5_s, \u03b5_t) = \u03c1^|s-t|", fixed = TRUE)
  matrix <- text_of(fit, "matrix")
  expect_match(matrix, "R = \u03c3\u00b2 D C D", fixed = TRUE)
  expect_match(matrix, "\u03c3\u00b2 d_1 d_3 \u03c1^2", fixed = TRUE)
  values <- text_of(fit, "matrix", values = TRUE)
  expect_match(values, "R_(Subject", fixed = TRUE)
  latex <- text_of(fit, format = "latex")
  expect_match(latex, "\\rho^{|s-t|}", fixed = TRUE)
  expect_match(latex, "\\sigma^2 d_{ij}^2", fixed = TRUE)
})

test_that("each structure has its formula", {
  skip_if_not(l10n_info()[["UTF-8"]])
  d <- orthodont()
  show <- function(...) text_of(lmm(distance ~ age, d, ...), "mixed")
  expect_match(show(residual = ~ cs(age | Subject)), "= \u03c1, two rows of one Subject",
               fixed = TRUE)
  expect_match(show(residual = ~ us(age | Subject)), "\u03c1_st", fixed = TRUE)
  expect_match(show(residual = ~ toep(age | Subject)), "\u03c1_|s-t|", fixed = TRUE)
  expect_match(show(residual = ~ ad(age | Subject)), "\u03c1_(s+1)", fixed = TRUE)
  expect_match(
    show(correlation = corExp(form = ~ age | Subject)), "exp(-h/\u03c6)", fixed = TRUE
  )
  # the nugget has a symbol of its own, next to Matern's nu as well
  nugget <- lmm(distance ~ age, d, residual = ~ sp_matern(age | Subject, nu = 2.5, nugget = TRUE))
  expect_match(
    text_of(nugget, "mixed"),
    "(1 - c_0) ((1 + a + a^2/3) exp(-a)) (a = sqrt(5) h/\u03c6), h: distance of two rows in age",
    fixed = TRUE
  )
  expect_match(text_of(nugget, "mixed", format = "latex"), "(1 - c_{0}) (", fixed = TRUE)
  expect_match(show(correlation = corARMA(form = ~ 1 | Subject, q = 1)), "ARMA(0, 1)",
               fixed = TRUE)
  expect_match(show(weights = varPower(form = ~ age)), "|age_i|^\u03b4", fixed = TRUE)
  expect_match(show(weights = varExp(form = ~ age | Sex)), "s: Sex", fixed = TRUE)
  expect_match(show(weights = varConstPower(form = ~ age, fixed = list(const = 1))),
               "\u03ba + |age_i|^\u03b4", fixed = TRUE)
})

test_that("without random effects there is one level", {
  skip_if_not(l10n_info()[["UTF-8"]])
  d <- orthodont()
  fit <- lmm(distance ~ age, d, residual = ~ us(age | Subject))
  expect_match(text_of(fit), "distance_i = \u03b20 + \u03b21 age_i + \u03b5_i", fixed = TRUE)
  expect_identical(equations(fit, "mixed")$lines, equations(fit)$lines)
  expect_match(text_of(fit, "matrix"), "y ~ N(X\u03b2, R)", fixed = TRUE)
  expect_identical(equations(fit, "matrix")$dimensions$rows, c(108L, 108L, 2L, 108L, 108L))
})

test_that("structures of random effects", {
  skip_if_not(l10n_info()[["UTF-8"]])
  d <- orthodont()
  d$f <- factor(d$age)
  fit <- lmm(distance ~ age + ar1(0 + f | Subject), d)
  expect_match(text_of(fit), "\u03c1_u^3 \u03c3\u00b2_u", fixed = TRUE)
  expect_match(text_of(fit, "matrix"), "AR(1), one variance, 2 parameters (full: 10)",
               fixed = TRUE)
  fit <- suppressMessages(lmm(distance ~ age + cs(0 + f | Subject), d))
  expect_match(text_of(fit), "\u03c1_u \u03c3_u2 \u03c3_u3", fixed = TRUE)
})
