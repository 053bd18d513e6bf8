# Covariances of random effects that differ by group: us(x | g, by = arm).

dental <- function() {
  d <- as.data.frame(nlme::Orthodont)
  d$visit <- factor(d$age)
  d$id <- factor(as.character(d$Subject))
  d
}

# three visits, two rows each; variances differ by arm
trial <- function(subjects = 30L, seed = 11L) {
  set.seed(seed)
  d <- expand.grid(rep = 1:2, visit = factor(1:3), id = factor(seq_len(subjects)))
  d$arm <- factor(c("new drug", "old:1", "placebo")[as.integer(d$id) %% 3L + 1L])
  d$time <- as.integer(d$visit)
  d$w <- seq(0.5, 2, length.out = nrow(d))
  sd <- c(3, 2, 1.5)[as.integer(d$arm)]
  start <- stats::rnorm(subjects)[d$id]
  slope <- (0.3 * start + stats::rnorm(subjects)[d$id]) / 2
  own <- stats::rnorm(3L * subjects)[interaction(d$visit, d$id)]
  d$y <- 10 + d$time / 2 + sd * (start + slope * (d$time - 2) + own) + stats::rnorm(nrow(d))
  d
}

formulas <- c(
  "us(1 | id, by = arm)", "us(time | id, by = arm)", "diag(time | id, by = arm)",
  "homdiag(time | id, by = arm)", "us(0 + visit | id, by = arm)", "cs(0 + visit | id, by = arm)",
  "homcs(0 + visit | id, by = arm)", "ar1(0 + visit | id, by = arm)",
  "hetar1(0 + visit | id, by = arm)", "toep(0 + visit | id, by = arm)",
  "homtoep(0 + visit | id, by = arm)"
)

with_term <- function(term, fixed = "y ~ time") {
  stats::as.formula(paste(fixed, "+", term), globalenv())
}

# G of one class relative to sigma^2, from the definition of theta
relative_covariance <- function(theta, term) {
  k <- if (grepl("visit", term)) 3L else if (grepl("time", term)) 2L else 1L
  name <- sub("[(].*", "", term)
  if (name == "us") {
    root <- matrix(0, k, k)
    root[lower.tri(root, diag = TRUE)] <- theta
    return(tcrossprod(root))
  }
  hom <- startsWith(name, "hom") || name == "ar1"
  sd <- if (hom) rep(theta[[1L]], k) else theta[seq_len(k)]
  rho <- theta[-seq_len(if (hom) 1L else k)]
  lag <- abs(outer(seq_len(k), seq_len(k), `-`))
  correlation <- switch(sub("^(hom|het)", "", name),
    diag = diag(k), cs = ifelse(lag == 0, 1, rho[1L]), ar1 = rho[1L]^lag,
    toep = matrix(c(1, rho)[lag + 1L], k)
  )
  outer(sd, sd) * correlation
}

# ZGZ' of rows, the classes of which are codes
relative_v <- function(theta, term, d, known = NULL) {
  z <- if (grepl("visit", term)) {
    stats::model.matrix(~ 0 + visit, d)
  } else if (grepl("time", term)) {
    stats::model.matrix(~ time, d)
  } else {
    matrix(1, nrow(d), 1L)
  }
  class <- as.integer(d$arm)
  each <- length(theta) / 3L
  v <- matrix(0, nrow(d), nrow(d))
  for (a in 1:3) {
    g <- relative_covariance(theta[(a - 1L) * each + seq_len(each)], term)
    v <- v + outer(class == a, class == a) * (z %*% g %*% t(z))
  }
  levels <- if (is.null(known)) {
    outer(d$id, d$id, `==`)
  } else {
    known[as.character(d$id), as.character(d$id)]
  }
  v * levels
}

dense_criterion <- function(v, x, y, reml, degrees = nrow(x) - reml * ncol(x)) {
  l <- t(chol(v))
  white <- forwardsolve(l, cbind(x, y))
  fit <- qr(white[, seq_len(ncol(x))])
  rss <- sum(qr.resid(fit, white[, ncol(x) + 1L])^2)
  2 * sum(log(diag(l))) + reml * 2 * sum(log(abs(diag(qr.R(fit))))) +
    degrees * (1 + log(2 * pi * rss / degrees))
}

test_that("the criterion is the dense one, for every structure, at any theta", {
  d <- trial()[-c(3, 18, 40, 77, 101), ]
  x <- stats::model.matrix(~ time, d)
  for (term in formulas) {
    for (reml in c(TRUE, FALSE)) {
      fit <- quietly(lmm(with_term(term), d, weights = w, REML = reml))
      criterion <- getME(fit, "devfun")
      set.seed(4)
      for (i in 1:3) {
        theta <- stats::runif(length(fit$theta), 0.2, 0.9)
        # correlations that have a positive definite matrix
        theta[getME(fit, "lower") < 0] <- theta[getME(fit, "lower") < 0] / 3
        v <- relative_v(theta, term, d) + diag(1 / d$w)
        expect_equal(
          criterion(theta), dense_criterion(v, x, d$y, reml), tolerance = 1e-9,
          label = paste(term, reml)
        )
      }
    }
  }
})

test_that("a known matrix of the levels goes with classes that it does not couple", {
  d <- trial()
  class <- d$arm[match(levels(d$id), d$id)]
  related <- 0.5^abs(outer(seq_along(class), seq_along(class), `-`) / 3)
  kinship <- related * outer(class, class, `==`)
  dimnames(kinship) <- list(levels(d$id), levels(d$id))
  x <- stats::model.matrix(~ time, d)
  for (term in c(
    "us(time | id, by = arm, cov = kinship)", "ar1(0 + visit | id, by = arm, cov = kinship)",
    "us(1 | id, by = arm, prec = solve(kinship))"
  )) {
    formula <- with_term(term)
    environment(formula) <- environment()
    fit <- lmm(formula, d)
    v <- relative_v(fit$theta, term, d, kinship) + diag(nrow(d))
    expect_equal(fit$criterion, dense_criterion(v, x, d$y, TRUE), tolerance = 1e-8, label = term)
    lambda <- as.matrix(getME(fit, "Lambda"))
    z <- as.matrix(getME(fit, "Z"))
    expect_equal(unname(tcrossprod(z %*% lambda)), unname(v - diag(nrow(d))), tolerance = 1e-7)
  }
  dimnames(related) <- dimnames(kinship)
  expect_error(
    lmm(y ~ time + us(1 | id, by = arm, cov = related), d), "different classes",
    class = "ferrolmm_error_known"
  )
  more <- rbind(cbind(kinship, ancestor = 0), ancestor = c(rep(0, nrow(kinship)), 1))
  expect_error(
    lmm(y ~ time + us(1 | id, by = arm, prec = solve(more)), d),
    "without rows have no `arm`: `ancestor`",
    class = "ferrolmm_error_known"
  )
})

test_that("where nothing is shared, the fit is that of each group alone", {
  d <- trial()
  for (term in formulas) {
    for (reml in c(TRUE, FALSE)) {
      label <- paste(term, reml)
      fit <- lmm(
        with_term(term, "y ~ arm / time"), d, weights = nlme::varIdent(form = ~ 1 | arm),
        REML = reml
      )
      parts <- lapply(split(d, d$arm), function(own) {
        lmm(with_term(sub(", by = arm", "", term)), own, REML = reml)
      })
      expect_equal(
        fit$criterion, sum(vapply(parts, `[[`, 1, "criterion")), tolerance = 1e-8, label = label
      )
      own <- lapply(unclass(VarCorr(fit)), function(v) attr(v, "stddev"))
      alone <- lapply(parts, function(part) attr(VarCorr(part)[[1L]], "stddev"))
      expect_named(own, paste("id", levels(d$arm)))
      expect_equal(unname(own), unname(alone), tolerance = 2e-3, label = label)
    }
  }
})

test_that("unstructured covariances of visits by sex have the published likelihood", {
  # -196.370733: separate ML fits of Orthodont by sex, their sum, as nlme::gls() has it; effects of
  # visits beside a small residual variance can have any covariance matrix of four visits
  d <- dental()
  fit <- lmm(
    distance ~ Sex * visit + us(0 + visit | id, by = Sex), d, REML = FALSE,
    control = lmm_control(sigma = 0.05, not_identified = "fit")
  )
  expect_equal(as.numeric(logLik(fit)), -196.370733, tolerance = 1e-8)
  expect_equal(attr(logLik(fit), "df"), 8 + 20)
})

test_that("it is the model that nlme has with blocks of dummy variables", {
  d <- dental()
  d$boy <- as.double(d$Sex == "Male")
  d$girl <- 1 - d$boy
  for (method in c("REML", "ML")) {
    peer <- nlme::lme(
      distance ~ age, d, method = method,
      random = list(id = nlme::pdBlocked(list(
        nlme::pdSymm(~ 0 + boy + boy:age), nlme::pdDiag(~ 0 + girl)
      )))
    )
    fit <- lmm(
      distance ~ age + us(1 | id, by = Sex) + us(0 + I(boy * age) | id), d, REML = method == "REML"
    )
    simple <- nlme::lme(
      distance ~ age, d, method = method, random = list(id = nlme::pdDiag(~ 0 + boy + girl))
    )
    ours <- lmm(distance ~ age + us(1 | id, by = Sex), d, REML = method == "REML")
    expect_equal(as.numeric(logLik(ours)), as.numeric(logLik(simple)), tolerance = 1e-7)
    expect_equal(fixef(ours), nlme::fixef(simple), tolerance = 1e-5)
    expect_lte(as.numeric(logLik(fit)), as.numeric(logLik(peer)) + 1e-6)
  }
})

test_that("it is the model that lme4 has with dummy()", {
  skip_if_not_installed("lme4")
  d <- trial()
  peer <- quietly(lme4::lmer(
    y ~ time + (0 + lme4::dummy(arm, "new drug") + lme4::dummy(arm, "new drug"):time | id) +
      (0 + lme4::dummy(arm, "old:1") + lme4::dummy(arm, "old:1"):time | id) +
      (0 + lme4::dummy(arm, "placebo") + lme4::dummy(arm, "placebo"):time | id), d
  ))
  fit <- lmm(y ~ time + us(time | id, by = arm), d)
  expect_equal(as.numeric(logLik(fit)), as.numeric(logLik(peer)), tolerance = 1e-6)
  expect_equal(fixef(fit), lme4::fixef(peer), tolerance = 1e-4)
  expect_equal(vcov(fit), as.matrix(vcov(peer)), tolerance = 1e-3)
  theirs <- unlist(lapply(lme4::VarCorr(peer), function(v) attr(v, "stddev")))
  ours <- unlist(lapply(unclass(VarCorr(fit)), function(v) attr(v, "stddev")))
  expect_equal(unname(ours), unname(theirs), tolerance = 1e-3)
  expect_equal(unname(fitted(fit)), unname(fitted(peer)), tolerance = 1e-4)
})

test_that("matrices, variances and effects are those of the class of each level", {
  d <- trial()
  x <- stats::model.matrix(~ time, d)
  for (term in c("us(time | id, by = arm)", "cs(0 + visit | id, by = arm)")) {
    fit <- lmm(with_term(term), d, weights = w)
    v <- relative_v(fit$theta, term, d)
    z <- as.matrix(getME(fit, "Z"))
    lambda <- as.matrix(getME(fit, "Lambda"))
    expect_equal(unname(tcrossprod(z %*% lambda)), unname(v), tolerance = 1e-9)
    if (startsWith(term, "us")) {
      lambdat <- getME(fit, "Lambdat")
      expect_equal(lambdat@x, unname(fit$theta)[getME(fit, "Lind")])
      expect_length(getME(fit, "Tlist"), 3L)
    }
    whole <- fit$sigma^2 * (v + diag(1 / d$w))
    w <- solve(whole)
    covariance <- solve(t(x) %*% w %*% x)
    expect_equal(unname(vcov(fit)), unname(covariance), tolerance = 1e-6)
    beta <- covariance %*% t(x) %*% w %*% d$y
    expect_equal(unname(fixef(fit)), drop(unname(beta)), tolerance = 1e-7)
    p <- w - w %*% x %*% covariance %*% t(x) %*% w
    g <- fit$sigma^2 * tcrossprod(lambda)
    b <- g %*% t(z) %*% p %*% d$y
    expect_equal(as.vector(getME(fit, "b")), drop(b), tolerance = 1e-6)
    # Var(b | y) at known fixed effects
    conditional <- g - g %*% t(z) %*% w %*% z %*% g
    k <- length(fit$cnms[[1L]])
    found <- attr(ranef(fit, condVar = TRUE)$id, "postVar")
    expect_equal(as.vector(found[, , 5L]), as.vector(conditional[4L * k + 1:k, 4L * k + 1:k]),
                 tolerance = 1e-6)
    marginal <- getVarCov(fit, "7", type = "marginal")[[1L]]
    rows <- which(d$id == "7")
    expect_equal(unname(marginal), unname(whole[rows, rows]), tolerance = 1e-7)
    standard <- residuals(fit, type = "std_marginal")
    left <- diag(whole) - rowSums((x %*% covariance) * x)
    expect_equal(unname(standard), unname((d$y - drop(x %*% beta)) / sqrt(left)), tolerance = 1e-5)
    parts <- r_squared(fit)
    fixed <- stats::var(drop(x %*% fixef(fit)))
    random <- fit$sigma^2 * mean(diag(v))
    rest <- fit$sigma^2 * mean(1 / d$w)
    expect_equal(parts[["marginal"]], fixed / (fixed + random + rest), tolerance = 1e-8)
    components <- rePCA(fit)
    expect_named(components, paste("id", levels(d$arm)))
    expect_equal(
      sum(components[[2L]]$sdev^2) * fit$sigma^2, sum(diag(VarCorr(fit)[[2L]])), tolerance = 1e-8
    )
  }
})

test_that("predictions of new levels have the variance of their class", {
  d <- trial()
  fit <- lmm(y ~ time + us(time | id, by = arm), d)
  new <- data.frame(
    time = c(1, 3, 1, 3), id = c("5", "5", "x", "y"),
    arm = c("nonsense", NA, "old:1", "placebo")
  )
  found <- predict(fit, new, allow.new.levels = TRUE, se.fit = TRUE)
  x <- cbind(1, new$time)
  g <- VarCorr(fit)[paste("id", c("old:1", "placebo"))]
  for (k in 3:4) {
    own <- drop(x[k, ] %*% (vcov(fit) + g[[k - 2L]]) %*% x[k, ])
    expect_equal(found$se.fit[[k]], sqrt(own), tolerance = 1e-6)
  }
  expect_equal(found$fit[[1L]], predict(fit, d[d$id == "5", ])[[1L]], tolerance = 1e-8)
  # levels of the fit have the class of the fit; without new levels nobody asks for it
  expect_equal(unname(predict(fit, new[1:2, c("time", "id")])), unname(found$fit[1:2]))
  expect_equal(
    unname(predict(fit, new[, c("time", "id")], allow.new.levels = TRUE)), unname(found$fit)
  )
  expect_error(
    predict(fit, new[, c("time", "id")], allow.new.levels = TRUE, se.fit = TRUE),
    "does not say which covariances new levels of `id` have", class = "ferrolmm_error_newdata"
  )
  new$arm[[3L]] <- "another"
  expect_error(
    predict(fit, new, allow.new.levels = TRUE, se.fit = TRUE), "Levels of `arm` are",
    class = "ferrolmm_error_newdata"
  )
  new$arm[3:4] <- c("placebo", "old:1")
  new$id[3:4] <- "x"
  expect_error(
    predict(fit, new, allow.new.levels = TRUE, se.fit = TRUE), "several values of `arm`",
    class = "ferrolmm_error_newdata"
  )
  expect_error(
    predict(fit, re.form = ~ us(time | id, by = time)), "not in the model",
    class = "ferrolmm_error_argument"
  )
  expect_equal(predict(fit, re.form = ~ us(time | id, by = arm)), predict(fit))
})

test_that("simulations have the covariance of their class", {
  d <- trial()
  fit <- lmm(y ~ time + us(time | id, by = arm), d)
  whole <- fit$sigma^2 * (relative_v(fit$theta, "us(time | id, by = arm)", d) + diag(nrow(d)))
  many <- as.matrix(simulate(fit, 4000L, seed = 1))
  for (id in c("1", "2", "3")) {
    rows <- which(d$id == id)
    expect_equal(unname(stats::cov(t(many[rows, ]))), unname(whole[rows, rows]), tolerance = 0.12)
  }
  new <- d[d$id %in% c("1", "2"), ]
  new$id <- factor(paste0("new", new$id))
  drawn <- as.matrix(simulate(fit, 4000L, seed = 2, newdata = new))
  rows <- which(d$id == "2")
  expect_equal(
    unname(stats::cov(t(drawn[new$id == "new2", ]))), unname(whole[rows, rows]), tolerance = 0.12
  )
  expect_error(
    simulate(fit, newdata = new[c("time", "id")]), "does not say which covariances",
    class = "ferrolmm_error_newdata"
  )
  kept <- simulate(fit, 1L, seed = 3, newdata = d[1:6, c("time", "id")], re.form = NULL)
  expect_equal(nrow(kept), 6L)
  few <- as.matrix(simulate(fit, 2000L, seed = 4, newdata = d[1:6, c("time", "id")]))
  expect_equal(unname(stats::cov(t(few))), unname(whole[1:6, 1:6]), tolerance = 0.12)
  plan <- simulate(
    lmm(y ~ time + us(1 | id, by = arm), d), 2000L, seed = 5,
    newparams = list(beta = c(1, 0), theta = c(3, 0.5, 0), sigma = 1)
  )
  variances <- vapply(levels(d$arm), function(arm) {
    stats::var(unlist(as.matrix(plan)[which(d$arm == arm)[[1L]], ]))
  }, 1)
  expect_equal(unname(variances), c(10, 1.25, 1), tolerance = 0.15)
})

test_that("parameters come back, with their standard errors", {
  d <- trial(150L, 3L)
  fit <- lmm(y ~ time + us(1 | id, by = arm), d)
  truth <- list(beta = c(10, 0.5), theta = c(2, 1, 0.5), sigma = 1.5)
  y <- simulate(fit, 60L, seed = 8, newparams = truth)
  fit <- refit(fit, y[[1L]])
  draws <- t(vapply(y, function(own) {
    again <- refit(fit, own)
    c(vapply(VarCorr(again), function(v) sqrt(v[1L, 1L]), 1), again$sigma)
  }, double(4L)))
  expect_equal(unname(colMeans(draws)), c(3, 1.5, 0.75, 1.5), tolerance = 0.03)
  table <- as.data.frame(VarCorr(fit, se = TRUE))
  expect_equal(table$se.sdcor, unname(apply(draws, 2L, stats::sd)), tolerance = 0.35)
})

test_that("parameters can be started, held and tied by class, and profiled", {
  d <- trial()
  free <- lmm(y ~ time + us(1 | id, by = arm), d)
  names <- paste("id.(Intercept)", levels(d$arm))
  expect_named(free$theta, names)
  expect_equal(
    lmm(y ~ time + us(1 | id, by = arm), d, start = stats::setNames(c(1, 2, 3), rev(names)))$theta,
    free$theta, tolerance = 1e-5
  )
  tied <- lmm(y ~ time + us(1 | id, by = arm), d, control = lmm_control(tie = list(names)))
  same <- lmm(y ~ time + (1 | id), d)
  expect_equal(tied$criterion, same$criterion, tolerance = 1e-9)
  expect_equal(attr(logLik(tied), "df"), attr(logLik(same), "df"))
  held <- lmm(
    y ~ time + us(1 | id, by = arm), d,
    control = lmm_control(hold = stats::setNames(0.5, names[[2L]]))
  )
  expect_equal(held$theta[[2L]], 0.5)
  expect_gt(held$criterion, free$criterion)

  slopes <- lmm(y ~ time + us(time | id, by = arm), d)
  parameters <- c("sd_(Intercept)|id old:1", "cor_time.(Intercept)|id new drug")
  limits <- confint(slopes, parameters, method = "profile", oldNames = FALSE)
  expect_identical(rownames(limits), parameters)
  path <- as.data.frame(profile(free, paste0("sd_(Intercept)|id ", levels(d$arm)[[1L]])))
  expect_true(all(diff(path$.zeta) > 0))
  boot <- confint(free, method = "boot", nsim = 20, seed = 1, oldNames = FALSE)
  expect_true(all(paste("sd_(Intercept)|id", levels(d$arm)) %in% rownames(boot)))
})

test_that("terms that others contain are dropped, whatever their classes", {
  d <- trial()
  d$sex <- factor(c("f", "m")[as.integer(d$id) %% 2L + 1L])
  whole <- lmm(y ~ time + us(1 | id, by = arm), d)
  for (formula in list(
    y ~ time + us(1 | id, by = arm) + (1 | id), y ~ time + (1 | id) + us(1 | id, by = arm)
  )) {
    expect_warning(
      fit <- lmm(formula, d), "\\(1 \\| id\\) is part of \\(1 \\| id, by = arm\\)",
      class = "ferrolmm_warning_duplicate_term"
    )
    expect_equal(fit$theta, whole$theta)
  }
  expect_warning(
    fit <- lmm(y ~ time + us(1 | id, by = arm) + us(1 | id, by = arm:sex), d),
    "\\(1 \\| id, by = arm\\) is part of \\(1 \\| id, by = arm:sex\\)",
    class = "ferrolmm_warning_duplicate_term"
  )
  expect_length(fit$theta, 6L)
  expect_warning(
    lmm(y ~ time + us(1 | id, by = arm) + us(1 | id, by = arm), d), "is the same as",
    class = "ferrolmm_warning_duplicate_term"
  )
  # a sum of variances by arm and by sex is not unique
  expect_warning(
    lmm(y ~ time + us(1 | id, by = arm) + us(1 | id, by = sex), d), "not identified",
    class = "ferrolmm_warning_identifiable"
  )
  # what differs by each of two is
  both <- lmm(y ~ time + us(1 | id, by = arm) + us(0 + time | id, by = sex), d)
  expect_named(both$theta, c(
    paste("id.(Intercept)", levels(d$arm)), paste("id.time", levels(d$sex))
  ))
  expect_named(VarCorr(both), paste("id", c(levels(d$arm), levels(d$sex))))
  pairs <- as.vector(t(outer(levels(d$arm), levels(d$sex), paste, sep = ":")))
  expect_named(rePCA(both), paste("id", pairs))
  expect_true(both$certificate$status %in% c("converged", "singular"))
})

test_that("classes are those of any variable, interaction or expression", {
  d <- trial()
  d$sex <- factor(c("f", "m")[as.integer(d$id) %% 2L + 1L])
  d$`an arm` <- d$arm
  d$text <- as.character(d$arm)
  d$number <- c(10L, 2L, 1L)[as.integer(d$arm)]
  d$dose <- as.double(d$number)
  d$treated <- d$arm != "placebo"
  of <- function(by) lmm(with_term(paste0("us(1 | id, by = ", by, ")")), d)
  fit <- of("arm")
  for (by in c("`an arm`", "text", "(arm)", "factor(arm)", "arm:text")) {
    expect_equal(unname(of(by)$theta), unname(fit$theta), tolerance = 1e-8, label = by)
  }
  for (by in c("number", "dose", "I(dose^2)")) {
    expect_equal(unname(rev(of(by)$theta)), unname(fit$theta), tolerance = 1e-8, label = by)
  }
  expect_identical(of("number")$random[[1L]]$classes, c("1", "2", "10"))
  expect_named(of("treated")$theta, paste("id.(Intercept)", c(FALSE, TRUE)))
  expect_named(of("dose > 1")$theta, paste("id.(Intercept)", c(FALSE, TRUE)))
  pairs <- as.vector(t(outer(levels(d$arm), levels(d$sex), paste, sep = ":")))
  expect_identical(of("arm:sex")$random[[1L]]$classes, pairs)
  nested <- lmm(y ~ time + us(1 | arm:id, by = arm), d)
  expect_equal(unname(nested$theta), unname(fit$theta), tolerance = 1e-8)
  inner <- lmm(y ~ time + us(1 | id / visit, by = arm), d)
  expect_length(inner$theta, 6L)
  missing <- d
  missing$arm[1:6] <- NA
  expect_equal(nobs(lmm(y ~ time + us(1 | id, by = arm), missing)), 174)
  unused <- d
  unused$arm <- factor(d$arm, c(levels(d$arm), "never"))
  expect_equal(lmm(y ~ time + us(1 | id, by = arm), unused)$theta, fit$theta, tolerance = 1e-8)
})

test_that("a class without variance is at its boundary", {
  d <- trial()
  none <- d$arm == "placebo"
  # levels whose means are equal
  d$y[none] <- 10 + d$time[none] / 2 + rep_len(c(-2, 2), sum(none))
  expect_message(
    fit <- lmm(y ~ time + us(1 | id, by = arm), d),
    "for group `id`, `arm` placebo is estimated as zero", class = "ferrolmm_message_singular"
  )
  expect_identical(fit$certificate$status, "singular")
  expect_true(isSingular(fit))
  expect_identical(fit$certificate$rank, c(1L, 1L, 0L))
  table <- as.data.frame(VarCorr(fit, se = TRUE))
  expect_identical(is.na(table$se.sdcor), c(FALSE, FALSE, TRUE, FALSE))
  expect_match(
    paste(capture.output(print(fit)), collapse = " "), "`arm` placebo", fixed = TRUE
  )
})

test_that("fits of moments, of many responses and without sets of rows know classes", {
  d <- trial()
  fit <- lmm(y ~ time + us(time | id, by = arm), d)
  moments <- lmm_moments(y ~ time + us(time | id, by = arm), d)
  cells <- lmm(y ~ time + us(time | id, by = arm), moments)
  expect_equal(cells$criterion, fit$criterion, tolerance = 1e-9)
  expect_equal(VarCorr(cells)[[3L]], VarCorr(fit)[[3L]], tolerance = 1e-4)
  expect_equal(r_squared(cells), r_squared(fit), tolerance = 1e-6)
  tables <- lmm_moments(y ~ time + us(time | id, by = arm) + (1 | visit), d, gather = "tables")
  rows <- quietly(lmm(y ~ time + us(time | id, by = arm) + (1 | visit), d))
  summed <- quietly(lmm(y ~ time + us(time | id, by = arm) + (1 | visit), tables))
  expect_equal(summed$criterion, rows$criterion, tolerance = 1e-8)
  expect_error(
    lmm(y ~ time + us(1 | id, by = arm), lmm_moments(y ~ time + (1 | id), d)),
    "no variable `arm`", class = "ferrolmm_error_moments"
  )

  y <- simulate(fit, 3L, seed = 6)
  many <- quietly(refit(fit, y))
  again <- quietly(refit(fit, y[[2L]]))
  table <- as.data.frame(many, effects = "ran_pars")
  own <- table$response == "sim_2" & table$term %in% paste0("sd_time|id ", levels(d$arm))
  expect_equal(table$estimate[own], vapply(
    VarCorr(again), function(v) sqrt(v[2L, 2L]), 1, USE.NAMES = FALSE
  ), tolerance = 1e-3)

  deleted <- influence(fit, "id", update = "exact")
  alone <- quietly(lmm(y ~ time + us(time | id, by = arm), d[d$id != "4", ]))
  expect_equal(deleted$theta["4", ], alone$theta, tolerance = 1e-3)
  expect_named(
    as.data.frame(deleted)[paste("sd_time|id", levels(d$arm))], paste("sd_time|id", levels(d$arm))
  )
  # without all levels of a class
  whole <- influence(fit, "arm", update = "none")
  expect_equal(nrow(as.data.frame(whole)), 3L)
})

test_that("inference is that of separate fits where nothing is shared", {
  d <- trial()
  fit <- lmm(
    y ~ arm / time + us(time | id, by = arm), d, weights = nlme::varIdent(form = ~ 1 | arm)
  )
  for (ddf in c("Satterthwaite", "Kenward-Roger")) {
    own <- summary(fit, ddf = ddf)$coefficients[4:6, ]
    alone <- t(vapply(split(d, d$arm), function(part) {
      summary(lmm(y ~ time + (time | id), part), ddf = ddf)$coefficients[2L, ]
    }, double(5L)))
    expect_equal(unname(own), unname(alone), tolerance = 1e-3, label = ddf)
  }
})

test_that("models by group are compared, reduced and updated", {
  d <- trial()
  both <- lmm(y ~ time + us(time | id, by = arm), d)
  one <- lmm(y ~ time + (time | id), d)
  table <- anova(one, both, refit = FALSE)
  expect_equal(table$Df[[2L]], 6)
  expect_equal(table$Chisq[[2L]], one$criterion - both$criterion)
  reduced <- ranova(both, distribution = "limit")
  slopes <- lmm(y ~ time + us(1 | id, by = arm), d)
  expect_identical(rownames(reduced)[[2L]], "time in (time | id, by = arm)")
  expect_equal(reduced$logLik[[2L]], as.numeric(logLik(slopes)), tolerance = 1e-7)
  expect_equal(reduced$Df[[2L]], 6)
  # three equal mixtures of 1 and 2 degrees of freedom
  expect_equal(reduced[["Pr(>Chibarsq)"]][[2L]], sum(
    stats::dbinom(0:3, 3, 0.5) * stats::pchisq(reduced$LRT[[2L]], 3:6, lower.tail = FALSE)
  ))
  none <- ranova(slopes, nsim = 20)
  expect_identical(rownames(none)[[2L]], "(1 | id, by = arm)")
  expect_equal(none[["Pr(>Chibarsq)"]][[2L]], sum(
    stats::dbinom(1:3, 3, 0.5) * stats::pchisq(none$LRT[[2L]], 1:3, lower.tail = FALSE)
  ))
  expect_identical(attr(none, "how")[[1L]], "exact")

  expect_equal(
    update(both, . ~ . - us(time | id, by = arm) + us(1 | id, by = arm))$criterion, slopes$criterion
  )
  expect_error(update(both, . ~ . - (time | id)), "which the model has not",
               class = "ferrolmm_error_formula")
  d$sex <- factor(c("f", "m")[as.integer(d$id) %% 2L + 1L])
  crossed <- quietly(lmm(
    y ~ time + diag(time | id / visit, by = arm:sex), d, control = lmm_control(starts = 1)
  ))
  expect_identical(
    deparse1(formula(quietly(update(crossed, . ~ . - diag(time | visit:id, by = sex:arm))))),
    "y ~ time + diag(1 + time | id, by = arm:sex)"
  )
})

test_that("what a correlation of residuals contains is warned of by class", {
  d <- dental()
  expect_warning(
    suppressWarnings(
      quietly(lmm(distance ~ age + us(1 | id, by = Sex), d, residual = ~ us(visit | Sex / id))),
      classes = "ferrolmm_warning_convergence"
    ),
    "cannot be told apart", class = "ferrolmm_warning_identifiable"
  )
})

test_that("other packages see a matrix for each class", {
  d <- trial()
  fit <- lmm(y ~ time + us(time | id, by = arm), d)
  groups <- paste("id", levels(d$arm))
  table <- as.data.frame(VarCorr(fit))
  expect_identical(unique(table$grp), c(groups, "Residual"))
  expect_named(nlme::getVarCov(fit), groups)
  parameters <- tidy(fit, effects = "ran_pars")
  expect_identical(unique(parameters$group), c(groups, "Residual"))
  expect_error(as_lmerMod(fit), "covariances by group, (time | id, by = arm)", fixed = TRUE,
               class = "ferrolmm_error_argument")
  skip_if_not_installed("insight")
  parts <- insight::get_variance(fit)
  expect_named(parts$var.intercept, groups)
  expect_equal(unname(parts$cor.slope_intercept), vapply(unclass(VarCorr(fit)), function(v) {
    attr(v, "correlation")[2L, 1L]
  }, 1, USE.NAMES = FALSE))
})

test_that("pooled likelihoods of imputed data know classes", {
  d <- trial()
  fit <- lmm(y ~ time + us(time | id, by = arm), d, REML = FALSE)
  taken <- .getArgsLL.lmm(fit)
  expect_named(taken$parameters, c("beta", "Tau1", "Tau2", "Tau3", "sigma2"))
  expect_equal(
    as.numeric(.getUserLL.lmm(fit, taken$parameters)), as.numeric(logLik(fit)), tolerance = 1e-8
  )
  expect_identical(sum(grepl("|id old:1", names(.getMisc.lmm(fit)), fixed = TRUE)), 3L)
})

test_that("functions of variances know classes", {
  d <- trial()
  fit <- lmm(y ~ time + us(time | id, by = arm), d, weights = w)
  listed <- vpredict(fit)
  table <- as.data.frame(VarCorr(fit, se = TRUE))
  expect_equal(listed$estimate, table$vcov)
  expect_equal(listed$se, table$se.vcov, tolerance = 1e-4)
  ratio <- vpredict(fit, ~ `sd_time|id old:1` / `sd_time|id placebo`)
  expect_equal(ratio$estimate, table$sdcor[table$grp == "id old:1"][[2L]] /
                 table$sdcor[table$grp == "id placebo"][[2L]], tolerance = 1e-8)
  natural <- vcov(fit, which = "theta")
  sds <- paste0("sd_time|id ", levels(d$arm))
  expect_equal(
    unname(sqrt(diag(natural)[sds])), table$se.sdcor[table$var1 %in% "time" & is.na(table$var2)],
    tolerance = 1e-4
  )
  components <- vcov(fit, which = "theta", scale = "vcov")
  expect_true("cov_time.(Intercept)|id new drug" %in% rownames(components))
  share <- repeatability(fit)
  expect_equal(share$estimate, intraclass(fit)$adjusted[[1L]], tolerance = 1e-8)
  one <- lmm(y ~ time + us(1 | id, by = arm) + (1 | visit), d)
  for (type in c("plot", "cullis")) {
    expect_error(heritability(one, "id", type = type), "differs by `arm`",
                 class = "ferrolmm_error_argument")
  }
  expect_error(heritability(one, "visit"), "differs by `arm`", class = "ferrolmm_error_argument")
  boot <- vpredict(one, h ~ V1 / (V1 + V5), method = "boot", nsim = 20, seed = 1)
  expect_lt(boot$conf.low, boot$conf.high)
  path <- vpredict(one, h ~ V2 / (V2 + V5), method = "profile")
  expect_lt(path$conf.low, path$estimate)
})

test_that("a fit is kept whole", {
  d <- trial()
  fit <- lmm(y ~ time + us(time | id, by = arm), d)
  expect_silent(validate_lmm(fit))
  file <- tempfile()
  saveRDS(fit, file)
  expect_identical(summary(readRDS(file))$coefficients, summary(fit)$coefficients)
  broken <- fit
  broken$random[[1L]]$class_of <- 1:3
  expect_error(predict(broken), "classes of 3 levels", class = "ferrolmm_error_format")
  broken <- fit
  broken$frame$arm <- NULL
  expect_error(predict(broken), "no column `arm`", class = "ferrolmm_error_format")
})

test_that("what is printed", {
  d <- trial()
  fit <- lmm(y ~ time + us(time | id, by = arm), d)
  expect_snapshot(print(fit))
  expect_snapshot(print(VarCorr(lmm(y ~ time + ar1(0 + visit | id, by = arm), d))))
  expect_snapshot(print(equations(fit, values = TRUE)))
  expect_snapshot(print(equations(fit, "matrix")))
  expect_snapshot(print(equations(lmm(y ~ time + us(1 | id, by = arm), d), values = TRUE)))
  symbols <- equations(fit)$symbols
  own <- symbols[symbols$kind == "random", ]
  expect_identical(own$name, c(
    paste("(Intercept)", levels(d$arm)), paste("time", levels(d$arm))
  ))
  expect_equal(own$estimate[[2L]], VarCorr(fit)[[2L]][1L, 1L])
  paragraph <- function(fit) paste(format(methods_paragraph(fit)), collapse = " ")
  expect_match(
    paragraph(fit), "could be correlated, with another covariance matrix for each arm", fixed = TRUE
  )
  expect_match(
    paragraph(lmm(y ~ time + us(1 | id, by = arm), d)),
    "levels of id, with another variance for each arm", fixed = TRUE
  )
})

test_that("what cannot be fitted says what to write instead", {
  d <- trial()
  bad <- function(term, message, class, data = d) {
    expect_error(
      lmm(with_term(term), data), message, class = paste0("ferrolmm_error_", class), label = term
    )
  }
  bad("us(1 | id, by = visit)", "not the same in all rows of `id` 1: it is `1`, `2`, `3`",
      "grouping")
  bad("us(1 | id, by = arm)", "\"placebo\" in all rows.*Leave `by` out", "grouping",
      d[d$arm == "placebo", ])
  bad("us(1 | id, by = id)", "only one level \\(\"1\"\\) of `id` 1", "grouping")
  lone <- d[d$arm != "placebo" | d$id == "2", ]
  bad("us(1 | id, by = arm)", "only one level \\(\"2\"\\) of `arm` placebo", "grouping", lone)
  fitted <- quietly(lmm(
    y ~ time + us(1 | id, by = arm), lone, control = lmm_control(not_identified = "fit")
  ))
  expect_length(fitted$theta, 3L)
  d$row <- factor(seq_len(nrow(d)))
  bad("us(1 | row, by = arm)", "as many levels \\(180\\)", "grouping")
  bad("us(0 + visit | id, by = arm)", "30 random effects for 30 observations of `arm` new drug",
      "grouping", d[d$rep == 1L, ])
  # classes of single rows tell their variance, where others tell sigma
  single <- d[d$arm != "placebo" | d$rep == 1L & d$visit == "1", ]
  expect_length(lmm(y ~ time + us(1 | id, by = arm), single)$theta, 3L)
  bad("us(1 | id, by = 2)", "must be variables, not 2", "formula")
  bad("us(1 | id, by = .)", "cannot be what covariances differ by", "formula")
  bad("us(1 | id, arm)", "by name", "formula")
  bad("us(1 | id, bye = arm)", "Did you mean `by`", "formula")
  bad("us(1 | id, by = arm, by = arm)", "each argument once", "formula")
  bad("us(1 | id, by = nowhere)", "nowhere", "data")
})

test_that("an empty `by` is an error, NULL is none", {
  empty <- stats::as.formula("distance ~ age + us(1 | Subject, by =)")
  expect_error(lmm(empty, nlme::Orthodont), "empty", class = "ferrolmm_error_formula")
  fit <- lmm(distance ~ age + us(1 | Subject, by = NULL), nlme::Orthodont)
  expect_equal(logLik(fit), logLik(lmm(distance ~ age + (1 | Subject), nlme::Orthodont)))
})
