# Dearer checks, each on a fraction of the problems: deletion by deleting, Satterthwaite's degrees of
# freedom by differences, moments of simulations, closed forms, profiles.

deep_checks <- list(
  by_v = list(0.1, function(context) check_by_v(context)),
  optimum = list(0.04, function(context) check_optimum(context)),
  lme4 = list(0.05, function(context) check_lme4(context)),
  deletion = list(0.06, function(context) check_deletion(context)),
  exact_deletion = list(0.015, function(context) check_exact_deletion(context)),
  satterthwaite = list(0.03, function(context) check_satterthwaite(context)),
  simulation = list(0.01, function(context) check_simulation(context)),
  profile = list(0.02, function(context) check_profile(context)),
  profile_fixed = list(0.03, function(context) check_profile_fixed(context)),
  many = list(0.02, function(context) check_many(context)),
  closed = list(1, function(context) check_closed(context))
)

# Fixed effects and sigma without a row, at the same theta: generalised least squares on the others
check_deletion <- function(context) {
  fit <- context$fit
  model <- context$model
  if (!is.null(model$residual$blocks) || !is.null(fit$control$sigma) || context$tolerance > 1e-4 ||
        model$n > 150L) {
    return(NULL)
  }
  deleted <- observe(quote(influence(fit, update = "none")), list2env(list(fit = fit),
                                                                    parent = globalenv()))
  if (deleted$error) return(NULL)
  deleted <- deleted$value
  row <- sample.int(model$n, 1L)
  V <- tcrossprod(if (context$solved$q) context$solved$random$matrix else matrix(0, model$n, 1L)) +
    diag(context$solved$sd^2)
  X <- context$solved$X[-row, , drop = FALSE]
  root <- tryCatch(chol(V[-row, -row]), error = function(e) NULL)
  if (is.null(root) || min(diag(root)) < 1e-4 * max(diag(root)) || ncol(X) == 0L) return(NULL)
  Xw <- backsolve(root, X, transpose = TRUE)
  norms <- sqrt(colSums(Xw^2))
  if (any(norms == 0)) return(NULL)
  q <- qr(Xw / rep(norms, each = nrow(Xw)))
  if (q$rank < ncol(X) || min(abs(diag(q$qr))) < 1e-5 || nrow(X) - ncol(X) < 2L) return(NULL)
  y <- backsolve(root, (model$y - model$offset)[-row], transpose = TRUE)
  beta <- qr.coef(q, y) / norms
  df <- nrow(X) - if (model$reml) ncol(X) else 0L
  sigma <- sqrt(sum(qr.resid(q, y)^2) / df)
  if (sigma < 1e-4 * context$solved$sigma) return(NULL)
  se <- context$solved$sigma * sqrt(diag(context$solved$C))
  ours <- deleted$coefficients[row, ]
  ours <- ours[context$kept[context$kept <= length(ours)]]
  if (length(ours) != length(beta)) ours <- deleted$coefficients[row, ]
  h <- prediction_variances(context$solved, context$solved$X, context$solved$random$matrix)[row] /
    context$solved$sd[row]^2
  tolerance <- 1e3 * context$tolerance / max(1 - h, 1e-6)
  if (tolerance > 1e-2) return(NULL)
  c(
    compare("influence", "coefficients without a row", ours, beta, se + 1e-6 * abs(beta), tolerance),
    compare("influence", "sigma without a row", deleted$sigma[[row]], sigma, sigma, tolerance)
  )
}

check_exact_deletion <- function(context) {
  p <- context$p
  fit <- context$fit
  plain <- is.null(p$residual) && length(p$objects) == 0L && is.null(p$arguments$subset) &&
    !anyNA(p$data) && is.null(p$hold) && is.null(p$tie) && is.null(p$sigma) &&
    !any(vapply(p$fixed, is.call, NA))
  if (!plain || context$model$n > 45L || context$model$n < 12L || context$model$n != nrow(p$data)) {
    return(NULL)
  }
  env <- problem_environment(p)
  env$fit <- fit
  deleted <- observe(quote(influence(fit, update = "exact")), env)
  if (deleted$error) return(NULL)
  row <- sample.int(nrow(p$data), 1L)
  p$data <- p$data[-row, , drop = FALSE]
  again <- fit_quietly(p)
  ours <- deleted$value$criterion[[row]]
  if (again$error || is.na(ours) || !is_settled(again$value)) return(NULL)
  compare("influence", "exact criterion without a row", ours, again$value$criterion,
          context$model$n + abs(again$value$criterion), 1e-5)
}

# 2 v^2 / (g'Ag), with A from the Hessian of the unprofiled criterion, by differences (Kuznetsova et
# al. 2017)
check_satterthwaite <- function(context) {
  p <- context$p
  fit <- context$fit
  model <- context$model
  theta <- unname(fit$theta)
  phi <- unname(fit$phi)
  at <- c(theta, phi)
  if (!is.null(p$hold) || !is.null(p$tie) || !is.null(p$sigma) || uses_fitted(p) ||
        !is_settled(fit) || isTRUE(p$residual$correlation$fixed) || length(at) == 0L || length(at) > 5L ||
        model$n > 100L || context$tolerance > 2e-6 || p$perfect) {
    return(NULL)
  }
  bounds <- parameter_bounds(model, phi)
  if (any(at - bounds$lower < 0.1 & is.finite(bounds$lower)) ||
        any(bounds$upper - at < 0.05) || any(abs(at) > 20)) {
    return(NULL)
  }
  own <- observe(quote(contest(fit, diag(length(fixef(fit))), joint = FALSE)),
                 list2env(list(fit = fit), parent = globalenv()))
  if (own$error || length(context$kept) == 0L) return(NULL)
  j <- sample.int(length(context$kept), 1L)
  n_theta <- length(theta)
  state <- function(par) {
    here <- par[-length(par)]
    solved <- oracle_solve(model, here[seq_len(n_theta)], here[-seq_len(n_theta)], context$kept,
                           FALSE)
    sigma2 <- par[[length(par)]]
    profiled <- solved$df * (1 + log(2 * pi * solved$rss / solved$df))
    c(solved$criterion - profiled + solved$df * log(2 * pi * sigma2) + solved$rss / sigma2,
      solved$C[j, j] * sigma2)
  }
  par <- c(at, context$solved$sigma^2)
  step <- c(pmax(abs(at), 0.2) * 2e-3, 2e-3 * par[[length(par)]])
  m <- length(par)
  value <- tryCatch({
    H <- matrix(0, m, m)
    shift <- function(i, a, j, b) {
      x <- par
      x[i] <- x[i] + a * step[i]
      x[j] <- x[j] + b * step[j]
      state(x)[[1L]]
    }
    for (i in seq_len(m)) for (k in i:m) {
      second <- function(h) (shift(i, h, k, h) - shift(i, h, k, -h) - shift(i, -h, k, h) +
                               shift(i, -h, k, -h)) / (4 * h^2 * step[i] * step[k])
      H[i, k] <- H[k, i] <- (4 * second(1) - second(2)) / 3
    }
    g <- vapply(seq_len(m), function(i) {
      slope <- function(h) {
        up <- down <- par
        up[i] <- up[i] + h * step[i]
        down[i] <- down[i] - h * step[i]
        (state(up)[[2L]] - state(down)[[2L]]) / (2 * h * step[i])
      }
      (4 * slope(1) - slope(2)) / 3
    }, 1)
    scale <- sqrt(abs(diag(H)))
    values <- eigen(H / outer(scale, scale), TRUE)$values
    if (min(values) < 1e-3) NA else 2 * state(par)[[2L]]^2 / sum(g * (2 * solve(H, g)))
  }, error = function(e) NA)
  if (is.na(value) || value > 1e5) return(NULL)
  compare("contest", "Satterthwaite's df", own$value$df[[j]], value, value, 5e-3)
}

# Simulated responses have the mean X beta and the covariance sigma^2 V
check_simulation <- function(context) {
  model <- context$model
  n <- model$n
  if (n > 80L || context$tolerance > 1e-4) return(NULL)
  nsim <- 400L
  drawn <- observe(bquote(simulate(fit, nsim = .(nsim), seed = 7)),
                   list2env(list(fit = context$fit), parent = globalenv()))
  if (drawn$error) return(NULL)
  y <- as.matrix(drawn$value)
  y <- y[rowSums(is.na(y)) == 0, , drop = FALSE]
  if (nrow(y) != n || uses_fitted(context$p)) return(NULL)
  mean <- drop(context$solved$X %*% context$solved$beta) + model$offset
  sd <- context$solved$sd
  R <- diag(n)
  for (i in seq_along(model$residual$blocks)) {
    rows <- model$residual$blocks[[i]]
    R[rows, rows] <- tcrossprod(context$solved$roots[[i]])
  }
  V <- R + if (context$solved$q) tcrossprod(context$solved$random$matrix / sd) else 0
  root <- tryCatch(chol(V), error = function(e) NULL)
  if (is.null(root) || min(diag(root)) < 1e-4 * max(diag(root))) return(NULL)
  z <- backsolve(root, (y - mean) / sd, transpose = TRUE) / context$solved$sigma
  spread <- (sum(z^2) - n * nsim) / sqrt(2 * n * nsim)
  centre <- (sum(rowMeans(z)^2) * nsim - n) / sqrt(2 * n)
  off <- tcrossprod(z) / nsim
  off <- max(abs(off[lower.tri(off)])) * sqrt(nsim)
  c(
    compare("simulate", "spread, in standard errors", spread, 0, 1, 6),
    compare("simulate", "mean, in standard errors", centre, 0, 1, 8),
    if (n > 1L) compare("simulate", "largest correlation, in standard errors", off, 0, 1, 7)
  )
}

# zeta of one standard deviation of a model with one intercept: the criterion on a line
check_profile <- function(context) {
  fit <- context$fit
  model <- context$model
  p <- context$p
  if (length(model$terms) != 1L || length(fit$theta) != 1L || length(fit$phi) > 0L ||
        !is.null(p$sigma) || !is.null(p$hold) || model$n > 120L || context$tolerance > 1e-5 ||
        p$perfect || !is.null(model$terms[[1L]]$K) || fit$theta < 0.05 || fit$theta > 20) {
    return(NULL)
  }
  table <- observe(quote(as.data.frame(profile(fit, 1))),
                   list2env(list(fit = fit), parent = globalenv()))
  if (table$error) return(NULL)
  table <- table$value
  row <- sample.int(nrow(table), 1L)
  sd <- table[row, ".sig01"]
  if (is.na(sd) || sd <= 0) return(NULL)
  criterion <- function(log_sigma) {
    sigma <- exp(log_sigma)
    solved <- oracle_solve(model, sd / sigma, double(), context$kept, FALSE)
    profiled <- solved$df * (1 + log(2 * pi * solved$rss / solved$df))
    solved$criterion - profiled + solved$df * log(2 * pi * sigma^2) + solved$rss / sigma^2
  }
  centre <- log(context$solved$sigma)
  least <- stats::optimize(criterion, centre + c(-2.5, 2.5), tol = 1e-10)$objective
  rise <- least - fit$criterion
  compare("profile", "squared zeta", table[row, ".zeta"]^2, rise, 1 + abs(rise), 1e-3)
}

# Squared zeta of a fixed effect: the rise of the deviance with the coefficient given, by a search
# from the parameters at that point, which no point of the profile may end above
check_profile_fixed <- function(context) {
  fit <- context$fit
  p <- context$p
  kept <- context$kept
  if (length(kept) < 2L || !is.null(p$residual) || !is.null(p$sigma) || !is.null(p$hold) ||
        !is.null(p$tie) || length(fit$theta) > 4L || length(fit$theta) == 0L ||
        context$model$n > 100L || context$tolerance > 1e-5 || p$perfect || !is_settled(fit)) {
    return(NULL)
  }
  j <- sample.int(length(kept), 1L)
  env <- list2env(list(fit = fit, number = length(fit$theta) + 1L + kept[[j]]),
                  parent = globalenv())
  found <- observe(quote(list(table = as.data.frame(profile(fit, number)), ml = refitML(fit))), env)
  if (found$error || !is_settled(found$value$ml)) return(NULL)
  table <- found$value$table
  row <- sample.int(nrow(table), 1L)
  zeta <- table[row, ".zeta"]
  value <- table[row, 1L + length(fit$theta) + 1L + kept[[j]]]
  model <- context$model
  model$reml <- FALSE
  model$y <- model$y - model$X[, kept[[j]]] * value
  objective <- function(theta) {
    solved <- tryCatch(oracle_solve(model, theta, double(), kept[-j], FALSE),
                       error = function(e) NULL)
    if (is.null(solved) || !is.finite(solved$criterion) || solved$loss > 1e-9) 1e100 else
      solved$criterion
  }
  bounds <- parameter_bounds(model, double())
  ml <- found$value$ml
  starts <- list(unname(ml$theta), pmax(unname(ml$theta), 0.3), rep(1, length(ml$theta)))
  lowest <- min(vapply(starts, function(start) {
    start <- pmin(pmax(start, bounds$lower), bounds$upper)
    stats::nlminb(start, objective, lower = bounds$lower, upper = bounds$upper)$objective
  }, 1))
  rise <- lowest - ml$criterion
  if (rise < zeta^2 - 1e-4 * (1 + zeta^2)) {
    list(difference("profile", "squared zeta of a fixed effect", zeta^2, rise))
  }
}

# Many responses in one go are what they are one by one
check_many <- function(context) {
  fit <- context$fit
  if (context$model$n > 150L || uses_fitted(context$p)) return(NULL)
  env <- list2env(list(fit = fit), parent = globalenv())
  both <- observe(quote({
    y <- simulate(fit, nsim = 2, seed = 11)
    list(many = refit(fit, y), one = refit(fit, y[[2L]]))
  }), env)
  if (both$error) return(NULL)
  size <- context$solved$sigma * sqrt(diag(context$solved$C)) + 1e-6 * abs(context$solved$beta)
  many <- coef(both$value$many)
  many <- as.matrix(many)
  own <- fixef(both$value$one)
  ours <- if (nrow(many) == 2L) many[2L, ] else many[, 2L]
  ours <- ours[!is.na(ours)]
  # where the many say themselves that one has no optimum there is nothing to compare
  told <- both$value$many$status[[2L]]
  if (!is_settled(both$value$one) || !told %in% c("converged", "singular")) return(NULL)
  compare("refit", "coefficients of many responses", ours, own, size, 1e-3)
}

# Closed forms of balanced designs
check_closed <- function(context) {
  p <- context$p
  if (is.null(p$closed)) return(NULL)
  d <- p$data
  fit <- context$fit
  sd <- as.data.frame(VarCorr(fit))$sdcor
  squares <- function(mean, times) times * sum((mean - mean(d$y))^2)
  if (p$closed == "one-way" || p$closed == "nested") {
    a <- nlevels(d$g)
    r <- nrow(d) / a
    msa <- squares(tapply(d$y, d$g, mean), r) / (a - 1)
    if (p$closed == "one-way") {
      mse <- sum((d$y - stats::ave(d$y, d$g))^2) / (nrow(d) - a)
      if (msa <= mse) return(NULL)
      return(c(
        compare("closed form", "one-way sigma", sigma(fit)^2, mse, mse, 1e-6),
        compare("closed form", "one-way variance", sd[[1L]]^2, (msa - mse) / r, mse, 1e-5)
      ))
    }
    cell <- interaction(d$g, d$b, drop = TRUE)
    b <- nlevels(d$b)
    mean_b <- stats::ave(d$y, cell)
    mean_a <- stats::ave(d$y, d$g)
    mse <- sum((d$y - mean_b)^2) / (nrow(d) - a * b)
    msb <- sum((mean_b - mean_a)^2) / (a * (b - 1))
    if (msb <= mse || msa <= msb) return(NULL)
    return(c(
      compare("closed form", "nested sigma", sigma(fit)^2, mse, mse, 1e-6),
      compare("closed form", "nested variances", sort(sd[1:2]^2),
              sort(c((msa - msb) / r, (msb - mse) / (r / b))), msa, 1e-5)
    ))
  }
  groups <- nlevels(d$g)
  treatments <- nlevels(d$tr)
  resid <- d$y - stats::ave(d$y, d$g) - stats::ave(d$y, d$tr) + mean(d$y)
  mse <- sum(resid^2) / ((groups - 1) * (treatments - 1))
  msg <- squares(tapply(d$y, d$g, mean), treatments) / (groups - 1)
  mst <- squares(tapply(d$y, d$tr, mean), groups) / (treatments - 1)
  if (msg <= mse) return(NULL)
  table <- lapply(c("Satterthwaite", "Kenward-Roger"), function(ddf) anova(fit, ddf = ddf))
  unlist(lapply(table, function(t) c(
    compare("closed form", "F of the treatments", t[["F value"]], mst / mse, mst / mse, 1e-5),
    compare("closed form", "its denominator", t[["DenDF"]], (groups - 1) * (treatments - 1),
            1, 1e-3)
  )), recursive = FALSE)
}
