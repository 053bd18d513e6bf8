#' Predict from a mixed model
#'
#' Predictions for the rows of the fit or for new ones: of the population (fixed effects only), of
#' the levels of the grouping factors (all random effects), or with some of the random effects.
#'
#' @param object A model fitted by [lmm()].
#' @param newdata A data frame with the variables of the prediction. By default the rows of the fit.
#'   Grouping variables are needed only for the random effects that are included.
#' @param re.form Which random effects to include: `NULL`, all; `NA` or `~0`, none; a one-sided
#'   formula of bar terms, these (`~ (1 | g)` takes the intercepts of `g` and leaves its slopes).
#' @param random.only Only the random effects: no fixed effects, no offset?
#' @param allow.new.levels Levels of grouping factors that the fit has not seen, or missing ones:
#'   random effects of zero (`TRUE`) or an error (`FALSE`)?
#' @param na.action What to do with rows with missing values in the variables needed: `na.pass`
#'   predicts `NA`, `na.omit` leaves them out, `na.exclude` puts `NA` back, `na.fail` is an error.
#' @param type Not used: link and response are the same in a linear mixed model.
#' @param se.fit Standard errors too?
#' @param interval `"confidence"`: an interval for the conditional mean of the row. `"prediction"`:
#'   one for a new observation of it.
#' @param level The intervals' level.
#' @param ddf Degrees of freedom of the intervals: Satterthwaite's for each row, or infinite.
#' @param weights Prior weights of the observations that prediction intervals are for: one number,
#'   or one for each row. By default those of the fit for the rows of the fit, and 1 for new rows.
#' @param residual.cor For correlated residuals: predict new observations in groups of which there
#'   are observations already, see below?
#' @param ... Not used; `numderiv =` is accepted, any other argument is an error.
#'
#' @section Standard errors:
#' Write a prediction as \eqn{x'\hat\beta + z'\hat b}, \eqn{z} with zeros for the random effects
#' that `re.form` leaves out. Its standard error is that of \eqn{x'\hat\beta + z'\hat b - x'\beta -
#' z'b} (Henderson, 1975), the estimated variance parameters taken as known:
#' - for the population, the root of \eqn{x'Cx}, with \eqn{C} = `vcov(object)`;
#' - for levels that the fit has seen, that of Henderson's prediction error variance, which adds the
#'   uncertainty of \eqn{\hat b} and its covariance with \eqn{\hat\beta};
#' - for a new level, that of \eqn{x'Cx + z'Gz}: a level about which nothing is known varies with
#'   the whole covariance matrix \eqn{G} of its random effects.
#'
#' A prediction interval adds the residual variance, \eqn{\sigma^2 / w} (times \eqn{d^2}, with a
#' variance function): it is for an observation whose residual is not correlated with those of the
#' fit. Limits are quantiles of t, with
#' degrees of freedom by Satterthwaite's approximation to the row's variance,
#' \eqn{2 v^2 / Var(\hat v)}, at least 1. They need the variance at a few values of each variance
#' parameter; `ddf = "asymptotic"`, normal quantiles, saves that.
#' @section Correlated residuals:
#' With a residual structure such as `corAR1()` the observed rows of a group tell something of the
#' residuals of its other rows: `residual.cor = TRUE` adds \eqn{r'R^{-1}e} to the prediction,
#' \eqn{e} the residuals of the group and \eqn{r} the covariances with them of the new one. This is
#' the best linear unbiased prediction of the observation (kriging, for spatial structures), so the
#' standard error is that of a new observation, and `interval = "prediction"` the only interval. New
#' rows are correlated with those of the fit, not with each other. Where positions in a group are
#' the order of rows, new rows follow those of the fit. Groups that are new have no observed
#' residuals.
#' @section Predictions that cannot be estimated:
#' Where columns of the fixed effects were dropped for want of rank (an empty cell of two factors,
#' predictors that are combinations of others), the data determine the mean only of rows that are
#' combinations of rows of the fit. Others are `NA`, with a warning of class
#' `ferrolmm_warning_estimable` that counts them; [simulate()][simulate.lmm], standard errors and
#' intervals do the same. What is estimable does not depend on which columns were dropped.
#' @references
#' Henderson, C. R. (1975). Best linear unbiased estimation and prediction under a selection model.
#' *Biometrics*, 31, 423-447.
#' @returns A vector with one number for each row, named by row; with `interval`, a matrix of
#'   columns `fit`, `lwr` and `upr`. With `se.fit = TRUE` a list of these as `fit`, and `se.fit`.
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' head(predict(fit))
#' new <- data.frame(age = 16, Subject = c("M01", "F01", "new"))
#' predict(fit, new, re.form = NA)
#' predict(fit, new, allow.new.levels = TRUE)
#' predict(fit, new, re.form = ~ (1 | Subject), allow.new.levels = TRUE)
#' predict(fit, new, allow.new.levels = TRUE, interval = "prediction")
#' @importFrom stats predict
#' @export
predict.lmm <- function(object, newdata = NULL, re.form = NULL,
                        random.only = FALSE,
                        allow.new.levels = FALSE,
                        na.action = stats::na.pass,
                        type = c("response", "link"),
                        se.fit = FALSE,
                        interval = c("none", "confidence", "prediction"),
                        level = 0.95, ddf = c("Satterthwaite", "asymptotic"),
                        weights = NULL, residual.cor = FALSE, ...) {
  check_dots(..., allowed = "numderiv")
  interval <- match_choice(interval, "interval", c("none", "confidence", "prediction"))
  check_flag(se.fit, "se.fit")
  check_level(level)
  check_flag(residual.cor, "residual.cor")
  check_flag(random.only, "random.only")
  check_flag(allow.new.levels, "allow.new.levels")
  match_choice(type, "type", c("response", "link"))
  ddf <- match_choice(ddf, "ddf", c("Satterthwaite", "asymptotic"))
  na_action <- if (!missing(na.action) || !is.null(newdata)) check_na_function(na.action)
  parts <- select_random(object, re.form)
  if (residual.cor) {
    check_residual_prediction(object, newdata, parts, random.only, interval)
  }
  observation <- residual.cor || interval == "prediction"
  if (!is.null(weights) && !observation) {
    ferrolmm_abort(
      "`weights` are those of new observations: they are for interval = \"prediction\".", "argument"
    )
  }
  rows <- if (is.null(newdata)) {
    training_rows(object, parts, na_action)
  } else {
    new_rows(
      object, newdata, parts, random.only, allow.new.levels, na_action,
      if (observation) {
        residual_columns(object$residual, if (residual.cor) "all" else "scales")
      }
    )
  }
  values <- predicted_values(object, rows, parts, random.only)
  means <- values
  target <- list(
    rows = rows, parts = parts, random_only = random.only, correlated = residual.cor,
    noise = if (observation) function(phi) noise_variances(object, rows, weights, means, phi)
  )
  if (residual.cor) {
    target$design <- correlated_design(object, target, weights, means)
    values <- values + correlated_predictions(object, target, theta_of(object))$values
  }
  names(values) <- rows$names
  if (!se.fit && interval == "none") {
    return(stats::napredict(rows$omitted, values))
  }
  predict_uncertain(
    object, values, target, se.fit, interval, level, ddf
  )
}

# Which random effects ----------------------------------------------------------------------------

#' The random effects that `re.form` asks for
#'
#' @returns list of list(term = index of a term, effects = which of its columns)
#' @noRd
select_random <- function(object, re_form) {
  if (is.null(re_form)) {
    return(lapply(seq_along(object$random), function(i) {
      list(term = i, effects = seq_along(object$random[[i]]$cnms))
    }))
  }
  if (is_no_random(re_form)) {
    return(list())
  }
  if (!inherits(re_form, "formula")) {
    ferrolmm_abort(
      "`re.form` must be NULL, NA or a one-sided formula of random-effects terms.", "argument",
      i = "As in predict(fit, re.form = ~ (1 | g))."
    )
  }
  merge_selected(do.call(c, lapply(requested_terms(re_form, object), select_term, object = object)))
}

#' NA, ~0 and ~NA stand for no random effects
#' @noRd
is_no_random <- function(re_form) {
  if (inherits(re_form, "formula")) {
    side <- re_form[[length(re_form)]]
    return(length(re_form) == 2L && (identical(side, 0) || identical(side, NA)))
  }
  is.atomic(re_form) && length(re_form) == 1L && is.na(re_form)
}

#' Bar terms of a formula, one element for each left side and grouping factor
#'
#' A response, as formula(fit, random.only = TRUE) has one, must be that of the model. All else
#' would be ignored, and is refused.
#' @noRd
requested_terms <- function(re_form, object) {
  if (length(re_form) == 3L && !identical(re_form[[2L]], full_formula(object)[[2L]])) {
    ferrolmm_abort(
      paste0("`re.form` has another response than the model: ", code_label(re_form), "."),
      "argument", i = "Write it as in ~ (1 | g)."
    )
  }
  parts <- split_random(bar_in_parentheses(re_form[[length(re_form)]]))
  if (length(parts$bars) == 0L) {
    ferrolmm_abort(
      paste0("`re.form` has no random-effects term: ", code_label(re_form), "."), "argument",
      i = "Write it as in ~ (1 | g), or re.form = NA for no random effects."
    )
  }
  if (!is.null(parts$fixed) && !is.numeric(parts$fixed)) {
    ferrolmm_abort(
      paste0("`re.form` may hold random-effects terms only, `", code_label(parts$fixed),
             "` is none."),
      "argument", x = paste0("In ", code_label(re_form), "."),
      i = "Terms are added in parentheses: ~ (1 | g) + (1 | h)."
    )
  }
  bars <- lapply(parts$bars, parse_bar)
  do.call(c, lapply(bars, function(bar) {
    known <- if (!is.null(bar$known)) code_label(bar$known$expr, 500L)
    lapply(bar$groups, function(group) {
      list(lhs = bar$lhs, group = group$name, leaves = variable_names(group$leaves), known = known)
    })
  }))
}

#' The terms of the model and their columns that one requested term stands for
#'
#' Beside a term with a known matrix of the levels, one without is on a factor of its own: asked for
#' without a matrix, effects are those of terms without one; where these have them not, of those
#' with one; at last of both together.
#' @noRd
select_term <- function(requested, object) {
  known <- lapply(object$random, function(term) term$known$label)
  same_group <- which(vapply(object$random, function(term) {
    setequal(term$leaves, requested$leaves)
  }, NA))
  exact <- vapply(known[same_group], identical, NA, requested$known)
  tries <- list(same_group[exact])
  if (is.null(requested$known)) {
    tries <- c(tries, list(same_group[!exact], same_group))
  }
  for (terms in tries) {
    found <- lapply(terms, function(i) {
      term <- object$random[[i]]
      wanted <- requested_keys(requested$lhs, object, term$contrasts)
      effects <- term_keys(term, object$frame)
      list(term = i, effects = which(effects %in% wanted), missing = setdiff(wanted, effects))
    })
    if (length(found) > 0L && length(Reduce(intersect, lapply(found, `[[`, "missing"))) == 0L) {
      found <- lapply(found, `[`, c("term", "effects"))
      return(found[lengths(lapply(found, `[[`, "effects")) > 0L])
    }
  }
  abort_not_in_model(requested, object)
}

#' Keys of the columns that the left side of a bar stands for, coded as in a term of the model
#' @noRd
requested_keys <- function(lhs, object, contrasts) {
  tryCatch(
    {
      variables <- stats::terms.formula(as.call(list(quote(`~`), lhs)))
      absent <- setdiff(variable_columns(variables), names(object$frame))
      if (length(absent) > 0L) {
        stop("the model has no variable ", quote_names(absent), call. = FALSE)
      }
      side_keys(lhs, object$frame, contrasts)
    },
    error = function(e) {
      ferrolmm_abort(
        paste0("`re.form` has a term that the model has not: ", code_label(lhs), "."), "argument",
        x = conditionMessage(e)
      )
    }
  )
}

#' @noRd
abort_not_in_model <- function(requested, object) {
  asked <- paste0("(", code_label(requested$lhs), " | ", requested$group, ")")
  has <- vapply(object$random, function(term) paste0("(", term$label, ")"), "")
  ferrolmm_abort(
    paste0("`re.form` asks for random effects that the model has not: ", asked, "."), "argument",
    i = if (length(has)) paste0("The model has ", quote_names(has), ".") else
      "The model has no random effects."
  )
}

#' A term asked for twice counts once
#' @noRd
merge_selected <- function(parts) {
  terms <- vapply(parts, `[[`, 1L, "term")
  lapply(unique(terms), function(term) {
    effects <- unlist(lapply(parts[terms == term], `[[`, "effects"))
    list(term = term, effects = sort(unique(effects)))
  })
}

# Values ------------------------------------------------------------------------------------------

#' The rows of the fit
#'
#' @param na_action the user's function, NULL for that of the fit.
#' @returns list(fitted (are they those of the fit?), frame, codes (of each part's grouping factor,
#'   NA for an unknown level), offset, names, omitted (for napredict()))
#' @noRd
training_rows <- function(object, parts, na_action) {
  omitted <- object$na.action
  if (!is.null(na_action) && !is.null(omitted)) {
    class(omitted) <- class(attr(na_action(NA), "na.action"))
  }
  list(
    fitted = TRUE, frame = object$frame,
    codes = lapply(parts, function(part) {
      as.integer(object$flist[[object$random[[part$term]]$factor]])
    }),
    offset = object$offset, names = row.names(object$frame), omitted = omitted
  )
}

#' Predicted values. For the rows of the fit what is stored is used
#' @noRd
predicted_values <- function(object, rows, parts, random_only) {
  everything <- length(parts) == length(object$random) &&
    all(lengths(lapply(parts, `[[`, "effects")) == lengths(object$cnms))
  if (rows$fitted && everything && !random_only) {
    return(object$fitted.values)
  }
  values <- numeric(.row_names_info(rows$frame, 2L))
  for (i in seq_along(parts)) {
    values <- values + random_part(object, parts[[i]], rows$frame, rows$codes[[i]])
  }
  if (random_only) values else values + fixed_part(object, rows$frame, rows$offset, !rows$fitted)
}

#' X beta + offset; NA in `new` rows of which the fit says nothing
#' @noRd
fixed_part <- function(object, frame, offset, new = FALSE) {
  kept <- kept_columns(object)
  x <- fixed_matrix(object$terms, frame, object$contrasts)
  values <- as.vector(x[, kept, drop = FALSE] %*% unname(object$coefficients[kept]))
  if (new && length(kept) < ncol(x)) {
    values <- estimable_values(object, x, values)
  }
  if (is.null(offset)) values else values + offset
}

#' Contribution of the chosen effects of one term; zero where the code is NA
#' @noRd
random_part <- function(object, part, frame, codes) {
  modes <- term_modes(object, part$term)
  columns <- term_columns(object$random[[part$term]], frame)
  values <- numeric(length(codes))
  for (j in part$effects) {
    effect <- modes[codes, j]
    values <- values + if (is.null(columns[[j]])) effect else effect * columns[[j]]
  }
  values[is.na(codes)] <- 0
  values
}

#' New rows: as [training_rows()], with what was left out because of missing values
#' @noRd
new_rows <- function(object, newdata, parts, random_only, allow_new_levels, na_action,
                     others = NULL) {
  newdata <- check_newdata(newdata)
  chosen <- object$random[vapply(parts, `[[`, 1L, "term")]
  columns <- unique(c(prediction_columns(object, chosen, random_only), others))
  frame <- new_frame(object, newdata, columns)
  groups <- unique(as.character(unlist(lapply(chosen, `[[`, "leaves"))))
  missing <- missing_rows(frame, setdiff(names(frame), groups))
  if (drops_missing(na_action)) {
    missing <- missing | missing_rows(frame, groups)
  }
  omitted <- apply_na_action(missing, row.names(newdata), na_action)
  if (length(omitted) > 0L) {
    frame <- keep_rows(frame, -omitted)
    newdata <- newdata[-omitted, , drop = FALSE]
  }
  list(
    fitted = FALSE, frame = frame,
    codes = lapply(parts, function(part) {
      new_codes(object, object$random[[part$term]], frame, allow_new_levels)
    }),
    offset = if (!random_only) new_offset(object, frame, newdata),
    names = row.names(newdata), omitted = omitted
  )
}

#' Codes of the levels of a term's grouping factor in new rows; NA for a level that is new
#' @noRd
new_codes <- function(object, term, frame, allow_new_levels) {
  codes <- match_groups(object$keys[[term$factor]], unclass(frame)[term$leaves])
  unknown <- is.na(codes)
  if (any(unknown) && !allow_new_levels) {
    labels <- lapply(unclass(frame)[term$leaves], function(x) value_labels(x)[unknown])
    keys <- do.call(paste, c(unname(labels), sep = ":"))
    keys[Reduce(`|`, lapply(labels, is.na))] <- NA
    abort_new_levels(unique(keys), term$group)
  }
  codes
}

#' @noRd
abort_new_levels <- function(levels, group) {
  new <- levels[!is.na(levels)]
  ferrolmm_abort(
    if (length(new) > 0L) {
      paste0("`newdata` has new levels of the grouping factor `", group, "`: ",
             quote_names(new), ".")
    } else {
      paste0("`newdata` has missing values in the grouping factor `", group, "`.")
    },
    "newdata",
    i = c(
      "allow.new.levels = TRUE predicts for them with random effects of zero.",
      "re.form = NA predicts for the population, without random effects."
    )
  )
}

#' Offset of new rows: that of the formula and that of the argument
#' @noRd
new_offset <- function(object, frame, newdata) {
  variables <- variable_columns(object$terms)
  offset <- 0
  for (i in attr(object$terms, "offset")) {
    offset <- offset + frame[[variables[[i]]]]
  }
  argument <- object$call$offset
  if (is.null(argument)) {
    return(offset)
  }
  check_new_columns(argument, object, newdata)
  value <- tryCatch(
    evaluate_new(argument, object, newdata),
    error = function(e) abort_evaluation("offset", argument, newdata, e)
  )
  value <- plain_values(value)
  if (!is.numeric(value) || is.object(value)) {
    ferrolmm_abort(
      paste0("The offset of the fit must be numeric in `newdata`, it is ", value_class(value), "."),
      "newdata"
    )
  }
  if (!length(value) %in% c(1L, nrow(newdata))) {
    ferrolmm_abort(
      paste0("The offset of the fit cannot be evaluated for `newdata`: ", code_label(argument),
             " has ", count_of(length(value), "value"), ", not ", nrow(newdata), "."),
      "newdata",
      i = "Put it into the formula, as offset(), and into `newdata`, as a column."
    )
  }
  offset + value
}

# Uncertainty -------------------------------------------------------------------------------------

#' Standard errors and intervals around predicted values
#'
#' @param target list(rows, parts, random_only, noise): what is predicted; `noise` gives the
#'   residual variance relative to sigma^2 of each row at a phi, NULL for a conditional mean.
#' @noRd
predict_uncertain <- function(object, values, target, se_fit, interval, level, ddf) {
  relative <- function(theta, noise) {
    if (target$correlated) {
      return(correlated_predictions(object, target, theta)$variances)
    }
    variances <- target_variances(object, target, theta)
    if (noise && !is.null(target$noise)) {
      variances + target$noise(theta[length(object$theta) + seq_along(object$phi)])
    } else {
      variances
    }
  }
  means <- relative(theta_of(object), noise = FALSE)
  means[is.na(values)] <- NA
  fit <- values
  if (interval != "none") {
    variances <- object$sigma^2 * if (is.null(target$noise) || target$correlated) {
      means
    } else {
      means + target$noise(unname(object$phi))
    }
    df <- if (ddf == "Satterthwaite") {
      variance_df(object, variances, function(theta) relative(theta, noise = TRUE))
    } else {
      Inf
    }
    half <- stats::qt((1 + level) / 2, df) * sqrt(variances)
    fit <- cbind(fit = values, lwr = values - half, upr = values + half)
  }
  omitted <- target$rows$omitted
  fit <- stats::napredict(omitted, fit)
  if (!se_fit) {
    return(fit)
  }
  se <- object$sigma * sqrt(means)
  names(se) <- names(values)
  list(fit = fit, se.fit = stats::napredict(omitted, se))
}

#' Prediction error variances of the target's rows at a theta, relative to sigma^2
#' @noRd
target_variances <- function(object, target, theta) {
  rows <- target$rows
  n <- length(rows$names)
  design <- target_design(object, target, n)
  known <- engine_prediction_variances(
    model_of(engine_inputs(object, in_place = TRUE)), theta, object$REML,
    unconstrained_control(object), design
  )
  known + new_level_variances(object, target, design$terms, theta)
}

#' The rows as the engine takes them
#' @noRd
target_design <- function(object, target, n) {
  rows <- target$rows
  x <- if (target$random_only) {
    matrix(0, n, length(object$coefficients))
  } else {
    fixed_matrix(object$terms, rows$frame, object$contrasts)
  }
  codes <- rep(list(integer(n)), length(object$flist))
  terms <- vector("list", length(object$random))
  for (i in seq_along(target$parts)) {
    part <- target$parts[[i]]
    known <- rows$codes[[i]]
    known[is.na(known)] <- 0L
    codes[[object$random[[part$term]]$factor]] <- known
    columns <- term_columns(object$random[[part$term]], rows$frame)
    left_out <- setdiff(seq_along(columns), part$effects)
    columns[left_out] <- list(numeric(n))
    terms[[part$term]] <- lapply(columns, function(column) {
      if (is.null(column)) NULL else as.double(column)
    })
  }
  list(n = n, x = x, codes = codes, terms = terms)
}

#' z'Gz of the levels that are not known, relative to sigma^2
#'
#' @param theta theta and phi.
#' @noRd
new_level_variances <- function(object, target, terms, theta) {
  factors <- theta_matrix(theta[seq_along(object$theta)], object$random)
  variances <- numeric(length(target$rows$names))
  for (i in seq_along(target$parts)) {
    term <- target$parts[[i]]$term
    new <- which(is.na(target$rows$codes[[i]]))
    if (length(new) > 0L) {
      factor <- factors[[term]]
      z <- vapply(terms[[term]], function(column) {
        if (is.null(column)) rep.int(1, length(new)) else column[new]
      }, numeric(length(new)))
      z <- matrix(z, length(new))
      variances[new] <- variances[new] + rowSums((z %*% factor)^2)
    }
  }
  variances
}

#' Residual variances of new observations relative to sigma^2: d^2 / weight
#'
#' @param means predictions of the rows, for variances that depend on them.
#' @noRd
noise_variances <- function(object, rows, weights, means, phi = object$phi) {
  n <- length(rows$names)
  if (rows$fitted && is.null(weights)) {
    return(residual_variances(object, phi) + numeric(n))
  }
  if (is.null(object$residual)) {
    return(precision_variances(rows, weights, n))
  }
  frame <- frame_with_fitted(object, rows, means)
  weights <- residual_weights(object$residual, frame, 1 / precision_variances(rows, weights, n))
  variances <- object$residual
  variances["correlation"] <- list(NULL)
  scale_values(object$residual, phi, residual_design(variances, frame), n)^2 / weights
}

#' The frame of rows with the fitted values that variances depend on
#' @noRd
frame_with_fitted <- function(object, rows, means) {
  frame <- rows$frame
  if (depends_on_fitted(object$residual) && !rows$fitted) {
    frame[["(fitted)"]] <- unname(means)
  }
  frame
}

#' @noRd
precision_variances <- function(rows, weights, n) {
  if (is.null(weights)) {
    return(rep.int(1, n))
  }
  weights <- plain_values(weights)
  if (!is.numeric(weights) || is.object(weights) || anyNA(weights) || any(weights <= 0)) {
    ferrolmm_abort("`weights` must be positive numbers.", "argument")
  }
  left_out <- rows$omitted
  if (length(left_out) > 0L && length(weights) == n + length(left_out)) {
    weights <- weights[-left_out]
  }
  if (!length(weights) %in% c(1L, n)) {
    ferrolmm_abort(
      paste0("`weights` has ", count_of(length(weights), "value"), ", the prediction ",
             count_of(n, "row"), "."),
      "argument"
    )
  }
  rep_len(1 / weights, n)
}

#' Satterthwaite's degrees of freedom of estimated variances: 2 v^2 / Var(v-hat), at least 1
#'
#' Var(v-hat) = g'Ag, with A the covariance matrix of (theta, phi, sigma^2) and g the derivatives of
#' v: v / sigma^2 for sigma^2, central differences for theta and phi.
#'
#' @param variances at the estimates; `relative` a function of (theta, phi) that returns them
#'   relative to sigma^2.
#' @noRd
variance_df <- function(object, variances, relative) {
  theta <- theta_of(object)
  covariance <- raw_covariance(object)
  sigma2 <- object$sigma^2
  steps <- 1e-4 * pmax(abs(theta), sqrt(diag(covariance))[seq_along(theta)])
  base <- inner_theta(object, theta, steps)
  gradient <- vapply(seq_along(theta), function(a) {
    sigma2 * slope_inside(relative, base, a, steps[[a]], numeric(length(variances)))
  }, numeric(length(variances)))
  gradient <- cbind(
    matrix(gradient, length(variances), length(theta)), variances / sigma2
  )
  df <- pmax(2 * variances^2 / rowSums((gradient %*% covariance) * gradient), 1)
  # what nothing estimated is in: zero without fixed effects
  df[which(variances == 0)] <- Inf
  df
}

#' (theta, phi) moved off the boundary of what is possible, where a step would leave it
#'
#' Correlations of a structure are drawn towards zero: C of rho (1 - d) is (1 - d) C + d I, which is
#' d away from singularity, and a step in rho changes its eigenvalues by a few times the step.
#' @noRd
inner_theta <- function(object, theta, steps) {
  at <- 0L
  for (i in seq_along(object$random)) {
    term <- object$random[[i]]
    here <- at + seq_len(count_theta(term))
    at <- at + length(here)
    sds <- here[seq_len(count_sd(term))]
    rho <- setdiff(here, sds)
    if (!is_natural(term) || length(rho) == 0L) {
      next
    }
    correlation <- tcrossprod(
      theta_matrix(replace(theta, sds, 1)[seq_along(object$theta)], object$random)[[i]]
    )
    room <- 4 * length(term$cnms) * max(steps[rho])
    if (min(eigen(correlation, symmetric = TRUE, only.values = TRUE)$values) < room) {
      theta[rho] <- theta[rho] * (1 - room)
    }
  }
  theta
}

#' Derivative of a function of parameters by differences that stay where the parameters are possible
#'
#' Central; where a step is not possible a tenth of it, and so on, then one to the other side
#' alone; zero where the parameter cannot move.
#' @param zero the derivative of what does not change.
#' @noRd
slope_inside <- function(f, theta, a, step, zero) {
  if (step == 0) {
    return(zero)
  }
  at <- function(step) {
    tryCatch(
      f(replace(theta, a, theta[[a]] + step)),
      ferrolmm_error_dimension = function(e) NULL, ferrolmm_error_residual_start = function(e) NULL,
      ferrolmm_error_numerical = function(e) NULL
    )
  }
  for (size in step * c(1, 0.1, 0.01)) {
    up <- at(size)
    down <- at(-size)
    if (!is.null(up) && !is.null(down)) {
      return((up - down) / (2 * size))
    }
  }
  if (is.null(up) && is.null(down)) {
    return(zero)
  }
  center <- f(theta)
  if (is.null(down)) (up - center) / size else (center - down) / size
}

#' Covariance matrix of (theta, phi, sigma^2), theta as the user sees it
#'
#' From that of the variance components gamma = (lower triangles of each G, phi, sigma^2), by the
#' generalised inverse of d gamma / d (theta, phi, sigma^2); directions without information (a
#' variance of zero) have no variance.
#' @noRd
raw_covariance <- function(object) {
  found <- engine_inference(engine_satterthwaite, object)
  inverse <- generalised_inverse(components_jacobian(object))
  root <- inverse %*% found$jacobian
  root %*% found$covariance %*% t(root)
}

#' d gamma / d (theta, phi, sigma^2)
#' @noRd
components_jacobian <- function(object) {
  theta <- unname(object$theta)
  sigma2 <- object$sigma^2
  n_phi <- length(object$phi)
  lower <- function(factors) {
    as.double(unlist(lapply(factors, function(g) g[lower.tri(g, diag = TRUE)])))
  }
  owner <- rep.int(seq_along(object$random), theta_counts(object))
  factors <- theta_matrix(theta, object$random)
  columns <- lapply(seq_along(theta), function(a) {
    if (is_natural(object$random[[owner[[a]]]])) {
      return(difference_column(theta, a, sigma2, object$random, lower))
    }
    unit <- theta_matrix(replace(numeric(length(theta)), a, 1), object$random)
    unit[-owner[[a]]] <- lapply(unit[-owner[[a]]], function(t) 0 * t)
    lower(Map(function(t, e) sigma2 * (tcrossprod(e, t) + tcrossprod(t, e)), factors, unit))
  })
  last <- lower(lapply(factors, tcrossprod))
  whole <- cbind(
    matrix(as.double(unlist(columns)), length(last)), matrix(0, length(last), n_phi), last
  )
  rbind(whole, cbind(matrix(0, n_phi + 1L, length(theta)), diag(n_phi + 1L)))
}

#' Central difference of the covariance matrices, where theta are standard deviations and
#' correlations
#' @noRd
difference_column <- function(theta, a, sigma2, random, lower) {
  step <- 1e-5 * max(abs(theta[[a]]), 1e-3)
  at <- function(value) {
    lower(lapply(theta_matrix(replace(theta, a, value), random), tcrossprod))
  }
  sigma2 * (at(theta[[a]] + step) - at(theta[[a]] - step)) / (2 * step)
}

#' Moore and Penrose's inverse
#' @noRd
generalised_inverse <- function(a) {
  # columns to one scale: units must not decide what counts as zero
  scale <- sqrt(colSums(a^2))
  scale[scale == 0] <- 1
  parts <- svd(a / rep(scale, each = nrow(a)))
  keep <- parts$d > 1e-8 * max(parts$d)
  inverse <- parts$v[, keep, drop = FALSE] %*% (t(parts$u[, keep, drop = FALSE]) / parts$d[keep])
  inverse / scale
}
