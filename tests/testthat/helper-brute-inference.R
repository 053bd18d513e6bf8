# Inference about fixed effects with n x n matrices, from the definitions, for small n. V is linear
# in gamma = (elements of each term's covariance matrix, sigma^2): V = sum_i gamma_i V_i. Shares
# nothing with the package but the columns of X and Z.

# The matrices V_i and the values gamma_i at the estimates
brute_components <- function(fit) {
  inputs <- engine_inputs(fit)
  n <- length(inputs$fixed$y)
  w <- if (is.null(inputs$fixed$weights)) rep(1, n) else inputs$fixed$weights
  design <- inputs$random$design
  matrices <- list()
  gamma <- double()
  for (t in seq_along(design$terms)) {
    z <- dense_z(list(factors = design$factors, terms = design$terms[t]), n)
    covariance <- VarCorr(fit)[[t]]
    k <- nrow(covariance)
    levels <- ncol(z) / k
    for (j in seq_len(k)) {
      for (i in j:k) {
        unit <- matrix(0, k, k)
        unit[i, j] <- unit[j, i] <- 1
        matrices <- c(matrices, list(z %*% kronecker(diag(levels), unit) %*% t(z)))
        gamma <- c(gamma, covariance[i, j])
      }
    }
  }
  list(
    matrices = c(matrices, list(diag(1 / w))), gamma = c(gamma, sigma(fit)^2),
    x = inputs$fixed$X[, !is.na(fit$coefficients), drop = FALSE],
    y = inputs$fixed$y - if (is.null(inputs$fixed$offset)) 0 else inputs$fixed$offset
  )
}

brute_inference <- function(fit) {
  parts <- brute_components(fit)
  m <- length(parts$gamma)
  v <- Reduce(`+`, Map(`*`, parts$matrices, parts$gamma))
  inverse <- solve(v)
  x <- parts$x
  phi <- solve(t(x) %*% inverse %*% x)
  projector <- inverse - inverse %*% x %*% phi %*% t(x) %*% inverse
  scaled <- lapply(parts$matrices, function(vi) inverse %*% vi)
  weighted <- inverse %*% x
  trace <- function(a, b) sum(a * t(b))

  # Satterthwaite: observed information of the criterion that was maximised
  py <- projector %*% parts$y
  observed <- outer(seq_len(m), seq_len(m), Vectorize(function(i, j) {
    pi <- projector %*% parts$matrices[[i]]
    pj <- projector %*% parts$matrices[[j]]
    quadratic <- 2 * sum(t(parts$y) %*% pi %*% pj %*% py)
    quadratic - if (isREML(fit)) trace(pi, pj) else trace(scaled[[i]], scaled[[j]])
  }))
  asymptotic <- 2 * solve(observed)
  gradients <- lapply(
    parts$matrices, function(vi) phi %*% t(weighted) %*% vi %*% weighted %*% phi
  )
  satterthwaite <- function(l) {
    g <- vapply(gradients, function(d) drop(t(l) %*% d %*% l), 0)
    2 * drop(t(l) %*% phi %*% l)^2 / drop(t(g) %*% asymptotic %*% g)
  }

  # Kenward and Roger: expected information
  p <- lapply(parts$matrices, function(vi) -t(weighted) %*% vi %*% weighted)
  q <- function(i, j) {
    t(weighted) %*% parts$matrices[[i]] %*% inverse %*% parts$matrices[[j]] %*% weighted
  }
  information <- outer(seq_len(m), seq_len(m), Vectorize(function(i, j) {
    trace(scaled[[i]], scaled[[j]]) - 2 * trace(phi, q(i, j)) +
      trace(phi %*% p[[i]], phi %*% p[[j]])
  }))
  w <- 2 * solve(information)
  bias <- 0
  for (i in seq_len(m)) {
    for (j in seq_len(m)) bias <- bias + w[i, j] * (q(i, j) - p[[i]] %*% phi %*% p[[j]])
  }
  adjusted <- phi + 2 * phi %*% bias %*% phi
  kenward_roger <- function(l) {
    theta <- l %*% t(l) / drop(t(l) %*% phi %*% l)
    traces <- vapply(p, function(pi) trace(theta %*% phi, pi %*% phi), 0)
    2 / drop(t(traces) %*% w %*% traces)
  }
  list(
    satterthwaite = satterthwaite, kenward_roger = kenward_roger, adjusted = adjusted,
    asymptotic = asymptotic
  )
}
