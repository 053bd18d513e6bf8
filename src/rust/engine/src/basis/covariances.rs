//! Relative covariance factors T of the levels of all grouping factors: one for each factor or, where groups of its levels
//! have covariances of their own, one for each class of levels.

use std::sync::Arc;

use crate::runtime::memory;

/// Classes of the levels of a grouping factor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelClasses {
    of_level: Arc<[u32]>,
    count: usize,
}

impl LevelClasses {
    /// From the class of each level, counted from 1.
    #[must_use]
    pub fn new(codes: &[i32], count: usize) -> Self {
        Self {
            of_level: codes.iter().map(|&code| code as u32 - 1).collect(),
            count,
        }
    }

    /// The coarsest classes within which these and the others are the same, in the order in which levels have them.
    #[must_use]
    pub fn crossed_with(&self, other: &Self) -> Self {
        let mut known: Vec<(u32, u32)> = Vec::new();
        let pairs = self
            .of_level
            .iter()
            .copied()
            .zip(other.of_level.iter().copied());
        let place = |pair| match known.iter().position(|own| *own == pair) {
            Some(at) => at as u32,
            None => {
                known.push(pair);
                known.len() as u32 - 1
            }
        };
        let of_level = pairs.map(place).collect();
        Self {
            of_level,
            count: known.len(),
        }
    }

    /// Number of classes.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Class of a level.
    #[must_use]
    pub fn of(&self, level: usize) -> usize {
        self.of_level[level] as usize
    }

    /// The levels of each class of `coarser` in turn, as classes of these.
    pub fn each_of<'a>(&'a self, coarser: &'a Self) -> impl Iterator<Item = Levels> + 'a {
        (0..coarser.count).map(move |class| {
            let mut owned = vec![false; self.count];
            for (own, other) in self.of_level.iter().zip(coarser.of_level.iter()) {
                owned[*own as usize] |= *other as usize == class;
            }
            Levels::Of {
                of_level: Arc::clone(&self.of_level),
                classes: owned.into(),
            }
        })
    }

    /// All levels, as those of each class.
    #[must_use]
    pub fn all(&self) -> Levels {
        Levels::Of {
            of_level: Arc::clone(&self.of_level),
            classes: vec![true; self.count].into(),
        }
    }
}

/// Levels of one grouping factor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Levels {
    /// All of them, without classes.
    #[default]
    All,
    /// The levels of some classes.
    Of {
        /// Class of each level.
        of_level: Arc<[u32]>,
        /// Whether the levels of a class are among them.
        classes: Arc<[bool]>,
    },
}

impl Levels {
    /// Whether a level is one of them.
    #[must_use]
    pub fn contains(&self, level: usize) -> bool {
        match self {
            Self::All => true,
            Self::Of { of_level, classes } => classes[of_level[level] as usize],
        }
    }

    /// These levels, of `all`.
    pub fn among(&self, all: usize) -> impl Iterator<Item = usize> + '_ {
        (0..all).filter(|&level| self.contains(level))
    }

    /// Whether the levels of a class are among them; all levels are class 0 where there are none.
    #[must_use]
    pub fn has(&self, class: usize) -> bool {
        match self {
            Self::All => class == 0,
            Self::Of { classes, .. } => classes[class],
        }
    }

    /// Classes of these levels; 0 where there are none.
    pub fn classes(&self) -> impl Iterator<Item = usize> + Clone + '_ {
        let count = match self {
            Self::All => 1,
            Self::Of { classes, .. } => classes.len(),
        };
        (0..count).filter(|&class| self.has(class))
    }

    /// One of their classes, which stands for all of them where they have the same T.
    #[must_use]
    pub fn class(&self) -> usize {
        self.classes().next().unwrap_or(0)
    }
}

/// T of each level of each grouping factor, at one theta.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Covariances {
    factors: Vec<OfFactor>,
}

/// T of the levels of one factor.
#[derive(Debug, Clone, Default, PartialEq)]
struct OfFactor {
    /// Numbers in one T.
    size: usize,
    /// T of each class, one after the other.
    values: Vec<f64>,
    /// Class of each level; `None`: all levels have the same T.
    of_level: Option<Arc<[u32]>>,
}

impl From<Vec<Vec<f64>>> for Covariances {
    /// One T for each factor.
    fn from(t: Vec<Vec<f64>>) -> Self {
        let of_factor = |values: Vec<f64>| OfFactor {
            size: values.len(),
            values,
            of_level: None,
        };
        Self {
            factors: t.into_iter().map(of_factor).collect(),
        }
    }
}

impl Covariances {
    /// Zeros for factors of so many effects a level, with these classes of their levels, in the workspace of others.
    pub(crate) fn clear(&mut self, k: &[usize], classes: &[Option<LevelClasses>]) {
        self.factors.resize_with(k.len(), OfFactor::default);
        for ((own, k), classes) in self.factors.iter_mut().zip(k).zip(classes) {
            own.size = k * k;
            own.values.clear();
            let count = classes.as_ref().map_or(1, |classes| classes.count);
            own.values.resize(count * own.size, 0.0);
            own.of_level = classes
                .as_ref()
                .map(|classes| Arc::clone(&classes.of_level));
        }
    }

    /// Number of grouping factors.
    #[must_use]
    pub fn n_factors(&self) -> usize {
        self.factors.len()
    }

    /// T of a level of factor `f`, k x k lower triangular.
    #[inline]
    #[must_use]
    pub fn of(&self, f: usize, level: usize) -> &[f64] {
        let own = &self.factors[f];
        match &own.of_level {
            None => &own.values,
            Some(of_level) => {
                let class = of_level[level] as usize;
                &own.values[class * own.size..(class + 1) * own.size]
            }
        }
    }

    /// T of the levels of one class.
    #[must_use]
    pub fn of_class(&self, f: usize, class: usize) -> &[f64] {
        let own = &self.factors[f];
        &own.values[class * own.size..(class + 1) * own.size]
    }

    /// T of the effects of one term at levels of one class: the k x k block from `offset` on.
    #[must_use]
    pub(crate) fn block(&self, f: usize, class: usize, (offset, k): (usize, usize)) -> Vec<f64> {
        let own = &self.factors[f];
        let all = own.size.isqrt();
        let t = &own.values[class * own.size..];
        memory::collect((0..k * k).map(|e| t[(offset + e / k) * all + offset + e % k]))
    }

    /// Gives all classes of a term's levels the k x k block from `offset` on that one of them has.
    pub(crate) fn share(&mut self, f: usize, levels: &Levels, (offset, k): (usize, usize)) {
        let OfFactor { size, values, .. } = &mut self.factors[f];
        let (all, one) = (size.isqrt(), levels.class());
        for class in levels.classes().filter(|&class| class != one) {
            for column in offset..offset + k {
                let at = column * all + offset;
                let from = one * *size + at;
                values.copy_within(from..from + k, class * *size + at);
            }
        }
    }

    /// T of a class, to be written to.
    pub fn of_class_mut(&mut self, f: usize, class: usize) -> &mut [f64] {
        let own = &mut self.factors[f];
        &mut own.values[class * own.size..(class + 1) * own.size]
    }

    /// Class of a level; 0 where there are none.
    #[inline]
    #[must_use]
    pub fn class(&self, f: usize, level: usize) -> usize {
        let of_level = self.factors[f].of_level.as_ref();
        of_level.map_or(0, |of_level| of_level[level] as usize)
    }

    /// Number of classes of a factor's levels; 1 where there are none.
    #[must_use]
    pub fn classes(&self, f: usize) -> usize {
        let own = &self.factors[f];
        own.values.len() / own.size.max(1)
    }

    /// Each factor and class of its levels in turn.
    pub fn each(&self) -> impl Iterator<Item = (usize, usize)> + Clone + '_ {
        (0..self.n_factors()).flat_map(|f| (0..self.classes(f)).map(move |class| (f, class)))
    }

    /// Where a factor and class stand among them.
    #[must_use]
    pub fn place(&self, f: usize, class: usize) -> usize {
        (0..f).map(|g| self.classes(g)).sum::<usize>() + class
    }

    /// Whether the levels of a factor have classes.
    #[must_use]
    pub fn has_classes(&self, f: usize) -> bool {
        self.factors[f].of_level.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::{Covariances, LevelClasses, Levels};

    #[test]
    fn each_level_has_the_matrix_of_its_class() {
        let classes = LevelClasses::new(&[2, 1, 1, 2], 2);
        let mut t = Covariances::default();
        t.clear(&[1, 2], &[Some(classes.clone()), None]);
        t.of_class_mut(0, 0)[0] = 3.0;
        t.of_class_mut(0, 1)[0] = 5.0;
        t.of_class_mut(1, 0)[3] = 7.0;
        let found: Vec<f64> = (0..4).map(|level| t.of(0, level)[0]).collect();
        assert_eq!(found, [5.0, 3.0, 3.0, 5.0]);
        assert_eq!(t.of(1, 9), [0.0, 0.0, 0.0, 7.0]);
        assert_eq!((t.classes(0), t.classes(1)), (2, 1));
        assert_eq!((t.class(0, 3), t.class(1, 3)), (1, 0));
        let second = classes.each_of(&classes).nth(1).unwrap();
        assert!(second.contains(0) && !second.contains(1) && Levels::All.contains(1));
        assert_eq!(t.each().collect::<Vec<_>>(), [(0, 0), (0, 1), (1, 0)]);
        assert_eq!((t.place(0, 1), t.place(1, 0)), (1, 2));
        assert_eq!(t.block(1, 0, (1, 1)), [7.0]);
        assert_eq!(second.among(4).collect::<Vec<_>>(), [0, 3]);
        assert_eq!((second.class(), Levels::All.class()), (1, 0));
    }

    #[test]
    fn classes_of_several_terms_are_crossed() {
        let arm = LevelClasses::new(&[1, 1, 2, 2, 1], 2);
        let sex = LevelClasses::new(&[1, 2, 1, 1, 1], 2);
        let both = arm.crossed_with(&sex);
        // (1, 1), (1, 2), (2, 1)
        assert_eq!(both.count(), 3);
        let levels = |levels: Levels| levels.among(5).collect::<Vec<_>>();
        let of_arm: Vec<_> = both.each_of(&arm).map(levels).collect();
        assert_eq!(of_arm, [vec![0, 1, 4], vec![2, 3]]);
        let of_sex: Vec<_> = both.each_of(&sex).collect();
        assert_eq!(of_sex[0].classes().collect::<Vec<_>>(), [0, 2]);
        assert_eq!(of_sex[1].classes().collect::<Vec<_>>(), [1]);
        assert!(of_sex[0].has(2) && !of_sex[1].has(2));
        assert_eq!(levels(both.all()), [0, 1, 2, 3, 4]);
    }
}
