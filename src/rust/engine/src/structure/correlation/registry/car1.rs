//! Continuous-time AR(1): rho^distance at any times, 0 < rho < 1.
//!
//! Internally the logarithm of the range -1 / log rho: a change of the unit of time only shifts it.

use crate::api::kinds::{CorrelationFacts, Each, Positions};
use crate::linalg::hyperdual::Scalar;
use crate::structure::correlation::domain::Domain;
use crate::structure::correlation::law::{Law, Markov};
use crate::structure::correlation::registry::spatial::{any_log_range, LARGEST_LOG};
use crate::structure::correlation::structure::{CorrelationStructure, Inverse, Parameter, Shape};

/// A rate of decay at which nothing is left of the correlation at any distance that data tell.
const NO_CORRELATION: f64 = 1e30;

/// Correlation of neighbours to start from.
const START: f64 = 0.5;

/// From the first start to a strong correlation.
const STRONGER: f64 = 0.3;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Car1;

impl CorrelationStructure for Car1 {
    fn facts() -> Vec<CorrelationFacts> {
        vec![CorrelationFacts {
            name: "car1",
            position: Positions::Times,
            order_matters: true,
            by_lag: true,
            each: Each::None,
            has_orders: false,
            nugget: false,
            effects: false,
        }]
    }

    fn named(name: &str, _: &Shape) -> Option<Self> {
        (name == "car1").then_some(Self)
    }

    fn len(&self) -> usize {
        1
    }
    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter::between("rho", 0.0, 1.0)]
    }

    fn natural<S: Scalar>(&self, x: &[S]) -> Vec<S> {
        vec![(-(-x[0]).exp()).exp()]
    }

    fn internal(&self, natural: &[f64]) -> Option<Vec<f64>> {
        let rho = natural[0];
        // zero: the edge, where rows that are not at one place are not correlated
        let rate = if rho == 0.0 {
            NO_CORRELATION
        } else {
            -rho.ln()
        };
        (0.0..1.0).contains(&rho).then(|| vec![-rate.ln()])
    }

    fn law<S: Scalar>(&self, x: &[S], _: usize) -> Law<S> {
        Law::Markov(Markov::Decay(-(-x[0]).exp()))
    }

    fn start(&self, distance: f64) -> Vec<f64> {
        vec![START.powf(1.0 / distance)]
    }

    fn strong(&self, _: f64, _: f64, from: &[f64]) -> Option<Vec<f64>> {
        Some(vec![from[0].powf(STRONGER)])
    }

    fn anywhere(&self, chance: &mut dyn FnMut() -> f64, reach: (f64, f64)) -> Vec<f64> {
        vec![any_log_range(chance, reach)]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Correlation]
    }

    fn angles(&self) -> usize {
        0
    }

    fn inverse(&self) -> Inverse {
        Inverse::Tridiagonal
    }

    fn is_by_unit(&self) -> bool {
        true
    }

    // exp(-1 / range) as a double below 1
    fn is_representable(&self, x: &[f64]) -> bool {
        x[0] > -LARGEST_LOG && x[0] < -(0.49 * f64::EPSILON).ln()
    }
}
