//! Autocorrelations of an ARMA(p, q) process x_t = sum phi_j x_{t-j} + e_t + sum theta_j e_{t-j}, the signs of
//! `stats::arima` and of `nlme::corARMA` (Box, Jenkins & Reinsel, 1994, ch. 3).
//!
//! Both polynomials by partial autocorrelations, so that any parameters give a stationary and invertible process. The
//! process is a moving average of an autoregression u: gamma_x(k) = sum_i sum_j theta_i theta_j gamma_u(k + i - j).

use crate::linalg::hyperdual::Scalar;
use crate::structure::residual::toeplitz::{from_coefficients, levinson};

/// Longest lag that is tabulated.
pub(super) const MAX_LAG: usize = 1_000_000;

/// Autocorrelations of lags 0 to `lags`.
pub(super) fn autocorrelations<S: Scalar>(x: &[S], p: usize, lags: usize) -> Vec<S> {
    let (ar, mut gamma) = levinson(&x[..p]);
    let theta = moving_average(&x[p..]);
    let q = theta.len() - 1;
    for k in gamma.len()..=lags + q {
        let mut next = S::constant(0.0);
        for (j, phi) in ar.iter().enumerate() {
            next += *phi * gamma[k - 1 - j];
        }
        gamma.push(next);
    }
    if q == 0 {
        gamma.truncate(lags + 1);
        return gamma;
    }
    let covariance = |k: usize| {
        let mut sum = S::constant(0.0);
        for (i, a) in theta.iter().enumerate() {
            for (j, b) in theta.iter().enumerate() {
                sum += *a * *b * gamma[(k + i).abs_diff(j)];
            }
        }
        sum
    };
    let variance = covariance(0);
    (0..=lags).map(|k| covariance(k) / variance).collect()
}

/// 1, theta_1, ..., theta_q.
fn moving_average<S: Scalar>(x: &[S]) -> Vec<S> {
    let mut theta = vec![S::constant(1.0)];
    theta.extend(levinson(x).0.into_iter().map(|c| -c));
    theta
}

/// phi_1, ..., phi_p, theta_1, ..., theta_q.
pub(super) fn natural<S: Scalar>(x: &[S], p: usize) -> Vec<S> {
    let mut out = levinson(&x[..p]).0;
    out.extend(moving_average(&x[p..]).into_iter().skip(1));
    out
}

/// `None` if the process is not stationary or not invertible.
pub(super) fn internal(natural: &[f64], p: usize) -> Option<Vec<f64>> {
    let mut x = from_coefficients(&natural[..p])?;
    let moving: Vec<f64> = natural[p..].iter().map(|t| -t).collect();
    x.extend(from_coefficients(&moving)?);
    Some(x)
}

/// Small coefficients that do not cancel: where phi = -theta the two polynomials share a root, and any such value will do.
pub(super) fn start(p: usize, q: usize) -> Vec<f64> {
    let ar = (0..p).map(|j| 0.2 * 0.4f64.powi(j as i32));
    let ma = (0..q).map(|j| 0.1 * 0.4f64.powi(j as i32));
    ar.chain(ma).collect()
}
