//! Sums over the levels of each grouping factor that the gradient is made of.

use std::ops::{Deref, DerefMut};

use crate::basis::covariances::{Covariances, Levels};
use crate::criterion::direction::TimesLevelPrecision;
use crate::criterion::point::Point;
use crate::linalg::small;
use crate::moments::blocks::Moments;
use crate::runtime::partition::piece;
use crate::runtime::workspace::Buffer;
use crate::system::equations::{Factor, SelectedInverse, System};
use crate::system::pieces::LEVELS;
use crate::system::selected_inverse::y_slot;
use crate::system::solution::Solution;

/// What is summed over the levels of each factor and class, k x k.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sum {
    /// [A Lambda M^-1]_jj, where [`is_large`] is not true of all terms of the factor.
    Product,
    /// I - [K^-1 M^-1]_jj.
    Complement,
    /// h_j [K^-1 h]_j' (REML).
    Fixed,
    /// u_j [K^-1 u]_j'.
    Modes,
}

/// All of it, factor by factor and class by class.
pub(crate) struct LevelSums<'a, V> {
    moments: &'a Moments,
    t: &'a Covariances,
    values: V,
}

impl<V: Deref<Target = [f64]>> LevelSums<'_, V> {
    /// How many numbers there are before factor `f`.
    fn len_before(moments: &Moments, t: &Covariances, f: usize) -> usize {
        let of_factor = |f: usize| 4 * t.classes(f) * moments.factors[f].k.pow(2);
        (0..f).map(of_factor).sum()
    }

    /// How many there are.
    fn len(moments: &Moments, t: &Covariances) -> usize {
        Self::len_before(moments, t, moments.factors.len())
    }

    fn place(&self, sum: Sum, (f, class): (usize, usize)) -> std::ops::Range<usize> {
        let square = self.moments.factors[f].k.pow(2);
        let before = Self::len_before(self.moments, self.t, f);
        let start = before + (4 * class + sum as usize) * square;
        start..start + square
    }

    /// One sum of one factor and class.
    pub fn get(&self, sum: Sum, of: (usize, usize)) -> &[f64] {
        &self.values[self.place(sum, of)]
    }
}

impl<'a> LevelSums<'a, Buffer<'a>> {
    /// The sums of u and h alone, where levels are independent.
    pub fn of_effects(
        system: &'a System,
        t: &'a Covariances,
        solution: &Solution,
        reml: bool,
    ) -> Self {
        let moments = &system.moments;
        let values = system.workers.buffer(Self::len(moments, t));
        let mut sums = Self { moments, t, values };
        let (h, u, p) = (&solution.h, &solution.u, solution.h.m);
        let mut add = |f: usize, level: usize, k: usize, h: &[f64], u: &[f64]| {
            sums.add_effects((f, t.class(f, level)), k, [h, h], [u, u], reml);
        };
        let k = system.k1();
        for (j, u) in u.eliminated.chunks_exact(k).enumerate() {
            add(0, j, k, &h.eliminated[j * k * p..(j + 1) * k * p], u);
        }
        for (v, &(f, level)) in system.schur.node.iter().enumerate() {
            let range = system.schur.offset[v]..system.schur.offset[v + 1];
            let own = &h.complement[range.start * p..range.end * p];
            add(f, level, range.len(), own, &u.complement[range]);
        }
        sums
    }

    /// With a known precision matrix products of one level with K^-1 times it are symmetric only in the sum.
    fn symmetrize(&mut self) {
        for (f, factor) in self.moments.factors.iter().enumerate() {
            if factor.level_precision.is_empty() {
                continue;
            }
            let k = factor.k;
            let of_classes = (0..self.t.classes(f)).map(|class| (f, class));
            let sums = of_classes.flat_map(|of| [(Sum::Fixed, of), (Sum::Modes, of)]);
            for (sum, of) in sums {
                let block = self.get_mut(sum, of);
                for c in 0..k {
                    for a in c + 1..k {
                        let mean = 0.5 * (block[c * k + a] + block[a * k + c]);
                        (block[c * k + a], block[a * k + c]) = (mean, mean);
                    }
                }
            }
        }
    }
}

impl<V: DerefMut<Target = [f64]>> LevelSums<'_, V> {
    /// One sum of one factor and class.
    pub fn get_mut(&mut self, sum: Sum, of: (usize, usize)) -> &mut [f64] {
        let place = self.place(sum, of);
        &mut self.values[place]
    }

    /// u and h of one level, and the same times K^-1.
    fn add_effects(
        &mut self,
        of: (usize, usize),
        k: usize,
        h: [&[f64]; 2],
        u: [&[f64]; 2],
        reml: bool,
    ) {
        let p = h[0].len() / k;
        let modes = self.get_mut(Sum::Modes, of);
        for c in 0..k {
            for a in 0..k {
                modes[c * k + a] += u[0][a] * u[1][c];
            }
        }
        if !reml {
            return;
        }
        let fixed = self.get_mut(Sum::Fixed, of);
        for c in 0..k {
            for a in 0..k {
                let (x, y) = (&h[0][a * p..(a + 1) * p], &h[1][c * p..(c + 1) * p]);
                fixed[c * k + a] += x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
            }
        }
    }
}

pub(crate) fn level_sums<'a>(
    system: &'a System,
    factor: &'a Factor,
    inverse: &SelectedInverse,
    solution: &Solution,
    level_precision: &TimesLevelPrecision<'_>,
    point: Point<'_>,
) -> LevelSums<'a, Buffer<'a>> {
    let parameters = point.parameters;
    let mut near_zero = system.workers.buffer(system.moments.factors.len());
    for (&(f, offset, k), levels) in parameters.place.iter().zip(&parameters.levels) {
        if (offset..offset + k).any(|effect| !is_large(system, factor, (f, levels), effect)) {
            near_zero[f] = 1.0;
        }
    }
    let pass = Pass {
        system,
        factor,
        inverse,
        solution,
        level_precision,
        reml: point.reml,
        near_zero: &near_zero,
    };
    let (moments, t) = (&system.moments, &factor.t);
    let (levels, nodes) = (moments.factors[0].n_levels, system.schur.nodes());
    let (first, rest) = (levels.div_ceil(LEVELS), nodes.div_ceil(LEVELS));
    let len = LevelSums::<Buffer<'_>>::len(moments, t);
    let values = system.workers.sum(first + rest, len, |i, values| {
        let mut sums = LevelSums { moments, t, values };
        if i < first {
            pass.first_sums(piece(levels, LEVELS, i), &mut sums);
        } else {
            pass.node_sums(piece(nodes, LEVELS, i - first), &mut sums);
        }
    });
    let mut total = LevelSums { moments, t, values };
    total.symmetrize();
    total
}

/// One pass over all levels.
struct Pass<'a> {
    system: &'a System,
    factor: &'a Factor,
    inverse: &'a SelectedInverse,
    solution: &'a Solution,
    level_precision: &'a TimesLevelPrecision<'a>,
    reml: bool,
    /// 1 for factors with a term whose score is taken from [`Sum::Product`], which is found for no other, else 0.
    near_zero: &'a [f64],
}

/// Sums over some levels.
type Part<'a> = LevelSums<'a, &'a mut [f64]>;

/// Buffer for the blocks of one level, of any factors.
struct Blocks<'a> {
    half: Buffer<'a>,
    product: Buffer<'a>,
}

impl<'a> Blocks<'a> {
    pub(crate) fn new(system: &'a System) -> Self {
        Self {
            half: block_buffer(system),
            product: block_buffer(system),
        }
    }

    /// total += sign A B C, with A (k x r), B (r x m) and C (m x k).
    fn add_product(
        &mut self,
        [a, b, c]: [&[f64]; 3],
        [k, r, m]: [usize; 3],
        sign: f64,
        total: &mut [f64],
    ) {
        let (half, product) = (&mut self.half[..r * k], &mut self.product[..k * k]);
        small::mul_nn(b, c, r, m, k, half);
        small::mul_nn(a, half, k, r, k, product);
        total
            .iter_mut()
            .zip(product)
            .for_each(|(x, y)| *x += sign * *y);
    }
}

/// Buffer for a block of any two factors.
fn block_buffer(system: &System) -> Buffer<'_> {
    system.workers.buffer(system.most_effects().pow(2))
}

impl Pass<'_> {
    fn is_near_zero(&self, f: usize) -> bool {
        self.near_zero[f] != 0.0
    }

    fn first_sums(&self, levels: std::ops::Range<usize>, sums: &mut Part<'_>) {
        let (system, solution) = (self.system, self.solution);
        let (schur, k1, p) = (&system.schur, system.k1(), solution.h.m);
        let square = k1 * k1;
        let with_neighbours = self.near_zero.contains(&1.0);
        let mut blocks = Blocks::new(system);
        let [mut minus, mut turned] = [block_buffer(system), block_buffer(system)];
        let mut d = block_buffer(system);
        for j in levels {
            let (own, of) = (self.factor.t.of(0, j), (0, self.factor.t.class(0, j)));
            let m = &self.inverse.m11[j * square..(j + 1) * square];
            let (own_times, times) = (system.moments.factors[0].times(j), system.times_around(j));
            let mut add = |m: &[f64], times: f64| {
                for (e, value) in sums.get_mut(Sum::Complement, of).iter_mut().enumerate() {
                    *value += times * (f64::from(u8::from(e % k1 == e / k1)) - m[e]);
                }
                if self.is_near_zero(0) {
                    let zz = &system.moments.factors[0].zz[j * square..(j + 1) * square];
                    let parts = [zz, own, m];
                    blocks.add_product(parts, [k1; 3], times, sums.get_mut(Sum::Product, of));
                }
            };
            add(m, times);
            let beyond = own_times - times;
            if beyond != 0.0 {
                // what counts beyond the level that it is nested in
                let (l, d) = (
                    &self.factor.l1[j * square..(j + 1) * square],
                    &mut d[..square],
                );
                small::write_inverse_from_cholesky(l, k1, &mut minus[..square], d);
                add(d, beyond);
            }
            if with_neighbours {
                for at in schur.start[j]..schur.start[j + 1] {
                    let buffers = (&mut *minus, &mut *turned);
                    self.neighbour_products(j, at, buffers, &mut blocks, sums);
                }
            }
            let h = &solution.h.eliminated[j * k1 * p..(j + 1) * k1 * p];
            let u = &solution.u.eliminated[j * k1..(j + 1) * k1];
            sums.add_effects(of, k1, [h, h], [u, u], self.reml);
        }
    }

    /// A_jv T_v [M^-1]_vj into the sum of the first factor and A_vj T_1 [M^-1]_jv into that of v's, v the neighbour `at` of
    /// level j; [M^-1]_jv = -L_j^-T Y_jv.
    fn neighbour_products(
        &self,
        j: usize,
        at: usize,
        (minus, turned): (&mut [f64], &mut [f64]),
        blocks: &mut Blocks<'_>,
        sums: &mut Part<'_>,
    ) {
        let (system, schur, k1) = (self.system, &self.system.schur, self.system.k1());
        let (g, level) = schur.node[schur.neighbour[at] as usize];
        let t = &self.factor.t;
        if !(self.is_near_zero(0) || self.is_near_zero(g)) {
            return;
        }
        let kg = system.moments.factors[g].k;
        let l = &self.factor.l1[j * k1 * k1..(j + 1) * k1 * k1];
        let slot = y_slot(schur, at) * k1;
        let (minus, turned) = (&mut minus[..k1 * kg], &mut turned[..k1 * kg]);
        minus.copy_from_slice(&self.inverse.y[slot..slot + k1 * kg]);
        for column in minus.chunks_exact_mut(k1) {
            small::solve_lower_transposed(l, k1, column);
        }
        let (block, times) = (
            system.block(schur.source[at]),
            system.moments.factors[g].times(level),
        );
        if self.is_near_zero(0) {
            small::transpose(minus, k1, turned);
            let parts = [block, t.of(g, level), turned];
            let total = sums.get_mut(Sum::Product, (0, t.class(0, j)));
            blocks.add_product(parts, [k1, kg, kg], -times, total);
        }
        if self.is_near_zero(g) {
            small::transpose(block, k1, turned);
            let parts = [&*turned, t.of(0, j), minus];
            let total = sums.get_mut(Sum::Product, (g, t.class(g, level)));
            blocks.add_product(parts, [kg, k1, k1], -times, total);
        }
    }

    fn node_sums(&self, nodes: std::ops::Range<usize>, sums: &mut Part<'_>) {
        let (system, factor, solution) = (self.system, self.factor, self.solution);
        let (schur, moments, p) = (&system.schur, &system.moments, solution.h.m);
        let (ph, pu) = (
            self.level_precision.h(solution),
            self.level_precision.u(solution),
        );
        let workers = &system.workers;
        let mut column = workers.scratch(schur.q2);
        let mut blocks = Blocks::new(system);
        let mut own = block_buffer(system);
        let later_effects = |v: usize| -> usize {
            schur.later[schur.later_start[v]..schur.later_start[v + 1]]
                .iter()
                .map(|&l| schur.offset[l as usize + 1] - schur.offset[l as usize])
                .sum()
        };
        let most = nodes.clone().map(later_effects).max().unwrap_or(0);
        let mut others = workers.buffer(most * system.most_effects());
        let [mut turned, mut transposed] = [block_buffer(system), block_buffer(system)];
        for v in nodes {
            let (f, level) = schur.node[v];
            let of = (f, factor.t.class(f, level));
            let k = moments.factors[f].k;
            let range = schur.offset[v]..schur.offset[v + 1];
            // columns of S^-1 that belong to the node: its own block and those of the later neighbours
            let own = &mut own[..k * k];
            let later = schur.later_start[v]..schur.later_start[v + 1];
            for a in 0..k {
                self.inverse_column(v, range.start + a, &mut column);
                own[a * k..(a + 1) * k].copy_from_slice(&column[range.clone()]);
                let mut rest = &mut *others;
                for &l in &schur.later[later.clone()] {
                    let rows = schur.offset[l as usize]..schur.offset[l as usize + 1];
                    let (block, beyond) = rest.split_at_mut(rows.len() * k);
                    block[a * rows.len()..(a + 1) * rows.len()].copy_from_slice(&column[rows]);
                    rest = beyond;
                }
            }
            let times = moments.factors[f].times(level);
            if self.is_near_zero(f) {
                let zz = &moments.factors[f].zz[level * k * k..(level + 1) * k * k];
                let parts = [zz, factor.t.of(f, level), &*own];
                blocks.add_product(parts, [k; 3], times, sums.get_mut(Sum::Product, of));
            }
            let weight = moments.factors[f].precision(level);
            for (e, value) in sums.get_mut(Sum::Complement, of).iter_mut().enumerate() {
                *value += times * (f64::from(u8::from(e % k == e / k)) - weight * own[e]);
            }
            let mut rest = &*others;
            for at in later {
                let l = schur.later[at] as usize;
                let (block, beyond) = rest.split_at((schur.offset[l + 1] - schur.offset[l]) * k);
                let buffers = (&mut *turned, &mut *transposed);
                self.later_products((f, level, k), at, block, buffers, &mut blocks, sums);
                rest = beyond;
            }
            let at = range.start * p..range.end * p;
            sums.add_effects(
                of,
                k,
                [&solution.h.complement[at.clone()], &ph[at]],
                [&solution.u.complement[range.clone()], &pu[range]],
                self.reml,
            );
        }
    }

    /// Column `j`, of node `v`, of S^-1: rows of the node and of its later neighbours, at least.
    fn inverse_column(&self, v: usize, j: usize, out: &mut [f64]) {
        let schur = &self.system.schur;
        let later = schur.later_start[v]..schur.later_start[v + 1];
        let nodes = later.map(|at| schur.later[at] as usize).chain([v]);
        let rows = nodes.flat_map(|l| schur.offset[l]..schur.offset[l + 1]);
        self.inverse.r.write_column(j, rows, out);
    }

    /// A_vl T_l [M^-1]_lv into the sum of v's factor and A_lv T_v [M^-1]_vl into that of l's; `inverse` is [M^-1]_lv, kg x k.
    fn later_products(
        &self,
        (f, level, k): (usize, usize, usize),
        at: usize,
        inverse: &[f64],
        (turned, transposed): (&mut [f64], &mut [f64]),
        blocks: &mut Blocks<'_>,
        sums: &mut Part<'_>,
    ) {
        let (system, t, schur) = (self.system, &self.factor.t, &self.system.schur);
        let (g, other) = schur.node[schur.later[at] as usize];
        let kg = system.moments.factors[g].k;
        let (source, own_rows) = schur.later_source[at];
        let pair = &system.moments.pairs[source.pair as usize];
        if let Some(q) = pair.level_precision.get(source.entry) {
            // [K^-1 M^-1]_vv and [K^-1 M^-1]_ll: what [K^-1]_vl adds to both; they are of one class
            let complement = sums.get_mut(Sum::Complement, (f, t.class(f, level)));
            for c in 0..k {
                for i in 0..k {
                    complement[c * k + i] -= q * (inverse[c * k + i] + inverse[i * k + c]);
                }
            }
            return;
        }
        if !(self.is_near_zero(f) || self.is_near_zero(g)) {
            return;
        }
        let block = system.block(source);
        let turned = &mut turned[..k * kg];
        small::transpose(block, if own_rows { k } else { kg }, turned);
        // k x kg and kg x k
        let (a_vl, a_lv): (&[f64], &[f64]) = if own_rows {
            (block, turned)
        } else {
            (turned, block)
        };
        if self.is_near_zero(f) {
            let parts = [a_vl, t.of(g, other), inverse];
            let total = sums.get_mut(Sum::Product, (f, t.class(f, level)));
            blocks.add_product(parts, [k, kg, kg], 1.0, total);
        }
        if self.is_near_zero(g) {
            let transposed = &mut transposed[..k * kg];
            small::transpose(inverse, kg, transposed);
            let parts = [a_lv, t.of(f, level), transposed];
            let total = sums.get_mut(Sum::Product, (g, t.class(g, other)));
            blocks.add_product(parts, [kg, k, k], 1.0, total);
        }
    }
}

/// Where T'AT is on average at least this, 1 - M^-1 keeps enough digits.
const LARGE: f64 = 1e-3;

/// Whether 1 - M^-1 keeps enough digits for an effect of some levels of a factor.
pub(crate) fn is_large(
    system: &System,
    factor: &Factor,
    (f, levels): (usize, &Levels),
    effect: usize,
) -> bool {
    let of = &system.moments.factors[f];
    let square = factor.t.of_class(f, levels.class())[effect * of.k + effect].powi(2);
    let count = match levels {
        Levels::All if of.multiplicity.is_empty() => of.n_levels as f64,
        _ => levels.among(of.n_levels).map(|level| of.times(level)).sum(),
    };
    let large = |sum_of_squares: f64| square * sum_of_squares >= LARGE * count;
    // of the columns of a basis that is not what heavy rows or the levels of one class make of it, the squares may be another
    // number than one a row
    let is_plain = *levels == Levels::All && large(system.moments.n as f64);
    is_plain
        || large(
            levels
                .among(of.n_levels)
                .map(|level| of.times(level) * of.zz[level * of.k * of.k + effect * (of.k + 1)])
                .sum(),
        )
}
