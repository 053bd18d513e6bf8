//! Fits by estimates: how close they come, how they end, and that threads do not matter.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::api::error::EngineError;
use crate::api::options::{Options, Solver};
use crate::api::progress::Progress;
use crate::api::result::{Fit, Path, Status};
use crate::criterion::iterative::tests::example::{Example, Uniform};
use crate::fit::estimates::RowResults;
use crate::fit::pipeline::{fit, fit_planned};
use crate::fit::prepare::prepare;
use crate::runtime::stop::StopFlag;
use crate::search::strategy::Plan;

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
