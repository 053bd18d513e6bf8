//! Covariance matrices without bounds. Where they are positive definite, criterion and inference must be those that other tests
//! compare with V formed n x n; all formulas are analytic in the entries of G. Beyond, the criterion is compared with V itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{close, near, shapes, Model, Rng};
use ferrolmm_engine::inference::{
    conditional_variances_nobound, kenward_roger, kenward_roger_nobound, prediction_variances,
    prediction_variances_nobound, satterthwaite, satterthwaite_nobound, NewRows, SecondDerivatives,
};
use ferrolmm_engine::{
    conditional_variances, fit_nobound, nobound_at, ModelData, NoboundFit, Options, RowResults,
    Status, Structure,
};

/// Entries of G in the place of those of T.
fn covariances(model: &Model, theta: &[f64]) -> Vec<f64> {
    let factors = model.factors_at(theta);
    let entries = model.terms.iter().zip(&factors).flat_map(|(term, t)| {
        let k = term.k();
        let g =
            move |i: usize, j: usize| -> f64 { (0..k).map(|c| t[c * k + i] * t[c * k + j]).sum() };
        term.entries()
            .into_iter()
            .map(move |(i, j)| g(i, j))
            .collect::<Vec<_>>()
    });
    entries.collect()
}

fn models() -> Vec<Model> {
    let own = vec![
        shapes::one_intercept(),
        shapes::one_slope(),
        shapes::diagonal(),
        shapes::unbalanced(),
        shapes::rank_deficient(),
        shapes::sparse_nested(),
    ];
    let few = (1..20).map(shapes::random);
    let is_known = |model: &Model| {
        let known = |s: Structure| matches!(s, Structure::Unstructured | Structure::Diagonal);
        model
            .terms
            .iter()
            .all(|term| term.k() == 1 || known(term.structure))
    };
    own.into_iter()
        .chain(few)
        .filter(|model| is_known(model) && !model.terms.is_empty() && model.n() < 400)
        .collect()
}

fn options(start: Vec<f64>, reml: bool) -> Options {
    Options {
        start: Some(start.into()),
        reml,
        optimize: false,
        threads: 1,
        ..Options::default()
    }
}

fn own_rows<'a>(data: &'a ModelData<'a>) -> NewRows<'a> {
    NewRows {
        n: data.y.len(),
        x: data.x.clone(),
        codes: data.factors.iter().map(|f| f.codes).collect(),
        members: data.factors.iter().map(|_| None).collect(),
        terms: data.terms.iter().map(|t| Some(t.columns.clone())).collect(),
        residual: None,
    }
}

#[test]
fn inference_is_that_of_bounded_models_where_matrices_are_positive_definite() {
    let mut rng = Rng::new(77);
    let never = || false;
    for model in models() {
        let data = model.data();
        let name = model.name;
        for reml in [true, false] {
            let theta = model.random_theta(&mut rng, 0.7);
            let g = covariances(&model, &theta);
            let (bounded, free) = (options(theta, reml), options(g, reml));
            let a = conditional_variances(&data, &bounded, &never).unwrap();
            let b = conditional_variances_nobound(&data, &free, &never).unwrap();
            a.iter().zip(&b).for_each(|(a, b)| close(name, a, b, 1e-7));
            let rows = own_rows(&data);
            let a = prediction_variances(&data, &rows, &bounded, &never).unwrap();
            let b = prediction_variances_nobound(&data, &rows, &free, &never).unwrap();
            close(name, &a.variances, &b.variances, 1e-7);
            let a = satterthwaite(&data, &bounded, &never).unwrap();
            let b = satterthwaite_nobound(&data, &free, &never).unwrap();
            near(name, a.sigma2, b.sigma2, 1e-8);
            assert_eq!(a.components, b.components);
            if !reml {
                continue;
            }
            let own = kenward_roger(&data, SecondDerivatives::InParameters, &bounded, &never);
            let (Ok(a), Ok(b)) = (own, kenward_roger_nobound(&data, &free, &never)) else {
                continue;
            };
            if a.w.iter().all(|v| v.is_finite()) {
                close(name, &a.unadjusted, &b.unadjusted, 1e-7);
                close(name, &a.adjusted, &b.adjusted, 1e-6);
            }
        }
    }
}

fn fitted(model: &Model, reml: bool) -> NoboundFit {
    let data = model.data();
    let bounded = model.fitted(reml);
    let at = Options {
        start: Some(bounded.theta.clone()),
        reml,
        threads: 1,
        ..Options::default()
    };
    let (mut fitted, mut residuals) = (vec![0.0; model.n()], vec![0.0; model.n()]);
    let rows = RowResults {
        fitted: &mut fitted,
        residuals: &mut residuals,
    };
    fit_nobound(&data, &at, &|| false, rows).unwrap()
}

/// Where the optimum with bounds is inside and no other is lower it is the optimum without.
#[test]
fn optima_inside_are_those_of_bounded_models() {
    for model in [
        shapes::one_intercept(),
        shapes::one_slope(),
        shapes::diagonal(),
        shapes::unbalanced(),
    ] {
        let bounded = model.fitted(true);
        if bounded.certificate.status != Status::Converged {
            continue;
        }
        let free = fitted(&model, true);
        let name = model.name;
        assert_eq!(free.fit.certificate.status, Status::Converged, "{name}");
        assert!(free.fit.criterion < bounded.criterion + 1e-8, "{name}");
        if (free.fit.criterion - bounded.criterion).abs() < 1e-6 {
            let g = covariances(&model, bounded.theta.values());
            close(name, &free.covariances, &g, 1e-6);
            close(name, &free.fit.b, &bounded.b, 1e-6);
            near(name, free.fit.sigma, bounded.sigma, 1e-6);
            near(name, free.fit.criterion, bounded.criterion, 1e-9);
        }
    }
}

/// The gradient by six-point differences of the criterion, the Hessian by those of the gradient: at covariance matrices that are
/// positive definite, at their negatives as far as V allows, and at zero, where roots of variances have a kink.
#[test]
fn derivatives_are_those_of_differences() {
    const WEIGHTS: [f64; 3] = [45.0 / 60.0, -9.0 / 60.0, 1.0 / 60.0];
    let mut rng = Rng::new(78);
    let mut negative = 0;
    for model in models() {
        let data = model.data();
        for reml in [true, false] {
            let start = covariances(&model, &model.random_theta(&mut rng, 0.7));
            let at = options(start, reml);
            let inside = nobound_at(&data, &at, None).unwrap().entries;
            let times = |t: f64| inside.iter().map(|v| t * v).collect::<Vec<f64>>();
            let below = [-0.5, -0.2, -0.05, -0.02, -0.005, -0.001].map(times);
            // not so near to the border that the criterion bends too much for differences
            let below = below.into_iter().find(|s| {
                let twice: Vec<f64> = s.iter().map(|v| 2.0 * v).collect();
                nobound_at(&data, &at, Some(&twice)).is_some()
            });
            negative += usize::from(below.is_some());
            for s in [Some(inside.clone()), below, Some(times(0.0))]
                .into_iter()
                .flatten()
            {
                check_differences(&model, &data, &at, &s, &inside, WEIGHTS);
            }
        }
    }
    assert!(negative > 20, "{negative}");
}

fn check_differences(
    model: &Model,
    data: &ModelData<'_>,
    at: &Options,
    s: &[f64],
    inside: &[f64],
    weights: [f64; 3],
) {
    let m = s.len();
    let own = nobound_at(data, at, Some(s)).unwrap();
    let (gradient, hessian) = (own.gradient, own.hessian);
    let largest = |values: &[f64]| values.iter().fold(0.0f64, |a, v| a.max(v.abs()));
    let width = largest(s).max(1e-3 * largest(inside));
    for a in 0..m {
        let step = 4e-3 * width;
        let moved = |by: f64| {
            let mut s = s.to_vec();
            s[a] += by * step;
            nobound_at(data, at, Some(&s)).unwrap()
        };
        let mut slope = 0.0;
        let mut bend = vec![0.0; m];
        for (k, weight) in weights.iter().enumerate() {
            let (up, down) = (moved((k + 1) as f64), moved(-((k + 1) as f64)));
            slope += weight * (up.value - down.value) / step;
            for (sum, (u, d)) in bend.iter_mut().zip(up.gradient.iter().zip(&down.gradient)) {
                *sum += weight * (u - d) / step;
            }
        }
        let unit = gradient[a].abs() + largest(&hessian) * width;
        assert!(
            (slope - gradient[a]).abs() < 1e-6 * unit,
            "{}: slope {a}: {} and {slope} at {s:?}",
            model.name,
            gradient[a]
        );
        for (b, value) in bend.iter().enumerate() {
            let own = hessian[a * m + b];
            assert!(
                (value - own).abs() < 1e-6 * (own.abs() + largest(&hessian)),
                "{}: bend {a}, {b}: {own} and {value} at {s:?}",
                model.name
            );
        }
    }
}
