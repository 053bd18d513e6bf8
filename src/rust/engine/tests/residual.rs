//! Residual structures against dense matrices built from the textbook formulas, and their derivatives against central
//! differences of those matrices.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::residual::{dense_inverse, factor, Case, Law, Scaling};
use common::{close, Rng};
use ferrolmm_engine::parallel::Workers;
use ferrolmm_engine::residual::{Residual, Whitening};
use ferrolmm_engine::{Metric, SpatialKind};

const SPATIAL: [SpatialKind; 5] = [
    SpatialKind::Exponential,
    SpatialKind::Gaussian,
    SpatialKind::Linear,
    SpatialKind::RationalQuadratic,
    SpatialKind::Spherical,
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
    ];
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
        ] {
            cases.push(Case::new(law, scaling.clone(), 8, visits, 100 + i as u64));
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
                    assert_eq!(value, if s == t { diagonal } else { off });
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
                        bands[p][0] += if s == t { value } else { 0.0 };
                        bands[p][1] += value;
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
                close(&format!("{} R_{a}{b}", case.name), &exact, &expected, 1e-6);
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
