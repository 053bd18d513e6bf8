# The engine's errors about rows and groups, in terms of the user's names for them.

#' Evaluate; where an error of the engine has the number of a group or a row, name it
#' @noRd
naming_errors <- function(expr, residual, frame, random) {
  withCallingHandlers(expr, ferrolmm_error = function(error) {
    fact <- named_fact(error, residual, frame, random)
    if (!is.null(fact) && !is.null(error$fact)) {
      class <- error_class(error)
      ferrolmm_abort(
        error$fact, class, x = fact, i = if (class %in% names(engine_remedies)) {
          engine_remedies[[class]]
        },
        details = error$details, call = error$call
      )
    }
    rlang::cnd_signal(error)
  })
}

#' The last part of the class of an error
#' @noRd
error_class <- function(error) {
  sub("^ferrolmm_error_", "", class(error)[[1L]])
}

#' What the engine's numbers stand for, as a sentence; NULL where they stand for nothing
#' @noRd
named_fact <- function(error, residual, frame, random) {
  details <- error$details
  correlation <- residual$correlation
  group <- function() {
    groups <- residual_groups(correlation, frame)
    if (has_known_rows(residual)) {
      return(paste0(
        "That are the rows that `", correlation$group_label, "` connects with row ",
        row.names(frame)[[match(details$group, groups$codes)]]
      ))
    }
    paste0(
      "That is ", if (length(correlation$group)) paste0("`", correlation$group_label, "` "),
      groups$levels[[details$group]]
    )
  }
  row_name <- function(i) row.names(frame)[[i]]
  switch(error_class(error),
    long_residual_group = paste0(group(), "."),
    duplicate_position = paste0(
      group(), ", rows ", row_name(details$first), " and ", row_name(details$second),
      " of the data."
    ),
    single_row_groups = if (length(correlation$group)) {
      paste0("Groups are the levels of `", correlation$group_label, "`.")
    },
    zero_covariate = paste0(
      "That is row ", row_name(details$row), " of the data",
      if (length(residual_columns(residual, "covariates"))) {
        paste0(" (", quote_names(residual_columns(residual, "covariates")), ")")
      }, "."
    ),
    far_scale = paste0(
      "varExp() is 1 at a covariate of 0, varPower() at 1 and -1",
      if (depends_on_fitted(residual)) ": fitted values move with the response", "."
    ),
    not_positive_definite = ,
    known = if (isTRUE(is.finite(details$factor))) {
      paste0("It is that of `", names(random$flist)[[details$factor]], "`.")
    },
    restriction = paste0(
      "That is `", c(random$theta_names, residual$names)[[details$parameter]], "`."
    ),
    residual_start = if (length(residual$names)) {
      paste0("Parameters are ", quote_names(residual$names, 8L), ".")
    }
  )
}
