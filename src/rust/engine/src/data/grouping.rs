//! Coding of grouping variables: from values to consecutive levels, in time linear in the rows.
//!
//! A *coded* grouping factor is a vector of codes 1, 2, ..., L (one a row, every level occurs
//! in the result). Nothing here hashes or compares strings, and no key can overflow: a key is
//! the pair of two codes, and pairs are ordered by two passes of counting sort where a table
//! over all possible pairs would be larger than the data.

use thiserror::Error;

/// Why grouping variables could not be coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GroupingError {
    /// No factor was given to combine.
    #[error("an interaction needs at least one factor")]
    NoFactor,
    /// The factors differ in length, or there are more or fewer level counts than factors.
    #[error("factor {factor} of an interaction has {found} rows, expected {expected}")]
    Length {
        /// Which factor, counted from 1.
        factor: usize,
        /// Its length.
        found: usize,
        /// The length of the first one.
        expected: usize,
    },
    /// A code lies outside 1..=`n_levels`.
    #[error("a code of factor {factor} lies outside 1..{n_levels}")]
    Code {
        /// Which factor, counted from 1.
        factor: usize,
        /// The stated number of levels.
        n_levels: usize,
    },
    /// More levels than a 32-bit code can name.
    #[error("a grouping factor has more than 2147483647 levels")]
    TooManyLevels,
}

/// The interaction of several coded factors; see [`interaction`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interaction {
    /// The level of each row, 1-based.
    pub codes: Vec<i32>,
    /// The combination that each level stands for, 1-based codes: `n_levels` x number of factors,
    /// column-major.
    pub levels: Vec<i32>,
    /// The number of combinations that occur.
    pub n_levels: usize,
}

/// A coded integer variable; see [`code_integer`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coded {
    /// The level of each row, 1-based.
    pub codes: Vec<i32>,
    /// The distinct values in increasing order: the value of level `l` is `values[l - 1]`.
    pub values: Vec<i32>,
}

/// A table over all possible keys is used while it is at most this much longer than the data.
const TABLE_PER_ROW: usize = 4;
/// ... and always up to this length, which costs microseconds.
const SMALL_TABLE: usize = 1 << 16;

fn table_is_cheap(keys: usize, rows: usize) -> bool {
    keys <= SMALL_TABLE.max(rows.saturating_mul(TABLE_PER_ROW))
}

/// Codes the combinations of several coded factors that occur, in lexicographic order, the first
/// factor slowest (the order of the levels of `a:b` in R, with the unused ones dropped).
///
/// `codes[f]` holds the 1-based codes of factor `f`, `n_levels[f]` their upper limit.
/// Time O(n + number of levels) for each factor after the first.
///
/// # Errors
/// If the lengths differ or a code lies outside its limits.
pub fn interaction(codes: &[&[i32]], n_levels: &[usize]) -> Result<Interaction, GroupingError> {
    let Some((first, rest)) = codes.split_first() else {
        return Err(GroupingError::NoFactor);
    };
    check(codes, n_levels)?;
    let one = vec![1; first.len()];
    let (mut combined, mut pairs) = combine(&one, 1, first, n_levels[0])?;
    let mut columns = vec![second_of(&pairs)];
    for (factor, &limit) in rest.iter().zip(&n_levels[1..]) {
        (combined, pairs) = combine(&combined, pairs.len(), factor, limit)?;
        for column in &mut columns {
            *column = pairs.iter().map(|&(left, _)| column[index(left)]).collect();
        }
        columns.push(second_of(&pairs));
    }
    Ok(Interaction {
        codes: combined,
        n_levels: pairs.len(),
        levels: columns.concat(),
    })
}

fn second_of(pairs: &[(i32, i32)]) -> Vec<i32> {
    pairs.iter().map(|&(_, right)| right).collect()
}

/// The position of a 1-based code that [`check`] has seen to be positive.
fn index(code: i32) -> usize {
    code as usize - 1
}

fn code_of(position: usize) -> Result<i32, GroupingError> {
    i32::try_from(position + 1).map_err(|_| GroupingError::TooManyLevels)
}

fn check(codes: &[&[i32]], n_levels: &[usize]) -> Result<(), GroupingError> {
    let expected = codes.first().map_or(0, |first| first.len());
    if codes.len() != n_levels.len() {
        return Err(GroupingError::Length {
            factor: codes.len().min(n_levels.len()) + 1,
            found: 0,
            expected,
        });
    }
    for (position, (factor, &limit)) in codes.iter().zip(n_levels).enumerate() {
        if factor.len() != expected {
            return Err(GroupingError::Length {
                factor: position + 1,
                found: factor.len(),
                expected,
            });
        }
        let inside = |&code: &i32| code >= 1 && code as usize <= limit;
        if !factor.iter().all(inside) {
            return Err(GroupingError::Code {
                factor: position + 1,
                n_levels: limit,
            });
        }
    }
    Ok(())
}

/// A code for each row, and the pair that each code stands for.
type Combined = (Vec<i32>, Vec<(i32, i32)>);

/// New codes for the pairs (left, right) that occur, ordered by left, then right; and the pairs.
fn combine(
    left: &[i32],
    n_left: usize,
    right: &[i32],
    n_right: usize,
) -> Result<Combined, GroupingError> {
    match n_left.checked_mul(n_right) {
        Some(keys) if table_is_cheap(keys, left.len()) => {
            combine_by_table(left, right, n_right, keys)
        }
        _ => combine_by_sorting(left, n_left, right, n_right),
    }
}

fn combine_by_table(
    left: &[i32],
    right: &[i32],
    n_right: usize,
    keys: usize,
) -> Result<Combined, GroupingError> {
    let key = |l: i32, r: i32| index(l) * n_right + index(r);
    let mut level = vec![0_i32; keys];
    for (&l, &r) in left.iter().zip(right) {
        level[key(l, r)] = 1;
    }
    let mut pairs = Vec::new();
    for (at, level) in level.iter_mut().enumerate() {
        if *level != 0 {
            *level = code_of(pairs.len())?;
            pairs.push((code_of(at / n_right)?, code_of(at % n_right)?));
        }
    }
    let codes = left
        .iter()
        .zip(right)
        .map(|(&l, &r)| level[key(l, r)])
        .collect();
    Ok((codes, pairs))
}

fn combine_by_sorting(
    left: &[i32],
    n_left: usize,
    right: &[i32],
    n_right: usize,
) -> Result<Combined, GroupingError> {
    let by_right = counting_sort(0..left.len(), n_right, |row| index(right[row]));
    let order = counting_sort(by_right.into_iter(), n_left, |row| index(left[row]));
    let mut codes = vec![0; left.len()];
    let mut pairs: Vec<(i32, i32)> = Vec::new();
    for row in order {
        let pair = (left[row], right[row]);
        if pairs.last() != Some(&pair) {
            pairs.push(pair);
        }
        codes[row] = code_of(pairs.len() - 1)?;
    }
    Ok((codes, pairs))
}

/// Rows in increasing order of `key` (0-based, below `n_keys`), keeping the order of equal ones.
fn counting_sort(
    rows: impl ExactSizeIterator<Item = usize> + Clone,
    n_keys: usize,
    key: impl Fn(usize) -> usize,
) -> Vec<usize> {
    let mut next = vec![0_usize; n_keys];
    for row in rows.clone() {
        next[key(row)] += 1;
    }
    let mut start = 0;
    for count in &mut next {
        start += std::mem::replace(count, start);
    }
    let mut sorted = vec![0; rows.len()];
    for row in rows {
        let place = &mut next[key(row)];
        sorted[*place] = row;
        *place += 1;
    }
    sorted
}

/// Codes an integer variable by its sorted distinct values.
///
/// Time O(n + range) where a table over the range of values is cheap, else O(n) by three passes
/// of radix sort over the 32 bits of a value.
///
/// # Errors
/// If there are more distinct values than codes.
pub fn code_integer(x: &[i32]) -> Result<Coded, GroupingError> {
    let (Some(&min), Some(&max)) = (x.iter().min(), x.iter().max()) else {
        return Ok(Coded {
            codes: Vec::new(),
            values: Vec::new(),
        });
    };
    // The distance from the smallest value: at most 2^32 - 1, where x - min would overflow.
    let distance = |value: i32| value.abs_diff(min) as usize;
    if table_is_cheap(distance(max).saturating_add(1), x.len()) {
        code_by_table(x, min, max)
    } else {
        code_by_sorting(x, distance)
    }
}

fn code_by_table(x: &[i32], min: i32, max: i32) -> Result<Coded, GroupingError> {
    let at = |value: i32| value.abs_diff(min) as usize;
    let mut level = vec![0_i32; at(max) + 1];
    for &value in x {
        level[at(value)] = 1;
    }
    let mut values = Vec::new();
    for (value, level) in (min..=max).zip(&mut level) {
        if *level != 0 {
            *level = code_of(values.len())?;
            values.push(value);
        }
    }
    let codes = x.iter().map(|&value| level[at(value)]).collect();
    Ok(Coded { codes, values })
}

fn code_by_sorting(x: &[i32], distance: impl Fn(i32) -> usize) -> Result<Coded, GroupingError> {
    const BITS: usize = 11;
    const DIGITS: usize = 1 << BITS;
    let digit = |row: usize, pass: usize| (distance(x[row]) >> (pass * BITS)) & (DIGITS - 1);
    let mut order = counting_sort(0..x.len(), DIGITS, |row| digit(row, 0));
    for pass in 1..=2 {
        order = counting_sort(order.iter().copied(), DIGITS, |row| digit(row, pass));
    }
    let mut codes = vec![0; x.len()];
    let mut values: Vec<i32> = Vec::new();
    for row in order {
        if values.last() != Some(&x[row]) {
            values.push(x[row]);
        }
        codes[row] = code_of(values.len() - 1)?;
    }
    Ok(Coded { codes, values })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    /// The definition, with ordered sets.
    fn interaction_by_definition(codes: &[Vec<i32>]) -> (Vec<i32>, Vec<Vec<i32>>) {
        let rows = (0..codes[0].len())
            .map(|row| codes.iter().map(|factor| factor[row]).collect::<Vec<i32>>())
            .collect::<Vec<_>>();
        let levels = rows.iter().cloned().collect::<BTreeSet<_>>();
        let code = levels.iter().zip(1..).collect::<BTreeMap<&Vec<i32>, i32>>();
        (
            rows.iter().map(|row| code[row]).collect(),
            levels.into_iter().collect(),
        )
    }

    fn rows_of(levels: &[i32], n_levels: usize) -> Vec<Vec<i32>> {
        (0..n_levels)
            .map(|level| {
                levels
                    .iter()
                    .skip(level)
                    .step_by(n_levels)
                    .copied()
                    .collect()
            })
            .collect()
    }

    #[test]
    fn an_interaction_drops_unused_combinations_and_varies_the_first_factor_slowest() {
        let result = interaction(&[&[2, 1, 2, 1], &[1, 3, 1, 2]], &[2, 3]).unwrap();
        assert_eq!(result.codes, [3, 2, 3, 1]);
        assert_eq!(result.n_levels, 3);
        assert_eq!(result.levels, [1, 1, 2, 2, 3, 1]);
    }

    #[test]
    fn one_factor_loses_its_unused_levels() {
        let result = interaction(&[&[5, 2, 5]], &[9]).unwrap();
        assert_eq!(result.codes, [2, 1, 2]);
        assert_eq!(result.levels, [2, 5]);
    }

    #[test]
    fn no_rows_give_no_levels() {
        let result = interaction(&[&[], &[]], &[3, 0]).unwrap();
        assert_eq!((result.n_levels, result.codes.len()), (0, 0));
        assert_eq!(code_integer(&[]).unwrap().values, []);
    }

    #[test]
    fn keys_beyond_64_bits_do_not_overflow() {
        let huge = i32::MAX as usize;
        let top = i32::MAX;
        let left = vec![1_i32, 70_000, 70_000, 1];
        let right = vec![70_001, 2, 70_001, 2];
        let sorted = combine_by_sorting(&left, 70_000, &right, 70_001).unwrap();
        assert_eq!(sorted.0, [2, 3, 4, 1]);
        // Three factors whose product of levels is 2^93: only pairs are ever formed.
        assert!(table_is_cheap(huge, huge));
        assert!(!table_is_cheap(usize::MAX, huge));
        assert_eq!(code_of(huge), Err(GroupingError::TooManyLevels));
        assert_eq!(code_of(huge - 1), Ok(top));
    }

    #[test]
    fn the_whole_range_of_integers_is_coded() {
        let x = [i32::MAX, i32::MIN, 0, -1, i32::MAX];
        let coded = code_integer(&x).unwrap();
        assert_eq!(coded.values, [i32::MIN, -1, 0, i32::MAX]);
        assert_eq!(coded.codes, [4, 1, 3, 2, 4]);
    }

    #[test]
    fn a_wrong_code_or_length_is_refused() {
        assert_eq!(interaction(&[], &[]), Err(GroupingError::NoFactor));
        for bad in [0, -1, 4, i32::MIN] {
            assert_eq!(
                interaction(&[&[1, bad]], &[3]),
                Err(GroupingError::Code {
                    factor: 1,
                    n_levels: 3
                })
            );
        }
        assert!(matches!(
            interaction(&[&[1], &[1, 1]], &[1, 1]),
            Err(GroupingError::Length {
                factor: 2,
                found: 2,
                expected: 1
            })
        ));
        assert!(matches!(
            interaction(&[&[1]], &[1, 1]),
            Err(GroupingError::Length { .. })
        ));
    }

    fn factors() -> impl Strategy<Value = Vec<Vec<i32>>> {
        (1_usize..4, 1_usize..60).prop_flat_map(|(k, n)| {
            proptest::collection::vec(proptest::collection::vec(1..=7_i32, n), k)
        })
    }

    proptest! {
        #[test]
        fn an_interaction_equals_its_definition(codes in factors(), wide in 7..100_000_usize) {
            let (expected, levels) = interaction_by_definition(&codes);
            let borrowed = codes.iter().map(Vec::as_slice).collect::<Vec<_>>();
            // Stated level counts from tight to far beyond a table's size take both routes.
            let result = interaction(&borrowed, &vec![wide; codes.len()]).unwrap();
            prop_assert_eq!(result.codes, expected);
            prop_assert_eq!(rows_of(&result.levels, result.n_levels), levels);
        }

        #[test]
        fn table_and_sort_agree(x in proptest::collection::vec(-500..500_i32, 1..200)) {
            let min = *x.iter().min().unwrap();
            let max = *x.iter().max().unwrap();
            let sorted = code_by_sorting(&x, |value| value.abs_diff(min) as usize).unwrap();
            prop_assert_eq!(&code_by_table(&x, min, max).unwrap(), &sorted);
            for (&value, &code) in x.iter().zip(&sorted.codes) {
                prop_assert_eq!(value, sorted.values[code as usize - 1]);
            }
            prop_assert!(sorted.values.windows(2).all(|pair| pair[0] < pair[1]));
        }

        #[test]
        fn any_integers_are_coded(x in proptest::collection::vec(any::<i32>(), 0..200)) {
            let coded = code_integer(&x).unwrap();
            let distinct = x.iter().copied().collect::<BTreeSet<_>>();
            prop_assert_eq!(coded.values.clone(), distinct.into_iter().collect::<Vec<_>>());
            for (&value, &code) in x.iter().zip(&coded.codes) {
                prop_assert_eq!(value, coded.values[code as usize - 1]);
            }
        }
    }
}
