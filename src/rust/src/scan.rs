//! A look at columns before they become a model.

use extendr_api::prelude::*;
use ferrolmm_engine::basis::rank::require_residual;
use ferrolmm_engine::data::scan::{scan, stray_code, Raw};
use ferrolmm_engine::runtime::interruptible::interruptible;
use ferrolmm_engine::{Column, ModelData};

use crate::condition::{answer, Failure};
use crate::convert;

/// Operations from which it can be interrupted (about 10 ms).
const LONG: f64 = 1e8;

/// For each double or integer column (factors included): is nothing missing or infinite, and has each level of a factor a row?
/// @noRd
#[extendr]
fn rs_scan(columns: Robj, threads: Robj) -> Robj {
    answer(|_| {
        let columns = convert::elements(&columns, "columns")?;
        let raw = columns
            .iter()
            .map(|column| {
                if let Some(values) = column.as_real_slice() {
                    return Ok(Raw::Doubles(values));
                }
                let values = convert::integers(column, "columns")?;
                let levels = column
                    .get_attrib("levels")
                    .filter(|_| column.inherits("factor"));
                Ok(match levels {
                    Some(levels) => Raw::Categories(values, levels.len()),
                    None => Raw::Integers(values),
                })
            })
            .collect::<Result<Vec<Raw<'_>>, Failure>>()?;
        let found = scan(&raw, convert::count(&threads, "threads")?);
        let complete: Vec<bool> = found.iter().map(|finding| finding.complete).collect();
        let all_used: Vec<bool> = found.iter().map(|finding| finding.all_used).collect();
        Ok(vec![
            ("complete", complete.into()),
            ("all_used", all_used.into()),
        ])
    })
}

/// The first code of a factor that belongs to no level; NA if there is none.
/// @noRd
#[extendr]
fn rs_stray_code(factor: Robj) -> Robj {
    answer(|_| {
        let codes = convert::integers(&factor, "factor")?;
        let levels = factor.get_attrib("levels").map_or(0, |levels| levels.len());
        let code = stray_code(codes, levels).map_or_else(Rint::na, Rint::from);
        Ok(vec![("code", code.into())])
    })
}

/// Refuses fixed effects with as many linearly independent numeric columns as rows.
/// @noRd
#[extendr]
fn rs_require_residual(columns: Robj) -> Robj {
    answer(|watch| {
        let columns = convert::elements(&columns, "columns")?;
        let x = columns
            .iter()
            .map(|column| convert::doubles(column, "columns").map(Column::Values))
            .collect::<Result<Vec<Column<'_>>, Failure>>()?;
        let n = columns.first().map_or(0, Robj::len);
        let y = vec![0.0; n];
        let data = ModelData {
            y: &y,
            p: x.len(),
            x,
            weights: None,
            offset: None,
            factors: Vec::new(),
            terms: Vec::new(),
            residual: None,
            moments: None,
            stands_for: None,
        };
        data.validate()?;
        let long = n as f64 * n as f64 * data.p as f64 > LONG;
        interruptible(long, &|| watch.poll(), |stop, _| {
            require_residual(&data, stop)
        })?;
        Ok(Vec::new())
    })
}

extendr_module! {
    mod scan;
    fn rs_scan;
    fn rs_stray_code;
    fn rs_require_residual;
}
