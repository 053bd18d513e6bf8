# Models with known covariance matrices of levels as n x n matrices, from the definitions: nothing
# of the package is used, its estimates are arguments.

# Indicators of levels, beside those of slopes where there are any: columns level by level
dense_columns <- function(group, levels, columns = list(1)) {
  codes <- match(as.character(group), levels)
  z <- matrix(0, length(codes), length(levels) * length(columns))
  for (c in seq_along(columns)) {
    z[cbind(seq_along(codes), (codes - 1L) * length(columns) + c)] <- columns[[c]]
  }
  z
}

# V = sum Z (K (x) G) Z' + sigma^2 I and its derivatives by the entries of each G and by sigma^2.
# `terms`: list(z =, K =, G =) for each term.
dense_known <- function(terms, sigma) {
  parts <- list()
  for (t in terms) {
    k <- nrow(t$G)
    for (j in seq_len(k)) {
      for (i in j:k) {
        unit <- matrix(0, k, k)
        unit[i, j] <- unit[j, i] <- 1
        parts <- c(parts, list(t$z %*% kronecker(t$K, unit) %*% t(t$z)))
      }
    }
  }
  values <- lapply(terms, function(t) t$G[lower.tri(t$G, diag = TRUE)])
  n <- nrow(terms[[1L]]$z)
  list(parts = c(parts, list(diag(n))), values = c(unlist(values), sigma^2))
}

# Satterthwaite's degrees of freedom of single rows by the observed information, and Kenward and
# Roger (1997), their section 3: Phi_A = Phi + 2 Phi (sum W_ij (Q_ij - P_i Phi P_j)) Phi,
# W twice the inverse of the expected information of the restricted likelihood, and the degrees of
# freedom of single rows, 2 / A1 (their section 4 for one row, where A1 = A2). Components that are
# not `free` are known.
dense_ddf <- function(model, x, y, rows, free = rep(TRUE, length(model$values))) {
  v <- Reduce(`+`, Map(`*`, model$parts, model$values))
  root <- chol(v)
  whiten <- function(a) backsolve(root, a, transpose = TRUE)
  xs <- whiten(x)
  phi <- solve(crossprod(xs))
  # in whitened rows V is the identity
  whitened <- lapply(model$parts[free], function(part) whiten(t(whiten(part))))
  annihilator <- diag(nrow(x)) - xs %*% phi %*% t(xs)
  projected <- lapply(whitened, function(part) annihilator %*% part)
  m <- length(whitened)
  residual <- annihilator %*% whiten(y)
  moved <- lapply(whitened, function(part) part %*% residual)
  information <- observed <- matrix(0, m, m)
  for (i in seq_len(m)) {
    for (j in seq_len(m)) {
      information[i, j] <- sum(projected[[i]] * t(projected[[j]])) / 2
      observed[i, j] <- drop(t(moved[[i]]) %*% annihilator %*% moved[[j]]) - information[i, j]
    }
  }
  w <- solve(information)
  asymptotic <- solve(observed)
  images <- lapply(whitened, function(part) part %*% xs)
  p <- lapply(images, function(image) -crossprod(xs, image))
  middle <- 0
  for (i in seq_len(m)) {
    for (j in seq_len(m)) {
      q <- crossprod(images[[i]], images[[j]])
      middle <- middle + w[i, j] * (q - p[[i]] %*% phi %*% p[[j]])
    }
  }
  df <- function(w) {
    apply(rows, 1L, function(l) {
      slopes <- vapply(p, function(pi) drop(l %*% phi %*% pi %*% phi %*% l), 0)
      2 * drop(l %*% phi %*% l)^2 / drop(slopes %*% w %*% slopes)
    })
  }
  list(
    adjusted = phi + 2 * phi %*% middle %*% phi, kenward_roger = df(w),
    satterthwaite = df(asymptotic), phi = phi, v = v
  )
}

# Best linear unbiased predictions of x0'beta + z0'b for rows of `x0` and `z0` (all terms' columns
# side by side), their prediction error variances, and the variances of b given y and beta
dense_predictions <- function(terms, v, x, y, x0, z0) {
  z <- do.call(cbind, lapply(terms, `[[`, "z"))
  blocks <- lapply(terms, function(t) kronecker(t$K, t$G))
  g <- as.matrix(Matrix::bdiag(blocks))
  inverse <- chol2inv(chol(v))
  phi <- solve(t(x) %*% inverse %*% x)
  beta <- phi %*% t(x) %*% inverse %*% y
  gain <- g %*% t(z) %*% inverse
  conditional <- g - gain %*% z %*% g
  left <- x0 - z0 %*% gain %*% x
  list(
    fit = drop(x0 %*% beta + z0 %*% gain %*% (y - x %*% beta)),
    variance = rowSums((z0 %*% conditional) * z0) + rowSums((left %*% phi) * left),
    conditional = conditional
  )
}

# Data of which `width` effects depend on each other by a known matrix, dense or with a banded
# inverse; `extra` levels have no rows
known_problem <- function(width, banded = FALSE, slope = FALSE, extra = 0L) {
  set.seed(width)
  observed <- max(1L, width %/% (1L + slope))
  levels <- sprintf("l%04d", seq_len(observed + extra))
  m <- length(levels)
  if (banded) {
    Q <- 1.5 * diag(m)
    Q[abs(row(Q) - col(Q)) == 1L] <- -0.6
    K <- chol2inv(chol(Q))
  } else {
    K <- tcrossprod(matrix(rnorm(m^2), m)) / m + diag(0.3, m) + 0.2
    Q <- chol2inv(chol(K))
  }
  dimnames(K) <- dimnames(Q) <- list(levels, levels)
  id <- c(levels[seq_len(observed)], sample(levels[seq_len(observed)], 60L, TRUE))
  n <- length(id)
  d <- data.frame(
    id = id, x = rnorm(n), g = factor(sample(12L, n, TRUE)), h = factor(sample(9L, n, TRUE))
  )
  effects <- crossprod(chol(K), matrix(rnorm(2 * m), m))
  rows <- match(id, levels)
  d$y <- 1 + d$x / 2 + 1.2 * effects[rows, 1L] + slope * effects[rows, 2L] * d$x +
    1.3 * rnorm(12)[d$g] + 1.2 * rnorm(9)[d$h] + rnorm(n)
  list(d = d, K = K, Q = Matrix::drop0(Matrix::Matrix(Q, sparse = banded)), levels = levels)
}

# The terms of such a problem at a fit's estimates
known_terms <- function(problem, fit, slope, others) {
  d <- problem$d
  columns <- if (slope) list(1, d$x) else list(1)
  v <- VarCorr(fit)
  plain <- function(x) matrix(as.numeric(x), nrow(x))
  known <- list(
    z = dense_columns(d$id, problem$levels, columns), K = problem$K,
    G = plain(v[[grep("^id", names(v))]])
  )
  c(list(known), lapply(others, function(name) {
    levels <- levels(d[[name]])
    list(z = dense_columns(d[[name]], levels), K = diag(length(levels)), G = plain(v[[name]]))
  }))
}
