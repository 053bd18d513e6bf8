#' Test what each term adds to a model
#'
#' For each term of the fixed part that can be left out without breaking marginality: what is lost
#' without it, by an F test of the coefficients that the smaller model lacks, which needs no further
#' fit, or by fitting the smaller models by ML.
#'
#' @param object A model fitted by [lmm()].
#' @param scope The terms to leave out, as a formula or as a character vector. By default those
#'   that are contained in no other term.
#' @param ddf The method for the degrees of freedom of the F tests, see [ddf]: `r ddf_choices()`.
#' @param vcov,cluster Another covariance matrix than the model's: a type of [robust] matrix, such
#'   as `"CR2"`, with its clusters; a matrix, or a function that makes one of the fit.
#' @param test `"F"`, the default; `"Chisq"` for likelihood-ratio tests; `"none"` for a table of AIC
#'   only. With `k` but without `test`, as [stats::step()] calls it, `"none"`.
#' @param k The penalty for a parameter in AIC.
#' @param scale Only 0; an argument of [stats::step()].
#' @param trace Above 1: say which term is tried.
#' @param ... Not used.
#' @returns A data frame of class `anova`. For F tests the columns of [anova.lmm()], otherwise
#'   `Df`, `AIC` and, for `"Chisq"`, `LRT` and `Pr(>Chi)`; the first row is the whole model.
#' @seealso [add1.lmm()], [anova.lmm()], [ranova()]
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + Sex + (age | Subject), Orthodont)
#' drop1(fit)
#' drop1(fit, test = "Chisq")
#' @importFrom stats drop1
#' @export
drop1.lmm <- function(object, scope,
                      ddf = "Satterthwaite",
                      test = c("F", "Chisq", "none"), k = 2, scale = 0, trace = FALSE,
                      vcov = NULL, cluster = NULL, ...) {
  check_dots(..., hints = c(
    sumFun = "`ddf` and `test` say what is computed; pb_test() is a bootstrap of the same test."
  ))
  test <- match_deletion_test(test, missing(test), k, missing(k), scale, trace)
  scope <- if (missing(scope)) {
    setdiff(stats::drop.scope(object$terms), smooth_labels(object))
  } else {
    refuse_smooth_scope(check_scope(scope, labels.lmm(object)), object)
  }
  if (test != "F") {
    check_no_vcov(vcov, cluster, "F tests")
    return(drop1_refitted(object, scope, test, k, trace))
  }
  method <- match_ddf(ddf)
  inference <- ddf_for(object, method, vcov, cluster)
  x <- own_matrix(object)[, kept_columns(object), drop = FALSE]
  contrasts <- lapply(scope, function(label) reduction_contrasts(object, x, label))
  names(contrasts) <- scope
  structure(
    f_table(inference, contrasts),
    heading = c(
      paste0("Single term deletions", describe_inference(inference, " with ")),
      paste0("Model: ", code_label(plain_formula(object), 500L))
    ),
    class = c("anova.lmm", "anova", "data.frame"),
    hypotheses = shown_hypotheses(contrasts, inference$object)
  )
}

#' The test that drop1() and add1() are asked for; step() gives `k` and expects AIC
#' @noRd
match_deletion_test <- function(test, no_test, k, no_k, scale, trace) {
  check_penalty(k)
  check_no_scale(scale)
  check_trace(trace)
  if (no_test && !no_k) {
    return("none")
  }
  if (identical(test, "LRT")) "Chisq" else match_choice(test, "test", c("F", "Chisq", "none"))
}

#' @noRd
refuse_smooth_scope <- function(scope, object) {
  smooth <- intersect(scope, smooth_labels(object))
  if (length(smooth) > 0L) {
    ferrolmm_abort(
      paste0("`scope` names the smooth ", smooth[[1L]], ", which is more than its coefficients."),
      "argument", i = paste0("smooths(fit) tests it; without it the model is update(fit, . ~ . - ",
                             smooth[[1L]], ").")
    )
  }
  scope
}

#' @noRd
check_scope <- function(scope, labels) {
  if (inherits(scope, "formula")) {
    known <- stats::as.formula(paste("~", paste(c("1", labels), collapse = " + ")))
    scope <- attr(stats::terms(stats::update.formula(known, scope)), "term.labels")
  }
  if (!is.character(scope)) {
    ferrolmm_abort(
      paste0("`scope` must be a formula or names of terms", describe_given(scope), "."), "argument"
    )
  }
  unknown <- setdiff(scope, labels)
  if (length(unknown) > 0L) {
    ferrolmm_abort(
      paste0("`scope` names ", quote_names(unknown), ", which is no term of the fixed part."),
      "argument", i = did_you_mean(unknown[[1L]], labels)
    )
  }
  scope
}

#' The fixed formula without one term, its offset() terms kept
#' @noRd
formula_without <- function(object, label) {
  formula <- stats::formula(object$terms)
  minus <- stats::as.formula(paste(". ~ . -", label), env = environment(formula))
  stats::update.formula(formula, minus)
}

#' The functions of the coefficients that are zero in the model without a term
#'
#' With X B the model matrix of the smaller model, they are the orthogonal complement of B.
#' @noRd
reduction_contrasts <- function(object, x, label) {
  smaller <- fixed_terms(formula_without(object, label), object$frame)
  x0 <- own_matrix(object, smaller, object$contrasts[names(object$contrasts) %in%
                                                       variable_columns(smaller)])
  if (ncol(x0) == 0L) {
    return(diag(ncol(x)))
  }
  map <- qr.coef(qr(x, tol = 1e-12), x0)
  map[abs(map) < 1e-10] <- 0
  decomposed <- qr(map)
  complement <- qr.Q(decomposed, complete = TRUE)[, -seq_len(decomposed$rank), drop = FALSE]
  t(complement)
}

#' @noRd
drop1_refitted <- function(object, scope, test, k, trace) {
  require_maximum(object, "drop1() by AIC or likelihood ratios")
  if (object$REML) {
    ferrolmm_inform(
      "Refitting the model by ML, as the models differ in their fixed parts.", "refit"
    )
    object <- refitML.lmm(object)
  }
  inputs <- engine_inputs(object)
  smaller <- lapply(scope, function(label) {
    if (trace > 1) cat("trying -", label, "\n")
    formula <- formula_without(object, label)
    contrasts <- object$contrasts[names(object$contrasts) %in% all_variables(formula)]
    fixed <- inputs$fixed
    fixed$X <- if (is.null(object$condensed)) {
      build_fixed(list(fixed = formula), object$frame, contrasts)$X
    } else {
      condensed_fixed(fixed_terms(formula, object$frame), contrasts, object$condensed)
    }
    result <- engine_fit(
      engine_model(fixed, inputs$random, inputs$residual), FALSE, NULL, engine_control(object)
    )
    c(result$rank + count_covariance(object), result$criterion)
  })
  found <- rbind(
    c(count_parameters(object), object$criterion), do.call(rbind, smaller)
  )
  table <- data.frame(
    Df = c(NA, found[1L, 1L] - found[-1L, 1L]), AIC = found[, 2L] + k * found[, 1L],
    row.names = c("<none>", scope)
  )
  if (test == "Chisq") {
    warn_cut_off(object$certificate$status, "object")
    table$LRT <- c(NA, pmax(found[-1L, 2L] - found[1L, 2L], 0))
    table[["Pr(>Chi)"]] <- stats::pchisq(table$LRT, table$Df, lower.tail = FALSE)
  }
  structure(
    table,
    heading = c(
      "Single term deletions", paste0("Model: ", code_label(plain_formula(object), 500L))
    ),
    class = c("anova.lmm", "anova", "data.frame")
  )
}
