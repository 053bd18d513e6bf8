//! A penalty on covariance matrices beside the likelihood.
//!
//! A penalty P(theta) - kappa log sigma^2 on covariance matrices ([`crate::basis::penalty`]) is added to the criterion. With
//! d = n - p (ML: n), the minimum of d log sigma^2 + q / sigma^2 - kappa log sigma^2 is at sigma^2 = q / (d - kappa).

use crate::basis::internal_theta::InternalTheta;
use crate::basis::penalty::CovariancePenalty;
use crate::criterion::objective::Criterion;
use crate::system::equations::Factor;

impl<'a> Criterion<'a> {
    /// Gives it a penalty on covariance matrices, if there is one.
    #[must_use]
    pub fn with_penalty(mut self, penalty: Option<&'a CovariancePenalty>) -> Self {
        self.penalty = penalty;
        self
    }
}

impl Criterion<'_> {
    /// Degrees of freedom in the residual variance: n - p or n, without the kappa of a penalty.
    #[must_use]
    pub fn degrees(&self) -> f64 {
        self.own_degrees() - self.penalty.map_or(0.0, |penalty| penalty.log_sigma2)
    }

    /// The penalty at `theta`, of which this is the factor.
    #[must_use]
    pub(crate) fn penalty_at(&self, theta: &InternalTheta, factor: &Factor) -> f64 {
        self.penalty.map_or(0.0, |penalty| {
            let sigma2 = self.known_sigma2;
            let sigma2 = sigma2.unwrap_or(factor.pwrss / self.degrees());
            // a penalty on relative covariances has no part of sigma
            let of_sigma = match penalty.log_sigma2 {
                0.0 => 0.0,
                kappa => -kappa * sigma2.ln(),
            };
            penalty.value(self.parameters, theta) + of_sigma
        })
    }
}
