//! A look at columns before they become a model: missing or infinite values, levels without rows. One streaming read.

use crate::runtime::parallel::Workers;
use crate::runtime::partition::pieces;
use crate::runtime::stop::StopFlag;

/// Rows of one piece of work.
const PIECE: usize = 262_144;

/// R's missing integer.
const MISSING: i32 = i32::MIN;

/// A column as it comes.
#[derive(Debug, Clone, Copy)]
pub enum Raw<'a> {
    /// Numbers.
    Doubles(&'a [f64]),
    /// Whole numbers, or truth values.
    Integers(&'a [i32]),
    /// Codes of categories from 1, and how many categories there are.
    Categories(&'a [i32], usize),
}

/// What a column is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// No value is missing or infinite.
    pub complete: bool,
    /// Every category has a row.
    pub all_used: bool,
}

/// Looks at each column; on all threads where there are many rows.
#[must_use]
pub fn scan(columns: &[Raw<'_>], threads: usize) -> Vec<Finding> {
    let rows = columns.iter().map(|column| column.len());
    let work: usize = rows.sum();
    let workers = Workers::new(threads, work as f64, &StopFlag::default());
    columns
        .iter()
        .map(|column| {
            let work = pieces(column.len(), PIECE);
            let parts = workers.map(work.len(), |piece| column.part(work[piece].clone()));
            let mut used = vec![false; column.categories()];
            for (_, part) in &parts {
                used.iter_mut().zip(part).for_each(|(a, b)| *a |= b);
            }
            Finding {
                complete: parts.iter().all(|(complete, _)| *complete),
                all_used: used.iter().all(|used| *used),
            }
        })
        .collect()
}

impl Raw<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Doubles(v) => v.len(),
            Self::Integers(v) | Self::Categories(v, _) => v.len(),
        }
    }

    fn categories(&self) -> usize {
        match self {
            Self::Categories(_, n) => *n,
            _ => 0,
        }
    }

    /// Whether these rows are complete, and which categories they have.
    fn part(&self, range: std::ops::Range<usize>) -> (bool, Vec<bool>) {
        match self {
            Self::Doubles(v) => (all_finite(&v[range]), Vec::new()),
            Self::Integers(v) => (none_missing(&v[range]), Vec::new()),
            Self::Categories(v, n) => {
                let mut used = vec![false; *n];
                let mut complete = true;
                for &code in &v[range] {
                    match used.get_mut((code as usize).wrapping_sub(1)) {
                        Some(used) => *used = true,
                        None => complete = false,
                    }
                }
                (complete, used)
            }
        }
    }
}

/// Whether all values are finite: 0 times each, summed in lanes.
#[must_use]
pub fn all_finite(values: &[f64]) -> bool {
    let mut lanes = [0.0; 16];
    let blocks = values.chunks_exact(16);
    let rest = blocks.remainder();
    for block in blocks {
        for (lane, value) in lanes.iter_mut().zip(block) {
            *lane += value * 0.0;
        }
    }
    lanes.iter().chain(rest).map(|v| v * 0.0).sum::<f64>() == 0.0
}

/// The first of the codes from 1 that is neither missing nor one of `categories`.
#[must_use]
pub fn stray_code(codes: &[i32], categories: usize) -> Option<i32> {
    // codes below 1 are large as unsigned numbers
    let strays =
        |code: i32| (code as u32).wrapping_sub(1) as usize >= categories && code != MISSING;
    let any = |block: &&[i32]| block.iter().fold(false, |any, &code| any | strays(code));
    let block = codes.chunks(4096).find(any)?;
    block.iter().copied().find(|&code| strays(code))
}

fn none_missing(values: &[i32]) -> bool {
    values.iter().fold(true, |ok, &v| ok & (v != MISSING))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_missing() {
        for n in [0, 1, 15, 16, 17, 1000] {
            let clean = vec![1.5; n];
            assert!(all_finite(&clean));
            for at in 0..n {
                for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                    let mut values = clean.clone();
                    values[at] = bad;
                    assert!(!all_finite(&values), "{bad} at {at} of {n}");
                }
            }
        }
        assert!(all_finite(&[f64::MAX; 40]));
    }

    #[test]
    fn a_stray_code_is_found_wherever_it_is() {
        for n in [0, 1, 4095, 4096, 4097, 10_000] {
            let clean: Vec<i32> = (0..n)
                .map(|i| if i % 7 == 0 { MISSING } else { i % 3 + 1 })
                .collect();
            assert_eq!(stray_code(&clean, 3), None);
            for at in [0, n / 2, n - 1]
                .into_iter()
                .filter(|at| (0..n).contains(at))
            {
                for bad in [0, -1, 4, i32::MAX, MISSING + 1] {
                    let mut codes = clean.clone();
                    codes[at as usize] = bad;
                    assert_eq!(stray_code(&codes, 3), Some(bad), "{bad} at {at} of {n}");
                }
            }
        }
        assert_eq!(stray_code(&[1], 0), Some(1));
        assert_eq!(stray_code(&[MISSING], 0), None);
    }

    #[test]
    fn looks_at_every_piece() {
        let n = 2 * PIECE + 7;
        let mut numbers = vec![0.25; n];
        let mut whole = vec![7; n];
        let mut codes: Vec<i32> = (0..n).map(|i| (i % 3) as i32 + 1).collect();
        let look = |numbers: &[f64], whole: &[i32], codes: &[i32], levels| {
            [1, 2].map(|threads| {
                scan(
                    &[
                        Raw::Doubles(numbers),
                        Raw::Integers(whole),
                        Raw::Categories(codes, levels),
                    ],
                    threads,
                )
            })
        };
        let clean = Finding {
            complete: true,
            all_used: true,
        };
        assert_eq!(
            look(&numbers, &whole, &codes, 3),
            [vec![clean; 3], vec![clean; 3]]
        );
        assert!(!look(&numbers, &whole, &codes, 4)[1][2].all_used);
        numbers[n - 1] = f64::NAN;
        whole[PIECE] = MISSING;
        codes[0] = MISSING;
        for found in look(&numbers, &whole, &codes, 3) {
            assert!(found.iter().all(|f| !f.complete && f.all_used));
        }
    }
}
