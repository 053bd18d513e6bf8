# Methods for other packages are there whichever package is loaded first, and after ferrolmm was
# unloaded and loaded again: every package that it registers methods for is looked at.

# A line "package: method" for each method of ours that the packages know, in a fresh session in
# which `steps` are done: load() loads the packages.
registered <- function(packages, steps) {
  lines <- run_fresh(
    sprintf("packages <- c(%s)", paste0("'", packages, "'", collapse = ", ")),
    "load <- function() for (p in packages) suppressPackageStartupMessages(loadNamespace(p))",
    steps,
    "for (package in packages) {
      table <- asNamespace(package)[['.__S3MethodsTable__.']]
      for (method in sort(names(table))) {
        if (identical(topenv(environment(table[[method]])), asNamespace('ferrolmm'))) {
          cat(package, ': ', method, '\\n', sep = '')
        }
      }
    }"
  )
  grep("^[[:alnum:].]+: [^ ]+$", lines, value = TRUE)
}

test_that("the order in which packages are loaded does not matter, nor loading ours again", {
  skip_on_cran()
  namespace <- asNamespace("ferrolmm")
  delayed <- namespace$.__NAMESPACE__.$S3methods[, 4L]
  packages <- unique(c(namespace$waited_for$packages, delayed[!is.na(delayed)]))
  packages <- packages[vapply(packages, function(p) nzchar(system.file(package = p)), NA)]
  skip_if(length(packages) < 5L, "few packages to register methods for are installed")
  ours_first <- registered(packages, c("library(ferrolmm)", "load()"))
  # the generic of 'ggeffects' is new in its version 2
  lacking <- if ("ggeffects" %in% packages &&
                   !is_s3_generic("get_predictions", asNamespace("ggeffects"))) "ggeffects"
  expect_setequal(unique(sub(":.*", "", ours_first)), setdiff(packages, lacking))
  steps <- list(
    "the packages first" = c("load()", "library(ferrolmm)"),
    "ours again, first" = c(
      "library(ferrolmm)", "unloadNamespace('ferrolmm')", "library(ferrolmm)", "load()"
    ),
    "ours again, last" = c(
      "library(ferrolmm)", "load()", "unloadNamespace('ferrolmm')", "library(ferrolmm)"
    )
  )
  for (order in names(steps)) {
    expect_identical(registered(packages, steps[[order]]), ours_first, label = order)
  }
})
