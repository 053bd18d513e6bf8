//! Bilinear forms in M^-1 for effects of single levels, from the selected inverse.

use crate::factor::{y_slot, Factor, SchurFactor, SelectedInverse, System};
use crate::linalg::small;
use crate::schur::Storage;

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
        match (&self.inverse.r, &self.system.schur.storage) {
            (SchurFactor::Dense(r), _) => Some(r.entry(i, j)),
            (SchurFactor::Sparse(values), Storage::Sparse(pattern)) => pattern.entry(values, i, j),
            (SchurFactor::Sparse(_), Storage::Dense) => None,
        }
    }
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
