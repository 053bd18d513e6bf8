library(testthat)
library(ferrolmm)

# All tests, a quarter of an hour, where NOT_CRAN says so, as dev/test runs them file by file.
# Machines that check packages get minutes of them: reading data and formulas, published numbers.
quick <- paste0(
  "^(core-(conditions|expressions|matrix|names|text)|data|",
  "design-(errors|fixed|formula|frame|random|residual)$|engine-calls|fit-newdata|",
  "front-(lmm|update)|golden|infer-(anova|contest)$|lme4-agreement|",
  "method-(predict|ranef|simulate)$|show-summary|structure-words)"
)
everything <- identical(Sys.getenv("NOT_CRAN"), "true")
test_check("ferrolmm", filter = if (!everything) quick)
