# Is a fit what lmm() made?
#
# A fit is a list that users can edit, save, and read by another version of the package. It is
# checked where it enters the package (by check_dots(), among the first lines of every method, or
# check_fit()), so that no other code has to doubt its fields: kinds and lengths that follow
# from each other, and factors whose codes are those of their levels. Numbers of the right kind are
# taken at their word. A fit that was found whole is recognised by its contents (src/fit-stamp.c),
# in microseconds.

#' An error if a fit is damaged, or the function that a user gave it to does not hold for it
#' @noRd
check_fit <- function(object) {
  check_whole_fit(object)
  f <- sys.function(sys.parent())
  if (!identical(topenv(parent.frame(2L)), topenv())) {
    refuse_restricted(unclass(object), f)
  }
  invisible()
}

#' An error if a fit is damaged
#' @noRd
check_whole_fit <- function(object) {
  if (.External(ferrolmm_is_known, object)) {
    return(invisible())
  }
  fault <- fault_of_fields(object)
  if (is.null(fault)) fault <- fault_of_shape(object)
  if (is.null(fault)) fault <- fault_of_terms(object)
  if (is.null(fault)) fault <- fault_of_rows(object)
  if (!is.null(fault)) {
    ferrolmm_abort(
      "The fit is not as this version of 'ferrolmm' makes it: it is of another version, or edited.",
      "format", x = sentence(fault),
      i = "Fit the model again, with lmm() and the same formula and data."
    )
  }
  .External(ferrolmm_know, object)
  invisible()
}

#' Check the fit that a function of the package was called with from outside, if any
#'
#' Calls from inside have a fit that was checked already.
#' @param frame,f the function's frame and the function itself.
#' @noRd
check_entering_fit <- function(frame, caller, f) {
  first <- names(formals(f))[1L]
  if (is.null(first) || first == "..." || identical(topenv(caller), topenv()) ||
        eval(call("missing", as.name(first)), frame)) {
    return(invisible())
  }
  fit <- frame[[first]]
  if (inherits(fit, "lmm")) {
    check_whole_fit(fit)
    if (!is.null(fit$condensed)) refuse_without_rows(f, frame)
    refuse_restricted(unclass(fit), f)
  }
}

#' Functions that take the rows of a fit, in words; `newdata` of some of them stands for rows
#'
#' One table for all, so that a fit of moments is refused where it enters, before anything is
#' computed from rows that are not there.
#' @noRd
takes_rows <- c(
  residuals.lmm = "residuals()", fitted.lmm = "fitted()", rstandard.lmm = "rstandard()",
  rstudent.lmm = "rstudent()", hatvalues.lmm = "hatvalues()",
  cooks.distance.lmm = "cooks.distance()", dfbeta.lmm = "dfbeta()", dfbetas.lmm = "dfbetas()",
  predict.lmm = "predict() without `newdata`", simulate.lmm = "simulate()",
  augment.lmm = "augment() without `newdata`", refit.lmm = "refit()", plot.lmm = "plot()",
  autoplot.lmm = "autoplot()", model.frame.lmm = "model.frame()",
  model.matrix.lmm = "model.matrix()", weights.lmm = "weights()", getData.lmm = "getData()",
  getResponse.lmm = "getResponse()", getGroups.lmm = "getGroups()", qqnorm.lmm = "qqnorm()",
  pairs.lmm = "pairs()", qqmath.lmm = "qqmath()", ACF.lmm = "ACF()", Variogram.lmm = "Variogram()",
  augPred.lmm = "augPred()", estfun.lmm = "estfun()", vcovCR.lmm = "vcovCR()",
  pooling = "pooling()", case.names.lmm = "case.names()",
  as_lmerMod = "as_lmerMod()", image.lmm = "image()", lmList.lmm = "lmList()",
  pb_test = "pb_test()", ls_means.lmm = "ls_means()", difflsmeans.lmm = "difflsmeans()",
  get_data.lmm = "insight::get_data()"
)

#' Refuse a function that takes rows
#' @param f the function that a fit of moments entered, `frame` its frame.
#' @noRd
refuse_without_rows <- function(f, frame) {
  home <- topenv()
  known <- names(takes_rows)[vapply(names(takes_rows), exists, NA, envir = home, inherits = FALSE)]
  mine <- Find(function(name) identical(get(name, home), f), known)
  if (!is.null(mine) && is.null(frame[["newdata"]]) && !has_database(f, frame)) {
    abort_needs_rows(takes_rows[[mine]])
  }
}

#' Does a function get rows of a database as its argument `data`?
#' @noRd
has_database <- function(f, frame) {
  "data" %in% names(formals(f)) && !eval(quote(missing(data)), frame) &&
    inherits(frame$data, c("lmm_source", "tbl_lazy"))
}

#' @noRd
is_string <- function(x) is.character(x) && length(x) == 1L

#' @noRd
is_real <- function(x) is.double(x) && length(x) == 1L && !is.object(x)

#' @noRd
has_names <- function(...) {
  names <- c(...)
  function(x) is.list(x) && all(names %in% names(x))
}

#' @noRd
or_null <- function(is_kind) {
  force(is_kind)
  function(x) is.null(x) || is_kind(x)
}

#' The fields of a fit and checks of their kinds
#' @noRd
fit_fields <- list(
  call = is.call, formula = is.language, terms = function(x) inherits(x, "terms"),
  frame = is.data.frame, contrasts = or_null(is.list), xlevels = or_null(is.list),
  assign = is.integer, random = is.list, flist = is.list, precision = is.list, keys = is.list,
  members = or_null(is.list), sampling = or_null(has_names("weights", "counts", "cluster")),
  residual = or_null(has_names("names")), cnms = is.list, Gp = is.integer, lower = is.double,
  prior.weights = or_null(is.double), offset = or_null(is.double),
  na.action = or_null(function(x) is.integer(x) || is.character(x)),
  REML = function(x) is.logical(x) && length(x) == 1L && !is.na(x),
  control = function(x) inherits(x, "lmm_control") && is.list(x),
  env = or_null(is.environment),
  condensed = or_null(has_names("frame", "cell", "values", "y", "stands_for", "moments")),
  eliminated = or_null(has_names("terms", "flist", "keys", "rank", "b")),
  coefficients = function(x) is.double(x) && length(names(x)) == length(x),
  rank = function(x) is.numeric(x) && length(x) == 1L && !is.na(x), pivot = is.numeric,
  theta = is.double, covariances = or_null(is.double), phi = is.double,
  beta = is.double, u = is.double, b = is.double,
  sigma = is_real, rx = is.double, vcov_unscaled = is.double, fitted.values = is.double,
  residuals = is.double, criterion = is_real,
  devcomp = function(x) is.list(x) && is.numeric(x$cmp) && is.numeric(x$dims),
  certificate = function(x) is.list(x) && is_string(x$status)
)

#' Fields that a fit may lack
#' @noRd
optional_fields <- c(
  "contrasts", "xlevels", "prior.weights", "offset", "na.action", "env", "condensed", "members",
  "sampling", "covariances", "eliminated"
)

#' @noRd
term_fields <- c("label", "group", "lhs", "columns", "factor", "cnms", "structure", "hom", "known",
                 "contrasts", "levels", "leaves")

#' A field that is absent or of another kind, in words
#' @noRd
fault_of_fields <- function(fit) {
  if (!is.list(fit)) {
    return(paste0("it is ", describe_value(unclass(fit)), ", no list"))
  }
  fit <- unclass(fit)
  absent <- setdiff(names(fit_fields), c(names(fit), optional_fields))
  if (length(absent) > 0L) {
    return(paste0("it has no element ", quote_names(absent)))
  }
  for (name in names(fit_fields)) {
    if (!fit_fields[[name]](fit[[name]])) {
      return(paste0("its `", name, "` is ", describe_value(fit[[name]])))
    }
  }
}

#' A field whose length is not that of the others, in words
#' @noRd
fault_of_shape <- function(fit) {
  fit <- unclass(fit)
  n <- length(fit$fitted.values)
  p <- length(fit$coefficients)
  r <- fit$rank
  q <- if (length(fit$Gp)) fit$Gp[[length(fit$Gp)]] else 0L
  terms <- length(fit$random)
  factors <- length(fit$flist)
  given <- function(x, length) if (is.null(x)) NULL else c(length(x), length)
  lengths <- list(
    residuals = c(length(fit$residuals), n), frame = c(.row_names_info(fit$frame, 2L), n),
    prior.weights = given(fit$prior.weights, n), offset = given(fit$offset, n),
    sampling = given(fit$sampling$weights, n),
    assign = c(length(fit$assign), p), pivot = c(length(fit$pivot), p),
    coefficients = c(sum(!is.na(fit$coefficients)), r), beta = c(length(fit$beta), r),
    rx = c(length(fit$rx), r^2), vcov_unscaled = c(length(fit$vcov_unscaled), r^2),
    cnms = c(length(fit$cnms), terms), Gp = c(length(fit$Gp), terms + 1L),
    b = c(length(fit$b), q), u = c(length(fit$u), q),
    lower = c(length(fit$lower), length(fit$theta)),
    covariances = given(fit$covariances, length(fit$theta)),
    precision = c(length(fit$precision), factors), keys = c(length(fit$keys), factors),
    members = given(fit$members, factors), phi = c(length(fit$phi), length(fit$residual$names))
  )
  for (name in names(lengths)) {
    sizes <- lengths[[name]]
    if (!is.null(sizes) && !isTRUE(sizes[[1L]] == sizes[[2L]])) {
      return(paste0("its `", name, "` has ", count_of(sizes[[1L]], "value"), ", not ", sizes[[2L]]))
    }
  }
  parts <- c(
    prior.weights = "(weights)" %in% names(fit$frame) && is.null(fit$prior.weights),
    offset = is.null(fit$offset) && is.null(fit$condensed) &&
      ("(offset)" %in% names(fit$frame) || !is.null(attr(fit$terms, "offset"))),
    sampling = "(sampling)" %in% names(fit$frame) && is.null(fit$sampling),
    residual = has_known_rows(fit$residual) != ("(known)" %in% names(fit$frame)),
    na.action = !identical(fit$na.action, attr(fit$frame, "na.action"))
  )
  if (any(parts)) {
    return(paste0("its `", names(parts)[parts][[1L]], "` is not that of its `frame`"))
  }
  if (is.null(attr(fit$frame, "sources")) || is.null(attr(fit$frame, "formula"))) {
    "its `frame` has lost its attributes"
  }
}

#' Terms, grouping factors and variables that do not belong together, in words
#' @noRd
fault_of_terms <- function(fit) {
  fit <- unclass(fit)
  is_whole <- has_names(term_fields)
  index <- attr(fit$flist, "assign")
  for (i in seq_along(fit$random)) {
    term <- fit$random[[i]]
    if (!is_whole(term) || !isTRUE(term$factor %in% seq_along(fit$flist)) ||
          !identical(term$cnms, fit$cnms[[i]]) || !identical(index[i], term$factor)) {
      return(paste0("its `random`, `flist` and `cnms` differ in term ", i))
    }
    k <- nlevels(fit$flist[[term$factor]]) * length(term$cnms)
    if (fit$Gp[[i + 1L]] - fit$Gp[[i]] != k) {
      return(paste0("its factor `", names(fit$flist)[[term$factor]], "` has ",
                    count_of(nlevels(fit$flist[[term$factor]]), "level"), " now"))
    }
    classes <- term[["class_of"]]
    if (!is.null(classes) && length(classes) != nlevels(fit$flist[[term$factor]])) {
      return(paste0("its `random` has classes of ", count_of(length(classes), "level"),
                    " in term ", i))
    }
  }
  if (length(fit$theta) != sum(theta_counts(fit))) {
    return(paste0("its `theta` has ", count_of(length(fit$theta), "value"), ", not ",
                  sum(theta_counts(fit))))
  }
  if (has_smooths(fit) != (length(smooth_terms(fit)) > 0L)) {
    return("its `frame` has lost its smooths")
  }
  if (length(attr(fit$terms, "term.labels")) < max(0L, fit$assign)) {
    return("its `terms` are not those of its coefficients")
  }
  variables <- unique(c(
    variable_columns(fit$terms), unlist(lapply(fit$random, `[`, c("leaves", "by"))),
    member_columns(fit$random),
    names(fit$xlevels)
  ))
  lost <- setdiff(variables, names(fit$frame))
  if (length(lost) > 0L) {
    return(paste0("its `frame` has no column ", quote_names(lost)))
  }
  coded <- fixed_factors(fit)
  if (!all(coded %in% names(fit$xlevels)) || !all(coded %in% names(fit$contrasts))) {
    return(paste0("its `xlevels` or `contrasts` are not those of ", quote_names(coded)))
  }
  for (name in names(fit$xlevels)) {
    if (!identical(categories(fit$frame[[name]]), fit$xlevels[[name]])) {
      return(paste0("the levels of `", name, "` in its `frame` are not those of the fit"))
    }
  }
}

#' Factors among the predictors of the fixed part
#' @noRd
fixed_factors <- function(fit) {
  pattern <- attr(fit$terms, "factors")
  if (length(pattern) == 0L) {
    return(character())
  }
  used <- variable_columns(fit$terms)[rowSums(pattern) > 0]
  used[vapply(used, function(name) is.factor(fit$frame[[name]]), NA)]
}

#' Rows up to which every value is read: more would take longer than most methods do
#' @noRd
most_rows_read <- 1e5

#' Columns of the frame, or grouping factors, that R would never create, in words
#' @noRd
fault_of_rows <- function(fit) {
  n <- length(fit$fitted.values)
  is_read <- n <= most_rows_read
  # the response of a refit may be of another class
  classes <- attr(fit$terms, "dataClasses")[-attr(fit$terms, "response")]
  for (part in c("frame", "flist")) {
    columns <- unclass(fit[[part]])
    for (name in names(columns)) {
      x <- columns[[name]]
      fault <- if (NROW(x) != n) {
        paste0("it has ", count_of(NROW(x), "value"), ", not ", n)
      } else if (part == "flist" && !is.factor(x)) {
        paste0("it is ", describe_value(x))
      } else if (part == "frame" && name %in% names(classes) &&
                   stats::.MFclass(x) != classes[[name]]) {
        paste0("it is ", describe_value(x), ", and was ", classes[[name]])
      } else if (is.factor(x) && !is.null(fault <- factor_fault(if (is_read) x else x[0L]))) {
        fault
      } else if (is_read && anyNA(x) && (part == "frame" || !has_members(fit, name))) {
        "it has missing values"
      }
      if (!is.null(fault)) {
        return(paste0("`", name, "` in its `", part, "` is damaged: ", fault))
      }
    }
  }
}

#' Refuse arguments that a function does not have
#'
#' The first line of every exported function and method with `...`: what arrives there matches no
#' parameter, and would be ignored. tests/testthat/test-core-arguments.R walks over the namespace,
#' so that none is forgotten. Nothing in `...` is evaluated. A fit that the caller was called with
#' is checked on the way ([check_fit()]).
#'
#' @param ... the caller's.
#' @param allowed names that the caller takes from its `...`, or passes on.
#' @param hints advice on what to do instead, named by arguments that people try.
#' @noRd
check_dots <- function(..., allowed = character(), hints = NULL) {
  check_entering_fit(parent.frame(), parent.frame(2L), sys.function(sys.parent()))
  if (...length() == 0L) {
    return(invisible())
  }
  given <- ...names()
  given <- if (is.null(given)) character(...length()) else given
  given[is.na(given)] <- ""
  # methods::show() of an S3 object calls print(object, useS4 = FALSE)
  if (is_print_method(sys.call(sys.parent())[[1L]])) {
    allowed <- c(allowed, "useS4")
  }
  left <- which(!given %in% allowed)
  if (length(left) > 0L) {
    parent <- sys.function(sys.parent())
    abort_unknown_arguments(
      given[left], as.list(substitute(list(...)))[-1L][left],
      c(setdiff(names(formals(parent)), "..."), setdiff(allowed, c("", "useS4"))), hints
    )
  }
}

#' @noRd
is_print_method <- function(head) is.symbol(head) && startsWith(as.character(head), "print.")

#' @noRd
check_lmm <- function(object, what) {
  if (!inherits(object, "lmm")) {
    ferrolmm_abort(
      paste0("`", what, "()` needs a model fitted by lmm(), not an object of class ",
             class(object)[[1L]], "."),
      "argument"
    )
  }
}
