//! [`Part`]: the effects of one piece of a model, for [`super::singular_covariances`].

use crate::basis::covariances::Covariances;
use crate::criterion::direction::Direction;
use crate::criterion::residual_directions::ResidualImages;
use crate::inference::singular_covariances_complement::{
    add_level_precisions, known_covariances, others_alone, product, t_times, times_t,
    times_transposed_t, transposed,
};
use crate::inference::singular_covariances_pieces::Piece;
use crate::linalg::{dense, small};
use crate::runtime::memory;
use crate::system::equations::System;

/// Columns C as the equations see them.
pub(super) struct Columns {
    /// How many.
    pub width: usize,
    /// Z'R^-1C of each factor: `width` values for each effect, level after level.
    pub of_effects: Vec<Vec<f64>>,
    /// C'R^-1C.
    pub cross: Vec<f64>,
}

impl Columns {
    /// [Q r].
    pub fn of(system: &System) -> Self {
        let moments = &system.moments;
        Self {
            width: moments.p1,
            of_effects: moments.factors.iter().map(|f| f.zx.clone()).collect(),
            cross: memory::copy(&moments.xx),
        }
    }

    /// Further ones after these, which are [Q r].
    pub fn append(&mut self, images: &ResidualImages) {
        let (p1, more) = (self.width, images.width);
        if more == 0 {
            return;
        }
        let width = p1 + more;
        for (own, other) in self.of_effects.iter_mut().zip(&images.of_effects) {
            let rows = own.chunks_exact(p1).zip(other.chunks_exact(more));
            *own = rows.flat_map(|(x, y)| x.iter().chain(y)).copied().collect();
        }
        let mut cross = memory::zeros(width * width);
        for c in 0..p1 {
            cross[c * width..c * width + p1].copy_from_slice(&self.cross[c * p1..(c + 1) * p1]);
        }
        for c in 0..more {
            let column = (p1 + c) * width;
            for i in 0..p1 {
                let value = images.of_rows[c * p1 + i];
                cross[column + i] = value;
                cross[i * width + p1 + c] = value;
            }
            for i in 0..more {
                let (low, high) = (c.min(i), c.max(i));
                cross[column + p1 + i] = images.own[low * more + high];
            }
        }
        (self.width, self.cross) = (width, cross);
    }
}

/// Z'V^-1Z and Z'V^-1C of the effects of a piece.
pub(super) struct Part<'a> {
    pub(super) piece: Piece<'a>,
    /// Columns of C.
    width: usize,
    /// B_j of each level of the first factor.
    pub(super) own: Vec<f64>,
    /// D_j of each, a column for each effect in its list of neighbours.
    links: Vec<f64>,
    /// Z'V^-1C, row-major: effects of the first factor, and of the others.
    first: Vec<f64>,
    others: Vec<f64>,
    /// K of each factor that has one, else empty.
    known: Vec<Vec<f64>>,
    /// Y, R and S R.
    pub(super) y: Vec<f64>,
    pub(super) r: Vec<f64>,
    b: Vec<f64>,
    /// (K x I) S R and (K x I) times the rows of the others; empty where no factor has a K.
    known_b: Vec<f64>,
    known_others: Vec<f64>,
    /// What these effects add to C'V^-1C.
    pub cross: Vec<f64>,
}

/// T T'.
fn square(t: &[f64], k: usize) -> Vec<f64> {
    let mut g = memory::zeros(k * k);
    small::mul_nt(t, t, k, k, k, &mut g);
    g
}

impl<'a> Part<'a> {
    /// Of these columns, at T of each level.
    pub fn new(piece: Piece<'a>, t: &Covariances, columns: Columns) -> Option<Self> {
        let system = &*piece.system;
        let (moments, schur) = (&system.moments, &system.schur);
        let Columns {
            width: p1,
            of_effects,
            mut cross,
        } = columns;
        let (q2, k) = (schur.q2, system.k1());
        let factor = &moments.factors[0];
        let mut s = others_alone(system);
        let mut others = memory::zeros(q2 * p1);
        for (v, &(f, level)) in schur.node.iter().enumerate() {
            let of_level = moments.factors[f].k * p1;
            let from = &of_effects[f][level * of_level..(level + 1) * of_level];
            others[schur.offset[v] * p1..schur.offset[v + 1] * p1].copy_from_slice(from);
        }
        let mut own = memory::zeros(factor.n_levels * k * k);
        let mut links = memory::zeros(schur.effect_row.len() * k);
        let mut first = memory::zeros(factor.n_levels * k * p1);
        for level in 0..factor.n_levels {
            system.workers.check();
            let g = square(t.of(0, piece.level(0, level)), k);
            let a = &factor.zz[level * k * k..(level + 1) * k * k];
            let zx = &of_effects[0][level * k * p1..(level + 1) * k * p1];
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
        let known = known_covariances(moments)?;
        let mut out = Self {
            piece,
            width: p1,
            own,
            links,
            first,
            others,
            known,
            y: Vec::new(),
            r: Vec::new(),
            b: Vec::new(),
            known_b: Vec::new(),
            known_others: Vec::new(),
            cross,
        };
        out.add_others(s, t).then_some(out)
    }

    /// Takes the other factors into V.
    fn add_others(&mut self, s: Vec<f64>, t: &Covariances) -> bool {
        let (piece, p1, q) = (&self.piece, self.width, self.piece.system.schur.q2);
        let mut m = memory::copy(&s);
        times_t(piece, t, &mut m);
        t_times(piece, t, &mut m);
        add_level_precisions(&piece.system, &mut m);
        if q > 0 && !dense::cholesky(&mut m, q) {
            return false;
        }
        let mut root = memory::zeros(q * q);
        if q > 0 {
            dense::invert_lower(&m, q, &mut root);
            (0..q).for_each(|c| root[c * q..c * q + c].fill(0.0));
        }
        drop(m);
        times_transposed_t(piece, t, &mut root);
        self.y = product((&root, true), (&root, false), q);
        drop(root);
        self.r = product((&self.y, false), (&s, false), q);
        self.r.iter_mut().for_each(|v| *v = -*v);
        (0..q).for_each(|i| self.r[i * q + i] += 1.0);
        self.b = product((&s, false), (&self.r, false), q);
        drop(s);
        // what the others take of the columns
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
        if let Some(b) = self.times_known(&self.b, q) {
            self.known_b = b;
        }
        if let Some(others) = self.times_known(&transposed(&self.others, p1), p1) {
            self.known_others = transposed(&others, q);
        }
        true
    }

    /// (K x I) A for a matrix with a row for each effect of the others, column-major; `None` where no factor has a K.
    pub(super) fn times_known(&self, a: &[f64], columns: usize) -> Option<Vec<f64>> {
        if self.known.iter().all(Vec::is_empty) {
            return None;
        }
        let (schur, q) = (&self.piece.system.schur, self.piece.system.schur.q2);
        let mut out = memory::copy(a);
        for (f, known) in self.known.iter().enumerate().filter(|(_, k)| !k.is_empty()) {
            let factor = &self.piece.system.moments.factors[f];
            let n = factor.n_levels;
            let mut own = memory::zeros(n * columns);
            let mut product = memory::zeros(n * columns);
            for effect in 0..factor.k {
                let row = |level: usize| schur.offset[schur.node_of[f][level] as usize] + effect;
                for (c, own) in own.chunks_exact_mut(n).enumerate() {
                    (0..n).for_each(|level| own[level] = a[c * q + row(level)]);
                }
                if columns > 0 {
                    dense::product(
                        (known, n, n, false),
                        (&own, n, columns, false),
                        &mut product,
                    );
                }
                for (c, product) in product.chunks_exact(n).enumerate() {
                    (0..n).for_each(|level| out[c * q + row(level)] = product[level]);
                }
            }
        }
        Some(out)
    }

    /// (K x I) S R.
    pub(super) fn known_b(&self) -> &[f64] {
        if self.known_b.is_empty() {
            &self.b
        } else {
            &self.known_b
        }
    }

    /// A x for a square matrix of the complement's order (A'x) and rows of the columns.
    fn times(&self, a: &[f64], x: &[f64], transposed: bool) -> Vec<f64> {
        let (q, p1) = (self.piece.system.schur.q2, self.width);
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
    pub(super) fn links_of(&self, level: usize) -> (&[f64], &[u32]) {
        let (schur, k) = (&self.piece.system.schur, self.piece.system.k1());
        let effects =
            schur.effect_start[schur.start[level]]..schur.effect_start[schur.start[level + 1]];
        (
            &self.links[effects.start * k..effects.end * k],
            &schur.effect_row[effects],
        )
    }

    pub(super) fn levels(&self) -> usize {
        self.piece.system.moments.factors[0].n_levels
    }

    /// D_j x for each level of the first factor, of rows of the complement.
    fn links_times(&self, x: &[f64]) -> Vec<f64> {
        let (k, p1) = (self.piece.system.k1(), self.width);
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
        let (p1, schur) = (self.width, &self.piece.system.schur);
        let k = self.piece.system.moments.factors[direction.factor].k;
        let mut first = memory::zeros(self.first.len());
        let mut others = memory::zeros(self.others.len());
        let known = if self.known_others.is_empty() {
            &self.others
        } else {
            &self.known_others
        };
        for level in self.piece.levels(direction) {
            let (from, to) = if direction.factor == 0 {
                let at = level * k * p1..(level + 1) * k * p1;
                (&self.first[at.clone()], &mut first[at])
            } else {
                let v = schur.node_of[direction.factor][level] as usize;
                let at = schur.offset[v] * p1..schur.offset[v + 1] * p1;
                (&known[at.clone()], &mut others[at])
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
        let p1 = self.width;
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

    /// N'E_a N.
    pub fn form(&self, direction: &Direction) -> Vec<f64> {
        let (first, others) = self.turned(direction);
        self.gram((&self.first, &self.others), (&first, &others))
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
        let (k, p1, q) = (
            self.piece.system.k1(),
            self.width,
            self.piece.system.schur.q2,
        );
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
}
