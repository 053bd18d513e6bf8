//! The mixed model equations at one set of relative covariance factors T: what does not change, the factor, and what is read
//! off it.

use std::sync::Arc;

use crate::basis::covariances::Covariances;
use crate::moments::blocks::Moments;
use crate::runtime::parallel::Workers;
use crate::system::complement::Complement;
use crate::system::elimination::{Schur, Source};

/// What does not change between evaluations; with a residual structure, between those at one phi.
#[derive(Debug)]
pub struct System {
    /// Cross-products.
    pub moments: Moments,
    /// Lists of neighbours.
    pub schur: Arc<Schur>,
    /// Threads.
    pub workers: Arc<Workers>,
}

/// Rows of a matrix with one row for each random effect, split as the factor is: effects of the factor that is
/// eliminated, then those of the Schur complement.
#[derive(Debug, Clone, Default)]
pub struct Rows<V = Vec<f64>> {
    /// q1 x m, row-major.
    pub eliminated: V,
    /// q2 x m, row-major.
    pub complement: V,
    /// Columns.
    pub m: usize,
}

/// The factor and what it borders.
#[derive(Debug, Clone, Default)]
pub struct Factor {
    /// T of the levels of each grouping factor (block diagonal over its terms), k x k lower triangular, non-singular.
    pub t: Covariances,
    /// L_j of each level of the first factor.
    pub l1: Vec<f64>,
    /// W_j: k1 values for each effect in the neighbour lists.
    pub w: Vec<f64>,
    /// Factor of S.
    pub s: Complement,
    /// L^-1 Lambda'Z'[Q r] (RZX and, in the last column, the response).
    pub rzx: Rows,
    /// Lower Cholesky factor of [Q r]'V^-1[Q r], p1 x p1.
    pub lx: Vec<f64>,
    /// log |M|.
    pub log_det_m: f64,
    /// log |Q'V^-1Q|.
    pub log_det_x: f64,
    /// Penalised residual sum of squares y'Py.
    pub pwrss: f64,
    /// Total sum of squares before anything was taken out of it: the scale on which `pwrss` is accurate.
    pub total: f64,
    /// U_0 = T^-1 B_0 of each factor where [Q r] is centred at B_0, p1 values an effect, else empty.
    pub shift: Vec<Vec<f64>>,
    /// K^-1 U_0 of each factor whose levels have a known precision matrix K^-1, else empty.
    pub(crate) weighted: Vec<Vec<f64>>,
    /// The T whose derivatives are asked for, where `t` is that of a slightly larger G (see
    /// [`crate::basis::parameters::COARSE`]).
    pub actual: Option<Covariances>,
}

/// M^-1 as far as the gradient needs it.
#[derive(Debug, Clone, Default)]
pub struct SelectedInverse {
    /// S^-1: dense, or on the pattern of its factor.
    pub r: Complement,
    /// Y_j = W_j S^-1 on the neighbours of j, in the order of the incidences: k1 values an effect.
    pub y: Vec<f64>,
    /// [M^-1]_jj of each level of the first factor.
    pub m11: Vec<f64>,
}

impl System {
    /// Effects of a level of the first factor.
    #[must_use]
    pub fn k1(&self) -> usize {
        self.moments.factors[0].k
    }

    /// Number of random effects of the first factor.
    #[must_use]
    pub fn q1(&self) -> usize {
        self.moments.factors[0].n_levels * self.k1()
    }

    /// Effects of a level of any factor, at most.
    pub(crate) fn most_effects(&self) -> usize {
        self.moments.factors.iter().map(|f| f.k).max().unwrap_or(0)
    }

    /// How many levels the one that level `j` of the first factor is nested in counts as; where it is in none, how many it
    /// counts as itself.
    pub(crate) fn times_around(&self, j: usize) -> f64 {
        match self.schur.neighbour.get(self.schur.start[j]) {
            Some(&v) if self.schur.start[j + 1] > self.schur.start[j] => self.times_of(v as usize),
            _ => self.moments.factors[0].times(j),
        }
    }

    /// How many levels node `v` counts as.
    pub(crate) fn times_of(&self, v: usize) -> f64 {
        let (f, level) = self.schur.node[v];
        self.moments.factors[f].times(level)
    }

    /// How many levels the node whose first effect is `effect` counts as.
    pub(crate) fn times_at(&self, effect: usize) -> f64 {
        if self
            .moments
            .factors
            .iter()
            .all(|f| f.multiplicity.is_empty())
        {
            return 1.0;
        }
        self.times_of(self.schur.offset.partition_point(|&o| o <= effect) - 1)
    }

    pub(crate) fn block(&self, source: Source) -> &[f64] {
        let pair = &self.moments.pairs[source.pair as usize];
        let size = self.moments.factors[pair.f].k * self.moments.factors[pair.g].k;
        &pair.value[source.entry * size..(source.entry + 1) * size]
    }
}

impl Factor {
    /// K^-1 U_0 of one factor; empty where it is not centred.
    pub(crate) fn weighted_shift(&self, f: usize) -> &[f64] {
        match self.weighted.get(f) {
            Some(weighted) if !weighted.is_empty() => weighted,
            _ => &self.shift[f],
        }
    }

    /// T itself, but of factors that are centred, which divide by it.
    pub(crate) fn exact_covariances(&self) -> Covariances {
        let mut t = self.t.clone();
        let Some(actual) = &self.actual else {
            return t;
        };
        let is_centred = |f: usize| self.shift.get(f).is_some_and(|shift| !shift.is_empty());
        for (f, class) in self.t.each().filter(|(f, _)| !is_centred(*f)) {
            t.of_class_mut(f, class)
                .copy_from_slice(actual.of_class(f, class));
        }
        t
    }

    /// `t` without what has no variance: M is formed with a little of it, which would be seen beside standard errors as small.
    pub(crate) fn without_added(&self, mut t: Covariances) -> Covariances {
        let Some(actual) = &self.actual else {
            return t;
        };
        for (f, class) in self.t.each() {
            let own = t.of_class_mut(f, class);
            let actual = actual.of_class(f, class);
            let k = own.len().isqrt().max(1);
            for (column, actual) in own.chunks_exact_mut(k).zip(actual.chunks_exact(k)) {
                if actual.iter().all(|v| *v == 0.0) {
                    column.fill(0.0);
                }
            }
        }
        t
    }

    /// U_0 of each factor, and K^-1 U_0.
    pub(crate) fn both_shifts(&self) -> impl Iterator<Item = (&[f64], &[f64])> {
        let factors = 0..self.shift.len();
        factors.map(|f| (self.shift[f].as_slice(), self.weighted_shift(f)))
    }
}

/// What a factorisation that breaks down was of.
pub(crate) const FIRST: &str =
    "the factorisation of the equations of the random effects of the largest grouping factor";

pub(crate) const COMPLEMENT: &str = "the factorisation of the equations of the random effects";
