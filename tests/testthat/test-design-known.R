animals <- function() {
  d <- data.frame(id = rep(c("c", "a", "b", "d"), c(3, 2, 2, 3)), x = 1:10)
  d$y <- c(1.2, 0.7, 3.1, 2.2, 4.1, 1.5, 2.7, 0.3, 1.1, 2.9)
  d
}

relationship <- function(names = c("a", "b", "c", "d", "e")) {
  K <- diag(length(names)) + 0.25
  dimnames(K) <- list(names, names)
  K
}

test_that("of a covariance matrix the levels that occur are inverted, of a precision all stay", {
  d <- animals()
  K <- relationship()
  random <- front_end(y ~ x + us(1 | id, cov = K), d)$random
  factor <- random$design$factors[[1L]]
  expect_identical(levels(random$flist$id), c("a", "b", "c", "d"))
  precision <- precision_matrix(factor$precision)
  expect_equal(
    unname(as.matrix(precision)), unname(solve(K[1:4, 1:4])), tolerance = 1e-12
  )
  expect_identical(length(factor$precision$start), 5L)
  Q <- solve(relationship(c("e", "d", "c", "b", "a")))
  random <- front_end(y ~ x + us(1 | id, prec = Q), d)$random
  factor <- random$design$factors[[1L]]
  expect_identical(levels(random$flist$id), c("e", "d", "c", "b", "a"))
  expect_identical(factor$n_levels, 5L)
  expect_identical(as.character(random$flist$id), d$id)
  expect_equal(as.matrix(precision_matrix(factor$precision)), unname(Q), tolerance = 1e-12)
  expect_identical(random$Gp, c(0L, 5L))
})

test_that("sparse matrices stay sparse", {
  d <- animals()
  Q <- Matrix::bandSparse(4, k = 0:1, diagonals = list(rep(2, 4), rep(-0.9, 3)), symmetric = TRUE)
  dimnames(Q) <- list(c("a", "b", "c", "d"), c("a", "b", "c", "d"))
  factor <- front_end(y ~ x + us(1 | id, prec = Q), d)$random$design$factors[[1L]]
  expect_length(factor$precision$value, 10L)
  # an AR(1) covariance matrix has a tridiagonal inverse
  K <- 0.5^abs(outer(1:4, 1:4, `-`))
  dimnames(K) <- dimnames(Q)
  factor <- front_end(y ~ x + us(1 | id, cov = K), d)$random$design$factors[[1L]]
  expect_length(factor$precision$value, 10L)
})

test_that("a factor with a known matrix is one of its own", {
  d <- animals()
  d <- rbind(d, d)
  K <- relationship()
  random <- front_end(y ~ x + us(1 | id, cov = K) + (1 | id), d)$random
  expect_identical(sort(names(random$flist)), c("id", "id[K]"))
  expect_identical(lengths(lapply(random$design$factors, `[[`, "precision")) > 0,
                   names(random$flist) == "id[K]")
  expect_identical(anyDuplicated(random$theta_names), 0L)
  # a plain factor with as many levels as rows is refused, one with a known matrix is not
  one <- data.frame(id = letters[1:4], y = c(1, 3, 2, 5))
  expect_silent(front_end(y ~ us(1 | id, cov = K), one))
})

test_that("matrices that do not fit say why", {
  d <- animals()
  K <- relationship()
  bad <- function(expr, pattern) {
    formula <- eval(substitute(y ~ x + us(1 | id, cov = m), list(m = substitute(expr))))
    expect_error(front_end(formula, d), pattern, class = "ferrolmm_error_known")
  }
  bad(unname(K), "no dimnames")
  bad(K[-3, -3], "1 level of `id`: `c`")
  bad(K[, -1], "square")
  bad(`dimnames<-`(K, list(1:5, 1:5)), "none of them is a level")
  bad(`dimnames<-`(K, list(letters[1:5], letters[5:1])), "other row names")
  bad(`dimnames<-`(K, list(rep("a", 5), rep("a", 5))), "twice")
  bad(replace(K, 2, 0.9), "not symmetric")
  bad(K - 1.3, "not positive definite")
  bad(replace(K, 1, NA), "missing or infinite")
  bad("K", "must be a matrix")
  bad(no_such_matrix, "could not be evaluated")
})

test_that("fits with known matrices are those of the dense model", {
  set.seed(5)
  n_levels <- 12L
  id <- factor(rep(seq_len(n_levels), each = 4L))
  K <- 0.6^abs(outer(seq_len(n_levels), seq_len(n_levels), `-`))
  dimnames(K) <- list(levels(id), levels(id))
  d <- data.frame(id = id, x = stats::rnorm(48))
  d$y <- d$x + drop(t(chol(K)) %*% stats::rnorm(n_levels))[id] + stats::rnorm(48)
  fit <- lmm(y ~ x + us(1 | id, cov = K), d)
  z <- stats::model.matrix(~ 0 + id, d)
  x <- cbind(1, d$x)
  criterion <- function(theta) {
    v <- diag(48) + theta^2 * z %*% K %*% t(z)
    root <- chol(v)
    xw <- backsolve(root, x, transpose = TRUE)
    yw <- backsolve(root, d$y, transpose = TRUE)
    rss <- sum(qr.resid(qr(xw), yw)^2)
    2 * sum(log(diag(root))) + 2 * sum(log(abs(diag(qr.R(qr(xw)))))) +
      46 * (1 + log(2 * pi * rss / 46))
  }
  best <- stats::optimize(criterion, c(0.1, 5), tol = 1e-9)
  expect_equal(REMLcrit(fit), best$objective, tolerance = 1e-9)
  expect_equal(unname(fit$theta), best$minimum, tolerance = 1e-4)
  Q <- solve(K)
  Q <- (Q + t(Q)) / 2
  same <- lmm(y ~ x + us(1 | id, prec = Q), d)
  expect_equal(same$criterion, fit$criterion, tolerance = 1e-10)
  expect_equal(ranef(same, condVar = FALSE)$id, ranef(fit, condVar = FALSE)$id, tolerance = 1e-5)
  expect_output(print(fit), "covariance of the levels K")
  expect_equal(
    unname(as.matrix(Matrix::crossprod(getME(fit, "Lambdat")))), unname(fit$theta^2 * K)
  )
  draws <- simulate(fit, nsim = 600, seed = 2)
  found <- stats::cov(t(as.matrix(draws[c(1, 5, 9), ])))
  expect_equal(
    found[1, 2:3] / (fit$theta * sigma(fit))^2, c(0.6, 0.36), tolerance = 0.25, ignore_attr = TRUE
  )
})

test_that("levels without rows are predicted from their relatives", {
  d <- animals()
  d <- rbind(d, transform(d, y = y + c(0.5, -0.5)))
  K <- relationship()
  Q <- solve(K)
  fit <- lmm(y ~ x + us(1 | id, prec = Q), d)
  modes <- ranef(fit, condVar = FALSE)$id
  expect_identical(row.names(modes), c("a", "b", "c", "d", "e"))
  # E(b_e | b of the others) = K_eo K_oo^-1 b_o
  expect_equal(
    modes["e", 1], drop(K["e", 1:4] %*% solve(K[1:4, 1:4], modes[1:4, 1])), tolerance = 1e-6
  )
})

test_that("names of a matrix are matched to levels by value", {
  set.seed(5)
  d <- expand.grid(id = 1:20, r = 1:3)
  K <- crossprod(matrix(stats::rnorm(20 * 30), 30L)) / 30
  d$y <- stats::rnorm(60) + drop(t(chol(K)) %*% stats::rnorm(20L))[d$id]
  rownames(K) <- colnames(K) <- 1:20
  plain <- lmm(y ~ 1 + us(1 | id, cov = K), d)
  long <- sprintf("%d", 1:20 * 100000L)
  order <- c(7:20, 1:6)
  L <- K[order, order]
  rownames(L) <- colnames(L) <- long[order]
  Q <- solve(L)
  dimnames(Q) <- dimnames(L)
  whole <- d$id * 100000L
  for (id in list(whole, as.double(whole), long[d$id], factor(whole), factor(as.double(whole)))) {
    d$id <- id
    # as.character(1e5) is "1e+05": no number, a name
    if (is.factor(id) && "1e+05" %in% levels(id)) {
      expect_error(lmm(y ~ 1 + us(1 | id, cov = L), d), "no row", class = "ferrolmm_error_known")
      next
    }
    for (fit in list(lmm(y ~ 1 + us(1 | id, cov = L), d), lmm(y ~ 1 + us(1 | id, prec = Q), d))) {
      expect_equal(fit$theta, plain$theta, tolerance = 1e-6)
      expect_equal(predict(fit, d), fitted(plain), tolerance = 1e-6)
    }
  }
  # levels that no row has are known by name: of numbers too
  d$id <- as.double(whole)
  some <- lmm(y ~ 1 + us(1 | id, prec = Q), d[whole > 5e5, ])
  alone <- ranef(some, condVar = FALSE)$id["100000", 1L] + unname(fixef(some))
  for (id in list(1e5, 100000L, "100000")) {
    expect_equal(predict(some, data.frame(id = id)), alone, ignore_attr = TRUE)
  }
  expect_error(predict(some, data.frame(id = 7)), "new levels", class = "ferrolmm_error_newdata")
})

test_that("a matrix of combinations whose names are alike is refused", {
  d <- expand.grid(a = c("x", "y:z", "y"), b = c("1", "z:1", "2"), r = 1:3)
  d$y <- cos(seq_len(27L))
  names <- unique(paste(d$a, d$b, sep = ":"))
  K <- diag(length(names))
  dimnames(K) <- list(names, names)
  expect_error(lmm(y ~ 1 + us(1 | a:b, prec = K), d), "y:z:1", class = "ferrolmm_error_known")
  # combinations without rows are known by their names
  e <- expand.grid(a = 1:3, b = 1:4, r = 1:3)
  e$y <- sin(seq_len(36L)) + rep(cos(1:12), 3L)
  names <- paste(rep(1:3, 4L), rep(1:4, each = 3L), sep = ":")
  Q <- diag(12L) + 0.05
  dimnames(Q) <- list(names, names)
  fit <- lmm(y ~ 1 + us(1 | a:b, prec = Q), e[e$a > 1L | e$b > 1L, ])
  expect_equal(predict(fit, e[5:9, ]), fitted(fit)[4:8])
  expect_equal(unname(predict(fit, data.frame(a = 1, b = 1))),
               unname(fixef(fit)) + ranef(fit, condVar = FALSE)[[1L]]["1:1", 1L])
})

# An expectation of equal numbers, whatever their names
near_as <- function(label) {
  function(x, y, tolerance) {
    expect_equal(unname(x), unname(y), tolerance = tolerance, label = label)
  }
}

# Each coefficient, and the difference of two
tested_rows <- function(constant) if (constant) rbind(diag(2), c(1, -1)) else diag(1)

# `tolerance` of the adjusted variance, and of the degrees of freedom
expect_dense_kenward_roger <- function(fit, L, dense, near, tolerance) {
  ours <- ddf_for(fit, "Kenward-Roger")
  near(ours$variance, dense$adjusted, tolerance[[1L]])
  near(ours$single(L), dense$kenward_roger, tolerance[[2L]])
  invisible(ours)
}

# One fit against n x n matrices: tests by both methods, predictions of old levels and of levels
# without rows, their standard errors, and the conditional variances.
expect_dense_inference <- function(width, known = "cov = K", slope = FALSE, others = character(),
                                   control = lmm_control(), free = NULL) {
  label <- paste(width, known, if (slope) "slope", paste(others, collapse = ", "))
  banded <- startsWith(known, "prec")
  problem <- known_problem(width, banded, slope, if (banded) 5L else 0L)
  K <- problem$K
  Q <- problem$Q
  d <- problem$d
  # the mean of one level is its effect
  constant <- if (width == 1L) 0 else 1
  effects <- paste0("us(", if (slope) "x" else "1", " | id, ", known, ")")
  right <- c(constant, "x", effects, sprintf("(1 | %s)", others))
  formula <- stats::as.formula(paste("y ~", paste(right, collapse = " + ")))
  fit <- lmm(formula, d, control = control)
  expect_false(isSingular(fit), label = label)
  terms <- known_terms(problem, fit, slope, others)
  near <- near_as(label)
  x <- cbind(if (constant) 1, d$x)
  model <- dense_known(terms, sigma(fit))
  if (is.null(free)) free <- rep(TRUE, length(model$values))
  L <- tested_rows(constant)
  dense <- dense_ddf(model, x, d$y, L, free)
  expect_dense_kenward_roger(fit, L, dense, near, c(1e-7, 1e-6))
  near(ddf_for(fit, "Satterthwaite")$single(L), dense$satterthwaite, 1e-5)

  levels <- problem$levels
  new <- data.frame(
    id = c(levels[c(1L, length(levels), ceiling(length(levels) / 2))], d$id[[1L]]),
    x = c(-1, 0, 2, 0.3), g = factor(c(1, 5, 12, 3)), h = factor(c(9, 1, 2, 3))
  )
  z0 <- dense_columns(new$id, levels, if (slope) list(1, new$x) else list(1))
  for (name in others) z0 <- cbind(z0, dense_columns(new[[name]], levels(d[[name]])))
  x0 <- cbind(if (constant) 1, new$x)
  wanted <- dense_predictions(terms, dense$v, x, d$y, x0, z0)
  found <- predict(fit, new, se.fit = TRUE)
  near(found$fit, wanted$fit, 1e-9)
  near(found$se.fit^2, wanted$variance, 1e-9)
  bounds <- predict(fit, new, interval = "prediction", ddf = "asymptotic")
  near(
    bounds[, "upr"] - bounds[, "fit"],
    stats::qnorm(0.975) * sqrt(wanted$variance + sigma(fit)^2), 1e-9
  )
  wanted <- dense_predictions(terms, dense$v, x, d$y, 0 * x0, z0)
  found <- predict(fit, new, random.only = TRUE, se.fit = TRUE)
  near(found$fit, wanted$fit, 1e-8)
  near(found$se.fit^2, wanted$variance, 1e-9)
  table <- ranef(fit)[[grep("^id", names(ranef(fit)))]]
  k <- ncol(table)
  of_level <- function(j) wanted$conditional[(j - 1L) * k + seq_len(k), (j - 1L) * k + seq_len(k)]
  blocks <- vapply(match(row.names(table), levels), of_level, array(0, c(k, k)))
  near(as.numeric(attr(table, "postVar")), as.numeric(blocks), 1e-9)
}

test_that("tests and predictions with known matrices of any width are those of n x n matrices", {
  for (width in c(1L, 95:98, 191:194)) {
    expect_dense_inference(width, others = list(character(), "g", c("g", "h"))[[width %% 3 + 1]])
  }
  for (width in c(96L, 98L, 192L, 194L)) expect_dense_inference(width, slope = TRUE)
  expect_dense_inference(6L, others = c("g", "h"))
  expect_dense_inference(98L, slope = TRUE, others = c("g", "h"))
  expect_dense_inference(194L, others = "g")
  for (width in c(95L, 98L, 192L)) {
    expect_dense_inference(width, "prec = Q")
    expect_dense_inference(width, "prec = Q", others = c("g", "h"))
  }
  expect_dense_inference(98L, "prec = Q", slope = TRUE, others = "g")
  skip_on_cran()
  expect_dense_inference(400L)
  expect_dense_inference(400L, "prec = Q", others = "g")
})

test_that("what is held or known is so in Kenward and Roger's method with known matrices", {
  expect_dense_inference(
    98L, others = "g", control = lmm_control(sigma = 1), free = c(TRUE, TRUE, FALSE)
  )
  # a held standard deviation relative to sigma: one component less
  problem <- known_problem(40L)
  K <- problem$K
  d <- problem$d
  formula <- y ~ x + us(1 | id, cov = K) + (1 | g)
  name <- names(lmm(formula, d)$theta)[[1L]]
  fit <- lmm(formula, d, control = lmm_control(hold = stats::setNames(1.1, name)))
  model <- dense_known(known_terms(problem, fit, FALSE, "g"), sigma(fit))
  model$parts <- list(1.1^2 * model$parts[[1L]] + model$parts[[3L]], model$parts[[2L]])
  model$values <- model$values[c(3L, 2L)]
  dense <- dense_ddf(model, cbind(1, d$x), d$y, diag(2))
  ours <- ddf_for(fit, "Kenward-Roger")
  expect_equal(unname(ours$variance), unname(dense$adjusted), tolerance = 1e-7)
  expect_equal(ours$single(diag(2)), dense$kenward_roger, tolerance = 1e-6)
  single <- ddf_for(fit, "Satterthwaite")$single(diag(2))
  expect_equal(single, dense$satterthwaite, tolerance = 1e-5)
})

test_that("dense matrices are inverted as R does, sparse ones stay sparse", {
  set.seed(1)
  for (n in c(1L, 2L, 95L, 97L, 250L)) {
    K <- tcrossprod(matrix(rnorm(n * n), n)) / n + diag(0.5, n)
    found <- engine_invert(K, lmm_control())
    expect_equal(found$inverse, solve(K), tolerance = 1e-10)
    expect_equal(found$pivots, diag(chol(K))^2, tolerance = 1e-10)
    expect_null(engine_invert(K - diag(10, n), lmm_control()))
  }
  for (n in c(5L, 250L)) {
    names <- sprintf("l%03d", seq_len(n))
    d <- data.frame(id = rep(names, 2L), y = rnorm(2L * n))
    K <- matrix(0.3, n, n, dimnames = list(names, names)) + diag(0.7, n)
    Q <- solve(K)
    dimnames(Q) <- dimnames(K)
    of <- function(formula) front_end(formula, d)$random$design$factors[[1L]]$precision
    plain <- function(x) unname(as.matrix(precision_matrix(x)))
    expect_equal(plain(of(y ~ us(1 | id, cov = K))), unname(Q), tolerance = 1e-10)
    expect_equal(plain(of(y ~ us(1 | id, prec = Q))), unname(Q), tolerance = 1e-14)
    expect_equal(known_covariance(of(y ~ us(1 | id, prec = Q))), unname(K), tolerance = 1e-10)
    ## the inverse of a dense AR(1) matrix has three diagonals
    K[] <- 0.5^abs(outer(seq_len(n), seq_len(n), `-`))
    expect_length(of(y ~ us(1 | id, cov = K))$value, 3L * n - 2L)
    K[] <- -1
    diag(K) <- 1
    expect_error(of(y ~ us(1 | id, cov = K)), "not positive definite",
                 class = "ferrolmm_error_known")
    expect_error(of(y ~ us(1 | id, prec = K)), "not positive definite",
                 class = "ferrolmm_error_known")
  }
})

# The variance of the known matrix at zero: Kenward and Roger's method has it as a parameter still
# (V is linear in it, and there is information at zero as elsewhere), for Satterthwaite's, which
# takes slopes by the standard deviation, it is known. `held`: a standard deviation of `g`.
expect_dense_singular <- function(width, known = "cov = K", others = character(), sigma = NULL,
                                  held = NULL, identity = FALSE) {
  label <- paste(width, known, paste(others, collapse = ", "), length(sigma), length(held))
  banded <- startsWith(known, "prec")
  problem <- known_problem(width, banded, FALSE, if (banded) 5L else 0L)
  if (identity) {
    problem$K <- diag(nrow(problem$K))
    dimnames(problem$K) <- list(problem$levels, problem$levels)
  }
  d <- problem$d
  K <- problem$K
  Q <- problem$Q
  constant <- if (width == 1L) 0 else 1
  formula <- function(known) {
    effects <- paste0("us(1 | id", known, ")")
    right <- c(constant, "x", effects, sprintf("(1 | %s)", others))
    stats::as.formula(paste("y ~", paste(right, collapse = " + ")), parent.frame(2L))
  }
  hold <- if (!is.null(held)) stats::setNames(held, "g.(Intercept)")
  control <- lmm_control(sigma = sigma, hold = hold)
  for (seed in 1:100) {
    set.seed(seed)
    d$y <- 1 + d$x / 2 + 1.3 * rnorm(12)[d$g] + 1.2 * rnorm(9)[d$h] + rnorm(nrow(d))
    fit <- suppressMessages(lmm(formula(paste0(", ", known)), d, control = control))
    if (fit$theta[[1L]] == 0) break
  }
  expect_identical(fit$theta[[1L]], 0, label = label)
  model <- dense_known(known_terms(problem, fit, FALSE, others), sigma(fit))
  free <- rep(TRUE, length(model$values))
  if (!is.null(sigma)) free[[length(free)]] <- FALSE
  if (!is.null(held)) {
    model$parts <- list(model$parts[[1L]], held^2 * model$parts[[2L]] + model$parts[[3L]])
    model$values <- model$values[c(1L, 3L)]
    free <- free[-2L]
  }
  near <- near_as(label)
  x <- cbind(if (constant) 1, d$x)
  L <- tested_rows(constant)
  dense <- dense_ddf(model, x, d$y, L, free)
  ours <- expect_dense_kenward_roger(fit, L, dense, near, c(1e-10, 1e-10))
  without <- dense_ddf(model, x, d$y, L, free & model$values > 0)
  satterthwaite <- ddf_for(fit, "Satterthwaite")
  near(satterthwaite$single(L), without$satterthwaite, 1e-6)
  if (identity) {
    plain <- suppressMessages(lmm(formula(""), d, control = control))
    near(ours$variance, ddf_for(plain, "Kenward-Roger")$variance, 1e-8)
    near(ours$single(L), ddf_for(plain, "Kenward-Roger")$single(L), 1e-7)
    near(satterthwaite$single(L), ddf_for(plain, "Satterthwaite")$single(L), 1e-7)
  }
}

test_that("a variance of zero over a known matrix is tested as an n x n computation does", {
  for (width in c(1L, 2L, 95:98, 191:194)) {
    expect_dense_singular(width)
    expect_dense_singular(width, "prec = Q")
  }
  expect_dense_singular(12L, others = c("g", "h"))
  expect_dense_singular(98L, others = "g")
  expect_dense_singular(192L, "prec = Q", others = c("g", "h"))
  # what is held or known beside it
  for (known in c("cov = K", "prec = Q")) {
    expect_dense_singular(40L, known, others = "g", sigma = 1)
    expect_dense_singular(40L, known, others = "g", held = 0.7)
  }
  skip_on_cran()
  expect_dense_singular(400L)
  expect_dense_singular(400L, "prec = Q", others = "g")
})

test_that("the identity as a known matrix is no matrix, also for a variance of zero", {
  expect_dense_singular(40L, identity = TRUE)
  expect_dense_singular(98L, identity = TRUE, others = c("g", "h"))
  expect_dense_singular(40L, identity = TRUE, others = "g", sigma = 1)
  expect_dense_singular(40L, identity = TRUE, others = "g", held = 0.7)
})

# Two effects with one variance and a correlation for each level of a factor with a known matrix
expect_dense_structure <- function(width, structure, known = "cov = K", others = character()) {
  problem <- known_problem(width, slope = TRUE)
  K <- problem$K
  Q <- problem$Q
  d <- problem$d
  d$f <- factor(c("a", "b")[1L + rbinom(nrow(d), 1L, 0.5)])
  z <- dense_columns(d$id, problem$levels, list(d$f == "a", d$f == "b"))
  effects <- t(chol(K)) %*% matrix(rnorm(2L * nrow(K)), nrow(K)) %*% chol(diag(0.7, 2L) + 0.8)
  d$y <- 1 + d$x / 2 + drop(z %*% as.vector(t(effects))) + 1.1 * rnorm(12)[d$g] +
    0.9 * rnorm(9)[d$h] + rnorm(nrow(d))
  own <- sprintf("%s(0 + f | id, %s, hom = TRUE)", structure, known)
  right <- c("x", own, sprintf("(1 | %s)", others))
  fit <- lmm(stats::as.formula(paste("y ~", paste(right, collapse = " + "))), d)
  label <- paste(width, own, length(others))

  spread <- function(unit) z %*% kronecker(K, unit) %*% t(z)
  alone <- spread(diag(2L))
  across <- spread(1 - diag(2L))
  blocks <- lapply(others, function(name) outer(d[[name]], d[[name]], "==") + 0)
  # compound symmetry has a variance and a covariance for parameters, AR(1) a correlation
  linear <- structure == "cs"
  model <- brute_model(d$y, cbind(1, d$x), function(nu) {
    covariance <- if (linear) nu[[2L]] else nu[[1L]] * nu[[2L]]
    own <- nu[[1L]] * alone + covariance * across + nu[[length(nu)]] * diag(nrow(d))
    Reduce(`+`, Map(`*`, blocks, nu[2L + seq_along(blocks)]), own)
  })
  v <- VarCorr(fit)
  G <- v[[grep("^id", names(v))]]
  nu <- c(
    G[1L, 1L], if (linear) G[1L, 2L] else G[1L, 2L] / G[1L, 1L],
    vapply(others, function(o) v[[o]][1L], 0), sigma(fit)^2
  )
  near <- function(x, y, tolerance) {
    expect_equal(unname(x), unname(y), tolerance = tolerance, label = label)
  }
  near(-2 * as.numeric(logLik(fit)), brute_structures_criterion(model, nu), 1e-10)
  brute <- brute_structure_inference(model, nu)
  near(vcov(fit), brute$phi, 1e-8)
  wanted <- apply(diag(2L), 1L, brute$satterthwaite)
  near(ddf_for(fit, "Satterthwaite")$single(diag(2L)), wanted, 1e-5)
  ours <- ddf_for(fit, "Kenward-Roger")
  near(ours$variance, brute$adjusted, 1e-6)
  wanted <- apply(diag(2L), 1L, function(l) brute$kenward_roger(t(l))[["df"]])
  near(ours$single(diag(2L)), wanted, 1e-5)
}

test_that("structures over known matrices of any width are those of n x n matrices", {
  for (structure in c("cs", "ar1")) {
    expect_dense_structure(96L, structure)
    expect_dense_structure(98L, structure, "prec = Q", others = "g")
    skip_on_cran()
    expect_dense_structure(192L, structure, others = c("g", "h"))
    expect_dense_structure(194L, structure, "prec = Q")
    expect_dense_structure(400L, structure)
  }
})

test_that("the inverse of a large dense matrix is symmetric but for rounding: it is taken", {
  # 'Matrix' 1.5-3 refuses it: "matrix is not symmetric"
  n <- 1105L
  K <- diag(n) + 0.1
  inverse <- invert_covariance(Matrix::forceSymmetric(Matrix::Matrix(K)), "`cov`", lmm_control())
  # Sherman and Morrison (1950): (I + a J)^-1 = I - a / (1 + n a) J
  expect_equal(
    as.matrix(inverse), diag(n) - 0.1 / (1 + 0.1 * n), tolerance = 1e-12, ignore_attr = TRUE
  )
  expect_true(Matrix::isSymmetric(inverse, tol = 0))
  back <- known_covariance(list(start = inverse@p, row = inverse@i, value = inverse@x))
  expect_equal(unname(back), K, tolerance = 1e-10)
})

test_that("a known matrix in units far from those of a correlation matrix is refused", {
  set.seed(3)
  K <- crossprod(matrix(rnorm(64), 8)) / 8 + diag(8) * 0.3
  dimnames(K) <- list(letters[1:8], letters[1:8])
  d <- data.frame(g = factor(rep_len(letters[1:8], 60)), x = rnorm(60))
  d$y <- rnorm(60) + drop(t(chol(K)) %*% rnorm(8))[d$g]
  fit <- lmm(y ~ x + us(1 | g, cov = K), d)
  for (scale in c(1e-8, 1e8)) {
    for (other in list(
      lmm(y ~ x + us(1 | g, cov = K * scale), d),
      lmm(y ~ x + us(1 | g, prec = solve(K) / scale), d)
    )) {
      expect_equal(logLik(other), logLik(fit), tolerance = 1e-9)
      expect_equal(other$theta, fit$theta / sqrt(scale), tolerance = 1e-6)
    }
  }
  for (scale in c(1e-15, 1e15, 1e30, 1e60)) {
    expect_error(lmm(y ~ x + us(1 | g, cov = K * scale), d), class = "ferrolmm_error_known")
    expect_error(lmm(y ~ x + us(1 | g, prec = K * scale), d), class = "ferrolmm_error_known")
  }
  expect_snapshot(lmm(y ~ x + us(1 | g, cov = K * 1e30), d), error = TRUE)
})

test_that("matrices of every class of 'Matrix' are the matrix that they hold", {
  d <- animals()
  names <- c("a", "b", "c", "d")
  K <- relationship(names)
  plain <- lmm(y ~ x + us(1 | id, cov = K), d)
  D <- diag(c(1, 2, 0.5, 1.5))
  dimnames(D) <- list(names, names)
  diagonal <- lmm(y ~ x + us(1 | id, cov = D), d)
  identity <- lmm(y ~ x + (1 | id), d)
  sparse <- Matrix::Matrix(K, sparse = TRUE)
  general <- methods::as(sparse, "generalMatrix")
  forms <- list(
    methods::as(K, "dpoMatrix"), methods::as(methods::as(K, "dpoMatrix"), "packedMatrix"),
    Matrix::Matrix(K), methods::as(Matrix::Matrix(K), "generalMatrix"), sparse, general,
    methods::as(general, "TsparseMatrix"), methods::as(general, "RsparseMatrix"),
    methods::as(sparse, "TsparseMatrix"), methods::as(sparse, "RsparseMatrix"),
    Matrix::forceSymmetric(sparse, "L")
  )
  for (M in forms) {
    dimnames(M) <- list(names, names)
    fit <- lmm(y ~ x + us(1 | id, cov = M), d)
    expect_equal(logLik(fit), logLik(plain), info = class(M))
    expect_equal(
      logLik(lmm(y ~ x + us(1 | id, prec = M), d)), logLik(lmm(y ~ x + us(1 | id, prec = K), d)),
      info = class(M)
    )
  }
  forms <- list(
    Matrix::Diagonal(x = diag(D)), methods::as(Matrix::Diagonal(x = diag(D)), "CsparseMatrix"),
    Matrix::triu(Matrix::Matrix(D, sparse = TRUE)), Matrix::triu(Matrix::Matrix(D, sparse = FALSE))
  )
  for (M in forms) {
    dimnames(M) <- list(names, names)
    expect_equal(logLik(lmm(y ~ x + us(1 | id, cov = M), d)), logLik(diagonal), info = class(M))
  }
  for (M in list(Matrix::Diagonal(4), methods::as(1:4, "pMatrix"))) {
    dimnames(M) <- list(names, names)
    expect_equal(logLik(lmm(y ~ x + us(1 | id, cov = M), d)), logLik(identity), info = class(M))
    expect_equal(logLik(lmm(y ~ x + us(1 | id, prec = M), d)), logLik(identity), info = class(M))
  }
})

test_that("a known matrix that is no covariance matrix is an error of its own, of any class", {
  d <- animals()
  names <- c("a", "b", "c", "d")
  fails <- function(M, pattern) {
    dimnames(M) <- list(names, names)
    for (kind in c("cov", "prec")) {
      formula <- y ~ x + us(1 | id, cov = M)
      if (kind == "prec") formula <- y ~ x + us(1 | id, prec = M)
      expect_error(lmm(formula, d), pattern, class = "ferrolmm_error_known", info = class(M))
    }
  }
  entries <- list(zero = c(1, 0, 1, 1), negative = c(1, 1, -2, 1), none = rep(0, 4))
  says <- c(
    zero = "diagonal has 0 for `b`", negative = "diagonal has -2 for `c`",
    none = "diagonal has 0 for `a`, and 3 other numbers"
  )
  for (kind in names(entries)) {
    M <- diag(entries[[kind]])
    for (form in list(
      M, Matrix::Matrix(M), Matrix::Diagonal(x = entries[[kind]]),
      methods::as(Matrix::Matrix(M, sparse = TRUE), "generalMatrix"),
      Matrix::Matrix(M, sparse = FALSE)
    )) {
      fails(form, says[[kind]])
    }
  }
  # a permutation other than the identity has eigenvalues of -1, or is not symmetric
  fails(methods::as(c(2L, 1L, 3L, 4L), "pMatrix"), "diagonal has 0 for `a`, and 1 other number")
  fails(methods::as(c(2L, 3L, 4L, 1L), "pMatrix"), "is not symmetric")
  # positive on the diagonal, and indefinite
  fails(Matrix::Matrix(diag(4) + 3 * (1 - diag(4))), "is not positive definite.\\n.*Clones")
  band <- Matrix::bandSparse(4, k = 0:1, diagonals = list(rep(1, 4), rep(2, 3)), symmetric = TRUE)
  fails(band, "is not positive definite")
  fails(methods::as(band, "nMatrix"), "must be numeric")
  fails(methods::as(band, "lMatrix"), "must be numeric")
  fails(band > 0, "must be numeric")
  fails(diag(4) > 0, "must be numeric")
  fails(Matrix::triu(Matrix::Matrix(diag(4) + 1)), "is not symmetric")
  fails(Matrix::Diagonal(x = c(1, NA, 1, 1)), "missing or infinite")
  # of levels that no row has, a covariance matrix may say what it likes
  wider <- Matrix::Diagonal(x = c(1, 1, 1, 1, 0))
  dimnames(wider) <- list(c(names, "e"), c(names, "e"))
  expect_equal(logLik(lmm(y ~ x + us(1 | id, cov = wider), d)), logLik(lmm(y ~ x + (1 | id), d)))
})
