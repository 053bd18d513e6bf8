//! Levels and rows that count as many: criterion, gradient, Hessian, estimates and robust covariance matrices against a dense
//! evaluation of the pseudo-likelihood, cluster by cluster, and against data in which rows and levels are repeated.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::internal::Prepared;
use common::{close, near, Rng};
use ferrolmm_engine::basis::internal_theta::InternalTheta;
use ferrolmm_engine::criterion::objective::Criterion;
use ferrolmm_engine::inference::{pseudo_likelihood, Clusters};
use ferrolmm_engine::{
    fit, Column, Fit, GroupingFactor, ModelData, Options, RandomTerm, Structure,
};

/// Dense matrices, column-major.
#[derive(Debug, Clone)]
struct Matrix(usize, usize, Vec<f64>);

impl Matrix {
    fn zeros(n: usize, m: usize) -> Self {
        Self(n, m, vec![0.0; n * m])
    }

    fn at(&self, i: usize, j: usize) -> f64 {
        self.2[j * self.0 + i]
    }

    fn set(&mut self, i: usize, j: usize, v: f64) {
        self.2[j * self.0 + i] = v;
    }

    fn times(&self, b: &Self) -> Self {
        let mut out = Self::zeros(self.0, b.1);
        for i in 0..self.0 {
            for j in 0..b.1 {
                out.set(i, j, (0..self.1).map(|l| self.at(i, l) * b.at(l, j)).sum());
            }
        }
        out
    }

    fn turned(&self) -> Self {
        let mut out = Self::zeros(self.1, self.0);
        for i in 0..self.0 {
            for j in 0..self.1 {
                out.set(j, i, self.at(i, j));
            }
        }
        out
    }

    fn plus(&self, b: &Self, by: f64) -> Self {
        let values = self.2.iter().zip(&b.2).map(|(x, y)| x + by * y).collect();
        Self(self.0, self.1, values)
    }

    /// The solution X of self X = b and the determinant of self.
    fn solve(&self, b: &Self) -> (Self, f64) {
        let (n, m) = (self.0, b.1);
        let (mut a, mut x, mut det) = (self.clone(), b.clone(), 1.0);
        for c in 0..n {
            let p = (c..n)
                .max_by(|&i, &j| a.at(i, c).abs().total_cmp(&a.at(j, c).abs()))
                .unwrap();
            if p != c {
                det = -det;
                for j in 0..n {
                    let (u, v) = (a.at(c, j), a.at(p, j));
                    a.set(c, j, v);
                    a.set(p, j, u);
                }
                for j in 0..m {
                    let (u, v) = (x.at(c, j), x.at(p, j));
                    x.set(c, j, v);
                    x.set(p, j, u);
                }
            }
            det *= a.at(c, c);
            for i in (0..n).filter(|&i| i != c) {
                let by = a.at(i, c) / a.at(c, c);
                (0..n).for_each(|j| a.set(i, j, a.at(i, j) - by * a.at(c, j)));
                (0..m).for_each(|j| x.set(i, j, x.at(i, j) - by * x.at(c, j)));
            }
        }
        for i in 0..n {
            (0..m).for_each(|j| x.set(i, j, x.at(i, j) / a.at(i, i)));
        }
        (x, det)
    }
}

/// A sample with weights: clusters hold the levels of the finer factor, if there is one.
struct Sample {
    y: Vec<f64>,
    /// n x p.
    x: Matrix,
    /// Covariate of slopes.
    z: Vec<f64>,
    /// Codes of the clusters and of the finer levels, from 1.
    outer: Vec<i32>,
    inner: Option<Vec<i32>>,
    /// Weights of clusters, of finer levels within them, of rows within these.
    of_outer: Vec<f64>,
    of_inner: Vec<f64>,
    of_rows: Vec<f64>,
    /// Effects of a level: 1, z.
    k_outer: usize,
    k_inner: usize,
}

impl Sample {
    fn new(
        seed: u64,
        clusters: usize,
        levels: usize,
        (k_outer, k_inner): (usize, usize),
        whole: bool,
    ) -> Self {
        let mut rng = Rng::new(seed);
        let weight = |rng: &mut Rng| match whole {
            true => 1.0 + rng.below(3) as f64,
            false => rng.between(0.3, 3.0),
        };
        let (mut outer, mut inner, mut effects) = (Vec::new(), Vec::new(), Vec::new());
        let mut count = 0;
        for k in 0..clusters {
            let own = [1.2 * rng.normal(), 0.6 * rng.normal()];
            for _ in 0..(1 + rng.below(levels)) {
                count += 1;
                let of_level = [0.8 * rng.normal(), 0.5 * rng.normal()];
                for _ in 0..(2 + rng.below(4)) {
                    outer.push(k as i32 + 1);
                    inner.push(count);
                    effects.push([own[0] + of_level[0], own[1] + of_level[1]]);
                }
            }
        }
        let n = outer.len();
        let z = rng.normals(n);
        let mut x = Matrix::zeros(n, 2);
        x.2[..n].fill(1.0);
        x.2[n..].copy_from_slice(&z);
        let y =
            (0..n).map(|i| 1.0 + 0.5 * z[i] + effects[i][0] + effects[i][1] * z[i] + rng.normal());
        let y: Vec<f64> = y.collect();
        let of_outer = (0..clusters).map(|_| weight(&mut rng)).collect();
        let of_inner = (0..count)
            .map(|_| if k_inner > 0 { weight(&mut rng) } else { 1.0 })
            .collect();
        let of_rows = (0..n).map(|_| weight(&mut rng)).collect();
        Self {
            y,
            x,
            z,
            outer,
            inner: (k_inner > 0).then_some(inner),
            of_outer,
            of_inner,
            of_rows,
            k_outer,
            k_inner,
        }
    }

    fn n(&self) -> usize {
        self.y.len()
    }

    fn columns(&self, k: usize) -> Vec<Column<'_>> {
        [Column::Constant, Column::Values(&self.z)][..k].to_vec()
    }

    /// Weights of rows and counts of levels as the engine takes them, and the sum of the weights.
    fn counted(&self) -> Counted {
        let inner = |i: usize| {
            self.inner
                .as_ref()
                .map_or(1.0, |codes| self.of_inner[codes[i] as usize - 1])
        };
        let outer = |i: usize| self.of_outer[self.outer[i] as usize - 1];
        let weights: Vec<f64> = (0..self.n())
            .map(|i| outer(i) * inner(i) * self.of_rows[i])
            .collect();
        let total: f64 = weights.iter().sum();
        let scale = self.n() as f64 / total;
        let mut of_inner = self.of_inner.clone();
        if let Some(codes) = &self.inner {
            (0..self.n()).for_each(|i| {
                let level = codes[i] as usize - 1;
                of_inner[level] = self.of_inner[level] * outer(i) * scale;
            });
        }
        Counted {
            weights: weights.iter().map(|w| w * scale).collect(),
            outer: self.of_outer.iter().map(|w| w * scale).collect(),
            inner: of_inner,
            total,
        }
    }

    fn data<'a>(&'a self, counted: Option<&'a Counted>) -> ModelData<'a> {
        let factor =
            |codes: &'a [i32], counts: Option<&'a [f64]>, n_levels: usize| GroupingFactor {
                codes,
                members: None,
                n_levels,
                precision: None,
                counts,
            };
        let term = |factor: usize, k: usize| RandomTerm {
            factor,
            columns: self.columns(k),
            structure: Structure::Unstructured,
            classes: None,
        };
        let mut factors = vec![factor(
            &self.outer,
            counted.map(|c| &c.outer[..]),
            self.of_outer.len(),
        )];
        let mut terms = vec![term(0, self.k_outer)];
        if let Some(codes) = &self.inner {
            factors.push(factor(
                codes,
                counted.map(|c| &c.inner[..]),
                self.of_inner.len(),
            ));
            terms.push(term(1, self.k_inner));
        }
        ModelData {
            y: &self.y,
            x: Column::of_matrix(&self.x.2, self.n(), 2),
            p: 2,
            weights: counted.map(|c| &c.weights[..]),
            offset: None,
            factors,
            terms,
            residual: None,
            moments: None,
            stands_for: None,
        }
    }

    /// Rows of z of some rows.
    fn rows(&self, rows: &[usize], k: usize) -> Matrix {
        let mut out = Matrix::zeros(rows.len(), k);
        for (i, &row) in rows.iter().enumerate() {
            (0..k).for_each(|c| out.set(i, c, if c == 0 { 1.0 } else { self.z[row] }));
        }
        out
    }

    /// The log pseudo-likelihood of one cluster, its weight in it, with covariance matrices g of a level's effects.
    fn log_likelihood(
        &self,
        cluster: usize,
        beta: &[f64],
        [outer, inner]: [&Matrix; 2],
        sigma2: f64,
    ) -> f64 {
        let own: Vec<usize> = (0..self.n())
            .filter(|&i| self.outer[i] as usize == cluster + 1)
            .collect();
        let groups: Vec<(f64, Vec<usize>)> = match &self.inner {
            None => vec![(1.0, own)],
            Some(codes) => (1..=self.of_inner.len())
                .map(|level| {
                    let rows = own.iter().copied().filter(|&i| codes[i] as usize == level);
                    (self.of_inner[level - 1], rows.collect::<Vec<_>>())
                })
                .filter(|group| !group.1.is_empty())
                .collect(),
        };
        // constant, linear and quadratic part of the log integrand in u of the cluster
        let k = self.k_outer;
        let (mut c, mut b, mut a) = (0.0, Matrix::zeros(k, 1), Matrix::zeros(k, k));
        for (weight, rows) in groups {
            let z = self.rows(&rows, k);
            let v = self.rows(&rows, self.k_inner);
            let w: Vec<f64> = rows.iter().map(|&i| self.of_rows[i]).collect();
            let weighted = |m: &Matrix| {
                let mut out = m.turned();
                for i in 0..rows.len() {
                    (0..m.1).for_each(|c| out.set(c, i, m.at(i, c) * w[i] / sigma2));
                }
                out
            };
            let mut e = Matrix::zeros(rows.len(), 1);
            for (i, &row) in rows.iter().enumerate() {
                let mean: f64 = (0..self.x.1).map(|c| self.x.at(row, c) * beta[c]).sum();
                e.set(i, 0, self.y[row] - mean);
            }
            let mut own_c = -0.5 * weighted(&e).times(&e).at(0, 0);
            own_c -= 0.5 * w.iter().sum::<f64>() * (2.0 * std::f64::consts::PI * sigma2).ln();
            let mut own_b = weighted(&z).times(&e);
            let mut own_a = weighted(&z).times(&z);
            if self.k_inner > 0 {
                let (h, det) = integral(&weighted(&v).times(&v), inner);
                let (ve, vz) = (weighted(&v).times(&e), weighted(&v).times(&z));
                own_c += 0.5 * ve.turned().times(&h).times(&ve).at(0, 0) - 0.5 * det.ln();
                own_b = own_b.plus(&vz.turned().times(&h).times(&ve), -1.0);
                own_a = own_a.plus(&vz.turned().times(&h).times(&vz), -1.0);
            }
            c += weight * own_c;
            b = b.plus(&own_b, weight);
            a = a.plus(&own_a, weight);
        }
        let (h, det) = integral(&a, outer);
        self.of_outer[cluster]
            * (c + 0.5 * b.turned().times(&h).times(&b).at(0, 0) - 0.5 * det.ln())
    }
}

/// (G^-1 + A)^-1 = (I + G A)^-1 G and |I + G A|.
fn integral(a: &Matrix, g: &Matrix) -> (Matrix, f64) {
    let mut m = g.times(a);
    (0..a.0).for_each(|i| m.set(i, i, m.at(i, i) + 1.0));
    m.solve(g)
}

struct Counted {
    weights: Vec<f64>,
    outer: Vec<f64>,
    inner: Vec<f64>,
    total: f64,
}

/// sigma^2 T T' of each term from the user's theta, column by column.
fn covariances(theta: &[f64], sizes: [usize; 2], sigma2: f64) -> [Matrix; 2] {
    let mut at = 0;
    sizes.map(|k| {
        let mut t = Matrix::zeros(k, k);
        for j in 0..k {
            for i in j..k {
                t.set(i, j, theta[at]);
                at += 1;
            }
        }
        let mut g = t.times(&t.turned());
        g.2.iter_mut().for_each(|v| *v *= sigma2);
        g
    })
}

/// The lower triangles, and back.
fn triangles(g: &[Matrix; 2]) -> Vec<f64> {
    let of = |g: &Matrix| {
        (0..g.0)
            .flat_map(|j| (j..g.0).map(move |i| (i, j)))
            .map(|(i, j)| g.at(i, j))
            .collect::<Vec<_>>()
    };
    g.iter().flat_map(of).collect()
}

fn from_triangles(values: &[f64], sizes: [usize; 2]) -> [Matrix; 2] {
    let mut at = 0;
    sizes.map(|k| {
        let mut g = Matrix::zeros(k, k);
        for j in 0..k {
            for i in j..k {
                g.set(i, j, values[at]);
                g.set(j, i, values[at]);
                at += 1;
            }
        }
        g
    })
}

fn samples() -> Vec<Sample> {
    vec![
        Sample::new(1, 9, 1, (1, 0), false),
        Sample::new(2, 12, 2, (2, 0), false),
        Sample::new(3, 8, 4, (1, 1), false),
        Sample::new(4, 12, 4, (2, 1), false),
        Sample::new(5, 12, 4, (1, 2), false),
        // sparse, and two strips of a dense complement
        Sample::new(6, 60, 3, (2, 2), false),
    ]
}

fn fitted(data: &ModelData<'_>, start: Option<&[f64]>) -> Fit {
    let options = Options {
        reml: false,
        threads: 1,
        start: start.map(|theta| theta.into()),
        optimize: start.is_none(),
        ..Options::default()
    };
    fit(data, &options, &|| false).unwrap()
}

#[test]
fn criterion_is_that_of_the_clusters() {
    for sample in samples() {
        let sizes = [sample.k_outer, sample.k_inner];
        let parameters: usize = sizes.iter().map(|k| k * (k + 1) / 2).sum();
        let mut rng = Rng::new(77);
        for size in [0.05, 0.5, 2.0] {
            let theta: Vec<f64> = (0..parameters)
                .map(|_| size * rng.between(0.3, 1.2))
                .collect();
            let counted = sample.counted();
            let found = fitted(&sample.data(Some(&counted)), Some(&theta));
            let sigma2 = found.sigma.powi(2);
            let g = covariances(&theta, sizes, sigma2);
            let at = |beta: &[f64], sigma2: f64| -> f64 {
                let parts = (0..sample.of_outer.len())
                    .map(|k| sample.log_likelihood(k, beta, [&g[0], &g[1]], sigma2));
                -2.0 * parts.sum::<f64>()
            };
            let scale = sample.n() as f64 / counted.total;
            near(
                "criterion",
                found.criterion,
                at(&found.beta, sigma2) * scale,
                1e-11,
            );
            near("pwrss", found.pwrss, found.wrss + found.ussq, 1e-10);
        }
    }
}

fn gradient(criterion: &mut Criterion<'_>, x: &InternalTheta) -> Vec<f64> {
    criterion.value(x).unwrap();
    criterion.latest().unwrap().derivatives.gradient.clone()
}

#[test]
fn derivatives_are_those_of_the_criterion() {
    for (s, sample) in samples().iter().enumerate() {
        let counted = sample.counted();
        let prepared = Prepared::of(&sample.data(Some(&counted)));
        let mut rng = Rng::new(5);
        for size in [0.02, 0.4, 1.5] {
            let x: InternalTheta = (prepared.parameters.list.iter())
                .map(|a| match a.entries[0].0 == a.entries[0].1 {
                    true => size * rng.between(0.5, 1.5),
                    false => size * rng.between(-0.8, 0.8),
                })
                .collect();
            let mut criterion = prepared.criterion(false);
            let own = gradient(&mut criterion, &x);
            let hessian = criterion.exact_hessian().unwrap();
            let (m, h) = (x.len(), 0.01 * size);
            let (mut slopes, mut second) = (vec![0.0; m], vec![0.0; m * m]);
            for a in 0..m {
                for (step, weight) in [(1.0, 45.0 / 60.0), (2.0, -9.0 / 60.0), (3.0, 1.0 / 60.0)] {
                    for sign in [1.0, -1.0] {
                        let mut moved = x.clone();
                        moved[a] += sign * step * h;
                        slopes[a] += sign * weight * criterion.value(&moved).unwrap() / h;
                        for (b, g) in gradient(&mut criterion, &moved).iter().enumerate() {
                            second[a * m + b] += sign * weight * g / h;
                        }
                    }
                }
            }
            close(&format!("gradient {s} {size}"), &own, &slopes, 1e-6);
            close(&format!("Hessian {s} {size}"), &hessian, &second, 1e-6);
        }
    }
}

/// The sample with each cluster, level and row as often as it counts.
fn repeated(sample: &Sample) -> Sample {
    let (mut rows, mut outer, mut inner) = (Vec::new(), Vec::new(), Vec::new());
    let (mut clusters, mut levels) = (0, 0);
    for k in 0..sample.of_outer.len() {
        for _ in 0..sample.of_outer[k] as usize {
            clusters += 1;
            let own: Vec<usize> = (0..sample.n())
                .filter(|&i| sample.outer[i] as usize == k + 1)
                .collect();
            let codes = |i: usize| sample.inner.as_ref().map_or(1, |codes| codes[i]);
            let mut groups: Vec<i32> = own.iter().map(|&i| codes(i)).collect();
            groups.dedup();
            for group in groups {
                let times = if sample.k_inner > 0 {
                    sample.of_inner[group as usize - 1]
                } else {
                    1.0
                };
                for _ in 0..times as usize {
                    levels += 1;
                    for &i in own.iter().filter(|&&i| codes(i) == group) {
                        for _ in 0..sample.of_rows[i] as usize {
                            rows.push(i);
                            outer.push(clusters);
                            inner.push(levels);
                        }
                    }
                }
            }
        }
    }
    let n = rows.len();
    let mut x = Matrix::zeros(n, 2);
    for (i, &row) in rows.iter().enumerate() {
        (0..2).for_each(|c| x.set(i, c, sample.x.at(row, c)));
    }
    Sample {
        y: rows.iter().map(|&i| sample.y[i]).collect(),
        z: rows.iter().map(|&i| sample.z[i]).collect(),
        x,
        outer,
        inner: sample.inner.is_some().then_some(inner),
        of_outer: vec![1.0; clusters as usize],
        of_inner: vec![1.0; levels as usize],
        of_rows: vec![1.0; n],
        k_outer: sample.k_outer,
        k_inner: sample.k_inner,
    }
}

#[test]
fn whole_numbers_repeat() {
    for sample in [
        Sample::new(11, 12, 1, (1, 0), true),
        Sample::new(12, 25, 1, (2, 0), true),
        Sample::new(13, 12, 4, (1, 1), true),
        Sample::new(14, 30, 4, (2, 1), true),
    ] {
        let counted = sample.counted();
        let own = fitted(&sample.data(Some(&counted)), None);
        let all = repeated(&sample);
        let other = fitted(&all.data(None), None);
        let scale = all.n() as f64 / sample.n() as f64;
        near("criterion", own.criterion * scale, other.criterion, 1e-10);
        close("beta", &own.beta, &other.beta, 1e-7);
        close("theta", own.theta.values(), other.theta.values(), 1e-6);
        near("sigma", own.sigma, other.sigma, 1e-8);
        // random effects of a level and of the first of its copies
        let effects = |sample: &Sample, fit: &Fit, row: usize| {
            let k = sample.k_outer;
            let level = sample.outer[row] as usize - 1;
            let mut out = fit.b[level * k..(level + 1) * k].to_vec();
            if let Some(codes) = &sample.inner {
                let (k1, level) = (sample.k_inner, codes[row] as usize - 1);
                let first = sample.of_outer.len() * k;
                out.extend_from_slice(&fit.b[first + level * k1..first + (level + 1) * k1]);
            }
            out
        };
        let row = sample.n() - 1;
        close(
            "b",
            &effects(&sample, &own, row),
            &effects(&all, &other, all.n() - 1),
            1e-6,
        );
    }
}

#[test]
fn robust_covariances_are_those_of_the_clusters() {
    for (s, sample) in samples().iter().enumerate() {
        let sizes = [sample.k_outer, sample.k_inner];
        let counted = sample.counted();
        let data = sample.data(Some(&counted));
        let found = fitted(&data, None);
        let sigma2 = found.sigma.powi(2);
        let g = covariances(found.theta.values(), sizes, sigma2);
        // (beta, lower triangles of G, sigma^2)
        let psi: Vec<f64> = [&found.beta[..], &triangles(&g), &[sigma2]].concat();
        let (d, clusters) = (psi.len(), sample.of_outer.len());
        let value = |cluster: usize, psi: &[f64]| {
            let g = from_triangles(&psi[2..d - 1], sizes);
            -2.0 * sample.log_likelihood(cluster, &psi[..2], [&g[0], &g[1]], psi[d - 1])
        };
        let step = |a: usize| 1e-3 * psi[a].abs().max(0.1);
        let moved = |a: usize, b: usize, x: f64, y: f64| {
            let mut psi = psi.clone();
            psi[a] += x * step(a);
            psi[b] += y * step(b);
            psi
        };
        if psi[2..].iter().any(|v| v.abs() < 1e-3) {
            panic!("a boundary in sample {s}: {psi:?}");
        }
        let mut scores = Matrix::zeros(d, clusters);
        let mut hessian = Matrix::zeros(d, d);
        for k in 0..clusters {
            for a in 0..d {
                let at = |x: f64| value(k, &moved(a, a, x, 0.0));
                let slope = (8.0 * (at(1.0) - at(-1.0)) - (at(2.0) - at(-2.0))) / (12.0 * step(a));
                scores.set(a, k, slope);
                for b in 0..d {
                    let at = |h: f64| {
                        let mixed = |x: f64, y: f64| value(k, &moved(a, b, x * h, y * h));
                        (mixed(1.0, 1.0) - mixed(1.0, -1.0) - mixed(-1.0, 1.0) + mixed(-1.0, -1.0))
                            / (4.0 * h * h)
                    };
                    let second = (4.0 * at(1.0) - at(2.0)) / 3.0;
                    hessian.set(a, b, hessian.at(a, b) + second / (step(a) * step(b)));
                }
            }
        }
        let (half, _) = hessian.solve(&scores);
        let wanted = half.times(&half.turned());
        let options = Options {
            reml: false,
            threads: 1,
            start: Some(found.theta.values().into()),
            optimize: false,
            ..Options::default()
        };
        let groups = Clusters {
            codes: &sample.outer,
            count: clusters,
        };
        let own = pseudo_likelihood(&data, groups, &options, &|| false).unwrap();
        let r = own.rank;
        let all = r + own.jacobian.len() / own.components;
        let covariance = Matrix(all, all, own.covariance.clone());
        let mut change = Matrix::zeros(r + own.components, all);
        (0..r).for_each(|i| change.set(i, i, 1.0));
        for a in 0..all - r {
            (0..own.components)
                .for_each(|i| change.set(r + i, r + a, own.jacobian[a * own.components + i]));
        }
        let natural = change.times(&covariance).times(&change.turned());
        close(&format!("covariance {s}"), &natural.2, &wanted.2, 1e-5);
        // slopes of all clusters together vanish, those of fixed effects are those of each
        let scale = sample.n() as f64 / counted.total;
        for a in 0..all {
            let sum: f64 = (0..clusters).map(|k| own.slopes[k * all + a]).sum();
            let size: f64 = (0..clusters).map(|k| own.slopes[k * all + a].abs()).sum();
            assert!(
                sum.abs() < 1e-5 * size,
                "slopes {a} of sample {s}: {sum} of {size}"
            );
        }
        for k in 0..clusters {
            for a in 0..r {
                near(
                    "slope",
                    own.slopes[k * all + a],
                    scale * scores.at(a, k),
                    1e-5,
                );
            }
        }
    }
}
