#' Conditions raised by ferrolmm
#'
#' Every condition has its own class beside a common one, so that a caller can tell them apart
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
#' | `ferrolmm_error_known` | a known covariance or precision matrix of levels is wrong |
#' | `ferrolmm_error_format` | a fit of another version, or an edited one |
#' | `ferrolmm_error_argument` | another argument is wrong |
#' | `ferrolmm_error_no_residual_df`, `_perfect_fit`, `_dimension` | by the engine |
#' | `ferrolmm_error_numerical` | rounding errors outweigh what is computed: the step is named |
#' | `ferrolmm_error_kenward_roger` | the corrected matrix of that method is no covariance matrix |
#' | `ferrolmm_error_bug` | the engine met a state that should be impossible |
#' | `ferrolmm_warning_duplicate_term` | a random-effects term repeats another one |
#' | `ferrolmm_warning_formula`, `_contrasts` | part of the formula or of `contrasts` is ignored |
#' | `ferrolmm_error_long_residual_group`, `_duplicate_position`, `_residual_start` | likewise |
#' | `ferrolmm_error_far_scale` | sigma is the standard deviation of no row, nor near any |
#' | `ferrolmm_warning_estimable` | predictions are `NA`: the data do not determine them |
#' | `ferrolmm_warning_convergence` | the certificate of the optimum does not hold |
#' | `ferrolmm_warning_digits` | rounding leaves few digits: random effects dwarf residuals |
#' | `ferrolmm_message_rank` | columns of the fixed-effects model matrix are dropped |
#' | `ferrolmm_warning_kenward_roger` | tests are `NA`: the method does not determine them |
#' | `ferrolmm_warning_profile` | a profile stops short of its cutoff or of an interval's level |
#' | `ferrolmm_message_missing` | some of many responses have missing values |
#' | `ferrolmm_message_trace` | `lmm_control(verbose = 1)`: the way of the optimiser |
#' | `ferrolmm_error_time_limit` | the `time_limit` of `lmm_control()` is over |
#' | `ferrolmm_error_too_many_parameters` | the model has more parameters than observations |
#' | `ferrolmm_error_factor` | a factorisation is too large to be done without being asked for |
#' | `ferrolmm_error_memory` | what is asked for does not fit in memory |
#' | `ferrolmm_warning_monte_carlo` | a likelihood carries Monte-Carlo error |
#' | `ferrolmm_message_solver` | a large crossed problem is fitted by conjugate gradients |
#' | `ferrolmm_message_singular` | a variance or correlation is at its boundary |
#'
#' Text is built with [paste0()] and never interpolated: a level may be called `{x}` or `50%`.
#'
#' @param message what is wrong, one sentence that names the argument or variable.
#' @param class last part of the condition's class.
#' @param x details of what is wrong, `i` what to do; character vectors, one bullet an element.
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
#' The error then reads "Error in `lmm()`" from whatever depth it comes, and under whatever name the
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

#' The name of a function in this package, where it was called by another one
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

#' That frame
#' @noRd
outermost_frame <- function() {
  k <- outermost()
  if (!is.null(k)) sys.frame(k)
}

#' Is `x` a call to one of the functions named?
#' @noRd
is_call_to <- function(x, name) {
  is.call(x) && is.symbol(x[[1L]]) && any(as.character(x[[1L]]) == name)
}

#' Names in backticks, joined for a sentence, at most `most` of them
#' @noRd
quote_names <- function(x, most = 5L) {
  shown <- paste0("`", utils::head(x, most), "`", collapse = ", ")
  if (length(x) > most) paste0(shown, " and ", length(x) - most, " more") else shown
}

#' "1 row", "2 rows"
#' @noRd
count_of <- function(n, what) {
  paste0(format(n, big.mark = ",", scientific = FALSE, trim = TRUE), " ", what,
         if (n != 1L) "s")
}

#' A name among `known` that differs little from `name`, as a question; NULL when none is near
#' @noRd
did_you_mean <- function(name, known) {
  known <- known[nzchar(known)]
  if (length(known) == 0L || is.na(name) || length(known) > 1e4) {
    return(NULL)
  }
  distance <- drop(utils::adist(name, known, ignore.case = TRUE))
  # letters in another order are one slip, not two
  distance[distance > 0 & sorted_letters(known) == sorted_letters(name)] <- 1
  nearest <- which.min(distance)
  # of a name of one letter, every other one is a single letter away
  if (distance[nearest] < nchar(name) && distance[nearest] <= max(1, nchar(name) %/% 3)) {
    paste0("Did you mean `", known[nearest], "`?")
  }
}

#' @noRd
sorted_letters <- function(x) {
  vapply(strsplit(tolower(x), ""), function(letters) paste(sort(letters), collapse = ""), "")
}

#' One line of code for a message: long expressions are cut
#' @noRd
code_label <- function(x, width = 60L) {
  text <- paste(deparse(x, width.cutoff = 500L), collapse = " ")
  if (nchar(text) > width) paste0(substr(text, 1L, width - 3L), "...") else text
}
