# Variables of residual structures, as they are written.

#' Variables whose interaction gives the groups of a form, as `a/b`, `a:b` and `a*b` all do
#' @param class of the error where it names none.
#' @noRd
group_leaves <- function(x, form, class = "residual") {
  if (is_call_to(x, "(")) {
    return(group_leaves(x[[2L]], form, class))
  }
  if (is_call_to(x, c("/", ":", "*", "+")) && length(x) == 3L) {
    parts <- lapply(as.list(x)[-1L], group_leaves, form, class)
    return(unique(c(parts[[1L]], parts[[2L]])))
  }
  if (!is.language(x)) {
    ferrolmm_abort(
      paste0("The groups in ", code_label(form), " must be variables, not ", code_label(x), "."),
      class
    )
  }
  list(as_variable(x))
}

#' An expression as one variable of the model frame: arithmetic is wrapped, as in time/10
#' @noRd
as_plain_variable <- function(x) {
  while (is_call_to(x, "(")) {
    x <- x[[2L]]
  }
  operators <- c("+", "-", "*", "/", "^", ":", "%in%")
  if (is_call_to(x, operators)) call("I", x) else x
}
