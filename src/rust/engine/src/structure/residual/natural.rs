//! Structures without data or groups, in natural parameters: what they are called, and the correlation matrix of rows.

use crate::api::error::EngineError;
use crate::api::model::Correlation;
use crate::runtime::memory;
use crate::structure::correlation::registry::Family;
use crate::structure::correlation::structure::{CorrelationStructure, Parameter};
use crate::structure::residual::layout::{lags, positions};

/// Natural parameters of a correlation structure whose largest group has `largest` rows; positions are not looked at.
#[must_use]
pub fn correlation_parameters(correlation: &Correlation<'_>, largest: usize) -> Vec<Parameter> {
    Family::of_residuals(correlation, largest).parameters()
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
    let mut c = memory::zeros(n * n);
    for i in 0..n {
        c[i * n + i] = 1.0;
        for j in 0..i {
            let value = law.between(point(j), point(i));
            c[i * n + j] = value;
            c[j * n + i] = value;
        }
    }
    Ok(c)
}
