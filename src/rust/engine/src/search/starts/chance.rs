//! Starts that look like chance.
//!
//! Standard deviations are log-uniform around those at which an effect weighs as much as the residuals of its level, one
//! decade to either side or three; correlations come from random directions. Parameters of residual structures are those that
//! are known or any others. The starts are the same at every run.

use crate::basis::internal_theta::InternalTheta;
use crate::basis::parameters::Parameters;
use crate::basis::random::TermBasis;
use crate::runtime::memory;
use crate::search::starts::units::Units;
use crate::structure::random::Covariance;
use crate::structure::residual::Residual;

/// Decades to either side of the unit of an effect, in turn.
const DECADES: [f64; 2] = [1.0, 3.0];

/// Draws after which their kinds begin anew.
pub(super) const KINDS: usize = 8;

/// How often a variance, or the rank of a covariance, is not less than it could be, where some may be zero.
const FULL: f64 = 0.5;

/// How often residual parameters are those that are known.
const KNOWN: f64 = 0.5;

pub(super) struct Chance<'a> {
    parameters: &'a Parameters,
    /// Of the effects of internal columns, and of the user's: what is simple in one basis is not in the other.
    units: [&'a [Vec<Units>]; 2],
    /// From effects of the user's columns of each term to those of the internal ones, k x k.
    inverse: Vec<Vec<f64>>,
    residual: &'a Residual,
    /// Residual parameters of the best optimum, or of the first start.
    phi: &'a [f64],
    /// Whether parameters of terms are free.
    draws_terms: bool,
    /// Whether the covariance matrix of each term, or class of its levels, is not to be singular.
    regular: Vec<bool>,
    /// Distances over which residuals are correlated.
    reach: (f64, f64),
    drawn: usize,
    /// Those of one term alone.
    beside: usize,
    state: u64,
}

impl<'a> Chance<'a> {
    /// Starts at these residual parameters, or at others.
    pub fn new(
        parameters: &'a Parameters,
        bases: &[TermBasis],
        units: [&'a [Vec<Units>]; 2],
        (residual, phi): (&'a Residual, &'a [f64]),
        draws_terms: bool,
    ) -> Self {
        Self {
            parameters,
            units,
            inverse: bases.iter().map(TermBasis::inverse).collect(),
            residual,
            phi,
            draws_terms,
            regular: vec![false; bases.len()],
            reach: residual.reach_of_chance(),
            drawn: 0,
            beside: 0,
            state: 1,
        }
    }

    /// None of these covariance matrices is drawn singular.
    pub fn with_regular(mut self, is_regular: impl Fn(usize) -> bool) -> Self {
        let own = self.regular.iter_mut().enumerate();
        own.for_each(|(term, regular)| *regular = is_regular(term));
        self
    }

    /// The next start.
    pub fn draw(&mut self) -> InternalTheta {
        let of_terms = self.draw_terms();
        InternalTheta::join(&of_terms, &self.draw_residual())
    }

    /// Parameters of all terms.
    fn draw_terms(&mut self) -> Vec<f64> {
        let decades = DECADES[self.drawn % DECADES.len()];
        let regular = self.drawn / 2 % 2 == 0;
        let second = self.drawn / 4 % 2;
        self.drawn += 1;
        // among levels that tell much of an effect and levels that tell little
        let place = self.uniform();
        let mut x = Vec::with_capacity(self.parameters.list.len());
        for (term, structure) in self.parameters.structures.iter().enumerate() {
            let structure = structure.as_ref();
            let mixes = structure.is_free() || structure.largest_rank() < structure.k();
            let basis = if mixes { second } else { 0 };
            let mut sizes = Vec::with_capacity(structure.k());
            for unit in &self.units[basis][term] {
                let decade = decades * (2.0 * self.uniform() - 1.0);
                sizes.push(unit.between(place) * 10f64.powf(decade));
            }
            let regular = regular || self.regular[term];
            x.extend(if mixes {
                self.free(term, structure, &sizes, regular, basis == 1)
            } else {
                self.structured(structure, &sizes, regular, second == 1)
            });
        }
        x
    }

    /// Residual parameters: where something else is drawn, too, those that are known are as likely as any others.
    fn draw_residual(&mut self) -> Vec<f64> {
        if self.residual.is_empty() || self.draws_terms && self.uniform() < KNOWN {
            return self.phi.to_vec();
        }
        self.draw_other_residual()
    }

    fn draw_other_residual(&mut self) -> Vec<f64> {
        let (residual, phi, reach) = (self.residual, self.phi, self.reach);
        let drawn = residual.anywhere(reach, &mut || self.uniform());
        drawn.unwrap_or_else(|| phi.to_vec())
    }

    /// The next start for one term, or for the residuals, each in its turn; the others are as at `x`.
    pub fn draw_beside(&mut self, x: &InternalTheta) -> InternalTheta {
        let terms = self.parameters.structures.len();
        let turns = terms + usize::from(!self.residual.is_empty());
        let term = self.beside % turns;
        self.beside += 1;
        if term == terms {
            let phi = self.draw_other_residual();
            return InternalTheta::join(self.parameters.of_terms(x), &phi);
        }
        let drawn = InternalTheta::join(&self.draw_terms(), self.phi);
        let mut out = x.clone();
        let own = self.parameters.of_term(&drawn, term);
        self.parameters.set_term(&mut out, term, own);
        out
    }

    /// Any covariance of effects of these sizes, of internal columns or of the user's; of the largest rank if it is to be
    /// `regular`.
    fn free(
        &mut self,
        term: usize,
        structure: &dyn Covariance,
        sizes: &[f64],
        regular: bool,
        of_user: bool,
    ) -> Vec<f64> {
        let k = structure.k();
        let full = regular || self.uniform() < FULL;
        let largest = structure.largest_rank();
        let rank = if full {
            largest
        } else {
            (self.uniform() * largest as f64) as usize
        };
        let mut own = structure.start(0.0);
        for _ in 0..rank {
            let mut direction: Vec<f64> = sizes.iter().map(|size| size * self.normal()).collect();
            if of_user {
                let inverse = &self.inverse[term];
                direction = (0..k)
                    .map(|r| (0..k).map(|c| inverse[c * k + r] * direction[c]).sum())
                    .collect();
            }
            own = structure.with_variance(&own, &direction, 1.0 / rank as f64);
        }
        own
    }

    /// Standard deviations of these sizes, none of them zero if they are to be `regular`, and any of the shapes or, if it is to
    /// be `between` them, any correlations.
    fn structured(
        &mut self,
        structure: &dyn Covariance,
        sizes: &[f64],
        regular: bool,
        between: bool,
    ) -> Vec<f64> {
        let mut own = structure.start(0.0);
        if between && (regular || self.uniform() < FULL) {
            if let Some(own) = structure.anywhere(sizes, &mut || self.uniform()) {
                return own;
            }
        }
        for (a, size) in sizes.iter().enumerate().take(structure.sizes()) {
            if regular || self.uniform() < FULL {
                let mut direction = memory::zeros(sizes.len());
                direction[a] = 1.0;
                own = structure.with_variance(&own, &direction, size * size);
            }
        }
        let mut shapes = structure.shapes(&own);
        match (self.uniform() * (1 + shapes.len()) as f64) as usize {
            0 => own,
            chosen => shapes.swap_remove(chosen - 1),
        }
    }

    /// Knuth's MMIX generator: uniform in (0, 1).
    fn uniform(&mut self) -> f64 {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.state >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// Standard normal (Box & Muller 1958).
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::Chance;
    use crate::api::model::Structure;
    use crate::basis::covariances::Levels;
    use crate::basis::parameters::Parameters;
    use crate::basis::random::{FactorLayout, TermBasis};
    use crate::linalg::small;
    use crate::search::starts::units::Units;
    use crate::structure::residual::Residual;

    /// Two unstructured effects of five levels, whose user's columns are the internal ones times B^-1.
    fn term() -> (FactorLayout, TermBasis) {
        let layout = FactorLayout {
            user: Some(0),
            n_levels: 5,
            k: 2,
            terms: vec![0],
            classes: None,
        };
        let basis = TermBasis {
            term: 0,
            levels: Levels::All,
            k: 2,
            offset: 0,
            factor: 0,
            structure: Structure::Unstructured,
            change: vec![0.01, 0.0, -30.0, 5.0],
        };
        (layout, basis)
    }

    fn units(size: f64) -> Vec<Vec<Units>> {
        let unit = Units {
            low: size,
            middle: size,
            high: size,
        };
        vec![vec![unit; 2]]
    }

    #[test]
    fn draws_are_of_all_ranks_around_the_units_of_either_basis() {
        let (layout, basis) = term();
        let bases = [basis];
        let parameters = Parameters::new(&[layout], &bases, 0);
        let (internal, of_user) = (units(2.0), units(70.0));
        let new = || {
            Chance::new(
                &parameters,
                &bases,
                [internal.as_slice(), of_user.as_slice()],
                (Residual::independent(), &[]),
                true,
            )
        };
        let (mut chance, mut again) = (new(), new());
        let mut ranks = [0; 3];
        let mut logs = [Vec::new(), Vec::new()];
        for i in 0..800 {
            let x = chance.draw();
            assert_eq!(x, again.draw());
            let t = parameters.term_factor(&x, 0);
            let mut g = vec![0.0; 4];
            small::mul_nt(&t, &t, 2, 2, 2, &mut g);
            let share = (g[0] * g[3] - g[1] * g[1]) / (g[0] * g[3]);
            let rank = match g[0] + g[3] {
                0.0 => 0,
                _ if share.is_nan() || share < 1e-10 => 1,
                _ => 2,
            };
            ranks[rank] += 1;
            let of_basis = i / 4 % 2;
            if of_basis == 1 {
                g = bases[0].to_user(&g);
            }
            let unit = [2.0, 70.0][of_basis];
            if rank > 0 {
                logs[of_basis].push((g[0].sqrt() / unit).log10());
                logs[of_basis].push((g[3].sqrt() / unit).log10());
            }
        }
        assert!(ranks.iter().all(|count| *count > 50), "{ranks:?}");
        for logs in logs {
            let mean = logs.iter().sum::<f64>() / logs.len() as f64;
            assert!(mean.abs() < 0.4, "{mean}");
            assert!(logs.iter().all(|log| log.abs() < 3.0 + 4.0));
        }
    }
}
