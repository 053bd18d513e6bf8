test_that("tables of 'xtable' and 'flextable' have the cells of the summary", {
  fit <- our_twin("slope")
  objects <- list(fit, summary(fit), anova(fit), VarCorr(fit))
  skip_if_not_installed("xtable")
  for (object in objects) {
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
