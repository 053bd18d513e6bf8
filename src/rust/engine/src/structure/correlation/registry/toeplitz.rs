//! A correlation for each lag, by partial autocorrelations sin x: any in (-1, 1) give a positive definite Toeplitz matrix,
//! and every one comes from exactly one set of them (Barndorff-Nielsen & Schou, 1973, J. Multivariate Anal. 3; Joe, 2006, J.
//! Multivariate Anal. 97).

use crate::api::kinds::{CorrelationFacts, Each, Positions};
use crate::linalg::hyperdual::Scalar;
use crate::structure::correlation::domain::Domain;
use crate::structure::correlation::law::Law;
use crate::structure::correlation::levinson::{from_autocorrelations, levinson};
use crate::structure::correlation::link::Ends;
use crate::structure::correlation::structure::{
    powers, Components, CorrelationStructure, Parameter, Shape,
};

/// Starting lag-1 correlation for random effects.
const EFFECTS_START: f64 = 0.2;

/// Starting lag-1 correlation for residuals.
const RESIDUAL_START: f64 = 0.3;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Toeplitz {
    pub visits: usize,
    /// Correlation at lag 1 to start from; it falls with its powers.
    pub start: f64,
    pub ends: Ends,
}

impl CorrelationStructure for Toeplitz {
    fn facts() -> Vec<CorrelationFacts> {
        vec![CorrelationFacts {
            name: "toep",
            position: Positions::Visits,
            order_matters: true,
            by_lag: true,
            each: Each::Lag,
            has_orders: false,
            nugget: false,
            effects: true,
        }]
    }

    fn named(name: &str, shape: &Shape) -> Option<Self> {
        (name == "toep").then_some(Self {
            visits: shape.visits,
            start: match shape.ends {
                Ends::Closed => EFFECTS_START,
                Ends::Open => RESIDUAL_START,
            },
            ends: shape.ends,
        })
    }

    fn len(&self) -> usize {
        self.visits.saturating_sub(1)
    }
    fn parameters(&self) -> Vec<Parameter> {
        (1..self.visits)
            .map(|lag| Parameter::correlation(format!("rho{lag}")))
            .collect()
    }

    fn natural<S: Scalar>(&self, x: &[S]) -> Vec<S> {
        levinson(x, self.ends).1.split_off(1)
    }

    fn internal(&self, natural: &[f64]) -> Option<Vec<f64>> {
        from_autocorrelations(natural, self.ends)
    }

    fn law<S: Scalar>(&self, x: &[S], _: usize) -> Law<S> {
        Law::Lags(levinson(x, self.ends).1)
    }

    fn natural_law(&self, natural: &[f64], _: usize) -> Option<Law<f64>> {
        Some(Law::Lags([&[1.0], natural].concat()))
    }

    fn start(&self, _: f64) -> Vec<f64> {
        powers(self.start, self.len())
    }

    fn strong(&self, rho: f64, _: f64, _: &[f64]) -> Option<Vec<f64>> {
        Some(powers(rho, self.len()))
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Correlation; self.len()]
    }

    fn angles(&self) -> usize {
        self.len()
    }

    fn alternating(&self, rho: f64) -> Option<Vec<f64>> {
        Some(powers(rho, self.len()))
    }

    fn is_separate(&self) -> bool {
        false
    }

    fn mark(&self, x: &[f64], y: &[f64], seen: &mut [bool]) {
        seen[(x[0] - y[0]).abs() as usize - 1] = true;
    }

    fn is_tabulated(&self) -> bool {
        true
    }

    fn components(&self) -> Components {
        Components::Covariances
    }
}
