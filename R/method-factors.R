# Loadings of terms with rr() or fa(), rotated, with specific variances and scores.

#' Loadings of factors, specific variances and scores
#'
#' What a term `fa(x | g, k = )` or `rr(x | g, k = )` is made of: the covariance matrix of the
#' random effects of a level is \eqn{G = \Lambda \Lambda' + \Psi}, with loadings \eqn{\Lambda} of
#' the effects on `k` factors and specific variances \eqn{\Psi}, which are zero in `rr()`.
#'
#' Loadings are determined up to a rotation, which changes neither \eqn{G} nor the likelihood:
#' `rotate` chooses one. `"principal"` is that of Smith, Cullis and Thompson (2001): the columns of
#' \eqn{\Lambda} are orthogonal, and each explains as much of the rest of \eqn{\Lambda \Lambda'} as
#' one can. `"varimax"` is Kaiser's (1958), by [stats::varimax()], which makes loadings of each
#' factor large or small. Both sort factors by what they explain, and give each the sign that makes
#' the sum of its loadings positive. `"none"` is the rotation in which `theta` has them, with zeros
#' above the diagonal.
#'
#' The effects of a level are \eqn{u = \Lambda f + \delta}. `scores` are predictions of \eqn{f},
#' which have variance 1 (or that of the known covariance matrix of the levels):
#' \eqn{\tilde f = \Lambda' G^{-} \tilde u} with the predictions \eqn{\tilde u} of [ranef()], as
#' \eqn{f} depends on the data through \eqn{u} alone. The loadings of an effect times the scores
#' of a level are what is predicted of it in common; the rest of \eqn{\tilde u} is specific to the
#' effect.
#'
#' A specific variance that is estimated as zero is a *Heywood case*: an optimum on the boundary,
#' which `lmm()` certifies as such (the derivative of the criterion with respect to that variance is
#' not negative), and [isSingular()] and `summary()` tell of it. The effect is then a combination of
#' the factors without remainder.
#'
#' @param object A model fitted by [lmm()] with a term `fa()` or `rr()`.
#' @param rotate The rotation, `"principal"`, `"varimax"` or `"none"`.
#' @param ... Not used.
#' @returns A list of class `factor_loadings`, an element for each such term, named by its grouping
#'   factor, each a list with q effects and k factors:
#'   * `loadings`: q x k, in units of the response;
#'   * `specific`: the q specific variances, in squared units of the response;
#'   * `share`: the share of each effect's variance that the factors explain (communality);
#'   * `explained`: the share of the variance of all effects together that each factor explains;
#'   * `scores`: levels x k, without units;
#'   * `rotation`: k x k, by which the loadings of `"none"` were multiplied.
#'
#'   An error of class `ferrolmm_error_factors` for a model without such a term.
#' @references
#' Kaiser, H. F. (1958). The varimax criterion for analytic rotation in factor analysis.
#' *Psychometrika*, 23(3), 187-200.
#'
#' Smith, A., Cullis, B. and Thompson, R. (2001). Analyzing variety by environment data using
#' multiplicative mixed models and adjustments for spatial field trend. *Biometrics*, 57(4),
#' 1138-1147.
#' @seealso [lmm()] for the structures, [VarCorr.lmm()] for \eqn{G}, [ranef.lmm()] for \eqn{u}
#' @examples
#' # sheep weighed on five days: one factor and what is specific to each day
#' set.seed(1)
#' sheep <- expand.grid(day = factor(1:5), rep = 1:2, sheep = factor(1:40))
#' growth <- rnorm(40)
#' own <- matrix(rnorm(200, sd = 0.6), 40)
#' sheep$weight <- 30 + 2 * as.numeric(sheep$day) + (growth[sheep$sheep] * (1:5 / 2)[sheep$day]) +
#'   own[cbind(sheep$sheep, sheep$day)] + rnorm(400, sd = 0.5)
#' fit <- lmm(weight ~ day + fa(0 + day | sheep, k = 1), sheep)
#' factor_loadings(fit)
#' @export
factor_loadings <- function(object, ...) UseMethod("factor_loadings")

#' @rdname factor_loadings
#' @export
factor_loadings.lmm <- function(object, rotate = c("principal", "varimax", "none"), ...) {
  check_dots(..., hints = c(rotation = "It is called `rotate`."))
  rotate <- match_choice(rotate, "rotate", c("principal", "varimax", "none"))
  if (!has_factor_terms(object)) {
    ferrolmm_abort(
      "The model has no factors.", "factors",
      i = "They are those of fa(0 + x | g, k = 1) or rr(0 + x | g, k = 1)."
    )
  }
  wanted <- which(vapply(object$random, has_factors, NA))
  thetas <- split_theta(object$theta, object$random)
  found <- lapply(wanted, function(t) rotated_term(object, t, thetas[[t]], rotate))
  names(found) <- make.unique(vapply(object$random[wanted], `[[`, "", "group"))
  structure(found, rotate = rotate, class = "factor_loadings")
}

#' Loadings, specific variances, shares and scores of one term
#' @noRd
rotated_term <- function(object, t, theta, rotate) {
  term <- object$random[[t]]
  parts <- term_loadings(theta, term)
  plain <- object$sigma * parts$loadings
  specific <- stats::setNames(object$sigma^2 * parts$specific, term$cnms)
  rotation <- loading_rotation(plain, rotate)
  names <- paste0("factor", seq_len(ncol(plain)))
  loadings <- plain %*% rotation
  dimnames(loadings) <- list(term$cnms, names)
  dimnames(rotation) <- list(NULL, names)
  common <- rowSums(loadings^2)
  levels <- levels(object$flist[[term$factor]])
  effects <- matrix(object$b[effects_of_term(object, t)], nrow = nrow(loadings))
  covariance <- tcrossprod(loadings) + diag(specific, length(specific))
  scores <- t(crossprod(loadings, inverse_on_range(covariance) %*% effects))
  dimnames(scores) <- list(levels, names)
  list(
    loadings = loadings, specific = specific, share = common / (common + specific),
    explained = colSums(loadings^2) / sum(common + specific), scores = scores, rotation = rotation
  )
}

#' The orthogonal matrix that turns loadings
#' @noRd
loading_rotation <- function(plain, rotate) {
  d <- ncol(plain)
  if (rotate == "none") {
    return(diag(d))
  }
  rotation <- if (rotate == "varimax" && d > 1L && all(rowSums(plain^2) > 0)) {
    unclass(stats::varimax(plain, eps = 1e-10)$rotmat)
  } else {
    svd(plain, nu = 0L)$v
  }
  turned <- plain %*% rotation
  order <- order(colSums(turned^2), decreasing = TRUE)
  sign <- ifelse(colSums(turned) < 0, -1, 1)
  rotation[, order, drop = FALSE] * rep(sign[order], each = d)
}

#' Moore and Penrose's inverse of a covariance matrix
#' @noRd
inverse_on_range <- function(x) {
  found <- eigen(x, symmetric = TRUE)
  kept <- found$values > 1e-10 * max(found$values, 0)
  vectors <- found$vectors[, kept, drop = FALSE]
  tcrossprod(vectors * rep(1 / found$values[kept], each = nrow(x)), vectors)
}

#' @param x What `factor_loadings()` returns.
#' @param digits The number of significant digits to print.
#' @rdname factor_loadings
#' @export
print.factor_loadings <- function(x, digits = max(3L, getOption("digits") - 3L), ...) {
  check_dots(...)
  check_digits(digits)
  rotation <- c(none = "not rotated", varimax = "varimax", principal = "principal axes")
  for (name in names(x)) {
    own <- x[[name]]
    writeLines(paste0("Loadings of the effects of ", name, " (", rotation[attr(x, "rotate")], "):"))
    cells <- cbind(
      format(own$loadings, digits = digits), Specific = format(own$specific, digits = digits),
      Explained = paste0(formatC(100 * own$share, digits = 1L, format = "f"), "%")
    )
    shares <- paste0(formatC(100 * own$explained, digits = 1L, format = "f"), "%")
    all <- paste0(formatC(100 * sum(own$explained), digits = 1L, format = "f"), "%")
    cells <- rbind(cells, Explained = c(shares, "", all))
    print(cells, quote = FALSE, right = TRUE)
    zero <- own$specific == 0
    if (any(zero) && !all(zero)) {
      writeLines(wrap_text(paste0(
        "Heywood case: the specific variance of ", quote_names(names(own$specific)[zero], 4L),
        " is estimated as zero."
      )))
    }
  }
  invisible(x)
}
