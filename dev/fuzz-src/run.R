# Run one problem: fit, checks, calls. Returns a list of results, one for each call or difference,
# list(outcome, head, class, message, call, seconds).

problem_environment <- function(p) {
  env <- list2env(p$objects, parent = globalenv())
  env$d <- p$data
  env$new <- p$new
  env
}

# `only`: NULL, or what to do after the fit: a call (by its text) or the name of a check
run_problem <- function(p, only = NULL, trace = function(what) NULL) {
  sink(nullfile())
  on.exit(sink())
  results <- list()
  add <- function(result, head, call = NULL, seconds = 0) {
    result$value <- NULL
    result$head <- if (is.null(result$head)) head else result$head
    result$call <- call
    result$seconds <- seconds
    results[[length(results) + 1L]] <<- result
  }
  guarded <- function(name, expr) {
    trace(name)
    found <- tryCatch(expr, error = function(e) {
      list(list(outcome = "oracle", head = name, class = class(e)[[1L]],
                message = paste(first_line(e), "in", substr(paste(deparse(conditionCall(e)),
                                                                  collapse = " "), 1L, 60L))))
    })
    for (one in found) {
      one$check <- name
      add(one, name)
    }
    # one entry for the check itself
    if (length(found) == 0L) add(list(outcome = "ok", class = "", message = "", check = name), name)
  }
  timed <- function(call, head, env) {
    trace(paste(deparse(call, 500L), collapse = " "))
    before <- proc.time()[[3L]]
    result <- observe(call, env)
    list(result = result, seconds = proc.time()[[3L]] - before)
  }
  env <- problem_environment(p)
  call <- fit_call(p)
  fitted <- timed(call, "lmm", env)
  result <- fitted$result
  fit <- result$value
  result <- judge_refusal(result, p, NULL)
  add(result, "lmm", call, fitted$seconds)
  if (result$error) return(results)
  env$fit <- fit
  context <- NULL
  wanted <- function(name) is.null(only) || identical(only, name)
  is_restricted <- p$kind %in% restricted_kinds
  if (is_restricted && wanted(p$kind)) guarded(p$kind, check_restricted(p, fit))
  # a term that another one contains is dropped, with a warning
  if (!is_restricted && result$class != "ferrolmm_warning_duplicate_term") guarded("context", {
    context <- make_context(p, fit)
    context$differences
  })
  digits <- !is.null(context$solved) && is.finite(context$tolerance) && context$tolerance < 1e-2
  if (!digits) {
    why <- if (!is.null(context$skipped)) context$skipped else "no digits"
    if (is_restricted) why <- "its own oracle"
    add(list(outcome = "ok", class = "", message = "", check = paste0("(none: ", why, ")")), "none")
    context <- NULL
  }
  if (!is.null(context)) {
    guarded("fit", {
      found <- check_fit(context)
      if (length(found) && found[[1L]]$head == "lmm") context <- NULL
      found
    })
  }
  if (!is.null(context)) {
    if (wanted("rank")) guarded("rank", check_rank(context))
    set.seed(p$seed + 1L)
    for (name in names(deep_checks)) {
      drawn <- chance(deep_checks[[name]][[1L]]) || name == "optimum" && !is_settled(fit)
      set <- p$seed + match(name, names(deep_checks))
      if (if (is.null(only)) drawn else identical(only, name)) {
        set.seed(set)
        guarded(name, deep_checks[[name]][[2L]](context))
      }
    }
    set.seed(p$seed + 2L)
    chosen <- sample(names(invariances), 2L)
    for (name in names(invariances)) {
      if (if (is.null(only)) name %in% chosen else identical(only, paste("invariance", name))) {
        set.seed(p$seed + 3L)
        guarded(paste("invariance", name), check_invariance(name, context))
      }
    }
  }
  for (one in p$calls) {
    text <- paste(deparse(one$call, 500L), collapse = " ")
    if (!wanted(text)) next
    done <- timed(one$call, head_of(one$call), env)
    done$result <- judge_refusal(done$result, p, fit)
    add(done$result, head_of(one$call), one$call, done$seconds)
    if (!is.null(one$check) && !is.null(context) && !done$result$error) {
      found <- tryCatch(
        check_call(one$check, one$call, done$result$value, context),
        error = function(e) {
          list(list(outcome = "oracle", head = one$check, class = class(e)[[1L]],
                    message = first_line(e)))
        }
      )
      for (difference in found) add(difference, one$check, one$call)
    }
  }
  results
}

is_failure <- function(result) result$outcome %in% failures

# Text of a problem as a script that needs the package alone
problem_script <- function(p, result = NULL) {
  code <- function(x) deparse(x, 90L, control = c("keepNA", "keepInteger", "digits17",
                                                  "showAttributes"))
  columns <- intersect(names(p$data), c(all_variables(p), unlist(lapply(p$calls, function(one) {
    all.vars(one$call)
  })), p$residual$correlation$columns, p$residual$correlation$groups))
  plain <- p$data[columns]
  new <- p$new[intersect(columns, names(p$new))]
  needs_new <- any(vapply(p$calls, function(one) "new" %in% all.vars(one$call), NA))
  c(
    if (!is.null(result)) c(
      paste0("# dev/fuzz, seed ", p$seed, " (", p$kind, "), shrunk: ", result$outcome, " in ",
             result$head),
      paste0("# ", result$message)
    ),
    "library(ferrolmm)",
    paste0("d <- ", paste(code(plain), collapse = "\n")),
    unlist(lapply(names(p$objects), function(name) {
      paste0(name, " <- ", paste(code(p$objects[[name]]), collapse = "\n"))
    })),
    if (needs_new && !is.null(new)) paste0("new <- ", paste(code(new), collapse = "\n")),
    paste0("fit <- ", paste(deparse(fit_call(p), 90L), collapse = "\n")),
    unlist(lapply(p$calls, function(one) deparse(one$call, 90L)))
  )
}
