//! Correlations that fall with distance, with nlme's definitions (Pinheiro & Bates, 2000, 5.3.2): a function of
//! distance / range, times 1 - nugget between different rows. Internally log range and nugget = (1 + sin x) / 2.

use std::f64::consts::FRAC_PI_4;

use crate::api::kinds::{CorrelationFacts, Each, Positions};
use crate::api::model::Metric;
use crate::linalg::hyperdual::Scalar;
use crate::structure::correlation::distance::{Decline, Distance};
use crate::structure::correlation::domain::Domain;
use crate::structure::correlation::law::{Law, Markov};
use crate::structure::correlation::structure::{
    any_angle, CorrelationStructure, Inverse, Parameter, Shape, Sharing,
};

/// Ranges from exp(-300) to exp(300).
pub(crate) const LARGEST_LOG: f64 = 300.0;

/// Nugget to start from.
const NUGGET: f64 = 0.1;

/// Nuggets of the further starts.
const NUGGETS: [f64; 3] = [0.05, 0.2, 0.5];

/// Ranges among the further starts.
const RANGES: usize = 6;

/// A range next to the smallest distance.
const JUST_ABOVE: f64 = 1.3;

/// Largest factor by which a range drawn by chance is below the smallest or above the largest distance.
const BEYOND: f64 = 3.0;

/// The logarithm of a range between all distances that data tell, or a little beyond.
pub(crate) fn any_log_range(chance: &mut dyn FnMut() -> f64, (low, high): (f64, f64)) -> f64 {
    let (first, last) = ((low / BEYOND).ln(), (BEYOND * high).ln());
    first + chance() * (last - first)
}

/// A function of distance, in so many dimensions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spatial {
    pub function: Distance,
    pub nugget: bool,
    pub metric: Metric,
    pub dimensions: usize,
}

impl Spatial {
    /// The range at which the correlation over `distance` is 1/2: a typical distance between neighbours starts in the
    /// middle, where no kind is flat (from nlme's start, 0.9 times the smallest distance, the linear and the spherical
    /// cannot move).
    fn half_range(&self, distance: f64) -> f64 {
        distance / self.function.half()
    }

    /// Ranges and nuggets over all that the distances tell.
    fn grid(&self, low: f64, high: f64) -> Vec<Vec<f64>> {
        let nuggets: &[f64] = if self.nugget { &NUGGETS } else { &[] };
        let steps = (RANGES - 1) as f64;
        let mut ranges: Vec<f64> = (0..RANGES)
            .map(|step| self.half_range(low * (high / low).powf(step as f64 / steps)))
            .collect();
        if self.function.ends() {
            // hardly any pair is correlated
            ranges.push(JUST_ABOVE * low);
        }
        let natural = |range: f64| -> Vec<Vec<f64>> {
            match nuggets {
                [] => vec![vec![range]],
                some => some.iter().map(|&nugget| vec![range, nugget]).collect(),
            }
        };
        ranges.into_iter().flat_map(natural).collect()
    }
}

impl CorrelationStructure for Spatial {
    fn facts() -> Vec<CorrelationFacts> {
        let facts = |function: &Distance| CorrelationFacts {
            name: function.name(),
            position: Positions::Points,
            order_matters: true,
            by_lag: true,
            each: Each::None,
            has_orders: false,
            nugget: true,
            effects: false,
        };
        Distance::ALL.iter().map(facts).collect()
    }

    fn named(name: &str, shape: &Shape) -> Option<Self> {
        Some(Self {
            function: Distance::named(name)?,
            nugget: shape.nugget,
            metric: shape.metric,
            dimensions: shape.dimensions,
        })
    }

    fn len(&self) -> usize {
        1 + usize::from(self.nugget)
    }
    fn parameters(&self) -> Vec<Parameter> {
        let range = Parameter::between("range", 0.0, f64::INFINITY);
        let nugget = self.nugget.then(|| Parameter::between("nugget", 0.0, 1.0));
        std::iter::once(range).chain(nugget).collect()
    }

    fn natural<S: Scalar>(&self, x: &[S]) -> Vec<S> {
        let mut out = vec![x[0].exp()];
        out.extend(x.get(1).map(|x| (*x * 0.5 + FRAC_PI_4).sin().square()));
        out
    }

    fn internal(&self, natural: &[f64]) -> Option<Vec<f64>> {
        let range = natural[0];
        let mut x = (range > 0.0 && range.is_finite()).then(|| vec![range.ln()])?;
        if let Some(&nugget) = natural.get(1) {
            // a fit may end at 0 or 1: as far inside as a number can be
            let inside = nugget.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
            let possible = (0.0..=1.0).contains(&nugget);
            x.push(possible.then(|| (2.0 * inside - 1.0).asin())?);
        }
        Some(x)
    }

    fn law<S: Scalar>(&self, x: &[S], _: usize) -> Law<S> {
        let rate = (-x[0]).exp();
        if self.inverse() == Inverse::Tridiagonal {
            return Law::Markov(Markov::Decay(-rate));
        }
        let kept = x.get(1).map(|x| (*x * 0.5 + FRAC_PI_4).cos().square());
        let decline = Decline {
            function: self.function,
            rate,
            kept,
        };
        Law::Decline(decline, self.metric)
    }

    fn start(&self, distance: f64) -> Vec<f64> {
        let mut start = vec![self.half_range(distance)];
        start.resize(self.len(), NUGGET);
        start
    }

    fn further_starts(&self, _: &[f64], span: Option<(f64, f64)>) -> (Vec<Vec<f64>>, usize) {
        let Some((low, high)) = span else {
            return (Vec::new(), 0);
        };
        let worth = if self.function.ends() {
            usize::MAX
        } else if self.nugget {
            NUGGETS.len()
        } else {
            1
        };
        let grid = self.grid(low, high);
        (
            grid.iter().filter_map(|v| self.internal(v)).collect(),
            worth,
        )
    }

    fn anywhere(&self, chance: &mut dyn FnMut() -> f64, (low, high): (f64, f64)) -> Vec<f64> {
        let reach = (self.half_range(low), self.half_range(high));
        let mut out = vec![any_log_range(chance, reach)];
        out.resize_with(self.len(), || any_angle(chance));
        out
    }

    fn domains(&self) -> Vec<Domain> {
        let mut out = vec![Domain::Positive];
        out.resize(self.len(), Domain::Correlation);
        out
    }

    fn angles(&self) -> usize {
        0
    }

    fn dimensions(&self) -> usize {
        self.dimensions
    }

    fn sharing(&self) -> Sharing {
        if self.dimensions == 1 {
            Sharing::Gaps
        } else {
            Sharing::Positions
        }
    }

    fn inverse(&self) -> Inverse {
        let markov = self.function.is_exponential() && !self.nugget && self.dimensions == 1;
        if markov {
            Inverse::Tridiagonal
        } else {
            Inverse::Dense
        }
    }

    fn allows_ties(&self) -> bool {
        self.nugget
    }

    fn metric(&self) -> Option<Metric> {
        Some(self.metric)
    }

    fn has_kinks(&self) -> bool {
        self.function.has_kinks()
    }

    fn is_representable(&self, x: &[f64]) -> bool {
        x[0].abs() < LARGEST_LOG
    }
}
