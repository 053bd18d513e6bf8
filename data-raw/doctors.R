## Simulates `doctors` (R/data.R describes it) and writes data/doctors.rda.
##   Rscript data-raw/doctors.R           writes the file
##   Rscript data-raw/doctors.R --check   compares the file with a new run; status 1 if they differ
##
## The description it follows: 8525 patients of 407 doctors, 2 to 40 patients each; mobility =
## 4.782 + 0.025 Age + 0.011 Married + 0.012 Sex + 0 WBC - 0.009 RBC + a random intercept per
## doctor + noise, printed as whole numbers; the first ten doctors see 252 patients; three given
## rows. The data are invented: no patient or doctor stands behind any of them. The spreads are
## ours: standard deviations of 0.8 between doctors and 1.2 within.

RNGkind("Mersenne-Twister", "Inversion", "Rejection")
set.seed(20261123)

n_doctors <- 407L
n_patients <- 8525L
beta <- c(4.782, 0.025, 0.011, 0.012, 0, -0.009)
sd_doctor <- 0.8
sd_residual <- 1.2

## Moves `size` one patient at a time, at random, until its total is `total`; every size stays in
## 2..40.
settle <- function(size, total) {
  while (sum(size) != total) {
    step <- sign(total - sum(size))
    room <- which(if (step > 0) size < 40L else size > 2L)
    i <- room[sample.int(length(room), 1L)]
    size[i] <- size[i] + as.integer(step)
  }
  size
}
size <- sample(2:40, n_doctors, replace = TRUE)
size <- c(settle(size[1:10], 252L), settle(size[-(1:10)], n_patients - 252L))
stopifnot(min(size) == 2L, max(size) == 40L)

doctor <- rep(seq_len(n_doctors), size)
doctors <- data.frame(
  mobility = NA_integer_,
  Age = round(rnorm(n_patients, 51, 6.3), 2),
  Married = rbinom(n_patients, 1L, 0.6),
  Sex = rbinom(n_patients, 1L, 0.4),
  WBC = as.integer(round(rnorm(n_patients, 6000, 1000))),
  RBC = round(rnorm(n_patients, 5, 0.3), 2),
  doctor = factor(doctor)
)
## The three rows that the description prints, with their outcomes.
given <- c(1L, 2L, n_patients)
given_mobility <- c(2L, 2L, 3L)
doctors$Age[given] <- c(64.97, 53.92, 56.07)
doctors$Married[given] <- 0L
doctors$Sex[given] <- c(1L, 0L, 1L)
doctors$WBC[given] <- c(6087L, 6700L, 6430L)
doctors$RBC[given] <- c(4.87, 4.68, 4.73)

## Scores as low as the given ones belong to doctors well below the average.
effect <- rnorm(n_doctors, 0, sd_doctor)
effect[c(1L, n_doctors)] <- c(-2, -1.8)
x <- cbind(1, as.matrix(doctors[c("Age", "Married", "Sex", "WBC", "RBC")]))
noise <- effect[doctor] + rnorm(n_patients, 0, sd_residual)

## The stated coefficients are what the description's fit prints, so the *estimates* shall be
## these, not only the truth behind them: shift the noise within the column space of X (which
## leaves the REML estimates of the variances alone) until they are, to the digits stated. Rounding
## to whole scores makes it an iteration; the jitter, far below the rounding, keeps it from going
## round in circles.
score <- function(noise) {
  y <- as.integer(round(drop(x %*% beta) + noise))
  y[given] <- given_mobility
  y
}
estimates <- function(y) {
  d <- transform(doctors, mobility = y)
  nlme::fixef(nlme::lme(mobility ~ Age + Married + Sex + WBC + RBC, d, ~ 1 | doctor))
}
for (pass in 1:1000) {
  off <- estimates(score(noise)) - beta
  close <- all(abs(off) < c(4e-4, 4e-4, 4e-4, 4e-4, 1e-6, 4e-4))
  if (close) break
  noise <- noise - 0.5 * drop(x %*% off) + rnorm(n_patients, 0, 0.001)
}
stopifnot(close)
doctors$mobility <- score(noise)

file <- file.path("data", "doctors.rda")
if ("--check" %in% commandArgs(TRUE)) {
  stored <- new.env()
  load(file, envir = stored)
  same <- identical(stored$doctors, doctors)
  cat(file, if (same) "is" else "is NOT", "what data-raw/doctors.R simulates\n")
  quit(status = if (same) 0L else 1L)
}
dir.create("data", showWarnings = FALSE)
save(doctors, file = file, compress = "xz", version = 2L)
cat(file, file.size(file), "bytes after", pass, "passes\n")
