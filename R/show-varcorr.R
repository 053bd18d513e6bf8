# Covariance parameters as a table: of random effects, and of the residual structure.

#' @param digits The number of significant digits to print.
#' @param comp What to print: `"Std.Dev."` (the default), `"Variance"` (the default where variances
#'   may be negative) or both.
#' @param corr Print correlations (`TRUE`) or covariances (`FALSE`) next to them? By default
#'   correlations if `comp` has standard deviations.
#' @rdname VarCorr.lmm
#' @export
print.VarCorr.lmm <- function(x, digits = max(3L, getOption("digits") - 2L), comp = usual_comp(x),
                              corr = NULL, ...) {
  check_dots(..., allowed = printing_arguments(print.default))
  check_digits(digits)
  visits <- format_visits(attr(x, "visits"), digits)
  if (length(x) > 0L || is.null(visits)) {
    print(format_varcorr(x, digits, comp, corr), quote = FALSE, ...)
    writeLines(as.character(attr(x, "notes")))
  }
  if (!is.null(visits)) {
    writeLines(c("Residual covariance:", visits))
  }
  residual <- attr(x, "residual")
  in_table <- is_printed(attr(x, "visits"), digits) && attr(attr(x, "visits"), "complete")
  if (!is.null(residual) && (!in_table || "std.error" %in% names(residual))) {
    cat("Parameters of the residual structure:\n")
    print(residual, digits = digits, row.names = FALSE)
  }
  invisible(x)
}

#' Standard deviations, or variances where these may be negative
#' @noRd
usual_comp <- function(x) if (isTRUE(attr(x, "nobound"))) "Variance" else "Std.Dev."

#' Variances and correlations as a character matrix, a row for each effect
#'
#' @param comp "Std.Dev.", "Variance" or both; the first letters suffice.
#' @param corr correlations or covariances in the last columns? NULL: what goes with `comp`.
#' @noRd
format_varcorr <- function(x, digits, comp = usual_comp(x), corr = NULL) {
  known <- c("Std.Dev.", "Variance")
  if (!is.character(comp) || length(comp) == 0L) {
    match_choice(comp, "comp", known)
  }
  comp <- vapply(comp, match_choice, "", "comp", known, USE.NAMES = FALSE)
  corr <- if (is.null(corr)) "Std.Dev." %in% comp else check_flag(corr, "corr")
  sigma <- attr(x, "sc")
  x <- lapply(x, shown_part)
  sizes <- vapply(x, nrow, 1L)
  sd <- c(unlist(lapply(x, attr, "stddev"), use.names = FALSE), sigma)
  variances <- c(unlist(lapply(x, diag), use.names = FALSE), sigma^2)
  columns <- list(
    Std.Dev. = format(sd, digits = digits), Variance = format(variances, digits = digits)
  )
  groups <- unlist(Map(function(name, k) c(name, character(k - 1L)), names(x), sizes))
  cells <- cbind(
    Groups = format(c(groups, "Residual")),
    Name = format(c(unlist(lapply(x, rownames), use.names = FALSE), "")),
    do.call(cbind, columns[comp])
  )
  if (any(sizes > 1L) || any(vapply(x, function(v) !is.null(attr(v, "structure")), NA))) {
    cells <- cbind(cells, format_pairs(x, sizes, corr, digits))
  }
  dimnames(cells) <- list(rep.int("", nrow(cells)), colnames(cells))
  cells
}

#' Lower triangles of the correlations (covariances), one under the other, blank elsewhere
#' @noRd
format_pairs <- function(x, sizes, corr, digits) {
  free <- vapply(x, function(v) is.null(attr(v, "structure")), NA)
  width <- max(sizes[free] - 1L, if (any(!free)) 1L, 1L)
  blocks <- lapply(x, function(v) {
    values <- if (corr) attr(v, "correlation") else v
    if (!is.null(attr(v, "structure"))) {
      return(format_structure(values, v, width, corr, digits))
    }
    text <- matrix("", nrow(v), width)
    k <- nrow(v) - 1L
    below <- lower.tri(v)[, seq_len(k), drop = FALSE]
    text[, seq_len(k)][below] <- format_pair(values[lower.tri(v)], corr, digits)
    text
  })
  cells <- rbind(do.call(rbind, unname(blocks)), "")
  filled <- nzchar(cells)
  cells[filled] <- formatC(cells[filled], width = max(nchar(cells)))
  colnames(cells) <- c(if (corr) "Corr" else "Cov", character(width - 1L))
  cells
}

#' The effects of a term that are shown: only the first where all have one variance and one
#' correlation parameter
#' @noRd
shown_part <- function(v) {
  name <- attr(v, "structure")
  if (is.null(name) || !startsWith(name, "hom ") || is_by_lag(sub("^hom ", "", name))) {
    return(v)
  }
  first <- v[1L, 1L, drop = FALSE]
  rownames(first) <- attr(v, "effects")
  attr(first, "stddev") <- attr(v, "stddev")[1L]
  attr(first, "correlation") <- attr(v, "correlation")
  attr(first, "structure") <- name
  attr(first, "covariance") <- v
  first
}

#' Has a structure of random effects a correlation for each lag?
#' @noRd
is_by_lag <- function(structure) identical(correlation_kind(structure)$each, "lag")

#' The correlations of a structure: the one that they are made of, or one for each lag
#' @noRd
format_structure <- function(values, v, width, corr, digits) {
  text <- matrix("", nrow(v), width)
  name <- sub("^hom ", "", attr(v, "structure"))
  if (!corr && !is.null(attr(v, "covariance"))) {
    values <- attr(v, "covariance")
  }
  text[1L, 1L] <- if (!random_kind(name)$correlated || is_by_lag(name)) {
    paste0("(", name, ")")
  } else {
    paste0(format_pair(values[2L, 1L], corr, digits), " (", name, ")")
  }
  if (is_by_lag(name)) {
    text[-1L, 1L] <- format_pair(values[-1L, 1L], corr, digits)
  }
  text
}

#' @noRd
format_pair <- function(values, corr, digits) {
  if (corr) {
    formatC(values, digits = max(2L, digits - 2L), format = "f")
  } else {
    format(values, digits = digits)
  }
}

#' The residual structure in words, with its estimates
#'
#' Where rows have visits the covariance matrix of these is shown, and of the parameters only those
#' that cannot be read from it.
#' @param visits what [visit_covariances()] returns.
#' @noRd
format_residual <- function(object, digits, visits = visit_covariances(object)) {
  residual <- object$residual
  if (is.null(residual)) {
    return(NULL)
  }
  parts <- split_phi(residual, object$phi)
  held <- split_phi(residual, ifelse(phi_held(object), " (held)", ""))
  tables <- format_visits(visits, digits)
  in_table <- !is.null(tables)
  lines <- "Residual covariance:"
  if (!is.null(residual$correlation)) {
    lines <- c(lines, format_correlation(
      residual$correlation, parts, held$correlation, digits, in_table
    ))
  }
  for (s in seq_along(residual$scales)) {
    scale <- residual$scales[[s]]
    if (!in_table || !is_in_table(scale, held$scales[[s]])) {
      lines <- c(lines, format_scale(scale, parts$scales[[s]], held$scales[[s]], digits))
    }
  }
  if (length(residual$fixed)) {
    lines <- c(lines, paste0(" Known variances proportional to ",
                             paste(residual$fixed, collapse = " * ")))
  }
  c(lines, tables)
}

#' Can the parameters of a variance function be read from the standard deviations of visits?
#' @noRd
is_in_table <- function(scale, held) !scale_kind(scale$type)$covariate && !any(nzchar(held))

#' Is the covariance matrix of visits printed?
#' @noRd
is_printed <- function(visits, digits) !is.null(format_visits(visits, digits))

#' Standard deviations and correlations of visits as text; NULL where these are too many
#' @noRd
format_visits <- function(visits, digits, most = 12L) {
  if (is.null(visits) || any(vapply(visits, nrow, 1L) > most)) {
    return(NULL)
  }
  sd <- format(unlist(lapply(visits, function(v) sqrt(diag(v))), use.names = FALSE),
               digits = digits)
  owner <- rep.int(seq_along(visits), vapply(visits, nrow, 1L))
  tables <- lapply(seq_along(visits), function(k) {
    v <- visits[[k]]
    m <- nrow(v)
    correlation <- matrix("", m, max(m - 1L, 0L))
    below <- lower.tri(v)[, -m, drop = FALSE]
    correlation[below] <- format_pair(stats::cov2cor(v)[lower.tri(v)], TRUE, digits + 1L)
    cells <- rbind(
      c("", "Std.Dev.", if (m > 1L) "Corr", character(max(m - 2L, 0L))),
      cbind(rownames(v), sd[owner == k], correlation)
    )
    text <- apply(cells, 2L, format)
    stratum <- names(visits)[[k]]
    c(if (nzchar(stratum)) paste0("  ", stratum, ":"),
      trimws(paste0("  ", apply(text, 1L, paste, collapse = " ")), "right"))
  })
  lines <- unlist(tables)
  if (max(nchar(lines)) <= getOption("width")) lines
}

#' Which elements of phi were not estimated?
#' @noRd
phi_held <- function(object) {
  object$residual$held | names(object$phi) %in% names(object$control$hold)
}

#' @noRd
format_correlation <- function(correlation, parts, held, digits, in_table = FALSE) {
  if (correlation$kind == "rows") {
    return(wrap_text(paste0(
      " Covariances: sigma^2 times ", correlation$group_label, ", in ",
      count_of(max(correlation$component), "set"), " of connected rows"
    ), indent = 1L, exdent = 3L))
  }
  kind <- correlation_kind(correlation$type)
  title <- correlation_title(correlation)
  by <- if (is_product(correlation$type)) {
    NULL
  } else if (length(correlation$covariates)) {
    paste0(" by ", paste(correlation$covariates, collapse = ", "))
  } else if (correlation$kind == "order") {
    " by the order of rows"
  }
  group <- setdiff(correlation$group, correlation$by)
  within <- if (length(group)) paste0(" within ", paste(group, collapse = ":"))
  each <- if (length(correlation$by)) {
    paste0(", one for each ", paste(correlation$by, collapse = ":"))
  }
  head <- paste0(" Correlation: ", title, by, within, each)
  of_pairs <- kind$each %in% c("pair", "neighbours")
  if (in_table && of_pairs && !any(nzchar(held))) {
    return(wrap_text(head, indent = 1L, exdent = 3L))
  }
  values <- lapply(seq_len(count_classes(correlation)), function(class) {
    par <- class_parameters(correlation, parts$correlation, class)
    if (!in_table && of_pairs) {
      return(format_visit_correlations(correlation, par, digits))
    }
    format_correlation_values(
      correlation, par, class_parameters(correlation, held, class), digits
    )
  })
  if (length(correlation$classes) > 0L) {
    lines <- Map(function(class, lines) {
      if (length(lines) == 1L) {
        wrap_text(paste0(class, ": ", lines), indent = 3L, exdent = 5L)
      } else {
        c(paste0("   ", class, ":"), lines)
      }
    }, correlation$classes, values)
    return(c(wrap_text(head, indent = 1L, exdent = 3L), unlist(lines, use.names = FALSE)))
  }
  if (length(values[[1L]]) > 1L) {
    return(c(head, values[[1L]]))
  }
  wrap_text(paste0(head, ", ", values[[1L]]), indent = 1L, exdent = 3L)
}

#' "AR(1)"; "AR(1) by row times AR(1) by col"
#' @noRd
correlation_title <- function(correlation) {
  if (is_product(correlation$type)) {
    axes <- vapply(correlation$axes, function(axis) {
      paste0(structure_words[[axis$type]]$words, " by ", axis$covariates)
    }, "")
    return(paste(axes, collapse = " times "))
  }
  paste0(structure_words[[correlation$type]]$words, order_words(correlation))
}

#' Correlations as text with two or more digits
#' @noRd
fixed_digits <- function(x, digits) formatC(x, digits = max(2L, digits - 1L), format = "f")

#' "rho = 0.50", the parameters of a correlation
#' @noRd
format_correlation_values <- function(correlation, par, held, digits) {
  values <- if (is_spatial(correlation$type)) {
    format(par, digits = digits, trim = TRUE)
  } else {
    fixed_digits(par, digits)
  }
  paste0(correlation_labels(correlation), " = ", values, held, collapse = ", ")
}

#' The correlation matrix of the visits, a line for each
#' @noRd
format_visit_correlations <- function(correlation, par, digits) {
  m <- correlation$n_positions
  matrix <- position_correlation(correlation, par, seq_len(m), m)
  text <- matrix("", m, m - 1L)
  below <- lower.tri(matrix)[, -m, drop = FALSE]
  text[below] <- fixed_digits(matrix[, -m, drop = FALSE][below], digits)
  visits <- correlation$visits
  cells <- rbind(c("", visits[-m]), cbind(visits, text))
  cells[, 1L] <- format(cells[, 1L])
  cells[, -1L] <- formatC(cells[, -1L], width = max(nchar(cells[, -1L])))
  trimws(paste0("   ", apply(cells, 1L, paste, collapse = " ")), "right")
}

#' @noRd
format_scale <- function(scale, par, held, digits) {
  value <- function(x) format(x, digits = digits, trim = TRUE)
  strata <- paste(scale$stratum, collapse = "*")
  covariate <- if (scale$fitted) "fitted values" else scale$covariate
  kind <- scale_kind(scale$type)
  if (!kind$covariate) {
    return(wrap_text(
      paste0("Standard deviation by ", strata, ", ratios to that of ", scale$levels[[1L]], ": ",
             paste0(scale$levels[-1L], " ", value(par), held, collapse = ", ")),
      indent = 1L, exdent = 3L
    ))
  }
  formula <- scale_words[[scale$type]]$formula(covariate)
  labels <- if (length(scale$levels)) scale$levels else ""
  names <- paste(rep(kind$parameters, each = length(labels)), labels)
  wrap_text(
    paste0("Standard deviation proportional to ", formula, if (nzchar(strata)) {
      paste0(" by ", strata)
    }, ": ", paste0(trimws(names), " = ", value(par), held, collapse = ", ")),
    indent = 1L, exdent = 3L
  )
}
