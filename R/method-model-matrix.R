# Model matrices of a fit, for its own rows or for others.

#' @rdname lmm-accessors
#' @importFrom stats model.matrix
#' @export
model.matrix.lmm <- function(object, type = c("fixed", "random", "randomListRaw"), data = NULL,
                             ...) {
  check_dots(...)
  type <- match_choice(type, "type", c("fixed", "random", "randomListRaw"))
  if (!is.null(data)) {
    return(new_model_matrix(object, type, data))
  }
  switch(type,
    fixed = fixed_model_matrix(object),
    random = getME.lmm(object, "Z"),
    randomListRaw = getME.lmm(object, "mmList")
  )
}

#' Model matrices of other rows
#' @noRd
new_model_matrix <- function(object, type, data) {
  parts <- if (type != "fixed") select_random(object, NULL) else list()
  rows <- new_rows(object, data, parts, type != "fixed", FALSE, stats::na.pass)
  if (type == "fixed") {
    kept <- kept_columns(object)
    x <- fixed_matrix(object$terms, rows$frame, object$contrasts)[, kept, drop = FALSE]
    rownames(x) <- rows$names
    attr(x, "assign") <- object$assign[kept]
    attr(x, "contrasts") <- object$contrasts
    return(x)
  }
  raw <- lapply(object$random, function(term) {
    n <- length(rows$names)
    columns <- vapply(term_columns(term, rows$frame), function(column) {
      if (is.null(column)) rep.int(1, n) else as.double(column)
    }, numeric(n))
    matrix(columns, n, dimnames = list(rows$names, term$cnms))
  })
  if (type == "randomListRaw") {
    return(stats::setNames(raw, names(getME.lmm(object, "mmList"))))
  }
  spread_by_level(object, raw, rows)
}

#' Z of the raw matrices of the terms, a column for each effect of each level
#' @noRd
spread_by_level <- function(object, raw, rows) {
  blocks <- Map(function(z, codes, term) {
    members <- if (is.list(codes)) codes else single_members(codes)
    columns <- lapply(seq_len(ncol(z)), function(j) z[, j])
    member_rows(members, nlevels(object$flist[[term$factor]]), columns)
  }, raw, rows$codes, object$random)
  z <- as_sparse(do.call(cbind, blocks))
  dimnames(z) <- list(rows$names, colnames(getME.lmm(object, "Z")))
  z
}
