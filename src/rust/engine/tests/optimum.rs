//! The point that `fit()` returns is the lowest there is, as far as brute force can see, in ordinary and degenerate cases.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::brute::{criterion, Brute};
use common::shapes::Builder;
use common::{close, near, shapes, Model, Rng, Term};
use ferrolmm_engine::Structure::{Diagonal, Unstructured};
use ferrolmm_engine::{EngineError, Fit, Options, Status};

/// Size of theta at which each parameter's effects are as large as the residuals.
fn units(model: &Model) -> Vec<f64> {
    let n = model.n() as f64;
    model
        .terms
        .iter()
        .flat_map(|term| {
            term.entries().into_iter().map(move |(i, _)| {
                let square = (0..model.n())
                    .map(|r| term.value(i, r).powi(2))
                    .sum::<f64>()
                    / n;
                1.0 / square.sqrt()
            })
        })
        .collect()
}

/// No random change of theta lowers the criterion by more than 1e-8 relative.
fn nothing_is_lower(model: &Model, fit: &Fit, reml: bool, tries: usize) {
    let mut rng = Rng::new(300);
    let units = units(model);
    let own = criterion(model, fit.theta.values(), reml);
    near(model.name, fit.criterion, own, 1e-8);
    for i in 0..tries {
        let size = [1e-4, 1e-3, 1e-2, 0.1, 0.5, 2.0][i % 6];
        let theta: Vec<f64> = fit
            .theta
            .values()
            .iter()
            .zip(&units)
            .map(|(t, unit)| t + size * rng.normal() * t.abs().max(0.1 * unit))
            .collect();
        let other = criterion(model, &theta, reml);
        assert!(
            other >= fit.criterion - 1e-8 * fit.criterion.abs().max(1.0),
            "{} (reml {reml}): {} at {:?} ({:?}), but {other} at {theta:?}",
            model.name,
            fit.criterion,
            fit.theta,
            fit.certificate.status
        );
    }
}

fn optimal(model: &Model, reml: bool) -> Fit {
    let fit = model.fitted(reml);
    let certificate = &fit.certificate;
    assert!(
        matches!(certificate.status, Status::Converged | Status::Singular),
        "{}: {}",
        model.name,
        certificate.message
    );
    assert!(
        certificate.max_gradient < 1e-4,
        "{}: {}",
        model.name,
        certificate.max_gradient
    );
    let trace = &certificate.trace_criterion;
    assert!(trace.windows(2).all(|w| w[1] <= w[0] + 1e-9 * w[0].abs()));
    assert!((1..=certificate.starts).contains(&certificate.agree));
    let one = model.fit(&Options {
        reml,
        threads: 1,
        starts: Some(1),
        ..Options::default()
    });
    let one = one.expect("one walk");
    assert_eq!(one.certificate.starts, 1);
    assert!(one.certificate.evaluations <= 80, "{}", model.name);
    assert!(fit.criterion <= one.criterion + 1e-9 * one.criterion.abs());
    for (term, rank) in certificate.rank.iter().enumerate() {
        let full = *rank == model.terms[term].k();
        let multiplier = certificate.multipliers[term];
        assert!(
            if full {
                multiplier.is_nan()
            } else {
                multiplier > -1e-3
            },
            "{}: term {term} of rank {rank} has multiplier {multiplier}",
            model.name
        );
    }
    nothing_is_lower(model, &fit, reml, if model.n() > 300 { 24 } else { 102 });
    fit
}

#[test]
fn every_shape_reml() {
    for model in shapes::all() {
        optimal(&model, true);
    }
}

#[test]
fn every_shape_ml() {
    for model in shapes::all() {
        optimal(&model, false);
    }
}

#[test]
fn random_models() {
    for seed in 0..40 {
        let model = shapes::random(seed);
        optimal(&model, seed % 2 == 0);
    }
}

/// Without effects in the data most optima are singular.
#[test]
fn pure_noise() {
    let mut singular = 0;
    for mut model in shapes::all().into_iter().filter(|m| m.n() <= 200) {
        let mut rng = Rng::new(301);
        model.y = (0..model.n())
            .map(|i| rng.normal() / model.weight(i).sqrt())
            .collect();
        let fit = optimal(&model, true);
        singular += usize::from(fit.certificate.status == Status::Singular);
    }
    assert!(singular > 10, "{singular}");
}

/// Rows `per_level` for each of `levels` levels, covariate -1, ..., 1 in each; noise orthogonal to it and of mean zero.
struct Balanced {
    codes: Vec<i32>,
    x: Vec<f64>,
    noise: Vec<f64>,
}

fn balanced(levels: usize, per_level: usize, seed: u64) -> Balanced {
    let mut rng = Rng::new(seed);
    let covariate: Vec<f64> = (0..per_level)
        .map(|i| 2.0 * i as f64 / (per_level - 1) as f64 - 1.0)
        .collect();
    let square: f64 = covariate.iter().map(|v| v * v).sum();
    let mut out = Balanced {
        codes: Vec::new(),
        x: Vec::new(),
        noise: Vec::new(),
    };
    for level in 0..levels {
        let mut e = rng.normals(per_level);
        let mean = e.iter().sum::<f64>() / per_level as f64;
        let slope = e.iter().zip(&covariate).map(|(a, b)| a * b).sum::<f64>() / square;
        for (value, x) in e.iter_mut().zip(&covariate) {
            *value -= mean + slope * x;
        }
        out.codes.extend(vec![level as i32 + 1; per_level]);
        out.x.extend(&covariate);
        out.noise.extend(e);
    }
    out
}

/// Intercepts and slopes of each level given, plus noise; model (1 + x | g) or with independent effects.
fn given_effects(name: &'static str, effects: &[(f64, f64)], diagonal: bool) -> Model {
    let per_level = 6;
    let b = balanced(effects.len(), per_level, 302);
    let n = b.x.len();
    let y = (0..n)
        .map(|i| {
            let (intercept, slope) = effects[i / per_level];
            intercept + slope * b.x[i] + b.noise[i]
        })
        .collect();
    let mut x = vec![1.0; n];
    x.extend(&b.x);
    Model {
        name,
        y,
        x,
        p: 2,
        weights: None,
        offset: None,
        factors: vec![(b.codes, effects.len())],
        terms: vec![Term {
            factor: 0,
            columns: vec![None, Some(b.x)],
            structure: if diagonal { Diagonal } else { Unstructured },
        }],
        kept: vec![0, 1],
    }
}

#[test]
fn equal_levels_have_no_variance() {
    let model = given_effects("equal levels", &[(3.0, 1.0); 10], false);
    for reml in [true, false] {
        let fit = optimal(&model, reml);
        assert_eq!(fit.certificate.status, Status::Singular);
        assert_eq!(fit.theta.values(), [0.0; 3]);
        assert_eq!(fit.certificate.rank, [0]);
        assert!(fit.certificate.multipliers[0] > 0.0);
        assert!(fit.b.iter().all(|b| *b == 0.0));
    }
}

#[test]
fn one_of_two_variances_is_zero() {
    let mut rng = Rng::new(303);
    let intercepts: Vec<(f64, f64)> = (0..12).map(|_| (2.0 * rng.normal(), 0.5)).collect();
    let slopes: Vec<(f64, f64)> = (0..12).map(|_| (1.0, 2.0 * rng.normal())).collect();
    for diagonal in [true, false] {
        let fit = optimal(&given_effects("equal slopes", &intercepts, diagonal), true);
        assert_eq!(fit.certificate.status, Status::Singular);
        let last = fit.theta[fit.theta.len() - 1];
        assert!(last == 0.0 && fit.theta[0] > 0.5, "{:?}", fit.theta);
        let fit = optimal(&given_effects("equal intercepts", &slopes, diagonal), true);
        assert_eq!(fit.certificate.status, Status::Singular);
        let (first, last) = (fit.theta[0], fit.theta[fit.theta.len() - 1]);
        assert!(first.abs() < 1e-6 && last > 0.5, "{:?}", fit.theta);
        assert_eq!(fit.certificate.rank, [1]);
    }
}

#[test]
fn correlation_of_one_and_minus_one() {
    for sign in [1.0, -1.0] {
        let mut rng = Rng::new(304);
        let effects: Vec<(f64, f64)> = (0..15)
            .map(|_| {
                let b = rng.normal();
                (2.0 + 1.5 * b, 1.0 + sign * b)
            })
            .collect();
        for reml in [true, false] {
            let fit = optimal(&given_effects("correlated", &effects, false), reml);
            assert_eq!(fit.certificate.status, Status::Singular);
            assert_eq!(fit.certificate.rank, [1]);
            assert!(fit.theta[0] > 0.5 && sign * fit.theta[1] > 0.3 && fit.theta[2] == 0.0);
            // u of the direction without variance is zero, and b lies on the line
            let ratio = fit.theta[1] / fit.theta[0];
            for (b, u) in fit.b.chunks(2).zip(fit.u.chunks(2)) {
                assert!(
                    (b[1] - ratio * b[0]).abs() < 1e-6 && u[1] == 0.0,
                    "{b:?} {u:?}"
                );
            }
        }
    }
}

#[test]
fn extreme_variance_ratios() {
    for (spread, low, high) in [(1e3, 300.0, 3000.0), (1e-3, 0.0, 0.3)] {
        let model = Builder::new("extreme ratio", 120, 305)
            .intercept()
            .covariates(1)
            .factor(12)
            .random_slopes(0, 1)
            .response(spread);
        for reml in [true, false] {
            let fit = optimal(&model, reml);
            assert!(
                fit.theta[0] >= low && fit.theta[0] <= high,
                "{spread}: {:?}",
                fit.theta
            );
        }
    }
    let crossed = Builder::new("extreme ratio, crossed", 150, 306)
        .intercept()
        .factor(15)
        .factor(10)
        .random_intercept(0)
        .random_intercept(1)
        .response(1e3);
    optimal(&crossed, true);
}

/// A variance ratio of 1e-6 that the data can tell from zero: many rows in each level.
#[test]
fn a_tiny_variance_is_not_zero() {
    let (levels, per_level) = (10, 20_000);
    let b = balanced(levels, per_level, 307);
    let y: Vec<f64> = b
        .noise
        .iter()
        .enumerate()
        .map(|(i, e)| e + 0.03 * ((i / per_level) as f64 - 4.5) / 2.87)
        .collect();
    let n = y.len() as f64;
    let within = b.noise.iter().map(|e| e * e).sum::<f64>() / (n - levels as f64);
    let between = (0..levels)
        .map(|j| (0.03 * (j as f64 - 4.5) / 2.87).powi(2))
        .sum::<f64>()
        / 9.0;
    let model = Model {
        name: "tiny variance",
        x: vec![1.0; y.len()],
        p: 1,
        y,
        weights: None,
        offset: None,
        factors: vec![(b.codes, levels)],
        terms: vec![Term {
            factor: 0,
            columns: vec![None],
            structure: Unstructured,
        }],
        kept: vec![0],
    };
    let fit = model.fitted(true);
    assert_eq!(fit.certificate.status, Status::Converged);
    near("sigma^2", fit.sigma.powi(2), within, 1e-9);
    let expected = (between - within / per_level as f64) / within;
    close("theta^2", &[fit.theta[0].powi(2)], &[expected], 1e-6);
}

#[test]
fn large_intercept_and_small_noise() {
    let base = shapes::one_slope();
    let expected = base.fitted(true);
    let mut model = base.clone();
    model.y.iter_mut().for_each(|v| *v = 1e6 + 1e-3 * *v);
    let fit = optimal(&model, true);
    close("theta", fit.theta.values(), expected.theta.values(), 1e-5);
    close("sigma", &[1e3 * fit.sigma], &[expected.sigma], 1e-6);
    near(
        "intercept",
        1e3 * (fit.beta[0] - 1e6),
        expected.beta[0],
        1e-5,
    );
    near("slope", 1e3 * fit.beta[1], expected.beta[1], 1e-5);
}

#[test]
fn year_may_be_centred_or_not() {
    let model = shapes::uncentred_year();
    let mut centred = model.clone();
    for v in &mut centred.x[150..] {
        *v -= 2005.0;
    }
    for v in centred.terms[0].columns[1].as_mut().unwrap() {
        *v -= 2005.0;
    }
    let (a, b) = (optimal(&model, true), optimal(&centred, true));
    near("criterion", a.criterion, b.criterion, 1e-9);
    near("sigma", a.sigma, b.sigma, 1e-6);
    close("fitted", &a.fitted, &b.fitted, 1e-6);
    close("slope", &a.beta[1..], &b.beta[1..], 1e-6);
}

/// Balanced one-way and crossed layouts, where REML is the analysis of variance: closed forms where V cannot be factorised.
#[test]
fn small_residual_variances() {
    for size in [1e-2, 1e-3, 1e-4] {
        small_residual(size);
    }
}

fn small_residual(size: f64) {
    let b = balanced(8, 5, 308);
    let mut rng = Rng::new(309);
    let means = rng.normals(8);
    let y: Vec<f64> = b
        .noise
        .iter()
        .enumerate()
        .map(|(i, e)| size * e + means[i / 5])
        .collect();
    let model = Model {
        name: "tiny residual",
        x: vec![1.0; 40],
        p: 1,
        y,
        weights: None,
        offset: None,
        factors: vec![(b.codes, 8)],
        terms: vec![Term {
            factor: 0,
            columns: vec![None],
            structure: Unstructured,
        }],
        kept: vec![0],
    };
    let within = b.noise.iter().map(|e| (size * e).powi(2)).sum::<f64>() / 32.0;
    let mean = means.iter().sum::<f64>() / 8.0;
    let between = means.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / 7.0;
    let fit = model.fitted(true);
    assert_eq!(fit.certificate.status, Status::Converged);
    close("sigma^2", &[fit.sigma.powi(2)], &[within], 1e-5);
    let variance = (fit.theta[0] * fit.sigma).powi(2);
    close("variance", &[variance], &[between - within / 5.0], 1e-5);
    near("mean", fit.beta[0], mean, 1e-10);

    let (rows, columns) = (9, 7);
    let noise: Vec<f64> = rng.normals(rows * columns);
    let (r, c) = (rng.normals(rows), rng.normals(columns));
    let y: Vec<f64> = (0..rows * columns)
        .map(|i| r[i / columns] + c[i % columns] + size * noise[i])
        .collect();
    let at = |i: usize, j: usize| y[i * columns + j];
    let row_mean: Vec<f64> = (0..rows)
        .map(|i| (0..columns).map(|j| at(i, j)).sum::<f64>() / columns as f64)
        .collect();
    let column_mean: Vec<f64> = (0..columns)
        .map(|j| (0..rows).map(|i| at(i, j)).sum::<f64>() / rows as f64)
        .collect();
    let mean = row_mean.iter().sum::<f64>() / rows as f64;
    let mut error = 0.0;
    for i in 0..rows {
        for j in 0..columns {
            error += (at(i, j) - row_mean[i] - column_mean[j] + mean).powi(2);
        }
    }
    error /= ((rows - 1) * (columns - 1)) as f64;
    let spread = |m: &[f64], per: usize| {
        m.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (m.len() - 1) as f64
            - error / per as f64
    };
    let expected = [spread(&row_mean, columns), spread(&column_mean, rows)];
    let codes = |f: &dyn Fn(usize) -> usize| -> Vec<i32> {
        (0..rows * columns).map(|i| f(i) as i32 + 1).collect()
    };
    let model = Model {
        name: "tiny residual, crossed",
        x: vec![1.0; y.len()],
        p: 1,
        weights: None,
        offset: None,
        factors: vec![
            (codes(&|i| i / columns), rows),
            (codes(&|i| i % columns), columns),
        ],
        terms: (0..2)
            .map(|factor| Term {
                factor,
                columns: vec![None],
                structure: Unstructured,
            })
            .collect(),
        kept: vec![0],
        y: y.clone(),
    };
    let fit = model.fitted(true);
    assert_eq!(fit.certificate.status, Status::Converged);
    close("sigma^2", &[fit.sigma.powi(2)], &[error], 1e-5);
    for (theta, variance) in fit.theta.values().iter().zip(expected) {
        close(
            "variance",
            &[(theta * fit.sigma).powi(2)],
            &[variance],
            1e-4,
        );
    }
}

#[test]
fn few_rows_more_than_coefficients() {
    for extra in 1..8 {
        let p = 9;
        let model = Builder::new("barely identified", p + extra, 310 + extra as u64)
            .intercept()
            .covariates(p - 1)
            .factor(4)
            .random_intercept(0)
            .response(1.0);
        for reml in [true, false] {
            let options = Options {
                reml,
                ..Options::default()
            };
            // one more row says nothing about two variances; with 4 levels the random effects may reproduce what 1 to 3 rows
            // leave: then there is no minimum
            match model.fit(&options) {
                Ok(fit) => nothing_is_lower(&model, &fit, reml, 60),
                Err(EngineError::TooManyParameters { parameters, n }) => {
                    assert_eq!((extra, parameters, n), (1, 11, 10));
                }
                Err(e) => assert!(e == EngineError::PerfectFit && extra < 4, "{extra}: {e}"),
            }
        }
    }
}

#[test]
fn zero_is_a_false_start() {
    for model in shapes::all().into_iter().filter(|m| m.n() <= 200) {
        let expected = model.fitted(true);
        for start in [
            vec![0.0; model.n_theta()],
            vec![1e-9; model.n_theta()],
            units(&model).iter().map(|u| 100.0 * u).collect(),
        ] {
            let fit = model
                .fit(&Options {
                    start: Some(start.into()),
                    threads: 1,
                    ..Options::default()
                })
                .unwrap();
            assert!(
                fit.criterion <= expected.criterion + 1e-8 * expected.criterion.abs(),
                "{}: {} {}",
                model.name,
                fit.criterion,
                expected.criterion
            );
        }
    }
}

#[test]
fn response_in_the_span_is_refused() {
    let mut model = shapes::one_slope();
    let n = model.n();
    model.y = (0..n).map(|i| 3.0 - 2.0 * model.x[n + i]).collect();
    assert_eq!(
        model.fit(&Options::default()).err(),
        Some(EngineError::PerfectFit)
    );
    model.y.fill(0.0);
    assert_eq!(
        model.fit(&Options::default()).err(),
        Some(EngineError::PerfectFit)
    );
    // reproduced by the random effects
    let mut model = shapes::one_intercept();
    model.y = model.factors[0]
        .0
        .iter()
        .map(|&c| f64::from(c * c))
        .collect();
    assert_eq!(
        model.fit(&Options::default()).err(),
        Some(EngineError::PerfectFit)
    );
}

#[test]
fn what_breaks_down_is_no_perfect_fit() {
    let at = |model: &Model, theta: f64| {
        let options = Options {
            start: Some(vec![theta; model.n_theta()].into()),
            optimize: false,
            ..Options::default()
        };
        model.fit(&options).map(|fit| fit.criterion)
    };
    // effects that only their variances tell apart
    let error = at(&shapes::sparse_crossed(), 1e60).unwrap_err();
    assert_eq!(error.class(), "numerical", "{error}");
    assert!(error.to_string().contains("random effects"), "{error}");
    let error = at(&shapes::one_intercept(), 1e200).unwrap_err();
    assert_eq!(error.class(), "dimension", "{error}");
}

#[test]
fn no_residual_degrees_of_freedom() {
    let model = Builder::new("saturated", 12, 320)
        .intercept()
        .covariates(11)
        .factor(4)
        .random_intercept(0)
        .response(1.0);
    assert_eq!(
        model.fit(&Options::default()).err(),
        Some(EngineError::NoResidualDf { n: 12, rank: 12 })
    );
}

/// One row a level: only the sum of both variances is identified.
#[test]
fn as_many_levels_as_rows() {
    let model = Builder::new("one row a level", 30, 321)
        .intercept()
        .covariates(1)
        .factor(30)
        .random_intercept(0)
        .response(1.0);
    let fit = model.fitted(true);
    assert!(
        matches!(
            fit.certificate.status,
            Status::NotIdentified | Status::Singular
        ),
        "{:?}",
        fit.certificate
    );
    nothing_is_lower(&model, &fit, true, 30);
}

/// What cannot be evaluated is refused, not computed.
#[test]
fn bad_input() {
    let model = shapes::one_slope();
    let class = |model: &Model, options: &Options| model.fit(options).err().map(|e| e.class());
    let mut bad = model.clone();
    bad.y[3] = f64::NAN;
    assert_eq!(class(&bad, &Options::default()), Some("not_finite"));
    let mut bad = model.clone();
    bad.x[95] = f64::INFINITY;
    assert_eq!(
        bad.fit(&Options::default()).err().map(|e| e.to_string()),
        Some(
            "the fixed-effects model matrix holds a value that is not finite (first at row 6)"
                .to_owned()
        )
    );
    let mut bad = model.clone();
    bad.weights = Some(vec![0.0; model.n()]);
    assert_eq!(class(&bad, &Options::default()), Some("dimension"));
    let mut bad = model.clone();
    bad.factors[0].0[0] = 0;
    assert_eq!(class(&bad, &Options::default()), Some("dimension"));
    for start in [vec![1.0], vec![1.0, f64::NAN, 1.0]] {
        let options = Options {
            start: Some(start.into()),
            ..Options::default()
        };
        assert_eq!(class(&model, &options), Some("dimension"));
    }
}

#[test]
fn interrupt_ends_the_fit() {
    let model = shapes::one_slope();
    let outcome = ferrolmm_engine::fit(&model.data(), &Options::default(), &|| true);
    assert_eq!(outcome.err(), Some(EngineError::Interrupted));
}

#[test]
fn evaluations_may_run_out() {
    let model = shapes::one_slope();
    let fit = model
        .fit(&Options {
            max_evaluations: 2,
            ..Options::default()
        })
        .unwrap();
    assert_eq!(fit.certificate.status, Status::IterationLimit);
    assert!(fit.criterion.is_finite());
    assert!(
        Brute::new(&model, fit.theta.values(), true)
            .unwrap()
            .criterion
            >= model.fitted(true).criterion
    );
}

#[test]
fn time_may_run_out() {
    let model = shapes::one_slope();
    let progress = std::sync::Arc::new(ferrolmm_engine::Progress::default());
    let fit = model
        .fit(&Options {
            deadline: Some(std::time::Instant::now()),
            progress: Some(progress.clone()),
            ..Options::default()
        })
        .unwrap();
    assert_eq!(fit.certificate.status, Status::TimeLimit);
    assert_eq!(fit.certificate.evaluations, 1);
    assert!(fit.criterion > model.fitted(true).criterion);
    assert!(
        (Brute::new(&model, fit.theta.values(), true)
            .unwrap()
            .criterion
            - fit.criterion)
            .abs()
            < 1e-6
    );
    let (evaluations, criterion, gradient) = progress.get().unwrap();
    assert_eq!(evaluations, 1);
    assert!((criterion - fit.criterion).abs() < 1e-9 && gradient > 0.0);
}

#[test]
fn columns_by_category_are_those_by_row() {
    // a slope that is constant within two categories, in X and in the random effects, with and without weights
    for weighted in [false, true] {
        let mut model = shapes::one_slope();
        let n = model.n();
        let codes: Vec<i32> = (0..n).map(|i| (i * i % 3) as i32 + 1).collect();
        let values = [-0.5, 2.0, 0.25];
        let column: Vec<f64> = codes.iter().map(|&c| values[c as usize - 1]).collect();
        if weighted {
            model.weights = Some((0..n).map(|i| 0.5 + (i % 5) as f64).collect());
        }
        let mut by_row = model.data();
        by_row.x.push(ferrolmm_engine::Column::Values(&column));
        by_row.p += 1;
        by_row.terms[0].columns[1] = ferrolmm_engine::Column::Values(&column);
        let mut by_category = by_row.clone();
        let coded = ferrolmm_engine::Column::Coded {
            codes: &codes,
            values: &values,
        };
        *by_category.x.last_mut().unwrap() = coded;
        by_category.terms[0].columns[1] = coded;
        let fits = [by_row, by_category]
            .map(|data| ferrolmm_engine::fit(&data, &Options::default(), &|| false).unwrap());
        assert_eq!(fits[0].theta, fits[1].theta);
        assert_eq!(fits[0].beta, fits[1].beta);
        assert_eq!(fits[0].fitted, fits[1].fitted);
        assert!(fits[0].criterion.to_bits() == fits[1].criterion.to_bits());
    }
}

#[test]
fn what_is_not_finite_is_found() {
    let model = shapes::one_slope();
    let n = model.n();
    let at = |what: &str, row: usize| {
        let text = format!("{what} holds a value that is not finite (first at row {row})");
        move |error: EngineError| assert_eq!(error.to_string(), text)
    };
    let fit = |model: &Model| model.fit(&Options::default()).unwrap_err();
    for bad in [f64::NAN, f64::INFINITY] {
        let mut changed = model.clone();
        changed.y[n - 1] = bad;
        at("the response", n)(fit(&changed));
        let mut changed = model.clone();
        changed.x[n + 2] = bad;
        at("the fixed-effects model matrix", 3)(fit(&changed));
        let mut changed = model.clone();
        changed.terms[0].columns[1].as_mut().unwrap()[4] = bad;
        at("a random-effects basis column", 5)(fit(&changed));
    }
}
