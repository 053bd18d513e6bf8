//! Autocorrelations of an ARMA(p, q) process x_t = sum phi_j x_{t-j} + e_t + sum theta_j e_{t-j}, the signs of
//! `stats::arima` and of `nlme::corARMA` (Box, Jenkins & Reinsel, 1994, ch. 3).
//!
//! Both polynomials by partial autocorrelations, so that any parameters give a stationary and invertible process. The
//! process is a moving average of an autoregression u: gamma_x(k) = sum_i sum_j theta_i theta_j gamma_u(k + i - j).

use crate::api::kinds::{CorrelationFacts, Each, Positions};
use crate::linalg::hyperdual::Scalar;
use crate::structure::correlation::domain::Domain;
use crate::structure::correlation::law::Law;
use crate::structure::correlation::levinson::{from_coefficients, levinson};
use crate::structure::correlation::link::Ends;
use crate::structure::correlation::structure::{CorrelationStructure, Parameter, Shape};

/// How many of the further starts are worth an optimisation.
const WORTH: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Arma {
    pub p: usize,
    pub q: usize,
    pub ends: Ends,
}

impl CorrelationStructure for Arma {
    fn facts() -> Vec<CorrelationFacts> {
        vec![CorrelationFacts {
            name: "arma",
            position: Positions::Whole,
            order_matters: true,
            by_lag: true,
            each: Each::None,
            has_orders: true,
            nugget: false,
            effects: false,
        }]
    }

    fn named(name: &str, shape: &Shape) -> Option<Self> {
        (name == "arma").then_some(Self {
            p: shape.orders.0,
            q: shape.orders.1,
            ends: shape.ends,
        })
    }

    fn len(&self) -> usize {
        self.p + self.q
    }

    fn parameters(&self) -> Vec<Parameter> {
        // of one coefficient alone it is known what is stationary, or invertible
        let end = if self.len() == 1 { 1.0 } else { f64::INFINITY };
        let ar = (1..=self.p).map(|j| format!("ar{j}"));
        let ma = (1..=self.q).map(|j| format!("ma{j}"));
        ar.chain(ma)
            .map(|name| Parameter::between(name, -end, end))
            .collect()
    }

    /// phi_1, ..., phi_p, theta_1, ..., theta_q.
    fn natural<S: Scalar>(&self, x: &[S]) -> Vec<S> {
        let mut out = levinson(&x[..self.p], self.ends).0;
        out.extend(moving_average(&x[self.p..], self.ends).into_iter().skip(1));
        out
    }

    /// `None` if the process is not stationary or not invertible.
    fn internal(&self, natural: &[f64]) -> Option<Vec<f64>> {
        let mut x = from_coefficients(&natural[..self.p], self.ends)?;
        let moving: Vec<f64> = natural[self.p..].iter().map(|t| -t).collect();
        x.extend(from_coefficients(&moving, self.ends)?);
        Some(x)
    }

    fn law<S: Scalar>(&self, x: &[S], lags: usize) -> Law<S> {
        Law::Lags(autocorrelations(x, self.p, lags, self.ends))
    }

    /// Small coefficients that do not cancel: where phi = -theta the two polynomials share a root, and any such value will do.
    fn start(&self, _: f64) -> Vec<f64> {
        let ar = (0..self.p).map(|j| 0.2 * 0.4f64.powi(j as i32));
        let ma = (0..self.q).map(|j| 0.1 * 0.4f64.powi(j as i32));
        ar.chain(ma).collect()
    }

    /// Autoregression and moving average of either sign: along the line where they cancel the criterion is the same, and
    /// there may be a minimum on both sides of it.
    fn further_starts(&self, start: &[f64], _: Option<(f64, f64)>) -> (Vec<Vec<f64>>, usize) {
        if self.p == 0 || self.q == 0 {
            return (Vec::new(), 0);
        }
        let signs = [(0.6, -0.4), (-0.6, 0.4), (0.6, 0.4), (-0.6, -0.4)];
        let starts = signs.iter().map(|&(ar, ma): &(f64, f64)| {
            let mut x = vec![0.0; start.len()];
            x[0] = ar.asin();
            // the moving average's sign is that of its inverse
            x[self.p] = -ma.asin();
            x
        });
        (starts.collect(), WORTH)
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Real; self.len()]
    }

    fn angles(&self) -> usize {
        self.p
    }

    fn is_separate(&self) -> bool {
        false
    }

    fn is_tabulated(&self) -> bool {
        true
    }
}

/// Autocorrelations of lags 0 to `lags`.
fn autocorrelations<S: Scalar>(x: &[S], p: usize, lags: usize, ends: Ends) -> Vec<S> {
    let (ar, mut gamma) = levinson(&x[..p], ends);
    let theta = moving_average(&x[p..], ends);
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
fn moving_average<S: Scalar>(x: &[S], ends: Ends) -> Vec<S> {
    let mut theta = vec![S::constant(1.0)];
    theta.extend(levinson(x, ends).0.into_iter().map(|c| -c));
    theta
}
