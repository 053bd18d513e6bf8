//! Inference at the optimum: everything from solves with the factor, nothing of order n x n. Imports `fit` and below.

mod condensed_levels;
mod design_ranks;
mod evaluated;
mod extended_rows;
mod hypotheses;
mod influence;
mod kenward_roger;
mod kenward_roger_clusters;
mod kenward_roger_general;
mod kenward_roger_linear;
mod kenward_roger_second;
mod leverages;
pub mod many;
mod many_rows;
mod many_single;
mod new_rows;
mod newton_step;
mod nobound;
mod prediction;
mod prediction_correlated;
mod profile;
mod profile_function;
mod profile_program;
mod profile_targets;
mod pseudo_likelihood;
mod pseudo_likelihood_sandwich;
mod residual_df;
mod rlrt;
mod sandwich;
mod sandwich_ddf;
mod sandwich_parts;
mod sandwich_root;
mod sandwich_rows;
mod sandwich_system;
mod satterthwaite;
mod singular_covariances;
mod singular_covariances_complement;
mod singular_covariances_part;
mod singular_covariances_pieces;
mod singular_covariances_traces;
mod singular_point;
mod tangent;

pub use design_ranks::{design_ranks, varies_within, Design, Effects, Levels};
pub use hypotheses::{eigen, row_variances};
pub use influence::{deletions, Deletion, Update};
pub use kenward_roger::kenward_roger;
pub use kenward_roger_linear::KenwardRoger;
pub use kenward_roger_second::SecondDerivatives;
pub use leverages::{leverages, Leverages};
pub use new_rows::{NewResiduals, NewRows, Predictions};
pub use nobound::{
    conditional_variances_nobound, kenward_roger_nobound, prediction_variances_nobound,
    satterthwaite_nobound,
};
pub use prediction::prediction_variances;
pub use profile::{profile, profile_function};
pub use profile_program::{Function, Scale, Step};
pub use profile_targets::{ProfilePoint, Target};
pub use pseudo_likelihood::{pseudo_likelihood, PseudoLikelihood};
pub use pseudo_likelihood_sandwich::{pseudo_likelihood_sandwich, Wanted};
pub use rlrt::{likelihood_ratio_draws, variance_spectrum, work_of_fit, Multiset, Spectrum};
pub use sandwich::{sandwich, Adjustment, Sandwich};
pub use sandwich_ddf::ScoreMoments;
pub use sandwich_parts::Clusters;
#[cfg(test)]
pub(crate) use satterthwaite::at_point;
pub use satterthwaite::{satterthwaite, Satterthwaite};
