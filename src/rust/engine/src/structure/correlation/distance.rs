//! Functions of distance / range that fall from 1: one file each, one line of the list.

mod exponential;
mod gaussian;
mod linear;
mod matern;
mod rational_quadratic;
mod spherical;

use crate::linalg::hyperdual::Scalar;
use exponential::Exponential;
use gaussian::Gaussian;
use linear::Linear;
use matern::{Matern12, Matern32, Matern52};
use rational_quadratic::RationalQuadratic;
use spherical::Spherical;

/// A function of s = distance / range.
pub(crate) trait DistanceFunction {
    /// What it is called.
    const NAME: &'static str;

    /// Whether it is zero from s = 1 on.
    const ENDS: bool = false;

    /// Whether it ends with a slope: the criterion then has a kink in the range at each distance.
    const HAS_KINKS: bool = false;

    /// Whether it is exp(-s), whose correlations in one dimension are products along the line.
    const IS_EXPONENTIAL: bool = false;

    /// The s at which it is 1/2.
    fn half() -> f64;

    /// Its value.
    fn at<S: Scalar>(s: S) -> S;
}

macro_rules! functions {
    ($($function:ident),* $(,)?) => {
        /// Which function.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Distance {
            $($function),*
        }

        impl Distance {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$function),*];

            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$function => $function::NAME),*
                }
            }

            pub fn ends(self) -> bool {
                match self {
                    $(Self::$function => $function::ENDS),*
                }
            }

            pub fn has_kinks(self) -> bool {
                match self {
                    $(Self::$function => $function::HAS_KINKS),*
                }
            }

            pub fn is_exponential(self) -> bool {
                match self {
                    $(Self::$function => $function::IS_EXPONENTIAL),*
                }
            }

            pub fn half(self) -> f64 {
                match self {
                    $(Self::$function => $function::half()),*
                }
            }

            /// The correlation at s; chosen at each pair of rows, as a call of what was chosen before takes longer.
            #[inline]
            fn at<S: Scalar>(self, s: S) -> S {
                match self {
                    $(Self::$function => $function::at(s)),*
                }
            }
        }
    };
}

functions!(
    Exponential,
    Gaussian,
    Linear,
    RationalQuadratic,
    Spherical,
    Matern12,
    Matern32,
    Matern52,
);

impl Distance {
    /// The function of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|f| f.name() == name)
    }
}

/// A function of distance / range, times 1 - nugget between different rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decline<S> {
    /// Which function.
    pub function: Distance,
    /// 1 / range.
    pub rate: S,
    /// 1 - nugget.
    pub kept: Option<S>,
}

impl<S: Scalar> Decline<S> {
    /// Between two different rows.
    #[inline]
    pub fn at(&self, distance: f64) -> S {
        let value = self.function.at(self.rate * distance);
        self.kept.map_or(value, |kept| value * kept)
    }
}

#[cfg(test)]
mod tests {
    use super::Distance;

    #[test]
    fn functions_fall_from_one_through_one_half() {
        for &f in Distance::ALL {
            assert_eq!(Distance::named(f.name()), Some(f));
            assert!((f.at(0.0f64) - 1.0).abs() < 1e-15, "{f:?}");
            assert!((f.at(f.half()) - 0.5).abs() < 1e-15, "{f:?}");
            assert!(f.ends() == (f.at(1.0f64) == 0.0), "{f:?}");
            for i in 1..40 {
                let s = f64::from(i) * 0.1;
                assert!(f.at(s) <= f.at(s - 0.1), "{f:?} {s}");
            }
        }
    }
}
