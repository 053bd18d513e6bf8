## The adapter of the installed ferrolmm for the runners of the shared reference cases (run_cases.R
## and run_bad_inputs.R; the contract is in the head of run_cases.R). `tests/corpus/run` calls
## both.
suppressPackageStartupMessages(library(ferrolmm))

adapter <- local({
  ## Weights and offsets arrive as vectors that belong to the rows of the data: they travel as
  ## columns of it, so that `subset` and `na.action` treat them like any other variable.
  fit <- function(spec) {
    data <- spec$data
    if (!is.null(spec$weights)) data$.w <- spec$weights
    if (!is.null(spec$offset)) data$.off <- spec$offset
    call <- quote(ferrolmm::lmm())
    call$formula <- spec$formula
    environment(call$formula) <- globalenv()
    call$data <- quote(.corpus_data)
    call$REML <- spec$REML
    if (!is.null(spec$weights)) call$weights <- quote(.w)
    if (!is.null(spec$offset)) call$offset <- quote(.off)
    if (!is.null(spec$contrasts)) call$contrasts <- as.list(spec$contrasts)
    call$correlation <- correlation_call(spec$rside$cor)
    if (!is.null(spec$rside$var)) call$weights <- variance_call(spec$rside$var)
    ## In the global environment, where later calls (predict, update, model.matrix) look for it
    ## again.
    assign(".corpus_data", data, envir = globalenv())
    m <- eval(call, globalenv())
    attr(m, "rside") <- spec$rside
    m
  }

  ## Structures of the residuals under nlme's names.
  correlation_call <- function(cor) {
    if (is.null(cor)) return(NULL)
    name <- c(
      ar1 = "corAR1", car1 = "corCAR1", cs = "corCompSymm", un = "corSymm", arma = "corARMA",
      exp = "corExp", gaus = "corGaus", lin = "corLin", ratio = "corRatio", spher = "corSpher"
    )[[cor$type]]
    call <- as.call(list(as.name(name), form = stats::as.formula(cor$form, globalenv())))
    for (extra in intersect(names(cor), c("p", "q", "nugget", "value", "fixed", "metric"))) {
      call[[extra]] <- unlist(cor[[extra]])
    }
    call
  }

  variance_call <- function(var) {
    name <- c(
      ident = "varIdent", power = "varPower", exp = "varExp", constpower = "varConstPower",
      fixed = "varFixed"
    )[[var$type]]
    form <- stats::as.formula(var$form, globalenv())
    if (name == "varFixed") return(as.call(list(as.name(name), form)))
    call <- as.call(list(as.name(name), form = form))
    if (!is.null(var$fixed)) call$fixed <- unlist(var$fixed)
    call
  }

  ## Parameters of the residual structure, and R of the subject that the case names.
  residual_side <- function(m) {
    phi <- m$phi
    type <- m$residual$correlation$type
    names <- sub("^residual[.]", "", names(phi))
    names <- sub("^sd[.]ratio ", "ratio:", names)
    if (!is.null(type) && type %in% c("ar1", "car1")) names[names == "rho"] <- "phi"
    names <- sub("^cor\\((.*),(.*)\\)$", "cor[\\2,\\1]", names)
    out <- stats::setNames(unname(phi), names)
    subject <- attr(m, "rside")$R_for
    if (!is.null(subject)) {
      R <- nlme::getVarCov(m, individuals = as.character(subject$id), type = "conditional")[[1L]]
      C <- stats::cov2cor(R)
      for (i in seq_len(nrow(R))) {
        for (j in seq_len(i)) out[sprintf("R[%d,%d]", i, j)] <- R[i, j]
        for (j in seq_len(i - 1L)) out[sprintf("cor[%d,%d]", j, i)] <- C[i, j]
      }
    }
    out
  }

  ## One element per random-effects term: its group and its covariance matrix.
  varcorr <- function(m) {
    vc <- VarCorr(m)
    group <- names(ferrolmm::getME(m, "cnms"))
    lapply(seq_along(group), function(i) {
      v <- vc[[i]]
      cov <- matrix(as.numeric(v), nrow(v), ncol(v), dimnames = dimnames(v))
      list(group = group[i], cov = cov)
    })
  }

  random_effects <- function(m) {
    re <- ranef(m, condVar = FALSE)
    lapply(names(re), function(g) list(group = g, b = as.matrix(re[[g]])))
  }

  ## `postVar` is an array for a factor with one term, a list of arrays where several terms share
  ## it.
  conditional_variances <- function(m) {
    re <- ranef(m, condVar = TRUE)
    per_group <- lapply(names(re), function(g) {
      effects <- colnames(re[[g]])
      arrays <- attr(re[[g]], "postVar")
      if (!is.list(arrays)) arrays <- list(arrays)
      sizes <- vapply(arrays, function(v) dim(v)[1L], 0L)
      first <- cumsum(sizes) - sizes
      lapply(seq_along(arrays), function(i) {
        v <- arrays[[i]]
        names <- effects[first[i] + seq_len(sizes[i])]
        dimnames(v) <- list(names, names, rownames(re[[g]]))
        list(group = g, v = v)
      })
    })
    do.call(c, per_group)
  }

  predict_at <- function(m, newdata, re, allow_new) {
    re_form <- if (identical(re, "none")) NA else NULL
    predict(m, newdata = newdata, re.form = re_form, allow.new.levels = allow_new)
  }

  tests_of_coefficients <- function(m, ddf) {
    table <- coef(summary(m, ddf = ddf))
    data.frame(
      name = rownames(table), estimate = table[, "Estimate"], se = table[, "Std. Error"],
      df = table[, "df"], t = table[, "t value"], p = table[, "Pr(>|t|)"]
    )
  }

  tests_of_terms <- function(m, type, ddf) {
    table <- anova(m, type = type, ddf = ddf)
    data.frame(
      term = rownames(table), numdf = table$NumDF, dendf = table$DenDF, F = table[["F value"]],
      p = table[["Pr(>F)"]]
    )
  }

  test_of_contrast <- function(m, L, ddf) {
    test <- contest(m, L, ddf = ddf)
    list(
      F = test[["F value"]], numdf = test$NumDF, dendf = test$DenDF, p = test[["Pr(>F)"]]
    )
  }

  list(
    name = "ferrolmm",
    version = paste(as.character(utils::packageVersion("ferrolmm")), R.version.string),
    supports = c(
      "lmm", "weights", "offset", "predict", "condvar", "satterthwaite", "kenward-roger", "anova",
      "gstruct", "rside"
    ),
    FIT = ferrolmm::lmm,
    PREDICT = function(...) predict(...),
    fit = fit,
    criterion = function(m) if (ferrolmm::isREML(m)) ferrolmm::REMLcrit(m) else deviance(m),
    loglik = function(m) as.numeric(logLik(m)),
    aic = function(m) AIC(m),
    bic = function(m) BIC(m),
    npar = function(m) attr(logLik(m), "df"),
    nobs = function(m) nobs(m),
    sigma = function(m) sigma(m),
    singular = function(m) ferrolmm::isSingular(m),
    fixef = function(m) fixef(m, add.dropped = TRUE),
    vcov = function(m) as.matrix(vcov(m)),
    varcorr = varcorr,
    ranef = random_effects,
    condvar = conditional_variances,
    fitted = function(m) as.numeric(fitted(m)),
    resid = function(m) as.numeric(resid(m)),
    predict = predict_at,
    coeftest = tests_of_coefficients,
    anova = tests_of_terms,
    contest = test_of_contrast,
    rside = residual_side
  )
})
