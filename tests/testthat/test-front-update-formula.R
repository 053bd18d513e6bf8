expect_updated <- function(old, change, new) {
  d <- twin_data()$sleepstudy
  d$h <- factor(rep(1:9, 20))
  d$f <- factor(rep(1:3, 60))
  d$z <- seq_len(180)
  updated <- update_formula(old, change, d)
  expect_identical(updated, new, ignore_attr = TRUE, ignore_formula_env = TRUE)
}

test_that("a bar that is a part of another one is taken away", {
  # the frame tells that Days is a number
  expect_updated(
    Reaction ~ Days + (Days || h), . ~ . - (0 + Days | h), Reaction ~ Days + (1 | h)
  )
  expect_updated(
    Reaction ~ Days + (Days || h), . ~ . - (1 | h), Reaction ~ Days + (0 + Days | h)
  )
  expect_updated(Reaction ~ Days + (Days || h), . ~ . - (Days || h), Reaction ~ Days)
  expect_updated(
    Reaction ~ f + (Days + z || h), . ~ . - (0 + z | h), Reaction ~ f + (1 + Days || h)
  )
  expect_updated(
    Reaction ~ f + (Days + z || h), . ~ . - (Days || h), Reaction ~ f + (0 + z | h)
  )
  expect_updated(y ~ x + (1 | a / b), . ~ . - (1 | a), y ~ x + (1 | b:a))
  expect_updated(y ~ x + (1 | a / b), . ~ . - (1 | a:b), y ~ x + (1 | a))
  expect_updated(y ~ (1 | g) + (0 + Days | g), . ~ . - (Days || g), y ~ 1)
  expect_updated(y ~ f + cs(0 + f | a / b), . ~ . - cs(0 + f | a), y ~ f + cs(0 + f | b:a))
  expect_updated(
    y ~ f + cs(0 + f | a / b, hom = TRUE), . ~ . - homcs(0 + f | a),
    y ~ f + cs(0 + f | b:a, hom = TRUE)
  )
  expect_updated(y ~ us(1 | g) + f, . ~ . - (1 | g), y ~ f)
  expect_updated(y ~ z + (x + (1 | g)), . ~ . - (x + (1 | g)), y ~ z)
  expect_updated(y ~ z + (f || h), . ~ . - (0 + f || h), y ~ z + (1 | h))
})

test_that("a bar that the model has not cannot be taken away", {
  d <- twin_data()$sleepstudy
  d$f <- factor(rep(1:3, 60))
  changes <- list(
    . ~ . - (Days | Subject), . ~ . - (1 | f), . ~ . - (0 + f | Subject), . ~ . - cs(Days | Subject)
  )
  for (change in changes) {
    expect_error(
      update_formula(Reaction ~ Days + (Days || Subject), change, d), "which the model has not",
      class = "ferrolmm_error_formula"
    )
  }
  expect_error(
    update_formula(Reaction ~ Days + (Days | Subject), . ~ . - (0 + Days | Subject), d),
    "which the model has not"
  )
  expect_error(
    update_formula(Reaction ~ f + (f || Subject), . ~ . - (1 | Subject), d), "coding depends",
    class = "ferrolmm_error_formula"
  )
})

test_that("bars are added, kept and replaced, the fixed part as by stats", {
  expect_updated(y ~ x + (1 | g), . ~ . + (1 | g), y ~ x + (1 | g))
  expect_updated(y ~ x + (1 | g), . ~ . + (1 | h), y ~ x + (1 | g) + (1 | h))
  expect_updated(y ~ x + (1 | g), . ~ (1 | h), y ~ (1 | h))
  expect_updated(y ~ x + (1 | g), log(.) ~ . - x + z, log(y) ~ z + (1 | g))
  expect_updated(y ~ x + z + (1 | g), . ~ .^2, y ~ x + z + x:z + (1 | g))
  expect_updated(y ~ x + (1 | g), ~ . - . + z, y ~ z + (1 | g))
  expect_updated(y ~ x + (1 | g) + (1 | h), . ~ . - (1 | g) - (1 | h), y ~ x)
  expect_updated(y ~ x + (1 | g), . ~ . - (1 | g) + (x | g), y ~ x + (x | g))
  expect_updated(y ~ x + offset(o) + (1 | g), . ~ . - x, y ~ offset(o) + (1 | g))
  expect_updated(y ~ x + (1 | g), ". ~ . + z", y ~ x + z + (1 | g))
  expect_error(
    update_formula(y ~ x + (1 | g), ". ~ (", NULL), class = "ferrolmm_error_formula"
  )
})
