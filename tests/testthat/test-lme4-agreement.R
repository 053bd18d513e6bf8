## Ours against lme4, run here on the same data: helper-lme4.R says what has to agree.

dataset <- function(name, package) {
  found <- new.env()
  utils::data(list = name, package = package, envir = found)
  as.data.frame(found[[name]])
}
agrees <- function(label, formula, data, package, args = list(), prepare = identity, ...) {
  test_that(paste("same as lme4:", label), {
    skip_if_not_installed("lme4")
    skip_if_not_installed(package)
    expect_agrees(formula, prepare(dataset(data, package)), args, ...)
  })
}
## nlme's factors are ordered by their responses, which would give polynomial contrasts.
plain_factors <- function(d) {
  for (v in names(d)) if (is.ordered(d[[v]])) d[[v]] <- factor(d[[v]], ordered = FALSE)
  d
}

# One grouping factor, intercepts ------------------------------------------------------------------
agrees("Dyestuff", Yield ~ 1 + (1 | Batch), "Dyestuff", "lme4")
agrees("Dyestuff, ML", Yield ~ 1 + (1 | Batch), "Dyestuff", "lme4", args = alist(REML = FALSE))
agrees("Dyestuff2, a variance of zero", Yield ~ 1 + (1 | Batch), "Dyestuff2", "lme4")
agrees("Rail", travel ~ 1 + (1 | Rail), "Rail", "nlme", prepare = plain_factors)
agrees("petrol, n barely above p", Y ~ SG + VP + V10 + EP + (1 | No), "petrol", "MASS")
agrees("npk", yield ~ N * P * K + (1 | block), "npk", "MASS")
agrees("Gcsemv, missing values", course ~ gender + written + (1 | school), "Gcsemv", "mlmRev")

# Slopes -------------------------------------------------------------------------------------------
agrees("sleepstudy", Reaction ~ Days + (Days | Subject), "sleepstudy", "lme4")
agrees("sleepstudy, ML", Reaction ~ Days + (Days | Subject), "sleepstudy", "lme4",
  args = alist(REML = FALSE)
)
agrees("sleepstudy, ||", Reaction ~ Days + (Days || Subject), "sleepstudy", "lme4")
agrees("sleepstudy, two terms", Reaction ~ Days + (1 | Subject) + (0 + Days | Subject),
  "sleepstudy", "lme4",
  args = alist(REML = FALSE)
)
agrees("sleepstudy, slope only", Reaction ~ Days + (0 + Days | Subject), "sleepstudy", "lme4")
agrees("Orthodont", distance ~ age * Sex + (age | Subject), "Orthodont", "nlme",
  prepare = plain_factors
)
agrees("Oxboys, quadratic", height ~ age + I(age^2) + (age + I(age^2) | Subject), "Oxboys", "nlme",
  prepare = plain_factors
)
agrees("Oxboys, poly()", height ~ poly(age, 2) + (age | Subject), "Oxboys", "nlme",
  prepare = plain_factors
)
agrees("Exam", normexam ~ standLRT + (standLRT | school), "Exam", "mlmRev")
agrees("Hsb82", mAch ~ meanses * cses + sector + (cses | school), "Hsb82", "mlmRev")
agrees("nlschools", lang ~ IQ + SES + COMB + (IQ | class), "nlschools", "MASS")
agrees("Sitka", size ~ Time * treat + (Time | tree), "Sitka", "MASS",
  prepare = function(d) transform(d, Time = Time / 100)
)

# Nested and crossed -------------------------------------------------------------------------------
agrees("Pastes, nested", strength ~ 1 + (1 | batch / cask), "Pastes", "lme4")
agrees("Oats, nested", yield ~ nitro + (1 | Block / Variety), "Oats", "nlme",
  prepare = plain_factors
)
agrees("oats, split plot, ML", Y ~ V * N + (1 | B / V), "oats", "MASS", args = alist(REML = FALSE))
agrees("Machines", score ~ Machine + (1 | Worker) + (1 | Worker:Machine), "Machines", "nlme",
  prepare = plain_factors
)
agrees("Machines, a factor's slopes", score ~ Machine + (Machine | Worker), "Machines", "nlme",
  prepare = plain_factors
)
agrees("Machines, 0 + factor, ML", score ~ Machine + (0 + Machine | Worker), "Machines", "nlme",
  prepare = plain_factors, args = alist(REML = FALSE)
)
agrees("Pixel", pixel ~ day + I(day^2) + (day | Dog) + (1 | Side:Dog), "Pixel", "nlme",
  prepare = plain_factors
)
agrees("Penicillin", diameter ~ 1 + (1 | plate) + (1 | sample), "Penicillin", "lme4")
agrees("Penicillin, ML", diameter ~ 1 + (1 | plate) + (1 | sample), "Penicillin", "lme4",
  args = alist(REML = FALSE)
)
agrees("ScotsSec", attain ~ verbal * sex + (1 | primary) + (1 | second), "ScotsSec", "mlmRev")
agrees("Chem97", score ~ gcsecnt + (1 | lea / school), "Chem97", "mlmRev")
agrees("egsingle", math ~ year * size + (year | childid) + (1 | schoolid), "egsingle", "mlmRev")
agrees("InstEval, crossed", y ~ service + (1 | s) + (1 | d) + (1 | dept:service),
  "InstEval", "lme4",
  prepare = function(d) droplevels(d[as.integer(d$s) <= 400L, ])
)

test_that("lower than lme4: all effects of two factors random, in subjects and in items", {
  skip_if_not_installed("lme4")
  set.seed(1)
  d <- expand.grid(item = 1:16, subj = 1:60)
  cell <- (d$item + d$subj) %% 4
  d$a <- c(-0.5, -0.5, 0.5, 0.5)[cell + 1]
  d$b <- c(-0.5, 0.5, -0.5, 0.5)[cell + 1]
  x <- cbind(1, d$a, d$b, d$a * d$b)
  subjects <- matrix(rnorm(4 * 60), 60) %*% diag(c(120, 40, 35, 45))
  items <- matrix(rnorm(4 * 16), 16) %*% diag(c(60, 25, 30, 20))
  d$y <- 600 + rowSums(x * subjects[d$subj, ]) + rowSums(x * items[d$item, ]) +
    rnorm(nrow(d), 0, 200)
  ## lme4 1.1-31 stops 0.92 above the optimum, without a word about convergence.
  fit <- expect_agrees(
    y ~ a * b + (1 + a * b | subj) + (1 + a * b | item), d,
    lower = utils::packageVersion("lme4") == "1.1.31"
  )
  expect_true(isSingular(fit))
})

# Weights, offsets, contrasts, rank ----------------------------------------------------------------
agrees("cbpp, weights", incidence / size ~ period + (1 | herd), "cbpp", "lme4",
  args = alist(weights = size)
)
agrees("sleepstudy, weights with a slope, ML", Reaction ~ Days + (Days | Subject), "sleepstudy",
  "lme4",
  args = alist(weights = 1 + Days, REML = FALSE)
)
agrees("sleepstudy, offset in the formula", Reaction ~ Days + offset(3 * Days) + (Days | Subject),
  "sleepstudy", "lme4"
)
agrees("sleepstudy, offset as an argument", Reaction ~ Days + (1 | Subject), "sleepstudy", "lme4",
  args = alist(offset = 10 * Days)
)
agrees("sleepstudy, subset", Reaction ~ Days + (Days | Subject), "sleepstudy", "lme4",
  args = alist(subset = Days > 1)
)
agrees("cake, ordered factor", angle ~ recipe * temperature + (1 | recipe:replicate),
  "cake", "lme4"
)
agrees("ergoStool, sum contrasts", effort ~ Type + (1 | Subject), "ergoStool", "nlme",
  prepare = plain_factors, args = alist(contrasts = list(Type = "contr.sum"))
)
agrees("rank-deficient", Reaction ~ Days + I(2 * Days) + I(Days^2) + (Days | Subject), "sleepstudy",
  "lme4"
)
