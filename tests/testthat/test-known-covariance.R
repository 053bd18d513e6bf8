animals <- function() {
  d <- data.frame(id = rep(c("c", "a", "b", "d"), c(3, 2, 2, 3)), x = 1:10)
  d$y <- c(1.2, 0.7, 3.1, 2.2, 4.1, 1.5, 2.7, 0.3, 1.1, 2.9)
  d
}

relationship <- function(names = c("a", "b", "c", "d", "e")) {
  K <- diag(length(names)) + 0.25
  dimnames(K) <- list(names, names)
  K
}

test_that("of a covariance matrix the levels that occur are inverted, of a precision all stay", {
  d <- animals()
  K <- relationship()
  random <- front_end(y ~ x + us(1 | id, cov = K), d)$random
  factor <- random$design$factors[[1L]]
  expect_identical(levels(random$flist$id), c("a", "b", "c", "d"))
  precision <- precision_matrix(factor$precision)
  expect_equal(
    unname(as.matrix(precision)), unname(solve(K[1:4, 1:4])), tolerance = 1e-12
  )
  expect_identical(length(factor$precision$start), 5L)
  Q <- solve(relationship(c("e", "d", "c", "b", "a")))
  random <- front_end(y ~ x + us(1 | id, prec = Q), d)$random
  factor <- random$design$factors[[1L]]
  expect_identical(levels(random$flist$id), c("e", "d", "c", "b", "a"))
  expect_identical(factor$n_levels, 5L)
  expect_identical(as.character(random$flist$id), d$id)
  expect_equal(as.matrix(precision_matrix(factor$precision)), unname(Q), tolerance = 1e-12)
  expect_identical(random$Gp, c(0L, 5L))
})

test_that("sparse matrices stay sparse", {
  d <- animals()
  Q <- Matrix::bandSparse(4, k = 0:1, diagonals = list(rep(2, 4), rep(-0.9, 3)), symmetric = TRUE)
  dimnames(Q) <- list(c("a", "b", "c", "d"), c("a", "b", "c", "d"))
  factor <- front_end(y ~ x + us(1 | id, prec = Q), d)$random$design$factors[[1L]]
  expect_length(factor$precision$value, 10L)
  # an AR(1) covariance matrix has a tridiagonal inverse
  K <- 0.5^abs(outer(1:4, 1:4, `-`))
  dimnames(K) <- dimnames(Q)
  factor <- front_end(y ~ x + us(1 | id, cov = K), d)$random$design$factors[[1L]]
  expect_length(factor$precision$value, 10L)
})

test_that("a factor with a known matrix is one of its own", {
  d <- animals()
  d <- rbind(d, d)
  K <- relationship()
  random <- front_end(y ~ x + us(1 | id, cov = K) + (1 | id), d)$random
  expect_identical(sort(names(random$flist)), c("id", "id[K]"))
  expect_identical(lengths(lapply(random$design$factors, `[[`, "precision")) > 0,
                   names(random$flist) == "id[K]")
  expect_identical(anyDuplicated(random$theta_names), 0L)
  # a plain factor with as many levels as rows is refused, one with a known matrix is not
  one <- data.frame(id = letters[1:4], y = c(1, 3, 2, 5))
  expect_silent(front_end(y ~ us(1 | id, cov = K), one))
})

test_that("matrices that do not fit say why", {
  d <- animals()
  K <- relationship()
  bad <- function(expr, pattern) {
    formula <- eval(substitute(y ~ x + us(1 | id, cov = m), list(m = substitute(expr))))
    expect_error(front_end(formula, d), pattern, class = "ferrolmm_error_known")
  }
  bad(unname(K), "no dimnames")
  bad(K[-3, -3], "1 level of `id`: `c`")
  bad(K[, -1], "square")
  bad(`dimnames<-`(K, list(1:5, 1:5)), "none of them is a level")
  bad(`dimnames<-`(K, list(letters[1:5], letters[5:1])), "other row names")
  bad(`dimnames<-`(K, list(rep("a", 5), rep("a", 5))), "twice")
  bad(replace(K, 2, 0.9), "not symmetric")
  bad(K - 1.3, "not positive definite")
  bad(replace(K, 1, NA), "missing or infinite")
  bad("K", "must be a matrix")
  bad(no_such_matrix, "could not be evaluated")
})
