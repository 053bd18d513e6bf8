//! First and second derivatives with respect to the entries of G, in closed form.
//!
//! V is linear in them: with V_a = Z E_a Z' and P = V^-1 - V^-1X(X'V^-1X)^-1X'V^-1 those of REML's criterion are
//!
//! - of log|V| + log|X'V^-1X|: tr(PV_a), -tr(PV_aPV_b),
//! - of y'Py: -y'PV_aPy, 2 y'PV_aPV_bPy
//!
//! (Harville 1977, JASA 72, 320-338); of log|V| alone those with V^-1 in the place of P. All of them are made of traces of V^-1V_a
//! and V^-1V_aV^-1V_b and of cross-products U'V^-1V_aV^-1U and U'V^-1V_aV^-1V_bV^-1U of the columns U = [Q y].
//!
//! The largest factor has V_1^-1 in the place of V^-1 (see [`super`]): with C = [Z_2 Q y], Phi_a = C'V_1^-1V_aV_1^-1C and Psi_ab =
//! C'V_1^-1V_aV_1^-1V_bV_1^-1C are sums over levels. V^-1 = V_1^-1 - V_1^-1Z_2 Q_0 Z_2'V_1^-1 with Q_0 = G_2 - G_2 Z_2'V^-1Z_2 G_2,
//! and V^-1C = V_1^-1C L_0 with L_0 = I less G_2 Z_2'V^-1C in the rows of Z_2.

use super::condensed::{Condensed, Entry};
use super::point::Point;
use super::product::{cross, product};
use crate::linalg::small;
use crate::runtime::memory;

/// Traces and cross-products at one point, for m parameters.
#[derive(Debug)]
pub(crate) struct Derivatives {
    /// tr(V^-1V_a).
    pub single_traces: Vec<f64>,
    /// tr(V^-1V_aV^-1V_b), m x m.
    pub traces: Vec<f64>,
    /// U'V^-1V_aV^-1U, (rank + 1) x (rank + 1) for each a.
    pub single: Vec<Vec<f64>>,
    /// U'V^-1V_aV^-1V_bV^-1U for each a and b.
    pub double: Vec<Vec<Vec<f64>>>,
}

/// What a pair of parameters of the largest factor needs of the levels.
struct Levels {
    /// Z_j'V_1^-1C for each effect: `n_levels` x r.
    products: Vec<Vec<f64>>,
    /// Entries of Z_j'V_1^-1Z_j: `n_levels` numbers for each, k x k.
    information: Vec<Vec<f64>>,
}

impl Levels {
    fn new(model: &Condensed, point: &Point) -> Self {
        let (n, k, r) = (model.n_levels, model.k, model.width());
        let mut products = vec![memory::zeros(n * r); k];
        let mut information = vec![memory::zeros(n); k * k];
        for j in 0..n {
            let own = point.level_products(model, j);
            for (i, to) in products.iter_mut().enumerate() {
                (0..r).for_each(|c| to[c * n + j] = own[c * k + i]);
            }
            let own = point.information(model, j);
            (information.iter_mut().zip(&own)).for_each(|(to, v)| to[j] = *v);
        }
        Self {
            products,
            information,
        }
    }
}

/// The ones of the unit matrix of an entry: one on the diagonal, two elsewhere.
fn ones(entry: &Entry) -> impl Iterator<Item = (usize, usize)> {
    let mirrored = (entry.row != entry.col).then_some((entry.col, entry.row));
    std::iter::once((entry.row, entry.col)).chain(mirrored)
}

fn add(to: &mut [f64], from: &[f64], times: f64) {
    to.iter_mut().zip(from).for_each(|(t, f)| *t += times * f);
}

impl Derivatives {
    /// At a point.
    pub(crate) fn new(model: &Condensed, point: &Point) -> Self {
        let m = model.entries.len();
        let mut out = Self {
            single_traces: memory::zeros(m),
            traces: memory::zeros(m * m),
            single: vec![Vec::new(); m],
            double: vec![vec![Vec::new(); m]; m],
        };
        let work = Work::new(model, point);
        for a in 0..m {
            out.single_traces[a] = work.single_trace(a);
            out.single[a] = work.single(a);
            for b in 0..=a {
                let (trace, block) = work.pair(a, b);
                out.traces[a * m + b] = trace;
                out.traces[b * m + a] = trace;
                let mut turned = memory::zeros(block.len());
                small::transpose(&block, model.rank + 1, &mut turned);
                out.double[b][a] = turned;
                out.double[a][b] = block;
            }
        }
        out
    }

    /// These with one more parameter, the residual variance, whose V_0 = W^-1 = V - sum_a s_a V_a.
    pub(crate) fn with_residual(mut self, model: &Condensed, point: &Point) -> Self {
        let m = self.len();
        let size = point.h.len();
        let p1 = model.rank + 1;
        // what V in the place of one of the matrices leaves, less that of the others
        let left = |whole: &[f64], parts: &[&Vec<f64>]| -> Vec<f64> {
            let mut out = memory::copy(whole);
            let own = parts.iter().zip(&point.s);
            own.for_each(|(part, s)| add(&mut out, part, -s));
            out
        };
        let rest = |whole: f64, parts: &[f64]| -> f64 {
            whole - parts.iter().zip(&point.s).map(|(t, s)| s * t).sum::<f64>()
        };
        let single = left(&point.h, &self.single.iter().collect::<Vec<_>>());
        let mut traces = memory::zeros((m + 1) * (m + 1));
        let mut last: Vec<f64> = Vec::with_capacity(m + 1);
        let mut row = Vec::with_capacity(m + 1);
        for b in 0..m {
            let column = &self.traces[b * m..(b + 1) * m];
            traces[b * (m + 1)..b * (m + 1) + m].copy_from_slice(column);
            last.push(rest(self.single_traces[b], column));
            let own: Vec<&Vec<f64>> = (0..m).map(|a| &self.double[a][b]).collect();
            row.push(left(&self.single[b], &own));
        }
        let trace = rest(model.n as f64, &self.single_traces);
        let both = rest(trace, &last);
        last.push(both);
        for (a, value) in last.iter().enumerate() {
            traces[a * (m + 1) + m] = *value;
            traces[m * (m + 1) + a] = *value;
        }
        let turned = |block: &Vec<f64>| {
            let mut out = memory::zeros(size);
            small::transpose(block, p1, &mut out);
            out
        };
        let columns: Vec<Vec<f64>> = row.iter().map(turned).collect();
        let both = left(&single, &columns.iter().collect::<Vec<_>>());
        for (own, column) in self.double.iter_mut().zip(columns) {
            own.push(column);
        }
        row.push(both);
        self.double.push(row);
        self.single.push(single);
        self.single_traces.push(trace);
        self.traces = traces;
        self
    }

    /// Number of parameters.
    pub(crate) fn len(&self) -> usize {
        self.single.len()
    }

    /// tr(PV_a) and tr(PV_aPV_b), or, for ML, those with V^-1 in the place of P.
    pub(crate) fn projected_traces(&self, point: &Point, reml: bool) -> (Vec<f64>, Vec<f64>) {
        let (m, r) = (self.len(), point.gamma.len());
        let (mut single, mut double) = (self.single_traces.clone(), self.traces.clone());
        if !reml {
            return (single, double);
        }
        let of_fixed = |block: &[f64]| -> Vec<f64> {
            let own = memory::collect((0..r * r).map(|e| block[(e / r) * (r + 1) + e % r]));
            product(&point.phi, &own, (r, r, r))
        };
        let trace = |block: &[f64]| -> f64 { (0..r).map(|i| block[i * r + i]).sum() };
        let moved: Vec<Vec<f64>> = self.single.iter().map(|block| of_fixed(block)).collect();
        for a in 0..m {
            single[a] -= trace(&moved[a]);
            for b in 0..m {
                double[a * m + b] += small::trace_product(&moved[a], &moved[b], r)
                    - 2.0 * trace(&of_fixed(&self.double[a][b]));
            }
        }
        (single, double)
    }

    /// y'PV_aPy and y'PV_aPV_bPy.
    pub(crate) fn quadratics(&self, point: &Point) -> (Vec<f64>, Vec<f64>) {
        let (m, r) = (self.len(), point.gamma.len());
        let p1 = r + 1;
        let c = point.residual();
        let times = |block: &[f64]| product(block, &c, (p1, p1, 1));
        let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(x, y)| x * y).sum() };
        let moved: Vec<Vec<f64>> = self.single.iter().map(|block| times(block)).collect();
        let single = moved.iter().map(|own| dot(own, &c)).collect();
        let solved: Vec<Vec<f64>> = (moved.iter())
            .map(|own| product(&point.phi, &own[..r], (r, r, 1)))
            .collect();
        let mut double = memory::zeros(m * m);
        for a in 0..m {
            for b in 0..m {
                let block = &self.double[a][b];
                double[a * m + b] = dot(&times(block), &c) - dot(&moved[a][..r], &solved[b]);
            }
        }
        (single, double)
    }

    /// Gradient and Hessian of the criterion with sigma^2 profiled out.
    pub(crate) fn profiled(&self, model: &Condensed, point: &Point) -> (Vec<f64>, Vec<f64>) {
        let (m, q, degrees) = (self.len(), point.squares, model.degrees());
        let (single, double) = self.projected_traces(point, model.reml);
        let (slope, bend) = self.quadratics(point);
        let gradient = (0..m).map(|a| single[a] - degrees * slope[a] / q).collect();
        let hessian = memory::collect((0..m * m).map(|e| {
            let (a, b) = (e / m, e % m);
            -double[e] + degrees * (2.0 * bend[e] / q - slope[a] * slope[b] / (q * q))
        }));
        (gradient, hessian)
    }
}

/// What all pairs need.
struct Work<'a> {
    model: &'a Condensed,
    point: &'a Point,
    levels: Levels,
    /// Phi_a; empty for parameters of the other factors.
    phi: Vec<Vec<f64>>,
    /// L_0 of all columns, r x r, and Q_0, q2 x q2.
    combinations: Vec<f64>,
    inner: Vec<f64>,
    /// Q_0 Phi_a, q2 x q2, or Z_2'V^-1Z_2 E_a.
    moved: Vec<Vec<f64>>,
    /// V_aV^-1[Q y] in terms of Z_2: E_a Z_2'V^-1[Z_2 Q y] of the other factors.
    weighted: Vec<Vec<f64>>,
}

impl<'a> Work<'a> {
    fn new(model: &'a Condensed, point: &'a Point) -> Self {
        let (r, q2) = (model.width(), model.q2);
        let levels = Levels::new(model, point);
        let mut phi = Vec::new();
        let mut weighted = Vec::new();
        for entry in &model.entries {
            if entry.factor == 0 {
                phi.push(sum_of_products(&levels, entry, (model.n_levels, r)));
                weighted.push(Vec::new());
            } else {
                phi.push(Vec::new());
                weighted.push(model.times_unit(entry, &point.others));
            }
        }
        let own = &point.others[..q2 * q2];
        let mut inner = model.times_g(&point.g, &identity(q2));
        let half = model.times_g(&point.g, own);
        let mut turned = memory::zeros(q2 * q2);
        small::transpose(&half, q2.max(1), &mut turned);
        add(&mut inner, &model.times_g(&point.g, &turned), -1.0);
        let moved = (model.entries.iter().zip(&phi).zip(&weighted))
            .map(|((entry, phi), weighted)| {
                if entry.factor == 0 {
                    let block = memory::collect((0..q2 * q2).map(|e| phi[(e / q2) * r + e % q2]));
                    product(&inner, &block, (q2, q2, q2))
                } else {
                    weighted[..q2 * q2].to_vec()
                }
            })
            .collect();
        Self {
            model,
            point,
            levels,
            phi,
            combinations: point.combinations(model, 0),
            inner,
            moved,
            weighted,
        }
    }

    fn is_first(&self, a: usize) -> bool {
        self.model.entries[a].factor == 0
    }

    fn sizes(&self) -> (usize, usize, usize) {
        (self.model.width(), self.model.q2, self.model.rank + 1)
    }

    /// L_0 of [Q y], r x (rank + 1).
    fn of_fixed(&self) -> &[f64] {
        let (r, q2, _) = self.sizes();
        &self.combinations[q2 * r..]
    }

    /// Z_2'V^-1[Q y].
    fn others(&self) -> &[f64] {
        let (_, q2, _) = self.sizes();
        &self.point.others[q2 * q2..]
    }

    fn single_trace(&self, a: usize) -> f64 {
        let (_, q2, _) = self.sizes();
        let trace: f64 = (0..q2).map(|i| self.moved[a][i * q2 + i]).sum();
        if !self.is_first(a) {
            return trace;
        }
        let k = self.model.k;
        let own: f64 = ones(&self.model.entries[a])
            .map(|(i, j)| self.levels.information[j * k + i].iter().sum::<f64>())
            .sum();
        own - trace
    }

    fn single(&self, a: usize) -> Vec<f64> {
        let (r, q2, p1) = self.sizes();
        if self.is_first(a) {
            let half = product(&self.phi[a], self.of_fixed(), (r, r, p1));
            return cross(self.of_fixed(), &half, (p1, r, p1));
        }
        cross(self.others(), &self.weighted[a][q2 * q2..], (p1, q2, p1))
    }

    /// tr(V^-1V_aV^-1V_b) and U'V^-1V_aV^-1V_bV^-1U.
    fn pair(&self, a: usize, b: usize) -> (f64, Vec<f64>) {
        match (self.is_first(a), self.is_first(b)) {
            (true, true) => self.both_first(a, b),
            (true, false) => self.mixed(a, b),
            (false, true) => {
                let (trace, block) = self.mixed(b, a);
                let mut turned = memory::zeros(block.len());
                small::transpose(&block, self.model.rank + 1, &mut turned);
                (trace, turned)
            }
            (false, false) => self.both_others(a, b),
        }
    }

    /// Both of the largest factor: Psi_ab - Phi_a Q_0 Phi_b between the combinations of V^-1U.
    fn both_first(&self, a: usize, b: usize) -> (f64, Vec<f64>) {
        let (r, q2, p1) = self.sizes();
        let (n, k) = (self.model.n_levels, self.model.k);
        let (ea, eb) = (&self.model.entries[a], &self.model.entries[b]);
        let mut psi = memory::zeros(r * r);
        let mut trace = 0.0;
        for (i, j) in ones(ea) {
            for (l, h) in ones(eb) {
                // C_i' N_jl C_h
                let between = &self.levels.information[l * k + j];
                let mut scaled = memory::copy(&self.levels.products[h]);
                for column in scaled.chunks_exact_mut(n.max(1)) {
                    column.iter_mut().zip(between).for_each(|(v, w)| *v *= w);
                }
                add(
                    &mut psi,
                    &cross(&self.levels.products[i], &scaled, (r, n, r)),
                    1.0,
                );
                let back = &self.levels.information[i * k + h];
                trace += between.iter().zip(back).map(|(x, y)| x * y).sum::<f64>();
            }
        }
        let block = |x: &[f64]| -> Vec<f64> {
            memory::collect((0..q2 * q2).map(|e| x[(e / q2.max(1)) * r + e % q2.max(1)]))
        };
        trace += small::trace_product(&self.moved[a], &self.moved[b], q2)
            - 2.0 * small::trace_product(&self.inner, &block(&psi), q2);
        let half = product(&psi, self.of_fixed(), (r, r, p1));
        let mut out = cross(self.of_fixed(), &half, (p1, r, p1));
        if q2 > 0 {
            let left = self.rows_of_others(a);
            let right = self.rows_of_others(b);
            let half = product(&self.inner, &right, (q2, q2, p1));
            add(&mut out, &cross(&left, &half, (p1, q2, p1)), -1.0);
        }
        (trace, out)
    }

    /// Z_2'V_1^-1V_aV^-1U, q2 x (rank + 1), a of the largest factor.
    fn rows_of_others(&self, a: usize) -> Vec<f64> {
        let (r, q2, p1) = self.sizes();
        let all = product(&self.phi[a], self.of_fixed(), (r, r, p1));
        let mut out = memory::zeros(q2 * p1);
        for c in 0..p1 {
            out[c * q2..(c + 1) * q2].copy_from_slice(&all[c * r..c * r + q2]);
        }
        out
    }

    /// The first of the largest factor, the second of another: both through Z_2'V^-1V_aV^-1[Z_2 U].
    fn mixed(&self, a: usize, b: usize) -> (f64, Vec<f64>) {
        let (r, q2, p1) = self.sizes();
        let half = product(&self.phi[a], &self.combinations[..q2 * r], (r, r, q2));
        // all columns of L_0 times those
        let block = cross(&self.combinations, &half, (r, r, q2));
        let own: Vec<f64> =
            memory::collect((0..q2 * q2).map(|e| block[(e / q2.max(1)) * r + e % q2.max(1)]));
        let entry = &self.model.entries[b];
        let moved = self.model.times_unit(entry, &own);
        let trace = (0..q2).map(|i| moved[i * q2 + i]).sum();
        // U'V^-1V_aV^-1Z_2 E_b Z_2'V^-1U
        let of_fixed: Vec<f64> =
            memory::collect((0..p1 * q2).map(|e| block[(e / p1) * r + q2 + e % p1]));
        let out = product(&of_fixed, &self.weighted[b][q2 * q2..], (p1, q2, p1));
        (trace, out)
    }

    fn both_others(&self, a: usize, b: usize) -> (f64, Vec<f64>) {
        let (_, q2, p1) = self.sizes();
        let trace = small::trace_product(&self.moved[a], &self.moved[b], q2);
        let left = &self.weighted[a][q2 * q2..];
        let right = &self.weighted[b][q2 * q2..];
        let half = product(&self.point.others[..q2 * q2], right, (q2, q2, p1));
        (trace, cross(left, &half, (p1, q2, p1)))
    }
}

/// Phi_a, r x r.
fn sum_of_products(levels: &Levels, entry: &Entry, (n, r): (usize, usize)) -> Vec<f64> {
    let mut out = memory::zeros(r * r);
    for (i, j) in ones(entry) {
        let own = cross(&levels.products[i], &levels.products[j], (r, n, r));
        add(&mut out, &own, 1.0);
    }
    out
}

fn identity(n: usize) -> Vec<f64> {
    let mut out = memory::zeros(n * n);
    (0..n).for_each(|i| out[i * n + i] = 1.0);
    out
}
