//! Rows of [Q r] and Z in the order of the residual groups.

use std::borrow::Cow;

use crate::moments::level_order::LevelOrder;

/// The rows of a model in the order of its residual groups, in internal coordinates, times the root of the weight.
#[derive(Debug, Clone)]
pub(crate) struct ResidualRows {
    /// Rank of X, and one more for the response.
    pub p1: usize,
    /// n x p1: rows of [Q r].
    pub x: Vec<f64>,
    /// For each grouping factor n x k: the basis columns.
    pub z: Vec<Vec<f64>>,
    /// For each grouping factor the level of each row from 0; empty for the empty factor.
    pub level: Vec<Vec<u32>>,
    /// Residual group of each row.
    pub group: Vec<u32>,
    pub(super) by_level: Vec<LevelOrder>,
    pub(super) sum_log_weights: f64,
    /// Rows of the data, for which these may stand.
    pub(super) observations: usize,
}

/// Basis columns of each factor divided by D.
pub(crate) type ScaledRows<'a> = Vec<Cow<'a, [f64]>>;
