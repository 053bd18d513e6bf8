# What is called on a fit: expressions in `fit`, `d` and `new`, with a weight for how often, what they
# cost left out of most problems. Every one is a valid use: what it may end in is a value, or an
# error of ours that says why not.

ddfs <- c(
  "Satterthwaite", "Kenward-Roger", "Kenward-Roger2", "Kenward-Roger-linear", "between-within",
  "containment", "inner-outer", "residual", "asymptotic", "none"
)

components <- c(
  "X", "Z", "Zt", "Ztlist", "mmList", "y", "mu", "u", "b", "Gp", "Tp", "L", "Lambda", "Lambdat",
  "Lind", "Tlist", "A", "RX", "RZX", "sigma", "flist", "fixef", "beta", "theta", "par", "ST", "REML",
  "is_REML", "n_rtrms", "n_rfacs", "N", "n", "p", "q", "p_i", "l_i", "q_i", "k", "m_i", "m", "npar",
  "cnms", "devcomp", "offset", "lower", "R", "phi", "devfun", "ALL"
)

# A call with some of its arguments as they were drawn
with_arguments <- function(head, first, arguments) {
  as.call(c(as.name(head), first, arguments[lengths(arguments) > 0L]))
}

maybe <- function(probability, value) if (chance(probability)) value

call_makers <- list(
  summary = list(12, function(p) bquote(summary(fit, ddf = .(pick(ddfs))))),
  print = list(8, function(p) pick(list(
    quote(print(fit)), quote(print(summary(fit))), quote(print(VarCorr(fit), comp = "Variance")),
    quote(print(ranef(fit))), quote(print(coef(fit))), quote(print(anova(fit))),
    quote(print(lmList(fit))), quote(print(fit, ranef.comp = c("Variance", "Std.Dev."))),
    quote(print(summary(fit), correlation = TRUE))
  ))),
  anova = list(8, function(p) {
    bquote(anova(fit, type = .(pick(c("I", "II", "III"))), ddf = .(pick(ddfs))))
  }),
  compare = list(3, function(p) pick(list(
    quote(anova(fit, update(fit, . ~ 1 + . , REML = FALSE))),
    if (length(p$fixed)) bquote(anova(fit, update(fit, . ~ . - .(p$fixed[[1L]])))) else
      quote(anova(fit, fit))
  ))),
  contest = list(6, function(p) {
    L <- pick(list(
      quote(diag(length(fixef(fit)))), quote(rep(1, length(fixef(fit)))),
      quote(rbind(seq_along(fixef(fit)), 1))
    ))
    bquote(contest(fit, .(L), joint = .(chance(0.6)), ddf = .(pick(ddfs))))
  }),
  drop1 = list(3, function(p) {
    bquote(drop1(fit, ddf = .(pick(ddfs)), test = .(pick(c("F", "Chisq", "none")))))
  }),
  ranova = list(2, function(p) {
    if (chance(0.9)) {
      bquote(ranova(fit, reduce.terms = .(chance(0.6)), distribution = "limit"))
    } else {
      quote(ranova(fit, nsim = 10))
    }
  }),
  confint = list(6, function(p) bquote(confint(fit, ddf = .(pick(ddfs)), level = .(pick(c(0.95, 0.5)))))),
  confint_profile = list(0.7, function(p) pick(list(
    quote(confint(fit, method = "profile")), quote(confint(fit, "theta_", method = "profile")),
    quote(confint(fit, 1, method = "profile"))
  ))),
  profile = list(1.2, function(p) pick(list(
    quote(profile(fit)), quote(profile(fit, "theta_")), quote(profile(fit, 1)),
    quote(profile(fit, "beta_")), quote(plot(profile(fit, 1:2))), quote(print(profile(fit, 1))),
    quote(as.data.frame(profile(fit, 1, signames = FALSE)))
  ))),
  confint_boot = list(0.5, function(p) quote(confint(fit, method = "boot", nsim = 5, seed = 1))),
  bootstrap = list(1, function(p) pick(list(
    quote(bootstrap(fit, nsim = 3, seed = 1)),
    quote(as.data.frame(bootstrap(fit, nsim = 3, seed = 1))),
    quote(print(bootstrap(fit, nsim = 3, seed = 1))),
    quote(bootstrap(fit, nsim = 3, seed = 1, FUN = fixef)),
    quote(bootstrap(fit, nsim = 3, seed = 1, use.u = TRUE))
  ))),
  predict = list(14, function(p) {
    with_arguments("predict", quote(fit), list(
      re.form = if (chance(0.4)) NA, se.fit = maybe(0.4, TRUE),
      interval = maybe(0.25, pick(c("confidence", "prediction"))),
      ddf = maybe(0.3, "asymptotic")
    ))
  }, "predict"),
  predict_new = list(14, function(p) {
    with_arguments("predict", quote(fit), list(
      newdata = quote(new), re.form = pick(list(NULL, NA, quote(~0))),
      allow.new.levels = TRUE, se.fit = maybe(0.5, TRUE),
      interval = maybe(0.25, pick(c("confidence", "prediction"))),
      ddf = maybe(0.3, "asymptotic")
    ))
  }, "predict_new"),
  predict_part = list(4, function(p) {
    if (length(p$random) == 0L) return(quote(predict(fit, random.only = TRUE)))
    bar <- bar_of(pick(p$random))
    if (!identical(bar[[1L]], quote(`(`))) bar <- call("(", bar[[2L]])
    bquote(predict(fit, .(pick(list(quote(d), quote(new)))), re.form = ~.(bar),
                   allow.new.levels = TRUE))
  }),
  predict_cor = list(1, function(p) {
    if (is.null(p$residual$correlation)) return(quote(predict(fit, random.only = TRUE)))
    quote(predict(fit, new, residual.cor = TRUE, allow.new.levels = TRUE))
  }),
  simulate = list(4, function(p) pick(list(
    quote(simulate(fit, nsim = 2, seed = 1)), quote(simulate(fit, seed = 1, use.u = TRUE)),
    quote(simulate(fit, seed = 2, newdata = new, re.form = NA, allow.new.levels = TRUE)),
    quote(simulate(fit, seed = 2, newdata = new, re.form = NULL, allow.new.levels = TRUE))
  ))),
  refit = list(4, function(p) pick(list(
    quote(refit(fit, simulate(fit, seed = 3)[[1]])), quote(refit(fit)), quote(refitML(fit)),
    quote(refit(fit, simulate(fit, nsim = 3, seed = 4))),
    quote(as.data.frame(refit(fit, simulate(fit, nsim = 2, seed = 5))))
  ))),
  influence = list(1, function(p) {
    with_arguments("influence", quote(fit), list(
      groups = if (length(p$random) && chance(0.6) && length(p$random[[1L]]$groups) == 1L) {
        paste(p$random[[1L]]$groups[[1L]], collapse = ":")
      },
      update = pick(c("one-step", "none", "exact"), c(3, 3, 1))
    ))
  }),
  deletion = list(4, function(p) pick(list(
    quote(cooks.distance(fit)), quote(dfbeta(fit)), quote(dfbetas(fit)),
    quote(as.data.frame(influence(fit, update = "none")))
  ))),
  hatvalues = list(5, function(p) quote(hatvalues(fit)), "hatvalues"),
  residuals = list(8, function(p) {
    type <- pick(c("response", "pearson", "scaled", "working", "deviance", "marginal",
                   "std_conditional", "std_marginal", "normalized"))
    bquote(residuals(fit, type = .(type)))
  }, "residuals"),
  standardised = list(2, function(p) pick(list(quote(rstandard(fit)), quote(rstudent(fit))))),
  getME = list(10, function(p) bquote(getME(fit, .(pick(components)))), "getME"),
  VarCorr = list(5, function(p) pick(list(
    quote(VarCorr(fit)), quote(as.data.frame(VarCorr(fit))),
    quote(as.data.frame(VarCorr(fit), order = "lower.tri")), quote(print(VarCorr(fit))),
    quote(as.data.frame(VarCorr(fit, se = TRUE)))
  ))),
  ranef = list(5, function(p) pick(list(
    quote(ranef(fit)), quote(as.data.frame(ranef(fit))), quote(ranef(fit, condVar = FALSE)),
    quote(ranef(fit, drop = TRUE))
  ))),
  coef = list(3, function(p) quote(coef(fit))),
  vcov = list(5, function(p) pick(list(
    quote(vcov(fit)), quote(vcov(fit, complete = TRUE)), quote(vcov(fit, correlation = TRUE)),
    quote(vcov(fit, full = TRUE)), quote(vcov(fit, adjusted = TRUE)), quote(vcov(summary(fit))),
    quote(vcov(fit, which = "theta")), quote(vcov(fit, which = "theta", scale = "vcov"))
  ))),
  robust = list(4, function(p) {
    type <- pick(c("CR0", "CR1", "CR1p", "CR1S", "CR2", "CR3", "Empirical-Bias-Reduced"))
    pick(list(
      bquote(vcov(fit, type = .(type))), bquote(summary(fit, vcov = .(type))),
      bquote(anova(fit, vcov = .(type))), bquote(confint(fit, "beta_", vcov = .(type)))
    ))
  }),
  vpredict = list(3, function(p) pick(list(
    quote(vpredict(fit)), quote(vpredict(fit, list(~ V1, ~ V1 / (1 + V1)))),
    quote(vpredict(fit, ~ log(sigma))),
    if (length(p$random)) quote(repeatability(fit, names(fit$flist)[[1L]])) else quote(vpredict(fit)),
    quote(heritability(fit, 1)), quote(heritability(fit, 1, type = "cullis"))
  ))),
  vpredict_profile = list(0.7, function(p) quote(vpredict(fit, ~ V1, method = "profile"))),
  power = list(0.7, function(p) bquote(power(fit, nsim = 2, ddf = .(pick(head(ddfs, -1L)))))),
  update = list(3, function(p) pick(list(
    quote(update(fit, REML = FALSE)),
    if (is.null(p$closed)) quote(update(fit, . ~ . + v)) else quote(update(fit)),
    quote(update(fit, . ~ 1 + . - 1)), quote(update(fit, evaluate = FALSE)),
    if (length(p$random)) bquote(update(fit, . ~ . - .(bar_of(p$random[[1L]])) + (1 | k))) else
      quote(update(fit))
  ))),
  equations = list(4, function(p) {
    bquote(equations(fit, .(pick(c("levels", "mixed", "matrix"))),
                     format = .(pick(c("text", "latex"))), values = .(chance(0.5))))
  }),
  pooling = list(2, function(p) pick(list(
    quote(pooling(fit)), quote(as.data.frame(pooling(fit), what = "groups")),
    quote(print(pooling(fit))), quote(plot(pooling(fit))), quote(plot(pooling(fit), "lines"))
  ))),
  image = list(2, function(p) bquote(image(fit, .(pick(c("Z", "Lambda", "L")))))),
  plot = list(2, function(p) pick(list(
    quote(plot(fit)), bquote(plot(fit, which = .(between(1L, 4L)))), quote(plot(ranef(fit))),
    quote(plot(influence(fit, update = "none")))
  ))),
  storage = list(3, function(p) quote({
    file <- tempfile()
    saveRDS(fit, file)
    again <- readRDS(file)
    unlink(file)
    stopifnot(identical(summary(again)$coefficients, summary(fit)$coefficients))
  }), "storage"),
  r2 = list(3, function(p) pick(list(quote(r_squared(fit)), quote(intraclass(fit))))),
  rePCA = list(2, function(p) quote(rePCA(fit))),
  lmList = list(2, function(p) pick(list(
    quote(lmList(fit)), quote(coef(lmList(fit))), quote(summary(lmList(fit))),
    quote(as.data.frame(lmList(fit)))
  ))),
  likelihood = list(6, function(p) pick(list(
    quote(logLik(fit)), quote(logLik(fit, REML = TRUE)), quote(logLik(fit, REML = FALSE)),
    quote(AIC(fit)), quote(BIC(fit)), quote(extractAIC(fit)), quote(deviance(fit)),
    quote(REMLcrit(fit))
  ))),
  accessors = list(8, function(p) pick(list(
    quote(formula(fit)), quote(formula(fit, fixed.only = TRUE)),
    quote(formula(fit, random.only = TRUE)), quote(terms(fit)), quote(model.frame(fit)),
    quote(model.frame(fit, fixed.only = TRUE)), quote(model.matrix(fit)),
    quote(model.matrix(fit, type = "random")), quote(model.matrix(fit, type = "randomListRaw")),
    quote(weights(fit)), quote(family(fit)), quote(df.residual(fit)), quote(nobs(fit)),
    quote(ngrps(fit)), quote(isSingular(fit)), quote(case.names(fit)), quote(variable.names(fit)),
    quote(labels(fit)), quote(sigma(fit)), quote(fixef(fit, add.dropped = TRUE)),
    quote(fitted(fit)), quote(fit$certificate), quote(isREML(fit))
  ))),
  getVarCov = list(3, function(p) {
    bquote(nlme::getVarCov(fit, type = .(pick(c("random.effects", "conditional", "marginal")))))
  }),
  pb_test = list(0.3, function(p) {
    if (length(p$fixed) == 0L) return(quote(nobs(fit)))
    bquote(pb_test(fit, update(fit, . ~ . - .(p$fixed[[1L]])), nsim = 3, seed = 1))
  }),
  car = list(1, function(p) pick(list(
    quote(car::Anova(fit)), quote(car::Anova(fit, type = "III")),
    quote(lmtest::coeftest(fit)), quote(lmtest::coefci(fit))
  ))),
  emmeans = list(0.7, function(p) {
    factors <- Filter(function(x) is.name(x) && is.factor(p$data[[as.character(x)]]), p$fixed)
    if (length(factors) == 0L) return(quote(fixef(fit)))
    bquote(as.data.frame(emmeans::emmeans(fit, ~.(pick(factors)))))
  })
)

here_is <- function(packages) all(vapply(packages, requireNamespace, NA, quietly = TRUE))

random_calls <- function(p) {
  weights <- vapply(call_makers, `[[`, 1, 1L)
  if (!here_is(c("car", "lmtest"))) weights[["car"]] <- 0
  if (!here_is("emmeans")) weights[["emmeans"]] <- 0
  many <- isTRUE(p$residual$correlation$type %in% c("us", "toep", "ante")) &&
    nlevels(p$data[["tf"]]) > 4L
  if (p$kind == "wide" || nrow(p$data) > 200L || many) {
    weights[c("influence", "profile", "confint_profile", "bootstrap", "confint_boot", "pb_test",
              "ranova", "deletion")] <- 0.02
  }
  names <- sample(names(call_makers), between(9L, 12L), TRUE, weights)
  lapply(names, function(name) {
    maker <- call_makers[[name]]
    list(call = maker[[2L]](p), check = if (length(maker) > 2L) maker[[3L]])
  })
}

# Rows to predict for: rows of the data with columns from others, and levels that are new
random_new <- function(p) {
  d <- p$data[stats::complete.cases(p$data), , drop = FALSE]
  if (nrow(d) == 0L) return(p$data[0L, , drop = FALSE])
  n <- pick(c(1L, 2L, 5L, 12L))
  new <- d[sample.int(nrow(d), n, TRUE), , drop = FALSE]
  for (column in names(new)) {
    if (chance(0.3)) new[[column]] <- d[[column]][sample.int(nrow(d), n, TRUE)]
  }
  row.names(new) <- NULL
  # what is constant within the levels of g stays so
  g <- Find(function(x) x %in% names(d), c("g", unname(p$renamed["g"])))
  for (column in intersect(c("odd", "arm", unname(p$renamed["arm"])), names(new))) {
    new[[column]] <- d[[column]][match(new[[g]], d[[g]])]
  }
  group <- if (length(p$random)) p$random[[1L]]$groups[[1L]][[1L]]
  fixed <- unlist(lapply(p$fixed, all.vars))
  if (!is.null(group) && !group %in% fixed && chance(0.3)) {
    x <- new[[group]]
    x <- if (is.numeric(x)) x + 0 else if (is.factor(x) || is.character(x)) as.character(x)
    if (!is.null(x) && !anyNA(x)) {
      x[1L] <- if (is.numeric(x)) 9999 else "never seen"
      new[[group]] <- x
    }
  }
  new
}
