//! Fixed effects of levels against the same model with a column of X for each level.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{near, Rng};
use ferrolmm_engine::{
    at_internal, fit, Column, EngineError, GroupingFactor, ModelData, Options, RandomTerm,
    Structure,
};

const ROWS: usize = 120;

struct Data {
    y: Vec<f64>,
    x: Vec<f64>,
    slope: Vec<f64>,
    weights: Vec<f64>,
    /// Codes of the random factor, and of those of fixed effects.
    h: Vec<i32>,
    fixed: Vec<(Vec<i32>, usize)>,
}

impl Data {
    /// Fixed factors with so many levels; the second in two sets that do not meet the other half of the first.
    fn new(seed: u64, levels: &[usize]) -> Self {
        let mut rng = Rng::new(seed);
        let mut codes = |levels: usize| -> Vec<i32> {
            let any = |i: usize, rng: &mut Rng| match i < levels {
                true => i,
                false => rng.below(levels),
            };
            (0..ROWS).map(|i| any(i, &mut rng) as i32 + 1).collect()
        };
        let h = codes(7);
        let mut fixed: Vec<(Vec<i32>, usize)> = levels.iter().map(|&l| (codes(l), l)).collect();
        if let [(first, all), (second, few), ..] = &mut fixed[..] {
            let half = *few as i32 / 2;
            for (a, b) in first.iter().zip(second) {
                let upper = *a > *all as i32 / 2;
                *b = if upper {
                    half + 1 + *b % (*few as i32 - half)
                } else {
                    1 + *b % half
                };
            }
        }
        let mut rng = Rng::new(seed + 1);
        Self {
            y: rng
                .normals(ROWS)
                .iter()
                .zip(&h)
                .map(|(e, h)| 20.0 + e + f64::from(*h))
                .collect(),
            x: rng.normals(ROWS),
            slope: rng.normals(ROWS),
            weights: (0..ROWS).map(|_| rng.between(0.5, 2.0)).collect(),
            h,
            fixed,
        }
    }

    /// `dense`: a value for each level of each dummy column.
    fn model<'a>(&'a self, dense: Option<&'a [Vec<f64>]>) -> ModelData<'a> {
        let factor = |codes: &'a [i32], n_levels| GroupingFactor {
            codes,
            members: None,
            n_levels,
            precision: None,
            counts: None,
        };
        let term = |factor, columns, structure| RandomTerm {
            factor,
            columns,
            structure,
            classes: None,
        };
        let mut x = vec![Column::Constant, Column::Values(&self.x)];
        let mut factors = vec![factor(&self.h, 7)];
        let slopes = vec![Column::Constant, Column::Values(&self.slope)];
        let mut terms = vec![term(0, slopes, Structure::Unstructured)];
        match dense {
            Some(dense) => {
                let mut values = dense.iter();
                for (codes, levels) in &self.fixed {
                    let own = values.by_ref().take(levels - 1);
                    x.extend(own.map(|values| Column::Coded { codes, values }));
                }
            }
            None => {
                for (codes, levels) in &self.fixed {
                    factors.push(factor(codes, *levels));
                    terms.push(term(
                        factors.len() - 1,
                        vec![Column::Constant],
                        Structure::Fixed,
                    ));
                }
            }
        }
        ModelData {
            y: &self.y,
            p: x.len(),
            x,
            weights: Some(&self.weights),
            offset: None,
            factors,
            terms,
            residual: None,
            moments: None,
            stands_for: None,
        }
    }

    fn dummies(&self) -> Vec<Vec<f64>> {
        let of = |levels: usize| {
            (1..levels).map(move |l| (0..levels).map(|k| f64::from(u8::from(k == l))).collect())
        };
        self.fixed
            .iter()
            .flat_map(|(_, levels)| of(*levels))
            .collect()
    }
}

fn options() -> Options {
    Options {
        reml: true,
        threads: 1,
        ..Options::default()
    }
}

#[test]
fn they_are_the_columns_of_their_levels() {
    for (seed, levels) in [
        (1, vec![20]),
        (2, vec![5]),
        (3, vec![20, 6]),
        (4, vec![12, 4, 5]),
    ] {
        let data = Data::new(seed, &levels);
        let dummies = data.dummies();
        let (own, dense) = (data.model(None), data.model(Some(&dummies)));
        for optimize in [false, true] {
            let at = Options {
                start: (!optimize).then(|| vec![0.7, 0.2, 0.4].into()),
                optimize,
                ..options()
            };
            let (own, dense) = (
                fit(&own, &at, &|| false).unwrap(),
                fit(&dense, &at, &|| false).unwrap(),
            );
            let what = format!("{levels:?} {optimize}");
            near(&what, own.criterion, dense.criterion, 1e-9);
            near(&what, own.sigma, dense.sigma, 1e-7);
            near(&what, own.beta[1], dense.beta[1], 1e-6);
            assert!(own.beta[0].is_nan());
            assert_eq!(own.rank + own.eliminated, dense.rank, "{what}");
            let error = |fit: &ferrolmm_engine::Fit, j: usize| {
                fit.vcov_unscaled[j * fit.rank + j].sqrt() * fit.sigma
            };
            near(&what, error(&own, 0), error(&dense, 1), 1e-6);
            for (a, b) in own.fitted.iter().zip(&dense.fitted) {
                near(&what, *a, *b, 1e-6);
            }
            for (a, b) in own.theta.values().iter().zip(dense.theta.values()) {
                near(&what, *a, *b, 1e-5);
            }
        }
        let start = at_internal(&own, &options(), None).unwrap();
        let at = |x: &_| at_internal(&own, &options(), Some(x)).unwrap();
        for a in 0..start.0.len() {
            let step = 1e-5;
            let moved = |by: f64| {
                let mut x = start.0.clone();
                x.values_mut()[a] += by;
                at(&x).1
            };
            let slope = (moved(step) - moved(-step)) / (2.0 * step);
            near("gradient", start.2[a], slope, 1e-5 * (1.0 + slope.abs()));
        }
    }
}

#[test]
fn what_is_not_known_beside_them_is_refused() {
    let data = Data::new(5, &[20]);
    let model = data.model(None);
    let ml = Options {
        reml: false,
        ..options()
    };
    let refused =
        |found: Result<_, EngineError>| matches!(found, Err(EngineError::FixedLevels { .. }));
    assert!(refused(fit(&model, &ml, &|| false)));
    let mut two = model.clone();
    two.terms[1].columns.push(Column::Values(&data.slope));
    assert!(refused(fit(&two, &options(), &|| false)));
}
