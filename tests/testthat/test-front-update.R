test_that("arguments and formula can be changed", {
  sleepstudy <- twin_data()$sleepstudy
  fit <- lmm(Reaction ~ Days + (Days | Subject), sleepstudy)
  expect_false(update(fit, REML = FALSE)$REML)
  smaller <- update(fit, . ~ . - (Days | Subject) + (1 | Subject))
  expect_identical(formula(smaller), Reaction ~ Days + (1 | Subject), ignore_attr = TRUE)
  expect_identical(nobs(update(fit, subset = Days > 2)), 126L)
  weighted <- update(fit, weights = w)
  expect_null(update(weighted, weights = NULL)$prior.weights)
  expect_identical(
    update(fit, REML = FALSE, evaluate = FALSE),
    quote(lmm(formula = Reaction ~ Days + (Days | Subject), data = sleepstudy, REML = FALSE)),
    ignore_formula_env = TRUE, ignore_attr = TRUE
  )
})

test_that("a formula in a variable, data in a function", {
  form <- Reaction ~ Days + (1 | Subject)
  fit_in_function <- function(d) {
    part <- d[d$Days < 8, ]
    lmm(form, part)
  }
  update_in_function <- function(d) {
    fit <- fit_in_function(d)
    part <- d[d$Days < 8, ]
    update(fit, . ~ . + I(Days^2))
  }
  expect_named(fixef(update_in_function(twin_data()$sleepstudy)),
               c("(Intercept)", "Days", "I(Days^2)"))

  closed <- function(d) lmm(Reaction ~ Days + (1 | Subject), d)
  fit <- closed(twin_data()$sleepstudy)
  d <- "not the data"
  expect_false(update(fit, REML = FALSE)$REML)
  other <- twin_data()$sleepstudy[1:100, ]
  expect_identical(nobs(update(fit, data = other)), 100L)
})

test_that("drop1() and step() work through update()", {
  sleepstudy <- twin_data()$sleepstudy
  fit <- lmm(Reaction ~ Days + (1 | Subject), sleepstudy, REML = FALSE)
  table <- drop1(fit, test = "none")
  expect_identical(rownames(table), c("<none>", "Days"))
  expect_equal(table$AIC[[1]], AIC(fit))
  expect_named(fixef(step(fit, trace = 0)), c("(Intercept)", "Days"))
})

test_that("a part of a double bar can be taken away; arguments need names", {
  sleepstudy <- twin_data()$sleepstudy
  fit <- lmm(Reaction ~ Days + (Days || Subject), sleepstudy)
  smaller <- update(fit, . ~ . - (0 + Days | Subject))
  expect_equal(smaller$criterion, lmm(Reaction ~ Days + (1 | Subject), sleepstudy)$criterion)
  expect_error(update(fit, . ~ ., sleepstudy), "no name", class = "ferrolmm_error_argument")
})

# Fits whose calls cannot be read where they are updated
test_that("fits made by lapply(), Map(), do.call(), pipes and wrappers can be updated", {
  s <- lme4::sleepstudy
  s$w <- rep(1:2, 90)
  formulas <- list(Reaction ~ Days + (1 | Subject), Reaction ~ Days + (Days | Subject))
  wanted <- lapply(formulas, function(f) lmm(f, s, REML = FALSE)$criterion)
  expect_updated <- function(fit, number = 1) {
    expect_identical(fit$call[[1]], quote(lmm))
    expect_equal(update(fit, REML = FALSE)$criterion, wanted[[!!number]])
    expect_equal(
      suppressMessages(drop1(fit, test = "Chisq"))["Days", "Df"], 1
    )
  }
  fits <- lapply(formulas, lmm, data = s)
  expect_updated(fits[[1]])
  expect_updated(fits[[2]], 2)
  # the data of each, not of the last one
  halves <- list(s[s$Days < 5, ], s[s$Days > 4, ])
  by_data <- lapply(halves, lmm, formula = formulas[[1]])
  for (i in 1:2) {
    expect_equal(
      update(by_data[[i]], REML = FALSE)$criterion,
      lmm(formulas[[1]], halves[[i]], REML = FALSE)$criterion
    )
  }
  expect_updated(Map(lmm, formulas, list(s))[[2]], 2)
  inline <- do.call(lmm, list(formulas[[1]], data = s))
  expect_updated(inline)
  expect_lt(sum(nchar(capture.output(print(inline), print(summary(inline))))), 3000)
  expect_updated(do.call("lmm", list(formulas[[1]], quote(s))))
  expect_updated(s |> lmm(formulas[[1]], data = _))
  wrapper <- function(fo, da, ...) lmm(fo, data = da, ...)
  outer <- function(...) wrapper(...)
  expect_updated(wrapper(formulas[[1]], s))
  expect_updated(outer(formulas[[1]], s))
  weighted <- outer(formulas[[1]], s, weights = w)
  expect_equal(
    update(weighted, REML = FALSE)$criterion,
    lmm(formulas[[1]], s, weights = w, REML = FALSE)$criterion
  )
  local_data <- function() {
    mine <- s
    lmm(Reaction ~ Days + (1 | Subject), mine)
  }
  expect_updated(local_data())
  global <- formulas[[1]]
  environment(global) <- globalenv()
  inner <- function() {
    mine <- s
    lmm(global, mine)
  }
  expect_updated(inner())
  expect_updated(ferrolmm::lmm(formulas[[1]], s) |> (\(fit) {
    fit$call[[1]] <- quote(lmm)
    fit
  })())
  skip_if_not_installed("purrr")
  expect_updated(purrr::map(formulas, lmm, data = s)[[2]], 2)
  expect_updated(purrr::map(list(s), ~ lmm(Reaction ~ Days + (1 | Subject), data = .x))[[1]])
})

test_that("a fit keeps the data only where their name has no meaning", {
  s <- lme4::sleepstudy
  plain <- lmm(Reaction ~ Days + (1 | Subject), s)
  expect_null(plain$env)
  expect_identical(plain$call$data, quote(s))
  by_list <- lapply(list(s), lmm, formula = Reaction ~ Days + (1 | Subject))[[1]]
  expect_identical(get(as.character(by_list$call$data), by_list$env), s)
  back <- unserialize(serialize(by_list, NULL))
  expect_equal(update(back, REML = FALSE)$criterion, update(plain, REML = FALSE)$criterion)
})

test_that("step() finds the data of fits that were made elsewhere", {
  s <- lme4::sleepstudy
  s$noise <- sin(seq_len(nrow(s)))
  fits <- lapply(
    list(s), function(mine) lmm(Reaction ~ Days + noise + (1 | Subject), mine, REML = FALSE)
  )
  chosen <- step(fits[[1]], trace = 0)
  expect_identical(labels(terms(chosen)), "Days")
  by_name <- lapply(list(s), lmm, formula = Reaction ~ Days + noise + (1 | Subject), REML = FALSE)
  expect_equal(step(by_name[[1]], trace = 0)$criterion, chosen$criterion)
})

test_that("a fit works in a session where the package is loaded and not attached", {
  skip_on_cran()
  file <- tempfile(fileext = ".rds")
  on.exit(unlink(file))
  saveRDS(lapply(list(lme4::sleepstudy), lmm, formula = Reaction ~ Days + (1 | Subject)), file)
  code <- sprintf(
    "fit <- readRDS('%s')[[1]]; invisible(loadNamespace('ferrolmm')); print(fit); cat(
      update(fit, REML = FALSE)$criterion, nrow(stats::anova(fit)))", file
  )
  out <- system2(
    file.path(R.home("bin"), "Rscript"), c("--vanilla", "-e", shQuote(code)), stdout = TRUE,
    env = paste0("R_LIBS=", paste(.libPaths(), collapse = .Platform$path.sep))
  )
  criterion <- lmm(Reaction ~ Days + (1 | Subject), lme4::sleepstudy, REML = FALSE)$criterion
  last <- scan(text = out[length(out)], quiet = TRUE)
  expect_equal(last, c(criterion, 1), tolerance = 1e-6)
})

test_that("NULL takes an argument out, or leaves out one that the call has not", {
  fit <- our_twin("slope")
  expect_identical(fixef(update(fit, start = NULL)), fixef(fit))
  weighted <- update(fit, weights = seq_len(180))
  expect_equal(fixef(update(weighted, weights = NULL)), fixef(fit))
})

test_that("update(devFunOnly = TRUE) is the criterion of the changed model", {
  fit <- our_twin("slope")
  criterion <- update(fit, devFunOnly = TRUE)
  expect_equal(criterion(fit$theta), fit$criterion)
  smaller <- update(fit, . ~ . - (Days | Subject) + (1 | Subject), REML = FALSE, devFunOnly = TRUE)
  refitted <- update(fit, . ~ . - (Days | Subject) + (1 | Subject), REML = FALSE)
  expect_equal(smaller(refitted$theta), -2 * as.numeric(logLik(refitted)))
  only <- FALSE
  expect_s3_class(update(fit, devFunOnly = only), "lmm")
  expect_error(update(fit, devFunOnly = "yes"), class = "ferrolmm_error_argument")
  expect_error(
    update(fit, devFunOnly = TRUE, evaluate = FALSE), class = "ferrolmm_error_argument"
  )
})
