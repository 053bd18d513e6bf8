# Degrees of freedom: one way for all tests of fixed effects.
#
# summary(), anova(), drop1(), contest() and confint() ask ddf_for() once for a method (and another
# covariance matrix than the model's, if wanted), and hand what it returns to test_rows() (one row
# of L at a time) or test_joint() (all rows together). L always has a column for each *kept*
# coefficient; contrast_matrix() makes such an L of what a user gives.

#' Methods for the degrees of freedom of tests of fixed effects
#'
#' The argument `ddf` of [summary.lmm()], [anova.lmm()], [contest()], [drop1.lmm()] and
#' [confint.lmm()] says how the uncertainty about the variance parameters is taken into account, by
#' one of the methods below. Names can be abbreviated, and case does not matter; the spellings of
#' SAS (`"bw"`, `"contain"`, `"kr2"`) and 'mmrm' are understood. Satterthwaite's and Kenward and
#' Roger's methods work from factors of the mixed-model equations: no matrix of the size of the data
#' is built. `"between-within"`, `"containment"`, `"inner-outer"` and `"residual"` count rows,
#' groups and coefficients, whatever the variances are: t and F are those of the estimated
#' covariance matrix, a combination of coefficients has the least degrees of freedom of those that
#' it involves, and a term in [anova()][anova.lmm] has the term's. Where a rule leaves none, tests
#' are `NA`, with a warning of class `ferrolmm_warning_ddf`. They need rows: for fits of
#' [lmm_moments()] they are an error, but for `"residual"`.
#' @seealso [summary.lmm()], [anova.lmm()], [contest()]; [robust] for tests with other covariance
#'   matrices; [pb_test()] for a test without degrees of
#'   freedom.
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age * Sex + (age | Subject), Orthodont)
#' anova(fit)
#' anova(fit, ddf = "Kenward-Roger")
#' @name ddf
#' @order 1
NULL

#' The methods, the default first, with everything that the package needs to know about each
#'
#' To add one: an entry here, and a file with its computations and its section of the help page.
#'
#' - `infer(object)`, a list with `beta` and `variance` of the kept coefficients; `single(L)`, the
#'   degrees of freedom of each row; and `joint(L, estimate)`, list(statistic, unscaled, numdf,
#'   dendf) of the hypothesis that `estimate`, which is `L beta - rhs`, is zero; `unscaled` is the
#'   statistic before it is scaled. A method that may have no answer also has `determined()`: does
#'   it determine all tests? One by which terms have degrees of freedom of their own has `of_term`,
#'   named by term, which tests of whole terms take.
#' - `statistic`, what tests of single coefficients are called: "t" (the default), "z", or "none"
#'   without p-values.
#' - `words`, what headings call the method.
#' - `aliases`, other spellings.
#' - `needs_reml`: is it defined for REML only? A fit by ML is then fitted again.
#' - `beside_levels`: does it hold beside fixed effects of levels, fixed(1 | g)?
#' - `robust`: can it be combined with robust covariance matrices? `fixed` are its degrees of
#'   freedom of every test, with any matrix; without, those of [infer_sandwich()].
#' - `prediction(object, variances, relative)`, the degrees of freedom of predictions, as
#'   [prediction_ddf()]; [predict.lmm()] does not have methods without it.
#' @noRd
ddf_methods <- list(
  Satterthwaite = list(
    infer = function(object) satterthwaite(object), prediction = function(...) prediction_ddf(...),
    robust = TRUE, beside_levels = TRUE
  ),
  `Kenward-Roger` = list(
    infer = function(object) kenward_roger(object), aliases = c("kr", "kenwardroger"),
    needs_reml = TRUE, beside_levels = TRUE
  ),
  `Kenward-Roger2` = list(
    infer = function(object) kenward_roger(object, "beside tangent"),
    aliases = c("kr2", "kenwardroger2"), needs_reml = TRUE, beside_levels = TRUE
  ),
  `Kenward-Roger-linear` = list(
    infer = function(object) kenward_roger(object, "ignored"), needs_reml = TRUE,
    beside_levels = TRUE
  ),
  `between-within` = list(
    infer = function(object) between_within(object), aliases = c("bw", "betwithin"),
    words = "between-within degrees of freedom"
  ),
  containment = list(
    infer = function(object) containment(object), words = "containment degrees of freedom"
  ),
  `inner-outer` = list(
    infer = function(object) inner_outer(object), aliases = "nlme",
    words = "inner-outer degrees of freedom"
  ),
  residual = list(
    infer = function(object) residual_ddf(object),
    prediction = function(object, ...) count_observations(object) - rank_of_mean(object),
    words = "residual degrees of freedom", beside_levels = TRUE
  ),
  asymptotic = list(
    infer = function(object) fixed_ddf(object, Inf), prediction = function(...) Inf,
    statistic = "z", words = "the normal approximation", robust = TRUE, fixed = Inf,
    beside_levels = TRUE
  ),
  clusters = list(
    infer = function(object) cluster_ddf(object),
    words = "the number of clusters less one as degrees of freedom"
  ),
  none = list(
    infer = function(object) fixed_ddf(object, NA_real_), aliases = "lme4", statistic = "none",
    robust = TRUE, fixed = NA_real_, beside_levels = TRUE
  )
)

#' Names of the methods that predictions have
#' @noRd
prediction_methods <- function() {
  names(Filter(function(method) !is.null(method$prediction), ddf_methods))
}

#' The choices of an argument `ddf`, for its help
#' @noRd
ddf_choices <- function(methods = names(ddf_methods)) {
  methods <- paste0("`\"", methods, "\"`")
  paste0(methods[[1L]], " (the default), ", paste(methods[-1L], collapse = ", "))
}

#' One of `ddf_methods`, from the start of its name in any case
#' @noRd
match_ddf <- function(ddf) {
  methods <- names(ddf_methods)
  # all choices as a default has them, here or in 'lmerTest'
  if (identical(ddf, methods) || identical(ddf, c("Satterthwaite", "Kenward-Roger"))) {
    return(methods[[1L]])
  }
  aliases <- lapply(ddf_methods, `[[`, "aliases")
  spellings <- c(tolower(methods), unlist(aliases))
  found <- NA
  if (is.character(ddf) && length(ddf) == 1L && !is.na(ddf) && nzchar(ddf)) {
    # "kenward" is the first of the two
    found <- c(
      which(spellings == tolower(ddf)), which(startsWith(spellings, tolower(ddf)))
    )[1L]
  }
  if (is.na(found)) {
    given <- if (length(ddf) == 1L && is.atomic(ddf)) paste0(": not ", format(ddf))
    ferrolmm_abort(
      paste0("`ddf` must be one of ", quote_names(methods, Inf), given, "."), "argument",
      i = "\"KR\" is short for Kenward-Roger; the first letters of a name are enough."
    )
  }
  c(methods, rep(methods, lengths(aliases)))[[found]]
}

#' The inference that a method makes of a fit
#'
#' @param method a name in `ddf_methods`.
#' @param vcov,cluster another covariance matrix than the model's, see [robust].
#' @returns what its `infer()` returns, with `method`, its name; `statistic`; `object`, the fit that
#'   is tested; and, with `vcov`, `robust`: list(type, count, name) of the type of the matrix and of
#'   its clusters, empty for a matrix
#' @noRd
ddf_for <- function(object, method, vcov = NULL, cluster = NULL) {
  if (!is.null(vcov)) require_bounds(object, "A robust covariance matrix")
  if (is_sampled(object)) method <- ddf_of_clusters(method, vcov, cluster)
  entry <- ddf_methods[[method]]
  if (!isTRUE(entry$beside_levels)) refuse_eliminated(object, paste0("ddf = \"", method, "\""))
  if (!is.null(vcov)) refuse_eliminated(object, "A robust covariance matrix")
  inference <- if (!is.null(vcov) || !is.null(cluster)) {
    robust_for(object, method, vcov, cluster)
  } else if (object$rank == 0L) {
    fixed_ddf(object, NA_real_)
  } else {
    if (isTRUE(entry$needs_reml)) {
      require_maximum(object, paste0("ddf = \"", method, "\""))
      object <- refit_reml(object, method)
    }
    entry$infer(object)
  }
  c(list(method = method, statistic = ddf_statistic(method), object = object), inference)
}

#' The inference that a method makes with another covariance matrix
#'
#' @param vcov a type, a matrix, or a function that makes one of the fit.
#' @noRd
robust_for <- function(object, method, vcov, cluster) {
  if (is.null(vcov)) {
    ferrolmm_abort(
      "`cluster` goes with a robust covariance matrix.", "argument",
      i = "As in vcov = \"CR2\", cluster = ~ subject."
    )
  }
  entry <- ddf_methods[[method]]
  if (is.character(vcov)) {
    type <- match_sandwich(vcov, "vcov")
    if (!isTRUE(entry$robust)) abort_not_robust(method, type)
    if (object$rank == 0L) {
      return(fixed_ddf(object, NA_real_))
    }
    sandwich <- sandwich_of(object, type, cluster, moments = is.null(entry$fixed))
    robust <- c(list(type = type), sandwich$clusters[c("count", "name")])
    return(c(list(robust = robust), infer_sandwich(object, sandwich, entry$fixed)))
  }
  if (!is.null(cluster)) {
    ferrolmm_abort(
      "`cluster` goes with a type, such as vcov = \"CR2\": a matrix has its clusters in it.",
      "argument"
    )
  }
  variance <- other_variance(object, vcov, "vcov")
  if (is.null(entry$fixed)) abort_not_robust(method, NULL)
  c(list(robust = list()), fixed_ddf(object, entry$fixed, variance))
}

#' @param use what they are for.
#' @noRd
check_no_vcov <- function(vcov, cluster, use) {
  if (!is.null(vcov) || !is.null(cluster)) {
    ferrolmm_abort(paste0("`vcov` and `cluster` are for ", use, "."), "argument")
  }
}

#' @noRd
abort_not_robust <- function(method, type) {
  able <- Filter(function(entry) {
    isTRUE(entry$robust) && (!is.null(type) || !is.null(entry$fixed))
  }, ddf_methods)
  ferrolmm_abort(
    paste0("`ddf = \"", method, "\"` goes with the model's covariance matrix, not with ",
           if (is.null(type)) "one that is given" else type, "."),
    "argument", i = c(
      paste0("Here `ddf` can be ", quote_names(names(able), Inf), "."),
      if (is.null(type)) "Types such as vcov = \"CR2\" have degrees of freedom of their own."
    )
  )
}

#' What the tests of a method are called
#' @noRd
ddf_statistic <- function(method) {
  statistic <- ddf_methods[[method]]$statistic
  if (is.null(statistic)) "t" else statistic
}

#' @noRd
refit_reml <- function(object, method) {
  if (object$REML) {
    return(object)
  }
  ferrolmm_inform(
    sprintf(
      "%s's method is for REML: the model is refitted by REML, and that fit is tested.", method
    ),
    "refit"
  )
  object$REML <- TRUE
  object$call$REML <- TRUE
  fit_again(object)
}

#' "<before> Satterthwaite's method", for headings; nothing where there are no p-values
#' @noRd
describe_ddf <- function(method, before) {
  if (ddf_statistic(method) == "none") {
    return("")
  }
  words <- ddf_methods[[method]]$words
  paste0(before, if (is.null(words)) paste0(method, "'s method") else words)
}

#' What words a heading has for a covariance matrix that is not the model's
#' @param robust as in [ddf_for()].
#' @noRd
describe_variance <- function(robust) {
  if (is.null(robust)) {
    return("")
  }
  if (is.null(robust$type)) {
    return("the given covariance matrix")
  }
  clusters <- count_of(robust$count, "cluster")
  paste0(robust$type, " covariance matrix of ", clusters,
         if (robust$name != "rows") paste0(" (", robust$name, ")"))
}

#' "<before> Satterthwaite's method, CR2 covariance matrix of 27 clusters (Subject)", for headings
#' @noRd
describe_inference <- function(inference, before) {
  ddf <- describe_ddf(inference$method, before)
  variance <- describe_variance(inference$robust)
  if (!nzchar(variance)) {
    return(ddf)
  }
  paste0(if (nzchar(ddf)) paste0(ddf, " and ") else " with ", variance)
}
