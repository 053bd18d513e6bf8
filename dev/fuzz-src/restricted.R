# Problems of kinds of fits for which only some functions hold: without bounds on variances, and with
# sampling weights. Drawn by --only alone; their oracles form matrices of rows.

restricted_kinds <- c("nobound", "sampled")

# The random part: unstructured or diagonal terms, of one factor or two nested ones where weights
# belong to levels
restricted_terms <- function(p) {
  term <- function(group) {
    lhs <- pick(list(quote(1), quote(x1), quote(0 + x1), quote(l), quote(f), quote(1 + x1 + x2)),
                c(10, 4, 1, 1, 1, 1))
    simple_term(lhs, group, if (chance(0.2) && !identical(lhs, quote(1))) "diag" else "us")
  }
  if (p$kind == "sampled") {
    return(if (chance(0.4)) list(term("g"), simple_term(quote(1), c("g", "b"))) else list(term("g")))
  }
  c(list(term("g")), if (chance(0.5)) list(simple_term(quote(1), pick(c("h", "k")))))
}

restricted_arguments <- function(p) {
  if (p$kind == "nobound") {
    p$arguments$control <- quote(lmm_control(nobound = TRUE))
    return(p)
  }
  d <- p$data
  n <- nrow(d)
  d$w1 <- if (chance(0.2)) rep(1, n) else stats::runif(n, 0.3, 4)
  d$w2 <- stats::runif(nlevels(d$g), 0.3, 4)[as.integer(d$g)]
  inner <- as.integer(interaction(d$g, d$b, drop = TRUE))
  d$w3 <- stats::runif(max(inner), 0.3, 4)[inner]
  nested <- length(p$random) > 1L
  p$sampling <- list(
    scale = pick(c("none", "size", "effective")), conditional = chance(0.7),
    rows = chance(0.8), inner = nested && chance(0.7)
  )
  given <- list(
    if (p$sampling$rows) quote(w1), g = quote(w2), `g:b` = if (p$sampling$inner) quote(w3),
    scale = p$sampling$scale, conditional = p$sampling$conditional,
    information = pick(c("joint", "fixed"))
  )
  p$arguments$weights <- as.call(c(quote(sampling_weights), Filter(Negate(is.null), given)))
  p$arguments$REML <- FALSE
  p$data <- d
  p
}

# Refusals that are the answer for a kind
restricted_refusals <- list(
  list("has bounds on its covariance matrices|without bounds|no bounds|has no bound|nobound",
       function(p, fit) p$kind == "nobound"),
  list("no maximum|has no optimum inside", function(p, fit) p$kind == "nobound"),
  list("sampling weights", function(p, fit) p$kind == "sampled"),
  list("has weights, and is no grouping factor of the model",
       function(p, fit) p$kind == "sampled"),
  # a robust covariance matrix from fewer clusters than coefficients
  list("covariance matrix of the tested combinations of coefficients broke down",
       function(p, fit) p$kind == "sampled" && nlevels(fit$flist$g) <= length(fixef(fit))),
  # fewer rows than effects
  list("many orders of magnitude larger than residuals",
       function(p, fit) p$kind == "sampled" && few_rows(p))
)

check_restricted <- function(p, fit) {
  # warned of: no optimum, or no digits
  if (!is_settled(fit)) return(NULL)
  if (p$kind == "nobound") check_nobound(p, fit) else check_sampled(p, fit)
}

# Terms of a problem in the order of the fit's, each with a basis and codes
restricted_design <- function(p) {
  frame <- oracle_frame(p)
  contrasts <- p$arguments$contrasts
  X <- stats::model.matrix(stats::terms(fixed_formula(p)), frame,
                           contrasts.arg = if (!is.null(contrasts)) eval(contrasts))
  offset <- stats::model.offset(frame)
  w <- stats::model.weights(frame)
  list(
    frame = frame, X = X, y = frame[[1L]] - if (is.null(offset)) 0 else offset,
    w = if (is.null(w)) rep(1, nrow(frame)) else w,
    terms = lapply(expand_terms(p$random), term_design, frame = frame)
  )
}

# Covariance matrices of the terms of a problem: those of the fit, by the names of their effects
fitted_covariances <- function(p, fit, terms) {
  own <- lapply(VarCorr(fit), as.matrix)
  keys <- vapply(expand_terms(p$random), function(term) paste(sort(term$group), collapse = ":"), "")
  theirs <- vapply(strsplit(names(own), ":", fixed = TRUE), function(x) {
    paste(sort(x), collapse = ":")
  }, "")
  lapply(seq_along(terms), function(i) {
    G <- own[[match(keys[[i]], theirs)]]
    stopifnot(nrow(G) == ncol(terms[[i]]$basis))
    unname(G)
  })
}

# Without bounds ----------------------------------------------------------------------------------

# -2 log of the (restricted) likelihood, coefficients and covariances at matrices relative to sigma^2
nobound_at <- function(design, G, reml, kept) {
  X <- design$X[, kept, drop = FALSE]
  V <- diag(1 / design$w)
  for (i in seq_along(G)) {
    z <- design$terms[[i]]
    V <- V + (z$basis %*% G[[i]] %*% t(z$basis)) * outer(z$code, z$code, `==`)
  }
  root <- chol(V)
  solved <- backsolve(root, cbind(X, design$y), transpose = TRUE)
  q <- qr(solved[, seq_along(kept), drop = FALSE], tol = 1e-14)
  residual <- qr.resid(q, solved[, length(kept) + 1L])
  df <- length(design$y) - if (reml) length(kept) else 0
  rss <- sum(residual^2)
  value <- 2 * sum(log(diag(root))) + df * (1 + log(2 * pi * rss / df)) +
    if (reml) 2 * log_diagonal(q) else 0
  list(
    value = value, beta = qr.coef(q, solved[, length(kept) + 1L]), sigma2 = rss / df,
    C = inverse_of_qr(q), least = min(diag(root))^2 * min(design$w),
    rcond = rcond(V)
  )
}

check_nobound <- function(p, fit) {
  design <- restricted_design(p)
  if (length(design$y) != nobs(fit) || length(design$y) > 250L) return(NULL)
  kept <- which(!is.na(fit$coefficients))
  reml <- isREML(fit)
  G <- lapply(fitted_covariances(p, fit, design$terms), `/`, sigma(fit)^2)
  own <- tryCatch(nobound_at(design, G, reml, kept), error = function(e) NULL)
  if (is.null(own)) return(list(difference("lmm", "V at the fit", "accepted", "not positive definite")))
  if (own$rcond < 1e-9) return(NULL)
  n <- length(design$y)
  se <- sqrt(own$sigma2 * diag(own$C))
  found <- c(
    compare("lmm", "criterion", fit$criterion, own$value, n + abs(own$value), 1e-7),
    compare("sigma", "sigma", sigma(fit)^2, own$sigma2, own$sigma2, 1e-5),
    compare("fixef", "coefficients", fixef(fit), own$beta, se + 1e-6 * abs(own$beta), 1e-4),
    compare("vcov", "covariance", vcov(fit), own$sigma2 * own$C, outer(se, se), 1e-4)
  )
  if (length(found) > 0L) return(found)
  c(found, check_nobound_optimum(p, design, G, reml, kept, own))
}

# Is there a lower point inside nearby? Walks that run to the border of what is possible do not count.
check_nobound_optimum <- function(p, design, G, reml, kept, own) {
  diagonal <- vapply(expand_terms(p$random), function(term) term$structure == "diag", NA)
  places <- Map(function(G, diagonal) {
    which(if (diagonal) row(G) == col(G) else lower.tri(G, TRUE))
  }, G, diagonal)
  matrices <- function(par) {
    at <- 0L
    for (i in seq_along(G)) {
      own <- matrix(0, nrow(G[[i]]), ncol(G[[i]]))
      own[places[[i]]] <- par[at + seq_along(places[[i]])]
      own[upper.tri(own)] <- t(own)[upper.tri(own)]
      G[[i]] <- own
      at <- at + length(places[[i]])
    }
    G
  }
  par <- unlist(Map(`[`, G, places))
  if (length(par) > 6L) return(NULL)
  size <- abs(par) + 0.05
  objective <- function(x) {
    found <- tryCatch(nobound_at(design, matrices(par + x * size), reml, kept),
                      error = function(e) NULL)
    if (is.null(found) || found$least < 1e-3) 1e100 else found$value
  }
  run <- stats::nlminb(stats::rnorm(length(par), 0, 1e-3), objective,
                       control = list(eval.max = 300L, iter.max = 100L))
  inside <- run$objective < 1e100 &&
    nobound_at(design, matrices(par + run$par * size), reml, kept)$least > 1e-2
  if (inside && run$objective < own$value - 1e-6 * (length(design$y) + abs(own$value))) {
    list(difference("lmm", "optimum without bounds", own$value, run$objective))
  }
}

# Sampling weights ------------------------------------------------------------------------------------

# Weights of rows and of both levels, conditional and scaled as documented: list(rows, inner, outer)
conditional_weights <- function(p, frame) {
  given <- p$data[row.names(frame), ]
  one <- rep(1, nrow(frame))
  nested <- length(p$random) > 1L
  rows <- if (p$sampling$rows) given$w1 else one
  outer <- given$w2
  inner <- if (p$sampling$inner) given$w3 else if (nested && !p$sampling$conditional) outer else one
  finest <- if (nested) do.call(paste, c(unname(given[c("g", "b")]))) else as.character(given$g)
  if (!p$sampling$conditional) {
    if (p$sampling$rows) rows <- rows / if (nested) inner else outer
    inner <- if (nested) inner / outer else one
  }
  sums <- function(x) stats::ave(x, finest, FUN = sum)
  rows <- switch(p$sampling$scale,
    none = rows, size = rows * sums(one) / sums(rows),
    effective = rows * sums(rows) / sums(rows^2)
  )
  list(rows = rows, inner = inner, outer = outer, finest = finest, coarse = as.character(given$g))
}

# -2 log of the pseudo-likelihood: each integral in closed form, cluster by cluster
pseudo_deviance <- function(design, weights, beta, G, sigma2) {
  e <- drop(design$y - design$X %*% beta)
  nested <- length(G) > 1L
  root <- lapply(G, function(G) {
    parts <- eigen(G, symmetric = TRUE)
    parts$vectors %*% diag(sqrt(pmax(parts$values, 0)), nrow(G))
  })
  total <- 0
  for (rows in split(seq_along(e), weights$coarse)) {
    z <- design$terms[[1L]]$basis[rows, , drop = FALSE] %*% root[[1L]]
    A <- diag(ncol(z))
    b <- numeric(ncol(z))
    value <- 0
    for (own in split(seq_along(rows), weights$finest[rows])) {
      at <- rows[own]
      w <- weights$rows[at]
      times <- if (nested) weights$inner[at[[1L]]] else 1
      inside <- w / sigma2
      P <- diag(inside, length(at))
      log_det <- 0
      if (nested) {
        # the basis of the finer term is 1
        t2 <- root[[2L]][1L, 1L]
        d <- 1 + t2^2 * sum(inside)
        P <- P - t2^2 * tcrossprod(inside) / d
        log_det <- log(d)
      }
      own_z <- z[own, , drop = FALSE]
      A <- A + times * t(own_z) %*% P %*% own_z
      b <- b + times * drop(t(own_z) %*% P %*% e[at])
      value <- value + times * (sum(w) * log(2 * pi * sigma2) + log_det +
                                  drop(e[at] %*% P %*% e[at]))
    }
    value <- value + 2 * sum(log(diag(chol(A)))) - sum(b * solve(A, b))
    total <- total + weights$outer[rows[[1L]]] * value
  }
  total
}

check_sampled <- function(p, fit) {
  p$arguments$weights <- NULL
  design <- restricted_design(p)
  if (length(design$y) != nobs(fit)) return(NULL)
  weights <- conditional_weights(p, design$frame)
  kept <- which(!is.na(fit$coefficients))
  design$X <- design$X[, kept, drop = FALSE]
  G <- fitted_covariances(p, fit, design$terms)
  value <- function(beta, G, sigma2) pseudo_deviance(design, weights, beta, G, sigma2)
  # terms of the finer factor last
  order <- order(lengths(lapply(expand_terms(p$random), `[[`, "group")))
  design$terms <- design$terms[order]
  G <- G[order]
  beta <- unname(fixef(fit))
  at <- tryCatch(value(beta, G, sigma(fit)^2), error = function(e) NULL)
  if (is.null(at)) return(NULL)
  n <- sum(weights$outer * weights$inner * weights$rows)
  found <- compare("lmm", "pseudo-likelihood", fit$criterion, at, n + abs(at), 1e-7)
  if (length(found) > 0L) return(found)
  # a walk over all parameters from beside the estimates finds nothing lower
  se <- sqrt(diag(vcov(fit)))
  places <- lapply(G, function(G) which(lower.tri(G, TRUE)))
  roots <- lapply(G, function(G) tryCatch(t(chol(G)), error = function(e) NULL))
  diagonal <- vapply(p$random, function(term) term$structure == "diag", NA)
  if (any(vapply(roots, is.null, NA)) || any(diagonal) || length(beta) > 4L) return(NULL)
  par <- unlist(Map(`[`, roots, places))
  size <- c(se + 1e-8 * abs(beta), 0.1 * abs(par) + 1e-3 * sigma(fit), 0.1)
  k <- length(beta)
  objective <- function(x) {
    moved <- x * size
    own <- par + moved[k + seq_along(par)]
    at <- 0L
    for (i in seq_along(G)) {
      T <- matrix(0, nrow(G[[i]]), nrow(G[[i]]))
      T[places[[i]]] <- own[at + seq_along(places[[i]])]
      G[[i]] <- tcrossprod(T)
      at <- at + length(places[[i]])
    }
    tryCatch(value(beta + moved[seq_len(k)], G, sigma(fit)^2 * exp(moved[length(moved)])),
             error = function(e) 1e100)
  }
  run <- stats::nlminb(stats::rnorm(length(size), 0, 1e-2), objective,
                       control = list(eval.max = 300L, iter.max = 100L))
  if (run$objective < at - 1e-6 * (n + abs(at))) {
    list(difference("lmm", "optimum of the pseudo-likelihood", at, run$objective))
  }
}
