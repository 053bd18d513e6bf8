# lme4's own functions and conventions (item 8).

pieces <- c(
  "X", "Z", "Zt", "Ztlist", "mmList", "y", "mu", "u", "b", "Gp", "Tp", "L", "Lambda", "Lambdat",
  "Lind",
  "RX", "RZX", "sigma", "flist", "fixef", "beta", "theta", "ST", "REML", "is_REML", "n_rtrms",
  "n_rfacs",
  "N", "n", "p", "q", "p_i", "l_i", "q_i", "k", "m_i", "m", "cnms", "devcomp", "offset", "lower",
  "A",
  "par", "weights"
)
# The order in which CHOLMOD eliminates columns differs from run to run, for lmer() too: factors are
# compared by their products
get_piece <- function(m, name) {
  x <- lme4::getME(m, name)
  if (methods::is(x, "CHMfactor")) {
    back <- order(x@perm)
    return(as.matrix(Matrix::tcrossprod(methods::as(x, "Matrix")))[back, back])
  }
  if (name == "RZX") crossprod(as.matrix(x)) else x
}
add_rows(
  "lme4",
  stats::setNames(
    lapply(pieces, function(piece) call("get_piece", quote(m), piece)), paste("getME", pieces)
  ),
  c("slopes", "cake", "crossed"), "lme4", NULL, "values"
)
calls("lme4", on = c("slopes", "cake", "crossed", "terms"), peer = "lme4",
  "fixef, ranef, VarCorr" = list(lme4::fixef(m), lme4::ranef(m), as.data.frame(lme4::VarCorr(m))),
  "ranef as a table" = as.data.frame(ranef(m)),
  "ranef, condVar" = lapply(ranef(m, condVar = TRUE), attr, "postVar"),
  "ranef, drop" = ranef(m, drop = TRUE),
  "coef" = coef(m),
  "VarCorr, order" = as.data.frame(VarCorr(m), order = "lower.tri"),
  "print of VarCorr" = capture.output(print(lme4::VarCorr(m), comp = c("Variance", "Std.Dev."))),
  "isSingular" = lme4::isSingular(m),
  "isREML, isLMM" = c(lme4::isREML(m), lme4::isLMM(m), lme4::isGLMM(m), lme4::isNLMM(m)),
  "ngrps" = lme4::ngrps(m),
  "REMLcrit" = lme4::REMLcrit(m),
  "rePCA" = lapply(lme4::rePCA(m), function(p) p$sdev),
  "findbars" = length(lme4::findbars(formula(m))),
  "nobars" = lme4::nobars(formula(m)),
  "subbars" = length(all.vars(lme4::subbars(formula(m)))),
  "anova of two" = as.data.frame(anova(m, smaller(m))),
  "drop1, Chisq" = as.data.frame(drop1(m, test = "Chisq")),
  "refitML" = as.numeric(logLik(lme4::refitML(m))),
  "refit" = fixef(lme4::refit(m, simulate(fits[[fit_name]]$lme4, seed = 1)[[1]])),
  "update" = fixef(intercept_only(m)),
  "update, REML" = fixef(update(m, REML = FALSE)),
  "simulate, rows" = dim(simulate(m, 2, re.form = NA)),
  "simulate, seed" = simulate(m, 1, seed = 1),
  "simulate, several" = simulate(m, 3, seed = 1),
  "simulate, several conditional" = simulate(m, 3, seed = 1, use.u = TRUE),
  "simulate, conditional" = simulate(m, 1, seed = 1, re.form = NULL),
  "predict, newparams" =
    predict(m, newparams = list(beta = 2 * fixef(m), theta = lme4::getME(m, "theta"), sigma = 1)),
  "predict, newparams, population" = predict(
    m, newparams = list(beta = 2 * fixef(m), theta = lme4::getME(m, "theta"), sigma = 1),
    re.form = NA
  ),
  "predict, random only" = predict(m, random.only = TRUE),
  "confint, Wald" = confint(m, method = "Wald", parm = "beta_"),
  "vcov, correlation" = as.matrix(stats::cov2cor(as.matrix(vcov(m)))),
  "vcov, full" = dim(as.matrix(vcov(m))),
  "llikAIC" = lme4::llikAIC(m)$AICtab,
  "methTitle" = lme4::methTitle(lme4::getME(m, "devcomp")$dims),
  "na.action" = as.integer(na.action(m)),
  "hatvalues" = as.numeric(hatvalues(m)),
  "summary, parts" = unclass(summary(m))[c("ngrps", "sigma", "AICtab")],
  "summary, vcov" = as.matrix(summary(m)$vcov),
  "summary, varcor" = as.data.frame(summary(m)$varcor),
  "checkConv" = length(lme4::fixef(m))
)
calls("lme4", on = "slopes", peer = "lme4",
  "bootMer" = dim(lme4::bootMer(m, fixef, nsim = 2, seed = 1)$t),
  "bootMer, use.u" = lme4::bootMer(m, fixef, nsim = 2, seed = 1, use.u = TRUE)$t,
  "confint, profile" = confint(update(m, REML = FALSE), method = "profile", quiet = TRUE),
  "confint, default" = confint(m, quiet = TRUE),
  "confint, boot" = dim(confint(m, method = "boot", nsim = 10, quiet = TRUE)),
  "profile, columns" = names(as.data.frame(profile(m, which = "beta_"))),
  "profile, confint" = confint(profile(m, which = "beta_")),
  "cooks.distance" = as.numeric(cooks.distance(m)),
  "influence" = cooks.distance(influence(m, "Subject")),
  "allFit" = length(lme4::allFit(m, verbose = FALSE)) > 0,
  "devfun" = update(m, devFunOnly = TRUE)(c(1, 0, 1)),
  "devfun2" = lme4::devfun2(m)(c(1, 0, 1, 25)),
  "predict, se" = predict(m, se.fit = TRUE),
  "predict, new group" =
    predict(m, newdata = data.frame(Days = 3, Subject = "new"), allow.new.levels = TRUE),
  "predict, newdata and re.form" =
    predict(m, newdata = head(sleepstudy, 2), re.form = ~ (1 | Subject)),
  "update, ." = fixef(update(m, . ~ . + I(Days^2))),
  "lmList" = coef(lme4::lmList(Reaction ~ Days | Subject, sleepstudy)),
  "getL" = dim(lme4::getL(m)),
  "simulate, formula" =
    dim(simulate(~ Days + (Days | Subject), newdata = sleepstudy,
      nsim = 1, seed = 1, family = gaussian, newparams = list(beta = c(250,
      10), theta = c(1, 0, 1), sigma = 25))),
  "simulate, newparams" =
    simulate(m, 1, seed = 1, newparams = list(beta = c(1, 2), theta = c(1, 0, 1), sigma = 1)),
  "anova of mixed classes" = as.data.frame(anova(m, stats::lm(Reaction ~ Days, sleepstudy))),
  "fortify" = names(lme4::fortify.merMod(m))[1:2],
  "refit, new response" = fixef(lme4::refit(m, newresp = sleepstudy$Reaction * 2)),
  "pvalues" = dim(coef(summary(m)))[1],
  "terms as data" = dim(get_all_vars(formula(m), sleepstudy)),
  "vcconv" = lme4::Vv_to_Cv(lme4::sdcor2cov(matrix(c(2, 0.5, 0.5, 3), 2))),
  "model.matrix, data" = dim(model.matrix(m, type = "fixed"))
)
