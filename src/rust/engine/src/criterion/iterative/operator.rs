//! The Schur complement as an operator, never formed: S = P^{1/2} (I - E) P^{T/2} with P its block diagonal and
//! E = W~'W~ - C - O, where W~_j = W_j L_v^-T, C is the block diagonal of W~'W~ (so that E has none) and O holds what nodes of
//! different factors have in common beyond the eliminated factor.
//!
//! Vectors come eight at a time, side by side in one cache line: an entry of W~ is read once for all of them.

use std::ops::DerefMut;

use crate::criterion::iterative::lanes::{add, lanes, subtract, weighted_sum, Lane, LANES};
use crate::linalg::{small, wide};
use crate::runtime::partition::{chunks, cut, piece};
use crate::system::elimination::Schur;
use crate::system::equations::{Rows, System};
use crate::system::pieces::LEVELS;

/// Nodes in one piece of work.
pub(super) const NODES: usize = 64;

/// Blocks of S between nodes of different factors, in both directions.
#[derive(Debug)]
pub(super) struct Others {
    /// Start of each node's list.
    pub start: Vec<usize>,
    /// The other node.
    pub node: Vec<u32>,
    /// L_v^-1 T_v'A_vl T_l L_l^-T, k_v x k_l, column-major.
    pub value: Vec<Vec<f64>>,
}

/// I - E at one T.
#[derive(Debug)]
pub struct Operator {
    /// L_j of each level of the first factor.
    pub l1: Vec<f64>,
    /// W~ level by level.
    pub(super) w: Vec<f64>,
    /// W~ node by node, in the order of the incidences.
    pub(super) by_node: Vec<f64>,
    /// Where the block of each node stands.
    pub(super) block: Vec<usize>,
    /// L_v: P_v = L_v L_v'.
    pub(super) p: Vec<f64>,
    /// C_v.
    pub(super) own: Vec<f64>,
    pub(super) others: Others,
    /// log |D| of the first factor.
    pub log_det_eliminated: f64,
    /// log |P|.
    pub log_det_p: f64,
    /// For each factor and class T^-T sum_v (I - P_v^-1), k x k; those of the first one: sum_j A_jj T D_j^-1.
    pub complement: Vec<Vec<f64>>,
}

impl Operator {
    /// L_v of one node.
    #[must_use]
    pub fn node_factor(&self, v: usize) -> &[f64] {
        &self.p[self.block[v]..self.block[v + 1]]
    }

    /// z = W~ x.
    pub fn times(&self, system: &System, x: &[Lane], z: &mut [Lane]) {
        let (schur, k1) = (&system.schur, system.k1());
        let count = z.len().div_ceil(LEVELS * k1);
        system
            .workers
            .for_each(count, chunks(z, LEVELS * k1), |piece, out| {
                wide(
                    #[inline(always)]
                    || {
                        for (i, block) in out.chunks_exact_mut(k1).enumerate() {
                            self.level_rows(schur, k1, piece * LEVELS + i, x, block);
                        }
                    },
                );
            });
    }

    /// Rows of W~ x of one level.
    #[inline(always)]
    fn level_rows(&self, schur: &Schur, k1: usize, j: usize, x: &[Lane], out: &mut [Lane]) {
        let range = schur.effect_start[schur.start[j]]..schur.effect_start[schur.start[j + 1]];
        let w = &self.w[range.start * k1..range.end * k1];
        let rows = &schur.effect_row[range];
        if k1 == 1 {
            out[0] = weighted_sum(w, rows, x);
            return;
        }
        out.fill([0.0; LANES]);
        for (w, &row) in w.chunks_exact(k1).zip(rows) {
            let x = &x[row as usize];
            for (target, w) in out.iter_mut().zip(w) {
                add(target, *w, x);
            }
        }
    }

    /// out = W~'z.
    pub fn transposed_times(&self, system: &System, z: &[Lane], out: &mut [Lane]) {
        self.for_each_node(
            system,
            out,
            #[inline(always)]
            |v, k, out| {
                self.gather(system, v, k, z, out);
            },
        );
    }

    /// out = E x, where z is W~ x.
    pub fn off_diagonal(&self, system: &System, x: &[Lane], z: &[Lane], out: &mut [Lane]) {
        let offset = &system.schur.offset;
        self.for_each_node(
            system,
            out,
            #[inline(always)]
            |v, k, out| {
                self.gather(system, v, k, z, out);
                let own = &self.own[self.block[v]..self.block[v + 1]];
                subtract(out, own, k, &x[offset[v]..offset[v + 1]]);
                if !self.others.node.is_empty() {
                    for at in self.others.start[v]..self.others.start[v + 1] {
                        let l = self.others.node[at] as usize;
                        subtract(out, &self.others.value[at], k, &x[offset[l]..offset[l + 1]]);
                    }
                }
            },
        );
    }

    #[inline(always)]
    fn for_each_node(
        &self,
        system: &System,
        out: &mut [Lane],
        f: impl Fn(usize, usize, &mut [Lane]) + Sync + Send,
    ) {
        let schur = &system.schur;
        let nodes = |i: usize| piece(schur.nodes(), NODES, i);
        let count = schur.nodes().div_ceil(NODES);
        let partition = cut(out, |i| schur.offset[nodes(i).start]);
        system.workers.for_each(count, partition, |i, out| {
            wide(
                #[inline(always)]
                || {
                    let mut rest = out;
                    for v in nodes(i) {
                        let k = schur.offset[v + 1] - schur.offset[v];
                        let (own, later) = rest.split_at_mut(k);
                        f(v, k, own);
                        rest = later;
                    }
                },
            );
        });
    }

    /// Rows of W~'z of one node.
    #[inline(always)]
    fn gather(&self, system: &System, v: usize, k: usize, z: &[Lane], out: &mut [Lane]) {
        let (schur, k1) = (&system.schur, system.k1());
        let levels = &schur.incidence_level[schur.incidence_start[v]..schur.incidence_start[v + 1]];
        let w = &self.by_node[schur.y_start[v] * k1..schur.y_start[v + 1] * k1];
        if k == 1 && k1 == 1 {
            out[0] = weighted_sum(w, levels, z);
            return;
        }
        for (a, target) in out.iter_mut().enumerate() {
            let mut sum = [0.0; LANES];
            for (w, &j) in w.chunks_exact(k * k1).zip(levels) {
                for c in 0..k1 {
                    add(&mut sum, w[a * k1 + c], &z[j as usize * k1 + c]);
                }
            }
            *target = sum;
        }
    }

    /// Row-major rows (q2 x m) <- L_P^-1 rows or, with `transposed`, L_P^-T rows.
    pub fn scale(&self, system: &System, rows: &mut [f64], m: usize, transposed: bool) {
        for (v, pair) in system.schur.offset.windows(2).enumerate() {
            let (k, block) = (pair[1] - pair[0], &mut rows[pair[0] * m..pair[1] * m]);
            if transposed {
                small::solve_lower_transposed_rows(self.node_factor(v), k, block, m);
            } else {
                small::solve_lower_rows(self.node_factor(v), k, block, m);
            }
        }
    }

    /// x <- L_P'x.
    pub fn unscale(&self, system: &System, x: &mut [Lane]) {
        for (v, pair) in system.schur.offset.windows(2).enumerate() {
            let (k, l) = (pair[1] - pair[0], self.node_factor(v));
            let old = x[pair[0]..pair[1]].to_vec();
            for a in 0..k {
                let mut sum = [0.0; LANES];
                (a..k).for_each(|i| add(&mut sum, l[a * k + i], &old[i]));
                x[pair[0] + a] = sum;
            }
        }
    }

    /// B <- L^-1 B as far as the first factor goes, and the other rows less W'B: (L_1^-1 B_1, L_P^-1 (B_2 - W'L_1^-1 B_1)).
    pub fn forward<V: DerefMut<Target = [f64]>>(&self, system: &System, rows: &mut Rows<V>) {
        let (k1, m) = (system.k1(), rows.m);
        if m == 0 {
            return;
        }
        let count = rows.eliminated.len().div_ceil(LEVELS * k1 * m);
        let partition = chunks(&mut rows.eliminated, LEVELS * k1 * m);
        system.workers.for_each(count, partition, |piece, part| {
            for (i, block) in part.chunks_exact_mut(k1 * m).enumerate() {
                let j = piece * LEVELS + i;
                small::solve_lower_rows(&self.l1[j * k1 * k1..(j + 1) * k1 * k1], k1, block, m);
            }
        });
        self.scale(system, &mut rows.complement, m, false);
        let mut product = vec![[0.0; LANES]; system.schur.q2];
        for from in (0..m).step_by(LANES) {
            self.transposed_times(system, &lanes(&rows.eliminated, m, from), &mut product);
            let width = LANES.min(m - from);
            for (row, lane) in rows.complement.chunks_exact_mut(m).zip(&product) {
                let row = &mut row[from..from + width];
                row.iter_mut().zip(lane).for_each(|(x, y)| *x -= y);
            }
        }
    }

    /// The way back from (L_1^-1 B_1, (I - E)^-1 ...) to M^-1 B.
    pub fn backward(&self, system: &System, rows: &mut Rows) {
        let (k1, m) = (system.k1(), rows.m);
        if m == 0 {
            return;
        }
        let mut product = vec![[0.0; LANES]; system.q1()];
        for from in (0..m).step_by(LANES) {
            self.times(system, &lanes(&rows.complement, m, from), &mut product);
            let width = LANES.min(m - from);
            for (row, lane) in rows.eliminated.chunks_exact_mut(m).zip(&product) {
                let row = &mut row[from..from + width];
                row.iter_mut().zip(lane).for_each(|(x, y)| *x -= y);
            }
        }
        let count = rows.eliminated.len().div_ceil(LEVELS * k1 * m);
        let partition = chunks(&mut rows.eliminated, LEVELS * k1 * m);
        system.workers.for_each(count, partition, |piece, part| {
            for (i, block) in part.chunks_exact_mut(k1 * m).enumerate() {
                let j = piece * LEVELS + i;
                let l = &self.l1[j * k1 * k1..(j + 1) * k1 * k1];
                small::solve_lower_transposed_rows(l, k1, block, m);
            }
        });
        self.scale(system, &mut rows.complement, m, true);
    }

    /// tr of blocks that stand as those of P do.
    #[must_use]
    pub fn trace(&self, system: &System, blocks: &[f64]) -> f64 {
        let sizes = system.schur.offset.windows(2).map(|pair| pair[1] - pair[0]);
        let diagonals = sizes.zip(&self.block);
        diagonals
            .map(|(k, &at)| (0..k).map(|a| blocks[at + a * k + a]).sum::<f64>())
            .sum()
    }

    /// Number of entries of blocks that stand as those of P do.
    #[must_use]
    pub fn block_entries(&self) -> usize {
        self.own.len()
    }

    /// Start of the block of each node among them, and the end.
    #[must_use]
    pub fn block_starts(&self) -> &[usize] {
        &self.block
    }
}
