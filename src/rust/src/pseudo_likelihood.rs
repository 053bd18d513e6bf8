//! Inference from pseudo-likelihoods, at a fit's theta.

use extendr_api::prelude::*;
use ferrolmm_engine::inference::{self, Clusters, Wanted};

use crate::condition::answer;
use crate::convert::{self, Matrix};
use crate::fit::Arguments;
use crate::inference::{adjustment_of, sandwich_fields};

/// Robust covariance matrix of kept coefficients and psi at `options$start`, where levels and rows count as many: see the engine's
/// `inference::pseudo_likelihood`. `clusters` are codes of the rows from 1 to `count`.
/// @noRd
#[extendr]
fn rs_pseudo_likelihood(model: Robj, options: Robj, clusters: Robj, count: Robj) -> Robj {
    answer(|watch| {
        let arguments = Arguments::new(&model, &options, watch)?;
        let clusters = Clusters {
            codes: convert::integers(&clusters, "clusters")?,
            count: convert::count(&count, "count")?,
        };
        let found = inference::pseudo_likelihood(
            &arguments.borrow()?,
            clusters,
            &arguments.options,
            &|| watch.poll(),
        )?;
        let s = found.jacobian.len() / found.components.max(1);
        let all = found.rank + s;
        Ok(vec![
            (
                "covariance",
                Matrix::new(&found.covariance, all, all).to_robj()?,
            ),
            (
                "jacobian",
                Matrix::new(&found.jacobian, found.components, s).to_robj()?,
            ),
        ])
    })
}

/// Adjusted scores of clusters at `options$start`, see the engine's `inference::pseudo_likelihood_sandwich`, as [rs_sandwich()];
/// `joint`: with the Hessian of all parameters together.
/// @noRd
#[extendr]
fn rs_pseudo_likelihood_sandwich(
    model: Robj,
    options: Robj,
    clusters: Robj,
    count: Robj,
    adjustment: Robj,
    joint: Robj,
    moments: Robj,
) -> Robj {
    answer(|watch| {
        let arguments = Arguments::new(&model, &options, watch)?;
        let clusters = Clusters {
            codes: convert::integers(&clusters, "clusters")?,
            count: convert::count(&count, "count")?,
        };
        let wanted = Wanted {
            joint: convert::flag(&joint, "joint")?,
            moments: convert::flag(&moments, "moments")?,
        };
        let found = inference::pseudo_likelihood_sandwich(
            &arguments.borrow()?,
            clusters,
            adjustment_of(&adjustment)?,
            wanted,
            &arguments.options,
            &|| watch.poll(),
        )?;
        sandwich_fields(&found, clusters.count)
    })
}

extendr_module! {
    mod pseudo_likelihood;
    fn rs_pseudo_likelihood;
    fn rs_pseudo_likelihood_sandwich;
}
