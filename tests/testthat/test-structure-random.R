term <- function(structure, k, hom = FALSE) {
  list(cnms = letters[seq_len(k)], structure = structure, hom = hom, group = "g")
}

test_that("each structure has its number of parameters, their names and bounds", {
  expect_identical(count_theta(term("us", 3)), 6L)
  expect_identical(count_theta(term("us", 2)), 3L)
  expect_identical(count_theta(term("diag", 3)), 3L)
  expect_identical(count_theta(term("diag", 3, TRUE)), 1L)
  expect_identical(count_theta(term("cs", 3)), 4L)
  expect_identical(count_theta(term("cs", 3, TRUE)), 2L)
  expect_identical(count_theta(term("ar1", 3, TRUE)), 2L)
  expect_identical(count_theta(term("toep", 4)), 7L)
  expect_identical(count_theta(term("toep", 4, TRUE)), 4L)
  expect_identical(term_theta_names(term("us", 2)), c("g.a", "g.b.a", "g.b"))
  expect_identical(term_theta_names(term("cs", 2)), c("g.a", "g.b", "g.rho"))
  expect_identical(term_theta_names(term("ar1", 3, TRUE)), c("g.sd", "g.rho"))
  expect_identical(term_theta_names(term("toep", 3, TRUE)), c("g.sd", "g.rho1", "g.rho2"))
  expect_identical(term_theta_names(term("diag", 2, TRUE)), "g.sd")
  expect_identical(term_lower(term("us", 2)), c(0, -Inf, 0))
  expect_identical(term_lower(term("cs", 3)), c(0, 0, 0, -0.5))
  expect_identical(term_lower(term("ar1", 3, TRUE)), c(0, -1))
  expect_identical(term_upper(term("ar1", 3, TRUE)), c(Inf, 1))
  expect_identical(
    term_parameter_names(term("cs", 2), "g"), c("sd_a|g", "sd_b|g", "rho|g")
  )
  expect_identical(term_parameter_names(term("us", 2), "g"), c("sd_a|g", "cor_b.a|g", "sd_b|g"))
  expect_identical(term_parameter_names(term("toep", 3, TRUE), "g"),
                   c("sd|g", "rho1|g", "rho2|g"))
})

test_that("theta gives the covariance matrix of the structure", {
  g <- function(theta, term) tcrossprod(theta_matrix(theta, list(term))[[1L]])
  sd <- c(1, 2, 3)
  one <- matrix(0.3, 3, 3)
  diag(one) <- 1
  expect_equal(g(c(sd, 0.3), term("cs", 3)), one * outer(sd, sd))
  expect_equal(g(c(2, 0.3), term("cs", 3, TRUE)), 4 * one)
  lag <- abs(outer(1:3, 1:3, `-`))
  expect_equal(g(c(2, -0.4), term("ar1", 3, TRUE)), 4 * (-0.4)^lag)
  expect_equal(g(c(sd, 0.4), term("ar1", 3)), 0.4^lag * outer(sd, sd))
  expect_equal(g(c(2, 0.4, 0.1), term("toep", 3, TRUE)), 4 * matrix(c(1, 0.4, 0.1)[lag + 1], 3))
  expect_equal(g(2, term("diag", 3, TRUE)), diag(4, 3))
  # at the boundary of a structure the root is still one
  expect_equal(g(c(1, 1), term("ar1", 3, TRUE)), matrix(1, 3, 3))
  expect_equal(g(c(1, -0.5), term("cs", 3, TRUE)), matrix(-0.5, 3, 3) + diag(1.5, 3))
  two <- theta_matrix(c(1, 0.5, 2, 3, 0.2), list(term("us", 2), term("ar1", 4, TRUE)))
  expect_identical(two[[1L]], matrix(c(1, 0.5, 0, 2), 2))
  expect_equal(tcrossprod(two[[2L]])[2, 4], 9 * 0.04)
})

test_that("theta to standard deviations and correlations, and back", {
  random <- list(term("us", 3), term("cs", 2), term("ar1", 4, TRUE), term("diag", 2))
  theta <- c(1, 0.3, -0.2, 0.8, 0.1, 0.5, 2, 1, 0.4, 1.5, -0.3, 0.2, 0.7)
  phi <- c(0.25, 3)
  shown <- theta_to_sdcor(matrix(theta), 2, random, matrix(phi))
  expect_identical(nrow(shown), length(theta) + 3L)
  expect_identical(shown[length(theta) + 1:2, 1], phi)
  expect_identical(shown[nrow(shown), 1], 2)
  expect_equal(shown[7:9, 1], c(4, 2, 0.4))
  expect_equal(sdcor_to_theta(shown[, 1], random), c(theta, phi))
})

test_that("structures in words", {
  expect_null(describe_structure(term("us", 2)))
  expect_match(describe_structure(term("cs", 2, TRUE)), "compound symmetry, one variance")
  expect_match(describe_structure(term("ar1", 2)), "AR\\(1\\), own variances")
  known <- c(term("us", 1), list(known = list(kind = "cov", label = "A")))
  expect_identical(describe_structure(known), "covariance of the levels A")
})

test_that("compound symmetry is a variance between and one within, Toeplitz contains AR(1)", {
  data(Machines, package = "nlme", envir = environment())
  machines <- as.data.frame(Machines)
  fit <- lmm(score ~ Machine + cs(0 + Machine | Worker, hom = TRUE), machines)
  sum <- lmm(score ~ Machine + (1 | Worker) + (1 | Worker:Machine), machines)
  expect_equal(logLik(fit), logLik(sum), tolerance = 1e-9)
  v <- VarCorr(sum)
  expect_equal(
    unname(attr(VarCorr(fit)$Worker, "stddev")[[1L]]^2),
    v$Worker[[1L]] + v[["Worker:Machine"]][[1L]],
    tolerance = 1e-5
  )
  expect_equal(fixef(fit), fixef(sum), tolerance = 1e-6)
  one <- lmm(score ~ Machine + ar1(0 + Machine | Worker), machines)
  more <- lmm(score ~ Machine + homtoep(0 + Machine | Worker), machines)
  free <- lmm(score ~ Machine + (0 + Machine | Worker), machines)
  expect_gte(as.numeric(logLik(more)), as.numeric(logLik(one)) - 1e-6)
  expect_gte(as.numeric(logLik(free)), as.numeric(logLik(more)) - 1e-6)
  expect_identical(attr(logLik(one), "df"), 6L)
  expect_identical(names(one$theta), c("Worker.sd", "Worker.rho"))
  expect_silent(validate_lmm(one))
  expect_silent(validate_lmm(more))
  printed <- capture.output(print(VarCorr(one)))
  expect_match(printed, "(ar1)", fixed = TRUE, all = FALSE)
  expect_identical(nrow(as.data.frame(VarCorr(one))), 7L)
  covariance <- as.matrix(VarCorr(one)$Worker)
  lambda <- getME(one, "Lambdat")
  expect_equal(
    as.matrix(Matrix::crossprod(lambda))[1:3, 1:3], unname(covariance) / sigma(one)^2,
    ignore_attr = TRUE
  )
  expect_error(getME(one, "Lind"), "Lind", class = "ferrolmm_error_argument")
})

test_that("own variances of a structure may be zero, the first one too", {
  set.seed(1)
  d <- data.frame(g = factor(rep(1:20, each = 8)), v = factor(rep(1:4, 40)))
  d$y <- rnorm(160)
  # one walk, whose evaluations are counted below: the optimum is the same from all starts
  expect_message(
    fit <- lmm(y ~ v + cs(0 + v | g), d, control = lmm_control(starts = 1)),
    "variance of `v1` for group `g` is estimated as zero",
    class = "ferrolmm_message_singular"
  )
  expect_identical(fit$certificate$status, "singular")
  expect_lt(fit$certificate$evaluations, 40)
  all_starts <- suppressMessages(lmm(y ~ v + cs(0 + v | g), d))
  expect_equal(REMLcrit(all_starts), REMLcrit(fit), tolerance = 1e-10)
  expect_identical(fit$theta[[1L]], 0)
  # the criterion from its definition
  x <- model.matrix(fit)
  indicators <- diag(4)[as.integer(d$v), ]
  crit <- function(theta) {
    g <- tcrossprod(term_factor(theta, fit$random[[1L]]))
    v <- diag(160) + outer(d$g, d$g, "==") * (indicators %*% g %*% t(indicators))
    information <- crossprod(x, solve(v, x))
    r <- d$y - x %*% solve(information, crossprod(x, solve(v, d$y)))
    log_det <- function(a) as.numeric(determinant(a)$modulus)
    log_det(v) + log_det(information) + 156 * (1 + log(2 * pi * sum(r * solve(v, r)) / 156))
  }
  expect_equal(crit(fit$theta), REMLcrit(fit), tolerance = 1e-9)
  for (a in 1:4) {
    for (step in c(1e-3, if (fit$theta[[a]] > 0) -1e-3)) {
      moved <- fit$theta
      moved[[a]] <- moved[[a]] + step
      expect_gt(crit(moved), REMLcrit(fit))
    }
  }
  expect_equal(attr(VarCorr(fit)$g, "correlation")[2L, 1L], -1 / 3, tolerance = 1e-9)
})

test_that("a walk leaves an effect of no variance where a correlation leads away from it", {
  data <- twin_data()$sleepstudy
  fit <- lmm(Reaction ~ Days + cs(Days | Subject), data)
  set.seed(1)
  responses <- replicate(30, 26 * rnorm(18)[data$Subject] + 30 * rnorm(180))
  # of two effects the covariance is of the first order in the deviation that is zero: no optimum
  many <- refit(fit, responses, control = lmm_control(starts = 1))
  flat <- many$theta[2, ] == 0 & many$theta[1, ] > 0
  expect_false(any(flat))
  expect_true(all(many$status %in% c("converged", "singular")))
  for (r in 1:6) {
    data$y <- responses[, r]
    without <- lmm(y ~ Days + (1 | Subject), data)
    expect_lt(many$criterion[r], REMLcrit(without) + 1e-8)
    lowest <- suppressMessages(lmm(y ~ Days + cs(Days | Subject), data))
    expect_equal(many$criterion[[r]], REMLcrit(lowest), tolerance = 1e-8)
  }
})
