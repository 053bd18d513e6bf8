//! Numbers of about 32 digits as sums of two doubles (Dekker 1971, Numer. Math. 18; Knuth 1998, section 4.2.2).

use std::ops::{AddAssign, Mul, Neg, Sub};

/// A sum of two doubles, the second at most half a unit in the last place of the first.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Double2 {
    /// The double next to it.
    pub high: f64,
    /// What is left.
    pub low: f64,
}

/// 2^27 + 1, which splits a double into halves.
const SPLITTER: f64 = 134_217_729.0;

/// The upper and the lower half of the digits.
#[inline]
fn halves(x: f64) -> (f64, f64) {
    let scaled = SPLITTER * x;
    let upper = scaled - (scaled - x);
    (upper, x - upper)
}

impl Double2 {
    /// x y, exactly (x and y below 1e292). No fused product: where a machine has none it is emulated, slowly.
    #[inline]
    #[must_use]
    pub fn product(x: f64, y: f64) -> Self {
        let high = x * y;
        let ((a, b), (c, d)) = (halves(x), halves(y));
        Self {
            high,
            low: b * d - (((high - a * c) - b * c) - a * d),
        }
    }

    /// The sum of a larger and a smaller number, exactly.
    #[inline]
    fn of(larger: f64, smaller: f64) -> Self {
        let high = larger + smaller;
        Self {
            high,
            low: smaller - (high - larger),
        }
    }

    /// Root of a positive number: one Newton step from the root in double precision.
    #[must_use]
    pub fn root(self) -> Self {
        let root = self.high.sqrt();
        let rest = self - Self::product(root, root);
        Self::of(root, rest.high / (2.0 * root))
    }

    /// self / y.
    #[must_use]
    pub fn over(self, y: Self) -> Self {
        let first = self.high / y.high;
        let rest = self - y * Self::from(first);
        let second = rest.high / y.high;
        let rest = rest - y * Self::from(second);
        let mut quotient = Self::of(first, second);
        quotient += Self::from(rest.high / y.high);
        quotient
    }
}

impl From<f64> for Double2 {
    #[inline]
    fn from(high: f64) -> Self {
        Self { high, low: 0.0 }
    }
}

impl AddAssign for Double2 {
    /// The error is relative to the larger of the two.
    #[inline]
    fn add_assign(&mut self, y: Self) {
        let sum = self.high + y.high;
        let part = sum - self.high;
        let error = (self.high - (sum - part)) + (y.high - part);
        *self = Self::of(sum, error + (self.low + y.low));
    }
}

impl Neg for Double2 {
    type Output = Self;
    #[inline]
    fn neg(self) -> Self {
        Self {
            high: -self.high,
            low: -self.low,
        }
    }
}

impl Sub for Double2 {
    type Output = Self;
    #[inline]
    fn sub(mut self, y: Self) -> Self {
        self += -y;
        self
    }
}

impl Mul for Double2 {
    type Output = Self;
    #[inline]
    fn mul(self, y: Self) -> Self {
        let exact = Self::product(self.high, y.high);
        let low = exact.low + (self.high * y.low + self.low * y.high);
        Self::of(exact.high, low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_beyond_a_double_are_kept() {
        let third = Double2::from(1.0).over(Double2::from(3.0));
        assert_eq!(third.high.to_bits(), (1.0f64 / 3.0).to_bits());
        // 1/3 - 0x1.5555555555555p-2 = 2^-54 / 3
        assert_eq!(third.low.to_bits(), (0.5f64.powi(54) / 3.0).to_bits());
        let mut one = third * Double2::from(3.0);
        one += Double2::from(-1.0);
        assert!(one.high.abs() < 1e-31, "{one:?}");
        let two = Double2::from(2.0);
        let square = two.root() * two.root() - two;
        assert!(square.high.abs() < 1e-31, "{square:?}");
    }

    #[test]
    fn small_differences_of_large_numbers_are_exact() {
        let x = 1e8 + 1.0 / 1024.0;
        let square = Double2::product(x, x) - Double2::product(1e8, 1e8);
        let right: f64 = 2e8 / 1024.0 + 1.0 / 1_048_576.0;
        assert_eq!(square.high.to_bits(), right.to_bits());
        let mut sum = Double2::from(1e16);
        (0..1000).for_each(|_| sum += Double2::product(0.1, 0.1));
        sum += Double2::from(-1e16);
        assert!((sum.high - 1000.0 * (0.1 * 0.1)).abs() < 1e-14, "{sum:?}");
    }
}
