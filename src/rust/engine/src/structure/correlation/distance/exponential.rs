//! exp(-s).

use std::f64::consts::LN_2;

use crate::linalg::hyperdual::Scalar;
use crate::structure::correlation::distance::DistanceFunction;

pub(crate) struct Exponential;

impl DistanceFunction for Exponential {
    const NAME: &'static str = "exp";
    const IS_EXPONENTIAL: bool = true;

    fn half() -> f64 {
        LN_2
    }

    #[inline]
    fn at<S: Scalar>(s: S) -> S {
        (-s).exp()
    }
}
