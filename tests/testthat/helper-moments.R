# What fits of moments have in common with those of the rows.

# The estimates of two fits are the same
expect_same_fit <- function(a, b, tolerance = 1e-8) {
  expect_equal(fixef(a), fixef(b), tolerance = tolerance)
  expect_equal(a$theta, b$theta, tolerance = tolerance)
  expect_equal(sigma(a), sigma(b), tolerance = tolerance)
  expect_equal(sqrt(diag(vcov(a))), sqrt(diag(vcov(b))), tolerance = tolerance)
  expect_lt(abs(a$criterion - b$criterion), 1e-6 + 1e-12 * abs(a$criterion))
  expect_identical(nobs(a), as.integer(nobs(b)))
  expect_equal(
    suppressMessages(coef(summary(a))), suppressMessages(coef(summary(b))), tolerance = 1e-5
  )
}

# Every method of a fit of moments gives what it gives for rows, or says that it takes rows
expect_methods_of_rows <- function(fit, rows) {
  # they show a page, draw at random, or say what was called
  passed_over <- c("print", "bootstrap", "profile", "knit_print", "toLatex", "ranova")
  generics <- ls(asNamespace("ferrolmm")[[".__S3MethodsTable__."]])
  generics <- sub("[.]lmm$", "", grep("[.]lmm$", generics, value = TRUE))
  for (generic in setdiff(generics, passed_over)) {
    method <- get(paste0(generic, ".lmm"), asNamespace("ferrolmm"))
    run <- function(object) {
      tryCatch(
        suppressWarnings(suppressMessages({
          utils::capture.output(value <- method(object))
          value
        })),
        error = identity
      )
    }
    of_rows <- run(rows)
    found <- run(fit)
    if (inherits(of_rows, "error")) next
    if (inherits(found, "error")) {
      expect_s3_class(found, "ferrolmm_error_needs_rows")
    } else if (!is.environment(of_rows) && !is.function(of_rows) && !inherits(of_rows, "lmm")) {
      expect_equal(found, of_rows, tolerance = 1e-5, ignore_attr = TRUE, info = generic)
    }
  }
}
