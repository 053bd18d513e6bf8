# A fit in words, for the methods section of a paper. Each function writes a sentence or a part of
# one, from the fields of the fit alone.

#' A paragraph for the methods section
#'
#' Says in plain sentences what was fitted, to which data, how effects are tested, whether the
#' optimum is proved, and by which software. Read it, and change what your journal wants otherwise:
#' it says what the computer did, not why.
#'
#' @param object A model fitted by [lmm()].
#' @param ddf The method for the degrees of freedom that the tests of the paper use, see [ddf]:
#'   `r ddf_choices()`.
#' @param ... Not used.
#' @returns A string of class `lmm_paragraph`, which prints in lines of the width of the console,
#'   and in R Markdown as a paragraph.
#' @seealso [equations()], [report-tables] for tables, `citation("ferrolmm")`.
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age * Sex + (age | Subject), Orthodont)
#' methods_paragraph(fit)
#' methods_paragraph(fit, ddf = "Kenward-Roger")
#' @export
methods_paragraph <- function(object, ddf = "Satterthwaite", ...) {
  check_dots(...)
  check_lmm(object, "methods_paragraph")
  method <- match_ddf(ddf)
  if (is_sampled(object)) method <- ddf_of_clusters(method, NULL, NULL)
  if (isTRUE(ddf_methods[[method]]$needs_reml) && !object$REML) {
    ferrolmm_abort(
      paste0("`ddf = \"", method, "\"` is for fits by REML, this one is by maximum likelihood."),
      "argument", i = "Fit with REML = TRUE: tests by this method fit the model again by REML."
    )
  }
  sentences <- c(
    paragraph_model(object), paragraph_random(object), paragraph_penalty(object),
    paragraph_residuals(object),
    paragraph_data(object), paragraph_tests(object, method), paragraph_optimum(object),
    paragraph_software()
  )
  structure(paste(sentences, collapse = " "), class = "lmm_paragraph")
}

#' @param x What `methods_paragraph()` returned.
#' @rdname methods_paragraph
#' @export
print.lmm_paragraph <- function(x, ...) {
  check_dots(...)
  writeLines(wrap_text(unclass(x)))
  invisible(x)
}

#' "a" or "an" before a word
#' @noRd
with_article <- function(words) paste(if (grepl("^[aeiou]|^AR", words)) "an" else "a", words)

#' @noRd
paragraph_model <- function(object) {
  response <- bare(code_label(stats::formula(object$terms)[[2L]], 500L))
  kind <- if (length(object$random)) {
    "A linear mixed model"
  } else {
    "A linear model with structured residuals"
  }
  method <- if (object$REML) {
    "restricted maximum likelihood (REML)"
  } else if (is_sampled(object)) {
    "maximum weighted pseudo-likelihood"
  } else {
    "maximum likelihood (ML)"
  }
  paste0(
    kind, " for ", response, " was fitted by ", if (is_penalised(object)) "penalised ", method,
    ". ", paragraph_fixed(object),
    paragraph_extras(object)
  )
}

#' @noRd
paragraph_fixed <- function(object) {
  labels <- bare(attr(object$terms, "term.labels"))
  order <- attr(object$terms, "order")
  labels[order > 1L] <- gsub(":", " x ", labels[order > 1L], fixed = TRUE)
  joint <- labels[order > 1L]
  intercept <- attr(object$terms, "intercept") == 1L
  parts <- c(
    if (intercept) "an intercept", labels[order == 1L],
    if (length(joint)) {
      paste0(if (length(joint) == 1L) "the interaction " else "the interactions ", enumerate(joint))
    }
  )
  text <- if (length(labels)) {
    paste0(
      "Its fixed effects were ", enumerate(parts), if (!intercept) ", without an intercept", "."
    )
  } else if (intercept) {
    "Its only fixed effect was the intercept."
  } else {
    "It had no fixed effects."
  }
  dropped <- sum(is.na(object$coefficients))
  if (dropped > 0L) {
    text <- paste0(
      text, " Of its coefficients, ", dropped, " could not be estimated, as ",
      if (dropped == 1L) "a column" else "columns",
      " of the design matrix depended linearly on the others."
    )
  }
  text
}

#' What keeps covariances off the boundary
#' @noRd
paragraph_penalty <- function(object) {
  words <- penalty_words(object$control, object$random)
  if (length(words) > 0L) {
    paste0(
      "A penalty kept the estimated covariances of random effects off the boundary of the ",
      "parameter space (Chung et al. 2013, 2015), minus twice the logarithm of ",
      if (length(words) == 1L) "a density: " else "densities: ", enumerate(words), "."
    )
  }
}

#' Offset and weights
#' @noRd
paragraph_extras <- function(object) {
  known <- length(object$residual$fixed) > 0L || has_known_rows(object$residual)
  c_or_none <- function(condition, text) if (condition) text else ""
  paste0(
    c_or_none(!is.null(object$offset), " The model had an offset."),
    c_or_none(
      !is.null(object$prior.weights) && !known, " Observations had precision weights."
    ),
    c_or_none(is_sampled(object), paste0(" ", describe_sampling(object)))
  )
}

#' @noRd
paragraph_random <- function(object) {
  if (length(object$random) == 0L) {
    return(NULL)
  }
  groups <- vapply(object$random, function(term) term$group, "")
  phrases <- vapply(unique(groups), function(group) {
    paragraph_group(object, object$random[groups == group], group)
  }, "")
  c(
    paste0(
      "Its random effects were ",
      if (any(grepl(",", phrases))) paste(phrases, collapse = "; and ") else enumerate(phrases), "."
    ),
    paragraph_nesting(object)
  )
}

#' The random effects of one grouping factor
#' @noRd
paragraph_group <- function(object, terms, group) {
  effects <- unique(unlist(lapply(terms, random_phrases)))
  text <- paste0(
    enumerate(effects), " for the ", count_of(nlevels(object$flist[[terms[[1L]]$factor]]), "level"),
    " of ", bare(group)
  )
  structures <- unlist(lapply(terms, function(term) {
    if (is_structured(term)) {
      paste0(
        "with ", with_article(paste(attributive(structure_name(term)), "covariance matrix")),
        if (isTRUE(term$hom)) " and one variance"
      )
    }
  }))
  several <- length(terms[[1L]]$cnms) > 1L
  correlated <- random_kind(terms[[1L]]$structure)$correlated
  known <- !all(vapply(terms, function(term) is.null(term$known), NA))
  notes <- c(
    structures,
    if (length(terms) > 1L) {
      if (max(vapply(terms, function(term) length(term$cnms), 1L)) > 1L) {
        "uncorrelated between terms of the model"
      } else {
        "uncorrelated with each other"
      }
    } else if (several && is.null(structures)) {
      if (correlated) "which could be correlated" else "uncorrelated with each other"
    },
    if (known) "with known covariances between the levels"
  )
  paste(c(text, if (length(notes)) paste(notes, collapse = " and "), paragraph_classes(terms)),
        collapse = ", ")
}

#' What covariances of random effects differ by; NULL where they do not
#' @noRd
paragraph_classes <- function(terms) {
  by <- unique(Filter(length, lapply(terms, `[[`, "by")))
  if (length(by) > 0L) {
    one <- length(terms) == 1L && length(terms[[1L]]$cnms) == 1L
    each <- vapply(by, function(by) paste(bare(by), collapse = " x "), "")
    paste0(
      "with another ", if (one) "variance" else "covariance matrix", " for each ",
      paste(each, collapse = " and each ")
    )
  }
}

#' The words of a structure before a noun
#' @noRd
attributive <- function(words) sub("compound symmetry", "compound-symmetry", words, fixed = TRUE)

#' "intercepts", "effects of age": of the columns that a term has of its left side
#' @noRd
random_phrases <- function(term) {
  left <- stats::terms(stats::as.formula(call("~", term$lhs)))
  labels <- bare(attr(left, "term.labels"))
  intercept <- attr(left, "intercept") == 1L && "(Intercept)" %in% term$cnms
  slopes <- length(term$cnms) > intercept
  c(
    if (intercept) "intercepts",
    if (slopes) paste("effects of", enumerate(gsub(":", " x ", labels, fixed = TRUE)))
  )
}

#' Are several grouping factors nested or crossed?
#' @noRd
paragraph_nesting <- function(object) {
  if (length(object$flist) < 2L) {
    return(NULL)
  }
  groups <- describe_groups(object)
  names <- bare(groups$table$name)
  if (groups$nested) {
    finer <- names[-length(names)]
    paste0(
      "The grouping factors were nested (", paste(paste(finer, "within", names[-1L]),
                                                  collapse = ", "), ")."
    )
  } else {
    paste0(
      "The grouping factors ", enumerate(names), " were ",
      if (length(names) == 2L) "crossed." else "not all nested in each other."
    )
  }
}

#' @noRd
paragraph_residuals <- function(object) {
  residual <- object$residual
  correlation <- residual$correlation
  scales <- residual$scales
  if (is.null(correlation) && length(scales) == 0L && length(residual$fixed) == 0L) {
    return("Residuals were taken as independent with one variance.")
  }
  if (has_known_rows(residual)) {
    return(paste0(
      "The covariances of residuals were taken as ", if (is.null(object$control$sigma)) {
        "proportional to "
      }, "those of a known matrix, ", bare(correlation$group_label), "."
    ))
  }
  product <- !is.null(correlation) && is_product(correlation$type)
  by <- if (length(correlation$covariates) && !product) {
    paste0(" by ", enumerate(bare(correlation$covariates)))
  }
  first <- if (is.null(correlation)) {
    "Residuals were taken as independent"
  } else {
    paste0(
      if (length(correlation$group)) {
        paste("Residuals within", bare(group_as_written(correlation)))
      } else {
        "All residuals"
      },
      " had ", with_article(attributive(structure_words[[correlation$type]]$words)),
      " correlation matrix", by,
      if (product) paste0(" (", correlation_title(correlation), ")"),
      if (length(correlation$by)) {
        paste0(", another for each ", enumerate(bare(correlation$by)))
      }
    )
  }
  paste0(first, ", with ", enumerate(c(
    if (length(scales) == 0L && length(residual$fixed) == 0L) "one variance",
    vapply(scales, paragraph_scale, ""),
    if (length(residual$fixed)) {
      paste("known variances proportional to", enumerate(bare(residual$fixed)))
    }
  )), ".")
}

#' @noRd
paragraph_scale <- function(scale) {
  strata <- bare(enumerate(scale$stratum))
  if (!scale_kind(scale$type)$covariate) {
    return(paste("a separate variance for each level of", strata))
  }
  covariate <- if (scale$fitted) "the fitted values" else bare(scale$covariate)
  paste0(
    "a standard deviation that depended on ", covariate, " as ",
    scale_words[[scale$type]]$formula(covariate),
    if (length(scale$stratum)) paste0(", for each level of ", strata)
  )
}

#' @noRd
paragraph_data <- function(object) {
  subjects <- residual_subjects(object)
  omitted <- length(object$na.action)
  of <- if (length(object$random) == 0L && !is.null(subjects)) {
    paste0(" within ", count_of(subjects$count, "level"), " of ", bare(subjects$name))
  }
  paste0(
    "The analysis used ", count_of(nobs.lmm(object), "observation"), of,
    if (omitted > 0L) {
      paste0("; ", count_of(omitted, "row"), " with missing values ",
             if (omitted == 1L) "was" else "were", " left out")
    }, "."
  )
}

#' @noRd
paragraph_tests <- function(object, method) {
  if (object$rank == 0L) {
    return(NULL)
  }
  switch(ddf_statistic(method),
    z = "Fixed effects were tested by the normal approximation (z tests).",
    none = "Fixed effects were not tested.",
    paste0("Fixed effects were tested by t and F tests with ", paragraph_ddf(method), ".")
  )
}

#' @noRd
paragraph_ddf <- function(method) {
  words <- ddf_methods[[method]]$words
  if (!is.null(words)) {
    return(words)
  }
  kind <- c(
    "Kenward-Roger2" = " with their improved approximation of 2009",
    "Kenward-Roger-linear" = " (for linear covariance structures)"
  )[method]
  name <- if (startsWith(method, "Kenward-Roger")) "Kenward and Roger" else method
  paste0("degrees of freedom by ", name, "'s method", if (!is.na(kind)) kind)
}

#' @noRd
paragraph_optimum <- function(object) {
  certificate <- object$certificate
  from <- if (isTRUE(certificate$starts > 1L)) {
    paste0(
      "The optimiser reached this optimum from ", certificate$agree, " of ", certificate$starts,
      " starting values."
    )
  }
  findings <- paste(trimws(format_findings(object)), collapse = " ")
  switch(certificate$status,
    converged = c(
      paste0(
        "At the estimates the gradient of the ", if (is_estimated(certificate)) "estimated ",
        "criterion was zero and its Hessian positive definite."
      ),
      from
    ),
    singular = c(
      "The fit was singular: its optimum is at the boundary of the covariance parameters.",
      bare(trimws(gsub("(^| )[*] ", " ", findings))), from
    ),
    evaluated = "The parameters of the covariances were given, not estimated.",
    "The optimum could not be proved: the estimates are to be taken with caution."
  )
}

#' @noRd
paragraph_software <- function() {
  paste0(
    "Computations were done in R ", getRversion(), " with the package ferrolmm, version ",
    utils::packageVersion("ferrolmm"), "."
  )
}
