in_markdown <- function(code) {
  skip_if_not_installed("knitr")
  old <- knitr::opts_knit$get("out.format")
  knitr::opts_knit$set(out.format = "markdown")
  on.exit(knitr::opts_knit$set(out.format = old))
  shown <- code
  expect_s3_class(shown, "knit_asis")
  strsplit(as.character(shown), "\n", fixed = TRUE)[[1L]]
}

test_that("fits, summaries and tests are tables on a page", {
  fit <- our_twin("slope")
  page <- in_markdown(knitr::knit_print(summary(fit)))
  expect_match(page, "Satterthwaite's method", all = FALSE)
  expect_match(page, "Table: Fixed effects", all = FALSE)
  expect_match(page, "^[|]Days +[|] +10.47[|]", all = FALSE)
  expect_match(page, "Number of obs: 180.*Certificate: optimum proved[.]$", all = FALSE)
  page <- in_markdown(knitr::knit_print(fit))
  expect_no_match(page, "Satterthwaite")
  page <- in_markdown(knitr::knit_print(ranova(fit, distribution = "limit")))
  expect_match(page, "Days in \\(Days &#124; Subject\\)", all = FALSE)
  expect_match(page, "^- Model: Reaction \\\\~ Days", all = FALSE)
  # a note calls a column by the head that it has here
  page <- in_markdown(knitr::knit_print(ranova(fit)))
  expect_match(page, "^- p \\(finite\\): parametric bootstrap", all = FALSE)
  expect_match(in_markdown(knitr::knit_print(VarCorr(fit))), "Residual", all = FALSE)
})

test_that("a singular fit says so on the page", {
  skip_if_not_installed("lme4")
  utils::data("Dyestuff2", package = "lme4", envir = environment())
  fit <- suppressMessages(lmm(Yield ~ 1 + (1 | Batch), Dyestuff2))
  page <- in_markdown(knitr::knit_print(summary(fit)))
  expect_match(page, "at the boundary: singular fit", all = FALSE)
  expect_match(page, "^- The variance of", all = FALSE)
})

test_that("equations are displayed mathematics whatever their format", {
  fit <- our_twin("slope")
  page <- in_markdown(knitr::knit_print(equations(fit, "mixed")))
  expect_identical(sum(page == "$$"), 2L)
  expect_true("\\begin{aligned}" %in% page && "\\end{aligned}" %in% page)
})

test_that("outside Markdown the text of the console is printed", {
  skip_if_not_installed("knitr")
  fit <- our_twin("slope")
  expect_output(knitr::knit_print(equations(fit)), "Level 1")
  expect_output(knitr::knit_print(fit), "Fixed Effects:")
})

test_that("markup in names is taken literally", {
  expect_identical(markdown_escape("I(a*b)^2_c"), "I(a\\*b)\\^2\\_c")
  expect_identical(markdown_code("y ~ `a b`"), "`` y ~ `a b` ``")
})

test_that("a document is made, from its first line to a table", {
  skip_if_not_installed("knitr")
  skip_on_cran()
  input <- tempfile(fileext = ".Rmd")
  output <- tempfile(fileext = ".md")
  writeLines(c(
    "```{r}", "fit <- ferrolmm::lmm(distance ~ age + (1 | Subject), nlme::Orthodont)",
    "anova(fit)", "ferrolmm::equations(fit)", "ferrolmm::methods_paragraph(fit)", "```"
  ), input)
  knitr::knit(input, output, quiet = TRUE, envir = new.env())
  page <- readLines(output)
  expect_match(page, "^[|]age ", all = FALSE)
  expect_match(page, "A linear mixed model for distance was fitted", all = FALSE)
  expect_true("$$" %in% page)
})
