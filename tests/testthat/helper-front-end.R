# The way of lmm() up to the engine: list(model, frame, fixed, random)
front_end <- function(formula, data = NULL, ..., contrasts = NULL, na.action = stats::na.omit) {
  caller <- parent.frame()
  given <- lapply(as.list(substitute(list(...)))[-1L], function(e) {
    unevaluated(e, function() eval(e, caller))
  })
  spec <- read_residual(given, data, environment(formula), caller)
  if (spec_has_variances(spec)) given$weights <- NULL
  model <- parse_formula(formula, data, caller, spec)
  model$bars <- find_known(model$bars, data, model$env, caller)
  frame <- build_frame(model, data, given, na.action, caller, group_columns(spec))
  fixed <- build_fixed(model, frame, contrasts)
  random <- build_random(model, frame, NULL, lmm_control())
  residual <- build_residual(spec, frame, random)
  check_identifiable(residual, frame, random, lmm_control())
  # what the engine reads in place, as plain matrix and vectors
  fixed$X <- structure(
    columns_matrix(fixed$X, .row_names_info(frame, 2L)), dimnames = list(NULL, fixed$names),
    assign = fixed$assign, contrasts = fixed$contrasts
  )
  in_place <- random$design
  random$design <- random_design(
    random$terms, random$flist, frame, random$precision, random$members
  )
  list(
    model = model, in_place = in_place, frame = frame, fixed = fixed, random = random,
    residual = residual,
    design = residual_design(residual, frame)
  )
}

# What lme4 makes of the same model, its checks off
lme4_front_end <- function(formula, data, ...) {
  off <- lme4::lmerControl(
    check.rankX = "ignore", check.nobs.vs.nRE = "ignore", check.nobs.vs.nlev = "ignore",
    check.nlev.gtr.1 = "ignore", check.scaleX = "ignore"
  )
  suppressWarnings(suppressMessages(lme4::lFormula(formula, data, ..., control = off)))
}

without_brackets <- function(x) {
  if (!is.null(names(x)) && utils::packageVersion("lme4") >= "2.0") {
    names(x) <- gsub("[()]", "", names(x))
  }
  x
}

# Every part that both have, to the bit
expect_same_design <- function(formula, data, contrasts = NULL) {
  theirs <- lme4_front_end(formula, data, contrasts = contrasts)
  ours <- front_end(formula, data, contrasts = contrasts)
  info <- paste(deparse(formula), collapse = " ")
  X <- theirs$X
  testthat::expect_identical(c(X), c(ours$fixed$X), info = info)
  testthat::expect_identical(colnames(X), colnames(ours$fixed$X), info = info)
  testthat::expect_identical(attr(X, "assign"), attr(ours$fixed$X, "assign"), info = info)
  testthat::expect_identical(
    unname(as.matrix(theirs$reTrms$Zt)),
    t(dense_z(ours$random$design, nrow(X))), info = info
  )
  for (part in c("cnms", "Gp", "lower", "flist")) {
    # lme4 1.x names the grouping factor of (1 | a/b/c) c:(b:a), 2.x c:b:a
    testthat::expect_identical(
      without_brackets(ours$random[[part]]), without_brackets(theirs$reTrms[[part]]), info = info
    )
  }
  testthat::expect_identical(names(ours$frame), names(theirs$fr), info = info)
  testthat::expect_identical(row.names(ours$frame), row.names(theirs$fr), info = info)
  testthat::expect_identical(
    ours$fixed$y, as.double(stats::model.response(theirs$fr)), info = info
  )
  testthat::expect_identical(
    random_design(
      ours$random$terms, ours$random$flist, ours$frame, ours$random$precision,
      ours$random$members, in_place = TRUE
    ),
    ours$in_place, info = info
  )
}
