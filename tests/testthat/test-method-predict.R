new_rows <- list(
  slope = data.frame(Days = c(0, 3.5, 20), Subject = c("308", "335", "308")),
  ml = data.frame(Days = 1:2, Subject = factor(c("372", "308"))),
  double_bar = data.frame(Days = c(2, 5), Subject = c(308, 309)),
  crossed = data.frame(plate = c("a", "c"), sample = c("F", "A")),
  shared_factor = data.frame(
    recipe = c("A", "C"), temperature = c("175", "215"), replicate = c("1", "15"),
    temp = c(175, 215)
  ),
  factor_slope = data.frame(late = c("late", "early"), Subject = c("308", "309")),
  weighted = data.frame(Days = c(0, 9), Subject = c("308", "372")),
  deficient = data.frame(Days = c(1, 8), late = c("early", "late"), Subject = c("308", "330")),
  poly = data.frame(Days = c(1.5, 8), Subject = c("308", "330")),
  missing = data.frame(Days = c(1, 2), Subject = c("308", "309"))
)
for (name in names(new_rows)) {
  test_that(paste0("predict() for new rows is lme4's: ", name), {
    skip_if_not_installed("lme4")
    ours <- our_twin(name)
    theirs <- lme4_twin(name)
    new <- new_rows[[name]]
    for (re in list(NULL, NA, ~0)) {
      expect_equal(
        predict(ours, new, re.form = re), suppressWarnings(predict(theirs, new, re.form = re)),
        tolerance = 1e-6
      )
    }
  })
}

for_twins("predict() for the rows of the fit is lme4's", function(ours, theirs) {
  expect_equal(predict(ours), predict(theirs), tolerance = 1e-6)
  expect_equal(predict(ours, re.form = NA), predict(theirs, re.form = NA), tolerance = 1e-6)
  expect_equal(
    unname(predict(ours, random.only = TRUE) + predict(ours, re.form = NA)), unname(fitted(ours))
  )
})

test_that("some of the random effects", {
  crossed <- our_twin("crossed")
  new <- data.frame(plate = "c", sample = "F")
  expect_equal(
    predict(crossed, new, re.form = ~ (1 | sample)),
    c(`1` = fixef(crossed)[[1]] + ranef(crossed)$sample["F", 1])
  )
  expect_equal(
    predict(crossed, re.form = ~ (1 | sample))[[1]],
    fixef(crossed)[[1]] + ranef(crossed)$sample["A", 1]
  )
  slope <- our_twin("slope")
  modes <- ranef(slope)$Subject["308", ]
  new <- data.frame(Days = 2, Subject = "308")
  population <- predict(slope, new, re.form = NA)
  expect_equal(predict(slope, new, re.form = ~ (1 | Subject)), population + modes[[1]])
  expect_equal(predict(slope, new, re.form = ~ (0 + Days | Subject)), population + 2 * modes[[2]])
  # an intercept that is in the model through `||`, asked for together with the slope
  expect_equal(
    predict(our_twin("double_bar"), new, re.form = ~ (Days | Subject)),
    predict(our_twin("double_bar"), new)
  )
  expect_error(predict(slope, re.form = ~ (1 | plate)), "plate", class = "ferrolmm_error_argument")
  expect_error(
    predict(slope, re.form = ~ (I(Days^2) | Subject)), "Days\\^2", class = "ferrolmm_error_argument"
  )
  expect_error(predict(slope, re.form = ~Days), "re.form", class = "ferrolmm_error_argument")
  expect_error(predict(slope, re.form = "none"), "re.form", class = "ferrolmm_error_argument")
})

test_that("interactions of grouping factors in new rows", {
  fit <- our_twin("shared_factor")
  new <- data.frame(recipe = "B", temperature = "185", replicate = "3", temp = 185)
  expect_equal(
    predict(fit, new, re.form = ~ (1 | replicate:recipe)),
    predict(fit, new, re.form = NA) + ranef(fit)$`recipe:replicate`["B:3", "(Intercept)"]
  )
})

test_that("new levels and missing groups", {
  fit <- our_twin("slope")
  new <- data.frame(Days = 1:3, Subject = c("308", "999", NA))
  expect_error(predict(fit, new), "999", class = "ferrolmm_error_newdata")
  expect_error(predict(fit, new[3, ]), "Subject", class = "ferrolmm_error_newdata")
  predicted <- predict(fit, new, allow.new.levels = TRUE)
  expect_equal(predicted[2:3], predict(fit, new[2:3, ], re.form = NA))
  expect_equal(predicted[1], predict(fit, new[1, ]))
  expect_equal(
    unname(predict(fit, new, allow.new.levels = TRUE, random.only = TRUE)[2:3]), c(0, 0)
  )
})

test_that("the population needs no grouping variable", {
  expect_equal(
    predict(our_twin("slope"), data.frame(Days = 0), re.form = NA),
    c(`1` = 251.405), tolerance = 1e-5
  )
})

test_that("offsets of the formula and of the argument", {
  fit <- our_twin("offset")
  new <- data.frame(Days = c(1, 2), w = c(10, 20), Subject = c("308", "309"))
  effects <- fixef(fit)[[1]] + fixef(fit)[[2]] * new$Days
  expect_equal(unname(predict(fit, new, re.form = NA)), effects + 2 * new$Days + new$w)
  expect_error(predict(fit, new[-2]), "w", class = "ferrolmm_error_newdata")
  # the rows of the fit as new rows
  rows <- twin_data()$sleepstudy
  expect_equal(unname(predict(fit, rows)), unname(fitted(fit)))
  expect_equal(
    unname(predict(our_twin("no_fixed"), data.frame(Subject = "308", Days = 1))),
    300 + ranef(our_twin("no_fixed"))$Subject["308", 1]
  )
})

test_that("an offset from the environment has to fit the new rows", {
  local({
    shift <- rep(1, 180)
    fit <- lmm(Reaction ~ Days + (1 | Subject), twin_data()$sleepstudy, offset = shift)
    expect_error(
      predict(fit, data.frame(Days = 1:3, Subject = "308")), "no column `shift`",
      class = "ferrolmm_error_newdata"
    )
  })
})

test_that("arguments that other packages pass are taken, others are errors", {
  fit <- our_twin("slope")
  expect_identical(predict(fit, type = "link", numderiv = list()), predict(fit))
  expect_error(predict(fit, new_data = 3), "new_data", class = "ferrolmm_error_argument")
  expect_error(predict(fit, NULL, NULL, FALSE, FALSE, na.pass, "link", 3), class = "ferrolmm_error")
})

test_that("na.exclude pads predictions for the rows of the fit", {
  fit <- our_twin("missing")
  expect_length(predict(fit), 180)
  expect_length(predict(fit, re.form = NA), 180)
  expect_length(predict(fit, na.action = na.omit), 177)
})

test_that("nothing in re.form is ignored", {
  d <- names_data()
  fit <- suppressMessages(lmm(y ~ x + (x | g) + (f | h), d))
  expect_error(predict(fit, re.form = ~ (1 | g) + (~ 1 | h)), class = "ferrolmm_error_argument")
  expect_error(predict(fit, re.form = ~ x + (1 | g)), "`x` is none")
  expect_error(predict(fit, re.form = z ~ (1 | g)), "another response")
  expect_error(predict(fit, re.form = "~ (1 | g)"), class = "ferrolmm_error_argument")
  expect_equal(predict(fit, re.form = ~ 0 + (1 | g)), predict(fit, re.form = ~ (1 | g)))
  expect_equal(predict(fit, re.form = formula(fit, random.only = TRUE)), predict(fit))
  expect_error(simulate(fit, re.form = ~ x + (1 | g)), class = "ferrolmm_error_argument")
})

test_that("re.form tells a factor with a known matrix from one without", {
  d <- names_data()
  K <- diag(20) + 0.1 * (abs(row(diag(20)) - col(diag(20))) == 1)
  dimnames(K) <- list(1:20, 1:20)
  fit <- suppressMessages(lmm(y ~ x + us(1 | g, cov = K) + (1 | g) + (1 | h), d))
  whole <- predict(fit) - predict(fit, re.form = NA)
  one <- predict(fit, re.form = ~ (1 | g)) - predict(fit, re.form = NA)
  known <- predict(fit, re.form = ~ us(1 | g, cov = K)) - predict(fit, re.form = NA)
  h <- predict(fit, re.form = ~ (1 | h)) - predict(fit, re.form = NA)
  expect_equal(one + known + h, whole)
  expect_equal(unname(one), ranef(fit)[["g"]][d$g, 1])
  alone <- lmm(y ~ x + us(1 | g, cov = K), d)
  expect_equal(predict(alone, re.form = ~ (1 | g)), predict(alone))
  # effects that only the term with the matrix has need not name it
  slopes <- suppressMessages(lmm(y ~ x + us(0 + x | g, cov = K) + (1 | g), d))
  fixed <- predict(slopes, re.form = NA)
  both <- ranef(slopes)
  slope <- unname(both[["g[K]"]][as.character(d$g), 1] * d$x)
  expect_equal(unname(predict(slopes, re.form = ~ (0 + x | g)) - fixed), slope)
  expect_equal(
    predict(slopes, re.form = ~ (0 + x | g)), predict(slopes, re.form = ~ us(0 + x | g, cov = K))
  )
  expect_equal(unname(predict(slopes, re.form = ~ (1 | g)) - fixed), both[["g"]][d$g, 1])
  expect_equal(predict(slopes, re.form = ~ (1 + x | g)), predict(slopes))
  expect_error(predict(slopes, re.form = ~ (0 + I(x^2) | g)), class = "ferrolmm_error_argument")
})
