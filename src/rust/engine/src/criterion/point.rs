//! Where the criterion is evaluated, and how.

use crate::basis::internal_theta::InternalTheta;
use crate::basis::parameters::Parameters;
use crate::basis::penalty::CovariancePenalty;

/// Where derivatives are taken.
#[derive(Debug, Clone, Copy)]
pub struct Point<'a> {
    /// The parameters.
    pub parameters: &'a Parameters,
    /// Values of the parameters.
    pub theta: &'a InternalTheta,
    /// REML or ML.
    pub reml: bool,
    /// f = 1 / sigma^2: (n - p) / q (ML: n / q) where sigma is profiled out.
    pub inverse_sigma2: f64,
    /// Whether sigma is profiled out; else it is known.
    pub profiled: bool,
    /// What is added to the criterion.
    pub penalty: Option<&'a CovariancePenalty>,
}
