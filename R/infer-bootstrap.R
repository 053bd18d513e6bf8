#' Parametric bootstrap
#'
#' Simulates responses from a fitted model and fits the model to each of them. Without `FUN` the
#' estimates of all parameters are kept, and the fits run in the engine, in parallel.
#'
#' @details
#' Responses are drawn one after the other by R's generator, so results are the same for any number
#' of threads. As in [stats::simulate()] a `seed` is set for the call only.
#'
#' A replicate whose variances are at the boundary is a fit like any other. One that fails (an error
#' in `FUN`, or no optimum) is `NA`: [print()] counts both kinds, and intervals use the rest.
#'
#' `lme4::bootMer(fit, FUN)` works as well; it fits one replicate at a time.
#'
#' @param object,x A model fitted by [lmm()]; for the methods, what `bootstrap()` returned.
#' @param nsim The number of replicates.
#' @param FUN A function of a fitted model that returns a numeric vector, always of the same length.
#'   `NULL`: standard deviations, correlations, sigma, the fixed effects, and the criterion.
#' @param seed A seed for [set.seed()]; `NULL` continues from the generator's current state.
#' @param use.u Keep the random effects of the fit (`TRUE`), or draw them anew?
#' @param type `"parametric"`.
#' @param threads The number of threads; by default that of the fit's [lmm_control()].
#' @param ... Not used.
#' @returns `bootstrap()`: an object of the classes `bootstrap.lmm` and `boot` with the elements
#'   `t0` (statistics of the fit), `t` (a matrix with a row for each replicate), `R`, `seed`,
#'   `status` (how each fit ended, without `FUN`), `words` (names of the parameters without
#'   `.sig01`, without `FUN`) and `call`. `boot::boot.ci()` takes it.
#'   `summary()`: a data frame with the statistics, bias, standard error and number of replicates
#'   used. `as.data.frame()`: the replicates.
#' @references
#' Davison, A. C. and Hinkley, D. V. (1997). *Bootstrap Methods and Their Application*. Cambridge
#' University Press.
#' @seealso [confint.lmm()], [pb_test()], [simulate.lmm()]
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (1 | Subject), Orthodont)
#' replicates <- bootstrap(fit, nsim = 200, seed = 1)
#' summary(replicates)
#' confint(replicates)
#' bootstrap(fit, nsim = 20, FUN = function(m) fixef(m)["age"] / sigma(m), seed = 1)
#' @export
bootstrap <- function(object, ...) UseMethod("bootstrap")

#' @rdname bootstrap
#' @export
bootstrap.lmm <- function(object, nsim = 1000L, FUN = NULL, seed = NULL, use.u = FALSE,
                          type = "parametric", threads = NULL, ...) {
  check_dots(..., hints = c(
    parallel = "It runs in parallel as it is: `threads` says how much.",
    ncpus = "`threads` is the number of threads.",
    re.form = "`use.u = TRUE` keeps the random effects."
  ))
  nsim <- check_count(nsim, "nsim", 1L)
  check_flag(use.u, "use.u")
  match_choice(type, "type", "parametric")
  if (!is.null(FUN) && !is.function(FUN)) {
    ferrolmm_abort("`FUN` must be a function of a fitted model.", "argument")
  }
  control <- object$control
  if (!is.null(threads)) {
    control$threads <- choose_threads(threads)
  }
  state <- random_state(seed)
  if (!is.null(state$before)) {
    on.exit(assign(".Random.seed", state$before, envir = globalenv()))
  }
  found <- if (is.null(FUN)) {
    bootstrap_estimates(object, nsim, use.u, control)
  } else {
    bootstrap_function(object, nsim, use.u, control, FUN)
  }
  structure(
    c(found, list(
      R = nsim, seed = state$seed, data = object$frame, sim = "parametric",
      statistic = FUN, use.u = use.u, REML = object$REML, call = match.call(),
      strata = rep.int(1, count_rows(object)),
      weights = rep.int(1 / nobs.lmm(object), count_rows(object))
    )),
    class = c("bootstrap.lmm", "boot")
  )
}

#' Call `use` on matrices of simulated responses with `nsim` columns in total
#'
#' @param simulated a function of a number of columns.
#' @noRd
simulate_batches <- function(object, nsim, use, simulated = simulator(object),
                             size = batch_size(object)) {
  sizes <- c(rep.int(size, nsim %/% size), nsim %% size)
  lapply(sizes[sizes > 0L], function(k) {
    use(simulated(k))
  })
}

#' A function that simulates so many responses of the used rows, one per column
#' @noRd
simulator <- function(object, use_u = FALSE) {
  object$na.action <- NULL
  if (!is.null(object$condensed)) {
    return(function(k) simulate_condensed(object, k, use_u))
  }
  function(k) do.call(cbind, unclass(simulate.lmm(object, nsim = k, use.u = use_u)))
}

#' Responses of condensed rows, one simulation per column
#'
#' With Q the orthogonal matrix that turns the rows of a cell into its condensed rows, Q eps is as
#' eps: independent normal variables, and what is in the row of the rest is the length of the other
#' coordinates, sigma times the root of a chi-squared variable.
#' @noRd
simulate_condensed <- function(object, nsim, use_u) {
  if (!is.null(object$condensed$tables)) abort_needs_rows("The bootstrap of a fit of tables")
  inputs <- engine_inputs(object)
  means <- drop(inputs$fixed$X[, kept_columns(object), drop = FALSE] %*% object$beta)
  design <- inputs$random$design
  if (use_u) {
    for (t in seq_along(design$terms)) {
      modes <- term_modes(object, t)
      codes <- design$factors[[design$terms[[t]]$factor]]$codes
      for (k in seq_along(design$terms[[t]]$columns)) {
        means <- means + design$terms[[t]]$columns[[k]] * modes[codes, k]
      }
    }
  }
  drawn <- if (!use_u) draws_of_design(design, object$theta)
  noise <- residual_draws(inputs, NULL, nsim, object$control$threads)
  vapply(seq_len(nsim), function(i) {
    Reduce(`+`, lapply(drawn, draw_term, sigma = object$sigma), means + object$sigma * noise[, i])
  }, double(length(means)))
}

#' The fit of a response of the rows, or of the condensed rows
#' @noRd
refit_response <- function(object, y, control) {
  if (is.null(object$condensed)) {
    return(refit.lmm(object, y, control))
  }
  model <- unclass(object)
  model$condensed$y <- as.double(y)
  model$control <- check_control(control)
  fit_again(model)
}

#' The estimates of all parameters of each replicate
#' @noRd
bootstrap_estimates <- function(object, nsim, use_u, control) {
  inputs <- engine_inputs(object, in_place = TRUE)
  names <- c(parameter_names(object, TRUE), "criterion")
  kept <- c(rep.int(TRUE, count_variance(object)), !is.na(object$coefficients), TRUE)
  simulated <- simulator(object, use_u)
  batches <- simulate_batches(object, nsim, simulated = simulated, function(responses) {
    fits <- fit_responses(inputs, responses, object$REML, control)
    values <- rbind(
      theta_to_sdcor(fits$theta, fits$sigma, object$random, fits$phi), fits$beta, fits$criterion
    )
    values[, !fits$status %in% c("converged", "singular")] <- NA
    list(values = t(values[kept, , drop = FALSE]), status = fits$status)
  })
  t0 <- c(natural_parameters(object), object$coefficients, object$criterion)
  t <- do.call(rbind, lapply(batches, `[[`, "values"))
  colnames(t) <- names[kept]
  list(
    t0 = stats::setNames(t0, names)[kept], t = t,
    status = unlist(lapply(batches, `[[`, "status")),
    words = c(parameter_names(object, FALSE), "criterion")[kept]
  )
}

#' A user's statistic of each replicate
#' @noRd
bootstrap_function <- function(object, nsim, use_u, control, FUN) {
  t0 <- FUN(object)
  if (!is.numeric(t0) || length(t0) == 0L) {
    ferrolmm_abort("`FUN` must return a numeric vector.", "argument")
  }
  failures <- character()
  simulated <- simulator(object, use_u)
  batches <- simulate_batches(object, nsim, simulated = simulated, function(responses) {
    values <- lapply(seq_len(ncol(responses)), function(i) {
      require_time(control)
      tryCatch({
        value <- quietly(FUN(refit_response(object, responses[, i], control)))
        if (!is.numeric(value) || length(value) != length(t0)) {
          stop("`FUN` returned another number of values than for the fit", call. = FALSE)
        }
        as.vector(value)
      }, error = function(e) {
        if (is_time_over(e)) {
          stop(e)
        }
        failures <<- c(failures, conditionMessage(e))
        rep.int(NA_real_, length(t0))
      })
    })
    do.call(rbind, values)
  })
  require_time(control)
  t <- do.call(rbind, batches)
  colnames(t) <- names(t0)
  if (length(failures) == nsim) {
    ferrolmm_abort("`FUN` failed for every replicate.", "argument", x = failures[[1L]])
  }
  list(t0 = t0, t = t, failures = failures)
}

#' @param digits The number of significant digits to print.
#' @rdname bootstrap
#' @export
print.bootstrap.lmm <- function(x, digits = max(3L, getOption("digits") - 3L), ...) {
  check_dots(...)
  check_digits(digits)
  cat("Parametric bootstrap, ", count_of(x$R, "replicate"), sep = "")
  if (x$use.u) {
    cat(", random effects kept")
  }
  cat("\n")
  failed <- sum(rowSums(is.na(x$t)) == ncol(x$t))
  if (!is.null(x$status)) {
    cat(sum(x$status == "singular"), "at the boundary, ")
  }
  cat(failed, "failed\n")
  if (length(x$failures) > 0L) {
    cat("First failure: ", x$failures[[1L]], "\n", sep = "")
  }
  cat("\n")
  print(summary(x), digits = digits)
  invisible(x)
}

#' @rdname bootstrap
#' @export
summary.bootstrap.lmm <- function(object, ...) {
  check_dots(...)
  t <- object$t
  data.frame(
    estimate = unname(object$t0),
    bias = unname(colMeans(t, na.rm = TRUE) - object$t0),
    se = unname(apply(t, 2L, stats::sd, na.rm = TRUE)),
    used = unname(colSums(!is.na(t))),
    row.names = statistic_names(object)
  )
}

#' @noRd
statistic_names <- function(object) {
  names <- names(object$t0)
  if (is.null(names)) paste0("t", seq_along(object$t0)) else make.unique(names)
}

#' @param row.names,optional Not used; arguments of the generic.
#' @rdname bootstrap
#' @export
as.data.frame.bootstrap.lmm <- function(x, row.names = NULL, optional = FALSE, ...) {
  check_dots(..., allowed = "stringsAsFactors")
  table <- as.data.frame(unname(x$t))
  names(table) <- statistic_names(x)
  finish_table(table, row.names, ...)
}
