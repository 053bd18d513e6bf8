# A page on which text can be measured
on_page <- function(width, height, code) {
  grDevices::pdf(NULL, width, height)
  on.exit(grDevices::dev.off())
  graphics::plot.new()
  force(code)
}

test_that("long labels keep their ends, or what tells them apart, and fit", {
  set <- c("short", paste(strrep("a", 60), strrep("z", 60)))
  on_page(7, 5, {
    short <- shorten_labels(set, 1, 0.75)
    expect_identical(short[[1]], "short")
    expect_match(short[[2]], "^a+[.]{3}z+$")
    expect_true(all(graphics::strwidth(short, "inches", cex = 0.75) <= 1))
    clinics <- paste("The clinic number", 1:12, "in the north-west of the country")
    short <- shorten_labels(clinics, 0.8, 0.75)
    expect_identical(anyDuplicated(short), 0L)
    expect_match(short[[12]], "12", fixed = TRUE)
    expect_true(all(graphics::strwidth(short, "inches", cex = 0.75) <= 0.8))
    # the same label twice stays the same label
    expect_identical(shorten_labels(clinics[c(1, 1)], 0.8, 0.75)[[1]],
                     shorten_labels(clinics[c(1, 1)], 0.8, 0.75)[[2]])
  })
  expect_true(all(nchar(clip_names(set, 20)) <= 20))
  expect_identical(clip_names(c("{x}", "50%")), c("{x}", "50%"))
})

test_that("titles of axes stay on the page", {
  on_page(3, 3, {
    graphics::par(mai = c(0.5, 0.8, 0.3, 0.1))
    for (side in 1:2) {
      text <- fitting_text(strrep("word ", 40), side)
      expect_lte(graphics::strwidth(text, "inches"), if (side == 1) 2.3 else 2.8)
    }
    expect_identical(fitting_text(expression(zeta)), expression(zeta))
  })
})

test_that("text that would be too small to read is left out", {
  on_page(7, 5, {
    expect_true(is.na(readable_size(0.01)))
    expect_identical(readable_size(1), 0.75)
    line <- readable_size(0.1)
    expect_lte(1.35 * graphics::strheight("M", "inches", cex = line), 0.1 + 1e-9)
  })
})

test_that("labels that would not be seen are in quotation marks, and all are on one line", {
  labels <- c("", "  ", "two\nlines", "plain", NA)
  expect_identical(visible_text(labels), c("\"\"", "\"  \"", "two lines", "plain", NA))
  expect_identical(clip_names(c("", "a")), c("\"\"", "a"))
  # two columns a letter
  wide <- strrep("\u65e5", 20)
  expect_lte(nchar(clip_names(c(wide, "a"), 20L)[[1L]], "width"), 20L)
})
