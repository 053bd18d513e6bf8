//! Traces and forms of dV where covariance matrices of random effects are singular, with nothing divided by them.
//!
//! Elsewhere V_a = Z Lambda kappa_a Lambda'Z' with kappa_a = T^-1 E_a T^-T, E_a = dG/dpsi_a, which T = 0 does not allow: a floor
//! under T moves results, and rounding grows as 1 / T^2 (more than that where weights differ). In user's terms V_a = Z E_a Z', so
//! that all is a function of B = Z'V^-1Z and N = Z'V^-1[Q r]:
//!
//! | | |
//! |---|---|
//! | tr(V^-1 V_a) | tr(E_a B) |
//! | tr(V^-1 V_a V^-1 V_b) | tr(E_a B E_b B) |
//! | \[Q r\]'V^-1 V_a V^-1 \[Q r\] | N'E_a N |
//! | \[Q r\]'V^-1 V_a V^-1 V_b V^-1 \[Q r\] | N'E_a B E_b N |
//!
//! (E_a stands for I x E_a.) With the first factor alone, B_j = (I + A_j G)^-1 A_j for each level j, A_j = Z_j'WZ_j, N_j = (I + A_j
//! G)^-1 Z_j'W[Q r] and D_j = (I + A_j G)^-1 Z_j'WZ_2, Z_2 the effects of all others: no difference is taken, and at G = 0 they are
//! the cross-products themselves. The others see S = Z_2'V_1^-1Z_2 = Z_2'WZ_2 - sum_j Z_2'WZ_j G D_j, and with G_2 = L L' and
//! Y = L (I + L'SL)^-1 L', R = I - Y S:
//!
//! | effects of | first factor, levels j and l | others |
//! |---|---|---|
//! | first factor | B_j \[j = l\] - D_j Y D_l' | D_j R |
//! | others | | S R |
//!
//! Sums over pairs of levels of the first factor collapse into Psi_a = sum_j D_j'E_a D_j: the last part of tr(E_a B E_b B) is
//! tr(Y Psi_a Y Psi_b), and between the first factor and others it is tr(R'Psi_a R E_b).

use crate::basis::covariances::Covariances;
use crate::basis::internal_theta::InternalTheta;
use crate::criterion::direction::Direction;
use crate::fit::prepare::Prepared;
use crate::linalg::{dense, small};
use crate::moments::level_precision;
use crate::runtime::memory;
use crate::system::equations::System;

/// Order of the complement up to which dense matrices of that order are made.
const LARGEST: usize = 1000;

/// Variance of an effect relative to that of the mean of the residuals of its level up to which differences of doubles leave
/// digits.
const SHARE: f64 = 1e8;

/// Multiply-adds of a pass over pairs of neighbours up to which it is made, without a look at a flag.
const LONG: f64 = 3e8;

/// Z'V^-1Z and Z'V^-1[Q r] at one T, singular or not.
pub(super) struct Information<'a> {
    system: &'a System,
    /// B_j of each level of the first factor.
    own: Vec<f64>,
    /// D_j of each, a column for each effect in its list of neighbours.
    links: Vec<f64>,
    /// Z'V^-1[Q r], row-major: effects of the first factor, and of the others.
    first: Vec<f64>,
    others: Vec<f64>,
    /// Y, R and S R.
    y: Vec<f64>,
    r: Vec<f64>,
    b: Vec<f64>,
    /// [Q r]'V^-1[Q r].
    pub cross: Vec<f64>,
}

/// Whether these matrices can be made: of independent rows, without known precision matrices, not too large, and with digits
/// beside the other effects.
pub(super) fn is_possible(prepared: &Prepared, theta: &InternalTheta) -> bool {
    let moments = &prepared.system.moments;
    prepared.residual.is_none()
        && !level_precision::any(moments)
        && !prepared.center.has_effects()
        && moments.factors.iter().all(|f| f.multiplicity.is_empty())
        && prepared.largest_share(theta) <= SHARE
        && prepared.system.schur.q2 <= LARGEST
        && prepared.system.schur.pair_work(prepared.system.k1()) <= LONG
}

/// The part for Q of a matrix for [Q r].
pub(super) fn of_fixed(a: &[f64], p1: usize) -> Vec<f64> {
    let r = p1 - 1;
    memory::collect((0..r * r).map(|e| a[(e / r) * p1 + e % r]))
}

/// T T'.
fn square(t: &[f64], k: usize) -> Vec<f64> {
    let mut g = memory::zeros(k * k);
    small::mul_nt(t, t, k, k, k, &mut g);
    g
}

/// A B of square matrices, either of them transposed.
fn product(a: (&[f64], bool), b: (&[f64], bool), n: usize) -> Vec<f64> {
    let mut out = memory::zeros(n * n);
    if n > 0 {
        dense::product((a.0, n, n, a.1), (b.0, n, n, b.1), &mut out);
    }
    out
}

/// tr(A B) for symmetric A.
fn trace(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

impl<'a> Information<'a> {
    /// At T of each level.
    pub fn new(system: &'a System, t: &Covariances) -> Option<Self> {
        let (moments, schur) = (&system.moments, &system.schur);
        let (p1, q2, k) = (moments.p1, schur.q2, system.k1());
        let factor = &moments.factors[0];
        let mut s = others_alone(system);
        let mut others = memory::zeros(q2 * p1);
        for (v, &(f, level)) in schur.node.iter().enumerate() {
            let of_level = moments.factors[f].k * p1;
            let from = &moments.factors[f].zx[level * of_level..(level + 1) * of_level];
            others[schur.offset[v] * p1..schur.offset[v + 1] * p1].copy_from_slice(from);
        }
        let mut cross = memory::copy(&moments.xx);
        let mut own = memory::zeros(factor.n_levels * k * k);
        let mut links = memory::zeros(schur.effect_row.len() * k);
        let mut first = memory::zeros(factor.n_levels * k * p1);
        for level in 0..factor.n_levels {
            let g = square(t.of(0, level), k);
            let a = &factor.zz[level * k * k..(level + 1) * k * k];
            let zx = &factor.zx[level * k * p1..(level + 1) * k * p1];
            let neighbours = schur.start[level]..schur.start[level + 1];
            let effects = schur.effect_start[neighbours.start]..schur.effect_start[neighbours.end];
            // columns of A_j, Z_j'W[Q r] and Z_j'WZ_2
            let mut before = a.to_vec();
            before.extend((0..p1 * k).map(|e| zx[(e % k) * p1 + e / k]));
            for neighbour in neighbours {
                before.extend_from_slice(system.block(schur.source[neighbour]));
            }
            let mut after = before.clone();
            let mut left = memory::zeros(k * k);
            small::mul_nn(a, &g, k, k, k, &mut left);
            (0..k).for_each(|i| left[i * k + i] += 1.0);
            let mut columns: Vec<&mut [f64]> = after.chunks_exact_mut(k).collect();
            if !small::solve_general(&left, &mut columns, k) {
                return None;
            }
            let width = after.len() / k;
            let mut scaled = memory::zeros(after.len());
            small::mul_nn(&g, &after, k, k, width, &mut scaled);
            let (x, z) = (k, k + p1);
            let less = |i: usize, j: usize| -> f64 {
                let (u, v) = (&before[i * k..(i + 1) * k], &scaled[j * k..(j + 1) * k]);
                u.iter().zip(v).map(|(u, v)| u * v).sum()
            };
            for c in 0..p1 {
                (0..p1).for_each(|i| cross[c * p1 + i] -= less(x + i, x + c));
            }
            let rows = &schur.effect_row[effects.clone()];
            for (j, &column) in rows.iter().enumerate() {
                let column = column as usize;
                for (i, &row) in rows.iter().enumerate() {
                    s[column * q2 + row as usize] -= less(z + i, z + j);
                }
                (0..p1).for_each(|c| others[column * p1 + c] -= less(z + j, x + c));
            }
            own[level * k * k..(level + 1) * k * k].copy_from_slice(&after[..k * k]);
            links[effects.start * k..effects.end * k].copy_from_slice(&after[z * k..]);
            let target = &mut first[level * k * p1..(level + 1) * k * p1];
            for (e, value) in target.iter_mut().enumerate() {
                *value = after[(x + e % p1) * k + e / p1];
            }
        }
        let mut out = Self {
            system,
            own,
            links,
            first,
            others,
            y: Vec::new(),
            r: Vec::new(),
            b: Vec::new(),
            cross,
        };
        out.add_others(s, t).then_some(out)
    }

    /// Takes the other factors into V.
    fn add_others(&mut self, s: Vec<f64>, t: &Covariances) -> bool {
        let (schur, p1, q) = (&self.system.schur, self.p1(), self.system.schur.q2);
        let mut l = memory::zeros(q * q);
        for (v, &(f, level)) in schur.node.iter().enumerate() {
            let (at, k) = (schur.offset[v], self.system.moments.factors[f].k);
            let own = t.of(f, level);
            (0..k * k).for_each(|e| l[(at + e / k) * q + at + e % k] = own[e]);
        }
        let half = product((&s, false), (&l, false), q);
        let mut m = product((&l, true), (&half, false), q);
        (0..q).for_each(|i| m[i * q + i] += 1.0);
        if q > 0 && !dense::cholesky(&mut m, q) {
            return false;
        }
        let mut inverse = memory::zeros(q * q);
        if q > 0 {
            dense::invert_lower(&m, q, &mut inverse);
            (0..q).for_each(|c| inverse[c * q..c * q + c].fill(0.0));
        }
        let root = product((&inverse, false), (&l, true), q);
        self.y = product((&root, true), (&root, false), q);
        self.r = product((&self.y, false), (&s, false), q);
        self.r.iter_mut().for_each(|v| *v = -*v);
        (0..q).for_each(|i| self.r[i * q + i] += 1.0);
        self.b = product((&s, false), (&self.r, false), q);
        // what the others take of [Q r]
        let taken = self.times(&self.y, &self.others, false);
        for c in 0..p1 {
            for i in 0..p1 {
                let sum: f64 = (0..q)
                    .map(|e| self.others[e * p1 + i] * taken[e * p1 + c])
                    .sum();
                self.cross[c * p1 + i] -= sum;
            }
        }
        let less = self.links_times(&taken);
        self.first.iter_mut().zip(&less).for_each(|(x, y)| *x -= y);
        self.others = self.times(&self.r, &self.others, true);
        true
    }

    fn p1(&self) -> usize {
        self.system.moments.p1
    }

    /// A x for a square matrix of the complement's order (A'x) and rows of [Q r].
    fn times(&self, a: &[f64], x: &[f64], transposed: bool) -> Vec<f64> {
        let (q, p1) = (self.system.schur.q2, self.p1());
        let mut out = memory::zeros(q * p1);
        for (c, column) in a.chunks_exact(q.max(1)).enumerate() {
            for (r, value) in column.iter().enumerate() {
                let (to, from) = if transposed { (c, r) } else { (r, c) };
                for i in 0..p1 {
                    out[to * p1 + i] += value * x[from * p1 + i];
                }
            }
        }
        out
    }

    /// Columns of D_j of a level, and the rows of the complement that they are for.
    fn links_of(&self, level: usize) -> (&[f64], &[u32]) {
        let (schur, k) = (&self.system.schur, self.system.k1());
        let effects =
            schur.effect_start[schur.start[level]]..schur.effect_start[schur.start[level + 1]];
        (
            &self.links[effects.start * k..effects.end * k],
            &schur.effect_row[effects],
        )
    }

    fn levels(&self) -> usize {
        self.system.moments.factors[0].n_levels
    }

    /// D_j x for each level of the first factor, of rows of the complement.
    fn links_times(&self, x: &[f64]) -> Vec<f64> {
        let (k, p1) = (self.system.k1(), self.p1());
        let mut out = memory::zeros(self.levels() * k * p1);
        for (level, target) in out.chunks_exact_mut((k * p1).max(1)).enumerate() {
            let (links, rows) = self.links_of(level);
            for (column, &row) in links.chunks_exact(k).zip(rows) {
                for (i, value) in column.iter().enumerate() {
                    for c in 0..p1 {
                        target[i * p1 + c] += value * x[row as usize * p1 + c];
                    }
                }
            }
        }
        out
    }

    /// E_a N: of the first factor, and of the others.
    fn turned(&self, direction: &Direction) -> (Vec<f64>, Vec<f64>) {
        let (p1, schur) = (self.p1(), &self.system.schur);
        let k = self.system.moments.factors[direction.factor].k;
        let mut first = memory::zeros(self.first.len());
        let mut others = memory::zeros(self.others.len());
        for level in direction
            .levels
            .among(self.system.moments.factors[direction.factor].n_levels)
        {
            let (from, to) = if direction.factor == 0 {
                let at = level * k * p1..(level + 1) * k * p1;
                (&self.first[at.clone()], &mut first[at])
            } else {
                let v = schur.node_of[direction.factor][level] as usize;
                let at = schur.offset[v] * p1..schur.offset[v + 1] * p1;
                (&self.others[at.clone()], &mut others[at])
            };
            for (e, weight) in direction.kappa.iter().enumerate() {
                let (i, j) = (e % k, e / k);
                (0..p1).for_each(|c| to[i * p1 + c] += weight * from[j * p1 + c]);
            }
        }
        (first, others)
    }

    /// A'B for matrices with a row for each effect, p1 x p1.
    fn gram(&self, a: (&[f64], &[f64]), b: (&[f64], &[f64])) -> Vec<f64> {
        let p1 = self.p1();
        let mut out = memory::zeros(p1 * p1);
        for (x, y) in [(a.0, b.0), (a.1, b.1)] {
            for (x, y) in x.chunks_exact(p1).zip(y.chunks_exact(p1)) {
                for (c, y) in y.iter().enumerate() {
                    (0..p1).for_each(|i| out[c * p1 + i] += x[i] * y);
                }
            }
        }
        out
    }

    /// N'E_a N of each direction.
    pub fn forms(&self, directions: &[Direction]) -> Vec<Vec<f64>> {
        let n = (self.first.as_slice(), self.others.as_slice());
        let form = |direction| {
            let (first, others) = self.turned(direction);
            self.gram(n, (&first, &others))
        };
        directions.iter().map(form).collect()
    }

    /// N'E_a B E_b N of each pair of directions, `[a][b]`.
    pub fn double_forms(&self, directions: &[Direction]) -> Vec<Vec<Vec<f64>>> {
        let turned: Vec<_> = directions.iter().map(|d| self.turned(d)).collect();
        let through: Vec<_> = turned.iter().map(|(x, y)| self.through(x, y)).collect();
        let of = |a: &(Vec<f64>, Vec<f64>)| {
            let row = through
                .iter()
                .map(|b| self.gram((&a.0, &a.1), (&b.0, &b.1)));
            row.collect()
        };
        turned.iter().map(of).collect()
    }

    /// B w.
    fn through(&self, first: &[f64], others: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let (k, p1, q) = (self.system.k1(), self.p1(), self.system.schur.q2);
        let mut seen = memory::zeros(q * p1);
        let mut out = memory::zeros(first.len());
        for level in 0..self.levels() {
            let w = &first[level * k * p1..(level + 1) * k * p1];
            let (links, rows) = self.links_of(level);
            for (column, &row) in links.chunks_exact(k).zip(rows) {
                for (i, value) in column.iter().enumerate() {
                    let to = row as usize * p1;
                    (0..p1).for_each(|c| seen[to + c] += value * w[i * p1 + c]);
                }
            }
            let own = &self.own[level * k * k..(level + 1) * k * k];
            let target = &mut out[level * k * p1..(level + 1) * k * p1];
            for (e, weight) in own.iter().enumerate() {
                (0..p1).for_each(|c| target[(e % k) * p1 + c] += weight * w[(e / k) * p1 + c]);
            }
        }
        let mut between = self.times(&self.r, others, false);
        let less = self.times(&self.y, &seen, false);
        between.iter_mut().zip(&less).for_each(|(x, y)| *x -= y);
        let more = self.links_times(&between);
        out.iter_mut().zip(&more).for_each(|(x, y)| *x += y);
        let mut of_others = self.times(&self.b, others, false);
        let more = self.times(&self.r, &seen, true);
        of_others.iter_mut().zip(&more).for_each(|(x, y)| *x += y);
        (out, of_others)
    }

    /// D_j Y D_j' of a level.
    fn taken_of(&self, level: usize) -> Vec<f64> {
        let (k, q) = (self.system.k1(), self.system.schur.q2);
        let (links, rows) = self.links_of(level);
        let mut out = memory::zeros(k * k);
        for (x, &row) in links.chunks_exact(k).zip(rows) {
            for (z, &column) in links.chunks_exact(k).zip(rows) {
                let y = self.y[column as usize * q + row as usize];
                for (e, value) in out.iter_mut().enumerate() {
                    *value += x[e % k] * y * z[e / k];
                }
            }
        }
        out
    }

    /// Psi_a of a direction of the first factor.
    fn spread(&self, direction: &Direction) -> Vec<f64> {
        let (k, q) = (self.system.k1(), self.system.schur.q2);
        let mut out = memory::zeros(q * q);
        for level in direction.levels.among(self.levels()) {
            let (links, rows) = self.links_of(level);
            let mut turned = memory::zeros(links.len());
            small::mul_nn(&direction.kappa, links, k, k, rows.len(), &mut turned);
            for (x, &column) in turned.chunks_exact(k).zip(rows) {
                for (z, &row) in links.chunks_exact(k).zip(rows) {
                    let value: f64 = x.iter().zip(z).map(|(x, z)| x * z).sum();
                    out[column as usize * q + row as usize] += value;
                }
            }
        }
        out
    }

    /// The block of a matrix of the complement's order between two of its levels.
    fn block(&self, a: &[f64], (f, i): (usize, usize), (g, j): (usize, usize)) -> Vec<f64> {
        let (schur, q) = (&self.system.schur, self.system.schur.q2);
        let at = |f: usize, level: usize| schur.offset[schur.node_of[f][level] as usize];
        let (rows, columns) = (
            self.system.moments.factors[f].k,
            self.system.moments.factors[g].k,
        );
        let (x, y) = (at(f, i), at(g, j));
        (0..rows * columns)
            .map(|e| a[(y + e / rows) * q + x + e % rows])
            .collect()
    }

    /// tr(E_a A) of a direction of another factor, A of the complement's order.
    fn trace_of_others(&self, direction: &Direction, a: &[f64]) -> f64 {
        let f = direction.factor;
        let levels = direction
            .levels
            .among(self.system.moments.factors[f].n_levels);
        levels
            .map(|level| trace(&direction.kappa, &self.block(a, (f, level), (f, level))))
            .sum()
    }

    /// tr(V^-1 V_a) of each direction.
    pub fn traces(&self, directions: &[Direction]) -> Vec<f64> {
        let k = self.system.k1();
        let of = |direction: &Direction| {
            if direction.factor != 0 {
                return self.trace_of_others(direction, &self.b);
            }
            let levels = direction.levels.among(self.levels());
            levels
                .map(|level| {
                    let own = &self.own[level * k * k..(level + 1) * k * k];
                    trace(&direction.kappa, own) - trace(&direction.kappa, &self.taken_of(level))
                })
                .sum()
        };
        directions.iter().map(of).collect()
    }

    /// tr(V^-1 V_a V^-1 V_b) of all pairs of directions, m x m.
    pub fn double_traces(&self, directions: &[Direction]) -> Vec<f64> {
        let (m, k, q) = (directions.len(), self.system.k1(), self.system.schur.q2);
        let is_first = |a: &usize| directions[*a].factor == 0;
        let mut out = memory::zeros(m * m);
        let first: Vec<usize> = (0..m).filter(is_first).collect();
        let spreads: Vec<Vec<f64>> = first.iter().map(|&a| self.spread(&directions[a])).collect();
        let through = |psi: &Vec<f64>| product((&self.y, false), (psi, false), q);
        let turned: Vec<Vec<f64>> = spreads.iter().map(through).collect();
        let mut products = [memory::zeros(k * k), memory::zeros(k * k)];
        for level in 0..self.levels() {
            let own = &self.own[level * k * k..(level + 1) * k * k];
            let taken = self.taken_of(level);
            let of_level = first
                .iter()
                .filter(|&&a| directions[a].levels.contains(level));
            for &a in of_level.clone() {
                for &b in of_level.clone() {
                    let [x, y] = &mut products;
                    small::mul_nn(&directions[a].kappa, own, k, k, k, x);
                    small::mul_nn(&directions[b].kappa, own, k, k, k, y);
                    out[b * m + a] += small::trace_product(x, y, k);
                    small::mul_nn(&directions[b].kappa, &taken, k, k, k, y);
                    let once = small::trace_product(x, y, k);
                    out[b * m + a] -= once;
                    out[a * m + b] -= once;
                }
            }
        }
        for (i, &a) in first.iter().enumerate() {
            for (j, &b) in first.iter().enumerate() {
                out[b * m + a] += small::trace_product(&turned[i], &turned[j], q);
            }
            let half = product((&spreads[i], false), (&self.r, false), q);
            let whole = product((&self.r, true), (&half, false), q);
            for b in (0..m).filter(|b| !is_first(b)) {
                let value = self.trace_of_others(&directions[b], &whole);
                out[b * m + a] = value;
                out[a * m + b] = value;
            }
        }
        for a in (0..m).filter(|a| !is_first(a)) {
            for b in (0..=a).filter(|b| !is_first(b)) {
                let value = self.trace_between_others(&directions[a], &directions[b]);
                out[b * m + a] = value;
                out[a * m + b] = value;
            }
        }
        out
    }

    /// tr(E_a B E_b B) of two directions of other factors.
    fn trace_between_others(&self, a: &Direction, b: &Direction) -> f64 {
        let factors = &self.system.moments.factors;
        let (f, g) = (a.factor, b.factor);
        let (k, l) = (factors[f].k, factors[g].k);
        let mut sum = 0.0;
        let (mut x, mut y) = (memory::zeros(k * l), memory::zeros(l * k));
        for i in a.levels.among(factors[f].n_levels) {
            for j in b.levels.among(factors[g].n_levels) {
                let block = self.block(&self.b, (f, i), (g, j));
                small::mul_nn(&a.kappa, &block, k, k, l, &mut x);
                small::mul_nt(&b.kappa, &block, l, l, k, &mut y);
                sum += (0..k * l)
                    .map(|e| x[e] * y[(e % k) * l + e / k])
                    .sum::<f64>();
            }
        }
        sum
    }
}

/// Z_2'WZ_2, q2 x q2.
fn others_alone(system: &System) -> Vec<f64> {
    let (moments, schur) = (&system.moments, &system.schur);
    let q = schur.q2;
    let mut s = memory::zeros(q * q);
    for (v, &(f, level)) in schur.node.iter().enumerate() {
        let (at, k) = (schur.offset[v], moments.factors[f].k);
        let own = &moments.factors[f].zz[level * k * k..(level + 1) * k * k];
        (0..k * k).for_each(|e| s[(at + e / k) * q + at + e % k] = own[e]);
    }
    for pair in moments
        .pairs
        .iter()
        .filter(|pair| pair.f > 0 && pair.f != pair.g)
    {
        let (k, size) = (
            moments.factors[pair.f].k,
            moments.factors[pair.f].k * moments.factors[pair.g].k,
        );
        let at = |f: usize, level: usize| schur.offset[schur.node_of[f][level] as usize];
        for j in 0..moments.factors[pair.f].n_levels {
            for entry in pair.start[j]..pair.start[j + 1] {
                let (x, y) = (at(pair.f, j), at(pair.g, pair.level[entry] as usize));
                for (e, &value) in pair.value[entry * size..(entry + 1) * size]
                    .iter()
                    .enumerate()
                {
                    s[(y + e / k) * q + x + e % k] = value;
                    s[(x + e % k) * q + y + e / k] = value;
                }
            }
        }
    }
    s
}
