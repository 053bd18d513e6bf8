//! Correlations of residuals next to their ends.

use crate::structure::correlation::link::EDGE;
use crate::structure::residual::residual::Residual;

/// How many times as far from its end a correlation is, where the criterion there is compared with that at the end.
const OFF: f64 = 400.0;

/// What is left of an angle, relative to where correlations end, where it is at its end.
const AT_END: f64 = 0.1;

impl Residual {
    /// Parameters with the correlations that are at their ends taken further inside; `None` if none of them is at one.
    #[must_use]
    pub fn off_the_edge(&self, phi: &[f64]) -> Option<Vec<f64>> {
        let own = self.first[0];
        if self.held[..own].contains(&true) {
            return None;
        }
        let correlation = self.correlation?;
        let mut inside = phi.to_vec();
        for (a, x) in inside.iter_mut().enumerate() {
            if correlation.is_angle(a) && x.cos().powi(2) < 4.0 * EDGE {
                *x = x.sin().signum() * ((1.0 - OFF * EDGE).sqrt()).asin();
            }
        }
        (inside != phi).then_some(inside)
    }

    /// For each parameter the share of its scale on which the criterion changes by as much: what is left of an angle to its
    /// end, where 1 - r^2 is its square.
    pub fn reach<'a>(&'a self, phi: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
        let is_angle = |a| self.correlation.is_some_and(|c| c.is_angle(a));
        let of_angle = |x: f64| x.cos().abs().max(EDGE.sqrt());
        let phi = phi.iter().enumerate();
        phi.map(move |(a, &x)| if is_angle(a) { of_angle(x) } else { 1.0 })
    }

    /// Relative error that rounding of the natural parameters, which a fit keeps, to doubles puts into what is left of a
    /// correlation to its end, at most. One at its end has nothing left.
    #[must_use]
    pub fn rounding_of_natural(&self, phi: &[f64]) -> f64 {
        let Some(correlation) = self.correlation else {
            return 0.0;
        };
        let own = self.first[0];
        let mut nearer = self.natural(phi);
        let of_correlation = nearer.iter_mut().take(own);
        of_correlation.for_each(|v| *v *= 1.0 - f64::EPSILON);
        let Some(back) = self.internal(&nearer) else {
            return 1.0;
        };
        // an angle and its mirror image beyond the end are one
        let left = |x: f64| x.cos().abs();
        let is_told = |a: &usize| {
            correlation.is_angle(*a) && !self.held[*a] && left(phi[*a]) > AT_END * EDGE.sqrt()
        };
        let lost = |a| (left(back[a]) - left(phi[a])).abs() / left(phi[a]).max(EDGE.sqrt());
        (0..own).filter(is_told).map(lost).fold(0.0, f64::max)
    }
}
