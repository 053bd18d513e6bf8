//! Separable correlations: the product of one structure for each of several axes, rows placed on all of them.
//!
//! C = C_1 (x) C_2 where every pair of positions has a row, and the rows and columns of that matrix otherwise, so that any
//! parameters of the factors give a correlation matrix (a Schur product of positive semi-definite ones is one). SAS's
//! TYPE=UN@AR(1), ASReml's us(trait):ar1(visit) and ar1(row):ar1(column) (Galecki, 1994, Communications in Statistics: Theory
//! and Methods 23, 3105-3119; Cullis & Gleeson, 1991, Biometrics 47, 1449-1460). Times 1 - nugget between different rows,
//! nugget = (1 + sin x) / 2, internally the last parameter.

use std::f64::consts::FRAC_PI_4;

use crate::api::kinds::{CorrelationFacts, CorrelationKind, Each, Positions};
use crate::api::model::{Metric, Position};
use crate::linalg::hyperdual::Scalar;
use crate::structure::correlation::domain::Domain;
use crate::structure::correlation::law::Law;
use crate::structure::correlation::link::Ends;
use crate::structure::correlation::registry::ante::AnteDependence;
use crate::structure::correlation::registry::ar1::Ar1;
use crate::structure::correlation::registry::car1::Car1;
use crate::structure::correlation::registry::compound::CompoundSymmetric;
use crate::structure::correlation::registry::toeplitz::Toeplitz;
use crate::structure::correlation::registry::unstructured::Unstructured;
use crate::structure::correlation::structure::{
    any_angle, CorrelationStructure, Parameter, Shape, Sharing,
};

/// Most axes of a product.
pub(crate) const AXES: usize = 3;

/// Nugget to start from.
const NUGGET: f64 = 0.1;

/// Correlations of neighbours on one axis at the further starts.
const STRONG: f64 = 0.8;
const ALTERNATING: f64 = -0.4;

/// How many of the further starts, the best ones, are worth an optimisation.
const WORTH: usize = 2;

macro_rules! axes {
    ($($structure:ident),* $(,)?) => {
        /// A structure that can be one factor of a product.
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub(crate) enum Axis {
            $($structure($structure)),*
        }

        impl Axis {
            fn named(name: &str, shape: &Shape) -> Option<Self> {
                None$(.or_else(|| $structure::named(name, shape).map(Self::$structure)))*
            }
        }

        /// An expression with the structure of an axis.
        macro_rules! of_axis {
            ($axis:expr, $s:ident => $value:expr) => {
                match $axis {
                    $(Axis::$structure($s) => $value),*
                }
            };
        }
    };
}

axes!(
    Ar1,
    Car1,
    CompoundSymmetric,
    Unstructured,
    Toeplitz,
    AnteDependence
);

/// The factors of a product.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Product {
    axes: [Option<Axis>; AXES],
    nugget: bool,
}

impl Product {
    /// The product of these structures at these positions; `None` where one of them cannot be a factor, or where they are too
    /// many.
    pub fn new(axes: &[(CorrelationKind, Position<'_>)], nugget: bool) -> Option<Self> {
        let mut found = [None; AXES];
        if axes.len() > AXES {
            return None;
        }
        for (slot, (kind, position)) in found.iter_mut().zip(axes) {
            let visits = match position {
                Position::Visits { visits, .. } => *visits,
                _ => 0,
            };
            let shape = Shape {
                visits,
                largest: visits,
                orders: (0, 0),
                nugget: false,
                metric: Metric::Euclidean,
                dimensions: 1,
                ends: Ends::Open,
            };
            *slot = Some(Axis::named(kind.0.name, &shape)?);
        }
        Some(Self {
            axes: found,
            nugget,
        })
    }

    fn axes(&self) -> impl Iterator<Item = Axis> + '_ {
        self.axes.iter().flatten().copied()
    }

    /// Each axis with the range of its parameters.
    fn parts(&self) -> impl Iterator<Item = (Axis, std::ops::Range<usize>)> + '_ {
        let mut first = 0;
        self.axes().map(move |axis| {
            let own = first..first + of_axis!(axis, s => s.len());
            first = own.end;
            (axis, own)
        })
    }

    /// Natural parameters, each axis with its own, and the nugget.
    fn natural_of(&self, mut of: impl FnMut(usize, Axis) -> Option<Vec<f64>>) -> Option<Vec<f64>> {
        let mut out = Vec::with_capacity(self.len());
        for (a, axis) in self.axes().enumerate() {
            out.extend(of(a, axis)?);
        }
        out.extend(self.nugget.then_some(NUGGET));
        Some(out)
    }
}

impl CorrelationStructure for Product {
    fn facts() -> Vec<CorrelationFacts> {
        vec![CorrelationFacts {
            name: "product",
            position: Positions::Product,
            order_matters: false,
            by_lag: false,
            each: Each::None,
            has_orders: false,
            nugget: true,
            effects: false,
        }]
    }

    /// Of no factors: those there are follow from positions.
    fn named(name: &str, shape: &Shape) -> Option<Self> {
        (name == "product").then_some(Self {
            axes: [None; AXES],
            nugget: shape.nugget,
        })
    }

    fn len(&self) -> usize {
        let own: usize = self.axes().map(|axis| of_axis!(axis, s => s.len())).sum();
        own + usize::from(self.nugget)
    }

    fn parameters(&self) -> Vec<Parameter> {
        let own = self
            .axes()
            .flat_map(|axis| of_axis!(axis, s => s.parameters()));
        let nugget = self.nugget.then(|| Parameter::between("nugget", 0.0, 1.0));
        own.chain(nugget).collect()
    }

    fn natural<S: Scalar>(&self, x: &[S]) -> Vec<S> {
        let mut out: Vec<S> = self
            .parts()
            .flat_map(|(axis, own)| of_axis!(axis, s => s.natural(&x[own])))
            .collect();
        if self.nugget {
            let angle = x[x.len() - 1] * 0.5 + FRAC_PI_4;
            out.push(angle.sin().square());
        }
        out
    }

    fn internal(&self, natural: &[f64]) -> Option<Vec<f64>> {
        let mut x = Vec::with_capacity(natural.len());
        for (axis, own) in self.parts() {
            x.extend(of_axis!(axis, s => s.internal(&natural[own]))?);
        }
        if self.nugget {
            let nugget = natural[natural.len() - 1];
            // a fit may end at 0 or 1: as far inside as a number can be
            let inside = nugget.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
            let possible = (0.0..=1.0).contains(&nugget);
            x.push(possible.then(|| (2.0 * inside - 1.0).asin())?);
        }
        Some(x)
    }

    fn law<S: Scalar>(&self, x: &[S], lags: usize) -> Law<S> {
        let factors = self
            .parts()
            .map(|(axis, own)| of_axis!(axis, s => s.law(&x[own], lags)))
            .collect();
        let kept = self
            .nugget
            .then(|| (x[x.len() - 1] * 0.5 + FRAC_PI_4).cos().square());
        Law::Product { factors, kept }
    }

    fn natural_law(&self, natural: &[f64], lags: usize) -> Option<Law<f64>> {
        let mut factors = Vec::new();
        for (axis, own) in self.parts() {
            factors.push(of_axis!(axis, s => s.natural_law(&natural[own], lags))?);
        }
        let kept = match self.nugget {
            false => None,
            true => Some(1.0 - natural[natural.len() - 1]).filter(|k| (0.0..=1.0).contains(k)),
        };
        (self.nugget == kept.is_some()).then_some(Law::Product { factors, kept })
    }

    fn start(&self, distance: f64) -> Vec<f64> {
        self.natural_of(|_, axis| Some(of_axis!(axis, s => s.start(distance))))
            .unwrap_or_default()
    }

    fn strong(&self, rho: f64, distance: f64, from: &[f64]) -> Option<Vec<f64>> {
        let parts: Vec<_> = self.parts().collect();
        self.natural_of(|a, axis| {
            let own = from.get(parts[a].1.clone())?;
            of_axis!(axis, s => s.strong(rho, distance, own))
        })
    }

    fn alternating(&self, rho: f64) -> Option<Vec<f64>> {
        self.natural_of(|_, axis| of_axis!(axis, s => s.alternating(rho)))
    }

    /// Each axis on its own may have its minimum at strong correlations, or at such of alternating sign.
    fn further_starts(&self, _: &[f64], _: Option<(f64, f64)>) -> (Vec<Vec<f64>>, usize) {
        let choices: Vec<Vec<Vec<f64>>> = self
            .axes()
            .map(|axis| {
                let usual = of_axis!(axis, s => s.start(1.0));
                let strong = of_axis!(axis, s => s.strong(STRONG, 1.0, &usual));
                let alternating = of_axis!(axis, s => s.alternating(ALTERNATING));
                [Some(usual), strong, alternating]
                    .into_iter()
                    .flatten()
                    .collect()
            })
            .collect();
        let mut whole = vec![Vec::new()];
        for axis in &choices {
            whole = whole
                .iter()
                .flat_map(|before: &Vec<f64>| {
                    axis.iter().map(move |own| [&before[..], own].concat())
                })
                .collect();
        }
        let starts = whole.into_iter().skip(1).filter_map(|mut natural| {
            natural.extend(self.nugget.then_some(NUGGET));
            self.internal(&natural)
        });
        (starts.collect(), WORTH)
    }

    fn anywhere(&self, chance: &mut dyn FnMut() -> f64, _: (f64, f64)) -> Vec<f64> {
        let mut x = Vec::with_capacity(self.len());
        for axis in self.axes() {
            x.extend(of_axis!(axis, s => s.anywhere(chance, (1.0, 1.0))));
        }
        if self.nugget {
            x.push(any_angle(chance));
        }
        x
    }

    fn domains(&self) -> Vec<Domain> {
        let mut out: Vec<Domain> = self
            .axes()
            .flat_map(|axis| of_axis!(axis, s => s.domains()))
            .collect();
        out.resize(self.len(), Domain::Correlation);
        out
    }

    fn angles(&self) -> usize {
        let mut count = 0;
        for axis in self.axes() {
            let (angles, len) = of_axis!(axis, s => (s.angles(), s.len()));
            count += angles;
            if angles < len {
                break;
            }
        }
        count
    }

    fn is_separate(&self) -> bool {
        self.axes().all(|axis| of_axis!(axis, s => s.is_separate()))
    }

    fn mark(&self, x: &[f64], y: &[f64], seen: &mut [bool]) {
        for (a, (axis, own)) in self.parts().enumerate() {
            if x[a].total_cmp(&y[a]).is_ne() {
                of_axis!(axis, s => s.mark(&x[a..=a], &y[a..=a], &mut seen[own]));
            }
        }
        if self.nugget {
            seen[self.len() - 1] = true;
        }
    }

    fn dimensions(&self) -> usize {
        self.axes().count()
    }

    fn sharing(&self) -> Sharing {
        Sharing::Positions
    }

    fn allows_ties(&self) -> bool {
        self.nugget
    }

    fn is_by_unit(&self) -> bool {
        self.axes().any(|axis| of_axis!(axis, s => s.is_by_unit()))
    }

    fn is_representable(&self, x: &[f64]) -> bool {
        self.parts()
            .all(|(axis, own)| of_axis!(axis, s => s.is_representable(&x[own])))
    }
}
