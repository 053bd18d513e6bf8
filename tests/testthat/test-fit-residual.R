# nlme's matrices are the reference: nlme 3.1 corMatrix() and varWeights().
orthodont <- function() {
  data(Orthodont, package = "nlme", envir = environment())
  as.data.frame(Orthodont)
}


expect_same_correlation <- function(object, type, par, data) {
  theirs <- nlme::corMatrix(nlme::Initialize(object, data))
  call <- bquote(front_end(distance ~ age, data, correlation = .(object)))
  end <- eval(call)
  expect_identical(end$residual$correlation$type, type)
  codes <- end$design$groups$codes
  labels <- residual_groups(end$residual$correlation, end$frame)$levels
  for (g in unique(codes)) {
    rows <- which(codes == g)
    ours <- position_correlation(
      end$residual$correlation, par, take_position(end$design$correlation$position, rows),
      length(rows)
    )
    # of a group of one row nlme gives no matrix, for spatial structures
    other <- if (is.list(theirs)) theirs[[labels[[g]]]] else theirs
    if (is.null(other)) {
      expect_identical(ours, matrix(1))
      next
    }
    expect_equal(ours, unname(as.matrix(other)), tolerance = 1e-8, ignore_attr = TRUE)
  }
}

test_that("correlations are nlme's", {
  d <- orthodont()[c(1:4, 5, 7, 8, 9:11, 13), ]
  d$visit <- as.integer(factor(d$age))
  d$Subject <- factor(as.character(d$Subject))
  d <- d[order(d$Subject), ]
  expect_same_correlation(nlme::corAR1(0.4, ~ visit | Subject), "ar1", 0.4, d)
  expect_same_correlation(nlme::corAR1(-0.4, ~ 1 | Subject), "ar1", -0.4, d)
  expect_same_correlation(nlme::corCAR1(0.7, ~ age | Subject), "car1", 0.7, d)
  expect_same_correlation(nlme::corCompSymm(0.3, ~ 1 | Subject), "cs", 0.3, d)
  expect_same_correlation(
    nlme::corARMA(c(0.5, 0.2), ~ visit | Subject, p = 1, q = 1), "arma", c(0.5, 0.2), d
  )
  expect_same_correlation(
    nlme::corARMA(c(0.5, 0.2), ~ visit | Subject, p = 2), "arma", c(0.5, 0.2), d
  )
  r <- c(0.5, 0.4, 0.3, 0.45, 0.35, 0.55)
  expect_same_correlation(nlme::corSymm(r, ~ visit | Subject), "us", r, d)
  for (name in c("corExp", "corGaus", "corLin", "corRatio", "corSpher")) {
    constructor <- getExportedValue("nlme", name)
    type <- nlme_correlations[[name]]
    expect_same_correlation(constructor(5, ~ age | Subject), type, 5, d)
    expect_same_correlation(
      constructor(c(5, 0.2), ~ age | Subject, nugget = TRUE), type, c(5, 0.2), d
    )
  }
})

test_that("coordinates have their metric", {
  d <- data.frame(y = c(1, 3, 2, 4, 6, 5), x = c(0, 1, 2, 0, 4, 1), z = c(0, 0, 1, 5, 2, 2))
  for (metric in c("euclidean", "manhattan", "maximum")) {
    object <- nlme::corExp(3, ~ x + z, metric = metric)
    call <- bquote(front_end(y ~ 1, d, correlation = .(object)))
    end <- eval(call)
    ours <- position_correlation(
      end$residual$correlation, 3, end$design$correlation$position, 6L
    )
    theirs <- nlme::corMatrix(nlme::Initialize(object, d))
    expect_equal(ours, theirs, ignore_attr = TRUE, tolerance = 1e-8)
  }
})

test_that("Toeplitz and ante-dependence", {
  correlation <- list(type = "toep", n_positions = 4L)
  expect_equal(
    position_correlation(correlation, c(0.5, 0.3, 0.1), c(1L, 4L, 2L), 3L),
    matrix(c(1, 0.1, 0.5, 0.1, 1, 0.3, 0.5, 0.3, 1), 3)
  )
  correlation <- list(type = "ante", n_positions = 4L)
  expect_equal(
    position_correlation(correlation, c(0.5, -0.3, 0.2), c(1L, 4L, 2L), 3L),
    matrix(c(1, -0.03, 0.5, -0.03, 1, -0.06, 0.5, -0.06, 1), 3)
  )
})

test_that("variance functions are nlme's", {
  d <- orthodont()
  same <- function(object, phi) {
    theirs <- nlme::Initialize(object, d)
    # Initialize() leaves the weights of varConstPower() at 1
    theirs <- nlme::`coef<-`(theirs, value = coef(theirs))
    theirs <- 1 / nlme::varWeights(theirs)
    call <- bquote(front_end(distance ~ age, d, weights = .(object)))
    end <- eval(call)
    ours <- scale_values(end$residual, phi, end$design, nrow(d))
    expect_equal(ours, unname(theirs), tolerance = 1e-8)
  }
  same(nlme::varIdent(c(Female = 0.5), ~ 1 | Sex), 0.5)
  same(nlme::varPower(0.3, ~ age), 0.3)
  same(nlme::varPower(c(Male = 0.3, Female = -0.2), ~ age | Sex), c(0.3, -0.2))
  same(nlme::varExp(0.1, ~ age), 0.1)
  same(nlme::varConstPower(2, 0.5, ~ age), c(2, 0.5))
  same(
    nlme::varComb(nlme::varIdent(c(Female = 0.5), ~ 1 | Sex), nlme::varPower(0.3, ~ age)),
    c(0.5, 0.3)
  )
})

test_that("the engine whitens group by group, rows in any order", {
  d <- orthodont()
  set.seed(4)
  d <- d[sample(nrow(d), 90), ]
  end <- front_end(
    distance ~ age, d, correlation = nlme::corCAR1(0.6, ~ age | Subject),
    weights = nlme::varPower(0.5, ~ age)
  )
  z <- stats::rnorm(90)
  w <- stats::runif(90) + 0.5
  whole <- diag(90)
  for (rows in split(seq_len(90), end$design$groups$codes)) {
    whole[rows, rows] <- 0.6^abs(outer(d$age[rows], d$age[rows], `-`))
  }
  sd <- d$age^0.5 / sqrt(w)
  whole <- whole * outer(sd, sd)
  apply <- function(x, what) engine_residual_rows(end$design, w, c(0.6, 0.5), x, what)
  white <- apply(z, "whiten")
  expect_identical(dim(white), c(90L, 1L))
  expect_equal(sum(white^2), drop(z %*% solve(whole, z)))
  expect_equal(drop(apply(white, "color")), z)
  expect_equal(apply(cbind(z, 1), "times"), unname(whole %*% cbind(z, 1)))
  expect_equal(apply(cbind(z, 1), "inverse"), unname(solve(whole, cbind(z, 1))))
  # without a structure there are weights
  expect_equal(drop(engine_residual_rows(NULL, w, NULL, z, "whiten")), z * sqrt(w))
  expect_error(
    engine_residual_rows(end$design, w, c(1.5, 0.5), z, "whiten"), "positive definite",
    class = "ferrolmm_error_residual_start"
  )
})

test_that("roots of R are sparse matrices of the rows", {
  d <- orthodont()[c(5:108, 1, 3), ]
  for (fit in list(
    lmm(distance ~ age, d, correlation = corAR1(form = ~ 1 | Subject)),
    lmm(distance ~ age, d, residual = ~ us(age | Subject)),
    lmm(distance ~ age + (1 | Subject), d, weights = varIdent(form = ~ 1 | Sex))
  )) {
    whole <- as.matrix(getME(fit, "R")) / sigma(fit)^2
    root <- as.matrix(residual_root(fit, "whiten"))
    expect_equal(unname(root %*% whole %*% t(root)), diag(nrow(d)))
    rows <- which(d$Subject == "M01")
    expect_equal(
      unname(whole[rows, rows]), unname(residual_covariance(fit, rows)) / sigma(fit)^2
    )
  }
})

test_that("normalized residuals of compound symmetry are row by row", {
  d <- orthodont()
  fit <- lmm(distance ~ age * Sex, d, correlation = corCompSymm(form = ~ 1 | Subject))
  rows <- which(d$Subject == "M01")
  rho <- fit$phi[[1L]]
  r <- residuals(fit)[rows] / sigma(fit)
  by_row <- vapply(seq_along(r), function(i) {
    before <- seq_len(i - 1L)
    predicted <- rho * sum(r[before]) / (1 + (i - 2) * rho)
    unname(r[[i]] - predicted) / sqrt(1 - rho^2 * (i - 1) / (1 + (i - 2) * rho))
  }, 0)
  expect_equal(unname(residuals(fit, "normalized")[rows]), by_row)
  # nlme has the mean of the group and contrasts instead: of the same length
  theirs <- nlme::gls(
    distance ~ age * Sex, d, correlation = nlme::corCompSymm(form = ~ 1 | Subject)
  )
  squares <- function(x) as.vector(tapply(x^2, d$Subject, sum))
  expect_equal(
    squares(residuals(fit, "normalized")), squares(residuals(theirs, "normalized")),
    tolerance = 1e-4
  )
})
