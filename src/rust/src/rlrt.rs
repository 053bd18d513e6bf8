//! Finite-sample null distribution of the likelihood ratio of one variance.

use extendr_api::prelude::*;
use ferrolmm_engine::inference::{self, Multiset};

use crate::condition::{answer, Failure};
use crate::convert::{self, to_doubles, to_integer, Named};
use crate::fit::Arguments;

/// Eigenvalues of Z'P_0Z and Z'V_0^-1Z of term `term` (from 1) at `options$start`, where its own variance is zero.
/// @noRd
#[extendr]
fn rs_variance_spectrum(model: Robj, options: Robj, term: Robj) -> Robj {
    answer(|watch| {
        let arguments = Arguments::new(&model, &options, watch)?;
        let term = convert::count(&term, "term")?
            .checked_sub(1)
            .ok_or_else(|| Failure::bug("`term` counts from 1"))?;
        let found =
            inference::variance_spectrum(&arguments.borrow()?, term, &arguments.options, &|| {
                watch.poll()
            })?;
        Ok(vec![
            ("restricted", to_doubles(&found.restricted)),
            ("marginal", to_doubles(&found.marginal)),
            ("residual_df", to_integer(found.residual_df)?),
        ])
    })
}

/// Operations that one fit takes, roughly.
/// @noRd
#[extendr]
fn rs_work_of_fit(model: Robj, options: Robj) -> Robj {
    answer(|watch| {
        let arguments = Arguments::new(&model, &options, watch)?;
        let work =
            inference::work_of_fit(&arguments.borrow()?, &arguments.options, &|| watch.poll())?;
        Ok(vec![("work", work.into())])
    })
}

fn multiset(given: &Named) -> Result<Multiset<'_>, Failure> {
    Ok(Multiset {
        values: convert::doubles(given.field("values")?, "values")?,
        times: convert::doubles(given.field("times")?, "times")?,
    })
}

/// Draws of the likelihood ratio from chi-squared variables: `restricted` and `marginal` are `list(values =, times =)`.
/// @noRd
#[extendr]
fn rs_likelihood_ratio_draws(
    restricted: Robj,
    marginal: Robj,
    degrees: Robj,
    draws: Robj,
    threads: Robj,
) -> Robj {
    answer(|watch| {
        let restricted = Named::new(&restricted, "restricted")?;
        let marginal = Named::new(&marginal, "marginal")?;
        let found = inference::likelihood_ratio_draws(
            multiset(&restricted)?,
            multiset(&marginal)?,
            convert::double(&degrees, "degrees")?,
            convert::doubles(&draws, "draws")?,
            convert::count(&threads, "threads")?,
            &|| watch.poll(),
        )?;
        Ok(vec![("statistics", to_doubles(&found))])
    })
}

extendr_module! {
    mod rlrt;
    fn rs_variance_spectrum;
    fn rs_work_of_fit;
    fn rs_likelihood_ratio_draws;
}
