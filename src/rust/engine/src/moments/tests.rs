//! Few rows with the cross-products of many against all of them, through whole fits.

use crate::api::kinds::CorrelationKind;
use crate::api::model::{
    Column, Correlation, GroupingFactor, ModelData, Position, ResidualStructure, Scale,
};
use crate::api::options::Options;
use crate::api::result::Fit;
use crate::basis::internal_theta::InternalTheta;
use crate::criterion::objective::Criterion;
use crate::fit::estimates::RowResults;
use crate::fit::pipeline::fit_prepared;
use crate::fit::prepare::prepare;
use crate::fit::prepared::Prepared;
use crate::fit::rounds::AtOptimum;
use crate::inference::{self, at_point, Satterthwaite};
use crate::moments::residual_part::ResidualPart;
use crate::runtime::stop::StopFlag;
use crate::structure::residual::Residual;

/// Subjects with up to four visits, in two arms; the predictors are badly conditioned.
struct Trial {
    y: Vec<f64>,
    x: Vec<f64>,
    weights: Vec<f64>,
    subject: Vec<i32>,
    visit: Vec<i32>,
    stratum: Vec<i32>,
    subjects: usize,
}

const P: usize = 5;

fn kind(name: &str) -> CorrelationKind {
    CorrelationKind::named(name).unwrap()
}

fn trial(subjects: usize, by_arm: bool) -> Trial {
    let mut seed = 7u64;
    let mut uniform = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 11) as f64 / (1u64 << 53) as f64
    };
    let mut normal = move || (0..12).map(|_| uniform()).sum::<f64>() - 6.0;
    let mut out = Trial {
        y: Vec::new(),
        x: Vec::new(),
        weights: Vec::new(),
        subject: Vec::new(),
        visit: Vec::new(),
        stratum: Vec::new(),
        subjects,
    };
    let mut rows: Vec<[f64; P]> = Vec::new();
    for s in 0..subjects {
        let arm = s % 2;
        let (level, baseline) = (normal(), normal());
        for v in 1..=4 {
            if normal() > 1.5 {
                continue;
            }
            let time = f64::from(v) + 2000.0;
            rows.push([
                1.0,
                arm as f64,
                time,
                time * time,
                1e4 + 1e-2 * baseline * f64::from(v),
            ]);
            let noise = 0.7 * level + normal() * (1.0 + 0.3 * f64::from(v));
            out.y.push(3.0 + 0.5 * arm as f64 + noise);
            out.weights.push(1.0 + f64::from(v % 2));
            out.subject.push(s as i32 + 1);
            out.visit.push(v);
            out.stratum
                .push(if by_arm { v + 4 * arm as i32 } else { v });
        }
    }
    out.x = (0..P)
        .flat_map(|j| rows.iter().map(move |r| r[j]).collect::<Vec<_>>())
        .collect();
    out
}

impl Trial {
    fn data(&self, correlation: Option<Correlation<'static>>) -> ModelData<'_> {
        let correlation = correlation.map(|given| {
            let position = match given.position {
                Position::Visits { .. } => Position::Visits {
                    visit: &self.visit,
                    visits: 4,
                },
                Position::Whole(_) => Position::Whole(&self.visit),
                other => other,
            };
            Correlation { position, ..given }
        });
        ModelData {
            moments: None,
            stands_for: None,
            y: &self.y,
            x: Column::of_matrix(&self.x, self.y.len(), P),
            p: P,
            weights: Some(&self.weights),
            offset: None,
            factors: Vec::new(),
            terms: Vec::new(),
            residual: Some(ResidualStructure {
                groups: Some(GroupingFactor {
                    members: None,
                    counts: None,
                    codes: &self.subject,
                    n_levels: self.subjects,
                    precision: None,
                }),
                correlation,
                scales: vec![Scale::Ident {
                    stratum: &self.stratum,
                    strata: self.stratum.iter().copied().max().unwrap_or(1) as usize,
                }],
                start: Vec::new(),
                held: Vec::new(),
            }),
        }
    }
}

fn of_all_rows(data: &ModelData<'_>, prepared: &mut Prepared) {
    let part = ResidualPart::of_all_rows(
        data,
        prepared.coordinates(),
        &prepared.center,
        Residual::new(data.residual.as_ref().expect("a structure"), data.n()).expect("valid"),
    );
    prepared.residual = Some(part);
}

fn fits(data: &ModelData<'_>, options: &Options, whole: bool) -> (Fit, Satterthwaite, usize) {
    let mut prepared = prepare(data, options, &StopFlag::default()).expect("prepared");
    if whole {
        of_all_rows(data, &mut prepared);
    }
    let rows = prepared.residual.as_ref().expect("a structure").rows.n();
    let (mut fitted, mut residuals) = (vec![0.0; data.n()], vec![0.0; data.n()]);
    let places = RowResults {
        fitted: &mut fitted,
        residuals: &mut residuals,
    };
    let mut s = None;
    let mut ask = |prepared: &Prepared, criterion: &mut Criterion<'_>, theta: &InternalTheta| {
        s = at_point(prepared, criterion, theta);
    };
    let at_optimum: Option<AtOptimum<'_>> = Some(&mut ask);
    let fit = fit_prepared(data, options, prepared, places, at_optimum, &|| false);
    let fit = fit.expect("fitted");
    let fit = Fit {
        fitted,
        residuals,
        ..fit
    };
    (fit, s.expect("inference"), rows)
}

fn near(what: &str, a: &[f64], b: &[f64], tolerance: f64) {
    assert_eq!(a.len(), b.len(), "{what}");
    let size = a.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    for (x, y) in a.iter().zip(b) {
        assert!((x - y).abs() <= tolerance * size, "{what}: {x} {y}");
    }
}

#[test]
fn fewer_groups_give_the_same_fit() {
    let (visit, time) = (&[][..], &[][..]);
    let kinds = [
        Some(Correlation::new(
            kind("us"),
            Position::Visits { visit, visits: 4 },
        )),
        Some(Correlation::new(kind("ar1"), Position::Whole(time))),
        Some(Correlation::new(kind("cs"), Position::None)),
        None,
    ];
    for by_arm in [false, true] {
        let trial = trial(900, by_arm);
        for kind in &kinds {
            for reml in [true, false] {
                let data = trial.data(kind.clone());
                let options = Options {
                    reml,
                    tolerance: 1e-12,
                    threads: 1,
                    ..Options::default()
                };
                let (all, s, rows) = fits(&data, &options, true);
                assert_eq!(rows, data.n());
                let (few, t, rows) = fits(&data, &options, false);
                assert!(rows < data.n() / 2, "{rows}");
                near("criterion", &[all.criterion], &[few.criterion], 1e-12);
                near("phi", &all.phi, &few.phi, 1e-8);
                near("sigma", &[all.sigma], &[few.sigma], 1e-8);
                near("vcov", &all.vcov_unscaled, &few.vcov_unscaled, 1e-7);
                near("fitted", &all.fitted, &few.fitted, 1e-9);
                near("covariance", &s.covariance, &t.covariance, 1e-5);
                // at one point nothing but rounding is left
                let at = Options {
                    start: Some(few.phi.clone().into()),
                    optimize: false,
                    ..options.clone()
                };
                let (all, s, _) = fits(&data, &at, true);
                let (few, t, _) = fits(&data, &at, false);
                near("criterion", &[all.criterion], &[few.criterion], 1e-13);
                near("wrss", &[all.wrss], &[few.wrss], 1e-11);
                near("vcov", &all.vcov_unscaled, &few.vcov_unscaled, 1e-10);
                near("fitted", &all.fitted, &few.fitted, 1e-10);
                near("beta", &all.beta, &few.beta, 1e-10);
                near("gradient", &s.vcov_gradient, &t.vcov_gradient, 1e-9);
                let threads = Options {
                    threads: 4,
                    ..options.clone()
                };
                let (other, ..) = fits(&data, &threads, false);
                let (one, ..) = fits(&data, &options, false);
                assert_eq!(one.phi, other.phi);
                assert_eq!(one.criterion.to_bits(), other.criterion.to_bits());
                if reml {
                    let kr = inference::kenward_roger(
                        &data,
                        inference::SecondDerivatives::InParameters,
                        &at,
                        &|| false,
                    );
                    assert!(kr.is_ok_and(|kr| kr.adjusted.iter().all(|v| v.is_finite())));
                }
            }
        }
    }
}

#[test]
fn rows_with_random_effects_stay() {
    let trial = trial(200, false);
    let mut data = trial.data(Some(Correlation::new(kind("cs"), Position::None)));
    let codes: Vec<i32> = (0..data.n() as i32).map(|i| i % 7 + 1).collect();
    data.factors = vec![GroupingFactor {
        members: None,
        counts: None,
        codes: &codes,
        n_levels: 7,
        precision: None,
    }];
    data.terms = vec![crate::api::model::RandomTerm {
        classes: None,
        factor: 0,
        columns: vec![Column::Constant],
        structure: crate::api::model::Structure::Unstructured,
    }];
    let prepared = prepare(&data, &Options::default(), &StopFlag::default()).expect("prepared");
    assert_eq!(prepared.residual.expect("a structure").rows.n(), data.n());
}
