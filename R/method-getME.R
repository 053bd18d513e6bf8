#' Extract or build a component of a mixed model
#'
#' The window onto the model that 'lme4' agreed on: the same names, the same layout, the same
#' values. What is not stored (model matrices, the sparse Cholesky factor) is built when asked for.
#'
#' @section Components:
#' \describe{
#'   \item{`X`, `y`, `mu`, `offset`}{the model matrix of the fixed effects (without aliased
#'     columns), the response, the conditional means, the offset}
#'   \item{`Z`, `Zt`, `Ztlist`, `mmList`}{the random-effects model matrix, its transpose, the
#'     rows of the transpose by effect, and the model matrices of the terms before they are split
#'     by level}
#'   \item{`theta`, `par`, `lower`, `Tlist`, `ST`}{the covariance parameters (under both names),
#'     their bounds, the relative covariance factors, and these as scales and unit triangles}
#'   \item{`Lambda`, `Lambdat`, `Lind`, `A`}{the relative covariance factor of all random effects,
#'     its transpose, which element of `theta` fills each entry, and `Lambdat Zt`}
#'   \item{`L`, `RX`, `RZX`}{the Cholesky factors of the penalised least squares system}
#'   \item{`u`, `b`, `beta`, `fixef`, `sigma`}{spherical and original random effects, fixed
#'     effects without and with names, the residual standard deviation}
#'   \item{`flist`, `cnms`, `Gp`, `Tp`}{grouping factors, names of the effects of each term, where
#'     the terms start in `b` and in `theta`}
#'   \item{`REML`, `is_REML`, `devcomp`, `devfun`}{the number of fixed effects of a fit by REML
#'     (0 for ML), the same as `TRUE` or `FALSE`, the components of the criterion, and the
#'     criterion as a function of `theta` (or of `theta` and `phi` in one vector)}
#'   \item{`R`, `phi`}{the covariance matrix of the residuals of all rows (sparse), and the
#'     parameters of the residual structure}
#'   \item{`N`, `n`, `p`, `q`, `m`, `npar`, `k`}{numbers: rows (twice), fixed effects, random
#'     effects, covariance parameters (twice), terms}
#'   \item{`n_rtrms`, `n_rfacs`, `l_i`, `p_i`, `q_i`, `m_i`}{numbers: terms, grouping factors,
#'     levels of each grouping factor; and of each term the effects of a level, all effects, and
#'     the parameters}
#' }
#'
#' @param object A model fitted by [lmm()].
#' @param name The name of a component, or its beginning; several names, or `"ALL"`, give a list.
#' @param ... Not used.
#' @returns The component. Sparse matrices are those of the package 'Matrix'.
#' @seealso [lmm-accessors], [vcov.lmm()], [image.lmm()]
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' getME(fit, "theta")
#' getME(fit, c("n", "p", "q"))
#' dim(getME(fit, "Zt"))
#' @export
#' @rawNamespace S3method(lme4::getME, lmm)
getME.lmm <- function(object, name, ...) {
  check_dots(...)
  name <- match_components(name)
  if (is_sampled(object) && any(c("ALL", "L", "RX", "RZX", "devfun") %in% name)) {
    abort_sampled("A factor of the equations, or the criterion as a function,")
  }
  if (identical(name, "ALL")) {
    name <- names(me_components)
  }
  if (length(name) == 1L) {
    return(with_memory(me_components[[name]](object)))
  }
  if (length(name) == length(me_components) && !has_factor_theta(object)) {
    name <- setdiff(name, "Lind")
  }
  with_memory(
    lapply(structure(name, names = name), function(one) me_components[[one]](object))
  )
}

#' @param x A model fitted by [lmm()].
#' @section As a function:
#' `as.function(fit)` is `getME(fit, "devfun")`.
#' @rdname getME.lmm
#' @export
as.function.lmm <- function(x, ...) {
  check_dots(...)
  criterion_function(x)
}

#' Names of components; as in 'lme4', the beginning of one is enough
#' @noRd
match_components <- function(name) {
  known <- c("ALL", names(me_components))
  if (!is.character(name) || length(name) == 0L) {
    ferrolmm_abort("`name` must be the name of a component.", "argument",
                   i = paste0("Components are ", quote_names(known, most = Inf), "."))
  }
  found <- pmatch(name, known, duplicates.ok = TRUE)
  unknown <- name[is.na(found)]
  if (length(unknown) > 0L) {
    nearest <- did_you_mean(unknown[[1L]], known)
    ferrolmm_abort(
      paste0("`name` names no component: ", quote_names(unknown), "."), "argument",
      i = if (length(nearest)) {
        nearest
      } else {
        paste0("Components are ", quote_names(known, most = Inf), ".")
      }
    )
  }
  known[found]
}

#' Every component by name: a function of the fitted object
#' @noRd
me_components <- list(
  X = function(object) fixed_model_matrix(object),
  Z = function(object) transposed(build_zt(object)),
  Zt = function(object) build_zt(object),
  Ztlist = function(object) split_zt(object),
  mmList = function(object) term_model_matrices(object),
  y = function(object) response_values(object),
  mu = function(object) {
    require_own_rows(object, "mu")
    object$fitted.values
  },
  u = function(object) object$u,
  b = function(object) new_matrix("dgeMatrix", x = object$b, Dim = c(length(object$b), 1L)),
  Gp = function(object) object$Gp,
  Tp = function(object) {
    c(beg__ = 0, structure(cumsum(theta_counts(object)), names = names(object$cnms)))
  },
  L = function(object) cholesky_of_system(object),
  Lambda = function(object) transposed(build_lambdat(object)),
  Lambdat = function(object) build_lambdat(object),
  Lind = function(object) lambdat_pattern(object)$parameter,
  Tlist = function(object) {
    factors <- theta_matrix(object$theta, object$random)
    structure(factors, names = name_blocks(object))
  },
  A = function(object) build_lambdat(object) %*% build_zt(object),
  RX = function(object) build_rx(object),
  RZX = function(object) build_rzx(object),
  sigma = function(object) object$sigma,
  flist = function(object) {
    require_own_rows(object, "flist")
    refuse_members_of(object, "`flist`")
    object$flist
  },
  fixef = function(object) object$coefficients[kept_columns(object)],
  beta = function(object) object$beta,
  theta = function(object) object$theta,
  par = function(object) object$theta,
  ST = function(object) scale_and_unit_factors(object),
  REML = function(object) object$devcomp$dims[["REML"]],
  is_REML = function(object) object$REML,
  n_rtrms = function(object) length(object$random),
  n_rfacs = function(object) length(object$flist),
  N = function(object) nobs.lmm(object),
  n = function(object) nobs.lmm(object),
  p = function(object) object$rank,
  q = function(object) length(object$b),
  p_i = function(object) by_term(object, lengths(object$cnms)),
  l_i = function(object) vapply(object$flist, nlevels, 1L),
  q_i = function(object) by_term(object, diff(object$Gp)),
  k = function(object) length(object$random),
  m_i = function(object) by_term(object, theta_counts(object)),
  m = function(object) length(object$theta),
  npar = function(object) length(object$theta),
  cnms = function(object) object$cnms,
  devcomp = function(object) object$devcomp,
  offset = function(object) {
    require_own_rows(object, "The offset")
    if (is.null(object$offset)) numeric(nobs.lmm(object)) else object$offset
  },
  lower = function(object) structure(object$lower, names = names(object$theta)),
  R = function(object) whole_residual_covariance(object),
  phi = function(object) object$phi,
  devfun = function(object) criterion_function(object)
)

#' Name a value for each term by the terms' labels
#' @noRd
by_term <- function(object, values) {
  structure(as.vector(values), names = vapply(object$random, function(term) term$label, ""))
}

#' Z' by effect: for each column of each term the rows of its levels
#' @noRd
split_zt <- function(object) {
  zt <- build_zt(object)
  parts <- Map(
    function(term, group, start, end) {
      k <- length(term$cnms)
      rows <- lapply(seq_len(k), function(j) zt[seq.int(start + j, end, by = k), , drop = FALSE])
      structure(rows, names = paste(group, term$cnms, sep = "."))
    },
    object$random, names(object$cnms), object$Gp[-length(object$Gp)], object$Gp[-1L]
  )
  do.call(c, unname(parts))
}

#' Model matrices of the terms' left sides, with row names and assign
#' @noRd
term_model_matrices <- function(object) {
  n <- nobs.lmm(object)
  matrices <- lapply(object$random, function(term) {
    basis <- basis_columns(term$lhs, object$frame, term$contrasts)
    columns <- term$columns
    narrowed <- columns_matrix(basis$columns[columns], n)
    dimnames(narrowed) <- list(row.names(object$frame), basis$names[columns])
    attr(narrowed, "assign") <- basis$assign[columns]
    attr(narrowed, "contrasts") <- basis$contrasts
    narrowed
  })
  structure(matrices, names = vapply(object$random, function(term) term$label, ""))
}

#' RZX = L^-1 P Lambda'Z'W X
#' @noRd
build_rzx <- function(object) {
  factor <- cholesky_of_system(object)
  x <- whiten_rows(object, fixed_model_matrix(object))
  cross <- weighted_system(object) %*% x
  rzx <- Matrix::solve(factor, Matrix::solve(factor, cross, system = "P"), system = "L")
  matrix(as.vector(rzx), ncol = ncol(x), dimnames = list(NULL, colnames(x)))
}

#' Factors T_t as scales S (on the diagonal) and a unit lower triangle: T_t = unit S
#' @noRd
scale_and_unit_factors <- function(object) {
  factors <- theta_matrix(object$theta, object$random)
  structure(
    lapply(factors, function(factor) {
      scales <- diag(factor)
      unit <- factor %*% diag(ifelse(scales == 0, 0, 1 / scales), length(scales))
      diag(unit) <- scales
      unit
    }),
    names = name_blocks(object)
  )
}

#' The criterion that was minimised, as a function of theta
#' @noRd
criterion_function <- function(object) {
  model <- model_of(engine_inputs(object, in_place = TRUE))
  reml <- object$REML
  control <- unconstrained_control(object)
  phi <- unname(object$phi)
  function(theta) {
    theta <- as.double(theta)
    if (length(theta) == length(object$theta)) {
      theta <- c(theta, phi)
    }
    engine_fit(model, reml, theta, control, optimize = FALSE)$criterion
  }
}
