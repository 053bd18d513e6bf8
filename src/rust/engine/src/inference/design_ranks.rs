//! What degrees of freedom by rules count: ranks of [X Z_1 ... Z_k] for random effects in their order, and which columns of X
//! change within the levels of a grouping factor.
//!
//! With P_l the projection on what the factor with most columns has in its level l, the rank is the sum of theirs and the rank
//! of what is left of all other columns, rows of l being independent of those of other levels: the matrix of the left over
//! columns' cross-products is of the order of X and the other factors, whatever the number of rows and of levels is.

use crate::api::error::EngineError;
use crate::api::model::Column;
use crate::runtime::interruptible::interruptible;
use crate::runtime::memory;
use crate::runtime::stop::StopFlag;

/// What is left of a column, relative to it, below which it depends on others: as `lm()` decides it.
const DEPENDENT: f64 = 1e-7;

/// The same for squares of columns that are orthogonal to a factor already, from their cross-products.
const DEPENDENT_SQUARE: f64 = 1e-10;

/// Largest order of a dense matrix.
const LARGEST: usize = 6000;

/// Codes of a grouping factor, from 1.
#[derive(Debug, Clone, Copy)]
pub struct Levels<'a> {
    /// Level of each row.
    pub codes: &'a [i32],
    /// Number of levels.
    pub count: usize,
}

/// Random effects: the same columns for each level of a factor.
#[derive(Debug, Clone)]
pub struct Effects<'a> {
    /// Which factor.
    pub factor: usize,
    /// Columns of one level.
    pub columns: Vec<Column<'a>>,
}

/// The design: independent columns of X (`n` rows, column after column), and random effects in their order.
#[derive(Debug, Clone)]
pub struct Design<'a> {
    /// Rows.
    pub n: usize,
    /// X.
    pub x: &'a [f64],
    /// Grouping factors.
    pub factors: Vec<Levels<'a>>,
    /// Random effects.
    pub effects: Vec<Effects<'a>>,
}

/// Ranks of [X Z_1 ... Z_k], k = 1, 2, ...
///
/// # Errors
/// [`EngineError::Dimension`] where lengths do not fit, [`EngineError::TooLarge`], [`EngineError::Interrupted`].
pub fn design_ranks(
    design: &Design<'_>,
    interrupt: &dyn Fn() -> bool,
) -> Result<Vec<usize>, EngineError> {
    let n = design.n;
    let lengths = design.factors.iter().map(|f| f.codes.len());
    if design.x.len() % n.max(1) != 0 || lengths.into_iter().any(|length| length != n) {
        return Err(EngineError::Dimension(
            "columns and grouping factors must have an element for each row".to_owned(),
        ));
    }
    interruptible(true, interrupt, |stop, _| {
        let x = orthonormal(design.x, n, stop);
        (1..=design.effects.len())
            .map(|k| rank(design, &x, k, stop))
            .collect()
    })
}

/// Which columns of x (n rows, column after column) have different values within some level.
///
/// # Errors
/// [`EngineError::Dimension`] where lengths do not fit.
pub fn varies_within(x: &[f64], levels: Levels<'_>) -> Result<Vec<bool>, EngineError> {
    let n = levels.codes.len();
    if n == 0 || x.len() % n != 0 {
        return Err(EngineError::Dimension(
            "columns must have an element for each row".to_owned(),
        ));
    }
    let mut first = vec![usize::MAX; levels.count];
    for (i, &code) in levels.codes.iter().enumerate() {
        let own = &mut first[code as usize - 1];
        *own = (*own).min(i);
    }
    let varies = |column: &[f64]| {
        let size = column.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let other = |(v, &code): (&f64, &i32)| {
            (v - column[first[code as usize - 1]]).abs() > size * f64::EPSILON.sqrt()
        };
        column.iter().zip(levels.codes).any(other)
    };
    Ok(x.chunks_exact(n).map(varies).collect())
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Takes out of a column what orthonormal ones explain; twice, for what rounding left.
fn take_out(column: &mut [f64], basis: &[Vec<f64>]) {
    for _ in 0..2 {
        for q in basis {
            let along = dot(column, q);
            column.iter_mut().zip(q).for_each(|(x, q)| *x -= along * q);
        }
    }
}

/// Adds what is new in a column, of norm 1, to orthonormal ones.
fn extend(basis: &mut Vec<Vec<f64>>, mut column: Vec<f64>) {
    let size = dot(&column, &column).sqrt();
    take_out(&mut column, basis);
    let left = dot(&column, &column).sqrt();
    if left > DEPENDENT * size {
        column.iter_mut().for_each(|v| *v /= left);
        basis.push(column);
    }
}

/// Columns that span those of X.
fn orthonormal(x: &[f64], n: usize, stop: &StopFlag) -> Vec<Vec<f64>> {
    let mut basis = Vec::new();
    for column in x.chunks_exact(n.max(1)) {
        stop.check();
        let size = column.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        if size > 0.0 {
            extend(&mut basis, column.iter().map(|v| v / size).collect());
        }
    }
    basis
}

/// Rows of each level of a factor.
fn rows_by_level(levels: Levels<'_>) -> Vec<Vec<usize>> {
    let mut rows = vec![Vec::new(); levels.count];
    for (i, &code) in levels.codes.iter().enumerate() {
        rows[code as usize - 1].push(i);
    }
    rows
}

/// Columns that are not of the factor that is projected out.
struct Others<'a> {
    x: &'a [Vec<f64>],
    /// Effects, and where their columns start.
    effects: Vec<(&'a Effects<'a>, usize)>,
    order: usize,
}

impl<'a> Others<'a> {
    fn new(design: &'a Design<'a>, x: &'a [Vec<f64>], k: usize, factor: usize) -> Self {
        let mut order = x.len();
        let mut effects = Vec::new();
        for own in design.effects[..k].iter().filter(|e| e.factor != factor) {
            effects.push((own, order));
            order += own.columns.len() * design.factors[own.factor].count;
        }
        Self { x, effects, order }
    }

    /// The columns that are not zero in some rows: where they are, and their values there.
    fn columns(&self, design: &Design<'_>, rows: &[usize]) -> (Vec<usize>, Vec<Vec<f64>>) {
        let mut at: Vec<usize> = (0..self.x.len()).collect();
        let mut values: Vec<Vec<f64>> = self
            .x
            .iter()
            .map(|x| rows.iter().map(|&i| x[i]).collect())
            .collect();
        for (own, start) in &self.effects {
            let codes = design.factors[own.factor].codes;
            let mut seen: Vec<i32> = rows.iter().map(|&i| codes[i]).collect();
            seen.sort_unstable();
            seen.dedup();
            for code in seen {
                for (c, column) in own.columns.iter().enumerate() {
                    at.push(start + (code as usize - 1) * own.columns.len() + c);
                    let value = |&i: &usize| {
                        if codes[i] == code {
                            column.at(i)
                        } else {
                            0.0
                        }
                    };
                    values.push(rows.iter().map(value).collect());
                }
            }
        }
        (at, values)
    }
}

/// Rank of X and the first k effects.
fn rank(
    design: &Design<'_>,
    x: &[Vec<f64>],
    k: usize,
    stop: &StopFlag,
) -> Result<usize, EngineError> {
    let width = |f: usize| -> usize {
        let own = design.effects[..k].iter().filter(|e| e.factor == f);
        own.map(|e| e.columns.len()).sum::<usize>() * design.factors[f].count
    };
    let Some(factor) = (0..design.factors.len()).max_by_key(|&f| width(f)) else {
        return Ok(x.len());
    };
    let others = Others::new(design, x, k, factor);
    let order = others.order;
    if order > LARGEST {
        let gigabytes = 8e-9 * (order as f64).powi(2);
        return Err(EngineError::TooLarge { order, gigabytes });
    }
    let mut found = 0;
    let mut square = memory::zeros(order * order);
    let mut sizes = memory::zeros(order);
    for rows in rows_by_level(design.factors[factor]) {
        stop.check();
        let mut basis = Vec::new();
        for own in design.effects[..k].iter().filter(|e| e.factor == factor) {
            for column in &own.columns {
                let values: Vec<f64> = rows.iter().map(|&i| column.at(i)).collect();
                if values.iter().any(|v| *v != 0.0) {
                    extend(&mut basis, values);
                }
            }
        }
        found += basis.len();
        let (at, mut values) = others.columns(design, &rows);
        for (&j, column) in at.iter().zip(&mut values) {
            sizes[j] += dot(column, column);
            take_out(column, &basis);
        }
        for (b, (&j, right)) in at.iter().zip(&values).enumerate() {
            for (&i, left) in at.iter().zip(&values[..=b]) {
                let product = dot(left, right);
                square[j * order + i] += product;
                if i != j {
                    square[i * order + j] += product;
                }
            }
        }
    }
    Ok(found + rank_of_square(&mut square, &sizes, order, stop))
}

/// Rank of a matrix of cross-products, of columns that had these sizes before; by Cholesky's factor with pivots.
fn rank_of_square(square: &mut [f64], sizes: &[f64], order: usize, stop: &StopFlag) -> usize {
    let own = |square: &[f64], j: usize| square[j * order + j];
    let mut left: Vec<usize> = (0..order)
        .filter(|&j| own(square, j) > DEPENDENT * DEPENDENT * sizes[j])
        .collect();
    let scale: Vec<f64> = (0..order).map(|j| own(square, j).sqrt()).collect();
    for &j in &left {
        for &i in &left {
            square[j * order + i] /= scale[i] * scale[j];
        }
    }
    let mut rank = 0;
    while let Some(at) =
        (0..left.len()).max_by(|&a, &b| own(square, left[a]).total_cmp(&own(square, left[b])))
    {
        let pivot = left.swap_remove(at);
        let value = own(square, pivot);
        if value <= DEPENDENT_SQUARE {
            break;
        }
        stop.check();
        rank += 1;
        let column: Vec<f64> = (0..order).map(|i| square[pivot * order + i]).collect();
        for &j in left.iter().filter(|&&j| column[j] != 0.0) {
            let factor = column[j] / value;
            for &i in &left {
                square[j * order + i] -= factor * column[i];
            }
        }
    }
    rank
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    const NEVER: &dyn Fn() -> bool = &|| false;

    /// Codes of balanced rows: `count` levels, each `each` times in a row.
    fn codes(count: usize, each: usize, times: usize) -> Vec<i32> {
        (0..times)
            .flat_map(|_| (0..count).flat_map(|l| std::iter::repeat_n(l as i32 + 1, each)))
            .collect()
    }

    /// Rank of a dense matrix, column after column, by elimination with complete pivots: another way than that above.
    fn dense_rank(mut columns: Vec<Vec<f64>>) -> usize {
        let mut rank = 0;
        let n = columns.first().map_or(0, Vec::len);
        let mut rows: Vec<usize> = (0..n).collect();
        loop {
            let entries = (0..columns.len()).flat_map(|c| rows.iter().map(move |&r| (c, r)));
            let size = |&(c, r): &(usize, usize)| columns[c][r].abs();
            let Some((c, r)) = entries.max_by(|a, b| size(a).total_cmp(&size(b))) else {
                return rank;
            };
            if columns[c][r].abs() < 1e-9 {
                return rank;
            }
            rank += 1;
            let pivot = columns.swap_remove(c);
            rows.retain(|&row| row != r);
            for column in &mut columns {
                let factor = column[r] / pivot[r];
                column
                    .iter_mut()
                    .zip(&pivot)
                    .for_each(|(x, p)| *x -= factor * p);
            }
        }
    }

    fn expanded(design: &Design<'_>, k: usize) -> Vec<Vec<f64>> {
        let mut out: Vec<Vec<f64>> = design.x.chunks(design.n).map(<[f64]>::to_vec).collect();
        for own in &design.effects[..k] {
            let levels = design.factors[own.factor];
            for level in 1..=levels.count as i32 {
                for column in &own.columns {
                    let value = |i: usize| match levels.codes[i] == level {
                        true => column.at(i),
                        false => 0.0,
                    };
                    out.push((0..design.n).map(value).collect());
                }
            }
        }
        out
    }

    #[test]
    fn split_plots_have_the_ranks_of_their_strata() {
        // 4 blocks, 3 whole plots each, 2 subplots each: y ~ A * B with random blocks and blocks by A
        let block = codes(4, 6, 1);
        let a = codes(3, 2, 4);
        let b = codes(2, 1, 12);
        let plot: Vec<i32> = block.iter().zip(&a).map(|(b, a)| (b - 1) * 3 + a).collect();
        let mut x = Vec::new();
        for (i, j) in [(0, 0), (2, 0), (3, 0), (0, 2), (2, 2), (3, 2)] {
            let is = |code: i32, level: i32| level == 0 || code == level;
            x.extend(
                a.iter()
                    .zip(&b)
                    .map(|(&a, &b)| f64::from(u8::from(is(a, i) && is(b, j)))),
            );
        }
        let design = Design {
            n: 24,
            x: &x,
            factors: vec![
                Levels {
                    codes: &block,
                    count: 4,
                },
                Levels {
                    codes: &plot,
                    count: 12,
                },
            ],
            effects: vec![
                Effects {
                    factor: 0,
                    columns: vec![Column::Constant],
                },
                Effects {
                    factor: 1,
                    columns: vec![Column::Constant],
                },
            ],
        };
        // 6, 3 of the blocks, 6 of the whole plots; 9 are left
        assert_eq!(design_ranks(&design, NEVER), Ok(vec![9, 15]));
    }

    #[test]
    fn ranks_agree_with_those_of_the_whole_matrix() {
        let mut seed = 1_u64;
        let mut draw = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as usize % below
        };
        for trial in 0..40 {
            let n = 12 + draw(20);
            let count = [2 + draw(5), 2 + draw(6)];
            let levels: Vec<Vec<i32>> = count
                .iter()
                .map(|&count| (0..n).map(|_| 1 + draw(count) as i32).collect())
                .collect();
            let slope: Vec<f64> = (0..n).map(|_| 2000.0 + draw(6) as f64).collect();
            let flag: Vec<f64> = (0..n).map(|_| draw(2) as f64).collect();
            let mut x = vec![1.0; n];
            x.extend(&slope);
            if trial % 2 == 0 {
                x.extend(levels[1].iter().map(|&l| f64::from(u8::from(l == 1))));
            }
            let factors = levels.iter().zip(count);
            let design = Design {
                n,
                x: &x,
                factors: factors
                    .map(|(codes, count)| Levels { codes, count })
                    .collect(),
                effects: vec![
                    Effects {
                        factor: 0,
                        columns: vec![Column::Constant],
                    },
                    Effects {
                        factor: 0,
                        columns: vec![Column::Values(&slope)],
                    },
                    Effects {
                        factor: 1,
                        columns: vec![Column::Constant, Column::Values(&flag)],
                    },
                ],
            };
            let found = design_ranks(&design, NEVER).expect("ranks");
            for k in 1..=3 {
                assert_eq!(
                    found[k - 1],
                    dense_rank(expanded(&design, k)),
                    "trial {trial}, {k}"
                );
            }
        }
    }

    #[test]
    fn columns_vary_within_levels_or_not() {
        let codes = codes(3, 2, 1);
        let levels = Levels {
            codes: &codes,
            count: 3,
        };
        let x = [
            [1.0; 6],
            [1.0, 1.0, 2.0, 2.0, 3.0, 3.0],
            [0.0, 0.0, 0.0, 0.0, 0.0, 1.0],
        ];
        assert_eq!(
            varies_within(&x.concat(), levels),
            Ok(vec![false, false, true])
        );
        let long = [1e8, 1e8 + 1e-4, 3.0, 3.0, 1.0, 1.0];
        assert_eq!(varies_within(&long, levels), Ok(vec![false]));
        assert!(varies_within(&[1.0; 5], levels).is_err());
    }
}
