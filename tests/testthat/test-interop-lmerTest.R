row_space <- function(L) {
  q <- qr.Q(qr(t(unname(L))))
  q %*% t(q)
}

## The same call of a generic of 'lmerTest' on fits of lmm() and lmerTest::lmer() of one formula
expect_same_steps <- function(formula, data, ..., labels = TRUE) {
  ours <- suppressWarnings(suppressMessages(lmerTest::step(lmm(formula, data), ...)))
  control <- lme4::lmerControl(optCtrl = list(xtol_abs = 1e-10, ftol_abs = 1e-12, maxeval = 1e4))
  # step() of 'lmerTest' evaluates the call again among its callers
  theirs <- suppressWarnings(suppressMessages(
    lmerTest::step(do.call(lmerTest::lmer, list(formula, data, control = control)), ...)
  ))
  for (part in c("random", "fixed")) {
    mine <- in_order(ours[[part]])
    wanted <- in_order(theirs[[part]])
    if (labels) expect_identical(rownames(mine), rownames(wanted))
    expect_identical(names(mine), names(wanted))
    expect_equal(mine, wanted, tolerance = 1e-4, ignore_attr = TRUE)
    expect_identical(attr(ours[[part]], "heading"), attr(theirs[[part]], "heading"))
  }
  expect_equal(fixef_of(ours), fixef_of(theirs), tolerance = 1e-4)
  invisible(ours)
}

## What was eliminated, in its order; what stays, by its statistic
in_order <- function(table) {
  table <- as.data.frame(table)
  statistic <- table[[if ("LRT" %in% names(table)) "LRT" else "F value"]]
  stays <- table$Eliminated %in% 0
  table[c(which(!stays), which(stays)[order(statistic[stays])]), ]
}

fixef_of <- function(step) {
  model <- lmerTest::get_model(step)
  if (inherits(model, "lmm")) return(fixef(model))
  if (inherits(model, "lm")) coef(model) else lme4::fixef(model)
}

ham_data <- function() {
  e <- new.env()
  utils::data(list = "ham", package = "lmerTest", envir = e)
  as.list(e)
}

test_that("step() takes the steps of 'lmerTest' and prints its table", {
  skip_if_not_installed("lmerTest")
  ham <- ham_data()$ham
  steps <- expect_same_steps(
    Informed.liking ~ Product * Information + (1 | Consumer) + (1 | Product:Consumer) +
      (1 | Information:Consumer),
    ham
  )
  printed <- capture.output(print(steps))
  expect_match(printed, "Backward reduced random-effect table", all = FALSE)
  expect_match(printed, "Product + Information + (1 | Consumer)", fixed = TRUE, all = FALSE)
  expect_s3_class(lmerTest::get_model(steps), "lmm")
})

test_that("step() takes slopes, parts of (x || g) and a/b, and whole random parts away", {
  skip_if_not_installed("lmerTest")
  d <- twin_data()
  sleepstudy <- d$sleepstudy
  set.seed(3)
  sleepstudy$noise <- stats::rnorm(nrow(sleepstudy))
  sleepstudy$`no group` <- factor(rep(1:12, 15))
  expect_same_steps(Reaction ~ Days + noise + (Days + noise || Subject), sleepstudy,
                    labels = FALSE)
  expect_same_steps(Reaction ~ Days + noise + (Days | Subject) + (1 | `no group`), sleepstudy)
  expect_same_steps(angle ~ recipe * temperature + (1 | replicate / recipe), d$cake)
  # 'lmerTest' cannot go on from lm() with the name of this column
  sleepstudy$nothing <- sleepstudy$`no group`
  last <- expect_same_steps(noise ~ Days + late + (1 | nothing), sleepstudy)
  expect_s3_class(lmerTest::get_model(last), "lm")
  expect_same_steps(
    Reaction ~ Days + noise + (Days | Subject), sleepstudy, reduce.random = FALSE, keep = "noise"
  )
  expect_same_steps(
    Reaction ~ Days * late + noise + (Days | Subject), sleepstudy, ddf = "Kenward-Roger",
    alpha.fixed = 0.2
  )
})

test_that("step() keeps structures of random effects and of residuals", {
  skip_if_not_installed("lmerTest")
  d <- as.data.frame(nlme::Orthodont)
  set.seed(5)
  d$noise <- stats::rnorm(nrow(d))
  # the intercept and the residual structure say the same
  fit <- suppressWarnings(
    lmm(distance ~ age + noise + diag(age | Subject), d, residual = ~ cs(1 | Subject))
  )
  found <- suppressWarnings(lmerTest::step(fit, alpha.random = 1e-300))
  model <- lmerTest::get_model(found)
  expect_length(model$random, 0L)
  expect_identical(labels(model), "age")
  expect_equal(
    as.numeric(logLik(model)),
    as.numeric(logLik(nlme::gls(
      distance ~ age, d, correlation = nlme::corCompSymm(form = ~ 1 | Subject)
    ))),
    tolerance = 1e-6
  )
})

test_that("step() says what it cannot do", {
  skip_if_not_installed("lmerTest")
  fit <- our_twin("slope")
  expect_error(lmerTest::step(fit, keep = "Dayz"), "Days", class = "ferrolmm_error_argument")
  expect_error(lmerTest::step(fit, ddf = "none"), "p-values", class = "ferrolmm_error_argument")
  expect_error(lmerTest::step(fit, alpha.fixed = 5), "0 to 1", class = "ferrolmm_error_argument")
  expect_error(lmerTest::step(fit, direction = 2), "no argument", class = "ferrolmm_error_argument")
  d <- as.data.frame(nlme::Orthodont)
  d$noise <- c(NA, sin(seq_len(nrow(d) - 1L)))
  expect_error(
    lmerTest::step(lmm(distance ~ age + noise + (1 | Subject), d)), "108 rows, not 107",
    class = "ferrolmm_error_data"
  )
})

test_that("show_tests() shows the hypotheses of anova() and drop1()", {
  skip_if_not_installed("lmerTest")
  ham <- ham_data()$ham
  formula <- Informed.liking ~ Product * Information + (1 | Consumer) + (1 | Product:Consumer)
  fit <- lmm(formula, ham)
  theirs <- lmerTest::lmer(formula, ham)
  for (type in c("I", "II", "III", "marginal")) {
    ours <- anova(fit, type = type)
    wanted <- anova(theirs, type = type)
    expect_equal(as.data.frame(ours), as.data.frame(wanted), tolerance = 1e-4, ignore_attr = TRUE)
    expect_identical(attr(ours, "heading"), attr(wanted, "heading"))
    mine <- lmerTest::show_tests(ours)
    hypotheses <- lmerTest::show_tests(wanted)
    expect_identical(names(mine), names(hypotheses))
    expect_identical(lapply(mine, rownames), lapply(hypotheses, rownames))
    for (term in names(mine)) {
      expect_identical(colnames(mine[[term]]), colnames(hypotheses[[term]]))
      # one hypothesis, whatever the basis of its rows
      expect_equal(row_space(mine[[term]]), row_space(hypotheses[[term]]), tolerance = 1e-8)
    }
  }
  expect_equal(
    row_space(lmerTest::show_tests(drop1(fit))[[1L]]),
    row_space(lmerTest::show_tests(drop1(theirs))[[1L]]), tolerance = 1e-8
  )
})
