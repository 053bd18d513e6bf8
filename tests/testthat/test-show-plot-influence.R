test_that("the picture of deletions shows what as.data.frame() says", {
  fit <- lmm(distance ~ age + (1 | Subject), nlme::Orthodont)
  without <- influence(fit, groups = "Subject")
  file <- tempfile(fileext = ".png")
  on.exit(unlink(file))
  grDevices::png(file)
  before <- graphics::par("mfrow")
  drawn <- plot(without)
  expect_identical(graphics::par("mfrow"), before)
  expect_identical(drawn, as.data.frame(without))
  expect_invisible(plot(without, which = "age", id.n = 1))
  expect_error(plot(without, which = "agee"), "agee", class = "ferrolmm_error_argument")
  grDevices::dev.off()
  expect_gt(file.size(file), 1000)
})

test_that("names that would run into each other are left out, the larger one stays", {
  values <- c(1, -5, 4, 3, rep(0, 10), 2)
  expect_identical(apart(c(2L, 3L, 4L, 15L), values, 2), c(2L, 3L, 15L))
  expect_identical(apart(c(2L, 3L, 4L, 15L), values, 0.5), c(2L, 3L, 4L, 15L))
})

test_that("deletions without a value have no name in the picture", {
  d <- data.frame(
    y = c(1.2, 3.1, 2.2, 5.4, 3.3, 8.1, 4.4, 6.2), f = factor(c("a", rep(c("b", "c"), 3:4))),
    g = gl(2, 1, 8)
  )
  fit <- suppressMessages(lmm(y ~ f + (1 | g), d))
  found <- influence(fit, update = "none")
  found$coefficients[] <- NA
  grDevices::pdf(NULL)
  on.exit(grDevices::dev.off())
  expect_no_error(plot(influence(fit, update = "none")))
  expect_no_error(plot(found))
})

test_that("names of deletions stay inside their panel and apart", {
  values <- c(3, rep(0.1, 28), 2.9, -2)
  names(values) <- paste("a clinic with a very long name, number", seq_along(values))
  for (width in c(3, 7)) {
    grDevices::pdf(NULL, width, 3)
    graphics::par(mar = c(2, 3, 2, 1))
    graphics::plot.new()
    shown <- draw_deletions(values, strrep("a long title ", 20), 3)
    usr <- graphics::par("usr")
    height <- graphics::strheight("M", cex = 0.75)
    expect_gte(nrow(shown), 1)
    expect_true(all(shown$x - shown$width / 2 >= usr[[1]]))
    expect_true(all(shown$x + shown$width / 2 <= usr[[2]]))
    expect_true(all(shown$y + height / 2 <= usr[[4]] & shown$y - height / 2 >= usr[[3]]))
    expect_identical(anyDuplicated(shown$text), 0L)
    grDevices::dev.off()
  }
})

test_that("the foot says what is left out of the panels", {
  fit <- lmm(distance ~ Sex * factor(age) + (1 | Subject), nlme::Orthodont)
  without <- influence(fit, groups = "Subject")
  expect_identical(
    influence_caption(without, influence_panels(without, NULL), NULL),
    "Subject left out, in the order of the data; 6 of 9 panels shown, `which` chooses"
  )
  expect_identical(
    influence_caption(without, influence_panels(without, "cook"), "cook"),
    "Subject left out, in the order of the data"
  )
})
