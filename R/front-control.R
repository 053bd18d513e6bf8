#' Options of a fit
#'
#' Checked once, when they are made; [lmm()] takes them as they are.
#'
#' @param max_evaluations (`integer(1)`)\cr largest number of evaluations of the criterion. The
#'   usual fit takes about ten.
#' @param tolerance (`numeric(1)`)\cr the optimum is accepted where a further Newton step
#'   promises to lower the criterion by less than this (half the squared Newton decrement): 1e-12
#'   puts the parameters within about a millionth of their standard errors.
#' @param threads (`integer(1)` or `NULL`)\cr number of threads; 0 lets the engine decide from
#'   the machine and the size of the problem. `NULL` takes `getOption("ferrolmm.threads")`, then
#'   the environment variable `OMP_THREAD_LIMIT`, then 0. The result is the same to the last bit
#'   for any number of threads. At most 1024; no more are started than there are cores, or 16 if
#'   that is more. Never more than 2 under `R CMD check`.
#' @param verbose (`integer(1)`)\cr 0 is silent; 1 shows, after the fit, the criterion and the
#'   largest scaled gradient after each accepted step of the optimiser (a message of class
#'   `ferrolmm_message_trace`). A fit that takes longer than 2 seconds shows its progress
#'   (evaluations, criterion, largest scaled gradient) in a progress bar, in interactive sessions
#'   and where `verbose` is 1. `options(ferrolmm.progress = FALSE)` switches it off; a number there
#'   is the seconds to wait.
#' @param time_limit (`numeric(1)`)\cr seconds that a call may take. In [lmm()] and [refit()] the
#'   optimiser then stops where it is, with a warning: estimates are those of the best point so far,
#'   with the status `"time-limit"` in place of a certificate; a long evaluation of the criterion is
#'   abandoned. Where no point has been evaluated by then there is nothing to return: an error of
#'   class `ferrolmm_error_time_limit`. Methods of the fit (profiles, the bootstrap, tests,
#'   predictions, with all their refits together) have the same limit, at least one second, and end
#'   with that error. `NULL`: no limit.
#' @param solver (`character(1)`)\cr how the criterion is evaluated, see *Large crossed problems*:
#'   `"exact"`, `"iterative"`, or `"auto"`, which chooses by cost.
#' @param sigma (`numeric(1)` or `NULL`)\cr a known residual standard deviation; `NULL`: it is
#'   estimated.
#' @param hold (named `numeric`)\cr variance parameters that are not estimated, and their values, by
#'   the names that `getME(fit, "theta")` and `fit$phi` have: `c("residual.rho" = 0.3)`. Those of
#'   the random effects are relative to sigma, as there. They do not count as parameters, and have
#'   these values whatever `start` says.
#' @param tie (`list` of `character`)\cr sets of variance parameters that are equal, by name:
#'   `list(c("a.(Intercept)", "b.(Intercept)"))`. A set counts as one parameter.
#' @param penalty A penalty that keeps covariances of random effects off the boundary, for all
#'   terms, or a list of them: by grouping factor, `list(subject = penalty_wishart())`, or one for
#'   each term in the order of `VarCorr()`, `NULL` for none. See [penalties].
#' @param not_identified (`character(1)`)\cr random effects whose variances the data cannot tell
#'   from the residual variance (an effect for each row, without differing weights): an error
#'   (`"stop"`), or a fit all the same (`"fit"`), with the warning of the certificate. What counts
#'   is the information in the design, not the number of rows: one row for each level is no obstacle
#'   where `sigma` is known, weights differ or residuals have a structure.
#' @param starts (`integer(1)` or `NULL`)\cr the number of places from which the optimiser walks to
#'   an optimum; the lowest is the result, see *Several optima*. `NULL` decides by the cost of an
#'   evaluation and by what the first walks find; 1 starts only from the moments of the data. Where
#'   no covariance parameter is free there is nothing to search: the certificate says one start.
#' @param options (named `list` or `NULL`)\cr options of R that have these values while the model
#'   is built: `list(contrasts = c("contr.sum", "contr.poly"))` codes the factors of all terms so,
#'   those of random effects too, which `contrasts` of [lmm()] leaves alone. `NULL`: today's.
#'   [update()] without evaluation puts here what has changed since the fit.
#' @param nobound (`logical(1)`)\cr may variances of random effects be negative (`NOBOUND` in SAS)?
#'   See *Variances without bounds*.
#' @param ... None: any other argument is an error.
#' @section Variances without bounds:
#' A variance component estimated as zero says that levels differ less than independent observations
#' would, as animals that compete for the feed of a pen do. With `nobound = TRUE` the covariance
#' matrices of random effects are any symmetric matrices, as long as the covariance matrix of the
#' observations is positive definite: a model of that matrix, in which a random intercept stands for
#' a correlation of either sign. Tests of fixed effects then keep their level where such
#' correlations are negative, and zero is a variance like any other: likelihood ratios have the
#' chi-squared distribution with all degrees of freedom.
#'
#' The optimum is the lowest that walks come to from the fit with bounds, from estimates by moments,
#' from zero, and from negative variances. At the border, where the covariance matrix of the
#' observations is singular in directions that the fixed effects span, the likelihood (without
#' restriction) has no bound, and walks that run there are counted as `vanishing` in the
#' certificate; if all do, it is an error of class `ferrolmm_error_no_maximum`. It is an error, too,
#' beside residual structures, known matrices of levels, mm(), `by`, structures other than us() and
#' diag(), penalties, `sigma`, `hold`, `tie`, `start`, moments, and with more than 2000 fixed
#' effects and random effects of all grouping factors but the largest. A fit without bounds has no
#' `theta` (it is `NA`, and `covariances` are the entries of the covariance matrices relative to the
#' residual variance). Functions that need one, such as [profile()][profile.lmm], [bootstrap()] and
#' [influence()][influence.lmm], refuse it, with an error of class `ferrolmm_error_nobound`.
#' @section Several optima:
#' The likelihood of variance components may have several maxima, above all with few rows, outliers
#' or weights of different magnitudes, and the proof of an optimum says nothing about others. So
#' where evaluations are cheap the optimiser walks from several places: from the moments of the
#' data; from variances that are small or large relative to the residual one; where the residuals
#' are correlated, from strong correlations (of either sign for `ar1()` and `toep()`). Where that
#' gives reason to doubt (these walks disagree, the optimum is at the boundary, there are fewer than
#' five degrees of freedom for each parameter, or levels carry very different amounts of
#' information), up to 300 evaluations search a coarse grid of sizes of the variances, up to eight
#' more walks begin at its minima, and then others from covariances as if drawn at random, half of
#' them with less than full rank, and a third at the lowest optimum with another covariance for one
#' term. Parameters of residual structures are drawn, too: correlations of any size and sign, ranges
#' from below the smallest to above the largest distance, variances that differ by up to a decade.
#' There are at least 28 of these walks, and the more the more optima they find (four times the
#' number at which no further one is expected: Boender & Rinnooy Kan 1987, Mathematical Programming
#' 37, 59-80). Models with one variance less, and with perfect correlations in several directions,
#' are tried where they come close. The more an evaluation costs, the fewer starts there are; large
#' models have one. All of this is the same in every session and for any number of threads. That the
#' lowest optimum is found is then likely, but not proved.
#'
#' `fit$certificate` says in `starts` how many walks there were, and in `agree` how many of them
#' came to the reported optimum; printed, it shows both. `vanishing` counts walks along which the
#' residual variance vanished: random effects that can reproduce the response may have a likelihood
#' without bound, whose maximum is no estimate. Such points are never reported as the optimum, nor
#' are singular correlation matrices of residuals where another optimum is proved.
#'
#' `start` of [lmm()] is taken at its word: one walk, from there. [refit.lmm()] of one response and
#' [update()] search as [lmm()] does. Of many responses and of the bootstrap, only fits at the
#' boundary, or with fewer than five degrees of freedom for each parameter, are given further walks,
#' unless `starts` asks for them. Profiles and deletions follow the optimum of the fit.
#' @section Large crossed problems:
#' Two crossed grouping factors with many levels (users and films) leave, once the larger one is
#' eliminated, a dense matrix of the order of the smaller one. `solver = "exact"` factorises it for
#' each evaluation of the criterion. `solver = "iterative"` never does: it solves by preconditioned
#' conjugate gradients, and estimates the log-determinant and its derivatives from 16 vectors of
#' random signs (stochastic Lanczos quadrature), after the leading eigenvectors and, where that does
#' not take long, the variance of the whole spectrum have been computed exactly. The signs are the
#' same in every evaluation and every session: results can be repeated, and the optimum is as sharp
#' as an exact one. The uncertainty that chance leaves is reported by `summary()` and in
#' `fit$certificate$monte_carlo`, as standard errors of the criterion and of theta: typically 1e-5
#' to 1e-2 and a thousandth of the statistical standard errors.
#'
#' `solver = "auto"` factorises wherever that does not take long. For larger problems it says in a
#' message (of class `ferrolmm_message_solver`) that it does one of three things, which
#' `fit$certificate$path` tells apart:
#'
#' - `"iterative, then exact"`: estimates lead close to the optimum, where criterion and gradient
#'   are computed exactly; the remaining steps rely on differences from there. Criterion and
#'   parameters are those of an exact fit.
#' - `"iterative, exact criterion"`: a single factorisation, at the optimum of the estimates. The
#'   criterion is exact, and so are likelihood ratios.
#' - `"iterative"`: no factorisation, which would take too long or not fit in memory. `logLik()` and
#'   comparisons by `anova()` warn that they carry the error of the criterion. What needs the factor
#'   (conditional variances, standard errors of predictions, Kenward-Roger, profiles, deletions,
#'   leverages) is an error; with `solver = "exact"` it is computed, whatever the cost.
#'   Satterthwaite's degrees of freedom come from the estimated Hessian.
#'
#' `solver = "exact"` is an error (of class `ferrolmm_error_memory`) where the factor does not fit
#' in the memory that is available, where the system tells how much that is (Linux does).
#'
#' Models with one grouping factor, with known covariance matrices of levels, with a residual
#' structure, with penalties, or with `hold` or `tie` are always fitted by factorisation.
#' @references
#' Molenberghs, G. and Verbeke, G. (2011). A note on a hierarchical interpretation for negative
#' variance components. *Statistical Modelling*, 11(5), 389-408.
#' @returns An object of class `lmm_control`, a list of the arguments.
#' @seealso [lmm()]
#' @examples
#' lmm_control(threads = 1)
#' @export
lmm_control <- function(max_evaluations = 500L, tolerance = 1e-12, threads = NULL,
                        verbose = 0L, time_limit = NULL,
                        solver = c("auto", "exact", "iterative"), sigma = NULL, hold = NULL,
                        tie = NULL, penalty = NULL, not_identified = c("stop", "fit"),
                        starts = NULL, options = NULL, nobound = FALSE, ...) {
  check_dots(..., hints = c(
    optimizer = "There is one optimiser, and it proves its optimum: leave `optimizer` out.",
    optCtrl = "`max_evaluations` and `tolerance` are what the optimiser takes.",
    maxiter = "It is called `max_evaluations`.", maxfun = "It is called `max_evaluations`."
  ))
  control <- list(
    max_evaluations = check_count(max_evaluations, "max_evaluations", 1L),
    tolerance = check_tolerance(tolerance),
    threads = choose_threads(threads),
    verbose = check_count(if (is.logical(verbose)) as.integer(verbose) else verbose, "verbose", 0L),
    time_limit = check_time_limit(time_limit),
    solver = check_solver(solver),
    sigma = check_known_sigma(sigma), hold = check_hold(hold), tie = check_tie(tie),
    penalty = check_penalties(penalty),
    not_identified = match_choice(not_identified, "not_identified", c("stop", "fit")),
    starts = if (!is.null(starts)) check_count(starts, "starts", 1L),
    options = check_fit_options(options), nobound = check_flag(nobound, "nobound")
  )
  check_starts_of_solver(control)
  class(control) <- "lmm_control"
  control
}

#' Estimates lead to one optimum only
#' @noRd
check_starts_of_solver <- function(control) {
  if (control$solver == "iterative" && isTRUE(control$starts > 1L)) {
    ferrolmm_abort(
      "`solver = \"iterative\"` walks to one optimum: it takes no `starts`.", "argument",
      i = "Leave `starts` out, or use `solver = \"exact\"`."
    )
  }
}

#' @noRd
check_time_limit <- function(time_limit) {
  if (is.null(time_limit) || identical(time_limit, Inf)) {
    return(NULL)
  }
  if (!is.numeric(time_limit) || length(time_limit) != 1L || is.na(time_limit) ||
        time_limit <= 0) {
    ferrolmm_abort("`time_limit` must be a positive number of seconds, or NULL.", "argument")
  }
  as.double(time_limit)
}

#' @noRd
check_fit_options <- function(options) {
  if (length(options) == 0L) {
    return(NULL)
  }
  if (!is.list(options) || is.null(names(options)) || anyDuplicated(names(options))) {
    ferrolmm_abort(
      "`options` must be a list that names each option once.", "argument",
      i = "As in options = list(contrasts = c(\"contr.sum\", \"contr.poly\"))."
    )
  }
  wrong <- setdiff(names(options), fit_options)
  if (length(wrong) > 0L) {
    ferrolmm_abort(
      paste0("`options` names ", quote_names(wrong), ", which a fit does not read."), "argument",
      i = paste0("It reads ", quote_names(fit_options), ".")
    )
  }
  # only what R itself accepts
  withCallingHandlers(
    options(options(options)),
    error = function(e) {
      ferrolmm_abort("`options` has a value that R does not accept.", "argument",
                     x = conditionMessage(e))
    }
  )
  options
}

#' @noRd
check_solver <- function(solver) {
  match_choice(solver, "solver", c("auto", "exact", "iterative"))
}

#' @noRd
check_known_sigma <- function(sigma) {
  if (is.null(sigma)) {
    return(NULL)
  }
  if (!is.numeric(sigma) || length(sigma) != 1L || !is.finite(sigma) || sigma <= 0) {
    ferrolmm_abort("`sigma` must be a positive number, or NULL.", "argument")
  }
  as.double(sigma)
}

#' @noRd
check_hold <- function(hold) {
  if (length(hold) == 0L) {
    return(NULL)
  }
  if (is.list(hold)) {
    hold <- unlist(hold)
  }
  if (!is.numeric(hold) || !all(is.finite(hold))) {
    ferrolmm_abort("`hold` must be numbers.", "argument",
                   i = "As in hold = c(\"residual.rho\" = 0.3).")
  }
  if (is.null(names(hold)) || !all(nzchar(names(hold))) || anyDuplicated(names(hold))) {
    ferrolmm_abort(
      "`hold` must name each parameter once.", "argument",
      i = "Names are those of getME(fit, \"theta\") and of fit$phi."
    )
  }
  stats::setNames(as.double(hold), names(hold))
}

#' @noRd
check_tie <- function(tie) {
  if (length(tie) == 0L) {
    return(NULL)
  }
  if (is.character(tie)) {
    tie <- list(tie)
  }
  good <- is.list(tie) && all(vapply(tie, function(set) is.character(set) && length(set) > 1L, NA))
  if (!good) {
    ferrolmm_abort(
      "`tie` must be a list of sets of names, each of two or more.", "argument",
      i = "As in tie = list(c(\"a.(Intercept)\", \"b.(Intercept)\"))."
    )
  }
  if (anyDuplicated(unlist(tie))) {
    ferrolmm_abort(
      paste0("`tie` names ", quote_names(unique(unlist(tie)[duplicated(unlist(tie))])), " twice."),
      "argument"
    )
  }
  unname(tie)
}

#' @noRd
check_tolerance <- function(x) {
  if (!is.numeric(x) || length(x) != 1L || is.na(x) || x <= 0 || x >= 1) {
    ferrolmm_abort("`tolerance` must be a number between 0 and 1.", "argument")
  }
  as.double(x)
}

#' Argument, option, environment variable, or 0 (the engine decides); at most 2 under a check
#' @noRd
choose_threads <- function(threads) {
  if (is.null(threads)) {
    threads <- getOption("ferrolmm.threads")
  }
  if (is.null(threads)) {
    limit <- suppressWarnings(as.integer(Sys.getenv("OMP_THREAD_LIMIT", "0")))
    threads <- if (is.na(limit) || limit < 0L) 0L else limit
  }
  threads <- check_count(threads, "threads", 0L)
  if (threads > 1024L) {
    ferrolmm_abort(
      "`threads` must be at most 1024.", "argument", x = paste0("It is ", threads, "."),
      i = "0 lets the engine decide from the machine and the size of the problem."
    )
  }
  checking <- tolower(Sys.getenv("_R_CHECK_LIMIT_CORES_"))
  if (!checking %in% c("", "false") && (threads == 0L || threads > 2L)) 2L else threads
}

#' Check the `control` argument of lmm()
#' @noRd
check_control <- function(control) {
  if (!inherits(control, "lmm_control")) {
    ferrolmm_abort(
      "`control` must be made by lmm_control().", "argument",
      x = paste0("It is ", describe_value(control), "."),
      i = if (inherits(control, "merControl")) {
        "The optimiser needs no choice here: leave lmerControl() out."
      }
    )
  }
  control
}

#' @export
print.lmm_control <- function(x, ...) {
  check_dots(...)
  cat(format(x), sep = "\n")
  invisible(x)
}

#' @export
format.lmm_control <- function(x, ...) {
  check_dots(...)
  threads <- if (x$threads == 0L) "chosen by the engine" else x$threads
  c(
    "Options of lmm():",
    paste0("  evaluations of the criterion: at most ", x$max_evaluations),
    paste0("  tolerance of the decrement:   ", format(x$tolerance)),
    if (!is.null(x$starts)) paste0("  starts:                       ", x$starts),
    paste0("  threads:                      ", threads),
    paste0("  verbose:                      ", x$verbose),
    if (!is.null(x$time_limit)) paste0("  time limit:                   ", x$time_limit, " s"),
    if (!identical(x$solver, "auto")) paste0("  solver:                       ", x$solver),
    if (identical(x$not_identified, "fit")) "  what is not identified:       fitted",
    if (!is.null(x$options)) {
      paste0("  options of R:                 ", quote_names(names(x$options)))
    },
    if (isTRUE(x$nobound)) "  variances of random effects:  without bounds",
    if (!is.null(x$sigma)) paste0("  residual standard deviation:  ", format(x$sigma)),
    if (!is.null(x$hold)) {
      paste0("  held:                         ",
             paste(names(x$hold), "=", format(x$hold, trim = TRUE), collapse = ", "))
    },
    if (!is.null(x$tie)) {
      paste0("  tied:                         ",
             paste(vapply(x$tie, paste, "", collapse = " = "), collapse = "; "))
    },
    format_penalties(x$penalty)
  )
}

#' The penalties of a control, a line each
#' @noRd
format_penalties <- function(penalty) {
  if (is.null(penalty)) {
    return(NULL)
  }
  if (inherits(penalty, "lmm_penalty")) penalty <- list(penalty)
  penalty <- penalty[lengths(penalty) > 0L]
  names <- names(penalty)
  words <- vapply(penalty, format, "")
  paste0("  penalty:                      ", if (!is.null(names)) paste0(names, ": "), words)
}
