# Reading times: a 2 x 2 experiment with crossed participants and items, from raw trials to the
# sentences of a results section.
library(dplyr)
library(tidyr)
library(ggplot2)
library(emmeans)
library(effects)
library(ggeffects)
library(car)
library(performance)
library(broom.mixed)
library(sjPlot)
library(effectsize)
library(purrr)

## Trials: is a sentence read faster after a related prime, and does that depend on its length?
set.seed(2718)
people <- tibble(
  participant = sprintf("P%02d", 1:28), speed = rnorm(28, 0, 0.18), gain = rnorm(28, 0, 0.05),
  age = round(runif(28, 18, 60))
)
sentences <- tibble(
  item = sprintf("S%02d", 1:24), ease = rnorm(24, 0, 0.08),
  length = rep(c("long", "short"), each = 12)
)
trials <- crossing(participant = people$participant, item = sentences$item) |>
  left_join(people, by = "participant") |>
  left_join(sentences, by = "item") |>
  mutate(
    prime = if_else((as.integer(factor(participant)) + as.integer(factor(item))) %% 2 == 0,
                    "related", "unrelated"),
    log_rt = 6.9 + speed + ease + 0.3 * (length == "long") + 0.002 * (age - 40) -
      (0.08 + gain) * (prime == "related") - 0.05 * (prime == "related" & length == "long") +
      rnorm(n(), 0, 0.22),
    rt = exp(log_rt)
  ) |>
  mutate(across(c(participant, item, length, prime), factor))
trials$rt[sample(nrow(trials), 30)] <- NA

## Cleaning: lapses and outliers of each participant
clean <- trials |>
  filter(!is.na(rt), rt > 200) |>
  group_by(participant) |>
  filter(abs(rt - mean(rt)) < 2.5 * sd(rt)) |>
  ungroup() |>
  mutate(log_rt = log(rt), age_c = as.numeric(scale(age, scale = FALSE)))
descriptives <- clean |>
  group_by(prime, length) |>
  summarise(n = n(), mean = mean(rt), sd = sd(rt), .groups = "drop")

## Sum coding, random intercepts and slopes
contrasts(clean$prime) <- contr.sum(2)
contrasts(clean$length) <- contr.sum(2)
m_base <- lmer(log_rt ~ age_c + (1 | participant) + (1 | item), data = clean, REML = FALSE)
m_main <- update(m_base, . ~ . + prime + length)
m_full <- update(m_main, . ~ . + prime:length)
comparison <- anova(m_base, m_main, m_full)
model <- lmer(
  log_rt ~ prime * length + age_c + (1 + prime | participant) + (1 | item), data = clean
)
intercepts <- lmer(log_rt ~ prime * length + age_c + (1 | participant) + (1 | item), data = clean)
slopes <- anova(intercepts, model, refit = FALSE)
random <- ranova(intercepts)

## Tests, effects and simple effects
type3 <- anova(model)
wald <- Anova(model, type = 3)
cells <- emmeans(model, ~ prime | length)
simple <- contrast(cells, "pairwise", adjust = "holm")
interaction_contrast <- contrast(emmeans(model, ~ prime * length), interaction = "pairwise")
milliseconds <- emmeans(model, ~ prime * length, tran = "log", type = "response")
d <- eff_size(cells, sigma = sigma(model), edf = df.residual(model))
eta <- F_to_eta2(type3$"F value", df = type3$NumDF, df_error = type3$DenDF)
shown <- as.data.frame(Effect(c("prime", "length"), model))
predicted <- ggpredict(model, terms = c("age_c [-15, 0, 15]", "prime"))

## Checks
collinear <- check_collinearity(model)
r2 <- r2(model)
icc <- icc(model)
outliers <- sum(abs(residuals(model, scaled = TRUE)) > 3)
inflation <- vif(model)

## Tables and pictures
estimates <- tidy(model, effects = "fixed", conf.int = TRUE)
spread <- tidy(model, effects = "ran_pars")
fits <- map(list(base = m_base, main = m_main, full = m_full), glance) |> bind_rows(.id = "model")
by_participant <- coef(model)$participant |>
  tibble::rownames_to_column("participant") |>
  arrange(participant)
picture <- plot_model(model, type = "pred", terms = c("prime", "length"))
forest <- plot_model(model)
residual_plot <- ggplot(augment(model), aes(.fitted, .resid)) +
  geom_point(alpha = 0.3) +
  facet_wrap(~prime)
table <- tab_model(model, show.icc = FALSE)$page.content

results <- list(
  descriptives = descriptives, comparison = comparison, slopes = slopes, random = random,
  coefficients = coef(summary(model)), type3 = type3, wald = wald, cells = summary(cells),
  simple = summary(simple), interaction = summary(interaction_contrast),
  milliseconds = summary(milliseconds), d = summary(d), eta = eta, effects = shown,
  predicted = as.data.frame(predicted), collinear = as.data.frame(collinear), r2 = r2, icc = icc,
  outliers = outliers, inflation = inflation, estimates = estimates, spread = spread, fits = fits,
  by_participant = by_participant, picture = picture, forest = forest,
  residual_plot = residual_plot, table = table
)
