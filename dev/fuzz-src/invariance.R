# What must not change, or changes in a known way: fits of the same problem written otherwise.

all_variables <- function(p) {
  unique(c(
    p$response, unlist(lapply(p$fixed, all.vars)),
    unlist(lapply(p$random, function(t) c(all.vars(t$lhs), unlist(t$groups), t$by))),
    unlist(lapply(p$arguments, all.vars))
  ))
}

uses_fitted <- function(p) any(vapply(p$residual$scales, function(s) isTRUE(s$fitted), NA))

# Each: function(p, fit) -> NULL where it does not apply, or list(p, shift): the other problem and the
# change of the criterion that it must have; `above`: another optimum may be found that is higher
invariances <- list(
  rows = function(p, fit) {
    # what theta and sigma are relative to is the stratum of the first row
    stratified <- any(vapply(p$residual$scales, function(s) s$type == "ident", NA))
    if (identical(p$residual$correlation$kind, "order") || !is.null(p$arguments$subset) ||
          uses_fitted(p) || stratified && p$kind == "constrained") {
      return(NULL)
    }
    p$data <- p$data[sample.int(nrow(p$data)), , drop = FALSE]
    list(p = p, shift = 0)
  },
  levels = function(p, fit) {
    if (length(p$objects) > 0L || length(p$random) == 0L) return(NULL)
    group <- p$random[[1L]]$groups[[1L]][[1L]]
    elsewhere <- c(unlist(lapply(p$fixed, all.vars)), unlist(lapply(p$arguments, all.vars)),
                   unlist(lapply(p$random, function(t) all.vars(t$lhs))))
    if (group %in% elsewhere) return(NULL)
    x <- p$data[[group]]
    code <- if (is.factor(x)) as.integer(addNA(x)) else match(x, unique(x))
    code[is.na(x) & !(is.factor(x) && anyNA(levels(x)))] <- NA
    p$data[[group]] <- factor(sample.int(max(code, na.rm = TRUE))[code])
    list(p = p, shift = 0)
  },
  names = function(p, fit) {
    if (!is.null(p$hold) || !is.null(p$tie)) return(NULL)
    used <- intersect(all_variables(p), names(p$data))
    fresh <- paste0("col", sample.int(1000L, length(used)))
    list(p = rename_columns(p, stats::setNames(fresh, used)), shift = 0, coefficients = TRUE)
  },
  scale_y = function(p, fit) {
    if (!is.null(p$sigma) || uses_fitted(p) || isTRUE(p$kind == "scales")) return(NULL)
    by <- pick(c(1e-5, 0.01, 256, 1e6))
    p$data[[p$response]] <- p$data[[p$response]] * by
    if (!is.null(p$data[["off"]])) p$data[["off"]] <- p$data[["off"]] * by
    df <- nobs(fit) - if (isREML(fit)) fit$rank else 0
    list(p = p, shift = 2 * df * log(by))
  },
  scale_w = function(p, fit) {
    if (!is.name(p$arguments$weights) || !is.null(p$sigma) || !is.null(p$hold) ||
          !is.null(p$tie)) {
      return(NULL)
    }
    p$data[["w"]] <- p$data[["w"]] * pick(c(1e-4, 0.1, 100, 1e5))
    list(p = p, shift = 0)
  },
  scale_x = function(p, fit) {
    x <- p$data[["x1"]]
    symbols <- list(quote(x1), quote(0 + x1))
    mentions <- function(e) "x1" %in% all.vars(e)
    fixed <- Filter(mentions, p$fixed)
    random <- Filter(function(t) mentions(t$lhs), p$random)
    simple <- all(vapply(fixed, identical, NA, quote(x1))) &&
      all(vapply(random, function(t) {
        any(vapply(symbols, identical, NA, t$lhs)) && t$structure %in% c("us", "diag", "cs")
      }, NA))
    if (!is.double(x) || inherits(x, c("Date", "POSIXct", "difftime")) ||
          length(fixed) + length(random) == 0L || !simple || !is.null(p$hold) || !is.null(p$tie) ||
          fit$rank < length(fit$coefficients)) {
      return(NULL)
    }
    by <- pick(c(1e-4, 0.03, 50, 1e4))
    p$data[["x1"]] <- p$data[["x1"]] * by
    list(p = p, shift = if (isREML(fit)) 2 * length(fixed) * log(by) else 0)
  },
  start = function(p, fit) {
    if (length(fit$theta) == 0L || !is.null(p$hold) || !is.null(p$tie) || length(fit$phi) > 0L ||
          !all(vapply(p$random, function(t) t$structure == "us", NA))) {
      return(NULL)
    }
    theta <- unname(fit$theta)
    theta[fit$lower == 0] <- pmax(abs(theta[fit$lower == 0]), 1e-3) * 1.7
    p$arguments$start <- list(theta = theta)
    # one walk from there, as documented: where walks of the fit came to other optima, so may this one
    several <- fit$certificate$agree < fit$certificate$starts
    list(p = p, shift = 0, above = several)
  },
  threads = function(p, fit) {
    control <- p$arguments$control
    if (is.null(control)) control <- quote(lmm_control())
    control$threads <- pick(c(1L, 2L, 4L))
    p$arguments$control <- control
    list(p = p, shift = 0, identical = TRUE)
  }
)

fit_quietly <- function(p) {
  env <- problem_environment(p)
  observe(fit_call(p), env)
}

check_invariance <- function(name, context) {
  p <- context$p
  fit <- context$fit
  other <- invariances[[name]](p, fit)
  # variances of fitted values: the fixed point may be another one
  if (is.null(other) || context$tolerance > 1e-4 || uses_fitted(p) ||
        !is_settled(fit) && !isTRUE(other$identical)) {
    return(NULL)
  }
  head <- paste("invariance", name)
  again <- fit_quietly(other$p)
  if (again$error) {
    # a likelihood without bound may have a local optimum, which one walk finds and another misses
    if (again$class == "ferrolmm_error_perfect_fit" && may_be_perfect(p, fit)) return(NULL)
    return(list(list(outcome = "difference", head = head, class = again$class,
                     message = paste("refused after the change:", again$message))))
  }
  second <- again$value
  if (!is_settled(second) && !isTRUE(other$identical)) return(NULL)
  if (isTRUE(other$identical)) {
    same <- identical(second$theta, fit$theta) && identical(second$beta, fit$beta) &&
      identical(second$criterion, fit$criterion)
    if (!same) {
      return(list(difference(head, "bits of the criterion", second$criterion, fit$criterion)))
    }
    return(NULL)
  }
  expected <- fit$criterion + other$shift
  size <- context$model$n + abs(fit$criterion) + abs(expected)
  if (isTRUE(other$above) && second$criterion > expected) {
    return(NULL)
  }
  found <- compare(head, "criterion", second$criterion, expected, size, context$tolerance)
  if (is.null(found) && isTRUE(other$coefficients)) {
    se <- context$solved$sigma * sqrt(diag(context$solved$C))
    found <- compare(head, "coefficients", unname(fixef(second)), unname(fixef(fit)),
                     se + 1e-6 * abs(unname(fixef(fit))), 1e-3)
  }
  found
}
