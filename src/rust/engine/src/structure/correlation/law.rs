//! Correlations at positions: what structures make of their parameters.
//!
//! The kind of a law decides what C^-1 costs: [`Markov`] is tridiagonal, [`Exchangeable`] two numbers, the others dense.

use std::f64::consts::FRAC_PI_4;

use crate::api::model::Metric;
use crate::linalg::hyperdual::Scalar;
use crate::runtime::memory;
use crate::structure::correlation::distance::Decline;
use crate::structure::correlation::link::{Ends, Link};

/// The correlation of two different rows as a function of their positions.
#[derive(Debug, Clone)]
pub(crate) enum Law<S> {
    Markov(Markov<S>),
    Exchangeable(Exchangeable<S>),
    /// By lag.
    Lags(Vec<S>),
    /// By pair of visits.
    Pairs {
        visits: usize,
        values: Vec<S>,
    },
    Decline(Decline<S>, Metric),
    /// The product of laws on axes of their own, 1 where rows have one place on an axis; times what a nugget leaves.
    Product {
        factors: Vec<Law<S>>,
        kept: Option<S>,
    },
    /// Entries of a known matrix, which are kept with the rows of the data: two rows of which one is new are independent.
    Known,
}

impl<S: Scalar> Law<S> {
    /// Correlation of two different rows.
    pub fn between(&self, x: &[f64], y: &[f64]) -> S {
        match self {
            Self::Markov(law) => law.link(x[0], y[0]).r,
            Self::Exchangeable(law) => law.rho,
            Self::Lags(values) => values[(x[0] - y[0]).abs() as usize],
            Self::Pairs { visits, values } => {
                values[(x[0] as usize - 1) * visits + y[0] as usize - 1]
            }
            Self::Decline(law, metric) => law.at(distance(*metric, x, y)),
            Self::Product { factors, kept } => {
                let mut value = kept.unwrap_or_else(|| S::constant(1.0));
                for (a, factor) in factors.iter().enumerate() {
                    if x[a].total_cmp(&y[a]).is_ne() {
                        value *= factor.between(&x[a..=a], &y[a..=a]);
                    }
                }
                value
            }
            Self::Known => S::constant(0.0),
        }
    }

    /// Correlations of n rows at these positions, n x n.
    pub fn matrix<'p>(&self, n: usize, position: impl Fn(usize) -> &'p [f64]) -> Vec<S> {
        let one = S::constant(1.0);
        let mut c = memory::collect((0..n * n).map(|_| one));
        for i in 0..n {
            for j in 0..i {
                let value = self.between(position(j), position(i));
                c[i * n + j] = value;
                c[j * n + i] = value;
            }
        }
        c
    }
}

/// Correlations that are products along the line: AR(1), continuous-time AR(1), the exponential in one dimension, and
/// first-order ante-dependence (Zimmerman & Nunez-Anton, 2010, Antedependence Models for Longitudinal Data).
#[derive(Debug, Clone)]
pub(crate) enum Markov<S> {
    /// Equal links between whole times.
    Lag(Link<S>),
    /// exp(decay x distance), decay < 0.
    Decay(S),
    /// One link between neighbouring visits, which count from 1.
    Chain(Vec<Link<S>>),
}

impl<S: Scalar> Markov<S> {
    pub fn link(&self, from: f64, to: f64) -> Link<S> {
        match self {
            Self::Lag(link) => link.power((to - from).abs() as u64),
            Self::Decay(decay) => {
                let log = *decay * (to - from).abs();
                Link {
                    r: log.exp(),
                    complement: -(log * 2.0).exp_m1(),
                }
            }
            Self::Chain(links) => {
                let (first, last) = (from.min(to) as usize, from.max(to) as usize);
                links[first - 1..last - 1]
                    .iter()
                    .copied()
                    .reduce(Link::then)
                    .unwrap_or(Link {
                        r: S::constant(1.0),
                        complement: S::constant(0.0),
                    })
            }
        }
    }

    pub fn links<'a>(&'a self, positions: &'a [f64]) -> impl Iterator<Item = Link<S>> + 'a {
        positions.windows(2).map(|w| self.link(w[0], w[1]))
    }
}

/// Compound symmetry: C = (1 - rho) I + rho 11', rho > -1 / (m - 1) for the largest group of m rows;
/// log|C| = (m - 1) log(1 - rho) + log(1 + (m - 1) rho).
///
/// rho = lo + (1 - lo) s with lo = -1 / (M - 1), M the rows of the largest group (or the effects of a level), and s in [0, 1], or a
/// little less on either side.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exchangeable<S> {
    pub rho: S,
    /// 1 - rho, without cancellation.
    pub complement: S,
    share: S,
    largest: f64,
}

impl<S: Scalar> Exchangeable<S> {
    /// s = (1 + sin x) / 2, but for its ends.
    pub fn new(x: S, largest: usize, ends: Ends) -> Self {
        let largest = largest.max(2) as f64;
        let (lo, half) = (-1.0 / (largest - 1.0), x * 0.5 + FRAC_PI_4);
        let edge = ends.edge();
        let inside = |square: S| square * (1.0 - 2.0 * edge) + edge;
        let share = inside(half.sin().square());
        Self {
            rho: share * (1.0 - lo) + lo,
            complement: inside(half.cos().square()) * (1.0 - lo),
            share,
            largest,
        }
    }

    /// 1 + (m - 1) rho, without cancellation for m up to the largest group.
    pub fn growth(&self, m: usize) -> S {
        if m == 0 {
            return self.complement;
        }
        let m = m as f64;
        (self.share * ((m - 1.0) * self.largest) + (self.largest - m)) / (self.largest - 1.0)
    }

    /// alpha and beta for m rows.
    pub fn precision(&self, m: usize) -> (S, S) {
        let alpha = self.complement.recip();
        (alpha, self.rho * alpha / self.growth(m))
    }

    /// log|C| for m rows.
    pub fn log_det(&self, m: usize) -> S {
        self.complement.ln() * (m as f64 - 1.0) + self.growth(m).ln()
    }
}

/// Distance of two points.
pub(crate) fn distance(metric: Metric, x: &[f64], y: &[f64]) -> f64 {
    let gaps = x.iter().zip(y).map(|(a, b)| (a - b).abs());
    match metric {
        Metric::Manhattan => gaps.sum(),
        Metric::Maximum => gaps.fold(0.0, f64::max),
        Metric::Euclidean => match x.len() {
            1 => (x[0] - y[0]).abs(),
            2 => (x[0] - y[0]).hypot(x[1] - y[1]),
            _ => gaps.map(|g| g * g).sum::<f64>().sqrt(),
        },
    }
}
