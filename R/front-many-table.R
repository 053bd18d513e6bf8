# The table of results of many responses.

#' Table of the tests of many responses
#'
#' One row for each response, with the estimate of a fixed effect or contrast and its test, those
#' with the smallest p-values first.
#'
#' Adjusted p-values are of all responses that have a p-value, whatever part of the table is asked
#' for. After [moderate()] the columns `moderated.df`, `moderated.statistic` and `moderated.p.value`
#' have the moderated test, and the order, `p.adjusted` and `max_p` are of it. Responses without an
#' optimum that can be trusted have no p-values; they come last, with their `message`.
#'
#' @param object Fits of many responses, from [refit()].
#' @param term The name of a fixed effect, or of a contrast that `refit()` was given; left out, the
#'   only contrast, else the last fixed effect.
#' @param n At most so many rows; `Inf` for all.
#' @param sort `"p.value"`; `"statistic"` or `"estimate"`, the largest in size first; or `"none"`,
#'   the order of the responses.
#' @param adjust How p-values are adjusted, a method of [stats::p.adjust()].
#' @param max_p Only responses with an adjusted p-value up to this; the default 1 keeps all.
#' @param ... Not used.
#' @returns A data frame with the columns `response`, `estimate`, `std.error`, `df`, `statistic`,
#'   `p.value`; after [moderate()] the three of the moderated test; `p.adjusted`, `sigma`, `nobs`
#'   (rows of the response), `singular`, `converged` and `message` (why there is no fit, else
#'   empty).
#' @seealso [refit.lmm()], [moderate()], [lmm_many]
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age * Sex + (1 | Subject), Orthodont)
#' many <- refit(fit, simulate(fit, nsim = 20, seed = 1), contrasts = rbind(girls = c(0, 1, 0, 1)))
#' top_table(many, "age", n = 3)
#' top_table(moderate(many), n = 3)
#' @export
top_table <- function(object, term = NULL, n = 10L, sort = "p.value", adjust = "BH", max_p = 1,
                      ...) {
  check_dots(...)
  check_many(object)
  tests <- tests_of_term(object, term)
  n <- if (identical(n, Inf)) length(object$sigma) else check_count(n, "n", 0L)
  sort <- match_choice(sort, "sort", c("p.value", "statistic", "estimate", "none"))
  adjust <- match_choice(adjust, "adjust", stats::p.adjust.methods)
  if (!is.numeric(max_p) || length(max_p) != 1L || !isTRUE(max_p >= 0 && max_p <= 1)) {
    ferrolmm_abort("`max_p` must be a number from 0 to 1.", "argument")
  }
  known <- has_optimum(object)
  tests$p.value[!known] <- NA
  table <- data.frame(
    response = names(object$sigma), estimate = tests$estimate, std.error = tests$se,
    df = tests$df, statistic = tests$statistic, p.value = tests$p.value
  )
  p <- table$p.value
  statistic <- table$statistic
  if (!is.null(object$moderated)) {
    moderated <- moderated_tests(object, tests)
    p <- moderated$p
    p[!known] <- NA
    statistic <- moderated$statistic
    table$moderated.df <- moderated$df
    table$moderated.statistic <- statistic
    table$moderated.p.value <- p
  }
  table$p.adjusted <- stats::p.adjust(p, adjust)
  table$sigma <- unname(object$sigma)
  table$nobs <- unname(object$nobs)
  table$singular <- unname(object$status) == "singular"
  table$converged <- known
  table$message <- unname(object$message)
  order <- switch(sort,
    p.value = order(p, -abs(statistic)), statistic = order(-abs(statistic)),
    estimate = order(-abs(table$estimate)), none = seq_along(p)
  )
  if (max_p < 1) order <- order[which(table$p.adjusted[order] <= max_p)]
  table <- table[utils::head(order, n), , drop = FALSE]
  row.names(table) <- NULL
  table
}

#' Estimates and tests of one fixed effect or contrast, a value for each response
#' @noRd
tests_of_term <- function(object, term) {
  of_fixed <- c(list(estimate = object$coefficients), object[c("se", "df", "statistic", "p.value")])
  fixed <- rownames(object$coefficients)
  own <- rownames(object$contrasts$estimate)
  known <- c(own, fixed)
  if (length(known) == 0L) {
    ferrolmm_abort("The model has no fixed effects.", "argument")
  }
  if (is.null(term)) {
    term <- if (length(own) > 0L) own[[1L]] else fixed[[length(fixed)]]
  }
  if (!is_string(term) || !term %in% known) {
    ferrolmm_abort(
      "`term` must be the name of one fixed effect or contrast.", "argument",
      i = paste0("They are ", quote_names(known, 10L), ".")
    )
  }
  tables <- if (term %in% own) object$contrasts else of_fixed
  lapply(tables, function(values) unname(values[match(term, rownames(values)), ]))
}

#' The tests with moderated residual variances: see [moderate()]
#' @noRd
moderated_tests <- function(object, tests) {
  scale <- sqrt(unname(object$moderated$s2_post)) / unname(object$sigma)
  statistic <- tests$statistic / scale
  df <- tests$df + object$moderated$df_prior
  list(
    df = df, statistic = statistic, p = 2 * stats::pt(abs(statistic), df, lower.tail = FALSE)
  )
}
