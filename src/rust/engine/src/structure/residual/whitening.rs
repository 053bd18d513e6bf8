//! R^-1 at one point, and products with it.

use crate::runtime::memory;
use crate::runtime::parallel::Workers;
use crate::runtime::partition::{cut, pieces};
use crate::structure::residual::block::Block;
use crate::structure::residual::residual::{Residual, PATTERNS, PLACES, SCALES};

/// R = D C D at one point: C^-1 of each pattern and D^-1.
#[derive(Debug, Clone)]
pub struct Whitening {
    /// log|R| over all rows, without the weights.
    pub log_det: f64,
    /// 1 / d_i of each place in [`Residual::order`]; empty: all 1.
    pub inverse_scale: Vec<f64>,
    pub(super) blocks: Vec<Block>,
}

/// How rows are scaled before or after a product with C or its relatives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Nothing,
    InverseScale,
    Scale,
}

impl Whitening {
    /// Number of super-diagonals of C^-1: 0 for independent rows, 1 where it is tridiagonal, else m - 1.
    #[must_use]
    pub fn band(&self, pattern: usize) -> usize {
        self.blocks[pattern].band()
    }

    /// C^-1\[s, t\], in scaled coordinates (of D^-1 rows), for s <= t <= s + band.
    #[must_use]
    pub fn entry(&self, pattern: usize, s: usize, t: usize) -> f64 {
        self.blocks[pattern].entry(s, t)
    }

    /// Row s of C^-1 where all of it is stored.
    #[must_use]
    pub fn row(&self, pattern: usize, s: usize) -> Option<&[f64]> {
        match &self.blocks[pattern] {
            Block::Dense(block) => {
                let m = block.inverse.nrows;
                Some(&block.inverse.data[s * m..(s + 1) * m])
            }
            _ => None,
        }
    }

    /// The diagonal and the off-diagonal entry of C^-1 where they are all it has (compound symmetry): A'C^-1B =
    /// (diagonal - off) A'B + off (A'1)(B'1)', without pairs of rows.
    #[must_use]
    pub fn rank_one(&self, pattern: usize) -> Option<(f64, f64)> {
        match &self.blocks[pattern] {
            Block::RankOne(block) => Some((block.alpha - block.beta, -block.beta)),
            _ => None,
        }
    }

    /// Length of a pattern's part of Omega in [`Residual::contract`]: m (band + 1), or 2 for [`Self::rank_one`] patterns (see
    /// there).
    #[must_use]
    pub fn slots(&self, pattern: usize) -> usize {
        let block = &self.blocks[pattern];
        match block {
            Block::RankOne(_) => 2,
            _ => block.m() * (block.band() + 1),
        }
    }

    /// Where Omega\[s, t\], s <= t <= s + band, lies in a pattern's part, except for [`Self::rank_one`] patterns.
    #[must_use]
    pub fn slot(&self, pattern: usize, s: usize, t: usize) -> usize {
        s * (self.blocks[pattern].band() + 1) + t - s
    }

    /// R^-1 times rows in [`Residual::order`], row-major with `c` columns.
    #[must_use]
    pub fn inverse_times(
        &self,
        residual: &Residual,
        rows: &[f64],
        c: usize,
        workers: &Workers,
    ) -> Vec<f64> {
        let f = |block: &Block, x: &mut [f64], _: &mut Vec<f64>| block.inverse_times(x, c);
        self.apply(
            residual,
            rows,
            c,
            workers,
            (By::InverseScale, By::InverseScale),
            f,
        )
    }

    /// x <- C^-1 x for the rows of one group with this pattern, row-major with `c` columns.
    pub fn solve_correlation(&self, pattern: usize, x: &mut [f64], c: usize) {
        self.blocks[pattern].inverse_times(x, c);
    }

    /// R times rows.
    #[must_use]
    pub fn times(
        &self,
        residual: &Residual,
        rows: &[f64],
        c: usize,
        workers: &Workers,
    ) -> Vec<f64> {
        let f = |block: &Block, x: &mut [f64], scratch: &mut Vec<f64>| block.times(x, c, scratch);
        self.apply(residual, rows, c, workers, (By::Scale, By::Scale), f)
    }

    /// R of one group, m x m.
    #[must_use]
    pub fn covariance(&self, residual: &Residual, g: usize) -> Vec<f64> {
        let places = residual.group(g);
        let m = places.len();
        let mut x = memory::zeros(m * m);
        (0..m).for_each(|i| x[i * m + i] = 1.0);
        self.scale(places.start, &mut x, m, By::Scale);
        self.blocks[residual.pattern_of(g)].times(&mut x, m, &mut Vec::new());
        self.scale(places.start, &mut x, m, By::Scale);
        x
    }

    /// U times rows, U'U = R^-1, U lower triangular in each group: each row less its best prediction from the rows before
    /// it in the group, standardised. Residuals become normalised residuals (Pinheiro & Bates, 2000, 5.3.4).
    #[must_use]
    pub fn whiten(
        &self,
        residual: &Residual,
        rows: &[f64],
        c: usize,
        workers: &Workers,
    ) -> Vec<f64> {
        let f = |block: &Block, x: &mut [f64], _: &mut Vec<f64>| block.whiten(x, c);
        self.apply(
            residual,
            rows,
            c,
            workers,
            (By::InverseScale, By::Nothing),
            f,
        )
    }

    /// U^-1 times rows, the inverse of [`Self::whiten`]: independent standard normal rows get variance R.
    #[must_use]
    pub fn color(
        &self,
        residual: &Residual,
        rows: &[f64],
        c: usize,
        workers: &Workers,
    ) -> Vec<f64> {
        let f = |block: &Block, x: &mut [f64], _: &mut Vec<f64>| block.color(x, c);
        self.apply(residual, rows, c, workers, (By::Nothing, By::Scale), f)
    }

    /// Scales the rows of one group, which starts at `place`.
    fn scale(&self, place: usize, x: &mut [f64], c: usize, by: By) {
        if by == By::Nothing || self.inverse_scale.is_empty() {
            return;
        }
        for (row, &inverse) in x.chunks_exact_mut(c).zip(&self.inverse_scale[place..]) {
            let factor = if by == By::Scale {
                1.0 / inverse
            } else {
                inverse
            };
            row.iter_mut().for_each(|v| *v *= factor);
        }
    }

    /// x <- D^-1 x for rows of one group.
    pub(super) fn scale_down(&self, place: usize, x: &mut [f64], c: usize) {
        self.scale(place, x, c, By::InverseScale);
    }

    fn apply(
        &self,
        residual: &Residual,
        rows: &[f64],
        c: usize,
        workers: &Workers,
        (before, after): (By, By),
        f: impl Fn(&Block, &mut [f64], &mut Vec<f64>) + Sync + Send,
    ) -> Vec<f64> {
        self.each_group(residual, rows, c, workers, |g, x, scratch| {
            let place = residual.layout.offsets[g];
            self.scale(place, x, c, before);
            f(&self.blocks[residual.pattern_of(g)], x, scratch);
            self.scale(place, x, c, after);
        })
    }

    /// A copy of the rows, those of each group changed by `f`.
    pub(super) fn each_group(
        &self,
        residual: &Residual,
        rows: &[f64],
        c: usize,
        workers: &Workers,
        f: impl Fn(usize, &mut [f64], &mut Vec<f64>) + Sync + Send,
    ) -> Vec<f64> {
        let mut out = rows.to_vec();
        self.change_groups(residual, &mut out, c, workers, f);
        out
    }

    /// Rows of `c` columns, those of each group written by `f`.
    pub(super) fn fill_groups(
        &self,
        residual: &Residual,
        c: usize,
        workers: &Workers,
        f: impl Fn(usize, &mut [f64], &mut Vec<f64>) + Sync + Send,
    ) -> Vec<f64> {
        let mut out = memory::zeros(residual.layout.order.len() * c);
        self.change_groups(residual, &mut out, c, workers, f);
        out
    }

    fn change_groups(
        &self,
        residual: &Residual,
        out: &mut [f64],
        c: usize,
        workers: &Workers,
        f: impl Fn(usize, &mut [f64], &mut Vec<f64>) + Sync + Send,
    ) {
        if c == 0 {
            return;
        }
        let layout = &residual.layout;
        let count = layout.pieces.len();
        let parts = cut(out, |i| layout.offsets[layout.pieces[i].start] * c);
        workers.for_each(count, parts, |piece, mut part| {
            let mut scratch = Vec::new();
            for g in layout.pieces[piece].clone() {
                let (own, rest) = part.split_at_mut(layout.group(g).len() * c);
                f(g, own, &mut scratch);
                part = rest;
            }
        });
    }
}

impl Residual {
    /// R^-1 at these internal parameters; `None` where R is not positive definite or not finite.
    #[must_use]
    pub fn at(&self, phi: &[f64]) -> Option<Whitening> {
        self.at_with(phi, &Workers::sequential())
    }

    /// [`Self::at`] by several threads.
    #[must_use]
    pub fn at_with(&self, phi: &[f64], workers: &Workers) -> Option<Whitening> {
        if phi.len() != self.len() || phi.iter().any(|v| !v.is_finite()) || self.is_far(phi) {
            return None;
        }
        let blocks = match self.correlation {
            None => vec![Block::Identity(1); self.layout.patterns.len()],
            Some(correlation) => {
                let own = &phi[..self.first[0]];
                if !correlation.is_representable(own) {
                    return None;
                }
                let laws = correlation.laws(own, self.layout.lags);
                let patterns = &self.layout.patterns;
                let inner = Workers::sequential();
                let few = patterns.len() <= PATTERNS;
                let parts = workers.map(patterns.len().div_ceil(PATTERNS), |piece| {
                    // threads go inside a few large patterns, or to many small ones
                    let workers = if few { workers } else { &inner };
                    patterns[piece * PATTERNS..]
                        .iter()
                        .take(PATTERNS)
                        .map(|p| Block::new(&laws[p.class], &self.layout, p, workers))
                        .collect::<Option<Vec<_>>>()
                });
                let mut blocks = Vec::with_capacity(patterns.len());
                for part in parts {
                    blocks.extend(part?);
                }
                blocks
            }
        };
        let mut log_det = 0.0;
        for (block, pattern) in blocks.iter().zip(&self.layout.patterns) {
            log_det += pattern.count as f64 * block.log_det();
        }
        let mut inverse_scale = Vec::new();
        if !self.scales.is_empty() {
            let n = self.layout.order.len();
            let places = pieces(n, PLACES);
            let parts = workers.map(places.len(), |piece| {
                let mut sum = 0.0;
                let values: Vec<f64> = places[piece]
                    .clone()
                    .map(|place| {
                        let log = self.log_scale(phi, place);
                        sum += self.times_of(place) * log;
                        (-log).exp()
                    })
                    .collect();
                (sum, values)
            });
            inverse_scale.reserve_exact(n);
            for (sum, values) in parts {
                log_det += 2.0 * sum;
                inverse_scale.extend(values);
            }
            if !inverse_scale.iter().all(|v| SCALES.contains(v)) {
                return None;
            }
        }
        log_det.is_finite().then_some(Whitening {
            log_det,
            inverse_scale,
            blocks,
        })
    }
}
