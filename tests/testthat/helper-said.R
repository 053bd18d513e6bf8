## The first condition of a call, for snapshots: testthat draws conditions by its version.
said <- function(call) {
  tell <- function(condition) cat(class(condition)[[1L]], conditionMessage(condition), sep = "\n")
  tryCatch(call, error = tell, warning = tell)
}
