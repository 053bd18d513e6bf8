//! Every number of a fit against its definition with the n x n covariance matrix, at fixed theta, for every shape.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::brute::{criterion, Brute};
use common::internal::Prepared;
use common::{close, near, shapes, Model, Rng};
use ferrolmm_engine::system::complement::Storage;
use ferrolmm_engine::{conditional_variances, Options, Status};

const TOLERANCE: f64 = 1e-9;

fn compare(model: &Model, theta: &[f64], reml: bool, tolerance: f64) {
    let what = |part: &str| {
        format!(
            "{}, {part}, {}, theta {theta:?}",
            model.name,
            if reml { "REML" } else { "ML" }
        )
    };
    let fit = model.at(theta, reml);
    let brute = Brute::new(model, theta, reml).expect("V is positive definite");
    assert_eq!(fit.certificate.status, Status::Evaluated);
    near(
        &what("criterion"),
        fit.criterion,
        brute.criterion,
        tolerance,
    );
    near(&what("ldL2"), fit.ld_l2, brute.ld_l2, tolerance);
    near(&what("ldRX2"), fit.ld_rx2, brute.ld_rx2, tolerance);
    for (part, a, b) in [
        ("sigma", fit.sigma, brute.sigma),
        ("pwrss", fit.pwrss, brute.pwrss),
        ("wrss", fit.wrss, brute.wrss),
    ] {
        close(&what(part), &[a], &[b], tolerance);
    }
    assert!(
        (fit.ussq - brute.ussq).abs() <= tolerance * brute.pwrss,
        "{}: {} {}",
        what("ussq"),
        fit.ussq,
        brute.ussq
    );
    assert_eq!(fit.rank, model.kept.len(), "{}", what("rank"));
    let mut kept = fit.pivot[..fit.rank].to_vec();
    kept.sort_unstable();
    assert_eq!(kept, model.kept, "{}", what("pivot"));
    let aliased = |j: &usize| !model.kept.contains(j);
    assert!((0..model.p).filter(aliased).all(|j| fit.beta[j].is_nan()));
    // coefficients one by one, in units of their standard errors where they are nearly zero
    let r = fit.rank;
    for (i, &j) in model.kept.iter().enumerate() {
        let error = brute.sigma * brute.vcov[i * r + i].sqrt();
        let d = (fit.beta[j] - brute.beta[i]).abs();
        assert!(
            d <= tolerance * brute.beta[i].abs().max(error),
            "{} {j}: {} {}",
            what("beta"),
            fit.beta[j],
            brute.beta[i]
        );
    }
    // entries of RX relative to the length of their column, of its inverse to standard errors
    for c in 0..r {
        let length: f64 = (0..=c)
            .map(|i| brute.rx[c * r + i].powi(2))
            .sum::<f64>()
            .sqrt();
        for i in 0..r {
            let d = (fit.rx[c * r + i] - brute.rx[c * r + i]).abs();
            assert!(d <= tolerance * length, "{} [{i}, {c}]", what("rx"));
            let size = (brute.vcov[c * r + c] * brute.vcov[i * r + i]).sqrt();
            let d = (fit.vcov_unscaled[c * r + i] - brute.vcov[c * r + i]).abs();
            assert!(d <= tolerance * size, "{} [{i}, {c}]", what("vcov"));
        }
    }
    close(&what("fitted"), &fit.fitted, &brute.fitted, tolerance);
    close(
        &what("residuals"),
        &fit.residuals,
        &brute.residuals,
        tolerance,
    );
    // theta may come back in another, equal form: u belongs to the one returned
    let again = Brute::new(model, fit.theta.values(), reml).expect("V is positive definite");
    near(&what("theta"), again.criterion, brute.criterion, tolerance);
    effects(model, &what("b"), &fit.b, &brute.b, tolerance);
    close(&what("u"), &fit.u, &again.u, tolerance);
    let options = Options {
        start: Some(theta.into()),
        threads: 1,
        ..Options::default()
    };
    let variances = conditional_variances(&model.data(), &options, &|| false).unwrap();
    let expected = brute.conditional_variances(model, theta);
    for (term, (a, b)) in variances.iter().zip(&expected).enumerate() {
        let k = model.terms[term].k();
        let g = model.factors_at(theta).swap_remove(term);
        let size: Vec<f64> = (0..k)
            .map(|i| (0..k).map(|c| g[c * k + i].powi(2)).sum::<f64>().sqrt())
            .collect();
        assert_eq!(a.len(), b.len());
        for (e, (x, y)) in a.iter().zip(b).enumerate() {
            let scale = size[e % k] * size[(e / k) % k];
            assert!(
                (x - y).abs() <= tolerance * scale.max(1e-8 * f64::from(u8::from(scale > 0.0))),
                "{} term {term} entry {e}: {x} {y}",
                what("conditional variances")
            );
        }
    }
}

/// Effects column by column (their units differ).
fn effects(model: &Model, what: &str, a: &[f64], b: &[f64], tolerance: f64) {
    let mut start = 0;
    for (at, term) in model.terms.iter().enumerate() {
        let k = term.k();
        let end = start + k * model.levels(at);
        for c in 0..k {
            let pick = |v: &[f64]| -> Vec<f64> {
                v[start..end].iter().skip(c).step_by(k).copied().collect()
            };
            close(
                &format!("{what} term {at} column {c}"),
                &pick(a),
                &pick(b),
                tolerance,
            );
        }
        start = end;
    }
    assert_eq!(start, a.len());
}

/// Size of theta that suits the units of each column.
fn scaled_theta(model: &Model, rng: &mut Rng, size: f64) -> Vec<f64> {
    let n = model.n();
    let theta = model.random_theta(rng, size);
    let rows = model.terms.iter().flat_map(|term| {
        term.entries()
            .into_iter()
            .map(|(i, _)| (0..n).map(|r| term.value(i, r).powi(2)).sum::<f64>() / n as f64)
    });
    theta.iter().zip(rows).map(|(t, s)| t / s.sqrt()).collect()
}

fn with_dense() -> Vec<Model> {
    let mut models = shapes::all();
    models.push(shapes::dense_w());
    models
}

#[test]
fn shapes_take_the_paths_that_they_are_meant_for() {
    let sparse = |model: &Model| {
        matches!(
            Prepared::new(model).system.schur.storage,
            Storage::Sparse(_)
        )
    };
    assert!(sparse(&shapes::sparse_nested()));
    assert!(sparse(&shapes::sparse_slopes()));
    assert!(sparse(&shapes::sparse_crossed()));
    let wide = Prepared::new(&shapes::wide_schur());
    assert!(matches!(wide.system.schur.storage, Storage::Dense(_)));
    assert!(wide.system.schur.q2 > 160 && !wide.system.schur.dense_w);
    assert!(Prepared::new(&shapes::dense_w()).system.schur.dense_w);
    assert!(!Prepared::new(&shapes::badly_scaled()).fixed.kept.is_empty());
    assert!(
        !Prepared::new(&shapes::rank_deficient())
            .fixed
            .transform_moments
    );
    assert!(Prepared::new(&shapes::one_slope()).fixed.transform_moments);
}

#[test]
fn random_theta() {
    let mut rng = Rng::new(100);
    for model in with_dense() {
        for reml in [true, false] {
            let theta = scaled_theta(&model, &mut rng, 0.7);
            compare(&model, &theta, reml, TOLERANCE);
        }
    }
}

#[test]
fn small_and_large_theta() {
    let mut rng = Rng::new(101);
    for model in with_dense().into_iter().filter(|m| m.n() <= 300) {
        let theta = scaled_theta(&model, &mut rng, 1e-3);
        compare(&model, &theta, true, TOLERANCE);
        // V has a condition number of 1e5 or so, which costs the brute force as many digits
        let theta = scaled_theta(&model, &mut rng, 30.0);
        compare(&model, &theta, false, 1e-8);
    }
}

#[test]
fn theta_zero() {
    for model in with_dense() {
        compare(&model, &vec![0.0; model.n_theta()], true, TOLERANCE);
        compare(&model, &vec![0.0; model.n_theta()], false, TOLERANCE);
    }
}

#[test]
fn one_term_zero() {
    let mut rng = Rng::new(102);
    for model in with_dense().into_iter().filter(|m| m.terms.len() > 1) {
        for zero in 0..model.terms.len() {
            let mut theta = scaled_theta(&model, &mut rng, 0.7);
            let start: usize = model.terms[..zero].iter().map(|t| t.parameters()).sum();
            theta[start..start + model.terms[zero].parameters()].fill(0.0);
            compare(&model, &theta, zero % 2 == 0, TOLERANCE);
        }
    }
}

/// Correlations of one, a variance of zero beside others, and rank one in three dimensions.
#[test]
fn rank_deficient_theta() {
    let mut rng = Rng::new(103);
    for model in with_dense() {
        let zero_column = |theta: &mut Vec<f64>, column: usize| {
            let entries: Vec<(usize, usize)> =
                model.terms.iter().flat_map(|t| t.entries()).collect();
            for (value, (_, j)) in theta.iter_mut().zip(entries) {
                if j == column {
                    *value = 0.0;
                }
            }
        };
        if model.terms.iter().all(|t| t.k() == 1) {
            continue;
        }
        for columns in [vec![1], vec![0], vec![1, 2]] {
            let mut theta = scaled_theta(&model, &mut rng, 0.7);
            columns.iter().for_each(|&c| zero_column(&mut theta, c));
            // the engine adds (1e-7)^2 to a variance of zero in coordinates centred at the mean year: 200 deviations off
            let uncentred = model.name == shapes::uncentred_year().name;
            compare(
                &model,
                &theta,
                true,
                if uncentred { 1e-7 } else { TOLERANCE },
            );
        }
    }
}

#[test]
fn a_negative_diagonal_means_the_same_covariance() {
    let model = shapes::one_slope();
    let fit = model.at(&[-0.5, 0.2, -0.3], true);
    near(
        "criterion",
        fit.criterion,
        criterion(&model, &[0.5, -0.2, 0.3], true),
        1e-12,
    );
    close("theta", fit.theta.values(), &[0.5, -0.2, 0.3], 1e-12);
}

#[test]
fn start_is_returned_as_it_was_given() {
    let mut rng = Rng::new(104);
    for model in with_dense() {
        let theta = scaled_theta(&model, &mut rng, 0.7);
        let fit = model.at(&theta, true);
        for (a, b) in fit.theta.values().iter().zip(&theta) {
            assert!((a - b).abs() <= 1e-10 * b.abs(), "{}: {a} {b}", model.name);
        }
    }
}
