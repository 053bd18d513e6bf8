# Equations level by level, or as one equation.

#' The levels style
#' @noRd
level_lines <- function(model, pen) {
  last <- top_level(model)
  if (last == 1L) {
    return(mixed_lines(model, pen))
  }
  lines <- c(write_heading(paste0("Level 1 (", count_of(model$n, "row"), ")"), pen),
             level_one(model, pen))
  for (level in seq.int(2L, last)) {
    here <- model$groups$level == level
    names <- paste0(model$groups$name[here], ", ",
                    vapply(model$groups$levels[here], count_of, "", "level"), collapse = "; ")
    lines <- c(
      lines, gap(pen), write_heading(paste0("Level ", level, " (", names, ")"), pen),
      upper_level(model, level, pen)
    )
  }
  c(lines, gap(pen), distribution_lines(model, pen), index_lines(model, pen))
}

#' @noRd
level_one <- function(model, pen) {
  keys <- model$places[["1"]]
  addends <- lapply(keys, function(key) {
    parts <- parts_at(effect_with(model, key)$parts, 1L)
    addend(coefficient_symbol(model, key, 1L, pen), write_parts(model, parts, pen), pen)
  })
  write_equation(
    pen$variable(model$response, row_index(model)), c(addends, closing_addends(model, pen)), pen
  )
}

#' Offset and residual
#' @noRd
closing_addends <- function(model, pen) {
  offsets <- lapply(model$offset, function(label) c("+", pen$variable(label, row_index(model))))
  c(offsets, list(c("+", residual_symbol(model, pen))))
}

#' The random effect whose keys begin with these
#' @noRd
effect_with <- function(model, keys) {
  for (effect in c(model$fixed, model$random)) {
    if (identical(effect$keys[seq_along(keys)], keys)) {
      return(effect)
    }
  }
}

#' The equations of one level above the first: one for each coefficient of the level below
#' @noRd
upper_level <- function(model, level, pen) {
  last <- top_level(model)
  lines <- character()
  for (parent in key_paths(model, level - 1L)) {
    children <- model$places[[paste(c(level, parent), collapse = "\r")]]
    addends <- lapply(children, function(key) {
      keys <- c(parent, key)
      effect <- effect_with(model, keys)
      addend(
        coefficient_symbol(model, keys, level, pen),
        write_parts(model, parts_at(effect$parts, level), pen), pen,
        if (level == last) effect$estimate
      )
    })
    own <- Filter(function(effect) {
      effect$level == level && identical(effect$keys[seq_along(parent)], parent)
    }, model$random)
    addends <- c(addends, lapply(own, function(effect) {
      above <- Filter(function(part) part$level >= level, effect$parts)
      addend(random_symbol(model, effect, pen), write_parts(model, above, pen), pen)
    }))
    left <- coefficient_symbol(model, parent, level - 1L, pen)
    lines <- c(lines, write_equation(left, addends, pen))
  }
  lines
}

#' All sequences of keys down to a level, in order
#' @noRd
key_paths <- function(model, level) {
  paths <- list(character())
  for (l in seq_len(level)) {
    paths <- unlist(lapply(paths, function(path) {
      lapply(model$places[[paste(c(l, path), collapse = "\r")]], function(key) c(path, key))
    }), recursive = FALSE)
  }
  paths
}

#' The mixed style
#' @noRd
mixed_lines <- function(model, pen) {
  last <- top_level(model)
  fixed <- lapply(model$fixed, function(effect) {
    addend(
      coefficient_symbol(model, effect$keys, last, pen), write_parts(model, effect$parts, pen), pen,
      effect$estimate
    )
  })
  random <- lapply(model$random, function(effect) {
    addend(summed_symbol(model, effect, pen), write_parts(model, effect$parts, pen), pen)
  })
  c(
    write_equation(
      pen$variable(model$response, row_index(model)),
      c(fixed, random, closing_addends(model, pen)), pen
    ),
    gap(pen), distribution_lines(model, pen), index_lines(model, pen)
  )
}

#' Levels whose effects are not independent: the known matrix that relates them
#' @noRd
known_lines <- function(object) {
  known <- Filter(function(term) !is.null(term$known), object$random)
  lines <- vapply(known, function(term) {
    paste0(
      "Related levels: those of ", term$group, ", by the known ",
      if (term$known$kind == "cov") "covariance matrix " else "precision matrix ", term$known$label
    )
  }, "")
  unique(lines)
}

#' What the indices run over, and what was dropped
#' @noRd
index_lines <- function(model, pen) {
  groups <- paste0(model$groups$index, ": ", model$groups$name, " (", model$groups$levels, ")",
                   recycle0 = TRUE)
  text <- paste0("Indices: ", paste(c("i: row", groups), collapse = ", "))
  dropped <- if (length(model$dropped) > 0L) {
    paste0("Dropped, a linear combination of others: ", paste(model$dropped, collapse = ", "))
  }
  weights <- if (any(model$groups$multiple)) {
    "Weights: w_ij is that of level j in row i, 0 where the row is no member of it"
  }
  sampled <- format_sampling(model$object, wrap = FALSE)
  lines <- c(text, known_lines(model$object), weights, sampled, dropped)
  if (pen$format == "latex") {
    return(write_heading(lines, pen))
  }
  c("", wrap_text(lines, exdent = 2L))
}
