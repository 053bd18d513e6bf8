//! R values seen from Rust, and back. Vectors are borrowed, never copied, while the call lasts.
//!
//! `R/engine-calls.R` has coerced and checked everything, so a value of the wrong type is a bug.

use extendr_api::prelude::*;
use libR_sys::SEXPTYPE;

use crate::condition::Failure;
use crate::interrupt::new_vector;

fn wrong(name: &str, expected: &str, found: &Robj) -> Failure {
    let found = found.rtype();
    Failure::bug(format!(
        "internal argument `{name}` is {found:?}, expected {expected}"
    ))
}

/// A double vector or matrix.
pub fn doubles<'a>(value: &'a Robj, name: &str) -> Result<&'a [f64], Failure> {
    value
        .as_real_slice()
        .ok_or_else(|| wrong(name, "a double vector", value))
}

/// Double vectors.
pub fn each_doubles<'a>(values: &'a [Robj], name: &str) -> Result<Vec<&'a [f64]>, Failure> {
    values.iter().map(|value| doubles(value, name)).collect()
}

/// A double vector, or NULL.
pub fn doubles_or_null<'a>(value: &'a Robj, name: &str) -> Result<Option<&'a [f64]>, Failure> {
    if value.is_null() {
        Ok(None)
    } else {
        doubles(value, name).map(Some)
    }
}

/// One double.
pub fn double(value: &Robj, name: &str) -> Result<f64, Failure> {
    match doubles(value, name)? {
        [one] => Ok(*one),
        _ => Err(wrong(name, "one double", value)),
    }
}

/// An integer vector (also the codes of a factor).
pub fn integers<'a>(value: &'a Robj, name: &str) -> Result<&'a [i32], Failure> {
    value
        .as_integer_slice()
        .ok_or_else(|| wrong(name, "an integer vector", value))
}

/// One non-negative integer.
pub fn count(value: &Robj, name: &str) -> Result<usize, Failure> {
    match integers(value, name)? {
        [one] => to_count(*one, name),
        _ => Err(wrong(name, "one integer", value)),
    }
}

/// A non-negative R integer as a length; NA counts as negative.
pub fn to_count(value: i32, name: &str) -> Result<usize, Failure> {
    usize::try_from(value)
        .map_err(|_| Failure::bug(format!("internal argument `{name}` is negative or NA")))
}

/// TRUE or FALSE.
pub fn flag(value: &Robj, name: &str) -> Result<bool, Failure> {
    value
        .as_bool()
        .ok_or_else(|| wrong(name, "TRUE or FALSE", value))
}

/// The elements of a list.
pub fn elements(value: &Robj, name: &str) -> Result<Vec<Robj>, Failure> {
    value
        .as_list()
        .map(|list| list.values().collect())
        .ok_or_else(|| wrong(name, "a list", value))
}

/// A named list whose names are read once and whose elements stay where they are: protecting one takes as long as some
/// hundred operations.
pub struct Named {
    list: List,
    /// R's own strings, which live as long as the list.
    names: Vec<&'static str>,
}

impl Named {
    /// Reads the list `value`, which a failure calls `name`.
    pub fn new(value: &Robj, name: &str) -> Result<Self, Failure> {
        let list = value
            .as_list()
            .ok_or_else(|| wrong(name, "a list", value))?;
        let names = list.names().map(Iterator::collect).unwrap_or_default();
        Ok(Self { list, names })
    }

    /// The element that has the given name.
    pub fn field(&self, name: &str) -> Result<&Robj, Failure> {
        let place = self.names.iter().position(|key| *key == name);
        place
            .and_then(|place| self.list.as_slice().get(place))
            .ok_or_else(|| Failure::bug(format!("internal argument lacks `{name}`")))
    }

    /// The element that has the given name; `None` where there is none, or it is NULL.
    pub fn optional(&self, name: &str) -> Option<&Robj> {
        self.field(name).ok().filter(|element| !element.is_null())
    }
}

/// A double vector to be written to, every element of it.
pub fn new_doubles(n: usize) -> Robj {
    new_vector(SEXPTYPE::REALSXP, n)
}

/// The elements of a new vector.
pub fn doubles_mut(vector: &mut Robj) -> Result<&mut [f64], Failure> {
    vector
        .as_real_slice_mut()
        .ok_or_else(|| Failure::bug("a new vector is no double vector"))
}

/// Doubles as an R vector.
pub fn to_doubles(values: &[f64]) -> Robj {
    let mut vector = new_vector(SEXPTYPE::REALSXP, values.len());
    if let Some(target) = vector.as_real_slice_mut() {
        target.copy_from_slice(values);
    }
    vector
}

/// Doubles as an R vector, where NaN says "not there": R's NA.
pub fn to_doubles_or_na(values: &[f64]) -> Robj {
    let mut vector = to_doubles(values);
    for value in vector.as_real_slice_mut().into_iter().flatten() {
        if value.is_nan() {
            *value = f64::na();
        }
    }
    vector
}

/// Integers as an R vector.
pub fn to_integers(values: &[i32]) -> Robj {
    let mut vector = new_vector(SEXPTYPE::INTSXP, values.len());
    if let Some(target) = vector.as_integer_slice_mut() {
        target.copy_from_slice(values);
    }
    vector
}

fn integer(value: usize) -> Result<i32, Failure> {
    i32::try_from(value)
        .map_err(|_| Failure::new("dimension", "a dimension exceeds R's largest integer"))
}

/// A length as an R integer.
pub fn to_integer(value: usize) -> Result<Robj, Failure> {
    integer(value).map(Robj::from)
}

/// Lengths as an R integer vector.
pub fn to_counts(values: &[usize]) -> Result<Robj, Failure> {
    let values = values.iter().map(|&value| integer(value));
    Ok(to_integers(&values.collect::<Result<Vec<i32>, Failure>>()?))
}

/// A column-major matrix on its way to R.
pub struct Matrix<'a, T> {
    values: &'a [T],
    rows: usize,
    columns: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// `values` has `rows * columns` elements.
    pub fn new(values: &'a [T], rows: usize, columns: usize) -> Self {
        Self {
            values,
            rows,
            columns,
        }
    }

    fn shape(&self, mut vector: Robj) -> Result<Robj, Failure> {
        let (found, rows, columns) = (self.values.len(), self.rows, self.columns);
        // R itself would refuse the attribute for NULL, or for another length, with a jump at which extendr ends the process
        if vector.is_null() {
            return Err(Failure::bug("R had no memory for a matrix"));
        }
        if found != rows * columns {
            return Err(Failure::bug(format!(
                "a matrix of {rows} x {columns} has {found} elements"
            )));
        }
        vector
            .set_attrib("dim", [integer(rows)?, integer(columns)?])
            .map_err(|_| Failure::bug("R refused the dimensions of a matrix"))?;
        Ok(vector)
    }
}

impl Matrix<'_, f64> {
    /// As an R matrix.
    pub fn to_robj(&self) -> Result<Robj, Failure> {
        self.shape(to_doubles(self.values))
    }

    /// Like [`Self::to_robj`], with NA where a value is NaN.
    pub fn to_robj_or_na(&self) -> Result<Robj, Failure> {
        self.shape(to_doubles_or_na(self.values))
    }
}

impl Matrix<'_, i32> {
    /// As an R matrix.
    pub fn to_robj(&self) -> Result<Robj, Failure> {
        self.shape(to_integers(self.values))
    }
}
