# Formulas as expressions: sums, bars, variables. No data.

#' Is `x` a call to one of the functions named?
#' @noRd
is_call_to <- function(x, name) {
  is.call(x) && is.symbol(x[[1L]]) && any(as.character(x[[1L]]) == name)
}

#' @noRd
is_bar <- function(x) is_call_to(x, c("|", "||"))

#' The calls of `+` and `-` along the left side of a sum, innermost first, and its first operand
#'
#' `- x` is not a sum, `+ x` is.
#' @noRd
sum_chain <- function(x) {
  sums <- list()
  while (is_call_to(x, "+") || (is_call_to(x, "-") && length(x) == 3L)) {
    # `[[<-` would look through all of x for the list that it goes into
    sums[length(sums) + 1L] <- list(x)
    x <- x[[2L]]
  }
  list(first = x, sums = rev(sums))
}

#' The operands of such a sum, from the left
#' @noRd
sum_operands <- function(chain) {
  c(list(chain$first), lapply(chain$sums, function(x) x[[length(x)]]))
}

#' `x %in% c("a", "b")` as one variable: terms() would read `%in%` as a formula operator
#' @noRd
as_variable <- function(x) if (is_call_to(x, "%in%")) call("I", x) else x

#' Variables of an expression: not the names in `pkg::fun` nor after `$`
#' @noRd
variables_of <- function(expression) {
  names <- character()
  # sums are as deep as they are long: a list of what is left, the next one last
  left <- list(expression)
  while (length(left) > 0L) {
    expression <- left[[length(left)]]
    left[[length(left)]] <- NULL
    if (is.name(expression)) {
      names[[length(names) + 1L]] <- as.character(expression)
    } else if (is.call(expression) && !is_call_to(expression, c("::", ":::"))) {
      arguments <- as.list(expression)[-1L]
      if (is_call_to(expression, c("$", "@"))) {
        arguments <- arguments[1L]
      }
      arguments <- arguments[
        vapply(arguments, function(x) is.call(x) || is.name(x) && nzchar(x), NA)
      ]
      left <- c(left, rev(arguments))
    }
  }
  unique(names)
}

#' Name of each variable as model.frame() gives it: symbols as they are, calls deparsed
#'
#' Variables that have the name of one of the frame's own columns get backticks.
#' @noRd
variable_names <- function(expressions) {
  names <- character(length(expressions))
  for (k in seq_along(expressions)) {
    x <- expressions[[k]]
    names[[k]] <- if (!is.symbol(x)) {
      deparse_call(x)
    } else if (startsWith(name <- as.character(x), "(") && name %in% own_columns) {
      paste0("`", name, "`")
    } else {
      name
    }
  }
  names
}

#' Columns of the model frame that are not variables
#' @noRd
own_columns <- c("(weights)", "(offset)", "(fitted)", "(known)", "(sampling)")

#' A call as text, the same whatever the options are
#' @noRd
deparse_call <- function(x) {
  if (getOption("scipen") != 0L) {
    before <- options(scipen = 0L)
    on.exit(options(before))
  }
  paste(deparse(x, width.cutoff = 500L), collapse = " ")
}

#' Names of the columns of a model frame, as a terms object gives them: the response first
#' @noRd
variable_columns <- function(terms) {
  variable_names(as.list(attr(terms, "variables"))[-1L])
}

#' Is it a call to within_between(), with or without `ferrolmm::`?
#' @noRd
is_within_between <- function(call) {
  if (!is.call(call)) {
    return(FALSE)
  }
  head <- call[[1L]]
  is_call_to(call, "within_between") ||
    is.call(head) && identical(head[[length(head)]], quote(within_between))
}

#' What the columns of within_between() are called as coefficients
#'
#' @param label the call as text, the name of the variable.
#' @param columns names of the columns of its value.
#' @returns for instance "x (within g)"; NULL for another variable
#' @noRd
within_between_names <- function(label, columns) {
  call <- tryCatch(str2lang(label), error = function(e) NULL)
  are_parts <- length(columns) > 0L && all(grepl("^(within|between(_.+)?)$", columns))
  if (!is_within_between(call) || !are_parts) {
    return(NULL)
  }
  arguments <- match.call(function(x, g, ...) NULL, call)
  g <- code_label(arguments$g, Inf)
  side <- ifelse(columns == "within", "within", "between")
  factor <- sub("^(within|between_?)", "", columns)
  factor[factor == ""] <- g
  paste0(code_label(arguments$x, Inf), " (", side, " ", factor, ")")
}

#' The empty argument of x[i, ]
#' @noRd
is_missing_argument <- function(x) is.name(x) && !nzchar(as.character(x))

#' Part of a formula as it would be typed
#' @noRd
formula_label <- function(x) {
  if (is.symbol(x)) {
    name <- as.character(x)
    return(if (grepl("^[A-Za-z][A-Za-z0-9._]*$", name)) name else paste0("`", name, "`"))
  }
  paste(deparse(x, 500L, backtick = TRUE), collapse = " ")
}
