## The worked example: patients seen by doctors.
##   Rscript doctors.R [FOLDER]
## fits a random intercept per doctor to the simulated `doctors` data, prints the fit and its random
## effects, and writes two pictures of the random-effects model matrix Z into FOLDER (default:
## doctors-pictures in the working directory).

library(ferrolmm)

arguments <- commandArgs(trailingOnly = TRUE)
folder <- if (length(arguments)) arguments[[1L]] else file.path(getwd(), "doctors-pictures")
dir.create(folder, showWarnings = FALSE, recursive = TRUE)

cat("The data: ", nrow(doctors), " patients of ", nlevels(doctors$doctor), " doctors, ",
    min(table(doctors$doctor)), " to ", max(table(doctors$doctor)), " each\n\n", sep = "")
print(head(doctors, 3L))

fit <- lmm(mobility ~ Age + Married + Sex + WBC + RBC + (1 | doctor), data = doctors)

cat("\n-- Summary\n\n")
print(summary(fit), correlation = FALSE)

effects <- ranef(fit)$doctor
cat("\n-- Random effects: ", nrow(effects), " doctors; the first ten\n\n", sep = "")
print(head(effects, 10L))

draw <- function(file, title, ...) {
  path <- file.path(normalizePath(folder), file)
  grDevices::png(path, width = 1000, height = 800, res = 110)
  image(fit, main = title, ...)
  grDevices::dev.off()
  cat(path, "\n", sep = "")
}
cat("\n-- Pictures of Z\n\n")
draw("z-whole.png", NULL)
draw("z-first-ten-doctors.png", "Z of the first ten doctors: 252 rows, 10 columns", levels = 1:10)
