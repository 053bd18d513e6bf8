test_that("summaries are data frames of what they print", {
  fit <- our_twin("slope")
  s <- summary(fit)
  table <- as.data.frame(s)
  expect_s3_class(table, "data.frame", exact = TRUE)
  expect_identical(as.matrix(table), coef(s))
  expect_identical(as.data.frame(s, what = "random"), as.data.frame(VarCorr(fit)))
  expect_identical(rownames(as.data.frame(s, row.names = c("a", "b"))), c("a", "b"))
})

test_that("coefficients by level, regressions and bootstrap tests are data frames", {
  fit <- our_twin("slope")
  table <- as.data.frame(coef(fit))
  expect_named(table, c("grp", "level", "term", "value"))
  levels <- coef(fit)$Subject
  expect_equal(table$value[table$term == "Days"], levels$Days)
  expect_identical(table$level[table$term == "Days"], rownames(levels))
  regressions <- summary(lmList(fit))
  long <- as.data.frame(regressions)
  expect_equal(
    long[long$group == "308" & long$term == "Days", "Std. Error"],
    regressions$coefficients["308", "Std. Error", "Days"]
  )
  expect_identical(nrow(long), 36L)
  test <- pb_test(our_twin("ml"), update(our_twin("ml"), . ~ . - Days), nsim = 3, seed = 1)
  expect_identical(as.data.frame(test), as.data.frame(test$test))
  expect_identical(as.data.frame(equations(fit)), equations(fit)$symbols)
})

test_that("every kind of table has cells as text", {
  fit <- our_twin("deficient")
  cells <- report_tables(summary(fit))$fixed$cells
  expect_named(cells, c("Term", "Estimate", "Std. Error", "df", "t", "p"))
  expect_identical(cells$Term, rownames(coef(summary(fit))))
  # a coefficient that was dropped has no numbers
  expect_identical(unlist(cells[3, -1], use.names = FALSE), rep("", 5))
  expect_identical(cells$p[[1]], "<0.001")
  expect_named(
    report_tables(summary(fit, ddf = "asymptotic"))$fixed$cells,
    c("Term", "Estimate", "Std. Error", "z", "p")
  )
  expect_named(report_tables(our_twin("no_fixed")), "random")
  random <- report_tables(our_twin("slope"))$random
  expect_identical(names(random$cells), c("Group", "Effect", "Variance", "Std. Dev.", "Corr."))
  expect_identical(random$cells$Group, c("Subject", "", "Residual"))
  slope <- our_twin("slope")
  compared <- suppressMessages(anova(slope, update(slope, . ~ . - Days)))
  tests <- report_tables(compared)$tests
  expect_identical(names(tests$cells)[1:2], c("Model", "npar"))
  expect_identical(tests$cells$Chisq, c("", formatC(compared$Chisq[2], digits = 2, format = "f")))
  deleted <- report_tables(ranova(slope, distribution = "limit"))$tests$cells
  expect_identical(names(deleted)[7:8], c("p (chi-squared)", "p (limit)"))
  expect_identical(names(report_tables(drop1(slope))$tests$cells)[[1]], "Term")
})

test_that("the covariance of the visits is a table, one for each stratum", {
  d <- as.data.frame(nlme::Orthodont)
  d$`the visit` <- factor(d$age, labels = paste("Week", c(8, 10, 12, 14)))
  mmrm <- lmm(distance ~ `the visit` + Sex, d, residual = ~ us(`the visit` | Subject))
  tables <- report_tables(mmrm)
  expect_named(tables, c("fixed", "visits"))
  expect_named(tables$visits$cells, c("Visit", "Std. Dev.", paste("Week", c(8, 10, 12))))
  expect_equal(
    as.numeric(tables$visits$cells$`Std. Dev.`), unname(sqrt(diag(getVarCov(mmrm)))),
    tolerance = 1e-3
  )
  expect_identical(tables$fixed$cells$Term[[2]], "the visitWeek 10")
  by_sex <- lmm(
    distance ~ age, d, correlation = corAR1(form = ~ age | Subject),
    weights = varIdent(form = ~ 1 | Sex)
  )
  tables <- report_tables(by_sex)
  titles <- vapply(tables, `[[`, "", "title")
  expect_identical(unname(titles[-1]), c(
    paste0("Residual covariance, ", c("Male", "Female")), "Parameters of the residual covariance"
  ))
  parameters <- summary(by_sex)$residual
  expect_equal(as.numeric(tables$residual$cells$Estimate), unname(parameters[, "Estimate"]),
               tolerance = 1e-3)
})

test_that("a page names all that the call says of the model, and a penalty", {
  by_sex <- lmm(
    distance ~ age + (1 | Subject), nlme::Orthodont, weights = nlme::varIdent(form = ~ 1 | Sex),
    control = lmm_control(penalty = penalty_gamma())
  )
  head <- markdown_head(summary(by_sex))
  expect_match(head, "^Formula: `distance ~ age", all = FALSE)
  expect_match(head, "^Weights: `nlme::varIdent", all = FALSE)
  expect_match(head, "^Penalty: gamma", all = FALSE)
  expect_true("residual" %in% names(report_tables(by_sex)))
})
