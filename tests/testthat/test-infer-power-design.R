test_that("fewer levels keep the proportion of their kinds, more are copies", {
  data <- data.frame(
    id = rep(sprintf("s%02d", 1:12), each = 2), arm = rep(c("a", "b", "b"), each = 8),
    day = rep(1:2, 12), y = 1:24
  )
  few <- resize_factor(data, "id", 6, character())
  expect_identical(as.vector(table(unique(few[c("id", "arm")])$arm)), c(2L, 4L))
  many <- resize_factor(data, "id", 30, character())
  expect_identical(length(unique(many$id)), 30L)
  expect_identical(nrow(many), 60L)
  expect_identical(as.vector(table(unique(many[c("id", "arm")])$arm)), c(10L, 20L))
  # a second name of each level is no kind
  named <- transform(data, name = paste0("n", id))
  few <- resize_factor(named, "id", 6, character(), c("id", "arm", "day", "name"))
  expect_identical(as.vector(table(unique(few[c("id", "arm")])$arm)), c(2L, 4L))
  # each copy has the rows of its level
  expect_identical(many$day[many$id == many$id[[60]]], 1:2)
  expect_identical(resize_factor(data, "id", 12, character())$y[order(resize_factor(
    data, "id", 12, character()
  )$y)], 1:24)
})

test_that("nested levels are renamed, crossed ones are not", {
  data <- expand.grid(patient = 1:3, doctor = factor(c("A", "B")), item = c("x", "y"))
  data$patient <- paste0(data$doctor, data$patient)
  out <- resize_factor(data, "doctor", 5, c("patient", "item"))
  expect_identical(length(unique(out$patient)), 15L)
  expect_identical(sort(unique(as.character(out$item))), c("x", "y"))
  expect_true(is.factor(out$doctor) && nlevels(out$doctor) == 5L)
  expect_true(is_nested(match(out$patient, out$patient), as.integer(out$doctor)))
})

test_that("copies have names of their own, whatever there is", {
  values <- c("a", "a_2", "a", "a_2")
  found <- copied_levels(values, c(0L, 0L, 1L, 1L), values)
  expect_identical(found[1:2], c("a", "a_2"))
  expect_identical(anyDuplicated(found), 0L)
  expect_identical(copied_levels(c(3, 5, 3, 5), c(0, 0, 1, 1), c(3, 5)), c(3, 5, 6, 8))
  missing <- data.frame(g = factor(c("a", NA, "b", "c")), y = 1:4)
  expect_identical(nlevels(resize_factor(missing, "g", 5, character())$g), 5L)
})

test_that("grouping variables are those of bars and of the residual structure", {
  fit <- lmm(distance ~ age + (0 + age | Subject), nlme::Orthodont,
             residual = ~ cs(1 | Sex / Subject))
  expect_setequal(grouping_variables(fit), c("Sex", "Subject"))
})

test_that("weights, offsets and subsets of the call are those of the new design", {
  data <- transform(lme4::sleepstudy, w = 1 + Days %% 2, o = Days / 10)
  fit <- lmm(Reaction ~ Days + offset(o) + (1 | Subject), data, weights = w, subset = Days > 1)
  whole <- with_design(fit, fit_data(fit))
  expect_identical(whole$prior.weights, fit$prior.weights)
  expect_identical(whole$offset, fit$offset)
  expect_identical(nrow(whole$frame), nrow(fit$frame))
  found <- power(fit, "Days", nsim = 4, seed = 1, along = list(Subject = 25))
  expect_identical(found$Subject, 25)
})
