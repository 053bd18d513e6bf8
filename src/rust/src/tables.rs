//! Tables of cross-products on their way to R and back: `list(products =, counts =, log_weights =, sums =)`. `products` is a matrix
//! with two rows of numbers (0 is the constant), `sums` one with a column for each cell and two doubles for each product.

use extendr_api::prelude::*;
use ferrolmm_engine::data::cells::Cells;
use ferrolmm_engine::data::tables::{add_columns, fold, Table};
use ferrolmm_engine::runtime::interruptible::interruptible;
use ferrolmm_engine::RawMoments;

use crate::cells::read as read_cells;
use crate::condition::{answer, Failure, Fields};
use crate::convert::{self, to_doubles, Matrix, Named};

/// Numbers of rows times products that take long enough to be felt.
const LONG: usize = 2_000_000;

fn read(value: &Robj) -> Result<Table, Failure> {
    let given = Named::new(value, "table")?;
    let doubles = |name: &str| -> Result<Vec<f64>, Failure> {
        Ok(convert::doubles(given.field(name)?, name)?.to_vec())
    };
    let products = convert::integers(given.field("products")?, "products")?;
    let products = products.chunks_exact(2).map(|p| {
        Ok([
            convert::to_count(p[0], "products")?,
            convert::to_count(p[1], "products")?,
        ])
    });
    Ok(Table {
        products: products.collect::<Result<_, Failure>>()?,
        counts: doubles("counts")?,
        log_weights: doubles("log_weights")?,
        sums: doubles("sums")?,
    })
}

fn fields(table: &Table) -> Result<Fields, Failure> {
    let width = 2 * table.products.len();
    let products: Vec<i32> = (table.products.iter().flatten())
        .map(|&v| i32::try_from(v).unwrap_or(i32::MAX))
        .collect();
    let products = Matrix::new(&products, 2, width / 2).to_robj()?;
    Ok(vec![
        ("products", products),
        ("counts", to_doubles(&table.counts)),
        ("log_weights", to_doubles(&table.log_weights)),
        (
            "sums",
            Matrix::new(&table.sums, width, table.counts.len()).to_robj()?,
        ),
    ])
}

/// A table with the rows of a chunk added: `codes` their cells (from 1) among `n_cells`, `values` a list of doubles.
/// @noRd
#[extendr]
fn rs_table_with_rows(
    table: Robj,
    n_cells: Robj,
    codes: Robj,
    values: Robj,
    weights: Robj,
) -> Robj {
    answer(|watch| {
        let mut table = read(&table)?;
        let codes = convert::integers(&codes, "codes")?;
        let values = convert::elements(&values, "values")?;
        let values = convert::each_doubles(&values, "values")?;
        let weights = convert::doubles_or_null(&weights, "weights")?;
        let n_cells = convert::count(&n_cells, "n_cells")?;
        let long = codes.len() * (table.products.len() + 1) > LONG;
        let table = interruptible(long, &|| watch.poll(), |stop, _| {
            table.grow(n_cells);
            table.add_rows(codes, &values, weights, stop)?;
            Ok(table)
        })?;
        fields(&table)
    })
}

/// A table with another one added, or cells: `to` says which cell (from 1) each of theirs is among `n_cells`.
/// @noRd
#[extendr]
fn rs_table_with(table: Robj, n_cells: Robj, other: Robj, to: Robj) -> Robj {
    answer(|_| {
        let mut table = read(&table)?;
        let to = convert::integers(&to, "to")?;
        table.grow(convert::count(&n_cells, "n_cells")?);
        if Named::new(&other, "other")?.optional("scatter").is_some() {
            let cells: Cells = read_cells(&other)?;
            table.add_cells(&cells, to)?;
        } else {
            table.add(&read(&other)?, to)?;
        }
        fields(&table)
    })
}

/// A table of numbers about a centre, without it.
/// @noRd
#[extendr]
fn rs_table_shift(table: Robj, centre: Robj) -> Robj {
    answer(|_| {
        let mut table = read(&table)?;
        table.shift(convert::doubles(&centre, "centre")?)?;
        fields(&table)
    })
}

/// Sums of the product `product` (from 1) over the cells of each of `groups` groups, times `left` and `right`.
/// @noRd
#[extendr]
fn rs_table_fold(
    sums: Robj,
    product: Robj,
    products: Robj,
    codes: Robj,
    groups: Robj,
    left: Robj,
    right: Robj,
) -> Robj {
    answer(|_| {
        let width = 2 * convert::count(&products, "products")?;
        let start = 2 * convert::count(&product, "product")?.saturating_sub(1);
        let codes = if codes.is_null() {
            None
        } else {
            Some(convert::integers(&codes, "codes")?)
        };
        let found = fold(
            (convert::doubles(&sums, "sums")?, start, width),
            (codes, convert::count(&groups, "groups")?),
            convert::doubles_or_null(&left, "left")?,
            convert::doubles_or_null(&right, "right")?,
        )?;
        Ok(vec![("sums", to_doubles(&found))])
    })
}

/// Sums of columns times whole numbers with twice the digits.
/// @noRd
#[extendr]
fn rs_add_columns(columns: Robj, times: Robj) -> Robj {
    answer(|_| {
        let columns = convert::elements(&columns, "columns")?;
        let columns = convert::each_doubles(&columns, "columns")?;
        let found = add_columns(&columns, convert::doubles(&times, "times")?)?;
        Ok(vec![("sums", to_doubles(&found))])
    })
}

/// The triangle R of cross-products of twice the digits of p columns and a response, R'R those of the columns.
/// @noRd
#[extendr]
fn rs_triangle(xx: Robj, p: Robj) -> Robj {
    answer(|_| {
        let p = convert::count(&p, "p")?;
        let xx = convert::doubles(&xx, "xx")?;
        if xx.len() != 2 * (p + 1) * (p + 1) {
            return Err(Failure::bug("`xx` must be of p columns and a response"));
        }
        let moments = RawMoments {
            n: 0,
            p,
            sum_log_weights: 0.0,
            xx: xx.chunks_exact(2).map(|v| [v[0], v[1]]).collect(),
            factors: Vec::new(),
            pairs: Vec::new(),
        };
        let r = moments.triangle();
        Ok(vec![("triangle", Matrix::new(&r, p, p).to_robj()?)])
    })
}

extendr_module! {
    mod tables;
    fn rs_table_with_rows;
    fn rs_table_with;
    fn rs_table_shift;
    fn rs_table_fold;
    fn rs_add_columns;
    fn rs_triangle;
}
