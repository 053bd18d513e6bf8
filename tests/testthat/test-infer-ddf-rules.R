# Degrees of freedom that a rule gives: between-within, containment, inner-outer, residual.

with_response <- function(d) {
  set.seed(3)
  groups <- Filter(is.factor, d)
  d$y <- rnorm(nrow(d))
  for (g in groups) d$y <- d$y + rnorm(nlevels(g))[g]
  d
}

ddf_of <- function(fit, method, type = "III") {
  table <- suppressWarnings(anova(fit, type = type, ddf = method))
  stats::setNames(table$DenDF, rownames(table))
}

fit_quietly <- function(...) suppressMessages(suppressWarnings(lmm(...)))

# Published denominators --------------------------------------------------------------------------
#
# They depend on the design alone, so that designs stand here without their responses. Sources:
# SAS/STAT User's Guide, The MIXED Procedure (examples "Split-Plot Design", "Repeated Measures",
# "Random Coefficients", "Line-Source Sprinkler Irrigation"; "Getting Started"); Littell et al.
# (2006), SAS for Mixed Models, chapter 5; the article "Between-Within" of mmrm 0.3; Pinheiro and
# Bates (2000).

test_that("the split plot of SAS's guide: 6, 9 and 9 by containment", {
  d <- with_response(expand.grid(B = gl(2, 1), A = gl(3, 1), Block = gl(4, 1)))
  fit <- fit_quietly(y ~ A * B + (1 | Block / A), d)
  expect_equal(ddf_of(fit, "containment"), c(A = 6, B = 9, "A:B" = 9))
  # as the analysis of variance, which is Kenward and Roger's of a fit inside the boundary
  other <- fit_quietly(y ~ A * B + (1 | Block) + (1 | A:Block), d)
  expect_equal(ddf_of(other, "contain"), ddf_of(fit, "containment"))
})

test_that("the growth curves of SAS's guide: 25 with TYPE=UN, 25 and 79 with TYPE=CS", {
  skip_if_not_installed("nlme")
  d <- as.data.frame(nlme::Orthodont)
  d$visit <- factor(d$age)
  un <- lmm(distance ~ Sex * age, d, residual = ~ us(visit | Subject), REML = FALSE)
  expect_equal(unname(coef(summary(un, ddf = "between-within"))[, "df"]), rep(25, 4))
  expect_equal(ddf_of(un, "bw"), c(Sex = 25, age = 25, "Sex:age" = 25))
  for (residual in list(~ cs(visit | Subject), ~ ar1(visit | Subject))) {
    fit <- lmm(distance ~ Sex * age, d, residual = residual)
    expect_equal(unname(coef(summary(fit, ddf = "bw"))[, "df"]), c(25, 25, 79, 79))
    expect_equal(ddf_of(fit, "betwithin"), c(Sex = 25, age = 79, "Sex:age" = 79))
  }
  # with random effects nothing is left to between-subject degrees of freedom alone
  random <- lmm(distance ~ Sex * age + (age | Subject), d)
  expect_equal(ddf_of(random, "bw"), c(Sex = 25, age = 79, "Sex:age" = 79))
  # unstructured correlations with one variance are not SAS's UN
  one <- lmm(distance ~ Sex * age, d, correlation = nlme::corSymm(form = ~ 1 | Subject))
  expect_equal(ddf_of(one, "bw")[["age"]], 79)
})

test_that("random coefficients of SAS's guide: 2 degrees of freedom of three batches", {
  d <- with_response(data.frame(
    Batch = gl(3, 28), Month = rep(rep(c(0, 1, 3, 6, 9, 12), c(6, 4, 4, 4, 4, 6)), 3)
  ))
  fit <- fit_quietly(y ~ Month + (Month | Batch), d)
  expect_equal(unname(coef(summary(fit, ddf = "containment"))[, "df"]), c(2, 2))
  # of independent effects, too
  apart <- fit_quietly(y ~ Month + (Month || Batch), d)
  expect_equal(unname(coef(summary(apart, ddf = "containment"))[, "df"]), c(2, 2))
})

test_that("the line-source sprinkler of SAS's guide: 68, 2 and 10 by containment", {
  d <- with_response(expand.grid(
    Irrig = gl(6, 1), Dir = gl(2, 1), Cult = gl(3, 1), Block = gl(3, 1)
  ))
  d$Sbplt <- rep(1:12, 9)
  fit <- fit_quietly(
    y ~ Cult + Dir + Irrig + Cult:Dir + Cult:Irrig + Dir:Irrig +
      (1 | Block) + (1 | Block:Dir) + (1 | Block:Irrig), d
  )
  expect_equal(
    ddf_of(fit, "containment"),
    c(Cult = 68, Dir = 2, Irrig = 10, "Cult:Dir" = 68, "Cult:Irrig" = 68, "Dir:Irrig" = 68)
  )
})

test_that("heights of SAS's guide: 3 degrees of freedom of four families", {
  # as unbalanced as there
  d <- with_response(data.frame(
    Family = factor(rep(1:4, c(6, 4, 3, 5))),
    Gender = factor(c("F", "F", "F", "M", "M", "M", "F", "F", "M", "M", "F", "M", "M",
                      "F", "F", "M", "M", "M"))
  ))
  fit <- fit_quietly(y ~ Gender + (1 | Family / Gender), d)
  expect_equal(ddf_of(fit, "containment"), c(Gender = 3))
})

test_that("FEV1 of Littell et al.: 69 between 72 patients, 483 within", {
  d <- with_response(expand.grid(hour = gl(8, 1), patient = gl(72, 1)))
  d$drug <- factor(c("a", "c", "p"))[1L + as.integer(d$patient) %% 3L]
  fit <- lmm(y ~ drug * hour, d, residual = ~ ar1(hour | patient))
  expect_equal(ddf_of(fit, "between-within"), c(drug = 69, hour = 483, "drug:hour" = 483))
})

test_that("mmrm's between-within, 192 and 334, is inner-outer here", {
  # 197 subjects with 537 visits
  set.seed(8)
  d <- expand.grid(visit = gl(4, 1), id = gl(197, 1))
  subject <- as.integer(d$id)
  d$race <- gl(3, 1)[1L + subject %% 3L]
  d$sex <- gl(2, 1)[1L + subject %/% 3L %% 2L]
  d$arm <- gl(2, 1)[1L + subject %/% 7L %% 2L]
  d <- d[-sample(which(!(as.integer(d$visit) == 1L + subject %% 4L)), 4 * 197 - 537), ]
  d$y <- rnorm(nrow(d))
  fit <- lmm(y ~ race + sex + arm * visit, d, residual = ~ us(visit | id))
  expect_equal(
    unname(coef(summary(fit, ddf = "inner-outer"))[, "df"]),
    c(334, 192, 192, 192, 192, 334, 334, 334, 334, 334, 334)
  )
  # SAS: all between subjects
  expect_identical(unique(coef(summary(fit, ddf = "between-within"))[, "df"]), 192)
})

# Peers -------------------------------------------------------------------------------------------

# Fixed effects and random effects of Pinheiro and Bates's models, and others with what they lack
lme_models <- list(
  Orthodont = list(distance ~ age * Sex, ~ age | Subject, "(age | Subject)"),
  Orthodont = list(distance ~ 0 + Sex + age, ~ 1 | Subject, "(1 | Subject)"),
  Machines = list(score ~ Machine, ~ 1 | Worker / Machine, "(1 | Worker / Machine)"),
  Machines = list(score ~ Machine, ~ 1 | Worker, "(1 | Worker)"),
  Oats = list(yield ~ nitro * Variety, ~ 1 | Block / Variety, "(1 | Block / Variety)"),
  Oats = list(yield ~ factor(nitro) * Variety, ~ 1 | Block / Variety, "(1 | Block / Variety)"),
  Pixel = list(
    pixel ~ day + I(day^2), list(Dog = ~ day, Side = ~ 1), "(day | Dog) + (1 | Dog:Side)"
  ),
  Dialyzer = list(
    rate ~ (pressure + I(pressure^2)) * QB, ~ pressure | Subject, "(pressure | Subject)"
  ),
  ergoStool = list(effort ~ Type, ~ 1 | Subject, "(1 | Subject)"),
  BodyWeight = list(weight ~ Time * Diet, ~ Time | Rat, "(Time | Rat)"),
  Assay = list(logDens ~ sample * dilut, ~ 1 | Block, "(1 | Block)"),
  Rail = list(travel ~ 1, ~ 1 | Rail, "(1 | Rail)"),
  Oxide = list(Thickness ~ Source, ~ 1 | Lot / Wafer, "(1 | Lot / Wafer)"),
  Alfalfa = list(Yield ~ Date * Variety, ~ 1 | Block / Variety, "(1 | Block / Variety)"),
  RatPupWeight = list(weight ~ sex * Treatment + Lsize, ~ 1 | Litter, "(1 | Litter)")
)

test_that("inner-outer degrees of freedom are those of lme(), of coefficients and of terms", {
  skip_if_not_installed("nlme")
  for (i in seq_along(lme_models)) {
    name <- names(lme_models)[[i]]
    d <- as.data.frame(getExportedValue("nlme", name))
    for (v in names(d)) if (is.ordered(d[[v]])) d[[v]] <- factor(d[[v]], ordered = FALSE)
    model <- lme_models[[i]]
    theirs <- do.call(nlme::lme, list(
      model[[1L]], data = d, random = model[[2L]],
      control = nlme::lmeControl(returnObject = TRUE, opt = "optim")
    ))
    random <- str2lang(model[[3L]])
    formula <- model[[1L]]
    formula[[3L]] <- call("+", formula[[3L]], random)
    fit <- fit_quietly(formula, d)
    columns <- suppressWarnings(coef(summary(fit, ddf = "inner-outer")))[, "df"]
    expect_equal(unname(columns), unname(c(theirs$fixDF$X)), info = name)
    terms <- ddf_of(fit, "inner-outer", "I")
    expect_equal(terms, theirs$fixDF$terms[names(terms)], info = name, ignore_attr = TRUE)
  }
})

# Containment by its definition: ranks of [X Z] in Z's order, of dense matrices
dense_contributions <- function(x, parts) {
  z <- lapply(parts, function(part) {
    own <- part$codes
    do.call(cbind, lapply(part$columns, function(column) {
      vapply(seq_len(max(own)), function(l) (own == l) * column, double(length(own)))
    }))
  })
  ranks <- vapply(seq_along(z), function(k) qr(do.call(cbind, c(list(x), z[seq_len(k)])))$rank, 1L)
  list(added = diff(c(qr(x)$rank, ranks)), left = nrow(x) - max(ranks))
}

test_that("containment takes the ranks of unbalanced designs, with slopes and crossed factors", {
  for (seed in 1:8) {
    set.seed(seed)
    d <- data.frame(
      g = factor(sample(6, 60, TRUE)), h = factor(sample(5, 60, TRUE)),
      t = sample(2000:2004, 60, TRUE), f = factor(sample(3, 60, TRUE)), y = rnorm(60)
    )
    fit <- fit_quietly(y ~ t + f + g + (1 + t | h) + (1 | f:h) + (1 | g:h), d)
    codes <- function(...) as.integer(interaction(..., drop = TRUE))
    one <- rep(1, 60)
    parts <- list(
      list(codes = as.integer(d$h), columns = list(one)),
      list(codes = as.integer(d$h), columns = list(d$t)),
      list(codes = codes(d$f, d$h), columns = list(one)),
      list(codes = codes(d$g, d$h), columns = list(one))
    )
    # from the coarsest: f:h and g:h by their numbers of levels
    if (max(parts[[3]]$codes) > max(parts[[4]]$codes)) parts[3:4] <- parts[4:3]
    dense <- dense_contributions(model.matrix(~ t + f + g, d), parts)
    of_f <- if (max(codes(d$f, d$h)) > max(codes(d$g, d$h))) 4L else 3L
    wanted <- c(t = dense$added[[2L]], f = dense$added[[of_f]], g = dense$added[[7L - of_f]])
    wanted[wanted == 0] <- NA
    expect_equal(ddf_of(fit, "containment"), wanted)
  }
})

test_that("containment reads the formula: what does not name a variable does not contain it", {
  skip_if_not_installed("nlme")
  d <- as.data.frame(nlme::Orthodont)
  fit <- lmm(distance ~ age * Sex + (age | Subject), d)
  # 108 rows; X and Z have rank 54
  expect_equal(ddf_of(fit, "containment"), c(age = 25, Sex = 54, "age:Sex" = 54))
  named <- lmm(distance ~ age * Sex + (age | Sex:Subject), d)
  expect_equal(ddf_of(named, "containment"), c(age = 25, Sex = 25, "age:Sex" = 25))
  cells <- with_response(expand.grid(r = 1:3, f = gl(3, 1), g = gl(8, 1)))
  by_factor <- fit_quietly(y ~ f + (0 + f | g), cells)
  expect_equal(unname(coef(summary(by_factor, ddf = "containment"))[, "df"]), c(21, 21, 21))
  none <- lmm(distance ~ Sex + age, d, correlation = nlme::corAR1(form = ~ 1 | Subject))
  expect_equal(ddf_of(none, "containment"), ddf_of(none, "residual"))
})

test_that("several factors within subjects have their own parts", {
  d <- with_response(expand.grid(a = gl(3, 1), b = gl(4, 1), id = gl(10, 1)))
  d$arm <- gl(2, 1)[1L + as.integer(d$id) %% 2L]
  d$z <- rnorm(120)
  fit <- lmm(y ~ arm * a * b, d, residual = ~ cs(1 | id))
  expect_equal(
    ddf_of(fit, "between-within"),
    c(arm = 8, a = 16, b = 24, "arm:a" = 16, "arm:b" = 24, "a:b" = 48, "arm:a:b" = 48)
  )
  # replicates are no cells: what is left is of none of them
  with_covariate <- lmm(y ~ arm + a + z, d, residual = ~ cs(1 | id))
  within <- 120 - 10 - 3
  expect_equal(ddf_of(with_covariate, "bw"), c(arm = 8, a = within, z = within))
})

test_that("subjects are the coarsest groups, whichever part of the model has them", {
  d <- with_response(expand.grid(t = 1:4, class = gl(3, 1), school = gl(6, 1)))
  d$class <- d$school:d$class
  d$type <- gl(2, 1)[1L + as.integer(d$school) %% 2L]
  random <- fit_quietly(y ~ type + t + (1 | school) + (1 | class), d)
  residual <- fit_quietly(
    y ~ type + t + (1 | class), d, correlation = nlme::corAR1(form = ~ 1 | school)
  )
  for (fit in list(random, residual)) {
    expect_equal(ddf_of(fit, "bw"), c(type = 4, t = 72 - 6 - 1))
  }
})

test_that("within_between() is two effects: within groups, and between them", {
  set.seed(2)
  d <- data.frame(g = gl(12, 5), x = rnorm(60) + rep(rnorm(12), each = 5))
  d$y <- d$x + rnorm(12)[d$g] + rnorm(60)
  fit <- lmm(y ~ within_between(x, g) + (1 | g), d)
  expect_equal(unname(coef(summary(fit, ddf = "bw"))[, "df"]), c(10, 47, 10))
  expect_equal(unname(coef(summary(fit, ddf = "inner-outer"))[, "df"]), c(47, 47, 10))
  # both together: the fewer
  expect_equal(ddf_of(fit, "bw"), c("within_between(x, g)" = 10))
})

test_that("aliased columns, no intercept and no fixed effects are counted as they are", {
  set.seed(2)
  d <- data.frame(g = gl(12, 5), x = rnorm(60), u = rep(rnorm(12), each = 5), y = rnorm(60))
  d$twice <- 2 * d$x
  d$z <- d$y + rnorm(12)[d$g]
  aliased <- fit_quietly(z ~ x + twice + u + (1 | g), d)
  plain <- fit_quietly(z ~ x + u + (1 | g), d)
  for (method in c("bw", "containment", "inner-outer", "residual")) {
    expect_equal(
      stats::na.omit(coef(summary(aliased, ddf = method))[, "df"]),
      coef(summary(plain, ddf = method))[, "df"], ignore_attr = TRUE
    )
    expect_equal(ddf_of(aliased, method)[["twice"]], NA_real_)
  }
  without <- fit_quietly(z ~ 0 + x + u + (1 | g), d)
  expect_equal(unname(coef(summary(without, ddf = "bw"))[, "df"]), c(47, 11))
  expect_equal(unname(coef(summary(without, ddf = "residual"))[, "df"]), c(58, 58))
  nothing <- fit_quietly(z ~ 0 + (1 | g), d)
  expect_identical(nrow(coef(summary(nothing, ddf = "bw"))), 0L)
})

test_that("the least degrees of freedom are those of a combination of coefficients", {
  skip_if_not_installed("nlme")
  fit <- lmm(distance ~ age * Sex + (age | Subject), as.data.frame(nlme::Orthodont))
  both <- contest(fit, c("age + SexFemale", "age", "age + 1e-12 * SexFemale"), joint = FALSE,
                  ddf = "bw")
  expect_equal(both$df, c(25, 79, 79))
  expect_equal(contest(fit, c("age = 1", "SexFemale = 0"), ddf = "bw")$DenDF, 25)
  # a test of a term has the term's, though its row has other coefficients, too
  expect_equal(drop1(fit, ~ age:Sex, ddf = "bw")$DenDF, 79)
  expect_equal(ddf_of(fit, "bw", "I"), c(age = 79, Sex = 25, "age:Sex" = 79))
  # statistics are those of the model's covariance matrix
  expect_equal(
    anova(fit, ddf = "bw")[["F value"]], anova(fit, ddf = "asymptotic")[["F value"]]
  )
})

# How hypotheses are written ----------------------------------------------------------------------

test_that("joint tests do not depend on how a hypothesis is written, by any method", {
  set.seed(4)
  d <- data.frame(g = gl(14, 6), f = factor(sample(letters[1:4], 84, TRUE)), x = rnorm(84))
  d$u <- rep(rnorm(14), each = 6)
  d$v <- gl(6, 1, 84)
  d$y <- rnorm(14)[d$g] + 0.5 * rnorm(14)[d$g] * d$x + rnorm(84)
  d$flat <- rnorm(84)
  fits <- list(
    fit_quietly(y ~ f + x + u + (x | g), d),
    # variances of zero, a correlation of one
    fit_quietly(flat ~ f + x + u + (1 | g), d),
    fit_quietly(flat ~ f + x + u + (x | g), d),
    fit_quietly(y ~ f + x + u, d, residual = ~ ar1h(v | g))
  )
  methods <- setdiff(names(ddf_methods), c("none", "clusters"))
  for (fit in fits) {
    for (L in list(cbind(0, diag(5)), rbind(c(0, 0, 0, 0, 1, 0), c(0, 0, 0, 0, 0, 1)))) {
      for (ddf in methods) {
        tests <- function(L) {
          unlist(suppressWarnings(contest(fit, L, ddf = ddf))[c("NumDF", "DenDF", "F value")])
        }
        right <- tests(L)
        q <- nrow(L)
        near <- function(L, tolerance) {
          expect_equal(tests(L), right, tolerance = tolerance, info = ddf)
        }
        near(matrix(rnorm(q^2), q) %*% L, 1e-7)
        near(diag(10^runif(q, -4, 4)) %*% L, 1e-7)
        near(rbind(L, rnorm(q) %*% L, L[2L, ], 0), 1e-7)
        # nearly singular, but of full rank
        root <- qr.Q(qr(matrix(rnorm(q^2), q)))
        near(root %*% diag(10^-seq(0, 5, length.out = q)) %*% t(root) %*% L, 1e-5)
      }
    }
  }
})

# Where a rule has no answer ----------------------------------------------------------------------

test_that("what a rule cannot know is an error that says what to write instead", {
  set.seed(1)
  d <- data.frame(a = gl(6, 5), b = gl(5, 1, 30), x = rnorm(30), s = gl(2, 1, 30))
  d$y <- rnorm(6)[d$a] + rnorm(5)[d$b] + rnorm(30)
  crossed <- fit_quietly(y ~ x + (1 | a) + (1 | b), d)
  for (method in c("between-within", "inner-outer")) {
    expect_error(summary(crossed, ddf = method), "crossed", class = "ferrolmm_error_argument")
  }
  expect_true(all(coef(summary(crossed, ddf = "containment"))[, "df"] > 0))
  skip_if_not_installed("nlme")
  ungrouped <- lmm(y ~ x, d, weights = nlme::varIdent(form = ~ 1 | s))
  for (method in c("between-within", "inner-outer")) {
    expect_error(
      summary(ungrouped, ddf = method), "no groups of rows", class = "ferrolmm_error_argument"
    )
  }
  expect_equal(unname(coef(summary(ungrouped, ddf = "containment"))[, "df"]), c(28, 28))
  expect_error(
    predict(crossed, interval = "confidence", ddf = "containment"), "for means of the population",
    class = "ferrolmm_error_argument"
  )
  expect_equal(
    predict(crossed, interval = "confidence", re.form = NA, ddf = "residual")[, "upr"],
    predict(crossed, re.form = NA) +
      qt(0.975, 28) * predict(crossed, re.form = NA, se.fit = TRUE)$se.fit
  )
})

test_that("moments have residual degrees of freedom, and the other rules need rows", {
  set.seed(1)
  d <- data.frame(a = gl(6, 5), x = rnorm(30))
  d$y <- rnorm(6)[d$a] + rnorm(30)
  fit <- lmm(y ~ x + (1 | a), lmm_moments(y ~ x + (1 | a), d))
  expect_equal(unname(coef(summary(fit, ddf = "residual"))[, "df"]), c(28, 28))
  for (method in c("between-within", "containment", "inner-outer")) {
    expect_error(summary(fit, ddf = method), method, class = "ferrolmm_error_needs_rows")
  }
})

test_that("no degrees of freedom are left: NA, with a warning", {
  set.seed(1)
  d <- data.frame(g = gl(3, 4), u = rep(c(1, 2, 4), each = 4), w = rep(c(1, 5, 2), each = 4))
  d$y <- rnorm(12)
  fit <- fit_quietly(y ~ u + w + (1 | g), d)
  expect_warning(table <- coef(summary(fit, ddf = "bw")), class = "ferrolmm_warning_ddf")
  expect_true(all(is.na(table[, c("df", "Pr(>|t|)")])))
  expect_true(all(is.finite(table[, "Std. Error"])))
})

# Everything that takes them ----------------------------------------------------------------------

test_that("tables, intervals and other packages take the methods", {
  skip_if_not_installed("nlme")
  d <- as.data.frame(nlme::Orthodont)
  d$Sex <- factor(d$Sex, ordered = FALSE)
  fit <- lmm(distance ~ age + Sex + (1 | Subject), d)
  df <- c(25, 80, 25)
  table <- coef(summary(fit, ddf = "bw"))
  expect_equal(unname(table[, "df"]), df)
  half <- qt(0.975, df) * table[, "Std. Error"]
  limits <- confint(fit, "beta_", ddf = "bw")
  expect_equal(unname(limits[, 2L]), unname(table[, "Estimate"] + half))
  if (requireNamespace("emmeans", quietly = TRUE)) {
    means <- as.data.frame(emmeans::emmeans(fit, ~ Sex, mode = "bw"))
    expect_equal(means$df, c(25, 25))
    slope <- as.data.frame(emmeans::emtrends(fit, ~ 1, "age", lmer.df = "between-within"))
    expect_equal(slope$df, 80)
    kr2 <- as.data.frame(emmeans::emmeans(fit, ~ Sex, mode = "kr2"))
    kr <- as.data.frame(emmeans::emmeans(fit, ~ Sex, mode = "kr"))
    expect_equal(kr2[-1L], kr[-1L])
  }
  if (requireNamespace("car", quietly = TRUE)) {
    expect_equal(car::Anova(fit, ddf = "bw")$DenDF, c(80, 25))
    expect_equal(car::linearHypothesis(fit, "age = 0", ddf = "bw")$DenDF, 80)
  }
  if (requireNamespace("generics", quietly = TRUE)) {
    tidied <- generics::tidy(fit, "fixed", ddf = "bw")
    expect_equal(tidied$df, df)
  }
  if (requireNamespace("parameters", quietly = TRUE)) {
    theirs <- parameters::model_parameters(fit, effects = "fixed", ci_method = "bw")
    expect_equal(theirs$df_error, df)
    theirs <- parameters::model_parameters(fit, effects = "fixed", ci_method = "containment")
    expect_equal(theirs$df_error, unname(coef(summary(fit, ddf = "containment"))[, "df"]))
  }
  if (requireNamespace("lmtest", quietly = TRUE)) {
    found <- lmtest::coeftest(fit, ddf = "bw")
    expect_equal(attr(found, "df"), df, ignore_attr = TRUE)
  }
  if (requireNamespace("lmerTest", quietly = TRUE)) {
    means <- lmerTest::ls_means(fit, ddf = "bw")
    expect_equal(means$df, c(25, 25))
  }
})

test_that("headings and paragraphs name the methods", {
  skip_if_not_installed("nlme")
  fit <- lmm(distance ~ age + Sex + (1 | Subject), as.data.frame(nlme::Orthodont))
  expect_snapshot({
    for (ddf in c("bw", "containment", "inner-outer", "residual", "kr2")) {
      print(anova(fit, ddf = ddf))
    }
    summary(fit, ddf = "contain", correlation = FALSE)
  })
  for (ddf in c("bw", "containment", "inner-outer", "residual")) {
    expect_match(methods_paragraph(fit, ddf = ddf), ddf_methods[[match_ddf(ddf)]]$words,
                 fixed = TRUE)
  }
  expect_match(methods_paragraph(fit, ddf = "kr2"), "improved approximation of 2009")
  expect_match(methods_paragraph(fit, ddf = "Kenward-Roger-linear"), "for linear covariance")
})

test_that("the spellings of SAS and mmrm are understood", {
  spellings <- c(
    bw = "between-within", BETWITHIN = "between-within", "Between-Within" = "between-within",
    CONTAIN = "containment", contain = "containment", RES = "residual", Residual = "residual",
    resid = "residual", KR = "Kenward-Roger", kenwardroger = "Kenward-Roger",
    KR2 = "Kenward-Roger2", KenwardRoger2 = "Kenward-Roger2", "kenward-roger2" = "Kenward-Roger2",
    "Kenward-Roger" = "Kenward-Roger", "Kenward-Roger-Linear" = "Kenward-Roger-linear",
    satterth = "Satterthwaite", nlme = "inner-outer", kenward = "Kenward-Roger"
  )
  for (given in names(spellings)) expect_identical(match_ddf(given), spellings[[given]])
})

test_that("Kenward-Roger 2 is not for structured residuals beside known matrices of levels", {
  set.seed(6)
  d <- data.frame(g = gl(12, 5), v = gl(5, 1, 60), x = rnorm(60))
  d$y <- rnorm(12)[d$g] + rnorm(60)
  k <- 0.5^abs(outer(1:12, 1:12, "-"))
  dimnames(k) <- list(levels(d$g), levels(d$g))
  fit <- fit_quietly(y ~ x + us(1 | g, cov = k), d, residual = ~ ar1(v | g))
  expect_error(summary(fit, ddf = "kr2"), "Kenward-Roger\"", class = "ferrolmm_error_argument")
  alone <- fit_quietly(y ~ x + us(1 | g, cov = k), d)
  expect_equal(
    coef(summary(alone, ddf = "kr2")), coef(summary(alone, ddf = "kr")), tolerance = 1e-10
  )
})
