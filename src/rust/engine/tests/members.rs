//! Rows that are members of several levels against V formed n x n from Z: alone, beside other factors, with several effects a level,
//! weights of rows, levels without rows, rows without levels.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::brute::{backward, cholesky, forward};
use common::{close, near, Rng};
use ferrolmm_engine::inference::{leverages, prediction_variances, variance_spectrum, NewRows};
use ferrolmm_engine::{
    conditional_variances, fit, Column, GroupingFactor, Members, ModelData, Options, RandomTerm,
    Structure,
};

/// A grouping factor by its rows: levels from 0, ascending, and weights; one level of weight 1 has codes.
struct Factor {
    rows: Vec<Vec<(usize, f64)>>,
    levels: usize,
    start: Vec<i32>,
    level: Vec<i32>,
    weight: Vec<f64>,
    multiple: bool,
}

impl Factor {
    fn new(rows: Vec<Vec<(usize, f64)>>, levels: usize, multiple: bool) -> Self {
        let (mut start, mut level, mut weight) = (vec![0], Vec::new(), Vec::new());
        for row in &rows {
            for &(j, w) in row {
                level.push(j as i32 + 1);
                weight.push(w);
            }
            start.push(level.len() as i32);
        }
        Self {
            rows,
            levels,
            start,
            level,
            weight,
            multiple,
        }
    }

    /// Up to `most` members a row, of any weights.
    fn several(n: usize, levels: usize, most: usize, rng: &mut Rng) -> Self {
        let row = |rng: &mut Rng| {
            let count = rng.below(most + 1);
            let mut own: Vec<usize> = rng.order(levels).into_iter().take(count).collect();
            own.sort_unstable();
            own.into_iter()
                .map(|j| (j, rng.between(-0.5, 1.5)))
                .collect()
        };
        let rows = (0..n).map(|_| row(rng)).collect();
        Self::new(rows, levels, true)
    }

    fn single(n: usize, levels: usize, rng: &mut Rng) -> Self {
        let rows = (0..n).map(|i| vec![(if i < levels { i } else { rng.below(levels) }, 1.0)]);
        Self::new(rows.collect(), levels, false)
    }

    fn data(&self) -> GroupingFactor<'_> {
        GroupingFactor {
            counts: None,
            codes: if self.multiple { &[] } else { &self.level },
            members: self.multiple.then_some(Members {
                start: &self.start,
                level: &self.level,
                weight: &self.weight,
            }),
            n_levels: self.levels,
            precision: None,
        }
    }
}

struct Model {
    name: &'static str,
    y: Vec<f64>,
    x: Vec<f64>,
    p: usize,
    weights: Option<Vec<f64>>,
    factors: Vec<Factor>,
    /// Factor and columns.
    terms: Vec<(usize, Vec<Option<Vec<f64>>>)>,
}

impl Model {
    fn n(&self) -> usize {
        self.y.len()
    }

    fn data(&self) -> ModelData<'_> {
        ModelData {
            y: &self.y,
            x: Column::of_matrix(&self.x, self.n(), self.p),
            p: self.p,
            weights: self.weights.as_deref(),
            offset: None,
            factors: self.factors.iter().map(Factor::data).collect(),
            terms: (self.terms.iter())
                .map(|(factor, columns)| RandomTerm {
                    factor: *factor,
                    columns: (columns.iter())
                        .map(|c| c.as_ref().map_or(Column::Constant, |v| Column::Values(v)))
                        .collect(),
                    structure: Structure::Unstructured,
                    classes: None,
                })
                .collect(),
            residual: None,
            moments: None,
            stands_for: None,
        }
    }
}

impl Model {
    /// Z of one term, n x (levels k) by rows.
    fn z(&self, term: usize) -> Vec<Vec<f64>> {
        let (factor, columns) = &self.terms[term];
        let (factor, k) = (&self.factors[*factor], columns.len());
        let row = |i: usize| {
            let mut out = vec![0.0; factor.levels * k];
            for &(j, w) in &factor.rows[i] {
                for (c, column) in columns.iter().enumerate() {
                    out[j * k + c] += w * column.as_ref().map_or(1.0, |v| v[i]);
                }
            }
            out
        };
        (0..self.n()).map(row).collect()
    }

    /// G of each term's levels, k x k, from theta.
    fn covariances(&self, theta: &[f64]) -> Vec<Vec<f64>> {
        let mut at = 0;
        let of_term = |(_, columns): &(usize, Vec<Option<Vec<f64>>>)| {
            let k = columns.len();
            let mut t = vec![0.0; k * k];
            for c in 0..k {
                for r in c..k {
                    t[c * k + r] = theta[at];
                    at += 1;
                }
            }
            let entry = |e: usize| (0..k).map(|c| t[c * k + e % k] * t[c * k + e / k]).sum();
            (0..k * k).map(entry).collect()
        };
        self.terms.iter().map(of_term).collect()
    }

    /// Z G of one term.
    fn zg(&self, term: usize, g: &[f64]) -> Vec<Vec<f64>> {
        let k = self.terms[term].1.len();
        let row = |z: &Vec<f64>| {
            let entry = |e: usize| (0..k).map(|c| z[e / k * k + c] * g[(e % k) * k + c]).sum();
            (0..z.len()).map(entry).collect()
        };
        self.z(term).iter().map(row).collect()
    }

    fn marginal(&self, theta: &[f64]) -> Vec<f64> {
        let n = self.n();
        let mut v = vec![0.0; n * n];
        for i in 0..n {
            v[i * n + i] = 1.0 / self.weights.as_ref().map_or(1.0, |w| w[i]);
        }
        for (term, g) in self.covariances(theta).iter().enumerate() {
            let (z, zg) = (self.z(term), self.zg(term, g));
            for i in 0..n {
                for j in 0..n {
                    v[i * n + j] += zg[i].iter().zip(&z[j]).map(|(a, b)| a * b).sum::<f64>();
                }
            }
        }
        v
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Criterion, beta and V^-1 (y - X beta), and V^-1/2 [X] with (X'V^-1X)^-1.
struct Dense {
    criterion: f64,
    beta: Vec<f64>,
    sigma2: f64,
    weighted: Vec<f64>,
    factor: Vec<f64>,
    columns: Vec<Vec<f64>>,
    vcov: Vec<f64>,
}

fn dense(model: &Model, theta: &[f64], reml: bool) -> Dense {
    let (n, p) = (model.n(), model.p);
    let factor = cholesky(&model.marginal(theta), n).unwrap();
    let solved = |x: &[f64]| {
        let mut x = x.to_vec();
        forward(&factor, n, &mut x);
        x
    };
    let columns: Vec<Vec<f64>> = model.x.chunks(n).map(solved).collect();
    let y = solved(&model.y);
    let gram: Vec<f64> = (0..p * p)
        .map(|e| dot(&columns[e % p], &columns[e / p]))
        .collect();
    let lower = cholesky(&gram, p).unwrap();
    let inverse = |mut b: Vec<f64>| {
        forward(&lower, p, &mut b);
        backward(&lower, p, &mut b);
        b
    };
    let beta = inverse(columns.iter().map(|c| dot(c, &y)).collect());
    let unit = |j: usize| (0..p).map(|i| f64::from(u8::from(i == j))).collect();
    let vcov = (0..p).flat_map(|j| inverse(unit(j))).collect();
    let mut weighted = y;
    for (c, b) in columns.iter().zip(&beta) {
        weighted.iter_mut().zip(c).for_each(|(y, x)| *y -= b * x);
    }
    let pwrss = dot(&weighted, &weighted);
    let log_det: f64 = 2.0 * (0..n).map(|i| factor[i * n + i].ln()).sum::<f64>();
    let of_fixed: f64 = 2.0 * (0..p).map(|i| lower[i * p + i].ln()).sum::<f64>();
    let degrees = (n - if reml { p } else { 0 }) as f64;
    let criterion = log_det
        + if reml { of_fixed } else { 0.0 }
        + degrees * (1.0 + (2.0 * std::f64::consts::PI * pwrss / degrees).ln());
    backward(&factor, n, &mut weighted);
    Dense {
        criterion,
        beta,
        sigma2: pwrss / degrees,
        weighted,
        factor,
        columns,
        vcov,
    }
}

fn models() -> Vec<Model> {
    let mut rng = Rng::new(11);
    let n = 90;
    let mut out = Vec::new();
    let fixed = |rng: &mut Rng| [vec![1.0; n], rng.normals(n)].concat();
    let mut add = |name, factors: Vec<Factor>, terms, weighted: bool, rng: &mut Rng| {
        let x = fixed(rng);
        let mut model = Model {
            name,
            y: rng.normals(n),
            x,
            p: 2,
            weights: weighted.then(|| (0..n).map(|_| rng.between(0.3, 3.0)).collect()),
            factors,
            terms,
        };
        let of_term = |model: &Model, term: usize, rng: &mut Rng| -> Vec<f64> {
            let z = model.z(term);
            let b = rng.normals(z[0].len());
            z.iter().map(|row| dot(row, &b)).collect()
        };
        for term in 0..model.terms.len() {
            let part = of_term(&model, term, rng);
            model.y.iter_mut().zip(part).for_each(|(y, v)| *y += v);
        }
        out.push(model);
    };
    let alone = Factor::several(n, 12, 3, &mut rng);
    add("alone", vec![alone], vec![(0, vec![None])], false, &mut rng);
    let weighted = Factor::several(n, 9, 4, &mut rng);
    add(
        "weighted rows",
        vec![weighted],
        vec![(0, vec![None])],
        true,
        &mut rng,
    );
    let slope = vec![None, Some(rng.normals(n))];
    let sloped = Factor::several(n, 8, 2, &mut rng);
    add("slopes", vec![sloped], vec![(0, slope)], false, &mut rng);
    let beside = vec![
        Factor::several(n, 10, 3, &mut rng),
        Factor::single(n, 14, &mut rng),
    ];
    add(
        "beside another",
        beside,
        vec![(0, vec![None]), (1, vec![None])],
        true,
        &mut rng,
    );
    let slope = vec![None, Some(rng.normals(n))];
    let both = vec![
        Factor::several(n, 7, 3, &mut rng),
        Factor::several(n, 9, 2, &mut rng),
    ];
    add(
        "two of them",
        both,
        vec![(0, vec![None]), (1, slope)],
        false,
        &mut rng,
    );
    let own = (0..n).map(|_| (0..5).map(|j| (j, rng.normal())).collect());
    let own = Factor::new(own.collect(), 5, true);
    add("dense Z", vec![own], vec![(0, vec![None])], false, &mut rng);
    out
}

fn theta_of(model: &Model, rng: &mut Rng) -> Vec<f64> {
    let of_term = |(_, columns): &(usize, Vec<Option<Vec<f64>>>)| match columns.len() {
        1 => vec![0.7],
        _ => vec![0.8, 0.2, 0.5],
    };
    let size = rng.between(0.8, 1.2);
    let all = model.terms.iter().flat_map(of_term);
    all.map(|v| size * v).collect()
}

#[test]
fn evaluations_agree_with_v() {
    let mut rng = Rng::new(3);
    for model in models() {
        let n = model.n();
        for reml in [true, false] {
            let theta = theta_of(&model, &mut rng);
            let options = Options {
                reml,
                start: Some(theta.as_slice().into()),
                optimize: false,
                threads: 1,
                ..Options::default()
            };
            let data = model.data();
            let found = fit(&data, &options, &|| false).unwrap();
            let brute = dense(&model, &theta, reml);
            near(model.name, found.criterion, brute.criterion, 1e-9);
            close(model.name, &found.beta, &brute.beta, 1e-8);
            near(model.name, found.sigma.powi(2), brute.sigma2, 1e-9);
            let g = model.covariances(&theta);
            let mut b = Vec::new();
            let mut variances = Vec::new();
            let mut fitted: Vec<f64> = (0..n)
                .map(|i| {
                    (0..model.p)
                        .map(|j| model.x[j * n + i] * brute.beta[j])
                        .sum()
                })
                .collect();
            for (term, g) in g.iter().enumerate() {
                let zg = model.zg(term, g);
                let k = model.terms[term].1.len();
                let own: Vec<f64> = (0..zg[0].len())
                    .map(|c| (0..n).map(|i| zg[i][c] * brute.weighted[i]).sum())
                    .collect();
                for (f, z) in fitted.iter_mut().zip(model.z(term)) {
                    *f += dot(&z, &own);
                }
                b.extend(own);
                let solved: Vec<Vec<f64>> = (0..zg[0].len())
                    .map(|c| {
                        let mut column: Vec<f64> = zg.iter().map(|row| row[c]).collect();
                        forward(&brute.factor, n, &mut column);
                        column
                    })
                    .collect();
                let of_level = |j: usize| {
                    let solved = &solved;
                    (0..k * k)
                        .map(move |e| g[e] - dot(&solved[j * k + e % k], &solved[j * k + e / k]))
                };
                variances.push(
                    (0..zg[0].len() / k)
                        .flat_map(of_level)
                        .collect::<Vec<f64>>(),
                );
            }
            close(model.name, &found.b, &b, 1e-8);
            close(model.name, &found.fitted, &fitted, 1e-8);
            let conditional = conditional_variances(&data, &options, &|| false).unwrap();
            for (a, b) in conditional.iter().zip(&variances) {
                close(model.name, a, b, 1e-7);
            }
            check_predictions(&model, &data, &options, &brute, &theta);
        }
    }
}

/// Var(x'beta-hat + z'b-hat - x'beta - z'b) of the rows, by V; and leverages.
fn check_predictions(
    model: &Model,
    data: &ModelData<'_>,
    options: &Options,
    brute: &Dense,
    theta: &[f64],
) {
    let (n, p) = (model.n(), model.p);
    let g = model.covariances(theta);
    let mut wanted = Vec::new();
    for i in 0..n {
        // c = V^-1/2 Cov(y, z'b), s2 = Var(z'b)
        let (mut c, mut s2) = (vec![0.0; n], 0.0);
        for (term, g) in g.iter().enumerate() {
            let (z, zg) = (model.z(term), model.zg(term, g));
            (0..n).for_each(|j| c[j] += dot(&zg[i], &z[j]));
            s2 += dot(&zg[i], &z[i]);
        }
        forward(&brute.factor, n, &mut c);
        let d: Vec<f64> = (0..p)
            .map(|j| model.x[j * n + i] - dot(&brute.columns[j], &c))
            .collect();
        let of_fixed: f64 = (0..p * p)
            .map(|e| d[e % p] * d[e / p] * brute.vcov[e])
            .sum();
        wanted.push(s2 - dot(&c, &c) + of_fixed);
    }
    let rows = NewRows {
        n,
        x: data.x.clone(),
        codes: data.factors.iter().map(|f| f.codes).collect(),
        members: data.factors.iter().map(|f| f.members).collect(),
        terms: data.terms.iter().map(|t| Some(t.columns.clone())).collect(),
        residual: None,
    };
    let found = prediction_variances(data, &rows, options, &|| false).unwrap();
    close(model.name, &found.variances, &wanted, 1e-7);
    let found = leverages(data, options, &|| false).unwrap();
    close(model.name, &found.variances, &wanted, 1e-7);
}

#[test]
fn optima_are_optima_of_v() {
    for model in models() {
        let data = model.data();
        let found = fit(
            &data,
            &Options {
                threads: 1,
                ..Options::default()
            },
            &|| false,
        )
        .unwrap();
        let theta = found.theta.values();
        let at = |theta: &[f64]| dense(&model, theta, true).criterion;
        near(model.name, found.criterion, at(theta), 1e-9);
        for a in 0..theta.len() {
            for step in [-1e-3, 1e-3] {
                let mut other = theta.to_vec();
                other[a] += step;
                assert!(at(&other) > found.criterion - 1e-7, "{}", model.name);
            }
        }
    }
}

#[test]
fn the_spectrum_is_that_of_z() {
    let model = &models()[0];
    let (n, data) = (model.n(), model.data());
    let options = Options {
        start: Some([0.0].as_slice().into()),
        optimize: false,
        threads: 1,
        ..Options::default()
    };
    let found = variance_spectrum(&data, 0, &options, &|| false).unwrap();
    let z = model.z(0);
    // power sums of the eigenvalues of Z'Z
    let q = z[0].len();
    let gram: Vec<f64> = (0..q * q)
        .map(|e| (0..n).map(|i| z[i][e % q] * z[i][e / q]).sum())
        .collect();
    let trace: f64 = (0..q).map(|j| gram[j * q + j]).sum();
    // up to a scale, that of the term's own coordinates
    let sum: f64 = found.marginal.iter().sum();
    let squares: f64 = found.marginal.iter().map(|v| v * v).sum();
    near(
        "squares",
        squares / (sum * sum),
        dot(&gram, &gram) / (trace * trace),
        1e-10,
    );
}
