//! What must not change a fit does not, and what must change it does so by the known amount.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{distance, shapes, Model, Rng};
use ferrolmm_engine::Fit;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// theta is as accurate as the root of the criterion's relative error.
const THETA: f64 = 2e-5;
const VALUE: f64 = 1e-9;

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 24,
        rng_seed: RngSeed::Fixed(20_240_601),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// G relative to sigma^2 of each term.
fn covariances(model: &Model, fit: &Fit) -> Vec<Vec<f64>> {
    model
        .factors_at(fit.theta.values())
        .iter()
        .zip(&model.terms)
        .map(|(t, term)| {
            let k = term.k();
            (0..k * k)
                .map(|e| (0..k).map(|c| t[c * k + e % k] * t[c * k + e / k]).sum())
                .collect()
        })
        .collect()
}

#[track_caller]
fn agree(what: &str, a: &[f64], b: &[f64], tolerance: f64) -> Result<(), TestCaseError> {
    let d = distance(a, b);
    prop_assert!(d <= tolerance, "{what}: {d:.1e}\n{a:?}\n{b:?}");
    Ok(())
}

fn value(a: f64, b: f64) -> Result<(), TestCaseError> {
    prop_assert!(
        (a - b).abs() <= VALUE * b.abs().max(10.0),
        "criterion {a} {b}"
    );
    Ok(())
}

/// b of one term.
fn effects<'a>(model: &Model, fit: &'a Fit, term: usize) -> &'a [f64] {
    let length = |t: usize| model.terms[t].k() * model.levels(t);
    let start: usize = (0..term).map(length).sum();
    &fit.b[start..start + length(term)]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn row_order(seed in 0u64..100_000, reml: bool) {
        let model = shapes::random(seed);
        let order = Rng::new(seed + 1).order(model.n());
        let pick = |v: &[f64]| -> Vec<f64> { order.iter().map(|&i| v[i]).collect() };
        let mut other = model.clone();
        other.y = pick(&model.y);
        other.x = model.x.chunks(model.n()).flat_map(pick).collect();
        other.weights = model.weights.as_deref().map(pick);
        other.offset = model.offset.as_deref().map(pick);
        for (codes, own) in other.factors.iter_mut().zip(&model.factors) {
            codes.0 = order.iter().map(|&i| own.0[i]).collect();
        }
        for (term, own) in other.terms.iter_mut().zip(&model.terms) {
            term.columns = own.columns.iter().map(|c| c.as_deref().map(pick)).collect();
        }
        let (a, b) = (model.fitted(reml), other.fitted(reml));
        value(b.criterion, a.criterion)?;
        agree("G", &covariances(&other, &b).concat(), &covariances(&model, &a).concat(), THETA)?;
        agree("beta", &b.beta, &a.beta, THETA)?;
        agree("b", &b.b, &a.b, THETA)?;
        agree("fitted", &b.fitted, &pick(&a.fitted), THETA)?;
    }

    #[test]
    fn level_names(seed in 0u64..100_000, reml: bool) {
        let model = shapes::random(seed);
        let mut rng = Rng::new(seed + 2);
        let mut other = model.clone();
        let mut names = Vec::new();
        for (codes, levels) in &mut other.factors {
            let new = rng.order(*levels);
            codes.iter_mut().for_each(|c| *c = new[*c as usize - 1] as i32 + 1);
            names.push(new);
        }
        let (a, b) = (model.fitted(reml), other.fitted(reml));
        value(b.criterion, a.criterion)?;
        agree("G", &covariances(&other, &b).concat(), &covariances(&model, &a).concat(), THETA)?;
        for (t, term) in model.terms.iter().enumerate() {
            let k = term.k();
            let (before, after) = (effects(&model, &a, t), effects(&other, &b, t));
            let moved: Vec<f64> = names[term.factor]
                .iter()
                .flat_map(|&j| after[j * k..(j + 1) * k].to_vec())
                .collect();
            agree("b", &moved, before, THETA)?;
        }
        agree("fitted", &b.fitted, &a.fitted, THETA)?;
    }

    #[test]
    fn order_of_factors_and_terms(seed in 0u64..100_000, reml: bool) {
        let model = shapes::random(seed);
        let mut other = model.clone();
        other.factors.reverse();
        other.terms.reverse();
        for term in &mut other.terms {
            term.factor = model.factors.len() - 1 - term.factor;
        }
        let (a, b) = (model.fitted(reml), other.fitted(reml));
        value(b.criterion, a.criterion)?;
        let mut reversed = covariances(&other, &b);
        reversed.reverse();
        agree("G", &reversed.concat(), &covariances(&model, &a).concat(), THETA)?;
        agree("beta", &b.beta, &a.beta, THETA)?;
        for t in 0..model.terms.len() {
            let last = model.terms.len() - 1;
            agree("b", effects(&other, &b, last - t), effects(&model, &a, t), THETA)?;
        }
    }

    #[test]
    fn response(seed in 0u64..100_000, reml: bool, scale in -6f64..6.0, negative: bool) {
        let model = shapes::random(seed);
        let factor = 10f64.powf(scale) * if negative { -1.0 } else { 1.0 };
        let shift: Vec<f64> = Rng::new(seed + 3)
            .normals(model.p)
            .iter()
            .map(|c| 3.0 * c * factor)
            .collect();
        let n = model.n();
        let mut other = model.clone();
        for i in 0..n {
            let fixed: f64 = (0..model.p).map(|j| shift[j] * model.x[j * n + i]).sum();
            let offset = model.offset.as_ref().map_or(0.0, |o| o[i]);
            other.y[i] = offset + factor * (model.y[i] - offset) + fixed;
        }
        let (a, b) = (model.fitted(reml), other.fitted(reml));
        let degrees = n as f64 - if reml { model.p as f64 } else { 0.0 };
        value(b.criterion, a.criterion + 2.0 * degrees * factor.abs().ln())?;
        agree("G", &covariances(&other, &b).concat(), &covariances(&model, &a).concat(), THETA)?;
        agree("sigma", &[b.sigma], &[a.sigma * factor.abs()], THETA)?;
        let beta: Vec<f64> = a.beta.iter().zip(&shift).map(|(x, c)| factor * x + c).collect();
        agree("beta", &b.beta, &beta, THETA)?;
        let modes: Vec<f64> = a.b.iter().map(|v| factor * v).collect();
        agree("b", &b.b, &modes, THETA)?;
    }

    /// Covariates and random slopes in other units and from another origin: the same space.
    #[test]
    fn predictors(seed in 0u64..100_000, reml: bool, scale in -5f64..5.0, shift in -100f64..100.0) {
        let model = shapes::random(seed);
        let factor = 10f64.powf(scale);
        let change = |v: f64| factor * (v + shift);
        let n = model.n();
        let mut other = model.clone();
        other.x[n..2 * n].iter_mut().for_each(|v| *v = change(*v));
        for term in &mut other.terms {
            // without an intercept in the term only the unit may change
            let origin = term.columns[0].is_none();
            for column in term.columns.iter_mut().flatten() {
                column.iter_mut().for_each(|v| *v = if origin { change(*v) } else { factor * *v });
            }
        }
        let (a, b) = (model.fitted(reml), other.fitted(reml));
        let expected = a.criterion + if reml { 2.0 * factor.ln() } else { 0.0 };
        value(b.criterion, expected)?;
        agree("sigma", &[b.sigma], &[a.sigma], THETA)?;
        agree("slope", &[b.beta[1] * factor], &[a.beta[1]], 10.0 * THETA * (1.0 + 1.0 / a.beta[1].abs()))?;
        agree("fitted", &b.fitted, &a.fitted, THETA)?;
        let errors = |f: &Fit| f.sigma * f.vcov_unscaled[4].sqrt();
        agree("standard error", &[errors(&b) * factor], &[errors(&a)], THETA)?;
    }

    #[test]
    fn unit_of_weights(seed in 0u64..100_000, reml: bool, scale in -3f64..3.0) {
        let mut model = shapes::random(seed);
        let factor = 10f64.powf(scale);
        let weights = model.weights.clone().unwrap_or_else(|| vec![1.0; model.n()]);
        model.weights = Some(weights.clone());
        let mut other = model.clone();
        other.weights = Some(weights.iter().map(|w| w * factor).collect());
        let (a, b) = (model.fitted(reml), other.fitted(reml));
        value(b.criterion, a.criterion)?;
        agree("sigma", &[b.sigma], &[a.sigma * factor.sqrt()], THETA)?;
        let scaled: Vec<f64> = covariances(&other, &b).concat().iter().map(|g| g * factor).collect();
        agree("G", &scaled, &covariances(&model, &a).concat(), 2.0 * THETA)?;
        agree("beta", &b.beta, &a.beta, THETA)?;
        agree("b", &b.b, &a.b, THETA)?;
    }

    /// Equal weights of one are no weights.
    #[test]
    fn weights_of_one(seed in 0u64..100_000, reml: bool) {
        let mut model = shapes::random(seed);
        model.weights = None;
        let mut other = model.clone();
        other.weights = Some(vec![1.0; model.n()]);
        let (a, b) = (model.fitted(reml), other.fitted(reml));
        value(b.criterion, a.criterion)?;
        agree("b", &b.b, &a.b, THETA)?;
    }

    /// A level's rows doubled are the same rows with doubled weights, but for the number of rows: at fixed theta the fixed
    /// effects agree.
    #[test]
    fn doubled_rows(seed in 0u64..100_000) {
        let model = shapes::random(seed);
        let theta = model.random_theta(&mut Rng::new(seed), 0.7);
        let n = model.n();
        let twice = |v: &[f64]| -> Vec<f64> { v.iter().chain(v).copied().collect() };
        let mut rows = model.clone();
        rows.y = twice(&model.y);
        rows.x = model.x.chunks(n).flat_map(twice).collect();
        rows.weights = model.weights.as_deref().map(twice);
        rows.offset = model.offset.as_deref().map(twice);
        for (codes, own) in rows.factors.iter_mut().zip(&model.factors) {
            codes.0 = own.0.iter().chain(&own.0).copied().collect();
        }
        for (term, own) in rows.terms.iter_mut().zip(&model.terms) {
            term.columns = own.columns.iter().map(|c| c.as_deref().map(twice)).collect();
        }
        let mut weights = model.clone();
        let own = model.weights.clone().unwrap_or_else(|| vec![1.0; n]);
        weights.weights = Some(own.iter().map(|w| 2.0 * w).collect());
        let (a, b) = (rows.at(&theta, false), weights.at(&theta, false));
        agree("beta", &b.beta, &a.beta, 1e-9)?;
        agree("b", &b.b, &a.b, 1e-9)?;
        agree("ldL2", &[b.ld_l2], &[a.ld_l2], 1e-9)?;
        agree("pwrss", &[b.pwrss], &[a.pwrss], 1e-9)?;
    }
}
