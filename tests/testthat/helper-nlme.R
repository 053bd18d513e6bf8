# Fits of the same models by 'lmm' and by 'nlme', for tests of what 'nlme' has too.

# with the data in the call, as methods of 'nlme' look for them outside of tests
lme <- function(...) do.call(nlme::lme, list(...))
gls <- function(...) do.call(nlme::gls, list(...))

nlme_twins <- function() {
  growth <- as.data.frame(nlme::Orthodont)
  growth$Subject <- factor(as.character(growth$Subject))
  oats <- as.data.frame(nlme::Oats)
  oats$Block <- factor(as.character(oats$Block))
  list(
    growth = growth,
    slopes = lmm(distance ~ age + (age | Subject), growth),
    lme_slopes = lme(distance ~ age, growth, random = ~ age | Subject),
    nested = lmm(yield ~ nitro + (1 | Block / Variety), oats),
    lme_nested = lme(yield ~ nitro, oats, random = ~ 1 | Block / Variety)
  )
}

expect_same <- function(x, y, ...) expect_equal(unname(x), unname(y), ..., ignore_attr = TRUE)
