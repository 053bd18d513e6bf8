//! All correlation structures; each has a file and a line in the list.

mod ante;
mod ar1;
mod arma;
mod car1;
mod compound;
mod known;
mod product;
mod spatial;
mod toeplitz;
mod unstructured;

use crate::api::kinds::{CorrelationFacts, CorrelationKind};
use crate::api::model::{Correlation, Metric, Position};
use crate::linalg::hyperdual::Scalar;
use crate::structure::correlation::domain::Domain;
use crate::structure::correlation::law::Law;
use crate::structure::correlation::link::Ends;
use crate::structure::correlation::structure::{
    Components, CorrelationStructure, Inverse, Parameter, Shape, Sharing,
};
use ante::AnteDependence;
use ar1::Ar1;
use arma::Arma;
use car1::Car1;
use compound::CompoundSymmetric;
use known::Known;
pub(crate) use product::Product;
use spatial::Spatial;
use toeplitz::Toeplitz;
use unstructured::Unstructured;

/// One type for all structures, so that frequent queries need no dynamic dispatch.
///
/// Its methods are those of [`CorrelationStructure`], and its own: as an implementation of the trait, it would take the default
/// of a method that is missing from the list below, whatever a structure says.
macro_rules! registry {
    ($($structure:ident),* $(,)?) => {
        /// A correlation structure with its dimensions.
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub(crate) enum Family {
            $($structure($structure)),*
        }

        registry!(@delegate [$($structure),*]
            len() -> usize;
            parameters() -> Vec<Parameter>;
            internal(natural: &[f64]) -> Option<Vec<f64>>;
            natural_law(natural: &[f64], lags: usize) -> Option<Law<f64>>;
            start(distance: f64) -> Vec<f64>;
            strong(rho: f64, distance: f64, from: &[f64]) -> Option<Vec<f64>>;
            alternating(rho: f64) -> Option<Vec<f64>>;
            further_starts(start: &[f64], span: Option<(f64, f64)>) -> (Vec<Vec<f64>>, usize);
            anywhere(chance: &mut dyn FnMut() -> f64, reach: (f64, f64)) -> Vec<f64>;
            domains() -> Vec<Domain>;
            angles() -> usize;
            is_separate() -> bool;
            mark(x: &[f64], y: &[f64], seen: &mut [bool]) -> ();
            dimensions() -> usize;
            sharing() -> Sharing;
            inverse() -> Inverse;
            allows_ties() -> bool;
            largest() -> usize;
            is_tabulated() -> bool;
            metric() -> Option<Metric>;
            is_by_unit() -> bool;
            has_kinks() -> bool;
            is_representable(x: &[f64]) -> bool;
            components() -> Components;
        );
    };
    (@delegate $structures:tt $($method:ident $arguments:tt -> $result:ty;)*) => {
        impl Family {
            $(registry!(@method $structures $method $arguments $result);)*
            registry!(@generic $structures);
        }
    };
    (@method [$($structure:ident),*] $method:ident ($($argument:ident: $type:ty),*) $result:ty) => {
        pub fn $method(&self, $($argument: $type),*) -> $result {
            registry!(@each self [$($structure),*] $method ($($argument),*))
        }
    };
    (@each $self:ident [$($structure:ident),*] $method:ident $arguments:tt) => {
        match $self {
            $(Self::$structure(s) => s.$method $arguments),*
        }
    };
    (@generic [$($structure:ident),*]) => {
        pub fn facts() -> Vec<CorrelationFacts> {
            [$($structure::facts()),*].concat()
        }

        pub fn named(name: &str, shape: &Shape) -> Option<Self> {
            None$(.or_else(|| $structure::named(name, shape).map(Self::$structure)))*
        }

        pub fn natural<S: Scalar>(&self, x: &[S]) -> Vec<S> {
            registry!(@each self [$($structure),*] natural (x))
        }

        pub fn law<S: Scalar>(&self, x: &[S], lags: usize) -> Law<S> {
            registry!(@each self [$($structure),*] law (x, lags))
        }
    };
}

registry!(
    Ar1,
    Car1,
    Arma,
    CompoundSymmetric,
    Unstructured,
    Toeplitz,
    AnteDependence,
    Spatial,
    Known,
    Product,
);

impl CorrelationKind {
    /// All kinds that there are.
    #[must_use]
    pub fn all() -> Vec<Self> {
        Family::facts().into_iter().map(Self).collect()
    }

    /// The kind of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|kind| kind.0.name == name)
    }
}

impl Family {
    fn new(kind: CorrelationKind, shape: &Shape) -> Self {
        Self::named(kind.0.name, shape).unwrap_or_else(|| unreachable!("kinds are of this list"))
    }

    /// Of residuals; `largest` is the number of rows of the largest group.
    pub fn of_residuals(correlation: &Correlation<'_>, largest: usize) -> Self {
        let (visits, dimensions, metric) = match &correlation.position {
            Position::None => (0, 0, Metric::Euclidean),
            Position::Whole(_) | Position::Times(_) | Position::Rows { .. } => {
                (0, 1, Metric::Euclidean)
            }
            Position::Visits { visits, .. } => (*visits, 1, Metric::Euclidean),
            Position::Points {
                coordinates,
                metric,
            } => (0, coordinates.len(), *metric),
            Position::Product { axes } => {
                if let Some(product) = Product::new(axes, correlation.nugget) {
                    return Self::Product(product);
                }
                (0, 0, Metric::Euclidean)
            }
        };
        let shape = Shape {
            visits,
            largest,
            orders: correlation.orders,
            nugget: correlation.nugget,
            metric,
            dimensions,
            ends: Ends::Open,
        };
        Self::new(correlation.kind, &shape)
    }

    /// Of the k effects of a level, at positions 1, ..., k.
    pub fn of_effects(kind: CorrelationKind, k: usize) -> Self {
        let shape = Shape {
            visits: k,
            largest: k,
            orders: (0, 0),
            nugget: false,
            metric: Metric::Euclidean,
            dimensions: 1,
            ends: Ends::Closed,
        };
        Self::new(kind, &shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_structure_of_its_own() {
        for kind in CorrelationKind::all() {
            assert_eq!(CorrelationKind::named(kind.facts().name), Some(kind));
            let family = Family::of_effects(kind, 4);
            let others = CorrelationKind::all().into_iter();
            let same = others.filter(|&other| Family::of_effects(other, 4) == family);
            assert_eq!(same.count(), 1, "{kind:?}");
            if kind.facts().effects {
                assert_eq!(family.parameters().len(), family.len());
                assert!(family.internal(&family.start(1.0)).is_some(), "{kind:?}");
            }
        }
        assert_eq!(CorrelationKind::named("none of them"), None);
    }
}
