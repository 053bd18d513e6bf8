//! Derivatives of the criterion with respect to the residual parameters.
//!
//! With Omega = Z Lambda M^-1 Lambda'Z' + (X~)(X'V^-1X)^-1(X~)' + f e e' (ML: without the second part), X~ = X - Z Lambda C and
//! e = y - X beta - Z b, the score matrix of R is S = R^-1 - R^-1 Omega R^-1 = P - f P y y'P on the blocks of R, so that
//! d criterion / d phi_a = tr(S R_a) = d log|R| + tr(d(R^-1)_a Omega): the counterpart of tr(S_t G_a) of a random-effects term.
//! Only the entries of Omega where R^-1 has any are needed, and they only need M^-1 where levels occur together in a group.

use crate::factor::{Factor, Rows, System};
use crate::gradient::Solution;
use crate::inverse_entries::{Effects, InverseEntries};
use crate::linalg::small;
use crate::parallel::pieces;
use crate::products::ResidualColumns;
use crate::residual::Whitening;
use crate::residual_rows::ResidualPart;

/// Groups of one piece of work.
const GROUPS: usize = 256;

/// Residual parameters at one point.
#[derive(Debug, Clone)]
pub(crate) struct ResidualPoint<'a> {
    /// Internal scale.
    pub phi: &'a [f64],
    pub whitening: &'a Whitening,
}

/// Rows at a solution: for each place (order of the residual groups) [X~ Lx^-T, e], times the root of the weight.
#[derive(Debug, Clone)]
pub(crate) struct ResidualSolution {
    pub columns: Vec<f64>,
    /// Rank of X, and one more.
    pub p1: usize,
}

impl ResidualSolution {
    /// The last column alone.
    pub fn response(&self) -> Vec<f64> {
        self.columns
            .chunks_exact(self.p1)
            .map(|row| row[self.p1 - 1])
            .collect()
    }

    /// All columns but the last.
    pub fn fixed(&self) -> Vec<f64> {
        self.columns
            .chunks_exact(self.p1)
            .flat_map(|row| row[..self.p1 - 1].iter().copied())
            .collect()
    }
}

/// What the residual parameters' directions contribute to [`crate::products::Products`].
pub(crate) struct ResidualDirections {
    /// r_a = -Lambda'Z'S_a.
    pub rows: Rows,
    /// S_a'R S_b, lower triangle.
    pub own: Vec<f64>,
    /// E'S_a.
    pub single: Vec<Vec<f64>>,
    /// Lx^-1 Q'S_a, p values a column.
    pub fixed: Vec<f64>,
}

impl ResidualPart {
    /// Rows at a solution.
    pub fn solution(
        &self,
        system: &System,
        factor: &Factor,
        solution: &Solution,
    ) -> ResidualSolution {
        let rows = &self.rows;
        let p1 = rows.p1;
        let p = p1 - 1;
        let mut columns = rows.x.clone();
        let work = pieces(rows.n(), 4096);
        let parts: Vec<&mut [f64]> = columns.chunks_mut(4096 * p1).collect();
        system.workers.for_each(parts, |piece, part| {
            for (place, row) in work[piece].clone().zip(part.chunks_exact_mut(p1)) {
                row[p] -= row[..p]
                    .iter()
                    .zip(&solution.gamma)
                    .map(|(q, g)| q * g)
                    .sum::<f64>();
                // x <- x Lx^-T
                for a in 0..p {
                    row[a] /= factor.lx[a * p1 + a];
                    let value = row[a];
                    for b in a + 1..p {
                        row[b] -= value * factor.lx[a * p1 + b];
                    }
                }
                for f in 0..self.layout.len() {
                    self.subtract_effects(system, factor, solution, f, place, row);
                }
            }
        });
        ResidualSolution { columns, p1 }
    }

    /// Takes z'T [h, u - u_0] of one factor from a row.
    fn subtract_effects(
        &self,
        system: &System,
        factor: &Factor,
        solution: &Solution,
        f: usize,
        place: usize,
        row: &mut [f64],
    ) {
        let Some(&level) = self.rows.level[f].get(place) else {
            return;
        };
        let (k, p) = (self.layout[f].k, row.len() - 1);
        let level = level as usize;
        let (h, u) = (&solution.h, &solution.u);
        let (h, u) = if f == 0 {
            (
                &h.first[level * k * p..(level + 1) * k * p],
                &u.first[level * k..(level + 1) * k],
            )
        } else {
            let start = system.schur.offset[system.schur.node_of[f][level] as usize];
            (
                &h.rest[start * p..(start + k) * p],
                &u.rest[start..start + k],
            )
        };
        let z = &self.rows.z[f][place * k..(place + 1) * k];
        for c in 0..k {
            let s: f64 = (c..k).map(|i| factor.t[f][c * k + i] * z[i]).sum();
            if s == 0.0 {
                continue;
            }
            row[..p]
                .iter_mut()
                .zip(&h[c * p..(c + 1) * p])
                .for_each(|(x, h)| *x -= s * h);
            let shift = factor.shift[f].get(level * k + c).copied().unwrap_or(0.0);
            row[p] -= s * (u[c] - shift);
        }
    }

    /// d criterion / d phi at residual precision `precision` = 1 / sigma^2; `None` where an entry of M^-1 is not known.
    pub fn gradient(
        &self,
        entries: InverseEntries<'_>,
        point: &ResidualPoint<'_>,
        rows: &ResidualSolution,
        reml: bool,
        precision: f64,
    ) -> Option<Vec<f64>> {
        let model = &self.model;
        let whitening = point.whitening;
        let score = Score {
            part: self,
            entries,
            whitening,
            rows,
            reml,
            precision,
        };
        let work = pieces(model.groups(), GROUPS);
        let parts = entries.system.workers.map(work.len(), |piece| {
            let mut sums = Sums {
                omega: (0..model.patterns()).map(|_| Vec::new()).collect(),
                diagonal: Vec::new(),
            };
            for g in work[piece].clone() {
                score.add_group(g, &mut sums)?;
            }
            Some(sums)
        });
        let mut omega: Vec<Vec<f64>> = (0..model.patterns())
            .map(|pattern| vec![0.0; whitening.slots(pattern)])
            .collect();
        let mut diagonal = Vec::new();
        for part in parts {
            let part = part?;
            for (total, own) in omega.iter_mut().zip(&part.omega) {
                total.iter_mut().zip(own).for_each(|(x, y)| *x += y);
            }
            diagonal.extend(part.diagonal);
        }
        Some(model.contract_with(
            point.phi,
            whitening,
            &omega,
            &diagonal,
            &entries.system.workers,
        ))
    }

    /// E'S_a of each residual parameter, c x c.
    pub fn single_products(
        &self,
        columns: &ResidualColumns<'_>,
        system: &System,
        c: usize,
    ) -> Vec<Vec<f64>> {
        let (model, point) = (&self.model, columns.point);
        (0..model.len())
            .map(|a| {
                let s = model.derivative_times(
                    point.phi,
                    point.whitening,
                    a,
                    columns.e,
                    c,
                    &system.workers,
                );
                let mut out = vec![0.0; c * c];
                add_products(columns.e, &s, self.rows.n(), c, c, &mut out);
                out
            })
            .collect()
    }

    /// The directions of the residual parameters.
    pub fn directions(
        &self,
        columns: &ResidualColumns<'_>,
        system: &System,
        factor: &Factor,
        c: usize,
    ) -> ResidualDirections {
        let (model, rows, point) = (&self.model, &self.rows, columns.point);
        let workers = &system.workers;
        let (n, m) = (rows.n(), model.len());
        let s: Vec<Vec<f64>> = (0..m)
            .map(|a| model.derivative_times(point.phi, point.whitening, a, columns.e, c, workers))
            .collect();
        let width = m * c;
        // S side by side, n x mc
        let mut all = vec![0.0; n * width];
        for (a, s) in s.iter().enumerate() {
            for (row, own) in all.chunks_exact_mut(width).zip(s.chunks_exact(c)) {
                row[a * c..(a + 1) * c].copy_from_slice(own);
            }
        }
        let weighted = point.whitening.times(model, &all, width, workers);
        let mut own = vec![0.0; width * width];
        add_products(&all, &weighted, n, width, width, &mut own);
        let single = s
            .iter()
            .map(|s| {
                let mut out = vec![0.0; c * c];
                add_products(columns.e, s, n, c, c, &mut out);
                out
            })
            .collect();
        ResidualDirections {
            rows: self.minus_lambda_z(system, factor, &all, width),
            own,
            single,
            fixed: self.fixed_products(factor, &all, width),
        }
    }

    /// -Lambda'Z'S.
    fn minus_lambda_z(&self, system: &System, factor: &Factor, s: &[f64], width: usize) -> Rows {
        let mut out = Rows {
            first: vec![0.0; system.q1() * width],
            rest: vec![0.0; system.schur.q2 * width],
            m: width,
        };
        for f in 0..self.layout.len() {
            let k = self.layout[f].k;
            for (place, &level) in self.rows.level[f].iter().enumerate() {
                let level = level as usize;
                let z = &self.rows.z[f][place * k..(place + 1) * k];
                let own = &s[place * width..(place + 1) * width];
                let target = if f == 0 {
                    &mut out.first[level * k * width..(level + 1) * k * width]
                } else {
                    let start = system.schur.offset[system.schur.node_of[f][level] as usize];
                    &mut out.rest[start * width..(start + k) * width]
                };
                for c in 0..k {
                    let weight: f64 = (c..k).map(|i| factor.t[f][c * k + i] * z[i]).sum();
                    target[c * width..(c + 1) * width]
                        .iter_mut()
                        .zip(own)
                        .for_each(|(x, y)| *x -= weight * y);
                }
            }
        }
        out
    }

    /// Lx^-1 Q'S.
    fn fixed_products(&self, factor: &Factor, s: &[f64], width: usize) -> Vec<f64> {
        let p1 = self.rows.p1;
        let p = p1 - 1;
        let mut with_response = vec![0.0; p1 * width];
        add_products(
            &self.rows.x,
            s,
            self.rows.n(),
            p1,
            width,
            &mut with_response,
        );
        let lx: Vec<f64> = (0..p * p)
            .map(|e| factor.lx[(e / p) * p1 + e % p])
            .collect();
        let mut out = Vec::with_capacity(p * width);
        for column in with_response.chunks_exact(p1) {
            let mut own = column[..p].to_vec();
            small::solve_lower(&lx, p, &mut own);
            out.extend(own);
        }
        out
    }
}

/// out += A'B for row-major rows, column-major p x m.
fn add_products(a: &[f64], b: &[f64], n: usize, p: usize, m: usize, out: &mut [f64]) {
    if n > 0 && p > 0 && m > 0 {
        crate::linalg::dense::add_transposed_product(a, b, n, p, m, 1.0, out);
    }
}

/// Sums over some groups.
struct Sums {
    /// For each pattern, empty until it occurs.
    omega: Vec<Vec<f64>>,
    /// [C^-1 Omega]_ii of each place, in order.
    diagonal: Vec<f64>,
}

/// Entries of Omega in scaled coordinates (rows divided by D).
struct Score<'a> {
    part: &'a ResidualPart,
    entries: InverseEntries<'a>,
    whitening: &'a Whitening,
    rows: &'a ResidualSolution,
    reml: bool,
    precision: f64,
}

/// What one row, or a sum of rows, contributes.
struct Point {
    effects: Vec<Effects>,
    columns: Vec<f64>,
}

impl Score<'_> {
    fn point(&self, place: usize) -> Point {
        let part = self.part;
        let scale = self
            .whitening
            .inverse_scale
            .get(place)
            .copied()
            .unwrap_or(1.0);
        let mut effects = Vec::with_capacity(part.layout.len());
        for (f, factor) in part.layout.iter().enumerate() {
            let Some(&level) = part.rows.level[f].get(place) else {
                continue;
            };
            let k = factor.k;
            let z = &part.rows.z[f][place * k..(place + 1) * k];
            let t = &self.entries.factor.t[f];
            let s = (0..k)
                .map(|c| scale * (c..k).map(|i| t[c * k + i] * z[i]).sum::<f64>())
                .collect();
            effects.push(self.entries.effects(f, level as usize, s));
        }
        let p1 = self.rows.p1;
        let columns = self.rows.columns[place * p1..(place + 1) * p1]
            .iter()
            .map(|v| scale * v)
            .collect();
        Point { effects, columns }
    }

    /// One entry of Omega.
    fn entry(&self, a: &Point, b: &Point) -> Option<f64> {
        let mut sum = 0.0;
        for x in &a.effects {
            for y in &b.effects {
                sum += self.entries.bilinear(x, y)?;
            }
        }
        let p = self.rows.p1 - 1;
        if self.reml {
            sum += a.columns[..p]
                .iter()
                .zip(&b.columns[..p])
                .map(|(x, y)| x * y)
                .sum::<f64>();
        }
        Some(sum + self.precision * a.columns[p] * b.columns[p])
    }

    fn add_group(&self, g: usize, sums: &mut Sums) -> Option<()> {
        let places = self.part.model.group(g);
        let pattern = self.part.model.pattern_of(g);
        let omega = &mut sums.omega[pattern];
        omega.resize(self.whitening.slots(pattern), 0.0);
        let m = places.len();
        let first = sums.diagonal.len();
        sums.diagonal.resize(first + m, 0.0);
        let diagonal = &mut sums.diagonal[first..];
        let points: Vec<Point> = places.map(|place| self.point(place)).collect();
        if let Some((own, off)) = self.whitening.rank_one(pattern) {
            return self.add_exchangeable(&points, (own, off), omega, diagonal);
        }
        let band = self.whitening.band(pattern);
        for s in 0..m {
            for t in s..(s + band + 1).min(m) {
                let value = self.entry(&points[s], &points[t])?;
                omega[self.whitening.slot(pattern, s, t)] += value;
                let weight = self.whitening.entry(pattern, s, t);
                diagonal[s] += weight * value;
                if t > s {
                    diagonal[t] += weight * value;
                }
            }
        }
        Some(())
    }

    /// Trace and sum of Omega, without its pairs.
    fn add_exchangeable(
        &self,
        points: &[Point],
        (own, off): (f64, f64),
        omega: &mut [f64],
        diagonal: &mut [f64],
    ) -> Option<()> {
        let total = self.sum(points);
        for (point, diagonal) in points.iter().zip(diagonal) {
            let (one, all) = (self.entry(point, point)?, self.entry(point, &total)?);
            omega[0] += one;
            omega[1] += all;
            *diagonal = (own - off) * one + off * all;
        }
        Some(())
    }

    /// Sum of points, level by level.
    fn sum(&self, points: &[Point]) -> Point {
        let mut effects: Vec<(usize, usize, Vec<f64>)> = Vec::new();
        let mut columns = vec![0.0; self.rows.p1];
        for point in points {
            columns
                .iter_mut()
                .zip(&point.columns)
                .for_each(|(x, y)| *x += y);
            for effect in &point.effects {
                effects.push((effect.factor, effect.level, effect.s.clone()));
            }
        }
        effects.sort_by_key(|effect| (effect.0, effect.1));
        effects.dedup_by(|next, kept| {
            let same = (next.0, next.1) == (kept.0, kept.1);
            if same {
                kept.2.iter_mut().zip(&next.2).for_each(|(x, y)| *x += y);
            }
            same
        });
        Point {
            effects: effects
                .into_iter()
                .map(|(f, level, s)| self.entries.effects(f, level, s))
                .collect(),
            columns,
        }
    }
}
