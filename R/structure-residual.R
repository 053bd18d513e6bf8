# Residual (R-side) structures: from the arguments `correlation`, `weights` and `residual` to one
# description, and from that and a model frame to what the engine takes.
#
# The residuals are N(0, sigma^2 R); rows of different residual groups are independent, and within a
# group R = W^-1/2 D C D W^-1/2 with precision weights W, variance functions D and correlations C.
#
#   read_residual()    arguments -> expressions, before there is a model frame
#   build_residual()   with the frame: names of columns, levels, names and starts of phi. This is
#                      `fit$residual`: it holds nothing that has the length of the data
#   residual_design()  with any frame: the vectors that the engine takes

#' The structures of the argument `residual`: type for the engine, own standard deviations by visit
#'
#' Names are those of mmrm.
#' @noRd
residual_structures <- list(
  us = list(type = "us", by_visit = TRUE),
  ad = list(type = "ante", by_visit = FALSE), adh = list(type = "ante", by_visit = TRUE),
  toep = list(type = "toep", by_visit = FALSE), toeph = list(type = "toep", by_visit = TRUE),
  ar1 = list(type = "ar1", by_visit = FALSE), ar1h = list(type = "ar1", by_visit = TRUE),
  cs = list(type = "cs", by_visit = FALSE), csh = list(type = "cs", by_visit = TRUE),
  sp_exp = list(type = "exp", by_visit = FALSE), sp_gau = list(type = "gaus", by_visit = FALSE)
)

#' Correlation classes of nlme and their types
#' @noRd
nlme_correlations <- c(
  corAR1 = "ar1", corCAR1 = "car1", corARMA = "arma", corCompSymm = "cs", corSymm = "us",
  corNatural = "us", corExp = "exp", corGaus = "gaus", corLin = "lin", corRatio = "ratio",
  corSpher = "spher"
)

#' @noRd
spatial_types <- c("exp", "gaus", "lin", "ratio", "spher")

#' @noRd
visit_types <- c("us", "toep", "ante")

#' Types in words
#' @noRd
residual_words <- c(
  ar1 = "AR(1)", car1 = "continuous AR(1)", arma = "ARMA", cs = "compound symmetry",
  us = "unstructured", toep = "Toeplitz", ante = "ante-dependence",
  exp = "exponential spatial", gaus = "Gaussian spatial", lin = "linear spatial",
  ratio = "rational quadratic spatial", spher = "spherical spatial"
)

# Arguments ----------------------------------------------------------------------------------------

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
  structure <- residual_argument(given$residual, caller)
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
  spec <- if (!is.null(structure)) {
    read_structure(structure)
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

#' @noRd
constructor_names <- c(
  names(nlme_correlations), "corSpatial", "varIdent", "varPower", "varExp", "varConstPower",
  "varFixed", "varComb", "varConstProp"
)

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
#' @returns NULL if the error is another one
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
#' @noRd
residual_argument <- function(argument, caller) {
  if (is.null(argument)) {
    return(NULL)
  }
  expr <- argument$expr
  bare <- is.call(expr) && is.symbol(expr[[1L]]) && any(vapply(expr[-1L], is_bar, NA))
  if (bare) {
    return(expr)
  }
  value <- if (is_call_to(expr, "~")) expr else tryCatch(
    eval(expr, caller),
    error = function(e) {
      ferrolmm_abort(
        paste0("`residual` could not be evaluated: ", conditionMessage(e), "."), "residual"
      )
    }
  )
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
  value[[2L]]
}

# residual = ~ us(visit | subject) -----------------------------------------------------------------

#' @noRd
read_structure <- function(x) {
  name <- if (is.call(x) && is.symbol(x[[1L]])) as.character(x[[1L]]) else ""
  entry <- residual_structures[[name]]
  if (is.null(entry)) {
    known <- names(residual_structures)
    ferrolmm_abort(
      paste0("`residual` has no structure that is known: ", code_label(x), "."), "residual",
      i = c(
        if (nzchar(name)) did_you_mean(name, known),
        paste0("Structures are ", quote_names(paste0(known, "()"), 20L), ".")
      )
    )
  }
  arguments <- as.list(x)[-1L]
  bars <- vapply(arguments, is_bar, NA)
  if (sum(bars) != 1L || !bars[[length(bars)]] || any(nzchar(names(arguments)))) {
    ferrolmm_abort(
      paste0("`residual` cannot be read: ", code_label(x), "."), "residual",
      i = if (entry$type %in% spatial_types) {
        paste0("Write it as ", name, "(x, y | subject): coordinates, a bar, the group.")
      } else {
        paste0("Write it as ", name, "(visit | subject): the visit, a bar, the group.")
      }
    )
  }
  bar <- arguments[[length(arguments)]]
  covariates <- c(arguments[-length(arguments)], list(bar[[2L]]))
  if (length(covariates) > 1L && !entry$type %in% spatial_types) {
    ferrolmm_abort(
      paste0("`residual`: ", name, "() has one visit variable, ", code_label(x), " has ",
             length(covariates), "."),
      "residual"
    )
  }
  if (is_call_to(bar[[3L]], "/")) {
    ferrolmm_abort(
      paste0("`residual`: covariances that differ by group, ", code_label(bar[[3L]]),
             ", are not available."),
      "residual",
      i = paste0(
        "For nested groups write their interaction, ",
        code_label(call(":", bar[[3L]][[2L]], bar[[3L]][[3L]])), "."
      )
    )
  }
  no_time <- is.numeric(covariates[[1L]])
  if (no_time && (entry$by_visit || entry$type %in% visit_types)) {
    ferrolmm_abort(
      paste0("`residual`: ", name, "() needs a visit variable left of the bar."), "residual",
      i = paste0("As in ~ ", name, "(visit | subject).")
    )
  }
  visit <- if (!no_time) lapply(covariates, as_plain_variable)
  list(
    source = "residual",
    correlation = list(
      type = entry$type, covariates = if (entry$type != "cs") visit,
      group = group_leaves(bar[[3L]], x), nugget = FALSE, metric = "euclidean", p = NULL, q = NULL,
      value = NULL, fixed = FALSE, name = name, by_level = TRUE
    ),
    scales = if (entry$by_visit) {
      list(list(
        type = "ident", covariate = NULL, fitted = FALSE, stratum = visit, value = NULL,
        fixed = NULL, by_level = TRUE
      ))
    },
    fixed = list()
  )
}

# correlation = corAR1(...), weights = varPower(...) -----------------------------------------------

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
  covariates <- if (type %in% spatial_types) {
    lapply(sum_parts(parts$covariate), as_plain_variable)
  } else if (!is.null(parts$covariate) && type != "cs") {
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
  value <- switch(type,
    ar1 = tanh(value / 2), car1 = stats::plogis(value), value
  )
  default <- switch(type,
    ar1 = , cs = , arma = all(value == 0), car1 = isTRUE(all.equal(value, 0.2)),
    length(value) == 0L
  )
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
      # a difference is one part, and what is left of it belongs to it
      parts <- list(at)
    }
  }
  parts <- lapply(parts, function(part) if (is_call_to(part, "+")) sum_parts(part) else list(part))
  parts <- unlist(parts, recursive = FALSE)
  parts[!vapply(parts, function(part) is.null(part) || is.numeric(part), NA)]
}

#' Variables whose interaction are the groups of a form: `a/b`, `a:b` and `a*b` are all that
#' @noRd
group_leaves <- function(x, form) {
  if (is_call_to(x, "(")) {
    return(group_leaves(x[[2L]], form))
  }
  if (is_call_to(x, c("/", ":", "*", "+")) && length(x) == 3L) {
    return(unique(c(group_leaves(x[[2L]], form), group_leaves(x[[3L]], form))))
  }
  if (!is.language(x)) {
    ferrolmm_abort(
      paste0("The groups in ", code_label(form), " must be variables, not ", code_label(x), "."),
      "residual"
    )
  }
  list(as_variable(x))
}

#' An expression as one variable of the model frame: arithmetic is wrapped, as in time/10
#' @noRd
as_plain_variable <- function(x) {
  while (is_call_to(x, "(")) {
    x <- x[[2L]]
  }
  operators <- c("+", "-", "*", "/", "^", ":", "%in%")
  if (is_call_to(x, operators)) call("I", x) else x
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
  types <- c(varIdent = "ident", varPower = "power", varExp = "exp", varConstPower = "constpower")
  if (class != "varFixed" && !class %in% names(types)) {
    known <- c(names(types), "varFixed", "varComb")
    ferrolmm_abort(
      paste0("The variance function ", class, "() is not available."), "residual",
      i = paste0("Available are ", quote_names(paste0(known, "()"), 10L), ".")
    )
  }
  parts <- split_form(attr(object, "formula"), class)
  if (class == "varFixed") {
    return(list(scales = list(), fixed = list(as_plain_variable(parts$covariate))))
  }
  list(scales = list(read_variance(object, class, types[[class]], parts)), fixed = list())
}

#' @noRd
read_variance <- function(object, class, type, parts) {
  fitted <- is_call_to(parts$covariate, "fitted")
  if (type == "ident" && is.null(parts$group)) {
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
  if (type == "constpower") {
    value <- list(const = exp(unlist(object$const)), power = unlist(object$power))
    const <- attr(object$const, "fixed")
    fixed <- list(const = if (length(const)) exp(const), power = attr(object$power, "fixed"))
    default <- length(value$const) + length(value$power) == 0L
  } else {
    value <- unclass(object)
    value <- stats::setNames(as.vector(value), attr(object, "groupNames")[seq_along(value)])
    fixed <- attr(object, "fixed")
    if (type == "ident") {
      value <- exp(value)
      fixed <- if (!is.null(fixed)) exp(fixed)
    }
    default <- length(value) == 0L
  }
  if (!is.null(unlist(value)) && !is.numeric(unlist(value))) {
    ferrolmm_abort(
      paste0("The values of ", class, "() must be numbers."), "residual",
      i = paste0("Its formula is the argument `form`, as in ", class, "(form = ~ x).")
    )
  }
  list(
    type = type,
    covariate = if (type != "ident" && !fitted) list(as_plain_variable(parts$covariate)),
    fitted = type != "ident" && fitted, stratum = parts$group,
    value = if (!default) value, fixed = fixed, by_level = FALSE
  )
}

# Description --------------------------------------------------------------------------------------

#' The residual structure of a model, without data
#'
#' @returns list with
#'   `source`: the argument that it was given by;
#'   `correlation`: NULL or list(type, name, covariates (columns of the frame), kind (see
#'   [position_kind()]), what [with_visits()] adds, group (columns whose interaction are the
#'   groups), group_label, p, q, nugget, metric, largest (size of the largest group));
#'   `scales`: list of list(type, covariate (column), fitted, stratum (columns), levels, key);
#'   `fixed`: columns of known variances;
#'   `names` of phi, `start` (natural, NA: the engine chooses), `held`
#' @noRd
build_residual <- function(spec, frame, random) {
  if (is.null(spec)) {
    return(NULL)
  }
  correlation <- if (!is.null(spec$correlation)) {
    build_correlation(spec$correlation, frame, random)
  }
  scales <- lapply(spec$scales, build_scale, frame = frame)
  parameters <- c(
    if (!is.null(correlation)) list(
      correlation_parameters_of(correlation, spec$correlation, .row_names_info(frame, 2L))
    ),
    Map(scale_parameters_of, scales, spec$scales)
  )
  names <- unlist(lapply(parameters, `[[`, "names"))
  residual <- list(
    source = spec$source, correlation = correlation, scales = scales,
    fixed = variable_names(spec$fixed),
    names = if (length(names)) paste0("residual.", make.unique(names)) else character(),
    start = as.double(unlist(lapply(parameters, `[[`, "start"))),
    held = as.logical(unlist(lapply(parameters, `[[`, "held")))
  )
  check_fixed_variances(residual, frame)
  check_identifiable(residual, frame, random)
  residual
}

#' @noRd
build_correlation <- function(spec, frame, random) {
  covariates <- variable_names(spec$covariates)
  group <- variable_names(spec$group)
  if (is.null(spec$group) && length(random$terms) > 0L) {
    group <- innermost_group(random, spec$name)
  }
  correlation <- list(
    type = spec$type, name = spec$name, covariates = covariates,
    kind = position_kind(spec, frame, covariates), group = group,
    group_label = paste(group, collapse = ":"), p = spec$p, q = spec$q, nugget = spec$nugget,
    metric = spec$metric
  )
  sizes <- tabulate(residual_groups(correlation, frame)$codes)
  correlation$largest <- max(sizes)
  correlation <- with_visits(correlation, frame)
  if (correlation$type %in% visit_types) {
    if (correlation$n_positions < 2L) {
      ferrolmm_abort(
        paste0("`", spec$name, "()` needs at least two visits, there is ",
               correlation$n_positions, "."),
        "residual"
      )
    }
  }
  if (correlation$largest < 2L) {
    ferrolmm_abort(
      paste0("No group of `", spec$name, "()` has more than one row: there is no correlation."),
      "residual", x = paste0("Its groups are the levels of `", correlation$group_label, "`.")
    )
  }
  check_positions(correlation, frame)
  correlation
}

#' Without groups in the form these are the innermost groups of the random effects, as in nlme
#' @noRd
innermost_group <- function(random, name) {
  sizes <- vapply(random$flist, nlevels, 1L)
  order <- order(-sizes)
  codes <- lapply(random$flist[order], as.integer)
  nested <- all(vapply(seq_len(length(codes) - 1L), function(k) {
    is_constant_within(codes[[k + 1L]], codes[[k]])
  }, NA))
  if (!nested) {
    ferrolmm_abort(
      paste0("`", name, "()` does not say which rows are correlated."), "residual",
      x = paste0("The grouping factors of the random effects are not nested: ",
                 quote_names(names(random$flist)), "."),
      i = paste0("Name the groups after a bar: ", name, "(form = ~ time | group).")
    )
  }
  finest <- order[[1L]]
  terms <- Filter(function(term) term$factor == finest, random$terms)
  terms[[1L]]$leaves
}

#' What the places of rows in their group are: their "order", one of the "level"s of a variable,
#' whole numbers ("number"), multiples of a "step", or "coordinates"
#' @noRd
position_kind <- function(spec, frame, covariates) {
  if (spec$type == "cs") {
    return("none")
  }
  if (length(covariates) == 0L) {
    return("order")
  }
  values <- lapply(covariates, function(name) frame[[name]])
  categorical <- vapply(values, function(x) is.factor(x) || is.character(x), NA)
  if (spec$type %in% spatial_types || spec$type == "car1") {
    if (any(categorical)) {
      ferrolmm_abort(
        paste0("`", spec$name, "()` needs numbers, `", covariates[categorical][[1L]],
               "` is a factor."),
        "residual", i = "Use the times or coordinates themselves."
      )
    }
    return("coordinates")
  }
  if (spec$type != "us" && is_text_column(frame, covariates)) {
    ferrolmm_abort(
      paste0("`", spec$name, "()` needs visits in an order, and `", covariates,
             "` is of class character."),
      "residual", variable = covariates,
      x = "Sorted as text, \"10\" comes before \"2\".",
      i = paste0("Make it a factor, with the levels in their order in time, or a number.")
    )
  }
  if (categorical[[1L]] || spec$type %in% c("us", "ante")) {
    return("level")
  }
  if (inherits(values[[1L]], "POSIXct") && spec$type != "toep") {
    ferrolmm_abort(
      paste0("`", spec$name, "()` counts times in whole numbers, and `", covariates,
             "` is of class POSIXct, whose numbers are seconds."),
      "residual", variable = covariates,
      i = "Say in which unit: as.Date() for days, or difftime(t, start, units = \"hours\")."
    )
  }
  if (spec$type == "toep") "step" else "number"
}

#' The visits of a structure: their labels in order, and how rows are matched to them
#'
#' Where correlations depend on the lag, a factor counts by its levels, those that no row has
#' included, from the first that occurs to the last: 1, 2 and 4 are 1, 2 and 3 apart. Numbers count
#' as they are for AR(1), and for a Toeplitz matrix in their largest common step. For the other
#' structures the lag has no meaning, and visits without rows no parameters.
#' @returns correlation with `visits` and `n_positions` where they are enumerated, and `key` (kind
#'   "level") or `origin` and `step` (kind "step")
#' @noRd
with_visits <- function(correlation, frame) {
  if (correlation$kind == "order" && correlation$type %in% visit_types) {
    correlation$visits <- as.character(seq_len(correlation$largest))
  } else if (correlation$kind == "level") {
    coded <- code_variable(visit_column(correlation, frame), correlation$covariates)
    correlation$key <- coded$key
    correlation$visits <- coded$levels
  } else if (correlation$kind == "step") {
    correlation <- with_steps(correlation, frame)
  }
  if (!is.null(correlation$visits)) {
    correlation$n_positions <- length(correlation$visits)
  }
  if (correlation$type == "toep") {
    check_lags(correlation, frame)
  }
  correlation
}

#' The column of visits; where lags count with all levels between the first and the last in use
#' @noRd
visit_column <- function(correlation, frame) {
  x <- frame[[correlation$covariates]]
  if (correlation$type %in% c("us", "ante") || !is.factor(x)) {
    return(x)
  }
  spanned_levels(x, all_levels(frame, correlation$covariates))
}

#' Equally spaced places of numbers: the largest step of which all distances are multiples
#' @noRd
with_steps <- function(correlation, frame) {
  name <- correlation$covariates
  times <- sort(unique(as.double(frame[[name]])))
  gaps <- diff(times)
  step <- if (length(gaps)) Reduce(common_step, gaps) else 1
  places <- (times - times[1L]) / step
  if (max(places) > 1e4 || any(abs(places - round(places)) > 1e-6)) {
    ferrolmm_abort(
      paste0("`", correlation$name, "()` has a correlation for each lag, and the distances of `",
             name, "` have no common step."),
      "residual", variable = name,
      i = paste0("Make `", name, "` a factor to count its values one by one, or use corCAR1().")
    )
  }
  correlation$origin <- times[1L]
  correlation$step <- step
  correlation$visits <- sprintf("%.15g", times[1L] + step * seq.int(0, round(max(places))))
  correlation
}

#' Euclid's algorithm, for numbers that are rounded
#' @noRd
common_step <- function(a, b) {
  smallest <- 1e-8 * max(a, b)
  while (b > smallest) {
    rest <- a %% b
    if (b - rest < smallest) {
      rest <- 0
    }
    a <- b
    b <- rest
  }
  a
}

#' Each lag of a Toeplitz matrix needs a pair of rows, or its correlation is not determined
#' @noRd
check_lags <- function(correlation, frame) {
  codes <- residual_groups(correlation, frame)$codes
  position <- residual_positions(correlation, frame, codes)
  distinct <- unique(data.frame(codes, position))
  seen <- logical(correlation$n_positions)
  for (rows in split(distinct$position, distinct$codes)) {
    seen[unique(abs(outer(rows, rows, `-`))) + 1L] <- TRUE
  }
  absent <- which(!seen[-1L])
  if (length(absent)) {
    ferrolmm_abort(
      paste0("`", correlation$name, "()` has a correlation for each lag, and no two rows of a `",
             correlation$group_label, "` are ", join_numbers(absent), " visits apart."),
      "residual",
      x = paste0("The visits are ", quote_names(correlation$visits, 12L), "."),
      i = paste0(
        "If ", quote_names(correlation$covariates), " should count only the visits that occur, ",
        "make it a factor of these; else use ar1(), whose correlations follow from one."
      )
    )
  }
}

#' "2, 5 and 6"
#' @noRd
join_numbers <- function(x) {
  shown <- as.character(utils::head(x, 6L))
  if (length(x) > 6L) {
    return(paste0(paste(shown, collapse = ", "), " and ", length(x) - 6L, " other numbers of"))
  }
  n <- length(shown)
  if (n == 1L) shown else paste(paste(shown[-n], collapse = ", "), "or", shown[n])
}

#' Codes of the residual groups in a frame; one group where there is no grouping variable
#' @noRd
residual_groups <- function(correlation, frame) {
  n <- .row_names_info(frame, 2L)
  if (length(correlation$group) == 0L) {
    return(list(codes = rep.int(1L, n), levels = "(all rows)", key = NULL))
  }
  group_factor(correlation$group, frame)
}

#' Places of the rows of a frame in their groups, as the engine takes them
#' @noRd
residual_positions <- function(correlation, frame, codes) {
  switch(correlation$kind,
    none = NULL,
    order = {
      place <- as.integer(stats::ave(seq_along(codes), codes, FUN = seq_along))
      if (correlation$type %in% spatial_types) {
        list(as.double(place))
      } else if (correlation$type == "car1") {
        as.double(place)
      } else {
        place
      }
    },
    level = {
      name <- correlation$covariates
      match_levels(frame[[name]], correlation$key, name)
    },
    step = {
      x <- (as.double(frame[[correlation$covariates]]) - correlation$origin) / correlation$step
      place <- ifelse(abs(x - round(x)) > 1e-6, NA, round(x) + 1)
      place[which(abs(place) > 1e9)] <- NA
      as.integer(place)
    },
    number = {
      x <- as.double(frame[[correlation$covariates]])
      x[which(abs(x - round(x)) > 1e-8 | abs(x) > 1e9)] <- NA
      as.integer(round(x))
    },
    coordinates = {
      values <- lapply(correlation$covariates, function(name) as.double(frame[[name]]))
      if (correlation$type == "car1") values[[1L]] else values
    }
  )
}

#' Are positions among those that the structure has?
#' @noRd
in_range <- function(position, correlation) {
  n <- correlation$n_positions
  position <- unlist(position)
  if (is.null(n)) rep.int(TRUE, length(position)) else position >= 1L & position <= n
}

#' Whole numbers where the structure counts steps, and each place in a group once
#' @noRd
check_positions <- function(correlation, frame) {
  if (correlation$kind == "number") {
    x <- as.double(frame[[correlation$covariates]])
    broken <- which(abs(x - round(x)) > 1e-8 | abs(x) > 1e9)
    if (length(broken) > 0L) {
      ferrolmm_abort(
        paste0("`", correlation$name, "()` needs whole numbers as times, `",
               correlation$covariates, "` is ", format(x[broken[1L]]), " in row ",
               row.names(frame)[broken[1L]], "."),
        "residual",
        i = paste0(
          "For times on a continuous scale use corCAR1(form = ~ ", correlation$covariates,
          if (length(correlation$group)) paste0(" | ", correlation$group_label), ")."
        )
      )
    }
  }
  if (correlation$kind %in% c("none", "order") || correlation$nugget) {
    return(invisible())
  }
  groups <- residual_groups(correlation, frame)
  position <- residual_positions(correlation, frame, groups$codes)
  key <- if (is.list(position)) do.call(paste, position) else position
  key <- match(key, unique(key))
  twice <- anyDuplicated(groups$codes + (key - 1) * length(groups$levels))
  if (twice > 0L) {
    values <- vapply(correlation$covariates, function(name) {
      paste0(name, " = ", format(frame[[name]][twice]))
    }, "")
    ferrolmm_abort(
      paste0("`", correlation$name, "()` needs each time once in a group: ",
             paste(values, collapse = ", "), " occurs more than once",
             if (length(correlation$group)) {
               paste0(" in `", correlation$group_label, "` ", groups$levels[groups$codes[twice]])
             }, "."),
      "residual",
      i = if (correlation$type %in% spatial_types) {
        "With nugget = TRUE rows at the same place are possible."
      } else if (length(correlation$group) == 0L) {
        "Name the groups after a bar: form = ~ time | subject."
      } else {
        "Add what tells these rows apart to the group, as in ~ time | subject/variable."
      }
    )
  }
}

#' @noRd
build_scale <- function(spec, frame) {
  stratum <- variable_names(spec$stratum)
  scale <- list(
    type = spec$type, covariate = variable_names(spec$covariate), fitted = spec$fitted,
    stratum = stratum, levels = NULL
  )
  if (length(stratum) > 0L) {
    scale <- with_strata(scale, spec, frame)
  }
  if (length(scale$covariate) == 1L) {
    x <- frame[[scale$covariate]]
    if (!is.numeric(x)) {
      ferrolmm_abort(
        paste0("The variance function needs a number as covariate, `", scale$covariate, "` is ",
               describe_value(x), "."),
        "residual"
      )
    }
    check_scale_covariate(scale, x, paste0("`", scale$covariate, "`"))
  }
  scale
}

#' @noRd
check_scale_covariate <- function(scale, x, what) {
  if (scale$type == "power" && any(x == 0)) {
    ferrolmm_abort(
      paste0("varPower() of ", what, ", which is zero in ", count_of(sum(x == 0), "row"),
             ": their variance would be zero."),
      "residual", i = "Use varConstPower() or varExp()."
    )
  }
}

#' Strata of a variance function, the reference of varIdent first: their labels, as in nlme, and the
#' group key that rows are matched by
#'
#' As in nlme the reference is the level of the first row; of a structure by visit it is the first
#' visit; where values are given by name it is the level that has none.
#' @noRd
with_strata <- function(scale, spec, frame) {
  group <- group_factor(scale$stratum, frame)
  labels <- group$levels
  if (!is.null(group$key$tuples)) {
    labels <- make.unique(tuple_labels(group$key$leaves, group$key$tuples, "*"), sep = "#")
  }
  order <- if (spec$by_level && length(scale$stratum) == 1L) {
    seq_along(labels)
  } else {
    unique(group$codes)
  }
  levels <- labels[order]
  if (length(levels) < 2L) {
    ferrolmm_abort(
      paste0("The variance function has one stratum only: `",
             paste(scale$stratum, collapse = "*"), "` is \"", levels, "\" in all rows."),
      "residual"
    )
  }
  given <- c(names(spec$value), names(spec$fixed))
  if (spec$type == "constpower") {
    given <- unlist(lapply(c(spec$value, spec$fixed), names))
  }
  unknown <- setdiff(given, c(levels, ""))
  if (length(unknown)) {
    ferrolmm_abort(
      paste0("The variance function has a value for ", quote_names(unknown),
             ", which is no level of `", paste(scale$stratum, collapse = "*"), "`."),
      "residual", i = paste0("Its levels are ", quote_names(levels, 10L), ".")
    )
  }
  if (spec$type == "ident" && any(levels %in% given) && !all(levels %in% given)) {
    reference <- setdiff(levels, given)[[1L]]
    levels <- c(reference, setdiff(levels, reference))
  }
  scale$levels <- levels
  scale$key <- reorder_key(group$key, match(levels, labels))
  scale
}

#' A structure with more parameters than there are rows, before any of them gets a name
#'
#' The engine counts all parameters of a model; this is for numbers that it should not have to see.
#' @param label of the structure.
#' @noRd
check_parameter_count <- function(count, n, label) {
  if (count > n) {
    ferrolmm_abort(
      paste0("`", label, "` has ", count_of(count, "parameter"), " for ",
             count_of(n, "observation"), "."),
      "too_many_parameters", i = engine_remedies[["too_many_parameters"]]
    )
  }
}

#' Names, starts and held values of the correlation's parameters
#' @noRd
correlation_parameters_of <- function(correlation, spec, n) {
  m <- correlation$n_positions
  if (correlation$type == "us" && !spec$fixed) {
    check_parameter_count(m * (m - 1) / 2, n, paste0(spec$name, "()"))
  }
  names <- switch(correlation$type,
    ar1 = , car1 = , cs = "rho",
    arma = c(
      if (correlation$p > 0L) paste0("ar", seq_len(correlation$p)),
      if (correlation$q > 0L) paste0("ma", seq_len(correlation$q))
    ),
    us = {
      below <- which(lower.tri(diag(m)), arr.ind = TRUE)
      paste0("cor(", below[, 1L], ",", below[, 2L], ")")
    },
    toep = paste0("rho", seq_len(m - 1L)),
    ante = paste0("cor(", seq_len(m - 1L) + 1L, ",", seq_len(m - 1L), ")"),
    c("range", if (correlation$nugget) "nugget")
  )
  value <- spec$value
  if (is.null(value)) {
    if (spec$fixed) {
      ferrolmm_abort(
        paste0("`", spec$name, "()` is fixed, but has no value."), "residual",
        i = "Give the value of its parameters, as in corAR1(0.5, form = ~ t | g, fixed = TRUE)."
      )
    }
    value <- rep.int(NA_real_, length(names))
  }
  if (length(value) < length(names) && correlation$nugget && length(value) == 1L) {
    value <- c(value, NA_real_)
  }
  if (length(value) != length(names)) {
    ferrolmm_abort(
      paste0("`", spec$name, "()` has ", count_of(length(value), "value"), " for ",
             count_of(length(names), "parameter"), "."),
      "residual", i = paste0("Parameters: ", quote_names(names, 12L), ".")
    )
  }
  list(names = names, start = as.double(value), held = rep.int(spec$fixed, length(names)))
}

#' The same of a variance function
#' @noRd
scale_parameters_of <- function(scale, spec) {
  levels <- scale$levels
  if (scale$type == "ident") {
    levels <- levels[-1L]
    return(named_parameters("sd.ratio", levels, spec$value, spec$fixed))
  }
  if (scale$type == "constpower") {
    const <- named_parameters("const", levels, spec$value$const, spec$fixed$const)
    power <- named_parameters("power", levels, spec$value$power, spec$fixed$power)
    return(Map(c, const, power))
  }
  named_parameters(scale$type, levels, spec$value, spec$fixed)
}

#' @noRd
named_parameters <- function(name, levels, value, fixed) {
  n <- max(1L, length(levels))
  start <- rep.int(NA_real_, n)
  held <- logical(n)
  fill <- function(into, given) {
    if (length(given) == 0L) {
      return(into)
    }
    at <- if (is.null(names(given)) || all(!nzchar(names(given)))) seq_len(n) else
      match(names(given), levels)
    given <- if (length(at) == n && length(given) == 1L) rep.int(given, n) else given
    into[at[!is.na(at)]] <- unname(given)[!is.na(at)]
    into
  }
  start <- fill(start, value)
  fixed_at <- fill(rep.int(NA_real_, n), fixed)
  held <- !is.na(fixed_at)
  start[held] <- fixed_at[held]
  list(
    names = if (length(levels)) paste(name, levels) else name, start = start, held = held
  )
}

#' @noRd
check_fixed_variances <- function(residual, frame) {
  for (name in residual$fixed) {
    v <- frame[[name]]
    if (!is.numeric(v) || any(v <= 0)) {
      ferrolmm_abort(
        paste0("varFixed() needs positive numbers: `", name, "` is ",
               if (is.numeric(v)) format(v[which(v <= 0)[1L]]) else describe_value(v), "."),
        "residual"
      )
    }
  }
}

#' What kind of number each element of phi is, for intervals: "correlation", "positive", "unit"
#' (between 0 and 1) or "real"
#' @noRd
phi_kinds <- function(residual) {
  if (is.null(residual)) {
    return(character())
  }
  correlation <- residual$correlation
  sizes <- vapply(residual$scales, count_scale_parameters, 1L)
  n <- length(residual$names) - sum(sizes)
  own <- if (n > 0L) {
    switch(correlation$type,
      car1 = "unit", arma = rep.int(if (n == 1L) "correlation" else "real", n),
      ar1 = , cs = , us = , toep = , ante = rep.int("correlation", n),
      c("positive", if (correlation$nugget) "unit")
    )
  }
  others <- Map(function(scale, size) {
    switch(scale$type,
      ident = rep.int("positive", size),
      constpower = rep(c("positive", "real"), each = size / 2L),
      rep.int("real", size)
    )
  }, residual$scales, sizes)
  as.character(c(own, unlist(others)))
}

# What the engine takes ----------------------------------------------------------------------------

#' The residual structure of the rows of a frame
#'
#' @param frame a frame with the columns that the structure names, and "(fitted)" where a variance
#'   function depends on the fitted values.
#' @returns list(groups, correlation, scales, start, held), as the engine takes it
#' @noRd
residual_design <- function(residual, frame) {
  if (is.null(residual) || !has_parameters(residual)) {
    return(NULL)
  }
  correlation <- residual$correlation
  groups <- if (!is.null(correlation)) residual_groups(correlation, frame)
  list(
    groups = if (!is.null(correlation)) {
      list(codes = groups$codes, n_levels = length(groups$levels))
    },
    correlation = if (!is.null(correlation)) {
      list(
        type = correlation$type,
        position = residual_positions(correlation, frame, groups$codes),
        n_positions = correlation$n_positions,
        p = if (correlation$type == "arma") as.integer(correlation$p),
        q = if (correlation$type == "arma") as.integer(correlation$q),
        nugget = correlation$nugget, metric = correlation$metric
      )
    },
    scales = lapply(residual$scales, scale_design, frame = frame),
    start = residual$start, held = residual$held
  )
}

#' Is there anything beside known variances?
#' @noRd
has_parameters <- function(residual) {
  !is.null(residual$correlation) || length(residual$scales) > 0L
}

#' @noRd
scale_design <- function(scale, frame) {
  covariate <- if (scale$fitted) {
    frame[["(fitted)"]]
  } else if (length(scale$covariate) == 1L) {
    as.double(frame[[scale$covariate]])
  }
  list(
    type = scale$type, covariate = covariate,
    stratum = if (length(scale$stratum)) match_groups(scale$key, unclass(frame)[scale$stratum]),
    n_strata = if (length(scale$stratum)) length(scale$levels) else 0L
  )
}

#' Columns of the model frame that the structure needs
#'
#' @param what "all"; "scales" for the variances alone; "covariates" for the numbers that they
#'   depend on.
#' @noRd
residual_columns <- function(residual, what = "all") {
  if (what == "covariates") {
    return(as.character(unlist(lapply(residual$scales, `[[`, "covariate"))))
  }
  scales <- unlist(lapply(residual$scales, function(s) c(s$covariate, s$stratum)))
  correlation <- c(residual$correlation$covariates, residual$correlation$group)
  unique(as.character(c(scales, residual$fixed, if (what == "all") correlation)))
}

#' Does a variance function depend on the fitted values?
#' @noRd
depends_on_fitted <- function(residual) {
  for (scale in residual$scales) {
    if (isTRUE(scale$fitted)) {
      return(TRUE)
    }
  }
  FALSE
}

#' Precision weights with the known variances of varFixed() in them
#' @noRd
residual_weights <- function(residual, frame, weights) {
  for (name in residual$fixed) {
    w <- 1 / as.double(frame[[name]])
    weights <- if (is.null(weights)) w else weights * w
  }
  weights
}

# Identifiability ----------------------------------------------------------------------------------

#' Tell of a random-effects term that the residual structure already contains
#' @noRd
check_identifiable <- function(residual, frame, random) {
  correlation <- residual$correlation
  if (length(random$terms) == 0L || is.null(correlation) && length(residual$scales) == 0L) {
    return(invisible())
  }
  codes <- if (!is.null(correlation)) residual_groups(correlation, frame)$codes
  for (term in random$terms) {
    if (length(term$known)) {
      next
    }
    own <- as.integer(random$flist[[term$factor]])
    if (is.null(codes) || !is_constant_within(own, codes) || !is_constant_within(codes, own)) {
      next
    }
    why <- overlap(residual, term, frame, codes)
    if (!is.null(why)) {
      ferrolmm_warn(
        paste0("The random-effects term (", term$label, ") and the residual structure ",
               describe_residual_term(residual), " cannot be told apart."),
        "identifiable",
        x = why, i = "Leave one of them out."
      )
    }
  }
}

#' Why a term on the groups of the residual structure adds nothing to it; NULL if it does
#' @noRd
overlap <- function(residual, term, frame, codes) {
  correlation <- residual$correlation
  type <- correlation$type
  intercept <- identical(term$cnms, "(Intercept)")
  by_visit <- length(residual$scales) > 0L
  if (intercept && type == "cs" && !by_visit) {
    return(paste0("Both give every pair of rows of a `", term$group, "` the same covariance."))
  }
  if (!type %in% c("us", "toep") && !(type == "ante")) {
    visit_effects <- effects_by_row(term, frame, codes)
    same <- visit_effects && term$structure == type
    return(if (same) {
      paste0("Both are ", residual_words[[type]], " over the rows of a `", term$group, "`.")
    })
  }
  if (intercept && type %in% c("us", "toep")) {
    return(paste0(
      "The correlations of the residuals are free: they take up what the rows of a `", term$group,
      "` have in common."
    ))
  }
  if (type == "us" && by_visit && constant_at_visits(term, frame, correlation)) {
    return(paste0(
      "The covariance matrix of the visits of a `", term$group,
      "` is free: it contains that of these random effects."
    ))
  }
  if (effects_by_row(term, frame, codes) && term$structure %in% c(type, "us")) {
    paste0("Both are covariances of the visits of a `", term$group, "`.")
  }
}

#' Are the effects of a term indicators, and each row of a group has its own?
#' @noRd
effects_by_row <- function(term, frame, codes) {
  if (length(term$cnms) < 2L) {
    return(FALSE)
  }
  columns <- do.call(cbind, lapply(term_columns(term, frame), function(x) if (is.null(x)) 1 else x))
  if (!all(columns %in% c(0, 1)) || any(rowSums(columns) != 1)) {
    return(FALSE)
  }
  !anyDuplicated(data.frame(codes, max.col(columns)))
}

#' Does each column of the term's basis have one value at a visit?
#' @noRd
constant_at_visits <- function(term, frame, correlation) {
  visit <- residual_positions(correlation, frame, residual_groups(correlation, frame)$codes)
  all(vapply(term_columns(term, frame), function(x) {
    is.null(x) || is_constant_within(x, visit)
  }, NA))
}

#' As it was written, more or less: "corAR1(~ time | Subject)"
#' @noRd
describe_residual_term <- function(residual) {
  correlation <- residual$correlation
  paste0(
    correlation$name, "(", if (residual$source == "correlation") "~ ",
    if (length(correlation$covariates)) paste(correlation$covariates, collapse = " + ") else "1",
    if (length(correlation$group)) paste0(" | ", correlation$group_label), ")"
  )
}
