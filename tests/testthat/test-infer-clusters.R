orthodont <- function() as.data.frame(nlme::Orthodont)

test_that("clusters are given in all ways", {
  d <- orthodont()
  d$site <- factor(rep(1:9, each = 12L))
  d$distance[5L] <- NA
  fit <- lmm(distance ~ age + (1 | Subject), d)
  wanted <- vcov(fit, type = "CR0", cluster = d$site[-5L])
  for (cluster in list(~ site, "site", d$site, as.integer(d$site), as.character(d$site))) {
    expect_equal(vcov(fit, type = "CR0", cluster = cluster), wanted)
  }
  found <- independent_clusters(fit, ~ site)
  expect_identical(found[c("count", "levels", "name")],
                   list(count = 9L, levels = as.character(1:9), name = "site"))
  expect_identical(independent_clusters(fit, ~ site:Subject)$count, 27L)
  expect_identical(independent_clusters(fit)$name, "Subject")
  # levels without rows are no clusters
  few <- lmm(distance ~ age + (1 | Subject), d, subset = site %in% 1:3)
  expect_identical(independent_clusters(few, "site")$count, 3L)
  expect_identical(independent_clusters(few)$count, 9L)
})

test_that("the default holds all that depends on each other", {
  d <- orthodont()
  d$site <- factor(rep(1:9, each = 12L))
  nested <- suppressMessages(lmm(distance ~ age + (1 | site / Subject), d))
  expect_identical(
    independent_clusters(nested)[c("count", "name")], list(count = 9L, name = "site")
  )
  groups <- lmm(distance ~ age, d, residual = ~ ar1(age | Subject))
  expect_identical(independent_clusters(groups)$name, "Subject")
  within <- suppressMessages(
    lmm(distance ~ age + (1 | site), d, correlation = nlme::corAR1(form = ~ 1 | Subject))
  )
  expect_identical(independent_clusters(within)$name, "site")
  rows <- lmm(distance ~ age, d, weights = nlme::varPower(form = ~ age))
  expect_identical(independent_clusters(rows)[c("count", "name")],
                   list(count = nrow(d), name = "rows"))
  # crossed within sites
  d$rater <- factor(paste(d$site, rep_len(1:4, nrow(d))))
  crossed <- suppressMessages(lmm(distance ~ age + (1 | Subject) + (1 | rater), d))
  found <- independent_clusters(crossed)
  expect_identical(found[c("count", "name")], list(count = 9L, name = "connected rows"))
  expect_equal(
    vcov(crossed, type = "CR2"), vcov(crossed, type = "CR2", cluster = ~ site)
  )
})

test_that("clusters that are not independent are refused", {
  d <- orthodont()
  fit <- lmm(distance ~ age + (1 | Subject), d)
  argument <- "ferrolmm_error_argument"
  expect_error(independent_clusters(fit, ~ age), "`Subject`.*27 sets", class = argument)
  expect_error(independent_clusters(fit, ~ Sex + Subject), "~Sex \\+ Subject", class = argument)
  expect_error(independent_clusters(fit, distance ~ Sex), "grouping", class = argument)
  expect_error(independent_clusters(fit, ~ Subjekt), "Subject", class = argument)
  expect_error(independent_clusters(fit, 1:3), "108", class = argument)
  expect_error(independent_clusters(fit, list(1)), "`cluster`", class = argument)
  missing <- replace(as.character(d$Sex), 2L, NA)
  expect_error(independent_clusters(fit, missing), "missing \\(NA\\) in 1 row", class = argument)
  d$part <- missing
  with_gaps <- lmm(distance ~ age + (1 | Subject), d)
  expect_error(independent_clusters(with_gaps, ~ part), "missing", class = argument)
  crossed <- our_twin("crossed")
  expect_error(independent_clusters(crossed), "no independent clusters", class = argument)
  expect_error(independent_clusters(crossed, "plate"), "`sample`", class = argument)
  series <- suppressMessages(
    lmm(distance ~ age, d, correlation = nlme::corAR1(form = ~ 1))
  )
  expect_error(independent_clusters(series), "no independent clusters", class = argument)
})
