//! Numbers that carry exact first and second derivatives: hyper-dual numbers (Fike & Alonso, 2011, AIAA 2011-886).
//!
//! x = v + a e1 + b e2 + c e1 e2 with e1^2 = e2^2 = 0. For any smooth f, f(x) = f(v) + f'(v) a e1 + f'(v) b e2 + (f'(v) c +
//! f''(v) a b) e1 e2: a formula written once, generic in [`Scalar`], gives its value, its derivatives along two directions and
//! the mixed second derivative, without step sizes and without cancellation.

use std::cmp::Ordering;
use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

/// What a formula needs of a number: `f64`, or [`HyperDual`] for its derivatives. Comparison is by value.
pub trait Scalar:
    Copy
    + Debug
    + PartialOrd
    + Send
    + Sync
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Add<f64, Output = Self>
    + Sub<f64, Output = Self>
    + Mul<f64, Output = Self>
    + Div<f64, Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + DivAssign
{
    /// A number that depends on nothing.
    fn constant(value: f64) -> Self;
    /// The value alone.
    fn value(self) -> f64;
    /// Square root.
    #[must_use]
    fn sqrt(self) -> Self;
    /// Exponential.
    #[must_use]
    fn exp(self) -> Self;
    /// exp(x) - 1, accurate near 0.
    #[must_use]
    fn exp_m1(self) -> Self;
    /// Natural logarithm.
    #[must_use]
    fn ln(self) -> Self;
    /// ln(1 + x), accurate near 0.
    #[must_use]
    fn ln_1p(self) -> Self;
    /// Sine.
    #[must_use]
    fn sin(self) -> Self;
    /// Cosine.
    #[must_use]
    fn cos(self) -> Self;
    /// Integer power.
    #[must_use]
    fn powi(self, n: i32) -> Self;
    /// Power with a fixed exponent, of a positive number.
    #[must_use]
    fn powf(self, p: f64) -> Self;
    /// Absolute value.
    #[must_use]
    fn abs(self) -> Self;

    /// 1 / x.
    #[must_use]
    fn recip(self) -> Self {
        Self::constant(1.0) / self
    }

    /// x^2.
    #[must_use]
    fn square(self) -> Self {
        self * self
    }
}

impl Scalar for f64 {
    fn constant(value: f64) -> Self {
        value
    }
    fn value(self) -> f64 {
        self
    }
    fn sqrt(self) -> Self {
        Self::sqrt(self)
    }
    fn exp(self) -> Self {
        Self::exp(self)
    }
    fn exp_m1(self) -> Self {
        Self::exp_m1(self)
    }
    fn ln(self) -> Self {
        Self::ln(self)
    }
    fn ln_1p(self) -> Self {
        Self::ln_1p(self)
    }
    fn sin(self) -> Self {
        Self::sin(self)
    }
    fn cos(self) -> Self {
        Self::cos(self)
    }
    fn powi(self, n: i32) -> Self {
        Self::powi(self, n)
    }
    fn powf(self, p: f64) -> Self {
        Self::powf(self, p)
    }
    fn abs(self) -> Self {
        Self::abs(self)
    }
}

/// v + a e1 + b e2 + ab e1 e2.
#[derive(Debug, Clone, Copy, Default)]
pub struct HyperDual {
    /// The value.
    pub v: f64,
    /// Derivative along the first direction.
    pub a: f64,
    /// Derivative along the second direction.
    pub b: f64,
    /// Mixed second derivative.
    pub ab: f64,
}

impl HyperDual {
    /// The variable itself: `first` and `second` say how fast it moves along each direction.
    #[must_use]
    pub fn variable(value: f64, first: f64, second: f64) -> Self {
        Self {
            v: value,
            a: first,
            b: second,
            ab: 0.0,
        }
    }

    /// The point `x` with variable `a` moving along the first direction and variable `b` along the second.
    #[must_use]
    pub fn seeded(x: &[f64], a: usize, b: usize) -> Vec<Self> {
        let one = |hit: bool| f64::from(u8::from(hit));
        x.iter()
            .enumerate()
            .map(|(i, &value)| Self::variable(value, one(i == a), one(i == b)))
            .collect()
    }

    /// f(x) from f, f' and f'' at the value.
    #[must_use]
    pub fn chain(self, f: f64, first: f64, second: f64) -> Self {
        Self {
            v: f,
            a: first * self.a,
            b: first * self.b,
            ab: second * self.a * self.b + first * self.ab,
        }
    }
}

impl PartialEq for HyperDual {
    fn eq(&self, other: &Self) -> bool {
        self.partial_cmp(other) == Some(Ordering::Equal)
    }
}

impl PartialOrd for HyperDual {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.v.partial_cmp(&other.v)
    }
}

impl Add for HyperDual {
    type Output = Self;
    fn add(self, y: Self) -> Self {
        Self {
            v: self.v + y.v,
            a: self.a + y.a,
            b: self.b + y.b,
            ab: self.ab + y.ab,
        }
    }
}

impl Sub for HyperDual {
    type Output = Self;
    fn sub(self, y: Self) -> Self {
        self + -y
    }
}

impl Mul for HyperDual {
    type Output = Self;
    fn mul(self, y: Self) -> Self {
        Self {
            v: self.v * y.v,
            a: self.v * y.a + self.a * y.v,
            b: self.v * y.b + self.b * y.v,
            ab: self.v * y.ab + self.a * y.b + self.b * y.a + self.ab * y.v,
        }
    }
}

impl Div for HyperDual {
    type Output = Self;
    fn div(self, y: Self) -> Self {
        // q y = x, differentiated: no power of 1 / y beyond the first, which may overflow
        let v = self.v / y.v;
        let a = (self.a - v * y.a) / y.v;
        let b = (self.b - v * y.b) / y.v;
        let ab = (self.ab - v * y.ab - a * y.b - b * y.a) / y.v;
        Self { v, a, b, ab }
    }
}

impl Neg for HyperDual {
    type Output = Self;
    fn neg(self) -> Self {
        Self {
            v: -self.v,
            a: -self.a,
            b: -self.b,
            ab: -self.ab,
        }
    }
}

impl Add<f64> for HyperDual {
    type Output = Self;
    fn add(self, y: f64) -> Self {
        Self {
            v: self.v + y,
            ..self
        }
    }
}

impl Sub<f64> for HyperDual {
    type Output = Self;
    fn sub(self, y: f64) -> Self {
        self + -y
    }
}

impl Mul<f64> for HyperDual {
    type Output = Self;
    fn mul(self, y: f64) -> Self {
        Self {
            v: self.v * y,
            a: self.a * y,
            b: self.b * y,
            ab: self.ab * y,
        }
    }
}

impl Div<f64> for HyperDual {
    type Output = Self;
    fn div(self, y: f64) -> Self {
        Self {
            v: self.v / y,
            a: self.a / y,
            b: self.b / y,
            ab: self.ab / y,
        }
    }
}

impl AddAssign for HyperDual {
    fn add_assign(&mut self, y: Self) {
        *self = *self + y;
    }
}

impl SubAssign for HyperDual {
    fn sub_assign(&mut self, y: Self) {
        *self = *self - y;
    }
}

impl MulAssign for HyperDual {
    fn mul_assign(&mut self, y: Self) {
        *self = *self * y;
    }
}

impl DivAssign for HyperDual {
    fn div_assign(&mut self, y: Self) {
        *self = *self / y;
    }
}

/// c x^p where c = 0 wins over a power that is infinite at x = 0.
fn term(c: f64, power: f64) -> f64 {
    if c == 0.0 {
        0.0
    } else {
        c * power
    }
}

impl Scalar for HyperDual {
    fn constant(value: f64) -> Self {
        Self::variable(value, 0.0, 0.0)
    }

    fn value(self) -> f64 {
        self.v
    }

    fn sqrt(self) -> Self {
        let root = self.v.sqrt();
        self.chain(root, 0.5 / root, -0.25 / (root * self.v))
    }

    fn exp(self) -> Self {
        let e = self.v.exp();
        self.chain(e, e, e)
    }

    fn exp_m1(self) -> Self {
        let e = self.v.exp();
        self.chain(self.v.exp_m1(), e, e)
    }

    fn ln(self) -> Self {
        let r = 1.0 / self.v;
        self.chain(self.v.ln(), r, -r * r)
    }

    fn ln_1p(self) -> Self {
        let r = 1.0 / (1.0 + self.v);
        self.chain(self.v.ln_1p(), r, -r * r)
    }

    fn sin(self) -> Self {
        let (s, c) = self.v.sin_cos();
        self.chain(s, c, -s)
    }

    fn cos(self) -> Self {
        let (s, c) = self.v.sin_cos();
        self.chain(c, -s, -c)
    }

    fn powi(self, n: i32) -> Self {
        let p = f64::from(n);
        self.chain(
            self.v.powi(n),
            term(p, self.v.powi(n.saturating_sub(1))),
            term(p * (p - 1.0), self.v.powi(n.saturating_sub(2))),
        )
    }

    fn powf(self, p: f64) -> Self {
        self.chain(
            self.v.powf(p),
            term(p, self.v.powf(p - 1.0)),
            term(p * (p - 1.0), self.v.powf(p - 2.0)),
        )
    }

    fn abs(self) -> Self {
        if self.v < 0.0 {
            -self
        } else {
            self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A function that uses every operation, away from kinks.
    fn everything<S: Scalar>(x: S, y: S) -> S {
        let mut z = (x * y + 0.5).sqrt() - (x / y).exp() * 0.1 + (y - x * 0.3).abs().ln();
        z += x.sin() * y.cos() / 3.0;
        z -= (x * x).ln_1p() - 2.0;
        z *= (y * 0.1).exp_m1() + x.powi(3) * y.powi(-2);
        z /= -(x.powf(1.7) + y.square().recip());
        z
    }

    #[test]
    fn derivatives_are_those_of_central_differences() {
        let (x, y) = (0.7, 1.3);
        let at = |a: f64, b: f64| everything(x + a, y + b);
        let both = everything(
            HyperDual::variable(x, 1.0, 0.0),
            HyperDual::variable(y, 0.0, 1.0),
        );
        let same = everything(HyperDual::variable(x, 1.0, 1.0), HyperDual::constant(y));
        let h = 1e-4;
        let first = |f: &dyn Fn(f64) -> f64| {
            (8.0 * (f(h) - f(-h)) - (f(2.0 * h) - f(-2.0 * h))) / (12.0 * h)
        };
        assert!((both.v - at(0.0, 0.0)).abs() < 1e-14);
        assert!((both.a - first(&|s| at(s, 0.0))).abs() < 1e-10);
        assert!((both.b - first(&|s| at(0.0, s))).abs() < 1e-10);
        let mixed = first(&|s| first(&|t| at(s, t)));
        assert!((both.ab - mixed).abs() < 1e-6, "{} {mixed}", both.ab);
        let second = (at(h, 0.0) - 2.0 * at(0.0, 0.0) + at(-h, 0.0)) / (h * h);
        assert!((same.ab - second).abs() < 1e-5, "{} {second}", same.ab);
    }

    #[test]
    fn powers_at_zero_are_finite() {
        let zero = HyperDual::variable(0.0, 1.0, 1.0);
        for (n, a, ab) in [(0, 0.0, 0.0), (1, 1.0, 0.0), (2, 0.0, 2.0), (3, 0.0, 0.0)] {
            let p = zero.powi(n);
            assert!(
                (p.a - a).abs() < 1e-300 && (p.ab - ab).abs() < 1e-300,
                "{n}"
            );
        }
    }

    #[test]
    fn comparison_is_by_value() {
        let x = HyperDual::variable(1.0, 5.0, 0.0);
        assert!(x == HyperDual::constant(1.0));
        assert!(x < HyperDual::constant(2.0));
        assert!(x.abs() == -(-x));
    }
}
