//! Solves with the factor, and the digits that it has.

use std::ops::DerefMut;

use crate::linalg::small;
use crate::runtime::partition::{cut, piece};
use crate::system::complement::Complement;
use crate::system::equations::{Factor, Rows, System};
use crate::system::pieces::{
    first_node, for_each_level, neighbours_among, node_piece, node_pieces, nodes_by_level,
};

impl Factor {
    /// Gives away the factor of a dense complement: solves are not possible afterwards, determinants and solutions already
    /// found stay.
    pub fn give_up_complement(&mut self) -> Option<Complement> {
        matches!(self.s, Complement::Dense(_)).then(|| std::mem::take(&mut self.s))
    }

    /// B <- L^-1 B.
    pub fn forward<V: DerefMut<Target = [f64]>>(&self, system: &System, b: &mut Rows<V>) {
        let (schur, k1, m) = (&system.schur, system.k1(), b.m);
        if m == 0 {
            return;
        }
        for_each_level(system, &mut b.eliminated, k1 * m, |j, block| {
            small::solve_lower_rows(&self.l1[j * k1 * k1..(j + 1) * k1 * k1], k1, block, m);
        });
        if schur.q2 == 0 {
            return;
        }
        match nodes_by_level(system) {
            Some(nodes) => self.subtract_by_level(system, b, nodes),
            None => self.subtract_by_node(system, b),
        }
        self.s.solve(&mut b.complement, m);
    }

    /// B_2 -= sum_j W_j'B_1j, node by node.
    fn subtract_by_node<V: DerefMut<Target = [f64]>>(&self, system: &System, b: &mut Rows<V>) {
        let (schur, m) = (&system.schur, b.m);
        let first = &*b.eliminated;
        let partition = cut(&mut b.complement, |i| {
            schur.offset[first_node(schur, i)] * m
        });
        system
            .workers
            .for_each(node_pieces(schur), partition, |piece, rows| {
                let nodes = node_piece(schur, piece);
                let base = schur.offset[nodes.start];
                for v in nodes {
                    for x in schur.incidence_start[v]..schur.incidence_start[v + 1] {
                        let j = schur.incidence_level[x] as usize;
                        self.subtract(system, (j, schur.incidence[x]), first, m, (rows, base));
                    }
                }
            });
    }

    /// The same level by level for so many nodes at a time.
    fn subtract_by_level<V: DerefMut<Target = [f64]>>(
        &self,
        system: &System,
        b: &mut Rows<V>,
        nodes: usize,
    ) {
        let (schur, m) = (&system.schur, b.m);
        let first = &*b.eliminated;
        let own = |i: usize| piece(schur.nodes(), nodes, i);
        let partition = cut(&mut b.complement, |i| schur.offset[own(i).start] * m);
        let count = schur.nodes().div_ceil(nodes);
        system.workers.for_each(count, partition, |i, rows| {
            let own = own(i);
            let base = schur.offset[own.start];
            for j in 0..system.moments.factors[0].n_levels {
                for at in neighbours_among(schur, j, &own) {
                    self.subtract(system, (j, at), first, m, (&mut *rows, base));
                }
            }
        });
    }

    /// What a level of the first factor has to the rows of one of its neighbours; these begin with row `base`.
    fn subtract(
        &self,
        system: &System,
        (j, at): (usize, usize),
        first: &[f64],
        m: usize,
        (rows, base): (&mut [f64], usize),
    ) {
        let (schur, k1) = (&system.schur, system.k1());
        let v = schur.neighbour[at] as usize;
        let from = &first[j * k1 * m..(j + 1) * k1 * m];
        let effect = schur.effect_start[at];
        for (a, row) in (schur.offset[v]..schur.offset[v + 1]).enumerate() {
            let row = &mut rows[(row - base) * m..(row - base + 1) * m];
            let w = &self.w[(effect + a) * k1..(effect + a + 1) * k1];
            for (c, source) in w.iter().zip(from.chunks_exact(m)) {
                row.iter_mut().zip(source).for_each(|(x, y)| *x -= c * y);
            }
        }
    }

    /// B <- L^-T B.
    pub fn backward<V: DerefMut<Target = [f64]>>(&self, system: &System, b: &mut Rows<V>) {
        let (schur, k1, m) = (&system.schur, system.k1(), b.m);
        self.s.solve_transposed(&mut b.complement, m);
        let rest = &*b.complement;
        if m == 0 {
            return;
        }
        for_each_level(system, &mut b.eliminated, k1 * m, |j, block| {
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
                let root = self.s.diagonal(j).unwrap_or(f64::INFINITY);
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
        let t = &self.t.of(f, level)[a * k..(a + 1) * k];
        let column = |c: usize| (a..k).map(|i| zz[c * k + i] * t[i]).sum::<f64>();
        let form: f64 = (a..k).map(|c| t[c] * column(c)).sum();
        form + own.level_precision.get(level).copied().unwrap_or(1.0)
    }
}
