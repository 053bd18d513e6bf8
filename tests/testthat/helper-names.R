# One model under many names: what every method gives, without names, so that a fit of plain names
# and one of hostile names can be compared number by number.

#' Numbers of anything, in order, without names and labels
numbers_of <- function(x) {
  if (is.environment(x) || is.function(x) || is.language(x)) {
    return(numeric())
  }
  if (methods::is(x, "Matrix")) {
    return(as.numeric(as.matrix(x)))
  }
  if (is.list(x)) {
    return(unlist(lapply(unname(unclass(x)), numbers_of), use.names = FALSE))
  }
  if (is.numeric(x) || is.logical(x)) as.numeric(x) else numeric()
}

#' Data of two crossed groupings with factors and numbers, columns called as `names` says
names_data <- function(names = character()) {
  set.seed(14)
  n <- 240L
  d <- data.frame(
    g = factor(rep(1:20, each = 12)), h = factor(rep(c("a", "b", "a:b"), 80)),
    f = factor(rep(0:1, 120)), k = factor(rep(c("A", "B", "C"), each = 4, 20)),
    x = rnorm(n), z = rnorm(n), w = runif(n, 0.5, 2), o = rnorm(n, sd = 0.1)
  )
  d$y <- 5 + as.integer(d$f) + 0.5 * d$x - 0.3 * d$z + as.integer(d$k) + rnorm(20)[d$g] +
    rnorm(20)[d$g] * d$z + rnorm(20)[d$g] * (d$f == "1") + c(-1, 0, 1)[d$h] + rnorm(n) / sqrt(d$w)
  renamed <- match(names(names), names(d))
  names(d)[renamed] <- names
  d
}

#' A formula with its variables renamed
rename_formula <- function(formula, names) {
  renamed <- do.call(substitute, list(formula, lapply(as.list(names), as.name)))
  stats::as.formula(renamed, env = globalenv())
}

#' A column of names_data() by its plain name
plain_column <- function(names, name) if (name %in% names(names)) names[[name]] else name

#' The methods, each a function of a fit, its data and a function that renames formulas
name_walk <- list(
  logLik = function(fit, ...) list(logLik(fit), logLik(fit, REML = FALSE), AIC(fit), BIC(fit)),
  fixef = function(fit, ...) {
    list(fixef(fit, add.dropped = TRUE), vcov(fit), vcov(fit, full = TRUE))
  },
  theta = function(fit, ...) list(fit$theta, fit$phi, sigma(fit), fit$criterion),
  ranef = function(fit, ...) {
    r <- ranef(fit)
    list(r, lapply(r, attr, "postVar"), as.data.frame(r)[c("condval", "condsd")])
  },
  coef = function(fit, ...) coef(fit),
  varcorr = function(fit, ...) {
    list(
      as.data.frame(VarCorr(fit)), as.data.frame(VarCorr(fit, se = TRUE)),
      as.data.frame(VarCorr(fit, se = TRUE), order = "lower.tri"), rePCA(fit)
    )
  },
  summary = function(fit, ...) {
    s <- summary(fit)
    capture.output(print(fit), print(s))
    list(coef(s), s$vcov, coef(summary(fit, ddf = "Kenward-Roger")))
  },
  anova = function(fit, ...) lapply(c("I", "II", "III"), function(t) anova(fit, type = t)),
  rules = function(fit, ...) {
    list(anova(fit, ddf = "residual"), suppressWarnings(anova(fit, ddf = "containment")))
  },
  kenward = function(fit, ...) list(anova(fit, ddf = "Kenward-Roger"), vcov(fit, adjusted = TRUE)),
  drop1 = function(fit, ...) list(drop1(fit), suppressMessages(drop1(fit, test = "Chisq"))),
  ranova = function(fit, ...) {
    list(ranova(fit, distribution = "limit"), ranova(fit, FALSE, distribution = "limit"))
  },
  wald = function(fit, ...) {
    last <- length(fixef(fit)) + length(fit$theta) + length(fit$phi) + 1L
    list(confint(fit), confint(fit, c(1L, last)), confint(fit, "beta_"), confint(fit, "theta_"))
  },
  predict = function(fit, data, rename, ...) {
    new <- data[c(5, 50, 100, 7), ]
    # a term that the model has not is refused
    some <- function(form) {
      tryCatch(predict(fit, new, re.form = rename(form)), error = function(e) 0)
    }
    list(
      predict(fit), predict(fit, new), predict(fit, new, re.form = NA),
      predict(fit, new, re.form = stats::formula(fit, random.only = TRUE)),
      some(~ (1 | h)), some(~ (1 | g)), some(~ (0 + z | g)), some(~ (f | g)), some(~ (0 + x | g)),
      predict(fit, new, interval = "prediction", se.fit = TRUE)
    )
  },
  simulate = function(fit, data, ...) {
    list(simulate(fit, 2, seed = 1), simulate(fit, 1, seed = 2, newdata = data[1:20, ]))
  },
  refit = function(fit, ...) {
    list(fixef(refit(fit, model.frame(fit)[[1]] + 1)), logLik(refitML(fit)))
  },
  residuals = function(fit, ...) {
    list(residuals(fit), residuals(fit, "pearson"), residuals(fit, "std_marginal"), hatvalues(fit))
  },
  influence = function(fit, data, rename, plain, ...) {
    i <- influence(fit, groups = plain("g"))
    list(
      cooks.distance(i), dfbetas(i), as.data.frame(i)[-1], cooks.distance(fit), dfbetas(fit)
    )
  },
  getME = function(fit, ...) {
    getME(fit, c("X", "Zt", "Ztlist", "mmList", "Tlist", "Lambdat", "RX", "ST", "theta", "m_i"))
  },
  matrices = function(fit, ...) {
    list(model.matrix(fit), model.matrix(fit, "random"), attr(model.matrix(fit), "assign"))
  },
  contest = function(fit, ...) {
    p <- length(fixef(fit))
    list(contest(fit, diag(p)[-1, ]), contest(fit, diag(p), joint = FALSE))
  },
  lmList = function(fit, ...) as.data.frame(lmList(fit))[c("n", "estimate", "std.error")],
  pooling = function(fit, ...) {
    p <- pooling(fit)
    list(as.data.frame(p), as.data.frame(p, what = "groups"))
  },
  equations = function(fit, ...) equations(fit)$symbols$estimate,
  update = function(fit, data, rename, ...) {
    list(
      logLik(update(fit, rename(. ~ . - z), data = data)),
      logLik(update(fit, rename(. ~ . + x:k), data = data))
    )
  },
  bootstrap = function(fit, ...) {
    b <- bootstrap(fit, 5, seed = 3)
    list(b$t, summary(b), confint(b))
  },
  plots = function(fit, ...) {
    grDevices::pdf(NULL)
    on.exit(grDevices::dev.off())
    plot(fit)
    plot(ranef(fit))
    plot(influence(fit))
    plot(pooling(fit))
    plot(pooling(fit), type = "lines")
    image(fit)
    numeric()
  },
  profile = function(fit, ...) {
    pr <- profile(fit)
    last <- length(unlist(attr(pr, "parameters")$old))
    list(confint(pr), as.data.frame(pr)[[2L]], confint(pr, parm = c(1, last)))
  },
  emmeans = function(fit, data, rename, plain, ...) {
    if (!rlang::is_installed("emmeans")) {
      return(numeric())
    }
    em <- emmeans::emmeans(fit, plain("k"), data = data)
    as.data.frame(em)[-1]
  },
  car = function(fit, ...) {
    if (!rlang::is_installed("car")) {
      return(numeric())
    }
    p <- length(fixef(fit))
    list(car::Anova(fit), car::linearHypothesis(fit, diag(p)[2, , drop = FALSE]))
  }
)

#' Numbers of every method of a fit; the message of an error in their place
walk_methods <- function(fit, data, names = character(), methods = name_walk) {
  rename <- function(formula) rename_formula(formula, names)
  plain <- function(name) plain_column(names, name)
  lapply(methods, function(method) {
    tryCatch(
      suppressWarnings(suppressMessages(
        numbers_of(method(fit, data, rename = rename, plain = plain))
      )),
      error = conditionMessage
    )
  })
}
