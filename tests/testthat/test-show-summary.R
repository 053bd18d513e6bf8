for_twins("the table of coefficients is lme4's", function(ours, theirs) {
  table <- coef(summary(ours, ddf = "none"))
  expect_identical(colnames(table), c("Estimate", "Std. Error", "t value"))
  estimated <- !is.na(table[, "Estimate"])
  if (any(estimated)) {
    expect_equal(table[estimated, , drop = FALSE], coef(summary(theirs)), tolerance = 1e-6)
  }
})

test_that("dropped coefficients keep their row", {
  table <- coef(summary(our_twin("deficient")))
  expect_identical(rownames(table), c("(Intercept)", "Days", "I(2 * Days)", "latelate"))
  expect_true(all(is.na(table["I(2 * Days)", ])))
})

test_that("the summary has what lme4's has", {
  s <- summary(our_twin("slope"))
  expect_named(s$AICtab, "REML")
  expect_named(summary(our_twin("ml"))$AICtab, c("AIC", "BIC", "logLik", "deviance", "df.resid"))
  expect_s3_class(s$varcor, "VarCorr.lmm")
  expect_identical(s$ngrps, c(Subject = 18L))
  expect_equal(s$residuals, residuals(our_twin("slope"), "pearson", scaled = TRUE))
})

# Numbers of the certificate depend on the path of the optimiser, and on the machine.
mask_certificate <- function(lines) {
  start <- grep("^Certificate", trimws(lines))
  if (length(start) == 0) {
    return(lines)
  }
  text <- paste(trimws(lines[start:length(lines)]), collapse = " ")
  c(lines[seq_len(start - 1)], gsub("[0-9.]+(e-?[0-9]+)?", "#", text))
}

test_that("summaries print as lme4's, with the certificate", {
  local_reproducible_output(width = 80)
  expect_snapshot(print(summary(our_twin("slope")), digits = 3), transform = mask_certificate)
  expect_snapshot(print(summary(our_twin("ml")), digits = 3), transform = mask_certificate)
  expect_snapshot(
    print(summary(our_twin("weighted"), correlation = FALSE), digits = 3, show.resids = FALSE),
    transform = mask_certificate
  )
  expect_snapshot(print(summary(our_twin("deficient")), digits = 3), transform = mask_certificate)
  expect_snapshot(print(summary(our_twin("no_fixed")), digits = 3), transform = mask_certificate)
})

test_that("each method for the degrees of freedom has its table", {
  local_reproducible_output(width = 80)
  print_tests <- function(ddf) {
    lines <- capture.output(print(summary(our_twin("deficient"), ddf = ddf), digits = 3))
    writeLines(lines[c(1, grep("^Fixed effects", lines):(grep("^Correlation", lines) - 2))])
  }
  expect_snapshot({
    print_tests("Kenward-Roger")
    print_tests("asymptotic")
    print_tests("none")
  })
})

test_that("correlations of many fixed effects are not shown unless asked for", {
  local_reproducible_output(width = 80)
  s <- summary(our_twin("shared_factor"))
  rlang::local_options(ferrolmm.summary.cor.max = 10)
  shown <- capture.output(print(s))
  expect_match(shown, "correlation = TRUE) shows it", all = FALSE, fixed = TRUE)
  expect_match(capture.output(print(s, correlation = TRUE)), "(Intr)", all = FALSE, fixed = TRUE)
  symbolic <- capture.output(print(s, correlation = TRUE, symbolic.cor = TRUE))
  expect_match(symbolic, "attr(,\"legend\")", all = FALSE, fixed = TRUE)
})

test_that("names in other scripts are shown without a warning", {
  d <- data.frame(y = c(1, 3, 2, 5, 3, 8), g = gl(3, 2), x = c(1, 4, 2, 3, 6, 5))
  names(d)[3L] <- "\u00e9tendue"
  fit <- suppressMessages(lmm("y ~ \u00e9tendue + (1 | g)", d))
  expect_no_warning(capture.output(print(summary(fit), correlation = TRUE)))
})

test_that("stars can be left out", {
  fit <- our_twin("slope")
  legend <- function(stars) {
    any(grepl("Signif. codes", capture.output(print(summary(fit), signif.stars = stars))))
  }
  expect_false(legend(FALSE))
  expect_true(legend(TRUE))
})
