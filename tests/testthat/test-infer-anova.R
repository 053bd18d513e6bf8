ham_like <- function() {
  set.seed(5)
  d <- expand.grid(product = factor(c("a", "b", "c", "d")), info = factor(c("no", "yes")),
                   consumer = factor(1:12))
  d <- d[-sample(nrow(d), 13L), ]
  d$sex <- factor(ifelse(as.integer(d$consumer) %% 3L == 0L, "f", "m"))
  d$age <- round(rnorm(12L, 40, 9))[d$consumer]
  d$y <- rnorm(12)[d$consumer] + 0.4 * as.integer(d$product) * (d$info == "yes") +
    rnorm(nrow(d))
  d
}

# F tables of lmerTest at our theta
expect_lmertest_table <- function(formula, data, types = 1:3, contrasts = NULL, ...) {
  ours <- suppressMessages(lmm(formula, data, contrasts = contrasts))
  theirs <- suppressWarnings(suppressMessages(lmerTest::as_lmerModLmerTest(eval(bquote(lme4::lmer(
    .(formula), data, contrasts = contrasts, start = .(unname(ours$theta)),
    control = lme4::lmerControl(
      optimizer = NULL, calc.derivs = FALSE, check.conv.singular = "ignore",
      check.rankX = "silent.drop.cols", check.scaleX = "ignore"
    )
  ))))))
  for (type in types) {
    info <- paste(paste(deparse(formula), collapse = ""), type)
    reference <- as.data.frame(suppressMessages(anova(theirs, type = type)))
    table <- anova(ours, type = type)
    estimable <- rownames(table)[table$NumDF > 0]
    table <- as.data.frame(table)[estimable, ]
    reference <- reference[estimable, ]
    testthat::expect_identical(names(table), names(reference), info = info)
    testthat::expect_equal(table[, -(4:6)], reference[, -(4:6)], tolerance = 1e-5, info = info)
    testthat::expect_equal(
      table[["F value"]], reference[["F value"]], tolerance = 1e-6, info = info
    )
    testthat::expect_equal(table$DenDF, reference$DenDF, tolerance = 1e-4, info = info)
  }
  invisible(ours)
}

test_that("type I, II and III tables are lmerTest's", {
  skip_if_not_installed("lmerTest")
  d <- ham_like()
  expect_lmertest_table(y ~ product * info * sex + (1 | consumer), d)
  expect_lmertest_table(y ~ product * info + age + (1 | consumer), d)
  expect_lmertest_table(y ~ age * product + info + (1 | consumer), d)
  # Type II of lmerTest depends on the order of columns in the first, and takes poly() for a factor
  # in the second
  expect_lmertest_table(y ~ info:product + sex + (1 | consumer), d, c(1, 3))
  expect_lmertest_table(y ~ product * poly(age, 2) + (1 | consumer), d, c(1, 3))
  expect_lmertest_table(y ~ product + (1 | consumer), d)
})

test_that("... whatever the contrasts, ordered factors, logical predictors", {
  skip_if_not_installed("lmerTest")
  d <- ham_like()
  expect_lmertest_table(
    y ~ product * info + (1 | consumer), d,
    contrasts = list(product = "contr.sum", info = "contr.helmert")
  )
  d$product <- ordered(d$product)
  expect_lmertest_table(y ~ product * info * sex + (1 | consumer), d)
  d$yes <- d$info == "yes"
  expect_lmertest_table(y ~ yes * age + (1 | consumer), d)
})

test_that("... with empty cells and aliased columns", {
  skip_if_not_installed("lmerTest")
  d <- ham_like()
  d <- d[!(d$product == "b" & d$info == "yes"), ]
  expect_lmertest_table(y ~ product * info + (1 | consumer), d)
  expect_lmertest_table(y ~ product * info + sex + I(2 * age) + age + (1 | consumer), d, 1:2)
})

test_that("type III does not depend on the coding", {
  d <- ham_like()
  treatment <- lmm(y ~ product * info + age + (1 | consumer), d)
  helmert <- lmm(
    y ~ product * info + age + (1 | consumer), d,
    contrasts = list(product = "contr.helmert", info = "contr.sum")
  )
  d$product <- factor(d$product, levels = c("c", "a", "d", "b"))
  other <- lmm(y ~ product * info + age + (1 | consumer), d)
  for (type in c("I", "II", "III")) {
    for (ddf in c("Satterthwaite", "Kenward-Roger")) {
      expected <- as.data.frame(anova(treatment, type = type, ddf = ddf))[c(3, 5)]
      expect_equal(as.data.frame(anova(helmert, type = type, ddf = ddf))[c(3, 5)], expected,
                   tolerance = 1e-5)
      expect_equal(as.data.frame(anova(other, type = type, ddf = ddf))[c(3, 5)], expected,
                   tolerance = 1e-5)
    }
  }
})

test_that("cells of factors give the hypotheses of all rows", {
  d <- ham_like()
  fit <- lmm(y ~ product * info + sex + (1 | consumer), d)
  cells <- design_cells(fit)
  expect_lt(nrow(cells$matrix(fit$terms, NULL)), nrow(d))
  expect_identical(sum(attr(cells$matrix(fit$terms, NULL), "counts")), nrow(d))
  x <- fixed_matrix(fit$terms, fit$frame)
  columns <- lapply(1:4, function(j) which(fit$assign == j))
  expect_equal(unname(term_contrasts(fit, "I")), sequential_contrasts(x, columns))
  expect_equal(
    unname(term_contrasts(fit, "II")),
    contained_last_contrasts(x, columns, list(4L, 4L, integer(), integer()))
  )
  expect_equal(unname(term_contrasts(fit, "III")), marginal_contrasts(fit, function(...) {
    own_matrix(fit, ...)
  }, x))
})

test_that("models without terms, without fixed effects, with terms that cannot be estimated", {
  expect_identical(nrow(anova(our_twin("crossed"))), 0L)
  expect_identical(nrow(anova(our_twin("no_fixed"))), 0L)
  table <- anova(our_twin("deficient"), type = 1)
  expect_identical(table["I(2 * Days)", "NumDF"], 0L)
  expect_true(is.na(table["I(2 * Days)", "F value"]))
  expect_false(is.na(table["late", "F value"]))
})

test_that("tables say what they are", {
  fit <- our_twin("slope")
  expect_match(attr(anova(fit), "heading"), "Type III .* with Satterthwaite's method")
  expect_match(attr(anova(fit, type = 1, ddf = "Ken"), "heading"), "Type I .*Kenward-Roger's")
  expect_named(anova(fit, ddf = "none"), c("Sum Sq", "Mean Sq", "NumDF", "F value"))
  expect_error(anova(fit, type = 4), class = "ferrolmm_error_argument")
  expect_error(anova(fit, type = 1:2), class = "ferrolmm_error_argument")
  expect_output(print(anova(fit)), "Pr(>F)", fixed = TRUE)
})

# Comparison ---------------------------------------------------------------------------------

test_that("models with other fixed parts are refitted by ML, as in lme4", {
  skip_if_not_installed("lme4")
  data <- twin_data()$sleepstudy
  small <- lmm(Reaction ~ 1 + (Days | Subject), data)
  large <- lmm(Reaction ~ Days + (Days | Subject), data)
  expect_message(table <- anova(small, large), "2 models by ML", class = "ferrolmm_message_refit")
  theirs <- suppressMessages(anova(
    lme4::lmer(Reaction ~ 1 + (Days | Subject), data),
    lme4::lmer(Reaction ~ Days + (Days | Subject), data)
  ))
  expect_identical(rownames(table), c("small", "large"))
  expect_equal(unname(as.matrix(table)), unname(as.matrix(theirs)), tolerance = 1e-5)
  expect_error(anova(small, large, refit = FALSE), "fixed parts differ")
})

test_that("REML stays where only the random parts differ", {
  data <- twin_data()$sleepstudy
  large <- lmm(Reaction ~ Days + (Days | Subject), data)
  small <- lmm(Reaction ~ Days + (1 | Subject), data)
  expect_no_message(table <- anova(large, small))
  expect_identical(rownames(table), c("small", "large"))
  expect_equal(table$Chisq[2], small$criterion - large$criterion)
  expect_equal(table[["Pr(>Chisq)"]][2], pchisq(table$Chisq[2], 2, lower.tail = FALSE))
  expect_match(attr(table, "heading")[1], "ranova()", fixed = TRUE)
  expect_message(anova(large, refitML(small)), "not all are fitted by REML")
  coded <- lmm(Reaction ~ I(Days - 1) + (Days | Subject), data)
  expect_message(anova(small, coded), "fixed parts differ")
})

test_that("a linear model can be compared", {
  data <- twin_data()$sleepstudy
  fit <- lmm(Reaction ~ Days + (1 | Subject), data, REML = FALSE)
  linear <- lm(Reaction ~ Days, data)
  table <- anova(fit, linear)
  expect_identical(rownames(table), c("linear", "fit"))
  expect_equal(table$logLik[1], as.numeric(logLik(linear)))
})

test_that("models of different data are not compared", {
  data <- twin_data()$sleepstudy
  fit <- lmm(Reaction ~ Days + (1 | Subject), data)
  expect_error(
    anova(fit, lmm(Reaction ~ Days + (1 | Subject), data[-1, ])), "180 and 179 rows",
    class = "ferrolmm_error_data"
  )
  expect_error(
    anova(fit, lmm(log(Reaction) ~ Days + (1 | Subject), data)), "differ in the response",
    class = "ferrolmm_error_data"
  )
  expect_error(
    anova(fit, lmm(Reaction ~ Days + (1 | Subject), data, weights = w)), "the weights",
    class = "ferrolmm_error_data"
  )
  other <- transform(data, Days = rev(Days))
  expect_error(
    anova(fit, lmm(Reaction ~ Days + (1 | Subject), other)), "`Days`",
    class = "ferrolmm_error_data"
  )
})

test_that("names of models can be given; other objects are refused", {
  data <- twin_data()$sleepstudy
  fit <- lmm(Reaction ~ Days + (1 | Subject), data)
  table <- anova(fit, our_twin("slope"), model.names = c("one", "two"))
  expect_identical(rownames(table), c("one", "two"))
  written <- anova(fit, lmm(Reaction ~ Days + (Days | Subject), data))
  expect_identical(rownames(written), c("fit", "model 2"))
  expect_error(anova(fit, fit, model.names = "one"), class = "ferrolmm_error_argument")
  expect_error(anova(fit, "fit"), "class character", class = "ferrolmm_error_argument")
})

test_that("`ddf = \"lme4\"` is the table of lme4: sequential", {
  sleepstudy <- twin_data()$sleepstudy
  sleepstudy$f <- factor(rep(1:3, length.out = 180))
  fit <- lmm(Reaction ~ Days * f + (Days | Subject), sleepstudy)
  theirs <- anova(lme4::lmer(Reaction ~ Days * f + (Days | Subject), sleepstudy))
  ours <- anova(fit, ddf = "lme4")
  expect_equal(ours[["F value"]], theirs[["F value"]], tolerance = 1e-5)
  expect_equal(ours[["Sum Sq"]], theirs[["Sum Sq"]], tolerance = 1e-5)
  expect_named(ours, names(theirs))
  expect_identical(ours$npar, theirs$npar)
  expect_identical(anova(fit, ddf = "lme4", type = 1), ours)
  expect_error(anova(fit, ddf = "lme4", type = 3), "type I", class = "ferrolmm_error_argument")
})

test_that("models that stand in the call themselves are numbered, named ones by their names", {
  fit <- our_twin("slope")
  smaller <- suppressMessages(update(fit, . ~ . - Days))
  names <- function(...) rownames(suppressMessages(anova(...)))
  expect_identical(
    rownames(suppressMessages(do.call(anova, list(fit, smaller)))), c("model 2", "model 1")
  )
  expect_identical(names(fit, null = smaller), c("null", "fit"))
  models <- list(fit, smaller)
  expect_identical(names(models[[1]], models[[2]]), c("models[[2]]", "models[[1]]"))
  expect_identical(
    suppressMessages(anova(fit, smaller, test = "LRT")), suppressMessages(anova(fit, smaller))
  )
})

test_that("F does not depend on contrasts or the order of levels, nor do degrees of type III", {
  set.seed(7)
  d <- data.frame(
    s = gl(14, 8), a = factor(sample(letters[1:4], 112, TRUE)),
    b = factor(sample(LETTERS[1:3], 112, TRUE)), x = rnorm(112)
  )
  d$y <- rnorm(14)[d$s] + rnorm(112) + rnorm(14)[d$s] * d$x / 2 + as.integer(d$a) / 3
  turned <- d
  turned$a <- factor(as.character(d$a), c("c", "a", "d", "b"))
  turned$b <- factor(as.character(d$b), c("B", "C", "A"))
  contrasts <- list(contr.treatment, contr.sum, contr.helmert, contr.poly)
  for (formula in list(y ~ a * b + x + (x | s), y ~ a + b + a:x + (x | s))) {
    fits <- lapply(contrasts, function(f) lmm(formula, d, contrasts = list(a = f, b = f)))
    fits[[5L]] <- lmm(formula, turned)
    for (type in c("I", "II", "III")) {
      tables <- lapply(fits, anova, type = type)
      for (table in tables[-1L]) {
        expect_equal(table[["F value"]], tables[[1L]][["F value"]], tolerance = 1e-6)
        expect_identical(table$NumDF, tables[[1L]]$NumDF)
        single <- table$NumDF == 1
        expect_equal(table$DenDF[single], tables[[1L]]$DenDF[single], tolerance = 1e-5)
      }
      if (type == "III") {
        for (table in tables[2:4]) {
          expect_equal(table$DenDF, tables[[1L]]$DenDF, tolerance = 1e-5)
        }
      }
    }
  }
})
