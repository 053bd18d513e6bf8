//! M^-1 as far as the gradient needs it.

use crate::linalg::small;
use crate::linalg::triangle::Triangle;
use crate::runtime::memory;
use crate::runtime::partition::{chunks, cut, piece};
use crate::system::assemble::{spread, spread_pieces};
use crate::system::complement::Complement;
use crate::system::elimination::Schur;
use crate::system::equations::{Factor, SelectedInverse, System};
use crate::system::pieces::{
    first_node, level_pieces, neighbours_among, node_piece, node_pieces, nodes_by_level, LEVELS,
};

impl Factor {
    /// M^-1 on the pattern that the gradient needs, in the workspace of an old one.
    #[must_use]
    pub fn selected_inverse(&mut self, system: &System, old: SelectedInverse) -> SelectedInverse {
        let r = self.s.selected_inverse(old.r, &system.workers);
        let y = self.times_inverse(system, &r, old.y);
        let m11 = self.first_blocks(system, &y, old.m11);
        SelectedInverse { r, y, m11 }
    }

    /// Y_j = W_j S^-1 on the neighbours of j, in the workspace of `y`.
    fn times_inverse(&self, system: &System, r: &Complement, mut y: Vec<f64>) -> Vec<f64> {
        let (schur, k1) = (&system.schur, system.k1());
        // each value is written
        memory::resize(&mut y, schur.effect_row.len() * k1);
        if schur.q2 == 0 {
            return y;
        }
        if let (true, Complement::Dense(inverse)) = (schur.dense_w, r) {
            times_dense(system, &self.w, inverse, &mut y);
            return y;
        }
        if let (Some(nodes), Complement::Dense(_)) = (nodes_by_level(system), r) {
            self.times_inverse_by_level(system, r, nodes, &mut y);
            return y;
        }
        let w = &self.w;
        let partition = cut(&mut y, |i| schur.y_start[first_node(schur, i)] * k1);
        system
            .workers
            .for_each(node_pieces(schur), partition, |piece, out| {
                let nodes = node_piece(schur, piece);
                let columns = schur.offset[nodes.start]..schur.offset[nodes.end];
                let mut columns = r.columns(columns, &system.workers);
                let mut at = 0;
                for v in nodes {
                    let size = schur.offset[v + 1] - schur.offset[v];
                    for a in 0..size {
                        let column = columns.get(schur.offset[v] + a);
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

    /// The same level by level for so many nodes at a time.
    fn times_inverse_by_level(&self, system: &System, r: &Complement, nodes: usize, y: &mut [f64]) {
        let (schur, k1, workers) = (&system.schur, system.k1(), &system.workers);
        let count = schur.nodes().div_ceil(nodes);
        let own = |i: usize| piece(schur.nodes(), nodes, i);
        let start = |i| schur.y_start[own(i).start] * k1;
        workers.for_each(count, cut(y, start), |i, out| {
            let (own, base) = (own(i), start(i));
            let mut columns = r.columns(schur.offset[own.start]..schur.offset[own.end], workers);
            for j in 0..system.moments.factors[0].n_levels {
                let range =
                    schur.effect_start[schur.start[j]]..schur.effect_start[schur.start[j + 1]];
                let (w, rows) = (
                    &self.w[range.start * k1..range.end * k1],
                    &schur.effect_row[range],
                );
                for at in neighbours_among(schur, j, &own) {
                    let v = schur.neighbour[at] as usize;
                    let target = y_slot(schur, at) * k1 - base;
                    for (a, c) in (schur.offset[v]..schur.offset[v + 1]).enumerate() {
                        let target = &mut out[target + a * k1..target + (a + 1) * k1];
                        row_times_column(w, rows, columns.get(c), k1, target);
                    }
                }
            }
        });
    }

    /// [M^-1]_jj = L_j^-T (I + W_j S^-1 W_j') L_j^-1, in the workspace of `m11`.
    fn first_blocks(&self, system: &System, y: &[f64], mut m11: Vec<f64>) -> Vec<f64> {
        let (schur, k1) = (&system.schur, system.k1());
        m11.clear();
        memory::resize(&mut m11, self.l1.len());
        let partition = chunks(&mut m11, LEVELS * k1 * k1);
        system
            .workers
            .for_each(level_pieces(system), partition, |piece, out| {
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

/// Y = W S^-1 where W is nearly full: products of some rows at a time, sorted into the order of the incidences.
fn times_dense(system: &System, w: &[f64], inverse: &Triangle, y: &mut [f64]) {
    let (schur, k1, q2) = (&system.schur, system.k1(), system.schur.q2);
    let workers = &system.workers;
    let (size, count) = spread_pieces(system);
    let levels = |i: usize| piece(system.moments.factors[0].n_levels, size, i);
    let each = size * k1 * q2;
    let mut products = workers.buffer(each * workers.count().min(count));
    // as many pieces at a time as there are threads: each is the same whatever the others are
    for from in (0..count).step_by(workers.count()) {
        let batch = workers.count().min(count - from);
        let partition = chunks(&mut products[..batch * each], each);
        workers.for_each(batch, partition, |i, product| {
            let levels = levels(from + i);
            let m = levels.len() * k1;
            let mut rows = workers.buffer(m * q2);
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

fn transpose(a: &mut [f64], k: usize) {
    for j in 0..k {
        for i in j + 1..k {
            a.swap(j * k + i, i * k + j);
        }
    }
}

/// sum over e of w_e column at row_e, each w_e a k1-vector.
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
