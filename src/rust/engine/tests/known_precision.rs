//! Known precision matrices of the levels against V formed n x n: every storage of the complement, at widths around those of
//! its panels, alone and beside other factors.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::brute::{backward, cholesky, forward};
use common::{close, kind, near, Rng};
use ferrolmm_engine::basis::internal_theta::InternalTheta;
use ferrolmm_engine::inference::satterthwaite;
use ferrolmm_engine::{
    at_internal, conditional_variances, fit, Column, GroupingFactor, KnownMatrix, ModelData,
    Options, RandomTerm, Structure,
};

/// What a precision matrix looks like.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Shape {
    Dense,
    Banded,
    Arrow,
    Diagonal,
    Block,
    /// The inverse of an AR(1) correlation matrix, with all entries that inversion leaves.
    Chain,
}

/// A symmetric positive definite matrix of that shape, dense: diagonally dominant, of uneven sizes.
fn precision(shape: Shape, n: usize, rng: &mut Rng) -> Vec<f64> {
    let mut q = vec![0.0; n * n];
    let linked = |i: usize, j: usize| match shape {
        Shape::Dense | Shape::Chain => true,
        Shape::Banded => j - i <= 3,
        Shape::Arrow => i == 0,
        Shape::Diagonal => false,
        Shape::Block => i / 7 == j / 7,
    };
    for i in 0..n {
        for j in i + 1..n {
            if linked(i, j) {
                let value = if shape == Shape::Chain {
                    if j == i + 1 {
                        -0.8
                    } else {
                        1e-9 * rng.normal()
                    }
                } else {
                    rng.normal()
                };
                q[i * n + j] = value;
                q[j * n + i] = value;
            }
        }
    }
    for i in 0..n {
        let sum: f64 = (0..n).map(|j| q[i * n + j].abs()).sum();
        q[i * n + i] = 0.6 * sum + 0.5 + rng.uniform();
        if shape != Shape::Chain {
            q[i * n + i] += 0.5 * sum;
        }
    }
    let size = (0..n).map(|i| q[i * n + i]).fold(0.0, f64::max);
    q.iter_mut().for_each(|v| *v *= 2.0 / size);
    q
}

struct Known {
    start: Vec<i32>,
    row: Vec<i32>,
    value: Vec<f64>,
    covariance: Vec<f64>,
}

impl Known {
    fn new(q: &[f64], n: usize) -> Self {
        let (mut start, mut row, mut value) = (vec![0], Vec::new(), Vec::new());
        for j in 0..n {
            for i in 0..n {
                if q[j * n + i] != 0.0 {
                    row.push(i as i32);
                    value.push(q[j * n + i]);
                }
            }
            start.push(row.len() as i32);
        }
        Self {
            start,
            row,
            value,
            covariance: inverse(q, n),
        }
    }
}

fn inverse(a: &[f64], n: usize) -> Vec<f64> {
    let l = cholesky(a, n).expect("positive definite");
    let mut out = vec![0.0; n * n];
    for (j, column) in out.chunks_exact_mut(n).enumerate() {
        column[j] = 1.0;
        forward(&l, n, column);
        backward(&l, n, column);
    }
    out
}

struct Factor {
    codes: Vec<i32>,
    levels: usize,
    known: Option<Known>,
}

struct Term {
    factor: usize,
    columns: Vec<Option<Vec<f64>>>,
    structure: Structure,
}

struct Model {
    name: String,
    y: Vec<f64>,
    x: Vec<f64>,
    factors: Vec<Factor>,
    terms: Vec<Term>,
}

const P: usize = 2;

impl Model {
    fn n(&self) -> usize {
        self.y.len()
    }

    fn data(&self) -> ModelData<'_> {
        ModelData {
            moments: None,
            stands_for: None,
            y: &self.y,
            x: Column::of_matrix(&self.x, self.n(), P),
            p: P,
            weights: None,
            offset: None,
            factors: (self.factors.iter())
                .map(|f| GroupingFactor {
                    members: None,
                    counts: None,
                    codes: &f.codes,
                    n_levels: f.levels,
                    precision: f.known.as_ref().map(|k| KnownMatrix {
                        start: &k.start,
                        row: &k.row,
                        value: &k.value,
                    }),
                })
                .collect(),
            terms: (self.terms.iter())
                .map(|term| RandomTerm {
                    factor: term.factor,
                    columns: (term.columns.iter())
                        .map(|c| c.as_ref().map_or(Column::Constant, |v| Column::Values(v)))
                        .collect(),
                    structure: term.structure,
                    classes: None,
                })
                .collect(),
            residual: None,
        }
    }

    /// Number of parameters and G of each term.
    fn g(&self, theta: &[f64]) -> Vec<Vec<f64>> {
        let mut at = 0;
        let mut out = Vec::new();
        for term in &self.terms {
            let k = term.columns.len();
            let mut g = vec![0.0; k * k];
            match term.structure {
                Structure::Unstructured => {
                    let mut t = vec![0.0; k * k];
                    for j in 0..k {
                        for i in j..k {
                            t[j * k + i] = theta[at];
                            at += 1;
                        }
                    }
                    for e in 0..k * k {
                        g[e] = (0..k).map(|c| t[c * k + e % k] * t[c * k + e / k]).sum();
                    }
                }
                Structure::Identity => {
                    (0..k).for_each(|i| g[i * k + i] = theta[at] * theta[at]);
                    at += 1;
                }
                Structure::Correlated { correlation, .. } => {
                    for e in 0..k * k {
                        let lag = (e % k).abs_diff(e / k) as i32;
                        let r = match correlation.facts().name {
                            "ar1" => theta[at + 1].powi(lag),
                            _ if lag == 0 => 1.0,
                            _ => theta[at + 1],
                        };
                        g[e] = theta[at] * theta[at] * r;
                    }
                    at += 2;
                }
                _ => panic!("not a case of these tests"),
            }
            out.push(g);
        }
        assert_eq!(at, theta.len());
        out
    }

    /// Z of a term (n rows of J k values) and the covariance matrix of its effects relative to sigma^2.
    fn design(&self, at: usize, g: &[f64]) -> (Vec<f64>, Vec<f64>, usize) {
        let term = &self.terms[at];
        let (k, f) = (term.columns.len(), &self.factors[term.factor]);
        let q = f.levels * k;
        let mut z = vec![0.0; self.n() * q];
        for (i, row) in z.chunks_exact_mut(q).enumerate() {
            for (c, column) in term.columns.iter().enumerate() {
                row[(f.codes[i] as usize - 1) * k + c] = column.as_ref().map_or(1.0, |v| v[i]);
            }
        }
        let mut cov = vec![0.0; q * q];
        for a in 0..f.levels {
            for b in 0..f.levels {
                let kinship = match &f.known {
                    Some(known) => known.covariance[a * f.levels + b],
                    None => f64::from(u8::from(a == b)),
                };
                for c in 0..k {
                    for d in 0..k {
                        cov[(a * k + c) * q + b * k + d] = kinship * g[d * k + c];
                    }
                }
            }
        }
        (z, cov, q)
    }
}

/// a b' for rows of a (r x m) and b (c x m).
fn times_transposed(a: &[f64], b: &[f64], m: usize) -> Vec<f64> {
    let columns = b.len() / m;
    let mut out = Vec::with_capacity(a.len() / m * columns);
    for x in a.chunks_exact(m) {
        out.extend(
            b.chunks_exact(m)
                .map(|y| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>()),
        );
    }
    out
}

struct Dense {
    criterion: f64,
    beta: Vec<f64>,
    vcov: Vec<f64>,
    sigma: f64,
    b: Vec<f64>,
    /// k x k for each level of each term.
    variances: Vec<Vec<f64>>,
}

fn dense(model: &Model, theta: &[f64], reml: bool, effects: bool) -> Dense {
    let n = model.n();
    let g = model.g(theta);
    let designs: Vec<_> = (0..g.len()).map(|t| model.design(t, &g[t])).collect();
    let mut v = vec![0.0; n * n];
    (0..n).for_each(|i| v[i * n + i] = 1.0);
    // Z C, n x q
    let covariances: Vec<Vec<f64>> = designs
        .iter()
        .map(|(z, cov, q)| times_transposed(z, cov, *q))
        .collect();
    for ((z, _, q), zc) in designs.iter().zip(&covariances) {
        for (x, y) in v.iter_mut().zip(times_transposed(zc, z, *q)) {
            *x += y;
        }
    }
    let l = cholesky(&v, n).expect("positive definite");
    let whiten = |c: &[f64]| {
        let mut c = c.to_vec();
        forward(&l, n, &mut c);
        c
    };
    let x: Vec<Vec<f64>> = model.x.chunks_exact(n).map(whiten).collect();
    let mut e = whiten(&model.y);
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let xx: Vec<f64> = (0..P * P).map(|e| dot(&x[e % P], &x[e / P])).collect();
    let lx = cholesky(&xx, P).unwrap();
    let mut beta: Vec<f64> = x.iter().map(|c| dot(c, &e)).collect();
    forward(&lx, P, &mut beta);
    backward(&lx, P, &mut beta);
    for (c, b) in x.iter().zip(&beta) {
        e.iter_mut().zip(c).for_each(|(y, x)| *y -= b * x);
    }
    let pwrss = dot(&e, &e);
    let degrees = n as f64 - if reml { P as f64 } else { 0.0 };
    let log = |l: &[f64], n: usize| 2.0 * (0..n).map(|i| l[i * n + i].ln()).sum::<f64>();
    let (mut b, mut variances) = (Vec::new(), Vec::new());
    if effects {
        for (((_, cov, q), zc), term) in designs.iter().zip(&covariances).zip(&model.terms) {
            let k = term.columns.len();
            let columns: Vec<Vec<f64>> = (0..*q)
                .map(|c| whiten(&zc.iter().skip(c).step_by(*q).copied().collect::<Vec<_>>()))
                .collect();
            b.extend(columns.iter().map(|c| dot(c, &e)));
            let mut own = Vec::new();
            for level in 0..q / k {
                for entry in 0..k * k {
                    let (i, j) = (level * k + entry % k, level * k + entry / k);
                    own.push(cov[i * q + j] - dot(&columns[i], &columns[j]));
                }
            }
            variances.push(own);
        }
    }
    Dense {
        criterion: log(&l, n)
            + if reml { log(&lx, P) } else { 0.0 }
            + degrees * (1.0 + (2.0 * std::f64::consts::PI * pwrss / degrees).ln()),
        beta,
        vcov: inverse(&xx, P),
        sigma: (pwrss / degrees).sqrt(),
        b,
        variances,
    }
}

fn holds(model: &Model, theta: &[f64], reml: bool) {
    let what = format!("{}, theta {theta:?}, REML {reml}", model.name);
    let options = Options {
        reml,
        start: Some(theta.into()),
        optimize: false,
        threads: 1,
        ..Options::default()
    };
    let data = model.data();
    let ours = fit(&data, &options, &|| false).unwrap_or_else(|e| panic!("{what}: {e}"));
    let reference = dense(model, theta, reml, true);
    near(&what, ours.criterion, reference.criterion, 1e-10);
    close(&what, &ours.beta, &reference.beta, 1e-9);
    close(&what, &ours.vcov_unscaled, &reference.vcov, 1e-9);
    near(&what, ours.sigma, reference.sigma, 1e-10);
    // relative to the largest, or to sigma where all are zero
    let largest = reference
        .b
        .iter()
        .fold(reference.sigma, |m, b| m.max(b.abs()));
    for (x, y) in ours.b.iter().zip(&reference.b) {
        assert!(
            (x - y).abs() < 1e-9 * largest,
            "{what}: mode {x}, dense {y}"
        );
    }
    assert_eq!(ours.b.len(), reference.b.len());
    let variances = conditional_variances(&data, &options, &|| false).unwrap();
    for (own, dense) in variances.iter().zip(&reference.variances) {
        close(&what, own, dense, 1e-8);
    }
    // the gradient in internal coordinates: differences of the criterion
    let at = |x: &InternalTheta| at_internal(&data, &options, Some(x)).expect("defined");
    let (x, value, gradient) = at_internal(&data, &options, None).expect("defined");
    near(&what, value, reference.criterion, 1e-10);
    let size = gradient.iter().fold(1.0f64, |m, g| m.max(g.abs()));
    for a in 0..x.len() {
        let step = 1e-3 * x[a].abs().max(0.1);
        let along = |d: f64| {
            let mut moved = x.clone();
            moved[a] += d;
            at(&moved).1
        };
        let difference = (8.0 * (along(step) - along(-step)) - along(2.0 * step)
            + along(-2.0 * step))
            / (12.0 * step);
        assert!(
            (difference - gradient[a]).abs() < 1e-6 * size,
            "{what}: gradient {a} is {}, differences say {difference}",
            gradient[a]
        );
    }
}

/// `others`: numbers of levels of independent factors before and after the known one.
fn model(
    shape: Shape,
    levels: usize,
    (k, structure): (usize, Structure),
    (before, after): (&[usize], &[usize]),
    rng: &mut Rng,
) -> Model {
    let most = before.iter().chain(after).copied().max().unwrap_or(0);
    // some levels of the known factor have no row
    let used = (levels - levels / 10).max(1);
    let n = (2 * used.max(most)).max(40);
    let mut factors = Vec::new();
    let mut terms = Vec::new();
    let x: Vec<f64> = rng.normals(n);
    let plain = |levels: usize, rng: &mut Rng| Factor {
        codes: (0..n).map(|_| rng.below(levels) as i32 + 1).collect(),
        levels,
        known: None,
    };
    for &other in before {
        factors.push(plain(other, rng));
    }
    let own = factors.len();
    factors.push(Factor {
        known: Some(Known::new(&precision(shape, levels, rng), levels)),
        ..plain(levels, rng)
    });
    let occurring = rng.order(levels);
    factors[own].codes = (0..n)
        .map(|_| occurring[rng.below(used)] as i32 + 1)
        .collect();
    for &other in after {
        factors.push(plain(other, rng));
    }
    for factor in 0..factors.len() {
        terms.push(Term {
            factor,
            columns: vec![None],
            structure: Structure::Unstructured,
        });
    }
    terms[own].structure = structure;
    terms[own].columns = match structure {
        Structure::Unstructured if k == 2 => vec![None, Some(x.clone())],
        Structure::Unstructured => vec![None],
        _ => {
            let visit: Vec<usize> = (0..n).map(|_| rng.below(k)).collect();
            (0..k)
                .map(|c| Some(visit.iter().map(|&v| f64::from(u8::from(v == c))).collect()))
                .collect()
        }
    };
    let mut xs = vec![1.0; n];
    xs.extend(&x);
    let mut y: Vec<f64> = (0..n).map(|i| 1.0 + x[i] + rng.normal()).collect();
    for f in &factors {
        let effects = rng.normals(f.levels);
        (y.iter_mut().zip(&f.codes)).for_each(|(y, &c)| *y += effects[c as usize - 1]);
    }
    Model {
        name: format!("{shape:?} {levels} x {k} {structure:?} beside {before:?} {after:?}"),
        y,
        x: xs,
        factors,
        terms,
    }
}

fn theta(model: &Model, size: f64) -> Vec<f64> {
    (model.terms.iter())
        .flat_map(|term| match term.structure {
            Structure::Unstructured if term.columns.len() == 2 => {
                vec![size, 0.4 * size, 0.7 * size]
            }
            Structure::Correlated { .. } => vec![size, 0.35],
            _ => vec![size],
        })
        .collect()
}

const ONE: (usize, Structure) = (1, Structure::Unstructured);

const SHAPES: [Shape; 6] = [
    Shape::Dense,
    Shape::Banded,
    Shape::Arrow,
    Shape::Diagonal,
    Shape::Block,
    Shape::Chain,
];

#[test]
fn alone_at_every_width_of_a_panel() {
    let mut rng = Rng::new(900);
    for levels in [1, 2, 95, 96, 97, 98, 191, 192, 193, 194] {
        for shape in [Shape::Dense, Shape::Banded] {
            let model = model(shape, levels, ONE, (&[], &[]), &mut rng);
            holds(&model, &theta(&model, 0.8), levels % 2 == 0);
        }
    }
    for shape in SHAPES {
        let model = model(shape, 130, ONE, (&[], &[]), &mut rng);
        for (size, reml) in [(0.02, true), (0.7, false), (6.0, true)] {
            holds(&model, &theta(&model, size), reml);
        }
    }
}

#[test]
fn four_hundred_levels() {
    let mut rng = Rng::new(901);
    for (shape, after) in [
        (Shape::Dense, &[][..]),
        (Shape::Arrow, &[]),
        (Shape::Chain, &[30]),
    ] {
        let model = model(shape, 400, ONE, (&[], after), &mut rng);
        holds(&model, &theta(&model, 0.8), true);
    }
}

#[test]
fn beside_other_factors_in_every_order() {
    let mut rng = Rng::new(902);
    let orders: [(&[usize], &[usize]); 9] = [
        (&[9], &[]),
        (&[], &[9]),
        (&[150], &[]),
        (&[], &[150]),
        (&[150, 12], &[]),
        (&[12, 150], &[]),
        (&[120], &[60]),
        (&[60], &[120]),
        (&[], &[60, 120]),
    ];
    for (i, others) in orders.into_iter().enumerate() {
        for (shape, levels) in [
            (Shape::Dense, 97),
            (SHAPES[1 + i % 5], 120),
            (Shape::Banded, 60),
        ] {
            let model = model(shape, levels, ONE, others, &mut rng);
            holds(&model, &theta(&model, 0.8), i % 2 == 0);
        }
    }
}

/// Few levels that meet many of a sparse matrix are not eliminated before these (`system/elimination_choice.rs`).
#[test]
fn ordered_together_with_few_levels_that_meet_many() {
    let mut rng = Rng::new(906);
    let others: [(&[usize], &[usize]); 4] =
        [(&[], &[4]), (&[7], &[]), (&[5], &[3]), (&[12], &[90])];
    for (i, others) in others.into_iter().enumerate() {
        for (shape, levels) in [
            (Shape::Banded, 220),
            (Shape::Chain, 150),
            (Shape::Block, 200),
        ] {
            let model = model(shape, levels, ONE, others, &mut rng);
            holds(&model, &theta(&model, 0.8), i % 2 == 0);
        }
    }
    let slopes = model(
        Shape::Banded,
        110,
        (2, Structure::Unstructured),
        (&[], &[6]),
        &mut rng,
    );
    holds(&slopes, &theta(&slopes, 0.8), true);
    holds(&slopes, &theta(&slopes, 0.01), false);
}

#[test]
fn several_effects_of_a_level() {
    let mut rng = Rng::new(903);
    let correlated = |correlation| Structure::Correlated {
        correlation,
        homogeneous: true,
    };
    for (i, structure) in [
        (2, Structure::Unstructured),
        (3, Structure::Identity),
        (3, correlated(kind("cs"))),
        (4, correlated(kind("ar1"))),
        // a level is wider than a panel
        (100, Structure::Identity),
    ]
    .into_iter()
    .enumerate()
    {
        let levels = if structure.0 > 50 { 3 } else { 34 };
        for (shape, others) in [
            (Shape::Dense, (&[][..], &[][..])),
            (SHAPES[i], (&[], &[80])),
            (Shape::Dense, (&[5], &[80])),
        ] {
            let model = model(shape, levels, structure, others, &mut rng);
            holds(&model, &theta(&model, 0.8), i % 2 == 0);
        }
    }
}

/// Two factors with known matrices, and none that can be eliminated.
#[test]
fn two_known_matrices() {
    let mut rng = Rng::new(904);
    for shape in SHAPES {
        let mut model = model(shape, 60, ONE, (&[70], &[]), &mut rng);
        model.factors[0].known = Some(Known::new(&precision(Shape::Dense, 70, &mut rng), 70));
        holds(&model, &theta(&model, 0.8), true);
    }
}

/// Satterthwaite's degrees of freedom are the same whatever the parameters are called: 2 C^2 / (g'Ag), here with derivatives by
/// differences of dense evaluations in (theta, log sigma).
#[test]
fn satterthwaite_of_a_known_matrix() {
    let mut rng = Rng::new(905);
    for (shape, levels) in [(Shape::Dense, 98), (Shape::Banded, 60)] {
        let model = model(shape, levels, ONE, (&[], &[10]), &mut rng);
        let x = [0.9, 0.6];
        let fitted = dense(&model, &x, true, false);
        let degrees = (model.n() - P) as f64;
        // -2 log L in (theta, tau = log sigma^2), and C_jj
        let at = |psi: [f64; 3]| {
            let d = dense(&model, &psi[..2], true, false);
            let q = d.sigma * d.sigma * degrees;
            let base = d.criterion - degrees * (q / degrees).ln();
            let value = base + degrees * (psi[2] - 1.0) + q * (-psi[2]).exp();
            let c = psi[2].exp();
            (value, [c * d.vcov[0], c * d.vcov[3]])
        };
        let psi = [x[0], x[1], (fitted.sigma * fitted.sigma).ln()];
        let h = 2e-3;
        let moved = |steps: &[(usize, f64)]| {
            let mut to = psi;
            steps.iter().for_each(|&(a, d)| to[a] += d * h);
            at(to)
        };
        let mut hessian = [0.0; 9];
        let mut slope = [[0.0; 3]; 2];
        for a in 0..3 {
            let (up, down) = (moved(&[(a, 1.0)]), moved(&[(a, -1.0)]));
            let (up2, down2) = (moved(&[(a, 2.0)]), moved(&[(a, -2.0)]));
            for (j, own) in slope.iter_mut().enumerate() {
                own[a] = (8.0 * (up.1[j] - down.1[j]) - up2.1[j] + down2.1[j]) / (12.0 * h);
            }
            let middle = at(psi).0;
            hessian[a * 3 + a] =
                (16.0 * (up.0 + down.0) - up2.0 - down2.0 - 30.0 * middle) / (12.0 * h * h);
            for b in 0..a {
                let corner = |s: f64, t: f64| moved(&[(a, s), (b, t)]).0;
                let at = |d: f64| corner(d, d) - corner(d, -d) - corner(-d, d) + corner(-d, -d);
                // Richardson: 4/3 of the difference over h, less 1/3 of that over 2h
                let value = (16.0 * at(1.0) - at(2.0)) / (48.0 * h * h);
                hessian[a * 3 + b] = value;
                hessian[b * 3 + a] = value;
            }
        }
        let covariance = inverse(&hessian, 3);
        let options = Options {
            start: Some(x.as_slice().into()),
            threads: 1,
            ..Options::default()
        };
        let found = satterthwaite(&model.data(), &options, &|| false).unwrap();
        for (j, own) in slope.iter().enumerate() {
            let spread: f64 = (0..9)
                .map(|e| own[e % 3] * 2.0 * covariance[e] * own[e / 3])
                .sum();
            let variance = fitted.sigma * fitted.sigma * fitted.vcov[j * 3];
            near(
                &model.name,
                found.ddf(j, P),
                2.0 * variance * variance / spread,
                1e-4,
            );
        }
    }
}
