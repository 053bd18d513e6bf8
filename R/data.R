#' Patients seen by doctors (simulated)
#'
#' A mobility score of 8525 patients of 407 doctors, 2 to 40 patients each. The data are simulated
#' by `data-raw/doctors.R` (fixed seed) to the description of a worked example: the outcome is a
#' mobility score in whole numbers, the coefficients are 4.782 (intercept), 0.025 (`Age`), 0.011
#' (`Married`), 0.012 (`Sex`), 0 (`WBC`) and -0.009 (`RBC`), there is one random intercept per
#' doctor, and the first two rows and the last are given. The fit of the model below prints these
#' coefficients, because the noise was shifted until it does. The standard deviations behind the
#' data, 0.8 between doctors and 1.2 within, are the package's choice. No real patient or doctor
#' stands behind any row.
#'
#' @format A data frame with 8525 rows (patients) and 7 columns:
#' \describe{
#'   \item{mobility}{mobility score, a whole number from 0 to 11}
#'   \item{Age}{age in years}
#'   \item{Married}{1 for married, 0 for not}
#'   \item{Sex}{0 for female, 1 for male}
#'   \item{WBC}{white blood cell count, per microlitre}
#'   \item{RBC}{red blood cell count, millions per microlitre}
#'   \item{doctor}{the patient's doctor, a factor with 407 levels; rows are sorted by it}
#' }
#' @source Simulated; see `data-raw/doctors.R` in the package's sources.
#' @seealso [lmm()], and `vignette("doctors")`.
#' @examples
#' fit <- lmm(mobility ~ Age + Married + Sex + WBC + RBC + (1 | doctor), doctors)
#' fixef(fit)
#' image(fit)
"doctors"
