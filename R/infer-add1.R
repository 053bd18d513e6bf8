#' Test single terms to add
#'
#' Each term of `scope` that is not in the model is added alone: an F test of it in the larger
#' model, or likelihood ratios of fits by ML. [stats::step()] and `MASS::stepAIC()` use it to step
#' forwards.
#'
#' @param object A model fitted by [lmm()].
#' @param scope The terms to add, as a formula (`~ . + x`) or a character vector.
#' @param ddf The method for the degrees of freedom of the F tests, see [ddf]: `r ddf_choices()`.
#' @param test `"F"`, the default; `"Chisq"` (or `"LRT"`) for likelihood-ratio tests; `"none"` for a
#'   table of AIC, the default where `k` is given, as by [stats::step()].
#' @param k The penalty for a parameter in AIC.
#' @param scale Only 0; an argument of [stats::step()].
#' @param trace Above 1: say which term is tried.
#' @param ... Not used.
#' @returns A data frame of class `anova`. For `"F"` the columns of [anova.lmm()]; otherwise
#'   `Df`, `AIC` and, for `"Chisq"`, `LRT` and `Pr(>Chi)`, with a first row for the model as it is.
#' @seealso [drop1.lmm()], [update.lmm()], [anova.lmm()]
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' add1(fit, ~ . + Sex + I(age^2))
#' add1(fit, ~ . + Sex, test = "Chisq")
#' @importFrom stats add1
#' @export
add1.lmm <- function(object, scope,
                     ddf = "Satterthwaite",
                     test = c("F", "Chisq", "none"), k = 2, scale = 0, trace = FALSE, ...) {
  check_dots(...)
  test <- match_deletion_test(test, missing(test), k, missing(k), scale, trace)
  if (missing(scope)) {
    ferrolmm_abort(
      "`scope` is missing: the terms to add.", "argument", i = "As in add1(fit, ~ . + x)."
    )
  }
  # step() also names random effects, which are in the model already: it gets empty rows for them
  there <- if (is.character(scope) && test != "F") scope[are_bars(scope)]
  scope <- terms_to_add(scope, object)
  if (test != "F") require_maximum(object, "add1() by AIC or likelihood ratios")
  if (test != "F" && object$REML) {
    ferrolmm_inform(
      "Refitting the model by ML, as the models differ in their fixed parts.", "refit"
    )
    object <- refitML.lmm(object)
  }
  rows <- lapply(scope, function(label) {
    if (trace > 1) cat("trying +", label, "\n")
    larger <- fit_with(object, label)
    if (test == "F") {
      return(drop1.lmm(larger, label, ddf = ddf))
    }
    data.frame(
      Df = larger$rank - object$rank, criterion = larger$criterion,
      AIC = larger$criterion + k * count_parameters(larger)
    )
  })
  table <- do.call(rbind, rows)
  heading <- "Single term additions"
  if (test == "F") {
    heading <- paste0(heading, describe_ddf(match_ddf(ddf), " with "))
  } else {
    table <- addition_table(object, table, c(scope, there), test, k)
  }
  structure(
    table,
    heading = c(heading, paste0("Model: ", code_label(plain_formula(object), 500L))),
    class = c("anova.lmm", "anova", "data.frame")
  )
}

#' MASS's name for it
#' @rawNamespace S3method(MASS::addterm, lmm)
#' @noRd
addterm.lmm <- function(object, scope, scale = 0, test = c("none", "Chisq", "F"), k = 2,
                        trace = FALSE, ...) {
  check_dots(..., allowed = c("ddf", "sorted"))
  test <- match_choice(test, "test", c("none", "Chisq", "F"))
  add1.lmm(object, scope, test = test, k = k, scale = scale, trace = trace, ...)
}

#' The table of AIC and likelihood ratios, the model itself first
#' @noRd
addition_table <- function(object, found, scope, test, k) {
  aic <- object$criterion + k * count_parameters(object)
  nothing <- length(scope) - length(found$Df)
  table <- data.frame(
    Df = c(NA, found$Df, integer(nothing)), AIC = c(aic, found$AIC, rep.int(aic, nothing)),
    row.names = c("<none>", scope)
  )
  if (test == "Chisq") {
    table$LRT <- c(NA, pmax(object$criterion - found$criterion, 0), numeric(nothing))
    table[["Pr(>Chi)"]] <- stats::pchisq(table$LRT, table$Df, lower.tail = FALSE)
  }
  table
}

#' Are these labels those of random effects?
#' @noRd
are_bars <- function(labels) {
  vapply(labels, function(label) is_bar(tryCatch(str2lang(label), error = identity)), NA)
}

#' Labels of the terms of `scope` that are not in the model; its random effects may be in the scope
#' @noRd
terms_to_add <- function(scope, object) {
  labels <- labels.lmm(object)
  if (is.character(scope) && !anyNA(scope) && all(nzchar(scope))) {
    bars <- are_bars(scope)
    if (all(bars)) {
      return(character())
    }
    scope <- stats::reformulate(c(".", scope[!bars]))
  }
  if (!inherits(scope, "formula")) {
    ferrolmm_abort(
      paste0("`scope` must be a formula or names of terms", describe_given(scope), "."), "argument"
    )
  }
  fixed <- stats::formula(object$terms)
  right <- split_random(scope[[length(scope)]])$fixed
  right <- if (is.null(right)) quote(.) else right
  wanted <- stats::terms(stats::update.formula(fixed, call("~", right)))
  new <- stats::add.scope(stats::terms(fixed), wanted)
  if (length(new) == 0L) {
    ferrolmm_abort(
      "`scope` has no fixed effect that could be added.", "argument",
      i = "Random effects are added by update(), and compared by anova()."
    )
  }
  new
}

#' The model with one more term, of the same rows
#' @noRd
fit_with <- function(object, label) {
  plus <- stats::as.formula(paste(". ~ . +", label), env = environment(full_formula(object)))
  larger <- quietly(update.lmm(object, plus))
  if (nobs.lmm(larger) != nobs.lmm(object)) {
    ferrolmm_abort(
      paste0("With ", quote_names(label), " the model has ", count_of(nobs.lmm(larger), "row"),
             " instead of ", nobs.lmm(object), "."), "data",
      i = "Leave the rows with missing values out before."
    )
  }
  larger
}
