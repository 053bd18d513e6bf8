//! Starts of effects that are orders of magnitude larger than residuals with a structure.

use crate::api::options::Options;
use crate::fit::prepare::Prepared;
use crate::moments::start::{large_start, LARGEST_START};
use crate::optimize::Objective;
use crate::runtime::clock::Clock;
use crate::search::optimum::start_from;

/// How often a start is sought further out.
const LOOKS: usize = 6;

/// Relative standard deviations from which a start of their own size is sought for them, and by how much it is sought ahead.
const FAR: f64 = 1e4;

/// Moves the start of effects that are orders of magnitude larger than residuals to where they are, if residuals have a
/// structure. On the way there from [`crate::search::optimum::term_start`] residuals that are as large as effects look like
/// correlated ones: correlations would go to 1, where they are as good as a random effect.
pub(crate) fn far_start(
    prepared: &Prepared,
    options: &Options,
    theta: &mut [f64],
    interrupt: &dyn Fn() -> bool,
) {
    let is_deviation =
        |a: usize| a < prepared.parameters.list.len() && prepared.parameters.is_deviation(a);
    let farthest = |theta: &[f64]| {
        let deviations = theta.iter().enumerate().filter(|(a, _)| is_deviation(*a));
        deviations.fold(0.0f64, |most, (_, v)| most.max(v.abs()))
    };
    if prepared.restriction.is_some() || farthest(theta) < 0.4 * LARGEST_START.sqrt() {
        return;
    }
    let clock = Clock::without_limit(interrupt);
    let mut criterion = prepared.criterion(&prepared.center.b, options.reml, clock);
    let (moments, bases) = (&prepared.system.moments, &prepared.bases);
    let mut at = theta.to_vec();
    let mut found = None;
    // what is left of the response tells how large residuals are at most: each look from further out
    for _ in 0..LOOKS {
        for (a, value) in at.iter_mut().enumerate() {
            *value *= if is_deviation(a) { FAR } else { 1.0 };
        }
        let reached = farthest(&at);
        if criterion.value(&at).is_none() {
            break;
        }
        let Some(precision) = criterion.inverse_sigma2() else {
            break;
        };
        let own = start_from(
            &prepared.parameters,
            large_start(moments, bases, precision.recip()),
        );
        at[..own.len()].copy_from_slice(&own);
        found = (farthest(&own) > FAR && farthest(&own).is_finite()).then_some(own);
        if farthest(&at) < 0.1 * reached {
            break;
        }
    }
    if let Some(own) = found {
        theta[..own.len()].copy_from_slice(&own);
    }
}
