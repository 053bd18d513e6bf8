//! Coding of grouping variables.

use extendr_api::prelude::*;
use ferrolmm_engine::data::connected::connected_levels;
use ferrolmm_engine::data::grouping::{code_integer, interaction, GroupingError};

use crate::condition::{answer, Failure};
use crate::convert::{self, Matrix};
use crate::known_matrix::KnownMatrixArgument;

impl From<GroupingError> for Failure {
    fn from(error: GroupingError) -> Self {
        let class = match error {
            GroupingError::TooManyLevels => "dimension",
            _ => "bug",
        };
        Self::new(class, error.to_string())
    }
}

/// Codes of the interaction of grouping factors, in lexicographic order, first factor slowest.
/// @noRd
#[extendr]
fn rs_interaction(codes: Robj, n_levels: Robj) -> Robj {
    answer(|_| {
        let columns = convert::elements(&codes, "codes")?;
        let borrowed = columns
            .iter()
            .map(|column| convert::integers(column, "codes"))
            .collect::<Result<Vec<&[i32]>, Failure>>()?;
        let counts = convert::integers(&n_levels, "n_levels")?
            .iter()
            .map(|&count| convert::to_count(count, "n_levels"))
            .collect::<Result<Vec<usize>, Failure>>()?;
        let combined = interaction(&borrowed, &counts)?;
        let levels = Matrix::new(&combined.levels, combined.n_levels, borrowed.len());
        Ok(vec![
            ("codes", convert::to_integers(&combined.codes)),
            ("levels", levels.to_robj()?),
            ("n_levels", convert::to_integer(combined.n_levels)?),
        ])
    })
}

/// Codes of an integer grouping variable and its sorted distinct values, without factor().
/// @noRd
#[extendr]
fn rs_code_integer(x: Robj) -> Robj {
    answer(|_| {
        let coded = code_integer(convert::integers(&x, "x")?)?;
        Ok(vec![
            ("codes", convert::to_integers(&coded.codes)),
            ("values", convert::to_integers(&coded.values)),
        ])
    })
}

/// Which rows of a symmetric matrix are connected by its entries, also through others: codes in the order in which the sets come,
/// and how many there are.
/// @noRd
#[extendr]
fn rs_connected_levels(matrix: Robj) -> Robj {
    answer(|_| {
        let matrix = KnownMatrixArgument::new(&matrix, "matrix")?;
        let (codes, count) = connected_levels(&matrix.borrow()?);
        let codes: Vec<i32> = codes.iter().map(|&code| code as i32 + 1).collect();
        Ok(vec![
            ("codes", convert::to_integers(&codes)),
            ("count", convert::to_integer(count)?),
        ])
    })
}

extendr_module! {
    mod grouping;
    fn rs_connected_levels;
    fn rs_interaction;
    fn rs_code_integer;
}
