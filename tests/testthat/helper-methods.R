# All functions of the package, and what to call them with, for tests that walk over them.

# An object of each class that has methods
objects_by_class <- function() {
  fit <- lmm(distance ~ age * Sex + (age | Subject), nlme::Orthodont)
  boot <- bootstrap(fit, 5, seed = 1)
  list(
    lmm = fit,
    summary.lmm = summary(fit),
    VarCorr.lmm = VarCorr(fit),
    ranef.lmm = ranef(fit),
    coef.lmm = coef(fit),
    influence.lmm = influence(fit, "Subject"),
    profile.lmm = profile(fit, "sigma"),
    bootstrap.lmm = boot,
    lmList.lmm = lmList(fit),
    summary.lmList.lmm = summary(lmList(fit)),
    lmm_many = refit(fit, cbind(a = nlme::Orthodont$distance, b = nlme::Orthodont$age)),
    lmm_pooling = pooling(fit),
    lmm_equations = equations(fit),
    lmm_paragraph = methods_paragraph(fit),
    anova.lmm = anova(fit),
    lmm_control = lmm_control(), lmm_penalty = penalty_wishart(),
    lmm_moments = lmm_moments(distance ~ age + (1 | Subject), nlme::Orthodont),
    lmm_chunks = lmm_chunks(list(nlme::Orthodont)),
    lmm_source = structure(
      list(rows = "growth", what = "growth", dialect_name = "standard"), class = "lmm_source"
    ),
    ranova.lmm = ranova(fit, distribution = "limit"),
    lmm_certificate = fit$certificate,
    pb_test = pb_test(fit, update(fit, . ~ . - age:Sex), nsim = 3, seed = 1),
    formula = distance ~ age | Subject,
    default = ~ age + (1 | Subject),
    ACF = ACF(fit),
    Variogram = Variogram(fit),
    augPred = augPred(fit),
    power.lmm = power(fit, nsim = 2, seed = 1),
    smooths.lmm = smooths(lmm(distance ~ s(age, k = 3) + (1 | Subject), nlme::Orthodont)),
    factor_loadings = factor_loadings(
      lmm(distance ~ age + rr(0 + factor(age) | Subject, k = 1), nlme::Orthodont)
    )
  )
}

# Every exported function and registered method: list(name, package of the generic, f, class)
all_functions <- function() {
  namespace <- asNamespace("ferrolmm")
  where <- dirname(system.file(package = "ferrolmm"))
  info <- parseNamespaceFile("ferrolmm", where)
  methods <- lapply(seq_len(nrow(info$S3methods)), function(i) {
    entry <- info$S3methods[i, ]
    generic <- sub("^.*::", "", entry[[1L]])
    name <- paste(generic, entry[[2L]], sep = ".")
    package <- sub("::.*$", "", c(grep("::", entry, value = TRUE, fixed = TRUE), entry[[4L]])[1L])
    list(name = name, package = package, f = get(name, namespace), class = entry[[2L]])
  })
  exports <- lapply(info$exports, function(name) {
    list(name = name, package = NA, f = get(name, namespace), class = NA)
  })
  c(exports, methods)
}

# Functions whose `...` goes to another function, and why nothing can be checked
passed_on <- c(
  # generics: their methods check
  "bootstrap", "contest", "getME", "isGLMM", "isLMM", "isNLMM", "isREML", "isSingular", "lmList",
  "ngrps", "ranova", "rePCA", "refit", "refitML", "REMLcrit", "autoplot", "vpredict", "power",
  # generics of 'nlme'
  "fixef", "ranef", "VarCorr", "getVarCov", "ACF", "Variogram", "augPred", "comparePred", "getData",
  "getGroups", "getResponse", "intervals",
  # generics of 'generics'
  "augment", "glance", "tidy",
  # objects of other packages: 'lme4', 'lmerTest' or 'nlme' have the last word
  paste0(
    c("contest", "getME", "isGLMM", "isLMM", "isNLMM", "isREML", "isSingular", "lmList", "ngrps",
      "ranova", "rePCA", "refit", "refitML", "REMLcrit", "autoplot", "vpredict", "power"),
    ".default"
  ),
  # called by stats::makepredictcall() with two arguments
  "makepredictcall.within_between",
  # 'emmeans' hands arguments of all of its functions to both; emm_basis() checks
  "recover_data.lmm",
  # one argument
  "effSources.lmm",
  # its further arguments are named by grouping factors of the model, and lmm() knows these
  "sampling_weights",
  # called by methods of 'car' for linear models
  "coef.lmm_as_linear",
  # always an error (test-method-not-defined.R)
  paste0(
    c("alias", "boxcox", "dummy.coef", "effects", "kappa", "logtrans", "model.tables", "proj",
      "se.contrast", "waldtest", "TukeyHSD"), ".lmm"
  )
)

# Further arguments that functions cannot do without
needed <- function(name, objects) {
  fit <- objects$lmm
  smaller <- update(fit, . ~ . - age:Sex)
  switch(sub("[.]lmm$", "", name),
    lmm = , lmm_moments = list(distance ~ age + (1 | Subject), nlme::Orthodont),
    lmm_chunks = list(list(nlme::Orthodont)),
    lmm_fallback = list(distance ~ age, nlme::Orthodont, residual = ~ cs(1 | Subject)),
    lmm_source = if (requireNamespace("RSQLite", quietly = TRUE)) {
      list(DBI::dbConnect(RSQLite::SQLite(), ":memory:"), "visits")
    },
    pedigree_precision = list(1:2, c(0, 0), c(0, 0)),
    within_between = list(nlme::Orthodont$age, nlme::Orthodont$Subject),
    plot_within_between = , heritability = , repeatability = ,
    pooling = , equations = , intraclass = , r_squared = , as_lmerMod = list(fit),
    pooling = , equations = , methods_paragraph = , intraclass = , r_squared = ,
    smooths = , fixed_levels = list(fit),
    factor_loadings = list(fit),
    moderate = , top_table = list(objects$lmm_many),
    pb_test = list(fit, smaller, nsim = 3),
    penalty_inverse_wishart = , penalty_inverse_gamma = list(3, 1),
    power = list(nsim = 2),
    power.formula = list(
      nsim = 2, newdata = nlme::Orthodont, newparams = list(beta = c(1, 2), theta = 1, sigma = 1)
    ),
    PBmodcomp = list(smaller, nsim = 3),
    contest = , contest1D = , contestMD = , linearHypothesis = list("age = 0"),
    getME = list("theta"),
    add1 = , addterm = list(~ . + I(age^2)),
    comparePred = list(smaller),
    vcovCR = list(type = "CR0"),
    matchCoefs = list("age"),
    lmList.formula = list(nlme::Orthodont),
    simulate.default = list(
      newdata = nlme::Orthodont, newparams = list(beta = c(1, 2), theta = 1, sigma = 1)
    ),
    deltaMethod = list("age^2"),
    emm_basis = list(fit$terms, NULL, nlme::Orthodont),
    list()
  )
}
