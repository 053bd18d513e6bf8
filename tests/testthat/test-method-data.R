twins <- nlme_twins()
growth <- twins$growth
slopes <- twins$slopes
lme_slopes <- twins$lme_slopes
nested <- twins$nested
lme_nested <- twins$lme_nested

test_that("rows left out by na.exclude have their place", {
  growth$distance[c(3, 50)] <- NA
  fit <- lmm(distance ~ age + (age | Subject), growth, na.action = na.exclude)
  expect_identical(unname(which(is.na(fitted(fit, level = 0)))), c(3L, 50L))
  expect_identical(dim(residuals(fit, level = 0:1)), c(108L, 2L))
  expect_identical(nrow(predict(fit, level = 0:1)), 108L)
  expect_identical(nrow(getData(fit)), 108L)
  expect_length(getGroups(fit), 108)
  omitted <- update(fit, na.action = na.omit)
  expect_identical(row.names(getData(omitted)), row.names(growth)[-c(3, 50)])
})

test_that("data, groups and response are those that were fitted", {
  expect_identical(getData(slopes), growth)
  expect_identical(getData(lmm(distance ~ age + (1 | Subject), growth, subset = age > 8)),
                   growth[growth$age > 8, ])
  expect_same(getResponse(slopes), nlme::getResponse(lme_slopes), tolerance = 1e-10)
  expect_identical(as.character(getGroups(slopes)), as.character(nlme::getGroups(lme_slopes)))
  expect_identical(
    as.character(getGroups(nested, level = 1)), as.character(nlme::getGroups(lme_nested, level = 1))
  )
  expect_named(getGroups(nested, level = 1:2), c("Block", "Variety:Block"))
  expect_equal(nlme::getGroupsFormula(nested), ~ Block / Variety, ignore_attr = TRUE)
  expect_identical(names(nlme::getGroupsFormula(nested, asList = TRUE)), NULL)
  expect_error(getGroups(slopes, form = ~Sex), class = "ferrolmm_error_argument")
  marginal <- lmm(distance ~ age, growth, residual = ~ us(age | Subject))
  expect_identical(as.character(getGroups(marginal)), as.character(growth$Subject))
  expect_null(getGroups(lmm(distance ~ age, growth, weights = varIdent(form = ~ 1 | Sex))))
  d <- growth
  fit <- lmm(distance ~ age + (1 | Subject), d)
  d$distance <- d$distance + 1
  expect_error(getData(fit), "changed", class = "ferrolmm_error_data")
  y <- growth$distance
  g <- growth$Subject
  expect_named(getData(lmm(y ~ 1 + (1 | g))), c("y", "g"))
  odd <- stats::setNames(growth, c("the size", "age", "the child", "Sex"))
  fit <- lmm(`the size` ~ age + (1 | `the child`), tibble::as_tibble(odd))
  expect_equal(as.data.frame(getData(fit)), odd, ignore_attr = TRUE)
  expect_equal(nlme::getGroupsFormula(fit), ~`the child`, ignore_attr = TRUE)
})
