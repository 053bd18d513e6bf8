//! Compound symmetry: one correlation rho for all pairs, from -1 / (m - 1) for the largest group of m rows to 1.

use std::f64::consts::FRAC_PI_2;

use crate::api::kinds::{CorrelationFacts, Each, Positions};
use crate::linalg::hyperdual::Scalar;
use crate::structure::correlation::domain::Domain;
use crate::structure::correlation::law::{Exchangeable, Law};
use crate::structure::correlation::link::Ends;
use crate::structure::correlation::structure::{
    Components, CorrelationStructure, Inverse, Parameter, Shape, Sharing,
};

/// Correlation to start from.
const START: f64 = 0.2;

/// Rounding of the share of a correlation at its lower end.
const ROUNDING: f64 = 5e-13;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct CompoundSymmetric {
    pub largest: usize,
    pub ends: Ends,
}

/// The smallest rho.
fn lowest(largest: usize) -> f64 {
    -1.0 / (largest.max(2) as f64 - 1.0)
}

impl CorrelationStructure for CompoundSymmetric {
    fn facts() -> Vec<CorrelationFacts> {
        vec![CorrelationFacts {
            name: "cs",
            position: Positions::None,
            order_matters: false,
            by_lag: false,
            each: Each::None,
            has_orders: false,
            nugget: false,
            effects: true,
        }]
    }

    fn named(name: &str, shape: &Shape) -> Option<Self> {
        (name == "cs").then_some(Self {
            largest: shape.largest,
            ends: shape.ends,
        })
    }

    fn len(&self) -> usize {
        1
    }
    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter::between("rho", lowest(self.largest), 1.0)]
    }

    fn natural<S: Scalar>(&self, x: &[S]) -> Vec<S> {
        vec![Exchangeable::new(x[0], self.largest, self.ends).rho]
    }

    fn internal(&self, natural: &[f64]) -> Option<Vec<f64>> {
        let lo = lowest(self.largest);
        let share = (natural[0] - lo) / (1.0 - lo);
        let possible = match self.ends {
            Ends::Closed => share > -ROUNDING && share <= 1.0,
            Ends::Open => share > 0.0 && share < 1.0,
        };
        // sin^2 and cos^2 of x / 2 + pi / 4, each from what is left to its end
        let edge = self.ends.edge();
        let inside = |share: f64| ((share - edge) / (1.0 - 2.0 * edge)).max(0.0);
        let left = inside((1.0 - natural[0]) / (1.0 - lo));
        let angle = inside(share).sqrt().atan2(left.sqrt());
        possible.then(|| vec![2.0 * angle - FRAC_PI_2])
    }

    fn law<S: Scalar>(&self, x: &[S], _: usize) -> Law<S> {
        Law::Exchangeable(Exchangeable::new(x[0], self.largest, self.ends))
    }

    fn start(&self, _: f64) -> Vec<f64> {
        vec![START]
    }

    fn strong(&self, rho: f64, _: f64, _: &[f64]) -> Option<Vec<f64>> {
        Some(vec![rho])
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Correlation]
    }

    fn angles(&self) -> usize {
        1
    }

    fn dimensions(&self) -> usize {
        0
    }

    fn sharing(&self) -> Sharing {
        Sharing::Size
    }

    fn inverse(&self) -> Inverse {
        Inverse::RankOne
    }

    fn allows_ties(&self) -> bool {
        true
    }

    fn largest(&self) -> usize {
        self.largest
    }

    fn components(&self) -> Components {
        Components::Covariances
    }
}
