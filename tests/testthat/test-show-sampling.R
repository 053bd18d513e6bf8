test_that("prints, equations and reports name the weights", {
  d <- transform(nlme::Orthodont, w1 = ifelse(age > 10, 2, 1), w2 = ifelse(Sex == "Male", 1.5, 1))
  fit <- lmm(distance ~ age + (1 | Subject), d, REML = FALSE,
             weights = sampling_weights(w1, Subject = w2, scale = "size"))
  said <- function(x) gsub("\\s+", " ", paste(utils::capture.output(print(x)), collapse = " "))
  for (text in c(said(fit), said(summary(fit)), said(equations(fit)))) {
    expect_match(text, "Sampling weights of rows and `Subject`", fixed = TRUE)
    expect_match(text, "27 clusters of `Subject`", fixed = TRUE)
  }
  expect_match(said(fit), "fit by weighted pseudo-likelihood", fixed = TRUE)
  expect_match(said(fit), "Log pseudo-likelihood:", fixed = TRUE)
  expect_match(said(summary(fit)), "number of clusters less one as degrees", fixed = TRUE)
  expect_false(grepl("AIC", said(summary(fit))))
  paragraph <- said(methods_paragraph(fit))
  expect_match(paragraph, "maximum weighted pseudo-likelihood", fixed = TRUE)
  expect_match(paragraph, "27 groups of Subject as independent clusters", fixed = TRUE)
  expect_false(grepl("precision weights", paragraph))
})
