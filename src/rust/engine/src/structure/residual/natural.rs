//! Structures without groups, in natural parameters: what they are called, the correlation matrix and the standard deviations
//! of rows.

use crate::api::error::EngineError;
use crate::api::model::{Correlation, Position, Scale};
use crate::runtime::memory;
use crate::structure::correlation::registry::Family;
use crate::structure::correlation::structure::Parameter;
use crate::structure::residual::layout::{lags, pair, positions, Lookup};
use crate::structure::residual::scale::Term;

/// Natural parameters of a correlation structure whose largest group has `largest` rows; positions are not looked at.
#[must_use]
pub fn correlation_parameters(correlation: &Correlation<'_>, largest: usize) -> Vec<Parameter> {
    Family::of_residuals(correlation, largest).parameters()
}

/// Number of natural parameters, which needs no memory.
#[must_use]
pub fn correlation_count(correlation: &Correlation<'_>, largest: usize) -> usize {
    Family::of_residuals(correlation, largest).len()
}

/// Correlation matrix of `n` rows of one group, n x n.
///
/// # Errors
/// [`EngineError::Dimension`] or [`EngineError::NotFinite`] for positions that are none of the structure's,
/// [`EngineError::ResidualStart`] where the parameters are impossible.
pub fn correlation_matrix(
    correlation: &Correlation<'_>,
    natural: &[f64],
    n: usize,
) -> Result<Vec<f64>, EngineError> {
    let family = Family::of_residuals(correlation, n);
    let position = positions(correlation, n)?;
    if let Position::Rows { matrix, .. } = &correlation.position {
        let known = Lookup::new(matrix, &position).among(0..n)?;
        return Ok(symmetric(n, |s, t| known[pair(s, t)]));
    }
    let d = family.dimensions();
    let point = |i: usize| &position[i * d..(i + 1) * d];
    let mut span = 0.0;
    if d == 1 {
        let bounds = (f64::INFINITY, f64::NEG_INFINITY);
        let (low, high) = position
            .iter()
            .fold(bounds, |(l, h), &v| (l.min(v), h.max(v)));
        span = (high - low).max(0.0);
    }
    let possible = natural.len() == family.len() && natural.iter().all(|v| v.is_finite());
    let lags = lags(family, span)?;
    let law = possible
        .then(|| family.natural_law(natural, lags))
        .flatten()
        .ok_or_else(|| {
            EngineError::ResidualStart("these are no parameters of the structure".to_owned())
        })?;
    Ok(law.matrix(n, point))
}

/// The correlation matrix with these entries for s < t.
pub(super) fn symmetric(n: usize, entry: impl Fn(usize, usize) -> f64) -> Vec<f64> {
    let mut c = memory::zeros(n * n);
    for t in 0..n {
        c[t * n + t] = 1.0;
        for s in 0..t {
            let value = entry(s, t);
            c[t * n + s] = value;
            c[s * n + t] = value;
        }
    }
    c
}

/// Standard deviations of `n` rows relative to sigma, by the variance functions alone; `natural` are the parameters of one
/// function after those of another. Zero or infinite where a covariate is 0.
///
/// # Errors
/// [`EngineError::Dimension`] or [`EngineError::NotFinite`] for rows that are none of the functions',
/// [`EngineError::ResidualStart`] where the parameters are impossible.
pub fn standard_deviations(
    scales: &[Scale<'_>],
    natural: &[f64],
    n: usize,
) -> Result<Vec<f64>, EngineError> {
    let mut log = memory::zeros(n);
    let mut left = natural;
    let refuse = || {
        EngineError::ResidualStart("these are no parameters of the variance functions".to_owned())
    };
    for scale in scales {
        let term = Term::of_rows(scale, n)?;
        let (own, rest) = left.split_at_checked(term.len()).ok_or_else(refuse)?;
        let x = term.unbounded(own);
        if x.iter().any(|v| v.is_nan()) {
            return Err(refuse());
        }
        for (place, log) in log.iter_mut().enumerate() {
            *log += term.log_at(&x, place);
        }
        left = rest;
    }
    Ok(log.into_iter().map(f64::exp).collect())
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;
    use crate::structure::residual::scale::scale_facts;

    #[test]
    fn standard_deviations_are_products_of_the_functions() {
        let (v, stratum) = ([-2.0, 0.0, 0.5], [1, 2, 2]);
        let named = |name, strata| {
            let stratum = (strata > 1).then_some(&stratum[..]);
            Scale::named(name, Some(&v), stratum, strata).expect("a known name")
        };
        let scales = [named("ident", 2), named("constpower", 1), named("exp", 2)];
        let found = standard_deviations(&scales, &[3.0, 0.4, 1.5, 0.2, -0.3], 3);
        let expected = [
            (0.4 + 2f64.powf(1.5)) * f64::exp(-0.4),
            3.0 * 0.4,
            3.0 * (0.4 + 0.5f64.powf(1.5)) * f64::exp(-0.15),
        ];
        for (a, b) in found.expect("possible").iter().zip(expected) {
            assert!((a - b).abs() < 1e-14, "{a} {b}");
        }
        // where the covariate is zero, |0|^delta
        for (power, zero) in [(0.7, 0.0), (0.0, 1.0), (-0.7, f64::INFINITY)] {
            let d = standard_deviations(&[named("power", 1)], &[power], 3).expect("possible");
            assert!(d[1].to_bits() == f64::to_bits(zero), "{power}: {}", d[1]);
        }
        assert!(standard_deviations(&scales, &[3.0], 3).is_err());
        assert!(standard_deviations(&scales[..1], &[-1.0], 3).is_err());
        assert!(standard_deviations(&[], &[], 3) == Ok(vec![1.0; 3]));
    }

    #[test]
    fn facts_of_variance_functions_are_true() {
        let (v, stratum) = ([1.0, 2.0, 3.0], [1, 2, 2]);
        for facts in scale_facts() {
            let scale = Scale::named(facts.name, Some(&v), Some(&stratum), 2).expect("known");
            let term = Term::of_rows(&scale, 3).expect("possible");
            let strata = 2 - usize::from(facts.reference);
            assert_eq!(term.len(), strata * facts.parameters.len());
            assert_eq!(facts.kinds.len(), facts.parameters.len());
            let needs = Scale::named(facts.name, None, Some(&stratum), 2).is_none();
            assert_eq!(needs, facts.covariate);
            let zero = Scale::named(facts.name, Some(&[0.0, 1.0, 2.0]), Some(&stratum), 2);
            let allowed = Term::new(&zero.expect("known"), &[0, 1, 2]).is_ok();
            assert_eq!(allowed, facts.zero || !facts.covariate);
        }
        assert!(Scale::named("none of them", None, None, 1).is_none());
    }
}
