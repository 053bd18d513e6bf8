# A fit, and what was called on it, against the dense model. Each check returns a list of
# differences, list(head, message); NULL where nothing differs or the data leave no digits to compare.

difference <- function(head, what, ours, reference) {
  list(outcome = "difference", head = head, class = "",
       message = paste0(what, ": ", format(ours, digits = 10), " here, ",
                        format(reference, digits = 10), " by the oracle"))
}

# The largest deviation in units of `scale` beyond `tolerance`, told with both values
compare <- function(head, what, ours, reference, scale, tolerance) {
  ours <- as.vector(ours)
  reference <- as.vector(reference)
  if (length(ours) != length(reference)) {
    return(list(difference(head, paste(what, "length"), length(ours), length(reference))))
  }
  if (length(ours) == 0L) return(NULL)
  off <- abs(ours - reference) / scale
  off[is.na(ours) & is.na(reference)] <- 0
  off[is.na(off)] <- Inf
  if (max(off) > tolerance) {
    worst <- which.max(off)
    return(list(difference(head, what, ours[[worst]], reference[[worst]])))
  }
  NULL
}

# Context of a fit: dense model, solution, tolerance; NULL where the oracle has no digits
make_context <- function(p, fit) {
  model <- oracle_model(p, fit)
  if (length(fit$fitted.values) != model$n) {
    return(list(differences = list(difference("lmm", "rows", length(fit$fitted.values), model$n))))
  }
  if (ncol(model$X) != length(fit$coefficients)) {
    return(list(differences = list(
      difference("lmm", "columns of X", length(fit$coefficients), ncol(model$X))
    )))
  }
  sizes <- vapply(model$terms, `[[`, 1, "size")
  if (sum(sizes) != length(fit$theta)) {
    return(list(differences = list(
      difference("lmm", "parameters in theta", length(fit$theta), sum(sizes))
    )))
  }
  if (!identical(unname(vapply(model$terms, `[[`, 1L, "k")), unname(lengths(fit$cnms)))) {
    return(list(differences = list(
      difference("lmm", "effects of the terms", toString(lengths(fit$cnms)),
                 toString(vapply(model$terms, `[[`, 1L, "k")))
    )))
  }
  kept <- which(!is.na(fit$coefficients))
  solved <- tryCatch(
    oracle_solve(model, unname(fit$theta), unname(fit$phi), kept),
    error = function(e) e
  )
  if (inherits(solved, "error")) {
    # a correlation of 1 or -1: R has no root
    if (!is.null(model$residual$blocks)) return(list(skipped = "R has no root"))
    stop(solved)
  }
  spread <- range(model$residual$w)
  sds <- range(relative_sd(model$residual, unname(fit$phi)))
  if (!is_settled(fit) && sds[[2L]] > 1e5 * sds[[1L]]) {
    return(list(skipped = "variances without bound, warned of"))
  }
  list(
    p = p, fit = fit, model = model, kept = kept, solved = solved,
    tolerance = max(1e-6, 1e4 * solved$loss), extreme = spread[[2L]] / spread[[1L]] > 1e8
  )
}

check_fit <- function(context) {
  fit <- context$fit
  solved <- context$solved
  model <- context$model
  tolerance <- context$tolerance
  if (tolerance > 1e-2 || !is.finite(solved$criterion)) return(NULL)
  n <- model$n
  se <- solved$sigma * sqrt(diag(solved$C))
  size <- n + abs(solved$criterion)
  # another criterion is another model: all else differs too
  found <- compare("lmm", "criterion", fit$criterion, solved$criterion, size, tolerance)
  if (!is.null(found)) return(found)
  found <- c(
    compare("logLik", "the other likelihood", -2 * as.numeric(logLik(fit, REML = !model$reml)),
            solved$other, size, tolerance),
    compare("sigma", "sigma", sigma(fit), solved$sigma, solved$sigma, tolerance),
    compare("fixef", "coefficients", unname(fixef(fit)), solved$beta,
            se + 1e-6 * abs(solved$beta), tolerance),
    compare("vcov", "covariance", vcov(fit), solved$sigma^2 * solved$C, outer(se, se),
            10 * tolerance),
    compare("fitted", "fitted values", fit$fitted.values, solved$fitted,
            solved$sigma * solved$sd + 1e-6 * abs(solved$fitted), tolerance)
  )
  if (length(model$terms) > 0L) found <- c(found, check_effects(context))
  found
}

check_effects <- function(context) {
  fit <- context$fit
  solved <- context$solved
  effects <- ranef(fit)
  assign <- attr(fit$flist, "assign")
  found <- NULL
  used <- integer(length(fit$flist))
  for (i in seq_along(context$model$terms)) {
    z <- context$model$terms[[i]]
    own <- oracle_effects(context$model, solved, i)
    factor <- assign[[i]]
    table <- effects[[factor]]
    columns <- used[[factor]] + seq_len(z$k)
    used[[factor]] <- used[[factor]] + z$k
    first <- match(seq_len(z$levels), z$code)
    row <- as.integer(fit$flist[[factor]])[first]
    # of the class with the largest
    sd <- solved$sigma * do.call(pmax, lapply(own$F, function(F) sqrt(rowSums(F^2))))
    ours <- as.matrix(table)[row, columns, drop = FALSE]
    # what rounding leaves of an effect that is not there, beside those that are
    unit <- pmax(sqrt(colMeans(z$basis^2)), 1e-300)
    sd <- sd + 1e-4 * max(solved$sigma, sd * unit) / unit
    scale <- rep(sd, each = z$levels) + 1e-6 * abs(own$values)
    found <- c(found, compare("ranef", "effects", ours, own$values, scale, 10 * context$tolerance))
    variances <- attr(table, "postVar")
    if (is.list(variances)) variances <- variances[[sum(assign[seq_len(i)] == factor)]]
    for (level in unique(c(1L, z$levels, (z$levels + 1L) %/% 2L))) {
      W <- kronecker(own$F[[z$class[[level]]]], own$level[level, , drop = FALSE])
      reference <- solved$sigma^2 * W %*% solved$M[own$own, own$own] %*% t(W)
      found <- c(found, compare(
        "ranef", "conditional variance", variances[, , row[[level]]], reference,
        outer(sd, sd), 10 * context$tolerance
      ))
    }
  }
  found
}

# Rank as it can be told beyond doubt
check_rank <- function(context) {
  if (context$extreme) return(NULL)
  X <- context$model$X / sqrt(context$model$residual$w)^-1
  norms <- sqrt(colSums(X^2))
  X <- X[, norms > 0, drop = FALSE] / rep(norms[norms > 0], each = nrow(X))
  if (ncol(X) == 0L) return(NULL)
  d <- svd(X, 0L, 0L)$d
  ranks <- c(sum(d > 1e-4 * d[1L]), sum(d > 1e-10 * d[1L]))
  if (ranks[[1L]] == ranks[[2L]] && ranks[[1L]] != length(context$kept)) {
    list(difference("lmm", "rank", length(context$kept), ranks[[1L]]))
  }
}

# V formed, where it is not nearly singular
check_by_v <- function(context) {
  other <- tryCatch(
    dense_criterion_by_v(context$model, unname(context$fit$theta), unname(context$fit$phi),
                         context$kept),
    error = function(e) NULL
  )
  if (is.null(other) || other$rcond < 1e-8) return(NULL)
  compare("lmm", "criterion by V", context$fit$criterion, other$value,
          context$model$n + abs(other$value), max(1e-6, 10 * context$tolerance))
}

# A perfect fit is told where there is none: what X and Z leave of y
false_perfect_fit <- function(p) {
  tryCatch({
    frame <- oracle_frame(p)
    X <- stats::model.matrix(stats::terms(fixed_formula(p)), frame)
    Z <- lapply(expand_terms(p$random), function(term) {
      z <- term_design(term, frame)
      indicator <- diag(z$levels)[z$code, , drop = FALSE]
      do.call(cbind, lapply(seq_len(ncol(z$basis)), function(j) indicator * z$basis[, j]))
    })
    w <- stats::model.weights(frame)
    root <- if (is.null(w)) 1 else sqrt(w)
    offset <- stats::model.offset(frame)
    y <- (frame[[1L]] - if (is.null(offset)) 0 else offset) * root
    left <- qr.resid(qr(cbind(X, do.call(cbind, Z)) * root, tol = 1e-9), y)
    # and not some units in the last place of the response, which are rounding errors of y - Xb
    sum(left^2) > max(1e-12 * sum((y - mean(y))^2), (50 * .Machine$double.eps)^2 * sum(y^2))
  }, error = function(e) FALSE)
}

# Optimum ------------------------------------------------------------------------------------------

parameter_bounds <- function(model, phi) {
  lower <- upper <- double()
  for (z in model$terms) {
    k <- z$k
    if (z$structure == "us") {
      low <- matrix(-Inf, k, k)
      diag(low) <- 0
      lower <- c(lower, rep(low[lower.tri(low, TRUE)], z$classes))
      upper <- c(upper, rep(Inf, z$size))
    } else {
      sds <- if (z$hom) 1L else k
      others <- z$each - sds
      least <- if (z$structure == "cs") -1 / (k - 1) else -1
      lower <- c(lower, rep(c(rep(0, sds), rep(least + 1e-6, others)), z$classes))
      upper <- c(upper, rep(c(rep(Inf, sds), rep(1 - 1e-6, others)), z$classes))
    }
  }
  sizes <- scale_sizes(model$residual)
  own <- length(phi) - sum(sizes)
  if (own > 0L) {
    correlation <- model$residual$correlation
    kind <- correlation$type
    low <- switch(kind, car1 = 1e-6, ar1 = , us = , toep = , ante = , cs = -1 + 1e-6, arma = -1.9,
                  1e-6)
    high <- if (kind %in% c("exp", "gaus", "lin", "ratio", "spher")) Inf else
      if (kind == "arma") 1.9 else 1 - 1e-6
    lower <- c(lower, rep(low, own))
    upper <- c(upper, rep(high, own))
    if (isTRUE(correlation$nugget)) upper[length(upper)] <- 1 - 1e-6
  }
  for (i in seq_along(sizes)) {
    positive <- model$residual$scales[[i]]$type == "ident"
    lower <- c(lower, rep(if (positive) 1e-6 else -Inf, sizes[[i]]))
    upper <- c(upper, rep(Inf, sizes[[i]]))
  }
  list(lower = lower, upper = upper)
}

# Fits that were warned of promise no optimum. With a residual structure the likelihood may have no
# bound; without one the warning explains no optimum above another.
is_settled <- function(fit) fit$certificate$status %in% c("converged", "singular")

# Which parameters grow with the random effects: entries of T, or standard deviations
grows <- function(model) {
  unlist(lapply(model$terms, function(z) {
    if (z$structure == "us") return(rep(TRUE, z$size))
    rep(seq_len(z$each) <= if (z$hom) 1L else z$k, z$classes)
  }))
}

# A criterion below the fit's is no optimum where it falls on for ever with the ratio of random effects to
# residuals, by the same for each factor of two: the likelihood has no bound. The fit's optimum is then
# one of several answers, and the fit has to say so (certificate$vanishing). Falls of more than 1 need few
# digits of the criterion.
has_no_bound <- function(context, par) {
  own <- grows(context$model)
  if (!isTRUE(context$fit$certificate$vanishing > 0L) || length(par) != length(own)) return(FALSE)
  objective <- oracle_objective(context)
  bounds <- parameter_bounds(context$model, double())
  size <- sqrt(sum(par[own]^2))
  of_size <- function(par, at = size * 2^step) {
    par[own] <- par[own] * at / sqrt(sum(par[own]^2))
    par
  }
  value <- double(4L)
  # on from the point, or up to it where it is far out already
  steps <- if (objective(of_size(par, 16 * size), 1e-4) < 1e100) 1:4 else -6:-3
  for (step in steps) {
    run <- stats::nlminb(of_size(par), function(par) objective(of_size(par), loss = 1e-4),
                         lower = bounds$lower, upper = bounds$upper,
                         control = list(eval.max = 400L, iter.max = 150L))
    par <- of_size(run$par)
    value[[match(step, steps)]] <- run$objective
  }
  falls <- -diff(value)
  all(falls > 1) && max(falls) < 1.3 * min(falls)
}

# The criterion as a function of theta and phi, 1e100 where it has too few digits
oracle_objective <- function(context) {
  n_theta <- length(context$fit$theta)
  function(par, loss = 1e-9) {
    value <- tryCatch(
      oracle_solve(context$model, par[seq_len(n_theta)], par[seq_along(par) > n_theta],
                   context$kept, FALSE),
      error = function(e) NULL
    )
    good <- !is.null(value) && is.finite(value$criterion) && (n_theta == 0L || value$loss <= loss)
    if (good) value$criterion else 1e100
  }
}

check_optimum <- function(context, starts = if (is.null(context$p$residual)) 3L else 2L) {
  p <- context$p
  fit <- context$fit
  free <- is.null(p$hold) && is.null(p$tie) && !isTRUE(p$residual$correlation$fixed) &&
    !any(vapply(p$residual$scales, function(s) isTRUE(s$fitted), NA))
  at <- c(unname(fit$theta), unname(fit$phi))
  if (!free || !is_settled(fit) && !is.null(p$residual) || length(at) == 0L || length(at) > 7L ||
        context$tolerance > 1e-5) {
    return(NULL)
  }
  model <- context$model
  if (model$n > if (is.null(p$residual)) 130L else 70L) return(NULL)
  objective <- oracle_objective(context)
  bounds <- parameter_bounds(model, unname(fit$phi))
  best <- list(objective = Inf)
  for (s in seq_len(starts)) {
    start <- if (s == 1L) {
      at + 1e-3 * stats::rnorm(length(at))
    } else {
      theta <- unlist(lapply(model$terms, function(z) {
        unit <- 1 / sqrt(colMeans(z$basis^2))
        sd <- unit * 10^stats::runif(z$k, -1.2, 1.2)
        if (z$structure == "us") {
          T <- diag(sd, z$k)
          return(rep(T[lower.tri(T, TRUE)], z$classes))
        }
        sds <- if (z$hom) 1L else z$k
        rep(c(sd[seq_len(sds)], rep(0.1, z$each - sds)), z$classes)
      }))
      phi <- unname(fit$phi)
      c(theta, phi * stats::runif(length(phi), 0.3, 1.2))
    }
    start <- pmin(pmax(start, bounds$lower), bounds$upper)
    found <- tryCatch(
      stats::nlminb(start, objective, lower = bounds$lower, upper = bounds$upper,
                    control = list(eval.max = 400L, iter.max = 150L)),
      error = function(e) list(objective = Inf)
    )
    if (found$objective < best$objective) best <- found
  }
  lowest <- best$objective
  if (lowest < fit$criterion - 1e-6 * (model$n + abs(lowest)) &&
        !has_no_bound(context, best$par)) {
    list(difference("lmm", paste0("optimum (", fit$certificate$status, ")"), fit$criterion, lowest))
  }
}

# lme4's optimum, for models that both have
check_lme4 <- function(context) {
  p <- context$p
  plain <- is.null(p$residual) && is.null(p$sigma) && is.null(p$hold) && is.null(p$tie) &&
    length(p$objects) == 0L && all(vapply(p$random, function(t) {
      t$structure == "us" && is.null(t$by) && !(t$double && any(vapply(
        p$data[intersect(all.vars(t$lhs), names(p$data))], function(x) !is.numeric(x), NA
      )))
    }, NA))
  if (!plain || !here_is("lme4") || context$tolerance > 1e-5 || context$extreme) return(NULL)
  call <- fit_call(p)
  call[[1L]] <- quote(lme4::lmer)
  call$control <- quote(lme4::lmerControl(
    check.nobs.vs.nlev = "ignore", check.nobs.vs.nRE = "ignore", check.nobs.vs.rankZ = "ignore",
    check.nlev.gtr.1 = "ignore", calc.derivs = FALSE, check.scaleX = "ignore"
  ))
  other <- tryCatch(
    suppressWarnings(suppressMessages(eval(call, list(d = p$data), globalenv()))),
    error = function(e) NULL
  )
  # its rows of weight zero and its drops of columns are its own
  if (is.null(other) || stats::nobs(other) != context$model$n) return(NULL)
  theirs <- if (lme4::isREML(other)) lme4::REMLcrit(other) else stats::deviance(other)
  if (length(lme4::fixef(other)) != length(context$kept)) return(NULL)
  # theirs at their theta by the oracle, for their aliased columns may be others
  if (theirs < context$fit$criterion - 1e-6 * (context$model$n + abs(theirs))) {
    theta <- tryCatch(own_order(other, context), error = function(e) NULL)
    again <- tryCatch(
      oracle_solve(context$model, theta, double(), context$kept, FALSE), error = function(e) NULL
    )
    if (!is.null(again) &&
          again$criterion < context$fit$criterion - 1e-6 * (context$model$n + abs(theirs)) &&
          !has_no_bound(context, theta)) {
      list(difference("lmm", paste0("lme4's optimum (", context$fit$certificate$status, ")"),
                      context$fit$criterion, again$criterion))
    }
  }
}

# lme4's theta in the order of our terms: by group and effect names
own_order <- function(other, context) {
  theta <- lme4::getME(other, "theta")
  unname(theta[match(names(context$fit$theta), names(theta))])
}

# Calls ------------------------------------------------------------------------------------------

check_call <- function(check, call, value, context) {
  if (is.null(context$solved) || context$tolerance > 1e-3) return(NULL)
  switch(check,
    predict = check_predict(call, value, context, NULL),
    predict_new = check_predict(call, value, context, context$p$new),
    hatvalues = check_hatvalues(value, context), residuals = check_residuals(call, value, context),
    getME = check_component(call, value, context), NULL
  )
}

predicted_parts <- function(value) {
  fit <- if (is.list(value)) value$fit else value
  list(fit = if (is.matrix(fit)) fit[, "fit"] else fit, se = if (is.list(value)) value$se.fit,
       lower = if (is.matrix(fit)) fit[, "lwr"], upper = if (is.matrix(fit)) fit[, "upr"])
}

check_predict <- function(call, value, context, new) {
  solved <- context$solved
  own <- predicted_parts(value)
  population <- !is.null(call$re.form)
  if (is.null(new)) {
    x <- solved$X
    a <- solved$random$matrix
    offset <- context$model$offset
    extra <- 0
    kept_rows <- !is.na(own$fit)
    own$fit <- own$fit[kept_rows]
    own$se <- own$se[!is.na(own$se)]
  } else {
    # levels of other factors that the rows of the fit have not are not the oracle's matter
    design <- tryCatch(new_design(context, new), error = function(e) {
      if (grepl("new level", conditionMessage(e), fixed = TRUE)) NULL else stop(e)
    })
    if (is.null(design)) return(NULL)
    x <- design$x
    a <- design$a
    offset <- design$offset
    extra <- design$extra
  }
  reference <- drop(x %*% solved$beta) + offset
  variance <- fixed_variances(solved, x)
  if (!population) {
    if (solved$q > 0L) reference <- reference + drop(a %*% solved$u)
    variance <- prediction_variances(solved, x, a) + extra
  }
  known <- rep(TRUE, length(reference))
  if (length(context$kept) < ncol(context$model$X)) known <- !is.na(own$fit)
  size <- solved$sigma * sqrt(pmax(ifelse(is.na(variance), 1, variance), 0)) +
    1e-6 * abs(reference) + 1e-6 * solved$sigma
  found <- compare("predict", if (is.null(new)) "predictions" else "predictions of new rows",
                   own$fit[known], reference[known], size[known], 10 * context$tolerance)
  if (!is.null(own$se) && !anyNA(variance)) {
    found <- c(found, compare(
      "predict", "standard errors", own$se[known], (solved$sigma * sqrt(pmax(variance, 0)))[known],
      size[known], 20 * context$tolerance
    ))
  }
  if (!is.null(own$lower)) {
    ordered <- own$lower <= own$upper
    if (any(!ordered, na.rm = TRUE)) {
      found <- c(found, list(difference("predict", "limits in order", 0, 1)))
    }
  }
  found
}

typed_key <- function(x) {
  if (is.factor(x) || is.character(x)) {
    x <- as.character(x)
    ifelse(is.na(x), "\001", x)
  } else {
    sprintf("%.17g", as.numeric(x))
  }
}

new_design <- function(context, new) {
  p <- context$p
  model <- context$model
  if (nrow(new) == 0L) return(NULL)
  variables <- c(if (length(p$fixed)) p$fixed else list(1), lapply(p$random, `[[`, "lhs"))
  whole <- stats::as.formula(call("~", sum_of(variables)), globalenv())
  trained <- stats::model.frame(whole, p$data, na.action = stats::na.pass)
  levels <- lapply(model$frame[intersect(names(trained), names(model$frame))], function(x) {
    if (is.factor(x)) levels(x) else if (is.character(x)) sort(unique(x))
  })
  frame <- stats::model.frame(stats::terms(trained), new, na.action = stats::na.pass,
                              xlev = Filter(Negate(is.null), levels))
  x <- stats::model.matrix(stats::delete.response(stats::terms(fixed_formula(p))), frame,
                           contrasts.arg = attr(model$X, "contrasts"))
  x <- x[, context$kept, drop = FALSE]
  n <- nrow(new)
  a <- matrix(0, n, context$solved$q)
  extra <- numeric(n)
  before <- 0L
  for (i in seq_along(model$terms)) {
    z <- model$terms[[i]]
    F <- context$solved$random$roots[[i]]
    basis <- stats::model.matrix(
      stats::as.formula(call("~", z$term$lhs), globalenv()), frame
    )
    old <- do.call(paste, c(lapply(model$frame[z$group], typed_key), sep = "\002"))
    fresh <- do.call(paste, c(lapply(new[z$group], typed_key), sep = "\002"))
    code <- z$code[match(fresh, old)]
    class <- z$class[code]
    if (is.null(z$by)) {
      class[is.na(code)] <- 1L
    } else if (anyNA(code)) {
      known <- do.call(paste, c(lapply(model$frame[z$by], typed_key), sep = "\002"))
      own <- do.call(paste, c(lapply(new[z$by], typed_key), sep = "\002"))
      class[is.na(code)] <- ordered_codes(model$frame[z$by])[match(own, known)][is.na(code)]
    }
    B <- times_roots(basis[, z$column, drop = FALSE], F, class)
    root <- if (is.null(z$K)) diag(z$levels) else z$root
    for (row in which(!is.na(code))) {
      for (j in seq_len(z$k)) {
        at <- before + (j - 1L) * z$levels + seq_len(z$levels)
        a[row, at] <- B[row, j] * root[code[[row]], ]
      }
    }
    extra[is.na(code)] <- extra[is.na(code)] + rowSums(B^2)[is.na(code)]
    if (!is.null(z$K)) {
      # levels of the matrix without rows: their effects are predicted
      label <- as.character(new[[z$group]])
      if (any(is.na(code) & label %in% rownames(p$objects[[1L]]))) return(NULL)
      if (anyNA(code)) extra[is.na(code)] <- NA
    }
    before <- before + z$levels * z$k
  }
  offset <- if (is.null(p$arguments$offset)) 0 else eval(p$arguments$offset, new)
  list(x = x, a = a, extra = extra, offset = offset)
}

check_hatvalues <- function(value, context) {
  solved <- context$solved
  reference <- prediction_variances(solved, solved$X, solved$random$matrix) / solved$sd^2
  compare("hatvalues", "leverages", value[!is.na(value)], reference, 1, 10 * context$tolerance)
}

check_residuals <- function(call, value, context) {
  solved <- context$solved
  response <- context$model$y - solved$fitted
  scale <- solved$sigma * solved$sd + 1e-6 * abs(solved$fitted)
  value <- value[!is.na(value)]
  type <- call$type
  if (type %in% c("response", "working")) {
    return(compare("residuals", type, value, response, scale, 10 * context$tolerance))
  }
  if (type %in% c("pearson", "deviance", "scaled")) {
    unit <- solved$sd * if (type == "scaled") solved$sigma else 1
    return(compare("residuals", type, value, response / unit, scale / unit,
                   10 * context$tolerance))
  }
  if (type == "normalized" && !is.null(solved$roots)) {
    reference <- whiten(context$model, context$fit$phi, as.matrix(response), solved$sd,
                        solved$roots) / solved$sigma
    least <- min(vapply(solved$roots, function(L) min(diag(L)), 1))
    return(compare("residuals", type, sum(value^2), sum(reference^2), sum(reference^2),
                   100 * context$tolerance / least^2))
  }
  if (type == "std_conditional" && is.null(solved$roots)) {
    h <- prediction_variances(solved, solved$X, solved$random$matrix) / solved$sd^2
    usable <- h < 1 - 1e-5
    reference <- response / (solved$sigma * solved$sd * sqrt(1 - pmin(h, 1)))
    if (length(value) != length(reference)) return(NULL)
    return(compare("residuals", type, value[usable], reference[usable],
                   (1 + abs(reference[usable])) / (1 - h[usable]), 100 * context$tolerance))
  }
  NULL
}

check_component <- function(call, value, context) {
  name <- call[[3L]]
  solved <- context$solved
  fit <- context$fit
  tolerance <- 10 * context$tolerance
  if (solved$q == 0L || context$model$n > 150L) return(NULL)
  covariance <- function(root) compare(
    "getME", paste("Z Var(b) Z' from", name), as.matrix(Matrix::tcrossprod(root)),
    tcrossprod(solved$random$matrix),
    max(diag(tcrossprod(solved$random$matrix))) + 1e-12, tolerance
  )
  switch(name,
    Z = compare("getME", "X beta + Z b", drop(solved$X %*% fixef(fit)) + as.vector(value %*% fit$b) +
                  solved$offset, fit$fitted.values,
                solved$sigma * solved$sd + 1e-6 * abs(fit$fitted.values), tolerance),
    X = compare("getME", "X", value, solved$X, 1 + abs(solved$X), 1e-9),
    Lambda = covariance(getME(fit, "Z") %*% value),
    Lambdat = covariance(getME(fit, "Z") %*% Matrix::t(value)),
    A = covariance(Matrix::t(value)),
    devfun = compare("getME", "devfun at theta", value(fit$theta), fit$criterion,
                     context$model$n + abs(fit$criterion), tolerance),
    NULL
  )
}
