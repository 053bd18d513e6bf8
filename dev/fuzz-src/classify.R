# What a call ended in.
#
#   ok          a value without NaN
#   refused     an error of class ferrolmm_error, its last class and text counted
#   warned      a value with a warning of class ferrolmm_warning
#   and the failures: bug, base-error, base-warning, nan, difference, crash, hang, oracle (a fault of
#   the tester itself)

failures <- c("bug", "base-error", "base-warning", "nan", "difference", "crash", "hang", "oracle",
              "time")

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
