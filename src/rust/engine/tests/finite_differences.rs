//! Gradient and exact Hessian of the criterion against central differences in the internal coordinates, for every shape.
//!
//! The criterion is differenced for the gradient, the gradient for the Hessian, with six-point formulas: their truncation
//! error is of order h^6, so that steps can be large enough to keep rounding out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::internal::Prepared;
use common::{close, near, shapes, Model, Rng};
use ferrolmm_engine::basis::internal_theta::InternalTheta;
use ferrolmm_engine::basis::penalty::CovariancePenalty;
use ferrolmm_engine::criterion::objective::Criterion;
use ferrolmm_engine::moments::blocks::Center;

/// Six-point weights for the steps 1, 2 and 3.
const WEIGHTS: [f64; 3] = [45.0 / 60.0, -9.0 / 60.0, 1.0 / 60.0];

/// Accuracy of the Hessian where T is singular or nearly so: it is then taken at a slightly larger G.
const NEARLY_SINGULAR: f64 = 2e-5;

fn gradient(criterion: &mut Criterion<'_>, x: &InternalTheta) -> Vec<f64> {
    criterion.value(x).expect("the criterion is defined");
    criterion.latest().unwrap().derivatives.gradient.clone()
}

/// Random internal parameters of about `size`.
fn point(prepared: &Prepared, rng: &mut Rng, size: f64) -> InternalTheta {
    prepared
        .parameters
        .list
        .iter()
        .map(|a| {
            if a.entries[0].0 == a.entries[0].1 {
                size * rng.between(0.5, 1.5)
            } else {
                size * rng.between(-0.8, 0.8)
            }
        })
        .collect()
}

/// Steps that suit the curvature: a share of the parameter, or of the size at which it matters.
fn steps(criterion: &Criterion<'_>, x: &InternalTheta) -> Vec<f64> {
    criterion.scale(x).iter().map(|s| 0.02 * s).collect()
}

fn check(model: &Model, prepared: &Prepared, x: &InternalTheta, reml: bool, tolerance: f64) {
    let all: Vec<usize> = (0..x.len()).collect();
    check_free(model, prepared, x, &all, reml, tolerance);
}

/// Derivatives with respect to the parameters `free`.
fn check_free(
    model: &Model,
    prepared: &Prepared,
    x: &InternalTheta,
    free: &[usize],
    reml: bool,
    tolerance: f64,
) {
    let what = format!(
        "{} ({}) at {x:?}",
        model.name,
        if reml { "REML" } else { "ML" }
    );
    let m = x.len();
    let mut criterion = prepared.criterion(reml);
    let value = criterion.value(x).expect("the criterion is defined");
    let exact = gradient(&mut criterion, x);
    let hessian = criterion.exact_hessian().expect("there is a Hessian");
    let step = steps(&criterion, x);
    let mut differences = vec![0.0; m];
    let mut second = vec![0.0; m * m];
    for &a in free {
        for (i, weight) in WEIGHTS.iter().enumerate() {
            for sign in [1.0, -1.0] {
                let mut moved = x.clone();
                moved[a] += sign * (i as f64 + 1.0) * step[a];
                let f = criterion.value(&moved).expect("the criterion is defined");
                differences[a] += sign * weight * (f - value) / step[a];
                for (b, g) in gradient(&mut criterion, &moved).iter().enumerate() {
                    second[a * m + b] += sign * weight * g / step[a];
                }
            }
        }
    }
    // in units of the steps, so that parameters of different size can be compared; rounding of the criterion is 1e-14 n
    let noise = 1e-13 * value.abs().max(model.n() as f64);
    let largest = free
        .iter()
        .fold(0.0f64, |s, &a| s.max((exact[a] * step[a]).abs()));
    for &a in free {
        let d = ((exact[a] - differences[a]) * step[a]).abs();
        assert!(
            d <= tolerance * largest + 10.0 * noise,
            "gradient {a} of {what}: {} is not {} (error {d:.1e} of {largest:.1e})",
            exact[a],
            differences[a]
        );
    }
    let pairs: Vec<usize> = free
        .iter()
        .flat_map(|b| free.iter().map(move |a| b * m + a))
        .collect();
    let largest = pairs.iter().fold(0.0f64, |s, &e| {
        s.max((hessian[e] * step[e % m] * step[e / m]).abs())
    });
    for e in pairs {
        let (a, b) = (e % m, e / m);
        assert!(
            (hessian[e] - hessian[a * m + b]).abs() <= 1e-10 * hessian[e].abs().max(1e-300)
                || (hessian[e] - hessian[a * m + b]).abs() * step[a] * step[b] <= 1e-8 * largest,
            "the Hessian of {what} is not symmetric"
        );
        let d = ((hessian[e] - second[e]) * step[a] * step[b]).abs();
        assert!(
            d <= tolerance * largest,
            "Hessian [{a}, {b}] of {what}: {} is not {} (error {d:.1e} of {largest:.1e})",
            hessian[e],
            second[e]
        );
    }
}

fn models() -> Vec<Model> {
    let mut models = shapes::all();
    models.push(shapes::dense_w());
    models
}

#[test]
fn derivatives_at_random_points() {
    let mut rng = Rng::new(200);
    for model in models() {
        let prepared = Prepared::new(&model);
        for reml in [true, false] {
            let x = point(&prepared, &mut rng, 0.7);
            check(&model, &prepared, &x, reml, 1e-6);
        }
    }
}

/// With penalties on relative and on absolute covariances.
#[test]
fn derivatives_with_penalties() {
    let mut rng = Rng::new(211);
    for model in models() {
        for (reml, log_sigma2) in [(true, 0.0), (false, 2.5), (true, 1.5)] {
            let mut prepared = Prepared::new(&model);
            let penalties = shapes::penalties(&model, &mut rng, log_sigma2);
            prepared.penalty = CovariancePenalty::new(&penalties, &prepared.bases);
            let x = point(&prepared, &mut rng, 0.7);
            // 1 / G bends more than the steps are made for
            check(&model, &prepared, &x, reml, 1e-5);
        }
    }
}

/// A dense complement of several strips.
#[test]
fn derivatives_with_a_large_complement() {
    let mut rng = Rng::new(207);
    let model = shapes::strips();
    let prepared = Prepared::new(&model);
    for reml in [true, false] {
        let x = point(&prepared, &mut rng, 0.7);
        check(&model, &prepared, &x, reml, 1e-6);
        // the last Hessian is the same, and the criterion can go on from there
        let mut criterion = prepared.criterion(reml);
        let value = criterion.value(&x).unwrap();
        let exact = criterion.exact_hessian().unwrap();
        assert!(criterion.is_at(&x));
        criterion.value(&x).unwrap();
        let last = criterion.last_hessian().unwrap();
        assert!(exact == last);
        assert!(!criterion.is_at(&x));
        assert_eq!(criterion.value(&x).unwrap().to_bits(), value.to_bits());
        let gradient = criterion.latest().unwrap().derivatives.gradient.clone();
        let mut fresh = prepared.criterion(reml);
        assert!(gradient == self::gradient(&mut fresh, &x));
    }
}

#[test]
fn derivatives_near_zero() {
    let mut rng = Rng::new(201);
    for model in models() {
        let prepared = Prepared::new(&model);
        for (size, reml) in [(1e-3, true), (1e-6, true), (1e-6, false)] {
            let x = point(&prepared, &mut rng, size);
            check(&model, &prepared, &x, reml, 1e-6);
        }
    }
}

/// One term small beside others of ordinary size, and a factor that is nearly singular.
#[test]
fn derivatives_with_one_small_direction() {
    let mut rng = Rng::new(202);
    for model in models() {
        let prepared = Prepared::new(&model);
        let list = &prepared.parameters.list;
        for small in [1e-3, 1e-5] {
            let mut x = point(&prepared, &mut rng, 0.7);
            let last = list.iter().map(|a| a.basis).max().unwrap();
            if last > 0 {
                for (value, a) in x.values_mut().iter_mut().zip(list) {
                    if a.basis == last {
                        *value *= small;
                    }
                }
                check(&model, &prepared, &x, true, NEARLY_SINGULAR);
            }
            let mut x = point(&prepared, &mut rng, 0.7);
            for (value, a) in x.values_mut().iter_mut().zip(list) {
                if a.entries[0].0 == a.entries[0].1 && a.entries[0].0 > 0 {
                    *value *= small;
                }
            }
            check(&model, &prepared, &x, false, NEARLY_SINGULAR);
        }
    }
}

#[test]
fn derivatives_at_large_factors() {
    let mut rng = Rng::new(203);
    for model in models() {
        let prepared = Prepared::new(&model);
        for (size, tolerance) in [(30.0, 1e-6), (1e3, 1e-5)] {
            let x = point(&prepared, &mut rng, size);
            check(&model, &prepared, &x, size < 100.0, tolerance);
        }
    }
}

/// Rank-deficient factors: the columns of T that are not zero are free, and the certificate rests on their derivatives.
#[test]
fn derivatives_at_rank_deficient_factors() {
    let mut rng = Rng::new(206);
    for model in models() {
        let prepared = Prepared::new(&model);
        let list = &prepared.parameters.list;
        let widest = (0..model.terms.len()).max_by_key(|&t| model.terms[t].k());
        for reml in [true, false] {
            let mut x = point(&prepared, &mut rng, 0.7);
            let mut free = Vec::new();
            for (at, a) in list.iter().enumerate() {
                if Some(a.basis) == widest && a.entries[0].1 > 0 {
                    x[at] = 0.0;
                } else {
                    free.push(at);
                }
            }
            if free.len() < x.len() {
                check_free(&model, &prepared, &x, &free, reml, NEARLY_SINGULAR);
            }
        }
    }
}

/// A response centred at any beta, and [Q r] at any effects, has the same criterion and derivatives.
#[test]
fn centre_does_not_matter() {
    let rng = Rng::new(204);
    for model in models() {
        let prepared = Prepared::new(&model);
        let mut own = rng.clone();
        let moved = Prepared::centred(&model, |fixed, layout| {
            let mut own = own_rng(&mut rng.clone());
            Center {
                beta: fixed
                    .beta_center
                    .iter()
                    .map(|b| b * (1.0 + 0.1 * own.normal()))
                    .collect(),
                b: layout
                    .iter()
                    .enumerate()
                    .map(|(f, l)| {
                        // with and without a centre in one model
                        if f == 1 {
                            Vec::new()
                        } else {
                            own.normals(l.n_levels * l.k * (fixed.rank() + 1))
                        }
                    })
                    .collect(),
            }
        });
        for reml in [true, false] {
            let x = point(&prepared, &mut own, 0.7);
            let (mut a, mut b) = (prepared.criterion(reml), moved.criterion(reml));
            let what = format!("{}, criterion", model.name);
            near(&what, b.value(&x).unwrap(), a.value(&x).unwrap(), 1e-10);
            let expected = gradient(&mut a, &x);
            let size = expected.iter().fold(1.0f64, |s, g| s.max(g.abs()));
            for (g, e) in gradient(&mut b, &x).iter().zip(&expected) {
                assert!((g - e).abs() < 1e-8 * size, "{}: {g} {e}", model.name);
            }
            let what = format!("{}, Hessian", model.name);
            let (ha, hb) = (a.exact_hessian().unwrap(), b.exact_hessian().unwrap());
            close(&what, &hb, &ha, 1e-8);
            check(&model, &moved, &x, reml, 1e-6);
        }
    }
}

fn own_rng(rng: &mut Rng) -> Rng {
    Rng::new(rng.next())
}

/// The optimiser's Hessian model is the exact one with expected in place of observed traces: equal in the curvature of the
/// parameterisation, and positive semidefinite in the average information.
#[test]
fn average_information_is_positive_semidefinite() {
    let mut rng = Rng::new(205);
    for model in models() {
        let prepared = Prepared::new(&model);
        let x = point(&prepared, &mut rng, 0.7);
        let mut criterion = prepared.criterion(true);
        criterion.value(&x).unwrap();
        let m = x.len();
        let information = criterion.latest().unwrap().derivatives.information.clone();
        let (values, _) = ferrolmm_engine::linalg::small::symmetric_eigen(&information, m);
        assert!(
            values[0] >= -1e-10 * values[m - 1],
            "{}: {values:?}",
            model.name
        );
    }
}
