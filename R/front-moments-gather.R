# How the rows of a database are gathered: by cells or by tables.

#' Cells beyond which there may not be half as many as rows
#' @noRd
most_cells <- 1e6

#' The moments of the rows of a source
#' @noRd
source_moments <- function(formula, data, given, na_action, control, caller, gather) {
  source <- as_source(data)
  action <- match_na_action(na_action)
  if (action == "") {
    ferrolmm_abort(
      "`na.action` must be na.omit, na.exclude or na.fail for rows in a database.", "argument"
    )
  }
  columns <- source_columns(source)
  model <- parse_formula(
    formula, stats::setNames(as.list(seq_along(columns)), columns), caller
  )
  plan <- plan_source(model, source, columns, given, caller)
  inform_logical(plan$sample)
  require_time_to_fit(control)
  survey <- survey_source(plan)
  check_survey(survey, plan, action)
  require_time_to_fit(control)
  tables <- gather_tables(gather, survey, plan)
  require_time_to_fit(control)
  if (tables) {
    return(source_tables(plan, survey, control, caller))
  }
  answer <- ask_cells(plan, survey$centre, FALSE)
  cells <- cells_of(answer, plan, survey$centre)
  if (isTRUE(any(within_share(cells, answer, plan) < least_share))) {
    require_time_to_fit(control)
    answer <- ask_cells(plan, survey$centre, TRUE)
    cells <- cells_of(answer, plan, survey$centre)
  }
  check_unchanged(sum(cells$counts), survey$used)
  finish_moments(plan, answer, cells, survey)
}

#' Count cells before they are asked for: are tables asked for in their place?
#' @noRd
gather_tables <- function(gather, survey, plan) {
  if (gather == "tables") {
    return(TRUE)
  }
  cells <- as.double(ask_source(plan$source, paste0(
    "SELECT COUNT(*) AS n FROM (SELECT DISTINCT ", paste(plan$group_names, collapse = ", "),
    " FROM ", plan$values, " WHERE ", plan$keep, ") AS lmm_cells"
  ))[[1L]])
  text <- paste0(count_of(cells, "cell"), " (combinations of ",
                 quote_names(vapply(plan$groups, `[[`, "", "name")), ")")
  if (gather == "auto" && wants_tables(cells, survey$used) && !leaves_out_later(plan)) {
    m <- length(plan$numbers)
    if (2 * size_of_tables(survey, plan) < cells * (3 + m + m * (m + 1) / 2)) {
      ferrolmm_inform(
        paste0("There are ", text, " for ", count_of(survey$used, "row"), ": the database adds ",
               "them up by pairs of terms, in ", count_of(length(plan$moments$plan), "table"), "."),
        "cells", i = "lmm_moments(gather = \"cells\") asks for the cells."
      )
      return(TRUE)
    }
  }
  if (cells > most_cells && cells > survey$used / 2) {
    ferrolmm_abort(
      paste0("There are ", text, " for ", count_of(survey$used, "row"), ": nothing is gained."),
      "moments",
      i = c("Read the rows, in parts by lmm_chunks() or all of them by dplyr::collect().",
            "Or make coarser what tells cells apart.")
    )
  }
  if (cells > many_cells) {
    ferrolmm_inform(
      paste0("The database adds up ", count_of(survey$used, "row"), " in ", text, "."), "cells"
    )
  }
  FALSE
}

#' Numbers that the tables of a source have at most, from the numbers of levels
#' @noRd
size_of_tables <- function(survey, plan) {
  levels <- unlist(ask_source(plan$source, paste0(
    "SELECT ", paste0("COUNT(DISTINCT ", plan$group_names, ")", collapse = ", "), " FROM ",
    plan$values, " WHERE ", plan$keep
  )))
  sum(vapply(as_empty_tables(plan$moments)$tables, function(table) {
    cells <- min(survey$used, prod(as.double(levels[groups_of_table(table, plan)])))
    cells * 2 * (1 + ncol(table$products))
  }, 0))
}
