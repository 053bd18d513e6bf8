//! What a correlation structure is: its parameters, where they start, and the law that they give. One file a structure.

use std::f64::consts::PI;
use std::fmt::Debug;

use crate::api::kinds::CorrelationFacts;
use crate::api::model::Metric;
use crate::linalg::hyperdual::Scalar;
use crate::structure::correlation::domain::Domain;
use crate::structure::correlation::law::Law;
use crate::structure::correlation::link::Ends;

/// What the positions of two groups must share for the groups to have one correlation matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// The number of rows.
    Size,
    /// The gaps between rows.
    Gaps,
    /// The positions themselves.
    Positions,
    /// The known correlations of all pairs.
    Entries,
}

/// What C^-1 costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inverse {
    /// Tridiagonal: the law is `Law::Markov`.
    Tridiagonal,
    /// Two numbers: the law is `Law::Exchangeable`.
    RankOne,
    /// m x m.
    Dense,
}

/// What variance components are, besides sigma^2 (as SAS has them).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Components {
    /// The natural parameters.
    Natural,
    /// Covariances, where all rows have one variance.
    Covariances,
    /// Covariances of pairs of so many visits, which may have variances of their own.
    Pairs(usize),
}

/// What a structure is made from besides its name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Shape {
    /// Number of visits, or of the effects of a level.
    pub visits: usize,
    /// Rows of the largest group, or the effects of a level.
    pub largest: usize,
    /// p and q.
    pub orders: (usize, usize),
    /// Whether it jumps at distance 0.
    pub nugget: bool,
    /// Distance of two points.
    pub metric: Metric,
    /// Coordinates of a point.
    pub dimensions: usize,
    /// Whether correlations may be at their ends.
    pub ends: Ends,
}

/// A natural parameter as users know it.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// What it lies between; infinite where there is no bound.
    pub bounds: (f64, f64),
}

impl Parameter {
    /// A correlation between -1 and 1.
    pub(crate) fn correlation(name: impl Into<String>) -> Self {
        Self::between(name, -1.0, 1.0)
    }

    pub(crate) fn between(name: impl Into<String>, lower: f64, upper: f64) -> Self {
        Self {
            name: name.into(),
            bounds: (lower, upper),
        }
    }

    /// What kind of number it is: a "correlation" (between -1 or more and 1), "unit" (between 0 and 1), "positive" or "real".
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match (self.bounds.0 < 0.0, self.bounds.1 < f64::INFINITY) {
            (true, true) => "correlation",
            (false, true) => "unit",
            (false, false) => "positive",
            (true, false) => "real",
        }
    }
}

/// A correlation structure with its dimensions, for random effects or for residuals.
///
/// Parameters are *natural*, those that users see, or *internal*, without bounds: optimisation is in these. Formulas are
/// generic in the number type; hyper-dual numbers turn them into exact derivatives.
pub(crate) trait CorrelationStructure: Debug + Copy + PartialEq {
    /// What is known of it before there are data, by each of its names.
    fn facts() -> Vec<CorrelationFacts>;

    /// The structure of this name and shape, where it is this one.
    fn named(name: &str, shape: &Shape) -> Option<Self>;

    /// Number of parameters.
    fn len(&self) -> usize;

    /// Names and bounds of the natural parameters, each on its own: together they may be bound further.
    fn parameters(&self) -> Vec<Parameter>;

    /// Natural parameters.
    fn natural<S: Scalar>(&self, x: &[S]) -> Vec<S>;

    /// Internal parameters; `None` outside of the parameter space.
    fn internal(&self, natural: &[f64]) -> Option<Vec<f64>>;

    /// The law at internal parameters, for lags up to `lags` where it is tabulated.
    fn law<S: Scalar>(&self, x: &[S], lags: usize) -> Law<S>;

    /// The law at natural parameters; `None` outside of the parameter space. Where they are the correlations themselves, they
    /// are taken as they are: rounding may make a matrix singular that was not.
    fn natural_law(&self, natural: &[f64], lags: usize) -> Option<Law<f64>> {
        self.internal(natural).map(|x| self.law(&x, lags))
    }

    /// Natural parameters to start from, given a typical distance of neighbours: moderate correlations, away from every
    /// point at which some derivative vanishes for all data.
    fn start(&self, distance: f64) -> Vec<f64>;

    /// Natural parameters with neighbours `distance` apart correlated by `rho`, strongly, for a second attempt; `from` are
    /// those of the first one.
    fn strong(&self, _rho: f64, _distance: f64, _from: &[f64]) -> Option<Vec<f64>> {
        None
    }

    /// Natural parameters with correlations of alternating sign, `rho` < 0 at lag 1, where there may be another minimum.
    fn alternating(&self, _rho: f64) -> Option<Vec<f64>> {
        None
    }

    /// Other internal parameters to start from, where the criterion may have several minima, and how many of them, the best
    /// ones, are worth an optimisation. `span` is the smallest and the largest distance within a group, where distances are
    /// kept.
    fn further_starts(&self, _start: &[f64], _span: Option<(f64, f64)>) -> (Vec<Vec<f64>>, usize) {
        (Vec::new(), 0)
    }

    /// Internal parameters from all over their space, as `chance`, uniform in (0, 1), has them, for one of many walks. `reach` is
    /// the smallest and the largest distance over which rows are correlated. Most are angles whose sine is a correlation.
    fn anywhere(&self, chance: &mut dyn FnMut() -> f64, _reach: (f64, f64)) -> Vec<f64> {
        (0..self.len()).map(|_| any_angle(chance)).collect()
    }

    /// The scale on which a profile goes along each natural parameter. Bounds do not tell: a nugget between 0 and 1 goes as a
    /// correlation, the one coefficient of an AR(1) written as ARMA as those of higher orders.
    fn domains(&self) -> Vec<Domain>;

    /// How many internal parameters, the first ones, are angles whose sine is a correlation.
    fn angles(&self) -> usize;

    /// Whether each natural parameter belongs to one internal parameter, so that any of them can be held.
    fn is_separate(&self) -> bool {
        true
    }

    /// Marks the natural parameters on which the correlation of rows at `x` and `y` depends.
    fn mark(&self, _x: &[f64], _y: &[f64], seen: &mut [bool]) {
        seen.fill(true);
    }

    /// Values of a position.
    fn dimensions(&self) -> usize {
        1
    }

    fn sharing(&self) -> Sharing {
        Sharing::Gaps
    }

    fn inverse(&self) -> Inverse {
        Inverse::Dense
    }

    /// Whether two rows of a group may be at one position.
    fn allows_ties(&self) -> bool {
        false
    }

    /// The most rows of a group that the structure allows for; 0 where it does not matter.
    fn largest(&self) -> usize {
        0
    }

    /// Whether the law is tabulated by lag.
    fn is_tabulated(&self) -> bool {
        false
    }

    /// Distance of two rows, where the first parameter is a range.
    fn metric(&self) -> Option<Metric> {
        None
    }

    /// Whether the parameter is the correlation at one unit of distance: where neighbours are far from one unit apart, it may
    /// be 0 or 1 for a double where theirs is not.
    fn is_by_unit(&self) -> bool {
        false
    }

    /// Whether the criterion has a kink in the first parameter, a log range, at each distance.
    fn has_kinks(&self) -> bool {
        false
    }

    /// Whether numbers stay finite at these parameters: a logarithmic range must not leave what squares of it can reach.
    fn is_representable(&self, _x: &[f64]) -> bool {
        true
    }

    fn components(&self) -> Components {
        Components::Natural
    }
}

/// An angle from all over the half circle whose sines are the correlations.
pub(crate) fn any_angle(chance: &mut dyn FnMut() -> f64) -> f64 {
    PI * (chance() - 0.5)
}

/// rho^lag for each pair of visits, the lower triangle by columns.
pub(crate) fn powers_by_pair(rho: f64, visits: usize) -> Vec<f64> {
    (0..visits)
        .flat_map(|j| (j + 1..visits).map(move |i| rho.powi((i - j) as i32)))
        .collect()
}

/// rho, rho^2, ...
pub(crate) fn powers(rho: f64, lags: usize) -> Vec<f64> {
    (1..=lags).map(|lag| rho.powi(lag as i32)).collect()
}
