# The table of words: what users call each structure, and what we print of it.
#
# The engine knows everything else about a structure ([structures()]): a new one is a line of its
# registry, its file there, and an entry here.

#' Structures by the engine's name
#'
#' `words` names it in printed output.
#' `random`: its names around a bar term, each with: one variance for all effects, unless `hom =`
#'   says otherwise? Defaults are those of lme4 2.x, where it has the structure, and of glmmTMB.
#' `residual`: its names in the argument `residual` (those of mmrm, and sp_matern()), each with: has
#'   each visit a standard deviation of its own? Structures with one name differ in `nu`; the first
#'   is the usual one.
#' `nlme`: the classes of nlme's constructors; `nlme_value(value)`, their values on the natural
#'   scale, and `nlme_default`, the value that stands for none.
#' `formula(f)` is the correlation of two rows s < t, or h apart, for equations: f has the pieces
#'   ([formula_pieces()]). `cell(rho, lag, power)` is that at one lag, where `rho(index)` and
#'   `power(x, k)` write symbols; without it, a correlation for each lag.
#' @noRd
structure_words <- list(
  us = list(
    words = "unstructured", random = c(us = FALSE), residual = c(us = TRUE),
    nlme = c("corSymm", "corNatural"), formula = function(f) f$rho("st")
  ),
  diag = list(words = "diagonal", random = c(diag = FALSE, homdiag = TRUE)),
  rr = list(words = "reduced-rank", random = c(rr = FALSE)),
  fa = list(words = "factor-analytic", random = c(fa = FALSE)),
  ante = list(
    words = "ante-dependence", residual = c(ad = FALSE, adh = TRUE),
    formula = function(f) paste(f$rho("s"), f$rho("s+1"), "...", f$rho("t-1"))
  ),
  toep = list(
    words = "Toeplitz", random = c(toep = FALSE, homtoep = TRUE),
    residual = c(toep = FALSE, toeph = TRUE), formula = function(f) f$rho("|s-t|")
  ),
  ar1 = list(
    words = "AR(1)", random = c(ar1 = TRUE, hetar1 = FALSE), residual = c(ar1 = FALSE, ar1h = TRUE),
    nlme = "corAR1", nlme_value = function(value) tanh(value / 2), nlme_default = 0,
    formula = function(f) f$power(f$one("rho"), "|s-t|"),
    cell = function(rho, lag, power) power(rho(), lag)
  ),
  car1 = list(
    words = "continuous AR(1)",
    nlme = "corCAR1", nlme_value = stats::plogis, nlme_default = 0.2,
    formula = function(f) f$power(f$one("rho"), "|s-t|"),
    cell = function(rho, lag, power) power(rho(), lag)
  ),
  arma = list(
    words = "ARMA", nlme = "corARMA", nlme_default = 0,
    formula = function(f) {
      f$label(paste0("that of an ARMA", f$orders, " process at lag |s-t|"))
    }
  ),
  cs = list(
    words = "compound symmetry", random = c(cs = FALSE, homcs = TRUE),
    residual = c(cs = FALSE, csh = TRUE), nlme = "corCompSymm", nlme_default = 0,
    formula = function(f) f$one("rho"), cell = function(rho, lag, power) rho()
  ),
  exp = list(
    words = "exponential spatial", residual = c(sp_exp = FALSE), nlme = "corExp",
    formula = function(f) paste0(f$exp, "(-", f$ratio, ")")
  ),
  gaus = list(
    words = "Gaussian spatial", residual = c(sp_gau = FALSE), nlme = "corGaus",
    formula = function(f) paste0(f$exp, "(-", f$power(paste0("(", f$ratio, ")"), "2"), ")")
  ),
  lin = list(
    words = "linear spatial", nlme = "corLin", formula = function(f) paste0("1 - ", f$ratio),
    condition = function(f) paste0("h < ", f$range)
  ),
  ratio = list(
    words = "rational quadratic spatial", nlme = "corRatio",
    formula = function(f) paste0("1/(1 + ", f$power(paste0("(", f$ratio, ")"), "2"), ")")
  ),
  spher = list(
    words = "spherical spatial", nlme = "corSpher",
    formula = function(f) {
      paste0("1 - 1.5 ", f$ratio, " + 0.5 ", f$power(paste0("(", f$ratio, ")"), "3"))
    },
    condition = function(f) paste0("h < ", f$range)
  ),
  matern1.5 = list(
    words = "Matern (nu = 1.5) spatial", residual = c(sp_matern = FALSE), nu = 1.5,
    formula = function(f) paste0("(1 + a) ", f$exp, "(-a)"),
    condition = function(f) paste0("a = ", f$root(3), " ", f$ratio)
  ),
  matern0.5 = list(
    words = "Matern (nu = 0.5) spatial", residual = c(sp_matern = FALSE), nu = 0.5,
    formula = function(f) paste0(f$exp, "(-", f$ratio, ")")
  ),
  matern2.5 = list(
    words = "Matern (nu = 2.5) spatial", residual = c(sp_matern = FALSE), nu = 2.5,
    formula = function(f) paste0("(1 + a + ", f$power("a", "2"), "/3) ", f$exp, "(-a)"),
    condition = function(f) paste0("a = ", f$root(5), " ", f$ratio)
  ),
  product = list(
    words = "separable", formula = function(f) f$label("the product of correlations of the axes")
  ),
  known = list(
    words = "known covariance", residual = c(known = FALSE),
    formula = function(f) f$label(paste0("that of ", f$matrix))
  )
)

#' Variance functions by the engine's name
#'
#' `nlme` is the class of nlme's constructor; `formula(v)` writes the standard deviation as a
#' function of the covariate v for printed output, `equation(f)` that for equations: f has
#' `covariate`, `power(base, exponent)`, `exp` and `one(letter, k)`, a stratum's k-th parameter.
#' `plain`: positive parameters of which nlme's object keeps the value, not the logarithm.
#' @noRd
scale_words <- list(
  ident = list(nlme = "varIdent"),
  power = list(
    nlme = "varPower", formula = function(v) paste0("|", v, "|^power"),
    equation = function(f) f$power(paste0("|", f$covariate, "|"), f$one("delta", 1L))
  ),
  exp = list(
    nlme = "varExp", formula = function(v) paste0("exp(exp * ", v, ")"),
    equation = function(f) paste0(f$exp, "(", f$one("delta", 1L), " ", f$covariate, ")")
  ),
  constpower = list(
    nlme = "varConstPower", formula = function(v) paste0("const + |", v, "|^power"),
    equation = function(f) {
      paste0(f$one("kappa", 1L), " + ", f$power(paste0("|", f$covariate, "|"), f$one("delta", 2L)))
    }
  ),
  constprop = list(
    nlme = "varConstProp", plain = "prop",
    formula = function(v) paste0("sqrt(const^2 + prop^2 ", v, "^2)"),
    equation = function(f) {
      f$power(paste0(
        "(", f$power(f$one("kappa", 1L), "2"), " + ", f$power(f$one("delta", 2L), "2"), " ",
        f$power(f$covariate, "2"), ")"
      ), "1/2")
    }
  )
)

#' Structures that can be written around a bar term: by the name of each, the engine's name, and
#' whether there is one variance unless `hom =` says otherwise
#' @noRd
covariance_structures <- do.call(c, unname(Map(function(entry, structure) {
  lapply(entry$random, function(hom) list(structure = structure, hom = hom))
}, structure_words, names(structure_words))))

#' Structures of the argument `residual`: by the name of each, its types (several differ in `nu`),
#' and whether each visit has its own standard deviation
#' @noRd
residual_structures <- local({
  found <- list()
  for (type in names(structure_words)) {
    entry <- structure_words[[type]]
    for (name in names(entry$residual)) {
      found[[name]] <- list(
        type = c(found[[name]]$type, type), by_visit = entry$residual[[name]],
        nu = c(found[[name]]$nu, entry$nu)
      )
    }
  }
  found
})

#' The structure of a term without a name around it
#' @noRd
plain_structure <- "us"

#' The engine's names by the classes of nlme's constructors
#' @noRd
classes_of_nlme <- function(words) {
  classes <- lapply(words, `[[`, "nlme")
  stats::setNames(rep(names(classes), lengths(classes)), unlist(classes))
}

#' @noRd
nlme_correlations <- classes_of_nlme(structure_words)

#' @noRd
nlme_variances <- classes_of_nlme(scale_words)

#' @noRd
constructor_names <- c(
  names(nlme_correlations), "corSpatial", names(nlme_variances), "varFixed", "varComb"
)

#' Structures of other packages and of residuals, named in the error that random effects have none
#' like them
#' @noRd
foreign_structures <- union(
  c("ou", "exp", "gau", "mat", "propto", "equalto", "un"), names(residual_structures)
)

#' The correlation at one lag in symbols
#'
#' @param rho,power,lag as for `cell` of [structure_words].
#' @noRd
lag_symbol <- function(type, rho, lag, power) {
  cell <- structure_words[[type]]$cell
  if (is.null(cell)) rho(lag) else cell(rho, lag, power)
}

#' Structures whose theta is not that of a covariance factor, but standard deviations and
#' correlations, or loadings and standard deviations
#' @noRd
is_natural <- function(term) !random_kind(term$structure)$factor
