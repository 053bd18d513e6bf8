# Everything that inference takes from a model with structured residuals, against n x n matrices.

crossed_ar1 <- function(seed = 1L, ids = 30L, times = 10L, items = 12L) {
  set.seed(seed)
  d <- expand.grid(time = seq_len(times), id = factor(seq_len(ids)))
  d$item <- factor(sample(items, nrow(d), TRUE))
  d$x <- rnorm(nrow(d))
  d$group <- factor(c("a", "b", "c")[1L + as.integer(d$id) %% 3L])
  noise <- unlist(lapply(seq_len(ids), function(i) {
    as.numeric(stats::arima.sim(list(ar = 0.5), times))
  }))
  d$y <- 1 + 0.3 * d$x + rnorm(ids, sd = 0.7)[d$id] + rnorm(items, sd = 0.6)[d$item] + noise
  d[sample(nrow(d)), ]
}

# V = g1 Z1 Z1' + g2 Z2 Z2' + sigma^2 rho^|lag| within id
crossed_ar1_model <- function(d, X) {
  same_id <- outer(d$id, d$id, "==") + 0
  same_item <- outer(d$item, d$item, "==") + 0
  lag <- abs(outer(d$time, d$time, "-"))
  power <- function(rho, k) ifelse(same_id == 1 & lag >= k, rho^pmax(lag - k, 0), 0)
  zero <- 0 * lag
  list(
    y = d$y, X = X,
    variance = function(nu) nu[1] * same_id + nu[2] * same_item + nu[4] * power(nu[3], 0),
    first = function(nu) {
      list(same_id, same_item, nu[4] * lag * power(nu[3], 1), power(nu[3], 0))
    },
    second = function(nu) {
      out <- rep(list(rep(list(zero), 4)), 4)
      out[[3]][[3]] <- nu[4] * lag * (lag - 1) * power(nu[3], 2)
      out[[3]][[4]] <- out[[4]][[3]] <- lag * power(nu[3], 1)
      out
    }
  )
}

test_that("crossed random effects and AR(1): estimates and inference at n = 300", {
  d <- crossed_ar1()
  fit <- lmm(
    y ~ x + group + (1 | id) + (1 | item), d,
    correlation = nlme::corAR1(form = ~ time | id)
  )
  model <- crossed_ar1_model(d, model.matrix(~ x + group, d))
  v <- VarCorr(fit)
  nu <- c(v$id[1], v$item[1], fit$phi[[1]], sigma(fit)^2)
  expect_equal(
    -2 * as.numeric(logLik(fit)), brute_structures_criterion(model, nu), tolerance = 1e-10
  )
  hessian <- brute_hessian(model, nu)
  step <- solve(hessian, brute_gradient(model, nu))
  expect_lt(max(abs(step) / sqrt(2 * diag(solve(hessian)))), 1e-5)

  brute <- brute_structure_inference(model, nu)
  expect_equal(unname(fixef(fit)), unname(brute$beta), tolerance = 1e-8)
  expect_equal(unname(vcov(fit)), unname(brute$phi), tolerance = 1e-8)
  unit <- diag(4)
  satterthwaite <- coef(summary(fit))[, "df"]
  expect_equal(
    unname(satterthwaite), apply(unit, 1, brute$satterthwaite), tolerance = 1e-5
  )
  for (ddf in names(brute$variances)) {
    table <- coef(summary(fit, ddf = ddf))
    variance <- brute$variances[[ddf]]
    expect_equal(unname(table[, "Std. Error"]), unname(sqrt(diag(variance))), tolerance = 1e-6)
    single <- apply(unit, 1, function(l) brute$kenward_roger(t(l), ddf)[["df"]])
    expect_equal(unname(table[, "df"]), single, tolerance = 1e-5)
    joint <- anova(fit, ddf = ddf)["group", ]
    wanted <- brute$kenward_roger(unit[3:4, ], ddf)
    expect_equal(joint[["F value"]], wanted[["F"]], tolerance = 1e-5)
    expect_equal(joint[["DenDF"]], wanted[["df"]], tolerance = 1e-5)
  }
  expect_equal(unname(vcov(fit, adjusted = TRUE)), unname(brute$adjusted), tolerance = 1e-6)
})

test_that("the standard errors of variance parameters are those of the observed information", {
  d <- crossed_ar1(2L)
  for (reml in c(TRUE, FALSE)) {
    fit <- lmm(
      y ~ x + (1 | id) + (1 | item), d, REML = reml,
      correlation = nlme::corAR1(form = ~ time | id)
    )
    model <- crossed_ar1_model(d, model.matrix(~ x, d))
    v <- VarCorr(fit, se = TRUE)
    nu <- c(v$id[1], v$item[1], fit$phi[[1]], sigma(fit)^2)
    se <- sqrt(diag(2 * solve(brute_hessian(model, nu, reml))))
    table <- as.data.frame(v)
    grp <- c("id", "item", "Residual")
    expect_equal(table$se.vcov[match(grp, table$grp)], se[c(1, 2, 4)], tolerance = 1e-5)
    expect_equal(attr(v, "residual")$std.error, se[[3]], tolerance = 1e-5)
  }
})

# V(nu) written out here, in the parameters that SAS has: covariances for UN, CS and TOEP (V is
# linear in them), variances of visits and strata; else correlations, ranges, powers, then sigma^2
test_that("Kenward-Roger and Satterthwaite for each structure of the residuals", {
  set.seed(5)
  d <- data.frame(id = factor(rep(1:14, each = 4)), visit = rep(1:4, 14), v = runif(56, 1, 3))
  d$arm <- factor(c("a", "b")[1 + as.integer(d$id) %% 2])
  d$t <- d$visit^1.3
  d <- d[-c(3, 10, 30, 31), ]
  d$y <- rnorm(14)[d$id] + as.integer(d$arm) + d$v * rnorm(nrow(d)) + 0.2 * d$visit
  same <- outer(d$id, d$id, "==")
  lag <- abs(outer(d$visit, d$visit, "-"))
  gap <- abs(outer(d$t, d$t, "-"))
  zero <- function(m) ifelse(same, m, 0)
  pair <- function(diagonal, below) {
    c <- diag(diagonal)
    c[lower.tri(c)] <- below
    c[upper.tri(c)] <- t(c)[upper.tri(c)]
    zero(c[d$visit, d$visit])
  }
  chain <- function(phi) {
    outer(d$visit, d$visit, Vectorize(function(a, b) {
      prod(phi[seq_len(3) >= min(a, b) & seq_len(3) < max(a, b)])
    }))
  }
  times <- function(sd, m) zero(m) * outer(sd, sd)
  # natural parameters of a fit to nu: phi and sigma^2 as they are, unless said otherwise
  lower <- which(lower.tri(diag(4)), arr.ind = TRUE)
  X <- model.matrix(~ arm * visit, d)
  spec <- list(
    list(residual = ~ ar1(visit | id), v = function(nu) nu[2] * zero(nu[1]^lag)),
    list(correlation = nlme::corCAR1(form = ~ t | id), v = function(nu) nu[2] * zero(nu[1]^gap)),
    list(
      residual = ~ cs(visit | id), nu = function(phi, s2) c(phi * s2, s2),
      v = function(nu) zero(ifelse(lag == 0, nu[2], nu[1]))
    ),
    list(
      residual = ~ us(visit | id),
      nu = function(phi, s2) {
        sd <- c(1, phi[7:9])
        c(s2 * phi[1:6] * sd[lower[, 1]] * sd[lower[, 2]], s2 * phi[7:9]^2, s2)
      },
      v = function(nu) pair(nu[c(10, 7:9)], nu[1:6])
    ),
    list(
      correlation = nlme::corSymm(form = ~ visit | id),
      nu = function(phi, s2) c(s2 * phi, s2), v = function(nu) pair(rep(nu[7], 4), nu[1:6])
    ),
    list(
      residual = ~ csh(visit | id), nu = function(phi, s2) c(phi[1], s2 * phi[2:4]^2, s2),
      v = function(nu) times(sqrt(nu[c(5, 2:4)])[d$visit], ifelse(lag == 0, 1, nu[1]))
    ),
    list(
      residual = ~ toep(visit | id), nu = function(phi, s2) c(phi * s2, s2),
      v = function(nu) zero(matrix(nu[c(4, 1:3)][lag + 1], nrow(lag)))
    ),
    list(
      residual = ~ toeph(visit | id), nu = function(phi, s2) c(phi[1:3], s2 * phi[4:6]^2, s2),
      v = function(nu) {
        times(sqrt(nu[c(7, 4:6)])[d$visit], matrix(c(1, nu[1:3])[lag + 1], nrow(lag)))
      }
    ),
    list(residual = ~ ad(visit | id), v = function(nu) nu[4] * zero(chain(nu[1:3]))),
    list(
      correlation = nlme::corExp(form = ~ t | id), v = function(nu) nu[2] * zero(exp(-gap / nu[1]))
    ),
    list(
      weights = nlme::varPower(form = ~ v), random = TRUE,
      v = function(nu) nu[2] * diag(d$v^(2 * nu[1]))
    ),
    list(
      weights = nlme::varIdent(form = ~ 1 | arm), random = TRUE,
      nu = function(phi, s2) c(s2 * phi^2, s2),
      v = function(nu) diag(ifelse(d$arm == d$arm[1], nu[2], nu[1]))
    ),
    list(
      correlation = nlme::corAR1(form = ~ visit | id), weights = nlme::varExp(form = ~ v),
      v = function(nu) nu[3] * times(exp(nu[2] * d$v), nu[1]^lag)
    )
  )
  for (s in spec) {
    random <- isTRUE(s$random)
    formula <- if (random) y ~ arm * visit + (1 | id) else y ~ arm * visit
    given <- intersect(names(s), c("residual", "correlation", "weights"))
    arguments <- c(list(formula, d), s[given])
    fit <- do.call(lmm, arguments)
    label <- deparse(s[[1L]])[[1L]]
    expect_identical(fit$certificate$status, "converged", label = label)
    model <- brute_model(d$y, X, function(nu) {
      if (random) nu[1] * same + s$v(nu[-1]) else s$v(nu)
    })
    own <- if (is.null(s$nu)) c(fit$phi, sigma(fit)^2) else s$nu(fit$phi, sigma(fit)^2)
    nu <- c(if (random) VarCorr(fit)$id[1], unname(own))
    brute <- brute_structure_inference(model, nu)
    expect_equal(
      -2 * as.numeric(logLik(fit)), brute_structures_criterion(model, nu), tolerance = 1e-9
    )
    l <- c(0, 1, 0, 2)
    expect_equal(
      contest(fit, l, joint = FALSE)[["df"]], brute$satterthwaite(l), tolerance = 1e-4,
      label = label
    )
    expect_equal(
      unname(vcov(fit, adjusted = TRUE)), unname(brute$adjusted), tolerance = 1e-4, label = label
    )
    L <- rbind(c(0, 1, 0, 0), c(0, 0, 0, 1))
    for (ddf in names(brute$variances)) {
      test <- contest(fit, L, ddf = ddf)
      wanted <- brute$kenward_roger(L, ddf)
      expect_equal(test[["F value"]], wanted[["F"]], tolerance = 1e-4, label = label)
      expect_equal(test[["DenDF"]], wanted[["df"]], tolerance = 1e-4, label = label)
    }
  }
})
