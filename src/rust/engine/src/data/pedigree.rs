//! The inverse of the numerator relationship matrix of a pedigree.
//!
//! A = T D T', with T unit lower triangular where parents come before their offspring, and D diagonal: the variance of an animal
//! given its parents s and d, D_ii = 1/2 - (F_s + F_d) / 4, F of an unknown parent being -1 (1 where none is known, 3/4 - F_s / 4
//! where one is). Row i of T^-1 has 1 at i and -1/2 at each parent, so that A^-1 = T^-T D^-1 T^-1 is a sum over the animals
//! (Henderson 1976, Biometrics 32; with inbreeding Quaas 1976, Biometrics 32). F_i = A_ii - 1 = sum_j T_ij^2 D_jj - 1, where
//! row i of T is followed from i up to its ancestors, the youngest first (Meuwissen & Luo 1992, Genetics Selection Evolution
//! 24): the time for it is the number of ancestors of each animal that has both parents, once for full sibs.

use std::collections::{BinaryHeap, HashMap};

use crate::api::error::EngineError;
use crate::runtime::interruptible::interruptible;
use crate::runtime::memory;
use crate::runtime::stop::StopFlag;

/// Animals from which it takes long enough to be felt.
const LONG: usize = 10_000;

/// Animals between two looks at whether the user wants to stop.
const ASK: usize = 1024;

/// A^-1 and the inbreeding coefficients.
#[derive(Debug, Clone)]
pub struct Relationship {
    /// Start of each column of A^-1, and the end.
    pub start: Vec<usize>,
    /// Rows on and above the diagonal from 0, ascending.
    pub row: Vec<i32>,
    /// Entries.
    pub value: Vec<f64>,
    /// F of each animal.
    pub inbreeding: Vec<f64>,
}

/// What a pedigree gives.
#[derive(Debug, Clone)]
pub enum Pedigree {
    /// The relationships.
    Sound(Relationship),
    /// Animals that are their own ancestors: each is a parent of the one before it, the first one of the last.
    Loop(Vec<usize>),
}

/// A^-1 of animals with these parents: numbers from 1, 0 for an unknown one, in any order.
///
/// # Errors
/// [`EngineError::Dimension`] where lengths differ or a number is none of an animal, [`EngineError::Interrupted`].
pub fn pedigree(
    sire: &[i32],
    dam: &[i32],
    interrupt: &dyn Fn() -> bool,
) -> Result<Pedigree, EngineError> {
    let n = sire.len();
    let known = |&code: &i32| usize::try_from(code).is_ok_and(|code| code <= n);
    if dam.len() != n || !sire.iter().chain(dam).all(known) {
        return Err(EngineError::Dimension(
            "parents must be numbers of animals".to_owned(),
        ));
    }
    interruptible(n > LONG, interrupt, |stop, _| {
        let parents = Parents { sire, dam };
        Ok(match parents.order() {
            Err(circle) => Pedigree::Loop(circle),
            Ok(order) => Pedigree::Sound(parents.relationship(&order, stop)),
        })
    })
}

/// Who descends from whom.
struct Parents<'a> {
    sire: &'a [i32],
    dam: &'a [i32],
}

impl Parents<'_> {
    fn n(&self) -> usize {
        self.sire.len()
    }

    /// The known parents of an animal.
    fn of(&self, i: usize) -> impl Iterator<Item = usize> {
        let both = [self.sire[i], self.dam[i]];
        both.into_iter().filter(|&p| p > 0).map(|p| p as usize - 1)
    }

    /// An order in which parents come before their offspring (Kahn 1962), or a circle.
    fn order(&self) -> Result<Vec<usize>, Vec<usize>> {
        let n = self.n();
        let mut start = vec![0usize; n + 1];
        (0..n).for_each(|i| self.of(i).for_each(|p| start[p + 1] += 1));
        (0..n).for_each(|p| start[p + 1] += start[p]);
        let mut next = start.clone();
        let mut child = vec![0usize; start[n]];
        for i in 0..n {
            for p in self.of(i) {
                child[next[p]] = i;
                next[p] += 1;
            }
        }
        let mut waiting: Vec<usize> = (0..n).map(|i| self.of(i).count()).collect();
        let mut order: Vec<usize> = (0..n).filter(|&i| waiting[i] == 0).collect();
        let mut at = 0;
        while at < order.len() {
            let parent = order[at];
            at += 1;
            for &i in &child[start[parent]..start[parent + 1]] {
                waiting[i] -= 1;
                if waiting[i] == 0 {
                    order.push(i);
                }
            }
        }
        match (0..n).find(|&i| waiting[i] > 0) {
            None => Ok(order),
            Some(one) => Err(self.circle(one, &waiting)),
        }
    }

    /// A circle among the animals that wait for a parent, above one of them.
    fn circle(&self, from: usize, waiting: &[usize]) -> Vec<usize> {
        let mut seen = vec![usize::MAX; self.n()];
        let mut way = Vec::new();
        let mut at = from;
        while seen[at] == usize::MAX {
            seen[at] = way.len();
            way.push(at);
            // one of its parents waits as well
            at = self.of(at).find(|&p| waiting[p] > 0).unwrap_or(at);
        }
        way.split_off(seen[at])
    }

    /// A^-1 and F, animals taken in this order.
    fn relationship(&self, order: &[usize], stop: &StopFlag) -> Relationship {
        let (inbreeding, variance) = self.inbreeding(order, stop);
        let n = self.n();
        let contributions = |i: usize, add: &mut dyn FnMut(usize, usize, f64)| {
            let weight = 1.0 / variance[i];
            add(i, i, weight);
            for p in self.of(i) {
                add(i.min(p), i.max(p), -0.5 * weight);
                for q in self.of(i).filter(|&q| q <= p) {
                    add(q, p, 0.25 * weight);
                }
            }
        };
        let mut first = vec![0usize; n + 1];
        (0..n).for_each(|i| contributions(i, &mut |_, column, _| first[column + 1] += 1));
        (0..n).for_each(|j| first[j + 1] += first[j]);
        let mut next = first.clone();
        let mut entry = vec![(0u32, 0.0f64); first[n]];
        for i in 0..n {
            contributions(i, &mut |row, column, value| {
                entry[next[column]] = (row as u32, value);
                next[column] += 1;
            });
        }
        let mut out = Relationship {
            start: vec![0],
            row: Vec::new(),
            value: Vec::new(),
            inbreeding,
        };
        for j in 0..n {
            let own = &mut entry[first[j]..first[j + 1]];
            own.sort_by_key(|entry| entry.0);
            for same in own.chunk_by(|a, b| a.0 == b.0) {
                out.row.push(same[0].0 as i32);
                out.value.push(same.iter().map(|entry| entry.1).sum());
            }
            out.start.push(out.row.len());
        }
        out
    }

    /// F and D of each animal.
    fn inbreeding(&self, order: &[usize], stop: &StopFlag) -> (Vec<f64>, Vec<f64>) {
        let n = self.n();
        let mut place = vec![0usize; n];
        for (at, &i) in order.iter().enumerate() {
            place[i] = at;
        }
        let mut f = memory::zeros(n);
        let mut variance = memory::zeros(n);
        let mut share = memory::zeros(n);
        let mut open: BinaryHeap<usize> = BinaryHeap::new();
        let mut of_parents: HashMap<(i32, i32), f64> = HashMap::new();
        for (at, &i) in order.iter().enumerate() {
            if at % ASK == 0 {
                stop.check();
            }
            let (s, d) = (self.sire[i], self.dam[i]);
            let of_parent = |code: i32| {
                if code > 0 {
                    f[code as usize - 1]
                } else {
                    -1.0
                }
            };
            variance[i] = 0.5 - 0.25 * (of_parent(s) + of_parent(d));
            if s == 0 || d == 0 {
                continue;
            }
            if let Some(&known) = of_parents.get(&(s, d)) {
                f[i] = known;
                continue;
            }
            let mut sum = -1.0;
            share[i] = 1.0;
            open.push(at);
            while let Some(youngest) = open.pop() {
                let j = order[youngest];
                let own = std::mem::take(&mut share[j]);
                sum += own * own * variance[j];
                for p in self.of(j) {
                    if share[p] == 0.0 {
                        open.push(place[p]);
                    }
                    share[p] += 0.5 * own;
                }
            }
            f[i] = sum;
            of_parents.insert((s, d), sum);
        }
        (f, variance)
    }
}

#[cfg(test)]
mod tests {
    use super::{pedigree, Pedigree, Relationship};

    fn sound(sire: &[i32], dam: &[i32]) -> Relationship {
        match pedigree(sire, dam, &|| false) {
            Ok(Pedigree::Sound(found)) => found,
            other => panic!("{other:?}"),
        }
    }

    /// A by the tabular method (Emik & Terrill 1949, Journal of Heredity 40): animals come after their parents.
    fn tabular(sire: &[i32], dam: &[i32]) -> Vec<Vec<f64>> {
        let n = sire.len();
        let mut a = vec![vec![0.0; n]; n];
        for i in 0..n {
            let parents = [sire[i], dam[i]].map(|p| (p > 0).then(|| p as usize - 1));
            for j in 0..i {
                let half = parents.iter().flatten().map(|&p| 0.5 * a[j][p]).sum();
                (a[i][j], a[j][i]) = (half, half);
            }
            a[i][i] = match parents {
                [Some(s), Some(d)] => 1.0 + 0.5 * a[s][d],
                _ => 1.0,
            };
        }
        a
    }

    fn times(found: &Relationship, a: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let n = a.len();
        let mut out = vec![vec![0.0; n]; n];
        for j in 0..n {
            for at in found.start[j]..found.start[j + 1] {
                let (i, q) = (found.row[at] as usize, found.value[at]);
                for c in 0..n {
                    out[i][c] += q * a[j][c];
                    if i != j {
                        out[j][c] += q * a[i][c];
                    }
                }
            }
        }
        out
    }

    /// Pseudo-random numbers below `n`.
    struct Random(u64);

    impl Random {
        fn below(&mut self, n: usize) -> usize {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) as usize % n
        }
    }

    #[test]
    fn it_is_the_inverse_of_the_tabular_method_in_any_order_of_the_animals() {
        let mut random = Random(7);
        for case in 0..200 {
            let n = 2 + random.below(40);
            // few parents and many matings, so that most are inbred: even numbers are males
            let parent = |random: &mut Random, i: usize, odd: usize| {
                let one = 2 * random.below(i / 2 + 1) + odd;
                if one < i && random.below(8) > 0 {
                    one as i32 + 1
                } else {
                    0
                }
            };
            let sire: Vec<i32> = (0..n).map(|i| parent(&mut random, i, 0)).collect();
            let dam: Vec<i32> = (0..n).map(|i| parent(&mut random, i, 1)).collect();
            let a = tabular(&sire, &dam);
            // animal i stands at place[i]
            let mut place: Vec<usize> = (0..n).collect();
            (1..n)
                .rev()
                .for_each(|i| place.swap(i, random.below(i + 1)));
            let mut moved = (vec![0; n], vec![0; n]);
            let mut a_moved = vec![vec![0.0; n]; n];
            for i in 0..n {
                let code = |p: i32| {
                    if p > 0 {
                        place[p as usize - 1] as i32 + 1
                    } else {
                        0
                    }
                };
                (moved.0[place[i]], moved.1[place[i]]) = (code(sire[i]), code(dam[i]));
                for j in 0..n {
                    a_moved[place[i]][place[j]] = a[i][j];
                }
            }
            let found = sound(&moved.0, &moved.1);
            let product = times(&found, &a_moved);
            for i in 0..n {
                let f = a_moved[i][i] - 1.0;
                assert!((found.inbreeding[i] - f).abs() < 1e-12, "case {case}");
                for j in 0..n {
                    let unit = f64::from(u8::from(i == j));
                    assert!((product[i][j] - unit).abs() < 1e-9, "case {case}");
                }
            }
        }
    }

    #[test]
    fn circles_are_told() {
        let circle = |sire: &[i32], dam: &[i32]| match pedigree(sire, dam, &|| false) {
            Ok(Pedigree::Loop(circle)) => circle,
            other => panic!("{other:?}"),
        };
        assert_eq!(circle(&[1], &[0]), [0]);
        // 2 descends from 3, 3 from 4, 4 from 2; 1 and 5 are not of it
        let mut found = circle(&[0, 3, 4, 2, 4], &[0, 1, 0, 0, 0]);
        found.sort_unstable();
        assert_eq!(found, [1, 2, 3]);
    }

    #[test]
    fn there_may_be_no_animals_but_no_parents_that_are_none() {
        assert!(sound(&[], &[]).row.is_empty());
        assert!(pedigree(&[2], &[0], &|| false).is_err());
        assert!(pedigree(&[-1], &[0], &|| false).is_err());
        assert!(pedigree(&[0], &[], &|| false).is_err());
    }
}
