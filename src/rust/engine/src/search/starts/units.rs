//! In what range the data can tell the standard deviations of effects from zero and from infinity.

use crate::basis::random::TermBasis;
use crate::moments::blocks::{FactorMoments, Moments};
use crate::runtime::memory;

/// Largest ratio of what a level in the middle can tell to what others can that counts.
const SPREAD: f64 = 1e3;

/// Standard deviations of an effect at which it weighs as much as the residuals of a level: of the level that tells most of
/// it, of one in the middle, and of the one that tells least.
#[derive(Debug, Clone, Copy)]
pub(super) struct Units {
    pub low: f64,
    pub middle: f64,
    pub high: f64,
}

impl Units {
    /// The smallest and the largest that count.
    pub fn range(&self) -> (f64, f64) {
        (
            self.low.max(self.middle / SPREAD),
            self.high.min(self.middle * SPREAD),
        )
    }

    /// On the way from the smallest (`place` 0) to the largest that counts (1), by logarithms.
    pub fn between(&self, place: f64) -> f64 {
        let (low, high) = self.range();
        (low.ln() + place * (high / low).ln()).exp()
    }
}

/// The units of every effect of each term; `unit`: the rows' mean standard deviation relative to sigma.
pub(super) fn of_terms(moments: &Moments, bases: &[TermBasis], unit: f64) -> Vec<Vec<Units>> {
    let of = |basis: &TermBasis| {
        let k = basis.k;
        let mut same = memory::zeros(k * k);
        (0..k).for_each(|a| same[a * k + a] = 1.0);
        of_term(&moments.factors[basis.factor], basis, &same, unit)
    };
    bases.iter().map(of).collect()
}

/// Like [`of_terms`], but for the effects of the user's own columns.
pub(super) fn of_user_columns(
    moments: &Moments,
    bases: &[TermBasis],
    unit: f64,
) -> Vec<Vec<Units>> {
    let of = |basis: &TermBasis| {
        of_term(
            &moments.factors[basis.factor],
            basis,
            &basis.inverse(),
            unit,
        )
    };
    bases.iter().map(of).collect()
}

/// Units of the effects of columns that are the internal ones times `change` (k x k).
fn of_term(factor: &FactorMoments, basis: &TermBasis, change: &[f64], unit: f64) -> Vec<Units> {
    let (k, own) = (factor.k, basis.k);
    change
        .chunks_exact(own)
        .map(|column| {
            let square = |block: &[f64]| -> f64 {
                (0..own * own)
                    .map(|e| {
                        let (i, j) = (e % own, e / own);
                        column[i] * column[j] * block[(basis.offset + j) * k + basis.offset + i]
                    })
                    .sum()
            };
            let levels = basis.levels.among(factor.n_levels);
            let blocks = levels.map(|j| square(&factor.zz[j * k * k..(j + 1) * k * k]));
            let mut squares: Vec<f64> = blocks.filter(|square| *square > 0.0).collect();
            squares.sort_by(f64::total_cmp);
            let size = |square: Option<&f64>| unit / square.map_or(1.0, |v| v.sqrt());
            Units {
                low: size(squares.last()),
                middle: size(squares.get(squares.len() / 2)),
                high: size(squares.first()),
            }
        })
        .collect()
}

/// Whether the standard deviations that levels can tell from zero differ by more than this ratio.
pub(super) fn are_uneven(units: &[Vec<Units>], ratio: f64) -> bool {
    let uneven = |unit: &Units| unit.high > ratio * unit.low;
    units.iter().flatten().any(uneven)
}
