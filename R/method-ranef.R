#' Random effects
#'
#' The conditional modes of the random effects (the "BLUPs"), and the coefficients of each level:
#' fixed plus random.
#'
#' The terms that share a grouping factor stand side by side in one data frame. With
#' `condVar = TRUE` each data frame has the attribute `postVar`: the conditional covariance
#' matrices of the effects of a level given the data and the estimated parameters, an array
#' `k x k x levels` (a list of them when several terms share the factor). If 'lme4' is loaded, its
#' `dotplot()` and `qqmath()` methods plot the result.
#'
#' @param object A model fitted by [lmm()].
#' @param condVar Compute the conditional variances too?
#' @param drop Turn data frames of one column into named vectors?
#' @param whichel The names of the grouping factors to return.
#' @param augFrame Add what is known of each level: the variables of the data, summarised by
#'   `nlme::gsummary()`, which takes `FUN` of numbers and the most frequent level of factors.
#' @param FUN The function that summarises a numeric variable.
#' @param ... Not used.
#' @returns `ranef()`: a list of class `ranef.lmm`, a data frame for each grouping factor with its
#'   levels as row names. `coef()`: a list of class `coef.lmm` of the same shape; for a model
#'   without random effects, the fixed effects. With `augFrame = TRUE` both are plain lists of data
#'   frames.
#'
#'   `as.data.frame()` of `ranef()`: columns `grpvar`, `term`, `grp` (level), `condval`
#'   (conditional mode) and `condsd` (conditional standard deviation).
#' @seealso [plot.ranef.lmm()], [VarCorr.lmm()], [predict.lmm()]
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' head(ranef(fit)$Subject)
#' head(as.data.frame(ranef(fit)))
#' head(coef(fit)$Subject)
#' @importFrom nlme ranef
#' @method ranef lmm
#' @export
ranef.lmm <- function(object, condVar = TRUE, drop = FALSE,
                      whichel = names(object$flist), augFrame = FALSE, FUN = mean, ...) {
  check_dots(..., hints = c(
    postVar = "It is called `condVar`.", level = "`whichel` names the grouping factors."
  ))
  check_flag(condVar, "condVar")
  check_flag(drop, "drop")
  check_augmentation(augFrame, FUN)
  check_grouping_names(whichel, object)
  wanted <- which(names(object$flist) %in% whichel)
  tables <- lapply(wanted, function(i) modes_table(object, i))
  names(tables) <- names(object$flist)[wanted]
  if (augFrame) {
    if (drop) {
      ferrolmm_abort("`drop` is for effects alone: leave it or `augFrame` out.", "argument")
    }
    return(with_level_variables(tables, object, FUN))
  }
  if (condVar) {
    variances <- conditional_variances(object)
    for (i in seq_along(wanted)) {
      terms <- terms_of_factor(object, wanted[[i]])
      # the names that 'lme4' gives them
      names(variances)[terms] <- as.character(unname(object$cnms[terms]))
      attr(tables[[i]], "postVar") <- postvar(variances[terms])
    }
  }
  if (drop) {
    tables <- lapply(tables, drop_single_column)
  }
  structure(tables, class = c("ranef.lmm", "ranef.mer"))
}

#' @importFrom nlme ranef
#' @export
nlme::ranef

#' @noRd
check_augmentation <- function(given, summarise) {
  check_flag(given, "augFrame")
  if (!is.function(summarise)) {
    ferrolmm_abort(
      paste0("`FUN` must be a function", describe_given(summarise), "."), "argument"
    )
  }
}

#' Tables by grouping factor, with the variables of the data summarised for each level
#' @noRd
with_level_variables <- function(tables, object, summarise) {
  refuse_members_of(object, "`augFrame`")
  data <- as.data.frame(fit_data(object))
  # without the rows that na.exclude keeps in sight
  data <- data[row.names(object$frame), , drop = FALSE]
  for (name in names(tables)) {
    table <- tables[[name]]
    others <- data[!names(data) %in% c(names(table), name)]
    if (length(others) > 0L) {
      summaries <- nlme::gsummary(others, FUN = summarise, groups = object$flist[[name]])
      tables[[name]] <- cbind(table, summaries[row.names(table), , drop = FALSE])
    }
  }
  tables
}

#' @noRd
check_grouping_names <- function(whichel, object) {
  known <- names(object$flist)
  unknown <- if (is.character(whichel)) setdiff(whichel, known)
  if (!is.character(whichel) || length(unknown) > 0L) {
    ferrolmm_abort(
      "`whichel` must name grouping factors of the model.", "argument",
      x = if (is.character(whichel)) paste0("There is no ", quote_names(unknown), "."),
      i = paste0("The model has ", quote_names(known), ".")
    )
  }
}

#' The terms on one grouping factor
#' @noRd
terms_of_factor <- function(object, factor) {
  which(attr(object$flist, "assign") == factor)
}

#' Conditional modes of one term: levels x effects
#' @noRd
term_modes <- function(object, term) {
  range <- object$Gp[term + 0:1]
  names <- object$random[[term]]$cnms
  matrix(
    object$b[seq.int(range[[1L]] + 1L, range[[2L]])],
    ncol = length(names), byrow = TRUE, dimnames = list(NULL, names)
  )
}

#' Conditional modes of all terms on one grouping factor, as a data frame named by level
#' @noRd
modes_table <- function(object, factor) {
  modes <- lapply(terms_of_factor(object, factor), function(term) term_modes(object, term))
  data.frame(
    do.call(cbind, modes),
    row.names = levels(object$flist[[factor]]), check.names = FALSE
  )
}

#' Conditional covariance matrices on the response's scale: one k x k x levels array per term
#' @noRd
conditional_variances <- function(object) {
  # given all fixed effects: those of levels, too
  object["eliminated"] <- list(NULL)
  relative <- engine_inference(engine_conditional_variances, object)
  Map(
    function(values, term) {
      k <- length(term$cnms)
      array(object$sigma^2 * values, c(k, k, length(values) / k^2))
    },
    relative, object$random
  )
}

#' What 'lme4' calls postVar: an array, or a list of arrays for several terms on one factor
#' @noRd
postvar <- function(variances) {
  if (length(variances) == 1L) variances[[1L]] else variances
}

#' @noRd
drop_single_column <- function(table) {
  if (ncol(table) > 1L) {
    return(table)
  }
  values <- table[[1L]]
  names(values) <- row.names(table)
  variances <- attr(table, "postVar")
  if (!is.null(variances)) {
    attr(values, "postVar") <- as.vector(variances)
  }
  values
}

#' @param x What `ranef()` or `coef()` returned.
#' @param n How many levels of each grouping factor are printed; `Inf` prints all.
#' @rdname ranef.lmm
#' @export
print.ranef.lmm <- function(x, n = 100L, ...) {
  check_dots(..., allowed = printing_arguments(print.default, print.data.frame))
  has_variances <- vapply(x, function(el) !is.null(attr(el, "postVar")), NA)
  print_levels(lapply(unclass(x), without_postvar), n, ...)
  if (any(has_variances)) {
    cat("with conditional variances for", paste(dQuote(names(x)[has_variances]), collapse = " "))
    cat("\n")
  }
  invisible(x)
}

#' Print a list of tables with a row for each level, the first `n` of each: formatting a hundred
#' thousand rows takes half a minute, and nobody reads them
#' @noRd
print_levels <- function(tables, n, ...) {
  if (!identical(n, Inf)) {
    n <- check_count(n, "n", 1L)
  }
  more <- vapply(tables, NROW, 1L) - n
  print(lapply(tables, function(table) if (NROW(table) > n) utils::head(table, n) else table), ...)
  for (name in names(tables)[more > 0]) {
    cat("... and ", count_of(more[[name]], "more level"), " of ", name, "\n", sep = "")
  }
}

#' @noRd
without_postvar <- function(el) {
  attr(el, "postVar") <- NULL
  el
}

#' @param row.names,optional Not used; arguments of the generic.
#' @rdname ranef.lmm
#' @export
as.data.frame.ranef.lmm <- function(x, row.names = NULL, optional = FALSE, ...) {
  check_dots(..., allowed = "stringsAsFactors")
  tables <- Map(long_modes, unclass(x), names(x))
  rows <- if (length(tables) == 0L) {
    data.frame(grpvar = character(), term = factor(), grp = factor(), condval = double())
  } else {
    do.call(rbind, unname(tables))
  }
  rownames(rows) <- NULL
  finish_table(rows, row.names, ...)
}

#' Conditional modes of one grouping factor in long form, levels ordered by their first effect
#' @noRd
long_modes <- function(table, group) {
  if (!is.data.frame(table)) {
    table <- restore_table(table)
  }
  names <- distinct_names(names(table))
  grp <- row.names(table)
  long <- data.frame(
    grpvar = group,
    term = factor(rep(names, each = nrow(table)), levels = names),
    grp = factor(rep.int(grp, length(names)), levels = grp[order(table[[1L]])]),
    condval = unlist(table, use.names = FALSE)
  )
  variances <- attr(table, "postVar")
  if (!is.null(variances)) {
    long$condsd <- conditional_sd(variances)
  }
  long
}

#' The data frame from which drop = TRUE made a vector
#' @noRd
restore_table <- function(values) {
  table <- data.frame(`(Intercept)` = as.vector(values), row.names = names(values),
                      check.names = FALSE)
  variances <- attr(values, "postVar")
  if (!is.null(variances)) {
    attr(table, "postVar") <- array(variances, c(1L, 1L, length(variances)))
  }
  table
}

#' Conditional standard deviations, effect after effect, from arrays k x k x levels; NA where a
#' negative variance of the effects leaves a negative one
#' @noRd
conditional_sd <- function(variances) {
  arrays <- if (is.list(variances)) variances else list(variances)
  diagonals <- lapply(arrays, function(v) {
    k <- dim(v)[[1L]]
    flat <- matrix(v, k * k)
    as.vector(t(flat[seq.int(1L, k * k, by = k + 1L), , drop = FALSE]))
  })
  variances <- unlist(diagonals, use.names = FALSE)
  sqrt(replace(variances, which(variances < 0), NA_real_))
}

#' @rdname ranef.lmm
#' @importFrom stats coef
#' @export
coef.lmm <- function(object, augFrame = FALSE, FUN = mean, ...) {
  check_dots(...)
  check_augmentation(augFrame, FUN)
  if (length(object$random) == 0L) {
    return(fixef.lmm(object))
  }
  columns <- coefficient_columns(object)
  tables <- lapply(
    structure(seq_along(object$flist), names = names(object$flist)),
    function(i) {
      at <- unlist(columns$at[terms_of_factor(object, i)])
      add_fixed(modes_table(object, i), columns$fixed, at)
    }
  )
  if (augFrame) {
    return(with_level_variables(tables, object, FUN))
  }
  structure(tables, class = c("coef.lmm", "coef.mer"))
}

#' The columns of the tables of coef()
#'
#' @returns list(fixed (named: what each column starts from), kept (which fixed effect it is, NA for
#'   effects that are random only), at (list by term: the columns that its effects add to))
#' @noRd
coefficient_columns <- function(object) {
  fixed <- fixef.lmm(object)
  effects <- lapply(object$random, term_keys, object$frame)
  keys <- fixed_keys(object)[kept_columns(object)]
  alone <- !unlist(effects) %in% keys & !duplicated(unlist(effects))
  all <- c(unlist(effects)[alone], keys)
  list(
    fixed = c(structure(numeric(sum(alone)), names = unlist(object$cnms)[alone]), fixed),
    kept = c(rep.int(NA_integer_, sum(alone)), seq_along(fixed)),
    at = lapply(effects, match, all)
  )
}

#' Fixed plus random effects, a row for each level
#'
#' Effects that are random only come first and start from zero, in the tables of all factors, as in
#' 'lme4'.
#' @param at which of `fixed` each column of `modes` adds to
#' @noRd
add_fixed <- function(modes, fixed, at) {
  columns <- lapply(fixed, rep.int, times = nrow(modes))
  for (i in seq_along(modes)) {
    columns[[at[[i]]]] <- columns[[at[[i]]]] + modes[[i]]
  }
  data.frame(columns, row.names = row.names(modes), check.names = FALSE)
}

#' @rdname ranef.lmm
#' @export
print.coef.lmm <- function(x, n = 100L, ...) {
  check_dots(..., allowed = printing_arguments(print.default, print.data.frame))
  print_levels(unclass(x), n, ...)
  invisible(x)
}
