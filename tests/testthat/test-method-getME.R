# Sparse matrices are compared as they are (class, pattern, values, names); the factor L by what it
# is a factor of, since its permutation is not unique.
same_as_lme4 <- c(
  "X", "Z", "Zt", "Ztlist", "mmList", "y", "mu", "u", "b", "Gp", "Tp", "Lambda", "Lambdat", "Lind",
  "Tlist", "A", "RX", "sigma", "flist", "fixef", "beta", "theta", "ST", "REML", "is_REML",
  "n_rtrms", "n_rfacs", "N", "n", "p", "q", "p_i", "l_i", "k", "m_i", "m", "cnms", "offset",
  "lower"
)

for_twins("getME() is lme4's", function(ours, theirs) {
  # lme4 calls a REML fit without fixed effects no REML fit
  names <- if (ours$rank == 0) setdiff(same_as_lme4, "is_REML") else same_as_lme4
  ignored <- c("msgScaleX", "msgRankdrop", "col.dropped", "contrasts")
  for (name in names) {
    expect_equal(
      getME(ours, name), lme4::getME(theirs, name),
      tolerance = 1e-6, info = name,
      ignore_attr = if (name == "X") ignored else character()
    )
  }
})

for_twins("getME(): the parts of the criterion", function(ours, theirs) {
  parts <- getME(ours, "devcomp")
  reference <- lme4::getME(theirs, "devcomp")
  if (ours$rank > 0) {
    expect_equal(parts$cmp, reference$cmp, tolerance = 1e-7)
  }
  expect_equal(parts$dims, reference$dims[names(parts$dims)])
  expect_equal(getME(ours, "devfun")(ours$theta), ours$criterion, tolerance = 1e-10)
})

for_twins("getME(): Cholesky factors", function(ours, theirs) {
  system <- Matrix::tcrossprod(weighted_system(ours)) + Matrix::Diagonal(length(ours$b))
  l <- as(getME(ours, "L"), "Matrix")
  p <- as(getME(ours, "L")@perm + 1L, "pMatrix")
  expect_equal(as.matrix(Matrix::tcrossprod(l)), as.matrix(p %*% system %*% Matrix::t(p)),
               tolerance = 1e-8)
  expect_equal(2 * sum(log(Matrix::diag(l))), getME(ours, "devcomp")$cmp[["ldL2"]],
               tolerance = 1e-8)
  expect_equal(crossprod(getME(ours, "RZX")), crossprod(lme4::getME(theirs, "RZX")),
               tolerance = 1e-6)
})

test_that("devfun() is a function of theta also where the fit holds a parameter", {
  at <- function(value) {
    lmm(Reaction ~ Days + (1 | Subject), lme4::sleepstudy,
        control = lmm_control(hold = c("Subject.(Intercept)" = value)))
  }
  expect_equal(getME(at(2), "devfun")(0.7), REMLcrit(at(0.7)), tolerance = 1e-10)
})

test_that("several names give a list, ALL gives everything", {
  fit <- our_twin("slope")
  expect_named(getME(fit, c("n", "theta")), c("n", "theta"))
  expect_named(getME(fit, "ALL"), names(me_components))
})

test_that("an unknown name is an error that helps", {
  expect_error(getME(our_twin("slope"), "thta"), "theta", class = "ferrolmm_error_argument")
  expect_error(getME(our_twin("slope"), 3), "name", class = "ferrolmm_error_argument")
})

test_that("what cannot be built is said by the error that is raised, not wrapped in R's", {
  # correlations that end at 1: R has no root
  d <- data.frame(
    g = factor(c(12, 13, 13, 13)), tf = factor(c(6, 6, 3, 2), c(2, 3, 6)), y = c(0, -1, 0, 0)
  )
  fit <- quietly(suppressWarnings(lmm(y ~ 1, d, residual = ~ ad(tf | g))))
  for (name in c("L", "RX", "ALL")) {
    end <- tryCatch(getME(fit, name), error = identity)
    expect_true(!inherits(end, "error") || inherits(end, "ferrolmm_error"), info = name)
  }
})

test_that("a fit as a function is its criterion", {
  fit <- our_twin("slope")
  criterion <- as.function(fit)
  expect_equal(criterion(fit$theta), fit$criterion)
  expect_gt(criterion(fit$theta + 0.1), fit$criterion)
})

test_that("the beginning of a component's name is enough, as in 'lme4'", {
  fit <- our_twin("slope")
  expect_identical(getME(fit, "n_rfac"), getME(fit, "n_rfacs"))
  expect_error(getME(fit, "Lamb"), "no component", class = "ferrolmm_error_argument")
})
