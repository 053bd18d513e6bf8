term <- function(k, structure = "us") {
  list(cnms = c("(Intercept)", "x", "z")[seq_len(k)], group = "g", structure = structure)
}

test_that("theta fills the relative covariance factors", {
  factors <- theta_matrix(as.double(1:9), list(term(3L), term(2L, "diag"), term(1L)))
  expect_identical(factors[[1L]], rbind(c(1, 0, 0), c(2, 4, 0), c(3, 5, 6)))
  expect_identical(factors[[2L]], diag(c(7, 8)))
  expect_identical(factors[[3L]], matrix(9))
})

test_that("what is at the boundary is said in words", {
  say <- function(factor, rank, k = nrow(factor), scale = rep(1, k)) {
    boundary_facts(factor[lower.tri(factor, diag = TRUE)], term(k), scale, rank)
  }
  expect_null(say(diag(2), 2L))
  expect_identical(
    say(matrix(0), 0L), "The variance of `(Intercept)` for group `g` is estimated as zero."
  )
  expect_identical(
    say(rbind(c(1, 0), c(0, 0)), 1L), "The variance of `x` for group `g` is estimated as zero."
  )
  expect_identical(
    say(rbind(c(1, 0), c(-2, 0)), 1L),
    "The correlation between `(Intercept)` and `x` for group `g` is estimated as -1."
  )
  expect_length(say(matrix(0, 2, 2), 0L), 2L)
  expect_match(
    say(rbind(c(1, 0, 0), c(0.5, 1, 0), c(1, 1, 0)), 2L),
    "covariance matrix of `\\(Intercept\\)`, `x`, `z` for group `g` has rank 2 instead of 3"
  )
  # a slope of 1e-6 per unit on a predictor of size 1e6 is not zero
  expect_match(say(rbind(c(1, 0), c(1e-6, 0)), 1L, scale = c(1, 1e6)), "correlation.* 1\\.$")
})

test_that("reports: silence, rank, singular, convergence", {
  fixed <- list(X = matrix(0, 5, 3), names = c("a", "b", "c"))
  random <- list(
    terms = list(term(1L)), cnms = list(g = "(Intercept)"),
    design = list(terms = list(list(columns = list(NULL))))
  )
  result <- function(status = "converged", rank = 3L, term_rank = 1L) {
    list(
      rank = rank, pivot = c(1L, 3L, 2L), theta = if (term_rank) 1 else 0,
      certificate = list(status = status, message = "the gradient is 3", rank = term_rank)
    )
  }
  expect_silent(report_fit(result(), fixed, random, lmm_control()))
  expect_silent(report_fit(result("evaluated"), fixed, random, lmm_control()))
  expect_message(report_fit(result(rank = 2L), fixed, random, lmm_control()), "`b`",
                 class = "ferrolmm_message_rank")
  expect_message(report_fit(result("singular", term_rank = 0L), fixed, random, lmm_control()),
                 "variance of `\\(Intercept\\)`", class = "ferrolmm_message_singular")
  for (status in c("not-identified", "iteration-limit", "time-limit", "interrupted", "failed")) {
    expect_warning(report_fit(result(status), fixed, random, lmm_control()), "The gradient is 3",
                   class = "ferrolmm_warning_convergence")
  }
})

test_that("residual parameters that no group tells of are named", {
  data(Orthodont, package = "nlme", envir = environment())
  d <- as.data.frame(Orthodont)
  odd <- as.integer(d$Subject) %% 2 == 1
  d <- d[!(d$age == 14 & odd) & !(d$age == 8 & !odd), ]
  expect_warning(
    fit <- lmm(distance ~ age, d, residual = ~ us(age | Subject)), "has both 8 and 14",
    class = "ferrolmm_warning_identifiable"
  )
  condition <- tryCatch(
    lmm(distance ~ age, d, residual = ~ us(age | Subject)), warning = function(w) w
  )
  expect_identical(condition$parameters, "residual.cor(4,1)")
  # the fixed effects do not depend on it
  expect_true(all(is.finite(vcov(fit))))
  expect_silent(lmm(distance ~ age, d, residual = ~ ar1h(age | Subject)))
})

test_that("where no parameter is free there is no smallest eigenvalue", {
  d <- data.frame(y = c(1, 3, 2, 2, 3, 1), g = gl(3, 2))
  fit <- suppressMessages(lmm(y ~ 1 + (1 | g), d))
  expect_identical(unname(fit$theta), 0)
  expect_true(is.na(fit$certificate$min_eigenvalue))
  expect_false(is.nan(fit$certificate$min_eigenvalue))
})
