//! The rows that a response of many has: those where it is known and has a weight.
//!
//! Responses with one pattern of missing values share the rows of a pattern, and its moments unless they have weights of
//! their own. A level that loses all of its rows is no level of the pattern, as in a fit to these rows alone.

use std::collections::HashMap;

use crate::api::error::EngineError;
use crate::api::model::{GroupingFactor, ModelData, RandomTerm, Structure};
use crate::api::options::Options;
use crate::basis::fixed::FixedBasis;
use crate::data::subset::Subset;
use crate::linalg::small;
use crate::runtime::memory;

/// Smallest eigenvalue of the correlations between derivatives of V below which they are dependent.
const INDEPENDENT: f64 = 1e-9;

/// Share of a column's length in a linear relation between columns that is mere rounding.
const RELATED: f64 = 1e-7;

/// Which rows a response has.
pub(super) struct Patterns {
    /// Pattern of each response.
    pub of_response: Vec<usize>,
    /// Rows of each pattern, ascending.
    pub rows: Vec<Vec<usize>>,
}

impl Patterns {
    /// Those of the columns of `responses`, each of `n` rows.
    pub fn new(responses: &[f64], weights: Option<&[f64]>, n: usize) -> Self {
        let (mut rows, mut known) = (Vec::new(), HashMap::new());
        let of_response = (responses.chunks_exact(n).enumerate())
            .map(|(i, y)| {
                let own = weights.map(|w| &w[i * n..(i + 1) * n]);
                let is_there = |row: usize| y[row].is_finite() && own.is_none_or(|w| w[row] > 0.0);
                let mut mask = vec![0u64; n.div_ceil(64)];
                for row in (0..n).filter(|&row| is_there(row)) {
                    mask[row / 64] |= 1 << (row % 64);
                }
                *known.entry(mask).or_insert_with(|| {
                    rows.push((0..n).filter(|&row| is_there(row)).collect());
                    rows.len() - 1
                })
            })
            .collect();
        Self { of_response, rows }
    }
}

/// Some rows of a model, and what levels they have.
pub(super) struct OwnRows<'a> {
    subset: Subset<'a>,
    rows: &'a [usize],
    /// Codes and number of levels of each factor without a known precision matrix.
    factors: Vec<Option<(Vec<i32>, usize)>>,
}

impl<'a> OwnRows<'a> {
    pub fn new(data: &'a ModelData<'a>, rows: &'a [usize]) -> Self {
        let factors = data.factors.iter().map(|factor| {
            let is_plain = factor.precision.is_none() && factor.members.is_none();
            is_plain.then(|| levels_that_occur(factor, rows))
        });
        Self {
            factors: factors.collect(),
            subset: Subset::new(data, rows),
            rows,
        }
    }

    /// The model of these rows.
    pub fn data(&self) -> ModelData<'_> {
        let mut data = self.subset.data();
        for (factor, own) in data.factors.iter_mut().zip(&self.factors) {
            if let Some((codes, n_levels)) = own {
                factor.codes = codes;
                factor.n_levels = *n_levels;
            }
        }
        data
    }

    /// Values of these rows.
    pub fn values(&self, of_all: &[f64]) -> Vec<f64> {
        memory::collect(self.rows.iter().map(|&row| of_all[row]))
    }
}

fn levels_that_occur(factor: &GroupingFactor<'_>, rows: &[usize]) -> (Vec<i32>, usize) {
    let mut level = vec![0i32; factor.n_levels + 1];
    for &row in rows {
        level[factor.codes[row] as usize] = 1;
    }
    let mut count = 0;
    for own in level.iter_mut().filter(|own| **own > 0) {
        count += 1;
        *own = count;
    }
    let codes = rows.iter().map(|&row| level[factor.codes[row] as usize]);
    (codes.collect(), count as usize)
}

/// Refuses rows that do not determine the variance of a term that all rows do: those of one level, or one row a level.
///
/// V = sum_a gamma_a K_a + sigma^2 W^-1 determines its parameters if and only if the K_a and W^-1 are linearly independent (Rao
/// & Kleffe 1988, Estimation of Variance Components, section 4.2); looked at where levels have few rows.
///
/// # Errors
/// [`EngineError::RowsOfResponse`].
pub(super) fn require_identified(
    data: &ModelData<'_>,
    all: &ModelData<'_>,
    options: &Options,
) -> Result<(), EngineError> {
    let has_held = (0..options.hold.len()).any(|a| options.held_at(a).is_some());
    if has_held || !options.tie.is_empty() {
        return Ok(());
    }
    for (term, of_all) in data.terms.iter().zip(&all.terms) {
        let (own, before) = (&data.factors[term.factor], &all.factors[of_all.factor]);
        if own.precision.is_some() || own.members.is_some() {
            continue;
        }
        if own.n_levels < 2 && before.n_levels >= 2 && term.structure != Structure::Identity {
            return Err(EngineError::RowsOfResponse {
                reason: "the rows of a response have one level of a grouping factor",
            });
        }
        let k = term.columns.len();
        let is_doubtful = |n_levels: usize, n: usize| n_levels >= n || k * n_levels >= n;
        let is_in_doubt = is_doubtful(own.n_levels, data.rows())
            && !is_doubtful(before.n_levels, all.rows())
            && options.sigma.is_none();
        if is_in_doubt && !is_identified(data, term) {
            return Err(EngineError::RowsOfResponse {
                reason:
                    "the rows of a response are too few for the levels of a grouping factor: their \
                         variances cannot be told from the residual variance",
            });
        }
    }
    Ok(())
}

/// Whether the derivatives of V along the covariances of a term and W^-1 are linearly independent.
fn is_identified(data: &ModelData<'_>, term: &RandomTerm<'_>) -> bool {
    let (k, factor) = (term.columns.len(), &data.factors[term.factor]);
    let pairs: Vec<(usize, usize)> = match term.structure {
        Structure::Unstructured => (0..k).flat_map(|a| (a..k).map(move |b| (a, b))).collect(),
        Structure::Diagonal => (0..k).map(|a| (a, a)).collect(),
        _ if k == 1 => vec![(0, 0)],
        // rows alone in their level have no covariances
        _ => return factor.n_levels < data.rows(),
    };
    let noise = |i: usize| data.weights.map_or(1.0, |w| 1.0 / w[i]);
    // z_a'z_b of each level
    let mut products = memory::zeros(factor.n_levels * k * k);
    let (m, s) = (pairs.len(), pairs.len() + 1);
    let mut gram = memory::zeros(s * s);
    for i in 0..data.rows() {
        let level = factor.codes[i] as usize - 1;
        let z: Vec<f64> = term.columns.iter().map(|column| column.at(i)).collect();
        for e in 0..k * k {
            products[level * k * k + e] += z[e % k] * z[e / k];
        }
        for (a, &(p, q)) in pairs.iter().enumerate() {
            gram[m * s + a] += 2.0 * noise(i) * z[p] * z[q];
        }
        gram[m * s + m] += noise(i) * noise(i);
    }
    for own in products.chunks_exact(k * k) {
        for (a, &(p, q)) in pairs.iter().enumerate() {
            for (b, &(u, v)) in pairs.iter().enumerate() {
                let product = own[u * k + p] * own[v * k + q] + own[v * k + p] * own[u * k + q];
                gram[b * s + a] += 2.0 * product;
            }
        }
    }
    for a in 0..m {
        gram[a * s + m] = gram[m * s + a];
    }
    let scale: Vec<f64> = (0..s).map(|a| gram[a * s + a].sqrt()).collect();
    if scale.iter().any(|v| *v <= 0.0) {
        return false;
    }
    let correlations: Vec<f64> = (0..s * s)
        .map(|e| gram[e] / (scale[e % s] * scale[e / s]))
        .collect();
    let (values, _) = small::symmetric_eigen(&correlations, s);
    values.first().is_some_and(|least| *least > INDEPENDENT)
}

/// Linear relations between columns of X in the rows of a response that are none in all rows: a linear function l'beta of the
/// coefficients is estimable if and only if l is orthogonal to each of them.
pub(super) struct Relations(Vec<Vec<f64>>);

impl Relations {
    /// Of the rows of `own`, where all rows keep the columns `kept`.
    pub fn new(own: &FixedBasis, kept: &[usize]) -> Self {
        let (p, gram) = (own.p, &own.gram);
        let lost = kept.iter().filter(|j| !own.kept.contains(j));
        let relations = lost.map(|&d| {
            // x_d = X a: a = R^-1 Q'x_d
            let mut relation = memory::zeros(p);
            for c in 0..own.rank() {
                let column = &own.rinv[c * p..(c + 1) * p];
                let product: f64 = (0..p).map(|i| column[i] * gram[d * p + i]).sum();
                let sums = relation.iter_mut().zip(column);
                sums.for_each(|(sum, v)| *sum -= v * product);
            }
            let size = |j: usize| gram[j * p + j].sqrt();
            for (j, value) in relation.iter_mut().enumerate() {
                if value.abs() * size(j) <= RELATED * size(d) {
                    *value = 0.0;
                }
            }
            relation[d] = 1.0;
            relation
        });
        Self(relations.collect())
    }

    /// Whether l'beta is estimable.
    pub fn leave(&self, l: &[f64]) -> bool {
        self.0.iter().all(|relation| {
            let terms = || relation.iter().zip(l).map(|(a, b)| a * b);
            let largest = terms().fold(0.0f64, |most, v| most.max(v.abs()));
            terms().sum::<f64>().abs() <= RELATED * largest
        })
    }
}

/// A response that no model reproduces, in the place of one that may be constant: for moments that only predictors matter to.
pub(super) fn stand_in(n: usize) -> Vec<f64> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    };
    (0..n).map(|_| next()).collect()
}

#[cfg(test)]
mod tests {
    use super::{stand_in, Patterns};

    #[test]
    fn responses_with_the_same_missing_values_share_a_pattern() {
        let na = f64::NAN;
        let y = [
            1.0,
            na,
            3.0,
            1.0,
            2.0,
            3.0,
            4.0,
            na,
            6.0,
            7.0,
            8.0,
            f64::INFINITY,
        ];
        let found = Patterns::new(&y, None, 3);
        assert_eq!(found.of_response, [0, 1, 0, 2]);
        assert_eq!(found.rows, [vec![0, 2], vec![0, 1, 2], vec![0, 1]]);
        let weights = [1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
        let found = Patterns::new(&y, Some(&weights), 3);
        assert_eq!(found.of_response, [0, 0, 0, 1]);
    }

    #[test]
    fn a_stand_in_has_no_structure() {
        let y = stand_in(1000);
        assert!(y.windows(2).all(|w| w[0].to_bits() != w[1].to_bits()));
        assert!(y.iter().sum::<f64>().abs() < 50.0);
    }
}
