# The precision matrix of animals in a pedigree.

#' Inverse of the relationship matrix of a pedigree
#'
#' The inverse \eqn{A^{-1}} of the numerator relationship matrix of a pedigree, with inbreeding, for
#' animal models: `lmm(y ~ sex + us(1 | animal, prec = pedigree_precision(animal, sire, dam)), d)`,
#' or of a longer pedigree than the data have, `us(1 | animal, prec = Q)` with `Q <-
#' pedigree_precision(p$id, p$sire, p$dam)`. It is sparse, and found without \eqn{A}: 100,000
#' animals take a fraction of a second.
#'
#' \eqn{A_{ij}} is twice the coefficient of kinship of `i` and `j`. \eqn{A_{ii} = 1 + F_i}, with
#' \eqn{F_i} the inbreeding coefficient: half the relationship of the parents of `i`. The variance
#' of `us(1 | animal, prec = Q)` is that of an animal that is not inbred.
#'
#' @param id The animals, each once, in any order: numbers, strings or a factor, as in the data of
#'   the model.
#' @param sire,dam The parents of each, in the same names; `NA`, `0`, `"0"` or `""` for an unknown
#'   one. Parents that are not in `id` are added as animals without known parents, with a message.
#' @param ... None: any other argument is an error.
#' @returns A symmetric sparse matrix (`dsCMatrix` of 'Matrix') with the animals, those of `id`
#'   first, as dimnames. Its attribute `"inbreeding"` has their inbreeding coefficients, by name.
#' @section Errors:
#' Animals that are their own ancestors, parents that are sire and dam, and an animal that is in
#' `id` twice are errors of class `ferrolmm_error_pedigree`, which name them.
#' @references
#' Henderson, C. R. (1976). A simple method for computing the inverse of a numerator relationship
#' matrix used in prediction of breeding values. *Biometrics*, 32(1), 69-83.
#'
#' Meuwissen, T. H. E. and Luo, Z. (1992). Computing inbreeding coefficients in large populations.
#' *Genetics Selection Evolution*, 24, 305-313.
#'
#' Quaas, R. L. (1976). Computing the diagonal elements and inverse of a large numerator
#' relationship matrix. *Biometrics*, 32(4), 949-953.
#' @seealso [lmm()] for known matrices, [heritability()]
#' @examples
#' # calves 4 to 8 and their parents (Mrode 2014, Linear Models for the Prediction of Animal
#' # Breeding Values, 3rd edition, example 3.1)
#' p <- data.frame(id = 4:8, sire = c(1, 3, 1, 4, 3), dam = c(NA, 2, 2, 5, 6))
#' Q <- suppressMessages(pedigree_precision(p$id, p$sire, p$dam))
#' Matrix::solve(Q)
#' attr(Q, "inbreeding")
#'
#' p$gain <- c(4.5, 2.9, 3.9, 3.5, 5.0)
#' p$sex <- c("male", "female", "female", "male", "male")
#' fit <- lmm(gain ~ 0 + sex + us(1 | id, prec = Q), p,
#'   control = lmm_control(hold = c("id.(Intercept)" = sqrt(20 / 40)), sigma = sqrt(40))
#' )
#' ranef(fit)
#' @export
pedigree_precision <- function(id, sire, dam, ...) {
  check_dots(...)
  id <- animal_names(id, "id")
  sire <- parent_names(sire, "sire", id)
  dam <- parent_names(dam, "dam", id)
  require_animals(id)
  both <- intersect(sire[!is.na(sire)], dam)
  if (length(both) > 0L) {
    abort_pedigree(
      paste0(count_of(length(both), "animal"), " of the pedigree ",
             if (length(both) == 1L) "is" else "are", " sire and dam: ", quote_names(both), ".")
    )
  }
  parents <- c(sire, dam)
  founders <- setdiff(parents[!is.na(parents)], id)
  if (length(founders) > 0L) {
    ferrolmm_inform(
      paste0(count_of(length(founders), "parent"), " that ",
             if (length(founders) == 1L) "is" else "are", " not in `id` added to the pedigree, ",
             "with unknown parents: ", quote_names(founders), "."),
      "pedigree"
    )
  }
  all <- c(id, founders)
  unknown <- integer(length(founders))
  found <- engine_pedigree(c(match(sire, all, 0L), unknown), c(match(dam, all, 0L), unknown))
  if (!is.null(found$circle)) {
    circle <- all[found$circle]
    abort_pedigree(
      paste0(quote_names(circle[[1L]]), " of the pedigree is its own ancestor."),
      x = paste0("Each is a parent of the one before: ",
                 quote_names(c(circle, circle[[1L]]), 20L), ".")
    )
  }
  n <- length(all)
  Q <- new_matrix(
    "dsCMatrix", i = found$row, p = found$start, x = found$value, Dim = c(n, n),
    Dimnames = list(all, all), uplo = "U"
  )
  attr(Q, "inbreeding") <- structure(found$inbreeding, names = all)
  Q
}

#' Names of animals, as those of levels are matched
#' @noRd
animal_names <- function(x, what) {
  if (!(is.factor(x) || (is.atomic(x) && !is.object(x) && !is.null(x))) || !is.null(dim(x))) {
    ferrolmm_abort(
      paste0("`", what, "` must be a vector of names or numbers, it is ", describe_value(x), "."),
      "argument"
    )
  }
  value_labels(if (is.factor(x)) as.character(x) else x)
}

#' The same with NA for unknown parents
#' @noRd
parent_names <- function(x, what, id) {
  n <- length(id)
  names <- animal_names(x, what)
  if (length(names) != n) {
    ferrolmm_abort(
      paste0("`", what, "` has ", count_of(length(names), "value"), ", `id` has ", n, "."),
      "argument", i = "Each animal has a sire and a dam, or NA."
    )
  }
  # 1e5 beside text that was made of numbers as R does, "1e+05"
  if (is.numeric(x)) {
    text <- as.character(x)
    as_text <- !names %in% id & text %in% id
    names[as_text] <- text[as_text]
  }
  names[is_unknown_parent(names)] <- NA
  names
}

#' @noRd
is_unknown_parent <- function(names) !is.na(names) & names %in% c("0", "")

#' Check that each animal has a name, and stands in the pedigree once
#' @noRd
require_animals <- function(id) {
  unnamed <- which(is.na(id) | is_unknown_parent(id))
  if (length(unnamed) > 0L) {
    abort_pedigree(
      paste0("`id` has ", count_of(length(unnamed), "animal"),
             " without a name (NA, 0 or \"\"), the first in row ", unnamed[[1L]], ".")
    )
  }
  twice <- unique(id[duplicated(id)])
  if (length(twice) > 0L) {
    abort_pedigree(
      paste0(count_of(length(twice), "animal"), " of the pedigree ",
             if (length(twice) == 1L) "stands" else "stand", " in `id` more than once: ",
             quote_names(twice), "."),
      i = "Take one row for each animal, also where the data have several."
    )
  }
}

#' @noRd
abort_pedigree <- function(message, ...) ferrolmm_abort(message, "pedigree", ...)
