//! Inference at the optimum: everything from solves with the factor, nothing of order n x n. Imports `fit` and below.

mod condensed_levels;
mod evaluated;
mod extended_rows;
mod hypotheses;
mod influence;
mod kenward_roger;
mod kenward_roger_general;
mod kenward_roger_linear;
mod kenward_roger_second;
mod leverages;
pub mod many;
mod new_rows;
mod newton_step;
mod prediction;
mod prediction_correlated;
mod profile;
mod profile_function;
mod profile_program;
mod profile_targets;
mod rlrt;
mod satterthwaite;
mod singular_covariances;
mod singular_covariances_complement;
mod singular_covariances_part;
mod singular_covariances_pieces;
mod singular_covariances_traces;
mod singular_point;

pub use hypotheses::{eigen, row_variances};
pub use influence::{deletions, Deletion, Update};
pub use kenward_roger::kenward_roger;
pub use kenward_roger_linear::KenwardRoger;
pub use leverages::{leverages, Leverages};
pub use new_rows::{NewResiduals, NewRows, Predictions};
pub use prediction::prediction_variances;
pub use profile::{profile, profile_function};
pub use profile_program::{Function, Scale, Step};
pub use profile_targets::{ProfilePoint, Target};
pub use rlrt::{likelihood_ratio_draws, variance_spectrum, work_of_fit, Multiset, Spectrum};
#[cfg(test)]
pub(crate) use satterthwaite::at_point;
pub use satterthwaite::{satterthwaite, Satterthwaite};
