draw <- function(...) {
  grDevices::pdf(NULL)
  on.exit(grDevices::dev.off())
  image(...)
}

doctors_fit <- lmm(mobility ~ Age + (1 | doctor), doctors)

test_that("the whole Z of one random intercept has a filled cell for each row", {
  pattern <- draw(doctors_fit, resolution = c(8525, 407))
  expect_identical(pattern$dim, c(8525L, 407L))
  expect_identical(dim(pattern$cells[[1]]), c(8525L, 407L))
  expect_identical(max.col(pattern$cells[[1]]), as.integer(doctors$doctor))
  expect_true(all(rowSums(pattern$cells[[1]]) == 1L))
})

test_that("a coarse picture counts every entry once", {
  pattern <- draw(doctors_fit, resolution = c(60, 40))
  expect_identical(dim(pattern$cells[[1]]), c(60L, 40L))
  expect_identical(sum(pattern$cells[[1]]), 8525L)
  ## The rows are sorted by doctor: the filled cells run from the top left to the bottom right.
  expect_gt(pattern$cells[[1]][1, 1], 0L)
  expect_gt(pattern$cells[[1]][60, 40], 0L)
  expect_identical(pattern$cells[[1]][60, 1], 0L)
})

test_that("the close-up of the first ten doctors has their 252 rows", {
  pattern <- draw(doctors_fit, levels = 1:10)
  expect_identical(pattern$dim, c(252L, 10L))
  expect_identical(pattern$rows, which(as.integer(doctors$doctor) <= 10L))
  expect_identical(colSums(pattern$cells[[1]]), as.numeric(table(doctors$doctor)[1:10]))
  expect_identical(draw(doctors_fit, levels = as.character(1:10)), pattern)
})

test_that("several terms stand side by side in the model's order", {
  skip_if_not_installed("lme4")
  fit <- lmm(diameter ~ 1 + (1 | sample) + (1 | plate), lme4::Penicillin)
  pattern <- draw(fit)
  expect_identical(pattern$blocks$group, c("plate", "sample"))
  expect_identical(pattern$blocks$levels, c(24L, 6L))
  expect_identical(pattern$blocks$first, c(1, 25))
  expect_identical(pattern$blocks$last, c(24L, 30L))
  expect_identical(max.col(pattern$cells[[2]]), as.integer(lme4::Penicillin$sample))
  ## Of the other term, a close-up keeps the levels that occur.
  few <- draw(fit, terms = 2:1, levels = "A", rows = 1:12)
  expect_identical(few$blocks$group, c("sample", "plate"))
  expect_identical(few$blocks$levels, c(1L, 2L))
  expect_identical(few$rows, c(1L, 7L))
})

test_that("a slope has its column beside its level's intercept", {
  skip_if_not_installed("lme4")
  fit <- lmm(Reaction ~ Days + (Days | Subject), lme4::sleepstudy)
  pattern <- draw(fit)
  expect_identical(pattern$dim, c(180L, 36L))
  z <- as.matrix(getME(fit, "Z"))
  expect_identical(unname(which(z != 0 & pattern$cells[[1]] == 0L)), integer())
  expect_true(all(rowSums(pattern$cells[[1]]) == 2L))
})

test_that("what cannot be drawn is refused by name", {
  expect_error(draw(doctors_fit, which = "X"), "which", class = "ferrolmm_error_argument")
  expect_error(draw(doctors_fit, level = 1:3, foo = 1), "foo", class = "ferrolmm_error_argument")
  expect_error(draw(doctors_fit, levels = 408), "levels", class = "ferrolmm_error_argument")
  expect_error(draw(doctors_fit, levels = "Dr No"), "Dr No", class = "ferrolmm_error_argument")
  expect_error(draw(doctors_fit, terms = 2), "terms", class = "ferrolmm_error_argument")
  expect_error(draw(doctors_fit, rows = 0), "rows", class = "ferrolmm_error_argument")
  expect_error(
    draw(doctors_fit, levels = 1, rows = 8525), "rows", class = "ferrolmm_error_argument"
  )
  expect_error(
    draw(doctors_fit, resolution = "high"), "resolution", class = "ferrolmm_error_argument"
  )
})

test_that("drawing leaves the graphical parameters as they were", {
  grDevices::pdf(NULL)
  on.exit(grDevices::dev.off())
  before <- graphics::par(no.readonly = TRUE)[c("mar", "las", "new")]
  image(doctors_fit, levels = 1:3)
  expect_identical(graphics::par(no.readonly = TRUE)[c("mar", "las")], before[c("mar", "las")])
})

test_that("blocks of few columns are wide enough to be seen", {
  place <- place_blocks(c(3000, 1000, 4))
  width <- place$right - place$left
  expect_true(all(width > 0.1))
  expect_equal(place$right[3], 1)
  expect_equal(width[1] / width[2], 3)
})
