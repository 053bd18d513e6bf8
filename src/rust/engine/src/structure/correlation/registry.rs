//! The correlation structures that there are: one line a structure in [`Family`], one in each side's translation.

use crate::api::model::{Correlation, CorrelationKind, Metric};
use crate::linalg::hyperdual::Scalar;
use crate::structure::correlation::ante::AnteDependence;
use crate::structure::correlation::ar1::Ar1;
use crate::structure::correlation::arma::Arma;
use crate::structure::correlation::car1::Car1;
use crate::structure::correlation::compound::CompoundSymmetric;
use crate::structure::correlation::domain::Domain;
use crate::structure::correlation::law::Law;
use crate::structure::correlation::link::Ends;
use crate::structure::correlation::spatial::Spatial;
use crate::structure::correlation::structure::{
    Components, CorrelationStructure, Inverse, Parameter, Sharing,
};
use crate::structure::correlation::toeplitz::Toeplitz;
use crate::structure::correlation::unstructured::Unstructured;

/// Correlation at lag 1 from which a Toeplitz matrix starts.
const EFFECTS_START: f64 = 0.2;
const RESIDUAL_START: f64 = 0.3;

/// One type for all structures, so that what is asked of them often is no call through a pointer.
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
        impl CorrelationStructure for Family {
            $(registry!(@method $structures $method $arguments $result);)*
            registry!(@generic $structures);
        }
    };
    (@method [$($structure:ident),*] $method:ident ($($argument:ident: $type:ty),*) $result:ty) => {
        fn $method(&self, $($argument: $type),*) -> $result {
            registry!(@each self [$($structure),*] $method ($($argument),*))
        }
    };
    (@each $self:ident [$($structure:ident),*] $method:ident $arguments:tt) => {
        match $self {
            $(Self::$structure(s) => s.$method $arguments),*
        }
    };
    (@generic [$($structure:ident),*]) => {
        fn natural<S: Scalar>(&self, x: &[S]) -> Vec<S> {
            registry!(@each self [$($structure),*] natural (x))
        }

        fn law<S: Scalar>(&self, x: &[S], lags: usize) -> Law<S> {
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
);

impl Family {
    /// Of residuals; `largest` is the number of rows of the largest group.
    pub fn of_residuals(correlation: &Correlation<'_>, largest: usize) -> Self {
        let ends = Ends::Open;
        match *correlation {
            Correlation::Ar1 { .. } => Self::Ar1(Ar1 { ends, name: "rho" }),
            Correlation::Arma { p: 1, q: 0, .. } => Self::Ar1(Ar1 { ends, name: "ar1" }),
            Correlation::Car1 { .. } => Self::Car1(Car1),
            Correlation::Arma { p, q, .. } => Self::Arma(Arma { p, q, ends }),
            Correlation::CompoundSymmetric => {
                Self::CompoundSymmetric(CompoundSymmetric { largest, ends })
            }
            Correlation::Unstructured { visits, .. } => Self::Unstructured(Unstructured { visits }),
            Correlation::Toeplitz { visits, .. } => Self::Toeplitz(Toeplitz {
                visits,
                start: RESIDUAL_START,
                ends,
            }),
            Correlation::AnteDependence { visits, .. } => {
                Self::AnteDependence(AnteDependence { visits, ends })
            }
            Correlation::Spatial {
                kind,
                nugget,
                ref coordinates,
                metric,
            } => Self::Spatial(Spatial {
                kind,
                nugget,
                metric,
                dimensions: coordinates.len(),
            }),
        }
    }

    /// Of the k effects of a level, at positions 1, ..., k.
    pub fn of_effects(kind: CorrelationKind, k: usize) -> Self {
        let ends = Ends::Closed;
        match kind {
            CorrelationKind::CompoundSymmetric => {
                Self::CompoundSymmetric(CompoundSymmetric { largest: k, ends })
            }
            CorrelationKind::Autoregressive => Self::Ar1(Ar1 { ends, name: "rho" }),
            CorrelationKind::Toeplitz => Self::Toeplitz(Toeplitz {
                visits: k,
                start: EFFECTS_START,
                ends,
            }),
        }
    }
}
