# A model of hostile levels says what the model of plain ones says. `plain` is the fit of letters,
# `fit` that of `g`, a vector of the same grouping.

s <- twin_data()$sleepstudy
s$letter <- letters[as.integer(s$Subject)]
index <- as.integer(s$Subject)
plain <- lmm(Reaction ~ Days + (Days | letter), s)

with_group <- function(g) {
  d <- s
  d$g <- g
  d
}

expect_same_model <- function(g, others = list()) {
  d <- with_group(g)
  fit <- lmm(Reaction ~ Days + (Days | g), d)
  expect_equal(logLik(fit), logLik(plain), ignore_attr = TRUE, tolerance = 1e-9)
  shuffled <- d[c(91:180, 1:7), ]
  expect_equal(predict(fit, shuffled), fitted(plain)[c(91:180, 1:7)], tolerance = 1e-7)
  for (other in c(list(g), others)) {
    expect_equal(predict(fit, with_group(other)), fitted(plain), tolerance = 1e-7)
  }
  # not in order of first appearance: levels are sorted by their own order
  map <- match(seq_len(18L), index[match(seq_len(18L), as.integer(fit$flist$g))])
  expect_equal(
    unname(as.matrix(ranef(fit, condVar = FALSE)$g)[map, ]),
    unname(as.matrix(ranef(plain, condVar = FALSE)$letter)), tolerance = 1e-6
  )
  ours <- influence(fit, "g", update = "none")$coefficients
  expect_equal(
    unname(ours[map, ]), unname(influence(plain, "letter", update = "none")$coefficients),
    tolerance = 1e-6
  )
  expect_equal(
    unname(as.matrix(coef(lmList(fit)))[map, ]), unname(as.matrix(coef(lmList(plain)))),
    tolerance = 1e-8
  )
  new <- simulate(fit, newdata = d[1:30, ], re.form = NULL, seed = 1)[[1L]]
  expect_equal(new, simulate(plain, newdata = s[1:30, ], re.form = NULL, seed = 1)[[1L]],
               tolerance = 1e-7)
  invisible(fit)
}

test_that("numbers are levels by value, whatever holds them", {
  whole <- index * 100000L
  spellings <- list(
    whole, as.double(whole), as.character(whole), factor(whole), I(whole), -0 + whole,
    structure(as.double(whole), class = c("haven_labelled", "vctrs_vctr", "double"))
  )
  for (g in spellings[c(1L, 2L, 4L)]) expect_same_model(g, spellings)
  expect_same_model(sprintf("%d", whole), spellings)
  expect_same_model(index / 3, list(index * (1 / 3), as.character(index / 3), index / 3 + 1e-17))
  expect_same_model(index - 1, list(ifelse(index == 1L, -0, index - 1)))
  expect_same_model(ifelse(index < 3L, c(-Inf, Inf)[index], index))
})

test_that("no option changes what a level is", {
  whole <- index * 100000L
  fits <- list(
    lmm(Reaction ~ Days + (Days | g), with_group(whole)),
    lmm(Reaction ~ Days + (Days | g), with_group(whole / 7))
  )
  for (changed in list(list(scipen = 50), list(OutDec = ","), list(digits = 3))) {
    before <- options(changed)
    found <- list(
      predict(fits[[1L]], with_group(as.double(whole))), predict(fits[[2L]], with_group(whole / 7))
    )
    options(before)
    expect_equal(found, list(fitted(plain), fitted(plain)))
  }
})

test_that("long identifiers are told apart; fractions count to 15 digits, as for factor()", {
  expect_same_model(1234567890123456 + index)
  expect_identical(
    code_variable(1234567890123456 + 0:2, "id")$levels,
    c("1234567890123456", "1234567890123457", "1234567890123458")
  )
  noise <- code_variable(c(0.1 + 0.2, 0.3, 0.5), "x")
  expect_identical(noise$levels, levels(factor(c(0.1 + 0.2, 0.3, 0.5))))
})

test_that("strings are levels as they are", {
  hostile <- c(
    "", " ", "a", "a ", "NA", "<NA>", "\u00e9", "e:1", "e", "1:e", strrep("x", 3000L), "TRUE",
    "1e5", "100000", "01", "1", "(Intercept)", "a'b\"c%s"
  )
  text <- hostile[index]
  expect_same_model(text, list(factor(text), factor(text, levels = rev(hostile))))
  expect_same_model(factor(text, levels = c("unused", hostile)), list(text, ordered(text)))
  latin <- iconv(text, "UTF-8", "latin1")
  expect_same_model(latin, list(text))
})

test_that("a missing value can be a level", {
  named <- ifelse(index == 4L, NA, paste0("s", index))
  with_na <- addNA(factor(named))
  expect_same_model(with_na, list(named, factor(named), factor(named, exclude = NULL)))
  s$f <- factor(c("a", NA, "b")[1L + s$Days %% 3L], exclude = NULL)
  fit <- lmm(Reaction ~ f + (1 | Subject), s)
  renamed <- lmm(Reaction ~ f + (1 | Subject),
                 transform(s, f = factor(f, labels = c("a", "b", "z"), exclude = NULL)))
  expect_equal(unname(fixef(fit)), unname(fixef(renamed)))
  expect_named(fixef(fit), c("(Intercept)", "fb", "fNA"))
  expect_equal(predict(fit, s), fitted(fit))
  expect_equal(predict(fit, transform(s, f = as.character(f))), fitted(fit))
})

test_that("times are levels by the instant, dates by the day, durations by their length", {
  start <- as.POSIXct("2020-01-01 12:00:00", tz = "UTC")
  time <- start + 3600 * index
  elsewhere <- structure(time, tzone = "America/New_York")
  expect_same_model(time, list(elsewhere, as.POSIXlt(elsewhere)))
  # the session's time zone, another one after the fit
  local <- structure(as.double(time), class = c("POSIXct", "POSIXt"))
  fit <- expect_same_model(local, list(time, elsewhere))
  before <- Sys.getenv("TZ", unset = NA)
  Sys.setenv(TZ = "Asia/Tokyo")
  found <- predict(fit, with_group(local))
  if (is.na(before)) Sys.unsetenv("TZ") else Sys.setenv(TZ = before)
  expect_equal(found, fitted(plain))
  # the hour that comes twice in autumn, and fractions of a second
  autumn <- as.POSIXct("2020-10-24 20:00:00", tz = "UTC") + 1800 * index
  expect_same_model(structure(autumn, tzone = "Europe/Berlin"), list(autumn))
  expect_same_model(start + index / 64)
  day <- as.Date("2020-01-01") + index
  whole <- structure(as.integer(day), class = c("IDate", "Date"))
  expect_same_model(day, list(whole, as.character(day), day + 0.25))
  hours <- as.difftime(index, units = "hours")
  minutes <- hours
  units(minutes) <- "mins"
  expect_same_model(hours, list(minutes))
})

test_that("a level of another kind is an error that names both", {
  day <- as.Date("2020-01-01") + index
  fails <- function(g, new, pattern) {
    fit <- lmm(Reaction ~ Days + (1 | g), with_group(g))
    for (allow in c(TRUE, FALSE)) {
      expect_error(
        predict(fit, with_group(new), allow.new.levels = allow), pattern,
        class = "ferrolmm_error_newdata"
      )
    }
  }
  fails(day, as.POSIXct(day), "was Date and is POSIXct")
  fails(as.POSIXct(day), day, "was POSIXct and is Date")
  fails(as.difftime(index, units = "hours"), index, "was difftime \\(hours\\) and is integer")
  fails(index, day, "was integer and is Date")
  fails(index > 9L, as.integer(index > 9L), "was logical and is integer")
  fails(factor(index), as.POSIXct(day), "was factor and is POSIXct")
  fails(structure(index, class = "units", units = "km"),
        structure(index, class = "units", units = "m"), "was units \\(km\\) and is units \\(m\\)")
})

test_that("combinations are tuples, not pasted text", {
  a <- c("9", "9:30", "9:30:1")[1L + index %% 3L]
  b <- c("30:1", "1", "x")[1L + index %/% 3L %% 3L]
  s$a <- a
  s$b <- b
  s$code <- paste(a, b, sep = "|")
  fit <- lmm(Reaction ~ Days + (1 | a:b), s)
  coded <- lmm(Reaction ~ Days + (1 | code), s)
  expect_equal(fitted(fit), fitted(coded))
  expect_equal(predict(fit, s), fitted(coded))
  new <- data.frame(Days = 0, a = "9:30", b = "30:1")
  expect_error(predict(fit, transform(new, b = "7")), "new levels",
               class = "ferrolmm_error_newdata")
  nested <- lmm(Reaction ~ Days + (1 | a / b), s)
  expect_equal(predict(nested, s), fitted(nested))
  # levels that are new, but print like others: each its own draw
  twice <- data.frame(Days = 0, a = c("n:1", "n"), b = c("2", "1:2"))
  rows <- simulation_rows(fit, twice[c(1, 2, 1), ], list(), TRUE, stats::na.pass)
  codes <- simulation_codes(fit, fit$random[[1L]], rows)
  expect_identical(codes[[1L]], codes[[3L]])
  expect_length(unique(c(codes, seq_len(nlevels(fit$flist[[1L]])))), nlevels(fit$flist[[1L]]) + 2L)
})

test_that("strata and residual groups are matched by value", {
  s$n <- 100000L * (1L + s$Days %% 3L)
  s$p <- c("p*q", "p")[1L + s$Days %% 2L]
  s$q <- c("r", "q*r")[1L + s$Days %/% 2L %% 2L]
  s$pq <- interaction(s$p, s$q, sep = "|")
  fit <- lmm(Reaction ~ Days + (1 | Subject), s, weights = varIdent(form = ~ 1 | n))
  interval <- function(fit, d) predict(fit, d, interval = "prediction", ddf = "asymptotic")
  expect_equal(interval(fit, transform(s, n = as.double(n))), interval(fit, s))
  pasted <- lmm(Reaction ~ Days + (1 | Subject), s, weights = varIdent(form = ~ 1 | p * q))
  coded <- lmm(Reaction ~ Days + (1 | Subject), s, weights = varIdent(form = ~ 1 | pq))
  expect_length(pasted$phi, 3L)
  expect_equal(logLik(pasted), logLik(coded), ignore_attr = TRUE)
  expect_equal(interval(pasted, s), interval(coded, s))

  s$id <- 100000L * as.integer(s$Subject)
  serial <- lmm(Reaction ~ Days, s, correlation = corAR1(form = ~ Days | id))
  new <- transform(s[1:3, ], Days = 11)
  expect_equal(
    predict(serial, transform(new, id = as.double(id)), residual.cor = TRUE),
    predict(serial, new, residual.cor = TRUE)
  )
  expect_false(isTRUE(all.equal(predict(serial, new, residual.cor = TRUE), predict(serial, new))))
  expect_equal(nlme::getVarCov(serial, individual = "100000", type = "conditional"),
               nlme::getVarCov(serial, individual = 1L, type = "conditional"))
})

test_that("influence() takes groups by value, and none that are missing", {
  by_number <- influence(plain, index * 100000, update = "none")
  expect_equal(unname(by_number$coefficients),
               unname(influence(plain, "letter", update = "none")$coefficients))
  # 15 digits do not tell them apart
  long <- influence(plain, 1234567890123456 + index, update = "none")
  expect_identical(nrow(long$coefficients), 18L)
  expect_error(influence(plain, replace(index, 3L, NA)), "missing",
               class = "ferrolmm_error_argument")
})

test_that("grouping expressions are evaluated as in the fit", {
  d <- s
  d$text <- as.character(d$Subject)
  agrees <- function(formula, rows = list(11:20, 180:100, 5L), ...) {
    fit <- suppressMessages(lmm(formula, d))
    for (i in rows) {
      expect_equal(predict(fit, d[i, ]), fitted(fit)[i], tolerance = 1e-8)
    }
    expect_equal(predict(fit, droplevels(d[11:20, ])), fitted(fit)[11:20], tolerance = 1e-8)
    invisible(fit)
  }
  as_number <- agrees(Reaction ~ Days + (1 | as.integer(Subject)))
  expect_equal(predict(as_number, transform(d, Subject = text)), fitted(as_number))
  agrees(Reaction ~ Days + (1 | factor(Subject)))
  agrees(Reaction ~ 1 + (1 | cut(Days, 3)) + (1 | Subject))
  agrees(Reaction ~ cut(Days, 3) + (1 | Subject))
  agrees(
    Reaction ~ 1 + (1 | Subject) + (1 | factor(cut(Days, quantile(Days), include.lowest = TRUE)))
  )
  agrees(Reaction ~ 1 + (1 | interaction(Subject, Days > 4)))
  agrees(Reaction ~ 1 + (1 | Subject) + (1 | findInterval(Days, quantile(Days))))
  agrees(Reaction ~ Days + (1 | as.integer(factor(text))))
  agrees(Reaction ~ as.integer(as.factor(text)) + (1 | Days))
  agrees(Reaction ~ factor(Days > 4, labels = c("early", "late")) + (1 | Subject), list(1L, 10L))
  agrees(Reaction ~ as.integer(factor(Subject)) + (1 | Days))
  codes <- agrees(Reaction ~ Days + (1 | rank(text, ties.method = "min")))
  expect_error(predict(codes, transform(d[1, ], text = "new")), "depends on all rows",
               class = "ferrolmm_error_newdata")
  # variables that are in no data frame
  local({
    y <- d$Reaction
    g <- d$Subject
    fit <- lmm(y ~ 1 + (1 | as.integer(g)))
    expect_equal(unname(predict(fit, data.frame(g = "310"))), unname(fitted(fit)[21L]))
  })
  expect_identical(
    with_constants(quote(cut(Days, 3)), d["Days"], globalenv(), 180L)$breaks,
    # what cut.default() does with breaks = 3
    c(0 - 9 / 1000, 3, 6, 9 + 9 / 1000)
  )
})

test_that("what an expression takes from all rows is kept", {
  frozen <- function(expression) with_constants(expression, as.list(s), globalenv(), 180L)
  expect_identical(frozen(quote(I(Days - mean(Days)))), quote(I(Days - 4.5)))
  expect_identical(frozen(quote(log(Days + 1))), quote(log(Days + 1)))
  same <- quote(do.call(cbind, list(Days, t(rbind(Days, 1)), lapply(Days, function(x) mean(x)))))
  expect_identical(frozen(same), same)
  expect_identical(frozen(quote(Days[Days > 3])), quote(Days[Days > 3]))
  for (formula in c(
    Reaction ~ I(Days - mean(Days)) + (1 | Subject),
    Reaction ~ I(Days / max(abs(Days))) + (I((Days - mean(Days)) / sd(Days)) | Subject),
    Reaction ~ ifelse(Days > stats::median(Days), "late", "early") + (1 | Subject),
    Reaction ~ 1 + (1 | match(Subject, unique(Subject)))
  )) {
    fit <- suppressMessages(lmm(formula, s))
    expect_equal(predict(fit, s[11:12, ]), fitted(fit)[11:12], tolerance = 1e-8)
    expect_equal(unname(predict(fit, data.frame(Days = 9, Subject = "308"))),
                 unname(fitted(fit)[10L]), tolerance = 1e-8)
  }
})

test_that("within_between() finds means by value", {
  d <- s
  d$id <- index * 100000L
  d$x <- d$Days + index %% 4
  fit <- lmm(Reaction ~ within_between(x, id) + (1 | Subject), d)
  expect_equal(predict(fit, transform(d, id = as.double(id))), fitted(fit))
  before <- options(scipen = 50)
  found <- predict(fit, transform(d, id = as.double(id)))
  options(before)
  expect_equal(found, fitted(fit))
  d$a <- c("9", "9:30")[1L + index %% 2L]
  d$b <- c("30:1", "1")[1L + index %/% 2L %% 2L]
  d$ab <- interaction(d$a, d$b, sep = "|")
  pasted <- lmm(Reaction ~ within_between(x, a:b) + (1 | Subject), d)
  coded <- lmm(Reaction ~ within_between(x, ab) + (1 | Subject), d)
  expect_equal(unname(fixef(pasted)), unname(fixef(coded)))
  expect_equal(predict(pasted, d[5:9, ]), fitted(coded)[5:9])
})
