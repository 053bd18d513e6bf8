//! From the structure that a term asks for to what computes with it.

use crate::api::model::Structure;
use crate::structure::random::correlated::Correlated;
use crate::structure::random::covariance::Covariance;
use crate::structure::random::diagonal::{Diagonal, Identity};
use crate::structure::random::unstructured::Unstructured;

/// The structure of a term.
#[must_use]
pub fn covariance(structure: Structure, k: usize) -> Box<dyn Covariance> {
    match structure {
        _ if k == 1 => Box::new(Unstructured { k }),
        Structure::Unstructured => Box::new(Unstructured { k }),
        Structure::Diagonal => Box::new(Diagonal { k }),
        Structure::Identity => Box::new(Identity { k }),
        Structure::Correlated {
            correlation,
            homogeneous,
        } => Box::new(Correlated {
            k,
            correlation,
            homogeneous,
        }),
    }
}
