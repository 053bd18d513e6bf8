//! Optima at which the criterion has a kink.
//!
//! A linear correlation, 1 - d / range for d < range, turns a corner where the range is one of the distances d, and so does
//! the criterion. Its minimum may lie there: the slope in log range is negative on the left and positive on the right, while
//! all other parameters have gradient zero (0 is in Clarke's generalised gradient; Clarke 1983, Optimization and Nonsmooth
//! Analysis, 2.3). The range is then held at the kink and the rest is a smooth problem. Its estimate converges
//! faster than the others, like that of a change point, and inference treats it as known.

use crate::basis::internal_theta::InternalTheta;
use crate::basis::restriction::{Kink, Restriction};
use crate::criterion::objective::Criterion;
use crate::optimize::HessianRequest;

/// Distance in log range within which the minimum may be at the kink.
const NEAR: f64 = 1e-3;

/// Distance in log range within which a range that is given means the kink itself.
const THERE: f64 = 1e-9;

/// Distance at which slopes beside a kink are taken.
const BESIDE: f64 = 1e-7;

/// Slopes in log range on the left and on the right of the kink.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slopes {
    pub left: f64,
    pub right: f64,
}

impl Slopes {
    /// Does the criterion rise on both sides?
    pub fn rise(self) -> bool {
        self.left < 0.0 && self.right > 0.0
    }
}

/// The kink that `x` is at, if any.
pub(crate) fn given(terms: usize, nearest: Option<f64>, x: &InternalTheta) -> Option<Kink> {
    nearest
        .filter(|kink| (x[terms] - kink).abs() <= THERE)
        .map(|kink| (terms, kink))
}

/// The restriction that holds the range where the minimum near `x` has a kink.
pub(crate) fn restriction_at(
    criterion: &mut Criterion<'_>,
    x: &InternalTheta,
) -> Option<(Restriction, InternalTheta)> {
    let restriction = criterion.restriction;
    let at = criterion.parameters.list.len();
    let phi = criterion.parameters.of_residual(x);
    let kink = criterion.residual_model().kink(phi)?;
    let known = restriction.is_some_and(|r| r.kink().is_some());
    if known || (x[at] - kink).abs() > NEAR {
        return None;
    }
    let held = match restriction {
        Some(r) => r.clone(),
        None => Restriction::none(x),
    }
    .held_at((at, kink))?;
    let mut at_kink = x.clone();
    at_kink[at] = kink;
    slopes(criterion, &at_kink, at)?
        .rise()
        .then_some((held, at_kink))
}

/// The slopes beside the kink at `x` in its parameter `at`; leaves the criterion evaluated at `x`.
pub(crate) fn slopes(
    criterion: &mut Criterion<'_>,
    x: &InternalTheta,
    at: usize,
) -> Option<Slopes> {
    let mut beside = |step: f64| {
        let mut moved = x.clone();
        moved[at] += step;
        criterion.value(&moved)?;
        Some(criterion.derivatives(HessianRequest::Model).0[at])
    };
    let left = beside(-BESIDE)?;
    let right = beside(BESIDE)?;
    criterion.value(x)?;
    let _ = criterion.derivatives(HessianRequest::Model);
    Some(Slopes { left, right })
}
