//! Known correlations: an entry of a matrix for each pair of rows of the data, without parameters.
//!
//! As of estimates in a meta-analysis, whose sampling covariances V come with them: with W = diag(V)^-1 as weights, C has V's
//! correlations, and R = W^-1/2 C W^-1/2 = V. Rows of new data have no place in the matrix: they are independent of all others.

use crate::api::kinds::{CorrelationFacts, Each, Positions};
use crate::linalg::hyperdual::Scalar;
use crate::structure::correlation::domain::Domain;
use crate::structure::correlation::law::Law;
use crate::structure::correlation::structure::{CorrelationStructure, Parameter, Shape, Sharing};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Known;

impl CorrelationStructure for Known {
    fn facts() -> Vec<CorrelationFacts> {
        vec![CorrelationFacts {
            name: "known",
            position: Positions::Rows,
            order_matters: false,
            by_lag: false,
            each: Each::None,
            has_orders: false,
            nugget: false,
            effects: false,
        }]
    }

    fn named(name: &str, _: &Shape) -> Option<Self> {
        (name == "known").then_some(Self)
    }

    fn len(&self) -> usize {
        0
    }

    fn parameters(&self) -> Vec<Parameter> {
        Vec::new()
    }

    fn natural<S: Scalar>(&self, _: &[S]) -> Vec<S> {
        Vec::new()
    }

    fn internal(&self, _: &[f64]) -> Option<Vec<f64>> {
        Some(Vec::new())
    }

    fn law<S: Scalar>(&self, _: &[S], _: usize) -> Law<S> {
        Law::Known
    }

    fn start(&self, _: f64) -> Vec<f64> {
        Vec::new()
    }

    fn domains(&self) -> Vec<Domain> {
        Vec::new()
    }

    fn angles(&self) -> usize {
        0
    }

    fn sharing(&self) -> Sharing {
        Sharing::Entries
    }
}
