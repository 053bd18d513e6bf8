//! Pedigrees.

use extendr_api::prelude::*;
use ferrolmm_engine::data::pedigree::{pedigree, Pedigree};

use crate::condition::answer;
use crate::convert;

/// The inverse of the relationship matrix of animals with these parents (numbers from 1, 0 for an unknown one), in compressed
/// columns, on and above its diagonal; or the animals of a circle.
/// @noRd
#[extendr]
fn rs_pedigree(sire: Robj, dam: Robj) -> Robj {
    answer(|watch| {
        let sire = convert::integers(&sire, "sire")?;
        let dam = convert::integers(&dam, "dam")?;
        Ok(match pedigree(sire, dam, &|| watch.poll())? {
            Pedigree::Sound(found) => vec![
                ("start", convert::to_counts(&found.start)?),
                ("row", convert::to_integers(&found.row)),
                ("value", convert::to_doubles(&found.value)),
                ("inbreeding", convert::to_doubles(&found.inbreeding)),
            ],
            Pedigree::Loop(circle) => {
                let numbers: Vec<usize> = circle.iter().map(|i| i + 1).collect();
                vec![("circle", convert::to_counts(&numbers)?)]
            }
        })
    })
}

extendr_module! {
    mod pedigree;
    fn rs_pedigree;
}
