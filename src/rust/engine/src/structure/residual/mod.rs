//! Structures of residuals: correlation within groups and variance functions, as a whitening matrix and its derivatives.

mod apply;
mod block;
mod by_class;
mod change;
mod classes;
mod derivatives;
mod ends;
mod group_changes;
mod layout;
mod natural;
mod new_places;
mod rank_one;
#[allow(clippy::module_inception)]
mod residual;
mod scale;
mod starts;
mod tridiagonal;
mod unit;
mod whitening;

pub use crate::structure::correlation::domain::Domain;
pub use crate::structure::correlation::structure::Parameter;
pub use apply::{apply_to_rows, Apply, RowsToApply};
pub(crate) use classes::Stand;
pub(crate) use group_changes::PatternChanges;
pub use natural::{
    correlation_count, correlation_matrix, correlation_parameters, standard_deviations,
};
pub use new_places::{CrossCorrelation, NewPlaces};
pub(crate) use rank_one::take_mean_away;
pub use residual::Residual;
pub use scale::scale_facts;
pub use whitening::Whitening;
