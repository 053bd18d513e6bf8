# Puts another value in the place of a constant of the package, and returns the one before
change_constant <- function(name, value) {
  namespace <- asNamespace("ferrolmm")
  before <- get(name, namespace)
  unlockBinding(name, namespace)
  assign(name, value, namespace)
  before
}
