test_that("special characters of LaTeX are escaped", {
  expect_identical(latex_escape("a_b%c&d"), "a\\_b\\%c\\&d")
  expect_identical(latex_escape("I(x^2)"), "I(x$\\hat{\\;}$2)")
  expect_identical(latex_escape("a\\b{c}~"), "a$\\backslash$b\\{c\\}$\\sim$")
  expect_identical(
    latex_escape(c("a<b", "|b|>", "plain")),
    c("a$<$b", "$|$b$|>$", "plain")
  )
})

test_that("LaTeX breaks lines that would be too wide, names have no backticks", {
  data <- twin_data()$sleepstudy
  data$`odd_name%` <- data$Days^2
  fit <- lmm(Reaction ~ Days + `odd_name%` + sin(Days) + cos(Days) + (1 | Subject), data)
  lines <- unclass(equations(fit, "mixed", "latex"))$lines
  equation <- lines[grepl("\\\\gamma|\\\\quad", lines)]
  expect_gt(length(equation), 1)
  expect_true(all(printed_width(equation) <= 66))
  expect_true(any(grepl("\\text{odd\\_name\\%}", equation, fixed = TRUE)))
  short <- unclass(equations(our_twin("ml"), "mixed", "latex"))$lines
  expect_false(any(grepl("\\quad", short, fixed = TRUE)))
})

test_that("numbers are written for their output", {
  expect_identical(equation_pen("text", TRUE, 4)$number(-5.5551e-7), "-5.555e-07")
  expect_identical(equation_pen("latex", TRUE, 4)$number(-5.5551e-7), "-5.555 \\times 10^{-7}")
  expect_identical(equation_pen("latex", TRUE, 3)$number(123456789), "1.23 \\times 10^{8}")
})

test_that("long equations are broken at the width of the console", {
  op <- options(width = 30L)
  on.exit(options(op))
  lines <- fill_lines("y = ", c("a", rep("+ beta x", 8)))
  expect_gt(length(lines), 1L)
  expect_true(all(nchar(lines) <= 30L))
  expect_identical(sum(lengths(regmatches(lines, gregexpr("beta", lines)))), 8L)
})

test_that("signs are part of the equation", {
  pen <- equation_pen("text", TRUE, 3)
  line <- write_equation("y", list(addend("b", "x", pen, -1.5), addend("c", "z", pen, -2)), pen)
  expect_identical(line, "  y = -1.5 x - 2 z")
})

test_that("powers have readable names", {
  latex <- equation_pen("latex", FALSE, 4)
  expect_identical(latex$variable("I(age_c^2)", "ij"), "\\text{age\\_c}_{ij}^{2}")
  text <- equation_pen("text", FALSE, 4)
  expect_identical(text$variable("I(age_c^2)", "ij"), "I(age_c^2)_ij")
})
