//! Durbin & Levinson's recursion: partial autocorrelations, the sines of x, to the coefficients of an autoregression and its
//! autocorrelations, and both ways back.

use crate::linalg::hyperdual::Scalar;
use crate::runtime::memory;
use crate::structure::correlation::link::{angle, Ends, Link, EDGE};

/// Rounding errors of a sum of products of correlations.
const ROUNDING: f64 = 4.0 * f64::EPSILON;

/// Rounding of correlations that are possible, where they may be at their ends.
const CLOSED_ROUNDING: f64 = 1e-8;

/// Coefficients of the autoregression of the last order, and the autocorrelations of lags 0 to p.
pub(crate) fn levinson<S: Scalar>(x: &[S], ends: Ends) -> (Vec<S>, Vec<S>) {
    let mut coefficients: Vec<S> = Vec::with_capacity(x.len());
    let mut autocorrelations = vec![S::constant(1.0)];
    let mut variance = S::constant(1.0);
    for (k, &angle) in x.iter().enumerate() {
        let link = Link::sine(angle, ends);
        let partial = link.r;
        let mut rho = partial * variance;
        for (j, phi) in coefficients.iter().enumerate() {
            rho += *phi * autocorrelations[k - j];
        }
        autocorrelations.push(rho);
        let before = coefficients.clone();
        for (j, phi) in coefficients.iter_mut().enumerate() {
            *phi -= partial * before[k - 1 - j];
        }
        coefficients.push(partial);
        variance *= link.complement;
    }
    (coefficients, autocorrelations)
}

/// x of the autocorrelations of lags 1, 2, ...; `None` if they are those of no process.
pub(crate) fn from_autocorrelations(rho: &[f64], ends: Ends) -> Option<Vec<f64>> {
    let mut coefficients: Vec<f64> = Vec::with_capacity(rho.len());
    let mut variance = 1.0;
    let mut x = Vec::with_capacity(rho.len());
    for k in 0..rho.len() {
        let known: f64 = (0..k).map(|j| coefficients[j] * rho[k - 1 - j]).sum();
        let gap = rho[k] - known;
        let partial = match ends {
            Ends::Closed => closed_partial(gap, variance)?,
            Ends::Open => open_partial(gap, variance, k),
        };
        x.push(angle(partial, ends)?);
        let before = coefficients.clone();
        for j in 0..k {
            coefficients[j] -= partial * before[k - 1 - j];
        }
        coefficients.push(partial);
        variance *= 1.0 - partial * partial;
    }
    Some(x)
}

/// Where the partial autocorrelations before are at their ends, rounding may be on the wrong side, and what comes after is
/// without effect.
fn closed_partial(gap: f64, variance: f64) -> Option<f64> {
    let possible = gap.abs() <= variance + CLOSED_ROUNDING;
    let told = variance > CLOSED_ROUNDING * CLOSED_ROUNDING;
    possible.then(|| {
        if told {
            (gap / variance).clamp(-1.0, 1.0)
        } else {
            0.0
        }
    })
}

/// The k-th partial autocorrelation, back inside where rounding took it over its end.
fn open_partial(gap: f64, variance: f64, k: usize) -> f64 {
    let partial = gap / variance;
    let rounding = ROUNDING * (k + 1) as f64 / variance;
    if (1.0..1.0 + rounding.min(1.0)).contains(&partial.abs()) {
        partial.signum() * (1.0 - EDGE)
    } else {
        partial
    }
}

/// x of autoregressive coefficients; `None` if the process is not stationary.
pub(crate) fn from_coefficients(coefficients: &[f64], ends: Ends) -> Option<Vec<f64>> {
    let mut phi = coefficients.to_vec();
    let mut x = memory::zeros(phi.len());
    while let Some(partial) = phi.pop() {
        let k = phi.len();
        x[k] = angle(partial, ends)?;
        let before = phi.clone();
        for j in 0..k {
            phi[j] = (before[j] + partial * before[k - 1 - j]) / (1.0 - partial * partial);
        }
    }
    Some(x)
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::{from_autocorrelations, levinson, Ends};

    #[test]
    fn correlations_at_the_edge_are_possible() {
        for partial in [
            vec![0.3, 1.0, 0.4, -0.2],
            vec![1.0, 0.5, 0.1, 0.7],
            vec![0.9, 0.99, -1.0, 0.3],
        ] {
            let x: Vec<f64> = partial.iter().map(|p: &f64| p.asin()).collect();
            let rho = levinson(&x, Ends::Closed).1;
            let back = from_autocorrelations(&rho[1..], Ends::Closed).expect("possible");
            for (a, b) in levinson(&back, Ends::Closed).1.iter().zip(&rho) {
                assert!((a - b).abs() < 1e-7);
            }
        }
        assert!(from_autocorrelations(&[0.9, -0.9], Ends::Closed).is_none());
    }
}
