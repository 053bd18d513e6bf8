//! Minimisation of a smooth function by a trust-region Newton method, after quasi-Newton steps if wanted; knows no mixed model.
//! Imports `linalg`, `runtime` and `api`.

mod minimize;
mod quasi_newton;
mod trust_region;

pub use minimize::minimize;
pub use trust_region::{HessianRequest, Objective, Outcome, Settings, Stop};
