d <- data.frame(
  y = c(2.5, 3.1, 4.7, 1.2, 5.5, 3.3, 2.2, 4.1), x = c(1, 2, 3, 4, 5, 6, 7, 9),
  g = factor(c("a", "a", "b", "b", "c", "c", "d", "d"), levels = c("a", "b", "c", "d", "unused")),
  h = rep(c("u", "v"), 4L), w = c(1, 2, 1, 2, 1, 2, 1, 2)
)
row.names(d) <- paste0("row", 1:8)
frame_of <- function(formula, data = NULL, ..., na.action = stats::na.omit) {
  given <- lapply(substitute(list(...))[-1L], function(e) list(expr = e, force = function() NULL))
  model <- parse_formula(formula, data, parent.frame())
  build_frame(model, data, as.list(given), na.action, parent.frame())
}

test_that("a damaged factor is said to be one, wherever it is used", {
  s <- lme4::sleepstudy
  fit <- lmm(Reaction ~ Days + (Days | Subject), s)
  other <- lmm(Reaction ~ Subject + (1 | Days), s)
  codes <- as.integer(s$Subject)
  levels <- levels(s$Subject)
  damaged <- function(codes, levels) {
    attr(codes, "levels") <- levels
    oldClass(codes) <- "factor"
    codes
  }
  ## R itself refuses a factor that is no integer vector
  faults <- list(
    "the code 99 and 18 levels" = damaged(replace(codes, 3L, 99L), levels),
    "the code 0 and" = damaged(replace(codes, 3L, 0L), levels),
    "the code -5 and" = damaged(replace(codes, 3L, -5L), levels),
    "has no levels" = damaged(codes, NULL),
    "levels are" = damaged(codes, seq_along(levels)),
    "levels are" = damaged(codes, as.list(levels)),
    "\"308\" twice" = damaged(codes, replace(levels, 2L, levels[[1L]]))
  )
  for (fault in names(faults)) {
    d <- s
    d$f <- faults[[fault]]
    for (formula in c(Reaction ~ Days + (1 | f), Reaction ~ f + (1 | Subject),
                      Reaction ~ Days + (0 + f | Subject))) {
      expect_error(lmm(formula, d), paste0("`f` is damaged: .*", fault),
                   class = "ferrolmm_error_data")
    }
    d$Subject <- d$f
    for (model in list(fit, other)) {
      expect_error(predict(model, d), paste0("`Subject` is damaged: .*", fault),
                   class = "ferrolmm_error_newdata")
    }
  }
})

test_that("the frame is that of model.frame() on all variables", {
  ours <- frame_of(y ~ poly(x, 2) + (x | g), d)
  theirs <- stats::model.frame(y ~ poly(x, 2) + x + g, d, drop.unused.levels = TRUE)
  expect_identical(names(ours), names(theirs))
  expect_identical(row.names(ours), row.names(theirs))
  expect_equal(ours, theirs, ignore_attr = TRUE)
  for (part in c("predvars", "dataClasses", "variables")) {
    expect_equal(attr(attr(ours, "terms"), part), attr(attr(theirs, "terms"), part))
  }
  expect_identical(levels(ours$g), c("a", "b", "c", "d"))
})

test_that("automatic row names stay compact", {
  plain <- d
  row.names(plain) <- NULL
  frame <- frame_of(y ~ x + (1 | g), plain)
  expect_lt(.row_names_info(frame), 0L)
})

test_that("tibble, data.table, list, environment and no data give the same frame", {
  reference <- frame_of(y ~ x + (1 | g), d)
  same <- function(data) {
    expect_equal(frame_of(y ~ x + (1 | g), data), reference, ignore_attr = TRUE)
  }
  same(as.list(d))
  same(list2env(d))
  same(structure(d, class = c("groupedData", "data.frame")))
  y <- d$y
  x <- d$x
  g <- d$g
  expect_equal(frame_of(y ~ x + (1 | g)), reference, ignore_attr = TRUE)
  skip_if_not_installed("tibble")
  same(tibble::as_tibble(d))
  skip_if_not_installed("data.table")
  same(data.table::as.data.table(d))
})

test_that("subset, zero weights and missing values drop the same rows as lm() would", {
  some <- d
  some$x[2] <- NA
  some$w[5] <- 0
  frame <- frame_of(y ~ x + (1 | g), some, weights = w, subset = y > 2)
  expect_identical(row.names(frame), paste0("row", c(1, 3, 6, 7, 8)))
  expect_identical(names(attr(frame, "na.action")), "row2")
  expect_s3_class(attr(frame, "na.action"), "omit")
  zero <- frame_of(y ~ x + (1 | g), some, weights = w)
  by_subset <- frame_of(y ~ x + (1 | g), some, weights = w, subset = w > 0)
  expect_identical(zero, by_subset)
  exclude <- frame_of(y ~ x + (1 | g), some, na.action = stats::na.exclude)
  expect_s3_class(attr(exclude, "na.action"), "exclude")
  reference <- stats::model.frame(y ~ x + g, some, na.action = stats::na.exclude)
  expect_identical(attr(exclude, "na.action"), attr(reference, "na.action"))
})

test_that("a missing weight or offset is a missing value", {
  some <- d
  some$w[3] <- NA
  expect_identical(nrow(frame_of(y ~ x + (1 | g), some, weights = w)), 7L)
  expect_identical(nrow(frame_of(y ~ x + (1 | g), some, offset = w)), 7L)
})

test_that("subset takes logical, numeric and character values", {
  rows <- function(subset) {
    value <- subset
    row.names(frame_of(y ~ x + (1 | g), d, subset = value))
  }
  expect_identical(rows(d$x < 5), paste0("row", 1:4))
  expect_identical(rows(-(1:2)), paste0("row", 3:8))
  expect_identical(rows(c("row8", "row1", "row3")), c("row8", "row1", "row3"))
  expect_identical(rows(c(NA, rep(TRUE, 7))), paste0("row", 2:8))
  expect_identical(rows(c(1, 1, 4, 5)), c("row1", "row1.1", "row4", "row5"))
})

test_that("a na.action of the user's own is called", {
  some <- d
  some$x[2] <- NA
  calls <- new.env()
  calls$count <- 0L
  own <- function(object, ...) {
    calls$count <- calls$count + 1L
    stats::na.omit(object)
  }
  expect_identical(nrow(frame_of(y ~ x + (1 | g), some, na.action = own)), 7L)
  expect_identical(calls$count, 1L)
  expect_error(
    frame_of(y ~ x + (1 | g), some, na.action = identity), "`x`: 1 missing value",
    class = "ferrolmm_error_missing"
  )
})

test_that("variables come from the data, then from the formula's environment", {
  make <- function() {
    z <- 8:1
    x <- "not this one"
    y ~ x + z + (1 | g)
  }
  frame <- frame_of(make(), d)
  expect_identical(frame$z, 8:1)
  expect_identical(frame$x, d$x)
})

test_that("weights are found in the data, at the formula, and at the call", {
  wrapped <- function(formula, data, weights) lmm_frame(formula, data, weights = weights)
  lmm_frame <- function(formula, data, weights) {
    given <- list(weights = list(expr = substitute(weights), force = function() weights))
    model <- parse_formula(formula, data, parent.frame())
    build_frame(model, data, given, stats::na.omit, parent.frame())
  }
  elsewhere <- as.formula("y ~ x + (1 | g)", env = globalenv())
  expect_identical(wrapped(elsewhere, d, weights = d$w)[["(weights)"]], d$w)
  expect_identical(lmm_frame(elsewhere, d, weights = w)[["(weights)"]], d$w)
  dots <- function(...) lmm_frame(elsewhere, d, ...)
  local_weights <- d$w * 2
  expect_identical(dots(weights = local_weights)[["(weights)"]], d$w * 2)
})

test_that("character variables become factors, factors lose unused levels", {
  frame <- frame_of(y ~ h + (1 | g), d)
  expect_identical(frame$h, factor(d$h))
  some <- d
  stats::contrasts(some$g) <- "contr.sum"
  expect_identical(attr(frame_of(y ~ g + (1 | h), some)$g, "contrasts"), "contr.sum")
  expect_identical(levels(frame_of(y ~ x + (1 | g), d, subset = x > 2)$g), c("b", "c", "d"))
})

test_that("sums that overflow are not taken for infinite values", {
  some <- d
  some$x <- c(1e308, 1.5e308, 1, 2, 3, 4, 5, 6)
  expect_identical(frame_of(y ~ x + (1 | g), some)$x, some$x)
})

test_that("infinite values count only in the rows that are used, and not in groups", {
  some <- d
  some$x[1] <- -Inf
  expect_error(frame_of(y ~ x + (1 | g), some), "`x`.*-Inf in row \"row1\"",
               class = "ferrolmm_error_not_finite")
  expect_identical(nrow(frame_of(y ~ x + (1 | g), some, subset = x > 0)), 7L)
  some$y[1] <- NA
  expect_identical(nrow(frame_of(y ~ x + (1 | g), some)), 7L)
  some <- d
  some$k <- rep(c(1, Inf), 4)
  expect_identical(front_end(y ~ x + (1 | k), some)$random$flist$k, factor(some$k))
})

varied <- function(n) {
  set.seed(n)
  pick <- function(x) sample(x, n, TRUE)
  v <- data.frame(
    y = rnorm(n), x = rnorm(n), z = rpois(n, 3), l = pick(c(TRUE, FALSE)), c = pick(letters[1:4]),
    f = factor(pick(c("a", "b", "c")), levels = c("a", "b", "no", "c")),
    o = ordered(pick(1:4)), day = as.Date("2024-01-01") + pick(1:50), w = pick(c(0.5, 1, 2)),
    k = pick(0:20), g = factor(pick(1:9), levels = 10:1)
  )
  v$m <- matrix(rnorm(2 * n), n, dimnames = list(NULL, c("u", "v")))
  v$named <- structure(rnorm(n), names = paste0("n", seq_len(n)))
  v
}

test_that("few rows and many, in place or copied: what is built is what R builds, to the bit", {
  sides <- list(
    ~1, ~x, ~ x + z, ~ f, ~ 0 + f, ~ 0 + x, ~ x + f + o + l + c, ~ x * f, ~ f:o, ~ m + day,
    ~ I(x^2) + log(z + 1), ~ poly(w, 2) + splines::ns(k, 3), ~ named + x:l, ~ C(f, contr.sum) * x,
    ~ scale(k) + offset(w) + cut(z, c(-1, 4, 20))
  )
  for (n in c(60L, many_rows + 1L)) {
    whole <- varied(n)
    holes <- whole
    holes$x[c(2, 9)] <- NA
    holes$f[holes$f == "c"] <- NA
    holes$c[7] <- NA
    holes$z[n] <- NA
    for (data in list(whole, holes)) {
      for (side in if (n < 100L) sides else sides[c(1, 4, 7, 9, 12, 14, 15)]) {
        formula <- stats::as.formula(call("~", quote(y), side[[2L]]))
        mixed <- stats::as.formula(call("~", quote(y), call("+", side[[2L]], quote((1 | g)))))
        with_group <- stats::as.formula(call("~", quote(y), call("+", side[[2L]], quote(g))))
        info <- paste(deparse(side), n)
        if (anyNA(data$x)) {
          ours <- front_end(mixed, data, subset = k < 20, weights = w)
          theirs <- suppressWarnings(eval(bquote(stats::model.frame(
            .(with_group), data, subset = k < 20, weights = w, drop.unused.levels = TRUE
          ))))
        } else {
          ours <- front_end(mixed, data, weights = w)
          # contrasts by C() are dropped with an unused level
          theirs <- suppressWarnings(eval(bquote(stats::model.frame(
            .(with_group), data, weights = w, drop.unused.levels = TRUE
          ))))
        }
        for (name in names(ours$frame)) {
          reference <- theirs[[name]]
          if (is.character(reference)) {
            # what model.matrix() makes of it
            reference <- factor(reference)
          }
          own <- ours$frame[[name]]
          if (is.matrix(own) && anyNA(data$x)) {
            # model.frame() loses attributes such as those of poly() where rows go
            expect_identical(c(own), c(reference), info = info)
          } else {
            expect_identical(own, reference, info = info)
          }
        }
        expect_identical(row.names(ours$frame), row.names(theirs), info = info)
        expect_identical(attr(ours$frame, "na.action"), attr(theirs, "na.action"), info = info)
        expect_identical(
          attr(attr(ours$frame, "terms"), "predvars"), attr(attr(theirs, "terms"), "predvars"),
          info = info
        )
        # of the fixed part alone, on the same rows
        theirs <- if (anyNA(data$x)) {
          suppressWarnings(eval(bquote(stats::model.frame(
            .(formula), data, subset = as.integer(row.names(ours$frame)), drop.unused.levels = TRUE
          ))))
        } else {
          suppressWarnings(stats::model.frame(formula, data, drop.unused.levels = TRUE))
        }
        X <- stats::model.matrix(formula, theirs)
        expect_identical(c(ours$fixed$X), c(X), info = info)
        expect_identical(ours$fixed$names, colnames(X), info = info)
        expect_identical(ours$fixed$assign, attr(X, "assign"), info = info)
        expect_identical(ours$fixed$contrasts, attr(X, "contrasts"), info = info)
        levels <- stats::.getXlevels(stats::terms(theirs), theirs)
        expect_identical(ours$fixed$xlevels, if (length(levels)) levels, info = info)
      }
    }
  }
})

test_that("the engine sees in columns what R sees", {
  v <- varied(500L)
  v$i <- v$z
  v$i[3] <- NA
  v$inf <- replace(v$x, 500L, Inf)
  v$nan <- replace(v$x, 17L, NaN)
  v$hole <- replace(v$m, 900L, NA)
  v$fna <- replace(v$f, 5L, NA)
  v$na_level <- addNA(v$fna)
  v$lna <- replace(v$l, 5L, NA)
  v$cna <- replace(v$c, 5L, NA)
  columns <- unclass(v)
  attr(columns, "row.names") <- NULL
  few <- look_at_columns(columns, 500L, 1L)
  for (threads in 0:2) {
    many <- look_at_columns(columns, many_rows, threads)
    expect_identical(many$complete, few$complete)
    used <- vapply(columns, function(x) !is.factor(x) || all(tabulate(x, nlevels(x)) > 0L), NA)
    expect_identical(many$all_used, unname(used))
  }
})

test_that("as many independent columns as rows are refused before R takes the formula apart", {
  set.seed(71)
  wide <- data.frame(matrix(rnorm(12 * 40), 12L), g = gl(4, 3), y = rnorm(12))
  is_refused <- function(formula, data = wide) {
    side <- parse_formula(formula, data, environment())$fixed
    error <- tryCatch(refuse_saturated(side, data), error = identity)
    inherits(error, "ferrolmm_error_no_residual_df")
  }
  expect_true(is_refused(y ~ . - g + (1 | g)))
  expect_true(is_refused(y ~ . + (1 | g)))
  expect_error(lmm(y ~ . + (1 | g), wide, subset = X1 > -10),
               class = "ferrolmm_error_no_residual_df")
  holes <- replace(wide, "X3", c(1, NA, Inf, NaN, 5:12))
  expect_true(is_refused(y ~ . - g + (1 | g), holes))
  few <- stats::reformulate(c(paste0("X", 1:10), "(1 | g)"), "y")
  expect_false(is_refused(few))
  # what is taken away does not count, nor what depends on the others
  x <- paste0("X", 1:14)
  away <- stats::reformulate(c(x, "(1 | g)", paste(x[-14L], "-", x[-14L])), "y")
  expect_false(is_refused(away))
  expect_true(is_refused(stats::reformulate(c(x, "(1 | g)"), "y")))
  wide[paste0("X", 5:40)] <- wide["X4"]
  expect_false(is_refused(y ~ . - g + (1 | g)))
})

test_that("variables that depend on each other are aliased however many there are", {
  set.seed(72)
  wide <- data.frame(matrix(rnorm(30 * 2), 30L), g = gl(6, 5), y = rnorm(30))
  wide[paste0("Z", 1:40)] <- lapply(1:40, function(k) k * wide$X1 - wide$X2)
  wide$y <- wide$y + 2 * rnorm(6)[wide$g]
  expect_message(fit <- lmm(y ~ . - g + (1 | g), wide), "40 of 43 columns dropped")
  kept <- names(which(!is.na(fixef(fit, add.dropped = TRUE))))
  expect_identical(kept, c("(Intercept)", "X1", "X2"))
  expect_equal(logLik(fit), logLik(lmm(y ~ X1 + X2 + (1 | g), wide)), tolerance = 1e-10)
})

test_that("a weight that is NaN is a missing value, as for lm(), one that is infinite an error", {
  d <- nlme::Orthodont
  d$w <- rep(c(1, 2), length.out = nrow(d))
  d$w[c(3L, 7L)] <- c(NaN, NA)
  fit <- lmm(distance ~ age + (1 | Subject), d, weights = w)
  expect_equal(nobs(fit), nobs(stats::lm(distance ~ age, d, weights = w)))
  left <- d[-c(3L, 7L), ]
  expect_equal(logLik(fit), logLik(lmm(distance ~ age + (1 | Subject), left, weights = w)))
  expect_error(
    lmm(distance ~ age + (1 | Subject), d, weights = w, na.action = na.fail), "(weights)",
    fixed = TRUE, class = "ferrolmm_error"
  )
  for (wrong in c(Inf, -Inf, -1)) {
    d$w[[9L]] <- wrong
    expect_error(
      lmm(distance ~ age + (1 | Subject), d, weights = w), "in row 9", class = "ferrolmm_error"
    )
  }
})
