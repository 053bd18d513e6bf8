#' Conditions raised by ferrolmm
#'
#' Every condition has a class of its own besides a common one, so that a caller can tell them apart
#' without reading the text:
#'
#' | class | raised when |
#' | --- | --- |
#' | `ferrolmm_error_formula` | the formula cannot be read as a mixed model |
#' | `ferrolmm_error_data` | `data` or a variable is missing, of a wrong type or a wrong length |
#' | `ferrolmm_error_missing` | missing values are left, or leave no complete row |
#' | `ferrolmm_error_not_finite` | a variable is infinite |
#' | `ferrolmm_error_size` | a variable is too large or too small to be squared twice |
#' | `ferrolmm_error_response` | the response is no numeric vector, or is constant |
#' | `ferrolmm_error_predictor` | a predictor cannot be coded (one level, wrong contrasts) |
#' | `ferrolmm_error_grouping` | a grouping factor has too few or too many levels |
#' | `ferrolmm_error_weights`, `_offset`, `_subset`, `_start` | that argument is wrong |
#' | `ferrolmm_error_residual` | the residual structure is wrong, or not for this statistic |
#' | `ferrolmm_error_long_residual_group`, `_duplicate_position`, `_residual_start` | likewise |
#' | `ferrolmm_error_single_row_groups`, `_zero_covariate` | likewise |
#' | `ferrolmm_error_known` | a known covariance or precision matrix of levels is wrong |
#' | `ferrolmm_error_pedigree` | a pedigree is impossible |
#' | `ferrolmm_error_not_positive_definite` | such a matrix is not positive definite |
#' | `ferrolmm_error_newdata` | `newdata` is wrong, or does not fit the model |
#' | `ferrolmm_error_restriction` | a parameter is held at an impossible value |
#' | `ferrolmm_error_sampling` | a model cannot have sampling weights, or a fit has them |
#' | `ferrolmm_error_fixed_levels` | something is not known beside terms `fixed(1 | g)` |
#' | `ferrolmm_error_penalty` | a fit with penalties has no maximum of the likelihood |
#' | `ferrolmm_error_format` | a fit of another version, or an edited one |
#' | `ferrolmm_error_argument` | another argument is wrong |
#' | `ferrolmm_error_no_residual_df`, `_perfect_fit`, `_dimension` | by the engine |
#' | `ferrolmm_error_factors` | a fit with `rr()` or `fa()`, or a model for one |
#' | `ferrolmm_error_nobound` | a fit whose variances have no bounds, or a model for one |
#' | `ferrolmm_warning_nobound` | predictions have no variance where one of effects is negative |
#' | `ferrolmm_error_no_maximum` | without bounds on variances the likelihood has no maximum |
#' | `ferrolmm_error_numerical` | rounding errors outweigh what is computed: the step is named |
#' | `ferrolmm_error_kenward_roger` | the corrected matrix of that method is no covariance matrix |
#' | `ferrolmm_error_bug` | the engine met a state that should be impossible |
#' | `ferrolmm_warning_duplicate_term` | a random-effects term repeats another one |
#' | `ferrolmm_warning_formula`, `_contrasts` | part of the formula or of `contrasts` is ignored |
#' | `ferrolmm_error_far_scale` | sigma is the standard deviation of no row, nor near any |
#' | `ferrolmm_warning_estimable` | predictions are `NA`: the data do not determine them |
#' | `ferrolmm_warning_identifiable` | the data do not determine parameters |
#' | `ferrolmm_warning_convergence` | the certificate of the optimum does not hold |
#' | `ferrolmm_warning_digits` | few digits are left: effects dwarf residuals, a correlation is 1 |
#' | `ferrolmm_message_response` | a logical response is fitted as 0 and 1 |
#' | `ferrolmm_message_pedigree` | parents without a row are added to a pedigree |
#' | `ferrolmm_message_rank` | columns of the fixed-effects model matrix are dropped |
#' | `ferrolmm_warning_ddf` | tests are `NA`: a rule leaves them no degrees of freedom |
#' | `ferrolmm_warning_kenward_roger` | tests are `NA`: the method does not determine them |
#' | `ferrolmm_error_cluster` | clusters do not determine a robust covariance matrix |
#' | `ferrolmm_warning_cluster` | tests are `NA`: the clusters do not determine them |
#' | `ferrolmm_warning_profile` | a profile stops short of its cutoff or of an interval's level |
#' | `ferrolmm_message_refit` | a test needs the fit by ML, or by REML, and makes it |
#' | `ferrolmm_message_missing` | some of many responses have missing values |
#' | `ferrolmm_message_trace` | `lmm_control(verbose = 1)`: the way of the optimiser |
#' | `ferrolmm_error_time_limit` | the `time_limit` of `lmm_control()` is over |
#' | `ferrolmm_error_too_many_parameters` | the model has more parameters than observations |
#' | `ferrolmm_error_factor` | a factorisation is too large to be done without being asked for |
#' | `ferrolmm_error_needs_rows` | a fit of aggregated data is asked for what takes the rows |
#' | `ferrolmm_error_sql` | a term of the model cannot be computed in a database |
#' | `ferrolmm_error_source` | a database fails, changes, or does not compute what R computes |
#' | `ferrolmm_message_cells` | a database adds up many cells |
#' | `ferrolmm_error_too_large` | a matrix for degrees of freedom is too large |
#' | `ferrolmm_error_large_cluster` | the matrix of a cluster is too large for its adjustment |
#' | `ferrolmm_error_unloaded` | the package was unloaded while its objects are in use |
#' | `ferrolmm_error_memory` | what is asked for does not fit in memory |
#' | `ferrolmm_warning_monte_carlo` | a likelihood carries Monte-Carlo error |
#' | `ferrolmm_message_solver` | a large crossed problem is fitted by conjugate gradients |
#' | `ferrolmm_message_singular` | a variance or correlation is at its boundary |
#' | `ferrolmm_message_boundary` | a function of parameters at a boundary has no standard error |
#' | `ferrolmm_message_fallback` | which structure [lmm_fallback()] took, and why |
#' | `ferrolmm_error_smooth` | a smooth term cannot be built, or a function does not know them |
#' | `ferrolmm_warning_smooth` | what 'mgcv' warns of when it builds a smooth term |
#' | `ferrolmm_message_smooth` | which smooth terms a picture leaves out |
#' | `ferrolmm_error_identifiable` | parameters that no data can tell apart |
#' | `ferrolmm_error_test` | a function for [power()] returns no p-value |
#'
#' Text is built with [paste0()] and never interpolated: a level may be called `{x}` or `50%`.
#'
#' @param message what is wrong, one sentence that names the argument or variable.
#' @param class last part of the condition's class.
#' @param x details of what is wrong, `i` what to do; character vectors with one element per bullet.
#' @param ... fields stored in the condition.
#' @param call the call shown to the user; by default that of the exported function in use.
#' @noRd
ferrolmm_abort <- function(message, class, ..., x = NULL, i = NULL, call = user_call()) {
  rlang::abort(
    condition_text(message, x, i), ...,
    class = c(paste0("ferrolmm_error_", class), "ferrolmm_error"), call = call
  )
}

#' @noRd
ferrolmm_warn <- function(message, class, ..., x = NULL, i = NULL, call = user_call()) {
  rlang::warn(
    condition_text(message, x, i), ...,
    class = c(paste0("ferrolmm_warning_", class), "ferrolmm_warning"), call = call
  )
}

#' @noRd
ferrolmm_inform <- function(message, class, ..., x = NULL, i = NULL) {
  rlang::inform(
    condition_text(message, x, i, bullet = "*"), ...,
    class = c(paste0("ferrolmm_message_", class), "ferrolmm_message")
  )
}

#' A header and its bullets, in the order what is wrong (x; in a message *), what to do (i)
#' @noRd
condition_text <- function(message, x = NULL, i = NULL, bullet = "x") {
  c(
    message,
    stats::setNames(as.character(x), rep_len(bullet, length(x))),
    stats::setNames(as.character(i), rep_len("i", length(i)))
  )
}

#' The outermost call of a function of this package, without its arguments
#'
#' The error then reads "Error in `lmm()`" however deep it arises, and under whatever name the
#' function was called: `FUN` by lapply(), `mth` by 'emmeans'.
#' @noRd
user_call <- function() {
  k <- outermost()
  if (is.null(k)) {
    return(NULL)
  }
  head <- sys.call(k)[[1L]]
  name <- own_name(sys.function(k), head)
  if (!is.null(name)) {
    as.call(list(as.name(name)))
  } else if (is.symbol(head) || is_call_to(head, "::")) {
    as.call(list(head))
  }
}

#' The name of a function in this package, where it was called under another one
#' @noRd
own_name <- function(f, head) {
  home <- topenv(environment(own_name))
  if (is.symbol(head) && !exists(as.character(head), home, inherits = FALSE)) {
    Find(function(name) identical(get(name, home), f), ls(home))
  }
}

#' Number of the frame of the outermost function of this package; NULL where there is none
#' @noRd
outermost <- function() {
  home <- topenv(environment(outermost))
  for (k in seq_len(sys.nframe() - 1L)) {
    if (identical(topenv(environment(sys.function(k))), home)) {
      return(k)
    }
  }
  NULL
}

#' The frame of the outermost function
#' @noRd
outermost_frame <- function() {
  k <- outermost()
  if (!is.null(k)) sys.frame(k)
}

#' What a user can do about each kind of failure
#' @noRd
engine_remedies <- c(
  no_maximum = paste(
    "The covariance matrix of the observations has to be positive definite: leave `nobound` out,",
    "or fit a simpler random-effects part."
  ),
  no_residual_df = "Use fewer fixed effects, or more observations.",
  perfect_fit = "The response is an exact function of the predictors: is that meant?",
  numerical = paste(
    "Variables of very different sizes, or variances many orders of magnitude apart, may be the",
    "reason: rescale them, or leave out what makes no difference."
  ),
  size = "Use another unit.",
  not_finite = "Look for products of very large predictors, or rescale them.",
  not_positive_definite = paste(
    "Covariance matrices of levels must have positive eigenvalues: are some levels the same twice,",
    "or is the matrix rounded?"
  ),
  duplicate_position = "Name groups in which each position occurs once, or use nugget = TRUE.",
  residual_start = paste(
    "Give values that are correlations, standard deviations and ranges, or leave them out: the",
    "engine finds its own."
  ),
  single_row_groups = "Name larger groups after the bar, or leave the correlation out.",
  long_residual_group = paste(
    "Name smaller groups after the bar. corAR1(), corCAR1() and corCompSymm() need no matrix,",
    "whatever the size of a group."
  ),
  zero_covariate = "Use varConstPower() or varExp().",
  far_scale = paste(
    "Move the covariate (or the response that it is fitted to): varExp(form = ~ I(year - 2020)),",
    "varPower(form = ~ I(year / 2020)). Other parameters stay what they are."
  ),
  restriction = paste(
    "A held or tied value is one of the model as it is written. Of a correlation matrix toep() can",
    "hold lag 1, or all lags up to one; us() the first correlation, all of the first visits (order",
    "the levels), or zeros beside the first visit; ad(), ar1(), cs() any, and every structure",
    "all its correlations together. Standard deviations can be held where there is one, or all",
    "together."
  ),
  penalty = "Use relative = TRUE, or a weaker penalty.",
  needs_rows = "Fit the rows themselves.",
  large_cluster = paste(
    "\"CR0\", \"CR1\", \"CR3\" and \"Empirical-Bias-Reduced\" need no such matrix, whatever the",
    "size of a cluster."
  ),
  too_large = "Use Satterthwaite's degrees of freedom: they need no such matrix.",
  memory = paste(
    "Use fewer effects, levels or columns. Of two large crossed factors, control =",
    "lmm_control(solver = \"iterative\") needs no factor; a model with known covariance matrices,",
    "a residual structure, `hold` or `tie` cannot go without."
  ),
  time_limit = paste(
    "Raise it, and fit again: update(fit, control = lmm_control(time_limit = )).",
    "A method of a fit has the time limit of its lmm_control(), a second at least."
  ),
  too_many_parameters = paste(
    "The likelihood has no maximum that the data determine. Use fewer fixed effects, or a",
    "covariance structure with fewer parameters: `||`, diag(), cs() or ar1() for random effects;",
    "corAR1(), corCompSymm() or larger groups of positions for residuals."
  ),
  factor = paste(
    "Fit the model with control = lmm_control(solver = \"exact\"), which factorises whatever it",
    "takes, if there is memory for it."
  ),
  known = paste(
    "Entries between levels of different classes have to be zero: what such levels have in common",
    "is not determined by the covariances of either class."
  ),
  dimension = "This is a bug in ferrolmm. Please report it with the data and the call.",
  bug = "This is a bug in ferrolmm. Please report it with the data and the call."
)

#' Refuse what needs covariance matrices that are positive semidefinite
#' @noRd
abort_nobound <- function(what) {
  ferrolmm_abort(
    paste0(what, " is not for fits whose variances have no bounds."), "nobound",
    i = "Fit the model without `nobound` in lmm_control()."
  )
}
