//! The weighted cross-products of [Z Q r], and the point about which [Q r] is centred.

/// Cross-products within one grouping factor.
#[derive(Debug, Clone)]
pub struct FactorMoments {
    /// Levels J.
    pub n_levels: usize,
    /// Effects of a level k.
    pub k: usize,
    /// Z_j'Z_j: J blocks k x k (symmetric).
    pub zz: Vec<f64>,
    /// Z_j'[Q r]: J blocks of k rows with p + 1 values.
    pub zx: Vec<f64>,
    /// Diagonal of the known precision matrix of the levels; empty where levels are independent.
    pub level_precision: Vec<f64>,
    /// How many levels each counts as in what depends on Z_j'Z_j alone; empty for one. Few levels can stand for many where there
    /// is one factor, and levels count as many in a pseudo-likelihood ([`crate::moments::counted`]).
    pub multiplicity: Vec<f64>,
}

impl FactorMoments {
    /// How many levels a level counts as.
    #[must_use]
    pub fn times(&self, level: usize) -> f64 {
        self.multiplicity.get(level).copied().unwrap_or(1.0)
    }

    /// Diagonal entry of the precision matrix of the levels.
    #[must_use]
    pub fn precision(&self, level: usize) -> f64 {
        self.level_precision.get(level).copied().unwrap_or(1.0)
    }
}

/// Cross-products between the levels of two grouping factors, or (above the diagonal) of one: compressed rows of blocks.
#[derive(Debug, Clone)]
pub struct PairMoments {
    /// First factor (engine's order).
    pub f: usize,
    /// Second factor, after the first or the same.
    pub g: usize,
    /// For each level of `f` the start of its entries.
    pub start: Vec<usize>,
    /// Level of `g` of each entry, ascending within a level of `f`.
    pub level: Vec<u32>,
    /// Z_j'Z_l: blocks k_f x k_g, column-major.
    pub value: Vec<f64>,
    /// Entries of the known precision matrix of the levels (f = g only); empty for none.
    pub level_precision: Vec<f64>,
}

/// All cross-products.
#[derive(Debug, Clone)]
pub struct Moments {
    /// Rows.
    pub n: usize,
    /// Rank of X, and one more for the response.
    pub p1: usize,
    /// [Q r]'[Q r], symmetric.
    pub xx: Vec<f64>,
    /// One for each grouping factor, in elimination order.
    pub factors: Vec<FactorMoments>,
    /// Every pair f < g, and those within a factor whose levels are not independent.
    pub pairs: Vec<PairMoments>,
    /// sum of log w.
    pub sum_log_weights: f64,
    /// log |K^-1 (x) I| of the known precision matrices.
    pub log_det_level_precision: f64,
    /// Digits of Z'Z beyond double precision, where they are needed.
    pub(crate) rest: Option<Box<Rest>>,
}

impl Moments {
    /// How many numbers there are.
    #[must_use]
    pub fn numbers(&self) -> usize {
        let factors = self.factors.iter().map(|f| f.zz.len() + f.zx.len());
        let pairs = self.pairs.iter().map(|pair| pair.value.len());
        factors.chain(pairs).sum()
    }

    /// r'r: what the fixed effects alone leave of the response.
    #[must_use]
    pub fn residual(&self) -> f64 {
        self.xx[self.p1 * self.p1 - 1]
    }
}

/// Point about which [Q r] is centred: the response at beta_0 (p, all columns of X), and every column at random effects B_0,
/// that is Q - Z B_0; the latter only after a first fit of data whose residual variance is tiny.
///
/// Where random effects are many times larger than residuals, V^-1 takes nearly all of a column in the span of Z away: of the
/// constant, with n rows a level, all but 1/(1 + n theta^2). Q'Q - RZX'RZX would be what rounding leaves. About its own B_0 =
/// Lambda M^-1 Lambda'Z'Q a column has the same Q'V^-1Q, as (Q - Z B_0)'(Q - Z B_0) + U_0'U_0 with U_0 = Lambda^-1 B_0, and
/// next to nothing to be taken from it: the penalised sum of squares of its own regression on Z.
#[derive(Debug, Clone)]
pub struct Center {
    /// Coefficients of X.
    pub beta: Vec<f64>,
    /// For each factor p1 values an effect, level after level in the internal basis; empty for zero.
    pub b: Vec<Vec<f64>>,
}

impl Center {
    /// Whether there are random effects among it.
    #[must_use]
    pub fn has_effects(&self) -> bool {
        self.b.iter().any(|b| !b.is_empty())
    }
}

impl PairMoments {
    /// No level yet.
    pub(crate) fn empty(f: usize, g: usize) -> Self {
        Self {
            f,
            g,
            start: vec![0],
            level: Vec::new(),
            value: Vec::new(),
            level_precision: Vec::new(),
        }
    }

    /// The entry of level `j` of the first factor and `l` of the second; within one factor those with j < l, and only once.
    pub(crate) fn entry(&self, j: usize, l: usize) -> Option<usize> {
        if self.f == self.g && l <= j {
            return None;
        }
        let own = self.start[j]..self.start[j + 1];
        let found = self.level[own.clone()].binary_search(&(l as u32));
        found.ok().map(|at| own.start + at)
    }

    /// The levels of `part` after the own ones.
    pub(crate) fn append(&mut self, part: &Self) {
        let base = self.level.len();
        self.start.extend(part.start[1..].iter().map(|s| base + s));
        self.level.extend_from_slice(&part.level);
        self.value.extend_from_slice(&part.value);
    }
}

/// What cross-products have beyond their double precision.
#[derive(Debug, Clone)]
pub(crate) struct Rest {
    pub xx: Vec<f64>,
    pub own: Vec<Vec<f64>>,
    pub zx: Vec<Vec<f64>>,
    pub pairs: Vec<Vec<f64>>,
}
