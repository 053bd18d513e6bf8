//! Condensed rows that stand for the observations of cells give the fit of the observations.

#![allow(clippy::expect_used)]

mod common;

use std::collections::HashMap;

use common::{close, near, shapes, Model};
use ferrolmm_engine::data::cells::{Cells, Condensed};
use ferrolmm_engine::inference::{self, SecondDerivatives, Update};
use ferrolmm_engine::runtime::stop::StopFlag;
use ferrolmm_engine::{
    fit, raw_moments, Column, EngineError, Fit, GroupingFactor, ModelData, Options, RandomTerm,
    StandsFor,
};

/// The condensed rows of a model whose cells are combinations of levels, every column of X and Z and the response being numbers.
struct Short {
    rows: Condensed,
    /// Codes of each factor, one a condensed row.
    codes: Vec<Vec<i32>>,
}

impl Short {
    /// From parts of the rows, `parts` of them, whose cells are added up.
    fn of(model: &Model, parts: usize) -> Self {
        let n = model.n();
        let mut numbers: Vec<Vec<f64>> = (0..model.p)
            .map(|j| model.x[j * n..(j + 1) * n].to_vec())
            .collect();
        for column in model.terms.iter().flat_map(|t| &t.columns) {
            numbers.push(column.clone().unwrap_or_else(|| vec![1.0; n]));
        }
        let offset = |i: usize| model.offset.as_ref().map_or(0.0, |o| o[i]);
        numbers.push((0..n).map(|i| model.y[i] - offset(i)).collect());
        let mut cell_of: HashMap<Vec<i32>, i32> = HashMap::new();
        let mut tuples: Vec<Vec<i32>> = Vec::new();
        let code: Vec<i32> = (0..n)
            .map(|i| {
                let tuple: Vec<i32> = model.factors.iter().map(|(codes, _)| codes[i]).collect();
                *cell_of.entry(tuple.clone()).or_insert_with(|| {
                    tuples.push(tuple);
                    tuples.len() as i32
                })
            })
            .collect();
        let mut cells = Cells::empty(numbers.len(), tuples.len());
        for part in 0..parts {
            let rows: Vec<usize> = (0..n).filter(|i| i % parts == part).collect();
            let take = |v: &[f64]| rows.iter().map(|&i| v[i]).collect::<Vec<f64>>();
            let own: Vec<Vec<f64>> = numbers.iter().map(|v| take(v)).collect();
            let columns: Vec<&[f64]> = own.iter().map(Vec::as_slice).collect();
            let weights = model.weights.as_deref().map(take);
            let code: Vec<i32> = rows.iter().map(|&i| code[i]).collect();
            let mut some = Cells::empty(numbers.len(), tuples.len());
            some.add_rows(&code, &columns, weights.as_deref(), &StopFlag::default())
                .expect(model.name);
            let same: Vec<i32> = (0..tuples.len() as i32).collect();
            cells.add(&some, &same).expect(model.name);
        }
        let keep: Vec<usize> = (0..numbers.len()).collect();
        let rows = cells.condense(&keep).expect(model.name);
        let codes = (0..model.factors.len())
            .map(|f| {
                rows.cell
                    .iter()
                    .map(|c| tuples[*c as usize - 1][f])
                    .collect()
            })
            .collect();
        Self { rows, codes }
    }

    fn column(&self, v: usize) -> &[f64] {
        let n = self.rows.cell.len();
        &self.rows.values[v * n..(v + 1) * n]
    }

    fn data<'a>(&'a self, like: &ModelData<'a>) -> ModelData<'a> {
        let mut next = like.p;
        let terms = like.terms.iter().map(|term| RandomTerm {
            columns: (term.columns.iter())
                .map(|_| {
                    next += 1;
                    Column::Values(self.column(next - 1))
                })
                .collect(),
            ..term.clone()
        });
        let terms = terms.collect();
        ModelData {
            y: self.column(next),
            x: (0..like.p)
                .map(|j| Column::Values(self.column(j)))
                .collect(),
            weights: Some(&self.rows.weights),
            offset: None,
            factors: (like.factors.iter())
                .zip(&self.codes)
                .map(|(factor, codes)| GroupingFactor {
                    members: None,
                    counts: None,
                    codes,
                    ..factor.clone()
                })
                .collect(),
            terms,
            stands_for: Some(StandsFor {
                counts: &self.rows.counts,
                log_weights: &self.rows.log_weights,
            }),
            ..like.clone()
        }
    }
}

fn exactly() -> Options {
    Options {
        tolerance: 1e-22,
        ..Options::default()
    }
}

fn known(values: &[f64]) -> Vec<f64> {
    values.iter().copied().filter(|v| !v.is_nan()).collect()
}

fn same_fit(name: &str, rows: &Fit, condensed: &Fit, tolerance: f64) {
    near(name, condensed.criterion, rows.criterion, tolerance);
    near(name, condensed.sigma, rows.sigma, tolerance);
    close(
        name,
        condensed.theta.values(),
        rows.theta.values(),
        tolerance,
    );
    close(name, &known(&condensed.beta), &known(&rows.beta), tolerance);
    close(
        name,
        &condensed.vcov_unscaled,
        &rows.vcov_unscaled,
        tolerance,
    );
    close(name, &condensed.b, &rows.b, tolerance);
    near(name, condensed.wrss, rows.wrss, tolerance);
}

#[test]
fn condensed_rows_give_the_fit_of_the_observations() {
    for model in shapes::all() {
        let data = model.data();
        for parts in [1, 3] {
            let short = Short::of(&model, parts);
            let own = short.data(&data);
            assert_eq!(own.n(), data.n(), "{}", model.name);
            for reml in [true, false] {
                let options = Options { reml, ..exactly() };
                let rows = fit(&data, &options, &|| false).expect(model.name);
                let own = fit(&own, &options, &|| false).expect(model.name);
                same_fit(model.name, &rows, &own, 1e-9);
                assert_eq!(
                    own.certificate.status, rows.certificate.status,
                    "{}",
                    model.name
                );
            }
        }
    }
}

#[test]
fn condensed_rows_give_inference_and_cross_products() {
    for model in [
        shapes::one_slope(),
        shapes::sparse_crossed(),
        shapes::rank_deficient(),
    ] {
        let (data, name) = (model.data(), model.name);
        let short = Short::of(&model, 2);
        let own = short.data(&data);
        let found = fit(&data, &exactly(), &|| false).expect(name);
        let options = Options {
            start: Some(found.theta.clone()),
            optimize: false,
            ..Options::default()
        };
        let [a, b] = [&data, &own].map(|data| {
            let found = inference::satterthwaite(data, &options, &|| false).expect(name);
            (0..found_rank(&found))
                .map(|c| found.ddf(c, found_rank(&found)))
                .collect::<Vec<f64>>()
        });
        close(name, &b, &a, 1e-8);
        let [a, b] = [&data, &own].map(|data| {
            inference::kenward_roger(data, SecondDerivatives::InParameters, &options, &|| false)
                .expect(name)
        });
        close(name, &b.adjusted, &a.adjusted, 1e-8);
        let [a, b] = [&data, &own].map(|data| raw_moments(data, 1, &|| false).expect(name));
        assert_eq!(a.n, b.n);
        near(name, a.sum_log_weights, b.sum_log_weights, 1e-12);
    }
}

fn found_rank(found: &inference::Satterthwaite) -> usize {
    let s = (found.covariance.len() as f64).sqrt() as usize;
    ((found.vcov_gradient.len() / s) as f64).sqrt() as usize
}

/// Whole levels are taken out with all of their condensed rows.
#[test]
fn levels_are_deleted_from_condensed_rows() {
    for model in [shapes::one_slope(), shapes::sparse_crossed()] {
        let (data, name) = (model.data(), model.name);
        let short = Short::of(&model, 1);
        let own = short.data(&data);
        let found = fit(&data, &exactly(), &|| false).expect(name);
        let options = Options {
            start: Some(found.theta.clone()),
            ..exactly()
        };
        let sets = |codes: &[i32]| -> Vec<Vec<usize>> {
            (1..=3)
                .map(|level| (0..codes.len()).filter(|&i| codes[i] == level).collect())
                .collect()
        };
        for update in [Update::None, Update::Step, Update::Exact] {
            let of = |data: &ModelData<'_>| {
                let sets = sets(data.factors[0].codes);
                inference::deletions(data, &sets, update, &options, &|| false).expect(name)
            };
            for (a, b) in of(&data).iter().zip(of(&own)) {
                let (a, b) = (a.as_ref().expect(name), b.expect(name));
                near(name, b.sigma, a.sigma, 1e-7);
                near(name, b.criterion, a.criterion, 1e-9);
                close(name, &known(&b.beta), &known(&a.beta), 1e-7);
            }
        }
    }
}

#[test]
fn single_observations_are_asked_for_in_vain() {
    let model = shapes::one_slope();
    let data = model.data();
    let short = Short::of(&model, 1);
    let own = short.data(&data);
    let options = Options {
        start: Some(vec![1.0, 0.0, 1.0].into()),
        optimize: false,
        ..Options::default()
    };
    let leverages = inference::leverages(&own, &options, &|| false).unwrap_err();
    assert!(
        matches!(leverages, EngineError::NeedsRows { .. }),
        "{leverages}"
    );
    let mut counts = short.rows.counts.clone();
    counts[0] = 0.5;
    let wrong = ModelData {
        stands_for: Some(StandsFor {
            counts: &counts,
            log_weights: &short.rows.log_weights,
        }),
        ..own.clone()
    };
    assert!(matches!(
        fit(&wrong, &exactly(), &|| false),
        Err(EngineError::Dimension(_))
    ));
}
