library(testthat)
library(ferrolmm)

test_check("ferrolmm")
