test_that("missing columns are named", {
  fit <- our_twin("slope")
  expect_error(predict(fit, data.frame(Subject = "308")), "Days", class = "ferrolmm_error_newdata")
  expect_error(predict(fit, data.frame(Days = 1)), "Subject", class = "ferrolmm_error_newdata")
  expect_error(predict(fit, data.frame(days = 1, Subject = "308")), "Did you mean `days`")
})

test_that("a variable of the fit outside of the data is no substitute for a column", {
  local({
    Days <- twin_data()$sleepstudy$Days
    fit <- lmm(Reaction ~ Days + (1 | Subject), twin_data()$sleepstudy)
    expect_error(
      predict(fit, data.frame(Subject = "308")), "Days", class = "ferrolmm_error_newdata"
    )
  })
})

test_that("constants come from the formula's environment", {
  local({
    degree <- 2
    centre <- 4.5
    fit <- lmm(Reaction ~ poly(Days, degree) + I(Days - centre) + (1 | Subject),
               twin_data()$sleepstudy) |> suppressMessages()
    rows <- twin_data()$sleepstudy
    expect_equal(unname(predict(fit, rows)), unname(fitted(fit)))
  })
})

test_that("data-dependent bases keep the basis of the fit", {
  rows <- twin_data()$sleepstudy
  fit <- lmm(Reaction ~ splines::ns(Days, 3) + scale(w) + (scale(Days) | Subject), rows)
  expect_equal(unname(predict(fit, rows[5:8, ])), unname(fitted(fit)[5:8]))
})

test_that("wrong types are named", {
  fit <- our_twin("slope")
  expect_error(
    predict(fit, data.frame(Days = "three", Subject = "308")), "Days",
    class = "ferrolmm_error_newdata"
  )
  expect_error(
    predict(fit, data.frame(Days = TRUE, Subject = "308")), "logical",
    class = "ferrolmm_error_newdata"
  )
  poly <- our_twin("poly")
  expect_error(
    predict(poly, data.frame(Days = "three", Subject = "308")), "Days",
    class = "ferrolmm_error_newdata"
  )
  factors <- our_twin("factor_slope")
  expect_error(
    predict(factors, data.frame(late = 1, Subject = "308")), "late",
    class = "ferrolmm_error_newdata"
  )
  expect_error(predict(fit, 3), "data frame", class = "ferrolmm_error_newdata")
})

test_that("new levels of a predictor are named", {
  expect_error(
    predict(our_twin("factor_slope"), data.frame(late = "noon", Subject = "308")), "noon",
    class = "ferrolmm_error_newdata"
  )
})

test_that("missing values", {
  fit <- our_twin("slope")
  new <- data.frame(Days = c(1, NA, 3), Subject = c("308", "309", "310"))
  expect_identical(unname(is.na(predict(fit, new))), c(FALSE, TRUE, FALSE))
  expect_named(predict(fit, new, na.action = na.omit), c("1", "3"))
  expect_identical(
    unname(is.na(predict(fit, new, na.action = na.exclude))), c(FALSE, TRUE, FALSE)
  )
  expect_error(predict(fit, new, na.action = na.fail))
  new <- data.frame(Days = 1:2, Subject = c("308", NA))
  expect_named(predict(fit, new, na.action = na.omit), "1")
  # a column of nothing but NA has no type of its own
  expect_true(is.na(predict(fit, data.frame(Days = NA, Subject = "308"))))
})

test_that("tibbles and lists will do", {
  fit <- our_twin("slope")
  new <- data.frame(Days = 1:2, Subject = c("308", "309"))
  expect_equal(predict(fit, as.list(new)), predict(fit, new))
  skip_if_not_installed("tibble")
  expect_equal(predict(fit, getExportedValue("tibble", "as_tibble")(new)), predict(fit, new))
})

test_that("no rows give no predictions", {
  new <- data.frame(Days = numeric(), Subject = character())
  expect_length(predict(our_twin("slope"), new), 0)
})

test_that("the variables of an expression", {
  expect_identical(variables_of(quote(splines::ns(x, df = k))), c("x", "k"))
  expect_identical(variables_of(quote(d$y + d[["z"]] + m[, 1])), c("d", "m"))
})

test_that("messages", {
  local_reproducible_output()
  fit <- our_twin("slope")
  message_of <- function(code) writeLines(conditionMessage(tryCatch(code, error = identity)))
  expect_snapshot({
    message_of(predict(fit, data.frame(Days = 1, Subject = "999")))
    message_of(predict(fit, data.frame(Subject = "308")))
    message_of(predict(fit, data.frame(Days = "three", Subject = "308")))
    message_of(predict(fit, re.form = ~ (1 | plate)))
  })
})

# The rows of the fit, given as new rows one half at a time, must get the fitted values again:
# whatever the formula made of the data has to be made of the new rows too.
formulas <- list(
  nested = yield ~ nitro + (1 | Block / Variety),
  interaction = yield ~ nitro * Variety + (nitro | Block:Variety),
  factor_slopes = yield ~ Variety + (Variety | Block),
  independent = yield ~ nitro + (nitro + Variety || Block),
  diagonal = yield ~ nitro + diag(nitro | Block),
  expressions = log(yield) ~ exp(nitro) + I(nitro^2) + (1 | factor(code)),
  number = yield ~ nitro + (1 | code),
  logical = yield ~ wet + (1 | Block) + (nitro | wet:Block),
  cuts = yield ~ cut(nitro, c(-1, 0.3, 1)) + (1 | cut(code, c(0, 20, 40, 60))),
  bases = yield ~ poly(nitro, 2) + splines::ns(code, 3) + (poly(nitro, 1) | Block),
  scaled = yield ~ scale(nitro) + (scale(nitro) | Block),
  text = yield ~ label + (1 | label:Block),
  matrix_column = yield ~ m + (1 | Block),
  date = yield ~ day + (1 | Block),
  contrasts = yield ~ C(Variety, contr.sum) + ordered(nitro) + (1 | Block),
  no_intercept = yield ~ 0 + Variety + nitro:Variety + (0 + Variety | Block),
  dot = yield ~ . - Block + (1 | Block),
  offset = yield ~ Variety + offset(log(code)) + (1 | Block)
)
for (name in names(formulas)) {
  test_that(paste("new rows are treated as the rows of the fit:", name), {
    data <- as.data.frame(nlme::Oats)
    data$Block <- factor(data$Block, ordered = FALSE)
    data$code <- as.integer(data$Block) * 10
    data$wet <- data$code > 30
    data$label <- as.character(data$Variety)
    data$day <- as.Date("2024-03-01") + seq_len(72) %% 7
    if (name == "dot") {
      data <- data[c("yield", "nitro", "Block", "Variety")]
    } else {
      data$m <- cbind(a = data$nitro, b = sqrt(1:72))
    }
    fit <- suppressWarnings(suppressMessages(lmm(formulas[[name]], data)))
    for (half in list(1:36, 37:72, 5)) {
      rows <- data[half, , drop = FALSE]
      expect_equal(unname(predict(fit, rows)), unname(fitted(fit))[half])
      expect_equal(
        unname(predict(fit, rows, re.form = NA)), unname(predict(fit, re.form = NA))[half]
      )
      # text instead of factors will do, but not for C()
      if (name == "contrasts") {
        next
      }
      factors <- vapply(rows, is.factor, NA)
      rows[factors] <- lapply(rows[factors], as.character)
      expect_equal(unname(predict(fit, rows)), unname(fitted(fit))[half])
    }
  })
}

test_that("what had a value a row is never taken from elsewhere", {
  d <- names_data(c(x = "pi", z = "size"))
  d$k2 <- rep(1:2, 120)
  size <- 3
  fit <- lmm(y ~ pi + log(w) + offset(o) + (size | g), d, offset = 2 * k2)
  for (column in c("pi", "w", "o", "size", "g", "k2")) {
    new <- d[1:3, setdiff(names(d), column)]
    assign(column, 1)
    expect_error(predict(fit, new), paste0("no column `", column, "`"),
                 class = "ferrolmm_error_newdata")
    expect_error(simulate(fit, newdata = new), class = "ferrolmm_error_newdata")
  }
  expect_equal(predict(fit, d[1:3, ]), predict(fit)[1:3])
  twice <- cbind(d, d["pi"])
  expect_error(predict(fit, twice), "duplicate columns", class = "ferrolmm_error_newdata")
})

test_that("constants and functions of the formula keep their values of the fit", {
  d <- names_data()
  centre <- 2
  own <- function(x) x^2
  fit <- lmm(y ~ I(x - centre) + own(z) + (1 | g), d)
  before <- predict(fit, d[1:5, ])
  centre <- 100
  own <- function(x) -x
  expect_equal(predict(fit, d[1:5, ]), before)
  rm(centre, own)
  expect_equal(predict(fit, cbind(d[1:5, ], centre = 7)), before)
  expect_equal(unname(before), unname(fitted(fit)[1:5]))
})

test_that("options, contrasts and functions of today do not matter", {
  d <- names_data()
  d$size <- rep(c(1e5, 2e5, 0.5), 80)
  own_contrasts <- function(n, ...) stats::contr.sum(n)
  assign("own_contrasts", own_contrasts, envir = globalenv())
  fit <- suppressMessages(lmm(
    y ~ f + factor(size) + I(x / 100000) + (f + z | g), d, contrasts = list(f = "own_contrasts")
  ))
  rm("own_contrasts", envir = globalenv())
  read <- function() {
    list(
      predict(fit, d[1:9, ]), predict(fit, d[1:9, ], re.form = ~ (f | g)), anova(fit), coef(fit),
      getME(fit, "mmList"), drop1(fit)[["F value"]]
    )
  }
  before <- read()
  others <- options(
    contrasts = c("contr.sum", "contr.helmert"), scipen = 100, OutDec = ",", na.action = "na.fail"
  )
  on.exit(options(others))
  expect_equal(read(), before)
})

test_that("what an expression takes from all rows is that of the fit, or an error", {
  d <- lme4::sleepstudy
  set.seed(3)
  d$z <- round(rnorm(180), 3)
  new <- d[c(5, 50, 120), ]
  other <- transform(new, z = z + 1e-4)
  for (term in c("ave(z, Subject)", "rank(z)", "I(z - ave(z, Subject, FUN = median))")) {
    fit <- suppressMessages(lmm(as.formula(paste("Reaction ~", term, "+ (1 | Subject)")), d))
    expect_equal(unname(predict(fit, new)), fitted(fit)[c(5, 50, 120)], ignore_attr = TRUE)
    expect_error(predict(fit, other), "depends on all rows", class = "ferrolmm_error_newdata")
    expect_error(simulate(fit, newdata = other), class = "ferrolmm_error_newdata")
  }
  # equal values with different ones in the fit, and matrices, have no value at all
  nowhere <- c(
    "cumsum(Days)", "order(Days)", "I(scale(z)^2)", "c(0, diff(z))", "prcomp(cbind(z, Days))$x"
  )
  for (term in nowhere) {
    fit <- suppressMessages(lmm(as.formula(paste("Reaction ~", term, "+ (1 | Subject)")), d))
    expect_error(predict(fit, other), "depends on all rows", class = "ferrolmm_error_newdata")
    expect_length(predict(fit), 180)
    expect_length(predict(fit, other, random.only = TRUE), 3L)
  }
  # row by row, or with what the fit keeps
  kept <- c(
    "poly(z, 2)", "splines::ns(z, 3)", "splines::bs(z, df = 4)", "scale(z)", "I(z - mean(z))",
    "cut(z, 3)", "ifelse(z > 0, z, 0)", "pmin(z, 1)", "factor(Days)", "within_between(z, Subject)",
    "log(z + 10)", "findInterval(z, quantile(z))"
  )
  for (term in kept) {
    fit <- suppressMessages(lmm(as.formula(paste("Reaction ~", term, "+ (1 | Subject)")), d))
    expect_equal(unname(predict(fit, new)), fitted(fit)[c(5, 50, 120)], ignore_attr = TRUE)
    expect_length(predict(fit, other), 3L)
  }
})

test_that("random numbers in a formula are drawn once", {
  d <- lme4::sleepstudy
  set.seed(4)
  drawn <- jitter(d$Days)
  after <- runif(1)
  set.seed(4)
  fit <- lmm(Reaction ~ jitter(Days) + (1 | Subject), d)
  expect_identical(runif(1), after)
  expect_equal(as.double(model.frame(fit)[["jitter(Days)"]]), drawn)
})

test_that("'emmeans' has no reference grid of expressions that depend on all rows", {
  skip_if_not_installed("emmeans")
  d <- transform(lme4::sleepstudy, late = factor(Days > 4))
  fit <- lmm(Reaction ~ late + rank(Days) + (1 | Subject), d)
  expect_error(
    emmeans::emmeans(fit, "late"), "depends on all rows", class = "ferrolmm_error_newdata"
  )
})

test_that("columns may have any name", {
  set.seed(1)
  for (name in c("...", "..1", "T", "if", "function", "NULL", "pi", "TRUE", "(Intercept)", "a b",
                 "data", "newdata", "x:y", "`", "\\", "(weights)", "(fitted)", "NA")) {
    d <- data.frame(y = rnorm(60), g = rep(1:10, 6), q = rnorm(60), x = rnorm(60), h = rep(1:12, 5))
    plain <- suppressMessages(list(
      lmm(y ~ q + x + (1 | g), d), lmm(y ~ q + (x || g), d), lmm(y ~ q + (1 | h), d)
    ))
    symbol <- as.name(name)
    for (k in 1:3) {
      own <- d
      names(own)[if (k == 3) 5L else 4L] <- name
      formula <- stats::as.formula(list(
        bquote(y ~ q + .(symbol) + (1 | g)), bquote(y ~ q + (.(symbol) || g)),
        bquote(y ~ q + (1 | .(symbol)))
      )[[k]])
      fit <- suppressMessages(lmm(formula, own))
      expect_equal(fit$criterion, plain[[k]]$criterion, info = name)
      expect_equal(predict(fit, own[60:1, ]), rev(predict(plain[[k]], d)), info = name,
                   ignore_attr = TRUE)
    }
  }
  d <- data.frame(y = rnorm(60), g = rep(1:10, 6), . = rnorm(60))
  names(d)[[3L]] <- "."
  expect_error(lmm(y ~ . + (1 | g), d), "called `.`", class = "ferrolmm_error_formula")
})
