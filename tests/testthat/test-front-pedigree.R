# A by the tabular method (Emik & Terrill 1949): animals come after their parents
tabular <- function(sire, dam) {
  n <- length(sire)
  a <- diag(n)
  for (i in seq_len(n)) {
    parents <- c(sire[i], dam[i])
    parents <- parents[parents > 0L]
    for (j in seq_len(i - 1L)) {
      a[i, j] <- a[j, i] <- sum(a[j, parents]) / 2
    }
    if (length(parents) == 2L) a[i, i] <- 1 + a[parents[1L], parents[2L]] / 2
  }
  a
}

# A pedigree with much inbreeding: odd numbers are males
inbred <- function(n, seed) {
  set.seed(seed)
  one <- function(i, sex) {
    candidates <- which(seq_len(i - 1L) %% 2L == sex)
    if (length(candidates) == 0L || runif(1L) < 0.1) {
      return(0L)
    }
    candidates[sample.int(length(candidates), 1L)]
  }
  data.frame(
    id = seq_len(n), sire = vapply(seq_len(n), one, 0L, 1L), dam = vapply(seq_len(n), one, 0L, 0L)
  )
}

# Mrode (2014), Linear Models for the Prediction of Animal Breeding Values, 3rd edition, CABI:
# pedigree and A of example 2.1; pedigree, records and solutions of example 3.1
mrode <- data.frame(
  id = c(4:8, 1:3), sire = c(1, 3, 1, 4, 3, 0, 0, 0), dam = c(0, 2, 2, 5, 6, 0, 0, 0)
)

test_that("the relationships of a textbook come out", {
  Q <- pedigree_precision(1:6, c(NA, NA, 1, 1, 4, 5), c(NA, NA, 2, NA, 3, 2))
  expect_s4_class(Q, "dsCMatrix")
  A <- matrix(c(
    1, 0, 0.5, 0.5, 0.5, 0.25,
    0, 1, 0.5, 0, 0.25, 0.625,
    0.5, 0.5, 1, 0.25, 0.625, 0.5625,
    0.5, 0, 0.25, 1, 0.625, 0.3125,
    0.5, 0.25, 0.625, 0.625, 1.125, 0.6875,
    0.25, 0.625, 0.5625, 0.3125, 0.6875, 1.125
  ), 6L)
  expect_equal(unname(as.matrix(Matrix::solve(Q))), A, tolerance = 1e-12)
  expect_equal(
    attr(Q, "inbreeding"), c("1" = 0, "2" = 0, "3" = 0, "4" = 0, "5" = 0.125, "6" = 0.125)
  )
  expect_identical(dimnames(Q), list(as.character(1:6), as.character(1:6)))
})

test_that("the animal model of a textbook comes out", {
  d <- data.frame(
    animal = 4:8, sex = c("male", "female", "female", "male", "male"),
    gain = c(4.5, 2.9, 3.9, 3.5, 5.0)
  )
  Q <- pedigree_precision(mrode$id, mrode$sire, mrode$dam)
  fit <- lmm(gain ~ 0 + sex + us(1 | animal, prec = Q), d, control = lmm_control(
    hold = c("animal.(Intercept)" = sqrt(20 / 40)), sigma = sqrt(40)
  ))
  expect_equal(unname(fixef(fit)[c("sexmale", "sexfemale")]), c(4.358, 3.404), tolerance = 2e-4)
  effects <- ranef(fit)$animal
  found <- effects[match(as.character(1:8), rownames(effects)), 1L]
  expect_lt(
    max(abs(found - c(0.098, -0.019, -0.041, -0.009, -0.186, 0.177, -0.249, 0.183))), 6e-4
  )
})

test_that("it is the inverse of the tabular method, the animals in any order and under any names", {
  for (seed in 1:8) {
    p <- inbred(40L, seed)
    A <- tabular(p$sire, p$dam)
    order <- sample(40L)
    name <- paste0("animal ", p$id, c("", "%s", "\u00e9"))[p$id]
    parent <- function(code) c(NA, name)[code + 1L]
    Q <- pedigree_precision(name[order], parent(p$sire)[order], parent(p$dam)[order])
    expect_identical(rownames(Q), name[order])
    expect_equal(unname(as.matrix(Q %*% A[order, order])), diag(40L), tolerance = 1e-9)
    expect_equal(unname(attr(Q, "inbreeding")), diag(A)[order] - 1, tolerance = 1e-12)
    expect_gt(max(attr(Q, "inbreeding")), 0.2)
  }
})

test_that("animals and parents are matched by what they are, unknown parents spelt in every way", {
  Q <- pedigree_precision(c(1, 2, 1e5), c(NA, 0, 1), c(0, NA, 2))
  same <- list(
    pedigree_precision(c("1", "2", "100000"), c("0", "", "1"), c(NA, "0", "2")),
    pedigree_precision(
      factor(c(1, 2, 1e5), labels = c("1", "2", "100000")), factor(c(NA, NA, 1)), c(NA, NA, 2L)
    ),
    suppressMessages(pedigree_precision(1e5, 1, 2))[c(2, 3, 1), c(2, 3, 1)]
  )
  expect_identical(rownames(Q), c("1", "2", "100000"))
  for (other in same) {
    expect_equal(as.matrix(other), as.matrix(Q))
    expect_identical(rownames(other), rownames(Q))
  }
  expect_identical(dim(pedigree_precision(character(), character(), character())), c(0L, 0L))
  expect_message(
    pedigree_precision("calf", "bull", "cow"), "2 parents that are not in `id` .*: `bull`, `cow`",
    class = "ferrolmm_message_pedigree"
  )
  expect_silent(pedigree_precision(c("bull", "cow", "calf"), c(NA, NA, "bull"), c(NA, NA, "cow")))
})

test_that("impossible pedigrees are errors that name the animals", {
  bad <- function(id, sire, dam, pattern, class = "ferrolmm_error_pedigree") {
    expect_error(suppressMessages(pedigree_precision(id, sire, dam)), pattern, class = class)
  }
  bad(c("a", "b", "c"), c("c", "a", NA), c(NA, NA, "b"), "`[abc]` .* is its own ancestor")
  bad(c("a", "b"), c("a", NA), c(NA, NA), "`a` of the pedigree is its own ancestor.*`a`, `a`")
  bad(c("a", "b", "c"), c(NA, "x", "a"), c(NA, "a", "x"), "2 animals .* are sire and dam: `x`, `a`")
  bad(c("a", "b"), c(NA, "a"), c(NA, "a"), "1 animal of the pedigree is sire and dam: `a`")
  bad(c("a", "b", "a"), c(NA, NA, "b"), c(NA, NA, NA), "1 animal .* more than once: `a`")
  bad(c("a", NA), c(NA, NA), c(NA, NA), "without a name .* row 2")
  bad(c(1, 0), c(NA, NA), c(NA, NA), "without a name .* row 2")
  argument <- "ferrolmm_error_argument"
  bad(1:3, NA, c(NA, NA, NA), "`sire` has 1 value, `id` has 3", argument)
  bad(1:3, c(NA, NA, NA), NULL, "`dam` must be a vector", argument)
  bad(list(1), NA, NA, "`id` must be a vector", argument)
  bad(as.Date("2024-01-01"), NA, NA, "`id` must be a vector", argument)
})

# One row for each of the animals from `first` on, in herds and litters
pedigree_data <- function(n = 120L, first = 20L) {
  p <- inbred(n, 5L)
  d <- data.frame(animal = first:n)
  m <- nrow(d)
  d$herd <- factor(sample(4L, m, TRUE))
  d$litter <- factor(p$dam[first:n])
  d$x <- rnorm(m)
  breeding <- drop(crossprod(chol(tabular(p$sire, p$dam)), rnorm(n)))
  d$y <- 1 + d$x + breeding[first:n] + rnorm(4L)[d$herd] + rnorm(m)
  list(d = d, p = p, A = tabular(p$sire, p$dam))
}

test_that("an animal model with herds is that of n x n matrices", {
  problem <- pedigree_data()
  d <- problem$d
  Q <- pedigree_precision(problem$p$id, problem$p$sire, problem$p$dam)
  z <- dense_columns(d$animal, as.character(problem$p$id))
  zaz <- z %*% problem$A %*% t(z)
  zh <- tcrossprod(dense_columns(d$herd, levels(d$herd)))
  x <- cbind(1, d$x)
  criterion <- function(theta) {
    v <- theta[1L]^2 * zaz + theta[2L]^2 * zh + diag(nrow(d))
    root <- chol(v)
    xs <- backsolve(root, x, transpose = TRUE)
    ys <- backsolve(root, d$y, transpose = TRUE)
    df <- nrow(d) - 2
    rss <- sum(qr.resid(qr(xs), ys)^2)
    2 * sum(log(diag(root))) + determinant(crossprod(xs))$modulus +
      df * (1 + log(2 * pi * rss / df))
  }
  formula <- y ~ x + us(1 | animal, prec = Q) + (1 | herd)
  for (theta in list(c(1, 1), c(0.3, 2), c(2, 0), c(0, 0.5))) {
    at <- lmm(formula, d, control = lmm_control(
      hold = c("animal.(Intercept)" = theta[1L], "herd.(Intercept)" = theta[2L])
    ))
    expect_equal(-2 * as.numeric(logLik(at)), as.numeric(criterion(theta)), tolerance = 1e-10)
  }
  fit <- lmm(formula, d)
  best <- optim(c(1, 1), criterion, method = "BFGS", control = list(reltol = 1e-14))
  expect_lt(-2 * as.numeric(logLik(fit)), best$value + 1e-7)
  expect_equal(abs(unname(fit$theta)), abs(best$par), tolerance = 1e-3)
  h2 <- heritability(fit)
  v <- c(fit$theta^2, 1)
  expect_equal(h2$estimate, v[[1L]] / sum(v))
  expect_true(is.finite(h2$se))
})

test_that("the pedigree may stand in the formula, its columns in the data", {
  p <- inbred(60L, 9L)
  p$y <- rnorm(60L)
  Q <- pedigree_precision(p$id, p$sire, p$dam)
  there <- lmm(y ~ us(1 | id, prec = pedigree_precision(id, sire, dam)), p)
  expect_equal(logLik(there), logLik(lmm(y ~ us(1 | id, prec = Q), p)))
  p$sire[1L] <- 60L
  expect_error(
    lmm(y ~ us(1 | id, prec = pedigree_precision(id, sire, dam)), p),
    "could not be evaluated: .*its own ancestor", class = "ferrolmm_error_known"
  )
})

test_that("two traits of animals have a covariance matrix of breeding values", {
  problem <- pedigree_data(60L, 10L)
  d <- rbind(
    data.frame(problem$d, trait = "a"), data.frame(problem$d, trait = "b")
  )
  d$y <- d$y + rnorm(nrow(d))
  d$trait <- factor(d$trait)
  Q <- pedigree_precision(problem$p$id, problem$p$sire, problem$p$dam)
  fit <- lmm(
    y ~ 0 + trait + us(0 + trait | animal, prec = Q) + (1 | herd), d,
    residual = ~ us(trait | animal)
  )
  # at the estimates: G (x) A + R (x) I
  z <- dense_columns(
    d$animal, as.character(problem$p$id), list(d$trait == "a", d$trait == "b")
  )
  g <- matrix(as.numeric(VarCorr(fit)$animal), 2L)
  h <- as.numeric(VarCorr(fit)$herd)
  residual <- getVarCov(fit, type = "conditional")
  residual <- if (is.list(residual)) residual[[1L]] else residual
  r <- matrix(as.numeric(residual), 2L)
  same <- outer(d$animal, d$animal, `==`)
  v <- z %*% kronecker(problem$A, g) %*% t(z) + h * outer(d$herd, d$herd, `==`) +
    same * r[as.integer(d$trait), as.integer(d$trait)]
  x <- cbind(d$trait == "a", d$trait == "b") + 0
  root <- chol(v)
  xs <- backsolve(root, x, transpose = TRUE)
  ys <- backsolve(root, d$y, transpose = TRUE)
  expected <- -(2 * sum(log(diag(root))) + as.numeric(determinant(crossprod(xs))$modulus) +
    sum(qr.resid(qr(xs), ys)^2) + (nrow(d) - 2) * log(2 * pi)) / 2
  expect_equal(as.numeric(logLik(fit)), expected, tolerance = 1e-8)
})

test_that("numbers as parents find names that were made of numbers", {
  ids <- c(1e5, 2e5, 3e5)
  expected <- unname(as.matrix(pedigree_precision(ids, c(NA, 1e5, 1e5), c(NA, NA, 2e5))))
  for (id in list(factor(ids), as.character(ids), c("100000", "200000", "300000"))) {
    expect_silent(found <- pedigree_precision(id, c(NA, 1e5, 1e5), c(NA, NA, 2e5)))
    expect_equal(unname(as.matrix(found)), expected)
  }
})

test_that("equations name the matrix of related levels, and animals without rows do not count", {
  set.seed(1)
  animals <- data.frame(
    id = 1:60, sire = c(rep(NA, 20), sample(1:10, 40, TRUE)),
    dam = c(rep(NA, 20), sample(11:20, 40, TRUE))
  )
  Q <- pedigree_precision(animals$id, animals$sire, animals$dam)
  d <- animals[21:60, ]
  d$y <- rnorm(60)[1:40] + as.matrix(Matrix::solve(Matrix::chol(Q), rnorm(60)))[21:60, 1L]
  A <- as.matrix(Matrix::solve(Q))[21:60, 21:60]
  by_prec <- lmm(y ~ 1 + us(1 | id, prec = Q), d)
  by_cov <- lmm(y ~ 1 + us(1 | id, cov = A), d)
  expect_output(print(equations(by_prec)), "those of id, by the known precision matrix Q")
  if (!isSingular(by_prec)) {
    cullis <- function(fit) heritability(fit, type = "cullis")[["estimate"]]
    expect_equal(cullis(by_prec), cullis(by_cov), tolerance = 1e-4)
  }
})
