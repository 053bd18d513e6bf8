# A random problem: data, a model, and what is called on its fit. One seed, one problem.
#
# A problem is a list of
#   seed, kind
#   data       data frame
#   objects    named list of other objects that the calls use (known matrices)
#   response   name of a column
#   fixed      list of expressions: the terms of the fixed part
#   random     list of terms: lhs (expression), groups (list of vectors of columns; more than one for
#              a/b), structure, double (||), known (NULL or list(kind, name)), by (NULL or columns
#              that covariances differ by)
#   residual   NULL or list(correlation, scales, text), see residual_of() in oracle.R
#   arguments  named list of further arguments of lmm(), expressions
#   sigma, hold, tie, perfect   what the generator knows
#   calls      list of expressions in `fit`, `d`, `new`
# It knows nothing of the package: data and calls only.

pick <- function(x, prob = NULL) x[[sample.int(length(x), 1L, prob = prob)]]
chance <- function(p) stats::runif(1L) < p
between <- function(low, high) sample(low:high, 1L)

kinds <- c(
  plain = 36, structured = 13, residual = 17, known = 7, boundary = 6, constrained = 6,
  scales = 5, hostile = 8, wide = 0.5, closed = 2, perfect = 2
)
# and those of restricted.R, which --only draws

generate <- function(seed, only = NULL) {
  set.seed(seed, "Mersenne-Twister", "Inversion", "Rejection")
  kind <- if (is.null(only)) pick(names(kinds), kinds) else only
  if (kind == "closed") {
    return(closed_problem(seed))
  }
  p <- list(seed = seed, kind = kind, objects = list(), arguments = list(), response = "y",
            perfect = FALSE, closed = NULL)
  p$data <- random_data(kind)
  p$fixed <- random_fixed(p)
  p$random <- random_terms(p)
  p$residual <- if (kind == "residual" || kind == "constrained" && chance(0.3)) {
    random_residual(p)
  }
  if (length(p$random) == 0L && is.null(p$residual)) {
    p$random <- list(simple_term(quote(1), "g"))
  }
  p <- random_response(p)
  p <- random_arguments(p)
  if (kind %in% restricted_kinds) p <- restricted_arguments(p)
  if (!kind %in% restricted_kinds && (kind == "hostile" || chance(0.05))) {
    p <- hostile(p)
  }
  p$calls <- random_calls(p)
  p
}

# Data ---------------------------------------------------------------------------------------------

random_data <- function(kind) {
  if (kind == "wide") {
    return(wide_data())
  }
  longitudinal <- kind %in% c("structured", "residual") || chance(0.3)
  if (longitudinal) {
    visits <- between(2L, 6L)
    m <- pick(list(between(3L, 8L), between(8L, 25L), between(25L, 60L)), c(3, 4, 1))
    sizes <- if (chance(0.4)) rep(visits, m) else sample.int(visits, m, TRUE)
    sizes[1L] <- visits
    if (sum(sizes) < 8L) {
      sizes <- rep(visits, max(m, 5L))
    }
    g <- rep(seq_along(sizes), sizes)
    t <- unlist(lapply(sizes, function(k) sample.int(visits, k)))
  } else {
    n <- pick(list(between(8L, 40L), between(41L, 150L), between(150L, 400L)), c(60, 37, 3))
    m <- max(2L, as.integer(round(n / stats::runif(1L, 1.3, 9))))
    g <- if (chance(0.3)) {
      rep_len(seq_len(m), n)
    } else {
      sample.int(m, n, TRUE, prob = if (chance(0.3)) stats::rexp(m) + 0.01)
    }
    t <- as.integer(stats::ave(seq_len(n), g, FUN = seq_along))
    visits <- max(t)
  }
  n <- length(g)
  if (chance(0.4)) {
    order <- sample.int(n)
    g <- g[order]
    t <- t[order]
  }
  crossed <- between(2L, max(3L, n %/% pick(c(2L, 4L, 8L))))
  inner <- between(2L, 4L)
  gaps <- if (chance(0.3)) cumsum(sample.int(3L, visits, TRUE)) else seq_len(visits)
  other_columns(data.frame(
    g = factor(paste0("g", g), paste0("g", seq_len(max(g)))),
    h = sample.int(crossed, n, TRUE),
    k = factor(sample(letters[seq_len(between(2L, 8L))], n, TRUE)),
    b = factor(stats::ave(seq_len(n), g, FUN = function(i) rep_len(seq_len(inner), length(i)))),
    t = gaps[t], tf = factor(t, seq_len(visits))
  ))
}

# Complements around the engine's block sizes, 96 and 192
wide_data <- function() {
  wide <- pick(c(94L:98L, 191L:194L))
  n <- between(max(wide + 40L, 200L), 420L)
  g <- sample.int(wide + between(1L, 60L), n, TRUE)
  h <- sample(c(seq_len(wide), sample.int(wide, n - wide, TRUE)))
  other_columns(data.frame(
    g = factor(g), h = h, k = factor(sample(letters[1:4], n, TRUE)),
    b = factor(sample.int(2L, n, TRUE)),
    t = as.integer(stats::ave(g, g, FUN = seq_along)),
    tf = factor(sample.int(3L, n, TRUE))
  ))
}

other_columns <- function(d) {
  n <- nrow(d)
  size <- if (chance(0.85)) 1 else 10^stats::runif(1L, -8, 8)
  shift <- if (chance(0.85)) 0 else 10^stats::runif(1L, 0, 5)
  d$x1 <- size * (stats::rnorm(n) + shift)
  d$x2 <- if (chance(0.2)) as.integer(stats::rpois(n, 3)) else stats::runif(n, -1, 3)
  # constant within the levels of g
  d$z1 <- stats::rnorm(nlevels(d$g))[as.integer(d$g)]
  arms <- between(2L, 3L)
  d$arm <- factor(c("new", "old", "none")[sample.int(arms, nlevels(d$g), TRUE)])[as.integer(d$g)]
  d$odd <- (as.integer(d$g) %% 2L) == 1L
  d$f <- factor(sample(c("a", "b", "c")[seq_len(between(2L, 3L))], n, TRUE))
  d$o <- factor(sample(c("low", "mid", "high"), n, TRUE), c("low", "mid", "high"), ordered = TRUE)
  d$l <- stats::runif(n) < 0.4
  d$ch <- sample(c("no", "yes", "so"), n, TRUE)
  d$s1 <- round(stats::runif(n, 0, 10), 3)
  d$s2 <- round(stats::runif(n, 0, 10), 3)
  d$v <- stats::rexp(n) + 0.1
  d$u <- stats::rnorm(n)
  d
}

# Fixed part ---------------------------------------------------------------------------------------

fixed_pool <- list(
  quote(x1), quote(x2), quote(z1), quote(f), quote(o), quote(l), quote(ch), quote(t), quote(tf),
  quote(x1:f), quote(poly(x2, 2)), quote(I(x1^2)), quote(x1:x2), quote(f:l), quote(scale(x1)),
  quote(log(v)), quote(splines::ns(x2, 3)), quote(x1:l), quote(h), quote(cut(x2, 3))
)
fixed_weights <- c(14, 8, 6, 10, 5, 5, 5, 6, 5, 3, 4, 3, 2, 2, 2, 2, 1, 1, 1, 1)

random_fixed <- function(p) {
  k <- pick(0:4, c(8, 35, 30, 18, 9))
  chosen <- sample.int(length(fixed_pool), k, prob = fixed_weights)
  terms <- fixed_pool[sort(chosen)]
  if (chance(0.06)) {
    terms <- c(terms, list(quote(I(2 * x1 - x2))))
  }
  if (chance(0.07) && length(terms) > 0L) {
    terms <- c(terms, list(0))
  }
  terms
}

# Random part --------------------------------------------------------------------------------------

simple_term <- function(lhs, group, structure = "us", double = FALSE, known = NULL, by = NULL) {
  groups <- if (is.list(group)) group else list(group)
  list(lhs = lhs, groups = groups, structure = structure, double = double, known = known, by = by)
}

# What the covariances of terms differ by, of some terms whose levels are within those of g
with_classes <- function(p, terms) {
  if (p$kind %in% c("constrained", "wide")) return(terms)
  often <- if (p$kind %in% c("structured", "known")) 0.3 else 0.12
  lapply(terms, function(term) {
    within <- all(vapply(term$groups, function(group) "g" %in% group, NA))
    if (within && !term$double && chance(often)) {
      term$by <- pick(list("arm", "odd", c("arm", "odd")), c(6, 3, 1))
    }
    term
  })
}

# Left sides with few columns
slopes <- list(
  quote(x1), quote(0 + x1), quote(x2), quote(l), quote(1 + x1 + x2), quote(f), quote(0 + f),
  quote(o), quote(poly(x2, 2)), quote(x1:l), quote(ch), quote(t), quote(0 + l), quote(I(x1^2)),
  quote(z1)
)
slope_weights <- c(20, 6, 10, 5, 4, 5, 4, 2, 2, 1, 2, 4, 1, 1, 1)

random_terms <- function(p) {
  kind <- p$kind
  if (kind %in% restricted_kinds) return(restricted_terms(p))
  m <- switch(kind,
    residual = pick(0:1, c(6, 4)), structured = pick(1:2, c(7, 3)), known = pick(1:2, c(6, 4)),
    wide = pick(1:3), constrained = pick(1:3, c(2, 5, 2)), pick(1:3, c(45, 38, 17))
  )
  if (m == 0L) {
    return(list())
  }
  places <- list("g", "h", "k", list("g", c("g", "b")), c("h", "k"), c("g", "l"))
  weights <- c(if (kind == "wide") 5 else 50, 25, 10, 10, 3, 2)
  first <- if (kind %in% c("structured", "known")) "g" else pick(places, weights)
  chosen <- list(first)
  while (length(chosen) < m) {
    another <- pick(places, weights)
    taken <- unlist(lapply(chosen, function(x) if (is.list(x)) x[[1L]] else x))
    new <- if (is.list(another)) another[[1L]] else another
    if (!any(vapply(chosen, identical, NA, another)) && !setequal(new, taken) &&
          !(is.list(another) && "g" %in% taken) &&
          !(identical(another, "g") && any(vapply(chosen, is.list, NA)))) {
      chosen <- c(chosen, list(another))
    } else if (chance(0.2)) {
      break
    }
  }
  terms <- list()
  for (i in seq_along(chosen)) {
    terms <- c(terms, random_term(p, chosen[[i]], i))
  }
  with_classes(p, terms)
}

random_term <- function(p, group, i) {
  if (p$kind == "structured" && i == 1L || p$kind != "wide" && chance(0.03)) {
    structure <- pick(c("cs", "homcs", "ar1", "hetar1", "toep", "homtoep", "diag", "homdiag", "us"))
    lhs <- if (structure %in% c("ar1", "hetar1", "toep", "homtoep")) {
      pick(list(quote(0 + tf), quote(0 + f), quote(0 + o)), c(6, 2, 1))
    } else {
      pick(list(quote(0 + tf), quote(f), quote(x1), quote(0 + f), quote(1 + x1 + x2)))
    }
    if (levels_of(p, lhs) > 6L) {
      lhs <- quote(0 + f)
    }
    return(list(simple_term(lhs, group, structure)))
  }
  if (p$kind == "known" && i == 1L) {
    name <- "K"
    kind <- pick(c("cov", "prec"))
    lhs <- pick(list(quote(1), quote(x1), quote(0 + f)), c(7, 2, 1))
    structure <- if (identical(lhs, quote(1))) "us" else pick(c("us", "diag", "cs", "homdiag"))
    term <- list(simple_term(lhs, group, structure, known = list(kind = kind, name = name)))
    if (chance(0.25)) {
      term <- c(term, list(simple_term(quote(1), group)))
    }
    return(term)
  }
  if (p$kind == "constrained" || p$kind == "wide" && chance(0.9) || chance(0.5)) {
    return(list(simple_term(quote(1), group)))
  }
  if (chance(0.12) && !is.list(group)) {
    # one factor, two independent terms
    return(list(simple_term(quote(1), group), simple_term(quote(0 + x1), group)))
  }
  lhs <- pick(slopes, slope_weights)
  list(simple_term(lhs, group, double = chance(0.25)))
}

# Levels of the factors of a left side
levels_of <- function(p, lhs) {
  names <- intersect(all.vars(lhs), names(p$data))
  max(1L, vapply(p$data[names], function(x) if (is.factor(x)) nlevels(x) else 1L, 1L))
}

known_matrix <- function(levels, kind) {
  n <- length(levels)
  K <- if (chance(0.5)) {
    # relatives: a dense matrix
    A <- matrix(stats::rnorm(n * (n + 3L)), n)
    tcrossprod(A) / (n + 3L) + diag(0.2, n)
  } else {
    0.6^abs(outer(seq_len(n), seq_len(n), `-`))
  }
  if (kind == "prec") {
    K <- if (chance(0.5)) solve(K) else diag(1.5, n) - 0.5 * (abs(outer(1:n, 1:n, `-`)) == 1)
    K <- (K + t(K)) / 2
  }
  # few digits, for a script that can be read
  K <- round(K, 3)
  least <- min(eigen(K, TRUE)$values)
  if (least < 0.02) diag(K) <- diag(K) + 0.03 - least
  dimnames(K) <- list(levels, levels)
  order <- sample.int(n)
  K <- K[order, order, drop = FALSE]
  if (chance(0.25) && here_is("Matrix")) Matrix::Matrix(K, sparse = TRUE) else K
}

# Without entries between levels of different classes; what is left is positive definite
uncoupled <- function(K, data, by) {
  if (is.null(by)) return(K)
  class <- do.call(paste, unname(data[match(rownames(K), data$g), by, drop = FALSE]))
  K * outer(class, class, `==`)
}

# Residual structure -------------------------------------------------------------------------------

random_residual <- function(p) {
  d <- p$data
  visits <- nlevels(d$tf)
  group <- if (visits <= 6L) "g" else NULL
  if (is.null(group)) {
    # groups are too long for visits: variances only
    return(list(scales = random_scales(p), correlation = NULL, argument = NULL))
  }
  if (chance(0.45)) {
    name <- pick(c("us", "toep", "toeph", "ad", "adh", "ar1", "ar1h", "cs", "csh", "sp_exp",
                   "sp_gau"))
    type <- c(us = "us", toep = "toep", toeph = "toep", ad = "ante", adh = "ante", ar1 = "ar1",
              ar1h = "ar1", cs = "cs", csh = "cs", sp_exp = "exp", sp_gau = "gaus")[[name]]
    by_visit <- name %in% c("us", "toeph", "adh", "ar1h", "csh")
    columns <- if (type %in% c("exp", "gaus")) {
      if (chance(0.6)) c("s1", "s2") else "s1"
    } else {
      pick(c("tf", "t"))
    }
    arguments <- lapply(columns, as.name)
    by <- if (chance(0.35)) pick(c("arm", "odd"))
    side <- if (is.null(by)) as.name(group) else call("/", as.name(by), as.name(group))
    last <- call("|", arguments[[length(arguments)]], side)
    text <- as.call(c(as.name(name), arguments[-length(arguments)], last))
    kind <- if (type %in% c("exp", "gaus")) "coordinates" else if (type == "cs") "none" else
      if (columns == "tf" || !type %in% c("ar1", "toep")) "level" else "number"
    return(list(
      argument = "residual", text = call("~", text),
      correlation = list(type = type, columns = columns, kind = kind, groups = c(by, group),
                         nugget = FALSE, p = 0L, q = 0L, by = by),
      scales = if (by_visit || !is.null(by)) {
        list(list(type = "ident", stratum = c(by, if (by_visit) columns), by_level = TRUE))
      }
    ))
  }
  scales <- if (chance(0.35)) random_scales(p)
  correlation <- if (is.null(scales) || chance(0.6)) random_correlation(p, group)
  list(argument = "correlation", text = correlation$text, correlation = correlation,
       scales = scales)
}

random_correlation <- function(p, group) {
  class <- pick(c("corAR1", "corCAR1", "corARMA", "corCompSymm", "corSymm", "corExp", "corGaus",
                  "corLin", "corRatio", "corSpher"))
  type <- c(corAR1 = "ar1", corCAR1 = "car1", corARMA = "arma", corCompSymm = "cs",
            corSymm = "us", corExp = "exp", corGaus = "gaus", corLin = "lin", corRatio = "ratio",
            corSpher = "spher")[[class]]
  spatial <- type %in% c("exp", "gaus", "lin", "ratio", "spher")
  order <- chance(0.2) && !spatial
  columns <- if (order || type == "cs") NULL else if (spatial) c("s1", "s2") else
    if (type == "car1") pick(c("s1", "t")) else "t"
  left <- if (is.null(columns)) 1 else Reduce(function(a, b) call("+", a, b),
                                             lapply(columns, as.name))
  form <- call("~", call("|", left, as.name(group)))
  nugget <- spatial && chance(0.3)
  orders <- if (type == "arma") pick(list(c(1L, 0L), c(0L, 1L), c(1L, 1L), c(2L, 0L)))
  extra <- list()
  if (type == "arma") extra <- list(p = orders[[1L]], q = orders[[2L]])
  if (nugget) extra$nugget <- TRUE
  value <- NULL
  fixed <- FALSE
  if (chance(0.1) && type %in% c("ar1", "cs")) {
    value <- if (type == "ar1") 0.4 else 0.2
    fixed <- TRUE
    extra <- c(list(value = value), extra, list(fixed = TRUE))
  }
  list(
    text = as.call(c(as.name(class), extra[names(extra) == "value"], list(form = form),
                     extra[names(extra) != "value"])),
    type = type, columns = columns, groups = group, nugget = nugget,
    kind = if (type == "cs") "none" else if (order) "order" else
      if (spatial || type == "car1") "coordinates" else if (type == "us") "level" else "number",
    p = if (is.null(orders)) 0L else orders[[1L]], q = if (is.null(orders)) 0L else orders[[2L]],
    fixed = fixed, value = value
  )
}

random_scales <- function(p) {
  one <- function() {
    pick(list(
      list(type = "ident", stratum = "f", text = quote(varIdent(form = ~ 1 | f))),
      list(type = "ident", stratum = c("f", "l"), text = quote(varIdent(form = ~ 1 | f * l))),
      list(type = "power", covariate = "v", text = quote(varPower(form = ~v))),
      list(type = "exp", covariate = "x2", text = quote(varExp(form = ~x2))),
      list(type = "constpower", covariate = "v", text = quote(varConstPower(form = ~v))),
      list(type = "power", fitted = TRUE, text = quote(varPower())),
      list(type = "exp", fitted = TRUE, text = quote(varExp())),
      list(type = "fixed", covariate = "v", text = quote(varFixed(~v)))
    ), c(6, 2, 4, 4, 2, 1, 1, 2))
  }
  first <- one()
  if (chance(0.15)) {
    second <- one()
    if (second$type != first$type) return(list(first, second))
  }
  list(first)
}

# Response -----------------------------------------------------------------------------------------

random_response <- function(p) {
  known <- Filter(function(term) !is.null(term$known), p$random)
  for (term in known) {
    levels <- levels(p$data$g)
    used <- if (term$known$kind == "cov") levels[levels %in% p$data$g] else levels
    # levels of a precision matrix without rows have no class
    extra <- if (chance(0.3) && (is.null(term$by) || term$known$kind == "cov")) {
      paste0("ancestor", 1:2)
    }
    if (!is.null(term$by)) used <- levels[levels %in% p$data$g]
    p$objects[[term$known$name]] <- uncoupled(
      known_matrix(c(used, extra), term$known$kind), p$data, term$by
    )
  }
  p$data$y <- 0
  X <- stats::model.matrix(fixed_formula(p, FALSE), p$data)
  n <- nrow(p$data)
  unit <- pmax(sqrt(colMeans(X^2)), 1e-300)
  y <- drop(X %*% (stats::rnorm(ncol(X)) / unit))
  if (length(p$random) > 0L) {
    for (term in expand_terms(p$random)) {
      z <- term_design(term, p$data)
      k <- ncol(z$basis)
      size <- if (p$kind == "boundary") pick(c(0, 0.01, 0.3)) else pick(c(0, 0.3, 1, 3, 30),
                                                                       c(2, 3, 5, 3, 0.5))
      scale <- pmax(sqrt(colMeans(z$basis^2)), 1e-300)
      effects <- matrix(stats::rnorm(z$levels * k), z$levels)
      if (k > 1L && chance(0.5)) effects <- effects %*% matrix(stats::rnorm(k * k), k)
      y <- y + size * rowSums(z$basis * effects[z$code, , drop = FALSE] / rep(scale, each = n))
    }
  }
  noise <- if (p$kind == "perfect") pick(c(0, 1e-12, 1e-7, 1e-3)) else 1
  p$perfect <- noise < 1e-2
  e <- stats::rnorm(n)
  if (!is.null(p$residual$correlation) && chance(0.7)) {
    e <- e + stats::rnorm(nlevels(p$data$g))[as.integer(p$data$g)] * pick(c(0.3, 1, 2))
  }
  if (chance(0.1)) {
    far <- sample.int(n, 1L)
    e[far] <- e[far] + pick(c(-8, 8, 100))
  }
  y <- y + noise * e
  if (p$kind == "scales") y <- y * 10^stats::runif(1L, -12, 12)
  if (chance(0.05)) y <- y + 10^between(2L, 6L)
  if (chance(0.05) && p$kind != "scales") y <- round(y)
  if (all(y == y[[1L]])) y <- y + stats::rnorm(n)
  p$data$y <- y
  p
}

# Arguments ----------------------------------------------------------------------------------------

random_arguments <- function(p) {
  d <- p$data
  n <- nrow(d)
  arguments <- list()
  if (chance(0.35)) arguments$REML <- FALSE
  free_weights <- length(p$residual$scales) == 0L
  if (free_weights && chance(if (p$kind == "scales") 0.6 else 0.25)) {
    d$w <- switch(pick(c("mild", "whole", "wide", "zero", "constant"), c(4, 3, 2, 3, 1)),
      mild = stats::runif(n, 0.5, 2), whole = as.double(sample.int(5L, n, TRUE)),
      wide = 10^(if (p$kind == "scales") stats::runif(n, -10, 10) else stats::runif(n, -3, 3)),
      zero = sample(c(0, 1, 2), n, TRUE, c(0.15, 0.6, 0.25)), constant = rep(1e3, n)
    )
    arguments$weights <- quote(w)
  }
  if (!free_weights) {
    arguments$weights <- scales_call(p$residual$scales)
  }
  if (!is.null(p$residual$text)) {
    arguments[[p$residual$argument]] <- p$residual$text
  }
  if (identical(p$residual$argument, "residual")) arguments$weights <- NULL
  if (identical(p$residual$argument, "residual") && chance(0.1)) {
    d$w <- stats::runif(n, 0.5, 2)
    arguments$weights <- quote(w)
  }
  if (chance(0.08)) {
    d[["off"]] <- stats::rnorm(n) * stats::sd(d$y)
    arguments$offset <- quote(off)
  }
  if (chance(0.08)) {
    arguments$subset <- pick(list(quote(x2 < 2.5), quote(f != "c"), quote(seq_along(y) > 2)))
  }
  if (chance(0.12)) {
    columns <- pick(list("y", c("y", "x2"), "g", c("z1", "f")))
    if ("x2" %in% columns && any(grepl("poly|ns\\(|cut", c(p$fixed, lapply(p$random, `[[`, "lhs"))))) {
      columns <- "y"
    }
    for (column in columns) d[sample.int(n, max(1L, n %/% 15L)), column] <- NA
    if (chance(0.5)) arguments$na.action <- quote(na.exclude)
  }
  if (chance(0.04) && any(vapply(p$fixed, identical, NA, quote(f)))) {
    arguments$contrasts <- pick(list(quote(list(f = "contr.sum")), quote(list(f = contr.helmert))))
  }
  p$data <- d
  p$arguments <- arguments
  control <- list()
  if (p$kind == "constrained") {
    p <- random_constraints(p)
    if (!is.null(p$sigma)) control$sigma <- p$sigma
    if (!is.null(p$hold)) control$hold <- as.call(c(quote(c), as.list(p$hold)))
    if (!is.null(p$tie)) control$tie <- call("list", as.call(c(quote(c), as.list(p$tie))))
  }
  if (p$kind == "wide" && chance(0.3)) control$solver <- "exact"
  if (length(control) > 0L) p$arguments$control <- as.call(c(quote(lmm_control), control))
  p
}

random_constraints <- function(p) {
  intercepts <- Filter(function(term) {
    identical(term$lhs, 1) && length(term$groups) == 1L && length(term$groups[[1L]]) == 1L &&
      is.null(term$known)
  }, p$random)
  names <- unique(vapply(intercepts, function(term) paste0(term$groups[[1L]], ".(Intercept)"), ""))
  what <- pick(c("sigma", "hold", "tie", "phi"))
  if (what == "sigma") {
    p$sigma <- stats::sd(p$data$y, na.rm = TRUE) * pick(c(0.3, 1, 2))
  } else if (what == "tie" && length(names) > 1L) {
    p$tie <- names[1:2]
  } else if (what == "phi" && isTRUE(p$residual$correlation$type %in% c("ar1", "cs"))) {
    p$hold <- c("residual.rho" = 0.3)
  } else if (length(names) > 0L) {
    p$hold <- stats::setNames(pick(c(0, 0.5, 2)), names[[1L]])
  }
  p
}

scales_call <- function(scales) {
  calls <- lapply(scales, `[[`, "text")
  if (length(calls) == 1L) calls[[1L]] else as.call(c(quote(varComb), calls))
}

# Hostile names, levels, classes -------------------------------------------------------------------

hostile_names <- c("the day", "x y", "f1", "a:b", "I(x)", "TRUE", "if", "x.y", "\u00e9t\u00e9", "50%",
                   "{x}", "(Intercept)x", "_u", ".z", "a|b", "sigma", "theta", "value", "x\\n", "fb",
                   "offset1", "T", "c", "data", "weights1", "`q", "n'n", "d\"d")
hostile_levels <- list(
  function(m) paste0("a:", seq_len(m)), function(m) c("", paste0("l", seq_len(m)))[seq_len(m)],
  function(m) format(10^(seq_len(m) %% 15), scientific = FALSE)[seq_len(m)],
  function(m) paste0("50% {x} ", seq_len(m)), function(m) paste0("\u00e9", seq_len(m)),
  function(m) rev(as.character(seq_len(m))), function(m) paste0(" ", seq_len(m)),
  function(m) c("NA", "TRUE", "NULL", "1", paste0("v", seq_len(m)))[seq_len(m)],
  function(m) paste0(strrep("long", 30L), seq_len(m))
)

hostile <- function(p) {
  # levels first
  for (column in sample(c("g", "k", "f", "tf", "b", "arm"), between(0L, 3L))) {
    x <- p$data[[column]]
    fresh <- make.unique(pick(hostile_levels)(nlevels(x)))
    if (column == "g" && length(p$objects)) next
    if (column == "f" && !is.null(p$arguments$subset)) next
    levels(x) <- fresh
    p$data[[column]] <- x
  }
  # classes of grouping variables and predictors
  if (length(p$objects) == 0L && chance(0.5)) {
    g <- as.integer(p$data$g)
    p$data$g <- switch(pick(c("integer", "double", "character", "date", "time", "large", "na",
                              "logical")),
      integer = g, double = g / 10, character = as.character(p$data$g),
      date = as.Date("2020-01-01") + g, time = as.POSIXct("2020-01-01", tz = "UTC") + 3600 * g,
      large = 1e5 * g, na = addNA(p$data$g), logical = p$data$g
    )
  }
  if (chance(0.2) && is.null(p$arguments$subset)) {
    p$data$x1 <- switch(pick(c("date", "time", "difftime", "asis", "integer")),
      date = as.Date("2021-03-04") + round(stats::rnorm(nrow(p$data)) * 100),
      time = as.POSIXct("2021-03-04", tz = "UTC") + round(stats::rnorm(nrow(p$data)) * 1e4),
      difftime = as.difftime(stats::rnorm(nrow(p$data)), units = "hours"),
      asis = I(p$data$x1), integer = as.integer(round(10 * stats::rnorm(nrow(p$data))))
    )
    p$uses_class <- !inherits(p$data$x1, c("AsIs", "integer"))
  }
  # names
  used <- intersect(c("x1", "x2", "f", "g", "h", "o", "l", "tf", "y", "arm"), names(p$data))
  old <- sample(used, between(1L, 4L))
  if (is.null(p$hold) && is.null(p$tie)) {
    new <- sample(hostile_names, length(old))
    p <- rename_columns(p, stats::setNames(new, old))
  }
  p
}

# Columns under other names, wherever they are used
rename_columns <- function(p, names) {
  at <- match(names(p$data), names(names))
  names(p$data)[!is.na(at)] <- names[at[!is.na(at)]]
  symbols <- lapply(names, as.name)
  swap <- function(x) rename_in(x, symbols)
  swap_names <- function(x) {
    at <- match(x, base::names(names))
    x[!is.na(at)] <- names[at[!is.na(at)]]
    unname(x)
  }
  p$fixed <- lapply(p$fixed, swap)
  p$random <- lapply(p$random, function(term) {
    term$lhs <- swap(term$lhs)
    term$groups <- lapply(term$groups, swap_names)
    if (!is.null(term$by)) term$by <- swap_names(term$by)
    term
  })
  p$response <- swap_names(p$response)
  p$arguments <- lapply(p$arguments, swap)
  if (!is.null(p$arguments$contrasts)) {
    spec <- p$arguments$contrasts
    base::names(spec)[-1L] <- swap_names(base::names(spec)[-1L])
    p$arguments$contrasts <- spec
  }
  if (!is.null(p$residual)) {
    p$residual$correlation$columns <- swap_names(p$residual$correlation$columns)
    p$residual$correlation$groups <- swap_names(p$residual$correlation$groups)
    if (length(p$residual$correlation$by)) {
      p$residual$correlation$by <- swap_names(p$residual$correlation$by)
    }
    if (!is.null(p$residual$text)) p$residual$text <- swap(p$residual$text)
    p$residual$scales <- lapply(p$residual$scales, function(s) {
      if (length(s$stratum)) s$stratum <- swap_names(s$stratum)
      if (length(s$covariate)) s$covariate <- swap_names(s$covariate)
      s
    })
    if (length(p$residual$correlation$type) == 0L) p$residual["correlation"] <- list(NULL)
  }
  p$renamed <- c(p$renamed, names)
  p
}

rename_in <- function(x, symbols) {
  if (is.symbol(x)) {
    fresh <- symbols[[as.character(x)]]
    return(if (is.null(fresh)) x else fresh)
  }
  if (is.call(x)) {
    for (i in seq_along(x)[-1L]) {
      if (!identical(x[[i]], quote(expr = ))) x[[i]] <- rename_in(x[[i]], symbols)
    }
    if (is.call(x[[1L]])) x[[1L]] <- rename_in(x[[1L]], symbols)
  }
  x
}

# Closed forms -------------------------------------------------------------------------------------

closed_problem <- function(seed) {
  design <- pick(c("one-way", "nested", "paired", "split"))
  a <- between(3L, 8L)
  b <- between(2L, 4L)
  r <- between(2L, 4L)
  d <- switch(design,
    "one-way" = expand.grid(rep = seq_len(r), g = seq_len(a)),
    nested = expand.grid(rep = seq_len(r), b = seq_len(b), g = seq_len(a)),
    paired = expand.grid(tr = c("A", "B"), g = seq_len(a + 3L)),
    split = expand.grid(tr = letters[seq_len(b)], g = seq_len(a))
  )
  n <- nrow(d)
  d$g <- factor(d$g)
  if (!is.null(d$b)) d$b <- factor(d$b)
  d$y <- stats::rnorm(nlevels(d$g), sd = 2)[as.integer(d$g)] + stats::rnorm(n)
  if (design == "nested") {
    inner <- interaction(d$g, d$b, drop = TRUE)
    d$y <- d$y + stats::rnorm(nlevels(inner))[as.integer(inner)]
  }
  p <- list(
    seed = seed, kind = "closed", closed = design, objects = list(), arguments = list(),
    response = "y", perfect = FALSE, data = d,
    fixed = if (design %in% c("paired", "split")) list(quote(tr)) else list(),
    random = list(if (design == "nested") {
      simple_term(quote(1), list("g", c("g", "b")))
    } else {
      simple_term(quote(1), "g")
    }),
    residual = NULL
  )
  p$calls <- random_calls(p)
  p
}

# The model as code --------------------------------------------------------------------------------

sum_of <- function(parts) Reduce(function(a, b) call("+", a, b), parts)

bar_of <- function(term) {
  interact <- function(columns) Reduce(function(a, b) call(":", a, b), lapply(columns, as.name))
  group <- if (length(term$groups) == 1L) {
    interact(term$groups[[1L]])
  } else {
    inner <- setdiff(term$groups[[2L]], term$groups[[1L]])
    call("/", as.name(term$groups[[1L]]), as.name(inner))
  }
  bar <- call(if (term$double) "||" else "|", term$lhs, group)
  if (term$structure == "us" && is.null(term$known) && is.null(term$by)) {
    return(call("(", bar))
  }
  known <- if (!is.null(term$known)) {
    stats::setNames(list(as.name(term$known$name)), term$known$kind)
  }
  by <- if (!is.null(term$by)) list(by = interact(term$by))
  as.call(c(as.name(term$structure), bar, known, by))
}

fixed_formula <- function(p, response = TRUE) {
  right <- if (length(p$fixed) == 0L) 1 else sum_of(p$fixed)
  f <- if (response) call("~", as.name(p$response), right) else call("~", right)
  stats::as.formula(f, env = globalenv())
}

model_formula <- function(p) {
  right <- sum_of(c(if (length(p$fixed) == 0L) list(1) else p$fixed, lapply(p$random, bar_of)))
  call("~", as.name(p$response), right)
}

fit_call <- function(p) {
  as.call(c(list(quote(lmm), model_formula(p), quote(d)), p$arguments))
}
