# A fit as the engine takes it again: for what is computed from its theta when asked for.

#' What the engine needs to see the model again, as engine_fit() takes it
#'
#' @param in_place with X as columns and grouping factors as they are, which copies nothing: for
#'   callers that only pass them on. Otherwise X is a matrix, and codes and columns are plain
#'   vectors.
#' @noRd
engine_inputs <- function(object, in_place = FALSE) {
  list(
    fixed = fixed_inputs(object, in_place),
    random = random_inputs(object, in_place),
    residual = residual_design(object$residual, object$frame),
    residual_names = names(object$phi)
  )
}

#' What the engine needs of the fixed part, and the names of the coefficients
#' @noRd
fixed_inputs <- function(object, in_place) {
  condensed <- object$condensed
  if (!is.null(condensed)) {
    columns <- condensed_fixed(object$terms, object$contrasts, condensed)
    if (!is.null(condensed$tables)) {
      return(list(
        y = double(), X = columns, names = names(object$coefficients), weights = NULL,
        offset = NULL, tables = condensed[c("tables", "ids", "stands_for")]
      ))
    }
    return(list(
      y = condensed$y, X = if (in_place) columns else columns_matrix(columns, length(condensed$y)),
      names = names(object$coefficients), weights = condensed$weights, offset = NULL,
      stands_for = condensed$stands_for, own = condensed$own
    ))
  }
  list(
    y = response_values(object),
    X = if (in_place) {
      design_columns(object$terms, object$frame, object$contrasts, coded = TRUE)$columns
    } else {
      fixed_matrix(object$terms, object$frame, object$contrasts)
    },
    names = names(object$coefficients),
    weights = object$prior.weights,
    offset = object$offset, sampling = object$sampling
  )
}

#' What the engine needs of the random part
#' @noRd
random_inputs <- function(object, in_place) {
  list(
    terms = object$random,
    cnms = object$cnms,
    Gp = object$Gp, theta_names = names(object$theta), eliminated = object$eliminated,
    design = if (is.null(object$condensed)) {
      with_eliminated(
        random_design(object$random, object$flist, object$frame, object$precision,
                      object$members, in_place),
        object$eliminated, object$frame, in_place
      )
    } else {
      condensed_random(object$random, object$condensed$flist, object$precision, object$condensed)
    }
  )
}

#' X of the rows of a fit, or of the condensed rows that stand for them
#'
#' @param terms,contrasts those of the fit, or of other columns that its variables have.
#' @returns a matrix as [fixed_matrix()] returns it, with the attribute `counts`: x'x of its rows
#'   times counts is X'X of the observations, NULL where the moments do not have that; and `one`,
#'   the constant 1 in these rows.
#' @noRd
own_matrix <- function(object, terms = object$terms, contrasts = object$contrasts) {
  condensed <- object$condensed
  if (is.null(condensed)) {
    return(structure(fixed_matrix(terms, object$frame, contrasts), counts = 1, one = 1))
  }
  moments <- condensed$moments
  if (!is.null(condensed$tables)) condensed <- condensed$fixed
  numbers <- column_numbers(terms, condensed$frame, contrasts, condensed$numeric)
  check_numbers_known(setdiff(numbers, condensed$ids), moments)
  design <- design_columns(terms, condensed$frame, contrasts)
  x <- columns_matrix(condensed_columns(design, numbers, condensed), length(condensed$y))
  dimnames(x) <- list(NULL, design$names)
  counts <- if (!moments$weighted) {
    condensed$weights
  } else if (all(numbers == "")) {
    condensed$stands_for$counts
  }
  structure(
    x, assign = design$assign, contrasts = design$contrasts, counts = counts, one = condensed$one
  )
}

#' Cross-products of observations that are not weighted
#' @noRd
require_counts <- function(x, what) {
  counts <- attr(x, "counts")
  if (is.null(counts)) {
    abort_needs_rows(paste0(what, " of a weighted model"))
  }
  counts
}

#' Basis columns of a term in the rows of a fit, or in the condensed rows that stand for them
#' @noRd
own_term_columns <- function(object, term) {
  if (is.null(object$condensed)) {
    term_columns(term, object$frame)
  } else {
    condensed_term(term, object$condensed)
  }
}

#' Sums of z z' over the rows, z the basis columns of a term, each times a value of its level
#'
#' @param level a value for each level of the grouping factor, NULL for 1.
#' @param counts of condensed rows, in the place of their weights.
#' @returns list(squares, a matrix; size, the sum of the weights)
#' @noRd
term_squares <- function(object, t, level = NULL, counts = NULL) {
  condensed <- object$condensed
  term <- object$random[[t]]
  columns <- own_term_columns(object, term)
  k <- length(columns)
  if (!is.null(condensed$tables)) {
    codes <- as.integer(condensed$flist[[term$factor]])
    factor <- list(codes = codes, n_levels = nlevels(object$flist[[term$factor]]))
    size <- gram_of_tables(list(table_constant), condensed)[1L]
    by_level <- squares_of_tables(columns, factor, condensed)
    squares <- if (is.null(level)) rowSums(by_level) else drop(by_level %*% level)
    return(list(squares = matrix(squares, k), size = size))
  }
  w <- if (is.null(condensed)) 1 else if (is.null(counts)) condensed$weights else counts
  size <- if (is.null(condensed)) count_rows(object) else sum(w[condensed$one == 1])
  if (!is.null(level)) w <- w * level[as.integer(own_factor(object, term$factor))]
  members <- factor_members(object, term$factor)
  if (!is.null(members)) w <- w * squared_weights(members)
  z <- lapply(columns, function(column) if (is.null(column)) 1 else column)
  rows <- rep_len(w, count_rows(object))
  if (!is.null(condensed)) rows <- rep_len(w, length(condensed$y))
  squares <- outer(
    seq_len(k), seq_len(k), Vectorize(function(i, j) sum(rows * z[[i]] * z[[j]]))
  )
  list(squares = squares, size = size)
}

#' The level of each row, or condensed row, of a grouping factor of a fit
#' @noRd
own_factor <- function(object, f) {
  condensed <- object$condensed
  if (is.null(condensed)) object$flist[[f]] else condensed$flist[[f]][condensed$cell]
}

#' @noRd
require_own_rows <- function(object, what) {
  if (!is.null(object$condensed)) abort_needs_rows(what)
}

#' What varies between the cells of a fit of moments, and within them: each cell twice, with numbers
#' that lie apart by twice their standard deviation where they vary within cells
#'
#' @returns list(frame, cell (of each of its rows))
#' @noRd
spread_cells <- function(object) {
  condensed <- object$condensed
  if (!is.null(condensed$tables)) {
    return(spread_tables(condensed))
  }
  cells <- condensed$moments$cells
  n <- length(cells$counts)
  frame <- condensed$frame[rep(seq_len(n), 2L), , drop = FALSE]
  for (name in condensed$numeric) {
    columns <- vapply(seq_len(NCOL(frame[[name]])), function(j) {
      at <- match(number_id(name, j), condensed$moments$numbers)
      own <- cells$scatter[at * (at + 1L) / 2L, ] > 1e-20 * cells$weights * cells$means[at, ]^2
      c(cells$means[at, ] - own, cells$means[at, ] + own)
    }, double(2L * n))
    if (is.matrix(frame[[name]])) frame[[name]][] <- columns else frame[[name]] <- drop(columns)
  }
  list(frame = frame, cell = rep(seq_len(n), 2L))
}

#' What varies between and within the cells of tables, as [spread_cells()]; missing in the cells of
#' tables that do not tell it
#' @noRd
spread_tables <- function(condensed) {
  n <- nrow(condensed$frame)
  frame <- condensed$frame[rep(seq_len(n), 2L), , drop = FALSE]
  one <- table_constant
  for (name in condensed$numeric) {
    columns <- vapply(seq_len(NCOL(frame[[name]])), function(j) {
      own <- list(part = NULL, number = number_id(name, j))
      low <- high <- rep.int(NA_real_, n)
      told <- FALSE
      for (table in condensed$tables) {
        at <- vapply(list(list(one, one), list(own, one), list(own, own)), function(pair) {
          product_of(table, pair[[1L]], pair[[2L]], condensed$ids)
        }, 1L)
        if (all(at > 0L)) {
          sums <- table$sums[2L * at - 1L, , drop = FALSE]
          mean <- sums[2L, ] / sums[1L, ]
          varies <- sums[3L, ] / sums[1L, ] - mean^2 > 1e-12 * mean^2
          told <- told | !is.na(vapply(condensed$flist, function(f) {
            as.integer(f)[[table$rows[[1L]]]]
          }, 1L))
          low[table$rows] <- mean - varies
          high[table$rows] <- mean + varies
        }
      }
      if (!all(told)) abort_needs_rows("Whether a predictor varies within each group")
      c(low, high)
    }, double(2L * n))
    if (is.matrix(frame[[name]])) frame[[name]][] <- columns else frame[[name]] <- drop(columns)
  }
  list(frame = frame, cell = rep(seq_len(n), 2L))
}

#' Mean and standard deviation of a number of moments; NULL where they do not have it
#' @noRd
number_summary <- function(moments, id) {
  if (is_of_tables(moments)) {
    return(number_of_tables(moments, id))
  }
  at <- match(id, moments$numbers)
  if (is.na(at)) {
    return(NULL)
  }
  cells <- moments$cells
  mean <- sum(cells$weights * cells$means[at, ]) / sum(cells$weights)
  squares <- sum(cells$scatter[at * (at + 1L) / 2L, ]) +
    sum(cells$weights * (cells$means[at, ] - mean)^2)
  list(mean = mean, sd = sqrt(squares / sum(cells$weights)))
}

#' @noRd
number_of_tables <- function(moments, id) {
  column <- list(part = NULL, number = id)
  condensed <- list(tables = stacked_tables(moments$tables), ids = moments$numbers)
  found <- if (id %in% moments$numbers) {
    tryCatch(
      gram_of_tables(list(table_constant, column), condensed),
      ferrolmm_error_moments = function(e) NULL
    )
  }
  if (is.null(found)) {
    return(NULL)
  }
  # the square of the mean has the digits that both lose
  size <- found[1L, 1L, 1L]
  square <- move_column(list(xx = found, p = 1L, factors = list()), 1L,
                        found[1L, 1L, 2L] / size)$xx[[1L]]
  list(mean = found[1L, 1L, 2L] / size, sd = sqrt(max(square, 0) / size))
}

#' Refuse what takes rows in a fit that has none
#' @noRd
abort_needs_rows <- function(what) {
  ferrolmm_abort(
    paste0(what, " needs the rows of the data, and the fit is one of moments."), "needs_rows",
    i = c("Fit the rows themselves, or predict() them as new data.",
          if (startsWith(what, "residuals") || startsWith(what, "fitted")) {
            "Of rows in a database, augment(fit, data = ) has them as columns of a query."
          })
  )
}

#' The response of the used rows, as plain numbers
#' @noRd
response_values <- function(object) {
  require_own_rows(object, "The response")
  as.double(.subset2(object$frame, 1L))
}

#' Parameters of the fit for the engine: theta, then phi; without bounds on covariance matrices
#' their entries in the place of theta
#' @noRd
theta_of <- function(object) {
  own <- if (is_nobound(object)) object$covariances else object$theta
  c(unname(own), unname(object$phi))
}

#' Call one of the engine's inference functions on a fit
#' @noRd
engine_inference <- function(engine, object, ...) {
  engine(
    model_of(engine_inputs(object, in_place = TRUE)), theta_of(object), object$REML,
    engine_control(object), ...
  )
}

#' The control of a fit with its constraints and penalties by position
#' @noRd
engine_control <- function(object, control = object$control) {
  resolve_control(
    control, list(terms = object$random, theta_names = names(object$theta)), names(object$phi)
  )
}

#' The control of a fit without its constraints and penalties
#'
#' For functions of theta that are evaluated at other values than that of the fit, where a held
#' parameter does not have its value and a penalty may be infinite.
#' @noRd
unconstrained_control <- function(object) {
  control <- object$control
  control[c("hold", "tie", "penalty")] <- list(NULL)
  control
}

#' Is a variance parameter of a fit held or tied, or sigma known?
#' @noRd
has_constraints <- function(object) {
  control <- engine_control(object)
  any(object$residual$held) || !is.null(control$hold) || !is.null(control$tie) ||
    !is.null(control$sigma)
}
