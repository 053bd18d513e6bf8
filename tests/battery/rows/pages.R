# Tables, pages of reports, resampling, and what other packages make of a fit in passing (item 7).

calls("xtable", on = c("slopes", "cake"),
  "of coefficients" = capture.output(print(xtable::xtable(coef(summary(m)))))[-(1:2)],
  "of anova" = xtable::xtable(anova(m)),
  "of a fit" = xtable::xtable(m),
  "of VarCorr" = xtable::xtable(as.data.frame(VarCorr(m)))
)
calls("knitr", on = c("slopes", "cake"),
  "kable of coefficients" = as.character(knitr::kable(coef(summary(m)), digits = 3)),
  "kable of anova" = as.character(knitr::kable(anova(m), digits = 3)),
  "kable of ranef" = as.character(knitr::kable(ranef(m)[[1]], digits = 2)),
  "kable of VarCorr" = as.character(knitr::kable(as.data.frame(VarCorr(m)), digits = 3))
)
calls("knitr", on = names(fits), kind = "runs",
  "knit_print" = knitr::knit_print(m),
  "knit_print of a summary" = knitr::knit_print(summary(m)),
  "knit_print of anova" = knitr::knit_print(anova(m))
)
calls("kableExtra", on = "slopes",
  "kbl" = nchar(as.character(kableExtra::kbl(round(coef(summary(m)), 2)))) > 0
)
calls("flextable", on = c("slopes", "cake"), kind = "runs",
  "as_flextable" = flextable::as_flextable(m)
)
calls("flextable", on = c("slopes", "cake"),
  "flextable of coefficients" = flextable::flextable(as.data.frame(coef(summary(m))))$body$dataset,
  "as_flextable, data" = flextable::as_flextable(m)$body$dataset
)
calls("prediction", on = c("slopes", "cake"), peer = "lme4",
  "prediction" = as.data.frame(prediction::prediction(m))$fitted,
  "mean" = prediction::mean_or_mode(model.frame(m)[[1]])
)
calls("prediction", on = "slopes", peer = "lme4",
  "prediction at" = summary(prediction::prediction(m, at = list(Days = c(0, 5))))$Prediction
)
few <- function(d) fixef(fitter(Reaction ~ Days + (1 | Subject), d))
calls("furrr", on = "slopes",
  "fits of halves" = unlist(furrr::future_map(
    split(sleepstudy, rep(1:2, 90)), few, .options = furrr::furrr_options(seed = TRUE)
  ))
)
# The mean prediction for the groups that are left out.
left_out <- function(split) {
  fit <- fitter(Reaction ~ Days + (1 | Subject), rsample::analysis(split))
  mean(predict(fit, newdata = rsample::assessment(split), allow.new.levels = TRUE))
}
calls("rsample", on = "slopes",
  "bootstraps" = {
    set.seed(1)
    lapply(rsample::bootstraps(sleepstudy, times = 2)$splits, function(s) few(rsample::analysis(s)))
  },
  "left-out groups" = {
    set.seed(1)
    lapply(rsample::group_vfold_cv(sleepstudy, group = "Subject", v = 3)$splits, left_out)
  }
)
calls("rstatix", on = "cake",
  "Anova table" = rstatix::get_anova_table(anova(m)),
  "tukey" = nrow(rstatix::emmeans_test(cake, angle ~ recipe, model = m))
)
calls("afex", on = "cake",
  "afex_plot" = afex::afex_plot(m, x = "temperature", trace = "recipe", id = "replicate"),
  "afex_plot, means" =
    afex::afex_plot(m, x = "temperature", id = "replicate", return = "data")$means,
  "nice" = afex::nice(m),
  "all_fit" = length(afex::all_fit(m, verbose = FALSE)) > 0
)
calls("doBy", on = c("slopes", "cake"),
  "esticon" = as.data.frame(doBy::esticon(m, diag(length(fixef(m)))[2, , drop = FALSE])),
  "linest" = as.data.frame(coef(doBy::linest(m, doBy::LE_matrix(m)))),
  "LSmeans" = as.data.frame(coef(doBy::LSmeans(m, effect = if (fit_name == "cake") "recipe"))),
  "LE_matrix" = as.matrix(doBy::LE_matrix(m, effect = if (fit_name == "cake") "recipe"))
)
calls("ggplot2", on = "slopes", peer = "lme4",
  "fortify" = ggplot2::fortify(m)[, c(".fitted", ".resid")],
  "fortify.merMod" = lme4::fortify.merMod(m)[, c(".fitted", ".resid")],
  "ggplot of a fit" = ggplot2::ggplot(m, ggplot2::aes(.fitted, .resid)) + ggplot2::geom_point(),
  "autoplot" = class(tryCatch(ggplot2::autoplot(m), error = function(e) "none"))[1] == "x"
)
