//! A correlation for each pair of visits.
//!
//! C = L L' with row i of L proportional to (x_i1, ..., x_i,i-1, 1): any x gives a correlation matrix, and every
//! positive definite one has exactly one x (the log-Cholesky idea of Pinheiro & Bates, 1996, for correlations, as in the
//! R package mmrm).

use crate::api::kinds::{CorrelationFacts, Each, Positions};
use crate::linalg::hyperdual::Scalar;
use crate::linalg::small;
use crate::runtime::memory;
use crate::structure::correlation::domain::Domain;
use crate::structure::correlation::law::Law;
use crate::structure::correlation::structure::{
    any_angle, powers_by_pair, Components, CorrelationStructure, Parameter, Shape, Sharing,
};

/// Correlation of neighbouring visits to start from.
const START: f64 = 0.3;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Unstructured {
    pub visits: usize,
}

impl CorrelationStructure for Unstructured {
    fn facts() -> Vec<CorrelationFacts> {
        vec![CorrelationFacts {
            name: "us",
            position: Positions::Visits,
            order_matters: false,
            by_lag: false,
            each: Each::Pair,
            has_orders: false,
            nugget: false,
            effects: false,
        }]
    }

    fn named(name: &str, shape: &Shape) -> Option<Self> {
        (name == "us").then_some(Self {
            visits: shape.visits,
        })
    }

    fn len(&self) -> usize {
        self.visits * self.visits.saturating_sub(1) / 2
    }
    fn parameters(&self) -> Vec<Parameter> {
        (1..=self.visits)
            .flat_map(|j| (j + 1..=self.visits).map(move |i| format!("cor({i},{j})")))
            .map(Parameter::correlation)
            .collect()
    }

    fn natural<S: Scalar>(&self, x: &[S]) -> Vec<S> {
        natural(x, self.visits)
    }

    fn internal(&self, natural: &[f64]) -> Option<Vec<f64>> {
        internal(natural, self.visits)
    }

    fn law<S: Scalar>(&self, x: &[S], _: usize) -> Law<S> {
        Law::Pairs {
            visits: self.visits,
            values: correlations(x, self.visits),
        }
    }

    fn natural_law(&self, natural: &[f64], _: usize) -> Option<Law<f64>> {
        let m = self.visits;
        let value = |i: usize, j: usize| {
            if i == j {
                1.0
            } else {
                natural[index(i.max(j), i.min(j), m)]
            }
        };
        Some(Law::Pairs {
            visits: m,
            values: (0..m * m).map(|e| value(e / m, e % m)).collect(),
        })
    }

    fn start(&self, _: f64) -> Vec<f64> {
        powers_by_pair(START, self.visits)
    }

    fn strong(&self, rho: f64, _: f64, _: &[f64]) -> Option<Vec<f64>> {
        Some(powers_by_pair(rho, self.visits))
    }

    /// Of two visits x is the tangent of the angle whose sine is their correlation.
    fn anywhere(&self, chance: &mut dyn FnMut() -> f64, _: (f64, f64)) -> Vec<f64> {
        (0..self.len()).map(|_| any_angle(chance).tan()).collect()
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Correlation; self.len()]
    }

    fn angles(&self) -> usize {
        0
    }

    fn is_separate(&self) -> bool {
        false
    }

    fn mark(&self, x: &[f64], y: &[f64], seen: &mut [bool]) {
        let (first, last) = (x[0].min(y[0]) as usize, x[0].max(y[0]) as usize);
        seen[index(last - 1, first - 1, self.visits)] = true;
    }

    fn sharing(&self) -> Sharing {
        Sharing::Positions
    }

    fn components(&self) -> Components {
        Components::Pairs(self.visits)
    }
}

/// Index of the correlation of visits i > j: the lower triangle, column by column.
fn index(i: usize, j: usize, visits: usize) -> usize {
    j * visits - j * (j + 1) / 2 + i - j - 1
}

/// Correlations of all visits, visits x visits.
fn correlations<S: Scalar>(x: &[S], visits: usize) -> Vec<S> {
    let (zero, one) = (S::constant(0.0), S::constant(1.0));
    let mut l = vec![zero; visits * visits];
    for i in 0..visits {
        let mut square = one;
        for j in 0..i {
            let value = x[index(i, j, visits)];
            square += value.square();
            l[i * visits + j] = value;
        }
        l[i * visits + i] = one;
        let norm = square.sqrt();
        l[i * visits..=i * visits + i]
            .iter_mut()
            .for_each(|v| *v /= norm);
    }
    let mut c = vec![one; visits * visits];
    for i in 0..visits {
        for j in 0..i {
            let mut sum = zero;
            for k in 0..=j {
                sum += l[i * visits + k] * l[j * visits + k];
            }
            c[i * visits + j] = sum;
            c[j * visits + i] = sum;
        }
    }
    c
}

/// The correlations as parameters.
fn natural<S: Scalar>(x: &[S], visits: usize) -> Vec<S> {
    let c = correlations(x, visits);
    (0..visits)
        .flat_map(|j| (j + 1..visits).map(move |i| (i, j)))
        .map(|(i, j)| c[i * visits + j])
        .collect()
}

/// x of the correlations; `None` if they do not make a positive definite matrix.
fn internal(natural: &[f64], visits: usize) -> Option<Vec<f64>> {
    let mut l = vec![1.0; visits * visits];
    for j in 0..visits {
        for i in j + 1..visits {
            l[j * visits + i] = natural[index(i, j, visits)];
        }
    }
    if !small::cholesky(&mut l, visits) {
        return None;
    }
    let mut x = memory::zeros(natural.len());
    for j in 0..visits {
        for i in j + 1..visits {
            x[index(i, j, visits)] = l[j * visits + i] / l[i * visits + i];
        }
    }
    x.iter().all(|v| v.is_finite()).then_some(x)
}
