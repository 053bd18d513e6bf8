# Samples with weights.

# rows in schools in districts, with weights of all three
survey_data <- function(seed = 1, districts = 12, whole = FALSE) {
  set.seed(seed)
  d <- expand.grid(row = 1:4, school = 1:3, district = seq_len(districts))
  d$district <- factor(d$district)
  d$school <- factor(paste(d$district, d$school))
  pick <- function(n) if (whole) sample(1:3, n, TRUE) else runif(n, 0.4, 3)
  d$w1 <- pick(nrow(d))
  d$w2 <- pick(nlevels(d$school))[d$school]
  d$w3 <- pick(districts)[d$district]
  d$x <- rnorm(nrow(d))
  effect <- function(f, sd) rnorm(nlevels(f), sd = sd)[f]
  d$y <- 1 + d$x + effect(d$district, 1) + effect(d$school, 0.7) + rnorm(nrow(d))
  d
}
