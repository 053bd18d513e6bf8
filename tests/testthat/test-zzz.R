test_that("S3 generics are told from plain functions", {
  expect_true(is_s3_generic("update", asNamespace("stats")))
  expect_false(is_s3_generic("lm", asNamespace("stats")))
  expect_false(is_s3_generic("no such thing", asNamespace("stats")))
})

test_that("an S4 generic with an S3 default is an S3 generic, as isSingular() in lme4 2.0", {
  home <- new.env(parent = globalenv())
  home$shape <- function(x, ...) UseMethod("shape")
  methods::setGeneric("shape", where = home)
  expect_true(is_s3_generic("shape", home))
})

test_that("an action runs at once when the package is loaded", {
  ran <- FALSE
  when_loaded("stats", function() ran <<- TRUE)
  expect_true(ran)
})

test_that("unloading leaves nothing behind that reaches into the library", {
  skip_on_cran()
  run <- rscript("
    suppressPackageStartupMessages(library(lme4))
    fit <- lmm(Reaction ~ Days + (Days | Subject), sleepstudy)
    keep <- lmm
    is_there <- function() 'ferrolmm' %in% names(getLoadedDLLs())
    for (round in 1:3) {
      stopifnot(is_there())
      detach('package:ferrolmm', unload = TRUE)
      stopifnot(!is_there(), !isNamespaceLoaded('ferrolmm'))
      stopifnot(is.null(getS3method('VarCorr', 'lmm', optional = TRUE)))
      ## a function that is kept fails in words, or R loads what it needs again
      ended <- tryCatch(keep(Reaction ~ Days + (Days | Subject), sleepstudy), error = identity)
      stopifnot(inherits(ended, c('ferrolmm_error_unloaded', 'lmm')))
      invisible(try(fixef(fit), silent = TRUE))
      invisible(capture.output(print(class(summary(fit)))))
      if (round == 1) loadNamespace('lmerTest')
      library(ferrolmm)
      keep <- lmm
      stopifnot(
        identical(fixef(fit), fixef(lmm(Reaction ~ Days + (Days | Subject), sleepstudy))),
        length(capture.output(print(summary(fit)))) > 10
      )
    }
    cat('loaded again\\n')
  ")
  expect_identical(run$status, 0L, info = paste(readLines(run$output), collapse = "\n"))
  expect_match(readLines(run$output), "loaded again", all = FALSE)
})
