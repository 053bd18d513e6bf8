# Smooth terms as random effects, by the constructors of 'mgcv'.
#
# A smooth f(x) = sum_k c_k B_k(x) with the penalties lambda_j c'S_j c is the posterior mean of a
# mixed model (Wood, 2017, Generalized Additive Models, section 5.8). smooth2random() of 'mgcv'
# gives c = M (b_0, b_1, ..., b_m), M = U diag(D), such that c'S_j c = b_j'b_j for separable
# penalties:
#   X_0 = B M_0  has no penalty: columns of the fixed effects
#   Z_j = B M_j  has independent effects b_j of one variance sigma^2 / lambda_j: a term of its own
# So a term is (1 | mm(Z_j)), see R/design-members.R, and the restricted likelihood is that of
# gam(method = "REML"): what M adds to log |X'V^-1X| and |V|, log |S|_+ of the penalties takes away.
#
# What a fit keeps of its smooths is the attribute `smooths` of the terms of its frame: a list with
# an element a smooth (a level of a `by` factor has one of its own), of
#   label      as 'mgcv' writes it: s(x), s(x):fa
#   call       the call in the formula, and the name of its fixed columns in the frame
#   maker      the smooth of 'mgcv', without its model matrix
#   sources    names of the frame's columns that `maker` takes, named as it calls them
#   by         list(variable, level (NULL for a number)), or NULL
#   fixed      names of its coefficients
#   blocks     names of the frame's columns with its Z_j, which are those of its grouping factors
#   levels     names of the effects of bs = "re" in a factor, or NULL
#   maps       M_0, and M_j for each block, from the basis in new rows to X_0 and Z_j

#' Build the smooths of a model
#'
#' @param model what [parse_formula()] returns; `frame` the model frame.
#' @returns list(model, whose fixed part and bars have the smooths; frame, with their columns and
#'   what R/design-smooths.R says among the attributes of its terms)
#' @noRd
build_smooths <- function(model, frame) {
  calls <- model$smooths
  if (length(calls) == 0L) {
    return(list(model = model, frame = frame))
  }
  made <- lapply(calls, construct_smooth, frame, model$env)
  owner <- rep.int(seq_along(calls), lengths(made))
  makers <- side_conditions(do.call(c, made), model, frame)
  check_smooth_labels(makers)
  smooths <- columns <- list()
  for (k in seq_along(makers)) {
    found <- mixed_form(makers[[k]], calls[[owner[[k]]]], frame)
    smooths[[k]] <- found$smooth
    columns <- c(columns, found$blocks)
    fixed <- found$smooth$call
    if (ncol(found$fixed) > 0L) columns[[fixed]] <- cbind(columns[[fixed]], found$fixed)
  }
  names(smooths) <- vapply(smooths, `[[`, "", "label")
  add_smooths(model, frame, smooths, columns)
}

#' The smooths of 'mgcv' that a call in a formula stands for, one for each level of a `by` factor
#' @noRd
construct_smooth <- function(call, frame, env) {
  written <- call
  call[[1L]] <- if (is_call_to(call, "s")) mgcv::s else mgcv::t2
  made <- asking_mgcv(written, eval(call, env))
  knots <- made$xt[["knots"]]
  if (is.list(made$xt)) made$xt[["knots"]] <- NULL
  if (is.list(made$xt) && length(made$xt) == 0L) made["xt"] <- list(NULL)
  if (is.numeric(knots)) knots <- stats::setNames(list(knots), made$term[[1L]])
  data <- smooth_data(made, written, frame)
  check_smooth_data(made, data, written)
  makers <- asking_mgcv(written, mgcv::smoothCon(
    made, data, knots = knots, absorb.cons = TRUE, scale.penalty = TRUE
  ), made, data)
  lapply(makers, with_prediction_map, data)
}

#' A smooth of 'mgcv' with the map from its basis in new rows, B, to its model matrix X
#'
#' They differ in how t2() is centred: X = 1 a' + B P. The constant belongs to the intercept, whose
#' restricted likelihood does not see it.
#' @noRd
with_prediction_map <- function(maker, data) {
  x <- as.matrix(maker$X)
  basis <- as.matrix(mgcv::PredictMat(maker, data))
  maker["Xp"] <- list(NULL)
  maker$prediction_map <- diag(ncol(x))
  if (max(abs(basis - x)) > 1e-8 * max(abs(x))) {
    with_constant <- cbind(1, basis)
    found <- qr.coef(qr(with_constant, tol = 1e-12), x)
    found[is.na(found)] <- 0
    if (max(abs(with_constant %*% found - x)) > 1e-6 * max(abs(x))) {
      ferrolmm_abort(
        paste0("The smooth ", maker$label, " has another basis in new rows than in the data."),
        "smooth", i = "Choose another basis, with `bs`."
      )
    }
    maker$prediction_map <- found[-1L, , drop = FALSE]
    maker$X <- basis %*% maker$prediction_map
  }
  maker
}

#' Evaluate what 'mgcv' does for a smooth: its errors and warnings are about this term
#' @noRd
asking_mgcv <- function(call, expression, made = NULL, data = NULL) {
  withCallingHandlers(
    tryCatch(expression, error = function(e) {
      distinct <- if (!is.null(data)) nrow(unique(as.data.frame(unclass(data)[made$term])))
      ferrolmm_abort(
        paste0("The smooth ", code_label(call), " cannot be built."), "smooth",
        x = conditionMessage(e),
        i = if (grepl("unique", conditionMessage(e))) {
          paste0("Its variables have ", count_of(distinct, "distinct value"), " and ", "k is at ",
                 "most that: as in s(x, k = ", max(3L, distinct - 1L), ").")
        }
      )
    }),
    warning = function(w) {
      ferrolmm_warn(
        paste0("The smooth ", code_label(call), ": ", sentence(trimws(conditionMessage(w)))),
        "smooth"
      )
      tryInvokeRestart("muffleWarning")
    }
  )
}

#' The variables of a smooth as 'mgcv' finds them
#' @param made a smooth of 'mgcv' or its specification.
#' @noRd
smooth_data <- function(made, call, frame) {
  sources <- smooth_source_names(made, call)
  columns <- lapply(sources, function(name) smooth_values(.subset2(frame, name), name, call))
  structure(
    columns, names = names(sources), row.names = .set_row_names(.row_names_info(frame, 2L)),
    class = "data.frame"
  )
}

#' Names of the frame's columns, named as 'mgcv' calls them
#' @noRd
smooth_source_names <- function(made, call) {
  names <- variable_names(smooth_variables(call))
  has_by <- "by" %in% names(call)
  stats::setNames(names, c(made$term, if (has_by) made$by))
}

#' @noRd
smooth_values <- function(x, name, call) {
  if (!is.null(dim(x))) {
    ferrolmm_abort(
      paste0("`", name, "` is ", describe_value(x), ": ", code_label(call), " takes vectors."),
      "smooth", variable = name
    )
  }
  if (is.factor(x)) {
    return(x)
  }
  if (is.logical(x) || is.character(x)) {
    ferrolmm_abort(
      paste0("`", name, "` is ", describe_value(x), ": ", code_label(call), " takes numbers and ",
             "factors."), "smooth", variable = name, i = "Make it a factor, or a number."
    )
  }
  as.double(x)
}

#' Bases that take factors
#' @noRd
factor_bases <- c("re", "fs", "mrf", "sz")

#' @noRd
check_smooth_data <- function(made, data, call) {
  basis <- sub("[.]smooth[.]spec$", "", class(made)[[1L]])
  own <- unclass(data)[made$term]
  factors <- vapply(own, is.factor, NA)
  if (any(factors) && !basis %in% c(factor_bases, "t2")) {
    ferrolmm_abort(
      paste0("`", names(own)[factors][[1L]], "` is no number: ", code_label(call),
             " is smooth in numbers."), "smooth", variable = names(own)[factors][[1L]],
      i = c("A curve for each level of a factor f: s(x, by = f) + f, or s(x, f, bs = \"fs\").")
    )
  }
  numbers <- own[!factors]
  constant <- vapply(numbers, function(x) length(x) > 0L && all(x == x[[1L]]), NA)
  if (any(constant)) {
    ferrolmm_abort(
      paste0("`", names(numbers)[constant][[1L]], "` has one value in all rows: ",
             code_label(call), " cannot be smooth in it."), "smooth",
      variable = names(numbers)[constant][[1L]]
    )
  }
}

#' Drop columns of smooths that are in smooths of fewer of their variables, as gam() does
#' @noRd
side_conditions <- function(makers, model, frame) {
  if (length(makers) < 2L) {
    return(makers)
  }
  x <- fixed_matrix(fixed_terms(model$parametric, frame), frame)
  # it warns of s(x) + s(x, g, bs = "fs"), which is well defined
  suppressWarnings(mgcv::gam.side(makers, x, tol = .Machine$double.eps^0.5))
}

#' Two smooths of the same variables would share a name, and most of their columns
#' @noRd
check_smooth_labels <- function(makers) {
  labels <- vapply(makers, `[[`, "", "label")
  twice <- unique(labels[duplicated(labels)])
  if (length(twice) > 0L) {
    ferrolmm_abort(
      paste0("The formula has two smooths that are called ", twice[[1L]], "."), "formula",
      i = "No data can tell them apart: leave one of them out."
    )
  }
}

#' The fixed columns and blocks of random effects of a smooth
#'
#' @returns list(smooth, see above; fixed, a matrix; blocks, a named list of matrices)
#' @noRd
mixed_form <- function(maker, call, frame) {
  from_basis <- maker$prediction_map
  dropped <- attr(maker, "del.index")
  if (length(dropped) > 0L) from_basis <- from_basis[, -dropped, drop = FALSE]
  x <- maker$X
  label <- maker$label
  form <- asking_mgcv(call, mgcv::smooth2random(maker, "", type = 2))
  part <- form$pen.ind
  whole <- if (is.null(form$trans.U)) {
    diag(form$trans.D, length(form$trans.D))
  } else {
    t(t(form$trans.U) * form$trans.D)
  }
  order <- in_order_of_rows(whole, part)
  whole <- order$map
  count <- max(part)
  maps <- lapply(0:count, function(j) from_basis %*% whole[, part == j, drop = FALSE])
  n_fixed <- ncol(maps[[1L]])
  maker[c("X", "prediction_map")] <- attr(maker, "del.index") <- NULL
  has_by <- maker$by != "NA"
  smooth <- list(
    label = label, call = deparse_call(call), maker = maker,
    sources = smooth_source_names(maker, call),
    by = if (has_by) list(variable = maker$by, level = maker$by.level),
    fixed = paste0(rep_len(label, n_fixed), rep_len(".fx", n_fixed), seq_len(n_fixed)),
    blocks = paste0("(", label, if (count > 1L) paste0(".", seq_len(count)), ")"),
    maps = maps, levels = if (order$kept) smooth_level_names(maker, frame)
  )
  parts <- lapply(0:count, function(j) x %*% whole[, part == j, drop = FALSE])
  found <- smooth_columns(smooth, parts)
  blocks <- lapply(found[-1L], function(z) {
    # a block has columns for each level of a factor
    if (mean(z != 0) < 0.5) methods::as(as_sparse(z), "dMatrix") else z
  })
  list(smooth = smooth, fixed = found[[1L]], blocks = blocks)
}

#' Effects that each have one coefficient in the order of these: eigenvectors of a diagonal penalty
#' come in any order, and with any sign
#' @returns list(map, kept: are effects coefficients of a random-effects basis?)
#' @noRd
in_order_of_rows <- function(map, part) {
  single <- colSums(map != 0) == 1L
  if (!all(single) || any(part == 0)) {
    return(list(map = map, kept = FALSE))
  }
  for (block in unique(part)) {
    at <- which(part == block)
    row <- apply(map[, at, drop = FALSE] != 0, 2L, which)
    map[, at] <- abs(map[, at[order(row)], drop = FALSE])
  }
  list(map = map, kept = TRUE)
}

#' What the effects of a smooth of bs = "re" in one factor are called; NULL for other smooths
#' @noRd
smooth_level_names <- function(maker, frame) {
  x <- .subset2(frame, maker$term[[1L]])
  if (isTRUE(maker$random) && length(maker$term) == 1L && is.factor(x)) levels(x)
}

#' The columns of a smooth as the frame has them: those of its coefficients, and of each block
#' @param made list of matrices X_0, Z_1, ...
#' @noRd
smooth_columns <- function(smooth, made) {
  colnames(made[[1L]]) <- smooth$fixed
  made[-1L] <- lapply(made[-1L], function(z) {
    z <- unname(as.matrix(z))
    if (length(smooth$levels) == ncol(z)) colnames(z) <- smooth$levels
    z
  })
  stats::setNames(made, c("", smooth$blocks))
}

#' The model and its frame with the columns of smooths
#' @noRd
add_smooths <- function(model, frame, smooths, columns) {
  calls <- vapply(model$smooths, deparse_call, "")
  with_fixed <- calls %in% names(columns)
  for (call in model$smooths[!with_fixed]) {
    model$fixed[[3L]] <- without_summand(model$fixed[[3L]], call)
  }
  model$bars <- c(model$bars, do.call(c, lapply(unname(smooths), smooth_bars)))
  n <- .row_names_info(frame, 2L)
  old <- attr(frame, "terms")
  formula <- model$frame
  for (call in model$smooths[with_fixed]) formula[[3L]] <- call("+", formula[[3L]], call)
  terms <- stats::terms.formula(formula)
  kept <- setdiff(names(attributes(old)), c(names(attributes(terms)), "dataClasses", "predvars"))
  for (name in kept) attr(terms, name) <- attr(old, name)
  attr(terms, "predvars") <- as.call(c(
    as.list(attr(old, "predvars")), model$smooths[with_fixed]
  ))
  for (name in names(columns)) frame[[name]] <- columns[[name]]
  attr(terms, "dataClasses") <- c(
    attr(old, "dataClasses"), vapply(unclass(frame)[calls[with_fixed]], frame_class, "")
  )
  attr(terms, "smooths") <- smooths
  attr(frame, "terms") <- terms
  list(model = model, frame = frame)
}

#' A sum without one of its operands; 1 where none is left
#' @noRd
without_summand <- function(x, call) {
  chain <- sum_chain(x)
  sum <- NULL
  operands <- sum_operands(chain)
  for (k in seq_along(operands)) {
    if (identical(operands[[k]], call)) next
    at <- if (k > 1L) chain$sums[[k - 1L]]
    sum <- if (is.null(sum)) {
      if (is_call_to(at, "-")) call("-", operands[[k]]) else operands[[k]]
    } else {
      call(as.character(at[[1L]]), sum, operands[[k]])
    }
  }
  if (is.null(sum)) 1 else sum
}

#' The bar terms of a smooth, as [parse_bar()] returns those of a formula
#' @noRd
smooth_bars <- function(smooth) {
  lapply(smooth$blocks, function(block) {
    name <- substr(block, 2L, nchar(block) - 1L)
    leaf <- as.name(block)
    list(
      lhs = 1, double = FALSE, structure = plain_structure, hom = FALSE, known = NULL, by = NULL,
      groups = list(list(
        name = name, expr = as.name(name), leaves = list(leaf),
        members = list(weights = NULL, scale = TRUE, label = name, smooth = smooth$label)
      )),
      call = as.name(name)
    )
  })
}
