test_that("the design is lme4's, to the bit: one grouping factor", {
  skip_if_not_installed("lme4")
  ss <- lme4::sleepstudy
  for (f in list(
    Reaction ~ Days + (Days | Subject), Reaction ~ Days + (Days || Subject),
    Reaction ~ 1 + (0 + Days | Subject), Reaction ~ poly(Days, 2) + (poly(Days, 2) | Subject),
    scale(Reaction) ~ splines::ns(Days, 3) + (1 | Subject),
    log(Reaction) ~ (Days > 4) * Days + (Days - 1 | Subject) + (1 | Subject),
    Reaction ~ 0 + ordered(Days) + ((1 | Subject) + (0 + Days | Subject))
  )) {
    expect_same_design(f, ss)
  }
})

test_that("the design is lme4's, to the bit: nested and crossed factors", {
  skip_if_not_installed("lme4")
  expect_same_design(diameter ~ 1 + (1 | plate) + (1 | sample), lme4::Penicillin)
  expect_same_design(diameter ~ 1 + (1 | sample) + (1 | plate), lme4::Penicillin)
  expect_same_design(strength ~ 1 + (1 | batch / cask), lme4::Pastes)
  expect_same_design(strength ~ 1 + (1 | batch) + (1 | batch:cask), lme4::Pastes)
  expect_same_design(strength ~ 1 + (1 | sample) + (1 | batch), lme4::Pastes)
  expect_same_design(angle ~ recipe * temperature + (1 | recipe:replicate), lme4::cake)
  expect_same_design(angle ~ recipe * temp + (temp | replicate / recipe), lme4::cake)
  expect_same_design(angle ~ temp + (recipe * temp | replicate), lme4::cake)
  expect_same_design(angle ~ temp + (temp || replicate / recipe), lme4::cake)
  expect_same_design(score ~ Machine + (1 | Worker / Machine), nlme::Machines)
  expect_same_design(score ~ Machine + (0 + Machine | Worker), nlme::Machines,
                     contrasts = list(Machine = "contr.sum"))
  expect_same_design(score ~ C(Machine, contr.sum) + (Machine | Worker), nlme::Machines)
  expect_same_design(yield ~ nitro * Variety + (1 | Block / Variety), nlme::Oats)
  d <- expand.grid(a = factor(1:3), b = factor(1:4), c = factor(1:2), r = 1:3)
  d$y <- cos(seq_len(nrow(d)))
  expect_same_design(y ~ 1 + (1 | a / b / c), d)
  expect_same_design(y ~ 1 + (1 | c) + (1 | b) + (1 | a), d)
  expect_same_design(y ~ 1 + (1 | c) + (1 | b:a) + (1 | r), d[-(1:5), ])
})

test_that("the design is lme4's, to the bit: grouping variables of every type", {
  skip_if_not_installed("lme4")
  d <- lme4::sleepstudy
  d$int <- as.integer(d$Subject)
  d$dbl <- d$int * 1e5
  d$frac <- d$int / 3
  d$chr <- as.character(d$Subject)
  d$lgl <- d$Days > 4
  d$three <- factor(d$int %% 3, levels = 3:0)
  d$date <- as.Date("2020-02-01") + d$int
  for (g in c("int", "dbl", "frac", "chr", "lgl", "three", "chr:three", "three:lgl", "int:three",
              "date")) {
    expect_same_design(stats::as.formula(paste("Reaction ~ Days + (Days |", g, ")")), d)
  }
  d$chr[3:5] <- NA
  d$Days[9] <- NA
  expect_same_design(Reaction ~ Days + (Days | chr), d)
})

test_that("more data sets, as lme4", {
  skip_on_cran()
  skip_if_not_installed("lme4")
  expect_same_design(distance ~ age * Sex + (age | Subject), nlme::Orthodont)
  expect_same_design(height ~ poly(age, 2) + (poly(age, 2) | Subject), nlme::Oxboys)
  expect_same_design(weight ~ Time * Diet + (Time | Rat), nlme::BodyWeight)
  skip_if_not_installed("MASS")
  expect_same_design(Y ~ N * V + (1 | B / V), MASS::oats)
  skip_if_not_installed("mlmRev")
  expect_same_design(normexam ~ standLRT * sex + (standLRT | school), mlmRev::Exam)
  expect_same_design(math ~ year + (year | childid) + (1 | schoolid), mlmRev::egsingle[1:500, ])
  star <- droplevels(mlmRev::star[1:600, ])
  expect_same_design(math ~ gr + sx * eth + (1 | id) + (1 | sch), star)
})

test_that("double bars split factors into independent columns", {
  random <- front_end(score ~ Machine + (Machine || Worker), nlme::Machines)$random
  expect_identical(unname(unlist(random$cnms)), c("(Intercept)", "MachineB", "MachineC"))
  expect_identical(names(random$cnms), rep("Worker", 3L))
  expect_identical(random$lower, c(0, 0, 0))
  expect_identical(
    vapply(random$terms, function(t) t$label, ""),
    c("1 | Worker", "0 + MachineB | Worker", "0 + MachineC | Worker")
  )
  together <- front_end(score ~ Machine + (Machine | Worker), nlme::Machines)$random
  columns <- lapply(random$design$terms, function(t) t$columns[[1L]])
  expect_identical(columns, together$design$terms[[1L]]$columns)
})

test_that("diag() is one term with a diagonal structure", {
  random <- front_end(score ~ Machine + diag(Machine | Worker), nlme::Machines)$random
  expect_identical(random$design$terms[[1L]]$structure, "diag")
  expect_identical(random$theta_names, paste0("Worker.", random$cnms[[1L]]))
  expect_identical(random$lower, c(0, 0, 0))
})

test_that("names of theta are lme4's", {
  skip_if_not_installed("lme4")
  fit <- suppressMessages(
    lme4::lmer(angle ~ temp + (recipe | replicate) + (1 | recipe:replicate), lme4::cake,
               control = lme4::lmerControl(calc.derivs = FALSE))
  )
  ours <- front_end(angle ~ temp + (recipe | replicate) + (1 | recipe:replicate), lme4::cake)
  expect_identical(ours$random$theta_names, names(lme4::getME(fit, "theta")))
})

test_that("grouping expressions are variables", {
  d <- data.frame(y = sin(1:24), x = 1:24, a = rep(1:4, 6), b = rep(letters[1:3], each = 8))
  levels_of <- function(formula) base::levels(front_end(formula, d)$random$flist[[1L]])
  expect_identical(levels_of(y ~ 1 + (1 | factor(a))), as.character(1:4))
  expect_identical(levels_of(y ~ 1 + (1 | interaction(a, b))), levels(interaction(d$a, d$b)))
  expect_identical(levels_of(y ~ 1 + (1 | cut(x, 3))), levels(cut(d$x, 3)))
  expect_identical(levels_of(y ~ 1 + (1 | b %in% c("a", "b"))), c("FALSE", "TRUE"))
  expect_identical(levels_of(y ~ 1 + (1 | x > 5)), c("FALSE", "TRUE"))
  expect_identical(levels_of(y ~ 1 + (1 | a %in% b)), levels(factor(paste(d$a, d$b, sep = ":"))))
})

test_that("levels that only look missing are levels", {
  d <- data.frame(y = sin(1:12), g = addNA(factor(rep(c("a", "b", NA), 4))))
  random <- front_end(y ~ 1 + (1 | g), d)$random
  expect_identical(levels(random$flist$g), c("a", "b", "<NA>"))
})

test_that("interaction labels that collide are told apart", {
  d <- data.frame(y = sin(1:12), a = rep(c("p:q", "p"), 6), b = rep(c("r", "q:r"), 6))
  d$b[1:4] <- c("q:r", "r", "q:r", "r")
  random <- front_end(y ~ 1 + (1 | a:b), d)$random
  expect_identical(random$nl, 4L)
  expect_false(anyDuplicated(levels(random$flist[[1L]])) > 0L)
})

test_that("two spellings of one interaction are one factor", {
  d <- expand.grid(a = factor(1:3), b = factor(1:4), r = 1:3)
  d$y <- cos(seq_len(nrow(d)))
  d$x <- sin(seq_len(nrow(d)))
  random <- front_end(y ~ x + (1 | a:b) + (0 + x | b:a), d)$random
  expect_length(random$flist, 1L)
  expect_identical(attr(random$flist, "assign"), c(1L, 1L))
})

test_that("a term that another contains is dropped with a warning", {
  d <- data.frame(y = sin(1:40), x = cos(1:40), g = rep(1:5, 8), h = rep(1:4, 10))
  dropped <- function(formula, kept) {
    expect_warning(fe <- front_end(formula, d), class = "ferrolmm_warning_duplicate_term")
    expect_identical(vapply(fe$random$terms, function(t) t$label, ""), kept)
  }
  dropped(y ~ x + (1 | g) + (1 | g), "1 | g")
  dropped(y ~ x + (1 | g) + (x | g), "x | g")
  dropped(y ~ x + (x | g) + (1 | h) + (1 | g), c("x | g", "1 | h"))
  dropped(y ~ x + (x || g) + (1 | g), c("1 | g", "0 + x | g"))
  dropped(y ~ x + (x | g) + diag(x | g), "x | g")
  d$same <- factor(d$g, labels = c("v", "u", "z", "y", "x"))
  dropped(y ~ x + (1 | g) + (1 | same), "1 | g")
  expect_warning(front_end(y ~ x + (1 | g) + (1 | same), d), "`same` and `g` group the rows")
  dropped(y ~ x + (1 | same) + (x | g), "x | g")
  d$other <- d$g
  d$other[39] <- 1
  expect_no_warning(front_end(y ~ x + (1 | g) + (1 | other), d))
  expect_no_warning(front_end(y ~ x + (1 | g) + (0 + x | same), d))
  expect_no_warning(front_end(y ~ x + (1 | g) + (0 + x | g) + (1 | h), d))
})

test_that("grouping factors that cannot be used are named", {
  d <- data.frame(y = sin(1:20), x = cos(1:20), one = 1, obs = 1:20, g = rep(1:10, 2))
  bad <- function(formula, pattern, ...) {
    expect_error(front_end(formula, d, ...), pattern, class = "ferrolmm_error_grouping")
  }
  bad(y ~ x + (1 | one), "`one` has only one level")
  bad(y ~ x + (1 | one / g), "`one` has only one level")
  bad(y ~ x + (1 | g), "`g` has only one level", subset = g == 2)
  bad(y ~ x + (1 | obs), "`obs` has as many levels \\(20\\)")
  d$two <- rep(0:1, each = 10)
  bad(y ~ two + (two | g), "\\(two \\| g\\) has 20 random effects for 20 observations")
  bad(y ~ x + (1 | cbind(g, obs)), "is a matrix")
  expect_error(front_end(y ~ x + (0 | g), d), "no random effects",
               class = "ferrolmm_error_formula")
})

test_that("the brute-force oracle agrees with lme4's deviance function", {
  skip_if_not_installed("lme4")
  d <- lme4::sleepstudy
  d$w <- rep(c(1, 2, 0.5), 60)
  d$o <- d$Days^2
  formula <- Reaction ~ Days + (Days | Subject) + (1 | Days)
  ours <- front_end(formula, d, weights = w, offset = o)
  for (reml in c(TRUE, FALSE)) {
    theirs <- lme4::lmer(formula, d, weights = w, offset = o, REML = reml, devFunOnly = TRUE)
    for (theta in list(c(1, 0, 1, 1), c(0.8, 0.1, 0.3, 0.2))) {
      brute <- brute_force(
        theta, ours$fixed$y, ours$fixed$X, ours$random$design, ours$fixed$weights,
        ours$fixed$offset, reml
      )
      expect_equal(brute$criterion, theirs(theta), tolerance = 1e-10)
      expect_equal(brute$pwrss, brute$wrss + brute$ussq, tolerance = 1e-9)
    }
  }
})

test_that("a term that is repeated often is one warning", {
  bars <- paste(rep("(1 | Subject)", 30), collapse = " + ")
  formula <- as.formula(paste("Reaction ~ Days +", bars))
  seen <- character()
  fit <- withCallingHandlers(lmm(formula, lme4::sleepstudy), warning = function(w) {
    seen <<- c(seen, conditionMessage(w))
    invokeRestart("muffleWarning")
  })
  expect_length(seen, 1L)
  expect_match(seen, "all 29 times")
  expect_length(fit$theta, 1L)
})
