# Malformed and hostile calls: each must name the argument or variable.
d <- data.frame(
  y = c(sin(1:40) + rep(1:8, each = 5)), x = rep(1:5, 8), g = factor(rep(1:8, each = 5))
)

fails <- function(call, class, pattern) {
  expect_error(
    eval(substitute(call), parent.frame()), pattern, class = paste0("ferrolmm_error_", class)
  )
}

test_that("unknown variables are named, with a near name", {
  fails(lmm(yy ~ x + (1 | g), d), "data", "`yy`.*Did you mean `y`")
  fails(lmm(y ~ xx + (1 | g), d), "data", "`xx`")
  fails(lmm(y ~ x + (1 | G), d), "data", "`G`.*Did you mean `g`")
  fails(lmm(y ~ log(xx) + (1 | g), d), "data", "`xx`.*log\\(xx\\)")
  fails(lmm(y ~ x + (1 | g / hh), d), "data", "`hh`")
  fails(lmm(y ~ x + (zz | g), d), "data", "`zz`")
  fails(lmm(y ~ no_such_function(x) + (1 | g), d), "data", "no_such_function")
  fails(lmm(y ~ c + (1 | g), d), "data", "`c`.*function")
})

test_that("data: what it is, and that there is some", {
  fails(lmm(y ~ x + (1 | g), no_such_data), "data", "no_such_data")
  fails(lmm(y ~ x + (1 | g), d[0L, ]), "data", "0 rows")
  fails(lmm(y ~ x + (1 | g), "d"), "data", "type character")
  fails(lmm(y ~ x + (1 | g), mean), "data", "a function")
  fails(lmm(y ~ x + (1 | g), as.matrix(d)), "data", "matrix")
  fails(lmm(y ~ x + (1 | g), list(1, 2)), "data", "without names")
  fails(lmm(y ~ x + (1 | g), cbind(d, x = 1)), "data", "`x`")
  fails(lmm(y ~ x + (1 | g), d[1L, ]), "grouping", "`g` has only one level")
  fails(lmm(d, y ~ x + (1 | g)), "formula", "comes first")
  fails(lmm(data = d), "formula", "missing")
})

test_that("types that cannot be used are named", {
  d$list <- as.list(d$x)
  d$complex <- d$x * 1i
  d$time <- as.POSIXlt(as.POSIXct("2024-01-01", tz = "UTC") + d$x)
  d$frame <- d["x"]
  d$raw <- as.raw(d$x)
  d$big <- structure(d$x * 1e300, class = "integer64")
  fails(lmm(y ~ list + (1 | g), d), "data", "`list`.*a list")
  fails(lmm(list ~ x + (1 | g), d), "data", "`list`")
  fails(lmm(y ~ x + (1 | list), d), "data", "`list`")
  fails(lmm(y ~ complex + (1 | g), d), "data", "`complex`")
  fails(lmm(y ~ time + (1 | g), d), "data", "`time`.*POSIXct")
  fails(lmm(y ~ frame + (1 | g), d), "data", "`frame`.*data frame")
  fails(lmm(y ~ raw + (1 | g), d), "data", "`raw`")
  fails(lmm(y ~ x + (1 | big), d), "data", "`big`.*integer64")
  fails(lmm(y ~ mean + (1 | g), d), "data", "`mean`")
})

test_that("lengths that differ are named", {
  short <- 1:7
  fails(lmm(y ~ short + (1 | g), d), "data", "`short` has length 7, `y` has length 40")
  fails(lmm(y ~ x + (1 | short), d), "data", "`short`")
  constant <- 2
  fails(lmm(y ~ x + (constant | g), d), "data", "`constant` has length 1")
  fails(lmm(y ~ x + (1 | g), c(as.list(d), list(z = 1)), weights = z), "weights", "length 1")
})

test_that("missing values", {
  d$x[3L] <- NA
  fails(lmm(y ~ x + (1 | g), d, na.action = na.fail), "missing", "`x`: 1 missing value")
  fails(lmm(y ~ x + (1 | g), d, na.action = "na.pass"), "missing", "`x`")
  fails(lmm(y ~ x + (1 | g), d, na.action = NULL), "missing", "`x`")
  fails(lmm(y ~ x + (1 | g), transform(d, y = NA_real_)), "missing", "`y` is missing in all rows")
  fails(lmm(y ~ x + (1 | g), transform(d, g = NA)), "missing", "`g`")
  fails(lmm(y ~ x + (1 | g), d, na.action = "no.such.action"), "argument", "na.action")
  fails(lmm(y ~ x + (1 | g), d, na.action = 1), "argument", "na.action")
})

test_that("infinite values are named, with their row", {
  fails(lmm(log(x - 1) ~ y + (1 | g), d), "not_finite", "`log\\(x - 1\\)`.*-Inf in row 1")
  fails(lmm(y ~ I(1 / (x - 2)) + (1 | g), d), "not_finite", "Inf in row 2")
  fails(lmm(y ~ x + (I(1 / (x - 2)) | g), d), "not_finite", "`I\\(1/\\(x - 2\\)\\)`")
  fails(lmm(y ~ x + (1 | g), d, offset = 1 / (x - 2)), "not_finite", "`offset`")
  fails(lmm(y ~ x + (1 | g), d, weights = 1 / (x - 1)), "weights", "infinite")
})

test_that("weights and offset", {
  fails(lmm(y ~ x + (1 | g), d, weights = -x), "weights", "negative values, the first in row 1")
  fails(lmm(y ~ x + (1 | g), d, weights = 1:5), "weights", "length 5.*40 rows")
  fails(lmm(y ~ x + (1 | g), d, weights = "x"), "weights", "weights = x")
  fails(lmm(y ~ x + (1 | g), d, weights = g), "weights", "class factor")
  fails(lmm(y ~ x + (1 | g), d, weights = x > 2), "weights", "type logical")
  fails(lmm(y ~ x + (1 | g), d, weights = 0 * x), "weights", "zero")
  expect_no_warning(fails(lmm(y ~ x + (1 | g), d, weights = ww), "weights", "ww"))
  fails(lmm(y ~ x + (1 | g), d, weights = cbind(x, x)), "weights", "matrix")
  fails(lmm(y ~ x + (1 | g), d, offset = 1:3), "offset", "length 3")
  fails(lmm(y ~ x + (1 | g), d, offset = "x"), "offset", "offset = x")
  fails(lmm(y ~ x + offset(g) + (1 | g), d), "offset", "offset\\(g\\)")
})

test_that("subset", {
  fails(lmm(y ~ x + (1 | g), d, subset = x > 100), "subset", "no row")
  fails(lmm(y ~ x + (1 | g), d, subset = c(TRUE, FALSE)), "subset", "length 2")
  fails(lmm(y ~ x + (1 | g), d, subset = 1:100), "subset", "do not exist")
  fails(lmm(y ~ x + (1 | g), d, subset = "row"), "subset", "do not exist")
  fails(lmm(y ~ x + (1 | g), d, subset = g), "subset", "class factor")
  fails(lmm(y ~ x + (1 | g), d, subset = xx > 1), "subset", "xx.*`x`")
})

test_that("other arguments", {
  fails(lmm(y ~ x + (1 | g), d, REML = NA), "argument", "`REML`")
  fails(lmm(y ~ x + (1 | g), d, REML = "ML"), "argument", "`REML`")
  fails(lmm(y ~ x + (1 | g), d, REML = c(TRUE, FALSE)), "argument", "`REML`")
  fails(lmm(y ~ x + (1 | g), d, control = list()), "argument", "`control`")
  fails(lmm(y ~ x + (x | g), d, start = c(1, 2)), "start", "length 2, theta has length 3")
  fails(lmm(y ~ x + (1 | g), d, weigths = x), "argument", "`weigths`")
  fails(lmm(y ~ x + (1 | g), d, family = "binomial"), "argument", "`family`")
})

test_that("degenerate data", {
  fails(lmm(y ~ x + (1 | g), transform(d, y = 7)), "response", "`y` is constant")
  fails(lmm(as.character(y) ~ x + (1 | g), d), "response", "as.character\\(y\\)")
  fails(lmm(cbind(y, x) ~ 1 + (1 | g), d), "response", "matrix")
  fails(lmm(y ~ f + (1 | g), transform(d, f = "a")), "predictor", "`f` has only one level")
  fails(lmm(y ~ x + (1 | one), transform(d, one = 1)), "grouping", "`one` has only one level")
  fails(lmm(y ~ x + (1 | obs), transform(d, obs = seq_along(y))), "grouping", "`obs`")
  fails(lmm(y ~ x + (x | g), d, subset = x %in% 1:2), "grouping", "16 random effects")
})

test_that("each message reads well", {
  local_reproducible_output()
  expect_snapshot({
    said(lmm(y ~ Xx + (1 | g), d))
    said(lmm(y ~ x, d))
    said(lmm(y ~ x + (1 | g + x), d))
    said(lmm(log(x - 1) ~ y + (1 | g), d))
    said(lmm(y ~ x + (1 | g), transform(d, g = 1)))
    said(lmm(y ~ x + (x | g), d, subset = x < 3))
    said(lmm(y ~ x + (x | g), d, start = 1))
    said(lmm(y ~ x + (1 | g), d, weights = 1:3))
    said(lmm(y ~ x + (1 | g), transform(d, y = 1)))
    said(lmm(y ~ x + (1 | g), transform(d, x = NA)))
  })
})

test_that("levels and names with format and markup characters do no harm", {
  strange <- c("50%", "{x}", "%s%n", "a:b", "\u00e9\u4e2d")
  odd <- data.frame(y = d$y, g = rep(strange, 8L))
  names(odd)[2L] <- "100% {g}"
  fit <- suppressMessages(lmm(y ~ 1 + (1 | `100% {g}`), odd))
  expect_setequal(rownames(ranef(fit)[[1L]]), strange)
})
