//! Matern's correlations for half-integer smoothness nu (Rasmussen & Williams, 2006, Gaussian Processes for Machine
//! Learning, eq. 4.17): with a = sqrt(2 nu) s,
//!
//! nu = 1/2: exp(-a), the exponential; nu = 3/2: (1 + a) exp(-a); nu = 5/2: (1 + a + a^2/3) exp(-a).

use crate::linalg::hyperdual::Scalar;
use crate::structure::correlation::distance::exponential::Exponential;
use crate::structure::correlation::distance::DistanceFunction;

/// nu = 1/2.
pub(crate) struct Matern12;

/// nu = 3/2.
pub(crate) struct Matern32;

/// nu = 5/2.
pub(crate) struct Matern52;

impl DistanceFunction for Matern12 {
    const NAME: &'static str = "matern0.5";
    const IS_EXPONENTIAL: bool = true;

    fn half() -> f64 {
        Exponential::half()
    }

    #[inline]
    fn at<S: Scalar>(s: S) -> S {
        Exponential::at(s)
    }
}

impl DistanceFunction for Matern32 {
    const NAME: &'static str = "matern1.5";

    fn half() -> f64 {
        0.968_994_086_479_717_2
    }

    #[inline]
    fn at<S: Scalar>(s: S) -> S {
        let a = s * 3f64.sqrt();
        (a + 1.0) * (-a).exp()
    }
}

impl DistanceFunction for Matern52 {
    const NAME: &'static str = "matern2.5";

    fn half() -> f64 {
        1.042_122_250_130_128_8
    }

    #[inline]
    fn at<S: Scalar>(s: S) -> S {
        let a = s * 5f64.sqrt();
        (a + a.square() * (1.0 / 3.0) + 1.0) * (-a).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::{DistanceFunction, Matern12, Matern32, Matern52};

    /// R 4.2.2: a <- sqrt(2 * nu) * s; a^nu * besselK(a, nu) / (2^(nu - 1) * gamma(nu))
    #[test]
    fn they_are_the_general_formula() {
        for (s, three, five) in [
            (0.1, 0.986_624_564_889_706_4, 0.991_759_236_171_177_4),
            (0.7, 0.658_137_376_316_584, 0.706_942_681_904_097_7),
            (1.0, 0.483_357_724_596_507_8, 0.523_994_108_831_820_3),
            (3.0, 0.034_313_243_197_460_15, 0.027_723_421_914_625_804),
        ] {
            assert!((Matern12::at(s) - f64::exp(-s)).abs() < 1e-15);
            assert!((Matern32::at(s) - three).abs() < 1e-14);
            assert!((Matern52::at(s) - five).abs() < 1e-14);
        }
    }
}
