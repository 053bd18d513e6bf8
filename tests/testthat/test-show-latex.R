test_that("tables and equations are LaTeX", {
  fit <- our_twin("slope")
  expect_snapshot({
    toLatex(summary(fit))
    toLatex(anova(fit))
    toLatex(VarCorr(fit))
  })
  expect_s3_class(toLatex(fit), "Latex")
  text <- equations(fit, "mixed")
  expect_identical(
    unclass(toLatex(text)), equations(fit, "mixed", format = "latex")$lines
  )
})

test_that("names with special characters are escaped", {
  expect_identical(latex_cells(c("a_b^2", "-1.5", "<0.001", "-")), c(
    "a\\_b\\textasciicircum{}2", "$-1.5$", "$<$0.001", "-"
  ))
})
