# What ours does not take yet, or answers otherwise than it should. See rows.R.

open_row("nlme", c("qqnorm*", "gls: qqnorm"), "qqnorm() of a fit, as nlme has it, is not written.")
open_row("nlme", c("plot of a formula", "plot, *", "gls: plot of a formula"),
  "plot() of a fit by a formula is not written."
)
open_row("lattice", c("plot, *", "plot of quantiles", "plot by group", "qqmath*"),
  "plot() of a fit by a formula and qqmath() of a fit are not written."
)
open_row("nlme", c("ranef, augFrame", "coef, augFrame"), "augFrame is not an argument of ours.")
open_row("nlme", c("anova, L", "anova, Terms"), "anova() takes no L and no Terms; contest() does.")
open_row("nlme", "gls: intervals", "which = \"coef\", gls()'s word for \"fixed\", is not known.")
open_row("nlme", "compareFits",
  "coef() is a list by grouping factor, which compareFits() cannot take."
)
open_row("nlme", c("corMatrix", "parameters of corStruct", "Dim", "VarCorr", "print of VarCorr"),
  "They read parts of nlme's objects; no object of ours stands for them."
)
open_row("parameters", "degrees_of_freedom", "One value, not one for each coefficient.")
open_row("parameters", c("select_parameters", "p_calibrate"), "There is no method for it.")
open_row("performance", "check_heteroscedasticity",
  "Another p than with lme() and gls(); it is not shown yet which residuals are right.",
  on = c("growth", "visits")
)
open_row("sjstats", c("cv", "cv_error"), "sjstats asks for parts that only lme4's fits have.")
open_row("lmerTest", "plot of step", "plot() of the result of step() fails.")
open_row("ggeffects", "*", "Versions of ggeffects from 1 to 2 ask a fit in several ways.")
open_row("lme4", "profile, columns", "The table of a profile has a column less than lme4's.")
open_row("lme4", "devfun", "update() has no devFunOnly: the criterion is getME(fit, \"devfun\").")
open_row("sjPlot", "tab_model, standardised", "The table has a number more than lmer's.")
