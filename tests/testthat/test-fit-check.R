# Fits that users have edited, that files have lost parts of, or that another version made.

fit_with_all <- function() {
  d <- nlme::Orthodont
  d$Sex <- factor(d$Sex)
  d$w <- rep(c(1, 2), length.out = nrow(d))
  d$distance[[5L]] <- NA
  lmm(distance ~ age * Sex + offset(w) + (age | Subject), d, weights = w)
}

# Kinds of damage: functions of the fields of a fit
damages <- function(fit) {
  edit <- function(...) {
    path <- c(...)
    function(value) {
      function(fields) {
        fields[[path]] <- value
        fields
      }
    }
  }
  lost <- lapply(stats::setNames(nm = names(fit)), function(name) {
    function(fields) fields[setdiff(names(fields), name)]
  })
  typed <- lapply(stats::setNames(nm = names(fit)), function(name) {
    function(fields) {
      fields[name] <- list(if (is.character(fields[[name]])) 1 else "text")
      fields
    }
  })
  shorter <- lapply(stats::setNames(nm = names(Filter(length, unclass(fit)))), function(name) {
    function(fields) {
      x <- fields[[name]]
      fields[[name]] <- if (is.data.frame(x)) x[-1L, ] else if (is.vector(x)) x[-1L] else x[0L]
      fields
    }
  })
  others <- list(
    rows = function(fields) {
      fields$frame <- fields$frame[-(1:4), ]
      fields
    },
    column = function(fields) {
      fields$frame$age <- NULL
      fields
    },
    class = function(fields) {
      fields$frame$age <- as.character(fields$frame$age)
      fields
    },
    missing = function(fields) {
      fields$frame$age[[2L]] <- NA
      fields
    },
    sources = function(fields) {
      attr(fields$frame, "sources") <- NULL
      fields
    },
    `renamed levels` = function(fields) {
      levels(fields$frame$Sex) <- c("a", "b")
      fields
    },
    `fewer levels` = function(fields) {
      attr(fields$frame$Sex, "levels") <- "Male"
      fields
    },
    `same levels` = function(fields) {
      attr(fields$frame$Subject, "levels")[[2L]] <- levels(fields$frame$Subject)[[1L]]
      fields
    },
    `no factor` = function(fields) {
      attributes(fields$frame$Sex) <- NULL
      fields
    },
    `code 99` = function(fields) {
      x <- unclass(fields$frame$Subject)
      x[[3L]] <- 99L
      fields$frame$Subject <- structure(x, class = class(fields$frame$Subject))
      fields
    },
    `code NA` = function(fields) {
      fields$flist[[1L]][[3L]] <- NA
      fields
    },
    `level of a group lost` = function(fields) {
      fields$flist[[1L]] <- droplevels(fields$flist[[1L]][-(1:4)])
      fields
    },
    `group without attributes` = function(fields) {
      attributes(fields$flist[[1L]]) <- NULL
      fields
    },
    `term without a label` = function(fields) {
      fields$random[[1L]]$label <- NULL
      fields
    },
    `effects of a term` = function(fields) {
      fields$cnms[[1L]] <- "age"
      fields
    },
    certificate = function(fields) {
      fields$certificate$status <- NULL
      fields
    },
    version = function(fields) fields[c("call", "coefficients", "theta", "frame", "sigma")],
    `no list` = function(fields) 1:3
  )
  c(
    stats::setNames(lost, paste("without", names(lost))),
    stats::setNames(typed, paste("another", names(typed))),
    stats::setNames(shorter, paste("shorter", names(shorter))), others
  )
}

# Those that take nothing away
harmless <- c(paste("without", "env"), "another env")

test_that("a damaged fit is said to be so", {
  fit <- fit_with_all()
  kinds <- damages(fit)
  for (kind in names(kinds)) {
    damaged <- structure(kinds[[kind]](unclass(fit)), class = "lmm")
    outcome <- tryCatch(check_fit(damaged), error = identity)
    if (inherits(outcome, "error")) {
      expect_s3_class(outcome, "ferrolmm_error_format")
      expect_match(conditionMessage(outcome), "Fit the model again", info = kind)
    } else {
      expect_true(kind %in% harmless, label = paste0("`", kind, "` is found"))
    }
  }
})

test_that("no method takes a damaged fit for one of ours, or for a bug of ours", {
  skip_on_cran()
  grDevices::pdf(NULL)
  on.exit(grDevices::dev.off())
  fit <- fit_with_all()
  kinds <- damages(fit)
  kinds <- kinds[setdiff(names(kinds), harmless)]
  objects <- list(lmm = lmm(distance ~ age * Sex + (age | Subject), nlme::Orthodont))
  others <- setdiff(grep("[.]lmm$", passed_on, value = TRUE), "effSources.lmm")
  checked <- 0
  for (entry in all_functions()) {
    if (!identical(entry$class, "lmm") || entry$name %in% others) next
    if (!is.na(entry$package) && !requireNamespace(entry$package, quietly = TRUE)) next
    more <- needed(entry$name, objects)
    # each method meets some kinds of damage, all methods together each kind
    some <- kinds[(checked + 17L * (0:4)) %% length(kinds) + 1L]
    for (kind in names(some)) {
      damaged <- structure(some[[kind]](unclass(fit)), class = "lmm")
      # called from outside of the package, as users do
      outcome <- tryCatch(
        do.call(entry$f, c(list(damaged), more), envir = globalenv()), error = identity
      )
      expect_true(
        inherits(outcome, "ferrolmm_error_format"),
        label = paste0("`", entry$name, "()` finds `", kind, "`")
      )
    }
    checked <- checked + 1L
  }
  expect_gt(checked, 60L)
  outside <- new.env(parent = globalenv())
  outside$damaged <- structure(kinds$rows(unclass(fit)), class = "lmm")
  outside$fit <- fit
  for (call in expression(anova(fit, damaged), ferrolmm::pb_test(fit, damaged, nsim = 2))) {
    expect_error(eval(call, outside), class = "ferrolmm_error_format")
  }
})

test_that("fits of all kinds are whole", {
  d <- nlme::Orthodont
  d$Sex <- as.character(d$Sex)
  d$late <- d$age > 10
  fits <- suppressWarnings(suppressMessages(list(
    lmm(distance ~ 1 + (1 | Subject), d), lmm(distance ~ 0 + (1 | Subject), d),
    lmm(distance ~ Sex * late + poly(age, 2) + (late || Subject) + (1 | Sex:Subject), d),
    lmm(distance ~ age, d, residual = ~ ar1(age / 2 | Subject), REML = FALSE),
    lmm(distance ~ age + I(2 * age) + (1 | Subject), d, weights = ~ age),
    lmm(distance ~ age + (1 | Subject), d, subset = age > 8, na.action = na.exclude),
    lmm(log(distance) ~ offset(age) + Sex + cs(0 + Sex | Subject), d)
  )))
  for (fit in fits) {
    expect_null(check_fit(fit))
    restored <- unserialize(serialize(fit, NULL))
    expect_null(check_fit(restored))
    expect_null(check_fit(suppressMessages(refit(fit, stats::simulate(fit, seed = 1)[[1L]]))))
  }
})

test_that("of many rows, lengths, kinds and levels are looked at", {
  set.seed(31)
  n <- most_rows_read + 1L
  d <- data.frame(x = rnorm(n), g = factor(rep_len(1:50, n)))
  d$y <- d$x + rnorm(50)[d$g] + rnorm(n)
  fit <- lmm(y ~ x + (1 | g), d)
  expect_length(fixef(fit), 2L)
  damaged <- fit
  damaged$frame$x <- as.character(d$x)
  expect_error(fixef(damaged), "`x` in its `frame`", class = "ferrolmm_error_format")
  damaged <- fit
  levels <- attr(damaged$flist$g, "levels")
  attr(damaged$flist$g, "levels") <- replace(levels, 2L, levels[1L])
  expect_error(fixef(damaged), "`g` in its `flist`", class = "ferrolmm_error_format")
})

test_that("a fit that was found whole is known by its contents, and by nothing else", {
  is_known <- function(fit) .External(ferrolmm_is_known, fit)
  fit <- fit_with_all()
  expect_false(is_known(fit))
  expect_null(check_fit(fit))
  expect_true(is_known(fit))
  ## another object of the same contents
  expect_true(is_known(rlang::duplicate(fit)))
  kinds <- damages(fit)
  for (kind in names(kinds)) {
    damaged <- structure(kinds[[kind]](unclass(fit)), class = "lmm")
    expect_identical(is_known(damaged), identical(damaged, fit), info = kind)
  }
  ## values changed where they are, as functions in C can, and R with a single owner
  fit$frame$age <- as.double(fit$frame$age)
  check_fit(fit)
  fit$frame$age[[2L]] <- NA
  expect_error(check_fit(fit), "missing values", class = "ferrolmm_error_format")
  expect_false(is_known(fit))
  ## kinds of vectors, one value changed in each, also those that R has not written out
  all_kinds <- list(TRUE, 1:1000, as.raw(1:3), 2i, "a", c(a = 1), as.character(1:10),
                    quote(f(x, y = 2)), expression(a, b), ~ x)
  .External(ferrolmm_know, all_kinds)
  expect_true(is_known(all_kinds))
  others <- list(NA, c(1:999, 0L), as.raw(c(1, 2, 4)), 3i, "b", c(b = 1), as.character(1:11),
                 quote(f(x, z = 2)), expression(a, c), ~ y)
  for (i in seq_along(all_kinds)) {
    expect_false(is_known(replace(all_kinds, i, others[i])))
  }
  deep <- Reduce(function(x, i) list(x), 1:1000, list())
  .External(ferrolmm_know, deep)
  expect_false(is_known(deep))
})
