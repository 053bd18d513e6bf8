//! Groups with one R, and the same structure over fewer groups that stand for them.
//!
//! Where the rows B_g of the groups of a class enter only through sum_g B_g'R^-1B_g, R the same for all, other groups will do
//! whose sum of vec(B_g) vec(B_g)' is the same: there need not be more of them than rows times columns of a B_g, however many
//! groups there are. log|R| still counts every group.

use std::collections::HashMap;

use crate::structure::residual::layout::{Layout, Pattern};
use crate::structure::residual::residual::Residual;

/// Groups that stand for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stand {
    /// A group with their R.
    pub like: usize,
    /// Number of representatives.
    pub groups: usize,
    /// Number of groups they represent.
    pub count: usize,
}

impl Residual {
    /// Groups whose R is the same at all parameters: by pattern, and by the strata and variance covariates of their rows. In
    /// the order of their first groups. `None` where more than half of the groups are a class of their own.
    pub(crate) fn classes(&self) -> Option<Vec<Vec<u32>>> {
        let mut known: HashMap<Vec<u64>, usize> = HashMap::new();
        let mut classes: Vec<Vec<u32>> = Vec::new();
        let mut key = Vec::new();
        for g in 0..self.groups() {
            key.clear();
            key.push(self.pattern_of(g) as u64);
            for place in self.group(g) {
                self.scales.iter().for_each(|s| s.mark(place, &mut key));
            }
            let class = match known.get(&key) {
                Some(&class) => class,
                None => {
                    known.insert(key.clone(), classes.len());
                    classes.push(Vec::new());
                    if 2 * classes.len() > self.groups() {
                        return None;
                    }
                    classes.len() - 1
                }
            };
            classes[class].push(g as u32);
        }
        Some(classes)
    }

    /// The structure over the groups that stand for those of each class, in the order of `stands`.
    pub(crate) fn over(&self, stands: &[Stand]) -> Self {
        let old = &self.layout;
        let mut places: Vec<usize> = Vec::new();
        let mut times: Vec<f64> = Vec::new();
        let mut layout = Layout {
            order: Vec::new(),
            offsets: vec![0],
            pattern_of: Vec::new(),
            patterns: Vec::new(),
            position: Vec::new(),
            dimensions: old.dimensions,
            pieces: Vec::new(),
            lags: old.lags,
        };
        // groups that stand for themselves share the pattern that they had
        let mut shared: HashMap<usize, usize> = HashMap::new();
        for stand in stands {
            let (pattern, own) = (self.pattern_of(stand.like), self.group(stand.like));
            let next = layout.patterns.len();
            let number = if stand.groups == stand.count {
                *shared.entry(pattern).or_insert(next)
            } else {
                next
            };
            if number == next {
                layout.patterns.push(Pattern {
                    places: places.len()..places.len() + own.len(),
                    class: old.patterns[pattern].class,
                    count: 0,
                    distances: old.patterns[pattern].distances.clone(),
                    known: old.patterns[pattern].known.clone(),
                });
            }
            layout.patterns[number].count += stand.count;
            for _ in 0..stand.groups {
                places.extend(own.clone());
                layout.offsets.push(places.len());
                layout.pattern_of.push(number as u32);
            }
            let weight = stand.count as f64 / stand.groups as f64;
            times.resize(places.len(), weight);
        }
        layout.order = places.iter().map(|&place| old.order[place]).collect();
        layout.position = places
            .iter()
            .flat_map(|&place| old.point(place).iter().copied())
            .collect();
        layout.cut();
        Self {
            scales: self.scales.iter().map(|s| s.at_places(&places)).collect(),
            layout,
            times,
            correlation: self.correlation,
            first: self.first.clone(),
            start: self.start.clone(),
            held: self.held.clone(),
        }
    }
}
