# Weights of many responses, and contrasts of their coefficients, as the user gives them.

#' A matrix of weights of the size of the responses, or NULL
#' @param weights,responses what the user gave, and [check_many_responses()] made.
#' @noRd
check_many_weights <- function(weights, responses, object) {
  if (is.null(weights)) {
    return(NULL)
  }
  refuse_own_weights(object)
  if (is.data.frame(weights)) weights <- as.matrix(weights)
  if (!is.matrix(weights) || !is.numeric(weights)) {
    ferrolmm_abort(
      "`weights` must be a numeric matrix with a column for each response.", "weights",
      i = "Weights that all responses share: update(fit, weights = )."
    )
  }
  weights <- rows_of_fit(weights, object)
  if (!identical(dim(weights), dim(responses))) {
    ferrolmm_abort(
      paste0("`weights` has ", nrow(weights), " rows and ", ncol(weights), " columns, the ",
             "responses have ", nrow(responses), " and ", ncol(responses), "."),
      "weights", i = "Each response is a column: weights of voom() are t(v$weights)."
    )
  }
  require_same_names(colnames(weights), colnames(responses), "weights")
  require_row_order(weights, object, "weights")
  used <- is.finite(responses)
  if (!all(is.finite(weights) & weights >= 0 | !used)) {
    ferrolmm_abort(
      "`weights` must be positive or zero, and known wherever a response is.", "weights",
      x = paste0("Not so for response ",
                 quote_names(colnames(responses)[colSums(
                   !(is.finite(weights) & weights >= 0) & used
                 ) > 0]), ".")
    )
  }
  weights[!used] <- 0
  storage.mode(weights) <- "double"
  matrix(weights, nrow(weights))
}

#' Refuse weights of responses where their rows cannot be taken by themselves
#' @noRd
refuse_own_weights <- function(object) {
  kind <- if (has_residual(object)) {
    "a residual structure"
  } else if (has_smooths(object)) {
    "smooth terms"
  } else if (any(vapply(seq_along(object$flist), has_members, NA, object = object))) {
    "rows that are members of several levels"
  } else if (any(vapply(object$random, function(term) !is.null(term$class_of), NA))) {
    "classes of levels (`by =`)"
  } else if (!is.null(object$condensed)) {
    "rows that stand for several"
  }
  if (!is.null(kind)) {
    ferrolmm_abort(
      paste0("Responses cannot have weights of their own in a model with ", kind, "."), "weights",
      i = "Fit each of them with lmm(), or give weights that all share to update()."
    )
  }
}

#' The rows that the fit uses, of a matrix that may have those that it left out, too
#' @noRd
rows_of_fit <- function(values, object) {
  omitted <- object$na.action
  if (length(omitted) > 0L && nrow(values) == count_rows(object) + length(omitted)) {
    values <- values[-omitted, , drop = FALSE]
  }
  values
}

#' Refuse columns in another order than the responses
#' @noRd
require_same_names <- function(given, responses, name) {
  if (!is.null(given) && !identical(given, responses) &&
        all(given %in% responses) && all(responses %in% given)) {
    ferrolmm_abort(
      paste0("The columns of `", name, "` are in another order than those of the responses."),
      "weights"
    )
  }
}

#' Refuse rows whose names say that they are in another order than the data
#' @noRd
require_row_order <- function(values, object, name) {
  given <- rownames(values)
  if (is.null(given)) {
    return(invisible())
  }
  own <- as.character(attr(object$frame, "row.names"))
  if (!identical(given, own) && length(given) == length(own) && !anyDuplicated(given) &&
        all(given %in% own)) {
    ferrolmm_abort(
      paste0("The rows of `", name, "` have the names of the rows of the data, in another order."),
      "argument", i = "Order them as the data, or leave the names off."
    )
  }
}

#' Contrasts as a matrix with a row for each coefficient and a column for each contrast, or NULL
#' @noRd
check_many_contrasts <- function(contrasts, object) {
  if (is.null(contrasts)) {
    return(NULL)
  }
  known <- names(object$coefficients)
  if (!is.numeric(contrasts) || !all(is.finite(contrasts)) || length(contrasts) == 0L) {
    ferrolmm_abort(
      "`contrasts` must be a numeric matrix with a row for each contrast.", "argument",
      i = "Its columns are the coefficients, all of them or some by their names."
    )
  }
  if (!is.matrix(contrasts)) {
    contrasts <- matrix(contrasts, 1L, dimnames = list(NULL, names(contrasts)))
  }
  columns <- colnames(contrasts)
  if (is.null(columns) && ncol(contrasts) == length(known)) columns <- known
  if (is.null(columns) || anyDuplicated(columns) || !all(columns %in% known)) {
    ferrolmm_abort(
      paste0("`contrasts` must have a column for each of the ",
             count_of(length(known), "coefficient"), ", or the names of some."),
      "argument", x = if (!is.null(columns)) {
        paste0("Not known, or twice: ",
               quote_names(unique(c(setdiff(columns, known), columns[duplicated(columns)]))), ".")
      },
      i = paste0("They are ", quote_names(known, 6L), ".")
    )
  }
  full <- matrix(0, length(known), nrow(contrasts), dimnames = list(known, rownames(contrasts)))
  full[columns, ] <- t(contrasts)
  aliased <- is.na(object$coefficients)
  if (any(full[aliased, ] != 0)) {
    ferrolmm_abort(
      paste0("`contrasts` has coefficients that the model does not determine: ",
             quote_names(known[aliased]), "."), "argument"
    )
  }
  if (is.null(colnames(full))) colnames(full) <- paste0("contrast", seq_len(ncol(full)))
  full
}
