# Packages that read lme4's slots or ask for its class, on the fit and on what as_lmerMod() makes of
# it (item 6).

as_mer <- function(m) if (inherits(m, "lmm")) ferrolmm::as_lmerMod(m) else m

calls("merTools", on = c("slopes", "cake"), peer = "lme4", kind = "runs",
  "REsim" = merTools::REsim(m, n.sims = 20),
  "FEsim" = merTools::FEsim(m, n.sims = 20),
  "predictInterval" =
    merTools::predictInterval(m, newdata = head(data_of[[fit_name]], 3), n.sims = 20),
  "plotREsim" = merTools::plotREsim(merTools::REsim(m, n.sims = 20)),
  "plotFEsim" = merTools::plotFEsim(merTools::FEsim(m, n.sims = 20)),
  "modelInfo" = merTools::modelInfo(m),
  "fastdisp" = merTools::fastdisp(m),
  "expectedRank" = merTools::expectedRank(m),
  "draw" = merTools::draw(m, type = "average"),
  "REextract" = merTools::REextract(m),
  "REcorrExtract" = merTools::REcorrExtract(m),
  "RMSE.merMod" = merTools::RMSE.merMod(m),
  "averageObs" = merTools::averageObs(m)
)
calls("merTools", on = c("slopes", "cake"), peer = "lme4",
  "converted: REsim" = {
    set.seed(1)
    merTools::REsim(as_mer(m), n.sims = 20)
  },
  "converted: FEsim" = {
    set.seed(1)
    merTools::FEsim(as_mer(m), n.sims = 20)
  },
  "converted: predictInterval" =
    merTools::predictInterval(as_mer(m), newdata = head(data_of[[fit_name]], 3), n.sims = 20,
      seed = 1),
  "converted: modelInfo" = merTools::modelInfo(as_mer(m)),
  "converted: expectedRank" = merTools::expectedRank(as_mer(m)),
  "converted: draw" = merTools::draw(as_mer(m), type = "average"),
  "converted: REextract" = merTools::REextract(as_mer(m)),
  "converted: RMSE" = merTools::RMSE.merMod(as_mer(m))
)
calls("merTools", on = "slopes", peer = "lme4",
  "converted: REimpact" = {
    set.seed(1)
    merTools::REimpact(
      as_mer(m), newdata = sleepstudy[1, ], groupFctr = "Subject", breaks = 2, n.sims = 20
    )
  },
  "ICC" = merTools::ICC("Reaction", "Subject", sleepstudy)
)
calls_of("arm", peer = "lme4", c(
  "display", "se.ranef", "se.fixef", "se.coef", "sigma.hat", "extractDIC", "fixef", "ranef"
))
calls("arm", on = c("slopes", "cake"), peer = "lme4",
  "standardize" = fixef(arm::standardize(m)),
  "converted: se.coef" = arm::se.coef(as_mer(m)),
  "converted: se.fixef" = arm::se.fixef(as_mer(m)),
  "converted: sigma.hat" = arm::sigma.hat(as_mer(m)),
  "converted: sim" = {
    set.seed(1)
    arm::sim(as_mer(m), n.sims = 10)@fixef
  },
  "converted: extractDIC" = arm::extractDIC(as_mer(m)),
  "converted: display" = capture.output(arm::display(as_mer(m)))[-(1:2)]
)
calls("arm", on = "slopes", peer = "lme4", kind = "runs",
  "sim" = arm::sim(m, n.sims = 10),
  "coefplot" = arm::coefplot(m),
  "binnedplot" = arm::binnedplot(fitted(m), resid(m))
)
calls("cAIC4", on = c("slopes", "cake", "crossed"), peer = "lme4",
  "cAIC" = cAIC4::cAIC(m)$caic,
  "converted: cAIC" = cAIC4::cAIC(as_mer(m))$caic,
  "converted: anocAIC" = as.matrix(cAIC4::anocAIC(as_mer(m)))
)
calls("RLRsim", on = "cake", peer = "lme4",
  "exactRLRT" = RLRsim::exactRLRT(m, nsim = 500, seed = 1)$statistic,
  "converted: exactRLRT" =
    RLRsim::exactRLRT(as_mer(m), nsim = 500, seed = 1)[c("statistic", "p.value")],
  "converted: exactLRT" = RLRsim::exactLRT(
    as_mer(update(m, . ~ (1 | recipe:replicate), REML = FALSE)), stats::lm(angle ~ 1, cake),
    nsim = 500, seed = 1
  )[c("statistic", "p.value")]
)
calls("lme4", on = c("slopes", "cake", "crossed", "terms"), peer = "lme4",
  "converted: summary" = coef(summary(as_mer(m))),
  "converted: VarCorr" = as.data.frame(VarCorr(as_mer(m))),
  "converted: ranef" = as.data.frame(ranef(as_mer(m))),
  "converted: logLik" = c(logLik(as_mer(m)), attr(logLik(as_mer(m)), "df")),
  "converted: predict" = predict(as_mer(m)),
  "converted: theta" = lme4::getME(as_mer(m), "theta"),
  "converted: lmerTest" =
    if (inherits(m, "lmm")) coef(summary(ferrolmm::as_lmerMod(m,
      test = TRUE))) else coef(summary(lmerTest::as_lmerModLmerTest(m))),
  "converted: refit" =
    fixef(lme4::refit(as_mer(m), simulate(fits[[fit_name]]$lme4, seed = 1)[[1]])),
  "converted: update" = fixef(intercept_only(as_mer(m)))
)
calls("lme4", on = "slopes", peer = "lme4",
  "converted: profile" = confint(profile(as_mer(m), which = "beta_"), level = 0.9),
  "converted: bootMer" = lme4::bootMer(as_mer(m), fixef, nsim = 2, seed = 1)$t,
  "converted: influence" = cooks.distance(influence(as_mer(m), "Subject"))
)
calls("lme4", on = c("growth", "visits"), kind = "runs",
  "converted: not possible" =
    if (inherits(m, "lmm")) stopifnot(inherits(try(ferrolmm::as_lmerMod(m), silent = TRUE),
      "try-error"))
)
