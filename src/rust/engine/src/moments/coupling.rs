//! Products between rows of the same residual group, level by level.

use std::ops::Range;

use crate::basis::random::FactorLayout;
use crate::linalg::double2::Double2;
use crate::moments::blocks::PairMoments;
use crate::moments::residual_rows::{ResidualRows, ScaledRows};
use crate::runtime::memory;
use crate::runtime::parallel::Workers;
use crate::runtime::partition::pieces;
use crate::structure::residual::{Residual, Whitening};

/// Levels of one piece of work.
const LEVELS: usize = 512;

/// Rows of a group seen from one of them.
struct Neighbours<'a> {
    residual: &'a Residual,
    whitening: &'a Whitening,
    /// Whether C^-1 has to be symmetric to the last digit.
    mirrored: bool,
}

impl Neighbours<'_> {
    /// Places t with an entry of C^-1 in the row of place s of group g, and the entry.
    fn for_each(&self, g: usize, s: usize, mut f: impl FnMut(usize, f64)) {
        let places = self.residual.group(g);
        let pattern = self.residual.pattern_of(g);
        let band = self.whitening.band(pattern);
        let own = s - places.start;
        if let (true, Some(row)) = (!self.mirrored, self.whitening.row(pattern, own)) {
            for (t, &entry) in places.zip(row) {
                f(t, entry);
            }
            return;
        }
        let (low, high) = (own.saturating_sub(band), (own + band + 1).min(places.len()));
        for t in low..high {
            // a zero may be none at another R, where the same blocks are needed
            let entry = self.whitening.entry(pattern, own.min(t), own.max(t));
            f(places.start + t, entry);
        }
    }
}

/// Sums of the rows of an exchangeable group by level: what stands in for each of them.
struct LevelSum {
    level: u32,
    z: Vec<f64>,
}

/// Products between rows of the same residual group.
pub(crate) struct Coupling<'a> {
    rows: &'a ResidualRows,
    scaled: &'a ScaledRows<'a>,
    residual: &'a Residual,
    whitening: &'a Whitening,
    layout: &'a [FactorLayout],
    /// For each factor and group with exchangeable rows; `None` where rows are met one by one.
    sums: Option<Vec<Vec<Vec<LevelSum>>>>,
}

/// What products are summed in.
pub(crate) trait Sum: Copy + Default + Send {
    /// A += weight x y', column-major.
    fn add(a: &mut [Self], weight: f64, x: &[f64], y: &[f64]);

    /// (x + y) / 2.
    fn mean(x: Self, y: Self) -> Self;
}

impl Sum for f64 {
    fn add(a: &mut [Self], weight: f64, x: &[f64], y: &[f64]) {
        if let ([a], [x], [y]) = (&mut *a, x, y) {
            *a += weight * x * y;
            return;
        }
        for (column, y) in a.chunks_exact_mut(x.len()).zip(y) {
            let weight = weight * y;
            column.iter_mut().zip(x).for_each(|(a, x)| *a += weight * x);
        }
    }

    fn mean(x: Self, y: Self) -> Self {
        0.5 * (x + y)
    }
}

impl Sum for Double2 {
    fn add(a: &mut [Self], weight: f64, x: &[f64], y: &[f64]) {
        for (column, y) in a.chunks_exact_mut(x.len()).zip(y) {
            let weight = Self::product(weight, *y);
            for (a, x) in column.iter_mut().zip(x) {
                *a += weight * Self::from(*x);
            }
        }
    }

    fn mean(mut x: Self, y: Self) -> Self {
        x += y;
        x * Self::from(0.5)
    }
}

/// Levels that rows of two factors couple, and the values of their blocks.
pub(super) type Pair<S> = (PairMoments, Vec<S>);

impl<'a> Coupling<'a> {
    /// With rows that are all met one by one, as products whose sums cancel need it.
    pub(super) fn new(
        rows: &'a ResidualRows,
        residual: &'a Residual,
        whitening: &'a Whitening,
        layout: &'a [FactorLayout],
        scaled: &'a ScaledRows<'a>,
    ) -> Self {
        Self {
            rows,
            scaled,
            residual,
            whitening,
            layout,
            sums: None,
        }
    }

    /// With the sums of exchangeable groups in the place of their rows.
    pub(super) fn with_sums(mut self) -> Self {
        let (rows, residual) = (self.rows, self.residual);
        let of_group = |f: usize, k: usize, g: usize| {
            let exchangeable = self.whitening.rank_one(residual.pattern_of(g)).is_some();
            if exchangeable && self.layout[f].n_levels > 0 {
                level_sums(&rows.level[f], &self.scaled[f], k, residual.group(g))
            } else {
                Vec::new()
            }
        };
        let factors = self.layout.iter().enumerate();
        let sums = factors.map(|(f, factor)| {
            let groups = 0..residual.groups();
            groups.map(|g| of_group(f, factor.k, g)).collect()
        });
        self.sums = Some(sums.collect());
        self
    }

    /// What the row at place s meets in factor g: levels with the weighted sums of their rows in its group.
    fn for_each(&self, s: usize, g: usize, mut f: impl FnMut(u32, f64, &[f64])) {
        let group = self.rows.group[s] as usize;
        let k = self.layout[g].k;
        let z = |t: usize| &self.scaled[g][t * k..(t + 1) * k];
        let level = &self.rows.level[g];
        if let Some((diagonal, off)) = self.whitening.rank_one(self.residual.pattern_of(group)) {
            f(level[s], diagonal - off, z(s));
            match &self.sums {
                Some(sums) => sums[g][group]
                    .iter()
                    .for_each(|sum| f(sum.level, off, &sum.z)),
                None => self
                    .residual
                    .group(group)
                    .for_each(|t| f(level[t], off, z(t))),
            }
            return;
        }
        let neighbours = Neighbours {
            residual: self.residual,
            whitening: self.whitening,
            mirrored: self.sums.is_none(),
        };
        neighbours.for_each(group, s, |t, entry| f(level[t], entry, z(t)));
    }

    /// Blocks Z_j'C^-1Z_j of each factor, and those of all pairs that have any.
    pub(super) fn all<S: Sum>(&self, workers: &Workers) -> (Vec<Vec<S>>, Vec<Pair<S>>) {
        let mut own = vec![Vec::new(); self.layout.len()];
        let mut pairs = Vec::new();
        for f in 0..self.layout.len() {
            if self.layout[f].n_levels == 0 {
                continue;
            }
            for g in f..self.layout.len() {
                let (zz, pair) = self.pair(f, g, workers);
                if f == g {
                    own[f] = zz;
                }
                if f != g || !pair.0.level.is_empty() {
                    pairs.push(pair);
                }
            }
        }
        (own, pairs)
    }

    /// Blocks Z_j'C^-1Z_l for the levels j of f and l of g: those of j = l (f = g), and the others (f = g: above the
    /// diagonal).
    fn pair<S: Sum>(&self, f: usize, g: usize, workers: &Workers) -> (Vec<S>, Pair<S>) {
        let work = pieces(self.layout[f].n_levels, LEVELS);
        let parts = workers.map(work.len(), |piece| {
            self.piece::<S>(f, g, work[piece].clone())
        });
        let mut own = Vec::new();
        let (mut pair, mut values) = (PairMoments::empty(f, g), Vec::new());
        for (zz, (part, value)) in parts {
            own.extend(zz);
            pair.append(&part);
            values.extend(value);
        }
        (own, (pair, values))
    }

    fn piece<S: Sum>(&self, f: usize, g: usize, levels: Range<usize>) -> (Vec<S>, Pair<S>) {
        let (kf, kg) = (self.layout[f].k, self.layout[g].k);
        let size = kf * kg;
        let mut slot = vec![u32::MAX; self.layout[g].n_levels];
        let mut found: Vec<u32> = Vec::new();
        let mut block: Vec<S> = Vec::new();
        let mut zz = Vec::new();
        let (mut pair, mut values) = (PairMoments::empty(f, g), Vec::new());
        for j in levels {
            found.clear();
            block.clear();
            if f == g {
                found.push(j as u32);
                slot[j] = 0;
                memory::resize(&mut block, size);
            }
            for &s in self.rows.by_level[f].rows(j) {
                let s = s as usize;
                let left = &self.scaled[f][s * kf..(s + 1) * kf];
                self.for_each(s, g, |level, weight, right| {
                    if f == g && (level as usize) < j {
                        return;
                    }
                    let at = &mut slot[level as usize];
                    if *at == u32::MAX {
                        *at = found.len() as u32;
                        found.push(level);
                        memory::resize(&mut block, found.len() * size);
                    }
                    let at = *at as usize * size;
                    S::add(&mut block[at..at + size], weight, left, right);
                });
            }
            if f == g {
                zz.extend_from_slice(&symmetric(&block[..size], kf));
            }
            found.sort_unstable();
            for &level in found.iter().filter(|&&level| f != g || level as usize != j) {
                let at = slot[level as usize] as usize * size;
                pair.level.push(level);
                values.extend_from_slice(&block[at..at + size]);
            }
            found
                .iter()
                .for_each(|&level| slot[level as usize] = u32::MAX);
            pair.start.push(pair.level.len());
        }
        (zz, (pair, values))
    }
}

pub(crate) fn symmetric<S: Sum>(a: &[S], k: usize) -> Vec<S> {
    memory::collect((0..k * k).map(|e| S::mean(a[e], a[(e % k) * k + e / k])))
}

fn level_sums(level: &[u32], z: &[f64], k: usize, places: Range<usize>) -> Vec<LevelSum> {
    let mut sorted: Vec<usize> = places.collect();
    sorted.sort_by_key(|&place| level[place]);
    let mut out: Vec<LevelSum> = Vec::new();
    for place in sorted {
        let own = &z[place * k..(place + 1) * k];
        match out.last_mut() {
            Some(sum) if sum.level == level[place] => {
                sum.z.iter_mut().zip(own).for_each(|(a, b)| *a += b);
            }
            _ => out.push(LevelSum {
                level: level[place],
                z: own.to_vec(),
            }),
        }
    }
    out
}
