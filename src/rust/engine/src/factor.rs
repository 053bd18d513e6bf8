//! The Cholesky factor of M = Lambda'Z'WZ Lambda + I (a known precision Q in the place of I where there is one) bordered by [Q r], at one set of relative covariance factors T.
//!
//! M is eliminated in two steps. The first grouping factor has block-diagonal D_j = T'A_jj T + I = L_j L_j'; what is left is
//! the Schur complement S = I + T_2'A_22 T_2 - sum_j W_j'W_j with W_j = L_j^-1 T_1'A_j2 T_2, dense or sparse. This is the
//! blocked form of Bates et al. (2015), eqs. 14-20.

use crate::memory;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crate::error::EngineError;
use crate::extended;
use crate::fixed_basis::accumulate_gram;
use crate::linalg::double2::Double2;
use crate::linalg::small;
use crate::linalg::triangle::Triangle;
use crate::moments::Moments;
use crate::parallel::{piece, Workers};
use crate::parts::{chunks, cut};
use crate::prior;
use crate::room::Room;
use crate::schur::{Schur, Source, Storage};

/// Levels of the first factor in one piece of work.
pub const LEVELS: usize = 1024;

/// Nodes of the Schur complement in one piece of work.
pub const NODES: usize = 16;

/// What a factorisation that breaks down was of.
pub(crate) const FIRST: &str =
    "the factorisation of the equations of the random effects of the largest grouping factor";
pub(crate) const COMPLEMENT: &str = "the factorisation of the equations of the random effects";
const FIXED: &str = "the factorisation of the equations of the fixed effects";

/// Everything that does not change between evaluations.
#[derive(Debug)]
pub struct System {
    /// Cross-products.
    pub moments: Moments,
    /// Lists of neighbours.
    pub schur: Arc<Schur>,
    /// Threads.
    pub workers: Arc<Workers>,
}

/// Factor of the Schur complement.
#[derive(Debug, Clone)]
pub enum SchurFactor {
    /// Lower triangle of a dense matrix.
    Dense(Triangle),
    /// Values on the pattern.
    Sparse(Vec<f64>),
}

/// Rows of a matrix with one row for each random effect, split as the factor is: first factor, then Schur complement.
#[derive(Debug, Clone, Default)]
pub struct Rows<V = Vec<f64>> {
    /// q1 x m, row-major.
    pub first: V,
    /// q2 x m, row-major.
    pub rest: V,
    /// Columns.
    pub m: usize,
}

/// The factor and what it borders.
#[derive(Debug, Clone, Default)]
pub struct Factor {
    /// T of each grouping factor (block diagonal over its terms), k x k lower triangular, non-singular.
    pub t: Vec<Vec<f64>>,
    /// L_j of each level of the first factor.
    pub l1: Vec<f64>,
    /// W_j: k1 values for each effect in the neighbour lists.
    pub w: Vec<f64>,
    /// Factor of S.
    pub s: SchurFactor,
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
    /// The same times the known precision of the levels, where there is one, else empty.
    weighted: Vec<Vec<f64>>,
    /// T of each grouping factor whose derivatives are asked for, where `t` is that of a slightly larger G (see
    /// [`crate::covariance::COARSE`]).
    pub actual: Option<Vec<Vec<f64>>>,
}

impl Default for SchurFactor {
    fn default() -> Self {
        Self::Sparse(Vec::new())
    }
}

/// M^-1 as far as the gradient needs it.
#[derive(Debug, Clone, Default)]
pub struct SelectedInverse {
    /// S^-1: dense, or on the pattern of its factor.
    pub r: SchurFactor,
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

    pub(crate) fn block(&self, source: Source) -> &[f64] {
        let pair = &self.moments.pairs[source.pair as usize];
        let size = self.moments.factors[pair.f].k * self.moments.factors[pair.g].k;
        &pair.value[source.entry * size..(source.entry + 1) * size]
    }
}

impl Factor {
    /// Factorises at the given T, in the room of an old factor; `center` holds B_0 per factor (internal basis) or empty vectors.
    ///
    /// # Errors
    /// [`EngineError::Numerical`] where a matrix is not positive definite in floating point, [`EngineError::PerfectFit`] where the
    /// residual sum of squares vanishes.
    pub fn new(
        system: &System,
        t: Vec<Vec<f64>>,
        center: &[Vec<f64>],
        old: Self,
    ) -> Result<Self, EngineError> {
        // one that was given up has no room
        let has_room = match &old.s {
            SchurFactor::Dense(s) => s.order() == system.schur.q2,
            SchurFactor::Sparse(values) => !values.is_empty(),
        };
        let shift = shifts(system, &t, center, old.shift);
        let weighted = weighted_shifts(system, &shift, old.weighted);
        let mut factor = Self {
            rzx: old.rzx,
            t,
            l1: old.l1,
            w: old.w,
            s: if has_room {
                old.s
            } else {
                empty_storage(&system.schur)
            },
            lx: old.lx,
            log_det_m: 0.0,
            log_det_x: 0.0,
            pwrss: 0.0,
            total: 0.0,
            shift,
            weighted,
            actual: None,
        };
        let log_det = match &system.moments.rest {
            Some(rest) => {
                let (log_det, xx) = extended::factorize(system, rest, &mut factor)?;
                factor.border_extended(system, xx)?;
                log_det
            }
            None => {
                let room = std::mem::take(&mut factor.rzx);
                let shift = |f: usize| factor.weighted_shift(f);
                let mut rzx = right_hand_sides(system, &factor.t, shift, room);
                let log_det = factor.factorize(system)?;
                factor.forward(system, &mut rzx);
                factor.rzx = rzx;
                factor.border(system)?;
                log_det
            }
        };
        factor.log_det_m = log_det - system.moments.log_det_prior;
        Ok(factor)
    }

    /// What is left where the complement is not factorised: no solves, `rzx` without rows; determinants are to be set.
    pub(crate) fn without_complement(
        t: Vec<Vec<f64>>,
        l1: Vec<f64>,
        rzx: Rows,
        shift: Vec<Vec<f64>>,
    ) -> Self {
        Self {
            rzx,
            t,
            l1,
            w: Vec::new(),
            s: SchurFactor::default(),
            lx: Vec::new(),
            log_det_m: 0.0,
            log_det_x: 0.0,
            pwrss: 0.0,
            total: 0.0,
            shift,
            weighted: Vec::new(),
            actual: None,
        }
    }

    /// P U_0 of one factor; empty where it is not centred.
    pub(crate) fn weighted_shift(&self, f: usize) -> &[f64] {
        match self.weighted.get(f) {
            Some(weighted) if !weighted.is_empty() => weighted,
            _ => &self.shift[f],
        }
    }

    /// U_0 of each factor, and P U_0.
    fn both_shifts(&self) -> impl Iterator<Item = (&[f64], &[f64])> {
        let factors = 0..self.shift.len();
        factors.map(|f| (self.shift[f].as_slice(), self.weighted_shift(f)))
    }

    /// L_j, W_j and the factor of the complement; returns log |M|.
    fn factorize(&mut self, system: &System) -> Result<f64, EngineError> {
        let (l1, w) = (std::mem::take(&mut self.l1), std::mem::take(&mut self.w));
        let (l1, w, log_det) =
            eliminate_first(system, &self.t, l1, w).ok_or(EngineError::numerical(FIRST))?;
        (self.l1, self.w) = (l1, w);
        let of_complement = self.factorize_schur(system);
        Ok(log_det + of_complement.ok_or(EngineError::numerical(COMPLEMENT))?)
    }

    /// S = I + T_2'A_22T_2 - sum_j W_j'W_j and its Cholesky factor; returns log |S|.
    fn factorize_schur(&mut self, system: &System) -> Option<f64> {
        let mut storage = std::mem::replace(&mut self.s, SchurFactor::Sparse(Vec::new()));
        assemble(system, &self.w, None, -1.0, Some(&self.t), &mut storage);
        let log_det = match (&mut storage, &system.schur.storage) {
            (SchurFactor::Dense(s), _) => {
                if !s.cholesky(&system.workers) {
                    return None;
                }
                s.log_diagonal()
            }
            (SchurFactor::Sparse(values), Storage::Sparse(pattern)) => {
                if !pattern.cholesky(values, &mut system.workers.room(pattern.n)) {
                    return None;
                }
                (0..pattern.n)
                    .map(|j| values[pattern.column_start[j]].ln())
                    .sum::<f64>()
            }
            (SchurFactor::Sparse(_), Storage::Dense) => return None,
        };
        self.s = storage;
        Some(2.0 * log_det)
    }

    /// Row-major B (q2 x m) <- L_S^-1 B or, with `transposed`, L_S^-T B, for the factor of the Schur complement.
    pub fn solve_complement(&self, system: &System, b: &mut [f64], m: usize, transposed: bool) {
        match (&self.s, &system.schur.storage) {
            (SchurFactor::Dense(s), _) => s.solve_rows(b, m, transposed),
            (SchurFactor::Sparse(values), Storage::Sparse(pattern)) if transposed => {
                pattern.solve_transposed(values, b, m);
            }
            (SchurFactor::Sparse(values), Storage::Sparse(pattern)) => pattern.solve(values, b, m),
            (SchurFactor::Sparse(_), Storage::Dense) => {}
        }
    }

    /// Gives away the factor of a dense complement: solves are not possible afterwards, determinants and solutions already
    /// found stay.
    pub fn give_up_complement(&mut self) -> Option<Triangle> {
        if let SchurFactor::Dense(s) = &mut self.s {
            return Some(std::mem::take(s));
        }
        None
    }

    /// B <- L^-1 B.
    pub fn forward<V: DerefMut<Target = [f64]>>(&self, system: &System, b: &mut Rows<V>) {
        let (schur, k1, m) = (&system.schur, system.k1(), b.m);
        if m == 0 {
            return;
        }
        for_each_level(system, &mut b.first, k1 * m, |j, block| {
            small::solve_lower_rows(&self.l1[j * k1 * k1..(j + 1) * k1 * k1], k1, block, m);
        });
        if schur.q2 == 0 {
            return;
        }
        let first = &*b.first;
        let parts = cut(&mut b.rest, |i| schur.offset[first_node(schur, i)] * m);
        system
            .workers
            .for_each(node_pieces(schur), parts, |piece, rows| {
                let nodes = node_piece(schur, piece);
                let base = schur.offset[nodes.start];
                for v in nodes {
                    for x in schur.incidence_start[v]..schur.incidence_start[v + 1] {
                        let j = schur.incidence_level[x] as usize;
                        let from = &first[j * k1 * m..(j + 1) * k1 * m];
                        let effect = schur.effect_start[schur.incidence[x]];
                        for a in 0..schur.offset[v + 1] - schur.offset[v] {
                            let row = &mut rows[(schur.offset[v] + a - base) * m
                                ..(schur.offset[v] + a - base + 1) * m];
                            let w = &self.w[(effect + a) * k1..(effect + a + 1) * k1];
                            for (c, source) in w.iter().zip(from.chunks_exact(m)) {
                                row.iter_mut().zip(source).for_each(|(x, y)| *x -= c * y);
                            }
                        }
                    }
                }
            });
        self.solve_complement(system, &mut b.rest, m, false);
    }

    /// B <- L^-T B.
    pub fn backward<V: DerefMut<Target = [f64]>>(&self, system: &System, b: &mut Rows<V>) {
        let (schur, k1, m) = (&system.schur, system.k1(), b.m);
        self.solve_complement(system, &mut b.rest, m, true);
        let rest = &*b.rest;
        if m == 0 {
            return;
        }
        for_each_level(system, &mut b.first, k1 * m, |j, block| {
            for e in schur.effect_start[schur.start[j]]..schur.effect_start[schur.start[j + 1]] {
                let row = schur.effect_row[e] as usize;
                let source = &rest[row * m..(row + 1) * m];
                for (c, target) in self.w[e * k1..(e + 1) * k1]
                    .iter()
                    .zip(block.chunks_exact_mut(m))
                {
                    target.iter_mut().zip(source).for_each(|(x, y)| *x -= c * y);
                }
            }
            let l = &self.l1[j * k1 * k1..(j + 1) * k1 * k1];
            small::solve_lower_transposed_rows(l, k1, block, m);
        });
    }

    /// Share of a pivot of M that rounding may have changed, at most: what it was before others were eliminated over what was
    /// left of it, in units of rounding.
    pub(crate) fn rounding(&self, system: &System) -> f64 {
        if system.moments.rest.is_some() {
            return f64::EPSILON;
        }
        let (schur, k1) = (&system.schur, system.k1());
        let mut most = 1.0f64;
        for (j, l) in self
            .l1
            .chunks_exact(k1 * k1)
            .enumerate()
            .skip_while(|_| k1 == 1)
        {
            for a in 0..k1 {
                let left: f64 = l[a * k1 + a].powi(2);
                most = most.max(self.pivot_before(system, (0, j), a) / left);
            }
        }
        for (v, &node) in schur.node.iter().enumerate() {
            for (a, j) in (schur.offset[v]..schur.offset[v + 1]).enumerate() {
                let root = match (&self.s, &schur.storage) {
                    (SchurFactor::Dense(s), _) if s.order() > j => s.entry(j, j),
                    (SchurFactor::Sparse(values), Storage::Sparse(pattern)) => {
                        values[pattern.column_start[j]]
                    }
                    _ => f64::INFINITY,
                };
                most = most.max(self.pivot_before(system, node, a) / root.powi(2));
            }
        }
        f64::EPSILON * most
    }

    /// Diagonal entry of M: effect `a` of a level.
    fn pivot_before(&self, system: &System, (f, level): (usize, usize), a: usize) -> f64 {
        let own = &system.moments.factors[f];
        let k = own.k;
        let zz = &own.zz[level * k * k..(level + 1) * k * k];
        let t = &self.t[f][a * k..(a + 1) * k];
        let column = |c: usize| (a..k).map(|i| zz[c * k + i] * t[i]).sum::<f64>();
        let form: f64 = (a..k).map(|c| t[c] * column(c)).sum();
        form + own.prior.get(level).copied().unwrap_or(1.0)
    }

    /// Square of column j of [Q r] before anything was taken out of it.
    pub(crate) fn before(&self, system: &System, j: usize) -> f64 {
        let p1 = self.rzx.m;
        let moved = self.both_shifts();
        let moved = moved.flat_map(|(u, pu)| u.chunks_exact(p1).zip(pu.chunks_exact(p1)));
        system.moments.xx[j * p1 + j] + moved.map(|(u, pu)| u[j] * pu[j]).sum::<f64>()
    }

    /// Adds U_0'P U_0, lower triangle.
    fn add_shifts(&self, system: &System, xx: &mut [f64]) {
        let p1 = system.moments.p1;
        for (shift, weighted) in self.both_shifts() {
            if std::ptr::eq(shift, weighted) {
                accumulate_gram(shift, p1, xx);
                continue;
            }
            for (u, pu) in shift.chunks_exact(p1).zip(weighted.chunks_exact(p1)) {
                for j in 0..p1 {
                    (j..p1).for_each(|i| xx[j * p1 + i] += u[i] * pu[j]);
                }
            }
        }
    }

    /// [Q r]'V^-1[Q r] = [Q r]'[Q r] + U_0'P U_0 - RZX'RZX, its factor, log |Q'V^-1Q| and the residual sum of squares.
    fn border(&mut self, system: &System) -> Result<(), EngineError> {
        let taken = gram(system, &self.rzx);
        self.border_with(system, &taken)
    }

    /// The same with `taken` = [Q r]'Z Lambda M^-1 Lambda'Z'[Q r], lower triangle.
    pub(crate) fn border_with(
        &mut self,
        system: &System,
        taken: &[f64],
    ) -> Result<(), EngineError> {
        let p1 = self.rzx.m;
        let mut xx = std::mem::take(&mut self.lx);
        xx.clone_from(&system.moments.xx);
        self.add_shifts(system, &mut xx);
        self.total = xx[p1 * p1 - 1];
        for j in 0..p1 {
            for i in j..p1 {
                xx[j * p1 + i] -= taken[j * p1 + i];
            }
        }
        if !small::cholesky(&mut xx, p1) {
            return Err(self.why_not_positive(system, taken));
        }
        self.lx = xx;
        self.finish_border();
        Ok(())
    }

    /// The same from [Q r]'V^-1[Q r] with twice the digits.
    fn border_extended(
        &mut self,
        system: &System,
        mut xx: Vec<Double2>,
    ) -> Result<(), EngineError> {
        let p1 = self.rzx.m;
        self.total = self.before(system, p1 - 1);
        if extended::cholesky_of_block(&mut xx, p1).is_none() {
            let taken = gram(system, &self.rzx);
            return Err(self.why_not_positive(system, &taken));
        }
        self.lx.clear();
        self.lx.extend(xx.iter().map(|value| value.high));
        self.finish_border();
        Ok(())
    }

    /// What the factor of [Q r]'V^-1[Q r] tells.
    fn finish_border(&mut self) {
        let (p1, lx) = (self.rzx.m, &self.lx);
        self.pwrss = lx[p1 * p1 - 1].powi(2);
        self.log_det_x = 2.0 * (0..p1 - 1).map(|j| lx[j * p1 + j].ln()).sum::<f64>();
    }

    /// Whether it is the fixed effects' part of [Q r]'V^-1[Q r] that is not positive, or what they leave of the response.
    fn why_not_positive(&self, system: &System, taken: &[f64]) -> EngineError {
        let p1 = self.rzx.m;
        let p = p1 - 1;
        let mut all = memory::copy(&system.moments.xx);
        self.add_shifts(system, &mut all);
        let mut xx: Vec<f64> = (0..p * p)
            .map(|e| (e / p) * p1 + e % p)
            .map(|e| all[e] - taken[e])
            .collect();
        if self.total.is_finite() && small::cholesky(&mut xx, p) {
            EngineError::PerfectFit
        } else {
            EngineError::numerical(FIXED)
        }
    }

    /// M^-1 on the pattern that the gradient needs, in the room of an old one.
    #[must_use]
    pub fn selected_inverse(&mut self, system: &System, old: SelectedInverse) -> SelectedInverse {
        let schur = &system.schur;
        let r = match (&self.s, &schur.storage) {
            (SchurFactor::Dense(s), _) => {
                let mut out = if let SchurFactor::Dense(m) = old.r {
                    m
                } else {
                    Triangle::default()
                };
                s.inverse_of_product(&mut out, &system.workers);
                SchurFactor::Dense(out)
            }
            (SchurFactor::Sparse(values), Storage::Sparse(pattern)) => {
                let mut out = if let SchurFactor::Sparse(v) = old.r {
                    v
                } else {
                    Vec::new()
                };
                pattern.selected_inverse(values, &mut out, &mut system.workers.room(pattern.n));
                SchurFactor::Sparse(out)
            }
            (SchurFactor::Sparse(_), Storage::Dense) => SchurFactor::Sparse(Vec::new()),
        };
        let y = self.times_inverse(system, &r, old.y);
        let m11 = self.first_blocks(system, &y, old.m11);
        SelectedInverse { r, y, m11 }
    }

    /// Y_j = W_j S^-1 on the neighbours of j, in the room of `y`.
    fn times_inverse(&self, system: &System, r: &SchurFactor, mut y: Vec<f64>) -> Vec<f64> {
        let (schur, k1) = (&system.schur, system.k1());
        // each value is written
        memory::resize(&mut y, schur.effect_row.len() * k1);
        if schur.q2 == 0 {
            return y;
        }
        if let (true, SchurFactor::Dense(inverse)) = (schur.dense_w, r) {
            times_dense(system, &self.w, inverse, &mut y);
            return y;
        }
        let w = &self.w;
        let parts = cut(&mut y, |i| schur.y_start[first_node(schur, i)] * k1);
        system
            .workers
            .for_each(node_pieces(schur), parts, |piece, out| {
                let nodes = node_piece(schur, piece);
                let columns = schur.offset[nodes.start]..schur.offset[nodes.end];
                let mut work = match r {
                    SchurFactor::Dense(inverse) => {
                        let mut work = system.workers.room(schur.q2 * columns.len());
                        inverse.gather(columns.clone(), &mut work);
                        work
                    }
                    SchurFactor::Sparse(_) => system.workers.room(schur.q2),
                };
                let mut at = 0;
                for v in nodes {
                    let size = schur.offset[v + 1] - schur.offset[v];
                    for a in 0..size {
                        let column: &[f64] = match (r, &schur.storage) {
                            (SchurFactor::Dense(_), _) => {
                                let c = schur.offset[v] + a - columns.start;
                                &work[c * schur.q2..(c + 1) * schur.q2]
                            }
                            (SchurFactor::Sparse(values), Storage::Sparse(pattern)) => {
                                pattern.scatter_symmetric(values, schur.offset[v] + a, &mut work);
                                &work
                            }
                            (SchurFactor::Sparse(_), Storage::Dense) => &work,
                        };
                        for (i, x) in
                            (schur.incidence_start[v]..schur.incidence_start[v + 1]).enumerate()
                        {
                            let j = schur.incidence_level[x] as usize;
                            let range = schur.effect_start[schur.start[j]]
                                ..schur.effect_start[schur.start[j + 1]];
                            let target =
                                &mut out[at + (i * size + a) * k1..at + (i * size + a + 1) * k1];
                            row_times_column(
                                &w[range.start * k1..range.end * k1],
                                &schur.effect_row[range],
                                column,
                                k1,
                                target,
                            );
                        }
                    }
                    at += (schur.incidence_start[v + 1] - schur.incidence_start[v]) * size * k1;
                }
            });
        y
    }

    /// [M^-1]_jj = L_j^-T (I + W_j S^-1 W_j') L_j^-1, in the room of `m11`.
    fn first_blocks(&self, system: &System, y: &[f64], mut m11: Vec<f64>) -> Vec<f64> {
        let (schur, k1) = (&system.schur, system.k1());
        m11.clear();
        memory::resize(&mut m11, self.l1.len());
        let parts = chunks(&mut m11, LEVELS * k1 * k1);
        system
            .workers
            .for_each(level_pieces(system), parts, |piece, out| {
                for (i, block) in out.chunks_exact_mut(k1 * k1).enumerate() {
                    let j = piece * LEVELS + i;
                    (0..k1).for_each(|a| block[a * k1 + a] = 1.0);
                    for at in schur.start[j]..schur.start[j + 1] {
                        let slot = y_slot(schur, at) * k1;
                        let effects = schur.effect_start[at]..schur.effect_start[at + 1];
                        let size = effects.len();
                        for (w, y) in self.w[effects.start * k1..effects.end * k1]
                            .chunks_exact(k1)
                            .zip(y[slot..slot + size * k1].chunks_exact(k1))
                        {
                            for (c, yc) in y.iter().enumerate() {
                                for (a, wa) in w.iter().enumerate() {
                                    block[c * k1 + a] += wa * yc;
                                }
                            }
                        }
                    }
                    let l = &self.l1[j * k1 * k1..(j + 1) * k1 * k1];
                    // L^-T B L^-1: columns, then (B symmetric) columns of the transpose
                    for c in 0..k1 {
                        small::solve_lower_transposed(l, k1, &mut block[c * k1..(c + 1) * k1]);
                    }
                    transpose(block, k1);
                    for c in 0..k1 {
                        small::solve_lower_transposed(l, k1, &mut block[c * k1..(c + 1) * k1]);
                    }
                }
            });
        m11
    }
}

fn transpose(a: &mut [f64], k: usize) {
    for j in 0..k {
        for i in j + 1..k {
            a.swap(j * k + i, i * k + j);
        }
    }
}

/// sum over e of w_e column[row_e], each w_e a k1-vector.
fn row_times_column(w: &[f64], rows: &[u32], column: &[f64], k1: usize, out: &mut [f64]) {
    if k1 == 1 {
        let mut s = 0.0;
        for (w, &row) in w.iter().zip(rows) {
            s += w * column[row as usize];
        }
        out[0] = s;
        return;
    }
    out.fill(0.0);
    for (w, &row) in w.chunks_exact(k1).zip(rows) {
        let c = column[row as usize];
        out.iter_mut().zip(w).for_each(|(o, w)| *o += w * c);
    }
}

/// Place of neighbour `at` in Y, in effects.
#[must_use]
pub fn y_slot(schur: &Schur, at: usize) -> usize {
    let v = schur.neighbour[at] as usize;
    let size = schur.offset[v + 1] - schur.offset[v];
    schur.y_start[v] + (schur.incidence_of[at] - schur.incidence_start[v]) * size
}

/// Pieces of work over the levels of the first factor.
fn level_pieces(system: &System) -> usize {
    system.moments.factors[0].n_levels.div_ceil(LEVELS)
}

/// Calls `f(j, values of level j)` for each level of the first factor, with `size` values a level.
fn for_each_level(
    system: &System,
    values: &mut [f64],
    size: usize,
    f: impl Fn(usize, &mut [f64]) + Sync,
) {
    let parts = chunks(values, LEVELS * size);
    system
        .workers
        .for_each(level_pieces(system), parts, |i, part| {
            for (at, own) in part.chunks_exact_mut(size).enumerate() {
                f(i * LEVELS + at, own);
            }
        });
}

/// Pieces of work over the nodes.
fn node_pieces(schur: &Schur) -> usize {
    schur.nodes().div_ceil(NODES)
}

/// First node of a piece, or, after the last one, their number.
fn first_node(schur: &Schur, piece: usize) -> usize {
    node_piece(schur, piece).start
}

/// Nodes of one piece.
#[must_use]
pub fn node_piece(schur: &Schur, piece: usize) -> std::ops::Range<usize> {
    crate::parallel::piece(schur.nodes(), NODES, piece)
}

fn empty_storage(schur: &Schur) -> SchurFactor {
    match &schur.storage {
        Storage::Dense => SchurFactor::Dense(Triangle::with_layout(Arc::clone(&schur.layout))),
        Storage::Sparse(pattern) => SchurFactor::Sparse(memory::zeros(pattern.nnz())),
    }
}

/// U_0 = T^-1 B_0 for each factor with a centre, in the room of `shift`.
pub(crate) fn shifts(
    system: &System,
    t: &[Vec<f64>],
    center: &[Vec<f64>],
    mut shift: Vec<Vec<f64>>,
) -> Vec<Vec<f64>> {
    shift.resize_with(center.len(), Vec::new);
    let m = system.moments.p1;
    for (u, (b, (f, t))) in shift
        .iter_mut()
        .zip(center.iter().zip(system.moments.factors.iter().zip(t)))
    {
        u.clone_from(b);
        for block in u.chunks_exact_mut(f.k * m) {
            small::solve_lower_rows(t, f.k, block, m);
        }
    }
    shift
}

/// P U_0 of each factor whose levels have a known precision, in the room of others; empty where U_0 is P U_0.
fn weighted_shifts(system: &System, shift: &[Vec<f64>], mut room: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    room.resize_with(shift.len(), Vec::new);
    for (f, (u, out)) in shift.iter().zip(&mut room).enumerate() {
        let factor = &system.moments.factors[f];
        out.clear();
        if factor.prior.is_empty() {
            continue;
        }
        memory::resize(out, u.len());
        let width = factor.k * system.moments.p1;
        prior::for_each_entry(&system.moments, f, |to, from, q| {
            let to = out.get_mut(to * width..(to + 1) * width);
            let from = u.get(from * width..(from + 1) * width);
            for (x, y) in to.into_iter().flatten().zip(from.into_iter().flatten()) {
                *x += q * y;
            }
        });
    }
    room
}

/// Lambda'Z'[Q r] less P U_0, which `shift` gives of each factor, in the room of `rows`.
pub(crate) fn right_hand_sides<'a>(
    system: &System,
    t: &[Vec<f64>],
    shift: impl Fn(usize) -> &'a [f64] + Sync,
    mut rows: Rows,
) -> Rows {
    let (moments, schur) = (&system.moments, &system.schur);
    let m = moments.p1;
    rows.m = m;
    for (part, len) in [(&mut rows.first, system.q1()), (&mut rows.rest, schur.q2)] {
        part.clear();
        memory::resize(part, len * m);
    }
    let scaled = |f: usize, level: usize, out: &mut [f64]| {
        let k = moments.factors[f].k;
        let zx = &moments.factors[f].zx[level * k * m..(level + 1) * k * m];
        for a in 0..k {
            let row = &mut out[a * m..(a + 1) * m];
            for b in a..k {
                let c = t[f][a * k + b];
                if c != 0.0 {
                    row.iter_mut()
                        .zip(&zx[b * m..(b + 1) * m])
                        .for_each(|(x, y)| *x += c * y);
                }
            }
            let at = (level * k + a) * m;
            if let Some(u) = shift(f).get(at..at + m) {
                row.iter_mut().zip(u).for_each(|(x, u)| *x -= u);
            }
        }
    };
    let k1 = system.k1();
    for_each_level(system, &mut rows.first, k1 * m, |j, block| {
        scaled(0, j, block)
    });
    for (v, &(f, level)) in schur.node.iter().enumerate() {
        scaled(
            f,
            level,
            &mut rows.rest[schur.offset[v] * m..schur.offset[v + 1] * m],
        );
    }
    rows
}

/// L_j and W_j of every level of the first factor, in the room of `l1` and `w`, and sum of log |D_j|.
pub(crate) fn eliminate_first(
    system: &System,
    t: &[Vec<f64>],
    mut l1: Vec<f64>,
    mut w: Vec<f64>,
) -> Option<(Vec<f64>, Vec<f64>, f64)> {
    let (moments, schur, k1) = (&system.moments, &system.schur, system.k1());
    let levels = moments.factors[0].n_levels;
    // each value is written
    memory::resize(&mut l1, levels * k1 * k1);
    memory::resize(&mut w, schur.effect_row.len() * k1);
    let border = |i: usize| (i * LEVELS).min(levels);
    let count = level_pieces(system);
    let mut log_dets = system.workers.room(count);
    let parts = (
        cut(&mut l1, |i| border(i) * k1 * k1),
        cut(&mut w, |i| schur.effect_start[schur.start[border(i)]] * k1),
        chunks(&mut log_dets, 1),
    );
    system
        .workers
        .for_each(count, parts, |piece, (l, w, log_det)| {
            log_det[0] = eliminate_piece(system, t, border(piece)..border(piece + 1), l, w);
        });
    let total: f64 = log_dets.iter().sum();
    drop(log_dets);
    total.is_finite().then_some((l1, w, total))
}

fn eliminate_piece(
    system: &System,
    t: &[Vec<f64>],
    levels: std::ops::Range<usize>,
    l: &mut [f64],
    w: &mut [f64],
) -> f64 {
    let (schur, k1) = (&system.schur, system.k1());
    let mut log_det = 0.0;
    let mut half = system.workers.room(k1 * k1);
    let mut room = system.workers.room(k1 * system.most_effects());
    let mut at_w = 0;
    for (j, block) in levels.zip(l.chunks_exact_mut(k1 * k1)) {
        let zz = &system.moments.factors[0].zz[j * k1 * k1..(j + 1) * k1 * k1];
        small::mul_nn(zz, &t[0], k1, k1, k1, &mut half);
        small::mul_tn(&t[0], &half, k1, k1, k1, block);
        (0..k1).for_each(|a| block[a * k1 + a] += 1.0);
        if !small::cholesky(block, k1) {
            return f64::NAN;
        }
        log_det += 2.0 * (0..k1).map(|a| block[a * k1 + a].ln()).sum::<f64>();
        for at in schur.start[j]..schur.start[j + 1] {
            let v = schur.neighbour[at] as usize;
            let f = schur.node[v].0;
            let k = system.moments.factors[f].k;
            let product = &mut room[..k1 * k];
            small::mul_nn(system.block(schur.source[at]), &t[f], k1, k, k, product);
            let out = &mut w[at_w..at_w + k1 * k];
            small::mul_tn(&t[0], product, k1, k1, k, out);
            for column in out.chunks_exact_mut(k1) {
                small::solve_lower(block, k1, column);
            }
            at_w += k1 * k;
        }
    }
    log_det
}

/// out = [I + T_2'A_22T_2 if `t` is given] + sign * sum_j W_j'K_j W_j, lower triangle; K_j, symmetric k1 x k1
/// blocks, is `middle`, or the identity.
pub fn assemble(
    system: &System,
    w: &[f64],
    middle: Option<&[f64]>,
    sign: f64,
    t: Option<&[Vec<f64>]>,
    out: &mut SchurFactor,
) {
    let schur = &system.schur;
    if schur.q2 == 0 {
        return;
    }
    let count = node_pieces(schur);
    let most = system.most_effects();
    match (out, &schur.storage) {
        (SchurFactor::Dense(s), _) => {
            let layout = Arc::clone(&s.layout);
            let start = |i| layout.column_start(schur.offset[first_node(schur, i)]);
            let sparse_products = !schur.dense_w;
            system
                .workers
                .for_each(count, cut(&mut s.data, start), |piece, columns| {
                    let mut room = system.workers.room(2 * most);
                    for v in node_piece(schur, piece) {
                        for a in 0..schur.offset[v + 1] - schur.offset[v] {
                            let j = schur.offset[v] + a;
                            let first = layout.first_row(j);
                            let at = layout.column_start(j) - start(piece);
                            let column = &mut columns[at..at + schur.q2 - first];
                            column.fill(0.0);
                            if let Some(t) = t {
                                own_column(system, t, (v, a), first, &mut room, column);
                            }
                            if sparse_products {
                                let products = (w, middle, sign);
                                add_products(system, products, (v, a), first, &mut room, column);
                            }
                        }
                    }
                });
            if schur.dense_w {
                add_dense_products(system, w, middle, sign, s);
            }
        }
        (SchurFactor::Sparse(values), Storage::Sparse(pattern)) => {
            let start = |i| pattern.column_start[schur.offset[first_node(schur, i)]];
            system
                .workers
                .for_each(count, cut(values, start), |piece, values| {
                    let mut work = system.workers.room(schur.q2);
                    let mut room = system.workers.room(2 * most);
                    let base = start(piece);
                    for v in node_piece(schur, piece) {
                        for a in 0..schur.offset[v + 1] - schur.offset[v] {
                            let j = schur.offset[v] + a;
                            let range = pattern.column_start[j]..pattern.column_start[j + 1];
                            for &row in &pattern.row[range.clone()] {
                                work[row as usize] = 0.0;
                            }
                            if let Some(t) = t {
                                own_column(system, t, (v, a), 0, &mut room, &mut work);
                            }
                            let products = (w, middle, sign);
                            add_products(system, products, (v, a), 0, &mut room, &mut work);
                            for (value, &row) in values[range.start - base..range.end - base]
                                .iter_mut()
                                .zip(&pattern.row[range])
                            {
                                *value = work[row as usize];
                            }
                        }
                    }
                });
        }
        (SchurFactor::Sparse(_), Storage::Dense) => {}
    }
}

/// Column (node v, effect a) of I + T_2'A_22T_2, rows from its own on; `column` starts with row `first`, `room` holds two
/// vectors of the most effects.
fn own_column(
    system: &System,
    t: &[Vec<f64>],
    (v, a): (usize, usize),
    first: usize,
    room: &mut [f64],
    column: &mut [f64],
) {
    let schur = &system.schur;
    let (f, level) = schur.node[v];
    let k = system.moments.factors[f].k;
    let zz = &system.moments.factors[f].zz[level * k * k..(level + 1) * k * k];
    // T'(A (T e_a)), with T lower triangular
    let t_column = &t[f][a * k..(a + 1) * k];
    let (half, product) = room.split_at_mut(room.len() / 2);
    let half = &mut half[..k];
    small::mul_nn(zz, t_column, k, k, 1, half);
    for row in a..k {
        let value: f64 = (row..k).map(|i| t[f][row * k + i] * half[i]).sum();
        column[schur.offset[v] + row - first] = value;
    }
    let prior = &system.moments.factors[f].prior;
    column[schur.offset[v] + a - first] += prior.get(level).copied().unwrap_or(1.0);
    for at in schur.later_start[v]..schur.later_start[v + 1] {
        let l = schur.later[at] as usize;
        let g = schur.node[l].0;
        let kg = system.moments.factors[g].k;
        let (source, own_rows) = schur.later_source[at];
        let block = system.block(source);
        // (A_lv T_v e_a), then T_l'
        let product = &mut product[..kg];
        if own_rows {
            small::mul_tn(block, t_column, k, kg, 1, product);
        } else {
            small::mul_nn(block, t_column, kg, k, 1, product);
        }
        for row in 0..kg {
            column[schur.offset[l] + row - first] += (row..kg)
                .map(|i| t[g][row * kg + i] * product[i])
                .sum::<f64>();
        }
        let prior = &system.moments.pairs[source.pair as usize].prior;
        if let Some(q) = prior.get(source.entry) {
            column[schur.offset[l] + a - first] += q;
        }
    }
}

/// Adds the same column of sign * sum_j W_j'K_j W_j (see [`assemble`]).
fn add_products(
    system: &System,
    (w, middle, sign): (&[f64], Option<&[f64]>, f64),
    (v, a): (usize, usize),
    first: usize,
    room: &mut [f64],
    column: &mut [f64],
) {
    let (schur, k1) = (&system.schur, system.k1());
    let turned = &mut room[..k1];
    for x in schur.incidence_start[v]..schur.incidence_start[v + 1] {
        let j = schur.incidence_level[x] as usize;
        let from = schur.effect_start[schur.incidence[x]] + a;
        let to = schur.effect_start[schur.start[j + 1]];
        let rows = &schur.effect_row[from..to];
        let mut own = &w[from * k1..(from + 1) * k1];
        if let Some(middle) = middle {
            let k = &middle[j * k1 * k1..(j + 1) * k1 * k1];
            small::mul_nn(k, own, k1, k1, 1, turned);
            own = turned;
        }
        if k1 == 1 {
            let c = sign * own[0];
            for (l, &row) in w[from..to].iter().zip(rows) {
                column[row as usize - first] += c * l;
            }
        } else {
            for (l, &row) in w[from * k1..to * k1].chunks_exact(k1).zip(rows) {
                let s: f64 = l.iter().zip(own).map(|(x, y)| x * y).sum();
                column[row as usize - first] += sign * s;
            }
        }
    }
}

/// Rows of W that are spread out at once.
const SPREAD: usize = 256;

/// Levels of the first factor whose rows are spread out at once, and how often.
fn spread_pieces(system: &System) -> (usize, usize) {
    let size = (SPREAD / system.k1()).max(1);
    (size, system.moments.factors[0].n_levels.div_ceil(size))
}

/// The rows of W of some levels as a full matrix: row-major, one row for each effect of the first factor.
fn spread(system: &System, w: &[f64], levels: std::ops::Range<usize>, out: &mut [f64]) {
    let (schur, k1, q2) = (&system.schur, system.k1(), system.schur.q2);
    out.fill(0.0);
    for (j, block) in levels.zip(out.chunks_exact_mut(k1 * q2)) {
        for e in schur.effect_start[schur.start[j]]..schur.effect_start[schur.start[j + 1]] {
            for a in 0..k1 {
                block[a * q2 + schur.effect_row[e] as usize] = w[e * k1 + a];
            }
        }
    }
}

fn add_dense_products(
    system: &System,
    w: &[f64],
    middle: Option<&[f64]>,
    sign: f64,
    s: &mut Triangle,
) {
    let (k1, q2) = (system.k1(), system.schur.q2);
    let (size, count) = spread_pieces(system);
    let mut rows = system.workers.room(size * k1 * q2);
    let mut other = system.workers.room(middle.map_or(0, |_| rows.len()));
    for i in 0..count {
        let levels = piece(system.moments.factors[0].n_levels, size, i);
        let m = levels.len() * k1;
        let rows = &mut rows[..m * q2];
        spread(system, w, levels.clone(), rows);
        let right = if let Some(middle) = middle {
            let other = &mut other[..m * q2];
            for ((j, from), to) in levels
                .zip(rows.chunks_exact(k1 * q2))
                .zip(other.chunks_exact_mut(k1 * q2))
            {
                // row-major blocks: the columns of the transpose
                let k = &middle[j * k1 * k1..(j + 1) * k1 * k1];
                small::mul_nn(from, k, q2, k1, k1, to);
            }
            &*other
        } else {
            &*rows
        };
        s.add_product_of_rows(rows, right, m, sign, &system.workers);
    }
}

/// Y = W S^-1 where W is nearly full: products of some rows at a time, sorted into the order of the incidences.
fn times_dense(system: &System, w: &[f64], inverse: &Triangle, y: &mut [f64]) {
    let (schur, k1, q2) = (&system.schur, system.k1(), system.schur.q2);
    let workers = &system.workers;
    let (size, count) = spread_pieces(system);
    let levels = |i: usize| piece(system.moments.factors[0].n_levels, size, i);
    let each = size * k1 * q2;
    let mut products = workers.room(each * workers.count().min(count));
    // as many pieces at a time as there are threads: each is the same whatever stands beside it
    for from in (0..count).step_by(workers.count()) {
        let batch = workers.count().min(count - from);
        let parts = chunks(&mut products[..batch * each], each);
        workers.for_each(batch, parts, |i, product| {
            let levels = levels(from + i);
            let m = levels.len() * k1;
            let mut rows = workers.room(m * q2);
            spread(system, w, levels, &mut rows);
            inverse.rows_times(&rows, m, &mut product[..m * q2]);
        });
        for (i, product) in products.chunks_exact(each).take(batch).enumerate() {
            for (j, rows) in levels(from + i).zip(product.chunks_exact(k1 * q2)) {
                for at in schur.start[j]..schur.start[j + 1] {
                    let slot = y_slot(schur, at);
                    for (i, e) in (schur.effect_start[at]..schur.effect_start[at + 1]).enumerate() {
                        for a in 0..k1 {
                            y[(slot + i) * k1 + a] = rows[a * q2 + schur.effect_row[e] as usize];
                        }
                    }
                }
            }
        }
    }
}

/// Lower triangle of B'B for rows of B, m x m.
#[must_use]
pub fn gram<'a, V: Deref<Target = [f64]> + Sync>(system: &'a System, rows: &Rows<V>) -> Room<'a> {
    let m = rows.m;
    let chunk = LEVELS * system.k1() * m.max(1);
    let first = rows.first.len().div_ceil(chunk);
    let count = first + rows.rest.len().div_ceil(chunk);
    system.workers.sum(count, m * m, |i, total| {
        let (from, i) = if i < first {
            (&rows.first, i)
        } else {
            (&rows.rest, i - first)
        };
        accumulate_gram(&from[piece(from.len(), chunk, i)], m, total);
    })
}
