//! A coarse grid of sizes of the variances, and its minima.
//!
//! Each term has axes: directions of its effects, with a geometric sequence of standard deviations and none; for structures
//! with few parameters a common size, and shapes. The range is that in which the data can tell a standard deviation from zero
//! and from infinity, which differs between levels where weights do. From corners of the grid (nothing, everything at two
//! sizes, each term alone, all but one) the lowest node along one axis after the other is taken until no axis has a lower one.

use crate::basis::internal_theta::InternalTheta;
use crate::basis::parameters::Parameters;
use crate::basis::restriction::Restriction;
use crate::criterion::objective::Criterion;
use crate::search::starts::units::Units;

/// Standard deviation that stands for none, relative to the smallest that the data can tell from zero.
const NOTHING: f64 = 0.1;

/// Smallest and largest standard deviation on an axis, relative to those that levels tell from zero.
const SMALL: f64 = 0.5;
const LARGE: f64 = 300.0;

/// Logarithm of the ratio of neighbouring sizes, and their largest number.
const STEP: f64 = 1.7;
const SIZES: f64 = 10.0;

/// Places along all axes: close to their lower ends, in the middle, a little above, and at the upper ends.
const LOW: f64 = 0.15;
const MIDDLE: f64 = 0.5;
const ABOVE: f64 = 0.6;
const HIGH: f64 = 1.0;

/// What a place on an axis means.
enum Meaning {
    /// Standard deviations along a direction; the first is none.
    Sizes(Vec<f64>, Vec<f64>),
    /// So many shapes of the same size; the first is the usual one.
    Shapes(usize),
}

struct Axis {
    term: usize,
    meaning: Meaning,
}

/// One place on each axis.
type Node = Vec<u8>;

pub(super) struct Grid<'a> {
    parameters: &'a Parameters,
    restriction: Option<&'a Restriction>,
    axes: Vec<Axis>,
    /// Standard deviation that stands for none, of each term.
    nothing: Vec<f64>,
    phi: Vec<f64>,
    known: Vec<(Node, f64)>,
    budget: usize,
}

impl<'a> Grid<'a> {
    /// The grid of a model whose effects have these units, at these residual parameters; so many nodes may be evaluated.
    pub fn new(
        criterion: &Criterion<'a>,
        units: &[Vec<Units>],
        phi: &[f64],
        budget: usize,
    ) -> Self {
        let parameters = criterion.parameters;
        let mut axes = Vec::new();
        let mut nothing = Vec::new();
        for (term, units) in units.iter().enumerate() {
            let smallest = units.iter().fold(f64::INFINITY, |a, unit| a.min(unit.low));
            nothing.push(NOTHING * smallest);
            axes.extend(axes_of(parameters, term, units));
        }
        Self {
            parameters,
            restriction: criterion.restriction,
            axes,
            nothing,
            phi: phi.to_vec(),
            known: Vec::new(),
            budget,
        }
    }

    /// Small and large variances of everything.
    pub fn extremes(&self) -> Vec<InternalTheta> {
        [ABOVE, LOW]
            .map(|share| self.point(&self.at(share)))
            .to_vec()
    }

    /// The minima of the grid, the lowest first.
    pub fn minima(&mut self, criterion: &mut Criterion<'_>) -> Vec<InternalTheta> {
        let mut found: Vec<(f64, Node)> = Vec::new();
        for corner in self.corners() {
            let end = self.descend(criterion, corner);
            if end.0.is_finite() && found.iter().all(|other| other.1 != end.1) {
                found.push(end);
            }
        }
        found.sort_by(|a, b| a.0.total_cmp(&b.0));
        found.iter().map(|(_, node)| self.point(node)).collect()
    }

    fn places(&self, axis: usize) -> u8 {
        match &self.axes[axis].meaning {
            Meaning::Sizes(_, sizes) => sizes.len() as u8,
            Meaning::Shapes(count) => *count as u8,
        }
    }

    /// This share of the way along every axis of sizes.
    fn at(&self, share: f64) -> Node {
        let place = |axis: &Axis| match &axis.meaning {
            Meaning::Sizes(_, sizes) => (1.0 + share * (sizes.len() - 2) as f64).round() as u8,
            Meaning::Shapes(_) => 0,
        };
        self.axes.iter().map(place).collect()
    }

    fn corners(&self) -> Vec<Node> {
        let terms = self.parameters.structures.len();
        let mut out = vec![vec![0; self.axes.len()], self.at(HIGH), self.at(MIDDLE)];
        let above = self.at(ABOVE);
        let part = |term: usize, inside: bool| -> Node {
            let own = self.axes.iter().map(|axis| (axis.term == term) == inside);
            own.zip(&above)
                .map(|(is, at)| if is { *at } else { 0 })
                .collect()
        };
        if terms > 1 {
            out.extend((0..terms).map(|term| part(term, true)));
        }
        if terms > 2 {
            out.extend((0..terms).map(|term| part(term, false)));
        }
        out
    }

    /// From a node to one that is the lowest along each axis.
    fn descend(&mut self, criterion: &mut Criterion<'_>, mut node: Node) -> (f64, Node) {
        let mut best = self.value(criterion, &node);
        loop {
            let before = best;
            for i in 0..self.axes.len() {
                let mut lowest = node[i];
                for place in 0..self.places(i) {
                    node[i] = place;
                    let value = self.value(criterion, &node);
                    if value < best {
                        best = value;
                        lowest = place;
                    }
                }
                node[i] = lowest;
            }
            if best >= before {
                return (best, node);
            }
        }
    }

    /// The criterion at a node; infinite where it is not defined, and once the budget is spent.
    fn value(&mut self, criterion: &mut Criterion<'_>, node: &[u8]) -> f64 {
        if let Some(known) = self.known.iter().find(|known| known.0 == node) {
            return known.1;
        }
        let clock = criterion.clock;
        if self.known.len() >= self.budget || clock.interrupted() || clock.out_of_time() {
            return f64::INFINITY;
        }
        let value = criterion.value(&self.point(node)).unwrap_or(f64::INFINITY);
        self.known.push((node.to_vec(), value));
        value
    }

    /// Parameters at a node.
    fn point(&self, node: &[u8]) -> InternalTheta {
        let mut x = Vec::with_capacity(self.parameters.list.len());
        for (term, structure) in self.parameters.structures.iter().enumerate() {
            let mut own = structure.start(self.nothing[term]);
            for (axis, &place) in self.axes.iter().zip(node) {
                if axis.term != term || place == 0 {
                    continue;
                }
                match &axis.meaning {
                    Meaning::Sizes(direction, sizes) => {
                        let variance = sizes[place as usize].powi(2);
                        own = structure.with_variance(&own, direction, variance);
                    }
                    Meaning::Shapes(_) => {
                        own = structure.shapes(&own).swap_remove(place as usize - 1)
                    }
                }
            }
            x.extend(own);
        }
        let x = InternalTheta::join(&x, &self.phi);
        match self.restriction {
            Some(r) => r.allowed(&x),
            None => x,
        }
    }
}

/// The axes of one term whose effects have these units.
fn axes_of(parameters: &Parameters, term: usize, units: &[Units]) -> Vec<Axis> {
    let structure = &parameters.structures[term];
    let k = structure.k();
    let along = |direction: Vec<f64>, unit: &Units| Axis {
        term,
        meaning: Meaning::Sizes(direction, sizes(unit.range())),
    };
    let alone = |a: usize| (0..k).map(|r| f64::from(u8::from(r == a))).collect();
    let shapes = structure.shapes(&structure.start(1.0)).len();
    let mut out: Vec<Axis> = (0..structure.sizes())
        .map(|a| along(alone(a), &units[a]))
        .collect();
    if shapes > 0 {
        out.push(Axis {
            term,
            meaning: Meaning::Shapes(1 + shapes),
        });
    }
    if structure.is_free() {
        // correlations of either sign
        for a in 0..k {
            for b in 0..a {
                for sign in [-1.0, 1.0] {
                    let mut direction: Vec<f64> = alone(b);
                    direction[a] = sign * units[a].middle / units[b].middle;
                    out.push(along(direction, &units[b]));
                }
            }
        }
    }
    out
}

/// None, and a geometric sequence that begins well below `low` and ends well above `high`.
fn sizes((low, high): (f64, f64)) -> Vec<f64> {
    let first = (SMALL * low).ln();
    let last = (LARGE * high).ln();
    let steps = ((last - first) / STEP).ceil().clamp(1.0, SIZES);
    let some = (0..=steps as usize).map(|i| (first + (last - first) * i as f64 / steps).exp());
    std::iter::once(0.0).chain(some).collect()
}

#[cfg(test)]
mod tests {
    use super::{sizes, LARGE, SIZES, SMALL};

    #[test]
    fn sizes_go_from_below_what_can_be_told_to_above() {
        for range in [(0.2, 0.5), (1e-3, 1e3), (1.0, 1.0)] {
            let sizes = sizes(range);
            assert!(sizes[0].abs() < 1e-300);
            assert!(sizes.windows(2).all(|pair| pair[0] < pair[1]));
            assert!(sizes.len() as f64 <= SIZES + 2.0);
            assert!(sizes[1] <= SMALL * range.0 * 1.000_001);
            assert!(sizes[sizes.len() - 1] >= LARGE * range.1 / 1.000_001);
        }
    }
}
