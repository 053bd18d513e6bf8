# Clusters of rows that a model takes as independent.

#' The clusters of a fit, checked to be independent of each other
#'
#' Rows are connected where they share a level of a grouping factor, levels that a known matrix
#' links, or a group of correlated residuals, also through others: a cluster has to hold all rows
#' that are connected with one of its own.
#' @param cluster NULL, the name of a variable, a one-sided formula, or a value for each row.
#' @returns list(codes, count, levels, name): codes from 1 to count, the labels of the levels, and
#'   what the clusters are called
#' @noRd
independent_clusters <- function(object, cluster = NULL) {
  if (!is.null(object$condensed)) abort_needs_rows("A covariance matrix from clusters")
  refuse_members_of(object, "A covariance matrix from clusters")
  connected <- engine_inference(engine_connected_rows, object)
  if (is.null(cluster)) {
    return(default_clusters(object, connected))
  }
  found <- given_clusters(object, cluster)
  if (!holds_all(found, connected)) {
    abort_dependent_clusters(object, found, connected)
  }
  found
}

#' Do clusters hold all rows that are connected?
#' @noRd
holds_all <- function(clusters, connected) {
  first <- match(seq_len(connected$count), connected$codes)
  all(clusters$codes[first][connected$codes] == clusters$codes)
}

#' Grouping factors and the groups of correlated residuals: list(codes, levels) each, by name
#' @noRd
dependent_groups <- function(object) {
  groups <- lapply(object$flist, function(factor) {
    list(codes = as.integer(factor), levels = levels(factor))
  })
  if (has_correlation(object)) {
    own <- residual_groups(object$residual$correlation, object$frame)[c("codes", "levels")]
    name <- if (has_known_rows(object$residual)) {
      paste("rows connected by", object$residual$correlation$group_label)
    } else {
      paste(object$residual$correlation$group, collapse = ":")
    }
    same <- Filter(function(group) identical(group$codes, own$codes), groups)
    if (length(same) == 0L) groups[[if (nzchar(name)) name else "all rows"]] <- own
  }
  groups
}

#' The levels of the coarsest grouping factor that holds all others; else the connected rows
#' @noRd
default_clusters <- function(object, connected) {
  groups <- dependent_groups(object)
  if (length(groups) == 0L) {
    return(list(
      codes = connected$codes, count = connected$count, levels = row.names(object$frame),
      name = "rows"
    ))
  }
  if (connected$count < 2L) {
    ferrolmm_abort(
      "There are no independent clusters: all rows are connected by their groups.", "argument",
      i = paste0("A covariance matrix from clusters needs clusters that hold whole groups of all ",
                 "random effects and residuals. bootstrap() goes without.")
    )
  }
  used <- lapply(groups, function(group) used_codes(group$codes, group$levels))
  counts <- vapply(used, `[[`, 1L, "count")
  coarsest <- which.min(counts)
  found <- c(used[[coarsest]], name = names(groups)[[coarsest]])
  if (holds_all(found, connected)) {
    return(found)
  }
  c(connected, list(levels = as.character(seq_len(connected$count)), name = "connected rows"))
}

#' Codes without levels that have no row
#' @noRd
used_codes <- function(codes, levels) {
  used <- sort(unique(codes))
  list(codes = match(codes, used), count = length(used), levels = levels[used])
}

#' Clusters that a user names or gives
#' @noRd
given_clusters <- function(object, cluster) {
  name <- "cluster"
  if (inherits(cluster, "formula")) {
    cluster <- named_in_formula(cluster)
  }
  n <- count_rows(object)
  if (is.character(cluster) && length(cluster) == 1L && n > 1L) {
    name <- cluster
    factor <- object$flist[[name]]
    if (!is.null(factor)) {
      return(c(used_codes(as.integer(factor), levels(factor)), name = name))
    }
    cluster <- cluster_variables(object, name)
  } else {
    cluster <- list(cluster = used_clusters(cluster, object))
  }
  group <- group_factor(names(cluster), cluster)
  if (anyNA(group$codes)) abort_missing_clusters(sum(is.na(group$codes)))
  c(used_codes(group$codes, group$levels), name = name)
}

#' "a" of `~ a`, "a:b" of `~ a:b`
#' @noRd
named_in_formula <- function(formula) {
  names <- all.names(formula[[length(formula)]])
  wrong <- length(formula) != 2L || length(all.vars(formula)) == 0L ||
    !all(setdiff(names, all.vars(formula)) %in% ":")
  if (wrong) {
    ferrolmm_abort(
      paste0("`cluster` must be one grouping of the rows, as ~ subject or ~ site:subject: not ",
             code_label(formula), "."),
      "argument",
      i = "Clusters in two ways (~ a + b) are not independent of each other in one of them."
    )
  }
  paste(all.vars(formula), collapse = ":")
}

#' The variables of a cluster, from the model frame or the data, rows as in the fit
#' @noRd
cluster_variables <- function(object, name) {
  parts <- if (name %in% names(object$frame)) name else strsplit(name, ":", fixed = TRUE)[[1L]]
  columns <- object$frame
  if (!all(parts %in% names(columns))) {
    columns <- fit_data(object)
    columns <- columns[match(row.names(object$frame), row.names(columns)), , drop = FALSE]
  }
  unknown <- setdiff(parts, names(columns))
  if (length(unknown) > 0L) {
    ferrolmm_abort(
      paste0("`cluster` is no variable of the model or its data: ", quote_names(unknown), "."),
      "argument",
      i = did_you_mean(unknown[[1L]], c(names(object$flist), names(columns)))
    )
  }
  lapply(stats::setNames(nm = parts), function(part) columns[[part]])
}

#' A value for each row of the fit, of a vector that has one for each, or for left out rows, too
#' @noRd
used_clusters <- function(cluster, object) {
  n <- count_rows(object)
  omitted <- object$na.action
  if (length(omitted) > 0L && length(cluster) == n + length(omitted)) {
    cluster <- cluster[-omitted]
  }
  if (!is.atomic(cluster) || length(cluster) != n) {
    ferrolmm_abort(
      paste0("`cluster` must have a value for each of the ", count_of(n, "row"),
             ", or be a formula or name such as ~ subject", describe_given(cluster), "."),
      "argument", i = if (length(cluster) != n) describe_rows(object)
    )
  }
  if (anyNA(cluster)) abort_missing_clusters(sum(is.na(cluster)))
  cluster
}

#' @noRd
abort_missing_clusters <- function(rows) {
  ferrolmm_abort(
    paste0("`cluster` is missing (NA) in ", count_of(rows, "row"), " of the fit."), "argument"
  )
}

#' @noRd
abort_dependent_clusters <- function(object, found, connected) {
  groups <- dependent_groups(object)
  split <- vapply(groups, function(group) !holds_all(found, used_codes(group$codes, group$levels)),
                  NA)
  ferrolmm_abort(
    paste0("Rows of different clusters are not independent: ", if (any(split)) {
      paste0("levels of ", quote_names(names(groups)[split]), " occur in several.")
    } else {
      "the known covariance matrix of levels links those of several."
    }),
    "argument", i = c(
      "Clusters must hold whole groups of all random effects and residuals.",
      if (connected$count > 1L) {
        paste0("The rows fall into ", connected$count, " sets that are independent of each other.")
      } else {
        "All rows are connected by their groups: there are no independent clusters."
      }
    )
  )
}
