# The fits that calls are made on: each with lmm() and with its peers. They stand in the global
# environment with their data, as a user's would: packages evaluate calls anew.

# Peers at their optimum: what differs then is the answer, not where an optimiser stopped.
tight <- lme4::lmerControl(
  optimizer = "nloptwrap", optCtrl = list(xtol_abs = 1e-10, ftol_abs = 1e-12, maxeval = 1e5),
  check.conv.grad = "ignore"
)
tight_lme <- nlme::lmeControl(
  maxIter = 500, msMaxIter = 500, tolerance = 1e-9, msTol = 1e-12, niterEM = 50
)
tight_gls <- nlme::glsControl(maxIter = 500, msMaxIter = 500, tolerance = 1e-9, msTol = 1e-12)

sleepstudy <- lme4::sleepstudy
cake <- lme4::cake
growth <- as.data.frame(nlme::Orthodont)
growth$Subject <- factor(as.character(growth$Subject))
growth$visit <- factor(growth$age)

# Twelve raters, each of ten films once; two values are missing.
ratings <- local({
  set.seed(611)
  d <- expand.grid(rater = factor(sprintf("r%02d", 1:12)), film = factor(sprintf("f%02d", 1:10)))
  d$genre <- factor(c("comedy", "drama")[1 + as.integer(d$film) %% 2])
  d$fatigue <- round(stats::runif(nrow(d), 0, 10), 1)
  d$score <- round(
    5 + (d$genre == "drama") - 0.1 * d$fatigue + stats::rnorm(12)[d$rater] +
      stats::rnorm(10, sd = 0.7)[d$film] + stats::rnorm(nrow(d), sd = 0.8), 2
  )
  d$score[c(7, 60)] <- NA
  d
})

# Terms that make columns of their own: poly(), scale(); a tibble.
doses <- local({
  set.seed(612)
  d <- data.frame(person = factor(rep(sprintf("p%02d", 1:20), each = 6)), dose = rep(0:5, 20))
  d$weight <- round(rep(stats::rnorm(20, 70, 10), each = 6), 1)
  d$arm <- factor(rep(c("new", "old"), each = 6, length.out = 120))
  d$effect <- round(
    2 + d$dose - 0.12 * d$dose^2 + 0.02 * d$weight + 0.5 * (d$arm == "new") +
      rep(stats::rnorm(20), each = 6) + stats::rnorm(120, sd = 0.5), 2
  )
  tibble::as_tibble(d)
})

# Terms whose columns depend on a group, or on the rows of the data: within_between(), ns().
clinics <- local({
  set.seed(613)
  d <- data.frame(clinic = factor(rep(sprintf("c%02d", 1:15), each = 8)))
  d$hour <- round(stats::rnorm(15, 12, 2)[d$clinic] + stats::rnorm(120), 2)
  d$age <- round(stats::runif(120, 20, 80))
  d$sex <- factor(sample(c("f", "m"), 120, TRUE))
  d$score <- round(
    3 + 0.4 * d$hour + sin(d$age / 15) + 0.5 * (d$sex == "m") + stats::rnorm(15)[d$clinic] +
      stats::rnorm(120, sd = 0.7), 2
  )
  d
})

# fits$NAME: lmm, and peers by name: the first is the one that rows compare with unless they say.
fits <- list(
  slopes = list(
    lmm = ferrolmm::lmm(Reaction ~ Days + (Days | Subject), sleepstudy),
    lmerTest = lmerTest::lmer(Reaction ~ Days + (Days | Subject), sleepstudy, control = tight),
    lme4 = lme4::lmer(Reaction ~ Days + (Days | Subject), sleepstudy, control = tight)
  ),
  cake = list(
    lmm = ferrolmm::lmm(angle ~ recipe * temperature + (1 | recipe:replicate), cake),
    lmerTest = lmerTest::lmer(
      angle ~ recipe * temperature + (1 | recipe:replicate), cake, control = tight
    ),
    lme4 = lme4::lmer(angle ~ recipe * temperature + (1 | recipe:replicate), cake, control = tight)
  ),
  crossed = list(
    lmm = ferrolmm::lmm(score ~ genre + fatigue + (1 | rater) + (1 | film), ratings),
    lmerTest = lmerTest::lmer(
      score ~ genre + fatigue + (1 | rater) + (1 | film), ratings, control = tight
    ),
    lme4 = lme4::lmer(score ~ genre + fatigue + (1 | rater) + (1 | film), ratings, control = tight)
  ),
  terms = list(
    lmm = ferrolmm::lmm(effect ~ poly(dose, 2) * arm + scale(weight) + (1 | person), doses),
    lmerTest = lmerTest::lmer(
      effect ~ poly(dose, 2) * arm + scale(weight) + (1 | person), doses, control = tight
    ),
    lme4 = lme4::lmer(
      effect ~ poly(dose, 2) * arm + scale(weight) + (1 | person), doses, control = tight
    )
  ),
  within = list(
    lmm = ferrolmm::lmm(
      score ~ within_between(hour, clinic) + ns(age, 3) + sex + (1 | clinic), clinics
    ),
    lmerTest = lmerTest::lmer(
      score ~ within_between(hour, clinic) + ns(age, 3) + sex + (1 | clinic), clinics,
      control = tight
    ),
    lme4 = lme4::lmer(
      score ~ within_between(hour, clinic) + ns(age, 3) + sex + (1 | clinic), clinics,
      control = tight
    )
  ),
  growth = list(
    lmm = ferrolmm::lmm(
      distance ~ age * Sex + (1 | Subject), growth, correlation = nlme::corAR1(form = ~ 1 | Subject)
    ),
    lme = nlme::lme(
      distance ~ age * Sex, growth, ~ 1 | Subject, nlme::corAR1(form = ~ 1 | Subject),
      control = tight_lme
    )
  ),
  visits = list(
    lmm = ferrolmm::lmm(distance ~ visit * Sex, growth, residual = ~ us(visit | Subject)),
    gls = nlme::gls(
      distance ~ visit * Sex, growth, nlme::corSymm(form = ~ as.integer(visit) | Subject),
      nlme::varIdent(form = ~ 1 | visit), control = tight_gls
    )
  )
)

# The fit without one of its fixed terms, and with the intercept alone. update(m, . ~ 1) would take
# the random effects of lmer()'s and of ours away, too.
smaller_formulas <- list(
  slopes = . ~ . - Days, cake = . ~ . - recipe:temperature, crossed = . ~ . - fatigue,
  terms = . ~ . - scale(weight), within = . ~ . - sex, growth = . ~ . - age:Sex,
  visits = . ~ . - visit:Sex
)
smaller <- function(m, ...) update(m, smaller_formulas[[fit_name]], ...)
intercept_formulas <- list(
  slopes = . ~ 1 + (Days | Subject), cake = . ~ 1 + (1 | recipe:replicate),
  crossed = . ~ 1 + (1 | rater) + (1 | film), terms = . ~ 1 + (1 | person),
  within = . ~ 1 + (1 | clinic),
  growth = . ~ 1 + (1 | Subject), visits = . ~ 1
)
intercept_only <- function(m, ...) {
  update(m, if (inherits(m, c("lme", "gls"))) . ~ 1 else intercept_formulas[[fit_name]], ...)
}

# What a call in a row may use besides m: the function that fits.
fitters <- list(lmm = ferrolmm::lmm, lmerTest = lmerTest::lmer, lme4 = lme4::lmer)

# The data of each fit.
data_of <- list(
  slopes = sleepstudy, cake = cake, crossed = stats::na.omit(ratings), terms = doses,
  within = clinics, growth = growth, visits = growth
)
