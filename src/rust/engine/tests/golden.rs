//! Published numbers.
//!
//! Dyestuff: yield of dyestuff in 5 preparations from each of 6 batches, from O. L. Davies and P. L. Goldsmith (eds),
//! Statistical Methods in Research and Production, 4th ed., Oliver & Boyd 1972, section 6.4; data set `Dyestuff` of R's
//! lme4. Fits: D. M. Bates, lme4: Mixed-effects modeling with R (2010 draft), section 1.3 (REML criterion 319.6543, variances
//! 1764 and 2451, intercept 1527.50 with standard error 19.38; ML deviance 327.3271, variances 1388.3 and 2451.2, standard
//! error 17.69).
//!
//! In a balanced one-way layout both have a closed form (Searle, Casella & McCulloch 1992, section 3.8), which the last
//! digits are checked against.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{near, Model, Rng, Term};
use ferrolmm_engine::{Options, Status, Structure};

const DYESTUFF: [f64; 30] = [
    1545.0, 1440.0, 1440.0, 1520.0, 1580.0, // A
    1540.0, 1555.0, 1490.0, 1560.0, 1495.0, // B
    1595.0, 1550.0, 1605.0, 1510.0, 1560.0, // C
    1445.0, 1440.0, 1595.0, 1465.0, 1545.0, // D
    1595.0, 1630.0, 1515.0, 1635.0, 1625.0, // E
    1520.0, 1455.0, 1450.0, 1480.0, 1445.0, // F
];

fn one_way(y: Vec<f64>, levels: usize) -> Model {
    let n = y.len();
    Model {
        name: "one way",
        x: vec![1.0; n],
        p: 1,
        weights: None,
        offset: None,
        factors: vec![(
            (0..n).map(|i| (i / (n / levels) + 1) as i32).collect(),
            levels,
        )],
        terms: vec![Term {
            factor: 0,
            columns: vec![None],
            structure: Structure::Unstructured,
        }],
        kept: vec![0],
        y,
    }
}

/// Closed forms to 1e-9 need a decrement of the square of that.
fn sharp(reml: bool) -> Options {
    Options {
        reml,
        tolerance: 1e-18,
        ..Options::default()
    }
}

/// Sums of squares between and within the levels of a balanced one-way layout.
fn sums_of_squares(y: &[f64], levels: usize) -> (f64, f64) {
    let per_level = y.len() / levels;
    let mean = y.iter().sum::<f64>() / y.len() as f64;
    let means: Vec<f64> = y
        .chunks(per_level)
        .map(|c| c.iter().sum::<f64>() / per_level as f64)
        .collect();
    let between = means.iter().map(|m| (m - mean).powi(2)).sum::<f64>() * per_level as f64;
    let within = y
        .chunks(per_level)
        .zip(&means)
        .map(|(c, m)| c.iter().map(|v| (v - m).powi(2)).sum::<f64>())
        .sum();
    (between, within)
}

#[test]
fn dyestuff_reml() {
    let fit = one_way(DYESTUFF.to_vec(), 6).fit(&sharp(true)).unwrap();
    assert_eq!(fit.certificate.status, Status::Converged);
    assert!((fit.criterion - 319.6543).abs() < 5e-5, "{}", fit.criterion);
    assert!((fit.beta[0] - 1527.5).abs() < 1e-9);
    let variance = (fit.theta[0] * fit.sigma).powi(2);
    assert!((variance - 1764.0).abs() < 0.5 && (fit.sigma.powi(2) - 2451.0).abs() < 0.5);
    let error = fit.sigma * fit.vcov_unscaled[0].sqrt();
    assert!((error - 19.38).abs() < 5e-3);
    let (between, within) = sums_of_squares(&DYESTUFF, 6);
    near("within", fit.sigma.powi(2), within / 24.0, 1e-9);
    near(
        "between",
        variance,
        (between / 5.0 - within / 24.0) / 5.0,
        1e-7,
    );
    near("error", error.powi(2), between / 5.0 / 30.0, 1e-8);
}

#[test]
fn dyestuff_ml() {
    let fit = one_way(DYESTUFF.to_vec(), 6).fit(&sharp(false)).unwrap();
    assert_eq!(fit.certificate.status, Status::Converged);
    assert!((fit.criterion - 327.3271).abs() < 5e-5, "{}", fit.criterion);
    let variance = (fit.theta[0] * fit.sigma).powi(2);
    assert!((variance - 1388.3).abs() < 0.05 && (fit.sigma.powi(2) - 2451.2).abs() < 0.1);
    let error = fit.sigma * fit.vcov_unscaled[0].sqrt();
    assert!((error - 17.69).abs() < 5e-3);
    let (between, within) = sums_of_squares(&DYESTUFF, 6);
    near("within", fit.sigma.powi(2), within / 24.0, 1e-9);
    near(
        "between",
        variance,
        (between / 6.0 - within / 24.0) / 5.0,
        1e-7,
    );
    // shrinkage of a batch mean: n_j tau^2 / (n_j tau^2 + sigma^2)
    let share = 5.0 * variance / (5.0 * variance + fit.sigma.powi(2));
    let first = DYESTUFF[..5].iter().sum::<f64>() / 5.0 - 1527.5;
    near("mode of batch A", fit.b[0], share * first, 1e-7);
}

/// Like lme4's Dyestuff2: batches that differ less than their preparations would by chance, so the variance is zero, the
/// fit that of least squares, and the multiplier of the variance has a closed form.
#[test]
fn variance_zero() {
    let mut rng = Rng::new(1);
    let y: Vec<f64> = (0..30)
        .map(|i| 5.0 + 3.7 * rng.normal() + if i < 15 { 0.0 } else { 0.1 })
        .collect();
    // all batch means equal but for a tenth
    let means: Vec<f64> = y.chunks(5).map(|c| c.iter().sum::<f64>() / 5.0).collect();
    let y: Vec<f64> = y
        .iter()
        .enumerate()
        .map(|(i, v)| v - means[i / 5] + 5.0 + 0.1 * (i / 5) as f64)
        .collect();
    for reml in [true, false] {
        let fit = one_way(y.clone(), 6).fitted(reml);
        assert_eq!(fit.certificate.status, Status::Singular);
        assert_eq!(fit.theta.values(), [0.0]);
        assert_eq!(fit.certificate.rank, [0]);
        assert!(fit.b.iter().chain(&fit.u).all(|v| *v == 0.0));
        let (between, within) = sums_of_squares(&y, 6);
        let degrees = if reml { 29.0 } else { 30.0 };
        let variance = (between + within) / degrees;
        near("sigma^2", fit.sigma.powi(2), variance, 1e-12);
        let constant = degrees * (1.0 + (2.0 * std::f64::consts::PI * variance).ln());
        let expected = constant + if reml { 30.0f64.ln() } else { 0.0 };
        near("criterion", fit.criterion, expected, 1e-12);
        // d criterion / d (tau^2 / sigma^2) at zero: tr(Z'PZ) - y'PZZ'Py / sigma^2; basis column of mean square one
        let trace = if reml { 30.0 - 5.0 } else { 30.0 };
        let multiplier = trace - 5.0 * between / variance;
        near(
            "multiplier",
            fit.certificate.multipliers[0],
            multiplier,
            1e-6,
        );
    }
}
