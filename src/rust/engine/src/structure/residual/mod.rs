//! Structures of residuals: correlation within groups and variance functions, as a whitening matrix and its derivatives.

mod apply;
mod arma;
mod block;
mod change;
mod classes;
mod compound;
mod derivatives;
mod domain;
mod family;
mod layout;
mod markov;
mod prediction;
#[allow(clippy::module_inception)]
mod residual;
mod scale;
mod spatial;
mod toeplitz;
mod unstructured;
mod whitening;

pub use apply::{apply_to_rows, Apply, RowsToApply};
pub(crate) use classes::Stand;
pub use domain::Domain;
pub use prediction::{CrossCorrelation, NewRows};
pub use residual::Residual;
pub use whitening::Whitening;
