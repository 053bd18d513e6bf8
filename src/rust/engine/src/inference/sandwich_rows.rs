//! Rows by cluster, h_j and g_j (see [`crate::inference::sandwich`]).

use std::borrow::Cow;

use crate::api::error::EngineError;
use crate::api::model::{ModelData, ResidualStructure};
use crate::basis::covariances::Covariances;
use crate::basis::internal_theta::InternalTheta;
use crate::criterion::objective::{Criterion, RESIDUAL};
use crate::data::connected::connected_levels;
use crate::fit::prepared::Prepared;
use crate::inference::evaluated::fixed_root;
use crate::inference::new_rows::Context;
use crate::inference::sandwich_parts::Clusters;
use crate::moments::level_precision::for_each_entry;
use crate::moments::residual_part::ResidualPart;
use crate::runtime::memory;
use crate::structure::residual::{Residual, Whitening};
use crate::system::equations::Rows;

/// Rows and what they are multiplied by, cluster after cluster.
pub(super) struct ClusterRows<'a> {
    /// Rank of X.
    pub rank: usize,
    pub data: &'a ModelData<'a>,
    prepared: &'a Prepared,
    context: Context<'a>,
    pub part: Cow<'a, ResidualPart>,
    pub whitening: Whitening,
    /// [D e] by place, times the root of the weight, r + 1 numbers a row; and R^-1 of it.
    pub solved: Vec<f64>,
    pub inverse: Vec<f64>,
    /// Places of the rows, cluster after cluster, ascending within each, and where each cluster starts.
    places: Vec<u32>,
    start: Vec<usize>,
    /// T of each level, without what the factor added to it.
    pub t: Covariances,
    pub known: Vec<Option<Known>>,
}

/// A grouping factor whose levels have a known precision matrix.
pub(super) struct Known {
    /// K^-1 U, k r numbers a level.
    weighted: Vec<f64>,
    /// Set of connected levels of each level.
    pub set_of: Vec<u32>,
    pub sets: Vec<Set>,
}

/// Connected levels, ascending, and the entries of K^-1 between them, by their places among these.
#[derive(Clone, Default)]
pub(super) struct Set {
    pub levels: Vec<u32>,
    pub entries: Vec<(u32, u32, f64)>,
}

/// Levels of one grouping factor in a cluster.
pub(super) struct Touched {
    pub factor: usize,
    /// Ascending, and the first column of each in B.
    pub levels: Vec<u32>,
    pub first: usize,
    pub k: usize,
}

impl<'a> ClusterRows<'a> {
    pub fn new(
        data: &'a ModelData<'a>,
        clusters: Clusters<'_>,
        prepared: &'a Prepared,
        criterion: &'a mut Criterion<'_>,
        theta: &InternalTheta,
    ) -> Result<Self, EngineError> {
        data.require_single_levels("a sandwich estimate")?;
        let Some(context) = Context::new(prepared, criterion) else {
            return Err(EngineError::numerical("a sandwich estimate"));
        };
        let (at, center) = (prepared.coordinates(), &prepared.center);
        let part = match &prepared.residual {
            Some(part) => part.with_all_rows(data, at, center),
            None => Cow::Owned(ResidualPart::of_all_rows(
                data,
                at,
                center,
                Residual::new(&independent(), data.rows())?,
            )),
        };
        let workers = &prepared.system.workers;
        let phi = prepared.parameters.of_residual(theta);
        let whitening = part.model.at_with(phi, workers);
        let whitening = whitening.ok_or(EngineError::numerical(RESIDUAL))?;
        let solved = part.solution(&prepared.system, context.factor, context.solution);
        let p1 = solved.p1;
        let solved = solved.columns;
        let inverse = whitening.inverse_times(&part.model, &solved, p1, workers);
        let (places, start) = by_cluster(clusters, part.model.order());
        let t = context.factor.without_added(context.factor.t.clone());
        let mut rows = Self {
            rank: p1 - 1,
            t,
            data,
            prepared,
            context,
            part,
            whitening,
            solved,
            inverse,
            places,
            start,
            known: Vec::new(),
        };
        rows.known = (0..prepared.layout.len())
            .map(|f| rows.known_levels(f))
            .collect();
        Ok(rows)
    }

    fn known_levels(&self, f: usize) -> Option<Known> {
        let user = self.prepared.layout[f].user?;
        let precision = self.data.factors[user].precision?;
        let moments = &self.prepared.system.moments;
        let width = moments.factors[f].k * self.rank;
        let mut weighted = memory::zeros(moments.factors[f].n_levels * width);
        for_each_entry(moments, f, |to, from, q| {
            let own = &mut weighted[to * width..(to + 1) * width];
            let effects = self.effects(&self.context.solution.h, f, from);
            own.iter_mut().zip(effects).for_each(|(x, u)| *x += q * u);
        });
        let (set_of, count) = connected_levels(&precision);
        let mut sets = vec![Set::default(); count];
        let mut place = Vec::with_capacity(set_of.len());
        for (level, &set) in set_of.iter().enumerate() {
            let own = &mut sets[set as usize].levels;
            place.push(own.len() as u32);
            own.push(level as u32);
        }
        for_each_entry(moments, f, |to, from, q| {
            let own = &mut sets[set_of[to] as usize].entries;
            own.push((place[to], place[from], q));
        });
        Some(Known {
            weighted,
            set_of,
            sets,
        })
    }

    pub fn places_of(&self, cluster: usize) -> &[u32] {
        &self.places[self.start[cluster]..self.start[cluster + 1]]
    }

    /// Rows of one level in a matrix with a row for each random effect.
    fn effects<'b>(&self, rows: &'b Rows, f: usize, level: usize) -> &'b [f64] {
        let width = self.prepared.layout[f].k * rows.m;
        if f == 0 {
            return &rows.eliminated[level * width..(level + 1) * width];
        }
        let schur = &self.prepared.system.schur;
        let start = schur.offset[schur.node_of[f][level] as usize] * rows.m;
        &rows.complement[start..start + width]
    }

    /// The levels that the rows of a cluster have, and how many effects these are.
    pub fn touched(&self, cluster: usize) -> (Vec<Touched>, usize) {
        let mut effects = 0;
        let mut all = Vec::new();
        for (factor, levels) in self.part.rows.level.iter().enumerate() {
            if levels.is_empty() {
                continue;
            }
            let own = self.places_of(cluster).iter();
            let mut own: Vec<u32> = own.map(|&place| levels[place as usize]).collect();
            own.sort_unstable();
            own.dedup();
            let k = self.prepared.layout[factor].k;
            let first = effects;
            effects += k * own.len();
            all.push(Touched {
                factor,
                levels: own,
                first,
                k,
            });
        }
        (all, effects)
    }

    /// h_j (r x r) and g_j.
    pub fn sums(&self, cluster: usize) -> (Vec<f64>, Vec<f64>) {
        let (r, p1) = (self.rank, self.rank + 1);
        let mut h = memory::zeros(r * r);
        let mut g = memory::zeros(r);
        let mut add = |left: &[f64], right: &[f64], response: f64| {
            for (a, column) in left.iter().zip(h.chunks_exact_mut(r.max(1))) {
                column
                    .iter_mut()
                    .zip(right)
                    .for_each(|(sum, b)| *sum += a * b);
            }
            g.iter_mut()
                .zip(left)
                .for_each(|(sum, a)| *sum += a * response);
        };
        for &place in self.places_of(cluster) {
            let at = place as usize * p1;
            let row = &self.solved[at..at + r];
            let weighted = &self.inverse[at..at + p1];
            add(row, &weighted[..r], weighted[r]);
        }
        let solution = self.context.solution;
        for touched in self.touched(cluster).0 {
            let (f, width) = (touched.factor, touched.k * r);
            for &level in &touched.levels {
                let level = level as usize;
                let effects = self.effects(&solution.h, f, level);
                let weighted = match &self.known[f] {
                    None => effects,
                    Some(known) => &known.weighted[level * width..(level + 1) * width],
                };
                let modes = self.effects(&solution.u, f, level);
                for (i, mode) in modes.iter().enumerate() {
                    let own = i * r..(i + 1) * r;
                    add(&weighted[own.clone()], &effects[own], *mode);
                }
            }
        }
        // two estimates of each entry, which differ by rounding
        for i in 0..r {
            for j in 0..i {
                let mean = (h[i * r + j] + h[j * r + i]) / 2.0;
                h[i * r + j] = mean;
                h[j * r + i] = mean;
            }
        }
        (h, g)
    }

    /// C^1/2 for the kept columns, r x r.
    pub fn root(&self) -> Vec<f64> {
        fixed_root(self.prepared, &self.context.factor.lx)
    }
}

/// No structure.
fn independent() -> ResidualStructure<'static> {
    ResidualStructure {
        groups: None,
        correlation: None,
        scales: Vec::new(),
        start: Vec::new(),
        held: Vec::new(),
    }
}

/// The places of each cluster, by a counting sort, and where each starts.
fn by_cluster(clusters: Clusters<'_>, order: &[u32]) -> (Vec<u32>, Vec<usize>) {
    let of = |place: usize| clusters.codes[order[place] as usize] as usize - 1;
    let mut start = vec![0; clusters.count + 1];
    (0..order.len()).for_each(|place| start[of(place) + 1] += 1);
    (0..clusters.count).for_each(|j| start[j + 1] += start[j]);
    let mut next = start.clone();
    let mut places = vec![0; order.len()];
    for place in 0..order.len() {
        let at = &mut next[of(place)];
        places[*at] = place as u32;
        *at += 1;
    }
    (places, start)
}
