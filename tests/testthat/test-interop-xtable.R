test_that("tables of 'xtable' and 'flextable' have the cells of the summary", {
  fit <- our_twin("slope")
  objects <- list(fit, summary(fit), anova(fit), VarCorr(fit))
  skip_if_not_installed("xtable")
  for (object in objects[-3]) {
    table <- xtable::xtable(object, caption = "As shown")
    expect_s3_class(table, "xtable")
    cells <- report_tables(object)[[1]]
    expect_identical(as.list(as.data.frame(table)), as.list(cells$cells), ignore_attr = TRUE)
    expect_identical(attr(table, "caption"), "As shown")
  }
  random <- xtable::xtable(summary(fit), what = "random")
  expect_identical(random$Group, c("Subject", "", "Residual"))
  expect_error(xtable::xtable(fit, what = "visits"), class = "ferrolmm_error_argument")
  expect_output(print(random), "Std. Dev.", fixed = TRUE)
  skip_if_not_installed("flextable")
  for (object in objects) {
    table <- flextable::as_flextable(object)
    expect_s3_class(table, "flextable")
    expect_identical(table$body$dataset[[1]], report_tables(object)[[1]]$cells[[1]])
  }
})

test_that("xtable() of tests has the numbers, which `digits` and `display` are for", {
  skip_if_not_installed("xtable")
  fit <- our_twin("slope")
  smaller <- update(fit, . ~ . - Days)
  for (tests in list(anova(fit), drop1(fit, test = "Chisq"), anova(fit, smaller))) {
    table <- xtable::xtable(tests)
    expect_s3_class(table, c("xtable", "data.frame"), exact = TRUE)
    expect_identical(as.list(table), as.list(tests), ignore_attr = TRUE)
    expect_identical(row.names(table), row.names(tests))
    expect_identical(attr(table, "caption"), report_tables(tests)[[1]]$title)
  }
  table <- xtable::xtable(
    anova(fit), "Tests", digits = c(0, 1, 1, 0, 3, 2, 2), display = c("s", rep("f", 5), "e")
  )
  expect_output(print(table), "17.000", fixed = TRUE)
  expect_identical(attr(table, "caption"), "Tests")
  expect_error(xtable::xtable(anova(fit), digits = 1:3), class = "ferrolmm_error_argument")
  expect_error(xtable::xtable(anova(fit), align = "lr"), class = "ferrolmm_error_argument")
  expect_error(xtable::xtable(anova(fit), what = "fixed"), class = "ferrolmm_error_argument")
})
