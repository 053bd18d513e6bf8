//! exp(-s^2).

use std::f64::consts::LN_2;

use crate::linalg::hyperdual::Scalar;
use crate::structure::correlation::distance::DistanceFunction;

pub(crate) struct Gaussian;

impl DistanceFunction for Gaussian {
    const NAME: &'static str = "gaus";

    fn half() -> f64 {
        LN_2.sqrt()
    }

    #[inline]
    fn at<S: Scalar>(s: S) -> S {
        (-s.square()).exp()
    }
}
