//! Any number of threads gives the same bits, in every output, on problems large enough for threads to be used.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Model, Rng, Term};
use ferrolmm_engine::Structure::Unstructured;
use ferrolmm_engine::{conditional_variances, fit, Fit, Options};

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|v| v.to_bits()).collect()
}

fn same(name: &str, a: &Fit, b: &Fit) {
    let parts = |f: &Fit| -> Vec<(&'static str, Vec<f64>)> {
        let c = &f.certificate;
        vec![
            ("theta", f.theta.values().to_vec()),
            ("beta", f.beta.clone()),
            ("rx", f.rx.clone()),
            ("vcov", f.vcov_unscaled.clone()),
            (
                "scalars",
                vec![
                    f.sigma,
                    f.criterion,
                    f.ld_l2,
                    f.ld_rx2,
                    f.pwrss,
                    f.wrss,
                    f.ussq,
                    c.max_gradient,
                    c.min_eigenvalue,
                ],
            ),
            ("u", f.u.clone()),
            ("b", f.b.clone()),
            ("fitted", f.fitted.clone()),
            ("residuals", f.residuals.clone()),
            ("gradient", c.gradient.clone()),
            ("hessian", c.hessian.clone()),
            ("trace", c.trace_criterion.clone()),
            ("gradients", c.trace_gradient.clone()),
        ]
    };
    for ((part, x), (_, y)) in parts(a).iter().zip(parts(b)) {
        assert_eq!(bits(x), bits(&y), "{name}: {part} differs");
    }
    assert_eq!(a.certificate.evaluations, b.certificate.evaluations);
    assert_eq!(a.certificate.status, b.certificate.status);
    assert_eq!(a.pivot, b.pivot);
}

fn check(model: &Model, max_evaluations: usize) {
    let run = |threads: usize| {
        let options = Options {
            threads,
            max_evaluations,
            ..Options::default()
        };
        let fitted = fit(&model.data(), &options, &|| false).unwrap();
        let at = Options {
            start: Some(fitted.theta.clone()),
            ..options
        };
        let variances = conditional_variances(&model.data(), &at, &|| false).unwrap();
        (fitted, variances)
    };
    let (one, variances) = run(1);
    for threads in [2, 4] {
        let (other, own) = run(threads);
        same(
            &format!("{} on {threads} threads", model.name),
            &one,
            &other,
        );
        assert!(variances.iter().zip(&own).all(|(a, b)| bits(a) == bits(b)));
    }
}

/// Random levels for each factor, an intercept and a covariate, random slopes where `slopes` says so.
fn large(name: &'static str, n: usize, codes: Vec<(Vec<i32>, usize)>, slopes: &[bool]) -> Model {
    let mut rng = Rng::new(400);
    let x = rng.normals(n);
    let effects: Vec<Vec<f64>> = codes.iter().map(|(_, j)| rng.normals(2 * j)).collect();
    let y = (0..n)
        .map(|i| {
            let random: f64 = codes
                .iter()
                .zip(&effects)
                .zip(slopes)
                .map(|(((codes, _), b), slope)| {
                    let level = codes[i] as usize - 1;
                    b[2 * level]
                        + if *slope {
                            0.5 * b[2 * level + 1] * x[i]
                        } else {
                            0.0
                        }
                })
                .sum();
            1.0 + x[i] + 0.5 * random + rng.normal()
        })
        .collect();
    let terms = slopes
        .iter()
        .enumerate()
        .map(|(factor, slope)| Term {
            factor,
            columns: if *slope {
                vec![None, Some(x.clone())]
            } else {
                vec![None]
            },
            structure: Unstructured,
        })
        .collect();
    let mut design = vec![1.0; n];
    design.extend(x);
    Model {
        name,
        y,
        x: design,
        p: 2,
        weights: None,
        offset: None,
        factors: codes,
        terms,
        kept: vec![0, 1],
    }
}

fn random_codes(rng: &mut Rng, n: usize, levels: usize) -> (Vec<i32>, usize) {
    let codes = (0..n)
        .map(|i| (if i < levels { i } else { rng.below(levels) }) as i32 + 1)
        .collect();
    (codes, levels)
}

#[test]
fn one_factor_with_slopes() {
    let mut rng = Rng::new(401);
    let n = 300_000;
    check(
        &large(
            "one factor",
            n,
            vec![random_codes(&mut rng, n, 5000)],
            &[true],
        ),
        30,
    );
}

/// A dense complement of order 700: several tiles of the dense kernels.
#[test]
fn crossed_dense() {
    let mut rng = Rng::new(402);
    let n = 60_000;
    let codes = vec![
        random_codes(&mut rng, n, 3000),
        random_codes(&mut rng, n, 300),
        random_codes(&mut rng, n, 100),
    ];
    check(&large("crossed", n, codes, &[false, true, false]), 4);
}

/// Full off-diagonal blocks: dense products with W.
#[test]
fn crossed_full() {
    let mut rng = Rng::new(403);
    let n = 60_000;
    let codes = vec![
        random_codes(&mut rng, n, 250),
        random_codes(&mut rng, n, 200),
    ];
    check(&large("fully crossed", n, codes, &[true, true]), 4);
}

#[test]
fn nested_sparse() {
    let n = 150_000;
    let inner: Vec<i32> = (0..n).map(|i| i as i32 % 30_000 + 1).collect();
    let middle = inner.iter().map(|c| (c - 1) % 3000 + 1).collect();
    let outer = inner.iter().map(|c| (c - 1) % 60 + 1).collect();
    let codes = vec![(inner, 30_000), (middle, 3000), (outer, 60)];
    check(&large("nested", n, codes, &[false, true, true]), 6);
}
