//! Rows that are members of several levels, as R hands them over.

use extendr_api::prelude::*;
use ferrolmm_engine::Members;

use crate::condition::Failure;
use crate::convert::{self, Named};

/// `list(start =, level =, weight =)`, compressed rows.
pub struct MembersArgument {
    start: Robj,
    level: Robj,
    weight: Robj,
}

impl MembersArgument {
    pub fn new(value: &Robj) -> Result<Self, Failure> {
        let given = Named::new(value, "members")?;
        Ok(Self {
            start: given.field("start")?.clone(),
            level: given.field("level")?.clone(),
            weight: given.field("weight")?.clone(),
        })
    }

    /// The engine's view of them.
    pub fn borrow(&self) -> Result<Members<'_>, Failure> {
        Ok(Members {
            start: convert::integers(&self.start, "start")?,
            level: convert::integers(&self.level, "level")?,
            weight: convert::doubles(&self.weight, "weight")?,
        })
    }
}
