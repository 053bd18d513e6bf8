//! Starts of effects that are orders of magnitude larger than residuals with a structure.

use crate::api::options::Options;
use crate::basis::internal_theta::InternalTheta;
use crate::fit::prepared::Prepared;
use crate::moments::start::{large_start, LARGEST_START};
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
    theta: &mut InternalTheta,
    interrupt: &dyn Fn() -> bool,
) {
    let parameters = &prepared.parameters;
    let farthest = |of_terms: &[f64]| {
        let deviations = of_terms.iter().enumerate();
        deviations
            .filter(|(a, _)| parameters.is_deviation(*a))
            .fold(0.0f64, |most, (_, v)| most.max(v.abs()))
    };
    if prepared.restriction.is_some()
        || farthest(parameters.of_terms(theta)) < 0.4 * LARGEST_START.sqrt()
    {
        return;
    }
    let clock = Clock::without_limit(interrupt);
    let mut criterion = prepared.criterion(&prepared.center.b, options.reml, clock);
    let (moments, bases) = (&prepared.system.moments, &prepared.bases);
    let mut at = theta.clone();
    let mut found = None;
    // what is left of the response tells how large residuals are at most: each look from further out
    for _ in 0..LOOKS {
        at = parameters.with_deviations_times(&at, FAR);
        let reached = farthest(parameters.of_terms(&at));
        if criterion.value(&at).is_none() {
            break;
        }
        let Some(precision) = criterion.inverse_sigma2() else {
            break;
        };
        let own = start_from(parameters, large_start(moments, bases, precision.recip()));
        parameters.set_terms(&mut at, &own);
        let left = farthest(&own);
        found = (left > FAR && left.is_finite()).then_some(own);
        if left < 0.1 * reached {
            break;
        }
    }
    if let Some(own) = found {
        parameters.set_terms(theta, &own);
    }
}
