# Tidying and what is built on it: broom, broom.mixed, broom.helpers, mice, mitml (item 1).

# With the rows in an order of their own: lme4 2.0 has another one than lme4 1.1.
by_term <- function(x) {
  x <- as.data.frame(x)
  keys <- intersect(c("effect", "group", "Group", "term", "Parameter"), names(x))
  x <- x[do.call(order, unname(lapply(x[keys], as.character))), ]
  row.names(x) <- NULL
  x
}

calls("broom.mixed", on = c("slopes", "cake", "crossed", "terms", "growth", "visits"),
  "tidy" = by_term(broom.mixed::tidy(m)),
  "glance" = broom.mixed::glance(m),
  "augment" = broom.mixed::augment(m),
  "tidy, fixed" = broom.mixed::tidy(m, effects = "fixed", conf.int = TRUE)
)
calls("broom.mixed", on = c("slopes", "cake", "crossed", "terms", "growth"),
  "tidy, ran_pars" = by_term(broom.mixed::tidy(m, effects = "ran_pars")),
  "tidy, ran_vals" = broom.mixed::tidy(m, effects = "ran_vals"),
  "tidy, ran_coefs" = broom.mixed::tidy(m, effects = "ran_coefs")
)
calls("broom.mixed", on = c("slopes", "cake"),
  "tidy, ran_pars as variances" =
    by_term(broom.mixed::tidy(m, effects = "ran_pars", scales = "vcov")),
  "tidy, several effects" = by_term(broom.mixed::tidy(m, effects = c("fixed", "ran_pars"))),
  "tidy, ran_vals with intervals" = broom.mixed::tidy(m, effects = "ran_vals", conf.int = TRUE),
  "tidy, level" = broom.mixed::tidy(m, effects = "fixed", conf.int = TRUE, conf.level = 0.9),
  "tidy, Kenward-Roger" =
    broom.mixed::tidy(m, effects = "fixed", ddf.method = "Kenward-Roger", conf.int = TRUE)
)
calls("broom.mixed", on = "slopes",
  "tidy, profile" =
    by_term(broom.mixed::tidy(m, effects = "ran_pars", conf.int = TRUE, conf.method = "profile")),
  "tidy, fixed by profile" =
    broom.mixed::tidy(m, effects = "fixed", conf.int = TRUE, conf.method = "profile"),
  "tidy, order of rows" = broom.mixed::tidy(m, effects = "ran_pars")$term,
  "augment, new rows" = broom.mixed::augment(m, newdata = sleepstudy[1:5, ]),
  "augment, data" = broom.mixed::augment(m, data = sleepstudy),
  "get_methods" = nrow(broom.mixed::tidy(m, effects = "ran_pars", ran_prefix = c("s", "r")))
)
calls("broom", on = c("slopes", "cake"),
  "tidy of anova" = broom::tidy(anova(m)),
  "generics' tidy" = by_term(generics::tidy(m)),
  "generics' glance" = generics::glance(m),
  "generics' augment" = nrow(generics::augment(m)),
  "tidy of glht" =
    broom::tidy(multcomp::glht(m, linfct = diag(length(fixef(m)))[2, , drop = FALSE])),
  "tidy of emmeans" = broom::tidy(emmeans::emmeans(m, ~ 1))
)
calls("broom.helpers", on = c("slopes", "cake", "crossed", "terms"),
  "tidy_plus_plus" = by_term(broom.helpers::tidy_plus_plus(m)),
  "model_get_model_frame" = dim(broom.helpers::model_get_model_frame(m)),
  "model_get_terms" = attr(broom.helpers::model_get_terms(m), "term.labels"),
  "model_list_variables" = as.data.frame(broom.helpers::model_list_variables(m)),
  "model_get_n" = as.data.frame(broom.helpers::model_get_n(m)),
  "tidy_all_effects" = as.data.frame(broom.helpers::tidy_all_effects(m)),
  "tidy_parameters" = by_term(broom.helpers::tidy_parameters(m)),
  "tidy_with_broom_or_parameters" =
    by_term(broom.helpers::tidy_with_broom_or_parameters(m))
)

imputed <- local({
  d <- sleepstudy
  set.seed(3)
  d$Reaction[sample(180, 20)] <- NA
  if (nzchar(system.file(package = "mice"))) {
    suppressWarnings(mice::mice(d, m = 3, maxit = 1, printFlag = FALSE, seed = 1))
  }
})
calls("mice", on = "slopes",
  "pool" = mice::pool(with(imputed, fitter(Reaction ~ Days + (1 | Subject))))$pooled,
  "summary of pool" =
    as.data.frame(summary(mice::pool(with(imputed, fitter(Reaction ~ Days + (1 | Subject)))),
      conf.int = TRUE)),
  "D1" = {
    f1 <- with(imputed, fitter(Reaction ~ Days + (1 | Subject)))
    f0 <- with(imputed, fitter(Reaction ~ 1 + (1 | Subject)))
    mice::D1(f1, f0)$result
  },
  "D2" = {
    f1 <- with(imputed, fitter(Reaction ~ Days + (1 | Subject)))
    f0 <- with(imputed, fitter(Reaction ~ 1 + (1 | Subject)))
    mice::D2(f1, f0)$result
  },
  "D3" = {
    f1 <- with(imputed, fitter(Reaction ~ Days + (1 | Subject), REML = FALSE))
    f0 <- with(imputed, fitter(Reaction ~ 1 + (1 | Subject), REML = FALSE))
    mice::D3(f1, f0)$result
  },
  "anova of mira" = anova(
    with(imputed, fitter(Reaction ~ Days + (1 | Subject))),
    with(imputed, fitter(Reaction ~ 1 + (1 | Subject)))
  )$out$`1 ~~ 2`$result,
  "tidy of pool" =
    as.data.frame(mice::tidy(mice::pool(with(imputed, fitter(Reaction ~ Days + (1 | Subject)))))),
  "getfit" = length(mice::getfit(with(imputed, fitter(Reaction ~ Days + (1 | Subject)))))
)
# A fit for each imputed table.
each <- function(formula, ...) {
  lapply(mice::complete(imputed, "all"), function(d) fitter(formula, data = d, ...))
}
with_days <- Reaction ~ Days + (1 | Subject)
no_days <- Reaction ~ 1 + (1 | Subject)
with_slopes <- Reaction ~ Days + (Days | Subject)
no_mean <- Reaction ~ 1 + (Days | Subject)
calls("mitml", on = "slopes", peer = "lme4", also = "mice",
  "testEstimates" = mitml::testEstimates(each(with_days))$estimates,
  "testEstimates, variances" = mitml::testEstimates(each(with_days), extra.pars = TRUE)$extra.pars,
  "testModels" = mitml::testModels(each(with_days), each(no_days))$test,
  "testModels, D2" = mitml::testModels(each(with_days), each(no_days), method = "D2")$test,
  "testModels, D3" = mitml::testModels(
    each(with_days, REML = FALSE), each(no_days, REML = FALSE), method = "D3"
  )$test,
  "testModels, D3 of slopes" = mitml::testModels(
    each(with_slopes, REML = FALSE), each(no_mean, REML = FALSE), method = "D3"
  )$test,
  "testModels, D4" = mitml::testModels(
    each(with_days, REML = FALSE), each(no_days, REML = FALSE), method = "D4", ariv = "positive",
    data = mice::complete(imputed, "all")
  )$test,
  "testModels, D4 of slopes" = mitml::testModels(
    each(with_slopes, REML = FALSE), each(no_mean, REML = FALSE), method = "D4", ariv = "positive",
    data = mice::complete(imputed, "all")
  )$test,
  "testConstraints" = mitml::testConstraints(each(with_days), constraints = "Days - 10")$test,
  "confint" = confint(mitml::testEstimates(each(with_days)))
)
