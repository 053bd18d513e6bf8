//! Whether the largest grouping factor is eliminated level by level, or all of them are ordered together.
//!
//! A level that is eliminated joins all levels that it meets to one another. Where these are the levels of a sparse known precision
//! matrix (a herd of animals in a pedigree), that is what fills the complement; eliminated after them, it would not. With no factor
//! eliminated the complement is all of M, in a fill-reducing order of the levels of all factors, those that meet many coming last by
//! themselves. Both are counted symbolically.

use crate::linalg::sparse::DENSE_ADVANTAGE;
use crate::moments::blocks::{FactorMoments, Moments, PairMoments};
use crate::moments::level_precision::is_sparse;
use crate::runtime::stop::StopFlag;
use crate::system::elimination::Schur;

/// The lists of neighbours, if the first factor is to be eliminated; `None` where it takes less to eliminate none.
pub(crate) fn largest_eliminated(moments: &Moments, stop: &StopFlag) -> Option<Schur> {
    let first = &moments.factors[0];
    let sparse = (0..moments.factors.len()).any(|f| is_sparse(moments, f));
    if first.n_levels == 0 || !sparse {
        return Some(Schur::unless_stopped(moments, stop));
    }
    let together = Schur::unless_stopped(&structure_of_all(moments), stop).work(1);
    if 2.0 * clique_work(moments) > together {
        return None;
    }
    let schur = Schur::unless_stopped(moments, stop);
    (schur.work(first.k) <= together).then_some(schur)
}

/// Multiply-adds of one pass over all pairs of neighbours of the levels of the first factor, at the speed of dense ones: the least
/// that eliminating it takes.
fn clique_work(moments: &Moments) -> f64 {
    let mut effects = vec![0usize; moments.factors[0].n_levels];
    for pair in moments.pairs.iter().filter(|pair| pair.f == 0) {
        let k = moments.factors[pair.g].k;
        for (count, range) in effects.iter_mut().zip(pair.start.windows(2)) {
            *count += k * (range[1] - range[0]);
        }
    }
    let pairs: f64 = effects.iter().map(|&count| (count as f64).powi(2)).sum();
    pairs * moments.factors[0].k as f64 / DENSE_ADVANTAGE
}

/// Which levels meet, with an empty factor before the others; no values.
fn structure_of_all(moments: &Moments) -> Moments {
    let sizes = |n_levels: usize, k: usize| FactorMoments {
        n_levels,
        k,
        zz: Vec::new(),
        zx: Vec::new(),
        level_precision: Vec::new(),
        multiplicity: Vec::new(),
    };
    let factors = moments.factors.iter().map(|f| sizes(f.n_levels, f.k));
    let pairs = moments.pairs.iter().map(|pair| PairMoments {
        f: pair.f + 1,
        g: pair.g + 1,
        start: pair.start.clone(),
        level: pair.level.clone(),
        value: Vec::new(),
        level_precision: Vec::new(),
    });
    Moments {
        n: moments.n,
        p1: moments.p1,
        xx: Vec::new(),
        factors: std::iter::once(sizes(0, 1)).chain(factors).collect(),
        pairs: pairs.collect(),
        sum_log_weights: 0.0,
        log_det_level_precision: 0.0,
        rest: None,
    }
}

#[cfg(test)]
mod tests {
    use crate::api::model::{
        Column, GroupingFactor, KnownMatrix, ModelData, RandomTerm, Structure,
    };
    use crate::api::options::Options;
    use crate::fit::prepare::prepare;
    use crate::runtime::stop::StopFlag;

    /// Levels of the factor that is eliminated for one row of each of 300 animals, whose neighbours are so many before and after, in
    /// so many herds.
    fn eliminated(neighbours: i32, herds: i32) -> usize {
        let animals = 300;
        let codes: Vec<i32> = (1..=animals).collect();
        let herd: Vec<i32> = codes.iter().map(|i| (i * 7) % herds + 1).collect();
        let (mut start, mut row, mut value) = (vec![0], Vec::new(), Vec::new());
        for j in 0..animals {
            for i in (j - neighbours).max(0)..(j + neighbours + 1).min(animals) {
                row.push(i);
                value.push(if i == j {
                    2.0 * f64::from(neighbours) + 1.0
                } else {
                    -0.5
                });
            }
            start.push(row.len() as i32);
        }
        let precision = KnownMatrix {
            start: &start,
            row: &row,
            value: &value,
        };
        let y: Vec<f64> = codes.iter().map(|i| f64::from((i * i) % 17)).collect();
        let factor = |codes, n_levels, precision| GroupingFactor {
            members: None,
            counts: None,
            codes,
            n_levels,
            precision,
        };
        let term = |factor| RandomTerm {
            factor,
            columns: vec![Column::Constant],
            structure: Structure::Unstructured,
            classes: None,
        };
        let data = ModelData {
            y: &y,
            x: vec![Column::Constant],
            p: 1,
            weights: None,
            offset: None,
            factors: vec![
                factor(&codes, animals as usize, Some(precision)),
                factor(&herd, herds as usize, None),
            ],
            terms: vec![term(0), term(1)],
            residual: None,
            moments: None,
            stands_for: None,
        };
        let prepared = prepare(&data, &Options::default(), &StopFlag::default()).unwrap();
        prepared.system.moments.factors[0].n_levels
    }

    #[test]
    fn herds_of_animals_in_a_pedigree_are_ordered_with_them() {
        assert_eq!(eliminated(1, 10), 0);
        // each of a few animals that are neighbours anyway
        assert_eq!(eliminated(1, 150), 150);
        // a matrix that is as good as dense
        assert_eq!(eliminated(60, 10), 10);
    }
}
