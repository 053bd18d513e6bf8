orthodont <- function() {
  data(Orthodont, package = "nlme", envir = environment())
  d <- as.data.frame(Orthodont)
  d$visit <- factor(paste0("V", d$age), levels = paste0("V", c(8, 10, 12, 14)))
  d
}

test_that("both spellings give one description", {
  d <- orthodont()
  structure <- front_end(distance ~ age, d, residual = ~ us(visit | Subject))
  nlme <- front_end(
    distance ~ age, d, correlation = corSymm(form = ~ visit | Subject),
    weights = varIdent(form = ~ 1 | visit)
  )
  expect_identical(structure$design, nlme$design)
  expect_identical(structure$residual$names, nlme$residual$names)
  bare <- front_end(distance ~ age, d, residual = us(visit | Subject))
  expect_identical(bare$design, structure$design)
  expect_identical(
    structure$residual$names,
    c(
      "residual.cor(2,1)", "residual.cor(3,1)", "residual.cor(4,1)", "residual.cor(3,2)",
      "residual.cor(4,2)", "residual.cor(4,3)", "residual.sd.ratio V10", "residual.sd.ratio V12",
      "residual.sd.ratio V14"
    )
  )
  design <- structure$design
  expect_identical(design$correlation$type, "us")
  expect_identical(design$correlation$n_positions, 4L)
  expect_identical(design$correlation$position, as.integer(d$visit))
  expect_identical(design$groups$n_levels, 27L)
  expect_identical(design$scales[[1L]]$stratum, as.integer(d$visit))
  expect_true(all(is.na(design$start)))
  expect_false(any(design$held))
})

test_that("times: whole numbers, levels, the order of rows", {
  d <- orthodont()
  position <- function(...) front_end(distance ~ 1, d, ...)$design$correlation$position
  # counted from the first
  expect_identical(position(correlation = corAR1(form = ~ age | Subject)), as.integer(d$age) - 8L)
  expect_identical(position(residual = ~ ar1(visit | Subject)), as.integer(d$visit))
  expect_identical(
    position(correlation = corAR1(form = ~ 1 | Subject)), rep(1:4, 27)
  )
  expect_identical(position(correlation = corCAR1(form = ~ age / 2 | Subject)), d$age / 2)
  expect_identical(
    position(correlation = corExp(form = ~ age | Subject)), list(as.double(d$age))
  )
  expect_null(position(correlation = corCompSymm(form = ~ 1 | Subject)))
})

test_that("groups: those of the form, else the innermost of the random effects, else all rows", {
  d <- orthodont()
  end <- function(formula, ...) front_end(formula, d, ...)$residual$correlation
  expect_identical(end(distance ~ 1, correlation = corAR1())$group, character())
  expect_identical(end(distance ~ (1 | Subject), correlation = corAR1())$group, "Subject")
  expect_identical(
    sort(end(distance ~ (1 | Sex / Subject), correlation = corAR1())$group), c("Sex", "Subject")
  )
  expect_error(
    end(distance ~ (1 | Subject) + (1 | visit), correlation = corAR1()), "not nested",
    class = "ferrolmm_error_residual"
  )
  design <- front_end(
    distance ~ 1, d, correlation = corCompSymm(form = ~ 1 | Sex / Subject)
  )$design
  expect_identical(design$groups$n_levels, 27L)
})

test_that("values and fixed parameters of constructors", {
  d <- orthodont()
  design <- function(...) front_end(distance ~ 1, d, ...)$design
  one <- design(correlation = corAR1(0.4, form = ~ 1 | Subject, fixed = TRUE))
  expect_equal(one$start, 0.4)
  expect_true(one$held)
  expect_identical(design(correlation = corAR1(form = ~ 1 | Subject))$start, NA_real_)
  expect_equal(design(correlation = corCAR1(0.7, form = ~ age | Subject))$start, 0.7)
  expect_equal(
    design(correlation = corExp(c(2, 0.1), form = ~ age | Subject, nugget = TRUE))$start, c(2, 0.1)
  )
  expect_equal(
    design(correlation = corExp(2, form = ~ age | Subject, nugget = TRUE))$start, c(2, NA)
  )
  sex <- design(weights = varIdent(c(Male = 2), form = ~ 1 | Sex))
  expect_equal(sex$start, 2)
  # the level without a value is the reference
  expect_identical(sex$scales[[1L]]$stratum, ifelse(d$Sex == "Male", 2L, 1L))
  sex <- design(weights = varPower(form = ~ age | Sex, fixed = c(Female = 0.5)))
  expect_equal(sex$start, c(NA, 0.5))
  expect_identical(sex$held, c(FALSE, TRUE))
  both <- design(weights = varConstPower(form = ~ age, fixed = list(power = 0.5)))
  expect_equal(both$start, c(NA, 0.5))
  expect_identical(both$held, c(FALSE, TRUE))
})

test_that("varFixed() is a precision weight, in combinations too", {
  d <- orthodont()
  end <- front_end(
    distance ~ 1, d, weights = varComb(varIdent(form = ~ 1 | Sex), varFixed(~ age))
  )
  expect_identical(end$residual$fixed, "age")
  expect_length(end$residual$scales, 1L)
  expect_equal(residual_weights(end$residual, end$frame, NULL), 1 / d$age)
  expect_equal(residual_weights(end$residual, end$frame, rep(2, 108)), 2 / d$age)
  end <- front_end(distance ~ (1 | Subject), d, weights = ~ age)
  expect_null(end$design)
  expect_error(
    front_end(distance ~ 1, d, weights = varFixed(~ I(age - 8))), "positive",
    class = "ferrolmm_error_residual"
  )
})

test_that("numbers are weights as before, also when they are called var...", {
  d <- orthodont()
  d$variance <- d$age
  end <- front_end(distance ~ (1 | Subject), d, weights = variance)
  expect_null(end$residual)
  expect_identical(end$fixed$weights, d$age)
  expect_null(front_end(distance ~ (1 | Subject), d, weights = 1 / age)$residual)
})

test_that("missing values in the variables of the structure leave the row out", {
  d <- orthodont()
  d$visit[5] <- NA
  end <- front_end(distance ~ 1, d, residual = ~ us(visit | Subject))
  expect_identical(nrow(end$frame), 107L)
  expect_length(end$design$correlation$position, 107L)
  d$w <- d$age
  d$w[7] <- NA
  expect_identical(nrow(front_end(distance ~ 1, d, weights = varPower(form = ~ w))$frame), 107L)
})

test_that("what cannot be read or does not fit says why", {
  d <- orthodont()
  d$half <- d$age / 3
  twice <- rbind(d, d[3, ])
  bad <- function(pattern, ..., data = d, formula = distance ~ age) {
    expect_error(front_end(formula, data, ...), pattern, class = "ferrolmm_error_residual")
  }
  bad("age = 12 occurs more than once in `Subject` M01", data = twice,
      correlation = corAR1(form = ~ age | Subject))
  bad("V12 occurs more than once", data = twice, residual = ~ us(visit | Subject))
  bad("nugget = TRUE", data = twice, correlation = corExp(form = ~ age | Subject))
  bad("form = ~ time \\| subject", correlation = corAR1(form = ~ age))
  bad("corCAR1\\(form = ~ half \\| Subject\\)", correlation = corAR1(form = ~ half | Subject))
  bad("more than one row", correlation = corAR1(form = ~ 1 | Subject / age))
  bad("Did you mean `us`", residual = ~ un(visit | Subject))
  bad("visit variable", residual = ~ us(1 | Subject))
  bad("us\\(visit \\| subject\\)", residual = ~ us(visit))
  bad("argument `correlation`", residual = nlme::corAR1(form = ~ 1 | Subject))
  bad("argument `residual`", correlation = ~ us(visit | Subject))
  bad("give one", correlation = corAR1(form = ~ 1 | Subject), residual = ~ us(visit | Subject))
  bad("varIdent", weights = varIdent(form = ~ 1 | Sex), residual = ~ us(visit | Subject))
  bad("changes nothing", weights = varIdent(form = ~ 1))
  bad("zero in 27 rows", weights = varPower(form = ~ I(age - 8)))
  bad("resid", weights = varPower(form = ~ resid(.)))
  bad("no level of `Sex`", weights = varIdent(c(X = 2), form = ~ 1 | Sex))
  bad("sp_exp\\(age, half \\| Subject\\)", residual = ~ sp_exp(age + half | Subject))
  bad("I\\(age - 8\\)", residual = ~ ar1(age - 8 | Subject))
  bad("as one or as two", residual = ~ us(visit:Sex | Subject))
  bad("one stratum", data = d[d$Sex == "Male", ], weights = varIdent(form = ~ 1 | Sex))
  bad("number as covariate", weights = varPower(form = ~ visit))
  bad("Did you mean `corAR1`", correlation = corAR2(form = ~ 1 | Subject))
  bad("no value", correlation = corSymm(form = ~ visit | Subject, fixed = TRUE))
  bad("1 value for 6 parameters", correlation = corSymm(0.3, form = ~ visit | Subject))
  bad("is a factor", correlation = corCAR1(form = ~ visit | Subject))
  expect_error(
    front_end(distance ~ age, d, correlation = corAR1(form = ~ 1 | Subjct)), "Did you mean",
    class = "ferrolmm_error_data"
  )
  expect_error(
    front_end(distance ~ age, d), "residual = ~ us", class = "ferrolmm_error_formula"
  )
})

test_that("a nugget lets rows share a place, and a group of one row is a group", {
  d <- orthodont()
  twice <- rbind(d, d[3, ])
  expect_silent(
    front_end(distance ~ 1, twice, correlation = corExp(form = ~ age | Subject, nugget = TRUE))
  )
  end <- front_end(distance ~ 1, d[-(2:4), ], correlation = corAR1(form = ~ age | Subject))
  expect_identical(sort(tabulate(end$design$groups$codes))[1:2], c(1L, 4L))
})

test_that("what random effects and residuals both say is told", {
  d <- orthodont()
  told <- function(formula, pair, ...) {
    expect_warning(
      front_end(formula, d, ...), pair, class = "ferrolmm_warning_identifiable"
    )
  }
  told(distance ~ (1 | Subject), "\\(1 \\| Subject\\).*corCompSymm\\(~ 1 \\| Subject\\)",
       correlation = corCompSymm(form = ~ 1 | Subject))
  told(distance ~ (1 | Subject), "us\\(visit \\| Subject\\)", residual = ~ us(visit | Subject))
  told(distance ~ (age | Subject), "\\(age \\| Subject\\)", residual = ~ us(visit | Subject))
  told(distance ~ (1 | Subject), "toep", residual = ~ toep(visit | Subject))
  told(distance ~ ar1(0 + visit | Subject), "ar1", residual = ~ ar1(visit | Subject))
  expect_silent(
    front_end(distance ~ (1 | Subject), d, correlation = corAR1(form = ~ 1 | Subject))
  )
  expect_silent(front_end(distance ~ (1 | visit), d, residual = ~ us(visit | Subject)))
  expect_silent(front_end(distance ~ (1 | Sex), d, residual = ~ cs(visit | Subject)))
})

test_that("times are counted from the first one, however large their numbers are", {
  set.seed(1)
  d <- data.frame(g = factor(rep(1:12, each = 10)), t = rep(1:10, 12))
  d$y <- as.vector(replicate(12, arima.sim(list(ar = 0.6), 10)))
  # Unix seconds, yyyymmddhh as a double, a large integer
  origins <- list(1704067200, 2024010100, -3e12, 1704067200L)
  structures <- list(
    list(residual = ~ ar1(t | g)), list(correlation = nlme::corAR1(form = ~ t | g)),
    list(correlation = nlme::corARMA(form = ~ t | g, p = 1, q = 1)),
    list(correlation = nlme::corCAR1(form = ~ t | g)), list(residual = ~ toep(t | g))
  )
  for (given in structures) {
    near <- suppressMessages(do.call(lmm, c(list(y ~ 1, d), given)))
    for (origin in origins) {
      far <- suppressMessages(do.call(lmm, c(list(y ~ 1, transform(d, t = t + origin)), given)))
      expect_equal(far$phi, near$phi, tolerance = 1e-8)
      expect_equal(far$criterion, near$criterion, tolerance = 1e-10)
    }
  }
  near <- lmm(y ~ 1, d, residual = ~ ar1(t | g))
  far <- lmm(y ~ 1, transform(d, t = t + 1704067200), residual = ~ ar1(t | g))
  new <- data.frame(g = factor(1:12), t = c(0, 11:21))
  expect_equal(
    predict(far, transform(new, t = t + 1704067200), residual.cor = TRUE),
    predict(near, new, residual.cor = TRUE)
  )
  expect_error(
    predict(far, transform(new, t = t + 17040672000), residual.cor = TRUE),
    "at most 1e\\+09 from the first", class = "ferrolmm_error_newdata"
  )
})

test_that("times that are too far apart, or lost their digits, say so", {
  d <- data.frame(g = factor(rep(1:6, 10)), t = rep(1:10, each = 6), y = sin(1:60))
  ar1 <- function(times) lmm(y ~ 1, transform(d, t = times), residual = ~ ar1(t | g))
  expect_error(ar1(d$t * 1e9), "goes from 1e\\+09 to 1e\\+10", class = "ferrolmm_error_residual")
  expect_error(ar1(d$t + 2^53), "2^53", fixed = TRUE, class = "ferrolmm_error_residual")
  expect_error(ar1(d$t + 1704067200.5), "whole numbers as times, `t` is 1704067201.5 in row 1",
               class = "ferrolmm_error_residual")
})

test_that("a matrix is coordinates, or an error that names it", {
  n <- 60
  d <- data.frame(g = factor(rep(1:6, 10)), t = rep(1:10, each = 6), y = sin(seq_len(n)^2))
  d$one <- cos(seq_len(n))
  d$two <- sin(seq_len(n) / 3)
  d$xy <- cbind(d$one, d$two)
  d$tt <- cbind(d$t, 1)
  d$column <- matrix(d$t)
  apart <- lmm(y ~ 1, d, residual = ~ sp_exp(one, two | g))
  together <- lmm(y ~ 1, d, residual = ~ sp_exp(xy | g))
  expect_identical(unname(together$phi), unname(apart$phi))
  expect_identical(
    unname(lmm(y ~ 1, d, correlation = nlme::corExp(form = ~ xy | g))$phi), unname(apart$phi)
  )
  d$xy3 <- cbind(d$one, d$two, d$t)
  expect_identical(
    unname(lmm(y ~ 1, d, residual = ~ sp_gau(xy3 | g))$phi),
    unname(lmm(y ~ 1, d, residual = ~ sp_gau(xy, t | g))$phi)
  )
  new <- d[1:3, ]
  new$two <- new$two + 0.3
  new$xy <- cbind(new$one, new$two)
  expect_equal(
    predict(together, new, residual.cor = TRUE), predict(apart, new, residual.cor = TRUE)
  )
  expect_error(predict(together, transform(new, xy = xy[, 1]), residual.cor = TRUE),
               "was matrix of 2 columns and is numeric", class = "ferrolmm_error_newdata")
  same <- rbind(d, d[1, ])
  expect_error(lmm(y ~ 1, same, residual = ~ sp_exp(xy | g)), "xy = .*, .* occurs more than once",
               class = "ferrolmm_error_residual")

  refused <- function(name, ...) {
    expect_error(lmm(y ~ 1 + (1 | g), d, ...), paste0("`", name, "` in .* is a matrix"),
                 class = "ferrolmm_error_residual", fixed = FALSE)
  }
  refused("xy", weights = nlme::varPower(form = ~ xy))
  refused("xy", weights = nlme::varConstPower(form = ~ xy))
  refused("poly\\(t, 2\\)", weights = nlme::varExp(form = ~ poly(t, 2)))
  refused("abs\\(xy\\)", weights = nlme::varFixed(~ abs(xy)))
  for (structure in c("ar1", "ar1h", "us", "toep", "toeph", "ad", "adh")) {
    formula <- stats::as.formula(paste0("~ ", structure, "(tt | g)"))
    expect_error(lmm(y ~ 1, d, residual = formula), "`tt`.* is a matrix", class = "ferrolmm_error")
  }
  refused("tt", correlation = nlme::corAR1(form = ~ tt | g))
  refused("tt", correlation = nlme::corCAR1(form = ~ tt | g))
  refused("tt", correlation = nlme::corSymm(form = ~ tt | g))
  refused("tt", correlation = nlme::corARMA(form = ~ tt | g, p = 1, q = 1))
  expect_error(lmm(y ~ 1, d, residual = ~ cs(1 | tt)), "`tt` is a matrix",
               class = "ferrolmm_error_grouping")
  # one column is a vector
  for (structure in c("ar1", "toep")) {
    formula <- function(time) stats::as.formula(paste0("~ ", structure, "(", time, " | g)"))
    expect_identical(unname(lmm(y ~ 1, d, residual = formula("column"))$phi),
                     unname(lmm(y ~ 1, d, residual = formula("t"))$phi))
  }
  expect_identical(
    unname(lmm(y ~ 1 + (1 | g), d, weights = nlme::varPower(form = ~ column))$phi),
    unname(lmm(y ~ 1 + (1 | g), d, weights = nlme::varPower(form = ~ t))$phi)
  )
})
