# Residual structures as a user writes them: the arguments `correlation`, `weights` and `residual`
# become one description, before there are data.

#' What the arguments say about the residuals
#'
#' @param given list of unevaluated arguments `correlation`, `weights`, `residual`, see
#'   [unevaluated()]; NULL for one that is not given.
#' @returns NULL for independent residuals of one variance; else a list with `source` (the argument
#'   that gives the correlation), `correlation` (list or NULL), `scales` (list), `fixed` (list of
#'   expressions of known variances), and `variables` (all expressions)
#' @noRd
read_residual <- function(given, data, env, caller) {
  varfunc <- variance_function(given$weights, data, env, caller)
  correlation <- correlation_argument(given$correlation, caller)
  written <- residual_argument(given$residual, caller)
  structure <- written$structure
  if (!is.null(structure) && !is.null(correlation)) {
    ferrolmm_abort(
      "`correlation` and `residual` are two spellings of the same thing: give one.", "residual"
    )
  }
  if (!is.null(structure) && !is.null(varfunc)) {
    ferrolmm_abort(
      paste0("`residual` and a variance function in `weights` (", class(varfunc)[1L],
             ") cannot both be given."),
      "residual",
      i = paste0(
        "Write correlation = and weights =; or a structure with a variance for each visit, ",
        "such as csh() or ar1h()."
      )
    )
  }
  spec <- if (is_call_to(structure, "known")) {
    read_known_rows(structure, data, list(written$env, env, caller))
  } else if (!is.null(structure)) {
    read_structures(structure)
  } else if (!is.null(correlation) || !is.null(varfunc)) {
    scales <- read_variances(varfunc)
    list(
      source = if (is.null(correlation)) "weights" else "correlation",
      correlation = if (!is.null(correlation)) read_correlation(correlation),
      scales = scales$scales, fixed = scales$fixed
    )
  }
  if (is.null(spec)) {
    return(NULL)
  }
  expressions <- c(
    spec$correlation$covariates, spec$correlation$group,
    unlist(lapply(spec$scales, function(s) c(s$covariate, s$stratum)), recursive = FALSE),
    spec$fixed
  )
  spec$variables <- expressions[!duplicated(variable_names(expressions))]
  spec
}

#' nlme's constructors, found also where nlme is not attached
#' @noRd
nlme_environment <- function(parent) {
  names <- intersect(constructor_names, getNamespaceExports("nlme"))
  list2env(mget(names, envir = asNamespace("nlme")), parent = parent)
}

#' Constructors take their values first: a formula there is meant as the argument `form`
#' @noRd
require_named_form <- function(expr, role) {
  name <- if (is.call(expr)) code_label(expr[[1L]]) else ""
  first <- if (length(expr) > 1L) expr[[2L]]
  named <- !is.null(names(expr)) && nzchar(names(expr)[[2L]])
  takes_form <- setdiff(constructor_names, c("varFixed", "varComb"))
  if (sub("^nlme:::?", "", name) %in% takes_form && !named && is_call_to(first, "~")) {
    ferrolmm_abort(
      paste0("`", role, "`: the formula of ", name, "() is its argument `form`, and values come ",
             "first."),
      "residual", i = paste0("Write ", name, "(form = ", code_label(first), ").")
    )
  }
}

#' @noRd
evaluate_constructor <- function(argument, role, caller) {
  require_named_form(argument$expr, role)
  tryCatch(
    eval(argument$expr, nlme_environment(caller)),
    error = function(e) {
      require_constructor(e, role)
      head <- if (is.call(argument$expr)) code_label(argument$expr[[1L]])
      ferrolmm_abort(
        paste0("`", role, "` could not be evaluated: ", conditionMessage(e), "."), "residual",
        i = if (!is.null(head) && !head %in% constructor_names) {
          did_you_mean(head, constructor_names)
        }
      )
    }
  )
}

#' An argument passed on by another function is evaluated where it was written: there nlme's
#' constructors are found only if nlme is attached
#'
#' @returns NULL if it is another error
#' @noRd
require_constructor <- function(error, role) {
  called <- conditionCall(error)
  missing <- is.call(called) && is.symbol(called[[1L]]) &&
    as.character(called[[1L]]) %in% constructor_names && !exists(called[[1L]], mode = "function")
  if (missing) {
    name <- as.character(called[[1L]])
    ferrolmm_abort(
      paste0("`", role, "` could not be evaluated: there is no function ", name, "() where it was ",
             "written."),
      "residual", i = paste0("Write nlme::", name, "(), or attach 'nlme' before.")
    )
  }
  NULL
}

#' The variance function in `weights`, NULL where these are numbers
#' @noRd
variance_function <- function(argument, data, env, caller) {
  if (is.null(argument)) {
    return(NULL)
  }
  expr <- argument$expr
  head <- if (is.call(expr)) {
    if (is_call_to(expr[[1L]], c("::", ":::"))) as.character(expr[[1L]][[3L]]) else
      if (is.symbol(expr[[1L]])) as.character(expr[[1L]]) else ""
  }
  if (is.call(expr) && (startsWith(head, "var") || head == "~")) {
    if (head == "var") {
      return(NULL)
    }
    value <- evaluate_constructor(argument, "weights", caller)
  } else if (is.symbol(expr) && !as.character(expr) %in% names(data)) {
    value <- tryCatch(eval(expr, caller), error = function(e) require_constructor(e, "weights"))
    if (is.null(value)) {
      value <- argument$value()
    }
  } else {
    value <- expr
  }
  if (inherits(value, "formula")) {
    value <- nlme::varFixed(value)
  }
  if (inherits(value, "varFunc")) value
}

#' @noRd
correlation_argument <- function(argument, caller) {
  if (is.null(argument)) {
    return(NULL)
  }
  value <- evaluate_constructor(argument, "correlation", caller)
  if (is.null(value)) {
    return(NULL)
  }
  if (!inherits(value, "corStruct")) {
    ferrolmm_abort(
      paste0("`correlation` must be a correlation structure of nlme, it is ",
             describe_value(value), "."),
      "residual",
      i = c(
        "As in correlation = corAR1(form = ~ time | subject).",
        if (inherits(value, "formula")) "A formula of a structure is the argument `residual`."
      )
    )
  }
  value
}

#' The structure in `residual`: ~ us(visit | subject), or us(visit | subject) alone
#' @returns list(structure: an expression, env: where it was written); NULL without one
#' @noRd
residual_argument <- function(argument, caller) {
  if (is.null(argument)) {
    return(NULL)
  }
  expr <- argument$expr
  bare <- is.call(expr) && is.symbol(expr[[1L]]) && !is_call_to(expr, "~") &&
    (is_bar(expr) || any(vapply(expr[-1L], is_bar, NA)))
  if (bare || is_call_to(expr, "known")) {
    return(list(structure = expr, env = caller))
  }
  # in the environment where it was written, not where it was passed on
  value <- argument$value()
  if (inherits(value, "error")) {
    ferrolmm_abort(
      paste0("`residual` could not be evaluated: ", conditionMessage(value), "."), "residual"
    )
  }
  if (is.null(value)) {
    return(NULL)
  }
  if (!is_call_to(value, "~") || length(value) != 2L) {
    ferrolmm_abort(
      "`residual` must be a one-sided formula with one structure.", "residual",
      i = c(
        "As in residual = ~ us(visit | subject).",
        if (inherits(value, "corStruct")) "A structure of nlme is the argument `correlation`."
      )
    )
  }
  env <- environment(value)
  list(structure = value[[2L]], env = if (is.null(env)) caller else env)
}

#' @noRd
read_correlation <- function(object) {
  class <- class(object)[1L]
  type <- nlme_correlations[class]
  if (is.na(type)) {
    ferrolmm_abort(
      paste0("The correlation structure ", class, "() is not available."), "residual",
      i = paste0("Available are ", quote_names(paste0(names(nlme_correlations), "()"), 20L), ".")
    )
  }
  type <- type[[1L]]
  parts <- split_form(attr(object, "formula"), class)
  covariates <- if (is_spatial(type)) {
    lapply(sum_parts(parts$covariate), as_plain_variable)
  } else if (!is.null(parts$covariate) && !is_exchangeable(type)) {
    list(as_plain_variable(parts$covariate))
  }
  value <- natural_correlation(object, type)
  list(
    type = type, covariates = covariates, group = parts$group,
    nugget = isTRUE(attr(object, "nugget")),
    metric = if (is.null(attr(object, "metric"))) "euclidean" else attr(object, "metric"),
    p = attr(object, "p"), q = attr(object, "q"),
    value = value, fixed = isTRUE(attr(object, "fixed")), name = class, by_level = FALSE
  )
}

#' The value that a constructor of nlme was given, on the natural scale; NULL for its default
#' @noRd
natural_correlation <- function(object, type) {
  value <- as.vector(unclass(object))
  words <- structure_words[[type]]
  if (!is.null(words$nlme_value)) {
    value <- words$nlme_value(value)
  }
  default <- if (is.null(words$nlme_default)) {
    length(value) == 0L
  } else {
    isTRUE(all(abs(value - words$nlme_default) < 1e-12))
  }
  if (!default || isTRUE(attr(object, "fixed")) && length(value)) value
}

#' A form of nlme as its covariate (an expression; NULL for 1) and groups
#' @noRd
split_form <- function(form, class) {
  side <- form[[length(form)]]
  group <- NULL
  if (is_bar(side)) {
    group <- group_leaves(side[[3L]], form)
    side <- side[[2L]]
  }
  while (is_call_to(side, "(")) {
    side <- side[[2L]]
  }
  if (contains_bar(side)) {
    ferrolmm_abort(
      paste0("The form of ", class, "() has two bars: ", code_label(form), "."), "residual"
    )
  }
  list(covariate = if (!is.numeric(side)) side, group = group)
}

#' @noRd
sum_parts <- function(x) {
  chain <- sum_chain(x)
  parts <- list(chain$first)
  for (at in chain$sums) {
    if (is_call_to(at, "+") && length(at) == 3L) {
      parts <- c(parts, list(at[[3L]]))
    } else {
      # a difference is one part, together with everything to its left
      parts <- list(at)
    }
  }
  parts <- lapply(parts, function(part) if (is_call_to(part, "+")) sum_parts(part) else list(part))
  parts <- unlist(parts, recursive = FALSE)
  parts[!vapply(parts, function(part) is.null(part) || is.numeric(part), NA)]
}

#' @noRd
read_variances <- function(object) {
  if (is.null(object)) {
    return(list(scales = list(), fixed = list()))
  }
  if (inherits(object, "varComb")) {
    parts <- lapply(unclass(object)[seq_along(object)], read_variances)
    return(list(
      scales = unlist(lapply(unname(parts), `[[`, "scales"), recursive = FALSE),
      fixed = unlist(lapply(unname(parts), `[[`, "fixed"), recursive = FALSE)
    ))
  }
  class <- class(object)[1L]
  if (class != "varFixed" && !class %in% names(nlme_variances)) {
    known <- c(names(nlme_variances), "varFixed", "varComb")
    ferrolmm_abort(
      paste0("The variance function ", class, "() is not available."), "residual",
      i = paste0("Available are ", quote_names(paste0(known, "()"), 10L), ".")
    )
  }
  parts <- split_form(attr(object, "formula"), class)
  if (class == "varFixed") {
    return(list(scales = list(), fixed = list(as_plain_variable(parts$covariate))))
  }
  list(scales = list(read_variance(object, class, nlme_variances[[class]], parts)), fixed = list())
}

#' @noRd
read_variance <- function(object, class, type, parts) {
  kind <- scale_kind(type)
  fitted <- is_call_to(parts$covariate, "fitted")
  if (!kind$covariate && is.null(parts$group)) {
    ferrolmm_abort(
      "varIdent() without groups changes nothing.", "residual",
      i = "Name the groups after a bar: varIdent(form = ~ 1 | group)."
    )
  }
  if (is_call_to(parts$covariate, "resid")) {
    ferrolmm_abort(
      paste0(class, "() of the residuals, resid(.), is not available."), "residual",
      i = "Use fitted(.) or a variable: varPower(form = ~ x)."
    )
  }
  # nlme keeps logarithms of most positive parameters; of others the sign means nothing
  plain <- scale_words[[type]]$plain
  natural <- function(kind, value, name = "") {
    if (kind != "positive" || !is.numeric(value)) value else if (name %in% plain) abs(value) else
      exp(value)
  }
  if (length(kind$parameters) > 1L) {
    names(kind$parameters) <- kind$parameters
    of_parts <- function(get) {
      Map(
        function(name, kind) natural(kind, get(object[[name]]), name), kind$parameters, kind$kinds
      )
    }
    value <- of_parts(unlist)
    fixed <- of_parts(function(part) attr(part, "fixed"))
  } else {
    value <- unclass(object)
    value <- stats::setNames(as.vector(value), attr(object, "groupNames")[seq_along(value)])
    value <- natural(kind$kinds, value)
    fixed <- natural(kind$kinds, attr(object, "fixed"))
  }
  if (!is.null(unlist(value)) && !is.numeric(unlist(value))) {
    ferrolmm_abort(
      paste0("The values of ", class, "() must be numbers."), "residual",
      i = paste0("Its formula is the argument `form`, as in ", class, "(form = ~ x).")
    )
  }
  list(
    type = type,
    covariate = if (kind$covariate && !fitted) list(as_plain_variable(parts$covariate)),
    fitted = kind$covariate && fitted, stratum = parts$group,
    value = if (length(unlist(value))) value, fixed = fixed, by_level = FALSE
  )
}
