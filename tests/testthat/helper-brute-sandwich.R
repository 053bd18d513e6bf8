## Sandwich estimates by their definition, with n x n matrices: the oracle of robust covariance
## matrices, and of degrees of freedom by all pairs of clusters.

## V of a fit, from its matrices as users get them
dense_v <- function(fit) {
  root <- as.matrix(getME(fit, "Lambdat") %*% getME(fit, "Zt"))
  sigma(fit)^2 * crossprod(root) + as.matrix(getME(fit, "R"))
}

symmetric_power <- function(a, power) {
  parts <- eigen((a + t(a)) / 2, symmetric = TRUE)
  kept <- parts$values > 1e-10 * parts$values[[1L]]
  values <- ifelse(kept, abs(parts$values)^power, 0)
  parts$vectors %*% (values * t(parts$vectors))
}

## A_j of Pustejovsky and Tipton (2018), of mmrm, or none
dense_adjustment <- function(type, v, ih) {
  switch(type,
    CR0 = diag(nrow(v)),
    CR2 = {
      root <- chol(v)
      t(root) %*% symmetric_power(root %*% ih %*% v %*% t(root), -1 / 2) %*% root
    },
    CR3 = solve(ih),
    `Empirical-Bias-Reduced` = {
      root <- t(chol(v))
      root %*% symmetric_power(solve(root, ih) %*% root, -1 / 2) %*% solve(root)
    }
  )
}

## The covariance matrix, and functions of hypotheses: degrees of freedom of a row, eta of a matrix
dense_sandwich <- function(fit, cluster, type) {
  v <- dense_v(fit)
  w <- solve(v)
  x <- unname(model.matrix(fit))
  n <- nrow(x)
  m <- solve(t(x) %*% w %*% x)
  left <- diag(n) - x %*% m %*% t(x) %*% w
  r <- unname(residuals(fit, type = "marginal"))
  r <- r[!is.na(r)]
  clusters <- split(seq_len(n), cluster)
  weights <- lapply(clusters, function(i) {
    out <- matrix(0, n, ncol(x))
    a <- dense_adjustment(type, v[i, i, drop = FALSE], left[i, i, drop = FALSE])
    out[i, ] <- t(t(x[i, , drop = FALSE]) %*% w[i, i, drop = FALSE] %*% a)
    out %*% m
  })
  g <- lapply(weights, function(weight) t(left) %*% weight)
  pairs <- function(l) {
    q <- nrow(l)
    own <- do.call(cbind, lapply(g, function(one) one %*% t(l)))
    p <- array(crossprod(own, v %*% own), c(q, length(g), q, length(g)))
    aperm(p, c(1L, 3L, 2L, 4L))
  }
  list(
    variance = tcrossprod(vapply(weights, function(one) drop(crossprod(one, r)), numeric(ncol(x)))),
    ddf = function(l) {
      p <- pairs(matrix(l, 1L))[1L, 1L, , ]
      sum(diag(p))^2 / sum(p^2)
    },
    eta = function(l) {
      p <- pairs(l)
      own <- seq_len(dim(p)[[3L]])
      omega <- Reduce(`+`, lapply(own, function(i) as.matrix(p[, , i, i])))
      root <- symmetric_power(omega, -1 / 2)
      sums <- apply(p, 3:4, function(one) {
        b <- root %*% matrix(one, nrow(l)) %*% root
        sum(diag(b))^2 + sum(b * t(b))
      })
      nrow(l) * (nrow(l) + 1) / sum(sums)
    }
  )
}

## Unbalanced visits of patients in districts, their raters nested in these, with weights
trial_in_districts <- function() {
  set.seed(7)
  d <- expand.grid(visit = 1:4, id = 1:24)
  d <- d[-sample(nrow(d), 14L), ]
  n <- nrow(d)
  d$arm <- factor(ifelse(d$id %% 2 == 1, "a", "b"))
  d$x <- rnorm(n)
  d$w <- runif(n, 0.3, 4)
  d$district <- factor((d$id - 1) %/% 3)
  d$family <- factor((d$id - 1) %/% 4)
  d$rater <- factor(paste(d$district, sample(1:3, n, TRUE)))
  d$v <- factor(d$visit)
  b <- rnorm(24)[d$id]
  d$y <- 1 + 0.3 * d$visit + b * (1 + 0.3 * d$visit) + rnorm(nlevels(d$rater))[d$rater] +
    rnorm(n) * (1 + 0.3 * d$visit)
  d$id <- factor(d$id)
  d
}
