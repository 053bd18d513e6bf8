//! A correlation for each lag, by partial autocorrelations: any in (-1, 1) give a positive definite Toeplitz matrix, and
//! every one comes from exactly one set of them (Barndorff-Nielsen & Schou, 1973, J. Multivariate Anal. 3; Joe, 2006, J.
//! Multivariate Anal. 97).

use crate::linalg::hyperdual::Scalar;
use crate::runtime::memory;
use crate::structure::residual::markov::{angle, Link, EDGE};

/// Rounding errors of a sum of products of correlations.
const ROUNDING: f64 = 4.0 * f64::EPSILON;

/// Durbin-Levinson: partial autocorrelations, the sines of x_k, give the coefficients of the autoregression of the last order
/// and the autocorrelations of lags 0 to p.
pub(super) fn levinson<S: Scalar>(x: &[S]) -> (Vec<S>, Vec<S>) {
    let mut coefficients: Vec<S> = Vec::with_capacity(x.len());
    let mut autocorrelations = vec![S::constant(1.0)];
    let mut variance = S::constant(1.0);
    for (k, &angle) in x.iter().enumerate() {
        let link = Link::sine(angle);
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
pub(super) fn from_autocorrelations(rho: &[f64]) -> Option<Vec<f64>> {
    let mut coefficients: Vec<f64> = Vec::with_capacity(rho.len());
    let mut variance = 1.0;
    let mut x = Vec::with_capacity(rho.len());
    for k in 0..rho.len() {
        let known: f64 = (0..k).map(|j| coefficients[j] * rho[k - 1 - j]).sum();
        let partial = (rho[k] - known) / variance;
        // where the ones before are at their ends, rounding may be on the wrong side
        let rounding = ROUNDING * (k + 1) as f64 / variance;
        let partial = if (1.0..1.0 + rounding.min(1.0)).contains(&partial.abs()) {
            partial.signum() * (1.0 - EDGE)
        } else {
            partial
        };
        x.push(angle(partial)?);
        let before = coefficients.clone();
        for j in 0..k {
            coefficients[j] -= partial * before[k - 1 - j];
        }
        coefficients.push(partial);
        variance *= 1.0 - partial * partial;
    }
    Some(x)
}

/// x of autoregressive coefficients; `None` if the process is not stationary.
pub(super) fn from_coefficients(coefficients: &[f64]) -> Option<Vec<f64>> {
    let mut phi = coefficients.to_vec();
    let mut x = memory::zeros(phi.len());
    while let Some(partial) = phi.pop() {
        let k = phi.len();
        x[k] = angle(partial)?;
        let before = phi.clone();
        for j in 0..k {
            phi[j] = (before[j] + partial * before[k - 1 - j]) / (1.0 - partial * partial);
        }
    }
    Some(x)
}
