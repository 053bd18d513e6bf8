//! Covariance structures of random effects and of residuals, known precision matrices, and models without random effects,
//! against V formed n x n.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::brute::{backward, cholesky, forward};
use common::{close, kind, near, spatial, Rng};
use ferrolmm_engine::basis::internal_theta::InternalTheta;
use ferrolmm_engine::inference::{prediction_variances, NewResiduals, NewRows};
use ferrolmm_engine::{
    at_internal, fit, Column, Correlation, Fit, GroupingFactor, KnownMatrix, Metric, ModelData,
    Options, Position, RandomTerm, ResidualStructure, Scale, ScaleFunction, Status, Structure,
};

const REML: [bool; 2] = [true, false];

/// A term that owns its columns.
struct Term {
    factor: usize,
    columns: Vec<Option<Vec<f64>>>,
    structure: Structure,
}

/// A factor with a precision matrix in compressed columns.
#[derive(Default)]
struct Known {
    start: Vec<i32>,
    row: Vec<i32>,
    value: Vec<f64>,
    /// The precision matrix, dense J x J.
    dense: Vec<f64>,
}

type Build = Box<dyn for<'a> Fn(&'a Owned) -> Option<ResidualStructure<'a>>>;
type Covariance = Box<dyn Fn(&Owned, &[f64]) -> Vec<f64>>;

/// A model that owns its data, with R by definition.
struct Owned {
    name: &'static str,
    y: Vec<f64>,
    x: Vec<f64>,
    p: usize,
    weights: Option<Vec<f64>>,
    factors: Vec<(Vec<i32>, usize, Option<Known>)>,
    terms: Vec<Term>,
    time: Vec<i32>,
    when: Vec<f64>,
    covariate: Vec<f64>,
    stratum: Vec<i32>,
    group: Vec<i32>,
    groups: usize,
    residual: Build,
    /// R by rows, without the weights, at natural phi.
    r: Covariance,
    phi: Vec<f64>,
}

impl Owned {
    fn n(&self) -> usize {
        self.y.len()
    }

    fn data(&self) -> ModelData<'_> {
        ModelData {
            moments: None,
            stands_for: None,
            y: &self.y,
            x: Column::of_matrix(&self.x, self.n(), self.p),
            p: self.p,
            weights: self.weights.as_deref(),
            offset: None,
            factors: self
                .factors
                .iter()
                .map(|(codes, n_levels, known)| GroupingFactor {
                    members: None,
                    counts: None,
                    codes,
                    n_levels: *n_levels,
                    precision: known.as_ref().map(|k| KnownMatrix {
                        start: &k.start,
                        row: &k.row,
                        value: &k.value,
                    }),
                })
                .collect(),
            terms: self
                .terms
                .iter()
                .map(|term| RandomTerm {
                    factor: term.factor,
                    columns: term
                        .columns
                        .iter()
                        .map(|c| c.as_ref().map_or(Column::Constant, |v| Column::Values(v)))
                        .collect(),
                    structure: term.structure,
                    classes: None,
                })
                .collect(),
            residual: (self.residual)(self),
        }
    }

    fn groups(&self) -> GroupingFactor<'_> {
        GroupingFactor {
            members: None,
            counts: None,
            codes: &self.group,
            n_levels: self.groups,
            precision: None,
        }
    }

    /// V relative to sigma^2, by rows.
    fn v(&self, theta: &[f64], phi: &[f64]) -> Vec<f64> {
        let n = self.n();
        let mut v = (self.r)(self, phi);
        if let Some(w) = &self.weights {
            for i in 0..n {
                for j in 0..n {
                    v[i * n + j] /= (w[i] * w[j]).sqrt();
                }
            }
        }
        let mut at = 0;
        for term in &self.terms {
            let (g, used) = g_of(term, &theta[at..]);
            at += used;
            let k = term.columns.len();
            let (codes, levels, known) = &self.factors[term.factor];
            let covariance = known.as_ref().map(|known| invert(&known.dense, *levels));
            let z = |i: usize, c: usize| term.columns[c].as_ref().map_or(1.0, |v| v[i]);
            for i in 0..n {
                for j in 0..n {
                    let (a, b) = (codes[i] as usize - 1, codes[j] as usize - 1);
                    let kinship = covariance
                        .as_ref()
                        .map_or(f64::from(u8::from(a == b)), |c| c[a * levels + b]);
                    if kinship != 0.0 {
                        for c in 0..k {
                            for d in 0..k {
                                v[i * n + j] += kinship * z(i, c) * g[d * k + c] * z(j, d);
                            }
                        }
                    }
                }
            }
        }
        v
    }
}

impl Owned {
    /// These rows only.
    fn take(&mut self, keep: &[usize]) {
        fn pick<T: Copy>(values: &mut Vec<T>, n: usize, keep: &[usize]) {
            let columns = values.chunks_exact(n);
            *values = columns
                .flat_map(|column| keep.iter().map(move |&i| column[i]))
                .collect();
        }
        let n = self.n();
        for v in [
            &mut self.y,
            &mut self.x,
            &mut self.when,
            &mut self.covariate,
        ] {
            pick(v, n, keep);
        }
        for v in [&mut self.time, &mut self.stratum, &mut self.group] {
            pick(v, n, keep);
        }
        let columns = self.terms.iter_mut().flat_map(|t| t.columns.iter_mut());
        for v in self.weights.iter_mut().chain(columns.flatten()) {
            pick(v, n, keep);
        }
        for (codes, ..) in &mut self.factors {
            pick(codes, n, keep);
        }
    }
}

fn invert(a: &[f64], n: usize) -> Vec<f64> {
    let l = cholesky(a, n).expect("positive definite");
    let mut out = vec![0.0; n * n];
    for j in 0..n {
        let mut e = vec![0.0; n];
        e[j] = 1.0;
        forward(&l, n, &mut e);
        backward(&l, n, &mut e);
        out[j * n..(j + 1) * n].copy_from_slice(&e);
    }
    out
}

/// G of a term from its natural parameters, and how many these are.
fn g_of(term: &Term, theta: &[f64]) -> (Vec<f64>, usize) {
    let k = term.columns.len();
    let from_factor = |t: &[f64]| -> Vec<f64> {
        (0..k * k)
            .map(|e| (0..k).map(|c| t[c * k + e % k] * t[c * k + e / k]).sum())
            .collect()
    };
    match term.structure {
        Structure::Unstructured => {
            let mut t = vec![0.0; k * k];
            let mut at = 0;
            for j in 0..k {
                for i in j..k {
                    t[j * k + i] = theta[at];
                    at += 1;
                }
            }
            (from_factor(&t), at)
        }
        Structure::Fixed => panic!("not a shape of these tests"),
        Structure::Diagonal | Structure::Identity => {
            let common = term.structure == Structure::Identity;
            let t: Vec<f64> = (0..k * k)
                .map(|e| {
                    if e % k == e / k {
                        theta[if common { 0 } else { e % k }]
                    } else {
                        0.0
                    }
                })
                .collect();
            (from_factor(&t), if common { 1 } else { k })
        }
        Structure::ReducedRank { factors } | Structure::FactorAnalytic { factors } => {
            let mut t = vec![0.0; k * k];
            let mut at = 0;
            for j in 0..factors {
                for i in j..k {
                    t[j * k + i] = theta[at];
                    at += 1;
                }
            }
            let mut g = from_factor(&t);
            if matches!(term.structure, Structure::FactorAnalytic { .. }) {
                for i in 0..k {
                    g[i * k + i] += theta[at] * theta[at];
                    at += 1;
                }
            }
            (g, at)
        }
        Structure::Correlated {
            correlation,
            homogeneous,
        } => {
            let d = if homogeneous { 1 } else { k };
            let sd = |i: usize| theta[if homogeneous { 0 } else { i }];
            let rho = |lag: usize| match correlation.facts().name {
                "ar1" => theta[d].powi(lag as i32),
                "toep" => theta[d + lag - 1],
                _ => theta[d],
            };
            let g = (0..k * k)
                .map(|e| {
                    let (i, j) = (e % k, e / k);
                    let c = if i == j { 1.0 } else { rho(i.abs_diff(j)) };
                    sd(i) * sd(j) * c
                })
                .collect();
            let used = d + match correlation.facts().name {
                "toep" => k - 1,
                _ => 1,
            };
            (g, used)
        }
    }
}

/// Criterion, fixed effects, their covariance matrix relative to sigma^2, sigma.
struct Dense {
    criterion: f64,
    beta: Vec<f64>,
    vcov: Vec<f64>,
    sigma: f64,
}

fn dense(model: &Owned, theta: &[f64], phi: &[f64], reml: bool) -> Option<Dense> {
    let (n, p) = (model.n(), model.p);
    let l = cholesky(&model.v(theta, phi), n)?;
    let log_det: f64 = 2.0 * (0..n).map(|i| l[i * n + i].ln()).sum::<f64>();
    let whitened: Vec<Vec<f64>> = (0..p)
        .map(|j| {
            let mut c = model.x[j * n..(j + 1) * n].to_vec();
            forward(&l, n, &mut c);
            c
        })
        .collect();
    let mut y = model.y.clone();
    forward(&l, n, &mut y);
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let mut xx = vec![0.0; p * p];
    for i in 0..p {
        for j in 0..p {
            xx[i * p + j] = dot(&whitened[i], &whitened[j]);
        }
    }
    let lx = cholesky(&xx, p)?;
    let mut beta: Vec<f64> = whitened.iter().map(|c| dot(c, &y)).collect();
    forward(&lx, p, &mut beta);
    backward(&lx, p, &mut beta);
    for (c, b) in whitened.iter().zip(&beta) {
        y.iter_mut().zip(c).for_each(|(y, x)| *y -= b * x);
    }
    let q = dot(&y, &y);
    let log_x: f64 = 2.0 * (0..p).map(|i| lx[i * p + i].ln()).sum::<f64>();
    let degrees = n as f64 - if reml { p as f64 } else { 0.0 };
    Some(Dense {
        criterion: log_det
            + if reml { log_x } else { 0.0 }
            + degrees * (1.0 + (2.0 * std::f64::consts::PI * q / degrees).ln()),
        beta,
        vcov: invert(&xx, p),
        sigma: (q / degrees).sqrt(),
    })
}

fn at(model: &Owned, theta: &[f64], phi: &[f64], reml: bool) -> Fit {
    let options = Options {
        reml,
        start: Some([theta, phi].concat().into()),
        optimize: false,
        threads: 1,
        ..Options::default()
    };
    fit(&model.data(), &options, &|| false).unwrap_or_else(|e| panic!("{}: {e}", model.name))
}

fn fitted(model: &Owned, reml: bool) -> Fit {
    let options = Options {
        reml,
        threads: 1,
        ..Options::default()
    };
    fit(&model.data(), &options, &|| false).unwrap_or_else(|e| panic!("{}: {e}", model.name))
}

/// `groups` subjects with up to `visits` rows each, some missing; items crossed with them.
fn base(name: &'static str, seed: u64, groups: usize, visits: usize) -> Owned {
    let mut rng = Rng::new(seed);
    let mut model = Owned {
        name,
        y: Vec::new(),
        x: Vec::new(),
        p: 2,
        weights: None,
        factors: Vec::new(),
        terms: Vec::new(),
        time: Vec::new(),
        when: Vec::new(),
        covariate: Vec::new(),
        stratum: Vec::new(),
        group: Vec::new(),
        groups,
        residual: Box::new(|_| None),
        r: Box::new(|model, _| {
            let n = model.n();
            (0..n * n)
                .map(|e| f64::from(u8::from(e % n == e / n)))
                .collect()
        }),
        phi: Vec::new(),
    };
    let mut item = Vec::new();
    for g in 0..groups {
        for t in 0..visits {
            if rng.uniform() < 0.15 && t > 0 {
                continue;
            }
            model.group.push(g as i32 + 1);
            model.time.push(t as i32 + 1);
            model.when.push(t as f64 + 0.8 * rng.uniform());
            model.covariate.push(0.5 + 2.0 * rng.uniform());
            model.stratum.push(1 + (rng.uniform() * 3.0) as i32);
            item.push(rng.below(7) as i32 + 1);
        }
    }
    // rows in random order
    let n = model.group.len();
    let order = rng.order(n);
    let permuted = |v: &[i32]| order.iter().map(|&i| v[i]).collect::<Vec<i32>>();
    model.group = permuted(&model.group);
    model.time = permuted(&model.time);
    model.stratum = permuted(&model.stratum);
    item = permuted(&item);
    model.when = order.iter().map(|&i| model.when[i]).collect();
    model.x = vec![1.0; n];
    model.x.extend(rng.normals(n));
    let subject: Vec<f64> = rng.normals(groups);
    let items: Vec<f64> = rng.normals(7);
    model.y = (0..n)
        .map(|i| {
            2.0 + model.x[n + i]
                + subject[model.group[i] as usize - 1]
                + 0.7 * items[item[i] as usize - 1]
                + rng.normal()
        })
        .collect();
    model.factors = vec![(model.group.clone(), groups, None), (item, 7, None)];
    model
}

fn intercept(factor: usize) -> Term {
    Term {
        factor,
        columns: vec![None],
        structure: Structure::Unstructured,
    }
}

/// Indicators of the first `k` times.
fn indicators(model: &Owned, k: usize) -> Vec<Option<Vec<f64>>> {
    (1..=k as i32)
        .map(|t| {
            Some(
                model
                    .time
                    .iter()
                    .map(|&s| f64::from(u8::from(s == t)))
                    .collect(),
            )
        })
        .collect()
}

/// A response drawn from the model itself.
fn simulate(model: &mut Owned, theta: &[f64]) {
    let n = model.n();
    let l = cholesky(&model.v(theta, &model.phi), n).expect("positive definite");
    let mut rng = Rng::new(77);
    let z = rng.normals(n);
    model.y = (0..n)
        .map(|i| {
            let noise: f64 = (0..=i).map(|j| l[i * n + j] * z[j]).sum();
            2.0 + model.x[n + i] + noise
        })
        .collect();
}

/// The gradient in internal coordinates against six-point differences of the criterion, away from the start.
fn gradient_is_right(model: &Owned, reml: bool) {
    let options = Options {
        reml,
        threads: 1,
        ..Options::default()
    };
    let data = model.data();
    let at = |x: &InternalTheta| at_internal(&data, &options, Some(x)).expect("defined");
    let (mut x, _, _) = at_internal(&data, &options, None).expect("defined");
    for (a, value) in x.values_mut().iter_mut().enumerate() {
        *value += 0.1 - 0.03 * (a % 5) as f64;
    }
    let (_, value, gradient) = at(&x);
    let size = gradient.iter().fold(1.0f64, |m, g| m.max(g.abs()));
    for a in 0..x.len() {
        let step = 2e-3;
        let mut difference = 0.0;
        for (i, weight) in [45.0 / 60.0, -9.0 / 60.0, 1.0 / 60.0].iter().enumerate() {
            for sign in [1.0, -1.0] {
                let mut moved = x.clone();
                moved[a] += sign * (i as f64 + 1.0) * step;
                difference += sign * weight * (at(&moved).1 - value) / step;
            }
        }
        assert!(
            (difference - gradient[a]).abs() < 1e-8 * size,
            "{}: gradient {a} is {}, differences say {difference}",
            model.name,
            gradient[a]
        );
    }
}

/// Draws a response, compares with V at theta, and looks at the gradient and the optimum.
fn holds(model: &mut Owned, theta: &[f64], reml: &[bool]) {
    simulate(model, theta);
    same_as_dense(model, theta);
    for &reml in reml {
        gradient_is_right(model, reml);
    }
    for &reml in reml {
        is_optimal(model, reml);
    }
}

fn same_as_dense(model: &Owned, theta: &[f64]) {
    for reml in REML {
        let ours = at(model, theta, &model.phi, reml);
        let reference = dense(model, theta, &model.phi, reml).expect("positive definite");
        let what = model.name;
        near(what, ours.criterion, reference.criterion, 1e-11);
        close(what, &ours.beta, &reference.beta, 1e-9);
        close(what, &ours.vcov_unscaled, &reference.vcov, 1e-9);
        near(what, ours.sigma, reference.sigma, 1e-10);
        close(what, ours.theta.values(), theta, 1e-9);
        close(what, &ours.phi, &model.phi, 1e-9);
    }
}

/// At the optimum no parameter, moved either way, lowers the dense criterion by more than rounding, and second differences
/// along each are positive.
fn is_optimal(model: &Owned, reml: bool) {
    let found = fitted(model, reml);
    let what = model.name;
    assert!(
        matches!(
            found.certificate.status,
            Status::Converged | Status::Singular
        ),
        "{what}: {:?} {}",
        found.certificate.status,
        found.certificate.message
    );
    let x = [found.theta.values(), &found.phi].concat();
    let m = found.theta.len();
    let value =
        |x: &[f64]| dense(model, &x[..m], &x[m..], reml).map_or(f64::INFINITY, |d| d.criterion);
    near(what, found.criterion, value(&x), 1e-10);
    for a in 0..x.len() {
        let step = 1e-4 * x[a].abs().max(0.05);
        let along = |d: f64| {
            let mut moved = x.clone();
            moved[a] += d;
            value(&moved)
        };
        if found.certificate.status == Status::Singular {
            continue;
        }
        if x[a].abs() < 1e-9 {
            // a nugget of zero
            assert!(
                along(step) > value(&x),
                "{what} parameter {a} of {x:?} is not at its end"
            );
            continue;
        }
        let (up, down) = (along(step), along(-step));
        let (slope, bend) = (
            (up - down) / (2.0 * step),
            (up - 2.0 * value(&x) + down) / (step * step),
        );
        assert!(
            (slope / bend).abs() < 1e-4 * x[a].abs().max(0.05) && bend > 0.0,
            "{what} parameter {a} of {x:?}: slope {slope:.1e}, curvature {bend:.1e}"
        );
    }
}

#[test]
fn structures_of_random_effects() {
    let mut theta_of = Vec::new();
    for homogeneous in [true, false] {
        for correlation in [kind("cs"), kind("ar1"), kind("toep")] {
            let mut theta = vec![0.9];
            if !homogeneous {
                theta.extend([1.3, 0.6]);
            }
            theta.push(0.4);
            if correlation == kind("toep") {
                theta.push(-0.2);
            }
            theta_of.push((
                Structure::Correlated {
                    correlation,
                    homogeneous,
                },
                theta,
            ));
        }
    }
    theta_of.push((Structure::Identity, vec![0.8]));
    theta_of.push((Structure::Diagonal, vec![0.8, 0.5, 1.2]));
    for (structure, theta) in theta_of {
        let mut model = base("structured term", 11, 25, 6);
        let columns = indicators(&model, 3);
        model.terms = vec![
            Term {
                factor: 0,
                columns,
                structure,
            },
            intercept(1),
        ];
        holds(&mut model, &[theta.clone(), vec![0.6]].concat(), &REML);
        // this term among the nodes of the Schur complement
        model.terms[0].factor = 1;
        model.terms[1].factor = 0;
        same_as_dense(&model, &[theta, vec![0.6]].concat());
    }
}

/// Loadings of so many effects on factors, and specific deviations, that differ from each other.
fn loadings(k: usize, factors: usize, specific: bool) -> Vec<f64> {
    let mut theta = Vec::new();
    for j in 0..factors {
        for i in j..k {
            let sign = if i > j && (i + j) % 3 == 2 { -1.0 } else { 1.0 };
            theta.push(sign * (1.1 - 0.25 * j as f64 - 0.1 * (i % 4) as f64));
        }
    }
    if specific {
        theta.extend((0..k).map(|i| 0.5 + 0.15 * (i % 3) as f64));
    }
    theta
}

#[test]
fn factors_of_random_effects() {
    for (k, factors, specific) in [
        (3, 1, false),
        (3, 2, false),
        (3, 3, false),
        (3, 1, true),
        (5, 2, true),
    ] {
        let structure = if specific {
            Structure::FactorAnalytic { factors }
        } else {
            Structure::ReducedRank { factors }
        };
        let theta = loadings(k, factors, specific);
        // the mean of each pair of rows varies about what it is in the other pairs
        let mut model = base("factors", 11, 30, 12);
        model.time.iter_mut().for_each(|t| *t = 1 + (*t - 1) / 2);
        let columns = indicators(&model, k);
        model.terms = vec![
            Term {
                factor: 0,
                columns,
                structure,
            },
            intercept(1),
        ];
        let all = [theta.clone(), vec![0.6]].concat();
        holds(&mut model, &all, &REML);
        // with dependent levels
        model.factors[0].1 = 34;
        model.factors[0].2 = Some(chain(34, &mut Rng::new(5)));
        holds(&mut model, &all, &[true]);
        model.factors[0].2 = None;
        // this term among the nodes of the Schur complement
        model.terms[0].factor = 1;
        model.terms[1].factor = 0;
        same_as_dense(&model, &all);
    }
}

/// The criterion of fewer factors is no lower, and that of as many as an unstructured matrix needs is the same as its own.
#[test]
fn factors_lead_to_the_unstructured_matrix() {
    for reml in REML {
        let mut model = base("factors", 3, 40, 8);
        model.time.iter_mut().for_each(|t| *t = 1 + (*t - 1) / 2);
        let columns = indicators(&model, 4);
        let term = |structure| Term {
            factor: 0,
            columns: columns.clone(),
            structure,
        };
        model.terms = vec![term(Structure::FactorAnalytic { factors: 1 })];
        simulate(&mut model, &loadings(4, 1, true));
        let mut value = |structure| {
            model.terms = vec![term(structure)];
            is_optimal(&model, reml);
            fitted(&model, reml).criterion
        };
        let us = value(Structure::Unstructured);
        let rr: Vec<f64> = (1..=4)
            .map(|factors| value(Structure::ReducedRank { factors }))
            .collect();
        assert!(rr.windows(2).all(|two| two[0] > two[1] - 1e-7), "{rr:?}");
        near("all factors", rr[3], us, 1e-9);
        let fa = value(Structure::FactorAnalytic { factors: 1 });
        assert!(fa >= us - 1e-7 && fa <= rr[0] + 1e-7, "{fa}");
        // as many parameters as there are covariances
        let mut three = base("three effects", 3, 80, 6);
        three.time.iter_mut().for_each(|t| *t = 1 + (*t - 1) / 2);
        let columns = indicators(&three, 3);
        let mut of = |structure| {
            three.terms = vec![Term {
                factor: 0,
                columns: columns.clone(),
                structure,
            }];
            simulate_once(&mut three);
            is_optimal(&three, reml);
            fitted(&three, reml).criterion
        };
        let fa = of(Structure::FactorAnalytic { factors: 1 });
        near("one factor of three", fa, of(Structure::Unstructured), 1e-9);
    }
}

/// Three effects with correlations of one sign.
fn simulate_once(model: &mut Owned) {
    let own = std::mem::take(&mut model.terms);
    model.terms = vec![Term {
        factor: 0,
        columns: own[0].columns.clone(),
        structure: Structure::FactorAnalytic { factors: 1 },
    }];
    simulate(model, &[2.0, 1.8, 2.2, 1.2, 1.4, 1.3]);
    model.terms = own;
}

/// A random sparse precision matrix of a chain with a few extra links.
fn chain(levels: usize, rng: &mut Rng) -> Known {
    let mut dense = vec![0.0; levels * levels];
    for i in 0..levels {
        dense[i * levels + i] = 1.5 + rng.uniform();
        for (j, value) in [(i + 1, -0.6), (i + 5, 0.2)] {
            if j < levels {
                dense[i * levels + j] = value;
                dense[j * levels + i] = value;
            }
        }
    }
    let mut known = Known {
        start: vec![0],
        dense: dense.clone(),
        ..Known::default()
    };
    for j in 0..levels {
        for i in 0..levels {
            if dense[j * levels + i] != 0.0 {
                known.row.push(i as i32);
                known.value.push(dense[j * levels + i]);
            }
        }
        known.start.push(known.row.len() as i32);
    }
    known
}

#[test]
fn known_precision_matrices() {
    let mut rng = Rng::new(5);
    for slopes in [false, true] {
        // more levels than occur: ancestors without records
        let mut model = base("known precision", 12, 25, 6);
        model.factors[0].1 = 30;
        model.factors[0].2 = Some(chain(30, &mut rng));
        model.terms = vec![intercept(0), intercept(1)];
        let mut theta = vec![0.9, 0.5];
        if slopes {
            let x = model.x[model.n()..].to_vec();
            model.terms[0].columns.push(Some(x));
            theta = vec![0.9, 0.3, 0.7, 0.5];
        }
        holds(&mut model, &theta, &REML);
        // beside independent effects of the same levels
        let codes = model.factors[0].0.clone();
        model.factors.push((codes, 25, None));
        model.terms.push(intercept(2));
        theta.push(0.4);
        holds(&mut model, &theta, &REML);
    }
}

/// R of independent groups from a correlation of two rows.
fn by_group(
    correlation: impl Fn(&Owned, &[f64], usize, usize) -> f64 + 'static,
    deviation: impl Fn(&Owned, &[f64], usize) -> f64 + 'static,
) -> Covariance {
    Box::new(move |model, phi| {
        let n = model.n();
        let mut r = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..n {
                if model.group[i] == model.group[j] {
                    let c = if i == j {
                        1.0
                    } else {
                        correlation(model, phi, i, j)
                    };
                    r[i * n + j] = c * deviation(model, phi, i) * deviation(model, phi, j);
                }
            }
        }
        r
    })
}

fn correlated<'a>(model: &'a Owned, correlation: Correlation<'a>) -> ResidualStructure<'a> {
    ResidualStructure {
        groups: Some(model.groups()),
        correlation: Some(correlation),
        scales: Vec::new(),
        start: Vec::new(),
        held: Vec::new(),
    }
}

fn residual_models() -> Vec<Owned> {
    let mut out = Vec::new();
    let mut model = base("ar1", 21, 30, 6);
    model.residual = Box::new(|m| {
        Some(correlated(
            m,
            Correlation::new(kind("ar1"), Position::Whole(&m.time)),
        ))
    });
    model.r = by_group(
        |m, phi, i, j| phi[0].powi(m.time[i].abs_diff(m.time[j]) as i32),
        |_, _, _| 1.0,
    );
    model.phi = vec![0.45];
    out.push(model);

    let mut model = base("car1", 22, 30, 6);
    model.residual = Box::new(|m| {
        Some(correlated(
            m,
            Correlation::new(kind("car1"), Position::Times(&m.when)),
        ))
    });
    model.r = by_group(
        |m, phi, i, j| phi[0].powf((m.when[i] - m.when[j]).abs()),
        |_, _, _| 1.0,
    );
    model.phi = vec![0.35];
    out.push(model);

    let mut model = base("cs", 23, 30, 6);
    model.residual =
        Box::new(|m| Some(correlated(m, Correlation::new(kind("cs"), Position::None))));
    model.r = by_group(|_, phi, _, _| phi[0], |_, _, _| 1.0);
    model.phi = vec![0.3];
    out.push(model);

    let mut model = base("exponential with nugget", 24, 50, 6);
    model.residual = Box::new(|m| {
        Some(correlated(
            m,
            spatial("exp", true, vec![&m.when, &m.covariate], Metric::Euclidean),
        ))
    });
    model.r = by_group(
        |m, phi, i, j| {
            let d = (m.when[i] - m.when[j]).hypot(m.covariate[i] - m.covariate[j]);
            (1.0 - phi[1]) * (-d / phi[0]).exp()
        },
        |_, _, _| 1.0,
    );
    model.phi = vec![2.0, 0.4];
    out.push(model);

    let mut model = base("unstructured with variances", 25, 40, 3);
    model.residual = Box::new(|m| {
        let mut structure = correlated(
            m,
            Correlation::new(
                kind("us"),
                Position::Visits {
                    visit: &m.time,
                    visits: 3,
                },
            ),
        );
        structure.scales = vec![Scale::Ident {
            stratum: &m.time,
            strata: 3,
        }];
        Some(structure)
    });
    model.r = by_group(
        |m, phi, i, j| {
            let (a, b) = (m.time[i].min(m.time[j]), m.time[i].max(m.time[j]));
            phi[match (a, b) {
                (1, 2) => 0,
                (1, 3) => 1,
                _ => 2,
            }]
        },
        |m, phi, i| match m.time[i] {
            1 => 1.0,
            t => phi[t as usize + 1],
        },
    );
    model.phi = vec![0.3, 0.1, 0.5, 1.3, 0.8];
    out.push(model);

    let mut model = base("variance functions", 26, 30, 6);
    model.residual = Box::new(|m| {
        Some(ResidualStructure {
            groups: None,
            correlation: None,
            scales: vec![
                Scale::Ident {
                    stratum: &m.stratum,
                    strata: 3,
                },
                Scale::OfCovariate {
                    function: ScaleFunction::Power,
                    covariate: &m.covariate,
                    stratum: None,
                    strata: 1,
                },
            ],
            start: Vec::new(),
            held: Vec::new(),
        })
    });
    model.r = Box::new(|m, phi| {
        let n = m.n();
        let mut r = vec![0.0; n * n];
        for i in 0..n {
            let ratio = match m.stratum[i] {
                1 => 1.0,
                s => phi[s as usize - 2],
            };
            r[i * n + i] = (ratio * m.covariate[i].powf(phi[2])).powi(2);
        }
        r
    });
    model.phi = vec![1.2, 0.7, 0.4];
    out.push(model);

    let mut model = base("ar1 with powers", 27, 30, 6);
    model.residual = Box::new(|m| {
        let mut structure = correlated(m, Correlation::new(kind("ar1"), Position::Whole(&m.time)));
        structure.scales = vec![Scale::OfCovariate {
            function: ScaleFunction::Power,
            covariate: &m.covariate,
            stratum: None,
            strata: 1,
        }];
        Some(structure)
    });
    model.r = by_group(
        |m, phi, i, j| phi[0].powi(m.time[i].abs_diff(m.time[j]) as i32),
        |m, phi, i| m.covariate[i].powf(phi[1]),
    );
    model.phi = vec![-0.3, 0.5];
    out.push(model);
    for model in &mut out {
        model.weights = Some((0..model.n()).map(|i| 0.5 + (i % 3) as f64).collect());
    }
    out
}

#[test]
fn residual_structures() {
    for mut model in residual_models() {
        // no random effects, an item crossed with the groups (its levels depend on each other), a subject that contains them
        holds(&mut model, &[], &REML);
        model.terms = vec![intercept(1)];
        holds(&mut model, &[0.6], &REML);
        let x = model.x[model.n()..].to_vec();
        model.terms[0].columns.push(Some(x));
        same_as_dense(&model, &[0.6, 0.2, 0.5]);
        if model.name != "cs" && model.name != "unstructured with variances" {
            model.terms = vec![intercept(0), intercept(1)];
            holds(&mut model, &[0.8, 0.6], &REML);
        }
        let mut rng = Rng::new(9);
        let levels = model.factors[0].1 + 15;
        model.factors[0].1 = levels;
        model.factors[0].2 = Some(chain(levels, &mut rng));
        model.terms = vec![intercept(0), intercept(1)];
        same_as_dense(&model, &[0.8, 0.6]);
    }
}

/// New observations of groups that the fit knows, against V_*o V_oo^-1 (y - X beta) and its error variance.
fn predicts_as_dense(all: &Owned, observed: &Owned, keep: &[usize], theta: &[f64]) {
    let (n, p) = (all.n(), all.p);
    let new: Vec<usize> = (0..n).filter(|i| !keep.contains(i)).collect();
    let v = all.v(theta, &all.phi);
    let m = keep.len();
    let own: Vec<f64> = (0..m * m)
        .map(|e| v[keep[e / m] * n + keep[e % m]])
        .collect();
    let l = cholesky(&own, m).expect("positive definite");
    let by_hand = dense(observed, theta, &all.phi, true).expect("positive definite");
    let x = |i: usize, j: usize| all.x[j * n + i];
    let fit = at(observed, theta, &all.phi, true);

    // the engine's rows
    let mut rows = Owned {
        residual: Box::new(|_| None),
        r: Box::new(|_, _| Vec::new()),
        ..base("new", 1, 1, 1)
    };
    rows.y.clone_from(&all.y);
    rows.x.clone_from(&all.x);
    rows.p = p;
    rows.weights.clone_from(&all.weights);
    rows.time.clone_from(&all.time);
    rows.when.clone_from(&all.when);
    rows.covariate.clone_from(&all.covariate);
    rows.stratum.clone_from(&all.stratum);
    rows.group.clone_from(&all.group);
    rows.groups = all.groups;
    rows.factors = all
        .factors
        .iter()
        .map(|f| (f.0.clone(), f.1, None))
        .collect();
    rows.terms = all
        .terms
        .iter()
        .map(|t| Term {
            factor: t.factor,
            columns: t.columns.clone(),
            structure: t.structure,
        })
        .collect();
    rows.take(&new);
    let data = rows.data();
    let new_rows = NewRows {
        members: vec![None; rows.factors.len()],
        n: new.len(),
        x: Column::of_matrix(&rows.x, new.len(), p),
        codes: rows.factors.iter().map(|f| f.0.as_slice()).collect(),
        terms: data.terms.iter().map(|t| Some(t.columns.clone())).collect(),
        residual: (all.residual)(&rows).map(|structure| NewResiduals {
            structure,
            weights: rows.weights.as_deref(),
        }),
    };
    let options = Options {
        start: Some([theta, &all.phi].concat().into()),
        optimize: false,
        ..Options::default()
    };
    let found = prediction_variances(&observed.data(), &new_rows, &options, &|| false)
        .unwrap_or_else(|e| panic!("{}: {e}", all.name));
    for (a, &i) in new.iter().enumerate() {
        let mut gain: Vec<f64> = keep.iter().map(|&j| v[i * n + j]).collect();
        forward(&l, m, &mut gain);
        let known: f64 = gain.iter().map(|v| v * v).sum();
        backward(&l, m, &mut gain);
        let mut mean: f64 = (0..p).map(|j| x(i, j) * by_hand.beta[j]).sum();
        let mut rest: Vec<f64> = (0..p).map(|j| x(i, j)).collect();
        for (&k, g) in keep.iter().zip(&gain) {
            mean += g * (all.y[k] - (0..p).map(|j| x(k, j) * by_hand.beta[j]).sum::<f64>());
            rest.iter_mut()
                .enumerate()
                .for_each(|(j, r)| *r -= g * x(k, j));
        }
        let fixed: f64 = (0..p * p)
            .map(|e| rest[e / p] * by_hand.vcov[e] * rest[e % p])
            .sum();
        let variance = v[i * n + i] - known + fixed;
        let mut value = found.residual_means[a];
        value += (0..p).map(|j| x(i, j) * fit.beta[j]).sum::<f64>();
        let mut first = 0;
        for term in &all.terms {
            let (k, (codes, levels, _)) = (term.columns.len(), &all.factors[term.factor]);
            let b = &fit.b[first + (codes[i] as usize - 1) * k..];
            for (column, b) in term.columns.iter().zip(b) {
                value += column.as_ref().map_or(1.0, |z| z[i]) * b;
            }
            first += k * levels;
        }
        near(&format!("{}: prediction", all.name), value, mean, 1e-9);
        let total = found.variances[a] + found.residual_variances[a];
        near(&format!("{}: variance", all.name), total, variance, 1e-9);
    }
}

#[test]
fn new_observations_of_known_groups() {
    let terms: [fn() -> Vec<Term>; 3] = [
        Vec::new,
        || vec![intercept(1)],
        || vec![intercept(0), intercept(1)],
    ];
    for build in terms {
        for (all, mut observed) in residual_models().into_iter().zip(residual_models()) {
            let (mut all, theta) = (all, [0.8, 0.6]);
            let theta = &theta[..build().len()];
            all.terms = build();
            simulate(&mut all, theta);
            observed.terms = build();
            observed.y.clone_from(&all.y);
            let keep: Vec<usize> = (0..all.n()).filter(|i| i % 7 != 3).collect();
            observed.take(&keep);
            predicts_as_dense(&all, &observed, &keep, theta);
        }
    }
}

#[test]
fn large_groups_and_many_levels_take_the_sparse_path() {
    // 40 groups of 25 rows over 400 items: the items' complement is sparse or dense by cost, with couplings of neighbours
    let mut model = base("sparse coupling", 31, 12, 25);
    let n = model.n();
    let items: Vec<i32> = (0..n as i32).map(|i| 1 + i % 190).collect();
    model.factors[1] = (items, 190, None);
    model.residual = Box::new(|m| {
        Some(correlated(
            m,
            Correlation::new(kind("ar1"), Position::Whole(&m.time)),
        ))
    });
    model.r = by_group(
        |m, phi, i, j| phi[0].powi(m.time[i].abs_diff(m.time[j]) as i32),
        |_, _, _| 1.0,
    );
    model.phi = vec![0.5];
    model.terms = vec![intercept(1)];
    holds(&mut model, &[0.7], &[true]);
    model.terms = vec![intercept(0), intercept(1)];
    holds(&mut model, &[0.7, 0.5], &[true]);
}

#[test]
fn the_same_bits_for_any_number_of_threads() {
    let mut model = base("threads", 41, 900, 8);
    model.residual = Box::new(|m| {
        let mut structure = correlated(m, Correlation::new(kind("ar1"), Position::Whole(&m.time)));
        structure.scales = vec![Scale::Ident {
            stratum: &m.stratum,
            strata: 3,
        }];
        Some(structure)
    });
    model.terms = vec![intercept(0), intercept(1)];
    let bits = |threads: usize| -> Vec<u64> {
        let options = Options {
            threads,
            ..Options::default()
        };
        let found = fit(&model.data(), &options, &|| false).expect("a fit");
        [
            found.theta.into_values(),
            found.phi,
            found.beta,
            found.b,
            found.fitted,
            vec![found.criterion, found.sigma],
            found.certificate.gradient,
        ]
        .concat()
        .iter()
        .map(|v| v.to_bits())
        .collect()
    };
    let one = bits(1);
    assert!(one == bits(2));
    assert!(one == bits(4));
}

#[test]
fn held_and_tied_parameters() {
    let mut model = base("held and tied", 51, 40, 6);
    model.residual = Box::new(|m| {
        Some(correlated(
            m,
            Correlation::new(kind("ar1"), Position::Whole(&m.time)),
        ))
    });
    model.r = by_group(
        |m, phi, i, j| phi[0].powi(m.time[i].abs_diff(m.time[j]) as i32),
        |_, _, _| 1.0,
    );
    model.phi = vec![0.4];
    let x = model.x[model.n()..].to_vec();
    model.terms = vec![intercept(0), intercept(1)];
    model.terms[0].columns.push(Some(x));
    simulate(&mut model, &[0.7, 0.2, 0.5, 0.6]);
    let fitted = |hold: Vec<f64>, tie: Vec<usize>, sigma: Option<f64>| {
        let options = Options {
            hold: hold.into(),
            tie,
            sigma,
            ..Options::default()
        };
        fit(&model.data(), &options, &|| false).expect("a fit")
    };
    let nan = f64::NAN;
    // one factor entry and the correlation held
    let held = fitted(vec![nan, 0.25, nan, nan, 0.3], Vec::new(), None);
    assert_eq!(held.certificate.status, Status::Converged);
    near("held", held.theta[1], 0.25, 1e-12);
    near("held", held.phi[0], 0.3, 1e-12);
    let value = |theta: &[f64], phi: &[f64]| {
        dense(&model, theta, phi, true).map_or(f64::INFINITY, |d| d.criterion)
    };
    near(
        "held",
        held.criterion,
        value(held.theta.values(), &held.phi),
        1e-10,
    );
    for a in [0, 2, 3] {
        for step in [1e-3, -1e-3] {
            let mut moved = held.theta.values().to_vec();
            moved[a] += step;
            assert!(value(&moved, &held.phi) > held.criterion, "held {a} {step}");
        }
    }
    // the intercepts' standard deviation of subjects tied to that of items
    let tied = fitted(Vec::new(), vec![1, 2, 3, 1, 4], None);
    near("tied", tied.theta[0], tied.theta[3], 1e-12);
    for step in [1e-3, -1e-3] {
        let mut moved = tied.theta.values().to_vec();
        moved[0] += step;
        moved[3] += step;
        assert!(value(&moved, &tied.phi) > tied.criterion, "tied {step}");
    }
    let free = fitted(Vec::new(), Vec::new(), None);
    assert!(free.criterion < tied.criterion && free.criterion < held.criterion);
    // the estimate of sigma, known, changes nothing but the criterion's constant
    let known = fitted(Vec::new(), Vec::new(), Some(free.sigma));
    near("known sigma", known.criterion, free.criterion, 1e-10);
    close(
        "known sigma",
        known.theta.values(),
        free.theta.values(),
        1e-6,
    );
    let other = fitted(Vec::new(), Vec::new(), Some(1.2 * free.sigma));
    near("known sigma", other.sigma, 1.2 * free.sigma, 1e-14);
    assert!(other.criterion > free.criterion);
}
