# Every coefficient and random effect of the fit stands in the mixed equation, beside the product of
# its predictors: the equation is read back and compared with the fit.
expect_round_trip <- function(fit) {
  op <- options(width = 10000L)
  on.exit(options(op))
  mixed <- equations(fit, "mixed")
  symbols <- mixed$symbols
  expect_identical(symbols$name[symbols$kind == "fixed"], names(fixef(fit)))
  expect_identical(anyDuplicated(symbols$symbol), 0L)
  random <- symbols[symbols$kind == "random", ]
  for (group in unique(random$group)) {
    expect_setequal(random$name[random$group == group], unlist(fit$cnms[names(fit$cnms) == group]))
  }
  right <- sub("^[^=]*= ", "", mixed$lines[[1]])
  addends <- strsplit(right, " + ", fixed = TRUE)[[1]]
  addends <- addends[-length(addends)]
  product <- sub("^[^ ]+ ?", "", addends)
  product <- gsub("_[ijkl()]+( |$)", "\\1", product)
  product <- gsub(" [^ A-Za-z]+ ", ":", product)
  product[product == ""] <- "(Intercept)"
  expect_identical(sub(" .*$", "", addends), symbols$symbol)
  expect_identical(product, symbols$name)
}

test_that("the mixed equation names every coefficient and random effect", {
  data(Orthodont, Oats, package = "nlme")
  oats <- as.data.frame(Oats)
  expect_round_trip(lmm(mobility ~ Age + Married + Sex + WBC + RBC + (1 | doctor), doctors))
  expect_round_trip(lmm(distance ~ age * Sex + (age | Subject), Orthodont))
  expect_round_trip(lmm(distance ~ age * Sex + (age || Subject), Orthodont))
  expect_round_trip(lmm(distance ~ 0 + Sex + Sex:age + (0 + age | Subject), Orthodont))
  expect_round_trip(lmm(yield ~ nitro * Variety + (1 | Block / Variety), oats))
  skip_if_not_installed("lme4")
  expect_round_trip(lmm(diameter ~ 1 + (1 | plate) + (1 | sample), lme4::Penicillin))
})

test_that("predictors of one name have coefficients of their own", {
  set.seed(1)
  d <- data.frame(
    y = rnorm(60), f = factor(rep(0:1, 30)), f1 = rnorm(60), z = rnorm(60), g = rep(1:12, 5)
  )
  symbols_of <- function(formula) {
    table <- equations(suppressMessages(lmm(formula, d)), "mixed")$symbols
    expect_identical(anyDuplicated(table$symbol), 0L)
    table
  }
  table <- symbols_of(y ~ f + f1 + (1 | g))
  expect_identical(table$name, c("(Intercept)", "f1", "f1", "(Intercept)"))
  # what each symbol stands for, told by an estimate
  coefficients <- unname(fixef(suppressMessages(lmm(y ~ f + f1 + (1 | g), d))))
  expect_identical(table$estimate[1:3], coefficients)

  # the effect of a level is that of the fixed part, whatever the number beside it is called
  table <- symbols_of(y ~ f1 + f + (0 + f1 | g))
  expect_match(table$symbol[[4L]], "^u1j$")
  plain <- symbols_of(y ~ f * z + (z || g))$symbol
  expect_identical(symbols_of(y ~ f * f1 + (f1 || g))$symbol, plain)

  # a product is one thing in any order
  fit <- suppressMessages(lmm(y ~ f1:z + (0 + z:f1 | g), d))
  expect_identical(equations(fit, "mixed")$symbols$symbol[2:3], c("\u03b310", "u1j"))

  for (name in c("a:b", "\r", "(Intercept)", "1", "*", "`", "a b")) {
    own <- d
    names(own)[names(own) == "f1"] <- name
    symbol <- as.name(name)
    formula <- eval(bquote(y ~ f * .(symbol) + (.(symbol) || g)))
    fit <- suppressMessages(lmm(formula, own))
    expect_identical(equations(fit, "mixed")$symbols$symbol, plain, info = name)
  }
})

test_that("many effects of one kind have symbols of their own", {
  expect_identical(letter_numbers(3L), c("a", "b", "c"))
  expect_identical(letter_numbers(28L)[26:28], c("z", "aa", "ab"))
  expect_identical(anyDuplicated(letter_numbers(1000L)), 0L)
})

test_that("predictors that are constant within groups stand at level 2", {
  data(Orthodont, package = "nlme")
  fit <- lmm(distance ~ age * Sex + (age | Subject), Orthodont)
  lines <- equations(fit, format = "latex")$lines
  expect_true(any(grepl(
    "\\beta_{1j} &= \\gamma_{10} + \\gamma_{11} \\, \\text{SexFemale}_{j} + u_{1j}", lines,
    fixed = TRUE
  )))
  expect_true(any(grepl(
    "= \\beta_{0j} + \\beta_{1j} \\, \\text{age}_{ij} + \\varepsilon_{ij}", lines, fixed = TRUE
  )))
  expect_identical(lines[c(1, length(lines))], c("\\begin{align*}", "\\end{align*}"))
})

test_that("nested factors give three levels, crossed ones share the second", {
  data(Oats, package = "nlme")
  oats <- lmm(yield ~ nitro * Variety + (1 | Block / Variety), as.data.frame(Oats))
  lines <- equations(oats, format = "latex")$lines
  expect_true(any(grepl("Level 3 (Block, 6 levels)", lines, fixed = TRUE)))
  expect_true(any(grepl("\\beta_{00k} &= \\gamma_{000} + u_{00k}", lines, fixed = TRUE)))
  skip_if_not_installed("lme4")
  crossed <- lmm(diameter ~ 1 + (1 | plate) + (1 | sample), lme4::Penicillin)
  lines <- equations(crossed, format = "latex")$lines
  expect_true(any(grepl("\\beta_{0(jk)} &= \\gamma_{00} + u_{0j} + v_{0k}", lines, fixed = TRUE)))
})

test_that("estimates replace the symbols", {
  fit <- lmm(mobility ~ Age + RBC + (1 | doctor), doctors)
  lines <- paste(equations(fit, "mixed", values = TRUE)$lines, collapse = " ")
  expect_match(lines, formatC(fixef(fit)[["(Intercept)"]], digits = 4, format = "g"), fixed = TRUE)
  red <- formatC(abs(fixef(fit)[["RBC"]]), digits = 4, format = "g")
  expect_lt(fixef(fit)[["RBC"]], 0)
  expect_match(lines, paste0("- ", red, " RBC_ij"), fixed = TRUE)
  expect_match(lines, formatC(VarCorr(fit)$doctor[1], digits = 4, format = "g"), fixed = TRUE)
  expect_match(lines, formatC(sigma(fit)^2, digits = 4, format = "g"), fixed = TRUE)
})

test_that("the matrix style states every size, of all rows and of one group", {
  fit <- lmm(mobility ~ Age + Married + Sex + WBC + RBC + (1 | doctor), doctors)
  sizes <- equations(fit, "matrix")$dimensions
  rownames(sizes) <- sizes$symbol
  n1 <- sum(doctors$doctor == "1")
  expect_equal(unlist(sizes["y", -1]), c(8525, 1, n1, 1), ignore_attr = TRUE)
  expect_equal(unlist(sizes["X", -1]), c(8525, 6, n1, 6), ignore_attr = TRUE)
  expect_equal(unlist(sizes["Z", -1]), c(8525, 407, n1, 1), ignore_attr = TRUE)
  expect_equal(unlist(sizes["G", -1]), c(407, 407, 1, 1), ignore_attr = TRUE)
  expect_equal(equations(fit, "matrix", group = "9")$dimensions$group_rows[1],
               sum(doctors$doctor == "9"))
  expect_error(equations(fit, "matrix", group = 408), class = "ferrolmm_error_argument")

  data(Orthodont, package = "nlme")
  slope <- lmm(distance ~ age + (age | Subject), Orthodont)
  expect_output(print(equations(slope, "matrix")), "unstructured, q(q+1)/2 = 3", fixed = TRUE)
  independent <- lmm(distance ~ age + (age || Subject), Orthodont)
  expect_output(print(equations(independent, "matrix")), "diagonal, 2 distinct", fixed = TRUE)
})

test_that("weights, offsets and dropped columns are shown", {
  data(Orthodont, package = "nlme")
  d <- transform(as.data.frame(Orthodont), w = rep(1:2, 54), twice = 2 * age)
  fit <- suppressMessages(
    lmm(distance ~ age + twice + offset(age / 10) + (1 | Subject), d, weights = w)
  )
  text <- paste(equations(fit)$lines, collapse = " ")
  expect_match(text, "w_ij", fixed = TRUE)
  expect_match(text, "offset(age/10)_ij", fixed = TRUE)
  expect_match(text, "Dropped, a linear combination of others: twice", fixed = TRUE)
  text <- paste(equations(fit, "matrix")$lines, collapse = " ")
  expect_match(text, "diagonal matrix of the weights", fixed = TRUE)
})

test_that("LaTeX is balanced and escaped", {
  d <- transform(doctors, white_cells = WBC)
  fit <- lmm(mobility ~ white_cells + (1 | doctor), d)
  for (style in c("levels", "mixed", "matrix")) {
    text <- paste(equations(fit, style, "latex")$lines, collapse = "\n")
    expect_identical(lengths(regmatches(text, gregexpr("{", text, fixed = TRUE))),
                     lengths(regmatches(text, gregexpr("}", text, fixed = TRUE))))
    expect_false(grepl("[^\x01-\x7f]", text))
  }
  expect_match(paste(equations(fit, format = "latex")$lines, collapse = ""), "white\\_cells",
               fixed = TRUE)
})

test_that("arguments are checked", {
  fit <- lmm(mobility ~ Age + (1 | doctor), doctors)
  expect_error(equations(1), class = "ferrolmm_error_argument")
  expect_error(equations(fit, "tensor"), class = "ferrolmm_error_argument")
  expect_error(equations(fit, format = "html"), class = "ferrolmm_error_argument")
  expect_error(equations(fit, values = NA), class = "ferrolmm_error_argument")
})
