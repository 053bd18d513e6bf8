//! Places to start from besides the usual one.

use crate::structure::residual::Residual;

/// Correlation of neighbours at the second start.
const SECOND: f64 = 0.65;

/// Draws among which one with an inverse of R is looked for.
const DRAWS: usize = 4;

impl Residual {
    /// Other places to start from, internal parameters: the criterion may have several minima in the range and the nugget of
    /// a spatial correlation, and those that are zero beyond the range have a kink at each distance.
    ///
    /// The second value says how many of them are worth an optimisation, the best ones.
    #[must_use]
    pub fn further_starts(&self) -> (Vec<Vec<f64>>, usize) {
        let own = self.first[0];
        let held = self.held[..own].iter().any(|&held| held);
        let Some(correlation) = self.correlation.filter(|_| !held) else {
            return (Vec::new(), 0);
        };
        let (starts, worth) = correlation
            .family
            .further_starts(&self.start[correlation.own(0)], self.layout.distances());
        let whole = |x: Vec<f64>| {
            let mut x = correlation.repeated(&x);
            x.extend_from_slice(&self.start[own..]);
            x
        };
        (starts.into_iter().map(whole).collect(), worth)
    }

    /// Further places to begin at where walks cost little: strong correlations, and such of the other sign.
    #[must_use]
    pub fn other_starts(&self) -> Vec<Vec<f64>> {
        let mut out: Vec<Vec<f64>> = self.second_start().into_iter().collect();
        if out.is_empty() {
            return out;
        }
        let alternating = self.correlation.and_then(|c| c.family.alternating(-SECOND));
        out.extend(alternating.and_then(|natural| self.with_correlations(&natural)));
        out
    }

    /// What the draws of [`Self::anywhere`] share: the distances over which rows are correlated.
    #[must_use]
    pub fn reach_of_chance(&self) -> (f64, f64) {
        let typical = |family| {
            let distance = self.layout.typical_distance(family);
            (distance, distance)
        };
        let own = self
            .correlation
            .map(|c| self.layout.distances().unwrap_or_else(|| typical(c.family)));
        own.unwrap_or((1.0, 1.0))
    }

    /// Internal parameters from all over their space, as `chance`, uniform in (0, 1), has them; `None` where none of a few
    /// draws has an inverse of R.
    pub fn anywhere(&self, reach: (f64, f64), chance: &mut dyn FnMut() -> f64) -> Option<Vec<f64>> {
        let draw = |_| {
            let mut phi = self
                .correlation
                .map_or_else(Vec::new, |c| c.anywhere(chance, reach));
            for scale in &self.scales {
                phi.extend(scale.anywhere(chance));
            }
            phi
        };
        (0..DRAWS).map(draw).find(|phi| self.at(phi).is_some())
    }

    /// Stronger correlations than those of the usual start, for a second attempt.
    #[must_use]
    pub fn second_start(&self) -> Option<Vec<f64>> {
        if self.held.iter().any(|&held| held) {
            return None;
        }
        let correlation = self.correlation?;
        let family = correlation.family;
        let from = family.natural(&self.start[correlation.own(0)]);
        let strong = family.strong(SECOND, self.layout.typical_distance(family), &from)?;
        self.with_correlations(&strong)
    }

    /// The usual start with these natural parameters of the correlation in every class.
    fn with_correlations(&self, natural: &[f64]) -> Option<Vec<f64>> {
        let correlation = self.correlation?;
        let mut x = correlation.repeated(&correlation.family.internal(natural)?);
        x.extend_from_slice(&self.start[self.first[0]..]);
        Some(x)
    }
}
