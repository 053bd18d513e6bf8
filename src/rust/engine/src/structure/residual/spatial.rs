//! Correlations that fall with distance, with nlme's definitions (Pinheiro & Bates, 2000, 5.3.2): a function of
//! distance / range, times 1 - nugget between different rows.

use std::f64::consts::FRAC_PI_4;

use crate::api::model::{Metric, SpatialKind};
use crate::linalg::hyperdual::Scalar;

/// The correlation at a distance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decline<S> {
    kind: SpatialKind,
    /// 1 / range.
    rate: S,
    /// 1 - nugget.
    kept: Option<S>,
}

impl<S: Scalar> Decline<S> {
    /// range = exp(x_1), nugget = (1 + sin x_2) / 2.
    pub fn new(kind: SpatialKind, x: &[S]) -> Self {
        Self {
            kind,
            rate: (-x[0]).exp(),
            kept: x.get(1).map(|x| (*x * 0.5 + FRAC_PI_4).cos().square()),
        }
    }

    /// Between two different rows.
    pub fn at(&self, distance: f64) -> S {
        let s = self.rate * distance;
        let one = S::constant(1.0);
        let value = match self.kind {
            SpatialKind::Exponential => (-s).exp(),
            SpatialKind::Gaussian => (-s.square()).exp(),
            SpatialKind::RationalQuadratic => (s.square() + 1.0).recip(),
            SpatialKind::Linear if s < one => one - s,
            SpatialKind::Spherical if s < one => (s.square() * 0.5 - 1.5) * s + 1.0,
            SpatialKind::Linear | SpatialKind::Spherical => S::constant(0.0),
        };
        self.kept.map_or(value, |kept| value * kept)
    }
}

/// range, nugget.
pub(super) fn natural<S: Scalar>(x: &[S]) -> Vec<S> {
    let mut out = vec![x[0].exp()];
    out.extend(x.get(1).map(|x| (*x * 0.5 + FRAC_PI_4).sin().square()));
    out
}

pub(super) fn internal(natural: &[f64]) -> Option<Vec<f64>> {
    let range = natural[0];
    let mut x = (range > 0.0 && range.is_finite()).then(|| vec![range.ln()])?;
    if let Some(&nugget) = natural.get(1) {
        // a fit may end at 0 or 1: as far inside as a number can be
        let inside = nugget.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
        x.push(
            (0.0..=1.0)
                .contains(&nugget)
                .then(|| (2.0 * inside - 1.0).asin())?,
        );
    }
    Some(x)
}

/// The range at which the correlation over `distance` is 1/2: a typical distance between neighbours starts in the middle,
/// where no kind is flat (from nlme's start, 0.9 times the smallest distance, the linear and the spherical cannot move).
pub(super) fn half_range(kind: SpatialKind, distance: f64) -> f64 {
    let s = match kind {
        SpatialKind::Exponential => std::f64::consts::LN_2,
        SpatialKind::Gaussian => std::f64::consts::LN_2.sqrt(),
        SpatialKind::Linear => 0.5,
        SpatialKind::RationalQuadratic => 1.0,
        // root of 1 - 1.5 s + 0.5 s^3 = 0.5
        SpatialKind::Spherical => 0.347_296_355_333_860_7,
    };
    distance / s
}

/// Distance of two points.
pub(super) fn distance(metric: Metric, x: &[f64], y: &[f64]) -> f64 {
    let gaps = x.iter().zip(y).map(|(a, b)| (a - b).abs());
    match metric {
        Metric::Manhattan => gaps.sum(),
        Metric::Maximum => gaps.fold(0.0, f64::max),
        Metric::Euclidean => match x.len() {
            1 => (x[0] - y[0]).abs(),
            2 => (x[0] - y[0]).hypot(x[1] - y[1]),
            _ => gaps.map(|g| g * g).sum::<f64>().sqrt(),
        },
    }
}
