//! Traces of products of V^-1 and dV where covariance matrices of random effects are singular, from a [`Part`] of a model.

use crate::criterion::direction::Direction;
use crate::inference::singular_covariances_complement::product;
use crate::inference::singular_covariances_part::Part;
use crate::linalg::small;
use crate::runtime::memory;

/// tr(A B) for symmetric A.
fn trace(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

impl Part<'_> {
    /// D_j Y D_j' of a level.
    fn taken_of(&self, level: usize) -> Vec<f64> {
        let (k, q) = (self.piece.system.k1(), self.piece.system.schur.q2);
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
        let (k, q) = (self.piece.system.k1(), self.piece.system.schur.q2);
        let mut out = memory::zeros(q * q);
        for level in self.piece.levels(direction) {
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
        let (schur, q) = (&self.piece.system.schur, self.piece.system.schur.q2);
        let at = |f: usize, level: usize| schur.offset[schur.node_of[f][level] as usize];
        let (rows, columns) = (
            self.piece.system.moments.factors[f].k,
            self.piece.system.moments.factors[g].k,
        );
        let (x, y) = (at(f, i), at(g, j));
        (0..rows * columns)
            .map(|e| a[(y + e / rows) * q + x + e % rows])
            .collect()
    }

    /// tr(E_a A) of a direction of another factor, A of the complement's order and (K x I) times what it is asked of.
    fn trace_of_others(&self, direction: &Direction, a: &[f64]) -> f64 {
        let f = direction.factor;
        self.piece
            .levels(direction)
            .map(|level| trace(&direction.kappa, &self.block(a, (f, level), (f, level))))
            .sum()
    }

    /// tr(V^-1 V_a) of each direction.
    pub fn traces(&self, directions: &[Direction]) -> Vec<f64> {
        let k = self.piece.system.k1();
        let of = |direction: &Direction| {
            if direction.factor != 0 {
                return self.trace_of_others(direction, self.known_b());
            }
            self.piece
                .levels(direction)
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
        let (m, k, q) = (
            directions.len(),
            self.piece.system.k1(),
            self.piece.system.schur.q2,
        );
        let is_first = |a: &usize| directions[*a].factor == 0;
        let mut out = memory::zeros(m * m);
        let first: Vec<usize> = (0..m).filter(is_first).collect();
        let spreads: Vec<Vec<f64>> = first.iter().map(|&a| self.spread(&directions[a])).collect();
        let through = |psi: &Vec<f64>| product((&self.y, false), (psi, false), q);
        let turned: Vec<Vec<f64>> = spreads.iter().map(through).collect();
        let mut products = [memory::zeros(k * k), memory::zeros(k * k)];
        for level in 0..self.levels() {
            self.piece.system.workers.check();
            let own = &self.own[level * k * k..(level + 1) * k * k];
            let taken = self.taken_of(level);
            let which = self.piece.level(0, level);
            let of_level = first
                .iter()
                .filter(|&&a| directions[a].levels.contains(which));
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
            let whole = self.times_known(&whole, q).unwrap_or(whole);
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
        let factors = &self.piece.system.moments.factors;
        let (f, g) = (a.factor, b.factor);
        let (k, l) = (factors[f].k, factors[g].k);
        let (mut sum, known_b) = (0.0, self.known_b());
        let (mut x, mut y) = (memory::zeros(k * l), memory::zeros(l * k));
        for i in self.piece.levels(a) {
            for j in self.piece.levels(b) {
                let block = self.block(known_b, (f, i), (g, j));
                small::mul_nn(&a.kappa, &block, k, k, l, &mut x);
                let block = self.block(known_b, (g, j), (f, i));
                small::mul_nn(&b.kappa, &block, l, l, k, &mut y);
                sum += (0..k * l)
                    .map(|e| x[e] * y[(e % k) * l + e / k])
                    .sum::<f64>();
            }
        }
        sum
    }
}
