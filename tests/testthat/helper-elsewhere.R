## Functions of packages that Debian's current release does not have: tests of them run where they
## are installed. DESCRIPTION cannot suggest what the tests are not run with.
elsewhere <- function(package, name) getExportedValue(package, name)
