//! AR(1): rho^lag at whole times, rho = sin x.

use crate::api::kinds::{CorrelationFacts, Each, Positions};
use crate::linalg::hyperdual::Scalar;
use crate::structure::correlation::domain::Domain;
use crate::structure::correlation::law::{Law, Markov};
use crate::structure::correlation::link::{angle, Ends, Link};
use crate::structure::correlation::structure::{CorrelationStructure, Inverse, Parameter, Shape};

/// Correlation of neighbours to start from.
const START: f64 = 0.2;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ar1 {
    pub ends: Ends,
    /// What users call rho.
    pub name: &'static str,
}

impl CorrelationStructure for Ar1 {
    fn facts() -> Vec<CorrelationFacts> {
        vec![CorrelationFacts {
            name: "ar1",
            position: Positions::Whole,
            order_matters: true,
            by_lag: true,
            each: Each::None,
            has_orders: false,
            nugget: false,
            effects: true,
        }]
    }

    /// Also an ARMA(1, 0), whose parameter has its name there.
    fn named(name: &str, shape: &Shape) -> Option<Self> {
        let ends = shape.ends;
        match (name, shape.orders) {
            ("ar1", _) => Some(Self { ends, name: "rho" }),
            ("arma", (1, 0)) => Some(Self { ends, name: "ar1" }),
            _ => None,
        }
    }

    fn len(&self) -> usize {
        1
    }
    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter::correlation(self.name)]
    }

    fn natural<S: Scalar>(&self, x: &[S]) -> Vec<S> {
        vec![Link::sine(x[0], self.ends).r]
    }

    fn internal(&self, natural: &[f64]) -> Option<Vec<f64>> {
        angle(natural[0], self.ends).map(|x| vec![x])
    }

    fn law<S: Scalar>(&self, x: &[S], _: usize) -> Law<S> {
        Law::Markov(Markov::Lag(Link::sine(x[0], self.ends)))
    }

    // times can be years that are decades apart: 0.2^10 says nothing of the slope
    fn start(&self, distance: f64) -> Vec<f64> {
        vec![START.powf(1.0 / distance).min(1.0 - 1e-15)]
    }

    fn strong(&self, rho: f64, distance: f64, _: &[f64]) -> Option<Vec<f64>> {
        Some(vec![rho.powf(1.0 / distance)])
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Correlation]
    }

    fn angles(&self) -> usize {
        1
    }

    fn alternating(&self, rho: f64) -> Option<Vec<f64>> {
        Some(vec![rho])
    }

    fn inverse(&self) -> Inverse {
        Inverse::Tridiagonal
    }
}
