//! Estimates without a factor against those with one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::api::error::EngineError;
use crate::api::model::{Column, GroupingFactor, ModelData, RandomTerm, Structure};
use crate::api::options::{Options, Solver};
use crate::api::progress::Progress;
use crate::api::result::{Fit, Path, Status};
use crate::basis::internal_theta::InternalTheta;
use crate::criterion::iterative::estimator::*;
use crate::criterion::iterative::start_vectors::mix;
use crate::criterion::objective::Criterion;
use crate::fit::estimates::RowResults;
use crate::fit::pipeline::{fit, fit_planned};
use crate::fit::prepare::{prepare, Prepared};
use crate::runtime::clock::Clock;
use crate::runtime::stop::StopFlag;
use crate::search::strategy::Plan;

/// Uniform numbers in (-1, 1).
struct Uniform(u64);

impl Uniform {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(1);
        (mix(self.0 << 7) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    fn level(&mut self, n: usize, skew: f64) -> usize {
        let u = (0.5 * (self.next() + 1.0)).powf(skew);
        ((u * n as f64) as usize).min(n - 1)
    }
}

/// Crossed factors with the given numbers of levels; the first has a random slope where `slope`, the second too.
struct Example {
    y: Vec<f64>,
    x: Vec<f64>,
    codes: Vec<Vec<i32>>,
    levels: Vec<usize>,
    slope: bool,
}

impl Example {
    pub(crate) fn new(n: usize, levels: &[usize], slope: bool, skew: f64) -> Self {
        let mut u = Uniform(levels.iter().sum::<usize>() as u64);
        let effects: Vec<Vec<[f64; 2]>> = levels
            .iter()
            .map(|&l| (0..l).map(|_| [u.next(), 0.5 * u.next()]).collect())
            .collect();
        let mut codes = vec![Vec::new(); levels.len()];
        let (mut x, mut y) = (vec![1.0; n], Vec::new());
        for i in 0..n {
            let z = u.next();
            let mut mean = 1.0 + z;
            for (f, &l) in levels.iter().enumerate() {
                let level = if i < l { i } else { u.level(l, skew) };
                codes[f].push(level as i32 + 1);
                mean += effects[f][level][0];
                if slope && f < 2 {
                    mean += z * effects[f][level][1];
                }
            }
            x.push(z);
            y.push(mean + u.next() + u.next());
        }
        Self {
            y,
            x,
            codes,
            levels: levels.to_vec(),
            slope,
        }
    }

    fn data(&self) -> ModelData<'_> {
        ModelData {
            moments: None,
            y: &self.y,
            x: Column::of_matrix(&self.x, self.y.len(), 2),
            p: 2,
            weights: None,
            offset: None,
            factors: self
                .codes
                .iter()
                .zip(&self.levels)
                .map(|(codes, &n_levels)| GroupingFactor {
                    codes,
                    n_levels,
                    precision: None,
                })
                .collect(),
            terms: (0..self.levels.len())
                .map(|factor| RandomTerm {
                    factor,
                    columns: if self.slope && factor < 2 {
                        vec![Column::Constant, Column::Values(&self.x[self.y.len()..])]
                    } else {
                        vec![Column::Constant]
                    },
                    structure: Structure::Unstructured,
                    classes: None,
                })
                .collect(),
            residual: None,
        }
    }

    fn fit(&self, solver: Solver, threads: usize) -> Fit {
        let options = Options {
            solver,
            threads,
            ..Options::default()
        };
        fit(&self.data(), &options, &|| false).unwrap()
    }

    /// Criterion and gradient at T = 0.4 I (with 0.1 below), and of each of some estimators with their standard errors.
    fn compare(&self, seeds: std::ops::Range<u64>, pairs: bool) {
        let data = self.data();
        let prepared = prepare(&data, &Options::default(), &StopFlag::default()).unwrap();
        let center = vec![Vec::new(); prepared.layout.len()];
        let theta: InternalTheta = prepared
            .parameters
            .list
            .iter()
            .map(|p| if p.index == 1 { 0.1 } else { 0.4 })
            .collect();
        let never = || false;
        let mut exact = prepared.criterion(&center, true, Clock::without_limit(&never));
        let value = exact.value(&theta).unwrap();
        let gradient = exact.latest().unwrap().derivatives.gradient.clone();
        let information = exact.latest().unwrap().derivatives.information.clone();
        let m = theta.len();
        let mut sums = vec![(0.0, 0.0); m + 1];
        for seed in seeds {
            let mut criterion = prepared.criterion(&center, true, Clock::without_limit(&never));
            let mut estimator = Estimator::with_seed(&prepared.system, seed);
            estimator.with_pairs = pairs;
            criterion.estimator = Some(estimator);
            let own = criterion.value(&theta).unwrap();
            let latest = criterion.latest().unwrap();
            let slopes = latest.derivatives.gradient.clone();
            for (a, b) in latest.derivatives.information.iter().zip(&information) {
                assert!((a - b).abs() < 1e-6 * (1.0 + b.abs()), "{a} {b}");
            }
            let estimator = criterion.estimator.as_ref().unwrap();
            let covariance = estimator.gradient_covariance();
            sums[m].0 += own - value;
            sums[m].1 += estimator.value_error(&theta).powi(2);
            for a in 0..m {
                sums[a].0 += slopes[a] - gradient[a];
                sums[a].1 += covariance[a * m + a];
            }
        }
        for (i, (error, variance)) in sums.iter().enumerate() {
            assert!(
                error.abs() < 4.0 * variance.sqrt() + 1e-6 * value.abs().sqrt(),
                "{i}: {error} {}",
                variance.sqrt()
            );
        }
    }
}

#[test]
fn estimates_are_unbiased_two_factors() {
    Example::new(4000, &[300, 120], false, 1.0).compare(0..40, true);
}

#[test]
fn estimates_are_unbiased_without_pairs() {
    Example::new(4000, &[300, 120], false, 1.0).compare(0..40, false);
}

#[test]
fn estimates_are_unbiased_uneven() {
    Example::new(4000, &[600, 400], false, 3.0).compare(0..40, true);
}

#[test]
fn estimates_are_unbiased_slopes_three_factors() {
    Example::new(6000, &[300, 120, 60], true, 2.0).compare(0..40, true);
    Example::new(6000, &[300, 120, 60], true, 2.0).compare(0..40, false);
}

/// Differences of theta in standard errors, from the certificate's Hessian.
fn distance(a: &Fit, b: &Fit) -> f64 {
    let m = a.theta.len();
    let h = &a.certificate.hessian;
    (0..m)
        .map(|i| (a.theta[i] - b.theta[i]).abs() * h[i * m + i].sqrt())
        .fold(0.0, f64::max)
}

#[test]
fn estimated_fits_come_close_to_exact_ones() {
    for example in [
        Example::new(6000, &[400, 300], false, 1.0),
        Example::new(6000, &[900, 500], false, 3.0),
        Example::new(8000, &[300, 200, 100], true, 1.5),
    ] {
        let exact = example.fit(Solver::Exact, 1);
        let own = example.fit(Solver::Iterative, 1);
        let chance = &own.certificate.monte_carlo;
        assert_eq!(own.certificate.path, Path::Iterative);
        assert_eq!(own.certificate.status, exact.certificate.status);
        assert!(chance.vectors == 16 && chance.criterion > 0.0);
        let error = own.criterion - exact.criterion;
        assert!(
            error.abs() < 5.0 * chance.criterion + 1e-6,
            "{error} {}",
            chance.criterion
        );
        assert!(distance(&exact, &own) < 0.05, "{}", distance(&exact, &own));
        for ((x, y), s) in own
            .theta
            .values()
            .iter()
            .zip(exact.theta.values())
            .zip(&chance.theta)
        {
            assert!((x - y).abs() < 6.0 * s + 1e-6, "{x} {y} {s}");
        }
        for (x, y) in [
            (&own.beta, &exact.beta),
            (&own.u, &exact.u),
            (&own.rx, &exact.rx),
        ] {
            for (x, y) in x.iter().zip(y) {
                assert!((x - y).abs() < 1e-2 * (0.1 + y.abs()), "{x} {y}");
            }
        }
    }
}

/// A fit as by cost, but with estimates on the way whatever the cost.
fn walked(example: &Example, plan: Plan) -> Fit {
    let data = example.data();
    let options = Options::default();
    let prepared = prepare(&data, &options, &StopFlag::default()).unwrap();
    let (mut fitted, mut residuals) = (vec![0.0; data.n()], vec![0.0; data.n()]);
    let rows = RowResults {
        fitted: &mut fitted,
        residuals: &mut residuals,
    };
    fit_planned(&data, &options, prepared, plan, rows, None, &|| false).unwrap()
}

#[test]
fn anchored_fits_are_exact() {
    for example in [
        Example::new(6000, &[400, 300], false, 1.0),
        Example::new(6000, &[900, 500], false, 3.0),
        Example::new(8000, &[300, 200, 100], true, 1.5),
    ] {
        let exact = example.fit(Solver::Exact, 1);
        let own = walked(&example, Plan::Walk);
        assert_eq!(own.certificate.status, exact.certificate.status);
        assert!(
            (own.criterion - exact.criterion).abs() < 1e-7,
            "{}",
            own.criterion - exact.criterion
        );
        assert!(distance(&exact, &own) < 1e-5, "{}", distance(&exact, &own));
        for (x, y) in [
            (&own.beta, &exact.beta),
            (&own.u, &exact.u),
            (&own.rx, &exact.rx),
        ] {
            for (x, y) in x.iter().zip(y) {
                assert!((x - y).abs() < 1e-5 * (0.1 + y.abs()), "{x} {y}");
            }
        }
        let value = walked(&example, Plan::Value);
        assert_eq!(value.certificate.path, Path::ExactValue);
        let error = value.criterion - exact.criterion;
        assert!(error > -1e-7 && error < 1e-3, "{error}");
    }
}

#[test]
fn any_number_of_threads_gives_the_same_estimates() {
    let example = Example::new(60_000, &[4000, 3000], false, 2.0);
    let fits: Vec<Fit> = [1, 2, 4]
        .into_iter()
        .map(|threads| example.fit(Solver::Iterative, threads))
        .collect();
    for other in &fits[1..] {
        assert!(fits[0].criterion.to_bits() == other.criterion.to_bits());
        assert_eq!(fits[0].theta, other.theta);
        assert_eq!(fits[0].u, other.u);
        assert_eq!(fits[0].certificate.hessian, other.certificate.hessian);
        assert_eq!(
            fits[0].certificate.monte_carlo.theta,
            other.certificate.monte_carlo.theta
        );
    }
}

#[test]
fn variances_of_zero_and_one_dominant_level() {
    // no effects of the second factor, whose variance is zero then with this seed; most rows in one level of it
    let mut example = Example::new(5000, &[300, 200], false, 1.0);
    let mut u = Uniform(7);
    for i in 0..5000 {
        if i >= 200 && u.next() > -0.6 {
            example.codes[1][i] = 7;
        }
        example.y[i] = f64::from(example.codes[0][i] % 7) + u.next() + u.next();
    }
    let exact = example.fit(Solver::Exact, 1);
    for own in [
        example.fit(Solver::Iterative, 1),
        walked(&example, Plan::Walk),
    ] {
        assert_eq!(own.certificate.status, exact.certificate.status);
        assert!(
            (own.criterion - exact.criterion).abs() < 0.01,
            "{} {}",
            own.criterion,
            exact.criterion
        );
        for (x, y) in own.theta.values().iter().zip(exact.theta.values()) {
            assert!((x - y).abs() < 1e-3, "{x} {y}");
        }
    }
    assert!(exact.theta[1] == 0.0, "{:?}", exact.theta);
}

#[test]
fn a_walk_can_be_interrupted() {
    let example = Example::new(60_000, &[4000, 3000], false, 2.0);
    let options = Options {
        solver: Solver::Iterative,
        ..Options::default()
    };
    let result = fit(&example.data(), &options, &|| true);
    assert!(matches!(result, Err(EngineError::Interrupted)));
}

#[test]
fn out_of_time_the_best_point_so_far_is_told() {
    // small enough to be asked on the thread that works
    let example = Example::new(6000, &[400, 150], false, 1.0);
    let best = example.fit(Solver::Iterative, 1);
    assert_eq!(best.certificate.status, Status::Converged);
    let enough = 3;
    assert!(best.certificate.evaluations > enough);
    let deadline = Instant::now() + Duration::from_secs(2);
    let progress = Arc::new(Progress::default());
    let options = Options {
        solver: Solver::Iterative,
        threads: 1,
        deadline: Some(deadline),
        progress: Some(Arc::clone(&progress)),
        ..Options::default()
    };
    // asked between evaluations: after so many of them the time is up
    let late = || {
        if progress.get().is_some_and(|(count, ..)| count >= enough) {
            std::thread::sleep(deadline.saturating_duration_since(Instant::now()));
        }
        false
    };
    let own = fit(&example.data(), &options, &late).unwrap();
    let certificate = &own.certificate;
    assert_eq!(certificate.status, Status::TimeLimit);
    assert_eq!(certificate.path, Path::Iterative);
    assert_eq!(certificate.evaluations, enough);
    let lowest = certificate
        .trace_criterion
        .iter()
        .fold(f64::INFINITY, |a, v| a.min(*v));
    assert!(own.criterion.to_bits() == lowest.to_bits());
    assert!(own.criterion < certificate.trace_criterion[0]);
    // the estimates are those of this point
    let there = Options {
        solver: Solver::Iterative,
        start: Some(own.theta.clone()),
        optimize: false,
        ..Options::default()
    };
    let again = fit(&example.data(), &there, &|| false).unwrap();
    assert!((again.criterion - own.criterion).abs() < 1e-8 * own.criterion);
    assert!((again.sigma - own.sigma).abs() < 1e-8 * own.sigma);
    for (x, y) in again.u.iter().zip(&own.u) {
        assert!((x - y).abs() < 1e-6, "{x} {y}");
    }
}

/// What is checked against differences.
#[derive(Clone, Copy)]
struct Slopes {
    /// With two effects a level of the first two factors.
    slope: bool,
    factors: usize,
    pairs: bool,
}

impl Slopes {
    fn example(self) -> Example {
        Example::new(2000, &[150, 60, 30][..self.factors], self.slope, 2.0)
    }

    /// The gradient against differences of the criterion at points near and far from `theta`, where it is anchored if `anchored`,
    /// per size of a parameter. Estimates of the gradient that are not its derivative are off by 1e-4 to 3e-2.
    fn check(self, anchored: bool) {
        let example = self.example();
        let data = example.data();
        let prepared = prepare(&data, &Options::default(), &StopFlag::default()).unwrap();
        let center = vec![Vec::new(); prepared.layout.len()];
        let theta = anchor_point(&prepared);
        let never = || false;
        let mut criterion = prepared.criterion(&center, true, Clock::without_limit(&never));
        let mut estimator = Estimator::new(&prepared.system);
        estimator.with_pairs = self.pairs;
        criterion.estimator = Some(estimator);
        criterion.value(&theta).unwrap();
        if anchored {
            criterion.latest().unwrap();
            let estimated = criterion.give_up_estimator().unwrap();
            criterion.value(&theta).unwrap();
            let value = criterion.at(criterion.factor.as_ref().unwrap());
            let gradient = criterion.latest().unwrap().derivatives.gradient.clone();
            criterion.anchor(estimated, true).unwrap();
            // the anchor is exact where it is
            assert!((criterion.value(&theta).unwrap() - value).abs() < 1e-12 * value.abs());
            let own = &criterion.latest().unwrap().derivatives.gradient;
            for (x, y) in own.iter().zip(&gradient) {
                assert!((x - y).abs() < 1e-9 * (1.0 + y.abs()), "{x} {y}");
            }
        }
        let scale = criterion.scale(&theta);
        for away in [0.0, 0.3, -0.5, 1.0] {
            let moved = |a: usize| theta[a] + away * scale[a] * (1.0 - 0.3 * a as f64);
            let point: InternalTheta = (0..theta.len()).map(moved).collect();
            criterion.value(&point).unwrap();
            let gradient = criterion.latest().unwrap().derivatives.gradient.clone();
            for a in 0..theta.len() {
                let found = scale[a] * four_points(&mut criterion, &point, a, 3e-3 * scale[a]);
                let gap = (scale[a] * gradient[a] - found).abs();
                assert!(
                    gap < 5e-6,
                    "{away}, {a}: {} {found}",
                    scale[a] * gradient[a]
                );
            }
        }
    }
}

/// Standard deviations of 0.4 sigma, little correlation.
fn anchor_point(prepared: &Prepared) -> InternalTheta {
    let list = &prepared.parameters.list;
    list.iter()
        .map(|p| if p.index == 1 { 0.1 } else { 0.4 })
        .collect()
}

/// Derivative of the criterion in parameter `a` by differences, whose error is the fourth power of the step.
fn four_points(criterion: &mut Criterion<'_>, point: &InternalTheta, a: usize, step: f64) -> f64 {
    let mut at = |steps: f64| {
        let mut x = point.clone();
        x[a] += steps * step;
        criterion.value(&x).unwrap()
    };
    (8.0 * (at(1.0) - at(-1.0)) - (at(2.0) - at(-2.0))) / (12.0 * step)
}

#[test]
fn gradients_are_those_of_the_estimates() {
    for slope in [false, true] {
        for factors in [2, 3] {
            for pairs in [false, true] {
                let slopes = Slopes {
                    slope,
                    factors,
                    pairs,
                };
                slopes.check(false);
                slopes.check(true);
            }
        }
    }
}

/// What is left of an anchored criterion's error is of the second order in the distance from the anchor.
#[test]
fn anchored_errors_grow_with_the_square_of_the_distance() {
    for slope in [false, true] {
        let slopes = Slopes {
            slope,
            factors: 3,
            pairs: true,
        };
        let example = slopes.example();
        let data = example.data();
        let prepared = prepare(&data, &Options::default(), &StopFlag::default()).unwrap();
        let center = vec![Vec::new(); prepared.layout.len()];
        let theta = anchor_point(&prepared);
        let never = || false;
        let mut exact = prepared.criterion(&center, true, Clock::without_limit(&never));
        let mut own = prepared.criterion(&center, true, Clock::without_limit(&never));
        own.estimate();
        own.value(&theta).unwrap();
        own.latest().unwrap();
        let estimated = own.give_up_estimator().unwrap();
        own.value(&theta).unwrap();
        own.latest().unwrap();
        own.anchor(estimated, true).unwrap();
        let scale = own.scale(&theta);
        let mut error = |distance: f64| {
            let moved = |(x, s): (&f64, &f64)| x + distance * s;
            let point = theta.values().iter().zip(&scale).map(moved).collect();
            own.value(&point).unwrap() - exact.value(&point).unwrap()
        };
        let (near, far) = (error(0.1), error(0.2));
        assert!(near.abs() > 1e-8, "nothing is estimated: {near}");
        let growth = far / near;
        assert!((3.0..5.0).contains(&growth), "{near} {far}");
    }
}
