# Methods for generics of 'nlme' that hand over data and groups, and intervals of all parameters.

#' Data, response and groups of a fit
#'
#' Methods for generics of 'nlme'. `getData()` gives the rows of the data that were used, with all
#' columns; `getResponse()` the response; `getGroups()` the groups, and `getGroupsFormula()` the
#' formula that names them.
#'
#' @param object A model fitted by [lmm()].
#' @param level Levels of grouping, by number or name, see [residuals.lmm()]; by default the
#'   innermost one. A model without random effects has the groups of its residual structure.
#' @param form,data Arguments of the generics: a fit has its own.
#' @param asList A list of formulas, one for each level?
#' @param sep What stands between the levels in the formula. `getGroups()` takes none.
#' @param ... Not used.
#' @returns `getData()`: a data frame. After `na.action = na.exclude` it has the rows with missing
#'   values, too. `getResponse()`: a vector named by row. `getGroups()`: a factor, for several
#'   levels a data frame of factors; `NULL` without groups. `getGroupsFormula()`: a one-sided
#'   formula such as `~Block/Variety`, or `NULL`.
#' @seealso [intervals.lmm()], [ACF.lmm()], [augPred.lmm()], [fitted.lmm()]
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' head(getData(fit))
#' head(getGroups(fit))
#' nlme::getGroupsFormula(fit)
#' @name getData.lmm
NULL

#' @rdname getData.lmm
#' @importFrom nlme getData
#' @method getData lmm
#' @export
getData.lmm <- function(object, ...) {
  check_dots(...)
  fit_data(object)
}

#' @rdname getData.lmm
#' @importFrom nlme getResponse
#' @method getResponse lmm
#' @export
getResponse.lmm <- function(object, form, ...) {
  check_dots(...)
  if (!missing(form)) {
    abort_own("form", "getResponse")
  }
  values <- stats::napredict(object$na.action, name_rows(response_values(object), object))
  structure(values, label = code_label(full_formula(object)[[2L]]))
}

#' @rdname getData.lmm
#' @importFrom nlme getGroups
#' @method getGroups lmm
#' @export
getGroups.lmm <- function(object, form, level, data, sep, ...) {
  check_dots(...)
  given <- c(form = !missing(form), data = !missing(data), sep = !missing(sep))
  if (any(given)) {
    abort_own(names(given)[given], "getGroups")
  }
  known <- group_levels(object)
  if (length(known$names) == 0L) {
    if (!missing(level)) {
      match_group_levels(level, object, population = FALSE)
    }
    return(residual_group_factor(object))
  }
  levels <- match_group_levels(
    if (missing(level)) length(known$names) else level, object, population = FALSE
  )
  factors <- lapply(levels, function(level) {
    stats::naresid(object$na.action, object$flist[[known$factors[[level]][[1L]]]])
  })
  if (length(factors) == 1L) {
    return(structure(factors[[1L]], label = names(levels)))
  }
  data.frame(factors, check.names = FALSE)
}

#' @noRd
abort_own <- function(arguments, generic) {
  ferrolmm_abort(
    paste0("A fit has its own groups and data: ", generic, "() takes no ", quote_names(arguments),
           " for it."),
    "argument", i = "For those of other data: getGroups(data, form)."
  )
}

#' The groups of the residual structure as a factor; NULL without any
#' @noRd
residual_group_factor <- function(object) {
  if (!has_correlation(object) || length(object$residual$correlation$group) == 0L) {
    return(NULL)
  }
  groups <- covariance_groups(object)
  codes <- factor(groups$levels[groups$codes], levels = groups$levels)
  structure(stats::naresid(object$na.action, codes), label = groups$name)
}

#' @rdname getData.lmm
#' @importFrom nlme getGroupsFormula
#' @method getGroupsFormula lmm
#' @export
getGroupsFormula.lmm <- function(object, asList = FALSE, sep = "/", ...) {
  check_dots(...)
  check_flag(asList, "asList")
  sep <- match_choice(sep, "sep", c("/", ":", "*"))
  known <- group_levels(object)
  leaves <- lapply(known$factors, function(factors) {
    object$random[[terms_of_factor(object, factors[[1L]])[[1L]]]]$leaves
  })
  if (length(leaves) == 0L && has_correlation(object)) {
    leaves <- list(object$residual$correlation$group)
  }
  if (length(unlist(leaves)) == 0L) {
    return(NULL)
  }
  if (!all(known$nested)) {
    ferrolmm_abort(
      paste0("The groups are crossed, and a formula of groups is for nested ones: ",
             quote_names(known$names), "."),
      "argument", i = "formula(fit, random.only = TRUE) has all of them."
    )
  }
  ## Variety:Block within Block is Variety there
  own <- Map(setdiff, leaves, c(list(NULL), leaves[-length(leaves)]))
  variables <- all.vars(attr(object$frame, "terms"))
  calls <- lapply(own, function(names) {
    parts <- lapply(as.character(names), function(name) {
      if (name %in% variables) as.name(name) else str2lang(name)
    })
    Reduce(function(a, b) call(":", a, b), parts)
  })
  home <- environment(full_formula(object))
  if (asList) {
    return(lapply(calls, function(x) stats::as.formula(call("~", x), home)))
  }
  stats::as.formula(call("~", Reduce(function(a, b) call(sep, a, b), calls)), home)
}

#' @importFrom nlme getData
#' @export
nlme::getData

#' @importFrom nlme getGroups
#' @export
nlme::getGroups

#' @importFrom nlme getResponse
#' @export
nlme::getResponse
