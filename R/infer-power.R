#' Power of tests by simulation
#'
#' Responses are simulated from a fit, or from a design with parameters, the model is fitted to each
#' of them, and its tests counted that reject: by Satterthwaite's or Kenward and Roger's method,
#' exactly as [anova()][anova.lmm] and [contest()] would have them. Curves over the number of
#' subjects, or of any other grouping factor, come with their Monte-Carlo error.
#'
#' @section Tests:
#' `test` is the label of a term (its type III test), a hypothesis as [contest()] takes it
#' (equations such as `"age = 1"`, a vector or matrix of contrasts), a function of a fit that
#' returns a p-value, or a list of those. Functions cost a whole fit of the model each time; other
#' tests are made where the estimates are.
#'
#' @section Sizes:
#' `along = list(Subject = c(20, 40))` makes a design for each number of levels of a grouping factor
#' (several factors: for each combination). Fewer levels than there are: those that come first when
#' levels of different kinds (arms and other factors that are constant within a level) take turns in
#' proportion. More: copies of all rows of a level under a new name, with levels of other factors
#' nested in it renamed as well. Any other design is a data frame of your own, `newdata`.
#'
#' @section Replicates that fail:
#' A replicate without a p-value (no optimum, or a test that Kenward and Roger's method does not
#' determine) counts as one that does not reject; the column `failed` has their number. A function
#' that fails for every response is an error.
#'
#' @param object A model fitted by [lmm()], or a formula with random effects or a residual structure
#'   (then `newdata` and all of `newparams` are needed). Of numbers, `stats::power()`.
#' @param test What is tested, see below. By default each term of the model.
#' @param nsim The number of simulations of each design.
#' @param along A list: sizes of grouping factors, by name.
#' @param newdata A data frame with the design, in place of the data of the fit.
#' @param newparams Other parameters to simulate with, a list as for [simulate.lmm()]:
#'   `list(beta = c(10, 0.5), sigma = 2)`.
#' @param alpha The level of the tests.
#' @param ddf The method for the degrees of freedom, see [ddf].
#' @param level The level of the Monte-Carlo intervals, those of Clopper and Pearson (1934).
#' @param seed As for [simulate.lmm()]; each design starts from it.
#' @param threads The number of threads; by default that of the fit's [lmm_control()].
#' @param contrasts,correlation,residual With a formula, as for [lmm()].
#' @param ... None: any other argument is an error.
#' @returns A data frame of class `power.lmm` with a row for each test of each design: `test`, the
#'   sizes, `power`, `conf.low`, `conf.high`, `nsim`, `failed`. [plot()][plot.power.lmm] draws it.
#' @references
#' Clopper, C. J. and Pearson, E. S. (1934). The use of confidence or fiducial limits illustrated in
#' the case of the binomial. *Biometrika*, 26(4), 404-413.
#'
#' Green, P. and MacLeod, C. J. (2016). SIMR: an R package for power analysis of generalized linear
#' mixed models by simulation. *Methods in Ecology and Evolution*, 7(4), 493-498.
#' @seealso [simulate.lmm()], [contest()], [bootstrap()]
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age * Sex + (1 | Subject), Orthodont)
#' power(fit, "age:Sex", nsim = 100, seed = 1)
#' power(fit, "age:SexFemale = 0", nsim = 100, along = list(Subject = c(12, 24)), seed = 1)
#'
#' plan <- expand.grid(time = 0:4, subject = 1:20)
#' plan$treated <- plan$subject %% 2
#' power(
#'   ~ time * treated + (time | subject), "time:treated", nsim = 100, newdata = plan, seed = 1,
#'   newparams = list(beta = c(10, 1, 0, 0.5), theta = c(1, 0, 0.3), sigma = 2)
#' )
#' @export
power <- function(object, ...) UseMethod("power")

#' @export
power.default <- function(object, ...) {
  if (missing(object)) {
    return(stats::power())
  }
  if (!is.numeric(object)) {
    ferrolmm_abort(
      paste0("power() has no method for an object of class ", class(object)[[1L]], "."),
      "argument", i = "It takes a model fitted by lmm(), or a formula."
    )
  }
  stats::power(object, ...)
}

#' @rdname power
#' @export
power.lmm <- function(object, test = NULL, nsim = 1000L, along = NULL, newdata = NULL,
                      newparams = NULL, alpha = 0.05, ddf = "Satterthwaite", level = 0.95,
                      seed = NULL, threads = NULL, ...) {
  check_dots(..., hints = power_hints)
  require_own_rows(object, "power()")
  if (!is.null(newparams)) object <- with_parameters(object, newparams)
  if (!is.null(newdata)) newdata <- check_newdata(newdata)
  designs <- if (is.null(newdata) && is.null(along)) {
    list(list(data = NULL))
  } else {
    data <- if (is.null(newdata)) fit_data(object) else newdata
    power_designs(data, along, grouping_variables(object), design_variables(object))
  }
  power_of_designs(object, designs, function(data) with_design(object, data), list(
    test = test, nsim = nsim, alpha = alpha, ddf = match_ddf(ddf), level = level, seed = seed,
    threads = threads
  ))
}

#' @rdname power
#' @export
power.formula <- function(object, test = NULL, nsim = 1000L, along = NULL, newdata = NULL,
                          newparams = NULL, alpha = 0.05, ddf = "Satterthwaite", level = 0.95,
                          seed = NULL, threads = NULL, contrasts = NULL, correlation = NULL,
                          residual = NULL, ...) {
  check_dots(..., hints = power_hints)
  if (is.null(newdata)) {
    ferrolmm_abort("`newdata` is missing: power() needs the design.", "newdata")
  }
  newdata <- check_newdata(newdata)
  given <- list(
    correlation = if (!is.null(correlation)) unevaluated(correlation, function() correlation),
    residual = if (!is.null(residual)) unevaluated(residual, function() residual)
  )
  caller <- parent.frame()
  model_of_design <- function(data) {
    model_of_formula(object, data, given, contrasts, caller)
  }
  model <- model_of_design(newdata)
  check_all_parameters(model, newparams)
  model <- with_parameters(model, newparams)
  designs <- if (is.null(along)) {
    list(list(data = NULL))
  } else {
    power_designs(newdata, along, grouping_variables(model), design_variables(model))
  }
  power_of_designs(model, designs, model_of_design, list(
    test = test, nsim = nsim, alpha = alpha, ddf = match_ddf(ddf), level = level, seed = seed,
    threads = threads
  ))
}

#' @noRd
power_hints <- c(
  fit = "The fit is the argument `object`.", n = "`along = list(g = n)` says how many levels.",
  fixef = "`newparams = list(beta = )` has the fixed effects.",
  effect = "`newparams = list(beta = )` has the fixed effects."
)

#' The table of powers
#'
#' @param object the model that responses are simulated from.
#' @param designs list of list(data, and the sizes by name), data NULL for the rows of the model;
#'   `model_of` makes of data the model that is fitted to its responses; `how` list(test, nsim,
#'   alpha, ddf, level, seed, threads).
#' @noRd
power_of_designs <- function(object, designs, model_of, how) {
  how$nsim <- check_count(how$nsim, "nsim", 1L)
  check_level(how$level)
  check_level(how$alpha, "alpha")
  if (ddf_statistic(how$ddf) == "none") {
    ferrolmm_abort("`ddf = \"none\"` has no p-values.", "argument")
  }
  tables <- lapply(designs, function(design) {
    p <- if (is.null(design$data)) {
      p_values_of_simulations(object, how)
    } else {
      model <- model_of(design$data)
      p_values_of_simulations(model, how, function(nsim) {
        responses_of_design(object, design$data, model, nsim)
      })
    }
    rejected <- colSums(p < how$alpha, na.rm = TRUE)
    sizes <- design[setdiff(names(design), "data")]
    table <- data.frame(test = colnames(p))
    table[names(sizes)] <- lapply(sizes, rep_len, nrow(table))
    table$power <- rejected / how$nsim
    table[c("conf.low", "conf.high")] <- binomial_limits(rejected, how$nsim, how$level)
    table$nsim <- how$nsim
    table$failed <- colSums(is.na(p))
    table
  })
  table <- do.call(rbind, tables)
  table <- table[order(match(table$test, table$test)), , drop = FALSE]
  rownames(table) <- NULL
  structure(
    table, class = c("power.lmm", "data.frame"), alpha = how$alpha, ddf = how$ddf,
    level = how$level, along = setdiff(names(designs[[1L]]), "data")
  )
}

#' Limits of a binomial probability: quantiles of beta distributions
#' @noRd
binomial_limits <- function(x, n, level) {
  tail <- (1 - level) / 2
  list(
    conf.low = ifelse(x == 0, 0, stats::qbeta(tail, x, n - x + 1)),
    conf.high = ifelse(x == n, 1, stats::qbeta(1 - tail, x + 1, n - x))
  )
}

#' Responses of a fit for the rows of another design
#'
#' The fit itself knows what its coefficients and variances belong to, whatever the order of levels
#' and rows, and what it has kept of the data (poly(), scale()); the model of the design is only
#' fitted.
#' @param model that model; its rows are those of `data` without missing values.
#' @noRd
responses_of_design <- function(object, data, model, nsim) {
  rows <- as.integer(row.names(model$frame))
  drawn <- simulate.lmm(
    object, nsim, newdata = data[rows, , drop = FALSE], allow.new.levels = TRUE,
    weights = model$prior.weights
  )
  do.call(cbind, unclass(drawn))
}

#' p-values of the tests, a row for each simulation
#'
#' @param simulated a function that simulates so many responses; by default those of the model.
#' @noRd
p_values_of_simulations <- function(model, how, simulated = simulator(model)) {
  control <- model$control
  if (!is.null(how$threads)) {
    control$threads <- choose_threads(how$threads)
  }
  if (isTRUE(ddf_methods[[how$ddf]]$needs_reml)) {
    require_maximum(model, paste0("ddf = \"", how$ddf, "\""))
    model$REML <- TRUE
  }
  tests <- power_tests(how$test, model)
  state <- random_state(how$seed)
  if (!is.null(state$before)) {
    on.exit(assign(".Random.seed", state$before, envir = globalenv()))
  }
  failures <- new.env()
  batches <- simulate_batches(model, how$nsim, simulated = simulated, function(responses) {
    fits <- if (any(vapply(tests, is.list, NA))) {
      fit_responses(
        engine_inputs(model, in_place = TRUE), responses, model$REML, control, list(rx = TRUE)
      )
    }
    values <- lapply(seq_len(ncol(responses)), function(i) {
      require_time(control)
      p_values_of_response(model, responses[, i], fits, i, tests, how$ddf, control, failures)
    })
    do.call(rbind, values)
  })
  p <- do.call(rbind, batches)
  check_failures(p, failures)
  colnames(p) <- names(tests)
  p
}

#' @param fits what [fit_responses()] returned, of which this response is the `i`-th.
#' @noRd
p_values_of_response <- function(model, y, fits, i, tests, ddf, control, failures) {
  inference <- NULL
  if (!is.null(fits) && fits$status[[i]] %in% c("converged", "singular")) {
    found <- with_estimates(model, y, fits, i)
    inference <- ddf_methods[[ddf]]$infer(found)
  }
  vapply(seq_along(tests), function(j) {
    if (is.function(tests[[j]])) {
      test_of_function(tests[[j]], model, y, control, failures, as.character(j))
    } else if (is.null(inference)) {
      NA_real_
    } else {
      hypothesis_p_value(inference, tests[[j]])
    }
  }, 0)
}

#' A function that fails for every response is an error, as it is of the function
#' @noRd
check_failures <- function(p, failures) {
  for (name in ls(failures)) {
    if (all(is.na(p[, as.integer(name)]))) {
      ferrolmm_abort(
        "A function of `test` fails for every response.", "test", x = failures[[name]]
      )
    }
  }
}

#' @noRd
hypothesis_p_value <- function(inference, test) {
  if (test$free) test <- orthonormal_rows(test, inference$variance)
  estimate <- drop(test$L %*% inference$beta) - test$rhs
  result <- withCallingHandlers(
    inference$joint(test$L, estimate),
    ferrolmm_warning = function(w) invokeRestart("muffleWarning")
  )
  stats::pf(result$statistic, result$numdf, result$dendf, lower.tail = FALSE)
}

#' The p-value that a user's function has of the fit of a response; NA where it fails
#' @noRd
test_of_function <- function(test, model, y, control, failures, name) {
  tryCatch(
    {
      value <- quietly(test(refit_response(model, y, control)))
      if (!is.numeric(value) || length(value) != 1L || isTRUE(value < 0 || value > 1)) {
        ferrolmm_abort("A function of `test` must return one p-value.", "test")
      }
      as.double(value)
    },
    error = function(e) {
      if (is_time_over(e) || inherits(e, "ferrolmm_error_test")) stop(e)
      if (is.null(failures[[name]])) failures[[name]] <- conditionMessage(e)
      NA_real_
    }
  )
}

#' The model with another response and its estimates, as far as tests of fixed effects need them
#'
#' @param fits what [fit_responses()] returned, with rx.
#' @noRd
with_estimates <- function(model, y, fits, i) {
  model <- unclass(model)
  model$frame <- set_column(model$frame, 1L, y)
  model$coefficients[] <- fits$beta[, i]
  model$beta <- model$coefficients[!is.na(model$coefficients)]
  model$theta[] <- fits$theta[, i]
  model$phi[] <- fits$phi[, i]
  model$sigma <- fits$sigma[[i]]
  r <- model$rank
  model$rx <- matrix(fits$rx[(i - 1L) * r^2 + seq_len(r^2)], r)
  model$vcov_unscaled <- chol2inv(model$rx)
  class(model) <- "lmm"
  model
}

#' The tests: functions, or list(L, rhs, free), by name
#'
#' `free`: may the rows of L be replaced by others that span the same?
#' @noRd
power_tests <- function(test, model) {
  labels <- labels.lmm(model)
  if (is.null(test)) {
    tested <- labels[seq_along(labels) %in% model$assign[kept_columns(model)]]
    if (length(tested) == 0L) {
      ferrolmm_abort("The model has no terms: `test` must say what is tested.", "argument")
    }
    test <- as.list(tested)
  }
  tests <- if (is.list(test) && !is.data.frame(test)) test else list(test)
  if (length(tests) == 0L) {
    ferrolmm_abort("`test` is empty.", "argument")
  }
  given <- names(tests)
  own <- vapply(seq_along(tests), function(i) {
    if (!is.null(given) && nzchar(given[[i]])) given[[i]] else test_label(tests[[i]], i)
  }, "")
  found <- lapply(tests, read_test, model = model, labels = labels)
  stats::setNames(found, make.unique(own))
}

#' @noRd
test_label <- function(test, i) {
  if (is.character(test)) paste(test, collapse = ", ") else paste("test", i)
}

#' @noRd
read_test <- function(test, model, labels) {
  if (is.function(test)) {
    return(test)
  }
  if (is.character(test) && length(test) == 1L && test %in% labels) {
    L <- term_contrasts(model, "III")[[match(test, labels)]]
    if (nrow(L) == 0L) {
      ferrolmm_abort(
        paste0("The term `", test, "` has no coefficient of its own to test: other terms ",
               "determine it."), "argument"
      )
    }
    return(list(L = L, rhs = numeric(nrow(L)), free = FALSE))
  }
  if (is.character(test) && length(test) > 1L && all(test %in% labels) &&
        !all(test %in% names(model$coefficients))) {
    ferrolmm_abort(
      paste0("`test` has several terms: ", quote_names(test), "."), "argument",
      i = "Tests that are made one by one are a list: test = list(\"a\", \"b\")."
    )
  }
  found <- contrast_matrix(test, 0, model)
  if (nrow(found$L) == 0L || all(found$L == 0)) {
    ferrolmm_abort("`test` is a hypothesis without coefficients.", "argument")
  }
  c(found, free = nrow(found$L) > 1L)
}

#' @param digits The number of significant digits to print.
#' @param x What `power()` returned.
#' @rdname power
#' @export
print.power.lmm <- function(x, digits = 3L, ...) {
  check_dots(...)
  check_digits(digits)
  alpha <- attr(x, "alpha")
  if (!is.null(alpha)) {
    cat(
      "Power at level ", format(alpha), describe_ddf(attr(x, "ddf"), ", by "),
      ", with Monte-Carlo limits of level ", format(attr(x, "level")), "\n\n", sep = ""
    )
  }
  table <- as.data.frame(x)
  if (all(table$failed == 0)) table$failed <- NULL
  print(table, digits = digits, row.names = FALSE)
  invisible(x)
}

#' @param row.names,optional Not used; arguments of the generic.
#' @rdname power
#' @export
as.data.frame.power.lmm <- function(x, row.names = NULL, optional = FALSE, ...) {
  check_dots(..., allowed = "stringsAsFactors")
  attributes(x)[c("alpha", "ddf", "level", "along")] <- NULL
  class(x) <- "data.frame"
  finish_table(x, row.names, ...)
}
