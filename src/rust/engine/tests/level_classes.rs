//! Classes of levels with covariance matrices of their own, against the definition: V is formed n x n.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::brute::{cholesky, forward, qr};
use common::internal::Prepared;
use common::{close, near, shapes, Model, Rng};
use ferrolmm_engine::basis::internal_theta::InternalTheta;
use ferrolmm_engine::criterion::objective::Criterion;
use ferrolmm_engine::{Classes, EngineError, ModelData};

/// Six-point weights of differences for the steps 1, 2 and 3.
const WEIGHTS: [f64; 3] = [45.0 / 60.0, -9.0 / 60.0, 1.0 / 60.0];

/// Classes of the levels of each factor; `None`: one covariance matrix for all of them.
struct Grouped {
    model: Model,
    classes: Vec<Option<(Vec<i32>, usize)>>,
}

impl Grouped {
    /// Classes for the levels of these factors.
    fn new(model: Model, grouped: &[usize]) -> Self {
        let of_factor = |(f, (_, levels)): (usize, &(Vec<i32>, usize))| {
            let count = 2 + f % 2;
            let class = |level: usize| ((level * 7 % 5 + level) % count + 1) as i32;
            let has = grouped.contains(&f);
            has.then(|| ((0..*levels).map(class).collect(), count))
        };
        let classes = model.factors.iter().enumerate().map(of_factor).collect();
        Self { model, classes }
    }

    fn data(&self) -> ModelData<'_> {
        let mut data = self.model.data();
        for term in &mut data.terms {
            let classes = self.classes[term.factor].as_ref();
            term.classes = classes.map(|(codes, count)| Classes {
                codes,
                count: *count,
            });
        }
        data
    }

    /// Class of a level, from 0.
    fn class(&self, factor: usize, level: usize) -> usize {
        let classes = self.classes[factor].as_ref();
        classes.map_or(0, |(codes, _)| codes[level] as usize - 1)
    }

    fn count(&self, factor: usize) -> usize {
        self.classes[factor].as_ref().map_or(1, |(_, count)| *count)
    }

    /// B T of each term and class at internal parameters: each term has those of one class after the other.
    fn lambdas(&self, prepared: &Prepared, x: &InternalTheta) -> Vec<Vec<Vec<f64>>> {
        let mut values = x.values().iter();
        let terms = self.model.terms.iter().enumerate();
        terms
            .map(|(t, term)| {
                let k = term.k();
                let of_class = |class: usize| {
                    let mut bases = prepared.bases.iter().filter(|basis| basis.term == t);
                    let basis = bases.nth(class).unwrap();
                    let mut t = vec![0.0; k * k];
                    for (i, j) in term.entries() {
                        t[j * k + i] = *values.next().unwrap();
                    }
                    let entry = |e: usize| {
                        let row = |m: usize| basis.change[m * k + e % k];
                        (0..k).map(|m| row(m) * t[e / k * k + m]).sum()
                    };
                    (0..k * k).map(entry).collect()
                };
                (0..self.count(term.factor)).map(of_class).collect()
            })
            .collect()
    }

    /// The criterion by definition.
    fn brute(&self, prepared: &Prepared, x: &InternalTheta, reml: bool) -> f64 {
        let (model, n) = (&self.model, self.model.n());
        let mut v = vec![0.0; n * n];
        (0..n).for_each(|i| v[i * n + i] = 1.0 / model.weight(i));
        for (term, lambda) in model.terms.iter().zip(self.lambdas(prepared, x)) {
            let k = term.k();
            let codes = &model.factors[term.factor].0;
            let half = |i: usize| -> Vec<f64> {
                let lambda = &lambda[self.class(term.factor, codes[i] as usize - 1)];
                let value = |c: usize| (0..k).map(|r| term.value(r, i) * lambda[c * k + r]).sum();
                (0..k).map(value).collect()
            };
            let half: Vec<Vec<f64>> = (0..n).map(half).collect();
            for i in 0..n {
                for j in (0..=i).filter(|&j| codes[i] == codes[j]) {
                    v[i * n + j] += half[i]
                        .iter()
                        .zip(&half[j])
                        .map(|(a, b)| a * b)
                        .sum::<f64>();
                }
            }
        }
        let l = cholesky(&v, n).expect("V is positive definite");
        let log_det_v: f64 = 2.0 * (0..n).map(|i| l[i * n + i].ln()).sum::<f64>();
        let solved = |mut column: Vec<f64>| {
            forward(&l, n, &mut column);
            column
        };
        let mut log_scale = 0.0;
        let mut columns = Vec::new();
        for &j in &model.kept {
            let column = &model.x[j * n..(j + 1) * n];
            let size = column.iter().map(|v| v * v).sum::<f64>().sqrt();
            log_scale += size.ln();
            columns.push(solved(column.iter().map(|v| v / size).collect()));
        }
        let r = columns.len();
        let shift = |i: usize| model.offset.as_ref().map_or(0.0, |o| o[i]);
        columns.push(solved((0..n).map(|i| model.y[i] - shift(i)).collect()));
        let (_, upper) = qr(&columns);
        let diagonal = |c: usize| upper[c * (r + 1) + c];
        let log_det_x = 2.0 * ((0..r).map(|c| diagonal(c).ln()).sum::<f64>() + log_scale);
        let degrees = (n - if reml { r } else { 0 }) as f64;
        let scale = 2.0 * std::f64::consts::PI * diagonal(r).powi(2) / degrees;
        log_det_v + if reml { log_det_x } else { 0.0 } + degrees * (1.0 + scale.ln())
    }
}

/// Random internal parameters, those of different classes different.
fn point(prepared: &Prepared, rng: &mut Rng) -> InternalTheta {
    let list = prepared.parameters.list.iter();
    list.map(|a| {
        if a.entries[0].0 == a.entries[0].1 {
            rng.between(0.3, 1.5)
        } else {
            rng.between(-0.6, 0.6)
        }
    })
    .collect()
}

/// Every shape, with classes of the levels of some of its factors.
fn all() -> Vec<Grouped> {
    let mut models = shapes::all();
    models.extend([shapes::dense_w(), shapes::sparse_slopes()]);
    let mut out = Vec::new();
    for model in models {
        let last = model.factors.len() - 1;
        let every: Vec<usize> = (0..=last).collect();
        let choices = if last == 0 {
            vec![vec![0]]
        } else {
            vec![vec![0], vec![last], every]
        };
        out.extend(choices.iter().map(|some| Grouped::new(model.clone(), some)));
    }
    out
}

fn gradient(criterion: &mut Criterion<'_>, x: &InternalTheta) -> Vec<f64> {
    criterion.value(x).expect("the criterion is defined");
    criterion.latest().unwrap().derivatives.gradient.clone()
}

#[test]
fn the_criterion_is_that_of_the_definition() {
    let mut rng = Rng::new(1100);
    for grouped in all() {
        let data = grouped.data();
        data.validate().unwrap();
        let prepared = Prepared::of(&data);
        let parameters: usize = (grouped.model.terms.iter())
            .map(|term| term.parameters() * grouped.count(term.factor))
            .sum();
        assert_eq!(prepared.parameters.len(), parameters);
        let large = grouped.model.n() > 400;
        for reml in [true, false] {
            if large && reml {
                continue;
            }
            let x = point(&prepared, &mut rng);
            let found = prepared.criterion(reml).value(&x).unwrap();
            let right = grouped.brute(&prepared, &x, reml);
            near(grouped.model.name, found, right, 1e-10);
        }
    }
}

/// A class without variance beside one with: a singular T of some levels.
#[test]
fn one_class_may_have_no_variance() {
    let grouped = Grouped::new(shapes::one_slope(), &[0]);
    let data = grouped.data();
    let prepared = Prepared::of(&data);
    for x in [
        [0.0, 0.0, 0.0, 0.7, -0.2, 0.5],
        [0.7, -0.2, 0.5, 0.0, 0.0, 0.0],
    ]
    .map(InternalTheta::from_iter)
    {
        for reml in [true, false] {
            let found = prepared.criterion(reml).value(&x).unwrap();
            near(
                "no variance",
                found,
                grouped.brute(&prepared, &x, reml),
                1e-10,
            );
        }
    }
}

#[test]
fn the_gradient_is_the_slope_of_the_definition() {
    let mut rng = Rng::new(1101);
    for grouped in all().iter().filter(|grouped| grouped.model.n() <= 160) {
        let data = grouped.data();
        let prepared = Prepared::of(&data);
        for reml in [true, false] {
            let x = point(&prepared, &mut rng);
            let mut criterion = prepared.criterion(reml);
            let found = gradient(&mut criterion, &x);
            let step = 4e-3;
            let slope = |a: usize| {
                let term = |(i, weight): (usize, &f64)| {
                    let moved = |by: f64| {
                        let mut moved = x.clone();
                        moved[a] += by * (i as f64 + 1.0) * step;
                        grouped.brute(&prepared, &moved, reml)
                    };
                    weight * (moved(1.0) - moved(-1.0)) / step
                };
                WEIGHTS.iter().enumerate().map(term).sum()
            };
            let right: Vec<f64> = (0..x.len()).map(slope).collect();
            close(grouped.model.name, &found, &right, 1e-7);
        }
    }
}

#[test]
fn the_hessian_is_the_slope_of_the_gradient() {
    let mut rng = Rng::new(1102);
    for grouped in all() {
        let data = grouped.data();
        let prepared = Prepared::of(&data);
        for reml in [true, false] {
            let x = point(&prepared, &mut rng);
            let m = x.len();
            let mut criterion = prepared.criterion(reml);
            let step: Vec<f64> = criterion.scale(&x).iter().map(|s| 0.005 * s).collect();
            let mut right = vec![0.0; m * m];
            for a in 0..m {
                for (i, weight) in WEIGHTS.iter().enumerate() {
                    for sign in [1.0, -1.0] {
                        let mut moved = x.clone();
                        moved[a] += sign * (i as f64 + 1.0) * step[a];
                        let slopes = gradient(&mut criterion, &moved);
                        for (b, g) in slopes.iter().enumerate() {
                            right[a * m + b] += sign * weight * g / step[a];
                        }
                    }
                }
            }
            criterion.value(&x).unwrap();
            assert!(criterion.has_exact_hessian());
            let found = criterion.exact_hessian().unwrap();
            close(grouped.model.name, &found, &right, 1e-7);
        }
    }
}

/// With the same T in all classes the factor is that of the model without classes, bit for bit, and what belongs to a parameter
/// of the latter is the sum over the classes.
#[test]
fn the_same_matrix_in_all_classes_is_the_plain_model() {
    let mut rng = Rng::new(1103);
    for grouped in all() {
        let (plain, data) = (Prepared::new(&grouped.model), grouped.data());
        let prepared = Prepared::in_bases_of(&data, &plain);
        let x = point(&plain, &mut rng);
        // parameter of the plain model for each one of the classes'
        let (mut of, mut first) = (Vec::new(), 0);
        for term in &grouped.model.terms {
            for _ in 0..grouped.count(term.factor) {
                of.extend(first..first + term.parameters());
            }
            first += term.parameters();
        }
        let y: InternalTheta = of.iter().map(|&a| x[a]).collect();
        for reml in [true, false] {
            let (mut one, mut many) = (plain.criterion(reml), prepared.criterion(reml));
            assert_eq!(one.value(&x), many.value(&y), "{}", grouped.model.name);
            let (own, other) = (one.factor.as_ref().unwrap(), many.factor.as_ref().unwrap());
            assert_eq!(own.rzx.eliminated, other.rzx.eliminated);
            assert_eq!(own.rzx.complement, other.rzx.complement);
            let m = x.len();
            let (mut slopes, mut curvature) = (vec![0.0; m], vec![0.0; m * m]);
            let found = gradient(&mut many, &y);
            let hessian = many.exact_hessian().unwrap();
            for (i, &a) in of.iter().enumerate() {
                slopes[a] += found[i];
                for (j, &b) in of.iter().enumerate() {
                    curvature[b * m + a] += hessian[j * y.len() + i];
                }
            }
            close(grouped.model.name, &slopes, &gradient(&mut one, &x), 1e-9);
            let right = one.exact_hessian().unwrap();
            close(grouped.model.name, &curvature, &right, 1e-9);
        }
    }
}

#[test]
fn what_is_not_there_is_refused() {
    let grouped = Grouped::new(shapes::one_slope(), &[0]);
    let data = grouped.data();
    let mut wrong = data.clone();
    wrong.terms[0].classes = Some(Classes {
        codes: &[1, 2],
        count: 2,
    });
    assert!(matches!(wrong.validate(), Err(EngineError::Dimension(_))));
    let codes = vec![3; 15];
    wrong.terms[0].classes = Some(Classes {
        codes: &codes,
        count: 2,
    });
    assert!(matches!(wrong.validate(), Err(EngineError::Dimension(_))));
}
