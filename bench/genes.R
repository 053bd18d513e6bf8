# Many responses: lmm() by refit() with weights of each response, beside a loop of lme4::lmer().
#
# Rscript bench/genes.R [GENES] [SAMPLES]    (20000 500)
#
# Expressions of genes in samples of 100 donors and 20 batches, with a weight for each value as
# those of limma::voom(): the precision of a log-count rises with the count. Elapsed and processor
# time, in all and for each gene; the loop is of a few genes. Build the package as users get it:
# FERROLMM_PROFILE=release dev/install.

arguments <- commandArgs(TRUE)
genes <- if (length(arguments) >= 1L) as.integer(arguments[[1L]]) else 20000L
samples <- if (length(arguments) >= 2L) as.integer(arguments[[2L]]) else 500L
suppressPackageStartupMessages(library(ferrolmm))

set.seed(1)
data <- data.frame(
  donor = factor(sample(rep_len(1:100, samples))), batch = factor(sample(rep_len(1:20, samples))),
  disease = factor(sample(c("control", "case"), samples, TRUE)), age = rnorm(samples)
)
of_donors <- matrix(rnorm(100 * genes, sd = 0.6), 100)
of_batches <- matrix(rnorm(20 * genes, sd = 0.3), 20)
level <- rep(runif(genes, 1, 10), each = samples) # log2 counts
W <- matrix(1 / (0.1 + 2^-level * 4) * exp(rnorm(samples * genes, sd = 0.2)), samples)
Y <- of_donors[data$donor, ] + of_batches[data$batch, ] +
  rnorm(samples * genes) / sqrt(W) * rep(sqrt(6 / rchisq(genes, 6)), each = samples)
rm(of_donors, of_batches, level)
data$y <- Y[, 1L]

report <- function(what, expr, count) {
  times <- system.time(result <- expr)
  cpu <- times[["user.self"]] + times[["sys.self"]]
  cat(sprintf("%-36s %7d genes  %8.2f s elapsed  %8.2f s processor  %7.3f ms a gene\n",
              what, count, times[["elapsed"]], cpu, 1e3 * cpu / count))
  invisible(result)
}

fit <- lmm(y ~ disease + age + (1 | donor) + (1 | batch), data)
many <- report("refit(), weights of each gene", refit(fit, Y, weights = W), genes)
print(table(many$status))
report("moderate() and top_table()", top_table(moderate(many), "diseasecontrol"), genes)
report("refit(), weights in common", refit(fit, Y), genes)
missing <- replace(Y, sample(length(Y), length(Y) / 100), NA)
report("refit(), 1% missing and weights", refit(fit, missing, weights = W), genes)

few <- min(genes, 20L)
own <- report("loop of lmm()", lapply(seq_len(few), function(i) {
  data$y <- Y[, i]
  data$w <- W[, i]
  lmm(y ~ disease + age + (1 | donor) + (1 | batch), data, weights = w)
}), few)
difference <- vapply(seq_len(few), function(i) {
  max(abs(many$coefficients[, i] / fixef(own[[i]]) - 1),
      abs(many$criterion[[i]] / own[[i]]$criterion - 1))
}, 0)
cat("largest relative difference from the loop:", format(max(difference)), "\n")
if (requireNamespace("lme4", quietly = TRUE)) {
  report("loop of lme4::lmer()", lapply(seq_len(few), function(i) {
    data$y <- Y[, i]
    data$w <- W[, i]
    lme4::lmer(y ~ disease + age + (1 | donor) + (1 | batch), data, weights = w)
  }), few)
}
