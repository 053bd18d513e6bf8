//! Cross-products that stand for rows: taken out, added up and put in again they give the fit of the rows.

#![allow(clippy::expect_used)]

mod common;

use common::{close, near, shapes, Model};
use ferrolmm_engine::{
    fit, inference, raw_moments, Column, EngineError, Fit, GroupingFactor, ModelData, Options,
    RandomTerm, RawMoments,
};

fn moments_of(model: &Model) -> RawMoments {
    raw_moments(&model.data(), 1, &|| false).expect(model.name)
}

/// The model without its rows.
fn without_rows<'a>(data: &ModelData<'a>, moments: &'a RawMoments) -> ModelData<'a> {
    ModelData {
        y: &[],
        x: vec![Column::Absent; data.p],
        p: data.p,
        weights: None,
        offset: None,
        factors: (data.factors.iter())
            .zip(&moments.factors)
            .map(|(factor, own)| GroupingFactor {
                members: None,
                counts: None,
                codes: &[],
                n_levels: own.n_levels,
                precision: factor.precision,
            })
            .collect(),
        terms: (data.terms.iter())
            .map(|term| RandomTerm {
                factor: term.factor,
                columns: vec![Column::Absent; term.columns.len()],
                structure: term.structure,
                classes: term.classes,
            })
            .collect(),
        residual: None,
        moments: Some(moments),
        stands_for: None,
    }
}

/// As close to an optimum as the criterion's digits allow.
fn exactly() -> Options {
    Options {
        tolerance: 1e-22,
        ..Options::default()
    }
}

/// theta is where the gradient is no more than rounding, which is that of sums in another order
/// over the curvature; the criterion, stationary there, has a digit more than theta and
/// what follows from it.
fn same_fit(name: &str, rows: &Fit, moments: &Fit, tolerance: f64) {
    near(name, moments.criterion, rows.criterion, tolerance);
    near(name, moments.sigma, rows.sigma, 10.0 * tolerance);
    close(
        name,
        moments.theta.values(),
        rows.theta.values(),
        10.0 * tolerance,
    );
    let known = |beta: &[f64]| {
        beta.iter()
            .copied()
            .filter(|v| !v.is_nan())
            .collect::<Vec<_>>()
    };
    assert_eq!(moments.pivot, rows.pivot, "{name}");
    let tolerance = 10.0 * tolerance;
    close(name, &known(&moments.beta), &known(&rows.beta), tolerance);
    close(name, &moments.vcov_unscaled, &rows.vcov_unscaled, tolerance);
    close(name, &moments.b, &rows.b, tolerance);
    assert!(moments.fitted.is_empty() && moments.residuals.is_empty());
}

#[test]
fn a_fit_from_moments_is_the_fit_of_the_rows() {
    for model in shapes::all() {
        let data = model.data();
        let moments = moments_of(&model);
        for reml in [true, false] {
            let options = Options { reml, ..exactly() };
            let rows = fit(&data, &options, &|| false).expect(model.name);
            let own = fit(&without_rows(&data, &moments), &options, &|| false).expect(model.name);
            same_fit(model.name, &rows, &own, 1e-12);
            assert_eq!(
                own.certificate.status, rows.certificate.status,
                "{}",
                model.name
            );
        }
    }
}

/// Rows `rows` of a model, with levels numbered in the order in which they occur there, and which level of the model each is.
fn part_of(model: &Model, rows: &[usize]) -> (Model, Vec<Vec<u32>>) {
    let n = model.n();
    let take = |v: &[f64]| rows.iter().map(|&i| v[i]).collect::<Vec<f64>>();
    let mut maps = Vec::new();
    let factors = (model.factors.iter())
        .map(|(codes, _)| {
            let mut map: Vec<u32> = Vec::new();
            let own = (rows.iter())
                .map(|&i| {
                    let level = codes[i] as u32 - 1;
                    let at = map.iter().position(|&l| l == level).unwrap_or_else(|| {
                        map.push(level);
                        map.len() - 1
                    });
                    at as i32 + 1
                })
                .collect();
            let levels = map.len();
            maps.push(map);
            (own, levels)
        })
        .collect();
    let mut part = model.clone();
    part.y = take(&model.y);
    part.x = (0..model.p)
        .flat_map(|j| take(&model.x[j * n..(j + 1) * n]))
        .collect();
    part.weights = model.weights.as_deref().map(take);
    part.offset = model.offset.as_deref().map(take);
    part.factors = factors;
    for term in &mut part.terms {
        for column in term.columns.iter_mut().flatten() {
            *column = take(column);
        }
    }
    (part, maps)
}

#[test]
fn moments_of_parts_add_up_to_those_of_the_whole() {
    for model in shapes::all() {
        let whole = moments_of(&model);
        // parts of very different size, every third row in another one, and one of a single row
        let n = model.n();
        let part = |i: usize| match i {
            0 => 0,
            i if i % 3 == 0 => 1,
            i if i < n / 5 => 2,
            _ => 3,
        };
        let mut sum: Option<RawMoments> = None;
        for k in 0..4 {
            let rows: Vec<usize> = (0..n).filter(|&i| part(i) == k).collect();
            let (own, maps) = part_of(&model, &rows);
            let own = moments_of(&own);
            let sum = sum.get_or_insert_with(|| RawMoments {
                n: 0,
                sum_log_weights: 0.0,
                xx: vec![[0.0; 2]; own.xx.len()],
                factors: (own.factors.iter())
                    .map(|f| ferrolmm_engine::RawFactor {
                        n_levels: 0,
                        zz: Vec::new(),
                        zx: Vec::new(),
                        ..f.clone()
                    })
                    .collect(),
                pairs: (own.pairs.iter())
                    .map(|pair| ferrolmm_engine::RawPair {
                        start: vec![0],
                        level: Vec::new(),
                        value: Vec::new(),
                        ..pair.clone()
                    })
                    .collect(),
                ..own.clone()
            });
            sum.merge(&own, &maps).expect(model.name);
        }
        let sum = sum.expect("parts");
        let name = model.name;
        let high = |v: &[[f64; 2]]| v.iter().map(|v| v[0]).collect::<Vec<f64>>();
        assert_eq!(sum.n, whole.n);
        near(name, sum.sum_log_weights, whole.sum_log_weights, 1e-13);
        close(name, &high(&sum.xx), &high(&whole.xx), 1e-15);
        for (a, b) in sum.factors.iter().zip(&whole.factors) {
            assert_eq!(a.n_levels, b.n_levels, "{name}");
            close(name, &high(&a.zz), &high(&b.zz), 1e-15);
            close(name, &high(&a.zx), &high(&b.zx), 1e-15);
        }
        for (a, b) in sum.pairs.iter().zip(&whole.pairs) {
            assert_eq!((&a.start, &a.level), (&b.start, &b.level), "{name}");
            close(name, &high(&a.value), &high(&b.value), 1e-15);
        }
        let data = model.data();
        let rows = fit(&data, &exactly(), &|| false).expect(name);
        let own = fit(&without_rows(&data, &sum), &exactly(), &|| false).expect(name);
        same_fit(name, &rows, &own, 1e-12);
    }
}

/// A response of 1e6 with residuals of 1e-3 has 18 digits more in its square than in theirs.
#[test]
fn a_response_far_from_zero_leaves_the_digits_of_its_residuals() {
    let mut near_zero = shapes::one_slope();
    near_zero
        .y
        .iter_mut()
        .for_each(|y| *y = (*y * 1e-3 * 2f64.powi(30)).round() / 2f64.powi(30));
    let mut far = near_zero.clone();
    // exact: both have few binary digits
    far.y.iter_mut().for_each(|y| *y += 1e6);
    let moments = moments_of(&far);
    let data = far.data();
    let own = fit(&without_rows(&data, &moments), &exactly(), &|| false).expect("far");
    let rows = fit(&near_zero.data(), &exactly(), &|| false).expect("near");
    near("sigma", own.sigma, rows.sigma, 1e-10);
    close("theta", own.theta.values(), rows.theta.values(), 1e-9);
    near("slope", own.beta[1], rows.beta[1], 1e-10);
}

#[test]
fn inference_needs_no_rows() {
    for model in [
        shapes::one_slope(),
        shapes::sparse_crossed(),
        shapes::rank_deficient(),
    ] {
        let data = model.data();
        let moments = moments_of(&model);
        let here = without_rows(&data, &moments);
        let found = fit(&data, &exactly(), &|| false).expect(model.name);
        let options = Options {
            start: Some(found.theta.clone()),
            optimize: false,
            ..Options::default()
        };
        let [a, b] = [&data, &here]
            .map(|data| inference::satterthwaite(data, &options, &|| false).expect(model.name));
        let ddf = |s: &inference::Satterthwaite| {
            (0..found.rank)
                .map(|c| s.ddf(c, found.rank))
                .collect::<Vec<f64>>()
        };
        close(model.name, &ddf(&b), &ddf(&a), 1e-9);
        let [a, b] = [&data, &here].map(|data| {
            inference::kenward_roger(
                data,
                inference::SecondDerivatives::InParameters,
                &options,
                &|| false,
            )
            .expect(model.name)
        });
        close(model.name, &b.adjusted, &a.adjusted, 1e-9);
    }
}

#[test]
fn what_needs_rows_says_so_and_wrong_moments_are_refused() {
    let model = shapes::one_slope();
    let data = model.data();
    let moments = moments_of(&model);
    let here = without_rows(&data, &moments);
    let options = Options {
        start: Some(vec![1.0, 0.0, 1.0].into()),
        optimize: false,
        ..Options::default()
    };
    let leverages = inference::leverages(&here, &options, &|| false).unwrap_err();
    assert!(
        matches!(leverages, EngineError::NeedsRows { .. }),
        "{leverages}"
    );
    assert_eq!(leverages.class(), "needs_rows");
    let again = raw_moments(&here, 1, &|| false).unwrap_err();
    assert!(matches!(again, EngineError::NeedsRows { .. }), "{again}");
    let refused = |change: &dyn Fn(&mut RawMoments)| {
        let mut wrong = moments.clone();
        change(&mut wrong);
        let found = fit(&without_rows(&data, &wrong), &exactly(), &|| false);
        assert!(matches!(found, Err(EngineError::Dimension(_))), "{found:?}");
    };
    refused(&|m| m.p += 1);
    refused(&|m| {
        m.xx.pop();
    });
    refused(&|m| {
        m.factors[0].zz.pop();
    });
    refused(&|m| m.factors[0].zx[3] = [f64::NAN, 0.0]);
    refused(&|m| m.n = 0);
    let mut huge = moments.clone();
    huge.xx
        .iter_mut()
        .for_each(|v| *v = [v[0] * 1e80, v[1] * 1e80]);
    let found = fit(&without_rows(&data, &huge), &exactly(), &|| false);
    assert!(matches!(found, Err(EngineError::Size { .. })), "{found:?}");
    let mut sum = moments.clone();
    let twice = vec![vec![0; moments.factors[0].n_levels]];
    assert!(sum.merge(&moments, &twice).is_err());
    assert_eq!(sum, moments);
}

/// Effects a million times as large as residuals: [Q r] is centred at them, and cross-products are taken with twice the digits.
#[test]
fn moments_are_centred_at_effects_without_rows() {
    for mut model in [
        shapes::one_slope(),
        shapes::sparse_crossed(),
        shapes::sparse_nested(),
        shapes::wide_schur(),
    ] {
        let name = model.name;
        let factors = model.factors.clone();
        for (f, (codes, _)) in factors.iter().enumerate() {
            for (y, code) in model.y.iter_mut().zip(codes) {
                *y += 1e6 * (f64::from(*code) * 1.7 + f as f64).sin();
            }
        }
        let data = model.data();
        let moments = moments_of(&model);
        for reml in [true, false] {
            let options = Options {
                reml,
                ..Options::default()
            };
            let optimum = fit(&data, &options, &|| false).expect(name);
            let theta = optimum.theta.clone();
            let largest = theta
                .values()
                .iter()
                .fold(0.0f64, |most, v| most.max(v.abs()));
            assert!(largest > 1e4, "{name}: {largest}");
            // at one theta: so far out the criterion does not tell its last digits
            let options = Options {
                start: Some(theta),
                optimize: false,
                ..options
            };
            let rows = fit(&data, &options, &|| false).expect(name);
            let own = fit(&without_rows(&data, &moments), &options, &|| false).expect(name);
            near(name, own.criterion, rows.criterion, 1e-12);
            near(name, own.sigma, rows.sigma, 1e-10);
            close(name, &own.beta, &rows.beta, 1e-11);
            close(name, &own.vcov_unscaled, &rows.vcov_unscaled, 1e-11);
            close(name, &own.b, &rows.b, 1e-10);
        }
    }
}
