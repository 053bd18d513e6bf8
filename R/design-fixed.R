# The fixed-effects model matrix X, the response, weights and offset.
#
# X is that of model.matrix() to the bit (values, column names, `assign`, `contrasts`), but column
# by column: the engine reads numeric variables and the codes of factors where the model frame has
# them, so that a fit builds no matrix at all. X is built for those who ask for it.

#' Everything that the fixed part of the formula gives
#'
#' @param model what [parse_formula()] returns; `frame` the model frame.
#' @param contrasts the user's `contrasts` argument.
#' @returns list(terms, X, names, assign, contrasts, xlevels, y, weights, offset), X as the columns
#'   of [design_columns()]
#' @noRd
build_fixed <- function(model, frame, contrasts) {
  terms <- fixed_terms(model$fixed, frame)
  response <- names(frame)[1L]
  y <- response_vector(.subset2(frame, 1L), response)
  offset <- total_offset(terms, frame)
  check_constant(y, offset, response)
  check_contrasts_argument(contrasts, terms)
  design <- design_columns(terms, frame, contrasts, coded = TRUE)
  weights <- .subset2(frame, "(weights)")
  list(
    terms = terms, X = design$columns, names = design$names, assign = design$assign,
    contrasts = design$contrasts, xlevels = factor_levels(terms, frame),
    y = y, weights = weights, offset = offset
  )
}

#' Terms of the fixed formula with the frame's `predvars` and `dataClasses`
#' @noRd
fixed_terms <- function(formula, frame) {
  terms <- stats::terms.formula(formula)
  if (response_is_predictor(terms)) {
    terms <- drop_response_terms(terms)
  }
  all_terms <- attr(frame, "terms")
  here <- match(
    variable_names(as.list(attr(terms, "variables"))[-1L]),
    variable_names(as.list(attr(all_terms, "variables"))[-1L])
  )
  attr(terms, "predvars") <- attr(all_terms, "predvars")[c(1L, here + 1L)]
  attr(terms, "dataClasses") <- attr(all_terms, "dataClasses")[here]
  terms
}

#' @noRd
response_is_predictor <- function(terms) {
  factors <- attr(terms, "factors")
  length(factors) > 0L && any(factors[1L, ] > 0L)
}

#' @noRd
drop_response_terms <- function(terms) {
  used <- attr(terms, "factors")[1L, ] > 0L
  ferrolmm_warn(
    paste0("The response is also a predictor: ",
           quote_names(attr(terms, "term.labels")[used]), " is dropped."),
    "formula"
  )
  if (all(used)) {
    formula <- stats::formula(terms)
    formula[[3L]] <- attr(terms, "intercept")
    return(stats::terms.formula(formula))
  }
  stats::drop.terms(terms, which(used), keep.response = TRUE)
}

#' @noRd
response_vector <- function(y, name) {
  if (is.double(y) && is.null(attributes(y))) {
    return(y)
  }
  columns <- NCOL(y)
  if (length(dim(y)) == 2L && columns != 1L) {
    ferrolmm_abort(
      paste0("The response `", name, "` is a matrix of ", columns, " columns."), "response",
      i = "Fit one column at a time: multivariate responses are not supported."
    )
  }
  if (is.factor(y) || !(is.numeric(y) || is.logical(y) || inherits(y, "difftime"))) {
    ferrolmm_abort(
      paste0("The response `", name, "` must be numeric, it is ", describe_value(y), "."),
      "response", i = response_remedy(y)
    )
  }
  as.double(y)
}

#' What to do with a response that is not a number
#' @noRd
response_remedy <- function(y) {
  values <- if (is.factor(y)) levels(y) else if (is.character(y)) unique(y)
  numbers <- length(values) > 0L && !anyNA(suppressWarnings(as.numeric(values[!is.na(values)])))
  if (numbers) {
    "Its values are numbers: as.numeric(as.character()) makes them so."
  } else if (length(values) == 2L) {
    "A response of two values is one for a logistic model, as by lme4::glmer()."
  }
}

#' Sum of the offset() terms and of the `offset` argument, or NULL
#' @noRd
total_offset <- function(terms, frame) {
  offset <- .subset2(frame, "(offset)")
  for (k in attr(terms, "offset")) {
    name <- variable_names(as.list(attr(terms, "variables"))[k + 1L])
    value <- .subset2(frame, name)
    if (!is.numeric(value) || NCOL(value) != 1L) {
      ferrolmm_abort(paste0("`", name, "` in the formula must be a numeric vector."), "offset")
    }
    offset <- if (is.null(offset)) as.double(value) else offset + as.double(value)
  }
  offset
}

#' @noRd
check_constant <- function(y, offset, name) {
  n <- length(y)
  at <- function(i) if (is.null(offset)) y[i] else y[i] - offset[i]
  if (n > 1L && at(1L) == at(n) && all(at(seq_len(n)) == at(1L))) {
    ferrolmm_abort(
      paste0("The response `", name, "` is constant: it is ", signif(at(1L), 6L), " in all ",
             count_of(n, "row"), if (!is.null(offset)) ", after the offset", "."),
      "response", i = "There is no variation to explain."
    )
  }
}

#' @noRd
check_contrasts_argument <- function(contrasts, terms) {
  if (is.null(contrasts)) {
    return(invisible())
  }
  if (!is.list(contrasts) || is.null(names(contrasts)) || !all(nzchar(names(contrasts)))) {
    ferrolmm_abort(
      "`contrasts` must be a named list.", "argument",
      i = "For instance contrasts = list(f = \"contr.sum\") for the factor f."
    )
  }
  known <- variable_names(as.list(attr(terms, "variables"))[-1L])
  absent <- setdiff(names(contrasts), known)
  if (length(absent)) {
    ferrolmm_warn(
      paste0("`contrasts` names ", quote_names(absent),
             ", which is no variable of the fixed part: ignored."),
      "contrasts", i = did_you_mean(absent[1L], known)
    )
  }
}

#' Levels of the factors among the predictors, as stats::.getXlevels()
#' @noRd
factor_levels <- function(terms, frame) {
  names <- variable_names(as.list(attr(terms, "variables"))[-(1:2)])
  levels <- lapply(unclass(frame)[names], base::levels)
  levels <- levels[!vapply(levels, is.null, NA)]
  if (length(levels)) levels
}

#' The fixed-effects model matrix
#'
#' @returns n x p matrix with column names and the attributes `assign` and `contrasts`
#' @noRd
fixed_matrix <- function(terms, frame, contrasts = NULL) {
  design <- design_columns(terms, frame, contrasts)
  n <- .row_names_info(frame, 2L)
  X <- columns_matrix(design$columns, n)
  dimnames(X) <- list(NULL, design$names)
  attr(X, "assign") <- design$assign
  attr(X, "contrasts") <- design$contrasts
  X
}

#' Columns as [design_columns()] returns them, as a matrix
#' @noRd
columns_matrix <- function(columns, n) {
  for (k in seq_along(columns)) {
    columns[[k]] <- if (is.null(columns[[k]])) rep.int(1, n) else column_values(columns[[k]])
  }
  X <- if (length(columns)) unlist(columns, use.names = FALSE) else double()
  dim(X) <- c(n, length(columns))
  X
}

#' A column's values, one double per row
#' @noRd
column_values <- function(column) {
  if (is.list(column)) column$values[column$codes] else column
}

#' Columns that a terms object stands for
#'
#' The coding of Chambers and Hastie (1992), Statistical Models in S, section 2.4: entry 1 of
#' the `factors` matrix codes a factor by its contrasts, entry 2 by an indicator per level; the
#' columns of an interaction are all products, those of its first variable running fastest.
#'
#' @param coded leave the columns of a factor as list(codes, values), a value for each level?
#' @param keys name the columns by what they are, for [design_keys()]?
#' @returns list(columns = list of doubles (NULL is the constant 1), names, assign, contrasts)
#' @noRd
design_columns <- function(terms, frame, contrasts = NULL, coded = FALSE, keys = FALSE) {
  pattern <- attr(terms, "factors")
  variables <- variable_names(attr(terms, "variables")[-1L])
  intercept <- attr(terms, "intercept") == 1L
  columns <- if (intercept) list(NULL) else list()
  names <- if (intercept) "(Intercept)"
  assign <- if (intercept) 0L else integer()
  response <- attr(terms, "response")
  used <- contrasts_in_use(variables, response, frame, contrasts)
  if (length(pattern) > 0L) {
    labels <- rownames(pattern)
    # entries are read one by one: without names that is faster
    dimnames(pattern) <- NULL
    if (!intercept) {
      pattern <- code_first_factor_fully(pattern, variables, response, frame)
    }
    for (j in seq_len(ncol(pattern))) {
      block <- NULL
      for (i in which(pattern[, j] > 0L)) {
        variable <- .subset2(frame, variables[i])
        own <- code_predictor(variable, labels[i], pattern[i, j], used$matrices[[variables[i]]])
        if (keys) {
          own$names <- variable_keys(own$columns, match(variables[i], names(frame)))
        }
        block <- if (is.null(block)) own else multiply_columns(block, own)
      }
      if (!coded) {
        block$columns <- lapply(block$columns, column_values)
      }
      columns <- c(columns, block$columns)
      names <- c(names, block$names)
      assign <- c(assign, rep.int(j, length(block$columns)))
    }
  }
  list(columns = columns, names = names, assign = assign, contrasts = used$contrasts)
}

#' Without an intercept, the first factor is coded by an indicator for each level
#' @noRd
code_first_factor_fully <- function(pattern, variables, response, frame) {
  is_factor <- vapply(
    variables, function(v) is_categorical(.subset2(frame, v)), NA, USE.NAMES = FALSE
  )
  is_factor[response] <- FALSE
  for (j in seq_len(ncol(pattern))) {
    first <- which(pattern[, j] > 0L & is_factor)
    if (length(first)) {
      pattern[first[1L], j] <- 2L
      return(pattern)
    }
  }
  pattern
}

#' @noRd
is_categorical <- function(x) is.logical(x) || inherits(x, "factor")

#' @noRd
categories <- function(x) if (is.logical(x)) c("FALSE", "TRUE") else levels(x)

#' Contrasts of the categorical variables: as attr(model.matrix(), "contrasts"), and as matrices
#' @noRd
contrasts_in_use <- function(variables, response, frame, given) {
  contrasts <- matrices <- list()
  for (k in seq_along(variables)) {
    if (k == response) {
      next
    }
    x <- .subset2(frame, variables[k])
    if (is_categorical(x)) {
      name <- variables[k]
      coding <- variable_contrasts(x, name, given[[name]])
      contrasts[[name]] <- coding$contrasts
      matrices[[name]] <- coding$matrix
    } else if (!is.null(given[[variables[k]]])) {
      ferrolmm_abort(
        paste0("`contrasts` names `", variables[k], "`, which is no factor."), "predictor"
      )
    }
  }
  list(contrasts = if (length(contrasts)) contrasts, matrices = matrices)
}

#' Contrasts of one variable: the argument's, else the factor's own, else the option's
#'
#' Worked out on the levels alone, never on the rows.
#' @noRd
variable_contrasts <- function(x, name, given) {
  levels <- categories(x)
  if (length(levels) < 2L) {
    ferrolmm_abort(
      paste0("The factor `", name, "` has only one level: ",
             if (length(levels)) paste0("\"", levels, "\"") else "none", "."),
      "predictor", variable = name,
      i = "A predictor must vary: contrasts need 2 or more levels. Remove it from the formula."
    )
  }
  small <- factor(levels, levels = levels, exclude = NULL, ordered = is.ordered(x))
  value <- if (is.null(given)) attr(x, "contrasts") else given
  if (is.null(value)) {
    value <- getOption("contrasts")[[if (is.ordered(x)) 2L else 1L]]
  }
  tryCatch(
    {
      if (is.matrix(value)) {
        stats::contrasts(small, ncol(value)) <- value
      } else {
        stats::contrasts(small) <- value
      }
      # contrasts() looks for a function's name among its callers: not among functions of ours
      matrix <- eval(quote(stats::contrasts(small)), list(small = small), globalenv())
      list(contrasts = lasting_contrasts(attr(small, "contrasts"), matrix), matrix = matrix)
    },
    error = function(e) {
      ferrolmm_abort(
        paste0("The contrasts of `", name, "` cannot be used."), "predictor",
        x = conditionMessage(e), variable = name
      )
    }
  )
}

#' Contrasts as a fit keeps them: a function that the user wrote may change, so its matrix is kept
#' @noRd
lasting_contrasts <- function(contrasts, matrix) {
  own <- is.character(contrasts) &&
    !exists(contrasts, envir = asNamespace("stats"), inherits = FALSE)
  if (own) matrix else contrasts
}

#' Columns of one variable, those of a factor as list(codes, values)
#' @noRd
code_predictor <- function(x, label, code, contrast_matrix) {
  if (is_categorical(x)) {
    codes <- if (is.logical(x)) x + 1L else x
    if (code == 2L) {
      levels <- categories(x)
      columns <- lapply(seq_along(levels), function(l) {
        list(codes = codes, values = as.double(seq_along(levels) == l))
      })
      return(list(columns = columns, names = paste0(label, levels)))
    }
    suffix <- colnames(contrast_matrix)
    if (is.null(suffix)) {
      suffix <- seq_len(ncol(contrast_matrix))
    }
    columns <- lapply(seq_len(ncol(contrast_matrix)), function(l) {
      list(codes = codes, values = as.double(contrast_matrix[, l]))
    })
    return(list(columns = columns, names = paste0(label, suffix)))
  }
  if (is.matrix(x)) {
    return(code_matrix(x, label))
  }
  if (!is.numeric(x) && !inherits(x, c("Date", "POSIXct", "difftime"))) {
    ferrolmm_abort(
      paste0("Variable `", label, "` cannot be a predictor: it is ", describe_value(x), "."),
      "predictor", variable = label
    )
  }
  list(columns = list(as.double(x)), names = label)
}

#' @noRd
code_matrix <- function(x, label) {
  if (!is.numeric(x) && !is.logical(x)) {
    ferrolmm_abort(
      paste0("Variable `", label, "` cannot be a predictor: it is a matrix of type ",
             typeof(x), "."),
      "predictor", variable = label
    )
  }
  k <- ncol(x)
  suffix <- if (k == 1L) "" else if (is.null(colnames(x))) seq_len(k) else colnames(x)
  names <- within_between_names(label, colnames(x))
  if (is.null(names) && is_smooth(tryCatch(str2lang(label), error = function(e) NULL))) {
    names <- colnames(x)
  }
  if (is.null(names) && k > 0L) {
    names <- paste0(label, suffix)
  }
  list(columns = lapply(seq_len(k), function(j) as.double(x[, j])), names = names)
}

#' All products of two sets of columns, the first running fastest
#' @noRd
multiply_columns <- function(a, b) {
  columns <- list()
  lefts <- lapply(a$columns, column_values)
  for (right in lapply(b$columns, column_values)) {
    for (left in lefts) columns[[length(columns) + 1L]] <- left * right
  }
  list(
    columns = columns,
    names = paste(
      rep.int(a$names, length(b$names)), rep(b$names, each = length(a$names)),
      sep = ":"
    )
  )
}

#' Keys of the columns of one variable, `position` its place in the frame
#' @noRd
variable_keys <- function(columns, position) {
  if (length(columns) == 0L) {
    return(character())
  }
  if (is.list(columns[[1L]])) {
    values <- vapply(columns, function(column) rlang::hash(column$values), "")
    return(paste0(position, "=", values))
  }
  paste0(position, if (length(columns) > 1L) paste0(".", seq_along(columns)))
}
