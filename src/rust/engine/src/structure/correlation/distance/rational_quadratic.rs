//! 1 / (1 + s^2).

use crate::linalg::hyperdual::Scalar;
use crate::structure::correlation::distance::DistanceFunction;

pub(crate) struct RationalQuadratic;

impl DistanceFunction for RationalQuadratic {
    const NAME: &'static str = "ratio";

    fn half() -> f64 {
        1.0
    }

    #[inline]
    fn at<S: Scalar>(s: S) -> S {
        (s.square() + 1.0).recip()
    }
}
