//! Rows sorted into groups, and groups into patterns: groups with the same positions share one correlation matrix.

use std::collections::HashMap;
use std::ops::Range;

use crate::api::error::EngineError;
use crate::api::kinds::CorrelationKind;
use crate::api::model::{
    codes_within, Classes, Correlation, KnownMatrix, Position, ResidualStructure,
};
use crate::data::validate::finite;
use crate::runtime::memory;
use crate::structure::correlation::law::distance;
use crate::structure::correlation::registry::{Family, Product};
use crate::structure::correlation::structure::{Inverse, Sharing};
use crate::structure::residual::by_class::ByClass;

/// Rows (about) that one piece of work covers.
const PIECE: usize = 4096;

/// Largest memory of the dense matrices of one group, in GB.
const MEMORY: f64 = 16.0;

/// Longest lag that is tabulated.
const MAX_LAG: usize = 1_000_000;

/// Groups of one correlation matrix.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    /// Places of its first group, which stands for all.
    pub places: Range<usize>,
    /// Class of its groups, from 0.
    pub class: usize,
    /// Number of groups that have it, also of those that others stand for.
    pub count: usize,
    /// Distances of its rows, for s < t at [`pair`]; only where the law needs them.
    pub distances: Vec<f64>,
    /// Known correlations of its rows, likewise.
    pub known: Vec<f64>,
}

/// Index of the pair s < t of the rows of a group: the strict lower triangle, row by row.
pub(super) fn pair(s: usize, t: usize) -> usize {
    t * t.saturating_sub(1) / 2 + s
}

impl Pattern {
    /// Rows of one group.
    pub fn m(&self) -> usize {
        self.places.len()
    }
}

/// The order of rows and what follows from it.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// Rows by group, by position within the group.
    pub order: Vec<u32>,
    /// First place of each group, and the end.
    pub offsets: Vec<usize>,
    pub pattern_of: Vec<u32>,
    pub patterns: Vec<Pattern>,
    /// Position of each place, `dimensions` values each.
    pub position: Vec<f64>,
    pub dimensions: usize,
    /// Groups of one piece of work.
    pub pieces: Vec<Range<usize>>,
    /// Longest lag within a group.
    pub lags: usize,
}

fn dimension<T>(text: &str) -> Result<T, EngineError> {
    Err(EngineError::Dimension(text.to_owned()))
}

/// Position of row i, as numbers; checked.
pub(super) fn positions(correlation: &Correlation<'_>, n: usize) -> Result<Vec<f64>, EngineError> {
    if correlation.position.kind() != correlation.kind.facts().position {
        return dimension("a correlation structure must have positions of its own kind");
    }
    if let Position::Product { axes } = &correlation.position {
        if Product::new(axes, correlation.nugget).is_none() {
            return dimension("a product takes up to three structures that places belong to");
        }
    }
    places(&correlation.position, n)
}

fn places(position: &Position<'_>, n: usize) -> Result<Vec<f64>, EngineError> {
    let length = |len: usize| {
        if len == n {
            Ok(())
        } else {
            dimension("a correlation structure must have one position for each observation")
        }
    };
    match position {
        Position::None => Ok(Vec::new()),
        Position::Whole(time) => {
            length(time.len())?;
            if time.contains(&i32::MIN) {
                return dimension("a time is missing");
            }
            Ok(time.iter().map(|&t| f64::from(t)).collect())
        }
        Position::Times(time) => {
            length(time.len())?;
            finite("the times of a correlation structure", time, n)?;
            Ok(time.to_vec())
        }
        Position::Visits { visit, visits } => {
            length(visit.len())?;
            let limit = i32::try_from(*visits).unwrap_or(i32::MAX);
            if visit.iter().any(|&v| v < 1 || v > limit) {
                return dimension("visits must lie in 1..n_positions");
            }
            Ok(visit.iter().map(|&v| f64::from(v)).collect())
        }
        Position::Rows { row, matrix } => {
            length(row.len())?;
            let size = matrix.start.len().saturating_sub(1);
            matrix.validate(size, "known correlations must be a square matrix")?;
            if !codes_within(row, 1, size) {
                return dimension("rows of a known matrix must lie in 1..its size");
            }
            Ok(row.iter().map(|&r| f64::from(r)).collect())
        }
        Position::Points { coordinates, .. } => {
            if coordinates.is_empty() {
                return dimension("a spatial correlation needs at least one coordinate");
            }
            for coordinate in coordinates {
                length(coordinate.len())?;
                finite("the coordinates of a correlation structure", coordinate, n)?;
            }
            let point = |i: usize| coordinates.iter().map(move |c| c[i] + 0.0);
            Ok((0..n).flat_map(point).collect())
        }
        Position::Product { axes } => {
            let on_axis = |(kind, position): &(CorrelationKind, Position<'_>)| {
                if position.kind() != kind.positions_on_axis() {
                    return dimension("each axis of a product must have positions of its own kind");
                }
                places(position, n)
            };
            let axes = axes.iter().map(on_axis).collect::<Result<Vec<_>, _>>()?;
            let point = |i: usize| axes.iter().map(move |axis| axis[i]);
            Ok((0..n).flat_map(point).collect())
        }
    }
}

/// Positions of new rows, checked against the structure.
pub(super) fn new_positions(
    family: Family,
    correlation: &Correlation<'_>,
    n: usize,
) -> Result<Vec<f64>, EngineError> {
    if Family::of_residuals(correlation, family.largest()) != family {
        return dimension("new rows must have the correlation structure of the model");
    }
    positions(correlation, n)
}

/// Class of each row's group, from 0; empty where there is one. Checked.
fn classes_of_rows(correlation: &Correlation<'_>, n: usize) -> Result<Vec<usize>, EngineError> {
    let Some(Classes { codes, count }) = correlation.classes else {
        return Ok(Vec::new());
    };
    if codes.len() != n {
        return dimension("classes of residual groups must have one code for each observation");
    }
    let limit = i32::try_from(count).unwrap_or(i32::MAX);
    if codes.iter().any(|&code| code < 1 || code > limit) {
        return dimension("codes of classes must lie in 1..count");
    }
    Ok(codes.iter().map(|&code| code as usize - 1).collect())
}

/// Classes of new rows, checked against the structure.
pub(super) fn new_classes(
    own: ByClass,
    correlation: &Correlation<'_>,
    n: usize,
) -> Result<Vec<usize>, EngineError> {
    if correlation.classes.map_or(1, |c| c.count) != own.classes {
        return dimension("new rows must have the classes of the model");
    }
    classes_of_rows(correlation, n)
}

/// Longest lag to tabulate where positions span `span`.
pub(super) fn lags(family: Family, span: f64) -> Result<usize, EngineError> {
    if !family.is_tabulated() {
        return Ok(0);
    }
    if span > MAX_LAG as f64 {
        return dimension("the times of a residual group span more than a million steps");
    }
    Ok(span as usize)
}

impl Layout {
    /// Rows that are independent: each its own group.
    pub fn independent(n: usize) -> Self {
        let mut layout = Self {
            order: (0..n as u32).collect(),
            offsets: (0..=n).collect(),
            pattern_of: vec![0; n],
            patterns: vec![Pattern {
                places: 0..1.min(n),
                class: 0,
                count: n,
                distances: Vec::new(),
                known: Vec::new(),
            }],
            position: Vec::new(),
            dimensions: 0,
            pieces: Vec::new(),
            lags: 0,
        };
        layout.cut();
        layout
    }

    /// Rows under a correlation structure.
    pub fn new(
        structure: &ResidualStructure<'_>,
        correlation: &Correlation<'_>,
        n: usize,
    ) -> Result<(Self, ByClass), EngineError> {
        let (mut order, offsets) = by_group(structure, n)?;
        let class_of_row = classes_of_rows(correlation, n)?;
        let classes = correlation.classes.map_or(1, |c| c.count);
        let class_of = |g: usize| -> Result<usize, EngineError> {
            let rows = &order[offsets[g]..offsets[g + 1]];
            let class = |row: u32| class_of_row.get(row as usize).copied().unwrap_or(0);
            let own = rows.first().map_or(0, |&row| class(row));
            match rows.iter().all(|&row| class(row) == own) {
                true => Ok(own),
                false => dimension("rows of a residual group must be of one class"),
            }
        };
        let class_of_group = (0..offsets.len() - 1)
            .map(class_of)
            .collect::<Result<Vec<_>, _>>()?;
        let sizes = || offsets.windows(2).map(|w| w[1] - w[0]);
        let largest = sizes().max().unwrap_or(0);
        let family = Family::of_residuals(correlation, largest);
        let d = family.dimensions();
        let by_row = positions(correlation, n)?;
        if family.inverse() == Inverse::Dense {
            // factor, inverse and one derivative
            let gigabytes = 3.0 * 8e-9 * (largest as f64).powi(2);
            if gigabytes > MEMORY {
                let group = sizes().position(|m| m == largest).unwrap_or(0) + 1;
                return Err(EngineError::LongResidualGroup {
                    group,
                    rows: largest,
                    gigabytes,
                });
            }
        }
        let point = |row: u32| &by_row[row as usize * d..(row as usize + 1) * d];
        let compare = |&a: &u32, &b: &u32| {
            let gaps = point(a).iter().zip(point(b));
            gaps.map(|(x, y)| x.total_cmp(y))
                .find(|o| o.is_ne())
                .unwrap_or_else(|| a.cmp(&b))
        };
        if d > 0 {
            for (group, pair) in offsets.windows(2).enumerate() {
                let rows = &mut order[pair[0]..pair[1]];
                let mut sorted = rows.to_vec();
                sorted.sort_unstable_by(compare);
                if !family.allows_ties() {
                    let same = |w: &&[u32]| point(w[0]) == point(w[1]);
                    if let Some(tie) = sorted.windows(2).find(same) {
                        return Err(EngineError::DuplicatePosition {
                            group: group + 1,
                            first: tie[0] as usize + 1,
                            second: tie[1] as usize + 1,
                        });
                    }
                }
                if d == 1 {
                    // in space there is no order but that of the rows
                    rows.copy_from_slice(&sorted);
                }
            }
        }
        let position: Vec<f64> = order.iter().flat_map(|&i| point(i).to_vec()).collect();
        let mut layout = Self {
            order,
            offsets,
            pattern_of: Vec::new(),
            patterns: Vec::new(),
            position,
            dimensions: d,
            pieces: Vec::new(),
            lags: 0,
        };
        if d == 1 {
            layout.lags = lags(family, layout.spans().fold(0.0, f64::max))?;
        }
        if classes > 1 && family.has_kinks() {
            return dimension("a correlation with kinks has no classes of groups");
        }
        let known = layout.known_correlations(&correlation.position)?;
        layout.find_patterns(family, &class_of_group, known);
        layout.cut();
        Ok((layout, ByClass { family, classes }))
    }

    pub fn group(&self, g: usize) -> Range<usize> {
        self.offsets[g]..self.offsets[g + 1]
    }

    pub fn groups(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Positions of these places.
    pub fn positions(&self, places: Range<usize>) -> &[f64] {
        &self.position[places.start * self.dimensions..places.end * self.dimensions]
    }

    /// Position of one place.
    pub fn point(&self, place: usize) -> &[f64] {
        self.positions(place..place + 1)
    }

    /// Last less first position of each group, in one dimension.
    fn spans(&self) -> impl Iterator<Item = f64> + '_ {
        self.offsets
            .windows(2)
            .filter(|w| w[1] > w[0])
            .map(|w| self.position[w[1] - 1] - self.position[w[0]])
    }

    /// The known correlations of each group, for s < t at [`pair`]; none where correlations follow from parameters.
    fn known_correlations(&self, position: &Position<'_>) -> Result<Vec<Vec<f64>>, EngineError> {
        let Position::Rows { matrix, .. } = position else {
            return Ok(Vec::new());
        };
        let lookup = Lookup::new(matrix, &self.position);
        (0..self.groups())
            .map(|g| lookup.among(self.group(g)))
            .collect()
    }

    fn find_patterns(&mut self, family: Family, class_of_group: &[usize], known: Vec<Vec<f64>>) {
        let mut known = known.into_iter();
        let mut found: HashMap<Vec<u64>, u32> = HashMap::new();
        for g in 0..self.groups() {
            let places = self.group(g);
            let values = self.positions(places.clone());
            let class = class_of_group[g];
            let entries = known.next().unwrap_or_default();
            let mut key = vec![class as u64, places.len() as u64];
            match family.sharing() {
                Sharing::Size => {}
                Sharing::Gaps => key.extend(values.windows(2).map(|w| (w[1] - w[0]).to_bits())),
                Sharing::Positions => key.extend(values.iter().map(|v| v.to_bits())),
                Sharing::Entries => key.extend(entries.iter().map(|v| v.to_bits())),
            }
            let next = self.patterns.len() as u32;
            let pattern = *found.entry(key).or_insert(next);
            if pattern == next {
                let distances = match family.metric() {
                    Some(metric) if family.inverse() == Inverse::Dense => (0..places.len())
                        .flat_map(|t| (0..t).map(move |s| (s, t)))
                        .map(|(s, t)| {
                            let (s, t) = (places.start + s, places.start + t);
                            distance(metric, self.point(s), self.point(t))
                        })
                        .collect(),
                    _ => Vec::new(),
                };
                self.patterns.push(Pattern {
                    places,
                    class,
                    count: 0,
                    distances,
                    known: entries,
                });
            }
            self.patterns[pattern as usize].count += 1;
            self.pattern_of.push(pattern);
        }
    }

    /// Median distance of a row to its nearest neighbour (in one dimension: to the next) among those at another position;
    /// 1 if there is none.
    pub fn typical_distance(&self, family: Family) -> f64 {
        let mut gaps = Vec::new();
        for pattern in &self.patterns {
            let m = pattern.m();
            if family.metric().is_some() && !pattern.distances.is_empty() {
                let mut nearest = vec![f64::INFINITY; m];
                let mut pairs = pattern.distances.iter();
                for t in 0..m {
                    for (s, &d) in (0..t).zip(&mut pairs) {
                        if d > 0.0 {
                            nearest[s] = nearest[s].min(d);
                            nearest[t] = nearest[t].min(d);
                        }
                    }
                }
                gaps.extend(nearest.into_iter().filter(|d| d.is_finite()));
            } else if self.dimensions == 1 {
                let values = self.positions(pattern.places.clone());
                gaps.extend(values.windows(2).map(|w| w[1] - w[0]).filter(|&g| g > 0.0));
            }
        }
        let middle = gaps.len() / 2;
        if gaps.is_empty() {
            return 1.0;
        }
        *gaps.select_nth_unstable_by(middle, f64::total_cmp).1
    }

    /// Smallest positive and largest distance within a group, where distances are kept.
    pub fn distances(&self) -> Option<(f64, f64)> {
        let all = self.patterns.iter().flat_map(|pattern| &pattern.distances);
        let positive = all.filter(|d| **d > 0.0);
        let span = positive.fold((f64::INFINITY, 0.0f64), |(low, high), &d| {
            (low.min(d), high.max(d))
        });
        (span.1 > 0.0).then_some(span)
    }

    /// Groups into pieces of work.
    pub fn cut(&mut self) {
        let mut first = 0;
        for g in 0..self.groups() {
            if self.offsets[g + 1] - self.offsets[first] >= PIECE || g + 1 == self.groups() {
                self.pieces.push(first..g + 1);
                first = g + 1;
            }
        }
    }
}

/// Known correlations of rows, found in time that is linear in the entries of the matrix.
pub(super) struct Lookup<'a> {
    matrix: &'a KnownMatrix<'a>,
    /// The row of the matrix that stands at each place, from 1.
    rows: &'a [f64],
    /// One more than the place of each row of the matrix, which count from 1; 0: it has none.
    place: Vec<u32>,
}

impl<'a> Lookup<'a> {
    pub fn new(matrix: &'a KnownMatrix<'a>, rows: &'a [f64]) -> Self {
        let mut place = vec![0; matrix.start.len()];
        for (s, &row) in rows.iter().enumerate() {
            place[row as usize] = s as u32 + 1;
        }
        Self {
            matrix,
            rows,
            place,
        }
    }

    /// Correlations of the rows at these places, for s < t at [`pair`].
    ///
    /// # Errors
    /// [`EngineError::Dimension`] where one of them is correlated with a row at another place.
    pub fn among(&self, places: Range<usize>) -> Result<Vec<f64>, EngineError> {
        let (first, m) = (places.start, places.len());
        let mut out = memory::zeros(m * m.saturating_sub(1) / 2);
        for t in 0..m {
            let column = self.rows[first + t] as usize - 1;
            let own = self.matrix.start[column] as usize..self.matrix.start[column + 1] as usize;
            for (&row, &value) in self.matrix.row[own.clone()]
                .iter()
                .zip(&self.matrix.value[own])
            {
                let Some(other) = self.place[row as usize + 1].checked_sub(1) else {
                    continue;
                };
                match (other as usize).checked_sub(first) {
                    Some(s) if s < t => out[pair(s, t)] = value,
                    Some(s) if s < m => {}
                    _ if value == 0.0 => {}
                    _ => {
                        return dimension(
                            "known correlations must be 0 between rows of different groups",
                        )
                    }
                }
            }
        }
        Ok(out)
    }
}

/// Rows by group, in their own order within each, and the first place of each group.
fn by_group(
    structure: &ResidualStructure<'_>,
    n: usize,
) -> Result<(Vec<u32>, Vec<usize>), EngineError> {
    let Some(groups) = &structure.groups else {
        return Ok(((0..n as u32).collect(), vec![0, n]));
    };
    if groups.codes.len() != n {
        return dimension("residual groups must have one code for each observation");
    }
    let limit = i32::try_from(groups.n_levels).unwrap_or(i32::MAX);
    let mut offsets = vec![0; groups.n_levels + 1];
    for &code in groups.codes {
        if code < 1 || code > limit {
            return dimension("codes of residual groups must lie in 1..n_levels");
        }
        offsets[code as usize] += 1;
    }
    for g in 0..groups.n_levels {
        offsets[g + 1] += offsets[g];
    }
    let mut next = offsets.clone();
    let mut order = vec![0; n];
    for (row, &code) in groups.codes.iter().enumerate() {
        let place = &mut next[code as usize - 1];
        order[*place] = row as u32;
        *place += 1;
    }
    Ok((order, offsets))
}
