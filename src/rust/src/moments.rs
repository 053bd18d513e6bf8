//! Cross-products in the user's columns, on their way to R and back: `list(n =, p =, sum_log_weights =, xx =, factors =,
//! pairs =)`. Numbers of twice the digits are matrices with two rows, the double and what is left; numbers of rows, and starts
//! and levels of pairs, are doubles (counts beyond R's integers).

use extendr_api::prelude::*;
use ferrolmm_engine::{raw_moments, RawFactor, RawMoments, RawPair};

use crate::condition::{answer, named_list, Failure};
use crate::convert::{self, to_doubles, to_integer, Matrix, Named};
use crate::fit::Arguments;

fn read_twice(given: &Named, name: &str) -> Result<Vec<[f64; 2]>, Failure> {
    let values = convert::doubles(given.field(name)?, name)?;
    Ok(values.chunks_exact(2).map(|v| [v[0], v[1]]).collect())
}

fn write_twice(values: &[[f64; 2]]) -> Result<Robj, Failure> {
    let flat: Vec<f64> = values.iter().flatten().copied().collect();
    Matrix::new(&flat, 2, values.len()).to_robj()
}

/// Whole numbers that may be too large for R's integers.
fn read_counts(given: &Named, name: &str) -> Result<Vec<usize>, Failure> {
    let values = convert::doubles(given.field(name)?, name)?;
    let is_count = |v: &f64| v.fract() == 0.0 && (0.0..9.007_199_254_740_992e15).contains(v);
    if !values.iter().all(is_count) {
        return Err(Failure::bug(format!(
            "internal argument `{name}` must hold counts"
        )));
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Ok(values.iter().map(|v| *v as usize).collect())
}

fn write_counts(values: &[usize]) -> Robj {
    to_doubles(&values.iter().map(|v| *v as f64).collect::<Vec<f64>>())
}

/// What R hands over in the place of rows.
pub fn read(value: &Robj) -> Result<RawMoments, Failure> {
    let given = Named::new(value, "moments")?;
    let one = |given: &Named, name: &str| -> Result<usize, Failure> {
        match read_counts(given, name)?.as_slice() {
            [one] => Ok(*one),
            _ => Err(Failure::bug(format!("`{name}` must be one count"))),
        }
    };
    let factor = |value: &Robj| {
        let given = Named::new(value, "moments$factors")?;
        Ok(RawFactor {
            n_levels: convert::count(given.field("n_levels")?, "n_levels")?,
            k: convert::count(given.field("k")?, "k")?,
            zz: read_twice(&given, "zz")?,
            zx: read_twice(&given, "zx")?,
        })
    };
    let pair = |value: &Robj| {
        let given = Named::new(value, "moments$pairs")?;
        let level = read_counts(&given, "level")?;
        let level: Result<Vec<u32>, _> = level.into_iter().map(u32::try_from).collect();
        Ok(RawPair {
            f: convert::count(given.field("f")?, "f")?,
            g: convert::count(given.field("g")?, "g")?,
            start: read_counts(&given, "start")?,
            level: level.map_err(|_| Failure::bug("a level of a pair is too large"))?,
            value: read_twice(&given, "value")?,
        })
    };
    Ok(RawMoments {
        n: one(&given, "n")?,
        p: one(&given, "p")?,
        sum_log_weights: convert::double(given.field("sum_log_weights")?, "sum_log_weights")?,
        xx: read_twice(&given, "xx")?,
        factors: convert::elements(given.field("factors")?, "factors")?
            .iter()
            .map(factor)
            .collect::<Result<_, Failure>>()?,
        pairs: convert::elements(given.field("pairs")?, "pairs")?
            .iter()
            .map(pair)
            .collect::<Result<_, Failure>>()?,
    })
}

/// The cross-products of the rows of a model, in the user's columns: what [`read`] reads.
/// @noRd
#[extendr]
fn rs_moments(model: Robj, options: Robj) -> Robj {
    answer(|watch| {
        let arguments = Arguments::new(&model, &options, watch)?;
        let data = arguments.borrow()?;
        let found = raw_moments(&data, arguments.options.threads, &|| watch.poll())?;
        let factors = found.factors.iter().map(|factor| {
            Ok(named_list(vec![
                ("n_levels", to_integer(factor.n_levels)?),
                ("k", to_integer(factor.k)?),
                ("zz", write_twice(&factor.zz)?),
                ("zx", write_twice(&factor.zx)?),
            ]))
        });
        let pairs = found.pairs.iter().map(|pair| {
            let level: Vec<usize> = pair.level.iter().map(|l| *l as usize).collect();
            Ok(named_list(vec![
                ("f", to_integer(pair.f)?),
                ("g", to_integer(pair.g)?),
                ("start", write_counts(&pair.start)),
                ("level", write_counts(&level)),
                ("value", write_twice(&pair.value)?),
            ]))
        });
        let factors = factors.collect::<Result<Vec<Robj>, Failure>>()?;
        let pairs = pairs.collect::<Result<Vec<Robj>, Failure>>()?;
        Ok(vec![
            ("n", (found.n as f64).into()),
            ("p", (found.p as f64).into()),
            ("sum_log_weights", found.sum_log_weights.into()),
            ("xx", write_twice(&found.xx)?),
            ("factors", List::from_values(factors).into()),
            ("pairs", List::from_values(pairs).into()),
        ])
    })
}

extendr_module! {
    mod moments;
    fn rs_moments;
}
