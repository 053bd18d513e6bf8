//! The factor of M in arithmetic of twice the digits, for random effects that are orders of magnitude larger than residuals.
//!
//! What elimination leaves of a factor nested in another, or crossed with it, is I + T_2'(A_22 - A_21 T_1 (T_1'A_11T_1 + I)^-1
//! T_1'A_12) T_2: the difference in parentheses may be of the order of T_1^-2, so that half of the digits are lost at theta 1e4
//! and all of them at 1e8; so is it within one factor where a level has fewer rows than effects. What it leaves of Lambda'Z'[Q
//! r] is the same kind of difference: sums over rows of the size of residuals, times theta. With twice the digits they are
//! there, if the cross-products have as many: Z'[Z Q r] (with a residual structure Z'R^-1[Z Q r]) is taken again from the rows.
//! What follows from the factor has no such differences, and doubles do; the rows of [Q r] are centred so that theirs are small
//! (see [`crate::moments::blocks::Center`]).

use crate::api::error::EngineError;
use crate::basis::covariances::Covariances;
use crate::linalg::double2::Double2;
use crate::linalg::double2_matrix::{
    cholesky_of_block, cholesky_of_pattern, cholesky_of_triangle, solve_lower, solve_lower_rows,
    subtract_times, t_times, times_t, together, transposed, COLUMNS,
};
use crate::moments::blocks::{FactorMoments, PairMoments, Rest};
use crate::moments::level_precision;
use crate::runtime::memory;
use crate::system::complement::{Complement, Storage};
use crate::system::elimination::Schur;
use crate::system::equations::{Factor, Rows, System, COMPLEMENT, FIRST};

/// Multiply-adds up to which a factorisation is done so: some seconds.
pub(crate) const MOST_WORK: f64 = 3e9;

/// Whether a factorisation takes so few operations that it may be done with twice the digits.
pub(crate) fn is_affordable(schur: &Schur, k1: usize, p1: usize) -> bool {
    let of_complement = schur.storage.multiply_adds();
    let pairs = schur.start.windows(2).map(|w| {
        let effects = (schur.effect_start[w[1]] - schur.effect_start[w[0]]) as f64;
        0.5 * effects.powi(2)
    });
    let of_rows = p1 as f64 * (schur.storage.numbers() + (k1 * schur.effect_row.len()) as f64);
    let effects = (schur.q2 + schur.start.len() * k1) as f64;
    let of_border = (p1 as f64).powi(2) * (effects + p1 as f64);
    of_complement + k1 as f64 * pairs.sum::<f64>() + of_rows + of_border <= MOST_WORK
}

/// L_j, W_j and the factor of the complement with twice the digits, and what they border.
pub(crate) struct ExtendedFactor {
    l1: Vec<Double2>,
    w: Vec<Double2>,
    s: Vec<Double2>,
    /// L^-1 (Lambda'Z'[Q r] - K^-1 U_0).
    rzx: Rows<Vec<Double2>>,
    /// [Q r]'V^-1[Q r], lower triangle.
    bordered: Vec<Double2>,
}

impl ExtendedFactor {
    /// At this T and the U_0 of a factor.
    ///
    /// # Errors
    /// [`EngineError::Numerical`] where M is not positive definite even so.
    pub fn new(
        system: &System,
        rest: &Rest,
        t: &Covariances,
        factor: &Factor,
    ) -> Result<Self, EngineError> {
        let at = AtCovariances { system, rest, t };
        let first = at.eliminate_first();
        let (l1, w) = first.ok_or(EngineError::numerical(FIRST))?;
        let mut s = at.complement(&w);
        let done = match &system.schur.storage {
            Storage::Dense(layout) => cholesky_of_triangle(layout, &mut s, &system.workers),
            Storage::Sparse(pattern) => cholesky_of_pattern(pattern, &mut s, &system.workers),
        };
        done.ok_or(EngineError::numerical(COMPLEMENT))?;
        let mut rzx = at.right_hand_sides(factor);
        at.forward((&l1, &w, &s), &mut rzx);
        let bordered = at.bordered(factor, &rzx);
        Ok(Self {
            l1,
            w,
            s,
            rzx,
            bordered,
        })
    }
}

/// Fills in L_j, W_j, the factor of the complement and what solving with it leaves of Lambda'Z'[Q r] - K^-1 U_0, at the T and the
/// U_0 of a factor; returns log |M| and [Q r]'V^-1[Q r], lower triangle.
///
/// # Errors
/// [`EngineError::Numerical`] where M is not positive definite even so.
pub(crate) fn factorize(
    system: &System,
    rest: &Rest,
    factor: &mut Factor,
) -> Result<(f64, Vec<Double2>), EngineError> {
    let twice = ExtendedFactor::new(system, rest, &factor.t, factor)?;
    let round = |from: &[Double2], to: &mut Vec<f64>| {
        to.clear();
        to.extend(from.iter().map(|value| value.high));
    };
    round(&twice.l1, &mut factor.l1);
    round(&twice.w, &mut factor.w);
    round(&twice.rzx.eliminated, &mut factor.rzx.eliminated);
    round(&twice.rzx.complement, &mut factor.rzx.complement);
    factor.rzx.m = twice.rzx.m;
    let k1 = system.k1();
    let diagonal = |block: &[f64]| (0..k1).map(|a| block[a * k1 + a].ln()).sum::<f64>();
    let mut log_det: f64 = factor.l1.chunks_exact(k1 * k1).map(diagonal).sum();
    match &mut factor.s {
        Complement::Dense(to) => round(&twice.s, &mut to.data),
        Complement::Sparse { values, .. } => round(&twice.s, values),
    }
    log_det += factor.s.log_diagonal();
    Ok((2.0 * log_det, twice.bordered))
}

/// Cross-products and T at one point.
struct AtCovariances<'a> {
    system: &'a System,
    rest: &'a Rest,
    t: &'a Covariances,
}

impl AtCovariances<'_> {
    fn factor(&self, f: usize) -> &FactorMoments {
        &self.system.moments.factors[f]
    }

    /// Z_j'Z_j of a level, k x k.
    fn own_block(&self, f: usize, level: usize) -> Vec<Double2> {
        let size = self.factor(f).k.pow(2);
        let range = level * size..(level + 1) * size;
        together(
            &self.factor(f).zz[range.clone()],
            &self.rest.own[f][range.clone()],
        )
    }

    /// Z_j'Z_l of an entry of a pair.
    fn pair_block(&self, pair: usize, entry: usize) -> (&PairMoments, Vec<Double2>) {
        let of = &self.system.moments.pairs[pair];
        let size = self.factor(of.f).k * self.factor(of.g).k;
        let range = entry * size..(entry + 1) * size;
        let block = together(&of.value[range.clone()], &self.rest.pairs[pair][range]);
        (of, block)
    }

    /// L_j and W_j of every level of the first factor; `None` if one is not positive definite.
    fn eliminate_first(&self) -> Option<(Vec<Double2>, Vec<Double2>)> {
        let (schur, k1) = (&self.system.schur, self.system.k1());
        let mut l1 = memory::with_capacity(self.system.q1() * k1);
        let mut w = memory::with_capacity(schur.effect_row.len() * k1);
        for j in 0..self.factor(0).n_levels {
            if j % COLUMNS == 0 {
                self.system.workers.check();
            }
            let mut block = self.own_block(0, j);
            let own = self.t.of(0, j);
            times_t(&mut block, k1, own, k1);
            t_times(own, k1, &mut block, k1);
            let precision = Double2::from(self.factor(0).precision(j));
            (0..k1).for_each(|a| block[a * k1 + a] += precision);
            cholesky_of_block(&mut block, k1)?;
            for at in schur.start[j]..schur.start[j + 1] {
                let source = schur.source[at];
                let (pair, mut out) = self.pair_block(source.pair as usize, source.entry);
                let k = self.factor(pair.g).k;
                let level = schur.node[schur.neighbour[at] as usize].1;
                times_t(&mut out, k1, self.t.of(pair.g, level), k);
                t_times(own, k1, &mut out, k);
                out.chunks_exact_mut(k1)
                    .for_each(|x| solve_lower(&block, k1, x));
                w.append(&mut out);
            }
            l1.append(&mut block);
        }
        Some((l1, w))
    }

    /// S = K^-1 + T_2'A_22T_2 - sum_j W_j'W_j, where its factor will stand.
    fn complement(&self, w: &[Double2]) -> Vec<Double2> {
        let schur = &self.system.schur;
        let mut out = Vec::new();
        match &schur.storage {
            Storage::Dense(layout) => memory::resize(&mut out, layout.column_start(schur.q2)),
            Storage::Sparse(pattern) => memory::resize(&mut out, pattern.nnz()),
        }
        let mut work = vec![Double2::default(); schur.q2];
        for v in 0..schur.nodes() {
            self.system.workers.check();
            for a in 0..schur.offset[v + 1] - schur.offset[v] {
                let j = schur.offset[v] + a;
                work.fill(Double2::default());
                self.own_column(v, a, &mut work);
                self.subtract_products(w, v, a, &mut work);
                match &schur.storage {
                    Storage::Dense(layout) => {
                        let at = layout.column_start(j);
                        let rows = &work[layout.first_row(j)..];
                        out[at..at + rows.len()].copy_from_slice(rows);
                    }
                    Storage::Sparse(pattern) => {
                        let range = pattern.column_start[j]..pattern.column_start[j + 1];
                        let places = out[range.clone()].iter_mut().zip(&pattern.row[range]);
                        places.for_each(|(value, &row)| *value = work[row as usize]);
                    }
                }
            }
        }
        out
    }

    /// Column (node v, effect a) of K^-1 + T_2'A_22T_2, rows from its own on.
    fn own_column(&self, v: usize, a: usize, column: &mut [Double2]) {
        let schur = &self.system.schur;
        let (f, level) = schur.node[v];
        let k = self.factor(f).k;
        let mut block = self.own_block(f, level);
        let own = self.t.of(f, level);
        times_t(&mut block, k, own, k);
        t_times(own, k, &mut block, k);
        column[schur.offset[v]..schur.offset[v] + k].copy_from_slice(&block[a * k..(a + 1) * k]);
        let known = self
            .factor(f)
            .level_precision
            .get(level)
            .copied()
            .unwrap_or(1.0);
        column[schur.offset[v] + a] += Double2::from(known);
        for at in schur.later_start[v]..schur.later_start[v + 1] {
            let l = schur.later[at] as usize;
            let (source, own_rows) = schur.later_source[at];
            let (pair, block) = self.pair_block(source.pair as usize, source.entry);
            let (g, other) = schur.node[l];
            let kg = self.factor(g).k;
            let mut block = if own_rows {
                transposed(&block, k, kg)
            } else {
                block
            };
            times_t(&mut block, kg, own, k);
            t_times(self.t.of(g, other), kg, &mut block, k);
            let to = &mut column[schur.offset[l]..schur.offset[l] + kg];
            let from = &block[a * kg..(a + 1) * kg];
            to.iter_mut().zip(from).for_each(|(x, y)| *x += *y);
            if let Some(q) = pair.level_precision.get(source.entry) {
                to[a] += Double2::from(*q);
            }
        }
    }

    /// Takes the same column of sum_j W_j'W_j away.
    fn subtract_products(&self, w: &[Double2], v: usize, a: usize, column: &mut [Double2]) {
        let (schur, k1) = (&self.system.schur, self.system.k1());
        for x in schur.incidence_start[v]..schur.incidence_start[v + 1] {
            let j = schur.incidence_level[x] as usize;
            let from = schur.effect_start[schur.incidence[x]] + a;
            let to = schur.effect_start[schur.start[j + 1]];
            let own = &w[from * k1..(from + 1) * k1];
            let others = w[from * k1..to * k1].chunks_exact(k1);
            for (other, &row) in others.zip(&schur.effect_row[from..to]) {
                let sum = &mut column[row as usize];
                for (x, y) in other.iter().zip(own) {
                    *sum = *sum - *x * *y;
                }
            }
        }
    }
}

impl AtCovariances<'_> {
    /// Lambda'Z'[Q r] - K^-1 U_0.
    fn right_hand_sides(&self, factor: &Factor) -> Rows<Vec<Double2>> {
        let schur = &self.system.schur;
        let shifts: Vec<_> = (0..self.t.n_factors())
            .map(|f| self.weighted_shift(f, &factor.shift[f]))
            .collect();
        let mut eliminated = memory::with_capacity(self.factor(0).zx.len());
        for level in 0..self.factor(0).n_levels {
            eliminated.append(&mut self.right_hand_side(0, level, &shifts[0]));
        }
        let mut complement = memory::with_capacity(schur.q2 * self.system.moments.p1);
        for &(f, level) in &schur.node {
            complement.append(&mut self.right_hand_side(f, level, &shifts[f]));
        }
        let m = self.system.moments.p1;
        Rows {
            eliminated,
            complement,
            m,
        }
    }

    /// K^-1 U_0 of one factor; empty where it is not centred.
    fn weighted_shift(&self, f: usize, shift: &[f64]) -> Vec<Double2> {
        if self.factor(f).level_precision.is_empty() {
            return shift.iter().map(|&u| Double2::from(u)).collect();
        }
        let width = self.factor(f).k * self.system.moments.p1;
        let mut out = Vec::new();
        memory::resize(&mut out, shift.len());
        if !shift.is_empty() {
            level_precision::for_each_entry(&self.system.moments, f, |to, from, q| {
                let from = &shift[from * width..(from + 1) * width];
                let to: &mut [Double2] = &mut out[to * width..(to + 1) * width];
                let pairs = to.iter_mut().zip(from);
                pairs.for_each(|(x, u)| *x += Double2::product(q, *u));
            });
        }
        out
    }

    /// [Q r]'[Q r] + U_0'K^-1 U_0 - RZX'RZX, lower triangle.
    fn bordered(&self, factor: &Factor, rows: &Rows<Vec<Double2>>) -> Vec<Double2> {
        let m = rows.m;
        let mut out = together(&self.system.moments.xx, &self.rest.xx);
        for (f, shift) in factor.shift.iter().enumerate() {
            let weighted = self.weighted_shift(f, shift);
            for (u, pu) in shift.chunks_exact(m).zip(weighted.chunks_exact(m)) {
                for j in 0..m {
                    (j..m).for_each(|i| out[j * m + i] += pu[j] * Double2::from(u[i]));
                }
            }
        }
        for row in rows
            .eliminated
            .chunks_exact(m)
            .chain(rows.complement.chunks_exact(m))
        {
            for j in 0..m {
                let own = row[j];
                let to = &mut out[j * m + j..(j + 1) * m];
                subtract_times(to, own, &row[j..]);
            }
        }
        out
    }

    /// The rows of one level.
    fn right_hand_side(&self, f: usize, level: usize, shift: &[Double2]) -> Vec<Double2> {
        let (k, m) = (self.factor(f).k, self.system.moments.p1);
        let t = self.t.of(f, level);
        let range = level * k * m..(level + 1) * k * m;
        let (high, low) = (&self.factor(f).zx[range.clone()], &self.rest.zx[f]);
        let zx = together(high, &low[range.clone()]);
        let mut out = Vec::new();
        memory::resize(&mut out, k * m);
        for (a, row) in out.chunks_exact_mut(m).enumerate() {
            for b in a..k {
                let c = Double2::from(t[a * k + b]);
                let from = &zx[b * m..(b + 1) * m];
                row.iter_mut().zip(from).for_each(|(x, y)| *x += c * *y);
            }
        }
        if let Some(shift) = shift.get(range) {
            out.iter_mut().zip(shift).for_each(|(x, u)| *x += -*u);
        }
        out
    }

    /// B <- L^-1 B, by L_j, W_j and the factor of the complement.
    fn forward(
        &self,
        (l1, w, s): (&[Double2], &[Double2], &[Double2]),
        b: &mut Rows<Vec<Double2>>,
    ) {
        let (schur, k1, m) = (&self.system.schur, self.system.k1(), b.m);
        let blocks = l1
            .chunks_exact(k1 * k1)
            .zip(b.eliminated.chunks_exact_mut(k1 * m));
        for (j, (l, own)) in blocks.enumerate() {
            if j % COLUMNS == 0 {
                self.system.workers.check();
            }
            solve_lower_rows(k1, m, |i, c| l[c * k1 + i], own);
            for e in schur.effect_start[schur.start[j]]..schur.effect_start[schur.start[j + 1]] {
                let row = schur.effect_row[e] as usize;
                let to = &mut b.complement[row * m..(row + 1) * m];
                for (w, from) in w[e * k1..(e + 1) * k1].iter().zip(own.chunks_exact(m)) {
                    subtract_times(to, *w, from);
                }
            }
        }
        match &schur.storage {
            Storage::Dense(layout) => {
                let place = |i, j| layout.column_start(j) + i - layout.first_row(j);
                solve_lower_rows(schur.q2, m, |i, j| s[place(i, j)], &mut b.complement);
            }
            Storage::Sparse(pattern) => {
                for j in 0..pattern.n {
                    let range = pattern.column_start[j]..pattern.column_start[j + 1];
                    let (before, later) = b.complement.split_at_mut((j + 1) * m);
                    let own = &mut before[j * m..];
                    own.iter_mut().for_each(|x| *x = x.over(s[range.start]));
                    let below = range.start + 1..range.end;
                    for (l, &row) in s[below.clone()].iter().zip(&pattern.row[below]) {
                        let at = (row as usize - j - 1) * m;
                        subtract_times(&mut later[at..at + m], *l, own);
                    }
                }
            }
        }
    }
}

pub(crate) mod rows;
#[cfg(test)]
mod tests;
