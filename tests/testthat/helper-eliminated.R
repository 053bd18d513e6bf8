# Crossed data with fixed effects of levels, and the model with ordinary factors in their place

eliminated_data <- function(n = 400L) {
  set.seed(1)
  d <- data.frame(
    g = factor(sample(30, n, TRUE)), h = factor(sample(12, n, TRUE)),
    f = factor(sample(9, n, TRUE)),
    x = rnorm(n), z = rnorm(n), w = runif(n, 0.5, 3), o = rnorm(n)
  )
  d$k <- as.numeric(d$g) %% 3
  # two sets of levels that do not meet
  lower <- as.integer(d$g) <= 15
  d$f2 <- factor(ifelse(lower, sample(5, n, TRUE), 5 + sample(4, n, TRUE)))
  d$y <- 5 + 2 * d$x + rnorm(30)[d$g] * 2 + rnorm(9)[d$f] + rnorm(12)[d$h] + rnorm(12)[d$h] * d$x +
    rnorm(n)
  d
}

# coefficients, errors and degrees of freedom of the coefficients that both have
common_tests <- function(own, dense, ddf = "Satterthwaite") {
  kept <- names(which(!is.na(own$coefficients)))
  list(
    own = summary(own, ddf = ddf)$coefficients[kept, 1:3, drop = FALSE],
    dense = summary(dense, ddf = ddf)$coefficients[kept, 1:3, drop = FALSE]
  )
}
