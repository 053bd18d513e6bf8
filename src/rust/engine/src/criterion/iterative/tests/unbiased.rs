//! Criterion and gradient by estimates are those of the factor, within their standard errors.

use crate::api::options::Options;
use crate::criterion::iterative::estimator::Estimator;
use crate::criterion::iterative::tests::example::{point, Example};
use crate::fit::prepare::prepare;
use crate::runtime::clock::Clock;
use crate::runtime::stop::StopFlag;

impl Example {
    /// Criterion and gradient at [`point`], and those of each of some estimators with their standard errors.
    fn compare(&self, seeds: std::ops::Range<u64>, pairs: bool) {
        let data = self.data();
        let prepared = prepare(&data, &Options::default(), &StopFlag::default()).unwrap();
        let center = vec![Vec::new(); prepared.layout.len()];
        let theta = point(&prepared);
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
