//! First-order ante-dependence: a correlation for each pair of neighbouring visits, each sin x, and products of them in
//! between.

use crate::api::kinds::{CorrelationFacts, Each, Positions};
use crate::linalg::hyperdual::Scalar;
use crate::structure::correlation::domain::Domain;
use crate::structure::correlation::law::{Law, Markov};
use crate::structure::correlation::link::{angle, Ends, Link};
use crate::structure::correlation::structure::{
    CorrelationStructure, Inverse, Parameter, Shape, Sharing,
};

/// Correlation of neighbours to start from.
const START: f64 = 0.3;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct AnteDependence {
    pub visits: usize,
    pub ends: Ends,
}

impl CorrelationStructure for AnteDependence {
    fn facts() -> Vec<CorrelationFacts> {
        vec![CorrelationFacts {
            name: "ante",
            position: Positions::Visits,
            order_matters: true,
            by_lag: false,
            each: Each::Neighbours,
            has_orders: false,
            nugget: false,
            effects: false,
        }]
    }

    fn named(name: &str, shape: &Shape) -> Option<Self> {
        (name == "ante").then_some(Self {
            visits: shape.visits,
            ends: shape.ends,
        })
    }

    fn len(&self) -> usize {
        self.visits.saturating_sub(1)
    }
    fn parameters(&self) -> Vec<Parameter> {
        (1..self.visits)
            .map(|visit| Parameter::correlation(format!("cor({},{visit})", visit + 1)))
            .collect()
    }

    fn natural<S: Scalar>(&self, x: &[S]) -> Vec<S> {
        x.iter().map(|&x| Link::sine(x, self.ends).r).collect()
    }

    fn internal(&self, natural: &[f64]) -> Option<Vec<f64>> {
        natural.iter().map(|&rho| angle(rho, self.ends)).collect()
    }

    fn law<S: Scalar>(&self, x: &[S], _: usize) -> Law<S> {
        let links = x.iter().map(|&x| Link::sine(x, self.ends));
        Law::Markov(Markov::Chain(links.collect()))
    }

    fn start(&self, _: f64) -> Vec<f64> {
        vec![START; self.len()]
    }

    fn strong(&self, rho: f64, _: f64, _: &[f64]) -> Option<Vec<f64>> {
        Some(vec![rho; self.len()])
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Correlation; self.len()]
    }

    fn angles(&self) -> usize {
        self.len()
    }

    fn mark(&self, x: &[f64], y: &[f64], seen: &mut [bool]) {
        let (first, last) = (x[0].min(y[0]) as usize, x[0].max(y[0]) as usize);
        seen[first - 1..last - 1].fill(true);
    }

    fn sharing(&self) -> Sharing {
        Sharing::Positions
    }

    fn inverse(&self) -> Inverse {
        Inverse::Tridiagonal
    }
}
