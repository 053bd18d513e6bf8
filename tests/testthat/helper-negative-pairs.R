# Pairs of rows with a strong negative correlation: no third row can have it with both
negative_pairs <- function() {
  set.seed(4)
  d <- data.frame(g = gl(12, 2), x = rnorm(24))
  d$y <- d$x + rep(c(1, -1), 12) * rep(rnorm(12), each = 2) + rnorm(24, sd = 0.6)
  suppressWarnings(lmm(y ~ x, d, correlation = corCompSymm(form = ~ 1 | g)))
}
