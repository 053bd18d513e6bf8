# tidy(): a fit as a table with the columns and the order of rows of 'broom.mixed'.

#' Fits as tables: `tidy()`, `glance()`, `augment()`
#'
#' The generics are those of 'generics', which 'broom' and 'broom.mixed' use, too; none of these two
#' is needed. Columns have the names that 'broom.mixed' gives them.
#'
#' @section What `tidy()` shows:
#' A row for each parameter or effect, by `effects`:
#'
#' - `"fixed"`: the fixed effects with their tests. Those that were dropped because of rank
#'   deficiency have no row.
#' - `"ran_pars"`: standard deviations and correlations (with `scales = "vcov"` variances and
#'   covariances) of the random effects, the residual standard deviation, and, as rows of the group
#'   `Residual`, the parameters of a residual structure. Their standard errors are those of
#'   [VarCorr.lmm()]. ('broom.mixed' has none, as 'lme4' computes none.)
#' - `"ran_vals"`: the random effects of each level and their conditional standard deviations.
#' - `"ran_coefs"`: fixed plus random effects of each level.
#'
#' Intervals of the fixed effects and of `ran_pars` are those of [confint.lmm()]. Profiles and
#' bootstraps have parameters, not cells: a correlation that a structure derives from others (of an
#' AR(1), all but the first) has limits of `NA` there, as covariances have. Intervals of
#' levels are normal ones around predictions, for `ran_coefs` with the prediction error variance of
#' the sum.
#'
#' @param x A model fitted by [lmm()].
#' @param effects What to show, one or several of `"fixed"`, `"ran_pars"`, `"ran_vals"`,
#'   `"ran_coefs"`.
#' @param scales For each of `effects` a scale: `"sdcor"` (the default) or `"vcov"` for
#'   `"ran_pars"`, `NA` for the others.
#' @param exponentiate Show the exponential function of fixed effects and of their limits, as after
#'   a logarithm of the response? Standard errors are multiplied by it (delta method).
#' @param ran_prefix Two prefixes for the terms of `"ran_pars"`, in place of `sd` and `cor`, or
#'   `var` and `cov`; `NA` for none. What separates them from the effect is
#'   `getOption("broom.mixed.sep1")`, by default two underscores.
#' @param conf.int Show confidence intervals?
#' @param conf.level,level The level of the intervals.
#' @param conf.method `"Wald"`, `"profile"` or `"boot"`, see [confint.lmm()].
#' @param ddf,ddf.method The method for the degrees of freedom of the fixed effects, see [ddf]:
#'   `r ddf_choices()`.
#' @param profile What [profile()][profile.lmm] made of `x`, for `conf.method = "profile"`.
#' @param ... For `conf.method = "boot"`: `nsim`, `seed`, `boot.type`, `use.u` and `threads` of
#'   [confint.lmm()].
#' @returns A data frame, a tibble where 'tibble' is loaded.
#' @seealso [summary.lmm()], [confint.lmm()], [VarCorr.lmm()], [ranef.lmm()], [mice-lmm]
#' @references
#' Bolker, B. and Robinson, D. *broom.mixed: Tidying Methods for Mixed Models*. R package.
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + Sex + (age | Subject), Orthodont)
#' tidy(fit, conf.int = TRUE)
#' tidy(fit, effects = "ran_pars", scales = "vcov")
#' head(tidy(fit, effects = "ran_coefs", conf.int = TRUE))
#' glance(fit)
#' head(augment(fit))
#' @name tidy.lmm
#' @importFrom generics tidy
#' @method tidy lmm
#' @export
tidy.lmm <- function(x, effects = c("ran_pars", "fixed"), scales = NULL, exponentiate = FALSE,
                     ran_prefix = NULL, conf.int = FALSE, conf.level = 0.95, conf.method = "Wald",
                     ddf = "Satterthwaite", ddf.method = NULL, profile = NULL, ...) {
  check_flag(exponentiate, "exponentiate")
  check_flag(conf.int, "conf.int")
  check_level(conf.level, "conf.level")
  conf.method <- match_choice(conf.method, "conf.method", c("Wald", "profile", "boot"))
  # 'mice' passes `parametric`, which is for smooth terms
  check_dots(..., allowed = c(
    "parametric",
    if (conf.int && conf.method == "boot") c("nsim", "seed", "boot.type", "use.u", "threads")
  ))
  effects <- match_effects(effects)
  scale <- match_scales(scales, effects)
  if (!is.null(ddf.method)) ddf <- ddf.method
  method <- match_ddf(ddf)
  check_profile_argument(profile, x, conf.int, conf.method)
  limits <- if (conf.int) {
    parameter_intervals(x, effects, conf.level, conf.method, profile, ...)
  }
  level <- if (conf.int) conf.level
  tables <- list(
    fixed = if ("fixed" %in% effects) tidy_fixed(x, method, level, limits, exponentiate),
    ran_pars = if ("ran_pars" %in% effects) {
      tidy_parameters(x, scale, match_prefix(ran_prefix, scale), level, limits)
    },
    ran_vals = if ("ran_vals" %in% effects) tidy_modes(x, level),
    ran_coefs = if ("ran_coefs" %in% effects) tidy_coefficients(x, level)
  )
  bind_tidied(Filter(Negate(is.null), tables))
}

#' @importFrom generics tidy
#' @export
generics::tidy

# Arguments ----------------------------------------------------------------------------------------

#' @noRd
match_effects <- function(effects) {
  known <- c("fixed", "ran_pars", "ran_vals", "ran_coefs")
  if (!is.character(effects) || length(effects) == 0L || !all(effects %in% known)) {
    ferrolmm_abort(
      paste0("`effects` must be one or several of ", quote_names(known), describe_given(effects),
             "."), "argument"
    )
  }
  effects
}

#' The scale of ran_pars
#' @noRd
match_scales <- function(scales, effects) {
  if (is.null(scales)) {
    return("sdcor")
  }
  own <- effects == "ran_pars"
  valid <- is.atomic(scales) && length(scales) == length(effects) && all(is.na(scales[!own])) &&
    all(scales[own] %in% c("sdcor", "vcov"))
  if (!valid) {
    ferrolmm_abort(
      paste0("`scales` must have an element for each of `effects`, \"sdcor\" or \"vcov\" for ",
             "\"ran_pars\" and NA for others", describe_given(scales), "."), "argument"
    )
  }
  c(scales[own], "sdcor")[[1L]]
}

#' @noRd
match_prefix <- function(prefix, scale) {
  if (is.null(prefix)) {
    return(if (scale == "vcov") c("var", "cov") else c("sd", "cor"))
  }
  if (!identical(prefix, NA) && (!is.character(prefix) || length(prefix) != 2L || anyNA(prefix))) {
    ferrolmm_abort(
      paste0("`ran_prefix` must be two strings, as in c(\"sd\", \"cor\"), or NA for none",
             describe_given(prefix), "."), "argument"
    )
  }
  prefix
}

#' @noRd
check_profile_argument <- function(profile, object, conf_int, method) {
  if (is.null(profile)) {
    return(invisible())
  }
  if (!conf_int || method != "profile") {
    ferrolmm_abort(
      "`profile` is for conf.int = TRUE, conf.method = \"profile\".", "argument"
    )
  }
  own <- inherits(profile, "profile.lmm") &&
    identical(attr(profile, "parameters")$new, parameter_names(object, FALSE))
  if (!own) {
    ferrolmm_abort(
      "`profile` must be what profile() made of this fit.", "argument"
    )
  }
}

# Tables -------------------------------------------------------------------------------------------

#' Limits of all parameters by profile or bootstrap, NA for those that are not asked for; NULL for
#' Wald's method
#' @noRd
parameter_intervals <- function(object, effects, level, method, profile, ...) {
  if (method == "Wald") {
    return(NULL)
  }
  if ("ran_vals" %in% effects || "ran_coefs" %in% effects) {
    ferrolmm_abort(
      paste0("Random effects are no parameters: they have no interval by ", method, "."),
      "argument", i = "Use conf.method = \"Wald\", or ask for them in another call."
    )
  }
  names <- parameter_names(object, TRUE)
  limits <- matrix(NA_real_, length(names), 2L)
  if (!is.null(profile)) {
    at <- match(levels(profile[[".par"]]), names(profile)) - 1L
    limits[at, ] <- confint.profile.lmm(profile, level = level)
    return(limits)
  }
  n_variance <- count_variance(object)
  wanted <- c(
    if ("ran_pars" %in% effects) seq_len(n_variance),
    if ("fixed" %in% effects) n_variance + seq_along(object$coefficients)
  )
  arguments <- list(...)
  arguments$parametric <- NULL
  limits[wanted, ] <- do.call(
    confint.lmm, c(list(object, wanted, level = level, method = method), arguments)
  )
  limits
}

#' @noRd
tidy_fixed <- function(object, method, level, limits, exponentiate) {
  inference <- ddf_for(object, method)
  tests <- test_rows(inference, diag(object$rank))
  table <- data.frame(
    term = names(fixef.lmm(object)), estimate = tests$estimate, std.error = tests$se,
    statistic = tests$statistic
  )
  if (inference$statistic == "t") table$df <- tests$df
  if (inference$statistic != "none") table$p.value <- tests$p
  if (!is.null(level)) {
    if (is.null(limits)) {
      half <- half_widths(inference, tests, level)
      limits <- cbind(tests$estimate - half, tests$estimate + half)
    } else {
      limits <- limits[count_variance(object) + kept_columns(object), , drop = FALSE]
    }
    table$conf.low <- limits[, 1L]
    table$conf.high <- limits[, 2L]
  }
  if (exponentiate) {
    shown <- intersect(c("estimate", "conf.low", "conf.high"), names(table))
    table[shown] <- lapply(table[shown], exp)
    table$std.error <- table$std.error * table$estimate
  }
  table
}

#' @noRd
tidy_parameters <- function(object, scale, prefix, level, limits) {
  random <- random_parameters(object, scale, level, limits)
  residual <- residual_rows(object, level, limits)
  random$term <- parameter_terms(random$var1, random$var2, prefix)
  table <- rbind(random[names(residual)], residual)
  row.names(table) <- NULL
  table
}

#' The cells of VarCorr() and sigma, with their standard errors and limits
#' @noRd
random_parameters <- function(object, scale, level, limits) {
  rows <- varcorr_table(
    VarCorr.lmm(object, se = TRUE), "lower.tri", if (is.null(level)) 0.95 else level
  )
  variance <- scale == "vcov"
  single <- is.na(rows$var2)
  table <- data.frame(
    group = rows$grp, term = "", estimate = rows[[scale]], std.error = rows[[paste0("se.", scale)]],
    var1 = rows$var1, var2 = rows$var2
  )
  if (is.null(level)) {
    return(table)
  }
  if (is.null(limits)) {
    limits <- cbind(rows$conf.low, rows$conf.high)
    if (variance) {
      covariances <- parameter_limits(rows$vcov, rows$se.vcov, rep_len("real", nrow(rows)), level)
      limits[single, ] <- limits[single, ]^2
      limits[!single, ] <- covariances[!single, ]
    }
  } else {
    limits <- limits[parameters_of_cells(object), , drop = FALSE]
    if (variance) {
      limits <- limits^2
      limits[!single, ] <- NA_real_
    }
  }
  cbind(table, conf.low = limits[, 1L], conf.high = limits[, 2L])
}

#' Which parameter each row of as.data.frame(VarCorr(), order = "lower.tri") is; NA for cells that
#' are none themselves
#' @noRd
parameters_of_cells <- function(object) {
  own <- varcorr_cells(object)
  sizes <- block_sizes(object$random)
  all <- lapply(seq_along(sizes), function(t) {
    cells <- varcorr_order(sizes[[t]], "lower.tri")
    paste(rep.int(t, nrow(cells)), cells[, 1L], cells[, 2L])
  })
  c(match(unlist(all), paste(own$block, own$i, own$j)), count_variance(object))
}

#' The parameters of the residual structure
#' @noRd
residual_rows <- function(object, level, limits) {
  at <- length(object$theta) + seq_along(object$phi)
  table <- if (length(at) > 0L) varcorr_uncertainty(object)
  table <- table[table$part == "residual", ]
  rows <- data.frame(
    group = rep.int("Residual", length(at)), term = sub("^residual[.]", "", names(object$phi)),
    estimate = unname(object$phi), std.error = as.double(table$se.sdcor)
  )
  if (!is.null(level)) {
    limits <- if (!is.null(limits)) {
      limits[at, , drop = FALSE]
    } else {
      parameter_limits(unname(object$phi), rows$std.error, phi_kinds(object$residual), level)
    }
    rows$conf.low <- limits[, 1L]
    rows$conf.high <- limits[, 2L]
  }
  rows
}

#' "sd__(Intercept)", "cor__(Intercept).Days", "sd__Observation"
#' @noRd
parameter_terms <- function(var1, var2, prefix) {
  pair <- !is.na(var2)
  names <- ifelse(is.na(var1), "Observation", ifelse(pair, paste(var1, var2, sep = "."), var1))
  if (identical(prefix, NA)) {
    return(names)
  }
  paste(prefix[1L + pair], names, sep = getOption("broom.mixed.sep1", "__"))
}

#' @noRd
tidy_modes <- function(object, level) {
  modes <- as.data.frame.ranef.lmm(ranef.lmm(object))
  with_normal_limits(
    data.frame(
      group = modes$grpvar, level = as.character(modes$grp), term = as.character(modes$term),
      estimate = modes$condval,
      std.error = if (nrow(modes) > 0L) modes$condsd else double()
    ),
    level
  )
}

#' @noRd
tidy_coefficients <- function(object, level) {
  if (length(object$random) == 0L) {
    return(tidy_modes(object, level)[if (is.null(level)) 1:4 else 1:7])
  }
  tables <- unclass(coef.lmm(object))
  rows <- Map(function(table, i) {
    rows <- data.frame(
      group = names(tables)[[i]], level = rep.int(row.names(table), ncol(table)),
      term = rep(names(table), each = nrow(table)), estimate = unlist(table, use.names = FALSE)
    )
    if (!is.null(level)) {
      rows$std.error <- object$sigma * sqrt(as.vector(coefficient_variances(object, i)))
    }
    rows
  }, tables, seq_along(tables))
  with_normal_limits(do.call(rbind, unname(rows)), level)
}

#' @noRd
with_normal_limits <- function(table, level) {
  if (!is.null(level)) {
    half <- stats::qnorm((1 + level) / 2) * table$std.error
    table$conf.low <- table$estimate - half
    table$conf.high <- table$estimate + half
  }
  table
}

#' One table of all, with the columns that any of them has
#' @noRd
bind_tidied <- function(tables) {
  order <- c(
    "effect", "group", "level", "term", "estimate", "std.error", "statistic", "df", "p.value",
    "conf.low", "conf.high"
  )
  tables <- Map(
    function(table, effect) {
      cbind(effect = rep.int(effect, nrow(table)), table)
    }, tables, names(tables)
  )
  columns <- intersect(order, unlist(lapply(tables, names)))
  filled <- lapply(tables, function(table) {
    text <- columns %in% c("effect", "group", "level", "term")
    missing <- setdiff(columns, names(table))
    for (name in missing) {
      table[[name]] <- rep(if (text[columns == name]) NA_character_ else NA_real_, nrow(table))
    }
    table[columns]
  })
  as_tidied(do.call(rbind, unname(filled)))
}

#' A data frame that is a tibble wherever 'tibble' is loaded
#' @noRd
as_tidied <- function(table) {
  row.names(table) <- NULL
  class(table) <- c("tbl_df", "tbl", "data.frame")
  table
}
