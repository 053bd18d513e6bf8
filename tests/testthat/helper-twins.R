## Models for the tests of methods: each is fitted by lmm(), and evaluated by lme4 at *our* theta.
## Both are then the same model at the same parameters, and what the methods return has to agree to
## rounding, whatever the optimisers did.

twin_data <- function() {
  e <- new.env()
  utils::data(list = c("sleepstudy", "cake", "Penicillin"), package = "lme4", envir = e)
  sleepstudy <- e$sleepstudy
  sleepstudy$w <- seq(0.5, 2, length.out = nrow(sleepstudy))
  sleepstudy$late <- factor(ifelse(sleepstudy$Days > 4, "late", "early"))
  gaps <- sleepstudy
  gaps$Reaction[c(3, 50)] <- NA
  gaps$Days[120] <- NA
  list(sleepstudy = sleepstudy, cake = e$cake, Penicillin = e$Penicillin, gaps = gaps)
}

twin_calls <- list(
  slope = quote(f(Reaction ~ Days + (Days | Subject), sleepstudy)),
  ml = quote(f(Reaction ~ Days + (Days | Subject), sleepstudy, REML = FALSE)),
  double_bar = quote(f(Reaction ~ Days + (Days || Subject), sleepstudy)),
  crossed = quote(f(diameter ~ 1 + (1 | plate) + (1 | sample), Penicillin)),
  shared_factor = quote(f(
    angle ~ recipe * temperature + (1 | recipe:replicate) + (0 + temp | recipe:replicate) +
      (1 | replicate),
    cake
  )),
  factor_slope = quote(f(Reaction ~ late + (0 + late | Subject), sleepstudy)),
  weighted = quote(f(Reaction ~ Days + (Days | Subject), sleepstudy, weights = w)),
  offset = quote(f(Reaction ~ Days + offset(2 * Days) + (1 | Subject), sleepstudy, offset = w)),
  deficient = quote(f(Reaction ~ Days + I(2 * Days) + late + (1 | Subject), sleepstudy)),
  no_fixed = quote(f(Reaction ~ 0 + (1 | Subject), sleepstudy, offset = 300 + 0 * Days)),
  poly = quote(f(Reaction ~ poly(Days, 2) + (poly(Days, 1) | Subject), sleepstudy)),
  missing = quote(f(Reaction ~ Days + (Days | Subject), gaps, na.action = na.exclude))
)

## Fit one of `twin_calls` by lmm().
our_twin <- local({
  kept <- list()
  function(name) {
    if (is.null(kept[[name]])) {
      call <- twin_calls[[name]]
      call[[1L]] <- quote(lmm)
      data <- list2env(twin_data(), parent = environment(our_twin))
      kept[[name]] <<- suppressMessages(eval(call, data))
    }
    kept[[name]]
  }
})

## The same model by lme4, at the theta of ours.
lme4_twin <- function(name) {
  call <- twin_calls[[name]]
  call[[1L]] <- quote(lme4::lmer)
  call$start <- unname(our_twin(name)$theta)
  call$control <- quote(lme4::lmerControl(
    optimizer = NULL, calc.derivs = FALSE, check.conv.singular = "ignore",
    check.rankX = "silent.drop.cols", check.scaleX = "ignore"
  ))
  suppressMessages(suppressWarnings(eval(call, list2env(twin_data(), parent = globalenv()))))
}

## A test of every twin: `check(ours, theirs)`.
for_twins <- function(what, check) {
  for (name in names(twin_calls)) {
    testthat::test_that(paste0(what, ": ", name), {
      testthat::skip_if_not_installed("lme4")
      check(our_twin(name), lme4_twin(name))
    })
  }
}
