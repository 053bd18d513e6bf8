for_twins("ranef() with conditional variances is lme4's", function(ours, theirs) {
  modes <- ranef(ours)
  reference <- lme4::ranef(theirs, condVar = TRUE)
  expect_s3_class(modes, c("ranef.lmm", "ranef.mer"), exact = TRUE)
  expect_named(modes, names(reference))
  for (group in names(modes)) {
    expect_equal(
      data.frame(modes[[group]]), data.frame(reference[[group]]),
      tolerance = 1e-6, ignore_attr = "postVar"
    )
    expect_equal(
      attr(modes[[group]], "postVar"), attr(reference[[group]], "postVar"),
      tolerance = 1e-6, ignore_attr = "names"
    )
  }
})

for_twins("as.data.frame(ranef()) is lme4's", function(ours, theirs) {
  table <- as.data.frame(ranef(ours))
  reference <- as.data.frame(lme4::ranef(theirs, condVar = TRUE))
  expect_named(table, c("grpvar", "term", "grp", "condval", "condsd"))
  for (column in c("grpvar", "term", "grp")) {
    expect_identical(as.character(table[[column]]), as.character(reference[[column]]))
  }
  expect_identical(levels(table$term), levels(reference$term))
  expect_equal(table$condval, reference$condval, tolerance = 1e-6)
  expect_equal(table$condsd, reference$condsd, tolerance = 1e-6)
})

for_twins("coef() adds fixed and random effects as lme4 does", function(ours, theirs) {
  coefficients <- coef(ours)
  expect_s3_class(coefficients, c("coef.lmm", "coef.mer"), exact = TRUE)
  expect_equal(unclass(coefficients), unclass(coef(theirs)), tolerance = 1e-6)
})

test_that("condVar, drop and whichel choose what is returned", {
  fit <- our_twin("crossed")
  expect_null(attr(ranef(fit, condVar = FALSE)$plate, "postVar"))
  expect_named(ranef(fit, whichel = "sample"), "sample")
  dropped <- ranef(fit, drop = TRUE)$sample
  expect_type(dropped, "double")
  expect_named(dropped, LETTERS[1:6])
  expect_length(attr(dropped, "postVar"), 6)
  expect_equal(
    as.data.frame(ranef(fit, drop = TRUE)), as.data.frame(ranef(fit)),
    ignore_attr = TRUE
  )
  expect_error(ranef(fit, whichel = "plaet"), "plaet", class = "ferrolmm_error_argument")
})

test_that("the conditional variances solve the mixed-model equations", {
  # var(b | y) = sigma^2 Lambda (Lambda'Z'W Z Lambda + I)^-1 Lambda', dense
  fit <- our_twin("weighted")
  lambda <- as.matrix(getME(fit, "Lambda"))
  z <- as.matrix(getME(fit, "Z")) * sqrt(weights(fit))
  q <- ncol(z)
  variance <- sigma(fit)^2 * lambda %*% solve(crossprod(z %*% lambda) + diag(q), t(lambda))
  computed <- attr(ranef(fit)$Subject, "postVar")
  for (j in seq_len(dim(computed)[3])) {
    expect_equal(computed[, , j], variance[2 * j - 1:0, 2 * j - 1:0], tolerance = 1e-8)
  }
})

test_that("lme4 plots the random effects", {
  skip_if_not_installed("lme4")
  skip_if_not_installed("lattice")
  loadNamespace("lme4")
  dotplot <- getExportedValue("lattice", "dotplot")
  qqmath <- getExportedValue("lattice", "qqmath")
  for (name in c("slope", "crossed", "double_bar")) {
    modes <- ranef(our_twin(name))
    expect_s3_class(dotplot(modes)[[1]], "trellis")
    # lme4 1.1's qqmath() fails for its own models too when terms share a factor
    if (name != "double_bar") {
      expect_s3_class(qqmath(modes)[[1]], "trellis")
    }
  }
})

test_that("ranef() and coef() print", {
  local_reproducible_output()
  fit <- our_twin("crossed")
  expect_snapshot({
    print(ranef(fit, whichel = "sample"), digits = 3)
    print(ranef(fit, condVar = FALSE, whichel = "sample"), digits = 3)
    print(coef(fit)["sample"], digits = 3)
  })
})

test_that("conditional variances of several terms on one factor are named as in lme4", {
  skip_if_not_installed("lme4")
  s <- lme4::sleepstudy
  s$x <- cos(seq_len(nrow(s)))
  for (formula in list(
    Reaction ~ Days + (1 | Subject) + (0 + Days | Subject),
    Reaction ~ Days + (Days | Subject) + (0 + x | Subject)
  )) {
    fit <- suppressMessages(lmm(formula, s))
    theirs <- suppressMessages(lme4::lmer(formula, s))
    wanted <- attr(lme4::ranef(theirs)$Subject, "postVar")
    expect_identical(names(attr(ranef(fit)$Subject, "postVar")), names(wanted))
  }
})

test_that("of many levels the first ones are printed, and how many more there are", {
  d <- data.frame(g = rep(1:250, 4), h = rep(1:20, 50), x = sin(1:1000))
  set.seed(1)
  d$y <- rnorm(250)[d$g] + rnorm(20)[d$h] + rnorm(1000)
  fit <- lmm(y ~ x + (1 | g) + (1 | h), d)
  for (values in list(ranef(fit), ranef(fit, drop = TRUE), coef(fit))) {
    text <- capture.output(print(values))
    expect_match(text, "... and 150 more levels of g", fixed = TRUE, all = FALSE)
    expect_no_match(text, "more levels? of h")
    expect_match(
      capture.output(print(values, n = 249)), "... and 1 more level of g", fixed = TRUE, all = FALSE
    )
    whole <- capture.output(print(values, n = Inf))
    expect_no_match(whole, "more level")
    expect_gt(length(whole), length(text))
    expect_error(print(values, n = 0), "`n`", class = "ferrolmm_error_argument")
  }
  ## a hundred thousand levels
  large <- structure(
    list(g = data.frame(x = sin(1:1e5), z = cos(1:1e5))), class = c("ranef.lmm", "ranef.mer")
  )
  expect_lt(system.time(capture.output(print(large)))[["elapsed"]], 1)
})

test_that("augFrame adds the variables of each level, as nlme summarises them", {
  data <- as.data.frame(nlme::Orthodont)
  data$Subject <- factor(as.character(data$Subject))
  ours <- lmm(distance ~ age * Sex + (age | Subject), data)
  theirs <- nlme::lme(distance ~ age * Sex, data, ~ age | Subject)
  for (f in list(ranef, coef)) {
    mine <- f(ours, augFrame = TRUE)
    expect_type(mine, "list")
    expect_null(attr(mine$Subject, "postVar"))
    # as coef(theirs, augFrame = TRUE), which fails once another package has a method for its class
    other <- data.frame(unclass(f(theirs)), check.names = FALSE)
    row.names(other) <- row.names(f(theirs))
    variables <- nlme::gsummary(data, groups = data$Subject)
    others <- setdiff(names(variables), c("Subject", "age"))
    other <- cbind(other, variables[row.names(other), others])
    expect_identical(names(mine$Subject), names(other))
    expect_identical(row.names(mine$Subject), row.names(other))
    expect_equal(mine$Subject$distance, other$distance)
    expect_identical(as.character(mine$Subject$Sex), as.character(other$Sex))
    largest <- f(ours, augFrame = TRUE, FUN = max)
    expect_equal(
      largest$Subject$distance, as.vector(tapply(data$distance, data$Subject, max))
    )
    expect_error(f(ours, augFrame = 2), class = "ferrolmm_error_argument")
    expect_error(f(ours, augFrame = TRUE, FUN = "max"), class = "ferrolmm_error_argument")
  }
  expect_identical(
    ranef(ours, augFrame = TRUE)$Subject[1:2], ranef(ours, condVar = FALSE)$Subject
  )
  expect_error(ranef(ours, augFrame = TRUE, drop = TRUE), class = "ferrolmm_error_argument")
  # several factors, and rows that were left out
  plates <- lme4::Penicillin
  plates$strength <- seq_len(nrow(plates))
  plates$diameter[c(1, 30)] <- NA
  fit <- lmm(diameter ~ 1 + (1 | plate) + (1 | sample), plates, na.action = na.exclude)
  found <- ranef(fit, augFrame = TRUE)
  used <- stats::na.omit(plates)
  expect_equal(found$plate$strength, as.vector(tapply(used$strength, used$plate, mean)))
  expect_equal(found$sample$strength, as.vector(tapply(used$strength, used$sample, mean)))
})
