//! Weighted cross-products in the user's columns: a model's data without its rows.

/// A number of about 32 digits: a double, and what is left.
pub type Twice = [f64; 2];

/// Cross-products within one grouping factor, with the columns of all its terms one after another.
#[derive(Debug, Clone, PartialEq)]
pub struct RawFactor {
    /// Levels J.
    pub n_levels: usize,
    /// Columns of its terms together, k.
    pub k: usize,
    /// Z_j'WZ_j: J blocks k x k, column-major, symmetric.
    pub zz: Vec<Twice>,
    /// Z_j'W[X y]: J blocks of k rows with p + 1 values.
    pub zx: Vec<Twice>,
}

/// Cross-products between the levels of two grouping factors: compressed rows of blocks.
#[derive(Debug, Clone, PartialEq)]
pub struct RawPair {
    /// First factor, in the user's order.
    pub f: usize,
    /// Second factor, after the first.
    pub g: usize,
    /// For each level of `f` the start of its entries, and their number.
    pub start: Vec<usize>,
    /// Level of `g` of each entry from 0, ascending within a level of `f`.
    pub level: Vec<u32>,
    /// Z_j'WZ_l: blocks k_f x k_g, column-major.
    pub value: Vec<Twice>,
}

/// All weighted cross-products of [Z X y], y less the offset: sums over rows, so that those of several sets of rows add up.
///
/// With twice the digits none of them has to be centred: of a response of 1e6 with residuals of 1e-3, y'y has 18 digits more
/// than the residual sum of squares.
#[derive(Debug, Clone, PartialEq)]
pub struct RawMoments {
    /// Rows.
    pub n: usize,
    /// Columns of X.
    pub p: usize,
    /// Sum of log w.
    pub sum_log_weights: f64,
    /// [X y]'W[X y], (p + 1) x (p + 1), symmetric.
    pub xx: Vec<Twice>,
    /// One for each grouping factor, in the user's order.
    pub factors: Vec<RawFactor>,
    /// Every pair f < g.
    pub pairs: Vec<RawPair>,
}
