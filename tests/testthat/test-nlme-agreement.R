# lmm() against lme() and gls() of nlme 3.1-162 on the data sets of Pinheiro & Bates (2000).
#
# The log-likelihood is nlme's to 1e-6 or higher; estimates and standard errors are nlme's to 1e-5,
# and beyond that to the distance at which nlme has stopped: where its log-likelihood is lower by d,
# its estimates are about sqrt(2 d) standard errors (up to ten times the estimate) from the optimum.
# Cases where nlme stops at another point, with a lower log-likelihood, say by how much (`gain`,
# REML and ML); where that is more than a little, test_dense() evaluates ours from its definition.

lme_tight <- nlme::lmeControl(
  maxIter = 500, msMaxIter = 1000, msMaxEval = 4000, niterEM = 50, tolerance = 1e-10,
  msTol = 1e-13, opt = "nlminb", returnObject = TRUE
)
gls_tight <- nlme::glsControl(
  maxIter = 500, msMaxIter = 1000, tolerance = 1e-10, msTol = 1e-13, returnObject = TRUE
)

nlme_data <- function(name) {
  data(list = name, package = "nlme", envir = environment())
  as.data.frame(get(name))
}

nlme_fit <- function(fixed, data, random, correlation, weights, method) {
  if (is.null(random)) {
    return(suppressWarnings(nlme::gls(
      fixed, data, correlation = correlation, weights = weights, method = method,
      control = gls_tight
    )))
  }
  suppressWarnings(nlme::lme(
    fixed, data, random, correlation = correlation, weights = weights, method = method,
    control = lme_tight
  ))
}

# Without the covariances of a diagonal matrix
lower_triangle <- function(v) {
  if (all(v[lower.tri(v)] == 0)) diag(v) else v[lower.tri(v, TRUE)]
}

# Fixed effects, their standard errors, residual standard deviation times that of each stratum,
# parameters of the residual structure, covariances of the random effects
nlme_estimates <- function(fit) {
  gls <- inherits(fit, "gls")
  v <- if (gls) fit$varBeta else fit$varFix
  if (gls && fit$method == "ML") {
    v <- v * (fit$dims$N - fit$dims$p) / fit$dims$N
  }
  parts <- fit$modelStruct
  natural <- function(s, ...) if (!is.null(s)) coef(s, unconstrained = FALSE, ...)
  ident <- inherits(parts$varStruct, "varIdent")
  list(
    beta = unname(if (gls) coef(fit) else nlme::fixef(fit)), se = unname(sqrt(diag(v))),
    sigma = if (ident) {
      sort(unname(fit$sigma * natural(parts$varStruct, allCoef = TRUE)))
    } else {
      fit$sigma
    },
    phi = unname(c(
      natural(parts$corStruct), if (!ident) natural(parts$varStruct, allCoef = FALSE)
    )),
    covariance = sort(unlist(lapply(if (!gls) rev(parts$reStruct), function(p) {
      lower_triangle(nlme::pdMatrix(p) * fit$sigma^2)
    })))
  )
}

our_estimates <- function(fit, ident) {
  ratio <- grepl("sd.ratio", names(fit$phi), fixed = TRUE)
  list(
    beta = unname(fixef(fit)), se = unname(sqrt(diag(vcov(fit)))),
    sigma = if (ident) sort(sigma(fit) * c(1, unname(fit$phi[ratio]))) else sigma(fit),
    phi = unname(if (ident) fit$phi[!ratio] else fit$phi),
    covariance = sort(unlist(lapply(VarCorr(fit), lower_triangle)))
  )
}

# `correlation` and `weights` are structures of nlme; `random` is nlme's, `bars` ours
expect_nlme <- function(fixed, data, bars = NULL, random = NULL, correlation = NULL,
                        weights = NULL, gain = c(0, 0), status = "converged") {
  label <- paste(c(
    deparse1(fixed), bars, class(correlation)[1L], class(weights)[1L],
    if (isTRUE(attr(correlation, "nugget"))) "nugget"
  ), collapse = " ")
  formula <- fixed
  if (!is.null(bars)) {
    formula <- stats::as.formula(paste(deparse1(fixed), "+", bars), environment(fixed))
  }
  for (reml in c(TRUE, FALSE)) {
    theirs <- nlme_fit(fixed, data, random, correlation, weights, if (reml) "REML" else "ML")
    # messages of singular fits: their status is tested
    ours <- suppressWarnings(suppressMessages(do.call(lmm, c(
      list(formula, data, REML = reml),
      if (!is.null(correlation)) list(correlation = correlation),
      if (!is.null(weights)) list(weights = weights)
    ))))
    by <- as.numeric(logLik(ours) - logLik(theirs))
    expected <- gain[[2L - reml]]
    title <- paste(label, if (reml) "REML" else "ML")
    expect_true(ours$certificate$status %in% status, label = paste(title, "status"))
    if (expected > 0) {
      expect_equal(by, expected, tolerance = 0.01, label = paste(title, "gain"))
      next
    }
    expect_gt(by, -1e-6, label = paste(title, "log-likelihood less nlme's"))
    expect_lt(by, 1e-6, label = paste(title, "log-likelihood less nlme's"))
    expect_equal(attr(logLik(ours), "df"), attr(logLik(theirs), "df"))
    tolerance <- max(1e-5, 10 * sqrt(2 * max(by, 0)))
    wanted <- nlme_estimates(theirs)
    own <- our_estimates(ours, inherits(weights, "varIdent"))
    for (name in names(wanted)) {
      if (length(wanted[[name]]) == 0L) {
        next
      }
      floor <- switch(name, phi = 1, covariance = mean(residuals(ours)^2), 0)
      size <- max(abs(wanted[[name]]), floor)
      error <- max(0, abs(own[[name]] - wanted[[name]])) / size
      expect_lt(error, tolerance, label = paste(title, name))
    }
  }
}

test_that("Ovary: AR, MA and continuous AR, with random effects and without", {
  skip_on_cran()
  d <- nlme_data("Ovary")
  f <- follicles ~ sin(2 * pi * Time) + cos(2 * pi * Time)
  intercept <- function(...) expect_nlme(f, d, "(1 | Mare)", ~ 1 | Mare, ...)
  slope <- function(...) {
    bars <- "(sin(2 * pi * Time) || Mare)"
    expect_nlme(f, d, bars, list(Mare = nlme::pdDiag(~ sin(2 * pi * Time))), ...)
  }
  intercept(nlme::corAR1(form = ~ 1 | Mare))
  intercept(nlme::corCAR1(form = ~ Time | Mare))
  intercept(nlme::corARMA(form = ~ 1 | Mare, p = 2))
  # the optimum of ML that nlme finds is the lower of two
  intercept(nlme::corARMA(form = ~ 1 | Mare, p = 2, q = 1), gain = c(0, 1.4644))
  slope(nlme::corAR1(form = ~ 1 | Mare))
  slope(nlme::corARMA(form = ~ 1 | Mare, q = 2))
  slope(nlme::corARMA(form = ~ 1 | Mare, p = 1, q = 1))
  expect_nlme(f, d, correlation = nlme::corAR1(form = ~ 1 | Mare))
  expect_nlme(f, d, correlation = nlme::corARMA(form = ~ 1 | Mare, p = 1, q = 1))
  expect_nlme(f, d, correlation = nlme::corARMA(form = ~ 1 | Mare, p = 3))
  expect_nlme(f, d, correlation = nlme::corCAR1(form = ~ Time | Mare))
  expect_nlme(f, d, correlation = nlme::corExp(form = ~ Time | Mare))
  expect_nlme(f, d, correlation = nlme::corExp(form = ~ Time | Mare, nugget = TRUE))
})

test_that("BodyWeight: spatial correlations in time beside random slopes, variance functions", {
  skip_on_cran()
  d <- nlme_data("BodyWeight")
  rats <- function(...) {
    expect_nlme(weight ~ Time * Diet, d, "(Time | Rat)", ~ Time | Rat, ...)
  }
  at <- ~ Time | Rat
  rats(nlme::corExp(form = at))
  rats(nlme::corExp(form = at, nugget = TRUE))
  rats(nlme::corGaus(form = at))
  # nlme stops in the lower of two optima
  rats(nlme::corGaus(form = at, nugget = TRUE), gain = c(1.987, 1.979))
  rats(nlme::corRatio(form = at))
  rats(nlme::corRatio(form = at, nugget = TRUE))
  # from nlme's own start these two cannot move
  rats(nlme::corSpher(10, form = at))
  rats(nlme::corLin(10, form = at))
  rats(nlme::corSpher(c(10, 0.1), form = at, nugget = TRUE))
  rats(nlme::corLin(c(10, 0.1), form = at, nugget = TRUE), gain = c(3.24, 3.14))
  rats(weights = nlme::varPower(form = ~ Time))
  rats(weights = nlme::varIdent(form = ~ 1 | Diet))
})

test_that("an optimum at a kink of corLin() is certified by the slopes beside it", {
  d <- nlme_data("BodyWeight")
  fit_at <- function(range, ...) {
    linear <- nlme::corLin(c(range, 0.1), form = ~ Time | Rat, nugget = TRUE)
    lmm(weight ~ Time * Diet + (Time | Rat), d, correlation = linear, ...)
  }
  fit <- fit_at(10)
  expect_equal(fit$phi[["residual.range"]], 42, tolerance = 1e-12)
  expect_identical(fit$certificate$status, "converged")
  expect_match(fit$certificate$message, "kink")
  # the profiled criterion beside the kink
  held <- function(range) {
    REMLcrit(fit_at(10, control = lmm_control(hold = c("residual.range" = range))))
  }
  step <- 1e-3
  slopes <- c(
    REMLcrit(fit) - held(42 * exp(-step)), held(42 * exp(step)) - REMLcrit(fit)
  ) / step
  expect_equal(slopes, c(-33.30, 1.40), tolerance = 0.02)
  expect_equal(held(42), REMLcrit(fit), tolerance = 1e-9)
  # inference at the kink takes the range as known
  expect_identical(is.na(confint(fit)["residual.range", ]), c("2.5 %" = TRUE, "97.5 %" = TRUE))
  expect_false(anyNA(coef(summary(fit))))
})

test_that("Orthodont: unstructured, compound symmetric, variances of strata", {
  skip_on_cran()
  d <- nlme_data("Orthodont")
  d$visit <- (d$age - 6) / 2
  f <- distance ~ age * Sex
  none <- function(...) expect_nlme(f, d, ...)
  intercept <- function(...) expect_nlme(f, d, "(1 | Subject)", ~ 1 | Subject, ...)
  sex <- nlme::varIdent(form = ~ 1 | Sex)
  none(correlation = nlme::corSymm(form = ~ 1 | Subject))
  none(
    correlation = nlme::corSymm(form = ~ 1 | Subject), weights = nlme::varIdent(form = ~ 1 | age)
  )
  none(correlation = nlme::corCompSymm(form = ~ 1 | Subject))
  none(correlation = nlme::corCompSymm(form = ~ 1 | Subject), weights = sex)
  none(correlation = nlme::corAR1(form = ~ visit | Subject))
  intercept(correlation = nlme::corAR1(form = ~ visit | Subject))
  intercept(correlation = nlme::corAR1(form = ~ visit | Subject), weights = sex)
  intercept(weights = sex)
  intercept(weights = nlme::varIdent(form = ~ 1 | Sex * age))
  expect_nlme(f, d, "(age | Subject)", ~ age | Subject, weights = sex)
})

test_that("Dialyzer: power and exponential variances, with correlations and random effects", {
  skip_on_cran()
  d <- nlme_data("Dialyzer")
  f <- rate ~ (pressure + I(pressure^2) + I(pressure^3) + I(pressure^4)) * QB
  power <- nlme::varPower(form = ~ pressure)
  expect_nlme(f, d, weights = power)
  expect_nlme(f, d, weights = power, correlation = nlme::corAR1(0.7, form = ~ 1 | Subject))
  expect_nlme(f, d, weights = nlme::varPower(form = ~ pressure | QB))
  expect_nlme(f, d, weights = nlme::varExp(form = ~ pressure))
  expect_nlme(f, d, weights = nlme::varExp(form = ~ pressure | QB))
  expect_nlme(
    f, d, "(pressure || Subject)", list(Subject = nlme::pdDiag(~ pressure)), weights = power
  )
  expect_nlme(
    f, d, "(pressure + I(pressure^2) | Subject)", ~ pressure + I(pressure^2) | Subject,
    weights = power
  )
  # the constant goes to zero: the logarithm of it is not identified
  expect_nlme(
    f, d, weights = nlme::varConstPower(form = ~ pressure), status = "not-identified"
  )
})

test_that("Wheat2: correlations in the plane, with and without blocks", {
  skip_on_cran()
  d <- nlme_data("Wheat2")
  plain <- function(...) expect_nlme(yield ~ variety - 1, d, ...)
  at <- ~ latitude + longitude
  plain(correlation = nlme::corExp(form = at))
  plain(correlation = nlme::corRatio(12.5, form = at))
  plain(correlation = nlme::corRatio(c(12.5, 0.2), form = at, nugget = TRUE))
  plain(correlation = nlme::corGaus(c(12, 0.2), form = at, nugget = TRUE))
  within <- ~ latitude + longitude | Block
  expect_nlme(yield ~ variety, d, correlation = nlme::corExp(5, within, metric = "manhattan"))
  expect_nlme(yield ~ variety, d, correlation = nlme::corExp(5, within, metric = "maximum"))
  expect_nlme(
    yield ~ variety, d, "(1 | Block)", ~ 1 | Block,
    correlation = nlme::corExp(c(5, 0.2), within, nugget = TRUE), status = "singular"
  )
})

test_that("Spruce, Oats, Machines: nested groups", {
  skip_on_cran()
  d <- nlme_data("Spruce")
  days <- ~ days | Tree
  expect_nlme(logSize ~ days * plot, d, correlation = nlme::corExp(form = days))
  expect_nlme(
    logSize ~ days * plot, d, correlation = nlme::corExp(c(100, 0.1), days, nugget = TRUE)
  )
  curve <- logSize ~ days + I(days^2) + plot
  tree <- function(...) expect_nlme(curve, d, "(1 | Tree)", ~ 1 | Tree, ...)
  tree(weights = nlme::varPower(form = ~ days))
  tree(weights = nlme::varConstPower(1, 0.1, form = ~ days))

  d <- nlme_data("Oats")
  f <- yield ~ nitro * Variety
  plots <- function(...) expect_nlme(f, d, "(1 | Block/Variety)", ~ 1 | Block / Variety, ...)
  plots(correlation = nlme::corAR1(form = ~ 1 | Block / Variety))
  plots(weights = nlme::varIdent(form = ~ 1 | Variety))
  blocks <- nlme::corCompSymm(form = ~ 1 | Block / Variety)
  expect_nlme(f, d, "(1 | Block)", ~ 1 | Block, correlation = blocks)
  expect_nlme(f, d, correlation = nlme::corCompSymm(form = ~ 1 | Block))

  d <- nlme_data("Machines")
  machine <- nlme::varIdent(form = ~ 1 | Machine)
  expect_nlme(score ~ Machine, d, "(1 | Worker/Machine)", ~ 1 | Worker / Machine, weights = machine)
  pairs <- nlme::corCompSymm(form = ~ 1 | Worker / Machine)
  expect_nlme(score ~ Machine, d, "(1 | Worker)", ~ 1 | Worker, correlation = pairs)
  expect_nlme(score ~ Machine, d, correlation = pairs, weights = machine)
})

test_that("Glucose2, Milk, Soybean, Gasoline, Earthquake", {
  skip_on_cran()
  d <- nlme_data("Glucose2")
  expect_nlme(
    glucose ~ Time + I(Time^2), d, "(1 | Subject/Date)", ~ 1 | Subject / Date,
    correlation = nlme::corAR1(form = ~ 1 | Subject / Date), status = "singular"
  )
  d <- nlme_data("Milk")
  f <- protein ~ Diet * Time
  cow <- function(...) expect_nlme(f, d, "(1 | Cow)", ~ 1 | Cow, ...)
  cow(correlation = nlme::corAR1(form = ~ Time | Cow))
  nugget <- nlme::corExp(c(3, 0.3), ~ Time | Cow, nugget = TRUE)
  cow(correlation = nugget, status = "singular")
  expect_nlme(f, d, correlation = nugget)
  expect_nlme(
    protein ~ Diet + factor(Time), d,
    correlation = nlme::corGaus(c(3, 0.3), ~ Time | Cow, nugget = TRUE)
  )
  expect_nlme(
    protein ~ Diet, d, "(Time | Cow)", ~ Time | Cow,
    correlation = nlme::corAR1(form = ~ Time | Cow), weights = nlme::varIdent(form = ~ 1 | Diet)
  )
  d <- nlme_data("Soybean")
  plot <- function(...) {
    f <- weight ~ Time * Variety + I(Time^2) * Year
    expect_nlme(f, d, "(1 | Plot)", ~ 1 | Plot, ..., status = "singular")
  }
  plot(weights = nlme::varPower(form = ~ Time))
  plot(weights = nlme::varExp(form = ~ Time))
  plot(
    correlation = nlme::corCAR1(form = ~ Time | Plot), weights = nlme::varExp(form = ~ Time)
  )
  plot(
    correlation = nlme::corAR1(form = ~ 1 | Plot), weights = nlme::varPower(form = ~ Time | Variety)
  )
  d <- nlme_data("Gasoline")
  expect_nlme(
    yield ~ endpoint + vapor, d, "(1 | Sample)", ~ 1 | Sample,
    weights = nlme::varPower(form = ~ endpoint)
  )
  expect_nlme(
    yield ~ endpoint, d, "(1 | Sample)", ~ 1 | Sample, weights = nlme::varExp(form = ~ endpoint)
  )
  d <- nlme_data("Earthquake")
  quake <- function(f, w) expect_nlme(f, d, "(1 | Quake)", ~ 1 | Quake, weights = w)
  quake(log(accel) ~ log(distance) + Richter, nlme::varPower(form = ~ distance))
  quake(accel ~ log(distance) + Richter, nlme::varExp(form = ~ distance))
})

test_that("a variance function of the fitted values is at a fixed point of nlme's iterations", {
  skip_on_cran()
  # nlme settles for changes of 1e-5 or so in the fitted values; with ours as covariate it has
  # nothing to iterate
  check <- function(f, d, bars = NULL, random = NULL, correlation = NULL) {
    formula <- if (is.null(bars)) f else stats::as.formula(paste(deparse1(f), "+", bars))
    fit <- do.call(lmm, c(
      list(formula, d, weights = nlme::varPower()),
      if (!is.null(correlation)) list(correlation = correlation)
    ))
    d$at <- fitted(fit)
    theirs <- nlme_fit(f, d, random, correlation, nlme::varPower(form = ~ at), "REML")
    expect_equal(as.numeric(logLik(fit)), as.numeric(logLik(theirs)), tolerance = 1e-8)
    expect_equal(unname(fitted(fit)), unname(as.numeric(fitted(theirs))), tolerance = 1e-5)
    wanted <- nlme_estimates(theirs)
    own <- our_estimates(fit, FALSE)
    for (name in c("beta", "se", "sigma", "phi")) {
      expect_equal(own[[name]], wanted[[name]], tolerance = 1e-4, label = name)
    }
  }
  check(weight ~ Time * Diet, nlme_data("BodyWeight"), "(Time | Rat)", ~ Time | Rat)
  check(yield ~ nitro * Variety, nlme_data("Oats"), "(1 | Block/Variety)", ~ 1 | Block / Variety)
  check(
    rate ~ (pressure + I(pressure^2) + I(pressure^3) + I(pressure^4)) * QB, nlme_data("Dialyzer"),
    correlation = nlme::corAR1(0.7, form = ~ 1 | Subject)
  )
})

# Where nlme does not reach the optimum at all: ours evaluated from the definition of the model
test_that("what nlme does not reach is there", {
  skip_on_cran()
  d <- nlme_data("Spruce")
  same <- outer(as.character(d$Tree), as.character(d$Tree), "==")
  gap <- abs(outer(d$days, d$days, "-"))
  corr <- function(rho) ifelse(same, rho^gap, 0)
  dense <- function(fit, formula, v) {
    model <- list(y = d$logSize, X = model.matrix(formula, d), variance = function(nu) v)
    expect_equal(
      as.numeric(logLik(fit)), -brute_structures_criterion(model, 0, fit$REML) / 2, tolerance = 1e-9
    )
  }
  f <- logSize ~ days + I(days^2) + plot
  # gls() stops at its start: -1071.5 against 140.2
  fit <- lmm(
    f, d, correlation = nlme::corCAR1(form = ~ days | Tree), weights = nlme::varPower(form = ~ days)
  )
  expect_identical(fit$certificate$status, "converged")
  expect_gt(as.numeric(logLik(fit)), 140.24)
  sd <- sigma(fit) * d$days^fit$phi[[2L]]
  dense(fit, f, outer(sd, sd) * corr(fit$phi[[1L]]))
  # lme() is 396 lower
  fit <- suppressMessages(lmm(
    logSize ~ days + I(days^2) + plot + (days | Tree), d,
    correlation = nlme::corCAR1(form = ~ days | Tree)
  ))
  expect_identical(fit$certificate$status, "singular")
  g <- VarCorr(fit)$Tree
  z <- cbind(1, d$days)
  dense(fit, f, ifelse(same, z %*% g %*% t(z), 0) + sigma(fit)^2 * corr(fit$phi[[1L]]))
})

test_that("a constant and a proportion are those of nlme, with a known sigma or constant", {
  skip_if_not(exists("varConstProp", asNamespace("nlme")))
  set.seed(1)
  d <- data.frame(g = factor(rep(1:30, each = 6)), x = rep(c(0, -1, 2, 4, 8, 16), 30))
  d$s <- factor(rep(c("a", "b"), each = 90))
  d$y <- 3 + rnorm(30)[d$g] + 0.5 * d$x + rnorm(180) * sqrt(0.5^2 + 0.3^2 * d$x^2)
  functions <- list(
    quote(varConstProp(form = ~ x)), quote(varConstProp(form = ~ x | s)),
    quote(varConstProp(0.6, -0.2, form = ~ x)),
    quote(varConstProp(form = ~ x, fixed = list(prop = 0.25)))
  )
  constructors <- list2env(list(varConstProp = get("varConstProp", asNamespace("nlme"))))
  for (f in functions) {
    weights <- eval(f, constructors)
    ours <- lmm(y ~ x + (1 | g), d, REML = FALSE, weights = weights,
                control = lmm_control(sigma = 1))
    theirs <- nlme::lme(y ~ x, d, ~ 1 | g, method = "ML", weights = weights,
                        control = nlme::lmeControl(sigma = 1))
    expect_equal(as.numeric(logLik(ours)), as.numeric(logLik(theirs)), tolerance = 1e-6)
    parameters <- coef(theirs$modelStruct$varStruct, unconstrained = FALSE, allCoef = TRUE)
    expect_equal(unname(ours$phi), abs(as.vector(t(as.matrix(parameters)))), tolerance = 1e-3)
  }
  # a constant of 1 and a free sigma is the same model
  held <- lmm(y ~ x + (1 | g), d, weights = nlme::varConstProp(form = ~ x, fixed = list(const = 1)))
  known <- lmm(y ~ x + (1 | g), d, weights = nlme::varConstProp(form = ~ x),
               control = lmm_control(sigma = 1))
  expect_equal(logLik(held), logLik(known), tolerance = 1e-8, ignore_attr = TRUE)
  expect_equal(sigma(held) * c(1, held$phi[[2]]), unname(known$phi), tolerance = 1e-5)
  expect_error(lmm(y ~ x + (1 | g), d, weights = nlme::varConstProp(form = ~ x)), "sigma",
               class = "ferrolmm_error_identifiable")
})
