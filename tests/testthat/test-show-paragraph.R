orthodont <- function() {
  d <- as.data.frame(nlme::Orthodont)
  d$visit <- factor(d$age)
  d$`the day` <- d$age
  d
}

test_that("a paragraph says what was fitted", {
  local_reproducible_output(width = 80)
  # versions, and numbers of starts, are those of the day
  hide <- function(lines) {
    text <- paste(lines, collapse = " ")
    text <- gsub("in R [0-9.]+ ", "in R # ", text)
    text <- gsub("version [0-9.]+[0-9]", "version #", text)
    strwrap(gsub("from [0-9]+ of [0-9]+ start", "from # of # start", text), 80)
  }
  d <- orthodont()
  d$distance[c(1, 7)] <- NA
  paragraph <- function(..., ddf = "Satterthwaite") {
    print(methods_paragraph(suppressMessages(lmm(...)), ddf = ddf))
  }
  skip_if_not_installed("lme4")
  expect_snapshot(paragraph(distance ~ age * Sex + (age | Subject), d), transform = hide)
  expect_snapshot(
    paragraph(
      distance ~ `the day` + (`the day` || Subject), d, REML = FALSE, weights = age,
      offset = age / 2, ddf = "none"
    ),
    transform = hide
  )
  expect_snapshot(
    paragraph(
      angle ~ recipe * temperature + (1 | replicate / recipe), lme4::cake, ddf = "kr"
    ),
    transform = hide
  )
  expect_snapshot(
    paragraph(diameter ~ 1 + (1 | plate) + (1 | sample), lme4::Penicillin, ddf = "asymptotic"),
    transform = hide
  )
  expect_snapshot(
    paragraph(distance ~ visit * Sex, d, residual = ~ us(visit | Subject)), transform = hide
  )
  expect_snapshot(
    paragraph(
      distance ~ poly(age, 2) + I(2 * age) + (1 | Subject), d,
      correlation = corAR1(form = ~ 1 | Subject), weights = varIdent(form = ~ 1 | Sex)
    ),
    transform = hide
  )
  expect_snapshot(paragraph(Yield ~ 1 + (1 | Batch), lme4::Dyestuff2), transform = hide)
})

test_that("a paragraph does not promise what was not done", {
  d <- orthodont()
  ml <- lmm(distance ~ age + (1 | Subject), d, REML = FALSE)
  expect_error(
    methods_paragraph(ml, ddf = "Kenward-Roger"), "is for fits by REML",
    class = "ferrolmm_error_argument"
  )
  fit <- lmm(distance ~ age + (1 | Subject), d)
  expect_match(methods_paragraph(fit), "Hessian positive definite")
  fit$certificate$status <- "failed"
  expect_match(methods_paragraph(fit), "could not be proved")
  variance <- lmm(distance ~ age + (1 | Subject), d, weights = varPower(form = ~ age))
  expect_match(methods_paragraph(variance), "depended on age as |age|^power", fixed = TRUE)
  none <- methods_paragraph(our_twin("no_fixed"))
  expect_match(none, "It had no fixed effects.", fixed = TRUE)
  expect_no_match(none, "were tested")
  structured <- lmm(distance ~ Sex + homdiag(age | Subject), d)
  expect_match(
    methods_paragraph(structured), "a diagonal covariance matrix and one variance"
  )
})

test_that("lists of words have commas and an and", {
  expect_identical(enumerate(c("a", "b", "c")), "a, b and c")
  expect_identical(enumerate(c("a", "b")), "a and b")
  expect_identical(enumerate("a"), "a")
  expect_identical(with_article("unstructured"), "an unstructured")
  expect_identical(with_article("Toeplitz"), "a Toeplitz")
})
