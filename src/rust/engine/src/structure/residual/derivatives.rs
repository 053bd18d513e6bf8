//! Derivatives of log|R| and R^-1.
//!
//! For a correlation parameter R_a = D C_a D. For a scale parameter R_a = E_a R + R E_a with E_a = diag(d log d_i / d phi_a),
//! and R_ab = F R + R F + E_a R E_b + E_b R E_a with F = E_ab + E_a E_b.

use crate::linalg::hyperdual::HyperDual;
use crate::runtime::memory;
use crate::runtime::parallel::Workers;
use crate::runtime::partition::pieces;
use crate::structure::residual::change::{dense_weights, slope, Change};
use crate::structure::residual::residual::{PATTERNS, PLACES};
use crate::structure::residual::{Residual, Whitening};

/// What a parameter belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Correlation,
    /// A scale, and which of its parameters.
    Scale(usize, usize),
}

impl Residual {
    fn owner(&self, a: usize) -> Owner {
        match (0..self.scales.len()).find(|&k| self.own(k).contains(&a)) {
            Some(k) => Owner::Scale(k, a - self.first[k]),
            None => Owner::Correlation,
        }
    }

    /// Derivatives of each pattern's C (or C^-1), picked by `parts` from hyper-dual numbers that move along `a` and `b`, which
    /// move nothing in the patterns of other classes.
    fn changes<const K: usize>(
        &self,
        phi: &[f64],
        (a, b): (usize, usize),
        parts: [fn(HyperDual) -> f64; K],
        workers: &Workers,
    ) -> Vec<[Change; K]> {
        let Some(correlation) = self.correlation else {
            return Vec::new();
        };
        let x = HyperDual::seeded(&phi[..self.first[0]], a, b);
        let laws = correlation.laws(&x, self.layout.lags);
        let moves = |class| [a, b].map(|a| correlation.class_of(a)).contains(&class);
        let patterns = &self.layout.patterns;
        let pieces = pieces(patterns.len(), PATTERNS);
        let changes = workers.map(pieces.len(), |piece| {
            patterns[pieces[piece].clone()]
                .iter()
                .map(|p| {
                    parts.map(|part| match moves(p.class) {
                        true => Change::new(&laws[p.class], &self.layout, p, part),
                        false => Change::Nothing,
                    })
                })
                .collect::<Vec<_>>()
        });
        changes.into_iter().flatten().collect()
    }

    /// d/d phi_a of log|R| + tr(R^-1 Omega), Omega fixed, for every a.
    ///
    /// `omega` has the sum of D^-1 Omega D^-1 over the groups of each pattern: its entries \[s, t\], t >= s, at
    /// [`Whitening::slot`] (each pair once), as far as C^-1 has entries; where C^-1 has a diagonal and one off-diagonal value
    /// ([`Whitening::rank_one`]), its traces on deviations from the mean and on the mean. `row_diagonal` has for each place the diagonal
    /// entry of C^-1 D^-1 Omega D^-1 of its group; it may be empty if there is no scale.
    #[must_use]
    pub fn contract(
        &self,
        phi: &[f64],
        whitening: &Whitening,
        omega: &[Vec<f64>],
        row_diagonal: &[f64],
    ) -> Vec<f64> {
        self.contract_with(phi, whitening, omega, row_diagonal, &Workers::sequential())
    }

    /// [`Self::contract`] by several threads.
    #[must_use]
    pub fn contract_with(
        &self,
        phi: &[f64],
        whitening: &Whitening,
        omega: &[Vec<f64>],
        row_diagonal: &[f64],
        workers: &Workers,
    ) -> Vec<f64> {
        let mut gradient = memory::zeros(self.len());
        let add = |gradient: &mut [f64], parts: Vec<Vec<f64>>| {
            for part in parts {
                gradient.iter_mut().zip(part).for_each(|(g, v)| *g += v);
            }
        };
        let first = self.first[0];
        if let Some(correlation) = self.correlation {
            let laws: Vec<_> = (0..first)
                .map(|a| {
                    let own = correlation.own(correlation.class_of(a));
                    let x = HyperDual::seeded(&phi[..first], a, usize::MAX);
                    correlation.family.law(&x[own], self.layout.lags)
                })
                .collect();
            let pieces = pieces(self.patterns(), PATTERNS);
            let parts = workers.map(pieces.len(), |piece| {
                let mut part = memory::zeros(first);
                for p in pieces[piece].clone() {
                    let pattern = &self.layout.patterns[p];
                    let count = pattern.count as f64;
                    let weights = dense_weights(&whitening.blocks[p], count, &omega[p]);
                    for a in correlation.own(pattern.class) {
                        let weights = weights.as_deref();
                        part[a] += slope(&laws[a], &self.layout, pattern, &omega[p], weights);
                    }
                }
                part
            });
            add(&mut gradient[..first], parts);
        }
        if !self.scales.is_empty() {
            let pieces = pieces(self.layout.order.len(), PLACES);
            let parts = workers.map(pieces.len(), |piece| {
                let mut part = memory::zeros(self.len() - first);
                for place in pieces[piece].clone() {
                    let weight = 2.0 * (self.times_of(place) - row_diagonal[place]);
                    for (k, scale) in self.scales.iter().enumerate() {
                        let own = self.own(k);
                        let target = &mut part[own.start - first..own.end - first];
                        scale.add_slopes(&phi[own], place, weight, target);
                    }
                }
                part
            });
            add(&mut gradient[first..], parts);
        }
        gradient
    }

    /// R^-1 R_a R^-1 E for rows E in [`Self::order`], row-major with `c` columns, in unscaled coordinates.
    #[must_use]
    pub fn derivative_times(
        &self,
        phi: &[f64],
        whitening: &Whitening,
        a: usize,
        e: &[f64],
        c: usize,
        workers: &Workers,
    ) -> Vec<f64> {
        let owner = self.owner(a);
        let changes = match owner {
            Owner::Correlation => self.changes(phi, (a, usize::MAX), [|v| v.a], workers),
            Owner::Scale(..) => Vec::new(),
        };
        whitening.each_group(self, e, c, workers, |g, x, scratch| {
            let place = self.layout.offsets[g];
            let pattern = self.pattern_of(g);
            let block = &whitening.blocks[pattern];
            whitening.scale_down(place, x, c);
            match owner {
                Owner::Correlation => changes[pattern][0].sandwich(block, x, c, scratch),
                Owner::Scale(k, own) => {
                    // C^-1 E_a x + E_a C^-1 x
                    let mut inverse = x.to_vec();
                    block.inverse_times(&mut inverse, c);
                    let rate = |i: usize| {
                        let slopes = self.scales[k].slopes(&phi[self.own(k)], own, own, place + i);
                        slopes.a
                    };
                    for (i, row) in x.chunks_exact_mut(c).enumerate() {
                        let rate = rate(i);
                        row.iter_mut().for_each(|v| *v *= rate);
                        inverse[i * c..(i + 1) * c]
                            .iter_mut()
                            .for_each(|v| *v *= rate);
                    }
                    block.inverse_times(x, c);
                    x.iter_mut().zip(&inverse).for_each(|(v, w)| *v += w);
                }
            }
            whitening.scale_down(place, x, c);
        })
    }

    /// [`Self::derivative_times`] for every a, side by side: len() c columns. What does not depend on a is done once.
    #[must_use]
    pub fn derivatives_times(
        &self,
        phi: &[f64],
        whitening: &Whitening,
        e: &[f64],
        c: usize,
        workers: &Workers,
    ) -> Vec<f64> {
        let (first, width) = (self.first[0], self.len() * c);
        let changes: Vec<Vec<[Change; 1]>> = (0..first)
            .map(|a| self.changes(phi, (a, usize::MAX), [|v| v.a], workers))
            .collect();
        let owners: Vec<Owner> = (0..self.len()).map(|a| self.owner(a)).collect();
        whitening.fill_groups(self, width, workers, |g, out, scratch| {
            let (places, pattern) = (self.group(g), self.pattern_of(g));
            let block = &whitening.blocks[pattern];
            let mut x = e[places.start * c..places.end * c].to_vec();
            whitening.scale_down(places.start, &mut x, c);
            let mut inverse = x.clone();
            block.inverse_times(&mut inverse, c);
            let rate = |k: usize, own: usize, i: usize| {
                let slopes = self.scales[k].slopes(&phi[self.own(k)], own, own, places.start + i);
                slopes.a
            };
            let put = |out: &mut [f64], a: usize, values: &[f64]| {
                for (row, own) in out.chunks_exact_mut(width).zip(values.chunks_exact(c)) {
                    row[a * c..(a + 1) * c].copy_from_slice(own);
                }
            };
            // what C^-1 is still to be taken of: C_a C^-1 x and E_a x
            for (a, &owner) in owners.iter().enumerate() {
                let mut own = match owner {
                    Owner::Correlation => memory::copy(&inverse),
                    Owner::Scale(..) => x.clone(),
                };
                match owner {
                    Owner::Correlation => changes[a][pattern][0].times(&mut own, c, scratch),
                    Owner::Scale(k, parameter) => {
                        scale_rows(&mut own, c, |i| rate(k, parameter, i))
                    }
                }
                put(out, a, &own);
            }
            block.inverse_times(out, width);
            for (a, &owner) in owners.iter().enumerate() {
                match owner {
                    Owner::Correlation => {
                        let change = &changes[a][pattern][0];
                        if change.is_of_inverse() {
                            let mut own = x.clone();
                            change.sandwich(block, &mut own, c, scratch);
                            put(out, a, &own);
                        }
                    }
                    Owner::Scale(k, parameter) => {
                        let mut own = memory::copy(&inverse);
                        scale_rows(&mut own, c, |i| rate(k, parameter, i));
                        for (row, own) in out.chunks_exact_mut(width).zip(own.chunks_exact(c)) {
                            let target = row[a * c..(a + 1) * c].iter_mut();
                            target.zip(own).for_each(|(x, y)| *x += y);
                        }
                    }
                }
            }
            whitening.scale_down(places.start, out, width);
        })
    }

    /// E'R^-1 R_ab R^-1 E for rows E in [`Self::order`], row-major with `c` columns, in unscaled coordinates; c x c, R_ab
    /// the second derivative in phi_a and phi_b.
    #[allow(clippy::too_many_arguments)]
    #[must_use]
    pub fn second_form(
        &self,
        phi: &[f64],
        whitening: &Whitening,
        a: usize,
        b: usize,
        e: &[f64],
        c: usize,
        workers: &Workers,
    ) -> Vec<f64> {
        if c == 0 {
            return Vec::new();
        }
        // the scale second where there is one of each
        let (a, b) = match (self.owner(a), self.owner(b)) {
            (Owner::Scale(..), Owner::Correlation) => (b, a),
            _ => (a, b),
        };
        let owners = (self.owner(a), self.owner(b));
        let changes = if owners.0 == Owner::Correlation {
            let second: fn(HyperDual) -> f64 = |v| v.ab;
            self.changes(phi, (a, b), [|v| v.a, |v| v.b, second], workers)
        } else {
            Vec::new()
        };
        let layout = &self.layout;
        let parts = workers.map(layout.pieces.len(), |piece| {
            let mut sum = memory::zeros(c * c);
            let mut scratch = Vec::new();
            for g in layout.pieces[piece].clone() {
                let places = layout.group(g);
                let pattern = self.pattern_of(g);
                let block = &whitening.blocks[pattern];
                let mut x = e[places.start * c..places.end * c].to_vec();
                whitening.scale_down(places.start, &mut x, c);
                let slopes = |k: usize, a: usize, b: usize, i: usize| {
                    self.scales[k].slopes(&phi[self.own(k)], a, b, places.start + i)
                };
                let scaled = |x: &[f64], rate: &dyn Fn(usize) -> f64| {
                    let mut out = x.to_vec();
                    for (i, row) in out.chunks_exact_mut(c).enumerate() {
                        let rate = rate(i);
                        row.iter_mut().for_each(|v| *v *= rate);
                    }
                    out
                };
                let mut k = x.clone();
                match owners {
                    (Owner::Correlation, Owner::Correlation) => {
                        let [first, second, both] = &changes[pattern];
                        if let (Change::Inverse(_), Change::Inverse(_)) = (first, second) {
                            // -x'Q_ab x / 2 + (Q_a x)'C (Q_b x), Q = C^-1
                            let mut right = x.clone();
                            both.sandwich(block, &mut k, c, &mut scratch);
                            add_product(&x, &k, c, 0.5, &mut sum);
                            first.sandwich(block, &mut x, c, &mut scratch);
                            second.sandwich(block, &mut right, c, &mut scratch);
                            block.times(&mut right, c, &mut scratch);
                            add_product(&x, &right, c, 1.0, &mut sum);
                        } else {
                            block.inverse_times(&mut k, c);
                            let mut right = k.clone();
                            both.times(&mut right, c, &mut scratch);
                            add_product(&k, &right, c, 0.5, &mut sum);
                        }
                    }
                    (Owner::Correlation, Owner::Scale(s, own)) => {
                        // (E_b k)'C (C^-1 C_a C^-1 x), k = C^-1 x
                        block.inverse_times(&mut k, c);
                        let left = scaled(&k, &|i| slopes(s, own, own, i).a);
                        changes[pattern][0].sandwich(block, &mut x, c, &mut scratch);
                        block.times(&mut x, c, &mut scratch);
                        add_product(&left, &x, c, 1.0, &mut sum);
                    }
                    (Owner::Scale(s, p), Owner::Scale(t, q)) => {
                        // (F k)'x + (E_a k)'C (E_b k)
                        block.inverse_times(&mut k, c);
                        let rates = |i: usize| {
                            if s == t {
                                slopes(s, p, q, i)
                            } else {
                                let (first, second) = (slopes(s, p, p, i), slopes(t, q, q, i));
                                HyperDual {
                                    v: 0.0,
                                    a: first.a,
                                    b: second.a,
                                    ab: 0.0,
                                }
                            }
                        };
                        let both = scaled(&k, &|i| {
                            let r = rates(i);
                            r.ab + r.a * r.b
                        });
                        add_product(&both, &x, c, 1.0, &mut sum);
                        let left = scaled(&k, &|i| rates(i).a);
                        let mut right = scaled(&k, &|i| rates(i).b);
                        block.times(&mut right, c, &mut scratch);
                        add_product(&left, &right, c, 1.0, &mut sum);
                    }
                    (Owner::Scale(..), Owner::Correlation) => {}
                }
            }
            sum
        });
        let mut half = memory::zeros(c * c);
        for part in parts {
            half.iter_mut().zip(part).for_each(|(h, v)| *h += v);
        }
        memory::collect((0..c * c).map(|e| half[e] + half[(e % c) * c + e / c]))
    }
}

/// Row i times `rate(i)`.
fn scale_rows(x: &mut [f64], c: usize, rate: impl Fn(usize) -> f64) {
    for (i, row) in x.chunks_exact_mut(c).enumerate() {
        let rate = rate(i);
        row.iter_mut().for_each(|v| *v *= rate);
    }
}

/// out += alpha A'B for row-major A and B of c columns.
fn add_product(a: &[f64], b: &[f64], c: usize, alpha: f64, out: &mut [f64]) {
    for (x, y) in a.chunks_exact(c).zip(b.chunks_exact(c)) {
        for (column, y) in out.chunks_exact_mut(c).zip(y) {
            let y = alpha * y;
            column.iter_mut().zip(x).for_each(|(o, x)| *o += x * y);
        }
    }
}
