//! Bilinear forms in M^-1 for effects of single levels, from the selected inverse.

use crate::linalg::small;
use crate::runtime::memory;
use crate::system::equations::{Factor, SelectedInverse, System};
use crate::system::selected_inverse::y_slot;

/// Coefficients of the effects of one level of one factor.
#[derive(Debug, Clone)]
pub(crate) struct Effects {
    /// Engine's number of the factor.
    pub factor: usize,
    pub level: usize,
    /// k coefficients of spherical effects.
    pub s: Vec<f64>,
    /// L_j^-1 s where the factor is the first.
    solved: Vec<f64>,
}

/// M^-1 as far as it is known.
#[derive(Clone, Copy)]
pub(crate) struct InverseEntries<'a> {
    pub system: &'a System,
    pub factor: &'a Factor,
    pub inverse: &'a SelectedInverse,
}

impl InverseEntries<'_> {
    /// Effects of a level with what the forms need of them.
    pub fn effects(&self, factor: usize, level: usize, s: Vec<f64>) -> Effects {
        let mut solved = Vec::new();
        if factor == 0 {
            let k = s.len();
            solved.clone_from(&s);
            let l = &self.factor.l1[level * k * k..(level + 1) * k * k];
            small::solve_lower(l, k, &mut solved);
        }
        Effects {
            factor,
            level,
            s,
            solved,
        }
    }

    /// a'[M^-1]b; `None` where an entry is not in the pattern of the selected inverse.
    pub fn bilinear(&self, a: &Effects, b: &Effects) -> Option<f64> {
        match (a.factor, b.factor) {
            (0, 0) if a.level == b.level => {
                let k = a.s.len();
                let m = &self.inverse.m11[a.level * k * k..(a.level + 1) * k * k];
                bilinear(&a.s, &b.s, |i, j| Some(m[j * k + i]))
            }
            (0, 0) => None,
            (0, _) => self.mixed(a, b).map(|v| -v),
            (_, 0) => self.mixed(b, a).map(|v| -v),
            _ => {
                let (p, q) = (self.start(a), self.start(b));
                bilinear(&a.s, &b.s, |i, j| self.entry(p + i, q + j))
            }
        }
    }

    /// [M^-1] of the effects of two levels, k_a x k_b column-major, each given by its factor and level; where one is of the
    /// first factor it comes first. `None` as for [`Self::bilinear`].
    fn block(&self, a: (usize, usize), b: (usize, usize), out: &mut [f64]) -> Option<()> {
        let k = |f: usize| self.system.moments.factors[f].k;
        let (ka, kb) = (k(a.0), k(b.0));
        if b.0 == 0 {
            if a != b {
                return None;
            }
            out.copy_from_slice(&self.inverse.m11[a.1 * ka * ka..(a.1 + 1) * ka * ka]);
            return Some(());
        }
        let (p, q) = (self.start_of(a), self.start_of(b));
        if a.0 > 0 {
            for (j, column) in out.chunks_exact_mut(ka).enumerate() {
                for (i, value) in column.iter_mut().enumerate() {
                    *value = self.entry(p + i, q + j)?;
                }
            }
            return Some(());
        }
        // -L_a^-T W_a S^-1
        let schur = &self.system.schur;
        let neighbours = &schur.neighbour[schur.start[a.1]..schur.start[a.1 + 1]];
        if let Ok(at) = neighbours.binary_search(&schur.node_of[b.0][b.1]) {
            let slot = y_slot(schur, schur.start[a.1] + at) * ka;
            out.copy_from_slice(&self.inverse.y[slot..slot + ka * kb]);
        } else {
            let start = schur.effect_start[schur.start[a.1]];
            let end = schur.effect_start[schur.start[a.1 + 1]];
            out.fill(0.0);
            for e in start..end {
                let w = &self.factor.w[e * ka..(e + 1) * ka];
                for (j, column) in out.chunks_exact_mut(ka).enumerate() {
                    let value = self.entry(schur.effect_row[e] as usize, q + j)?;
                    column.iter_mut().zip(w).for_each(|(o, w)| *o += value * w);
                }
            }
        }
        let l = &self.factor.l1[a.1 * ka * ka..(a.1 + 1) * ka * ka];
        for column in out.chunks_exact_mut(ka) {
            small::solve_lower_transposed(l, ka, column);
            column.iter_mut().for_each(|v| *v = -*v);
        }
        Some(())
    }

    /// First row of the Schur complement that belongs to a level; 0 for one of the first factor.
    fn start_of(&self, (factor, level): (usize, usize)) -> usize {
        if factor == 0 {
            return 0;
        }
        let schur = &self.system.schur;
        schur.offset[schur.node_of[factor][level] as usize]
    }

    /// First row of the Schur complement that belongs to a level.
    pub fn start(&self, effects: &Effects) -> usize {
        let node = self.system.schur.node_of[effects.factor][effects.level] as usize;
        self.system.schur.offset[node]
    }

    /// (L_j^-1 s_a)' W_j S^-1 s_b, of which minus is s_a'[M^-1]_jv s_b.
    fn mixed(&self, a: &Effects, b: &Effects) -> Option<f64> {
        let (schur, k1) = (&self.system.schur, a.s.len());
        let node = schur.node_of[b.factor][b.level];
        let neighbours = &schur.neighbour[schur.start[a.level]..schur.start[a.level + 1]];
        if let Ok(at) = neighbours.binary_search(&node) {
            let slot = y_slot(schur, schur.start[a.level] + at) * k1;
            return bilinear(&a.solved, &b.s, |i, j| {
                Some(self.inverse.y[slot + j * k1 + i])
            });
        }
        let start = self.start(b);
        let effects =
            schur.effect_start[schur.start[a.level]]..schur.effect_start[schur.start[a.level + 1]];
        let mut sum = 0.0;
        for e in effects {
            let weight: f64 = a
                .solved
                .iter()
                .zip(&self.factor.w[e * k1..(e + 1) * k1])
                .map(|(x, y)| x * y)
                .sum();
            for (j, s) in b.s.iter().enumerate() {
                sum += weight * s * self.entry(schur.effect_row[e] as usize, start + j)?;
            }
        }
        Some(sum)
    }

    /// Entry of S^-1.
    fn entry(&self, i: usize, j: usize) -> Option<f64> {
        self.inverse.r.entry(i, j)
    }
}

/// Effects of a group up to which their part of M^-1 is kept.
const KEPT: usize = 512;

/// M^-1 over the levels that the rows of a group touch, each block looked up when it is first asked for.
#[derive(Debug, Default)]
pub(crate) struct LocalInverse {
    /// Factor and level of each node.
    nodes: Vec<(usize, usize)>,
    /// First effect of each node, and the end.
    start: Vec<usize>,
    /// For each pair of nodes whether it is there; empty where none is kept.
    known: Vec<bool>,
    /// Effects x effects.
    values: Vec<f64>,
    scratch: Vec<f64>,
}

impl LocalInverse {
    /// Forgets what it had, for other nodes (no two the same).
    pub fn reset(&mut self, nodes: &[(usize, usize)], k: impl Fn(usize) -> usize) {
        self.nodes.clear();
        self.nodes.extend_from_slice(nodes);
        self.start.clear();
        self.start.push(0);
        let mut end = 0;
        for &(factor, _) in nodes {
            end += k(factor);
            self.start.push(end);
        }
        self.known.clear();
        if end <= KEPT {
            self.known.resize(nodes.len() * nodes.len(), false);
            memory::resize(&mut self.values, end * end);
        }
    }

    /// Number of nodes.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// First effect of a node among all of the group.
    pub fn start(&self, node: usize) -> usize {
        self.start[node]
    }

    /// Looks up all blocks: whether they are kept; `None` where an entry is not known.
    pub fn fill(&mut self, entries: &InverseEntries<'_>) -> Option<bool> {
        let (n, all) = (self.nodes.len(), self.start[self.nodes.len()]);
        if all > KEPT {
            return Some(false);
        }
        // nodes are ascending: one of the first factor comes first
        for x in 0..n {
            for y in x..n {
                let (first, second) = (self.start[x], self.start[y]);
                let (kx, ky) = (self.start[x + 1] - first, self.start[y + 1] - second);
                memory::resize(&mut self.scratch, kx * ky);
                entries.block(self.nodes[x], self.nodes[y], &mut self.scratch)?;
                for (e, &value) in self.scratch.iter().enumerate() {
                    let (i, j) = (first + e % kx, second + e / kx);
                    self.values[j * all + i] = value;
                    self.values[i * all + j] = value;
                }
            }
        }
        Some(true)
    }

    /// [M^-1]u, all effects of the group, for the effects of some nodes (after [`Self::fill`]).
    pub fn times<'a>(&self, u: impl Iterator<Item = (usize, &'a [f64])>, out: &mut Vec<f64>) {
        let all = self.start[self.nodes.len()];
        out.clear();
        memory::resize(out, all);
        for (node, u) in u {
            let columns = self.values[self.start[node] * all..].chunks_exact(all.max(1));
            for (column, u) in columns.zip(u) {
                out.iter_mut().zip(column).for_each(|(o, v)| *o += u * v);
            }
        }
    }

    /// u'[M^-1]v for the effects of two nodes; `None` where an entry is not known.
    pub fn form(
        &mut self,
        entries: &InverseEntries<'_>,
        x: usize,
        y: usize,
        u: &[f64],
        v: &[f64],
    ) -> Option<f64> {
        let swap = self.nodes[x].0 > 0 && self.nodes[y].0 == 0;
        let (x, y, u, v) = if swap { (y, x, v, u) } else { (x, y, u, v) };
        let (first, second, all) = (self.start[x], self.start[y], self.start[self.nodes.len()]);
        let (ku, kv) = (u.len(), v.len());
        let pair = y * self.nodes.len() + x;
        let keeps = !self.known.is_empty();
        if !keeps || !self.known[pair] {
            memory::resize(&mut self.scratch, ku * kv);
            entries.block(self.nodes[x], self.nodes[y], &mut self.scratch)?;
            if !keeps {
                return Some(sum_of_products(u, v, &self.scratch, ku));
            }
            for (j, column) in self.scratch.chunks_exact(ku).enumerate() {
                let at = (second + j) * all + first;
                self.values[at..at + ku].copy_from_slice(column);
            }
            self.known[pair] = true;
        }
        Some(sum_of_products(
            u,
            v,
            &self.values[second * all + first..],
            all,
        ))
    }
}

/// u'Av, the columns of A `stride` apart.
fn sum_of_products(u: &[f64], v: &[f64], a: &[f64], stride: usize) -> f64 {
    let mut sum = 0.0;
    for (j, v) in v.iter().enumerate() {
        let column = &a[j * stride..j * stride + u.len()];
        sum += v * u.iter().zip(column).map(|(u, a)| u * a).sum::<f64>();
    }
    sum
}

fn bilinear(a: &[f64], b: &[f64], entry: impl Fn(usize, usize) -> Option<f64>) -> Option<f64> {
    let mut sum = 0.0;
    for (i, x) in a.iter().enumerate() {
        for (j, y) in b.iter().enumerate() {
            sum += x * y * entry(i, j)?;
        }
    }
    Some(sum)
}
