//! Cells of rows on their way to R and back: `list(counts =, weights =, log_weights =, means =, scatter =)`, the last two
//! matrices with a column for each cell.

use extendr_api::prelude::*;
use ferrolmm_engine::data::cells::{Cells, Condensed};
use ferrolmm_engine::runtime::interruptible::interruptible;

use crate::condition::{answer, named_list, Failure, Fields};
use crate::convert::{self, to_doubles, to_integers, Matrix, Named};

/// Numbers of rows times numbers that take long enough to be felt.
const LONG: usize = 2_000_000;

/// What R hands over as cells.
pub fn read(value: &Robj) -> Result<Cells, Failure> {
    let given = Named::new(value, "cells")?;
    let doubles = |name: &str| -> Result<Vec<f64>, Failure> {
        Ok(convert::doubles(given.field(name)?, name)?.to_vec())
    };
    Ok(Cells {
        m: convert::count(given.field("m")?, "m")?,
        counts: doubles("counts")?,
        weights: doubles("weights")?,
        log_weights: doubles("log_weights")?,
        means: doubles("means")?,
        scatter: doubles("scatter")?,
    })
}

fn fields(cells: &Cells) -> Result<Fields, Failure> {
    let m = cells.m;
    let count = cells.len();
    Ok(vec![
        ("m", convert::to_integer(m)?),
        ("counts", to_doubles(&cells.counts)),
        ("weights", to_doubles(&cells.weights)),
        ("log_weights", to_doubles(&cells.log_weights)),
        ("means", Matrix::new(&cells.means, m, count).to_robj()?),
        (
            "scatter",
            Matrix::new(&cells.scatter, m * (m + 1) / 2, count).to_robj()?,
        ),
    ])
}

/// Cells with the rows of a chunk added: `codes` their cells (from 1) among `n_cells`, `values` a list of doubles.
/// @noRd
#[extendr]
fn rs_cells_with_rows(
    cells: Robj,
    n_cells: Robj,
    codes: Robj,
    values: Robj,
    weights: Robj,
) -> Robj {
    answer(|watch| {
        let mut cells = read(&cells)?;
        let codes = convert::integers(&codes, "codes")?;
        let values = convert::elements(&values, "values")?;
        let values = convert::each_doubles(&values, "values")?;
        let weights = convert::doubles_or_null(&weights, "weights")?;
        let n_cells = convert::count(&n_cells, "n_cells")?;
        let long = codes.len() * (values.len() + 1) > LONG;
        let cells = interruptible(long, &|| watch.poll(), |stop, _| {
            cells.grow(n_cells);
            cells.add_rows(codes, &values, weights, stop)?;
            Ok(cells)
        })?;
        fields(&cells)
    })
}

/// Cells with those of others added: `to` says which cell (from 1) each of theirs is among `n_cells`.
/// @noRd
#[extendr]
fn rs_cells_with_cells(cells: Robj, n_cells: Robj, other: Robj, to: Robj) -> Robj {
    answer(|_| {
        let mut cells = read(&cells)?;
        let to: Vec<i32> = convert::integers(&to, "to")?
            .iter()
            .map(|t| t - 1)
            .collect();
        cells.grow(convert::count(&n_cells, "n_cells")?);
        cells.add(&read(&other)?, &to)?;
        fields(&cells)
    })
}

/// Condensed rows of the numbers `keep` (from 1), the response last.
/// @noRd
#[extendr]
fn rs_condensed_rows(cells: Robj, keep: Robj) -> Robj {
    answer(|_| {
        let cells = read(&cells)?;
        let keep = convert::integers(&keep, "keep")?.iter();
        let keep: Vec<usize> = keep
            .map(|v| convert::to_count(v - 1, "keep"))
            .collect::<Result<_, Failure>>()?;
        let rows: Condensed = cells.condense(&keep)?;
        let count = rows.cell.len();
        Ok(vec![
            ("cell", to_integers(&rows.cell)),
            ("one", to_doubles(&rows.one)),
            (
                "values",
                Matrix::new(&rows.values, count, keep.len()).to_robj()?,
            ),
            ("weights", to_doubles(&rows.weights)),
            (
                "stands_for",
                named_list(vec![
                    ("counts", to_doubles(&rows.counts)),
                    ("log_weights", to_doubles(&rows.log_weights)),
                ]),
            ),
            ("own", to_doubles(&rows.own)),
        ])
    })
}

extendr_module! {
    mod cells;
    fn rs_cells_with_rows;
    fn rs_cells_with_cells;
    fn rs_condensed_rows;
}
