# Within and between parts of a predictor as a term of the formula.
#
# within_between() returns a matrix of class "within_between"; makepredictcall() puts the means of
# the training data into `predvars`, as stats does for poly() and scale().

#' Within-group and between-group parts of a predictor
#'
#' For use in a model formula. The effect of a predictor among the members of one group and its
#' effect among the means of groups are different things, and can have different signs.
#' `within_between(x, g)` stands for two columns: `x` minus the mean of its group (*within*) and
#' that mean (*between*). The difference of the two coefficients is called the contextual effect.
#'
#' @section Several grouping factors:
#' \describe{
#'   \item{`within_between(x, a:b)`}{the groups are the combinations of `a` and `b` that occur.}
#'   \item{`within_between(x, a/b)`}{`b` nested in `a`. Three columns: `x` minus the mean of its
#'     `a:b`; that mean minus the mean of its `a`; the mean of its `a`.}
#'   \item{`within_between(x, a + b)`}{crossed factors. `x` is split by the additive least-squares
#'     fit of `a` and `b`: the column of `a` holds the adjusted means of its levels (the plain means
#'     where the data are balanced), likewise for `b`, and the remainder is the within part.}
#' }
#'
#' @section New data:
#' The group means of the data that the model was fitted to are stored with the fit, and
#' [predict()][predict.lmm] uses them: a prediction for one row does not depend on which other rows
#' are predicted with it. For a group that was not in the data there is no such mean. By default
#' that is an error; with `new = "mean"` the mean of the group's rows in `newdata` is taken, which
#' is right when `newdata` holds the group's members; with `new = "average"` the group is taken to
#' be an average one, whose mean is that of all rows of the data of the fit. Means are those of all
#' rows of `data` in which `x` is not missing: as for `poly()` and `scale()`, rows that `subset` or
#' a missing value in another variable leaves out still count.
#'
#' @param x A numeric predictor.
#' @param g The grouping factor; `a:b`, `a/b` or `a + b` for several, see below. As text,
#'   `within_between(x, "a/b")`, it is no variable of the term: rows of other data then belong to a
#'   group with an average mean.
#' @param part `"both"` parts; or only `"within"`, for a random slope such as
#'   `(within_between(x, g, "within") | g)`; or only `"between"`.
#' @param new What to do for groups that the fit has not seen: `"error"`, take the `"mean"` of
#'   their rows in the new data, or the `"average"` of the groups of the fit, weighted by their
#'   rows.
#' @param means Means from an earlier call. Filled in by `predict()`; not for direct use.
#' @param ... None: any other argument is an error.
#' @returns A numeric matrix of class `within_between` with the columns `within` and `between`
#'   (several grouping factors: `between_a`, `between_b`), and the attribute `means`.
#' @seealso [plot_within_between()] for the picture of both slopes.
#' @examples
#' ## Patients of a doctor who come later in the day are served worse; doctors whose patients come
#' ## late are the popular ones.
#' set.seed(8)
#' d <- data.frame(doctor = factor(rep(1:12, each = 15)))
#' popular <- rnorm(12, 12, 2)
#' d$hour <- popular[d$doctor] + rnorm(180)
#' d$score <- 2 + popular[d$doctor] - 0.8 * (d$hour - popular[d$doctor]) + rnorm(180)
#'
#' fit <- lmm(score ~ within_between(hour, doctor) + (1 | doctor), d)
#' fixef(fit)
#' plot_within_between(fit)
#'
#' ## One number for both is a compromise that describes neither:
#' fixef(lmm(score ~ hour + (1 | doctor), d))
#'
#' ## The doctors' means in the data are remembered.
#' predict(fit, data.frame(hour = c(10, 12), doctor = "3"))
#' @export
within_between <- function(x, g, part = c("both", "within", "between"),
                           new = c("error", "mean", "average"), means = NULL, ...) {
  check_dots(...)
  part <- match_choice(part, "part", c("both", "within", "between"))
  new <- match_choice(new, "new", c("error", "mean", "average"))
  if (!is.numeric(x) && !is.logical(x) || !is.null(dim(x))) {
    ferrolmm_abort(
      paste0("within_between() needs a numeric vector, `", code_label(substitute(x)), "` is ",
             describe_value(x), "."),
      "predictor"
    )
  }
  written <- substitute(g)
  is_text <- is_string(written)
  design <- grouping_design(if (is_text) str2lang(written) else written)
  home <- parent.frame()
  if (is_text && !is.null(means)) {
    means <- without_levels(means)
    new <- "average"
    home <- rows_without_group(design, length(x))
  }
  groups <- lapply(design$leaves, grouping_columns, env = home, n = length(x))
  x <- as.double(x)
  if (is.null(means)) {
    codes <- lapply(groups, code_rows)
    means <- if (design$kind == "crossed") additive_means(x, codes) else nested_means(x, codes)
  }
  values <- lapply(seq_along(groups), function(k) {
    look_up_means(means, k, groups[[k]], x, new, design$names[[k]])
  })
  parts <- split_parts(x, values, design$kind, means$centre)
  names <- if (length(groups) == 1L) "between" else paste0("between_", rev(design$names))
  colnames(parts) <- c("within", names)
  keep <- switch(part, both = TRUE, within = 1L, between = -1L)
  structure(
    parts[, keep, drop = FALSE], means = means, class = c("within_between", "matrix")
  )
}

#' What the second argument of within_between() stands for
#'
#' @returns list(kind = "nested" or "crossed", leaves = for each grouping factor, finest first, the
#'   expressions whose interaction it is, names)
#' @noRd
grouping_design <- function(g) {
  if (is_call_to(g, "+") && length(g) == 3L) {
    sides <- list()
    while (is_call_to(g, "+") && length(g) == 3L) {
      sides <- c(list(g[[3L]]), sides)
      g <- g[[2L]]
    }
    sides <- rev(c(list(g), sides))
    groups <- lapply(sides, function(side) one_group(side))
    return(list(
      kind = "crossed", leaves = lapply(groups, `[[`, "leaves"),
      names = vapply(groups, `[[`, "", "name")
    ))
  }
  groups <- expand_group(g, call("|", 1, g))
  leaves <- lapply(groups, `[[`, "leaves")
  finest <- vapply(leaves, function(leaf) code_label(leaf[[1L]]), "")
  list(kind = "nested", leaves = leaves, names = finest)
}

#' An environment with something in the place of the grouping factors
#' @noRd
rows_without_group <- function(design, n) {
  names <- unique(unlist(lapply(unlist(design$leaves), all.vars)))
  list2env(stats::setNames(rep(list(character(n)), length(names)), names), parent = baseenv())
}

#' @noRd
one_group <- function(g) {
  groups <- expand_group(g, call("|", 1, g))
  if (length(groups) != 1L) {
    ferrolmm_abort(
      paste0("within_between() cannot mix crossed and nested factors: ", code_label(g), "."),
      "formula", i = "Use two terms, within_between(x, a/b) and within_between(x, c, \"between\")."
    )
  }
  groups[[1L]]
}

#' The variables whose combinations are groups
#' @noRd
grouping_columns <- function(leaves, env, n) {
  columns <- lapply(leaves, function(leaf) {
    value <- plain_values(eval(leaf, env))
    if (!is.atomic(value) || length(value) != n) {
      ferrolmm_abort(
        paste0("The grouping factor `", code_label(leaf), "` of within_between() has ",
               count_of(length(value), "value"), ", the predictor has ", n, "."),
        "grouping"
      )
    }
    value
  })
  stats::setNames(columns, vapply(leaves, code_label, ""))
}

#' Codes of the groups of rows, NA where a variable is missing
#' @returns list(codes, n_levels, key)
#' @noRd
code_rows <- function(columns) {
  there <- which(!missing_in(columns))
  group <- group_factor(names(columns), lapply(columns, function(x) drop_unused(x[there])))
  codes <- rep.int(NA_integer_, length(columns[[1L]]))
  codes[there] <- group$codes
  list(codes = codes, n_levels = length(group$levels), key = group$key)
}

#' @noRd
drop_unused <- function(x) if (is.factor(x)) droplevels(x) else x

#' @noRd
missing_in <- function(columns) Reduce(`|`, lapply(columns, is.na))

#' Mean of the rows of each level, NA for a level without rows
#' @noRd
level_means <- function(x, codes, n_levels) {
  there <- !is.na(x) & !is.na(codes)
  sums <- numeric(n_levels)
  totals <- rowsum(x[there], codes[there])
  sums[as.integer(rownames(totals))] <- totals
  means <- sums / tabulate(codes[there], n_levels)
  means[is.nan(means)] <- NA
  means
}

#' @returns list(levels = list of list(key, means), centre, average)
#' @noRd
nested_means <- function(x, groups) {
  there <- !is.na(x) & !Reduce(`|`, lapply(groups, function(group) is.na(group$codes)))
  list(
    levels = lapply(groups, function(group) {
      list(key = group$key, means = level_means(x, group$codes, group$n_levels))
    }),
    centre = 0, average = mean(x[there])
  )
}

#' Adjusted means of crossed factors: effects of the additive least-squares fit, by cycling through
#' the factors until nothing changes
#' @noRd
additive_means <- function(x, groups) {
  there <- !is.na(x) & !Reduce(`|`, lapply(groups, function(group) is.na(group$codes)))
  centre <- mean(x[there])
  rest <- ifelse(there, x - centre, NA)
  scale <- sqrt(mean(rest^2, na.rm = TRUE))
  effects <- lapply(groups, function(group) numeric(group$n_levels))
  for (round in seq_len(10000L)) {
    largest <- 0
    for (k in seq_along(groups)) {
      step <- level_means(rest, groups[[k]]$codes, groups[[k]]$n_levels)
      effects[[k]] <- effects[[k]] + step
      rest <- rest - step[groups[[k]]$codes]
      largest <- max(largest, abs(step), na.rm = TRUE)
    }
    if (largest <= 1e-12 * scale) break
  }
  levels <- Map(function(effect, group) {
    effect <- effect - mean(effect[group$codes[there]])
    list(key = group$key, means = centre + effect)
  }, effects, groups)
  list(levels = levels, centre = centre, average = centre)
}

#' The stored mean of each row's group by the k-th factor; groups without one are treated as `new`
#' says
#' @noRd
look_up_means <- function(means, k, columns, x, new, name) {
  known <- means$levels[[k]]
  values <- known$means[match_groups(known$key, columns)]
  unknown <- which(is.na(values) & !missing_in(columns) & !is.na(x))
  if (length(unknown) > 0L) {
    if (new == "error") {
      labels <- do.call(
        paste, c(unname(lapply(columns, function(col) value_labels(col)[unknown])), sep = ":")
      )
      ferrolmm_abort(
        paste0("within_between() knows no mean of the new level ", quote_names(unique(labels)),
               " of `", name, "`."),
        "newdata",
        i = paste(
          "within_between(x, g, new = \"mean\") in the formula takes the mean in `newdata`,",
          "new = \"average\" that of the groups of the fit."
        )
      )
    }
    if (new == "average") {
      values[unknown] <- means$average
      return(values)
    }
    own <- code_rows(lapply(columns, `[`, unknown))
    values[unknown] <- level_means(x[unknown], own$codes, own$n_levels)[own$codes]
  }
  values
}

#' Columns that add up to `x` (for crossed factors to x plus a constant)
#' @noRd
split_parts <- function(x, values, kind, centre) {
  if (kind == "crossed") {
    within <- x - Reduce(`+`, values) + (length(values) - 1L) * centre
    return(do.call(cbind, c(list(within), unname(rev(values)))))
  }
  k <- length(values)
  between <- lapply(rev(seq_len(k)), function(i) {
    if (i == k) values[[i]] else values[[i]] - values[[i + 1L]]
  })
  do.call(cbind, c(list(x - values[[1L]]), between))
}

#' @importFrom stats makepredictcall
#' @export
makepredictcall.within_between <- function(var, call) {
  if (is_within_between(call)) {
    call$means <- attr(var, "means")
  }
  call
}

#' What within_between() remembers, as if it knew no level
#' @noRd
without_levels <- function(means) {
  means$levels <- lapply(means$levels, function(level) {
    level$means[] <- NA
    level
  })
  means
}

#' Terms of a fit for rows of average groups, whatever group they name
#'
#' @param terms terms of a fit, with `predvars`.
#' @noRd
of_average_groups <- function(terms) {
  predvars <- attr(terms, "predvars")
  for (k in seq_along(predvars)) {
    call <- predvars[[k]]
    # makepredictcall() has put means into the calls of within_between() only
    if (is.call(call) && is.list(call$means) && !is.null(call$means$average)) {
      call$means <- without_levels(call$means)
      call$new <- "average"
      predvars[[k]] <- call
    }
  }
  attr(terms, "predvars") <- predvars
  terms
}
