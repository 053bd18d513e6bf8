//! The correlation structures, one variant each: parameters, and the law that they give.
//!
//! A new structure is a variant here and a file with its formulas; no other file knows which structures there are.

use crate::api::error::EngineError;
use crate::api::model::{Correlation, Metric, SpatialKind};
use crate::linalg::hyperdual::Scalar;
use crate::structure::residual::compound::{self, Exchangeable};
use crate::structure::residual::markov::{self, Link, Markov, EDGE};
use crate::structure::residual::spatial::{self, Decline};
use crate::structure::residual::{arma, toeplitz, unstructured};

/// Ranges from exp(-300) to exp(300).
const LARGEST_LOG: f64 = 300.0;

/// A rate of decay at which nothing is left of the correlation at any distance that data tell.
const NO_CORRELATION: f64 = 1e30;

/// How many times as far from its end a correlation is, where the criterion there is compared with that at the end.
const OFF: f64 = 400.0;

/// A correlation structure with its dimensions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Family {
    Ar1,
    /// Internally the logarithm of the range -1 / log rho: a change of the unit of time only shifts it.
    Car1,
    Arma {
        p: usize,
        q: usize,
    },
    CompoundSymmetric {
        largest: usize,
    },
    Unstructured {
        visits: usize,
    },
    Toeplitz {
        visits: usize,
    },
    AnteDependence {
        visits: usize,
    },
    Spatial {
        kind: SpatialKind,
        nugget: bool,
        metric: Metric,
        dimensions: usize,
    },
}

/// What the positions of two groups must share for the groups to have one correlation matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sharing {
    /// The number of rows.
    Size,
    /// The gaps between rows.
    Gaps,
    /// The positions themselves.
    Positions,
}

/// The correlation of two different rows as a function of their positions.
#[derive(Debug, Clone)]
pub(super) enum Law<S> {
    Markov(Markov<S>),
    Exchangeable(Exchangeable<S>),
    /// By lag.
    Lags(Vec<S>),
    /// By pair of visits.
    Pairs {
        visits: usize,
        values: Vec<S>,
    },
    Spatial(Decline<S>, Metric),
}

impl<S: Scalar> Law<S> {
    /// Correlation of two different rows.
    pub fn between(&self, x: &[f64], y: &[f64]) -> S {
        match self {
            Self::Markov(law) => law.link(x[0], y[0]).r,
            Self::Exchangeable(law) => law.rho,
            Self::Lags(values) => values[(x[0] - y[0]).abs() as usize],
            Self::Pairs { visits, values } => {
                values[(x[0] as usize - 1) * visits + y[0] as usize - 1]
            }
            Self::Spatial(law, metric) => law.at(spatial::distance(*metric, x, y)),
        }
    }
}

impl Family {
    pub fn new(correlation: &Correlation<'_>, largest: usize) -> Self {
        match *correlation {
            Correlation::Ar1 { .. } | Correlation::Arma { p: 1, q: 0, .. } => Self::Ar1,
            Correlation::Car1 { .. } => Self::Car1,
            Correlation::Arma { p, q, .. } => Self::Arma { p, q },
            Correlation::CompoundSymmetric => Self::CompoundSymmetric { largest },
            Correlation::Unstructured { visits, .. } => Self::Unstructured { visits },
            Correlation::Toeplitz { visits, .. } => Self::Toeplitz { visits },
            Correlation::AnteDependence { visits, .. } => Self::AnteDependence { visits },
            Correlation::Spatial {
                kind,
                nugget,
                ref coordinates,
                metric,
            } => Self::Spatial {
                kind,
                nugget,
                metric,
                dimensions: coordinates.len(),
            },
        }
    }

    /// Number of parameters.
    pub fn len(&self) -> usize {
        match *self {
            Self::Ar1 | Self::Car1 | Self::CompoundSymmetric { .. } => 1,
            Self::Arma { p, q } => p + q,
            Self::Unstructured { visits } => visits * visits.saturating_sub(1) / 2,
            Self::Toeplitz { visits } | Self::AnteDependence { visits } => visits.saturating_sub(1),
            Self::Spatial { nugget, .. } => 1 + usize::from(nugget),
        }
    }

    /// Values of a position.
    pub fn dimensions(&self) -> usize {
        match *self {
            Self::CompoundSymmetric { .. } => 0,
            Self::Spatial { dimensions, .. } => dimensions,
            _ => 1,
        }
    }

    pub fn sharing(&self) -> Sharing {
        match self {
            Self::CompoundSymmetric { .. } => Sharing::Size,
            Self::Ar1 | Self::Car1 | Self::Arma { .. } | Self::Toeplitz { .. } => Sharing::Gaps,
            Self::Spatial { dimensions: 1, .. } => Sharing::Gaps,
            _ => Sharing::Positions,
        }
    }

    /// Whether two rows of a group may be at one position.
    pub fn allows_ties(&self) -> bool {
        matches!(
            self,
            Self::CompoundSymmetric { .. } | Self::Spatial { nugget: true, .. }
        )
    }

    /// Whether C^-1 needs no m x m matrix.
    pub fn is_closed(&self) -> bool {
        self.is_markov() || matches!(self, Self::CompoundSymmetric { .. })
    }

    /// Whether C^-1 is tridiagonal.
    pub fn is_markov(&self) -> bool {
        matches!(
            self,
            Self::Ar1
                | Self::Car1
                | Self::AnteDependence { .. }
                | Self::Spatial {
                    kind: SpatialKind::Exponential,
                    nugget: false,
                    dimensions: 1,
                    ..
                }
        )
    }

    /// Longest lag to tabulate where positions span `span`.
    pub fn lags(&self, span: f64) -> Result<usize, EngineError> {
        match self {
            Self::Arma { .. } | Self::Toeplitz { .. } if span > arma::MAX_LAG as f64 => {
                Err(EngineError::Dimension(
                    "the times of a residual group span more than a million steps".to_owned(),
                ))
            }
            Self::Arma { .. } | Self::Toeplitz { .. } => Ok(span as usize),
            _ => Ok(0),
        }
    }

    /// Whether numbers stay finite at these parameters: a logarithmic range must not leave what squares of it can reach.
    pub fn is_representable(&self, x: &[f64]) -> bool {
        match self {
            // exp(-1 / range) as a double below 1
            Self::Car1 => x[0] > -LARGEST_LOG && x[0] < -(0.49 * f64::EPSILON).ln(),
            Self::Spatial { .. } => x[0].abs() < LARGEST_LOG,
            _ => true,
        }
    }

    /// Parameters of which those that are at an end of what a correlation can be are further inside; `None` if none of them is.
    pub fn off_the_edge(&self, x: &[f64]) -> Option<Vec<f64>> {
        let own = match *self {
            Self::Arma { p, .. } => p,
            Self::Ar1
            | Self::CompoundSymmetric { .. }
            | Self::Toeplitz { .. }
            | Self::AnteDependence { .. } => x.len(),
            Self::Car1 | Self::Unstructured { .. } | Self::Spatial { .. } => 0,
        };
        let mut inside = x.to_vec();
        for x in &mut inside[..own] {
            if x.cos().powi(2) < 4.0 * EDGE {
                *x = x.sin().signum() * ((1.0 - OFF * EDGE).sqrt()).asin();
            }
        }
        (inside != x).then_some(inside)
    }

    /// Marks the natural parameters on which the correlation of rows at `x` and `y` depends.
    pub fn mark(&self, x: &[f64], y: &[f64], seen: &mut [bool]) {
        let pair = || {
            let (a, b) = (x[0].min(y[0]) as usize, x[0].max(y[0]) as usize);
            (a - 1, b - 1)
        };
        match *self {
            Self::Unstructured { visits } => {
                let (j, i) = pair();
                seen[unstructured::index(i, j, visits)] = true;
            }
            Self::Toeplitz { .. } => {
                let (j, i) = pair();
                seen[i - j - 1] = true;
            }
            Self::AnteDependence { .. } => {
                let (j, i) = pair();
                seen[j..i].fill(true);
            }
            _ => seen.fill(true),
        }
    }

    /// Whether each natural parameter belongs to one internal parameter, so that any of them can be held.
    pub fn is_separate(&self) -> bool {
        !matches!(
            self,
            Self::Arma { .. } | Self::Unstructured { .. } | Self::Toeplitz { .. }
        )
    }

    /// Natural parameters.
    pub fn natural<S: Scalar>(&self, x: &[S]) -> Vec<S> {
        match *self {
            Self::Ar1 | Self::AnteDependence { .. } => x.iter().map(|&x| Link::sine(x).r).collect(),
            Self::Car1 => vec![(-(-x[0]).exp()).exp()],
            Self::Arma { p, .. } => arma::natural(x, p),
            Self::CompoundSymmetric { largest } => vec![Exchangeable::new(x[0], largest).rho],
            Self::Unstructured { visits } => unstructured::natural(x, visits),
            Self::Toeplitz { .. } => toeplitz::levinson(x).1.split_off(1),
            Self::Spatial { .. } => spatial::natural(x),
        }
    }

    /// Internal parameters; `None` outside of the parameter space.
    pub fn internal(&self, natural: &[f64]) -> Option<Vec<f64>> {
        match *self {
            Self::Ar1 | Self::AnteDependence { .. } => {
                natural.iter().map(|&rho| markov::angle(rho)).collect()
            }
            Self::Car1 => {
                let rho = natural[0];
                // zero: the edge, where rows that are not at one place are not correlated
                let rate = if rho == 0.0 {
                    NO_CORRELATION
                } else {
                    -rho.ln()
                };
                (0.0..1.0).contains(&rho).then(|| vec![-rate.ln()])
            }
            Self::Arma { p, .. } => arma::internal(natural, p),
            Self::CompoundSymmetric { largest } => {
                compound::internal(natural[0], largest).map(|x| vec![x])
            }
            Self::Unstructured { visits } => unstructured::internal(natural, visits),
            Self::Toeplitz { .. } => toeplitz::from_autocorrelations(natural),
            Self::Spatial { .. } => spatial::internal(natural),
        }
    }

    /// Natural parameters to start from, given a typical distance of neighbours: moderate correlations, away from every
    /// point at which some derivative vanishes for all data.
    pub fn start(&self, distance: f64) -> Vec<f64> {
        match *self {
            // times can be years that are decades apart: 0.2^10 says nothing of the slope
            Self::Ar1 => vec![0.2f64.powf(1.0 / distance).min(1.0 - 1e-15)],
            Self::Car1 => vec![0.5f64.powf(1.0 / distance)],
            Self::Arma { p, q } => arma::start(p, q),
            Self::CompoundSymmetric { .. } => vec![0.2],
            Self::Unstructured { visits } => unstructured::start(visits),
            Self::Toeplitz { visits } => (1..visits).map(|lag| 0.3f64.powi(lag as i32)).collect(),
            Self::AnteDependence { visits } => vec![0.3; visits.saturating_sub(1)],
            Self::Spatial { kind, nugget, .. } => {
                let mut start = vec![spatial::half_range(kind, distance)];
                start.resize(1 + usize::from(nugget), 0.1);
                start
            }
        }
    }

    /// The law at internal parameters, for lags up to `lags` where it is tabulated.
    pub fn law<S: Scalar>(&self, x: &[S], lags: usize) -> Law<S> {
        match *self {
            Self::Ar1 => Law::Markov(Markov::Lag(Link::sine(x[0]))),
            Self::AnteDependence { .. } => {
                Law::Markov(Markov::Chain(x.iter().map(|&x| Link::sine(x)).collect()))
            }
            Self::Car1 => Law::Markov(Markov::Decay(-(-x[0]).exp())),
            Self::Spatial { .. } if self.is_markov() => Law::Markov(Markov::Decay(-(-x[0]).exp())),
            Self::Spatial { kind, metric, .. } => Law::Spatial(Decline::new(kind, x), metric),
            Self::Arma { p, .. } => Law::Lags(arma::autocorrelations(x, p, lags)),
            Self::Toeplitz { .. } => Law::Lags(toeplitz::levinson(x).1),
            Self::CompoundSymmetric { largest } => {
                Law::Exchangeable(Exchangeable::new(x[0], largest))
            }
            Self::Unstructured { visits } => Law::Pairs {
                visits,
                values: unstructured::correlations(x, visits),
            },
        }
    }
}
