# Data for smooth terms, and the same models by mgcv::gam() (1.8-41 when these tests were written).

smooth_data_of <- function(n = 200, seed = 1) {
  set.seed(seed)
  groups <- 20L
  d <- data.frame(
    x = runif(n), z = runif(n), u = rnorm(n), f = gl(3, 1, n, labels = c("a", "b", "c")),
    g = gl(groups, ceiling(n / groups), n), w = runif(n, 0.5, 2)
  )
  d$y <- sin(6 * d$x) + d$z^2 + cos(4 * d$x) * as.numeric(d$f) / 3 + 0.3 * d$u * d$x +
    rnorm(groups, sd = 0.5)[d$g] + rnorm(n, sd = 0.4)
  d
}

# The formula of a gam: (1 | g) as s(g, bs = "re")
gam_twin <- function(formula, data, method = "REML") {
  side <- gsub("(1 | g)", "s(g, bs = \"re\")", deparse1(formula), fixed = TRUE)
  # it warns of s(x) + s(x, f, bs = "fs")
  suppressWarnings(
    mgcv::gam(stats::as.formula(side, environment(formula)), data = data, method = method)
  )
}

# -2 log (restricted) likelihood of a fit by dense algebra
dense_criterion <- function(fit) {
  x <- model.matrix(fit)
  z <- as.matrix(getME(fit, "Z"))
  scale <- as.matrix(getME(fit, "Lambda"))
  w <- weights(fit)
  y <- getResponse(fit) - if (is.null(fit$offset)) 0 else fit$offset
  v <- sigma(fit)^2 * (diag(1 / w) + tcrossprod(z %*% scale))
  inverse <- solve(v)
  crossed <- t(x) %*% inverse %*% x
  r <- y - x %*% solve(crossed, t(x) %*% inverse %*% y)
  n <- length(y) - if (isREML(fit)) ncol(x) else 0
  log_det <- function(m) as.numeric(determinant(m)$modulus)
  n * log(2 * pi) + log_det(v) + drop(t(r) %*% inverse %*% r) +
    if (isREML(fit)) log_det(crossed) else 0
}

# What plot() draws, without a picture
plot_values <- function(fit, select) {
  lapply(smooth_pictures(smooths(fit), select, 0.95, TRUE), `[[`, "values")
}
