//! Known matrices as R hands them over, in compressed columns.

use extendr_api::prelude::*;
use ferrolmm_engine::KnownMatrix;

use crate::condition::Failure;
use crate::convert::{self, Named};

/// `list(start =, row =, value =)`, both triangles of a symmetric matrix.
pub struct KnownMatrixArgument {
    start: Robj,
    row: Robj,
    value: Robj,
}

impl KnownMatrixArgument {
    pub fn new(value: &Robj, name: &str) -> Result<Self, Failure> {
        let given = Named::new(value, name)?;
        Ok(Self {
            start: given.field("start")?.clone(),
            row: given.field("row")?.clone(),
            value: given.field("value")?.clone(),
        })
    }

    /// The engine's view of it.
    pub fn borrow(&self) -> Result<KnownMatrix<'_>, Failure> {
        Ok(KnownMatrix {
            start: convert::integers(&self.start, "start")?,
            row: convert::integers(&self.row, "row")?,
            value: convert::doubles(&self.value, "value")?,
        })
    }
}
