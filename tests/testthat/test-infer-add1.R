orthodont <- function() {
  d <- as.data.frame(nlme::Orthodont)
  d$group <- factor(rep(1:3, length.out = nrow(d)))
  d
}

test_that("an added term is tested as the larger model tests it", {
  d <- orthodont()
  fit <- lmm(distance ~ age + (1 | Subject), d)
  table <- add1(fit, ~ . + Sex + group)
  expect_identical(rownames(table), c("Sex", "group"))
  larger <- update(fit, . ~ . + Sex)
  expect_equal(unlist(table["Sex", ]), unlist(drop1(larger, "Sex")))
  expect_equal(
    unlist(add1(fit, "group", ddf = "KR")), unlist(drop1(update(fit, . ~ . + group), "group",
                                                        ddf = "KR"))
  )
})

test_that("likelihood ratios and AIC are those of add1() of lmer()", {
  skip_if_not_installed("lme4")
  d <- orthodont()
  fit <- lmm(distance ~ age + (1 | Subject), d, REML = FALSE)
  theirs <- lme4::lmer(formula(fit), d, REML = FALSE)
  table <- add1(fit, ~ . + Sex + group, test = "Chisq")
  for (term in c("Sex", "group")) {
    wanted <- anova(theirs, update(theirs, as.formula(paste(". ~ . +", term))))
    expect_equal(table[term, "LRT"], wanted$Chisq[2], tolerance = 1e-5)
    expect_equal(table[term, "Pr(>Chi)"], wanted[["Pr(>Chisq)"]][2], tolerance = 1e-4)
    expect_equal(table[term, "Df"], wanted$Df[2])
    expect_equal(table[term, "AIC"], wanted$AIC[2], tolerance = 1e-6)
  }
  expect_equal(table["<none>", "AIC"], AIC(fit))
  expect_equal(add1(fit, ~ . + Sex + group, test = "LRT"), table)
})

test_that("step() and stepAIC() go both ways, inside functions too", {
  d <- orthodont()
  smallest <- lmm(distance ~ 1 + (1 | Subject), d, REML = FALSE)
  both <- step(smallest, scope = ~ . + age + Sex + group, trace = 0)
  expect_setequal(labels(terms(both)), c("age", "Sex"))
  expect_identical(length(both$random), 1L)
  inside <- function() {
    mine <- d
    fit <- lmm(distance ~ 1 + (1 | Subject), mine, REML = FALSE)
    step(fit, scope = list(upper = ~ age + Sex), direction = "forward", trace = 0)
  }
  expect_equal(fixef(inside()), fixef(both))
  skip_if_not_installed("MASS")
  forward <- MASS::stepAIC(smallest, ~ . + age + Sex, direction = "forward", trace = 0)
  expect_equal(forward$criterion, both$criterion)
  expect_equal(MASS::addterm(smallest, ~ . + age)$AIC, add1(smallest, "age", test = "none")$AIC)
})

test_that("what cannot be added is told", {
  d <- orthodont()
  fit <- lmm(distance ~ age + (1 | Subject), d)
  expect_error(add1(fit), "`scope`", class = "ferrolmm_error_argument")
  expect_error(add1(fit, ~ .), "no fixed effect", class = "ferrolmm_error_argument")
  expect_error(add1(fit, 3), "`scope`", class = "ferrolmm_error_argument")
  d$gap <- d$age
  d$gap[1] <- NA
  fit <- lmm(distance ~ age + (1 | Subject), d)
  expect_error(add1(fit, ~ . + gap), "107 rows", class = "ferrolmm_error_data")
})
