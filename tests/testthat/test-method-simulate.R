test_that("moments are the model's", {
  for (name in c("slope", "weighted")) {
    fit <- our_twin(name)
    y <- as.matrix(simulate(fit, 4000, seed = 1))
    model <- dense_model(fit)
    v <- sigma(fit)^2 * model$v
    expect_lt(max(abs(rowMeans(y) - predict(fit, re.form = NA)) / sqrt(diag(v))), 4.5 / sqrt(4000))
    white <- backsolve(chol(v), y - predict(fit, re.form = NA), transpose = TRUE)
    expect_equal(mean(white^2), 1, tolerance = 0.01)
    expect_lt(max(abs(tcrossprod(white) / 4000 - diag(nobs(fit)))), 0.12)
  }
})

test_that("random effects can be kept", {
  fit <- our_twin("crossed")
  all <- as.matrix(simulate(fit, 2000, seed = 1, re.form = NULL))
  expect_identical(all, as.matrix(simulate(fit, 2000, seed = 1, use.u = TRUE)))
  error <- sigma(fit) / sqrt(2000)
  expect_lt(max(abs(rowMeans(all) - fitted(fit))), 4.5 * error)
  expect_equal(mean(apply(all, 1, var)), sigma(fit)^2, tolerance = 0.02)
  some <- as.matrix(simulate(fit, 2000, seed = 1, re.form = ~ (1 | sample)))
  spread <- sqrt(sigma(fit)^2 + VarCorr(fit)$plate[1])
  expect_lt(
    max(abs(rowMeans(some) - predict(fit, re.form = ~ (1 | sample)))), 4.5 * spread / sqrt(2000)
  )
  expect_equal(mean(apply(some, 1, var)), spread^2, tolerance = 0.05)
  expect_error(
    simulate(our_twin("slope"), re.form = ~ (1 | Subject)), "all of them",
    class = "ferrolmm_error_argument"
  )
})

test_that("seeds are kept as stats::simulate() keeps them", {
  fit <- our_twin("slope")
  set.seed(10)
  state <- .Random.seed
  first <- simulate(fit, 3, seed = 5)
  expect_identical(.Random.seed, state)
  expect_identical(as.integer(attr(first, "seed")), 5L)
  expect_identical(simulate(fit, 3, seed = 5), first)
  expect_identical(simulate(fit, 1, seed = 5)[[1]], first[[1]])
  second <- simulate(fit, 1)
  expect_identical(attr(second, "seed"), state)
  expect_false(identical(.Random.seed, state))
  expect_named(first, c("sim_1", "sim_2", "sim_3"))
  expect_identical(row.names(first), row.names(model.frame(fit)))
})

test_that("new rows, new levels", {
  fit <- our_twin("slope")
  new <- data.frame(Days = c(0, 0, 9, 9), Subject = c("308", "new", "new", NA))
  y <- as.matrix(simulate(fit, 4000, seed = 1, newdata = new))
  g <- unclass(VarCorr(fit)$Subject)[1:2, 1:2]
  z <- cbind(1, new$Days)
  v <- z %*% g %*% t(z)
  v[1, -1] <- v[-1, 1] <- v[4, -4] <- v[-4, 4] <- 0
  v <- v + diag(sigma(fit)^2, 4)
  expect_equal(unname(cov(t(y))), v, tolerance = 0.1)
  expect_error(
    simulate(fit, newdata = new, re.form = NULL), "new", class = "ferrolmm_error_newdata"
  )
  kept <- as.matrix(simulate(fit, 4000, 1, newdata = new, re.form = NULL, allow.new.levels = TRUE))
  expect_equal(var(kept[1, ]), sigma(fit)^2, tolerance = 0.1)
  expect_equal(var(kept[3, ]), v[3, 3], tolerance = 0.1)
  expect_equal(
    rowMeans(kept)[[1]], predict(fit, new[1, ])[[1]], tolerance = 0.01
  )
  weighted <- as.matrix(simulate(
    fit, 2000, 1, newdata = new[1, ], re.form = NULL, weights = 4
  ))
  expect_equal(sd(weighted), sigma(fit) / 2, tolerance = 0.05)
})

test_that("missing values come back", {
  fit <- our_twin("missing")
  y <- simulate(fit, 1, seed = 1)
  expect_identical(which(is.na(y[[1]])), c(3L, 50L, 120L))
  expect_s3_class(refit(fit, y), "lmm")
})

test_that("refit() and bootMer() take what simulate() gives", {
  fit <- our_twin("slope")
  y <- simulate(fit, 2, seed = 1)
  expect_identical(fixef(refit(fit, y[1])), fixef(refit(fit, y[[1]])))
  skip_if_not_installed("lme4")
  boot <- lme4::bootMer(fit, fixef, nsim = 5, seed = 1)
  expect_identical(dim(boot$t), c(5L, 2L))
  expect_false(anyNA(boot$t))
  expect_equal(boot$t0, fixef(fit))
  kept <- lme4::bootMer(fit, sigma, nsim = 3, seed = 1, use.u = TRUE)
  expect_false(anyNA(kept$t))
})

test_that("wrong arguments are named", {
  fit <- our_twin("slope")
  expect_error(simulate(fit, 0), "nsim", class = "ferrolmm_error_argument")
  expect_error(simulate(fit, use.u = NA), "use.u", class = "ferrolmm_error_argument")
  expect_error(
    simulate(fit, use.u = TRUE, re.form = NA), "re.form", class = "ferrolmm_error_argument"
  )
  expect_error(simulate(fit, n_sim = 3), "n_sim", class = "ferrolmm_error_argument")
})

test_that("a new group larger than the residual correlation allows is named", {
  fit <- negative_pairs()
  expect_lt(fit$phi[["residual.rho"]], -0.5)
  new <- data.frame(g = c("a", "a", "b", "b", "b"), x = 0)
  expect_snapshot(simulate(fit, newdata = new, seed = 1), error = TRUE)
  expect_error(simulate(fit, newdata = new, seed = 1), class = "ferrolmm_error_newdata")
  pairs <- simulate(fit, newdata = new[1:4, ], nsim = 400, seed = 1)
  expect_equal(
    cor(unlist(pairs[1, ]), unlist(pairs[2, ])), fit$phi[["residual.rho"]], tolerance = 0.1
  )
})

test_that("more simulations than memory has room for are refused beforehand", {
  fit <- lmm(distance ~ age + (1 | Subject), nlme::Orthodont)
  expect_error(
    simulate(fit, 2e9, seed = 1), "2,000,000,000 simulations of 108 rows",
    class = "ferrolmm_error_memory"
  )
})
