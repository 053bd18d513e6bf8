//! The gradient is the derivative of the estimated criterion, anchored or not.

use crate::api::options::Options;
use crate::basis::internal_theta::InternalTheta;
use crate::criterion::iterative::estimator::Estimator;
use crate::criterion::iterative::tests::example::{point, Example};
use crate::criterion::objective::Criterion;
use crate::fit::prepare::prepare;
use crate::runtime::clock::Clock;
use crate::runtime::stop::StopFlag;

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

    /// The gradient against differences of the criterion at points near and far from `theta`, where it is anchored if
    /// `anchored`, per size of a parameter. Estimates of the gradient that are not its derivative are off by 1e-4 to 3e-2.
    fn check(self, anchored: bool) {
        let example = self.example();
        let data = example.data();
        let prepared = prepare(&data, &Options::default(), &StopFlag::default()).unwrap();
        let center = vec![Vec::new(); prepared.layout.len()];
        let theta = point(&prepared);
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
            let at: InternalTheta = (0..theta.len()).map(moved).collect();
            criterion.value(&at).unwrap();
            let gradient = criterion.latest().unwrap().derivatives.gradient.clone();
            for a in 0..theta.len() {
                let found = scale[a] * four_points(&mut criterion, &at, a, 3e-3 * scale[a]);
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
        let theta = point(&prepared);
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
            let at = theta.values().iter().zip(&scale).map(moved).collect();
            own.value(&at).unwrap() - exact.value(&at).unwrap()
        };
        let (near, far) = (error(0.1), error(0.2));
        assert!(near.abs() > 1e-8, "nothing is estimated: {near}");
        let growth = far / near;
        assert!((3.0..5.0).contains(&growth), "{near} {far}");
    }
}
