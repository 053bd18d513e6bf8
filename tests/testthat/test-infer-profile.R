small_sleep <- function() {
  droplevels(twin_data()$sleepstudy[1:60, ])
}

test_that("ML profile intervals are those that lme4 prints", {
  # lme4 1.1-31, confint(lmer(Reaction ~ Days + (Days | Subject), sleepstudy, REML = FALSE))
  expected <- rbind(
    c(14.3815, 37.7160), c(-0.4815, 0.6850), c(3.8012, 8.7534), c(22.8983, 28.8580),
    c(237.6807, 265.1295), c(7.3587, 13.5759)
  )
  ours <- confint(profile(our_twin("ml")))
  expect_equal(unname(ours), expected, tolerance = 1e-5)
  expect_identical(rownames(ours), c(".sig01", ".sig02", ".sig03", ".sigma", "(Intercept)", "Days"))
  expect_identical(colnames(ours), c("2.5 %", "97.5 %"))
})

test_that("ML profile intervals agree with lme4, also at a variance of zero", {
  skip_if_not_installed("lme4")
  e <- new.env()
  utils::data(list = c("Pastes", "Penicillin", "Dyestuff2"), package = "lme4", envir = e)
  models <- list(
    Pastes = strength ~ 1 + (1 | batch / cask),
    Penicillin = diameter ~ 1 + (1 | plate) + (1 | sample),
    Dyestuff2 = Yield ~ 1 + (1 | Batch)
  )
  for (name in names(models)) {
    theirs <- suppressWarnings(suppressMessages(
      confint(lme4::lmer(models[[name]], e[[name]], REML = FALSE), quiet = TRUE)
    ))
    fit <- suppressMessages(lmm(models[[name]], e[[name]], REML = FALSE))
    ours <- confint(profile(fit))
    expect_equal(ours, theirs, tolerance = 1e-3, info = name)
    expect_identical(ours == 0, theirs == 0, info = name)
  }
})

test_that("a REML profile is the REML criterion with the parameter fixed", {
  fit <- lmm(Reaction ~ Days + (Days | Subject), small_sleep())
  profiled <- profile(fit, "theta_")
  expect_s3_class(profiled, c("profile.lmm", "data.frame"))
  for (number in 1:4) {
    rows <- which(as.integer(profiled$.par) == number)
    inner <- rows[abs(profiled$.zeta[rows]) > 0.5 & abs(profiled$.zeta[rows]) < 2.2]
    for (row in inner[c(1, length(inner))]) {
      value <- profiled[[number + 1]][[row]]
      rise <- brute_rise(fit, number, value, correlated = TRUE)
      expect_equal(profiled$.zeta[[row]]^2, rise, tolerance = 1e-5, info = paste(number, value))
    }
  }
  # and it is not the profile of the ML fit
  expect_gt(confint(profiled)[[".sig01", 2]], 1.1 * confint(profile(refitML(fit)))[[".sig01", 2]])
})

test_that("near a standard deviation of zero the profile is the lower of its two arcs", {
  # the correlation goes to 1 or -1 there, and the minimum is at one of them only
  fit <- lmm(distance ~ age + (age | Subject), nlme::Orthodont)
  profiled <- profile(fit, c(".sig01", ".sig03"))
  for (name in c(".sig01", ".sig03")) {
    rows <- which(profiled$.par == name)
    zeta <- profiled$.zeta[rows]
    expect_true(all(diff(zeta) > 0), info = name)
    value <- profiled[[name]][rows]
    expect_identical(value[[1]], 0)
    small <- rows[value > 0 & value < 0.15 * max(value[zeta == 0])]
    expect_gt(length(small), 5)
    for (row in small[c(1, length(small) - 1, length(small))]) {
      number <- match(name, names(profiled)) - 1
      rise <- brute_rise(fit, number, profiled[[name]][[row]], correlated = TRUE)
      expect_equal(profiled$.zeta[[row]]^2, rise, tolerance = 1e-5, info = paste(name, row))
    }
    # in the boundary itself: the limit of the points before
    expect_equal(zeta[[1]], zeta[[2]], tolerance = 1e-4)
  }
})

test_that("a parabola through the ends of a path finds its boundary", {
  x <- c(0.1, 0.11, 0.25, 0.6, 3)
  expect_equal(value_at_zero(x, 2 - 3 * x + x^2), 2)
  expect_equal(value_at_zero(x[1:2], 2 - 3 * x[1:2]), 2)
})

test_that("a part of a profile prints", {
  profiled <- profile(our_twin("ml"), c(".sig01", ".sigma"))
  expect_output(print(utils::head(profiled, 5)), "sd_(Intercept)|Subject", fixed = TRUE)
})

test_that("the interval ends where the profile reaches the quantile, also between points", {
  e <- new.env()
  utils::data("Dyestuff", package = "lme4", envir = e)
  fit <- lmm(Yield ~ 1 + (1 | Batch), e$Dyestuff)
  limits <- confint(profile(fit, "theta_"), level = 0.9)
  for (i in 1:2) {
    for (side in 1:2) {
      expect_equal(brute_rise(fit, i, limits[i, side]), qnorm(0.95)^2, tolerance = 2e-3)
    }
  }
})

test_that("fixed effects are profiled by ML, around the ML fit", {
  fit <- our_twin("weighted")
  profiled <- profile(fit, "Days")
  ml <- refitML(fit)
  expect_equal(range(profiled$Days[profiled$.zeta == 0]), rep(fixef(ml)[["Days"]], 2))
  rows <- c(2, 6, nrow(profiled) - 3)
  for (row in rows) {
    at <- profiled$Days[[row]]
    sleepstudy <- twin_data()$sleepstudy
    anew <- lmm(
      Reaction ~ 1 + (Days | Subject), sleepstudy, weights = w, offset = at * Days, REML = FALSE
    )
    expect_equal(profiled$.zeta[[row]]^2, deviance(anew) - deviance(ml), tolerance = 1e-6)
    expect_equal(profiled[["(Intercept)"]][[row]], fixef(anew)[[1]], tolerance = 1e-6)
    expect_equal(profiled$.sigma[[row]], sigma(anew), tolerance = 1e-6)
  }
  expect_output(print(profiled), "deviance")
})

test_that("along the profile of a variance parameter the fixed effects are those of the others", {
  fit <- our_twin("missing")
  profiled <- profile(fit, ".sigma")
  row <- 4
  theta <- c(profiled$.sig01[row], profiled$.sig03[row] * profiled$.sig02[row],
             profiled$.sig03[row] * sqrt(1 - profiled$.sig02[row]^2)) / profiled$.sigma[row]
  inputs <- engine_inputs(fit)
  dense <- brute_force(theta, inputs$fixed$y, inputs$fixed$X, inputs$random$design)
  expect_equal(c(profiled[["(Intercept)"]][row], profiled$Days[row]), dense$beta, tolerance = 1e-7)
})

test_that("paths end in the boundary, and intervals there", {
  set.seed(3)
  data <- data.frame(g = gl(8, 5), x = rep(1:5, 8))
  data$y <- 5 + data$x + rep(rnorm(8), each = 5) + rnorm(40)
  fit <- lmm(y ~ x + (x | g), data)
  limits <- confint(profile(fit, "theta_"))
  expect_identical(limits[[".sig01", 1]], 0)
  expect_identical(limits[[".sig02", 2]], 1)
  expect_identical(limits[[".sig03", 1]], 0)
  expect_true(all(is.finite(limits)))
  # without the slope's variance its correlation is gone too: the rise at zero is known exactly
  profiled <- profile(fit, ".sig03")
  without <- lmm(y ~ x + (1 | g), data)
  expect_equal(profiled$.zeta[[1]]^2, REMLcrit(without) - REMLcrit(fit), tolerance = 0.01)
  expect_identical(profiled$.sig03[[1]], 0)
})

test_that("where a profile stops short of the level a limit is NA, with a warning", {
  profiled <- profile(our_twin("crossed"), ".sigma", cutoff = 1.5)
  expect_warning(
    limits <- confint(profiled, level = 0.999), "level 0.999", class = "ferrolmm_warning_profile"
  )
  expect_true(all(is.na(limits)))
})

test_that("aliased coefficients have no profile", {
  fit <- our_twin("deficient")
  profiled <- profile(fit)
  expect_false("I(2 * Days)" %in% levels(profiled$.par))
  expect_identical(nlevels(profiled$.par), 5L)
  expect_equal(
    confint(profiled)["Days", ],
    confint(profile(suppressMessages(
      lmm(Reaction ~ Days + late + (1 | Subject), twin_data()$sleepstudy)
    )))["Days", ]
  )
})

test_that("parameters are chosen by group, name and number", {
  fit <- our_twin("slope")
  picked <- function(...) levels(profile(fit, ..., cutoff = 0.5)$.par)
  expect_identical(picked("theta_"), c(".sig01", ".sig02", ".sig03", ".sigma"))
  expect_identical(picked("beta_"), c("(Intercept)", "Days"))
  expect_identical(picked(c("Days", ".sigma")), c(".sigma", "Days"))
  expect_identical(picked(5), "(Intercept)")
  expect_identical(picked(-(1:5)), "Days")
  expect_identical(picked("sd_Days|Subject"), ".sig03")
  expect_identical(picked(1:2, signames = FALSE),
                   c("sd_(Intercept)|Subject", "cor_Days.(Intercept)|Subject"))
  expect_identical(rownames(confint(profile(fit, "theta_", cutoff = 2.1), "sigma")), ".sigma")
  expect_error(profile(fit, "age"), "`age`", class = "ferrolmm_error_argument")
  expect_error(profile(fit, 7), "1 to 6", class = "ferrolmm_error_argument")
  expect_error(profile(fit, alphamax = 2), "alphamax", class = "ferrolmm_error_argument")
  expect_error(profile(fit, cutoff = -1), "cutoff", class = "ferrolmm_error_argument")
  expect_error(profile(fit, maxpts = 3), "`maxpts`", class = "ferrolmm_error_argument")
  expect_error(confint(profile(fit, 1, cutoff = 2.1), "Days"), "not profiled",
               class = "ferrolmm_error_argument")
})

test_that("theta and standard deviations with correlations are the same parameters", {
  for (name in c("slope", "shared_factor", "factor_slope", "double_bar")) {
    fit <- our_twin(name)
    sdcor <- theta_to_sdcor(matrix(fit$theta), fit$sigma, fit$random)
    expect_equal(drop(sdcor), as.data.frame(VarCorr(fit), order = "lower.tri")$sdcor, info = name)
    expect_equal(sdcor_to_theta(drop(sdcor), fit$random), unname(fit$theta), info = name)
  }
})

test_that("print() and as.data.frame() of a profile", {
  profiled <- profile(our_twin("slope"))
  expect_output(print(profiled), "REML criterion; fixed effects: of the deviance")
  table <- as.data.frame(profiled)
  expect_identical(class(table), "data.frame")
  expect_named(table, c(".zeta", ".sig01", ".sig02", ".sig03", ".sigma", "(Intercept)", "Days",
                        ".par", ".focal"))
  expect_false(anyNA(table))
  expect_false(is.unsorted(table$.zeta[table$.par == ".sig01"]))
})

test_that("profiles with parameters held or tied, or sigma known", {
  data <- as.data.frame(nlme::Orthodont)
  data$f <- factor(data$age)
  both <- c("Subject.(Intercept)", "f.(Intercept)")
  crossed <- function(...) {
    lmm(distance ~ age * Sex + (1 | Subject) + (1 | f), data, control = lmm_control(...))
  }
  # without the tie, the second standard deviation is zero
  tied <- crossed(tie = list(both))
  expect_identical(tied$certificate$status, "converged")
  at <- function(theta, ...) REMLcrit(crossed(hold = stats::setNames(c(theta, theta), both), ...))
  best <- stats::optimize(at, c(0.5, 2), tol = 1e-9)
  expect_equal(REMLcrit(tied), best$objective, tolerance = 1e-10)
  expect_equal(unname(getME(tied, "theta")), rep(best$minimum, 2), tolerance = 1e-5)
  # against the minimum over sigma at a given standard deviation
  profiled <- profile(tied, "theta_", cutoff = 2.2)
  expect_identical(levels(profiled$.par), c(".sig01", ".sig02", ".sigma"))
  expect_equal(
    profiled$.zeta[profiled$.par == ".sig01"], profiled$.zeta[profiled$.par == ".sig02"],
    tolerance = 1e-6
  )
  for (i in c(1L, 4L)) {
    sd <- profiled$.sig01[[i]]
    lowest <- stats::optimize(
      function(s) at(sd / exp(s), sigma = exp(s)), log(c(0.5, 4)), tol = 1e-8
    )$objective
    expect_equal(profiled$.zeta[[i]]^2, lowest - REMLcrit(tied), tolerance = 1e-5)
  }

  held <- lmm(
    distance ~ age * Sex + (1 | Subject), data,
    correlation = nlme::corAR1(0.2, form = ~ 1 | Subject, fixed = TRUE)
  )
  limits <- confint(held, parm = "theta_", method = "profile")
  expect_identical(unname(is.na(limits[, 1L])), c(FALSE, TRUE, FALSE))
  expect_error(profile(held, "residual.rho"), "held", class = "ferrolmm_error_argument")

  known <- lmm(distance ~ age * Sex + (age | Subject), data, control = lmm_control(sigma = 1.3))
  limits <- confint(known, parm = "theta_", method = "profile")
  expect_identical(unname(is.na(limits[, 1L])), c(FALSE, FALSE, FALSE, TRUE))
  expect_gt(limits[3L, 2L], as.data.frame(VarCorr(known))$sdcor[[2L]])
})

test_that("a fixed effect whose refits have no criterion has a profile of one point", {
  fit <- lmm(Reaction ~ Days + (1 | Subject), lme4::sleepstudy, REML = FALSE)
  nowhere <- function(delta) {
    n <- length(delta)
    list(
      criterion = rep.int(Inf, n), status = rep.int("failed", n), sigma = rep.int(NaN, n),
      theta = matrix(NaN, 1L, n), phi = matrix(0, 0L, n), beta = matrix(NaN, 1L, n)
    )
  }
  path <- fixed_path(fit, 2L, 1, nowhere, 2)
  expect_identical(path$zeta, 0)
  expect_identical(path$parameters[, 1L], unname(c(natural_parameters(fit), fixef(fit))))
})

test_that("of two fits of each response the lower one is taken", {
  fits <- function(criterion) {
    n <- length(criterion)
    list(criterion = criterion, sigma = criterion + 1, theta = rbind(criterion),
         phi = matrix(0, 0, n), beta = rbind(criterion, 2), status = rep("converged", n))
  }
  expect_identical(
    lower_fits(fits(c(5, 5, 5, 5, 5)), fits(c(1, 7, 5, 4, 5))), fits(c(1, 5, 5, 4, 5))
  )
  expect_identical(
    lower_fits(fits(c(5, 5, NA, NA)), fits(c(1, NA, 5, NA)))$criterion, c(1, 5, 5, NA)
  )
})

test_that("another optimum of the others is found where it is the lowest at few points only", {
  # found by dev/fuzz, seed 50856
  d <- data.frame(
    u = factor(c(4, 2, 1, 3, 3, 2, 5, 6, 5, 1)), f = factor(c(1, 1, 2, 1, 2, 2, 2, 1, 2, 1)),
    q = rep(c(TRUE, FALSE, TRUE, FALSE, TRUE), c(1, 1, 6, 1, 1)),
    y = c(-0.1729, -5.3939, 3.8749, 4.7585, 1.5265, 0.4096, -5.4559, 3.4332, 8.9715, 3.2809)
  )
  quiet <- function(x) suppressMessages(suppressWarnings(x))
  fit <- quiet(lmm(y ~ f + (0 + q | u), d, REML = FALSE))
  path <- subset(as.data.frame(quiet(profile(fit, "(Intercept)"))), .zeta > 3)
  rises <- vapply(path$`(Intercept)`, function(intercept) {
    d$o <- intercept
    d$b <- as.numeric(d$f == "2")
    quiet(lmm(y ~ 0 + b + (0 + q | u), d, REML = FALSE, offset = o))$criterion - fit$criterion
  }, 1)
  expect_gt(length(rises), 4L)
  expect_equal(path$.zeta^2, rises, tolerance = 1e-6)
})

test_that("the profile of a coefficient is that of the deviance, as lme4 has it", {
  s <- lme4::sleepstudy
  fit <- lmm(Reaction ~ Days + (Days | Subject), s)
  profiled <- as.data.frame(profile(fit, "Days"))
  whole <- lmm(Reaction ~ Days + (Days | Subject), s, REML = FALSE)
  for (i in c(2L, nrow(profiled) - 1L)) {
    s$rest <- s$Reaction - profiled$Days[[i]] * s$Days
    other <- lme4::lmer(rest ~ 1 + (Days | Subject), s, REML = FALSE)
    expect_equal(
      profiled$.zeta[[i]]^2, stats::deviance(other) - deviance(whole), tolerance = 1e-5
    )
  }
})

test_that("fixed effects along a profile are those of variances of structures next to zero", {
  for (seed in c(1, 7, 9)) {
    set.seed(seed)
    d <- data.frame(g = gl(5, 6), x1 = rnorm(30), x2 = rpois(30, 2))
    d$y <- 1.5 * rnorm(5)[d$g] + rnorm(30)
    fit <- suppressMessages(lmm(y ~ 1 + cs(1 + x1 + x2 | g), d))
    table <- as.data.frame(profile(fit, "theta_"))
    expect_identical(min(table$.sig01, table$.sig02, table$.sig03), 0)
    # compound symmetry of three effects
    expect_true(all(table$.sig04 >= -0.5 - 1e-8))
    Z <- lapply(list(rep(1, 30), d$x1, d$x2), function(x) x * model.matrix(~ 0 + g, d))
    Z <- do.call(cbind, Z)
    by_hand <- vapply(seq_len(nrow(table)), function(i) {
      point <- table[i, ]
      sd <- c(point$.sig01, point$.sig02, point$.sig03)
      C <- matrix(point$.sig04, 3L, 3L)
      diag(C) <- 1
      V <- Z %*% kronecker(C * outer(sd, sd), diag(5L)) %*% t(Z) + diag(point$.sigma^2, 30L)
      sum(solve(V, d$y)) / sum(solve(V))
    }, 1)
    expect_equal(table[["(Intercept)"]], by_hand, tolerance = 1e-10)
  }
})

test_that("a boundary point of a likelihood without bound is no optimum", {
  # with rho at -1/2 the criterion falls without end as sigma goes to zero: a dense search comes to
  # 14.5 at sigma = 2e-4, and lower from there; the point where two deviations are zero has 33.1
  d <- data.frame(
    g = factor(c(1, 2, 1, 3, 2, 1)),
    x1 = c(1.64427, -0.46677, -0.62803, -0.53038, 0.77073, -0.01346), x2 = c(1, 1, 0, 3, 2, 5),
    y = c(-0.2259, -0.42209, 8.70851, -11.09607, -1.9798, 1.95388)
  )
  expect_error(
    lmm(y ~ 1 + cs(1 + x1 + x2 | g), d), class = "ferrolmm_error_perfect_fit"
  )
})

test_that("a correlation at its end is the centre of its profile though others are as near", {
  d <- data.frame(
    h = c(1, 1, 3, 2, 3, 3, 3, 3, 2),
    x1 = c(-1.247104, 0.457792, -1.587489, -0.287520, 0.280928, -0.947221, -0.514697, 1.301863,
           -0.134295),
    x2 = c(2.431998, 0.587063, 1.882398, 0.773664, 2.047329, 2.639538, 1.443091, 2.392895,
           -0.404944),
    o = factor(c(3, 3, 1, 1, 3, 2, 3, 3, 3), ordered = TRUE),
    y = c(-1.317318, -0.242033, 5.621290, 3.564569, 0.296338, -1.289064, -3.462211, -5.878570,
          0.451629),
    w = c(3.197820, 0.676510, 538.527881, 1.476876, 0.010013, 0.007050, 0.001095, 890.160028,
          756.572773)
  )
  fit <- suppressMessages(lmm(y ~ x1 + o + (x2 | h), d, weights = w))
  interval <- confint(fit, "theta_", method = "profile")
  expect_equal(interval[[2L, 1L]], -1, tolerance = 1e-6)
  # the path leads away from the end, to where the criterion has risen by the square of the quantile
  expect_equal(brute_rise(fit, 2L, interval[[2L, 2L]], TRUE), qnorm(0.975)^2, tolerance = 1e-3)
})

test_that("the limits of an interval are points of the profile, not interpolated", {
  fit <- our_twin("slope")
  limits <- confint(fit, "theta_", method = "profile")
  for (number in 1:4) {
    for (side in 1:2) {
      rise <- brute_rise(fit, number, limits[[number, side]], TRUE)
      expect_equal(rise, qnorm(0.975)^2, tolerance = 2e-5)
    }
  }
})

test_that("fixed effects that a point of a profile has not are those of the point before", {
  x <- rbind(c(NaN, NaN, 1, 2, NaN, 3, NA), NA)
  expect_identical(fill_outwards(x, 4L, 1L)[1L, ], c(1, 1, 1, 2, 2, 3, 3))
  expect_identical(fill_outwards(x[, 4L, drop = FALSE], 1L, 1L)[1L, ], 2)
  # the residual correlation of the fit is -1, where nothing can be evaluated
  d <- data.frame(t = factor(rep(1:2, 7L)), g = factor(rep(1:7, each = 2L)))
  set.seed(1)
  d$y <- 1 + rnorm(14)[d$g] * c(1, -0.7)[d$t]
  fit <- suppressWarnings(suppressMessages(lmm(y ~ t, d, residual = ~ adh(t | g))))
  found <- as.data.frame(suppressWarnings(suppressMessages(profile(fit))))
  expect_false(anyNA(found$t2))
})

test_that("a side of the profile of a fixed effect ends where no optimum is found", {
  fit <- lmm(Reaction ~ Days + (1 | Subject), small_sleep(), REML = FALSE)
  se <- sqrt(diag(vcov(fit)))[["Days"]]
  # a parabola: zeta is the distance in standard errors
  asked <- NULL
  parabola <- function(good) {
    asked <<- NULL
    function(delta) {
      asked <<- c(asked, delta / se)
      list(
        theta = matrix(fit$theta, 1L, length(delta)), phi = matrix(0, 0L, length(delta)),
        beta = matrix(0, 1L, length(delta)), sigma = rep(fit$sigma, length(delta)),
        criterion = fit$criterion + (delta / se)^2,
        status = ifelse(good(delta / se), "singular", "failed")
      )
    }
  }
  whole <- fixed_path(fit, 2L, se, parabola(function(z) TRUE), 2.1)
  expect_equal(whole$zeta, seq(-2.4, 2.4, by = 0.4))
  expect_equal(whole$parameters[4L, ], fixef(fit)[["Days"]] + se * whole$zeta)
  expect_false(whole$ended)
  short <- fixed_path(fit, 2L, se, parabola(function(z) z < 1 | z > 1.5), 2.1)
  expect_equal(short$zeta, seq(-2.4, 0.8, by = 0.4))
  expect_true(short$ended)
  # nothing is asked for beyond what ended
  nothing <- fixed_path(fit, 2L, se, parabola(function(z) z < 0 & z > -0.5), 8)
  expect_equal(nothing$zeta, c(-0.4, 0))
  expect_equal(sort(asked), c(-1.2, -0.8, -0.4, 0.4))
})

test_that("around a fit that is no optimum there is no profile of fixed effects, with a warning", {
  fit <- suppressWarnings(lmm(
    Reaction ~ Days + (Days | Subject), small_sleep(), REML = FALSE,
    control = lmm_control(max_evaluations = 2, starts = 1)
  ))
  expect_identical(fit$certificate$status, "iteration-limit")
  expect_warning(
    profiled <- profile(fit, "beta_"), "`\\(Intercept\\)`, `Days` ends",
    class = "ferrolmm_warning_profile"
  )
  expect_identical(profiled$.zeta, c(0, 0))
})

test_that("a walk to a point that ended nowhere gives way to one that ended as low", {
  fits <- function(criterion, status) {
    list(
      theta = matrix(criterion, 1L), phi = matrix(0, 0L, length(criterion)),
      beta = matrix(criterion, 1L), sigma = criterion, criterion = criterion, status = status
    )
  }
  near <- fits(c(5, 5, 5, 5), c("converged", "failed", "converged", "failed"))
  again <- fits(c(5, 5, 5, 5), rep("singular", 4L))
  expect_identical(
    lower_fits(near, again)$status, c("converged", "singular", "converged", "singular")
  )
})

test_that("as.data.frame() of a profile has lme4's column of the parameter that moves", {
  fit <- our_twin("slope")
  found <- as.data.frame(profile(fit, which = "beta_"))
  expect_identical(found$.focal, ifelse(found$.par == "Days", found$Days, found$`(Intercept)`))
  # the columns of lme4 1.1-31
  expect_identical(
    setdiff(names(found), names(profile(fit, which = "beta_"))), ".focal"
  )
  expect_identical(names(found)[ncol(found)], ".focal")
})
