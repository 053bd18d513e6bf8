//! The Schur complement as an operator, never formed: S = P^{1/2} (I - E) P^{T/2} with P its block diagonal and
//! E = W~'W~ - C - O, where W~_j = W_j L_v^-T, C is the block diagonal of W~'W~ (so that E has none) and O holds what nodes of
//! different factors have in common beyond the eliminated factor.
//!
//! Vectors come eight at a time, side by side in one cache line: an entry of W~ is read once for all of them.

use std::ops::{DerefMut, Range};

use crate::basis::covariances::Covariances;
use crate::linalg::rows::dot;
use crate::linalg::{small, wide};
use crate::runtime::memory;
use crate::runtime::parallel::{piece, pieces};
use crate::runtime::partition::{chunks, cut};
use crate::system::elimination::Schur;
use crate::system::equations::{Rows, System};
use crate::system::factor::eliminate_first;
use crate::system::pieces::LEVELS;
use crate::system::selected_inverse::y_slot;

/// Vectors side by side.
pub const LANES: usize = 8;

/// One entry of each of them.
pub type Lane = [f64; LANES];

/// Shares of the work on all pairs of neighbours, each of them nodes from all over.
const SHARES: usize = 16;

/// Nodes in one piece of work.
const NODES: usize = 64;

/// Blocks of S between nodes of different factors, in both directions.
#[derive(Debug)]
struct Others {
    /// Start of each node's list.
    start: Vec<usize>,
    /// The other node.
    node: Vec<u32>,
    /// L_v^-1 T_v'A_vl T_l L_l^-T, k_v x k_l, column-major.
    value: Vec<Vec<f64>>,
}

/// What needs all pairs of neighbours.
#[derive(Debug, Default)]
pub struct PairSums {
    /// sum_j L_j^-T W~_j E W~_j' L_j^-1, k1 x k1.
    pub first: Vec<f64>,
    /// Diagonal blocks of E^2, which stand as those of P do.
    pub squares: Vec<f64>,
}

/// I - E at one T.
#[derive(Debug)]
pub struct Operator {
    /// L_j of each level of the first factor.
    pub l1: Vec<f64>,
    /// W~ level by level.
    w: Vec<f64>,
    /// The same node by node, in the order of the incidences.
    by_node: Vec<f64>,
    /// Where the block of each node stands.
    block: Vec<usize>,
    /// L_v: P_v = L_v L_v'.
    p: Vec<f64>,
    /// C_v.
    own: Vec<f64>,
    others: Others,
    /// log |D| of the first factor.
    pub log_det_first: f64,
    /// log |P|.
    pub log_det_p: f64,
    /// For each factor T^-T sum_v (I - P_v^-1), k x k; that of the first one: sum_j A_jj T D_j^-1.
    pub complement: Vec<Vec<f64>>,
}

impl Operator {
    /// The operator at T; `None` where M is not positive definite in floating point.
    #[must_use]
    pub fn new(system: &System, t: &Covariances) -> Option<Self> {
        let (l1, mut w, log_det_first) = eliminate_first(system, t, Vec::new(), Vec::new())?;
        let (schur, k1) = (&system.schur, system.k1());
        let mut block = vec![0];
        for pair in schur.offset.windows(2) {
            block.push(block[block.len() - 1] + (pair[1] - pair[0]).pow(2));
        }
        let mut by_node = memory::zeros(w.len());
        let nodes = |i: usize| piece(schur.nodes(), NODES, i);
        let count = schur.nodes().div_ceil(NODES);
        let mut p = memory::zeros(block[schur.nodes()]);
        let mut own = p.clone();
        let mut sums: Vec<Option<NodeSums>> = vec![None; count];
        let parts = (
            cut(&mut by_node, |i| schur.y_start[nodes(i).start] * k1),
            (
                cut(&mut p, |i| block[nodes(i).start]),
                cut(&mut own, |i| block[nodes(i).start]),
            ),
            chunks(&mut sums, 1),
        );
        system
            .workers
            .for_each(count, parts, |i, (by_node, (p, own), sums)| {
                sums[0] = scale_nodes(system, t, &w, nodes(i), by_node, p, own);
            });
        let mut complement = zeros_of_factors(t);
        let mut log_det_p = 0.0;
        for part in sums {
            let part = part?;
            log_det_p += part.log_det;
            for (total, block) in complement.iter_mut().zip(&part.complement) {
                total.iter_mut().zip(block).for_each(|(x, y)| *x += y);
            }
        }
        complement[0] = first_complement(system, t, &l1);
        // back to the order of the levels
        let levels = system.moments.factors[0].n_levels;
        let border = |i: usize| (i * LEVELS).min(levels);
        let start = |i| schur.effect_start[schur.start[border(i)]] * k1;
        system
            .workers
            .for_each(levels.div_ceil(LEVELS), cut(&mut w, start), |i, out| {
                let mut at = 0;
                for entry in schur.start[border(i)]..schur.start[border(i + 1)] {
                    let size = (schur.effect_start[entry + 1] - schur.effect_start[entry]) * k1;
                    let slot = y_slot(schur, entry) * k1;
                    out[at..at + size].copy_from_slice(&by_node[slot..slot + size]);
                    at += size;
                }
            });
        let others = others(system, t, &block, &p);
        Some(Self {
            l1,
            w,
            by_node,
            block,
            p,
            own,
            others,
            log_det_first,
            log_det_p,
            complement,
        })
    }

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
        let parts = cut(out, |i| schur.offset[nodes(i).start]);
        system.workers.for_each(count, parts, |i, out| {
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
        let count = rows.first.len().div_ceil(LEVELS * k1 * m);
        let parts = chunks(&mut rows.first, LEVELS * k1 * m);
        system.workers.for_each(count, parts, |piece, part| {
            for (i, block) in part.chunks_exact_mut(k1 * m).enumerate() {
                let j = piece * LEVELS + i;
                small::solve_lower_rows(&self.l1[j * k1 * k1..(j + 1) * k1 * k1], k1, block, m);
            }
        });
        self.scale(system, &mut rows.rest, m, false);
        let mut product = vec![[0.0; LANES]; system.schur.q2];
        for from in (0..m).step_by(LANES) {
            self.transposed_times(system, &lanes(&rows.first, m, from), &mut product);
            let width = LANES.min(m - from);
            for (row, lane) in rows.rest.chunks_exact_mut(m).zip(&product) {
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
            self.times(system, &lanes(&rows.rest, m, from), &mut product);
            let width = LANES.min(m - from);
            for (row, lane) in rows.first.chunks_exact_mut(m).zip(&product) {
                let row = &mut row[from..from + width];
                row.iter_mut().zip(lane).for_each(|(x, y)| *x -= y);
            }
        }
        let count = rows.first.len().div_ceil(LEVELS * k1 * m);
        let parts = chunks(&mut rows.first, LEVELS * k1 * m);
        system.workers.for_each(count, parts, |piece, part| {
            for (i, block) in part.chunks_exact_mut(k1 * m).enumerate() {
                let j = piece * LEVELS + i;
                let l = &self.l1[j * k1 * k1..(j + 1) * k1 * k1];
                small::solve_lower_transposed_rows(l, k1, block, m);
            }
        });
        self.scale(system, &mut rows.rest, m, true);
    }

    /// What needs all pairs of neighbours.
    #[must_use]
    pub fn pair_sums(&self, system: &System) -> PairSums {
        let (schur, k1) = (&system.schur, system.k1());
        let parts = system.workers.map(SHARES.min(schur.nodes()), |share| {
            let mut columns: Vec<Vec<f64>> = Vec::new();
            let mut first = memory::zeros(k1 * k1);
            let mut squares = memory::zeros(self.own.len());
            for v in (share..schur.nodes()).step_by(SHARES) {
                system.workers.check();
                let k = schur.offset[v + 1] - schur.offset[v];
                columns.resize_with(k.max(columns.len()), || memory::zeros(schur.q2));
                for (a, column) in columns[..k].iter_mut().enumerate() {
                    self.column_below(schur, k1, v, a, column);
                    self.column_products(schur, k1, v, a, column, &mut first);
                }
                self.add_squares(schur, v, &mut columns[..k], &mut squares);
            }
            (first, squares)
        });
        let mut total = memory::zeros(k1 * k1);
        let mut squares = memory::zeros(self.own.len());
        for (first, own) in parts {
            total.iter_mut().zip(first).for_each(|(x, y)| *x += y);
            squares.iter_mut().zip(own).for_each(|(x, y)| *x += y);
        }
        // rows below stand for those beside as well
        let first = memory::collect((0..k1 * k1).map(|e| total[e] + total[(e % k1) * k1 + e / k1]));
        PairSums { first, squares }
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

    /// Adds to the diagonal blocks of E^2 what the columns of node v, below its own block, contribute to it and to the nodes
    /// below; the columns are zero afterwards.
    fn add_squares(&self, schur: &Schur, v: usize, columns: &mut [Vec<f64>], squares: &mut [f64]) {
        let later =
            |x: usize| schur.incidence[x] + 1..schur.start[schur.incidence_level[x] as usize + 1];
        let incidences = schur.incidence_start[v]..schur.incidence_start[v + 1];
        let touched: usize = incidences.clone().map(|x| later(x).len()).sum();
        if 4 * touched > schur.nodes() || !self.others.node.is_empty() {
            let rows = schur.offset[v + 1]..schur.q2;
            add_products(columns, rows.clone(), &mut squares[self.block[v]..]);
            for column in columns {
                for l in v + 1..schur.nodes() {
                    let own = &column[schur.offset[l]..schur.offset[l + 1]];
                    add_square(own, &mut squares[self.block[l]..]);
                }
                column[rows.clone()].fill(0.0);
            }
            return;
        }
        for entry in incidences.flat_map(later) {
            let l = schur.neighbour[entry] as usize;
            let rows = schur.offset[l]..schur.offset[l + 1];
            add_products(columns, rows.clone(), &mut squares[self.block[v]..]);
            for column in columns.iter_mut() {
                add_square(&column[rows.clone()], &mut squares[self.block[l]..]);
                // the next level may lead here again
                column[rows.clone()].fill(0.0);
            }
        }
    }

    /// Entries of E below the diagonal block of node v, in the column of its effect a.
    fn column_below(&self, schur: &Schur, k1: usize, v: usize, a: usize, column: &mut [f64]) {
        let k = schur.offset[v + 1] - schur.offset[v];
        for x in schur.incidence_start[v]..schur.incidence_start[v + 1] {
            let from = schur.effect_start[schur.incidence[x]];
            let to = schur.effect_start[schur.start[schur.incidence_level[x] as usize + 1]];
            let own = &self.w[(from + a) * k1..(from + a + 1) * k1];
            let rows = &schur.effect_row[from + k..to];
            if k1 == 1 {
                for (w, &row) in self.w[from + k..to].iter().zip(rows) {
                    column[row as usize] += own[0] * w;
                }
            } else {
                for (w, &row) in self.w[(from + k) * k1..to * k1].chunks_exact(k1).zip(rows) {
                    column[row as usize] += w.iter().zip(own).map(|(x, y)| x * y).sum::<f64>();
                }
            }
        }
        if !self.others.node.is_empty() {
            for at in self.others.start[v]..self.others.start[v + 1] {
                let l = self.others.node[at] as usize;
                if l > v {
                    for (i, row) in (schur.offset[l]..schur.offset[l + 1]).enumerate() {
                        column[row] -= self.others.value[at][i * k + a];
                    }
                }
            }
        }
    }

    fn column_products(
        &self,
        schur: &Schur,
        k1: usize,
        v: usize,
        a: usize,
        column: &[f64],
        total: &mut [f64],
    ) {
        let k = schur.offset[v + 1] - schur.offset[v];
        let mut sum = memory::zeros(k1);
        let mut own = memory::zeros(k1);
        for x in schur.incidence_start[v]..schur.incidence_start[v + 1] {
            let j = schur.incidence_level[x] as usize;
            let from = schur.effect_start[schur.incidence[x]];
            let to = schur.effect_start[schur.start[j + 1]];
            let rows = &schur.effect_row[from + k..to];
            own.copy_from_slice(&self.w[(from + a) * k1..(from + a + 1) * k1]);
            if k1 == 1 {
                sum[0] = self.w[from + k..to]
                    .iter()
                    .zip(rows)
                    .map(|(w, &row)| w * column[row as usize])
                    .sum();
            } else {
                sum.fill(0.0);
                for (w, &row) in self.w[(from + k) * k1..to * k1].chunks_exact(k1).zip(rows) {
                    let e = column[row as usize];
                    sum.iter_mut().zip(w).for_each(|(s, w)| *s += w * e);
                }
            }
            let l = &self.l1[j * k1 * k1..(j + 1) * k1 * k1];
            small::solve_lower_transposed(l, k1, &mut sum);
            small::solve_lower_transposed(l, k1, &mut own);
            for (c, y) in own.iter().enumerate() {
                for (i, x) in sum.iter().enumerate() {
                    total[c * k1 + i] += x * y;
                }
            }
        }
    }

    /// For each lane sum_j L_j^-T (sum_v W~_jv B_v W~_jv') L_j^-1 for symmetric blocks B that stand as those of P do: k1 x k1
    /// lanes.
    #[must_use]
    pub fn first_weighted(&self, system: &System, blocks: &[Lane]) -> Vec<Lane> {
        let (schur, k1) = (&system.schur, system.k1());
        let levels = pieces(system.moments.factors[0].n_levels, LEVELS);
        let parts = system.workers.map(levels.len(), |piece| {
            let mut total = vec![[0.0; LANES]; k1 * k1];
            let mut own = total.clone();
            for j in levels[piece].clone() {
                own.fill([0.0; LANES]);
                for entry in schur.start[j]..schur.start[j + 1] {
                    let v = schur.neighbour[entry] as usize;
                    let range = schur.effect_start[entry]..schur.effect_start[entry + 1];
                    let w = &self.w[range.start * k1..range.end * k1];
                    let block = &blocks[self.block[v]..self.block[v + 1]];
                    add_weighted(w, range.len(), k1, block, &mut own);
                }
                divide_both(&self.l1[j * k1 * k1..(j + 1) * k1 * k1], k1, &mut own);
                total.iter_mut().zip(&own).for_each(|(x, y)| add(x, 1.0, y));
            }
            total
        });
        sum_lanes(parts, k1 * k1)
    }

    /// For each lane sum_j L_j^-T (W~_j x)(W~_j y)'L_j^-1, where the products with W~ are given: k1 x k1 lanes.
    #[must_use]
    pub fn first_outer(&self, system: &System, x: &[Lane], y: &[Lane]) -> Vec<Lane> {
        let k1 = system.k1();
        let levels = pieces(system.moments.factors[0].n_levels, LEVELS);
        let parts = system.workers.map(levels.len(), |piece| {
            let mut total = vec![[0.0; LANES]; k1 * k1];
            let (mut a, mut b) = (memory::zeros(k1 * LANES), memory::zeros(k1 * LANES));
            for j in levels[piece].clone() {
                let l = &self.l1[j * k1 * k1..(j + 1) * k1 * k1];
                for (to, from) in [(&mut a, x), (&mut b, y)] {
                    for (row, lane) in to.chunks_exact_mut(LANES).zip(&from[j * k1..(j + 1) * k1]) {
                        row.copy_from_slice(lane);
                    }
                    small::solve_lower_transposed_rows(l, k1, to, LANES);
                }
                outer(&a, &b, k1, &mut total);
            }
            total
        });
        sum_lanes(parts, k1 * k1)
    }

    /// Adds x_v y_v' of each node, lane by lane, to blocks that stand as those of P do.
    pub fn add_outer(&self, system: &System, x: &[Lane], y: &[Lane], blocks: &mut [Lane]) {
        for (v, pair) in system.schur.offset.windows(2).enumerate() {
            let k = pair[1] - pair[0];
            let block = &mut blocks[self.block[v]..self.block[v + 1]];
            for (column, y) in block.chunks_exact_mut(k).zip(&y[pair[0]..pair[1]]) {
                for (target, x) in column.iter_mut().zip(&x[pair[0]..pair[1]]) {
                    for ((t, x), y) in target.iter_mut().zip(x).zip(y) {
                        *t += x * y;
                    }
                }
            }
        }
    }

    /// For each factor and lane sum_v (L_v^-T B_v - L_v N_v) L_v^-1, k x k lanes, for symmetric B and any N; nothing for the
    /// first factor.
    #[must_use]
    pub fn rest_weighted(&self, system: &System, b: &[Lane], n: &[Lane]) -> Vec<Vec<Lane>> {
        let (schur, moments) = (&system.schur, &system.moments);
        let mut total: Vec<Vec<Lane>> = moments
            .factors
            .iter()
            .map(|f| vec![[0.0; LANES]; f.k * f.k])
            .collect();
        for (v, &(f, _)) in schur.node.iter().enumerate() {
            let (k, l) = (moments.factors[f].k, self.node_factor(v));
            let range = self.block[v]..self.block[v + 1];
            let mut own = b[range.clone()].to_vec();
            divide_both(l, k, &mut own);
            total[f]
                .iter_mut()
                .zip(&own)
                .for_each(|(x, y)| add(x, 1.0, y));
            // L^-T (L N)', whose transpose is L N L^-1
            own.fill([0.0; LANES]);
            for c in 0..k {
                for i in 0..k {
                    (0..=i).for_each(|m| {
                        add(
                            &mut own[i * k + c],
                            l[m * k + i],
                            &n[range.start + c * k + m],
                        );
                    });
                }
            }
            divide(l, k, &mut own);
            for c in 0..k {
                (0..k).for_each(|i| add(&mut total[f][c * k + i], -1.0, &own[i * k + c]));
            }
        }
        total
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

/// out += C'C for some rows of the columns C.
fn add_products(columns: &[Vec<f64>], rows: Range<usize>, out: &mut [f64]) {
    for (b, y) in columns.iter().enumerate() {
        for (a, x) in columns.iter().enumerate() {
            out[b * columns.len() + a] += dot(&x[rows.clone()], &y[rows.clone()]);
        }
    }
}

/// out += x x'.
fn add_square(x: &[f64], out: &mut [f64]) {
    for (column, y) in out.chunks_exact_mut(x.len()).zip(x) {
        column.iter_mut().zip(x).for_each(|(out, x)| *out += x * y);
    }
}

/// own += W B W' for one level's k1 x k block W = `w` and lanes of k x k blocks B.
fn add_weighted(w: &[f64], k: usize, k1: usize, b: &[Lane], own: &mut [Lane]) {
    for c in 0..k {
        for a in 0..k {
            for j in 0..k1 {
                for i in 0..k1 {
                    add(
                        &mut own[j * k1 + i],
                        w[a * k1 + i] * w[c * k1 + j],
                        &b[c * k + a],
                    );
                }
            }
        }
    }
}

/// B <- L^-T B for column-major lanes.
fn divide(l: &[f64], k: usize, b: &mut [Lane]) {
    for column in b.chunks_exact_mut(k) {
        for i in (0..k).rev() {
            let mut x = column[i];
            (i + 1..k).for_each(|m| add(&mut x, -l[i * k + m], &column[m]));
            column[i] = x.map(|x| x / l[i * k + i]);
        }
    }
}

/// B <- L^-T B L^-1 for symmetric column-major lanes.
fn divide_both(l: &[f64], k: usize, b: &mut [Lane]) {
    for _ in 0..2 {
        divide(l, k, b);
        for c in 0..k {
            for i in c + 1..k {
                b.swap(c * k + i, i * k + c);
            }
        }
    }
}

/// total[c k + i] += a_i b_c for row-major a and b (k x LANES).
fn outer(a: &[f64], b: &[f64], k: usize, total: &mut [Lane]) {
    for c in 0..k {
        for i in 0..k {
            let (x, y) = (
                &a[i * LANES..(i + 1) * LANES],
                &b[c * LANES..(c + 1) * LANES],
            );
            for ((t, x), y) in total[c * k + i].iter_mut().zip(x).zip(y) {
                *t += x * y;
            }
        }
    }
}

fn sum_lanes(parts: Vec<Vec<Lane>>, n: usize) -> Vec<Lane> {
    let mut total = vec![[0.0; LANES]; n];
    for part in parts {
        for (x, y) in total.iter_mut().zip(&part) {
            add(x, 1.0, y);
        }
    }
    total
}

/// sum += w x.
#[inline(always)]
fn add(sum: &mut Lane, w: f64, x: &Lane) {
    for (s, x) in sum.iter_mut().zip(x) {
        *s += w * x;
    }
}

/// Sum of w times the entry of x in its row.
#[inline(always)]
fn weighted_sum(w: &[f64], rows: &[u32], x: &[Lane]) -> Lane {
    let mut sum = [0.0; LANES];
    for (w, &row) in w.iter().zip(rows) {
        add(&mut sum, *w, &x[row as usize]);
    }
    sum
}

/// out -= B x for a block of k rows, column-major.
#[inline(always)]
fn subtract(out: &mut [Lane], b: &[f64], k: usize, x: &[Lane]) {
    for (column, x) in b.chunks_exact(k).zip(x) {
        for (target, b) in out.iter_mut().zip(column) {
            add(target, -b, x);
        }
    }
}

/// Columns `from..` of row-major rows, with zeros where there are none.
#[must_use]
pub fn lanes(rows: &[f64], m: usize, from: usize) -> Vec<Lane> {
    let width = LANES.min(m - from);
    rows.chunks_exact(m)
        .map(|row| {
            let mut lane = [0.0; LANES];
            lane[..width].copy_from_slice(&row[from..from + width]);
            lane
        })
        .collect()
}

#[derive(Debug, Clone)]
struct NodeSums {
    log_det: f64,
    complement: Vec<Vec<f64>>,
}

/// A k x k block of zeros for each factor.
fn zeros_of_factors(t: &Covariances) -> Vec<Vec<f64>> {
    (0..t.factors())
        .map(|f| memory::zeros(t.common(f).len()))
        .collect()
}

/// P_v, its factor, W~ and C_v of some nodes.
fn scale_nodes(
    system: &System,
    t: &Covariances,
    w: &[f64],
    nodes: Range<usize>,
    by_node: &mut [f64],
    p: &mut [f64],
    own: &mut [f64],
) -> Option<NodeSums> {
    let (schur, k1) = (&system.schur, system.k1());
    let mut sums = NodeSums {
        log_det: 0.0,
        complement: zeros_of_factors(t),
    };
    let (mut at_w, mut at_block) = (0, 0);
    for v in nodes {
        let (f, level) = schur.node[v];
        let k = system.moments.factors[f].k;
        let count = schur.incidence_start[v + 1] - schur.incidence_start[v];
        let rows = &mut by_node[at_w..at_w + count * k * k1];
        for (i, x) in (schur.incidence_start[v]..schur.incidence_start[v + 1]).enumerate() {
            let from = schur.effect_start[schur.incidence[x]] * k1;
            rows[i * k * k1..(i + 1) * k * k1].copy_from_slice(&w[from..from + k * k1]);
        }
        // N_v = T'A_vv T - sum_j W_jv'W_jv, P_v = I + N_v
        let zz = &system.moments.factors[f].zz[level * k * k..(level + 1) * k * k];
        let mut half = memory::zeros(k * k);
        let mut n = memory::zeros(k * k);
        small::mul_nn(zz, t.common(f), k, k, k, &mut half);
        small::mul_tn(t.common(f), &half, k, k, k, &mut n);
        for w in rows.chunks_exact(k * k1) {
            for c in 0..k {
                for a in 0..k {
                    n[c * k + a] -= (0..k1).map(|i| w[a * k1 + i] * w[c * k1 + i]).sum::<f64>();
                }
            }
        }
        let l = &mut p[at_block..at_block + k * k];
        l.copy_from_slice(&n);
        (0..k).for_each(|a| l[a * k + a] += 1.0);
        if !small::cholesky(l, k) {
            return None;
        }
        sums.log_det += 2.0 * (0..k).map(|a| l[a * k + a].ln()).sum::<f64>();
        // P^-1 N, then T^-T N P^-1
        for c in 0..k {
            let column = &mut n[c * k..(c + 1) * k];
            small::solve_lower(l, k, column);
            small::solve_lower_transposed(l, k, column);
        }
        for i in 0..k {
            // entry (c, i) of N P^-1 is entry (i, c) of P^-1 N
            let mut column: Vec<f64> = (0..k).map(|c| n[c * k + i]).collect();
            small::solve_lower_transposed(t.common(f), k, &mut column);
            for (x, y) in sums.complement[f][i * k..(i + 1) * k]
                .iter_mut()
                .zip(&column)
            {
                *x += y;
            }
        }
        // W~_jv = W_jv L_v^-T: rows of W~' = L_v^-1 W'
        let c_block = &mut own[at_block..at_block + k * k];
        for w in rows.chunks_exact_mut(k * k1) {
            small::solve_lower_rows(l, k, w, k1);
            for c in 0..k {
                for a in 0..k {
                    c_block[c * k + a] +=
                        (0..k1).map(|i| w[a * k1 + i] * w[c * k1 + i]).sum::<f64>();
                }
            }
        }
        at_w += count * k * k1;
        at_block += k * k;
    }
    Some(sums)
}

/// sum_j A_jj T D_j^-1.
fn first_complement(system: &System, t: &Covariances, l1: &[f64]) -> Vec<f64> {
    let (k, factor) = (system.k1(), &system.moments.factors[0]);
    let mut total = memory::zeros(k * k);
    let mut product = memory::zeros(k * k);
    for (a, l) in factor.zz.chunks_exact(k * k).zip(l1.chunks_exact(k * k)) {
        small::mul_nn(a, t.common(0), k, k, k, &mut product);
        for i in 0..k {
            let mut row: Vec<f64> = (0..k).map(|c| product[c * k + i]).collect();
            small::solve_lower(l, k, &mut row);
            small::solve_lower_transposed(l, k, &mut row);
            (0..k).for_each(|c| total[c * k + i] += row[c]);
        }
    }
    total
}

fn others(system: &System, t: &Covariances, block: &[usize], p: &[f64]) -> Others {
    let (schur, moments) = (&system.schur, &system.moments);
    let nodes = schur.nodes();
    let mut start = vec![0; nodes + 1];
    if schur.later.is_empty() {
        return Others {
            start,
            node: Vec::new(),
            value: Vec::new(),
        };
    }
    for v in 0..nodes {
        start[v + 1] += schur.later_start[v + 1] - schur.later_start[v];
        for &l in &schur.later[schur.later_start[v]..schur.later_start[v + 1]] {
            start[l as usize + 1] += 1;
        }
    }
    (0..nodes).for_each(|v| start[v + 1] += start[v]);
    let mut next = start.clone();
    let mut node = vec![0; start[nodes]];
    let mut value = vec![Vec::new(); start[nodes]];
    for v in 0..nodes {
        let f = schur.node[v].0;
        let k = moments.factors[f].k;
        for at in schur.later_start[v]..schur.later_start[v + 1] {
            let l = schur.later[at] as usize;
            let g = schur.node[l].0;
            let kg = moments.factors[g].k;
            let (source, own_rows) = schur.later_source[at];
            let stored = system.block(source);
            // L_v^-1 T_v' A_vl T_l L_l^-T, rows of v
            let a: Vec<f64> = memory::collect((0..k * kg).map(|e| {
                if own_rows {
                    stored[e]
                } else {
                    stored[(e % k) * kg + e / k]
                }
            }));
            let mut half = memory::zeros(k * kg);
            let mut s = memory::zeros(k * kg);
            small::mul_nn(&a, t.common(g), k, kg, kg, &mut half);
            small::mul_tn(t.common(f), &half, k, k, kg, &mut s);
            for column in s.chunks_exact_mut(k) {
                small::solve_lower(&p[block[v]..block[v + 1]], k, column);
            }
            // column-major k x kg read row by row is its transpose: L_l^-1 times it
            small::solve_lower_rows(&p[block[l]..block[l + 1]], kg, &mut s, k);
            let transposed = memory::collect((0..k * kg).map(|e| s[(e % kg) * k + e / kg]));
            (node[next[v]], node[next[l]]) = (l as u32, v as u32);
            (value[next[v]], value[next[l]]) = (s, transposed);
            next[v] += 1;
            next[l] += 1;
        }
    }
    Others { start, node, value }
}
