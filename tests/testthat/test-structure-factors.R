term <- function(structure, k, factors) {
  list(
    cnms = letters[seq_len(k)], structure = structure, hom = FALSE, group = "g", factors = factors
  )
}

test_that("loadings and specific deviations are counted, named and bounded", {
  expect_identical(count_theta(term("rr", 4, 1L)), 4L)
  expect_identical(count_theta(term("rr", 4, 2L)), 7L)
  expect_identical(count_theta(term("rr", 4, 4L)), 10L)
  expect_identical(count_theta(term("fa", 5, 2L)), 14L)
  expect_identical(
    term_theta_names(term("rr", 3, 2L)),
    c("g.a.factor1", "g.b.factor1", "g.c.factor1", "g.b.factor2", "g.c.factor2")
  )
  expect_identical(
    term_theta_names(term("fa", 3, 1L)),
    c("g.a.factor1", "g.b.factor1", "g.c.factor1", "g.a", "g.b", "g.c")
  )
  expect_identical(
    term_parameter_names(term("fa", 3, 1L), "g"),
    c(paste0("loading1_", letters[1:3], "|g"), paste0("specific_", letters[1:3], "|g"))
  )
  expect_identical(
    term_parameter_names(term("rr", 2, 1L), "g"), c("loading1_a|g", "loading1_b|g")
  )
  expect_identical(term_lower(term("rr", 3, 2L)), c(0, -Inf, -Inf, 0, -Inf))
  expect_identical(term_lower(term("fa", 3, 1L)), c(0, -Inf, -Inf, 0, 0, 0))
  expect_identical(term_upper(term("fa", 3, 1L)), rep(Inf, 6))
})

test_that("theta gives the covariance matrix", {
  g <- function(theta, term) tcrossprod(theta_matrix(theta, list(term))[[1L]])
  lambda <- cbind(c(1, 0.5, -0.3, 0.8), c(0, 0.7, 0.2, -0.4))
  theta <- lambda[lower.tri(lambda, diag = TRUE)]
  expect_equal(g(theta, term("rr", 4, 2L)), tcrossprod(lambda))
  s <- c(0.3, 0, 0.6, 0.1)
  expect_equal(g(c(theta, s), term("fa", 4, 2L)), tcrossprod(lambda) + diag(s^2))
  # more variances of zero than there are factors: a singular matrix
  expect_equal(g(c(lambda[, 1], double(4)), term("fa", 4, 1L)), tcrossprod(lambda[, 1]))
  random <- list(term("fa", 4, 2L), term("rr", 3, 1L))
  all <- c(theta, s, 1:3)
  shown <- theta_to_sdcor(matrix(all), 2, random)
  expect_equal(shown[, 1], c(2 * all, 2))
  expect_equal(sdcor_to_theta(shown[, 1], random), all)
})

test_that("there are no more parameters than covariances", {
  for (k in 1:40) {
    most <- largest_factors("fa", k)
    count <- function(d) k * d - d * (d - 1) / 2 + k
    expect_lte(count(most), k * (k + 1) / 2)
    expect_gt(count(most + 1), k * (k + 1) / 2)
  }
  expect_identical(largest_factors("rr", 5L), 5L)
})

test_that("words are read as they are written, and anything else is an error", {
  d <- nlme::Orthodont
  read <- function(x) split_random(x)$bars[[1L]]
  expect_identical(read(quote(rr(0 + a | g, k = 2)))$factors, 2L)
  expect_identical(read(quote(fa(0 + a | g, k = 1L, cov = K)))$known$kind, "cov")
  expect_null(read(quote(us(0 + a | g)))$factors)
  for (bar in list(
    quote(rr(0 + a | g)), quote(fa(0 + a | g, k = d)), quote(fa(0 + a | g, k = 1.5)),
    quote(fa(0 + a | g, k = 0)), quote(rr(0 + a | g, d = 2)), quote(rr(0 + a | g, k = 1, by = b)),
    quote(fa(0 + a | g, k = 1, hom = TRUE)), quote(us(a | g, k = 2))
  )) {
    expect_error(split_random(bar), class = "ferrolmm_error_formula")
  }
  d$visit <- factor(d$age)
  expect_error(
    lmm(distance ~ visit + fa(0 + visit | Subject, k = 2), d), "largest number is k = 1",
    class = "ferrolmm_error_formula"
  )
  expect_error(
    lmm(distance ~ visit + rr(0 + visit | Subject, k = 5), d), "largest number is k = 4",
    class = "ferrolmm_error_formula"
  )
  expect_error(
    lmm(distance ~ age + fa(age | Subject, k = 1), d), "at least 3 effects",
    class = "ferrolmm_error_formula"
  )
})

test_that("independent effects beside rr() stay, those beside fa() are a part of it", {
  terms <- function(a, b) {
    c(list(term(a, 4, if (a != "diag") 1L)), list(term(b, 4, if (b != "diag") 1L)))
  }
  has <- function(a, b) {
    both <- lapply(terms(a, b), function(t) c(t, list(partition = 1L, key = "g")))
    is_contained(both[[1L]], both[[2L]], list(), TRUE)
  }
  expect_false(has("diag", "rr"))
  expect_true(has("diag", "fa"))
  expect_false(has("fa", "rr"))
  expect_true(has("rr", "rr"))
})
