//! New rows, and what is predicted of them.

use crate::api::error::EngineError;
use crate::api::model::{levels_of_row, Column, Members, ModelData, ResidualStructure};
use crate::fit::prepared::Prepared;
use crate::system::equations::{Factor, SelectedInverse, System};
use crate::system::solution::Solution;

/// Rows to predict for.
#[derive(Debug, Clone)]
pub struct NewRows<'a> {
    /// Number of rows.
    pub n: usize,
    /// All columns of X.
    pub x: Vec<Column<'a>>,
    /// For each grouping factor of the model the level of each row from 1; 0 where the row has none of the known levels.
    pub codes: Vec<&'a [i32]>,
    /// For each grouping factor the known levels of rows that may be members of several, in the place of codes.
    pub members: Vec<Option<Members<'a>>>,
    /// Basis columns of each term; `None` leaves the term out.
    pub terms: Vec<Option<Vec<Column<'a>>>>,
    /// Where the residuals of the rows are to be predicted from those of their groups: their structure.
    pub residual: Option<NewResiduals<'a>>,
}

/// Predictions of rows, as far as they are not sums of coefficients; variances relative to sigma^2.
#[derive(Debug, Clone)]
pub struct Predictions {
    /// Prediction error variances of x'beta + z'b; with residuals, of the part of a new observation that is not its own noise.
    pub variances: Vec<f64>,
    /// Predicted residuals; empty where none were asked for.
    pub residual_means: Vec<f64>,
    /// What a new observation adds to the variance; empty likewise.
    pub residual_variances: Vec<f64>,
}

impl NewRows<'_> {
    /// Checks dimensions and codes against the model.
    ///
    /// # Errors
    /// [`EngineError::Dimension`].
    pub fn validate(&self, data: &ModelData<'_>) -> Result<(), EngineError> {
        let dimension = |ok: bool, text: &str| {
            if ok {
                Ok(())
            } else {
                Err(EngineError::Dimension(text.to_owned()))
            }
        };
        dimension(
            self.x.len() == data.p && self.x.iter().all(|column| column.fits(self.n)),
            "X of the new rows must have a column for each one of the model",
        )?;
        dimension(
            self.codes.len() == data.factors.len() && self.members.len() == data.factors.len(),
            "new rows need codes for each grouping factor",
        )?;
        dimension(
            self.terms.len() == data.terms.len(),
            "new rows need columns for each term",
        )?;
        let own = self.codes.iter().zip(&self.members);
        for ((codes, members), factor) in own.zip(&data.factors) {
            dimension(
                members.is_some() == factor.members.is_some(),
                "new rows need members where rows of the model have them",
            )?;
            if let Some(members) = members {
                dimension(
                    members.fits(self.n, factor.n_levels),
                    "members of new rows must lie in 1..n_levels",
                )?;
                continue;
            }
            let limit = i32::try_from(factor.n_levels).unwrap_or(i32::MAX);
            dimension(codes.len() == self.n, "new rows need one code each")?;
            dimension(
                codes.iter().all(|&c| (0..=limit).contains(&c)),
                "codes of new rows must lie in 0..n_levels",
            )?;
        }
        for (columns, term) in self.terms.iter().zip(&data.terms) {
            let Some(columns) = columns else { continue };
            dimension(
                columns.len() == term.columns.len(),
                "new rows need the columns of the term",
            )?;
            for column in columns {
                dimension(
                    column.fits(self.n),
                    "a basis column needs one value for each new row",
                )?;
            }
        }
        if let Some(residual) = &self.residual {
            residual.validate(data, self.n)?;
        }
        Ok(())
    }

    /// Known levels of row `i` from 0 and their weights, of one factor of the model.
    pub(crate) fn levels(
        &self,
        factor: Option<usize>,
        i: usize,
    ) -> impl Iterator<Item = (usize, f64)> + '_ {
        let own = factor.map(|f| levels_of_row(self.codes[f], self.members[f], i));
        own.into_iter().flatten()
    }
}

/// What every row needs.
pub(super) struct Context<'a> {
    pub(crate) system: &'a System,
    pub factor: &'a Factor,
    pub(crate) inverse: &'a SelectedInverse,
    pub solution: &'a Solution,
    pub prepared: &'a Prepared,
    /// (B T)' of each term, k x k.
    pub(crate) lambda: Vec<Vec<f64>>,
    /// Factors in the user's numbering.
    pub(crate) user: Vec<Option<usize>>,
    /// (Q'V^-1Q)^-1.
    pub(crate) fixed: Vec<f64>,
}

/// The residual structure of new rows, as that of the model's rows was described.
#[derive(Debug, Clone)]
pub struct NewResiduals<'a> {
    /// Positions, covariates and strata of the new rows; its groups are those of the model, 0 for another one.
    pub structure: ResidualStructure<'a>,
    /// Weights of the new rows; `None`: all 1.
    pub weights: Option<&'a [f64]>,
}

impl NewResiduals<'_> {
    /// Checks what the structure itself does not.
    pub(super) fn validate(&self, data: &ModelData<'_>, n: usize) -> Result<(), EngineError> {
        let refuse = |text: &str| Err(EngineError::Dimension(text.to_owned()));
        if self.weights.is_some_and(|w| w.len() != n) {
            return refuse("new rows need one weight each");
        }
        let Some(model) = &data.residual else {
            return refuse("new rows have residuals with a structure, the model has none");
        };
        match (&self.structure.groups, &model.groups) {
            (None, None) => Ok(()),
            (Some(own), Some(groups)) => {
                let limit = i32::try_from(groups.n_levels).unwrap_or(i32::MAX);
                let known = own.codes.iter().all(|c| (0..=limit).contains(c));
                if own.codes.len() == n && known {
                    Ok(())
                } else {
                    refuse("residual groups of new rows must lie in 0..n_levels, one code for each")
                }
            }
            _ => refuse("new rows must have residual groups where the model has"),
        }
    }
}
