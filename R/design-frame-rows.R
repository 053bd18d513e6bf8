# Rows of the model frame: `subset`, `weights` and `offset`, and the names of rows.

#' Evaluate `weights`, `offset` or `subset` as lm() does: in the data, then where the formula was
#' made; where that fails, where lmm() was called.
#' @noRd
evaluate_argument <- function(argument, role, data, env, caller) {
  first <- tryCatch(evaluate_labelled(argument$expr, data, env), error = identity)
  if (usable_value(first)) {
    return(first)
  }
  second <- tryCatch(eval(argument$expr, data, caller), error = identity)
  if (usable_value(second)) {
    return(second)
  }
  third <- argument$value()
  if (usable_value(third)) {
    return(third)
  }
  if (is.function(first)) {
    ferrolmm_abort(paste0("`", role, "` is a function, it must be a vector."), role)
  }
  missing <- setdiff(all.vars(argument$expr), names(data))
  ferrolmm_abort(
    paste0("`", role, "` could not be evaluated: ", conditionMessage(first), "."), role,
    i = if (length(missing)) did_you_mean(missing[1L], names(data))
  )
}

#' @noRd
usable_value <- function(x) !inherits(x, "error") && !is.function(x)

#' Check `weights` and `offset`: a numeric vector with a value for each row
#' @noRd
check_row_argument <- function(value, role, n) {
  if (is.null(value)) {
    return(NULL)
  }
  value <- plain_values(value)
  if (!is.numeric(value) || is.factor(value) || is_integer64(value)) {
    ferrolmm_abort(
      paste0("`", role, "` must be a numeric vector, it is ", describe_value(value), "."), role,
      i = if (is.character(value) && length(value) == 1L) {
        paste0("To use the column ", value, " write ", role, " = ", value, ".")
      }
    )
  }
  if (!is.null(dim(value)) && NCOL(value) != 1L) {
    ferrolmm_abort(paste0("`", role, "` must be a vector, it is a matrix."), role)
  }
  if (length(value) != n) {
    ferrolmm_abort(
      paste0("`", role, "` has length ", length(value), ", the data have ", count_of(n, "row"),
             "."),
      role
    )
  }
  value <- as.double(value)
  if (role == "weights") {
    check_weights(value)
  }
  value
}

#' @noRd
check_weights <- function(w) {
  if (isTRUE(min(w) >= 0 && max(w) < Inf)) {
    return(invisible())
  }
  if (any(w < 0, na.rm = TRUE)) {
    ferrolmm_abort(
      paste0("`weights` has negative values, the first in row ", which(w < 0)[1L], "."),
      "weights", i = "Weights are precisions: Var(y) = sigma^2 / weights."
    )
  }
  if (any(w == Inf, na.rm = TRUE)) {
    ferrolmm_abort(
      paste0("`weights` is infinite (Inf) in row ", which(w == Inf)[1L], "."), "weights"
    )
  }
}

#' Rows that remain after `subset` and zero weights, or NULL for all of them
#' @noRd
used_rows <- function(weights, subset, data, n, env, caller) {
  rows <- NULL
  if (!is.null(subset)) {
    value <- evaluate_argument(subset, "subset", data, env, caller)
    rows <- subset_rows(value, n, data)
  }
  if (!is.null(weights) && !isTRUE(min(weights) > 0)) {
    zero <- !is.na(weights) & weights == 0
    if (any(zero)) {
      rows <- if (is.null(rows)) which(!zero) else rows[!zero[rows]]
      if (length(rows) == 0L) {
        ferrolmm_abort("No row is left: all `weights` are zero.", "weights")
      }
    }
  }
  rows
}

#' Row numbers from a logical (NA: not used), numeric or character `subset`
#' @noRd
subset_rows <- function(value, n, data) {
  if (is.null(value)) {
    return(NULL)
  }
  if (is.logical(value)) {
    if (length(value) == 1L) {
      # a single value holds for all rows, as in lm()
      value <- rep.int(value, n)
    }
    if (length(value) != n) {
      ferrolmm_abort(
        paste0("`subset` has length ", length(value), ", the data have ", count_of(n, "row"),
               "."),
        "subset"
      )
    }
    return(if (isTRUE(all(value))) NULL else which(value))
  }
  if (is.character(value)) {
    value <- match(value, if (is.data.frame(data)) row.names(data) else seq_len(n))
  }
  if (!is.numeric(value) || is.factor(value)) {
    ferrolmm_abort(
      paste0("`subset` must be logical, or numbers or names of rows; it is ",
             describe_value(value), "."),
      "subset"
    )
  }
  if (anyNA(value) || any(abs(value) > n) || (any(value < 0) && any(value > 0))) {
    ferrolmm_abort(
      paste0("`subset` names rows that do not exist; the data have ", count_of(n, "row"), "."),
      "subset"
    )
  }
  seq_len(n)[value]
}

#' @noRd
check_any_rows <- function(n, data, rows, subset) {
  if (n > 0L) {
    return(invisible())
  }
  if (!is.null(subset) && !is.null(rows)) {
    ferrolmm_abort("No row is left: `subset` is true for no row.", "subset", empty = TRUE)
  }
  ferrolmm_abort("There is no data: `data` has 0 rows.", "data")
}

#' Row names as the data have them, in R's compact form where they are automatic
#' @noRd
frame_row_names <- function(data, n) {
  if (is.data.frame(data) && .row_names_info(data, 2L) == n) {
    .row_names_info(data, 0L)
  } else {
    .set_row_names(n)
  }
}

#' @noRd
take_row_names <- function(row_names, rows) {
  if (is.integer(row_names) && is.na(row_names[1L])) {
    kept <- rows
  } else {
    kept <- row_names[rows]
  }
  if (anyDuplicated(kept)) make.unique(as.character(kept)) else kept
}
