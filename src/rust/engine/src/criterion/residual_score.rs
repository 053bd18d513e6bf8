//! Derivatives of the criterion with respect to the residual parameters.
//!
//! With Omega = Z Lambda M^-1 Lambda'Z' + (X~)(X'V^-1X)^-1(X~)' + f e e' (ML: without the second part), X~ = X - Z Lambda C and
//! e = y - X beta - Z b, the score matrix of R is S = R^-1 - R^-1 Omega R^-1 = P - f P y y'P on the blocks of R, so that
//! d criterion / d phi_a = tr(S R_a) = d log|R| + tr(d(R^-1)_a Omega): the counterpart of tr(S_t G_a) of a random-effects term.
//! Only the entries of Omega where R^-1 has any are needed, and they only need M^-1 where levels occur together in a group.

use std::ops::Range;

use crate::criterion::residual_solution::{ResidualPoint, ResidualSolution};
use crate::moments::residual_part::ResidualPart;
use crate::runtime::memory;
use crate::runtime::partition::pieces;
use crate::structure::residual::{take_mean_away, Whitening};
use crate::system::equations::{Factor, Rows, System};
use crate::system::inverse_entries::{InverseEntries, LocalInverse};

/// Groups of one piece of work.
const GROUPS: usize = 256;

impl ResidualPart {
    /// d criterion / d phi at `inverse_sigma2` = 1 / sigma^2; `None` where an entry of M^-1 is not known.
    pub fn gradient(
        &self,
        entries: InverseEntries<'_>,
        point: &ResidualPoint<'_>,
        rows: &ResidualSolution,
        reml: bool,
        inverse_sigma2: f64,
    ) -> Option<Vec<f64>> {
        let model = &self.model;
        let whitening = point.whitening;
        let score = Score {
            part: self,
            entries,
            whitening,
            rows,
            reml,
            inverse_sigma2,
        };
        let work = pieces(model.groups(), GROUPS);
        let parts = entries.system.workers.map(work.len(), |piece| {
            let mut sums = Sums {
                omega: (0..model.patterns()).map(|_| Vec::new()).collect(),
                diagonal: Vec::new(),
            };
            let mut group = Group::default();
            for g in work[piece].clone() {
                score.add_group(g, &mut group, &mut sums)?;
            }
            Some(sums)
        });
        let mut omega: Vec<Vec<f64>> = (0..model.patterns())
            .map(|pattern| memory::zeros(whitening.slots(pattern)))
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
    inverse_sigma2: f64,
}

fn inner(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// What the rows of one group contribute, row after row; its memory serves one group after another.
#[derive(Default)]
struct Group {
    /// Factors, and spherical effects of all of them in a row.
    factors: usize,
    width: usize,
    /// Coefficients of each row's effects, factor after factor.
    s: Vec<f64>,
    /// For each row its node of each factor.
    node: Vec<u32>,
    /// [X~ Lx^-T, e] divided by D.
    columns: Vec<f64>,
    inverse: LocalInverse,
    /// Distinct levels of the group, ascending; sums over the rows.
    nodes: Vec<(usize, usize)>,
    total: Vec<f64>,
    total_columns: Vec<f64>,
    /// Mean of the rows' columns, and what each has beyond it.
    mean_columns: Vec<f64>,
    deviations: Vec<f64>,
    /// M^-1 times the effects of one row.
    product: Vec<f64>,
    /// L^-1 times the effects of each row, and of their sum, where products with M^-1 would cancel; else empty.
    solved: Vec<f64>,
    solved_total: Vec<f64>,
}

impl Group {
    /// Nodes and effects of a row.
    fn effects(&self, i: usize) -> impl Iterator<Item = (usize, &[f64])> {
        let mut from = i * self.width;
        let nodes = &self.node[i * self.factors..(i + 1) * self.factors];
        nodes.iter().map(move |&node| {
            let node = node as usize;
            let k = self.inverse.start(node + 1) - self.inverse.start(node);
            from += k;
            (node, &self.s[from - k..from])
        })
    }

    /// Takes M^-1 times the effects of a row.
    fn multiply(&mut self, i: usize) {
        let mut product = std::mem::take(&mut self.product);
        self.inverse.times(self.effects(i), &mut product);
        self.product = product;
    }

    /// The effects of a row times what [`Self::multiply`] took.
    fn inner(&self, i: usize) -> f64 {
        self.effects(i)
            .map(|(node, s)| {
                let own = self.product[self.inverse.start(node)..].iter();
                own.zip(s).map(|(x, y)| x * y).sum::<f64>()
            })
            .sum()
    }

    /// L^-1 times the effects of a row.
    fn solved(&self, i: usize) -> &[f64] {
        let q = self.solved_total.len();
        &self.solved[i * q..(i + 1) * q]
    }

    /// Takes L^-1 times the effects of all `m` rows; a group that was deleted has none.
    fn solve(&mut self, m: usize, system: &System, factor: &Factor) {
        let (q1, q2) = (system.q1(), system.schur.q2);
        let mut rows = Rows {
            eliminated: vec![0.0; q1 * m],
            complement: vec![0.0; q2 * m],
            m,
        };
        for i in 0..m {
            for (node, s) in self.effects(i) {
                let (f, level) = self.nodes[node];
                let (part, start) = match f {
                    0 => (&mut rows.eliminated, level * s.len()),
                    _ => {
                        let node = system.schur.node_of[f][level] as usize;
                        (&mut rows.complement, system.schur.offset[node])
                    }
                };
                for (a, value) in s.iter().enumerate() {
                    part[(start + a) * m + i] = *value;
                }
            }
        }
        factor.forward(system, &mut rows);
        self.solved_total.clear();
        self.solved_total.resize(q1 + q2, 0.0);
        self.solved.resize(m * (q1 + q2), 0.0);
        let all =
            (rows.eliminated.chunks_exact(m.max(1))).chain(rows.complement.chunks_exact(m.max(1)));
        for (e, row) in all.enumerate() {
            for (i, value) in row.iter().enumerate() {
                self.solved[i * (q1 + q2) + e] = *value;
            }
            self.solved_total[e] = row.iter().sum();
        }
    }

    pub(crate) fn row(&self, i: usize) -> &[f64] {
        let p1 = self.total_columns.len();
        &self.columns[i * p1..(i + 1) * p1]
    }
}

impl Score<'_> {
    /// Factors that have levels.
    fn factors(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.part.layout.len()).filter(|&f| self.part.layout[f].n_levels > 0)
    }

    fn k(&self, f: usize) -> usize {
        self.part.layout[f].k
    }

    /// Whether forms in M^-1 are taken as products of L^-1 with the effects: with effects that are orders of magnitude larger
    /// than residuals those of M^-1 cancel.
    fn is_solved(&self) -> bool {
        self.entries.system.moments.rest.is_some()
    }

    fn read(&self, group: &mut Group, places: Range<usize>) {
        let (part, p1) = (self.part, self.rows.p1);
        group.factors = self.factors().count();
        group.width = self.factors().map(|f| self.k(f)).sum();
        group.nodes.clear();
        for f in self.factors() {
            let level = &part.rows.level[f][places.clone()];
            group.nodes.extend(level.iter().map(|&l| (f, l as usize)));
        }
        group.nodes.sort_unstable();
        group.nodes.dedup();
        group.inverse.reset(&group.nodes, |f| self.k(f));
        group.s.clear();
        group.node.clear();
        group.columns.clear();
        memory::resize(&mut group.total_columns, p1);
        for place in places {
            let scale = self.whitening.inverse_scale.get(place);
            let scale = scale.copied().unwrap_or(1.0);
            for f in self.factors() {
                let k = self.k(f);
                let level = part.rows.level[f][place] as usize;
                let t = self.entries.factor.t.of(f, level);
                let z = &part.rows.z[f][place * k..(place + 1) * k];
                for c in 0..k {
                    let sum: f64 = (c..k).map(|i| t[c * k + i] * z[i]).sum();
                    group.s.push(scale * sum);
                }
                let node = group.nodes.partition_point(|node| *node < (f, level));
                group.node.push(node as u32);
            }
            let columns = &self.rows.columns[place * p1..(place + 1) * p1];
            group.columns.extend(columns.iter().map(|v| scale * v));
        }
    }

    /// One entry of Omega.
    fn entry(&self, group: &mut Group, i: usize, j: usize) -> Option<f64> {
        let of_effects = self.of_effects(group, i, j)?;
        Some(of_effects + self.of_columns(group.row(i), group.row(j)))
    }

    /// What the random effects have of it.
    fn of_effects(&self, group: &mut Group, i: usize, j: usize) -> Option<f64> {
        let (width, factors) = (group.width, group.factors);
        if self.is_solved() {
            return Some(inner(group.solved(i), group.solved(j)));
        }
        let mut sum = 0.0;
        let mut u = i * width;
        for (a, f) in self.factors().enumerate() {
            let x = group.node[i * factors + a] as usize;
            let mut v = j * width;
            for (b, g) in self.factors().enumerate() {
                let y = group.node[j * factors + b] as usize;
                let (left, right) = (&group.s[u..u + self.k(f)], &group.s[v..v + self.k(g)]);
                sum += group.inverse.form(&self.entries, x, y, left, right)?;
                v += self.k(g);
            }
            u += self.k(f);
        }
        Some(sum)
    }

    fn of_columns(&self, a: &[f64], b: &[f64]) -> f64 {
        let p = a.len() - 1;
        let fixed: f64 = if self.reml {
            a[..p].iter().zip(&b[..p]).map(|(x, y)| x * y).sum()
        } else {
            0.0
        };
        fixed + self.inverse_sigma2 * a[p] * b[p]
    }

    /// The same of a row and the sum of all rows.
    fn of_effects_and_total(&self, group: &mut Group, i: usize) -> Option<f64> {
        let (width, factors) = (group.width, group.factors);
        if self.is_solved() {
            return Some(inner(group.solved(i), &group.solved_total));
        }
        let mut sum = 0.0;
        let mut u = i * width;
        for (a, f) in self.factors().enumerate() {
            let x = group.node[i * factors + a] as usize;
            for y in 0..group.inverse.nodes() {
                let at = group.inverse.start(y);
                let left = &group.s[u..u + self.k(f)];
                let right = &group.total[at..at + self.k(group.nodes[y].0)];
                sum += group.inverse.form(&self.entries, x, y, left, right)?;
            }
            u += self.k(f);
        }
        Some(sum)
    }

    fn add_group(&self, g: usize, group: &mut Group, sums: &mut Sums) -> Option<()> {
        let places = self.part.model.group(g);
        let pattern = self.part.model.pattern_of(g);
        let omega = &mut sums.omega[pattern];
        memory::resize(omega, self.whitening.slots(pattern));
        let m = places.len();
        let first = sums.diagonal.len();
        memory::resize(&mut sums.diagonal, first + m);
        let diagonal = &mut sums.diagonal[first..];
        self.read(group, places);
        if self.is_solved() {
            group.solve(m, self.entries.system, self.entries.factor);
        }
        if let Some((own, off)) = self.whitening.rank_one(pattern) {
            return self.add_exchangeable(group, (own, off), omega, diagonal);
        }
        let band = self.whitening.band(pattern);
        let filled = !self.is_solved() && band + 1 >= m && group.inverse.fill(&self.entries)?;
        for s in 0..m {
            if filled {
                group.multiply(s);
            }
            for t in s..(s + band + 1).min(m) {
                let value = if filled {
                    group.inner(t) + self.of_columns(group.row(s), group.row(t))
                } else {
                    self.entry(group, s, t)?
                };
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

    /// Traces of Omega on deviations from the mean and on the mean, without its pairs; columns are taken apart first, as
    /// deviations may be orders of magnitude smaller.
    fn add_exchangeable(
        &self,
        group: &mut Group,
        (own, off): (f64, f64),
        omega: &mut [f64],
        diagonal: &mut [f64],
    ) -> Option<()> {
        self.add_up(group);
        let m = diagonal.len() as f64;
        let (within, between) = (own - off, own + (m - 1.0) * off);
        let p1 = self.rows.p1;
        let mut deviations = std::mem::take(&mut group.deviations);
        deviations.clone_from(&group.columns);
        take_mean_away(&mut deviations, p1);
        let mut mean = std::mem::take(&mut group.mean_columns);
        mean.clear();
        mean.extend(group.total_columns.iter().map(|v| v / m));
        let filled = !self.is_solved() && group.inverse.fill(&self.entries)?;
        let apart = deviations.chunks_exact(p1);
        for (i, (diagonal, apart)) in diagonal.iter_mut().zip(apart).enumerate() {
            // of the effects alone
            let (one, all) = if filled {
                group.multiply(i);
                let product = group.product.iter();
                let sum: f64 = product.zip(&group.total).map(|(x, y)| x * y).sum();
                (group.inner(i), sum)
            } else {
                (
                    self.of_effects(group, i, i)?,
                    self.of_effects_and_total(group, i)?,
                )
            };
            let of_mean = all / m + self.of_columns(group.row(i), &mean);
            omega[0] += one - all / m + self.of_columns(apart, apart);
            omega[1] += of_mean;
            let of_deviations = one - all / m + self.of_columns(group.row(i), apart);
            *diagonal = within * of_deviations + between * of_mean;
        }
        (group.deviations, group.mean_columns) = (deviations, mean);
        Some(())
    }

    /// Sums of the rows, level by level.
    fn add_up(&self, group: &mut Group) {
        let p1 = self.rows.p1;
        let nodes = group.inverse.nodes();
        group.total.clear();
        memory::resize(&mut group.total, group.inverse.start(nodes));
        group.total_columns.clear();
        memory::resize(&mut group.total_columns, p1);
        for row in group.columns.chunks_exact(p1) {
            let sums = group.total_columns.iter_mut();
            sums.zip(row).for_each(|(x, y)| *x += y);
        }
        let mut nodes = group.node.iter();
        for row in group.s.chunks_exact(group.width.max(1)) {
            let mut from = 0;
            for f in self.factors() {
                let Some(&node) = nodes.next() else { return };
                let at = group.inverse.start(node as usize);
                let own = &row[from..from + self.k(f)];
                let sums = group.total[at..].iter_mut();
                sums.zip(own).for_each(|(x, y)| *x += y);
                from += self.k(f);
            }
        }
    }
}
