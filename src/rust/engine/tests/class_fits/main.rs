//! Fits and inference where classes of levels have covariance matrices of their own.
//!
//! Two oracles. V formed n x n in the user's terms, for the criterion and for the optimum. And the same model without classes: a
//! term for each class with columns that are zero outside of it (lme4's `(0 + dummy(arm, "A") | g) + (0 + dummy(arm, "B") | g)`) has
//! the same V, so that each inference, checked elsewhere, is that of this model.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;
mod models;

use common::{close, near, Rng};
use ferrolmm_engine::inference::{
    deletions, kenward_roger, leverages, prediction_variances, profile, satterthwaite,
    variance_spectrum, NewResiduals, NewRows, SecondDerivatives, Update,
};
use ferrolmm_engine::many::{fit_many, Responses, Wanted};
use ferrolmm_engine::{
    conditional_variances, fit, raw_moments, Classes, Column, EngineError, Fit, ModelData, Options,
    Solver, Status, Structure,
};
use models::{all_models, g_of, named, with_residuals, Builder, Model};

const REML: [bool; 2] = [true, false];

fn options(reml: bool) -> Options {
    Options {
        reml,
        threads: 1,
        tolerance: 1e-20,
        ..Options::default()
    }
}

fn fitted(data: &ModelData<'_>, options: &Options, name: &str) -> Fit {
    fit(data, options, &|| false).unwrap_or_else(|e| panic!("{name}: {e}"))
}

#[test]
fn the_optimum_is_that_of_the_definition() {
    for model in all_models() {
        let data = model.data();
        for reml in REML {
            let found = fitted(&data, &options(reml), &model.name);
            let theta = found.theta.values();
            near(
                &model.name,
                found.criterion,
                model.brute(theta, reml),
                1e-10,
            );
            // nothing nearby is lower, and the slope is zero but at a bound
            for a in 0..theta.len() {
                let moved = |by: f64| {
                    let mut x = theta.to_vec();
                    x[a] += by;
                    match model.is_covariance(&x) {
                        true => model.brute(&x, reml),
                        false => f64::INFINITY,
                    }
                };
                let (up, down) = (moved(1e-4), moved(-1e-4));
                let least = found.criterion - 1e-9;
                assert!(
                    up > least && down > least,
                    "{}: {a} of {theta:?}",
                    model.name
                );
            }
        }
    }
}

/// Every inference is that of the model with a term for each class.
#[test]
fn fits_and_inference_are_those_of_dummies() {
    for model in all_models().into_iter().chain(with_residuals()) {
        let dummies = model.dummies();
        let (own, plain) = (model.data(), model.plain(&dummies));
        for reml in REML {
            same_as_plain(&model, &own, &plain, reml);
        }
    }
}

fn same_as_plain(model: &Model, own: &ModelData<'_>, plain: &ModelData<'_>, reml: bool) {
    let name = model.name.as_str();
    let none = &|| false;
    let options = options(reml);
    let [a, b] = [own, plain].map(|data| fitted(data, &options, name));
    near(name, a.criterion, b.criterion, 1e-10);
    assert_eq!(a.certificate.status, b.certificate.status, "{name}");
    assert_eq!(a.certificate.rank, b.certificate.rank, "{name}");
    let singular = b.certificate.status == Status::Singular;
    assert_eq!(singular, name == "a class with one level");
    let exact = if singular { 1e-5 } else { 1e-6 };
    close(name, a.theta.values(), b.theta.values(), exact);
    close(name, &a.phi, &b.phi, 1e-6);
    close(name, &a.beta, &b.beta, 1e-6);
    close(name, &a.vcov_unscaled, &b.vcov_unscaled, 1e-6);
    close(name, &a.b, &model.gathered(&b.b, |k| k), exact);
    close(name, &a.fitted, &b.fitted, 1e-6);
    near(name, a.sigma, b.sigma, 1e-7);
    // at one point
    let theta = [b.theta.values(), &b.phi].concat();
    let at = Options {
        start: Some(theta.clone().into()),
        optimize: false,
        ..options.clone()
    };
    let [a, b] = [own, plain].map(|data| fitted(data, &at, name));
    near(name, a.criterion, b.criterion, 1e-11);
    close(name, a.theta.values(), b.theta.values(), 1e-10);
    close(name, &a.u, &model.gathered(&b.u, |k| k), 1e-8);
    close(name, &a.b, &model.gathered(&b.b, |k| k), 1e-8);
    close(
        name,
        &[a.ussq, a.pwrss, a.ld_l2],
        &[b.ussq, b.pwrss, b.ld_l2],
        1e-8,
    );
    let [a, b] = [own, plain].map(|data| conditional_variances(data, &at, none).unwrap());
    close(
        name,
        &a.concat(),
        &model.gathered(&b.concat(), |k| k * k),
        1e-8,
    );
    let [a, b] = [own, plain].map(|data| satterthwaite(data, &at, none).unwrap());
    for c in 0..2 {
        near(name, a.ddf(c, 2), b.ddf(c, 2), 1e-5);
    }
    // covariances of (G of each term and class, phi, sigma^2)
    let natural = |s: &ferrolmm_engine::inference::Satterthwaite| -> Vec<f64> {
        let m = s.covariance.len().isqrt();
        let row = |i: usize, c: usize| s.jacobian[c * s.components + i];
        (0..s.components * s.components)
            .map(|e| {
                let (i, j) = (e % s.components, e / s.components);
                let cell = |f: usize| row(i, f % m) * s.covariance[f] * row(j, f / m);
                (0..m * m).map(cell).sum()
            })
            .collect()
    };
    close(name, &natural(&a), &natural(&b), 1e-5);
    for second in [
        SecondDerivatives::Ignored,
        SecondDerivatives::InParameters,
        SecondDerivatives::BesideTangent,
    ] {
        let [a, b] = [own, plain].map(|data| kenward_roger(data, second, &at, none).unwrap());
        assert_eq!(a.components, b.components);
        close(name, &a.unadjusted, &b.unadjusted, 1e-6);
        close(
            name,
            &a.adjusted,
            &b.adjusted,
            if singular { 1e-4 } else { 1e-6 },
        );
    }
    // of new rows, after those of the data
    let later: Vec<i32> = (10..model.n() as i32 + 10).collect();
    let rows = |data: &ModelData<'_>| -> Vec<f64> {
        let rows = NewRows {
            n: data.n(),
            x: data.x.clone(),
            codes: data.factors.iter().map(|f| f.codes).collect(),
            members: vec![None; data.factors.len()],
            terms: data.terms.iter().map(|t| Some(t.columns.clone())).collect(),
            residual: model.time.as_ref().map(|_| NewResiduals {
                structure: model.residual_at(&later),
                weights: data.weights,
            }),
        };
        let found = prediction_variances(data, &rows, &at, none).unwrap();
        assert_eq!(found.variances.len(), data.n());
        [found.variances, found.residual_means].concat()
    };
    close(name, &rows(own), &rows(plain), 1e-7);
    let [a, b] = [own, plain].map(|data| leverages(data, &at, none).unwrap());
    close(name, &a.variances, &b.variances, 1e-7);
    close(name, &a.fixed, &b.fixed, 1e-7);
    if singular {
        return;
    }
    let sets = [vec![0, 1, 2], vec![7], (12..18).collect()];
    for update in [Update::None, Update::Step, Update::Exact] {
        let [a, b] = [own, plain].map(|data| deletions(data, &sets, update, &at, none).unwrap());
        for (a, b) in a.iter().zip(&b) {
            let (a, b) = (a.as_ref().unwrap(), b.as_ref().unwrap());
            close(name, a.theta.values(), b.theta.values(), 1e-4);
            close(name, &a.beta, &b.beta, 1e-5);
            near(name, a.criterion, b.criterion, 1e-7);
        }
    }
    let which: Vec<usize> = (0..=theta.len()).collect();
    let [a, b] = [own, plain].map(|data| profile(data, &which, 1.0, &at, none).unwrap());
    for ((_, a), (_, b)) in a.iter().zip(&b) {
        let of = |points: &[ferrolmm_engine::inference::ProfilePoint]| -> Vec<f64> {
            points.iter().flat_map(|p| [p.value, p.zeta]).collect()
        };
        close(name, &of(a), &of(b), 1e-3);
    }
}

/// The spectrum of one class's variance.
#[test]
fn the_spectrum_is_that_of_a_dummy() {
    for model in all_models() {
        let dummies = model.dummies();
        let plain = model.plain(&dummies);
        if model.factors.iter().any(|f| f.known.is_some()) {
            continue;
        }
        let mut first = 0;
        for (term, dummy) in dummies.iter().enumerate() {
            let parameters = g_of(dummy.structure, dummy.columns.len(), &[0.3; 9]).1;
            let mut theta: Vec<f64> = (dummies.iter())
                .flat_map(|d| vec![0.4; g_of(d.structure, d.columns.len(), &[0.3; 9]).1])
                .collect();
            theta[first] = 0.0;
            first += parameters;
            if dummy.columns.len() != 1 {
                continue;
            }
            let at = Options {
                start: Some(theta.into()),
                ..options(true)
            };
            let own = variance_spectrum(&model.data(), term, &at, &|| false).unwrap();
            let right = variance_spectrum(&plain, term, &at, &|| false).unwrap();
            // levels outside of the class have eigenvalues of zero in the other model, which is scaled by more rows
            let last = |v: &[f64]| v[v.len() - 1];
            let scale = last(&own.marginal) / last(&right.marginal);
            for (own, right) in [
                (own.restricted, right.restricted),
                (own.marginal, right.marginal),
            ] {
                let right: Vec<f64> = right.iter().map(|v| scale * v).collect();
                let (zeros, right) = right.split_at(right.len() - own.len());
                assert!(zeros.iter().all(|v| v.abs() < 1e-8 * last(right)));
                close(&model.name, &own, right, 1e-9);
            }
        }
    }
}

#[test]
fn many_responses_are_fits_one_by_one() {
    let model = &named("crossed, both with classes");
    let (n, mut rng) = (model.n(), Rng::new(5));
    let noise = rng.normals(2 * n);
    let responses: Vec<f64> = (model.y.iter().chain(&model.y))
        .zip(&noise)
        .map(|(y, e)| y + 0.3 * e)
        .collect();
    let both = Wanted {
        satterthwaite: true,
        rx: true,
        ..Wanted::default()
    };
    let values = Responses {
        values: &responses,
        weights: None,
    };
    let many = fit_many(&model.data(), values, both, &options(true), &|| false).unwrap();
    for (i, y) in responses.chunks_exact(n).enumerate() {
        let own = ModelData { y, ..model.data() };
        let one = fitted(&own, &options(true), "many");
        near("many", many.criterion[i], one.criterion, 1e-10);
        close("many", many.theta[i].values(), one.theta.values(), 1e-6);
    }
    assert!(many.theta.iter().all(|theta| theta.len() == 5));
    assert!(many.ddf.iter().all(|v| v.is_finite()));
}

#[test]
fn moments_are_of_levels_whatever_their_classes() {
    for model in [
        named("slopes"),
        named("crossed, both with classes"),
        named("terms with classes of their own"),
    ] {
        let data = model.data();
        let moments = raw_moments(&data, 1, &|| false).unwrap();
        let mut own = ModelData {
            y: &[],
            x: vec![Column::Absent; 2],
            weights: None,
            moments: Some(&moments),
            ..data.clone()
        };
        own.factors.iter_mut().for_each(|factor| factor.codes = &[]);
        for term in &mut own.terms {
            term.columns = vec![Column::Absent; term.columns.len()];
        }
        let options = options(true);
        let [rows, sums] = [&data, &own].map(|data| fitted(data, &options, &model.name));
        near(&model.name, rows.criterion, sums.criterion, 1e-11);
        close(&model.name, sums.theta.values(), rows.theta.values(), 1e-8);
        close(&model.name, &sums.b, &rows.b, 1e-8);
    }
}

#[test]
fn parameters_are_held_and_tied_by_class() {
    let model = &named("slopes");
    let data = model.data();
    let free = fitted(&data, &options(true), "free");
    assert_eq!(free.theta.len(), 6);
    // tied: the model without classes
    let tied = Options {
        tie: vec![0, 1, 2, 0, 1, 2],
        ..options(true)
    };
    let mut common = data.clone();
    common.terms[0].classes = None;
    let mut diagonal = (data.clone(), common);
    for data in [&mut diagonal.0, &mut diagonal.1] {
        data.terms[0].structure = Structure::Diagonal;
    }
    let of_tied = Options {
        tie: vec![0, 1, 0, 1],
        ..options(true)
    };
    let [own, plain] = [
        fitted(&diagonal.0, &of_tied, "tied"),
        fitted(&diagonal.1, &options(true), "plain"),
    ];
    near("tied", own.criterion, plain.criterion, 1e-10);
    close("tied", &own.theta.values()[..2], plain.theta.values(), 1e-6);
    close("tied", &own.theta.values()[2..], plain.theta.values(), 1e-6);
    let own = fitted(&data, &tied, "tied factors");
    assert!(own.criterion >= free.criterion);
    close(
        "tied",
        &own.theta.values()[..3],
        &own.theta.values()[3..],
        1e-8,
    );
    let mut held = vec![f64::NAN; 6];
    held[3] = 1.25;
    let of_held = Options {
        hold: held.into(),
        ..options(true)
    };
    let own = fitted(&data, &of_held, "held");
    near("held", own.theta[3], 1.25, 1e-12);
    assert!(own.criterion > free.criterion);
}

/// Effects of one class that are orders of magnitude larger than residuals, and none in the other: the response is centred at effects of
/// the levels that have some.
#[test]
fn one_class_may_be_far_larger_than_the_other() {
    for (shape, size) in [
        ("slopes", 1e3),
        ("crossed, both with classes", 1e3),
        ("slopes", 1e4),
        ("crossed, both with classes", 1e5),
    ] {
        let mut model = named(shape);
        let mut rng = Rng::new(77);
        let factor = &model.factors[0];
        let level: Vec<f64> = rng.normals(factor.levels);
        for (i, y) in model.y.iter_mut().enumerate() {
            let own = factor.codes[i] as usize - 1;
            if factor.classes.as_ref().unwrap().0[own] == 2 {
                *y += size * level[own];
            }
        }
        let dummies = model.dummies();
        let (own, plain) = (model.data(), model.plain(&dummies));
        for reml in REML {
            let usual = Options {
                reml,
                ..Options::default()
            };
            let [a, b] = [&own, &plain].map(|data| fitted(data, &usual, "far"));
            near("far", a.criterion, b.criterion, 1e-9);
            close("far", &a.beta, &b.beta, 1e-5);
            near("far", a.sigma, b.sigma, 1e-5);
            assert_eq!(a.certificate.status, b.certificate.status);
        }
    }
}

/// Classes whose covariates are in other units, or far from each other: each class has a basis of its own.
#[test]
fn covariates_of_classes_may_be_anywhere() {
    for (shift, scale) in [(2000.0, 10.0), (0.0, 1e6), (1e5, 1.0)] {
        let mut model = named("slopes");
        let n = model.n();
        let factor = &model.factors[0];
        let column = model.terms[0].columns[1].as_mut().unwrap();
        for i in 0..n {
            if factor.classes.as_ref().unwrap().0[factor.codes[i] as usize - 1] == 2 {
                column[i] = shift + scale * column[i];
            }
        }
        let dummies = model.dummies();
        let (own, plain) = (model.data(), model.plain(&dummies));
        for reml in REML {
            let usual = Options {
                reml,
                ..Options::default()
            };
            let [a, b] = [&own, &plain].map(|data| fitted(data, &usual, "anywhere"));
            near("anywhere", a.criterion, b.criterion, 1e-9);
            assert_eq!(a.certificate.status, Status::Converged, "{shift} {scale}");
            close("anywhere", &a.beta, &b.beta, 1e-6);
            assert!(
                a.certificate.evaluations < 40,
                "{}",
                a.certificate.evaluations
            );
        }
    }
}

/// With classes that share nothing the criterion with a known sigma is a sum, and each part has its own optimum.
#[test]
fn classes_that_share_nothing_are_models_of_their_own() {
    let mut model = named("slopes");
    let n = model.n();
    let class: Vec<usize> = (0..n)
        .map(|i| model.terms[0].class(model.factors[0].codes[i] as usize - 1))
        .collect();
    // X of each class: four columns
    let x: Vec<f64> = (0..2)
        .flat_map(|c| {
            let x = &model.x;
            let class = &class;
            (0..2 * n).map(move |e| f64::from(u8::from(class[e % n] == c)) * x[e])
        })
        .collect();
    let known = |reml| Options {
        sigma: Some(1.1),
        ..options(reml)
    };
    model.name = "apart".to_owned();
    for reml in REML {
        let mut data = model.data();
        (data.x, data.p) = (Column::of_matrix(&x, n, 4), 4);
        let whole = fitted(&data, &known(reml), "apart");
        let mut sum = 0.0;
        for c in 0..2 {
            let rows: Vec<usize> = (0..n).filter(|&i| class[i] == c).collect();
            let pick = |v: &[f64]| rows.iter().map(|&i| v[i]).collect::<Vec<f64>>();
            let mut part = model.clone();
            part.y = pick(&model.y);
            part.x = [pick(&model.x[..n]), pick(&model.x[n..])].concat();
            let mut seen: Vec<i32> = rows.iter().map(|&i| model.factors[0].codes[i]).collect();
            let all = seen.clone();
            seen.dedup();
            part.factors[0].codes = (all.iter())
                .map(|code| seen.iter().position(|s| s == code).unwrap() as i32 + 1)
                .collect();
            part.factors[0].levels = seen.len();
            part.terms[0].classes = None;
            part.terms[0].columns[1] = Some(pick(model.terms[0].columns[1].as_ref().unwrap()));
            let own = fitted(&part.data(), &known(reml), "part");
            sum += own.criterion;
            close(
                "apart",
                &whole.theta.values()[3 * c..3 * c + 3],
                own.theta.values(),
                1e-6,
            );
            close("apart", &whole.beta[2 * c..2 * c + 2], &own.beta, 1e-7);
        }
        near("apart", whole.criterion, sum, 1e-10);
    }
}

/// Block sizes around the widths of panels, for dense, sparse and eliminated storage; one, few and many levels.
#[test]
fn many_levels_of_any_number() {
    for (i, levels) in [1, 2, 95, 96, 97, 98, 193].into_iter().enumerate() {
        for known in [false, true] {
            let seed = 40 + i as u64;
            let classes = if levels == 1 { 1 } else { 2 };
            let factor = |builder: Builder| {
                let builder = builder.factor(levels, classes, |i| (i * 5 + i / 7) % levels);
                if known {
                    builder.known()
                } else {
                    builder
                }
            };
            let builder = Builder::new("levels", seed, 4 * levels + 60).factor(30, 0, |i| i % 30);
            let model = factor(builder)
                .term(0, Structure::Unstructured, 1)
                .term(1, Structure::Unstructured, 1)
                .build();
            let dummies = model.dummies();
            let (own, plain) = (model.data(), model.plain(&dummies));
            let [a, b] = [&own, &plain].map(|data| fitted(data, &options(true), "levels"));
            near("levels", a.criterion, b.criterion, 1e-9);
            if a.certificate.status == Status::Converged {
                close("levels", &a.beta, &b.beta, 1e-5);
            }
            let theta = a.theta.values();
            near("levels", a.criterion, model.brute(theta, true), 1e-10);
        }
    }
}

#[test]
fn the_same_bits_for_any_number_of_threads() {
    for model in all_models().into_iter().chain(with_residuals()) {
        let with = |threads| {
            let options = Options {
                threads,
                ..options(true)
            };
            fitted(&model.data(), &options, &model.name)
        };
        let one = with(1);
        for threads in [2, 4] {
            let other = with(threads);
            assert_eq!(one.theta, other.theta, "{}", model.name);
            assert_eq!(one.b, other.b, "{}", model.name);
            assert_eq!(one.criterion.to_bits(), other.criterion.to_bits());
        }
    }
}

/// By iteration the criterion and the optimum are those of factorisation, but for chance.
#[test]
fn iteration_knows_classes() {
    let model = Builder::new("iterative", 60, 1600)
        .factor(160, 2, |i| i % 160)
        .factor(90, 3, |i| (i * 7 + i / 160 * 3) % 90)
        .term(0, Structure::Unstructured, 2)
        .term(1, Structure::Unstructured, 1)
        .slope(1)
        .otherwise(2)
        .build();
    let data = model.data();
    for reml in REML {
        let exact = fitted(&data, &options(reml), "exact");
        let iterative = Options {
            solver: Solver::Iterative,
            tolerance: 1e-12,
            ..options(reml)
        };
        let found = fitted(&data, &iterative, "iterative");
        let chance = &found.certificate.monte_carlo;
        assert!(chance.vectors > 0);
        let off = (found.criterion - exact.criterion).abs();
        assert!(
            off < 5.0 * chance.criterion + 1e-3,
            "{off} {}",
            chance.criterion
        );
        close(
            "iterative",
            found.theta.values(),
            exact.theta.values(),
            0.02,
        );
        // the gradient is the derivative of the estimate
        let status = found.certificate.status;
        assert!(status == Status::Converged, "{status:?}");
    }
}

#[test]
fn what_does_not_go_with_classes_is_refused() {
    let model = &named("known precision");
    let mut data = model.data();
    // neighbours of different classes
    let other: Vec<i32> = (0..24).map(|level| level % 3 / 2 + 1).collect();
    data.terms[0].classes = Some(Classes {
        codes: &other,
        count: 2,
    });
    let refused = fit(&data, &Options::default(), &|| false);
    assert!(
        matches!(refused, Err(EngineError::CoupledClasses { factor: 0 })),
        "{refused:?}"
    );
    // a class without a level
    data = model.data();
    let codes = vec![1; 24];
    data.terms[0].classes = Some(Classes {
        codes: &codes,
        count: 2,
    });
    let refused = fit(&data, &Options::default(), &|| false);
    assert!(
        matches!(refused, Err(EngineError::Dimension(_))),
        "{refused:?}"
    );
}
