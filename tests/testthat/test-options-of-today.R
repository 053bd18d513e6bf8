# No option that is set after a fit changes what is said of it.

changed_options <- list(
  contrasts = list(contrasts = c("contr.sum", "contr.helmert")),
  na.action = list(na.action = "na.fail"),
  large = list(scipen = 100), small = list(scipen = -100), comma = list(OutDec = ","),
  few = list(digits = 3)
)

methods_of_today <- list(
  predict = function(fit, new) predict(fit, new),
  interval = function(fit, new) predict(fit, new, interval = "prediction"),
  part = function(fit, new) predict(fit, new, re.form = ~ (o || g)),
  simulate = function(fit, new) simulate(fit, 2, seed = 1),
  summary = function(fit, new) unclass(coef(summary(fit))),
  type1 = function(fit, new) anova(fit, type = 1)[["F value"]],
  type2 = function(fit, new) anova(fit, type = 2, ddf = "Kenward-Roger")[["F value"]],
  car = function(fit, new) car::Anova(fit, type = 3)[["F value"]],
  add1 = function(fit, new) add1(fit, ~ . + x)[["F value"]],
  added = function(fit, new) add1(fit, ~ . + x, test = "Chisq")$AIC,
  drop1 = function(fit, new) drop1(fit)[["F value"]],
  dropped = function(fit, new) drop1(fit, test = "Chisq")$AIC,
  ranova = function(fit, new) ranova(fit)$LRT,
  update = function(fit, new) c(fixef(update(fit, . ~ . + x)), logLik(update(fit, REML = FALSE))),
  coef = function(fit, new) coef(fit)$g,
  vcov = function(fit, new) vcov(fit),
  matrices = function(fit, new) list(getME(fit, "X"), getME(fit, "mmList")),
  confint = function(fit, new) as.vector(confint(fit, parm = 2, method = "Wald")),
  profile = function(fit, new) as.data.frame(profile(fit, which = 1))[[".zeta"]],
  contest = function(fit, new) contest(fit, "ab - ac = 0")[["Pr(>F)"]],
  influence = function(fit, new) influence(fit, "g", update = "none")$coefficients,
  refit = function(fit, new) fixef(refit(fit, fitted(fit) + seq_len(nobs(fit)) %% 7)),
  emmeans = function(fit, new) {
    as.data.frame(emmeans::emmeans(fit, "a", lmer.df = "asymptotic"))$emmean
  },
  effects = function(fit, new) as.vector(effects::Effect("a", fit)$fit),
  pooling = function(fit, new) coef(lmList(fit))
)

answers <- function(fit, new) {
  lapply(methods_of_today, function(f) suppressMessages(f(fit, new)))
}

fit_data <- local({
  n <- 120
  noise <- sin(seq_len(n)^2)
  d <- data.frame(
    g = factor(rep(1:12, 10)), a = factor(letters[seq_len(n) %% 3 + 1]),
    o = ordered(seq_len(n) %/% 3 %% 3), x = cos(seq_len(n)^3)
  )
  effect <- sin(3 * (1:12)^3)[d$g]
  d$y <- 3 * noise + effect * (2 + as.integer(d$o)) + as.integer(d$a)
  d
})

for (name in names(changed_options)) {
  test_that(paste("an option of today changes no answer:", name), {
    skip_if_not_installed("car")
    skip_if_not_installed("emmeans")
    skip_if_not_installed("effects")
    fit <- suppressMessages(lmm(y ~ a + o + (o || g), fit_data))
    before <- answers(fit, fit_data[1:9, ])
    others <- options(changed_options[[name]])
    now <- tryCatch(answers(fit, fit_data[1:9, ]), finally = options(others))
    expect_equal(now, before, tolerance = 1e-7)
  })
}

test_that("rows with missing values stay out, whatever na.action is today", {
  skip_if_not_installed("effects")
  d <- fit_data
  d$x[c(3, 50)] <- NA
  d$y[7] <- NA
  fit <- suppressMessages(lmm(y ~ a + x + (o || g), d))
  read <- function() {
    suppressMessages(list(
      add1(fit, ~ . + I(x^2))[["F value"]], logLik(update(fit, . ~ . - a)),
      as.vector(effects::Effect("a", fit)$fit), drop1(fit, test = "Chisq")$AIC
    ))
  }
  before <- read()
  others <- options(na.action = "na.fail", contrasts = c("contr.sum", "contr.helmert"))
  on.exit(options(others))
  expect_equal(read(), before)
  expect_identical(nobs(update(fit, . ~ . - x - a, na.action = na.omit)), 119L)
})

evaluated <- function(fit, ..., env = parent.frame()) {
  eval(update(fit, ..., evaluate = FALSE), env)
}

for (name in names(changed_options)) {
  test_that(paste("a call that is not evaluated keeps the options of the fit:", name), {
    d <- fit_data
    d$id <- as.integer(d$g) * 1e5 + 0.25
    random <- list(~ (1 | g), ~ (o || g), ~ (a | g), ~ (1 | format(id)))
    for (part in random) {
      formula <- stats::update(y ~ a + x, as.formula(paste(
        ". ~ . +", deparse1(part[[2L]])
      )))
      fit <- suppressMessages(suppressWarnings(lmm(formula, d)))
      expect_identical(names(update(fit, REML = FALSE, evaluate = FALSE)),
                       c("", "formula", "data", "REML"))
      asked <- suppressMessages(suppressWarnings(update(fit, . ~ . - x)))
      others <- options(changed_options[[name]])
      again <- tryCatch(suppressMessages(suppressWarnings(evaluated(fit, . ~ . - x))),
                        finally = options(others))
      expect_equal(fixef(again), fixef(asked))
      expect_identical(again$theta, asked$theta)
      expect_identical(ranef(again, condVar = FALSE), ranef(asked, condVar = FALSE))
      # and once more, from the fit of that call
      others <- options(changed_options[[name]])
      again <- tryCatch(suppressMessages(suppressWarnings(evaluated(again, . ~ .))),
                        finally = options(others))
      expect_identical(again$theta, asked$theta)
    }
  })
}

test_that("the options of a fit come in lmm_control(), beside those that the user gave", {
  d <- fit_data
  fit <- lmm(y ~ a + x + (1 | g), d)
  given <- lmm_control(starts = 1)
  stored <- lmm(y ~ a + x + (1 | g), d, control = given)
  written <- ferrolmm::lmm(y ~ a + x + (1 | g), d, control = ferrolmm::lmm_control(starts = 1))
  others <- options(contrasts = c("contr.sum", "contr.helmert"), na.action = "na.fail")
  on.exit(options(others))
  call <- update(fit, . ~ . - x, evaluate = FALSE)
  expect_identical(call$control$options, others[c("contrasts", "na.action")])
  expect_identical(call$control[[1L]], quote(lmm_control))
  expect_no_warning(eval(update(fit, . ~ . - a, evaluate = FALSE)))
  call <- update(stored, evaluate = FALSE)
  expect_identical(call$control$starts, 1L)
  expect_equal(fixef(eval(call)), fixef(fit))
  call <- update(written, evaluate = FALSE)
  expect_equal(fixef(eval(call)), fixef(fit))
  own <- lmm(y ~ a + x + (1 | g), d, contrasts = list(a = "contr.helmert"))
  expect_identical(fixef(eval(update(own, . ~ ., evaluate = FALSE))), fixef(own))
  # what update() is told goes before what the fit had
  d$x[3] <- NA
  fit <- lmm(y ~ a + x + (1 | g), d, na.action = na.omit)
  call <- update(fit, na.action = na.exclude, evaluate = FALSE)
  expect_length(fitted(eval(call)), 120L)
})

test_that("options of lmm_control() hold while the model is built, and no longer", {
  before <- getOption("contrasts")
  control <- lmm_control(options = list(contrasts = c("contr.sum", "contr.poly")))
  fit <- suppressMessages(lmm(y ~ a + (o || g), fit_data, control = control))
  expect_identical(getOption("contrasts"), before)
  others <- options(contrasts = c("contr.sum", "contr.poly"))
  asked <- tryCatch(suppressMessages(lmm(y ~ a + (o || g), fit_data)), finally = options(others))
  expect_identical(fixef(fit), fixef(asked))
  expect_identical(fit$theta, asked$theta)
  expect_match(format(control), "options of R: +`contrasts`", all = FALSE)
  expect_error(lmm_control(options = list(width = 80)), "`width`, which a fit does not read",
               class = "ferrolmm_error_argument")
  expect_error(lmm_control(options = "contr.sum"), "names each option once",
               class = "ferrolmm_error_argument")
  expect_error(lmm_control(options = list(digits = -5)), "R does not accept",
               class = "ferrolmm_error_argument")
})

test_that("step() codes the factors of all terms as the fit did", {
  fit <- suppressMessages(lmm(y ~ a + x + (o || g), fit_data, REML = FALSE))
  asked <- suppressMessages(step(fit, trace = 0))
  others <- options(contrasts = c("contr.sum", "contr.helmert"))
  on.exit(options(others))
  now <- suppressMessages(step(fit, trace = 0))
  expect_identical(logLik(now), logLik(asked))
  expect_identical(fixef(now), fixef(asked))
})

test_that("the type of a test may be a number, however numbers are printed", {
  fit <- lmm(y ~ a + x + (1 | g), fit_data)
  others <- options(scipen = -100)
  on.exit(options(others))
  for (type in 1:3) {
    expect_identical(anova(fit, type = as.double(type)), anova(fit, type = strrep("I", type)))
  }
  expect_error(anova(fit, type = 4), "`type` must be", class = "ferrolmm_error_argument")
  expect_error(anova(fit, type = c(1, 2)), "`type` must be", class = "ferrolmm_error_argument")
})
