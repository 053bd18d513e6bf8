# What a call ended in.
#
#   ok          a value without NaN
#   refused     an error of class ferrolmm_error that is known to be right, see accepted_refusals
#   warned      a value with a warning of class ferrolmm_warning
#   and the failures: bug, base-error, base-warning, nan, difference, crash, hang, refusal (an error
#   of class ferrolmm_error that nothing here explains), oracle (a fault of the tester itself)

failures <- c("bug", "base-error", "base-warning", "nan", "difference", "crash", "hang", "refusal",
              "oracle")

# Errors of ours that are answers, by their text, with the condition on the problem and on the fit
# (NULL for lmm()) under which they are; every other refusal is a failure.
accepted_refusals <- list(
  # what is not defined
  list("The leverage of a row is not defined for a model with correlated residuals",
       function(p, fit) !is.null(p$residual$correlation)),
  list("Only whole groups of correlated residuals can be deleted",
       function(p, fit) !is.null(p$residual$correlation)),
  list("is for models with subjects, and|is for nested groups, and"),
  list(paste0("There are no independent clusters|clusters? for [0-9]+ coefficients?: type|",
              "alone determines|The model has no terms: `test` must|has more than one effect|",
              "there is no one heritability|The variance of the term is zero: the heritability")),
  list("is not for structured residuals beside a known matrix",
       function(p, fit) !is.null(fit$residual) && !all(vapply(fit$precision, is.null, NA))),
  list("pooling\\(\\) is not defined for a model with correlated residuals",
       function(p, fit) !is.null(p$residual$correlation)),
  list("is defined where theta holds the entries of the covariance factors",
       function(p, fit) any(vapply(p$random, function(t) {
         t$structure != "us" || !is.null(t$known)
       }, NA))),
  list("pb_test\\(\\) needs variances that do not depend on the fitted values",
       function(p, fit) uses_fitted(p)),
  list(paste0("needs a model with random effects|[Tt]here are no random effects|",
              "has no random effects|must name one grouping factor"),
       function(p, fit) length(p$random) == 0L),
  list("must have more parameters than"),
  list("No predictor varies within groups"),
  list("There is nothing to profile",
       function(p, fit) is_constrained(p) || isSingular(fit) || !is_settled(fit)),
  # models that ask for more than the data have; a subset or missing values may leave few rows
  list("The model has [0-9]+ parameters for [0-9]+ observations", function(p, fit) few_rows(p)),
  list("has [0-9]+ parameters for [0-9]+ observations", function(p, fit) few_rows(p)),
  list("leave no residual degrees of freedom", function(p, fit) few_rows(p)),
  list("has [0-9]+ random effects for [0-9]+ observations", function(p, fit) few_rows(p)),
  list("has as many levels \\([0-9]+\\) as there are observations"),
  list("has only one level"),
  list("there are no covariances that differ by it", function(p, fit) one_class(p)),
  list("has a correlation for each lag, and no two rows"),
  list("has more than one row: there is no correlation", function(p, fit) lone_rows(p)),
  list("has a variance for each level of .* and no row has", function(p, fit) unused_visits(p)),
  list("The model reproduces the response exactly", function(p, fit) may_be_perfect(p, fit)),
  list("names no parameter of the model", function(p, fit) is_constrained(p)),
  list("Variable .* not found", function(p, fit) !is.null(p$closed)),
  # a response of zero draws its fitted value to zero, and with it the variance
  list("varPower\\(\\) of the fitted values, which is zero", function(p, fit) {
    uses_fitted(p) && any(oracle_frame(p)[[1L]] == 0)
  }),
  # covariates many of their standard deviations from where the function is 1
  list("has its 1 so far from all rows", function(p, fit) {
    has_far_covariate(p) || !is.null(fit) && !is_settled(fit)
  }),
  # equal negative correlations of more rows than a group of the fit has
  list("cannot have the residual correlation of the fit|cannot be one more row of",
       function(p, fit) !is.null(fit) && any(fit$phi < 0)),
  # dates have no squares and sums of them no meaning
  list("could not be evaluated", function(p, fit) isTRUE(p$uses_class)),
  # update() without a term uses rows that the term had missing
  list("The models are not of the same data|must be fits of the same response and rows",
       function(p, fit) anyNA(p$data)),
  # new rows at visits, or with levels, that the fit has not
  list("has new levels of the factor"),
  list("has rows without a place in", function(p, fit) !is.null(p$residual$correlation)),
  list("needs each time once in a group", function(p, fit) !is.null(p$residual$correlation)),
  list("Kenward-Roger's method does not determine the covariance matrix",
       function(p, fit) few_levels(fit) || no_covariance(fit)),
  # a fit that was warned of, as at a likelihood without bound
  list("broke down numerically", function(p, fit) !is.null(fit) && !is_settled(fit)),
  list("give no positive definite matrix|Impossible values of the residual parameters",
       function(p, fit) !is.null(fit) && !is_settled(fit))
)

is_constrained <- function(p) {
  !is.null(p$hold) || !is.null(p$tie) || !is.null(p$sigma) || isTRUE(p$residual$correlation$fixed)
}

# What covariances differ by: of each term, and of the residuals
class_columns <- function(p) {
  Filter(length, c(lapply(p$random, `[[`, "by"), list(p$residual$correlation$by)))
}

# Subset or missing values leave one class
one_class <- function(p) {
  frame <- oracle_frame(p)
  any(vapply(class_columns(p), function(by) max(ordered_codes(frame[by])) == 1L, NA))
}

# The frame, and where covariances differ by something its rows in each class
frames_of_classes <- function(p) {
  frame <- oracle_frame(p)
  c(list(frame), unlist(lapply(class_columns(p), function(by) {
    split(frame, ordered_codes(frame[by]))
  }), recursive = FALSE))
}

# Fewer than three rows for each coefficient and random effect of the largest term
few_rows <- function(p) {
  tryCatch({
    whole <- oracle_frame(p)
    X <- stats::model.matrix(stats::terms(fixed_formula(p)), whole)
    own <- if (is.null(p$residual)) 0 else 2 * nlevels(p$data[["tf"]])^2
    any(vapply(frames_of_classes(p), function(frame) {
      effects <- vapply(expand_terms(p$random), function(term) {
        z <- term_design(term, frame)
        as.double(ncol(z$basis) * z$levels)
      }, 1)
      nrow(frame) < 3 * (ncol(X) + max(effects, 0) + own)
    }, NA))
  }, error = function(e) TRUE)
}

# X and Z reproduce the response, or the variances of some rows can vanish: the likelihood may have
# no bound; or the fit said that it is not to be trusted
may_be_perfect <- function(p, fit) {
  p$perfect || !is.null(fit) && !is_settled(fit) || !false_perfect_fit(p) ||
    length(p$residual$scales) > 0L || !is.null(p$residual$correlation) && few_rows(p)
}

# exp(delta v), or |v|^delta, with v (log |v|) further from zero than 50 times its spread
has_far_covariate <- function(p) {
  frame <- oracle_frame(p)
  of_numbers <- Filter(function(scale) scale$type != "ident", p$residual$scales)
  any(vapply(of_numbers, function(scale) {
    v <- if (isTRUE(scale$fitted)) frame[[1L]] else frame[[scale$covariate]]
    if (scale$type != "exp") v <- log(abs(v))
    abs(mean(v)) > 50 * stats::sd(v)
  }, NA))
}

# Kenward and Roger's sums need more levels than effects
few_levels <- function(fit) {
  isSingular(fit) || any(vapply(fit$flist, nlevels, 1L) < 8L) || !is_settled(fit)
}

# What the method gives is no covariance matrix: components that the data hardly determine
no_covariance <- function(fit) {
  adjusted <- ferrolmm:::ddf_for(fit, "Kenward-Roger")$variance
  isTRUE(fit$certificate$residual_zero) || anyNA(adjusted) || any(eigen(adjusted)$values <= 0)
}

# Each group of correlated residuals is one row, in all or in a class of groups
lone_rows <- function(p) {
  any(vapply(frames_of_classes(p), function(frame) {
    !anyDuplicated(frame[p$residual$correlation$groups])
  }, NA))
}

# A visit of which subset or missing values leave no row
unused_visits <- function(p) {
  frame <- oracle_frame(p)
  any(vapply(names(frame), function(name) nlevels(frame[[name]]) < nlevels(p$data[[name]]), NA))
}

# A refusal that nothing explains is a failure
judge_refusal <- function(result, p, fit) {
  if (result$outcome != "refused" || grepl(foreign_errors, result$message)) return(result)
  right <- any(vapply(c(accepted_refusals, restricted_refusals), function(one) {
    grepl(one[[1L]], result$message) && (length(one) < 2L || isTRUE(one[[2L]](p, fit)))
  }, NA))
  if (!right) result$outcome <- "refusal"
  result
}

# Warnings of others about what was asked for, which are no fault of ours
foreign_warnings <- c("^variable '.*' is not a factor$")

# Errors of others: emmeans does not build every grid
foreign_errors <- c("^Something went wrong:")

# Evaluate; list(outcome, class, message, value, warnings)
observe <- function(expr, env) {
  warnings <- list()
  value <- withCallingHandlers(
    tryCatch(
      list(value = eval(expr, env)),
      error = function(e) e,
      interrupt = function(e) simpleError("interrupted")
    ),
    warning = function(w) {
      warnings[[length(warnings) + 1L]] <<- w
      invokeRestart("muffleWarning")
    },
    message = function(m) invokeRestart("muffleMessage")
  )
  foreign <- Filter(function(w) {
    !inherits(w, "ferrolmm_warning") && !any(vapply(foreign_warnings, grepl, NA, conditionMessage(w)))
  }, warnings)
  result <- if (inherits(value, "condition")) {
    ours <- inherits(value, "ferrolmm_error") ||
      any(vapply(foreign_errors, grepl, NA, conditionMessage(value)))
    outcome <- if (inherits(value, "ferrolmm_error_bug")) "bug" else if (ours) "refused" else
      "base-error"
    list(outcome = outcome, class = class(value)[[1L]], message = first_line(value))
  } else if (length(foreign) > 0L) {
    list(outcome = "base-warning", class = class(foreign[[1L]])[[1L]],
         message = first_line(foreign[[1L]]), value = value$value)
  } else if (has_nan(value$value)) {
    list(outcome = "nan", class = "", message = "NaN in the value", value = value$value)
  } else if (length(warnings) > 0L) {
    list(outcome = "warned", class = intersect(
      c("ferrolmm_warning_duplicate_term", class(warnings[[1L]])[[1L]]),
      unlist(lapply(warnings, class))
    )[[1L]],
         message = first_line(warnings[[1L]]), value = value$value)
  } else {
    list(outcome = "ok", class = "", message = "", value = value$value)
  }
  result$error <- inherits(value, "condition")
  if (result$outcome == "nan" && explained_nan(expr, env)) result$outcome <- "ok"
  result
}

# As in lm(), a residual that cannot vary has no standardised value: leverage 1. As in lme4, an effect
# without variance has no correlation.
explained_nan <- function(expr, env) {
  standardised <- is.call(expr) && (
    head_of(expr) %in% c("rstandard", "rstudent") ||
      head_of(expr) == "residuals" && startsWith(as.character(expr$type), "std_")
  )
  if (is.call(expr) && grepl("VarCorr", head_of(expr), fixed = TRUE)) {
    return(isSingular(env$fit, 1e-8))
  }
  standardised && tryCatch(any(hatvalues(env$fit) > 1 - 1e-8, na.rm = TRUE), error = function(e) FALSE)
}

first_line <- function(condition) {
  text <- tryCatch(conditionMessage(condition), error = function(e) "?")
  strsplit(text, "\n", fixed = TRUE)[[1L]][1L]
}

has_nan <- function(x, depth = 0L) {
  if (is.double(x)) return(any(is.nan(unclass(x))))
  if (isS4(x)) return(methods::.hasSlot(x, "x") && any(is.nan(x@x)))
  if (is.list(x) && depth < 6L) {
    for (one in unclass(x)) if (has_nan(one, depth + 1L)) return(TRUE)
  }
  FALSE
}

# The kind of a failure: what was called, how it ended, the text without its names and numbers
signature_of <- function(result) {
  text <- result$message
  text <- gsub("`[^`]*`|\"[^\"]*\"|'[^']*'", "_", text)
  text <- gsub("[-+]?[0-9][0-9.,]*([eE][-+]?[0-9]+)?", "#", text)
  paste(result$outcome, result$head, substr(text, 1L, 110L), sep = " | ")
}

head_of <- function(call) {
  if (!is.call(call)) return(as.character(call))
  head <- call[[1L]]
  name <- if (is.call(head)) as.character(head[[3L]]) else as.character(head)
  inner <- if (length(call) > 1L && is.call(call[[2L]]) &&
                 name %in% c("print", "as.data.frame", "plot", "summary", "coef", "vcov")) {
    paste0("(", head_of(call[[2L]]), ")")
  }
  paste0(name, inner)
}
