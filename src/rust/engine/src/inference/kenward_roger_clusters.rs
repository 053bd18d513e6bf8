//! tr(P V_a P V_b) where residuals have a structure: V is block-diagonal by clusters, the rows that random effects and residual
//! groups connect, and the blocks are taken as they are.
//!
//! P = V^-1 - V^-1 Q Phi Q'V^-1, so that tr(P E P F) = tr(V^-1 E V^-1 F) - 2 tr(Phi Q'V^-1 E V^-1 F V^-1 Q) + tr(Phi Q_E Phi Q_F) with
//! Q_E = Q'V^-1 E V^-1 Q, and each but the last product is a sum over the clusters. It costs the cube of a cluster's rows.

use crate::api::error::EngineError;
use crate::api::model::ModelData;
use crate::basis::covariances::Covariances;
use crate::basis::internal_theta::InternalTheta;
use crate::basis::parameters::Parameters;
use crate::criterion::direction::Direction;
use crate::criterion::objective::Criterion;
use crate::data::connected::connected_rows;
use crate::fit::prepared::Prepared;
use crate::inference::singular_point::direction;
use crate::inference::tangent::Expected;
use crate::linalg::{dense, small};
use crate::moments::blocks::Center;
use crate::moments::residual_part::ResidualPart;
use crate::runtime::memory;
use crate::structure::residual::{PatternChanges, Residual};

/// Most rows of a cluster.
const LARGEST: usize = 3000;

/// T and d, where the model has a residual structure; `w` is the covariance matrix of the parameters, and `bends` the parts of D
/// that are random effects'.
pub(super) fn expected(
    data: &ModelData<'_>,
    prepared: &Prepared,
    criterion: &Criterion<'_>,
    (theta, w): (&InternalTheta, &[f64]),
    bends: &[Direction],
) -> Result<Option<Expected>, EngineError> {
    let Some((part, _)) = criterion.residual() else {
        return Ok(None);
    };
    // X as it is, in whatever coordinates: P knows its span alone
    let plain = Center {
        beta: memory::zeros(prepared.fixed.rank()),
        b: vec![Vec::new(); prepared.layout.len()],
    };
    let part =
        ResidualPart::of_all_rows(data, prepared.coordinates(), &plain, part.whole().clone());
    let clusters = clusters(data, &part);
    let order = clusters.iter().map(Vec::len).max().unwrap_or(0);
    if order > LARGEST {
        let gigabytes = 8e-9 * (theta.len() + 4) as f64 * (order as f64).powi(2);
        return Err(EngineError::TooLarge { order, gigabytes });
    }
    let parameters = &prepared.parameters;
    let directions = (0..parameters.list.len())
        .map(|a| direction(prepared, a, &parameters.derivative(theta, a)))
        .collect();
    let own = Clusters::new(&part, parameters, (theta, w), (directions, bends));
    let mut sums = Sums::new(prepared.fixed.rank(), theta.len() + 1);
    for rows in clusters {
        if own.add(&rows, &mut sums).is_none() {
            return Ok(None);
        }
    }
    Ok(sums.expected(theta.len()))
}

/// Rows that are not independent of each other, in the order of the residual groups.
fn clusters(data: &ModelData<'_>, part: &ResidualPart) -> Vec<Vec<usize>> {
    let (codes, count) = connected_rows(data);
    let mut out = vec![Vec::new(); count];
    for (place, &row) in part.model.order().iter().enumerate() {
        out[codes[row as usize] as usize].push(place);
    }
    out
}

/// Sums over the clusters, for the V_a and D.
struct Sums {
    r: usize,
    count: usize,
    information: Vec<f64>,
    double: Vec<f64>,
    single: Vec<f64>,
    forms: Vec<Vec<f64>>,
    double_forms: Vec<Vec<f64>>,
    rows: usize,
}

impl Sums {
    fn new(r: usize, count: usize) -> Self {
        Self {
            r,
            count,
            information: memory::zeros(r * r),
            double: memory::zeros(count * count),
            single: memory::zeros(count),
            forms: (0..count).map(|_| memory::zeros(r * r)).collect(),
            double_forms: (0..count * count).map(|_| memory::zeros(r * r)).collect(),
            rows: 0,
        }
    }

    fn expected(mut self, m: usize) -> Option<Expected> {
        let (r, count) = (self.r, self.count);
        let mut lower = self.information;
        if !small::cholesky(&mut lower, r) {
            return None;
        }
        let phi = small::inverse_from_cholesky(&lower, r);
        let scaled: Vec<Vec<f64>> = self
            .forms
            .iter()
            .map(|form| {
                let mut half = memory::zeros(r * r);
                small::mul_nn(&phi, form, r, r, r, &mut half);
                half
            })
            .collect();
        for b in 0..count {
            for a in 0..count {
                let at = b * count + a;
                let cross = small::trace_product(&phi, &self.double_forms[at], r);
                let square = small::trace_product(&scaled[a], &scaled[b], r);
                self.double[at] += square - 2.0 * cross;
            }
            let own: f64 = (0..r).map(|i| scaled[b][i * r + i]).sum();
            self.single[b] -= own;
        }
        let degrees = (self.rows - r) as f64;
        Some(Expected::new(&self.double, &self.single, m, degrees))
    }
}

/// What the blocks are made of.
struct Clusters<'a> {
    part: &'a ResidualPart,
    model: &'a Residual,
    phi: &'a [f64],
    /// G of each level, and the directions of the terms' parameters and of D.
    t: Covariances,
    directions: Vec<Direction>,
    bends: &'a [Direction],
    /// Weights of the residual parameters, and the correlations of each pattern.
    weights: Vec<f64>,
    patterns: Vec<PatternChanges>,
}

impl<'a> Clusters<'a> {
    fn new(
        part: &'a ResidualPart,
        parameters: &Parameters,
        (theta, w): (&'a InternalTheta, &[f64]),
        (directions, bends): (Vec<Direction>, &'a [Direction]),
    ) -> Self {
        let (terms, s) = (parameters.list.len(), theta.len() + 1);
        let (phi, model) = (&theta.values()[terms..], &part.model);
        let size = phi.len();
        let weight = |e: usize| w[(terms + e / size) * s + terms + e % size];
        let weights: Vec<f64> = memory::collect((0..size * size).map(weight));
        let patterns = (0..model.patterns())
            .map(|pattern| model.pattern_changes(phi, pattern, &weights))
            .collect();
        Self {
            part,
            model,
            phi,
            t: parameters.factors(theta, Covariances::default()),
            directions,
            bends,
            weights,
            patterns,
        }
    }

    /// Adds Z kappa Z' of some rows, where `block` gives kappa of a factor and level.
    fn add_effects<'b>(
        &self,
        rows: &[usize],
        f: usize,
        block: impl Fn(usize) -> Option<&'b [f64]>,
        out: &mut [f64],
    ) {
        let level = &self.part.rows.level[f];
        if level.is_empty() {
            return;
        }
        let (n, k) = (rows.len(), self.part.layout[f].k);
        let z = |i: usize| &self.part.rows.z[f][i * k..(i + 1) * k];
        for (j, &y) in rows.iter().enumerate() {
            let Some(kappa) = block(level[y] as usize) else {
                continue;
            };
            let right: Vec<f64> = (0..k)
                .map(|a| (0..k).map(|b| kappa[b * k + a] * z(y)[b]).sum())
                .collect();
            for (i, &x) in rows.iter().enumerate() {
                if level[x] == level[y] {
                    let value: f64 = z(x).iter().zip(&right).map(|(a, b)| a * b).sum();
                    out[j * n + i] += value;
                }
            }
        }
    }

    fn add_direction(&self, rows: &[usize], direction: &Direction, out: &mut [f64]) {
        let own = |level: usize| {
            direction
                .levels
                .contains(level)
                .then_some(&direction.kappa[..])
        };
        self.add_effects(rows, direction.factor, own, out);
    }

    /// V, the V_a, and D of some rows.
    fn blocks(&self, rows: &[usize]) -> (Vec<f64>, Vec<Vec<f64>>) {
        let n = rows.len();
        let terms = self.directions.len();
        let count = terms + self.phi.len() + 1;
        let mut v = memory::zeros(n * n);
        let mut all: Vec<Vec<f64>> = (0..count).map(|_| memory::zeros(n * n)).collect();
        let groups = &self.part.rows.group;
        let mut from = 0;
        while from < n {
            let g = groups[rows[from]];
            let size = rows[from..].iter().take_while(|&&i| groups[i] == g).count();
            let pattern = &self.patterns[self.model.pattern_of(g as usize)];
            let own = (self.model).group_changes(self.phi, g as usize, pattern, &self.weights);
            let put = |out: &mut [f64], block: &[f64]| {
                for (c, column) in block.chunks_exact(size).enumerate() {
                    let start = (from + c) * n + from;
                    out[start..start + size].copy_from_slice(column);
                }
            };
            put(&mut v, &own.r);
            for (a, block) in own.first.iter().enumerate() {
                put(&mut all[terms + a], block);
            }
            put(&mut all[count - 1], &own.second);
            from += size;
        }
        for f in 0..self.part.layout.len() {
            let k = self.part.layout[f].k;
            let covariances: Vec<Vec<f64>> = (0..self.t.classes(f))
                .map(|class| {
                    let t = self.t.of_class(f, class);
                    let mut g = memory::zeros(k * k);
                    small::mul_nt(t, t, k, k, k, &mut g);
                    g
                })
                .collect();
            let own = |level: usize| Some(&covariances[self.t.class(f, level)][..]);
            self.add_effects(rows, f, own, &mut v);
        }
        for (a, direction) in self.directions.iter().enumerate() {
            self.add_direction(rows, direction, &mut all[a]);
        }
        for bend in self.bends {
            self.add_direction(rows, bend, &mut all[count - 1]);
        }
        (v, all)
    }

    /// What a cluster adds; `None` where V is not positive definite in floating point.
    fn add(&self, rows: &[usize], sums: &mut Sums) -> Option<()> {
        let (n, r, p1) = (rows.len(), sums.r, self.part.rows.p1);
        let (mut v, all) = self.blocks(rows);
        if !dense::cholesky(&mut v, n) {
            return None;
        }
        let mut lower = memory::zeros(n * n);
        dense::invert_lower(&v, n, &mut lower);
        let mut inverse = memory::zeros(n * n);
        dense::product((&lower, n, n, true), (&lower, n, n, false), &mut inverse);
        let value = |e: usize| self.part.rows.x[rows[e % n] * p1 + e / n];
        let x: Vec<f64> = memory::collect((0..n * r).map(value));
        // Y = V^-1 X
        let times = |a: &[f64], b: &[f64], c: usize| -> Vec<f64> {
            let mut out = memory::zeros(n * c);
            if c > 0 {
                dense::product((a, n, n, false), (b, n, c, false), &mut out);
            }
            out
        };
        let y = times(&inverse, &x, r);
        let add_form = |a: &[f64], b: &[f64], out: &mut [f64]| {
            let mut own = memory::zeros(r * r);
            small::mul_tn(a, b, n, r, r, &mut own);
            out.iter_mut().zip(own).for_each(|(x, y)| *x += y);
        };
        add_form(&x, &y, &mut sums.information);
        sums.rows += n;
        let products: Vec<Vec<f64>> = all.iter().map(|e| times(&inverse, e, n)).collect();
        let images: Vec<Vec<f64>> = all.iter().map(|e| times(e, &y, r)).collect();
        let solved: Vec<Vec<f64>> = images.iter().map(|e| times(&inverse, e, r)).collect();
        for b in 0..sums.count {
            sums.single[b] += (0..n).map(|i| products[b][i * n + i]).sum::<f64>();
            add_form(&y, &images[b], &mut sums.forms[b]);
            let mut turned = memory::zeros(n * n);
            small::transpose(&products[b], n, &mut turned);
            for a in 0..sums.count {
                let at = b * sums.count + a;
                let pairs = products[a].iter().zip(&turned);
                sums.double[at] += pairs.map(|(x, y)| x * y).sum::<f64>();
                add_form(&images[a], &solved[b], &mut sums.double_forms[at]);
            }
        }
        Some(())
    }
}
