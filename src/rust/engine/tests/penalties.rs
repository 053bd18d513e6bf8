//! Penalties on covariance matrices: their value in the user's terms, by their definition.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::brute::{cholesky, Brute};
use common::shapes::{self, penalties};
use common::{near, Model, Rng};
use ferrolmm_engine::{EngineError, Options, Penalties, Penalty, Status};

/// The penalties at the user's theta, by definition.
fn by_definition(model: &Model, penalties: &Penalties, theta: &[f64], sigma2: f64) -> f64 {
    let factors = model.factors_at(theta);
    let terms = model.terms.iter().zip(&factors).zip(&penalties.terms);
    let of_terms: f64 = terms
        .filter_map(|((term, t), penalty)| Some(of_term(term.k(), t, penalty.as_ref()?)))
        .sum();
    of_terms - penalties.log_sigma2 * sigma2.ln()
}

fn of_term(k: usize, t: &[f64], penalty: &Penalty) -> f64 {
    let g = |i: usize, j: usize| -> f64 { (0..k).map(|c| t[c * k + i] * t[c * k + j]).sum() };
    let dense: Vec<f64> = (0..k * k).map(|e| g(e / k, e % k)).collect();
    let l = cholesky(&dense, k).unwrap();
    let mut out = -2.0 * penalty.log_det * (0..k).map(|i| l[i * k + i].ln()).sum::<f64>();
    if !penalty.linear.is_empty() {
        out += (0..k * k)
            .map(|e| penalty.linear[e] * dense[e])
            .sum::<f64>();
    }
    if !penalty.inverse.is_empty() {
        for c in 0..k {
            let mut column = penalty.inverse[c * k..(c + 1) * k].to_vec();
            common::brute::forward(&l, k, &mut column);
            common::brute::backward(&l, k, &mut column);
            out += column[c];
        }
    }
    for i in 0..k {
        let deviation = g(i, i).sqrt();
        out += penalty.root * deviation + penalty.inverse_root / deviation;
    }
    out
}

fn options(reml: bool, penalties: Penalties) -> Options {
    Options {
        reml,
        penalties,
        threads: 1,
        ..Options::default()
    }
}

#[test]
fn penalties_are_those_of_the_users_covariances() {
    let mut rng = Rng::new(900);
    for model in shapes::all() {
        for (reml, log_sigma2) in [(true, 0.0), (false, 1.5)] {
            let penalties = penalties(&model, &mut rng, log_sigma2);
            let theta = model.random_theta(&mut rng, 0.7);
            let at = Options {
                start: Some(theta.as_slice().into()),
                optimize: false,
                ..options(reml, penalties.clone())
            };
            let fit = model.fit(&at).unwrap();
            // V of some shapes is too far from regular for doubles
            let Some(brute) = Brute::new(&model, &theta, reml) else {
                continue;
            };
            let degrees = model.n() - if reml { model.kept.len() } else { 0 };
            let sigma2 = brute.pwrss / (degrees as f64 - log_sigma2);
            near(model.name, fit.sigma, sigma2.sqrt(), 1e-8);
            let expected = by_definition(&model, &penalties, &theta, sigma2);
            near(model.name, fit.penalty, expected, 1e-8);
            // the likelihood at that sigma
            let off = brute.pwrss / sigma2 - degrees as f64
                + degrees as f64 * (sigma2 * degrees as f64 / brute.pwrss).ln();
            near(model.name, fit.criterion, brute.criterion + off, 1e-8);
        }
    }
}

/// The optimum is one of the penalised criterion: nowhere around it is it lower.
#[test]
fn optima_are_those_of_the_penalised_criterion() {
    let mut rng = Rng::new(901);
    // in the units of the others these penalties are of the size of the likelihood
    let is_scaled = |model: &Model| !model.name.starts_with("badly scaled");
    for model in shapes::all().into_iter().filter(is_scaled) {
        let penalties = penalties(&model, &mut rng, 0.0);
        let fit = model.fit(&options(true, penalties.clone())).unwrap();
        assert_eq!(fit.certificate.status, Status::Converged, "{}", model.name);
        let at = |theta: &[f64]| {
            let brute = Brute::new(&model, theta, true).unwrap();
            brute.criterion + by_definition(&model, &penalties, theta, 1.0)
        };
        let own = at(fit.theta.values());
        near(model.name, fit.criterion + fit.penalty, own, 1e-8);
        for a in 0..fit.theta.len() {
            for by in [1e-2, -1e-2] {
                let mut moved = fit.theta.values().to_vec();
                moved[a] += by * moved[a].abs().max(0.1);
                assert!(at(&moved) > own - 1e-9, "{} {a}", model.name);
            }
        }
    }
}

#[test]
fn penalties_that_leave_no_sigma_are_refused() {
    let model = shapes::one_intercept();
    let penalties = Penalties {
        terms: vec![Some(Penalty {
            log_det: 1e6,
            ..Penalty::default()
        })],
        log_sigma2: 1e6,
    };
    let refused = model.fit(&options(true, penalties)).unwrap_err();
    assert!(matches!(refused, EngineError::PenaltyOfSigma { .. }));
    let wrong = Penalties {
        terms: vec![Some(Penalty {
            linear: vec![1.0; 9],
            ..Penalty::default()
        })],
        log_sigma2: 0.0,
    };
    let refused = model.fit(&options(true, wrong)).unwrap_err();
    assert!(matches!(refused, EngineError::Dimension(_)));
}
