//! 1 - s below 1, else 0. Positive definite in one dimension only.

use crate::linalg::hyperdual::Scalar;
use crate::structure::correlation::distance::DistanceFunction;

pub(crate) struct Linear;

impl DistanceFunction for Linear {
    const NAME: &'static str = "lin";
    const ENDS: bool = true;
    const HAS_KINKS: bool = true;

    fn half() -> f64 {
        0.5
    }

    #[inline]
    fn at<S: Scalar>(s: S) -> S {
        let one = S::constant(1.0);
        if s >= one {
            S::constant(0.0)
        } else {
            one - s
        }
    }
}
