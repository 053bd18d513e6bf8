# Tests of one row of L at a time, and of all rows together, by any method.

#' Test each row of L by itself
#'
#' Where a method that may have no answer (Kenward and Roger's) does not determine the degrees of
#' freedom, it gives no standard error either.
#' @returns a data frame with the columns estimate, se, df, statistic, p
#' @noRd
test_rows <- function(inference, L, rhs = 0) {
  estimate <- drop(L %*% inference$beta) - rhs
  se <- sqrt(pmax(row_variances(L, inference$variance), 0))
  se[rowSums(L != 0) == 0] <- NA_real_
  df <- if (nrow(L) > 0L) inference$single(L) else double()
  df[is.na(se)] <- NA_real_
  if (!is.null(inference$determined)) se[is.na(df)] <- NA_real_
  statistic <- estimate / se
  data.frame(
    estimate = estimate + rhs, se = se, df = df, statistic = statistic,
    p = 2 * stats::pt(abs(statistic), df, lower.tail = FALSE)
  )
}

#' Test all rows of L together
#'
#' @param term the term of the fixed part that they are about, where they are about one.
#' @returns a data frame of one row with the columns of anova()
#' @noRd
test_joint <- function(inference, L, rhs = 0, term = NULL) {
  result <- if (nrow(L) == 0L || all(L == 0)) {
    list(statistic = NA_real_, unscaled = NA_real_, numdf = 0L, dendf = NA_real_)
  } else {
    inference$joint(L, drop(L %*% inference$beta) - rhs)
  }
  if (result$numdf > 0L && !is.null(term) && term %in% names(inference$of_term)) {
    result$dendf <- inference$of_term[[term]]
  }
  mean_square <- result$unscaled * inference$object$sigma^2
  data.frame(
    "Sum Sq" = mean_square * result$numdf, "Mean Sq" = mean_square, NumDF = result$numdf,
    DenDF = result$dendf, "F value" = result$statistic,
    "Pr(>F)" = stats::pf(result$statistic, result$numdf, result$dendf, lower.tail = FALSE),
    check.names = FALSE
  )
}

#' Several joint tests as the rows of the table that anova() shows
#'
#' @param contrasts named list of matrices.
#' @noRd
f_table <- function(inference, contrasts) {
  tests <- lapply(seq_along(contrasts), function(j) {
    test_joint(inference, contrasts[[j]], term = names(contrasts)[[j]])
  })
  none <- test_joint(inference, matrix(0, 0L, 0L))[0L, ]
  table <- do.call(rbind, c(list(none), tests))
  row.names(table) <- names(contrasts)
  if (inference$statistic == "none") table[c(1:3, 5L)] else table
}

#' Hypotheses with the names of the coefficients, as lmerTest::show_tests() shows them
#' @noRd
shown_hypotheses <- function(contrasts, object) {
  kept <- kept_columns(object)
  names <- names(object$coefficients)[kept]
  owner <- match(names(contrasts), labels.lmm(object))
  Map(function(L, term) {
    own <- names[object$assign[kept] == term]
    dimnames(L) <- list(if (length(own) == nrow(L)) own, names)
    L
  }, contrasts, owner)
}
