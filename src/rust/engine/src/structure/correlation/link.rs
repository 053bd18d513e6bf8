//! Parameters without bounds to correlations between -1 and 1, by the sine: a correlation at its end is an ordinary smooth
//! minimum.

use crate::linalg::hyperdual::Scalar;

/// How near to its ends the correlation of residuals comes. A search goes as far as it can where R is singular at the best
/// place (the sum of a group's residuals can be what tells a coefficient); natural parameters are doubles and have to bring
/// methods back to where it ended, with digits left.
pub(crate) const EDGE: f64 = 1e-10;

/// Whether correlations may be at their ends: the only difference between the two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    /// They may: G can be singular.
    Closed,
    /// They stay [`EDGE`] away: R has an inverse.
    Open,
}

impl Ends {
    /// What is left between a correlation and its end.
    pub fn edge(self) -> f64 {
        match self {
            Self::Closed => 0.0,
            Self::Open => EDGE,
        }
    }
}

/// A correlation r and 1 - r^2, which is kept because it cannot be had from r where r is nearly 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link<S> {
    pub r: S,
    pub complement: S,
}

impl<S: Scalar> Link<S> {
    /// r = (1 - edge) sin x.
    pub fn sine(x: S, ends: Ends) -> Self {
        let edge = ends.edge();
        Self {
            r: x.sin() * (1.0 - edge),
            complement: x.cos().square() + x.sin().square() * (edge * (2.0 - edge)),
        }
    }

    /// The correlation across two links; sums of positive terms only.
    pub fn then(self, next: Self) -> Self {
        Self {
            r: self.r * next.r,
            complement: self.complement + self.r.square() * next.complement,
        }
    }

    /// The correlation across `n` equal links, by squaring.
    pub fn power(self, mut n: u64) -> Self {
        let mut result = Self {
            r: S::constant(1.0),
            complement: S::constant(0.0),
        };
        let mut square = self;
        if n == 1 {
            return self;
        }
        while n > 0 {
            if n & 1 == 1 {
                result = result.then(square);
            }
            n >>= 1;
            if n > 0 {
                square = square.then(square);
            }
        }
        result
    }
}

/// x of a correlation; `None` outside of (-1, 1), or of [-1, 1] where the ends are possible.
pub(crate) fn angle(r: f64, ends: Ends) -> Option<f64> {
    let possible = match ends {
        Ends::Closed => r.abs() <= 1.0,
        Ends::Open => r.abs() < 1.0,
    };
    possible.then(|| (r / (1.0 - ends.edge())).clamp(-1.0, 1.0).asin())
}
