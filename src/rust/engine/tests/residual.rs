//! Residual structures against dense matrices built from the textbook formulas, and their derivatives against central
//! differences of those matrices.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::residual::{dense_inverse, factor, Case, Law, Scaling};
use common::{close, kind, spatial, Rng};
use ferrolmm_engine::runtime::parallel::Workers;
use ferrolmm_engine::runtime::stop::StopFlag;
use ferrolmm_engine::structure::residual::{Residual, Whitening};
use ferrolmm_engine::{
    Correlation, EngineError, GroupingFactor, Metric, Position, ResidualStructure, Scale,
    ScaleFunction,
};
use proptest::prelude::*;

const SPATIAL: [&str; 8] = [
    "exp",
    "matern0.5",
    "gaus",
    "lin",
    "ratio",
    "spher",
    "matern1.5",
    "matern2.5",
];

/// Every structure alone and with variance functions, on unequal groups with missing visits and single rows.
fn cases() -> Vec<Case> {
    let visits = 6;
    let mut laws = vec![
        Law::Independent,
        Law::Ar1,
        Law::Car1,
        Law::Arma { p: 1, q: 0 },
        Law::Arma { p: 0, q: 1 },
        Law::Arma { p: 2, q: 0 },
        Law::Arma { p: 2, q: 3 },
        Law::CompoundSymmetric,
        Law::Unstructured { visits },
        Law::Toeplitz { visits },
        Law::AnteDependence { visits },
        Law::Known,
    ];
    for (first, second, nugget) in [
        ("us", "ar1", false),
        ("us", "us", false),
        ("ar1", "ar1", true),
        ("cs", "toep", false),
        ("ante", "cs", true),
        ("ar1", "car1", false),
        ("toep", "ante", true),
    ] {
        laws.push(Law::Product {
            first,
            second,
            nugget,
        });
    }
    for kind in SPATIAL {
        for (nugget, dimensions, metric) in [
            (false, 1, Metric::Euclidean),
            (true, 1, Metric::Euclidean),
            (false, 2, Metric::Euclidean),
            (true, 3, Metric::Euclidean),
            (true, 2, Metric::Manhattan),
            (false, 2, Metric::Maximum),
        ] {
            laws.push(Law::Spatial {
                kind,
                nugget,
                dimensions,
                metric,
            });
        }
    }
    let mut cases: Vec<Case> = laws
        .iter()
        .enumerate()
        .map(|(i, law)| Case::new(law.clone(), Vec::new(), 12, visits, i as u64))
        .collect();
    let scalings = [
        vec![Scaling::Ident { strata: 3 }],
        vec![Scaling::Power { strata: 1 }],
        vec![Scaling::Power { strata: 2 }],
        vec![Scaling::Exponential { strata: 1 }],
        vec![Scaling::Exponential { strata: 2 }],
        vec![Scaling::ConstantPower { strata: 1 }],
        vec![Scaling::ConstantPower { strata: 2 }],
        vec![Scaling::ConstantProportion { strata: 1 }],
        vec![Scaling::ConstantProportion { strata: 2 }],
        vec![
            Scaling::Ident { strata: 2 },
            Scaling::ConstantPower { strata: 2 },
            Scaling::Power { strata: 1 },
        ],
    ];
    for (i, scaling) in scalings.into_iter().enumerate() {
        for law in [
            Law::Independent,
            Law::Ar1,
            Law::CompoundSymmetric,
            Law::Unstructured { visits },
            Law::Known,
        ] {
            cases.push(Case::new(law, scaling.clone(), 8, visits, 100 + i as u64));
        }
    }
    for classes in [2, 3] {
        for law in &laws {
            if matches!(
                law,
                Law::Independent | Law::Known
                    // its dense matrix has ten digits
                    | Law::Arma { q: 3, .. }
                    | Law::Spatial {
                        kind: "lin" | "spher",
                        ..
                    }
            ) {
                continue;
            }
            let strata = vec![Scaling::Ident { strata: 3 }];
            let case = Case::new(law.clone(), strata, 12, 5, 200 + classes as u64);
            cases.push(case.by_class(classes));
        }
    }
    cases
}

/// Random internal parameters at which the dense matrix is comfortably positive definite.
fn point(case: &Case, residual: &Residual, rng: &mut Rng) -> Vec<f64> {
    for _ in 0..200 {
        let phi: Vec<f64> = residual
            .start()
            .iter()
            .map(|x| x + 0.4 * rng.normal())
            .collect();
        let natural = residual.natural(&phi);
        let kinks = case.kinks(&natural);
        if kinks > 0.02 && residual.at(&phi).is_some() {
            let c = case.dense(residual, &natural);
            let n = case.n();
            let inverse = dense_inverse(&c, n);
            if inverse.is_some_and(|q| (0..n).all(|i| q[i * n + i] * c[i * n + i] < 1e4)) {
                return phi;
            }
        }
    }
    panic!("{}: no usable point", case.name);
}

fn identity(n: usize) -> Vec<f64> {
    (0..n * n)
        .map(|e| f64::from(u8::from(e % n == e / n)))
        .collect()
}

/// A'B of row-major A (n x c) and B (n x d), c x d column-major.
fn cross(a: &[f64], b: &[f64], n: usize, c: usize, d: usize) -> Vec<f64> {
    let mut out = vec![0.0; c * d];
    for i in 0..n {
        for j in 0..d {
            for k in 0..c {
                out[j * c + k] += a[i * c + k] * b[i * d + j];
            }
        }
    }
    out
}

fn trace(a: &[f64], b: &[f64], n: usize) -> f64 {
    (0..n * n).map(|e| a[e] * b[(e % n) * n + e / n]).sum()
}

/// First derivative of vectors by six-point central differences.
fn difference(f: &dyn Fn(f64) -> Vec<f64>, h: f64) -> Vec<f64> {
    let mut out: Vec<f64> = Vec::new();
    for (k, weight) in [45.0 / 60.0, -9.0 / 60.0, 1.0 / 60.0].iter().enumerate() {
        let step = (k as f64 + 1.0) * h;
        let (up, down) = (f(step), f(-step));
        out.resize(up.len(), 0.0);
        for (o, (u, d)) in out.iter_mut().zip(up.iter().zip(&down)) {
            *o += weight * (u - d) / h;
        }
    }
    out
}

fn moved(phi: &[f64], a: usize, step: f64) -> Vec<f64> {
    let mut x = phi.to_vec();
    x[a] += step;
    x
}

#[test]
fn products_are_those_of_dense_matrices() {
    for case in cases() {
        let mut rng = Rng::new(7);
        let residual = case.residual();
        let n = case.n();
        for _ in 0..3 {
            let phi = point(&case, &residual, &mut rng);
            let natural = residual.natural(&phi);
            let r = case.dense(&residual, &natural);
            let inverse = dense_inverse(&r, n).unwrap();
            let whitening = residual.at(&phi).unwrap();
            let workers = Workers::sequential();
            let what = |part: &str| format!("{}: {part}", case.name);
            let l = factor(&r, n).unwrap();
            let log_det = 2.0 * (0..n).map(|i| l[i * n + i].ln()).sum::<f64>();
            close(&what("log|R|"), &[whitening.log_det], &[log_det], 1e-10);
            let eye = identity(n);
            let q = whitening.inverse_times(&residual, &eye, n, &workers);
            close(&what("R^-1"), &q, &inverse, 1e-9);
            let times = whitening.times(&residual, &eye, n, &workers);
            close(&what("R"), &times, &r, 1e-11);
            let u = whitening.whiten(&residual, &eye, n, &workers);
            close(&what("U'U"), &cross(&u, &u, n, n, n), &inverse, 1e-9);
            assert!(
                (0..n).all(|i| (i + 1..n).all(|j| u[i * n + j] == 0.0)),
                "{}",
                what("U is lower triangular")
            );
            let e = rng.normals(n * 3);
            let white = whitening.whiten(&residual, &e, 3, &workers);
            let back = whitening.color(&residual, &white, 3, &workers);
            close(&what("U^-1 U"), &back, &e, 1e-10);
            close(
                &what("entries"),
                &entries(&residual, &whitening, n),
                &inverse,
                1e-9,
            );
            let scale = residual.scale(&phi);
            for g in 0..residual.groups() {
                let places = residual.group(g);
                let c = residual.correlation(&phi, g).unwrap();
                let m = places.len();
                for i in 0..m {
                    for j in 0..m {
                        let (s, t) = (places.start + i, places.start + j);
                        let expected = r[s * n + t] / (scale[s] * scale[t]);
                        assert!((c[i * m + j] - expected).abs() < 1e-12, "{}", case.name);
                    }
                }
            }
        }
    }
}

/// R^-1 from the entries of C^-1.
fn entries(residual: &Residual, whitening: &Whitening, n: usize) -> Vec<f64> {
    let mut out = vec![0.0; n * n];
    let scale = |i: usize| whitening.inverse_scale.get(i).copied().unwrap_or(1.0);
    for g in 0..residual.groups() {
        let places = residual.group(g);
        let pattern = residual.pattern_of(g);
        for s in 0..places.len() {
            for t in s..places.len().min(s + whitening.band(pattern) + 1) {
                let mut value = whitening.entry(pattern, s, t);
                if let Some((diagonal, off)) = whitening.rank_one(pattern) {
                    let expected = if s == t { diagonal } else { off };
                    assert_eq!(value.to_bits(), expected.to_bits());
                }
                let (i, j) = (places.start + s, places.start + t);
                value *= scale(i) * scale(j);
                out[i * n + j] = value;
                out[j * n + i] = value;
            }
        }
    }
    out
}

#[test]
fn contraction_is_the_gradient() {
    for case in cases() {
        let mut rng = Rng::new(11);
        let residual = case.residual();
        let n = case.n();
        let phi = point(&case, &residual, &mut rng);
        let whitening = residual.at(&phi).unwrap();
        let root = rng.normals(n * n);
        let omega = cross(&root, &root, n, n, n);
        let scale = |i: usize| whitening.inverse_scale.get(i).copied().unwrap_or(1.0);
        let scaled: Vec<f64> = (0..n * n)
            .map(|e| omega[e] * scale(e / n) * scale(e % n))
            .collect();
        let mut bands: Vec<Vec<f64>> = (0..residual.patterns())
            .map(|p| vec![0.0; whitening.slots(p)])
            .collect();
        let mut diagonal = vec![0.0; n];
        for g in 0..residual.groups() {
            let (places, p) = (residual.group(g), residual.pattern_of(g));
            for (s, i) in places.clone().enumerate() {
                for (t, j) in places.clone().enumerate() {
                    let value = scaled[i * n + j];
                    let (low, high) = (s.min(t), s.max(t));
                    if whitening.rank_one(p).is_some() {
                        // on deviations from the mean, and on the mean
                        let of_mean = value / places.len() as f64;
                        bands[p][0] += if s == t { value } else { 0.0 } - of_mean;
                        bands[p][1] += of_mean;
                    } else if t >= s && t - s <= whitening.band(p) {
                        bands[p][whitening.slot(p, s, t)] += value;
                    }
                    if high - low <= whitening.band(p) {
                        diagonal[i] += whitening.entry(p, low, high) * value;
                    }
                }
            }
        }
        let gradient = residual.contract(&phi, &whitening, &bands, &diagonal);
        for a in 0..residual.len() {
            let value = |step: f64| {
                let natural = residual.natural(&moved(&phi, a, step));
                let r = case.dense(&residual, &natural);
                let l = factor(&r, n).unwrap();
                let log_det = 2.0 * (0..n).map(|i| l[i * n + i].ln()).sum::<f64>();
                vec![log_det + trace(&dense_inverse(&r, n).unwrap(), &omega, n)]
            };
            let expected = difference(&value, 1e-3)[0];
            let size = 1.0 + value(0.0)[0].abs();
            assert!(
                (gradient[a] - expected).abs() < 1e-8 * size,
                "{} d/d{a}: {} {expected}",
                case.name,
                gradient[a]
            );
        }
    }
}

#[test]
fn derivatives_are_those_of_dense_matrices() {
    for case in cases() {
        let mut rng = Rng::new(13);
        let residual = case.residual();
        let n = case.n();
        let phi = point(&case, &residual, &mut rng);
        let whitening = residual.at(&phi).unwrap();
        let workers = Workers::sequential();
        let c = 2;
        let e = rng.normals(n * c);
        let k = whitening.inverse_times(&residual, &e, c, &workers);
        let r = |phi: &[f64]| case.dense(&residual, &residual.natural(phi));
        let m = residual.len();
        // of e'R^-1 e
        let size = (cross(&k, &e, n, c, c).iter()).fold(0.0f64, |m, x| m.max(x.abs()));
        for a in 0..m {
            let exact = residual.derivative_times(&phi, &whitening, a, &e, c, &workers);
            let slope = difference(&|step| r(&moved(&phi, a, step)), 1e-3);
            let middle = cross(&slope, &k, n, n, c);
            let rows: Vec<f64> = (0..n * c).map(|e| middle[(e % c) * n + e / c]).collect();
            let expected = whitening.inverse_times(&residual, &rows, c, &workers);
            close(&format!("{} S_{a}", case.name), &exact, &expected, 1e-7);
        }
        // all pairs of few parameters, some pairs of many
        for a in 0..m {
            for b in 0..m {
                if m > 6 && (a + 3 * b) % 7 != 0 {
                    continue;
                }
                let exact = residual.second_form(&phi, &whitening, a, b, &e, c, &workers);
                let second = difference(
                    &|s| {
                        let at = moved(&phi, a, s);
                        difference(&|t| r(&moved(&at, b, t)), 3e-3)
                    },
                    3e-3,
                );
                let middle = cross(&second, &k, n, n, c);
                let rows: Vec<f64> = (0..n * c).map(|e| middle[(e % c) * n + e / c]).collect();
                let expected = cross(&k, &rows, n, c, c);
                let what = format!("{} R_{a}{b}", case.name);
                let largest = |v: &[f64]| v.iter().fold(0.0f64, |m, x| m.max(x.abs()));
                // log sqrt(c^2 + p^2 v^2) makes R additive in c and p: differences of nothing are rounding
                if largest(&expected) < 1e-9 * size {
                    assert!(largest(&exact) < 1e-9 * size, "{what} is not zero");
                } else {
                    close(&what, &exact, &expected, 1e-6);
                }
            }
        }
    }
}

#[test]
fn natural_parameters_and_their_derivatives() {
    for case in cases() {
        let mut rng = Rng::new(17);
        let residual = case.residual();
        let phi = point(&case, &residual, &mut rng);
        let m = residual.len();
        let natural = residual.natural(&phi);
        let back = residual.internal(&natural).unwrap();
        close(&format!("{}: round trip", case.name), &back, &phi, 1e-8);
        let jacobian = residual.natural_jacobian(&phi);
        for a in 0..m {
            let expected = difference(&|step| residual.natural(&moved(&phi, a, step)), 1e-3);
            close(
                &format!("{}: d natural / d {a}", case.name),
                &jacobian[a * m..(a + 1) * m],
                &expected,
                1e-9,
            );
            for b in 0..m {
                if m > 6 && (a + 3 * b) % 7 != 0 {
                    continue;
                }
                let slope = |step: f64| {
                    residual.natural_jacobian(&moved(&phi, b, step))[a * m..(a + 1) * m].to_vec()
                };
                let expected = difference(&slope, 1e-3);
                let exact = residual.natural_second(&phi, a, b);
                close(
                    &format!("{}: d2 natural", case.name),
                    &exact,
                    &expected,
                    1e-8,
                );
            }
        }
    }
}

const TIME: [i32; 5] = [1, 2, 4, 5, 8];
const X: [f64; 5] = [0.0, 0.5, 1.7, 2.0, 4.25];
const Y: [f64; 5] = [1.0, 0.2, 0.9, 2.5, 1.1];
const V: [f64; 5] = [0.5, 1.0, 2.0, 3.0, 4.0];

fn alone(correlation: Option<Correlation<'_>>, scales: Vec<Scale<'_>>) -> Residual {
    let structure = ResidualStructure {
        groups: None,
        correlation,
        scales,
        start: Vec::new(),
        held: Vec::new(),
    };
    Residual::new(&structure, 5).unwrap()
}

/// R 4.2.2, nlme 3.1.162: lower triangle of `corMatrix(Initialize(cs, d))` with
/// `d <- data.frame(g = factor(1), t = TIME, x = X, y = Y, v = V)`.
#[test]
fn correlations_are_those_of_nlme() {
    let time = &TIME;
    let spatial = |kind, nugget, both: bool, metric| {
        let coordinates: Vec<&[f64]> = if both { vec![&X, &Y] } else { vec![&X] };
        spatial(kind, nugget, coordinates, metric)
    };
    let euclid = Metric::Euclidean;
    type Golden<'a> = (&'a str, Correlation<'a>, Vec<f64>, [f64; 10]);
    let golden: Vec<Golden<'_>> = vec![
        (
            "corAR1(-0.6, ~t|g)",
            Correlation::new(kind("ar1"), Position::Whole(time)),
            vec![-0.6],
            [
                -0.6,
                -0.216,
                0.1296,
                -0.02799359999999999,
                0.36,
                -0.216,
                0.04665599999999999,
                -0.6,
                0.1296,
                -0.216,
            ],
        ),
        (
            "corCAR1(0.6, ~x|g)",
            Correlation::new(kind("car1"), Position::Times(&X)),
            vec![0.6],
            [
                0.7745966692414833,
                0.4196209142486575,
                0.3599999999999998,
                0.1140624810884237,
                0.5417282708684604,
                0.4647580015448899,
                0.1472540298941878,
                0.8579172004440948,
                0.2718226790308,
                0.3168402252456214,
            ],
        ),
        (
            "corARMA(c(0.5, -0.3, 0.4, 0.2), ~t|g, p = 2, q = 2)",
            Correlation {
                orders: (2, 2),
                ..Correlation::new(kind("arma"), Position::Whole(time))
            },
            vec![0.5, -0.3, 0.4, 0.2],
            [
                0.6112903225806454,
                -0.12975806451612906,
                -0.09705645161290324,
                0.01503850806451613,
                0.10725806451612908,
                -0.12975806451612906,
                0.02431653225806452,
                0.6112903225806454,
                -0.09705645161290324,
                -0.12975806451612906,
            ],
        ),
        (
            "corARMA(0.5, ~t|g, q = 1)",
            Correlation {
                orders: (0, 1),
                ..Correlation::new(kind("arma"), Position::Whole(time))
            },
            vec![0.5],
            [0.4, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.4, 0.0, 0.0],
        ),
        (
            "corCompSymm(0.3, ~1|g)",
            Correlation::new(kind("cs"), Position::None),
            vec![0.3],
            [0.3; 10],
        ),
        (
            "corExp(2.5, ~x|g)",
            spatial("exp", false, false, euclid),
            vec![2.5],
            [
                0.8187307530779818,
                0.5066169923655897,
                0.4493289641172216,
                0.1826835240527347,
                0.6187833918061408,
                0.5488116360940264,
                0.2231301601484298,
                0.8869204367171575,
                0.3605949401730783,
                0.4065696597405991,
            ],
        ),
        (
            "corExp(c(2.5, 0.2), ~x+y|g, nugget = TRUE)",
            spatial("exp", true, true, euclid),
            vec![2.5, 0.2],
            [
                0.548535764830671,
                0.4048174695442697,
                0.2943035529371539,
                0.1460780699601518,
                0.4589374691952467,
                0.2667333073250272,
                0.1710603660095019,
                0.4171554373670396,
                0.2875737309031408,
                0.2771646482640459,
            ],
        ),
        (
            "corExp(2.5, ~x+y|g, metric = \"manhattan\")",
            spatial("exp", false, true, Metric::Manhattan),
            vec![2.5],
            [
                0.5945205479701944,
                0.4867522559599717,
                0.2465969639416065,
                0.1755204006169969,
                0.4676664270099092,
                0.2187118869522147,
                0.1556726303679973,
                0.4676664270099092,
                0.3328710836980796,
                0.2322362747297588,
            ],
        ),
        (
            "corGaus(c(2.5, 0.2), ~x+y|g, nugget = TRUE)",
            spatial("gaus", true, true, euclid),
            vec![2.5, 0.2],
            [
                0.6938194219070133,
                0.5030108435736788,
                0.2943035529371539,
                0.04438988941674559,
                0.5874620966918904,
                0.23941817942006094,
                0.07407008411710474,
                0.5235391055270868,
                0.28084747480179456,
                0.2600858392964766,
            ],
        ),
        (
            "corLin(2.5, ~x|g)",
            spatial("lin", false, false, euclid),
            vec![2.5],
            [0.8, 0.32, 0.2, 0.0, 0.52, 0.4, 0.0, 0.88, 0.0, 0.1],
        ),
        (
            "corRatio(2.5, ~x+y|g, metric = \"maximum\")",
            spatial("ratio", false, true, Metric::Maximum),
            vec![2.5],
            [
                0.9071117561683599,
                0.6838074398249453,
                0.6097560975609756,
                0.2570694087403599,
                0.8127438231469442,
                0.5415944540727904,
                0.3076923076923077,
                0.7094211123723042,
                0.4900999803960008,
                0.5524861878453039,
            ],
        ),
        (
            "corSpher(c(2.5, 0.2), ~x+y|g, nugget = TRUE)",
            spatial("spher", true, true, euclid),
            vec![2.5, 0.2],
            [
                0.3686632882725607,
                0.1090156188161704,
                0.0,
                0.0,
                0.201802475769483,
                0.0,
                0.0,
                0.1290521303111545,
                0.0,
                0.0,
            ],
        ),
    ];
    for (call, correlation, natural, lower) in golden {
        let residual = alone(Some(correlation), Vec::new());
        let phi = residual.internal(&natural).unwrap();
        let c = residual.correlation(&phi, 0).unwrap();
        let ours: Vec<f64> = (0..5)
            .flat_map(|j| (j + 1..5).map(move |i| (i, j)))
            .map(|(i, j)| c[i * 5 + j])
            .collect();
        for (a, b) in ours.iter().zip(&lower) {
            assert!((a - b).abs() < 2e-15, "{call}: {ours:?}");
        }
    }
}

/// R 4.2.2, nlme 3.1.162: `v <- Initialize(varFunc, d); coef(v) <- coef(v); 1 / attr(v, "weights")`, `s` = a b a b b.
#[test]
fn scales_are_those_of_nlme() {
    let strata: &[i32] = &[1, 2, 1, 2, 2];
    let covariate: &[f64] = &V;
    let (stratum, one) = (Some(strata), 1);
    let golden: Vec<(Scale<'_>, Vec<f64>, [f64; 5])> = vec![
        // varIdent(c(b = 1.7), ~1|s)
        (
            Scale::Ident {
                stratum: strata,
                strata: 2,
            },
            vec![1.7],
            [1.0, 1.7, 1.0, 1.7, 1.7],
        ),
        // varPower(0.7, ~v)
        (
            Scale::OfCovariate {
                function: ScaleFunction::Power,
                covariate,
                stratum: None,
                strata: one,
            },
            vec![0.7],
            [
                0.6155722066724582,
                1.0,
                1.624504792712471,
                2.157669279974593,
                2.6390158215457884,
            ],
        ),
        // varExp(0.7, ~v)
        (
            Scale::OfCovariate {
                function: ScaleFunction::Exponential,
                covariate,
                stratum: None,
                strata: one,
            },
            vec![0.7],
            [
                1.419067548593257,
                2.013752707470477,
                4.055199966844675,
                8.166169912567648,
                16.444646771097048,
            ],
        ),
        // varConstPower(0.4, 0.7, ~v)
        (
            Scale::OfCovariate {
                function: ScaleFunction::ConstantPower,
                covariate,
                stratum: None,
                strata: one,
            },
            vec![0.4, 0.7],
            [
                1.015572206672458,
                1.4,
                2.024504792712471,
                2.557669279974593,
                3.039015821545788,
            ],
        ),
        // varConstPower(c(a = 0.4, b = 0.9), c(a = 0.7, b = -0.2), ~v|s)
        (
            Scale::OfCovariate {
                function: ScaleFunction::ConstantPower,
                covariate,
                stratum,
                strata: 2,
            },
            vec![0.4, 0.9, 0.7, -0.2],
            [
                1.015572206672458,
                1.9,
                2.024504792712471,
                1.702741561760231,
                1.657858283255199,
            ],
        ),
    ];
    for (scale, natural, d) in golden {
        let residual = alone(None, vec![scale.clone()]);
        let phi = residual.internal(&natural).unwrap();
        close(&format!("{scale:?}"), &residual.scale(&phi), &d, 1e-14);
        let whitening = residual.at(&phi).unwrap();
        let inverse: Vec<f64> = d.iter().map(|d| 1.0 / d).collect();
        close("1 / d", &whitening.inverse_scale, &inverse, 1e-14);
    }
}

/// R 4.2.2, nlme 3.1.162: `recalc(Initialize(cs, d), list(Xy = cbind(z, 1), logLik = 0))` for z = 0.3, -1.2, 0.8, 2, -0.5,
/// and its logLik, -log|C| / 2.
#[test]
fn whitened_rows_are_those_of_nlme() {
    let z = [0.3, -1.2, 0.8, 2.0, -0.5];
    let time = &TIME;
    let plane = spatial("exp", true, vec![&X, &Y], Metric::Euclidean);
    let golden: Vec<(Correlation<'_>, Vec<f64>, f64, [f64; 5])> = vec![
        (
            Correlation::new(kind("ar1"), Position::Whole(time)),
            vec![0.6],
            0.5395780416125258,
            [0.3, -1.725, 1.320539105597318, 1.9, -0.954533321282873],
        ),
        (
            Correlation::new(kind("car1"), Position::Times(&X)),
            vec![0.6],
            1.350680152323925,
            [
                0.3,
                -2.264790057518504,
                1.725141377862229,
                2.556825614212205,
                -1.195261613406954,
            ],
        ),
        (
            Correlation {
                orders: (2, 2),
                ..Correlation::new(kind("arma"), Position::Whole(time))
            },
            vec![0.5, -0.3, 0.4, 0.2],
            0.5626406904617135,
            [
                0.3,
                -1.7480109332383043,
                1.2989465410019152,
                1.3761937831970088,
                -0.2292008899709004,
            ],
        ),
        (
            plane,
            vec![2.5, 0.2],
            0.48667020850978593,
            [
                0.3,
                -1.632001572245915,
                1.312295134800763,
                1.916680229153324,
                -1.050173051589554,
            ],
        ),
    ];
    for (correlation, natural, log_lik, expected) in golden {
        let what = format!("{correlation:?}");
        let residual = alone(Some(correlation), Vec::new());
        let phi = residual.internal(&natural).unwrap();
        let whitening = residual.at(&phi).unwrap();
        let ours = whitening.whiten(&residual, &z, 1, &Workers::sequential());
        close(&what, &ours, &expected, 1e-13);
        close(&what, &[whitening.log_det], &[-2.0 * log_lik], 1e-13);
    }
}

#[test]
fn positions_that_coincide_are_refused() {
    let codes = [2, 1, 2, 2, 1];
    let (time, real) = ([3, 3, 1, 3, 2], [0.5, 0.1, 0.2, 0.5, 0.2]);
    let y = [1.0; 5];
    let build = |correlation: Correlation<'_>| {
        let structure = ResidualStructure {
            groups: Some(GroupingFactor {
                members: None,
                counts: None,
                precision: None,
                codes: &codes,
                n_levels: 2,
            }),
            correlation: Some(correlation),
            scales: Vec::new(),
            start: Vec::new(),
            held: Vec::new(),
        };
        Residual::new(&structure, 5).map(|_| ())
    };
    let refused = Err(EngineError::DuplicatePosition {
        group: 2,
        first: 1,
        second: 4,
    });
    let (visit, visits) = (&time, 3);
    assert_eq!(
        build(Correlation::new(kind("ar1"), Position::Whole(&time))),
        refused
    );
    assert_eq!(
        build(Correlation::new(kind("car1"), Position::Times(&real))),
        refused
    );
    let arma = Correlation {
        orders: (1, 1),
        ..Correlation::new(kind("arma"), Position::Whole(&time))
    };
    assert_eq!(build(arma), refused);
    assert_eq!(
        build(Correlation::new(
            kind("us"),
            Position::Visits { visit, visits }
        )),
        refused
    );
    assert_eq!(
        build(Correlation::new(
            kind("toep"),
            Position::Visits { visit, visits }
        )),
        refused
    );
    assert_eq!(
        build(Correlation::new(
            kind("ante"),
            Position::Visits { visit, visits }
        )),
        refused
    );
    assert_eq!(build(Correlation::new(kind("cs"), Position::None)), Ok(()));
    for kind in SPATIAL {
        let spatial = |nugget| spatial(kind, nugget, vec![&real, &y], Metric::Euclidean);
        assert_eq!(build(spatial(false)), refused);
        assert_eq!(build(spatial(true)), Ok(()));
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let class = |structure: &ResidualStructure<'_>, n: usize| {
        Residual::new(structure, n).map_or_else(|e| e.class(), |_| "fine")
    };
    let mut case = Case::new(
        Law::Unstructured { visits: 4 },
        vec![Scaling::Power { strata: 2 }],
        8,
        4,
        3,
    );
    let n = case.n();
    assert_eq!(class(&case.structure(), n), "fine");
    assert_eq!(class(&case.structure(), n + 1), "dimension");
    case.start = vec![
        0.99,
        -0.99,
        f64::NAN,
        0.99,
        f64::NAN,
        f64::NAN,
        0.0,
        f64::NAN,
    ];
    assert_eq!(class(&case.structure(), n), "residual_start");
    case.start = vec![0.1; 8];
    case.held = vec![true; 8];
    assert_eq!(class(&case.structure(), n), "fine");
    // one correlation of several that share their parameters
    case.held[2] = false;
    assert_eq!(class(&case.structure(), n), "residual_start");
    case.held = vec![true; 3];
    assert_eq!(class(&case.structure(), n), "residual_start");
    case.held = Vec::new();
    case.start = vec![0.1; 3];
    assert_eq!(class(&case.structure(), n), "residual_start");
    case.start = Vec::new();
    case.covariate[3] = 0.0;
    let refused = Residual::new(&case.structure(), n).unwrap_err();
    assert_eq!(refused, EngineError::ZeroCovariate { row: 4 });
    case.covariate[3] = f64::NAN;
    assert_eq!(class(&case.structure(), n), "not_finite");
    case.covariate[3] = 1.0;
    case.strata[0][2] = 3;
    assert_eq!(class(&case.structure(), n), "dimension");
    case.strata[0][2] = 1;
    case.time[1] = 5;
    assert_eq!(class(&case.structure(), n), "dimension");
    case.time[1] = i32::MIN;
    for law in [Law::Ar1, Law::Arma { p: 1, q: 1 }] {
        case.law = law;
        assert_eq!(class(&case.structure(), n), "dimension");
    }
    case.time[1] = 3;
    let of_first = case.codes.iter().position(|&g| g == 1).unwrap();
    case.time[of_first] = 2_000_000_000;
    assert_eq!(class(&case.structure(), n), "dimension");
    case.law = Law::Ar1;
    case.time[1] = 2_000_000_001;
    assert_eq!(class(&case.structure(), n), "fine");
    case.codes[0] = 9;
    assert_eq!(class(&case.structure(), n), "dimension");
    // a single row each
    let mut single = Case::new(Law::Ar1, Vec::new(), 6, 1, 3);
    assert_eq!(class(&single.structure(), 6), "single_row_groups");
    single.start = vec![0.4];
    single.held = vec![true];
    assert_eq!(class(&single.structure(), 6), "fine");
    // a dense matrix of 32 GB
    let time: Vec<f64> = (0..40_000).map(f64::from).collect();
    let long = ResidualStructure {
        groups: None,
        correlation: Some(spatial("gaus", false, vec![&time], Metric::Euclidean)),
        scales: Vec::new(),
        start: Vec::new(),
        held: Vec::new(),
    };
    assert_eq!(class(&long, time.len()), "long_residual_group");
}

/// Far out along any parameter, a point is either refused or has finite derivatives.
#[test]
fn extreme_parameters_are_refused_or_finite() {
    let workers = Workers::sequential();
    for mut case in cases() {
        // an empty group does no harm
        case.groups += 1;
        let residual = case.residual();
        let n = case.n();
        let e = Rng::new(5).normals(n);
        for a in 0..residual.len() {
            for value in [
                -1e300, -1e4, -400.0, -250.0, -40.0, -1.57, 0.0, 1.57, 40.0, 250.0, 400.0, 1e4,
                1e300,
            ] {
                let mut phi = residual.start();
                phi[a] = value;
                let Some(whitening) = residual.at(&phi) else {
                    continue;
                };
                let omega: Vec<Vec<f64>> = (0..residual.patterns())
                    .map(|p| vec![0.0; whitening.slots(p)])
                    .collect();
                let mut all = residual.contract(&phi, &whitening, &omega, &vec![0.0; n]);
                all.push(whitening.log_det);
                all.extend(whitening.times(&residual, &e, 1, &workers));
                assert!(all.iter().all(|v| v.is_finite()), "{} {phi:?}", case.name);
            }
        }
    }
}

#[test]
fn parameters_without_data_are_named() {
    // visits 1 2 3 and 2 4 of four: no pair 1 4, no pair 3 4, no lag 3
    let (codes, time, stratum) = ([1, 1, 1, 2, 2], [1, 2, 3, 2, 4], [1, 1, 1, 3, 3]);
    let (visit, visits) = (&time, 4);
    let unseen = |correlation| {
        let structure = ResidualStructure {
            groups: Some(GroupingFactor {
                members: None,
                counts: None,
                precision: None,
                codes: &codes,
                n_levels: 2,
            }),
            correlation: Some(correlation),
            scales: vec![Scale::Ident {
                stratum: &stratum,
                strata: 3,
            }],
            start: Vec::new(),
            held: Vec::new(),
        };
        Residual::new(&structure, 5).unwrap().unseen()
    };
    assert_eq!(
        unseen(Correlation::new(kind("ar1"), Position::Whole(&time))),
        [1]
    );
    assert_eq!(
        unseen(Correlation::new(
            kind("toep"),
            Position::Visits { visit, visits }
        )),
        [2, 3]
    );
    assert_eq!(
        unseen(Correlation::new(
            kind("ante"),
            Position::Visits { visit, visits }
        )),
        [3]
    );
    assert_eq!(
        unseen(Correlation::new(
            kind("us"),
            Position::Visits { visit, visits }
        )),
        [2, 5, 6]
    );
}

#[test]
fn starts_are_taken_or_chosen() {
    for mut case in cases() {
        let chosen = case.residual();
        let natural = chosen.natural(&chosen.start());
        assert_eq!(natural.len(), chosen.len());
        assert!(chosen.held().iter().all(|h| !h));
        if let Some(last) = natural.last() {
            // all of them again, the last one left to be chosen
            case.start = natural.clone();
            *case.start.last_mut().unwrap() = f64::NAN;
            case.held = vec![true; natural.len()];
            let again = case.residual();
            close(&case.name, &again.natural(&again.start()), &natural, 1e-12);
            assert!(last.is_finite() && again.held().iter().all(|&h| h));
        }
    }
}

#[test]
fn parameters_outside_of_the_space_are_none() {
    for case in cases() {
        let residual = case.residual();
        if residual.is_empty() {
            continue;
        }
        let mut phi = residual.start();
        phi[0] = f64::NAN;
        assert!(residual.at(&phi).is_none(), "{}", case.name);
        assert!(residual.internal(&phi).is_none(), "{}", case.name);
        assert!(residual.at(&[]).is_none(), "{}", case.name);
    }
    let internal = |law: Law, natural: &[f64]| {
        let case = Case::new(law, Vec::new(), 8, 4, 3);
        case.residual().internal(natural)
    };
    let visits = 4;
    assert!(internal(Law::Ar1, &[1.0]).is_none());
    assert!(internal(Law::Car1, &[-0.1]).is_none());
    assert!(internal(Law::Arma { p: 2, q: 0 }, &[0.9, 0.2]).is_none());
    assert!(internal(Law::Arma { p: 0, q: 1 }, &[1.1]).is_none());
    assert!(internal(Law::CompoundSymmetric, &[-0.34]).is_none());
    assert!(internal(Law::CompoundSymmetric, &[-0.33]).is_some());
    assert!(internal(Law::Toeplitz { visits }, &[0.9, 0.0, 0.0]).is_none());
    assert!(internal(Law::AnteDependence { visits }, &[0.9, -1.0, 0.0]).is_none());
}

/// Prediction at new positions: the joint correlation matrix of fitted and new rows is that of a structure with all rows.
#[test]
fn new_rows_are_like_fitted_ones() {
    // but for those of a known matrix, in which new rows have no place
    for case in cases().into_iter().filter(|c| c.law != Law::Known) {
        let mut rng = Rng::new(23);
        // of every group of several rows, its last row is new
        let all = case.residual();
        let phi = point(&case, &all, &mut rng);
        let natural = all.natural(&phi);
        let order = all.order();
        let mut new: Vec<usize> = Vec::new();
        if case.law != Law::Independent {
            let groups = (0..all.groups()).map(|g| all.group(g));
            let long = groups.filter(|places| places.len() > 1);
            new.extend(long.map(|places| order[places.end - 1] as usize));
        }
        let old: Vec<usize> = (0..case.n()).filter(|i| !new.contains(i)).collect();
        let (fitted, added) = (case.subset(&old), case.subset(&new));
        let residual = fitted.residual();
        // the largest group may differ, and with it a scale's unit: the natural parameters are the same
        let Some(phi) = residual.internal(&natural) else {
            continue;
        };
        let rows = residual.new_rows(&added.structure(), new.len()).unwrap();
        assert_eq!(rows.len(), new.len());
        let scale = residual.scale_at(&phi, &rows);
        for (k, &row) in new.iter().enumerate() {
            let expected = case.scale(&natural, row);
            assert!((scale[k] / expected - 1.0).abs() < 1e-12, "{}", case.name);
            let g = case.codes[row] as usize - 1;
            let cross = residual.cross(&phi, Some(g), &rows, &[k]).unwrap();
            let places = residual.group(g);
            assert_eq!(cross.with_fitted.len(), places.len());
            for (value, place) in cross.with_fitted.iter().zip(places) {
                let fitted_row = old[residual.order()[place] as usize];
                let expected = case.correlation(&natural, row, fitted_row);
                assert!((value - expected).abs() < 1e-12, "{}", case.name);
            }
        }
        // as if they were of one new group
        let class = |k: usize| case.class[new[k]];
        let of_one_class = (0..new.len()).filter(|&k| class(k) == class(0));
        let picked: Vec<usize> = of_one_class.take(3).collect();
        let among = residual.cross(&phi, None, &rows, &picked).unwrap();
        assert!(among.with_fitted.is_empty());
        let k = picked.len();
        for i in 0..k {
            for j in 0..k {
                let expected = case.between(&natural, new[picked[i]], new[picked[j]]);
                let value = among.among[i * k + j];
                assert!((value - expected).abs() < 1e-12, "{}", case.name);
            }
        }
    }
    let case = Case::new(Law::Ar1, vec![Scaling::Ident { strata: 2 }], 4, 4, 1);
    let residual = case.residual();
    for (law, scalings) in [
        (Law::Car1, vec![Scaling::Ident { strata: 2 }]),
        (Law::Ar1, vec![Scaling::Ident { strata: 3 }]),
        (Law::Ar1, Vec::new()),
    ] {
        let other = Case::new(law, scalings, 4, 4, 1);
        let refused = residual.new_rows(&other.structure(), other.n());
        assert_eq!(refused.unwrap_err().class(), "dimension");
    }
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let visits = 9;
    let scalings = vec![Scaling::Exponential { strata: 3 }];
    for law in [
        Law::Independent,
        Law::Ar1,
        Law::CompoundSymmetric,
        Law::Toeplitz { visits },
        Law::Spatial {
            kind: "exp",
            nugget: true,
            dimensions: 2,
            metric: Metric::Euclidean,
        },
    ] {
        let case = Case::new(law, scalings.clone(), 4000, visits, 5);
        let (residual, n) = (case.residual(), case.n());
        let phi: Vec<f64> = residual.start().iter().map(|x| x + 0.1).collect();
        let e = Rng::new(3).normals(2 * n);
        let run = |threads: usize| {
            let workers = Workers::new(threads, f64::INFINITY, &StopFlag::default());
            let whitening = residual.at_with(&phi, &workers).unwrap();
            let omega: Vec<Vec<f64>> = (0..residual.patterns())
                .map(|p| Rng::new(p as u64).normals(whitening.slots(p)))
                .collect();
            let mut out = vec![whitening.log_det];
            out.extend_from_slice(&whitening.inverse_scale);
            out.extend(whitening.inverse_times(&residual, &e, 2, &workers));
            out.extend(whitening.times(&residual, &e, 2, &workers));
            out.extend(whitening.whiten(&residual, &e, 2, &workers));
            out.extend(whitening.color(&residual, &e, 2, &workers));
            out.extend(residual.contract_with(&phi, &whitening, &omega, &e[..n], &workers));
            for a in 0..residual.len() {
                out.extend(residual.derivative_times(&phi, &whitening, a, &e, 2, &workers));
                out.extend(residual.second_form(&phi, &whitening, a, 0, &e, 2, &workers));
            }
            bits(&out)
        };
        let one = run(1);
        for threads in [2, 3] {
            assert!(run(threads) == one, "{}", case.name);
        }
    }
}

/// Large groups take the blocked dense kernels.
#[test]
fn large_dense_groups() {
    let n = 150;
    let time: Vec<i32> = (0..n).map(|i| i + i / 7).collect();
    let structure = ResidualStructure {
        groups: None,
        correlation: Some(Correlation {
            orders: (1, 1),
            ..Correlation::new(kind("arma"), Position::Whole(&time))
        }),
        scales: Vec::new(),
        start: vec![0.7, 0.3],
        held: Vec::new(),
    };
    let n = n as usize;
    let residual = Residual::new(&structure, n).unwrap();
    let phi = residual.start();
    let workers = Workers::new(2, f64::INFINITY, &StopFlag::default());
    let whitening = residual.at_with(&phi, &workers).unwrap();
    let c = residual.correlation(&phi, 0).unwrap();
    let inverse = dense_inverse(&c, n).unwrap();
    let eye = identity(n);
    let product = whitening.inverse_times(&residual, &eye, n, &workers);
    close("R^-1", &product, &inverse, 1e-11);
    close(
        "entries",
        &entries(&residual, &whitening, n),
        &inverse,
        1e-11,
    );
    let times = whitening.times(&residual, &eye, n, &workers);
    close("R", &times, &c, 1e-12);
    let u = whitening.whiten(&residual, &eye, n, &workers);
    close("U'U", &cross(&u, &u, n, n, n), &inverse, 1e-11);
    // tr(R^-1 Omega) with Omega = R_0: its slope at R_0 is -d log|R|, so that the sum has none
    let mut omega = vec![vec![0.0; whitening.slots(0)]];
    for s in 0..n {
        for t in s..n {
            omega[0][whitening.slot(0, s, t)] = c[s * n + t];
        }
    }
    let gradient = residual.contract(&phi, &whitening, &omega, &[]);
    assert!(gradient.iter().all(|g| g.abs() < 1e-9), "{gradient:?}");
}

/// One long group of a structure that needs no m x m matrix: what follows would take 80 GB otherwise.
#[test]
fn long_groups_take_linear_memory() {
    let n = 100_000;
    let time: Vec<i32> = (0..n).collect();
    let real: Vec<f64> = time.iter().map(|&t| f64::from(t) * 0.37).collect();
    let n = n as usize;
    let e = Rng::new(1).normals(n);
    let workers = Workers::sequential();
    let line = spatial("exp", false, vec![&real], Metric::Maximum);
    for correlation in [
        Correlation::new(kind("ar1"), Position::Whole(&time)),
        Correlation::new(kind("car1"), Position::Times(&real)),
        line,
        Correlation::new(kind("cs"), Position::None),
    ] {
        let what = format!("{:?}", correlation.kind);
        let structure = ResidualStructure {
            groups: None,
            correlation: Some(correlation),
            scales: Vec::new(),
            start: Vec::new(),
            held: Vec::new(),
        };
        let residual = Residual::new(&structure, n).unwrap();
        let phi = residual.start();
        let whitening = residual.at(&phi).unwrap();
        assert!(whitening.slots(0) <= 2 * n);
        let q = whitening.inverse_times(&residual, &e, 1, &workers);
        close(
            &what,
            &whitening.times(&residual, &q, 1, &workers),
            &e,
            1e-9,
        );
        let white = whitening.whiten(&residual, &e, 1, &workers);
        let (a, b): (f64, f64) = (
            white.iter().map(|v| v * v).sum(),
            e.iter().zip(&q).map(|(x, y)| x * y).sum(),
        );
        close(&what, &[a], &[b], 1e-9);
        let s = residual.derivative_times(&phi, &whitening, 0, &e, 1, &workers);
        assert!(s.iter().all(|v| v.is_finite()));
        let second = residual.second_form(&phi, &whitening, 0, 0, &e, 1, &workers);
        assert!(second[0].is_finite());
        let omega = vec![vec![0.5; whitening.slots(0)]];
        assert!(residual.contract(&phi, &whitening, &omega, &[])[0].is_finite());
    }
}

/// Correlations within 1e-10 of 1: what is small is not lost to rounding.
#[test]
fn nearly_perfect_correlations_keep_their_digits() {
    let (gap, rho) = (1e-10, 0.5f64);
    let real = [0.0, gap, 1.0, 1.0 + 4.0 * gap];
    let structure = ResidualStructure {
        groups: None,
        correlation: Some(Correlation::new(kind("car1"), Position::Times(&real))),
        scales: Vec::new(),
        start: vec![rho],
        held: Vec::new(),
    };
    let residual = Residual::new(&structure, 4).unwrap();
    let whitening = residual.at(&residual.start()).unwrap();
    // 1 - r^2 = 2 gap log 2 (1 - gap log 2 + ...)
    let complement = 2.0 * gap * std::f64::consts::LN_2;
    let expected = complement.ln() + 0.75f64.ln() + (complement * 4.0).ln();
    assert!((whitening.log_det - expected).abs() < 1e-7);
    assert!((whitening.entry(0, 0, 0) * complement - 1.0).abs() < 1e-8);

    let time = [1, 3, 4];
    let structure = ResidualStructure {
        groups: None,
        correlation: Some(Correlation::new(kind("ar1"), Position::Whole(&time))),
        scales: Vec::new(),
        start: Vec::new(),
        held: Vec::new(),
    };
    let residual = Residual::new(&structure, 3).unwrap();
    let whitening = residual.at(&[std::f64::consts::FRAC_PI_2]).unwrap();
    // at the end 1 - rho = 1e-10: 1 - rho^2 = 2e-10 - 1e-20, over two steps twice that but for its square
    let complement = 2e-10f64 - 1e-20;
    let expected = complement.ln() + (complement * (2.0 - complement)).ln();
    assert!((whitening.log_det - expected).abs() < 1e-12);
    // and the natural parameters that a fit reports lead back
    let natural = residual.natural(&[std::f64::consts::FRAC_PI_2]);
    let back = residual.at(&residual.internal(&natural).unwrap()).unwrap();
    assert!((back.log_det - expected).abs() < 1e-5);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any internal parameters give a positive definite matrix (of spatial laws those that are valid in the plane).
    #[test]
    fn any_parameters_are_allowed(
        seed in 0u64..1000,
        x in proptest::collection::vec(-1.4f64..1.4, 15),
    ) {
        let visits = 6;
        let mut laws = vec![
            Law::Ar1,
            Law::Car1,
            Law::Arma { p: 2, q: 2 },
            Law::CompoundSymmetric,
            Law::Unstructured { visits },
            Law::Toeplitz { visits },
            Law::AnteDependence { visits },
        ];
        for kind in ["exp", "ratio", "spher"] {
            laws.push(Law::Spatial { kind, nugget: true, dimensions: 2, metric: Metric::Euclidean });
        }
        for law in laws {
            let case = Case::new(law, Vec::new(), 6, visits, seed);
            let residual = case.residual();
            let phi = &x[..residual.len()];
            let whitening = residual.at(phi);
            prop_assert!(whitening.is_some(), "{} {phi:?}", case.name);
            let natural = residual.natural(phi);
            let back = residual.internal(&natural);
            prop_assert!(back.is_some(), "{} {natural:?}", case.name);
            for (a, b) in back.unwrap().iter().zip(phi) {
                prop_assert!((a - b).abs() < 1e-4, "{} {phi:?}", case.name);
            }
            let n = case.n();
            let e = Rng::new(seed).normals(n);
            let q = whitening.unwrap().inverse_times(&residual, &e, 1, &Workers::sequential());
            let form: f64 = e.iter().zip(&q).map(|(a, b)| a * b).sum();
            prop_assert!(form > 0.0);
        }
    }
}
