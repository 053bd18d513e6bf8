# Rows that are members of several levels: data, the matrix of weights and the model by definition.

#' Pupils with a school each year, unequal weights, a school that is named only with a weight of 0
members_data <- function(n = 120L, schools = 9L, seed = 4L) {
  set.seed(seed)
  labels <- paste0("s", seq_len(schools))
  d <- data.frame(
    s1 = sample(labels, n, TRUE), s2 = sample(labels, n, TRUE), x = rnorm(n),
    class = factor(sample(6L, n, TRUE)), w1 = sample(c(0.25, 0.5, 1), n, TRUE)
  )
  d$w2 <- 1 - d$w1
  d$s2[d$w2 == 0] <- "none"
  z <- member_weights_of(d)
  d$y <- 1 + d$x + drop(z %*% rnorm(ncol(z))) + rnorm(6)[d$class] / 2 + rnorm(n, sd = 0.7)
  d
}

#' The matrix of weights, rows by levels
member_weights_of <- function(d, weights = cbind(d$w1, d$w2)) {
  levels <- setdiff(sort(unique(c(d$s1, d$s2))), "none")
  z <- matrix(0, nrow(d), length(levels), dimnames = list(NULL, levels))
  for (k in 1:2) {
    for (i in seq_len(nrow(d))) {
      level <- d[[paste0("s", k)]][i]
      if (weights[i, k] != 0) z[i, level] <- z[i, level] + weights[i, k]
    }
  }
  z
}

#' -2 log (restricted) likelihood, GLS and BLUPs of y = X beta + sum_t Z_t b_t + e with
#' Var(b_t) = s2_t I, from V formed n x n; v = c(s2_t..., sigma2)
dense_members <- function(y, x, zs, v, reml = TRUE, weights = NULL) {
  n <- length(y)
  w <- if (is.null(weights)) rep(1, n) else weights
  total <- diag(v[length(v)] / w)
  for (t in seq_along(zs)) total <- total + v[t] * tcrossprod(zs[[t]])
  inverse <- solve(total)
  information <- crossprod(x, inverse %*% x)
  beta <- solve(information, crossprod(x, inverse %*% y))
  r <- y - x %*% beta
  logdet <- function(m) as.numeric(determinant(m)$modulus)
  criterion <- logdet(total) + sum(r * (inverse %*% r)) +
    (n - if (reml) ncol(x) else 0) * log(2 * pi) + if (reml) logdet(information) else 0
  list(
    criterion = criterion, beta = drop(beta), vcov = solve(information), v = total,
    inverse = inverse,
    b = lapply(seq_along(zs), function(t) drop(v[t] * crossprod(zs[[t]], inverse %*% r)))
  )
}
