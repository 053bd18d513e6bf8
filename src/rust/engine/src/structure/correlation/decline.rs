//! Functions of distance / range that fall from 1.

use crate::api::model::SpatialKind;
use crate::linalg::hyperdual::Scalar;
use crate::structure::correlation::matern;

/// A function of distance / range, times 1 - nugget between different rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decline<S> {
    /// Which function.
    pub kind: SpatialKind,
    /// 1 / range.
    pub rate: S,
    /// 1 - nugget.
    pub kept: Option<S>,
}

impl<S: Scalar> Decline<S> {
    /// Between two different rows.
    #[inline]
    pub fn at(&self, distance: f64) -> S {
        let value = function(self.kind, self.rate * distance);
        self.kept.map_or(value, |kept| value * kept)
    }
}

/// The correlation at s = distance / range; chosen at each pair of rows, as a call of what was chosen before takes longer.
#[inline]
fn function<S: Scalar>(kind: SpatialKind, s: S) -> S {
    match kind {
        SpatialKind::Exponential => (-s).exp(),
        SpatialKind::Gaussian => (-s.square()).exp(),
        SpatialKind::RationalQuadratic => (s.square() + 1.0).recip(),
        SpatialKind::Matern32 => matern::three_halves(s),
        SpatialKind::Matern52 => matern::five_halves(s),
        // nothing beyond the range
        SpatialKind::Linear | SpatialKind::Spherical if s >= S::constant(1.0) => S::constant(0.0),
        SpatialKind::Linear => S::constant(1.0) - s,
        SpatialKind::Spherical => (s.square() * 0.5 - 1.5) * s + 1.0,
    }
}
