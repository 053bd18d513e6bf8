//! What the user may choose about the fit.

/// Settings of one fit; [`Options::default`] is REML, optimised from a moment-based start.
#[derive(Debug, Clone)]
pub struct Options {
    /// Restricted maximum likelihood (`true`, default) or maximum likelihood.
    pub reml: bool,
    /// Raw `theta` to start from (lme4's order); `None` starts from moments.
    pub start: Option<Vec<f64>>,
    /// `false` evaluates everything at `start` and does not move.
    pub optimize: bool,
    /// Upper limit on evaluations of the criterion (default 500).
    pub max_evaluations: usize,
    /// The fit has converged when half the squared Newton decrement (the decrease of the criterion
    /// that a further Newton step promises) is below this (default 1e-12).
    pub tolerance: f64,
    /// Threads; 0 decides by the amount of work and the machine.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            reml: true,
            start: None,
            optimize: true,
            max_evaluations: 500,
            tolerance: 1e-12,
            threads: 0,
        }
    }
}
