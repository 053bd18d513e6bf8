#' Test linear hypotheses of the fixed effects
#'
#' Tests `L %*% beta = rhs`: all rows together by an F test, or each row by a t test with its
#' estimate and confidence interval.
#'
#' Rows of `L` that are linear combinations of others do no harm: the F test has as many numerator
#' degrees of freedom as there are independent rows. Hypotheses that contradict each other are an
#' error.
#'
#' With 'lmerTest' loaded, `contest()` also works for its models, and its functions `contest()`,
#' `contest1D()` and `contestMD()` for models of [lmm()].
#'
#' @param model A model fitted by [lmm()].
#' @param L The hypotheses: a matrix with a row for each and a column for each coefficient (or for
#'   each one that was not dropped because of rank deficiency), a vector for one of them, or a
#'   matrix or vector whose names are some of the coefficients; or a character vector of equations
#'   in the coefficients, such as `"age = 1"` or `"2 * a - b"`, which without `=` are tested against
#'   zero. A list of those gives a row of the result for each of its elements.
#' @param rhs The right-hand sides, one or as many as rows. Equations have their own.
#' @param joint Test the rows together (`TRUE`) or each by itself?
#' @param confint Add confidence limits, when the rows are tested each by itself?
#' @param level The confidence level.
#' @param ddf The method for the degrees of freedom, see [ddf]: `r ddf_choices()`.
#' @param vcov,cluster Another covariance matrix than the model's: a type of [robust] matrix, such
#'   as `"CR2"`, with its clusters; a matrix, or a function that makes one of the fit.
#' @param ... Passed to methods.
#' @returns A data frame. Joint: one row with the columns `Sum Sq`, `Mean Sq`, `NumDF`, `DenDF`,
#'   `F value` and `Pr(>F)`. Row by row: `Estimate`, `Std. Error`, `df`, `t value`, `lower`, `upper`
#'   and `Pr(>|t|)`.
#' @seealso [anova.lmm()], [ddf], [robust], [emmeans-lmm] for marginal means.
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age * Sex + (age | Subject), Orthodont)
#' contest(fit, c(0, 1, 0, 0))
#' contest(fit, c("age = 1", "`age:SexFemale` = 0"))
#' contest(fit, c(girls = "age + age:SexFemale", boys = "age"), joint = FALSE)
#' @export
contest <- function(model, L, ...) UseMethod("contest")

#' @export
contest.default <- function(model, L, ...) {
  hand_over("contest", model, L = L, ..., package = "lmerTest")
}

#' @rdname contest
#' @export
contest.lmm <- function(model, L, rhs = 0, joint = TRUE, confint = TRUE, level = 0.95,
                        ddf = "Satterthwaite", vcov = NULL, cluster = NULL, ...) {
  check_dots(...)
  check_flag(joint, "joint")
  check_flag(confint, "confint")
  check_level(level)
  inference <- ddf_for(model, match_ddf(ddf), vcov, cluster)
  sets <- if (is.list(L) && !is.data.frame(L)) L else list(L)
  tables <- lapply(sets, function(L) {
    if (joint) {
      contest_joint(inference, L, rhs)
    } else {
      row_table(inference, contrast_matrix(L, rhs, inference$object), confint, level)
    }
  })
  do.call(rbind, tables)
}

#' One joint test of hypotheses that a user gives
#' @noRd
contest_joint <- function(inference, L, rhs) {
  hypotheses <- contrast_matrix(L, rhs, inference$object)
  check_contradiction(hypotheses, inference)
  hypotheses <- orthonormal_rows(hypotheses, inference$variance)
  test_joint(inference, hypotheses$L, hypotheses$rhs)
}

#' @noRd
contest1D.lmm <- function(model, L, rhs = 0,
                          ddf = "Satterthwaite",
                          confint = FALSE, level = 0.95, ...) {
  check_dots(...)
  contest.lmm(model, L, rhs, joint = FALSE, confint = confint, level = level, ddf = match_ddf(ddf))
}

#' @noRd
contestMD.lmm <- function(model, L, rhs = 0,
                          ddf = "Satterthwaite", ...) {
  check_dots(...)
  contest.lmm(model, L, rhs, joint = TRUE, ddf = match_ddf(ddf))
}

#' @noRd
row_table <- function(inference, hypotheses, confint, level) {
  tests <- test_rows(inference, hypotheses$L, hypotheses$rhs)
  table <- data.frame(
    Estimate = tests$estimate, "Std. Error" = tests$se, df = tests$df,
    "t value" = tests$statistic, check.names = FALSE
  )
  if (confint) {
    half <- half_widths(inference, tests, level)
    table$lower <- tests$estimate - half
    table$upper <- tests$estimate + half
  }
  table[["Pr(>|t|)"]] <- tests$p
  names <- rownames(hypotheses$L)
  if (!is.null(names)) {
    rownames(table) <- make.unique(names)
  }
  table
}

#' Half the widths of the intervals of tests of rows
#'
#' By the normal quantile where a method has no degrees of freedom at all ("none"); a test whose
#' degrees of freedom are not determined has no interval.
#' @param tests what [test_rows()] returns.
#' @noRd
half_widths <- function(inference, tests, level) {
  df <- tests$df
  if (inference$statistic == "none") df[] <- Inf
  t_quantile(level, df) * tests$se
}

#' Half the width of an interval in standard errors
#' @noRd
t_quantile <- function(level, df) stats::qt((1 + level) / 2, df)

# Hypotheses -------------------------------------------------------------------------------------

#' What a user gives as L, as a matrix with a column for each kept coefficient
#'
#' @returns list(L, rhs), `rhs` as long as L has rows
#' @noRd
contrast_matrix <- function(L, rhs, object) {
  if (is.character(L)) {
    if (anyNA(L) || !all(nzchar(trimws(L)))) {
      ferrolmm_abort("`L` has an equation that is empty or missing.", "argument")
    }
    equations <- read_equations(L, names(object$coefficients), coefficient_details(object))
  } else {
    L <- full_contrasts(L, object)
    equations <- NULL
  }
  if (!is.numeric(rhs) || anyNA(rhs) || !length(rhs) %in% c(1L, NROW(L))) {
    ferrolmm_abort(
      paste0("`rhs` must be one number, or one for each of the ", count_of(NROW(L), "row"),
             " of `L`."),
      "argument"
    )
  }
  if (!is.null(equations)) {
    if (any(rhs != 0) && any(grepl("=", L, fixed = TRUE))) {
      ferrolmm_abort(
        "The equations of `L` have right sides: `rhs` cannot be given beside them.", "argument"
      )
    }
    rhs <- equations$rhs + rhs
    L <- equations$L
  }
  list(L = drop_aliased(L, object), rhs = rep_len(rhs, nrow(L)))
}

#' @noRd
full_contrasts <- function(L, object) {
  if (is.data.frame(L)) {
    L <- as.matrix(L)
  }
  if (!is.numeric(L) || !all(is.finite(L)) || length(dim(L)) > 2L) {
    ferrolmm_abort(
      "`L` must be a numeric matrix or vector without missing values, or equations.", "argument",
      i = "For instance contest(fit, \"x = 0\")."
    )
  }
  if (is.null(dim(L))) {
    L <- matrix(L, 1L, dimnames = list(NULL, names(L)))
  }
  known <- names(object$coefficients)
  kept <- kept_columns(object)
  p <- length(known)
  named <- !is.null(colnames(L))
  if (!named && ncol(L) == p || named && identical(colnames(L), known)) {
    return(L)
  }
  columns <- if (named && !identical(colnames(L), known[kept])) {
    match(colnames(L), known)
  } else if (ncol(L) == length(kept)) {
    kept
  }
  if (is.null(columns)) {
    ferrolmm_abort(
      paste0("`L` has ", count_of(ncol(L), "column"), ", the model has ",
             count_of(p, "coefficient"), "."),
      "argument", i = "Give a column for each coefficient, or name the columns."
    )
  }
  if (anyNA(columns)) {
    unknown <- colnames(L)[is.na(columns)]
    if (ncol(L) == p) {
      return(unname(L))
    }
    abort_unknown_coefficient(unknown, known)
  }
  if (named && anyDuplicated(columns)) {
    ferrolmm_abort(
      paste0("`L` has more than one column called ",
             quote_names(unique(colnames(L)[duplicated(colnames(L))])), "."),
      "argument"
    )
  }
  if (named && !identical(columns, kept)) {
    check_unambiguous(colnames(L), known, "L", "coefficient", coefficient_details(object))
  }
  full <- matrix(0, nrow(L), p, dimnames = list(rownames(L), NULL))
  full[, columns] <- L
  full
}

#' @noRd
abort_unknown_coefficient <- function(unknown, known) {
  ferrolmm_abort(
    paste0("There is no coefficient ", quote_names(unknown), "."), "argument",
    i = c(did_you_mean(unknown[[1L]], known),
          paste0("The model has ", quote_names(known, 8L), "."))
  )
}

#' Leave out the columns of dropped coefficients, after checking that the hypotheses can be
#' estimated without them
#' @noRd
drop_aliased <- function(L, object) {
  kept <- kept_columns(object)
  dropped <- setdiff(seq_len(ncol(L)), kept)
  rows <- which(rowSums(L[, dropped, drop = FALSE] != 0) > 0)
  if (length(rows) > 0L) {
    lost <- rows[!is_estimable(L[rows, , drop = FALSE], unestimable_space(object))]
    if (length(lost) > 0L) {
      ferrolmm_abort(
        paste0("`L` asks for ", if (length(lost) > 1L) "combinations" else "a combination",
               " of coefficients that cannot be estimated",
               if (nrow(L) > 1L) paste0(", in row ", toString(lost)), "."),
        "argument",
        x = paste0("Dropped for want of rank: ",
                   quote_names(names(object$coefficients)[dropped]), "."),
        rows = lost
      )
    }
  }
  L[, kept, drop = FALSE]
}

#' @noRd
check_contradiction <- function(hypotheses, inference) {
  L <- hypotheses$L
  rows <- independent_rows(L, inference$variance)
  others <- setdiff(seq_len(nrow(L)), rows)
  if (length(others) == 0L || all(hypotheses$rhs == 0)) {
    return(invisible())
  }
  implied <- numeric(length(others))
  if (length(rows) > 0L) {
    weights <- qr.coef(qr(t(L[rows, , drop = FALSE])), t(L[others, , drop = FALSE]))
    implied <- drop(crossprod(weights, hypotheses$rhs[rows]))
  }
  scale <- 1e-7 * max(1, abs(hypotheses$rhs))
  wrong <- others[abs(hypotheses$rhs[others] - implied) > scale]
  if (length(wrong) > 0L) {
    ferrolmm_abort(
      "The hypotheses contradict each other.", "argument",
      x = paste0("Row ", wrong[[1L]], " of `L` follows from other rows, with another value in ",
                 "`rhs`.")
    )
  }
}

# Equations ----------------------------------------------------------------------------------------

#' Equations that are linear in the coefficients, as a matrix and a right-hand side
#'
#' Names of coefficients stand for themselves, in backticks or not; the longest match first, so that
#' `a:b` is not read as `a`.
#' @param details what tells coefficients of the same name apart.
#' @noRd
read_equations <- function(text, known, details = NULL) {
  p <- length(known)
  L <- matrix(0, length(text), p)
  rhs <- numeric(length(text))
  for (i in seq_along(text)) {
    sides <- strsplit(mark_names(text[[i]], known, details), "=", fixed = TRUE)[[1L]]
    if (length(sides) > 2L) {
      abort_equation(text[[i]], "it has more than one `=`")
    }
    linear <- lapply(sides, read_linear, known = known, text = text[[i]])
    whole <- if (length(linear) == 2L) linear[[1L]] - linear[[2L]] else linear[[1L]]
    L[i, ] <- whole[-1L]
    rhs[[i]] <- -whole[[1L]]
  }
  given <- if (is.null(names(text))) character(length(text)) else names(text)
  rownames(L) <- ifelse(nzchar(given), given, text)
  list(L = L, rhs = rhs)
}

#' Put a mark in place of each name of a coefficient: as it is, then without backticks
#'
#' A name that more than one coefficient has is an error where it is used.
#' @noRd
mark_names <- function(text, known, details) {
  bare <- gsub("`", "", known, fixed = TRUE)
  # what would be a number without its backticks stays a number
  bare[!is.na(suppressWarnings(as.numeric(bare)))] <- ""
  for (names in list(known, bare)) {
    if (identical(names, bare)) {
      text <- gsub("`", "", text, fixed = TRUE)
    }
    for (name in unique(names[order(nchar(names), decreasing = TRUE)])) {
      if (!nzchar(name)) {
        next
      }
      at <- which(names == name)
      marked <- replace_name(text, name, paste0("\r", at[[1L]], "\r"))
      if (length(at) > 1L && !identical(marked, text)) {
        check_unambiguous(name, names, "L", "coefficient", details)
      }
      text <- marked
    }
  }
  text
}

#' Constant and coefficients of one side of an equation
#' @noRd
read_linear <- function(side, known, text) {
  expression <- parse_side(side, known, text)
  p <- length(known)
  value <- function(beta) {
    values <- c(as.list(beta), allowed_operators)
    names(values) <- c(placeholder(seq_len(p)), names(allowed_operators))
    result <- tryCatch(
      eval(expression, values, emptyenv()),
      error = function(e) abort_equation(text, conditionMessage(e))
    )
    if (!is.numeric(result) || length(result) != 1L || is.na(result)) {
      abort_equation(text, "it has no value")
    }
    result
  }
  constant <- value(numeric(p))
  slopes <- vapply(seq_len(p), function(j) value(as.numeric(seq_len(p) == j)) - constant, 0)
  trial <- seq_len(p) + 0.5
  if (abs(value(trial) - constant - sum(slopes * trial)) > 1e-8 * (1 + sum(abs(slopes * trial)))) {
    abort_equation(text, "it is not linear in the coefficients")
  }
  c(constant, slopes)
}

allowed_operators <- list(
  "+" = `+`, "-" = `-`, "*" = `*`, "/" = `/`, "(" = `(`, "^" = `^`
)

placeholder <- function(j) sprintf("..b%d", j)

#' @noRd
parse_side <- function(side, known, text) {
  marked <- gsub("\r([0-9]+)\r", " ..b\\1 ", side)
  expression <- tryCatch(
    parse(text = marked, keep.source = FALSE),
    error = function(e) abort_equation(text, "it cannot be read")
  )
  if (length(expression) != 1L) {
    abort_equation(text, "it cannot be read")
  }
  unknown <- setdiff(all.vars(expression[[1L]]), placeholder(seq_along(known)))
  if (length(unknown) > 0L) {
    abort_unknown_coefficient(unknown, known)
  }
  expression[[1L]]
}

#' Replace a name where it stands alone: not as a part of a longer name or number
#' @noRd
replace_name <- function(text, name, mark) {
  found <- gregexpr(name, text, fixed = TRUE)[[1L]]
  if (found[[1L]] < 0L) {
    return(text)
  }
  for (at in rev(found)) {
    end <- at + nchar(name)
    before <- substr(text, at - 1L, at - 1L)
    after <- substr(text, end, end)
    joins <- grepl("[[:alnum:]._\r]", before) && grepl("^[[:alnum:]._]", name) ||
      grepl("[[:alnum:]._\r]", after) && grepl("[[:alnum:]._]$", name)
    if (!joins) {
      text <- paste0(substr(text, 1L, at - 1L), mark, substring(text, end))
    }
  }
  text
}

#' @noRd
abort_equation <- function(text, why) {
  ferrolmm_abort(
    paste0("The hypothesis \"", text, "\" is no linear equation: ", why, "."), "argument",
    i = "Write it as in \"2 * a - b = 1\", with names of coefficients."
  )
}
