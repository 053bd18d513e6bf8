# glance() and augment(): a fit in one row, and the data with what the fit says of each row.

#' @rdname tidy.lmm
#' @section What `glance()` shows:
#' One row: `nobs`, `sigma`, `logLik`, `AIC`, `BIC`, `REMLcrit` or (by ML) `deviance`, and
#' `df.residual`, the number of rows less that of all parameters.
#' @importFrom generics glance
#' @method glance lmm
#' @export
glance.lmm <- function(x, ...) {
  check_dots(...)
  likelihood <- log_likelihood(x)
  row <- data.frame(
    nobs = nobs.lmm(x), sigma = x$sigma, logLik = as.numeric(likelihood),
    AIC = stats::AIC(likelihood), BIC = stats::BIC(likelihood), criterion = x$criterion,
    df.residual = df.residual.lmm(x)
  )
  names(row)[[6L]] <- if (x$REML) "REMLcrit" else "deviance"
  as_tidied(row)
}

#' @importFrom generics glance
#' @export
generics::glance

#' @rdname tidy.lmm
#' @section What `augment()` shows:
#' The columns of `data` and of each row: `.fitted` (with the random effects), `.resid`, `.hat` and
#' `.cooksd` (see [hatvalues.lmm()] and [cooks.distance.lmm()]; not where residuals are correlated,
#' or with sampling weights, for which neither is defined), `.fixed` (without random effects), `.mu`
#' (as `.fitted`), `.offset`, `.sqrtXwt` and `.sqrtrwt` (the root of the weight, over the variance
#' function where there is one), `.weights` (prior weights), and `.wtres`, the residual times
#' `.sqrtrwt`.
#'
#' Of `newdata` the columns are `.fitted`, `.fixed`, and with `se.fit = TRUE` or `interval` also
#' `.se.fit`, `.lower` and `.upper`.
#' Of rows in a database ([lmm_source()] or a lazy table of 'dplyr', given as `data` with a fit of
#' moments) the result is of the same kind: a query whose columns are those of the table, `.fitted`,
#' `.resid` and `.fixed`. No row leaves the database: it computes them from a temporary table of the
#' cells, which lives as long as the connection. They are `NULL` where a variable is missing, or a
#' combination of levels has no rows in the fit.
#' @param data The data of the fit: those that were used, or all of which they are left after rows
#'   with missing values have gone. Such rows come back, as `NA`, if `na.action` was `na.exclude`.
#'   Or rows of a database, see above.
#' @param newdata Other data, to predict for.
#' @param re.form,allow.new.levels,se.fit,interval For `newdata`, see [predict.lmm()].
#' @importFrom generics augment
#' @method augment lmm
#' @export
augment.lmm <- function(x, data = stats::model.frame(x), newdata = NULL, re.form = NULL,
                        allow.new.levels = FALSE, se.fit = FALSE,
                        interval = c("none", "confidence", "prediction"), level = 0.95,
                        ddf = "Satterthwaite", ...) {
  check_dots(...)
  if (is_source(newdata)) {
    ferrolmm_abort(
      "`newdata` is in a database.", "argument", i = "Give it as `data`: augment(fit, data = )."
    )
  }
  if (!missing(data) && is_source(data)) {
    return(augment_source(x, data))
  }
  if (is.null(newdata)) {
    given <- c(
      "re.form", "allow.new.levels", "se.fit", "interval", "level", "ddf"
    )[!c(
      missing(re.form), missing(allow.new.levels), missing(se.fit), missing(interval),
      missing(level), missing(ddf)
    )]
    if (length(given) > 0L) {
      ferrolmm_abort(
        paste0("Only for `newdata`: ", quote_names(given), "."), "argument",
        i = "Give the data of the fit as `newdata` to predict them so."
      )
    }
    return(augment_rows(x, data))
  }
  arguments <- list(
    x, newdata, re.form = re.form, allow.new.levels = allow.new.levels, se.fit = se.fit,
    interval = interval, ddf = ddf
  )
  # without an interval predict() has another meaning for `level`
  if (!missing(level)) arguments$level <- check_level(level)
  values <- do.call(predict.lmm, arguments, quote = TRUE)
  fit <- if (se.fit) values$fit else values
  limits <- if (is.matrix(fit)) list(.lower = unname(fit[, 2L]), .upper = unname(fit[, 3L]))
  columns <- c(
    list(.fitted = unname(if (is.matrix(fit)) fit[, 1L] else fit)), limits,
    if (se.fit) list(.se.fit = unname(values$se.fit)),
    list(.fixed = unname(predict.lmm(x, newdata, re.form = NA)))
  )
  beside_data(newdata, columns)
}

#' @importFrom generics augment
#' @export
generics::augment

#' @noRd
augment_rows <- function(object, data) {
  if (!is.data.frame(data)) {
    ferrolmm_abort(
      paste0("`data` must be a data frame", describe_given(data), "."), "argument"
    )
  }
  n <- count_rows(object)
  root <- sqrt(1 / residual_variances(object))
  columns <- list(.fitted = object$fitted.values, .resid = object$residuals)
  if (!has_correlation(object) && !is_sampled(object)) {
    plain <- object
    plain["na.action"] <- list(NULL)
    columns$.hat <- unname(hatvalues.lmm(plain))
    columns$.cooksd <- unname(cooks.distance.lmm(plain))
  }
  columns <- c(columns, list(
    .fixed = fixed_part(object, object$frame, object$offset), .mu = object$fitted.values,
    .offset = if (is.null(object$offset)) numeric(n) else object$offset, .sqrtXwt = root,
    .sqrtrwt = root, .weights = rep_len(weights_or_one(object), n), .wtres = root * object$residuals
  ))
  omitted <- object$na.action
  if (nrow(data) == n) {
    return(beside_data(data, columns))
  }
  if (length(omitted) == 0L || nrow(data) != n + length(omitted)) {
    ferrolmm_abort(
      paste0("`data` has ", count_of(nrow(data), "row"), ", the model ", n, "."), "data",
      i = describe_rows(object)
    )
  }
  if (!inherits(omitted, "exclude")) {
    return(beside_data(data[-omitted, , drop = FALSE], columns))
  }
  beside_data(data, lapply(columns, function(column) stats::naresid(omitted, column)))
}

#' Data and further columns; row names that say more than 1, 2, ... become the column .rownames
#' @noRd
beside_data <- function(data, columns) {
  named <- .row_names_info(data) > 0L &&
    !identical(row.names(data), as.character(seq_len(nrow(data))))
  names <- if (named) list(.rownames = row.names(data))
  kept <- setdiff(names(data), c(names(names), names(columns)))
  table <- c(names, as.list(data)[kept], lapply(columns, unname))
  class(table) <- "data.frame"
  attr(table, "row.names") <- .set_row_names(nrow(data))
  as_tidied(table)
}
