//! What the user may choose about the fit.

use std::sync::Arc;
use std::time::Instant;

use crate::api::penalty::Penalties;
use crate::api::progress::Progress;
use crate::api::theta::UserTheta;

/// How the criterion is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Solver {
    /// By factorisation; where that takes long, from close to the optimum on; where it is not possible, by iteration alone.
    #[default]
    Auto,
    /// By factorisation, always.
    Exact,
    /// By conjugate gradients and random vectors.
    Iterative,
}

/// How far a fit goes to find a lower optimum, unless a number of starts says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Search {
    /// As far as the cost of the model allows: a fit that is looked at.
    #[default]
    Thorough,
    /// One walk, and further ones only where there is reason to doubt: one of many fits.
    Thrifty,
}

/// Steps before Newton's: a way to other minima.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Detour {
    /// Evaluations that they may take.
    pub evaluations: usize,
    /// Whether all variables are of one scale, and not each of its own: another way.
    pub in_one_scale: bool,
}

/// Settings of one fit; [`Options::default`] is REML, optimised from a moment-based start.
#[derive(Debug, Clone)]
pub struct Options {
    /// Restricted maximum likelihood (`true`, default) or maximum likelihood.
    pub reml: bool,
    /// Parameters to start from, theta and then phi; `None` starts from moments.
    pub start: Option<UserTheta>,
    /// From how many places to walk to an optimum; `None` decides by the cost of an evaluation and by what the first walks
    /// find. With `start` there is one walk.
    pub starts: Option<usize>,
    /// How far a fit goes on its own account to find a lower optimum.
    pub search: Search,
    /// `false` evaluates everything at `start` and does not move.
    pub optimize: bool,
    /// Upper limit on evaluations of the criterion (default 500).
    pub max_evaluations: usize,
    /// Quasi-Newton steps before Newton's (default none): these come to other optima.
    pub detour: Detour,
    /// The fit has converged when half the squared Newton decrement (the decrease of the criterion
    /// that a further Newton step promises) is below this (default 1e-12).
    pub tolerance: f64,
    /// Known residual standard deviation; `None` estimates it.
    pub sigma: Option<f64>,
    /// Values of parameters that are held (theta, then phi); NaN where free. May be empty.
    pub hold: UserTheta,
    /// Parameters with the same number are tied. May be empty.
    pub tie: Vec<usize>,
    /// What is added to the criterion to keep covariance matrices off the boundary.
    pub penalties: Penalties,
    /// How the criterion is evaluated.
    pub solver: Solver,
    /// When to stop with the best point so far; `None`: never.
    pub deadline: Option<Instant>,
    /// Where to tell how far the optimiser has come.
    pub progress: Option<Arc<Progress>>,
    /// Threads; 0 decides by the amount of work and the machine.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            reml: true,
            start: None,
            starts: None,
            search: Search::default(),
            optimize: true,
            max_evaluations: 500,
            detour: Detour::default(),
            tolerance: 1e-12,
            sigma: None,
            hold: UserTheta::default(),
            tie: Vec::new(),
            penalties: Penalties::default(),
            solver: Solver::Auto,
            deadline: None,
            progress: None,
            threads: 0,
        }
    }
}

impl Options {
    /// The value that a parameter is held at.
    #[must_use]
    pub fn held_at(&self, parameter: usize) -> Option<f64> {
        let value = self.hold.values().get(parameter).copied();
        value.filter(|value| !value.is_nan())
    }
}
