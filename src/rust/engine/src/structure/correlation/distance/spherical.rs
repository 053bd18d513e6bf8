//! 1 - 1.5 s + 0.5 s^3 below 1, else 0. Positive definite in up to three dimensions.

use crate::linalg::hyperdual::Scalar;
use crate::structure::correlation::distance::DistanceFunction;

pub(crate) struct Spherical;

impl DistanceFunction for Spherical {
    const NAME: &'static str = "spher";
    const ENDS: bool = true;

    fn half() -> f64 {
        // root of 1 - 1.5 s + 0.5 s^3 = 0.5
        0.347_296_355_333_860_7
    }

    #[inline]
    fn at<S: Scalar>(s: S) -> S {
        if s >= S::constant(1.0) {
            S::constant(0.0)
        } else {
            (s.square() * 0.5 - 1.5) * s + 1.0
        }
    }
}
