# Pictures of what a formula names: plot(fit, resid(., type = "scaled") ~ fitted(.) | g), as in
# 'nlme' and 'lme4'. Drawn by 'lattice' here, by 'ggplot2' in autoplot().

#' What a formula names of a fit: `.` is the fit, other variables are columns of its data
#'
#' @returns list(x, y (NULL for a one-sided formula), groups (a data frame, or NULL), xlab, ylab)
#' @noRd
formula_values <- function(object, form) {
  if (!inherits(form, "formula")) {
    ferrolmm_abort(
      paste0("`form` must be a formula, as resid(.) ~ fitted(.)", describe_given(form), "."),
      "argument"
    )
  }
  two_sided <- length(form) == 3L
  right <- form[[length(form)]]
  conditioning <- NULL
  if (is_call_to(right, "|")) {
    conditioning <- all_factors(right[[3L]])
    right <- right[[2L]]
  }
  data <- formula_columns(object, form)
  evaluate <- function(expression) {
    tryCatch(
      eval(expression, c(as.list(data), list(. = object)), formula_home(form)),
      error = function(e) {
        ferrolmm_abort(
          paste0("`", code_label(expression), "` in `form` cannot be evaluated."), "argument",
          x = conditionMessage(e)
        )
      }
    )
  }
  label <- function(expression) picture_label(expression, data)
  groups <- lapply(conditioning, evaluate)
  names(groups) <- vapply(conditioning, code_label, "")
  list(
    x = evaluate(right), y = if (two_sided) evaluate(form[[2L]]), groups = groups,
    xlab = label(right), ylab = if (two_sided) label(form[[2L]])
  )
}

#' The columns of the data that a formula names; NULL where it names none
#' @noRd
formula_columns <- function(object, ...) {
  names <- setdiff(unlist(lapply(list(...), all.vars)), c(".", "T", "F"))
  if (length(names) == 0L) {
    return(NULL)
  }
  data <- fit_data(object)
  absent <- setdiff(names, names(data))
  if (length(absent) > 0L) {
    ferrolmm_abort(
      paste0("The data have no column ", quote_names(absent), "."), "argument",
      i = did_you_mean(absent[[1L]], names(data))
    )
  }
  data
}

#' Where functions of a formula are found: where it was made, and this package behind that
#' @noRd
formula_home <- function(form) {
  home <- new.env(parent = environment(form))
  for (name in c("ranef", "fixef", "resid", "fitted", "predict", "residuals", "rstudent")) {
    if (!exists(name, environment(form), mode = "function")) {
      assign(name, getExportedValue(if (name %in% c("ranef", "fixef")) "nlme" else "stats", name),
             home)
    }
  }
  home
}

#' a * b and a + b as a list
#' @noRd
all_factors <- function(x) {
  if (is_call_to(x, "*") || is_call_to(x, "+")) {
    return(c(all_factors(x[[2L]]), all_factors(x[[3L]])))
  }
  list(if (is_call_to(x, "(")) x[[2L]] else x)
}

#' Residuals and fitted values in words, columns by their label and unit where they have one
#' @noRd
picture_label <- function(expression, data) {
  written <- code_label(expression)
  if (is.call(expression) && length(expression) > 1L && identical(expression[[2L]], quote(.))) {
    kind <- as.character(expression[[1L]])[[1L]]
    if (kind %in% c("resid", "residuals")) {
      return(residual_label(expression))
    }
    words <- c(
      fitted = "Fitted values", predict = "Predictions", rstudent = "Studentised residuals"
    )
    if (length(expression) == 2L && kind %in% names(words)) {
      return(words[[kind]])
    }
  }
  column_label(written, data)
}

#' "Residuals (scaled)"
#' @noRd
residual_label <- function(expression) {
  type <- as.list(expression)[["type"]]
  if (!is.character(type)) {
    return("Residuals")
  }
  types <- eval(formals(residuals.lmm)$type)
  type <- types[pmatch(type, types, nomatch = 1L)]
  if (type == "response") "Residuals" else paste0("Residuals (", type, ")")
}

#' The label of a column: that of a groupedData() object with its unit, its own attribute "label",
#' or its name
#' @noRd
column_label <- function(name, data) {
  if (inherits(data, "groupedData")) {
    form <- attr(data, "formula")
    sides <- list(
      x = code_label(nlme::getCovariateFormula(form)[[2L]]), y = code_label(form[[2L]])
    )
    side <- names(sides)[match(name, sides)]
    if (!is.na(side) && !is.null(attr(data, "labels")[[side]])) {
      return(trimws(paste(attr(data, "labels")[[side]], attr(data, "units")[[side]])))
    }
  }
  label <- if (is.data.frame(data) && name %in% names(data)) attr(data[[name]], "label")
  if (is.character(label) && length(label) == 1L) label else name
}

#' Which points to name, and how
#'
#' @param id NULL, the level of a two-sided normal test of the scaled residuals, or a formula of
#'   data columns that is TRUE for these points.
#' @returns list(shown, text), NULL for none
#' @noRd
named_points <- function(object, id, labels) {
  if (is.null(id)) {
    return(NULL)
  }
  scaled <- residuals.lmm(object, "scaled")
  shown <- if (inherits(id, "formula")) {
    as.logical(formula_values(object, id)$x)
  } else if (is.numeric(id) && length(id) == 1L && isTRUE(id > 0 && id < 1)) {
    abs(scaled) > stats::qnorm(1 - id / 2)
  } else {
    ferrolmm_abort(
      paste0("`id` must be a number between 0 and 1 or a formula", describe_given(id), "."),
      "argument"
    )
  }
  text <- if (inherits(labels, "formula")) {
    formula_values(object, labels)$x
  } else if (!is.null(labels)) {
    labels
  } else {
    named_groups(object, names(scaled))
  }
  if (length(text) != length(scaled) || length(shown) != length(scaled)) {
    ferrolmm_abort(
      paste0("`id` and `idLabels` must have a value for each of the ",
             count_of(length(scaled), "row"), "."), "argument"
    )
  }
  list(shown = shown & !is.na(shown), text = as.character(text))
}

#' The innermost group of each row, its name where there are none
#' @noRd
named_groups <- function(object, rows) {
  single <- !vapply(seq_along(object$flist), has_members, NA, object = object)
  factors <- object$flist[single]
  if (length(factors) == 0L) {
    return(rows)
  }
  inner <- factors[[which.max(vapply(factors, nlevels, 1L))]]
  as.character(stats::naresid(object$na.action, inner))
}

#' plot(fit, form) by 'lattice'
#' @noRd
plot_formula <- function(object, form, abline, id, idLabels, grid, ...) {
  values <- formula_values(object, form)
  check_numbers_right(values)
  points <- named_points(object, id, idLabels)
  data <- data.frame(.x = as.vector(values$x))
  if (!is.null(values$y)) {
    data$.y <- if (is.numeric(values$y)) as.vector(values$y) else values$y
  }
  panels <- panel_variables(values$groups)
  data[names(panels)] <- panels
  kind <- if (is.null(values$y)) "histogram" else if (is.numeric(data$.y)) "points" else "boxes"
  arguments <- list(
    x = trellis_formula(if (!is.null(values$y)) quote(.y), names(panels)), data = data,
    panel = formula_panel(kind, points, abline, grid), xlab = values$xlab
  )
  if (kind != "histogram") arguments$ylab <- values$ylab
  draw <- switch(
    kind, points = lattice::xyplot, boxes = lattice::bwplot, histogram = lattice::histogram
  )
  do.call(draw, utils::modifyList(trellis_style(arguments), list(...)))
}

#' @noRd
check_numbers_right <- function(values) {
  if (!is.numeric(values$x)) {
    ferrolmm_abort(
      paste0("What is right of `~` in `form` must be numbers: `", values$xlab, "` is ",
             value_class(values$x), "."), "argument"
    )
  }
}

#' Conditioning variables under names that a formula can hold, and their own names for the strips
#' @noRd
panel_variables <- function(groups) {
  values <- lapply(groups, function(x) {
    if (is.numeric(x) || lattice::is.shingle(x)) x else factor(x)
  })
  stats::setNames(values, names(groups))
}

#' .y ~ .x | g
#' @noRd
trellis_formula <- function(left, panels) {
  right <- quote(.x)
  if (length(panels) > 0L) {
    right <- call("|", right, Reduce(function(a, b) call("*", a, b), lapply(panels, as.name)))
  }
  stats::as.formula(if (is.null(left)) call("~", right) else call("~", left, right))
}

#' Arguments that pictures by 'lattice' take
#' @noRd
lattice_arguments <- function() {
  unique(c(
    setdiff(names(formals(utils::getS3method("xyplot", "formula", envir = asNamespace("lattice")))),
            c("x", "data", "groups", "allow.multiple", "...")),
    setdiff(names(formals(lattice::panel.xyplot)), c("x", "y", "groups", "...")),
    "as.table", "between", "page", "key", "legend", "main", "sub", "par.settings", "par.strip.text",
    "skip", "strip.left", "index.cond", "perm.cond", "plot.args", "lattice.options", "adj", "nint",
    "breaks", "box.ratio", "varwidth"
  ))
}

#' Colours of pictures by 'lattice', and strips as high as their text
#' @noRd
trellis_style <- function(arguments) {
  lines <- if (is.null(arguments$strip_lines)) 1L else arguments$strip_lines
  arguments$par.strip.text <- list(cex = 0.85, lines = 1.15 * lines)
  arguments$strip_lines <- NULL
  arguments$par.settings <- list(
    plot.symbol = list(col = image_colours[[1L]]),
    plot.line = list(col = image_colours[[1L]]),
    box.rectangle = list(col = image_colours[[1L]]),
    box.umbrella = list(col = image_colours[[1L]]),
    box.dot = list(col = image_colours[[1L]]),
    plot.polygon = list(col = grDevices::adjustcolor(image_colours[[1L]], 0.4)),
    strip.background = list(col = "grey90"), strip.shingle = list(col = "grey70")
  )
  arguments
}

#' @noRd
formula_panel <- function(kind, points, line, grid) {
  force(kind)
  draw <- switch(kind,
    points = lattice::panel.xyplot, boxes = lattice::panel.bwplot,
    histogram = lattice::panel.histogram
  )
  function(x, y, subscripts, ...) {
    if (grid) lattice::panel.grid(h = -1, v = -1)
    if (kind == "histogram") draw(x, ...) else draw(x, y, ...)
    draw_reference(kind, line)
    named <- points$shown[subscripts]
    if (kind == "points" && any(named)) {
      lattice::ltext(
        x[named], y[named], points$text[subscripts][named], cex = 0.7, col = "grey25",
        pos = ifelse(x[named] > mean(lattice::current.panel.limits()$xlim), 2L, 4L)
      )
    }
  }
}

#' The line of `abline`: intercept and slope, or a height; across boxes and bars a place
#' @noRd
draw_reference <- function(kind, line) {
  if (is.null(line)) {
    return(invisible())
  }
  if (kind != "points") {
    lattice::panel.abline(v = line[[1L]], col = "grey40")
  } else if (length(line) == 2L) {
    lattice::panel.abline(a = line[[1L]], b = line[[2L]], col = "grey40")
  } else {
    lattice::panel.abline(h = line, col = "grey40")
  }
}

#' Normal quantiles of residuals or random effects
#'
#' As in 'nlme': `~ resid(., type = "scaled") | g` draws residuals in a panel for each group, and
#' `~ ranef(.)` the random effects, a panel for each effect. Quantiles are those of all values
#' together for residuals, of each effect's for random effects; the line is that of the normal
#' distribution with the mean and standard deviation of the values.
#'
#' @param y,x A model fitted by [lmm()].
#' @param form A one-sided formula, in which `.` is the fit and other variables are columns of the
#'   data.
#' @param data Not used; an argument of the generic of 'lattice'.
#' @param abline Intercept and slope of a line to draw instead.
#' @param id Name points: the level of a two-sided normal test that the scaled residual exceeds, or
#'   a one-sided formula that is `TRUE` for these rows.
#' @param idLabels Their names: a one-sided formula or a vector; by default the innermost group.
#' @param grid Draw a grid?
#' @param ... Further arguments of [lattice::xyplot()].
#' @returns A `trellis` object of 'lattice', which draws itself when it is printed.
#' @seealso [plot.lmm()] for `plot(fit, which = 3:4)`, and [plot.ranef.lmm()].
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' qqnorm(fit, ~ resid(., type = "scaled") | Sex, id = 0.01)
#' qqnorm(fit, ~ ranef(.))
#' @importFrom stats qqnorm
#' @export
qqnorm.lmm <- function(y, form = ~ resid(., type = "scaled"), abline = NULL, id = NULL,
                       idLabels = NULL, grid = FALSE, ...) {
  check_dots(..., allowed = lattice_arguments())
  check_flag(grid, "grid")
  values <- formula_values(y, form)
  if (!is.null(values$y)) {
    ferrolmm_abort("`form` must be one-sided, as ~ resid(.).", "argument")
  }
  random <- is.list(values$x)
  d <- if (random) random_quantiles(values) else residual_quantiles(values)
  points <- if (!random) named_points(y, id, idLabels)
  if (random && !is.null(id)) {
    ferrolmm_abort("`id` names residuals: leave it out for random effects.", "argument")
  }
  arguments <- list(
    x = trellis_formula(quote(.y), setdiff(names(d), c(".x", ".y"))), data = d,
    panel = quantile_panel(points, abline, grid),
    xlab = if (random) "Random effect" else values$xlab, ylab = "Normal quantile",
    scales = if (random) list(x = list(relation = "free")) else list()
  )
  do.call(lattice::xyplot, utils::modifyList(trellis_style(arguments), list(...)))
}

#' @noRd
residual_quantiles <- function(values) {
  x <- as.vector(values$x)
  d <- data.frame(.x = x, .y = stats::qqnorm(x, plot.it = FALSE)$x)
  panels <- panel_variables(values$groups)
  d[names(panels)] <- panels
  d
}

#' @noRd
random_quantiles <- function(values) {
  if (!inherits(values$x, "ranef.lmm") || length(values$groups) > 0L) {
    ferrolmm_abort(
      "`form` must name residuals or all random effects, as ~ resid(.) | g or ~ ranef(.).",
      "argument"
    )
  }
  d <- as.data.frame.ranef.lmm(values$x)
  effect <- paste0(d$grpvar, ": ", d$term)
  effect <- factor(effect, levels = unique(effect))
  scores <- stats::ave(d$condval, effect, FUN = function(x) stats::qqnorm(x, plot.it = FALSE)$x)
  data.frame(.x = d$condval, .y = scores, effect = effect)
}

#' @noRd
quantile_panel <- function(points, line, grid) {
  plain <- formula_panel("points", points, line, grid)
  function(x, y, subscripts, ...) {
    spread <- stats::sd(x, na.rm = TRUE)
    if (is.null(line) && isTRUE(spread > 0)) {
      lattice::panel.abline(-mean(x, na.rm = TRUE) / spread, 1 / spread, col = "grey60")
    }
    plain(x, y, subscripts, ...)
  }
}

#' @rdname qqnorm.lmm
#' @importFrom lattice qqmath
#' @export
qqmath.lmm <- function(x, data = NULL, form = ~ resid(., type = "scaled"), id = NULL,
                       idLabels = NULL, grid = FALSE, ...) {
  check_dots(..., allowed = lattice_arguments())
  check_flag(grid, "grid")
  if (!is.null(data)) {
    ferrolmm_abort("`data` are those of the fit: leave it out.", "argument")
  }
  values <- formula_values(x, form)
  if (!is.null(values$y) || !is.numeric(values$x)) {
    ferrolmm_abort(
      "`form` must be one-sided and name residuals, as ~ resid(.).", "argument",
      i = "qqmath(ranef(fit)) draws random effects."
    )
  }
  d <- residual_quantiles(values)
  names(d)[1:2] <- c(".y", ".x")
  points <- named_points(x, id, idLabels)
  plain <- formula_panel("points", points, NULL, grid)
  arguments <- list(
    x = trellis_formula(quote(.y), names(d)[-(1:2)]), data = d,
    panel = function(x, y, subscripts, ...) {
      lattice::panel.abline(mean(y, na.rm = TRUE), stats::sd(y, na.rm = TRUE), col = "grey60")
      plain(x, y, subscripts, ...)
    },
    xlab = "Normal quantile", ylab = values$xlab
  )
  do.call(lattice::xyplot, utils::modifyList(trellis_style(arguments), list(...)))
}
