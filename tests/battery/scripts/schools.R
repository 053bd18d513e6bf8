# Exam marks of pupils in schools: how alike are pupils of one school, what is within and what is
# between schools, do slopes vary, and does the kind of school explain it?
library(mlmRev)
library(dplyr)
library(lattice)
library(insight)
library(performance)
library(parameters)
library(datawizard)
library(emmeans)
library(multcomp)
library(lmtest)
library(pbkrtest)
library(broom.mixed)
library(flextable)
library(boot)

data(Exam, package = "mlmRev")
schools <- Exam |>
  filter(as.integer(school) <= 40) |>
  droplevels() |>
  mutate(pupil = row_number())

## The empty model and what it says of schools
empty <- lmer(normexam ~ 1 + (1 | school), data = schools)
parts <- as.data.frame(VarCorr(empty))
by_hand <- parts$vcov[1] / sum(parts$vcov)
by_package <- icc(empty)
design_effect <- 1 + (nrow(schools) / ngrps(empty)[["school"]] - 1) * by_hand
versus_lm <- 2 * (logLik(update(empty, REML = FALSE)) - logLik(lm(normexam ~ 1, schools)))

## Intake: grand mean, school mean, deviation from it
schools <- schools |>
  group_by(school) |>
  mutate(intake_mean = mean(standLRT), intake_dev = standLRT - intake_mean) |>
  ungroup() |>
  mutate(intake_gm = standLRT - mean(standLRT))
split <- demean(as.data.frame(schools), "standLRT", "school")
same <- all.equal(split$standLRT_within, schools$intake_dev, check.attributes = FALSE)

grand <- lmer(normexam ~ intake_gm + sex + (1 | school), schools, REML = FALSE)
hybrid <- lmer(normexam ~ intake_dev + intake_mean + sex + (1 | school), schools, REML = FALSE)
contextual <- anova(grand, hybrid)
by_lrtest <- lrtest(grand, hybrid)

## Random slopes
slopes <- lmer(
  normexam ~ intake_dev + intake_mean + sex + (intake_dev | school), schools, REML = FALSE
)
independent <- lmer(
  normexam ~ intake_dev + intake_mean + sex + (intake_dev || school), schools, REML = FALSE
)
random_part <- anova(hybrid, independent, slopes)
explained <- 1 - sigma(slopes)^2 / sigma(empty)^2
pseudo <- r2(slopes)

## Cross-level interaction: does the slope depend on the kind of school?
cross <- lmer(
  normexam ~ intake_dev * schgend + intake_mean + sex + (intake_dev | school), data = schools
)
tests <- anova(cross)
tests_kr <- anova(cross, ddf = "Kenward-Roger")
trends <- emtrends(cross, pairwise ~ schgend, var = "intake_dev")
means <- emmeans(cross, ~ schgend, at = list(intake_dev = c(-1, 0, 1)))
kinds <- glht(
  cross, linfct = mcp(schgend = "Tukey", interaction_average = TRUE, covariate_average = TRUE)
)
kinds_z <- unname(coef(kinds) / sqrt(diag(vcov(kinds))))
small <- update(cross, . ~ . - intake_dev:schgend)
bootstrap_test <- PBmodcomp(
  update(cross, REML = FALSE), update(small, REML = FALSE), nsim = 20, seed = 5
)
kenward <- KRmodcomp(cross, small)

## Variance function of intake: what schools differ by, at each level of intake
covariance <- as.matrix(VarCorr(cross)$school)[1:2, 1:2]
at <- seq(-2, 2, by = 0.5)
between <- vapply(at, function(x) drop(c(1, x) %*% covariance %*% c(1, x)), 0)

## Schools in order, with intervals that account for what is known of each
modes <- ranef(cross, condVar = TRUE)
league <- as.data.frame(modes) |>
  filter(term == "(Intercept)") |>
  arrange(grp) |>
  mutate(lower = condval - 1.96 * condsd, upper = condval + 1.96 * condsd)
outstanding <- sum(league$lower > 0 | league$upper < 0)
caterpillar <- dotplot(modes)$school
quantiles <- qqmath(modes)$school

## Everything for the paper
parameters_table <- model_parameters(cross, ci_method = "satterthwaite", effects = "fixed")
variance <- get_variance(cross)
interval <- confint(cross, parm = "beta_", method = "Wald")
checked <- c(singular = isSingular(cross), rows = nobs(cross))
influence_of_schools <- cooks.distance(influence(empty, groups = "school"))
standardised <- standardize_parameters(cross, method = "basic")
paper <- flextable(tidy(cross, effects = "fixed")) |> colformat_double(digits = 2)
set.seed(11)
booted <- bootMer(empty, FUN = function(m) as.numeric(fixef(m)), nsim = 5, seed = 3)
percentiles <- quantile(booted$t, c(0.1, 0.9))

results <- list(
  parts = parts, by_hand = by_hand, by_package = by_package, design_effect = design_effect,
  versus_lm = as.numeric(versus_lm), same = same, contextual = contextual, lrtest = by_lrtest,
  random_part = random_part, explained = explained, pseudo = pseudo, tests = tests,
  tests_kr = tests_kr, trends = summary(trends), means = summary(means), kinds_z = kinds_z,
  bootstrap = bootstrap_test$test$stat[1], kenward = kenward$test, between = between,
  league = league, outstanding = outstanding, caterpillar = caterpillar, quantiles = quantiles,
  parameters = as.data.frame(parameters_table), variance = variance, interval = interval,
  checked = checked, influence = unname(influence_of_schools),
  standardised = as.data.frame(standardised), paper = paper$body$dataset,
  centre = booted$t0, percentiles = dim(booted$t)
)
