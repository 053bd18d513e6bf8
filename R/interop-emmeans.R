# Methods for 'emmeans': what a reference grid of a model of lmm() is made of.

#' Support for 'emmeans'
#'
#' `emmeans::emmeans()` and its relatives work on models fitted by [lmm()]. The argument `mode` of
#' those functions is the method for the degrees of freedom, see [ddf]: Satterthwaite's by default.
#' `"auto"` and `"appx-satterthwaite"`, words for models of 'nlme', mean Satterthwaite's too;
#' `"link"` and `"response"`, which `ggeffects::ggemmeans()` gives, the normal distribution.
#' With `mode = "kenward-roger"` the covariance matrix is the adjusted one. Models of any size have
#' their degrees of freedom.
#'
#' A reference grid has no groups: in [within_between()] each of its rows belongs to a group with an
#' average mean. So marginal means are those of an average group, and the slope that
#' `emmeans::emtrends()` gives for such a predictor is the one within groups.
#'
#' Smooth terms ([smooths()]) belong to the population: means have them, at the values of the grid.
#' Their standard errors are those of [predict.lmm()], and `mode` is Satterthwaite's method or
#' `"asymptotic"`.
#'
#' @param object A model fitted by [lmm()].
#' @param data The data, where they can no longer be found.
#' @param trms,xlev,grid See `emmeans::emm_basis()`.
#' @param mode The method for the degrees of freedom, see [ddf]: `r ddf_choices()`.
#' @param vcov.,cluster A covariance matrix, or a function that gives one, to use instead, with the
#'   degrees of freedom of `mode`, as 'emmeans' has it for models of 'lme4'; or a type of [robust]
#'   matrix such as `"CR2"` with its clusters, which brings its degrees of freedom.
#'   (Joint tests of 'emmeans' are F tests with these, not Hotelling's, which [contest()] has.)
#' @param lmer.df The same as `mode`, under its name for models of 'lme4'.
#' @param pbkrtest.limit,lmerTest.limit As for models of 'lme4': the numbers of rows above which
#'   Kenward and Roger's method gives way to Satterthwaite's, and that to a normal distribution.
#'   There is no limit unless one is given.
#' @param ... Arguments of other functions of 'emmeans', which it passes to all of them, and of
#'   `vcov.` where that is a function.
#' @returns What the generics of 'emmeans' return.
#' @seealso [contest()], [predict.lmm()], [ddf], [robust]
#' @examplesIf requireNamespace("emmeans", quietly = TRUE)
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age * Sex + (age | Subject), Orthodont)
#' emmeans::emmeans(fit, "Sex", at = list(age = c(8, 14)), by = "age")
#' emmeans::emtrends(fit, "Sex", var = "age", mode = "kenward-roger")
#' emmeans::emtrends(fit, "Sex", var = "age", vcov. = "CR2")
#' @name emmeans-lmm
#' @rawNamespace S3method(emmeans::recover_data, lmm)
recover_data.lmm <- function(object, data = NULL, ...) {
  check_fit(object)
  call <- object$call
  if (!is.null(object$condensed)) {
    return(recover_moments(object, ...))
  }
  # variance functions are not a column of the data
  if (length(object$residual$scales) + length(object$residual$fixed) > 0L) {
    call$weights <- NULL
  }
  rows <- rows_of_data(call, object, data)
  if (!is.null(rows)) {
    # 'emmeans' knows neither weights of zero nor, with `data`, the subset of the fit
    call$weights <- NULL
    call$subset <- rows
    if (is.data.frame(data)) data <- data[rows, , drop = FALSE]
  }
  # nor sampling weights
  if (is_sampled(object)) call$weights <- NULL
  if (is.data.frame(data)) {
    data <- complete_rows(data, object)
  }
  terms <- if (has_smooths(object)) {
    smooth_grid_terms(object)
  } else {
    stats::delete.response(object$terms)
  }
  recovered <- emmeans::recover_data(
    call, terms, object$na.action, data = data,
    frame = object$frame, pwts = object$prior.weights, ...
  )
  if (is.data.frame(recovered)) attr(recovered, "call") <- object$call
  recovered
}

#' Data for a reference grid of a fit of moments: its cells, and the mean of each numeric variable
#'
#' A reference grid takes from data the levels of factors, how often they occur, and means.
#' @noRd
recover_moments <- function(object, ...) {
  moments <- object$condensed$moments
  # each cell three times: emtrends() steps by the range of a variable, and a variable of two values
  # would be a factor of the grid
  terms <- stats::delete.response(object$terms)
  cells <- cells_of_variables(moments, all.vars(terms))
  n <- length(cells$counts)
  values <- lapply(stats::setNames(nm = all.vars(terms)), function(name) {
    if (name %in% names(cells$keys)) {
      return(cells$keys[[name]][rep(seq_len(n), 3L)])
    }
    number <- number_summary(moments, number_id(name, 1L))
    if (is.null(number)) {
      ferrolmm_abort(
        paste0("The moments do not have the mean of `", name, "`, only of a function of it."),
        "needs_rows", i = "Take moments of a formula that has it as a term."
      )
    }
    if (moments$weighted) {
      inform_weighted_mean(name)
    }
    number$mean + rep(-1:1, each = n) * number$sd
  })
  call <- object$call
  call[c("weights", "subset")] <- NULL
  recovered <- emmeans::recover_data(
    call, terms, NULL, data = as.data.frame(values, optional = TRUE), ...
  )
  if (is.data.frame(recovered)) {
    # frequencies of the reference grid
    recovered[["(weights)"]] <- rep(cells$counts / 3, 3L)
    attr(recovered, "call") <- object$call
  }
  recovered
}

#' Cells by the factors among some variables, and their counts
#' @returns list(keys, counts)
#' @noRd
cells_of_variables <- function(moments, names) {
  if (!is_of_tables(moments)) {
    return(list(keys = moments$keys, counts = moments$cells$counts))
  }
  used <- intersect(names, names(moments$keys))
  sizes <- vapply(moments$tables, function(table) {
    if (all(used %in% names(table$keys))) as.double(length(table$counts)) else Inf
  }, 0)
  moments$tables[[which.min(sizes)]][c("keys", "counts")]
}

#' @noRd
inform_weighted_mean <- function(name) {
  ferrolmm_inform(
    paste0("The mean of `", name, "` in the grid is weighted: the moments have no other."),
    "moments", i = "Name the value that is wanted: `at`."
  )
}

#' The rows of the data that `subset` and weights of zero leave, by number; NULL for all of them, or
#' where the data cannot be found
#' @noRd
rows_of_data <- function(call, object, data) {
  arguments <- as.list(call)[argument_names(call, c("weights", "subset"))]
  home <- fit_home(object)
  if (is.null(data)) {
    data <- tryCatch(eval(call$data, home), error = function(e) NULL)
  }
  if (length(arguments) == 0L || !is.data.frame(data)) {
    return(NULL)
  }
  given <- lapply(arguments, function(expr) unevaluated(expr, function() eval(expr, data, home)))
  data <- readable_columns(data)
  n <- nrow(data)
  from <- environment(full_formula(object))
  weights <- if (!is.null(given$weights)) {
    value <- evaluate_argument(given$weights, "weights", data, from, home)
    if (is_sampling(value)) {
      least_weights(sampling_columns(value, n))
    } else {
      check_row_argument(value, "weights", n)
    }
  }
  used_rows(weights, given$subset, data, n, from, home)
}

#' The rows of `data` that the fit used, of those that `subset` and weights left: the offset has a
#' value for each of them
#' @noRd
complete_rows <- function(data, object) {
  omitted <- object$na.action
  n <- count_rows(object)
  if (length(omitted) > 0L && nrow(data) == n + length(omitted)) {
    data <- data[-omitted, , drop = FALSE]
  }
  if (nrow(data) != n && !is.null(object$offset)) {
    ferrolmm_abort(
      paste0("`data` has ", count_of(nrow(data), "row"), ", the model ", n, "."), "data",
      x = "The offset of the fit has a value for each row of the model.",
      i = describe_rows(object)
    )
  }
  data
}

#' Names of the arguments of the functions of 'emmeans', which receive each other's
#'
#' Without those of its methods for single classes of models.
#' @noRd
emmeans_arguments <- function() {
  namespace <- asNamespace("emmeans")
  names <- grep("^(emm_basis|recover_data)", ls(namespace), value = TRUE, invert = TRUE)
  functions <- Filter(is.function, mget(names, namespace))
  unique(c("misc", "options", unlist(lapply(functions, function(f) names(formals(f))))))
}

#' @rdname emmeans-lmm
#' @rawNamespace S3method(emmeans::emm_basis, lmm)
emm_basis.lmm <- function(object, trms, xlev, grid, mode = "satterthwaite", vcov.,
                          lmer.df = mode, pbkrtest.limit = Inf, lmerTest.limit = Inf,
                          cluster = NULL, ...) {
  # emtrends() passes the columns of its data one by one
  theirs <- c("", emmeans_arguments(), grep("^data[.]", ...names(), value = TRUE))
  others <- setdiff(...names(), theirs)
  if (missing(vcov.) || !is.function(vcov.)) {
    check_dots(..., allowed = theirs)
  }
  if (missing(mode)) mode <- lmer.df
  if (has_smooths(object)) {
    if (!missing(vcov.) || !is.null(cluster)) {
      ferrolmm_abort(
        "`vcov.` and `cluster` are not available for models with smooth terms.", "smooth",
        i = "Their means have the covariance matrix of predictions."
      )
    }
    return(smooth_grid_basis(object, grid, match_ddf(emmeans_mode(mode))))
  }
  check_row_wise(object)
  method <- match_ddf(emmeans_mode(mode))
  method <- within_limits(method, object, pbkrtest.limit, lmerTest.limit)
  is_given <- !missing(vcov.) && !is.character(vcov.)
  inference <- ddf_for(object, method, if (!missing(vcov.) && !is_given) vcov., cluster)
  # the values that the grid has for grouping factors are means of their numbers, not groups
  trms <- of_average_groups(trms)
  frame <- stats::model.frame(trms, grid, na.action = stats::na.pass, xlev = xlev)
  x <- stats::model.matrix(trms, frame, contrasts.arg = object$contrasts)
  coefficients <- inference$object$coefficients
  space <- unestimable_space(object)
  nbasis <- if (is.null(space)) matrix(NA) else qr.Q(qr(space$null / space$size))
  variance <- if (!is_given) {
    emmeans_variance(inference)
  } else {
    # what is not an argument of 'emmeans' is one of the function
    do.call(other_variance, c(list(object, vcov., "vcov."), list(...)[others]))
  }
  ## 'emmeans' removes dffun's environment, so everything that it needs is in dfargs.
  dffun <- if (inference$statistic == "none") {
    function(k, dfargs) Inf
  } else {
    function(k, dfargs) dfargs$single(matrix(k, 1L))
  }
  robust <- describe_variance(inference$robust)
  attr(dffun, "mesg") <- paste(
    c(tolower(inference$method), robust[nzchar(robust)]), collapse = ", "
  )
  list(
    X = x, bhat = unname(coefficients), nbasis = nbasis, V = variance, dffun = dffun,
    dfargs = list(single = inference$single), misc = list(),
    model.matrix = own_matrix(object)[, kept_columns(object), drop = FALSE]
  )
}

#' The method for a fit of at most so many rows, and the one that 'emmeans' takes for larger ones
#' @noRd
within_limits <- function(method, object, pbkrtest, lmertest) {
  limits <- list(pbkrtest.limit = pbkrtest, lmerTest.limit = lmertest)
  for (name in names(limits)) {
    if (!is.numeric(limits[[name]]) || length(limits[[name]]) != 1L || is.na(limits[[name]])) {
      ferrolmm_abort(
        paste0("`", name, "` must be a number of rows", describe_given(limits[[name]]), "."),
        "argument"
      )
    }
  }
  n <- nobs.lmm(object)
  if (startsWith(method, "Kenward-Roger") && n > pbkrtest) method <- "Satterthwaite"
  if (method == "Satterthwaite" && n > lmertest) "asymptotic" else method
}

#' A method for degrees of freedom from what 'emmeans' calls one in models of other packages
#'
#' `ggemmeans()` of 'ggeffects' gives the scale of a linear model, and has normal intervals for
#' models of 'lme4'.
#' @noRd
emmeans_mode <- function(mode) {
  if (!is_string(mode)) {
    return(mode)
  }
  switch(mode,
    link = , response = , linear.predictor = "asymptotic",
    auto = , `appx-satterthwaite` = "Satterthwaite",
    mode
  )
}

#' The covariance matrix from which 'emmeans' makes its tests itself, with all elements NA where the
#' method does not determine some
#' @noRd
emmeans_variance <- function(inference) {
  variance <- inference$variance
  if (is.null(inference$determined) || inference$determined()) {
    return(variance)
  }
  if (is.null(inference$robust)) {
    warn_not_determined(nrow(variance))
  } else {
    warn_clusters(nrow(variance), "A cluster alone determines some coefficients.")
  }
  variance[] <- NA_real_
  variance
}

#' Refuse what depends on all rows together: a reference grid has other rows than the data
#' @noRd
check_row_wise <- function(object) {
  tables <- names(attr(attr(object$frame, "terms"), "tables"))
  found <- intersect(variable_columns(object$terms)[-1L], tables)
  if (length(found) > 0L) {
    ferrolmm_abort(
      paste0(quote_names(found[[1L]]), " has no value in a reference grid: it depends on all rows ",
             "of the data at once."),
      "newdata", variable = found[[1L]],
      i = "Make it a column of the data before the fit."
    )
  }
}
