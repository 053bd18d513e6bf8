# The model of a problem as dense matrices, from the problem's own description: nothing of the
# package is used but the numbers theta and phi of its fit.
#
#   y = offset + X beta + sum_t Z_t b_t + e,  Var(b_t) = sigma^2 K_t x G_t(theta),  Var(e) = sigma^2 R
#
# With R = LL' and roots F_t of K_t x G_t, beta and the spherical u solve the least squares problem
#   | L^-1 (y - X beta - Z F u) |^2 + |u|^2,
# by Householder QR of the augmented matrix (Bates et al. 2015, section 3), which keeps its digits
# where V is nearly singular; dense_criterion_by_v() forms V instead.

# Rows -------------------------------------------------------------------------------------------

# The rows that a fit uses, by R's own model.frame(): all variables, subset, missing values, weights
oracle_frame <- function(p) {
  terms <- expand_terms(p$random)
  variables <- c(
    if (length(p$fixed)) p$fixed else list(1), lapply(p$random, `[[`, "lhs"),
    lapply(unique(unlist(lapply(terms, `[`, c("group", "by")))), as.name),
    lapply(unique(c(p$residual$correlation$columns, p$residual$correlation$groups,
                    unlist(lapply(p$residual$scales, function(s) c(s$stratum, s$covariate))))),
           as.name)
  )
  whole <- stats::as.formula(call("~", as.name(p$response), sum_of(variables)), globalenv())
  call <- as.call(c(
    list(quote(stats::model.frame), whole, data = quote(d), na.action = quote(stats::na.omit),
         drop.unused.levels = TRUE),
    p$arguments[intersect(names(p$arguments), c("subset", "offset"))],
    if (is.name(p$arguments$weights)) list(weights = p$arguments$weights)
  ))
  frame <- eval(call, list(d = p$data), globalenv())
  w <- stats::model.weights(frame)
  if (!is.null(w) && any(w == 0)) {
    attributes <- attributes(frame)
    frame <- frame[w > 0, , drop = FALSE]
    frame[] <- lapply(frame, function(x) if (is.factor(x)) x[, drop = TRUE] else x)
    attr(frame, "terms") <- attributes$terms
  }
  frame
}

# a/b as two terms: list(lhs, group, structure, hom, double, known, by)
expand_terms <- function(random) {
  homogeneous <- c("homdiag", "homcs", "ar1", "homtoep")
  base <- c(homdiag = "diag", homcs = "cs", hetar1 = "ar1", homtoep = "toep")
  unlist(lapply(random, function(term) {
    lapply(rev(term$groups), function(group) {
      structure <- term$structure
      list(
        lhs = term$lhs, group = group, double = term$double, known = term$known,
        structure = if (structure %in% names(base)) base[[structure]] else structure,
        hom = structure %in% homogeneous, by = term$by
      )
    })
  }), recursive = FALSE)
}

# Codes of combinations of columns, in the order of their levels, the first column slowest
ordered_codes <- function(columns) {
  codes <- lapply(unname(columns), function(x) {
    if (is.factor(x)) as.integer(x) else match(x, sort(unique(x)))
  })
  key <- do.call(paste, codes)
  match(key, unique(key[do.call(order, codes)]))
}

# Basis (n x k), codes of the levels, their number
term_design <- function(term, frame) {
  basis <- stats::model.matrix(stats::as.formula(call("~", term$lhs), globalenv()), frame)
  columns <- lapply(frame[term$group], function(x) {
    if (is.factor(x)) as.integer(addNA(x)) else match(x, unique(x))
  })
  code <- do.call(paste, unname(columns))
  levels <- unique(code)
  list(basis = basis, code = match(code, levels), levels = length(levels))
}

# G --------------------------------------------------------------------------------------------

count_parameters <- function(structure, hom, k) {
  sd <- if (hom) 1L else k
  switch(structure, us = (k * (k + 1L)) %/% 2L, diag = sd, cs = , ar1 = sd + 1L,
         toep = sd + k - 1L)
}

relative_covariance <- function(structure, hom, k, theta) {
  n_sd <- if (hom) 1L else k
  sd <- rep_len(theta[seq_len(n_sd)], k)
  rho <- theta[-seq_len(n_sd)]
  lag <- abs(row(diag(k)) - col(diag(k)))
  correlation <- switch(structure,
    diag = diag(k), cs = ifelse(lag == 0, 1, rho), ar1 = rho^lag,
    toep = matrix(c(1, rho)[lag + 1L], k)
  )
  outer(sd, sd) * correlation
}

# A root of it: T itself, or any root of a positive semidefinite matrix
covariance_root <- function(structure, hom, k, theta) {
  if (structure == "us") {
    T <- matrix(0, k, k)
    T[lower.tri(T, TRUE)] <- theta
    return(T)
  }
  G <- relative_covariance(structure, hom, k, theta)
  scale <- sqrt(pmax(diag(G), 0))
  unit <- ifelse(scale > 0, scale, 1)
  parts <- eigen(G / outer(unit, unit), symmetric = TRUE)
  if (min(parts$values) < -1e-8 * max(parts$values, 1e-300)) stop("G is not positive semidefinite")
  unit * (parts$vectors %*% diag(sqrt(pmax(parts$values, 0)), nrow(G)))
}

# R --------------------------------------------------------------------------------------------

# Lower triangular root of R as blocks: list(rows, L), and the rows' own relative variances
residual_parts <- function(p, frame, fitted) {
  n <- nrow(frame)
  w <- stats::model.weights(frame)
  if (is.null(w)) w <- rep(1, n)
  residual <- p$residual
  for (s in residual$scales) {
    if (s$type == "fixed") w <- w / frame[[s$covariate]]
  }
  parts <- list(w = w, correlation = residual$correlation, blocks = NULL)
  parts$scales <- lapply(Filter(function(s) s$type != "fixed", residual$scales), function(s) {
    stratum <- NULL
    if (length(s$stratum) > 0L) {
      stratum <- ordered_codes(frame[s$stratum])
      # the reference is that of the first row, but for structures by visit
      if (!isTRUE(s$by_level)) stratum <- match(stratum, unique(stratum))
    }
    list(
      type = s$type, stratum = stratum,
      covariate = if (isTRUE(s$fitted)) fitted else if (length(s$covariate)) frame[[s$covariate]]
    )
  })
  correlation <- residual$correlation
  if (!is.null(correlation)) {
    codes <- do.call(paste, lapply(frame[correlation$groups], as.character))
    parts$blocks <- unname(split(seq_len(n), match(codes, unique(codes))))
    parts$class <- if (length(correlation$by)) ordered_codes(frame[correlation$by]) else rep(1L, n)
    parts$position <- switch(correlation$kind,
      none = rep(0, n), order = stats::ave(seq_len(n), codes, FUN = seq_along),
      level = {
        x <- frame[[correlation$columns]]
        if (is.factor(x)) as.integer(x) else match(x, sort(unique(x)))
      },
      number = {
        x <- frame[[correlation$columns]]
        if (is.factor(x)) as.integer(x) else x
      },
      coordinates = as.matrix(as.data.frame(lapply(frame[correlation$columns], as.double)))
    )
    parts$visits <- if (correlation$kind %in% c("level", "order")) {
      x <- if (correlation$kind == "level") frame[[correlation$columns]]
      if (is.factor(x)) nlevels(x) else max(parts$position)
    }
  }
  parts
}

# `phi`: parameters of one class of groups after those of another
correlation_of <- function(parts, phi, rows) {
  each <- length(phi) %/% max(parts$class)
  phi <- phi[(parts$class[rows[1L]] - 1L) * each + seq_len(each)]
  correlation <- parts$correlation
  m <- length(rows)
  at <- parts$position
  at <- if (is.matrix(at)) at[rows, , drop = FALSE] else at[rows]
  lag <- if (!is.matrix(at)) abs(outer(at, at, `-`))
  distance <- if (is.matrix(at)) as.matrix(stats::dist(at))
  C <- switch(correlation$type,
    ar1 = phi^lag, car1 = phi^distance, cs = matrix(phi, m, m),
    arma = {
      ar <- phi[seq_len(correlation$p)]
      ma <- phi[correlation$p + seq_len(correlation$q)]
      acf <- stats::ARMAacf(ar, ma, lag.max = max(lag, 1))
      matrix(acf[lag + 1L], m)
    },
    us = {
      v <- parts$visits
      whole <- diag(v)
      whole[lower.tri(whole)] <- phi
      whole <- whole + t(whole) - diag(v)
      whole[at, at]
    },
    toep = matrix(c(1, phi)[lag + 1L], m),
    ante = outer(seq_len(m), seq_len(m), Vectorize(function(i, j) {
      ends <- sort(at[c(i, j)])
      prod(phi[seq.int(ends[1L], length.out = ends[2L] - ends[1L])])
    })),
    exp = exp(-distance / phi[1L]), gaus = exp(-(distance / phi[1L])^2),
    lin = pmax(1 - distance / phi[1L], 0),
    ratio = 1 / (1 + (distance / phi[1L])^2),
    spher = {
      r <- pmin(distance / phi[1L], 1)
      1 - 1.5 * r + 0.5 * r^3
    }
  )
  C <- matrix(C, m, m)
  if (isTRUE(correlation$nugget)) C <- C * (1 - phi[2L])
  diag(C) <- 1
  C
}

# Number of parameters of the correlation: what the variance functions leave
scale_sizes <- function(parts) {
  vapply(parts$scales, function(s) {
    strata <- if (is.null(s$stratum)) 1L else max(s$stratum)
    switch(s$type, ident = strata - 1L, constpower = 2L * strata, strata)
  }, 1L)
}

relative_sd <- function(parts, phi) {
  sd <- 1 / sqrt(parts$w)
  sizes <- scale_sizes(parts)
  at <- length(phi) - sum(sizes)
  for (i in seq_along(parts$scales)) {
    s <- parts$scales[[i]]
    par <- phi[at + seq_len(sizes[[i]])]
    stratum <- if (is.null(s$stratum)) 1L else s$stratum
    strata <- max(stratum)
    sd <- sd * switch(s$type,
      ident = c(1, par)[stratum], power = abs(s$covariate)^par[stratum],
      exp = exp(par[stratum] * s$covariate),
      constpower = par[stratum] + abs(s$covariate)^par[strata + stratum]
    )
    at <- at + sizes[[i]]
  }
  sd
}

# The model ------------------------------------------------------------------------------------------

# A term: its design, parameters, and the root of the covariance of its levels
model_term <- function(term, frame, p) {
  if (term$structure %in% c("ar1", "toep")) frame <- with_gaps(term, frame, p)
  z <- term_design(term, frame)
  k <- ncol(z$basis)
  z$term <- term
  z$k <- k
  z$column <- seq_len(k)
  z$structure <- if (k == 1L) "us" else term$structure
  z$hom <- term$hom && k > 1L
  z$group <- term$group
  z$all_levels <- z$levels
  z$by <- term$by
  # the class of each level, and how many there are
  z$class <- rep(1L, z$levels)
  if (!is.null(term$by)) z$class[z$code] <- ordered_codes(frame[term$by])
  z$classes <- max(z$class)
  if (!is.null(term$known)) {
    label <- as.character(frame[[term$group]])[match(seq_len(z$levels), z$code)]
    K <- as.matrix(p$objects[[term$known$name]])
    K <- if (term$known$kind == "prec") solve(K) else K
    if (term$known$kind == "prec") z$all_levels <- nrow(K)
    z$K <- K[label, label, drop = FALSE]
    z$root <- t(chol(z$K))
  }
  z
}

# Lags count levels between those that occur, though no row has them
with_gaps <- function(term, frame, p) {
  for (name in intersect(all.vars(term$lhs), names(frame))) {
    x <- frame[[name]]
    all <- levels(p$data[[name]])
    if (!is.factor(x) || is.null(all)) next
    ends <- range(match(levels(x), all))
    frame[[name]] <- factor(x, all[ends[[1L]]:ends[[2L]]], ordered = is.ordered(x))
  }
  frame
}

oracle_model <- function(p, fit) {
  frame <- oracle_frame(p)
  X <- stats::model.matrix(
    stats::terms(fixed_formula(p)), frame,
    contrasts.arg = if (!is.null(p$arguments$contrasts)) eval(p$arguments$contrasts)
  )
  offset <- stats::model.offset(frame)
  terms <- lapply(p$random, function(one) {
    whole <- lapply(expand_terms(list(one)), model_term, frame = frame, p = p)
    if (!one$double) return(whole)
    # independent effects are terms of their own
    unlist(lapply(seq_len(whole[[1L]]$k), function(j) {
      lapply(whole, function(z) {
        z$basis <- z$basis[, j, drop = FALSE]
        z$structure <- "us"
        z$k <- 1L
        z$column <- j
        z
      })
    }), recursive = FALSE)
  })
  # factors with more levels first, and ties turned round, as in lme4
  terms <- unlist(terms, recursive = FALSE)
  levels <- vapply(terms, `[[`, 1, "all_levels")
  if (any(diff(levels) > 0)) terms <- terms[rev(order(levels))]
  terms <- lapply(terms, function(z) {
    z$each <- count_parameters(z$structure, z$hom, z$k)
    z$size <- z$classes * z$each
    z
  })
  list(
    p = p, frame = frame, n = nrow(frame), y = as.double(frame[[1L]]),
    offset = if (is.null(offset)) 0 else offset, X = X, terms = terms,
    residual = residual_parts(p, frame, fit$frame[["(fitted)"]]),
    reml = !isFALSE(p$arguments$REML), sigma = p$sigma
  )
}

# ZF, n x q, and F's blocks: of each term those of its classes
random_columns <- function(model, theta) {
  at <- 0L
  columns <- vector("list", length(model$terms))
  roots <- columns
  for (i in seq_along(model$terms)) {
    z <- model$terms[[i]]
    F <- lapply(seq_len(z$classes), function(class) {
      own <- theta[at + (class - 1L) * z$each + seq_len(z$each)]
      covariance_root(z$structure, z$hom, z$k, own)
    })
    at <- at + z$size
    B <- times_roots(z$basis, F, z$class[z$code])
    level <- if (is.null(z$K)) {
      indicator <- matrix(0, model$n, z$levels)
      indicator[cbind(seq_len(model$n), z$code)] <- 1
      indicator
    } else {
      z$root[z$code, , drop = FALSE]
    }
    columns[[i]] <- do.call(cbind, lapply(seq_len(z$k), function(j) level * B[, j]))
    roots[[i]] <- F
  }
  list(matrix = do.call(cbind, columns), roots = roots)
}

# Each row of a basis times F of its class
times_roots <- function(basis, F, class) {
  for (one in seq_along(F)) {
    own <- which(class == one)
    basis[own, ] <- basis[own, , drop = FALSE] %*% F[[one]]
  }
  basis
}

# L^-1 M, rows of R's blocks
whiten <- function(model, phi, M, sd = relative_sd(model$residual, phi), roots = NULL) {
  M <- M / sd
  if (is.null(model$residual$blocks)) return(M)
  for (i in seq_along(model$residual$blocks)) {
    rows <- model$residual$blocks[[i]]
    if (length(rows) > 1L) {
      M[rows, ] <- forwardsolve(roots[[i]], M[rows, , drop = FALSE])
    }
  }
  M
}

correlation_roots <- function(model, phi) {
  if (is.null(model$residual$blocks)) return(NULL)
  own <- phi[seq_len(length(phi) - sum(scale_sizes(model$residual)))]
  lapply(model$residual$blocks, function(rows) {
    if (length(rows) == 1L) return(matrix(1))
    t(chol(correlation_of(model$residual, own, rows)))
  })
}

log_diagonal <- function(q) sum(log(abs(diag(q$qr)[seq_len(min(dim(q$qr)))])))

inverse_of_qr <- function(q) {
  k <- ncol(q$qr)
  inverse <- matrix(0, k, k)
  inverse[q$pivot, q$pivot] <- chol2inv(q$qr[seq_len(k), , drop = FALSE])
  inverse
}

# Everything at a given theta and phi
oracle_solve <- function(model, theta, phi, kept = seq_len(ncol(model$X)), more = TRUE) {
  n <- model$n
  random <- random_columns(model, theta)
  q <- if (is.null(random$matrix)) 0L else ncol(random$matrix)
  sd <- relative_sd(model$residual, phi)
  roots <- correlation_roots(model, phi)
  X <- model$X[, kept, drop = FALSE]
  p <- ncol(X)
  whole <- whiten(model, phi, cbind(X, model$y - model$offset, random$matrix), sd, roots)
  log_det_r <- 2 * sum(log(sd)) + 2 * sum(vapply(roots, function(L) sum(log(diag(L))), 1))
  # heavy rows first, for the sake of Householder's method
  weight <- order(-rowSums(abs(whole)))
  Xy <- whole[weight, seq_len(p + 1L), drop = FALSE]
  log_det_m <- 0
  stretch <- 1 / min(1, vapply(roots, function(L) min(diag(L)), 1))
  if (q > 0L) {
    A <- rbind(whole[weight, p + 1L + seq_len(q), drop = FALSE], diag(q))
    qa <- qr(A, LAPACK = TRUE)
    log_det_m <- 2 * log_diagonal(qa)
    stretch <- stretch * abs(qa$qr[1L, 1L])
    rotated <- qr.qty(qa, rbind(Xy, matrix(0, q, p + 1L)))
    projected <- rotated[-seq_len(q), , drop = FALSE]
  } else {
    projected <- Xy
  }
  e <- projected[, p + 1L]
  beta <- double()
  C <- matrix(0, 0L, 0L)
  log_det_x <- 0
  kappa <- 1
  if (p > 0L) {
    norms <- sqrt(colSums(projected[, seq_len(p), drop = FALSE]^2))
    qx <- qr(projected[, seq_len(p), drop = FALSE] / rep(norms, each = nrow(projected)),
             LAPACK = TRUE)
    log_det_x <- 2 * log_diagonal(qx) + 2 * sum(log(norms))
    beta <- drop(qr.coef(qx, e)) / norms
    C <- inverse_of_qr(qx) / outer(norms, norms)
    e <- qr.qty(qx, e)[-seq_len(p)]
    R <- abs(diag(qx$qr)[seq_len(p)])
    kappa <- max(R) / min(R) * max(sqrt(colSums(Xy[, seq_len(p), drop = FALSE]^2)) / norms)
  }
  rss <- sum(e^2)
  df <- if (model$reml) n - p else n
  sigma <- if (is.null(model$sigma)) sqrt(rss / df) else model$sigma
  spread <- function(df) {
    if (is.null(model$sigma)) df * (1 + log(2 * pi * rss / df)) else
      df * log(2 * pi * sigma^2) + rss / sigma^2
  }
  out <- list(
    criterion = log_det_r + log_det_m + (if (model$reml) log_det_x else 0) + spread(df),
    other = log_det_r + log_det_m + (if (model$reml) 0 else log_det_x) +
      spread(if (model$reml) n else n - p),
    beta = beta, C = C, sigma = sigma, rss = rss, df = df,
    # how many digits the data leave: y against what is unexplained, and the columns of X
    loss = .Machine$double.eps * stretch *
      (sqrt(n) * kappa + sqrt(sum(Xy[, p + 1L]^2) / max(rss, 1e-300)))
  )
  if (!more) return(out)
  # of X'V^-1X, for quadratic forms that keep their digits
  if (p > 0L) {
    out$half <- function(x) {
      backsolve(qx$qr[seq_len(p), , drop = FALSE], t(x / rep(norms, each = nrow(x)))[qx$pivot, ,
                                                                           drop = FALSE],
                transpose = TRUE)
    }
  }
  out$X <- X
  out$sd <- sd
  out$roots <- roots
  out$q <- q
  out$random <- random
  out$offset <- model$offset
  if (q > 0L) {
    out$M <- inverse_of_qr(qa)
    coefficients <- qr.coef(qa, rbind(Xy, matrix(0, q, p + 1L)))
    out$P <- coefficients[, seq_len(p), drop = FALSE]
    out$u <- drop(coefficients[, p + 1L] - out$P %*% beta)
    out$fitted <- drop(X %*% beta + random$matrix %*% out$u) + model$offset
  } else {
    out$fitted <- drop(X %*% beta) + model$offset
  }
  out
}

# Random effects of term i, levels x k, and their conditional variances, k x k x levels
oracle_effects <- function(model, solved, i) {
  z <- model$terms[[i]]
  before <- sum(vapply(model$terms[seq_len(i - 1L)], function(z) z$levels * z$k, 1))
  own <- before + seq_len(z$levels * z$k)
  F <- solved$random$roots[[i]]
  level <- if (is.null(z$K)) diag(z$levels) else z$root
  u <- matrix(solved$u[own], z$levels)
  list(values = times_roots(level %*% u, lapply(F, t), z$class), F = F, level = level, own = own)
}

# PEV / sigma^2 of rows x'beta + a'u, a in the coordinates of u
prediction_variances <- function(solved, x, a) {
  value <- if (solved$q > 0L) rowSums((a %*% solved$M) * a) else 0
  rest <- if (solved$q > 0L) x - a %*% solved$P else x
  value + fixed_variances(solved, rest)
}

# x'Cx of rows
fixed_variances <- function(solved, x) {
  if (is.null(solved$half)) numeric(nrow(x)) else colSums(solved$half(x)^2)
}

# The criterion with V formed, n x n; with the reciprocal condition of its factor
dense_criterion_by_v <- function(model, theta, phi, kept) {
  sd <- relative_sd(model$residual, phi)
  V <- diag(model$n)
  for (rows in model$residual$blocks) {
    own <- phi[seq_len(length(phi) - sum(scale_sizes(model$residual)))]
    V[rows, rows] <- correlation_of(model$residual, own, rows)
  }
  ZF <- random_columns(model, theta)$matrix
  V <- V + if (is.null(ZF)) 0 else tcrossprod(ZF / sd)
  root <- chol(V)
  whole <- backsolve(root, cbind(model$X[, kept, drop = FALSE], model$y - model$offset) / sd,
                     transpose = TRUE)
  p <- length(kept)
  n <- model$n
  log_x <- 0
  e <- whole[, p + 1L]
  if (p > 0L) {
    qx <- qr(whole[, seq_len(p), drop = FALSE], LAPACK = TRUE)
    log_x <- 2 * log_diagonal(qx)
    e <- qr.qty(qx, e)[-seq_len(p)]
  }
  df <- if (model$reml) n - p else n
  rss <- sum(e^2)
  value <- 2 * sum(log(diag(root))) + 2 * sum(log(sd)) + (if (model$reml) log_x else 0) +
    if (is.null(model$sigma)) df * (1 + log(2 * pi * rss / df)) else
      df * log(2 * pi * model$sigma^2) + rss / model$sigma^2
  list(value = value, rcond = min(diag(root))^2 / max(diag(root))^2)
}
