//! Inference from pseudo-likelihoods, at a fit's theta.

use extendr_api::prelude::*;
use ferrolmm_engine::inference::{self, Clusters};

use crate::condition::answer;
use crate::convert::{self, Matrix};
use crate::fit::Arguments;

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
                "slopes",
                Matrix::new(&found.slopes, all, clusters.count).to_robj()?,
            ),
            (
                "jacobian",
                Matrix::new(&found.jacobian, found.components, s).to_robj()?,
            ),
        ])
    })
}

extendr_module! {
    mod pseudo_likelihood;
    fn rs_pseudo_likelihood;
}
