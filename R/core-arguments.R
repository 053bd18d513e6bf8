# Checks of arguments that many functions share.

#' @param given names of the arguments, "" for those without one; `written` their expressions.
#' @param known the function's own names.
#' @noRd
abort_unknown_arguments <- function(given, written, known, hints = NULL, call = user_call()) {
  name <- if (is.null(call)) "The function" else paste0("`", generic_name(call[[1L]]), "()`")
  named <- unique(given[nzchar(given)])
  hinted <- intersect(named, names(hints))
  # a value that stands in the call itself, as with do.call(), is not written out
  unnamed <- vapply(written[!nzchar(given)], function(x) {
    # an empty argument is a symbol without a name
    if (is.symbol(x) && !nzchar(x)) "(empty)" else paste(format_code(x), collapse = " ")
  }, "")
  nearest <- unlist(lapply(setdiff(named, hinted), did_you_mean, known))
  help <- c(unname(hints[hinted]), nearest)
  ferrolmm_abort(
    paste0(
      name, " has no argument ",
      if (length(named) > 0L) quote_names(named) else
        paste0("for ", quote_names(unnamed), ", which has no name"), "."
    ),
    "argument",
    i = if (length(help) > 0L) help else paste0("Its arguments are ", quote_names(known, 20L), "."),
    arguments = given, call = call
  )
}

#' The generic of a method of this package, as its users know it
#' @noRd
generic_name <- function(head) {
  if (identical(head, quote(emm_basis.lmm))) {
    # the generic that all functions of 'emmeans' call
    return("emmeans")
  }
  classes <- "VarCorr|ranef|coef|influence|profile|bootstrap|lmList|summary.lmList|summary|ranova"
  sub(paste0("[.]((", classes, ")[.])?lmm$|[.]lmm_[a-z]+$"), "", code_label(head))
}

#' One of several choices, or the default where the argument was not given
#'
#' The beginning of a choice is enough, and capital letters do not matter.
#' @noRd
match_choice <- function(value, name, choices) {
  if (identical(value, choices)) {
    return(choices[[1L]])
  }
  found <- NA
  if (is.character(value) && length(value) == 1L && !is.na(value)) {
    found <- pmatch(value, choices)
    if (is.na(found)) found <- pmatch(tolower(value), tolower(choices))
  }
  if (is.na(found)) {
    ferrolmm_abort(
      paste0("`", name, "` must be one of ", quote_names(choices, Inf), describe_given(value), "."),
      "argument"
    )
  }
  choices[[found]]
}

#' @noRd
check_flag <- function(value, name) {
  if (!is.logical(value) || length(value) != 1L || is.na(value)) {
    ferrolmm_abort(
      paste0("`", name, "` must be TRUE or FALSE", describe_given(value), "."), "argument"
    )
  }
  invisible(value)
}

#' @noRd
check_level <- function(level, name = "level") {
  if (!is.numeric(level) || length(level) != 1L || is.na(level) || level <= 0 || level >= 1) {
    percent <- is.numeric(level) && length(level) == 1L && !is.na(level) && level > 1 && level < 100
    ferrolmm_abort(
      paste0("`", name, "` must be a number between 0 and 1", describe_given(level), "."),
      "argument", i = if (percent) paste0("For ", level, " % it is ", level / 100, ".")
    )
  }
  level
}

#' Several levels
#' @noRd
check_levels <- function(levels) {
  if (!is.numeric(levels) || length(levels) == 0L) {
    ferrolmm_abort(
      paste0("`levels` must be numbers between 0 and 1", describe_given(levels), "."), "argument"
    )
  }
  for (level in levels) {
    check_level(level, "levels")
  }
}

#' Numbers of things that a user gives: a vector of positions as R takes it, or a logical one
#' @noRd
match_numbers <- function(given, n, argument, what) {
  valid <- is.atomic(given) && !anyNA(given) && (
    is.logical(given) && length(given) == n ||
      is.numeric(given) && all(abs(given) %in% seq_len(n)) && (all(given > 0) || all(given < 0))
  )
  if (!valid) {
    ferrolmm_abort(
      paste0("`", argument, "` must be names or numbers of ", what, "s, from 1 to ", n,
             describe_given(given), "."), "argument"
    )
  }
  seq_len(n)[given]
}

#' @noRd
check_trace <- function(trace) {
  if (!is.numeric(trace) && !is.logical(trace) || length(trace) != 1L || is.na(trace)) {
    ferrolmm_abort(
      paste0("`trace` must be TRUE, FALSE or a number", describe_given(trace), "."), "argument"
    )
  }
}

#' A function that handles missing values, as predict() and simulate() take it
#' @noRd
check_na_function <- function(action) {
  if (is.null(action)) {
    ferrolmm_abort("`na.action` must be a function such as na.pass or na.omit.", "argument")
  }
  find_na_action(action)
}

#' A number of digits to print
#' @noRd
check_digits <- function(digits) {
  if (!is.numeric(digits) || length(digits) != 1L || is.na(digits) || digits < 1 || digits > 22) {
    ferrolmm_abort(
      paste0("`digits` must be a number from 1 to 22", describe_given(digits), "."), "argument"
    )
  }
  digits
}

#' The result of an as.data.frame() method, by the arguments that data.frame() passes on
#' @noRd
finish_table <- function(table, row_names = NULL, stringsAsFactors = FALSE) {
  if (isTRUE(stringsAsFactors)) {
    text <- vapply(table, is.character, NA)
    table[text] <- lapply(table[text], factor)
  }
  if (!is.null(row_names)) {
    if (length(row_names) != nrow(table) || anyDuplicated(row_names) || anyNA(row_names)) {
      ferrolmm_abort(
        paste0("`row.names` must have a name for each of the ", count_of(nrow(table), "row"),
               ", none twice."), "argument"
      )
    }
    attr(table, "row.names") <- as.character(row_names)
  }
  table
}

#' Arguments that pictures by 'graphics' take
#' @noRd
graphical_arguments <- function() {
  unique(c(
    setdiff(names(formals(graphics::plot.default)), c("x", "y", "...")),
    "adj", "bg", "bty", "cex", "cex.axis", "cex.lab", "cex.main", "cex.sub", "cin", "col",
    "col.axis", "col.lab", "col.main", "col.sub", "crt", "family", "fg", "font", "font.axis",
    "font.lab", "font.main", "font.sub", "lab", "las", "lend", "lheight", "ljoin", "lmitre", "lty",
    "lwd", "mgp", "pch", "srt", "tck", "tcl", "xaxp", "xaxs", "xaxt", "xpd", "yaxp", "yaxs", "yaxt"
  ))
}

#' Arguments that a print method passes on to a printing function
#' @noRd
printing_arguments <- function(...) {
  setdiff(unlist(lapply(list(...), function(f) names(formals(f)))), c("x", "..."))
}

#' @noRd
check_count <- function(x, name, least) {
  if (!is.numeric(x) || length(x) != 1L || is.na(x) || x < least || x > .Machine$integer.max ||
        x != trunc(x)) {
    ferrolmm_abort(
      paste0("`", name, "` must be a whole number, at least ", least, "."), "argument"
    )
  }
  as.integer(x)
}

#' The `na.action` argument or option as a function; NULL lets missing values pass
#' @noRd
find_na_action <- function(na_action) {
  if (is.null(na_action)) {
    return(stats::na.pass)
  }
  if (is.character(na_action) && length(na_action) == 1L && nzchar(na_action)) {
    na_action <- get0(na_action, mode = "function", envir = globalenv())
  }
  if (!is.function(na_action)) {
    ferrolmm_abort(
      "`na.action` must be a function such as na.omit, na.exclude or na.fail.", "argument"
    )
  }
  na_action
}

#' Refuse what takes another package, where that is not installed
#'
#' @param what what needs it, as the beginning of a sentence.
#' @param or another way, after "or".
#' @noRd
need_package <- function(name, what, or = NULL) {
  fault <- tryCatch(
    {
      loadNamespace(name)
      NULL
    },
    error = function(e) conditionMessage(e)
  )
  if (!is.null(fault)) {
    there <- nzchar(system.file(package = name))
    ferrolmm_abort(
      paste0(what, " needs the package '", name, "', which ",
             if (there) "cannot be loaded." else "is not installed."),
      "argument",
      x = if (there) fault,
      i = paste0("`install.packages(\"", name, "\")` installs it", if (there) " anew",
                 if (!is.null(or)) ", or ", or, ".")
    )
  }
}
