# Biomass of plots in meadows: covariates, candidate models by AIC, a chosen one with its checks,
# predictions with bands and the repeatability of meadows.
library(lme4)
library(dplyr)
library(ggplot2)
library(bbmle)
library(car)
library(performance)
library(parameters)
library(datawizard)
library(ggeffects)
library(sjPlot)
library(broom.mixed)
library(emmeans)
library(multcomp)
library(lattice)

## A survey: 14 meadows, each with 6 to 12 plots in two years; wetter meadows are mown later.
set.seed(1859)
meadow <- data.frame(
  meadow = sprintf("meadow %d", 1:14), altitude = round(runif(14, 300, 1500)),
  use = rep(c("pasture", "hay", "fallow"), length.out = 14), level = rnorm(14, 0, 35)
)
survey <- meadow[rep(1:14, sample(6:12, 14, TRUE)), ] |>
  group_by(meadow) |>
  mutate(plot = paste0(meadow, ".", row_number())) |>
  ungroup()
survey <- bind_rows(mutate(survey, year = 2021), mutate(survey, year = 2022))
plots <- setNames(rnorm(length(unique(survey$plot)), 0, 20), unique(survey$plot))
survey <- survey |>
  mutate(
    moisture = runif(n(), 10, 60), nitrogen = rgamma(n(), 4, 0.4) + 0.1 * moisture,
    biomass = 320 + level + plots[plot] - 0.06 * altitude + 2.1 * moisture + 3 * nitrogen +
      40 * (use == "hay") - 15 * (year == 2022) + rnorm(n(), 0, 45)
  ) |>
  dplyr::select(-level)
survey$use <- relevel(factor(survey$use), "pasture")
survey$year <- factor(survey$year)
survey$meadow <- factor(survey$meadow)

## Standardised predictors, and the full model
scaled <- standardise(survey, select = c("altitude", "moisture", "nitrogen"))
full <- lmer(
  biomass ~ moisture + nitrogen + altitude + use + year + (1 | meadow / plot), data = scaled,
  REML = FALSE
)
inflation <- vif(full)
single <- drop1(full, test = "Chisq")

## Candidate models
candidates <- list(
  null = lmer(biomass ~ 1 + (1 | meadow / plot), scaled, REML = FALSE),
  water = update(full, . ~ . - nitrogen - altitude - use - year),
  soil = update(full, . ~ . - altitude - use - year),
  soil_use = update(full, . ~ . - altitude - year),
  full = full
)
aic <- AICtab(candidates, base = TRUE, weights = TRUE, sort = FALSE)
corrected <- vapply(candidates, function(m) AICc(m, nobs = nobs(m)), 0)
ranked <- with(candidates, compare_performance(
  null, water, soil, soil_use, full, metrics = c("AIC", "BIC", "R2", "RMSE")
))
kept <- formula(candidates[[which.min(vapply(candidates, AIC, 0))]])

## The chosen model, by REML
final <- lmer(
  biomass ~ moisture + nitrogen + use + year + (1 | meadow / plot), data = scaled, REML = TRUE
)
table <- model_parameters(final, effects = "all", ci_random = FALSE)
uses <- emmeans(final, "use")
letters_of_uses <- cld(uses, Letters = letters)
tukey <- glht(final, linfct = mcp(use = "Tukey"))
tukey_intervals <- confint(tukey)$confint[, "Estimate"]
tested <- Anova(final, type = 2)
hypothesis <- linearHypothesis(final, "moisture = nitrogen")

## Variances: what meadows, plots and years have
variances <- as.data.frame(VarCorr(final))
repeatability <- variances$vcov[variances$grp == "meadow"] / sum(variances$vcov)
intervals <- confint(final, parm = "theta_", method = "profile", oldNames = FALSE)
r_squared <- r2_nakagawa(final)
shared <- icc(final, by_group = TRUE)
effects_of_meadows <- as.data.frame(ranef(final)) |> filter(grp %in% levels(survey$meadow))

## Checks
heteroscedastic <- check_heteroscedasticity(final)
normal <- shapiro.test(residuals(final))
singular <- check_singularity(final)
far <- which(abs(residuals(final, type = "pearson", scaled = TRUE)) > 2.5)
leverage <- range(hatvalues(final))

## Pictures
caterpillar <- dotplot(ranef(final, condVar = TRUE))$meadow
bands <- ggpredict(final, terms = c("moisture [all]", "use"))
curve <- plot_model(final, type = "pred", terms = c("moisture", "use"))
coefficients_plot <- plot_model(final, sort.est = TRUE, show.values = TRUE)
grid <- expand.grid(moisture = seq(-2, 2), use = levels(scaled$use))
grid$year <- factor("2021", levels = levels(scaled$year))
grid$nitrogen <- 0
grid$biomass <- predict(final, newdata = grid, re.form = NA)
lines <- ggplot(grid, aes(moisture, biomass, colour = use)) +
  geom_line()
simulated <- simulate(final, nsim = 2, seed = 4)
refitted <- refit(final, scaled$biomass + 10)

results <- list(
  inflation = inflation, single = single, aic = unclass(aic), corrected = corrected,
  ranked = as.data.frame(ranked)[c("Name", "AIC", "BIC", "R2_conditional", "R2_marginal", "RMSE")],
  kept = kept, table = as.data.frame(table), uses = summary(uses),
  letters = as.data.frame(letters_of_uses), tukey = coef(tukey), tukey_intervals = tukey_intervals,
  tested = tested, hypothesis = hypothesis, variances = variances, repeatability = repeatability,
  intervals = intervals, r_squared = r_squared, shared = shared, modes = effects_of_meadows,
  heteroscedastic = as.numeric(heteroscedastic), normal = normal$p.value,
  singular = as.logical(singular), far = unname(far), leverage = leverage,
  caterpillar = caterpillar, bands = as.data.frame(bands), curve = curve,
  coefficients_plot = coefficients_plot, lines = lines, sizes = dim(simulated),
  shift = fixef(refitted) - fixef(final), tidy = tidy(final), glance = glance(final)
)
