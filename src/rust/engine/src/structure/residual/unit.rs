//! The rows' mean standard deviation relative to sigma: the unit of the random effects.

use crate::runtime::memory;
use crate::structure::residual::scale;
use crate::structure::residual::Residual;

/// Largest log of the rows' mean standard deviation relative to sigma.
const FAR: f64 = 140.0;

impl Residual {
    /// The rows' mean standard deviation relative to sigma, 1 without variance functions: the unit of the random effects'
    /// relative standard deviations. With d = |v|^delta, sigma and they change by orders of magnitude with delta where the
    /// variances of the rows hardly do.
    #[must_use]
    pub fn unit(&self, phi: &[f64]) -> f64 {
        self.mean_log_scale(phi).exp()
    }

    /// Mean of log d over the rows.
    #[must_use]
    pub fn mean_log_scale(&self, phi: &[f64]) -> f64 {
        if self.scales.is_empty() {
            return 0.0;
        }
        let places = 0..self.layout.order.len();
        let sum: f64 = places
            .map(|place| self.times_of(place) * self.log_scale(phi, place))
            .sum();
        sum / self.observations()
    }

    /// Whether sigma, the standard deviation where a covariate is 0 or 1, may be far from that of any row.
    #[must_use]
    pub fn has_origin(&self) -> bool {
        self.scales.iter().any(|scale| !scale.is_ident())
    }

    /// Whether no row is near sigma: relative to it the fourth powers of random effects' standard deviations, which second
    /// derivatives have, are not to overflow.
    #[must_use]
    pub fn is_far(&self, phi: &[f64]) -> bool {
        self.mean_log_scale(phi).abs() > FAR
    }

    /// [`Self::mean_log_scale`] with its gradient and Hessian.
    #[must_use]
    pub fn mean_log_scale_derivatives(&self, phi: &[f64]) -> (f64, Vec<f64>, Vec<f64>) {
        let (m, n) = (self.len(), self.observations());
        let (mut value, mut gradient, mut hessian) = (0.0, memory::zeros(m), memory::zeros(m * m));
        for (k, scale) in self.scales.iter().enumerate() {
            let mut total = scale::Total {
                value: 0.0,
                gradient: &mut gradient,
                hessian: &mut hessian,
                first: self.first[k],
                parameters: m,
            };
            for place in 0..self.layout.order.len() {
                scale.add_total(&phi[self.own(k)], place, self.times_of(place), &mut total);
            }
            value += total.value;
        }
        let mean = |v: &mut f64| *v /= n;
        mean(&mut value);
        gradient.iter_mut().for_each(mean);
        hessian.iter_mut().for_each(mean);
        (value, gradient, hessian)
    }

    /// Number of rows of the data.
    fn observations(&self) -> f64 {
        if self.times.is_empty() {
            self.layout.order.len() as f64
        } else {
            self.times.iter().sum()
        }
    }
}
