data(Orthodont, package = "nlme")
effects <- ranef(lmm(distance ~ age + (age | Subject), Orthodont))

test_that("intervals are those of the conditional standard deviations", {
  grDevices::pdf(NULL)
  on.exit(grDevices::dev.off())
  before <- graphics::par("mar", "las", "mfrow")
  d <- plot(effects, level = 0.9)
  expect_identical(graphics::par("mar", "las", "mfrow"), before)
  expect_equal(d$upper - d$condval, qnorm(0.95) * d$condsd)
  expect_equal(d$condval - d$lower, qnorm(0.95) * d$condsd)
})

test_that("the order is that of each panel, of the first effect or of the levels", {
  grDevices::pdf(NULL)
  on.exit(grDevices::dev.off())
  each <- plot(effects)
  age <- each[each$term == "age", ]
  expect_identical(order(age$rank), order(age$condval))
  first <- plot(effects, order = "first")
  expect_identical(first$rank[first$term == "age"], first$rank[first$term == "(Intercept)"])
  given <- plot(effects, order = "levels")
  expect_identical(given$rank[given$term == "age"], 1:27)
})

test_that("without variances, and with dropped columns, points are drawn", {
  grDevices::pdf(NULL)
  on.exit(grDevices::dev.off())
  fit <- lmm(mobility ~ Age + (1 | doctor), doctors)
  expect_true(all(is.na(plot(ranef(fit, condVar = FALSE))$lower)))
  expect_identical(nrow(plot(ranef(fit, drop = TRUE), order = "levels")), 407L)
  expect_error(plot(effects, level = 2), class = "ferrolmm_error_argument")
})

test_that("long names of levels leave room for their effects", {
  d <- lme4::sleepstudy
  d$Subject <- paste0(strrep("long", 60L), d$Subject)
  fit <- lmm(Reaction ~ Days + (1 | Subject), d)
  grDevices::pdf(NULL)
  on.exit(grDevices::dev.off())
  expect_no_error(plot(ranef(fit)))
  short <- shorten_labels(c("a", unique(d$Subject)), 2, 0.75)
  expect_identical(short[[1L]], "a")
  expect_true(all(graphics::strwidth(short, "inches", cex = 0.75) <= 2))
  # both ends are left, by which they differ
  expect_identical(anyDuplicated(short), 0L)
  expect_match(short[-1L], "^long.*[.]{3}.*[0-9]{3}$")
})

test_that("names of levels have the margin that they need, or are smaller, or left out", {
  d <- data.frame(grpvar = "g", term = "x", grp = paste(strrep("w", 30), 1:27), condval = 1:27,
                  lower = NA_real_, upper = NA_real_, rank = 1:27)
  drawn <- function(d, width, height) {
    grDevices::pdf(NULL, width, height)
    on.exit(grDevices::dev.off())
    shown <- draw_caterpillar(d, 0.95)
    if (!is.null(shown$text)) {
      wide <- max(graphics::strwidth(shown$text, "inches", cex = shown$cex))
      expect_lt(wide, shown$margins[[2]])
      expect_lt(27 * 1.2 * graphics::strheight("M", "inches", cex = shown$cex), height)
    }
    shown
  }
  expect_identical(drawn(d, 7, 7)$cex, 0.75)
  expect_lt(drawn(d, 7, 4)$cex, 0.75)
  expect_length(drawn(d, 7, 4)$text, 27)
  expect_null(drawn(d, 7, 2)$text)
  expect_length(drawn(d[1, ], 4, 3)$text, 1)
})
