# What all functions do with arguments that they have not, or of a wrong kind.

test_that("no function ignores an argument that it has not", {
  skip_on_cran()
  objects <- objects_by_class()
  grDevices::pdf(NULL)
  on.exit(grDevices::dev.off())
  checked <- 0
  for (entry in all_functions()) {
    if (entry$name %in% passed_on) next
    if (!is.na(entry$package) && !requireNamespace(entry$package, quietly = TRUE)) next
    object <- if (!is.na(entry$class)) {
      expect_true(entry$class %in% names(objects), label = paste("an object for", entry$name))
      list(objects[[entry$class]])
    }
    arguments <- c(object, needed(entry$name, objects))
    call_with <- function(more) {
      tryCatch(
        {
          utils::capture.output(suppressMessages(suppressWarnings(
            do.call(entry$f, c(arguments, more))
          )))
          "no error"
        },
        error = identity
      )
    }
    expect_true("..." %in% names(formals(entry$f)), label = paste(entry$name, "has dots"))
    error <- call_with(list(qzjx = 1))
    expect_s3_class(error, "ferrolmm_error_argument")
    expect_match(conditionMessage(error), "no argument `qzjx`", info = entry$name)
    # named up to the last parameter, so that one without a name is left for `...`
    formals <- setdiff(names(formals(entry$f)), "...")
    optional <- formals[vapply(formals, function(name) {
      any(nzchar(deparse(formals(entry$f)[[name]])))
    }, NA)]
    optional <- setdiff(optional, names(arguments))
    defaults <- formals(entry$f)[optional]
    before <- match("...", names(formals(entry$f))) > length(formals)
    if (before && all(vapply(defaults, is.null, NA) | lengths(defaults) == 1L) &&
          length(arguments) + length(optional) == length(formals) &&
          !any(vapply(defaults, is.language, NA))) {
      error <- call_with(c(defaults, list("left over")))
      expect_s3_class(error, "ferrolmm_error")
    }
    checked <- checked + 1
  }
  expect_gt(checked, 100)
})

test_that("no argument of a wrong kind ends in an error of base R", {
  skip_on_cran()
  objects <- objects_by_class()
  grDevices::pdf(NULL)
  on.exit(grDevices::dev.off())
  wrong <- list(
    NULL, NA, "zz", -1, 95, c(0.9, 0.95), list(1), function(x) x, numeric(), Inf, NaN,
    NA_character_, "", data.frame()
  )
  # texts and colours belong to 'graphics', and the arguments of these to other packages
  not_ours <- c("main", "xlab", "ylab", "col", "optional")
  elsewhere <- c("emm_basis.lmm", "lmm", "lmm_moments", "VarCorr", "vcovCR.lmm")
  # what keeps a call short
  quick <- function(name, argument) {
    more <- switch(name, bootstrap.lmm = , confint.lmm = list(nsim = 2), list())
    more[setdiff(names(more), argument)]
  }
  for (entry in all_functions()) {
    if (entry$name %in% c(passed_on, elsewhere)) next
    if (!is.na(entry$package) && !requireNamespace(entry$package, quietly = TRUE)) next
    fixed <- c(
      if (!is.na(entry$class)) list(objects[[entry$class]]), needed(entry$name, objects)
    )
    given <- if (is.null(names(fixed))) length(fixed) else sum(!nzchar(names(fixed)))
    formals <- setdiff(names(formals(entry$f)), "...")
    for (argument in setdiff(formals[seq_along(formals) > given], not_ours)) {
      for (value in wrong) {
        more <- c(stats::setNames(list(value), argument), quick(entry$name, argument))
        if (entry$name == "confint.lmm" && argument %in% c("nsim", "seed", "boot.type", "FUN")) {
          more$method <- "boot"
        } else if (entry$name == "confint.lmm") {
          more$nsim <- NULL
        }
        fixed[[argument]] <- NULL
        arguments <- c(fixed, more)
        error <- tryCatch(
          {
            utils::capture.output(suppressMessages(suppressWarnings(do.call(entry$f, arguments))))
            NULL
          },
          error = identity
        )
        expect_true(
          is.null(error) || inherits(error, "ferrolmm_error") &&
            !inherits(error, "ferrolmm_error_bug"),
          label = paste0(entry$name, "(", argument, " = ", code_label(value), "): ",
                         if (!is.null(error)) conditionMessage(error))
        )
      }
    }
  }
})

test_that("the message names the argument and the nearest one", {
  fit <- our_twin("slope")
  expect_snapshot({
    said(confint(fit, lvel = 0.9))
    said(anova(fit, tpye = 2))
    said(summary(fit, dff = "none"))
    said(residuals(fit, tpye = "pearson"))
    said(influence(fit, gruops = "Subject"))
    said(vcov(fit, type = "sandwich"))
    said(fitted(fit, level = 7))
    said(refit(fit, fit$frame[[1]], weights = 1))
    said(fixef(fit, 3, 4))
    said(getME(fit, "theta", 1:3))
    said(update(fit, wieghts = 2))
    said(update(fit, . ~ ., 2))
    said(lmm_control(optimizer = "bobyqa"))
  })
})

test_that("lmm() says what those want who try its neighbours' arguments", {
  s <- lme4::sleepstudy
  f <- Reaction ~ Days + (1 | Subject)
  expect_snapshot({
    said(lmm(f, s, family = binomial()))
    said(lmm(Reaction ~ Days, s, random = ~ 1 | Subject))
    said(lmm(fixed = Reaction ~ Days, random = ~ 1 | Subject, data = s))
    said(lmm(f, s, method = "ML"))
    said(lmm(f, s, reml = FALSE))
    said(lmm(f, s, nAGQ = 0))
    said(lmm(f, s, wieghts = Days))
  })
})

test_that("arguments of a wrong kind are named in a classed error", {
  fit <- our_twin("slope")
  wrong <- list(
    quote(confint(fit, level = 95)), quote(confint(fit, level = c(0.9, 0.95))),
    quote(confint(fit, level = NA)), quote(confint(fit, level = NULL)),
    quote(confint(fit, method = NA)), quote(confint(fit, method = "walled")),
    quote(confint(fit, oldNames = NA)), quote(confint(fit, nsim = 10)),
    quote(confint(fit, method = "boot", nsim = -1)),
    quote(confint(fit, method = "profile", ddf = "Kenward")),
    quote(confint(fit, method = "boot", nsim = 3, ncpus = 2)),
    quote(simulate(fit, nsim = -1)), quote(simulate(fit, nsim = 1.5)),
    quote(simulate(fit, nsim = NULL)), quote(simulate(fit, seed = "a")),
    quote(simulate(fit, seed = NA)), quote(simulate(fit, use.u = NA)),
    quote(bootstrap(fit, nsim = 0)), quote(bootstrap(fit, 3, seed = "a")),
    quote(bootstrap(fit, 3, FUN = "a")), quote(bootstrap(fit, 3, type = "residual")),
    quote(residuals(fit, type = NA)), quote(residuals(fit, type = NULL)),
    quote(residuals(fit, scaled = NA)),
    quote(predict(fit, interval = "wrong")), quote(predict(fit, level = 95, interval = "conf")),
    quote(anova(fit, type = NA)), quote(anova(fit, type = 4)), quote(anova(fit, ddf = NA)),
    quote(anova(fit, test = "LRT")), quote(anova(fit, fit, test = "F")),
    quote(summary(fit, ddf = 1)), quote(summary(fit, correlation = NA)),
    quote(vcov(fit, full = "a")), quote(fixef(fit, add.dropped = NA)),
    quote(ranef(fit, condVar = NA)), quote(ranef(fit, drop = NULL)),
    quote(logLik(fit, REML = NA)), quote(deviance(fit, REML = "a")),
    quote(VarCorr(fit, sigma = -1)), quote(VarCorr(fit, sigma = "a")), quote(VarCorr(fit, se = NA)),
    quote(formula(fit, fixed.only = NA)), quote(terms(fit, fixed.only = "a")),
    quote(model.matrix(fit, type = "wrong")), quote(weights(fit, type = "working")),
    quote(drop1(fit, test = "wrong")), quote(drop1(fit, k = "a")), quote(drop1(fit, scale = 1)),
    quote(extractAIC(fit, k = NA)), quote(print(fit, digits = NA)),
    quote(print(fit, digits = -1)), quote(print(summary(fit), signif.stars = NA)),
    quote(print(VarCorr(fit), comp = "wrong")), quote(print(VarCorr(fit), comp = NULL)),
    quote(refit(fit, fit$frame[[1]], control = 3)), quote(lmm_control(solver = NA)),
    quote(profile(fit, signames = NA)), quote(profile(fit, alphamax = 2)),
    quote(profile(fit, cutoff = "a")), quote(ranova(fit, nsim = 0)), quote(ranova(fit, seed = NA)),
    quote(as.data.frame(VarCorr(fit), order = "wrong")), quote(isSingular(fit, tol = "a")),
    quote(as.data.frame(ranef(fit), row.names = 1:3)), quote(update(fit, evaluate = NA)),
    quote(equations(fit, digits = NA)), quote(hatvalues(fit, 1)),
    quote(plot(influence(fit, "Subject"), id.n = -1))
  )
  for (call in wrong) {
    expect_error(
      suppressMessages(eval(call)), class = "ferrolmm_error_argument", info = deparse(call)
    )
  }
})

test_that("arguments of emmeans() are taken or named", {
  skip_if_not_installed("emmeans")
  fit <- our_twin("slope")
  expect_equal(
    as.data.frame(emmeans::emmeans(fit, ~ 1, lmer.df = "kenward-roger")),
    as.data.frame(emmeans::emmeans(fit, ~ 1, mode = "kenward-roger"))
  )
  scaled <- function(x, times) times * vcov(x)
  expect_equal(
    as.data.frame(emmeans::emmeans(fit, ~ 1, vcov. = scaled, times = 4))$SE,
    2 * as.data.frame(emmeans::emmeans(fit, ~ 1))$SE
  )
  expect_error(
    emmeans::emmeans(fit, ~ 1, lmer.dff = "a"), "`emmeans\\(\\)` has no argument `lmer.dff`",
    class = "ferrolmm_error_argument"
  )
  expect_error(
    emmeans::emmeans(fit, ~ 1, lmerTest.limits = 5), "lmerTest.limit",
    class = "ferrolmm_error_argument"
  )
})

test_that("messages say what most want who meet them", {
  s <- lme4::sleepstudy
  fit <- our_twin("slope")
  expect_error(predict(fit, data.frame(Days = 3)), "re.form = NA")
  expect_error(lmm(nowhere ~ Days + (1 | Subject)), "forget `data =`")
  s$text <- as.character(s$Reaction)
  s$slow <- factor(ifelse(s$Reaction > 300, "yes", "no"))
  expect_error(lmm(text ~ Days + (1 | Subject), s), "as.numeric", class = "ferrolmm_error_response")
  expect_error(lmm(slow ~ Days + (1 | Subject), s), "glmer", class = "ferrolmm_error_response")
})

test_that("choices may be abbreviated, in capital letters or small ones", {
  fit <- our_twin("slope")
  expect_identical(confint(fit, method = "wald"), confint(fit))
  expect_identical(summary(fit, ddf = "KEN")$ddf, "Kenward-Roger")
  expect_identical(summary(fit, ddf = "satterthwaite")$ddf, "Satterthwaite")
  expect_identical(residuals(fit, "PEARSON"), residuals(fit, "pearson"))
  expect_identical(drop1(fit, test = "chi"), drop1(fit, test = "Chisq"))
})

test_that("arguments that other functions hand on are no mistakes", {
  fit <- our_twin("slope")
  expect_identical(nobs(fit, use.fallback = TRUE), 180L)
  table <- data.frame(ranef(fit))
  expect_identical(table, as.data.frame(ranef(fit)))
  expect_s3_class(as.data.frame(VarCorr(fit), stringsAsFactors = TRUE)$grp, "factor")
  expect_identical(
    rownames(as.data.frame(VarCorr(fit), row.names = letters[1:4])), letters[1:4]
  )
  expect_output(print(ranef(fit), digits = 3))
  expect_output(print(VarCorr(fit), right = TRUE))
  grDevices::pdf(NULL)
  on.exit(grDevices::dev.off())
  expect_silent(plot(fit, which = 1, pch = 2, cex = 0.5))
})

test_that("a function has its own name in a message, whatever its caller calls it", {
  fit <- our_twin("slope")
  expect_error(lapply(list(fit), fixef, foo = 1), "`fixef()` has no argument `foo`", fixed = TRUE)
  mth <- lmm_control
  expect_error(mth(foo = 1), "`lmm_control()` has no argument `foo`", fixed = TRUE)
})

test_that("methods::show() prints what print() prints", {
  fit <- our_twin("slope")
  for (x in list(fit, summary(fit), anova(fit), VarCorr(fit), ranef(fit))) {
    expect_identical(capture.output(methods::show(x)), capture.output(print(x)))
  }
  expect_error(summary(fit, useS4 = FALSE), class = "ferrolmm_error_argument")
})

test_that("what needs a package that is not there says what to do", {
  failure <- expect_error(
    need_package("ferrolmm.absent", "It", or = "do without"), class = "ferrolmm_error_argument"
  )
  expect_match(conditionMessage(failure), "which is not installed", fixed = TRUE)
  expect_match(conditionMessage(failure), "install.packages(\"ferrolmm.absent\")", fixed = TRUE)
  expect_match(conditionMessage(failure), "or do without", fixed = TRUE)
  # one that is there, and cannot be loaded
  library <- tempfile()
  dir.create(file.path(library, "ferrolmm.broken"), recursive = TRUE)
  writeLines(
    c("Package: ferrolmm.broken", "Version: 1.0"),
    file.path(library, "ferrolmm.broken", "DESCRIPTION")
  )
  before <- .libPaths()
  on.exit(.libPaths(before))
  .libPaths(c(library, before))
  failure <- expect_error(
    need_package("ferrolmm.broken", "It"), class = "ferrolmm_error_argument"
  )
  expect_match(conditionMessage(failure), "which cannot be loaded", fixed = TRUE)
  expect_null(need_package("stats", "It"))
})
