#' Fixed effects of the levels of grouping factors
#'
#' Of a model with terms `fixed(1 | g)` or `fixed(x | g)` (see the section on them in [lmm()]): the
#' estimated effect of each level, on request with standard errors.
#'
#' Where there are several such factors, only differences are determined: one level of each
#' connected set of them has the effect 0 (of factors that are crossed in the data there is one
#' set), as have columns that the others reproduce. Standard errors are those of the effects as they
#' are given, with that origin: of one factor those of the coefficients of `lm(y ~ 0 + g + x)`.
#'
#' @param object A model fitted by [lmm()] with such terms.
#' @param se Compute standard errors too? They take a solve for each level.
#' @param ... Not used.
#' @returns A list with a data frame for each column and factor, named by them (`"1 | g"`): `level`,
#'   `estimate`, and with `se = TRUE` `std.error`, which is 0 of what is held at 0.
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + fixed(1 | Subject) + (0 + age | Subject), Orthodont)
#' head(fixed_levels(fit, se = TRUE)[[1]])
#' @export
fixed_levels <- function(object, se = FALSE, ...) {
  check_dots(...)
  check_lmm(object, "fixed_levels")
  check_fit(object)
  check_flag(se, "se")
  if (!has_eliminated(object)) {
    ferrolmm_abort(
      "The model has no fixed effects of levels.", "argument",
      i = "They are terms such as fixed(1 | g) in the formula; other coefficients are fixef(fit)."
    )
  }
  tables <- level_tables(object)
  if (se) {
    for (t in seq_along(tables)) tables[[t]]$std.error <- level_errors(object, t)
  }
  tables
}

#' Levels and estimates of each column of fixed effects of levels
#' @noRd
level_tables <- function(object) {
  eliminated <- object$eliminated
  tables <- lapply(seq_along(eliminated$terms), function(t) {
    levels <- levels(eliminated$flist[[eliminated$terms[[t]]$factor]])
    data.frame(level = levels, estimate = eliminated$b[[t]])
  })
  names(tables) <- vapply(eliminated$terms, function(term) {
    lhs <- if (term$cnms == "(Intercept)") "1" else term$cnms
    paste(lhs, "|", term$group)
  }, "")
  tables
}

#' Standard errors of the effects of the levels in column `t`
#' @noRd
level_errors <- function(object, t) {
  n <- length(object$eliminated$b[[t]])
  none <- rep(list(integer(n)), length(object$flist) + length(object$eliminated$terms))
  codes <- none
  codes[[length(object$flist) + t]] <- seq_len(n)
  terms <- vector("list", length(object$random) + length(object$eliminated$terms))
  terms[[length(object$random) + t]] <- list(NULL)
  variances <- engine_prediction_variances(
    model_of(engine_inputs(object, in_place = TRUE)), theta_of(object), object$REML,
    unconstrained_control(object),
    list(n = n, x = matrix(0, n, length(object$coefficients)), codes = codes,
         members = vector("list", length(codes)), terms = terms)
  )
  errors <- object$sigma * sqrt(variances)
  errors[object$eliminated$b[[t]] == 0] <- 0
  errors
}

# Rows ----------------------------------------------------------------------------------------

#' Columns of the frame that fixed effects of levels take
#' @noRd
eliminated_columns <- function(object) {
  sides <- lapply(object$eliminated$terms, function(term) {
    if (is.numeric(term$lhs)) return(NULL)
    variable_columns(stats::terms(stats::as.formula(call("~", term$lhs))))
  })
  leaves <- lapply(object$eliminated$terms, `[[`, "leaves")
  unique(as.character(c(unlist(sides), unlist(leaves))))
}

#' Level of each row for each column of fixed effects of levels, and the columns
#'
#' @param rows what [training_rows()] or [new_rows()] returns.
#' @returns list(codes, columns), each parallel to the terms; codes are NA where a variable is
#' @noRd
eliminated_rows <- function(object, rows) {
  eliminated <- object$eliminated
  frame <- rows$frame
  codes <- lapply(seq_along(eliminated$flist), function(f) {
    if (rows$fitted) {
      return(as.integer(eliminated$flist[[f]]))
    }
    known <- Find(function(term) term$factor == f, eliminated$terms)
    columns <- unclass(frame)[known$leaves]
    found <- match_groups(eliminated$keys[[f]], columns)
    new <- is.na(found) & !Reduce(`|`, lapply(columns, is.na))
    if (any(new)) {
      names <- group_names(lapply(columns, `[`, new))
      ferrolmm_abort(
        paste0("`newdata` has levels of `", known$group, "` that the fit does not know: ",
               quote_names(unique(names)), "."),
        "newdata", i = "They have fixed effects, of which nothing is known without data."
      )
    }
    found
  })
  list(
    codes = codes[vapply(eliminated$terms, `[[`, 1L, "factor")],
    columns = lapply(eliminated$terms, function(term) {
      column <- term_columns(term, frame)[[1L]]
      if (is.null(column)) NULL else as.double(column)
    })
  )
}

#' What fixed effects of levels add to the mean of rows
#' @noRd
eliminated_part <- function(object, rows) {
  if (!has_eliminated(object)) {
    return(0)
  }
  check_levels_estimable(object, rows)
  own <- eliminated_rows(object, rows)
  values <- 0
  for (t in seq_along(own$codes)) {
    effect <- object$eliminated$b[[t]][own$codes[[t]]]
    column <- own$columns[[t]]
    values <- values + if (is.null(column)) effect else effect * column
  }
  values
}

#' Refuse predictions of new rows that the data may not determine
#'
#' Combinations of levels that no row has are determined where all columns of fixed effects are
#' independent, but for a constant that can move from one factor to another: the columns of the same
#' name of F factors lack F - 1 in rank.
#' @noRd
check_levels_estimable <- function(object, rows) {
  if (rows$fitted) {
    return(invisible())
  }
  eliminated <- object$eliminated
  names <- vapply(eliminated$terms, `[[`, "", "cnms")
  sizes <- vapply(eliminated$terms, function(term) {
    nlevels(eliminated$flist[[term$factor]])
  }, 1L)
  lacking <- sum(sizes) - eliminated$rank - sum(table(names) - 1L)
  aliased <- names(object$coefficients)[is.na(object$coefficients)]
  aliased <- setdiff(aliased, if ("(Intercept)" %in% names) "(Intercept)")
  if (lacking > 0L || length(aliased) > 0L) {
    ferrolmm_abort(
      "New rows cannot be predicted: the data may not determine their means.", "fixed_levels",
      x = if (length(aliased) > 0L) {
        paste0("Fixed effects of levels reproduce ", quote_names(aliased), ".")
      } else {
        paste0("The fixed effects of levels fall into ", lacking + 1L, " sets without a common ",
               "origin, or of some levels there are too few rows.")
      },
      i = if (length(aliased) > 0L) "Leave these predictors out of the model."
    )
  }
}
