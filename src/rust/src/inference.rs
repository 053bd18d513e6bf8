//! Inference at a fit's theta.

use extendr_api::prelude::*;
use ferrolmm_engine::inference::{self, NewRows};
use ferrolmm_engine::Column;

use crate::condition::{answer, Failure};
use crate::convert::{self, to_doubles, to_integer, Matrix};
use crate::fit::Arguments;
use crate::interrupt;

/// What Satterthwaite's degrees of freedom need at `options$start`.
/// @noRd
#[extendr]
fn rs_satterthwaite(
    y: Robj,
    x: Robj,
    weights: Robj,
    offset: Robj,
    factors: Robj,
    terms: Robj,
    options: Robj,
) -> Robj {
    answer(|| {
        let arguments = Arguments::new([y, x, weights, offset, factors, terms, options])?;
        let found = inference::satterthwaite(
            &arguments.borrow()?,
            &arguments.options,
            &interrupt::pending,
        )?;
        let s = found.jacobian.len() / found.components.max(1);
        Ok(vec![
            (
                "covariance",
                Matrix::new(&found.covariance, s, s).to_robj()?,
            ),
            ("vcov_gradient", to_doubles(&found.vcov_gradient)),
            (
                "jacobian",
                Matrix::new(&found.jacobian, found.components, s).to_robj()?,
            ),
            ("sigma2", found.sigma2.into()),
        ])
    })
}

/// Kenward and Roger's adjustment at `options$start`.
/// @noRd
#[extendr]
fn rs_kenward_roger(
    y: Robj,
    x: Robj,
    weights: Robj,
    offset: Robj,
    factors: Robj,
    terms: Robj,
    options: Robj,
) -> Robj {
    answer(|| {
        let arguments = Arguments::new([y, x, weights, offset, factors, terms, options])?;
        let found = inference::kenward_roger(
            &arguments.borrow()?,
            &arguments.options,
            &interrupt::pending,
        )?;
        let s = found.components;
        Ok(vec![
            ("unadjusted", to_doubles(&found.unadjusted)),
            ("adjusted", to_doubles(&found.adjusted)),
            ("w", Matrix::new(&found.w, s, s).to_robj()?),
            ("derivatives", to_doubles(&found.derivatives)),
            ("components", to_integer(s)?),
        ])
    })
}

/// Prediction error variances of `rows`, relative to sigma^2, at `options$start`. `rows` is
/// `list(n =, x =, codes =, terms =)`, codes 0 where a row has none of the known levels, an element of
/// terms NULL where the term is left out.
/// @noRd
#[extendr]
#[allow(clippy::too_many_arguments)]
fn rs_prediction_variances(
    y: Robj,
    x: Robj,
    weights: Robj,
    offset: Robj,
    factors: Robj,
    terms: Robj,
    options: Robj,
    rows: Robj,
) -> Robj {
    answer(|| {
        let arguments = Arguments::new([y, x, weights, offset, factors, terms, options])?;
        let new_x = convert::field(&rows, "x")?;
        let codes = convert::elements(&convert::field(&rows, "codes")?, "codes")?;
        let columns = convert::elements(&convert::field(&rows, "terms")?, "terms")?
            .iter()
            .map(|term| {
                if term.is_null() {
                    Ok(None)
                } else {
                    convert::elements(term, "terms").map(Some)
                }
            })
            .collect::<Result<Vec<Option<Vec<Robj>>>, Failure>>()?;
        let terms = columns
            .iter()
            .map(|term| {
                term.as_ref()
                    .map(|columns| {
                        columns
                            .iter()
                            .map(|column| {
                                Ok(match convert::doubles_or_null(column, "columns")? {
                                    Some(values) => Column::Values(values),
                                    None => Column::Constant,
                                })
                            })
                            .collect::<Result<Vec<Column<'_>>, Failure>>()
                    })
                    .transpose()
            })
            .collect::<Result<_, Failure>>()?;
        let rows = NewRows {
            n: convert::count(&convert::field(&rows, "n")?, "n")?,
            x: convert::doubles(&new_x, "x")?,
            codes: codes
                .iter()
                .map(|codes| convert::integers(codes, "codes"))
                .collect::<Result<_, Failure>>()?,
            terms,
        };
        let found = inference::prediction_variances(
            &arguments.borrow()?,
            &rows,
            &arguments.options,
            &interrupt::pending,
        )?;
        Ok(vec![("variances", to_doubles(&found))])
    })
}

extendr_module! {
    mod inference;
    fn rs_satterthwaite;
    fn rs_kenward_roger;
    fn rs_prediction_variances;
}
