//! Structure of the Schur complement: what is left after the largest grouping factor has been eliminated level by level.
//!
//! A *node* is one level of one of the other factors; its effects stand together. Every evaluation of the criterion
//! walks over the same lists, which are made once here, together with the choice between a dense and a sparse factor of
//! the complement, by multiply-adds.

use std::sync::Arc;

use crate::linalg::sparse::{fill_reducing_order, Pattern, DENSE_ADVANTAGE};
use crate::linalg::strip_layout::StripLayout;
use crate::moments::blocks::{Moments, PairMoments};
use crate::runtime::stop::StopFlag;
use crate::system::complement::Storage;

/// Up to this order the complement is dense without further thought.
const SMALL: usize = 16;

/// Entries of a graph whose fill-reducing order takes no time worth stopping.
const SHORT_ORDER: usize = 100_000;

/// Share of the square of their number of linked nodes from which no order pays: E entries in n columns take E^2 / 2n
/// multiply-adds at least, the dense factor those of n^3 / 3 [`DENSE_ADVANTAGE`].
const FULL: f64 = 0.17;

/// Where a block of cross-products stands.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// Which pair of factors.
    pub pair: u32,
    /// Which entry of the pair.
    pub entry: usize,
}

/// Lists of neighbours among levels.
#[derive(Debug, Clone)]
pub struct Schur {
    /// Order of the complement: effects of all factors but the first.
    pub q2: usize,
    /// For each node its factor and level.
    pub node: Vec<(usize, usize)>,
    /// For each factor (the first one empty) the node of each level.
    pub node_of: Vec<Vec<u32>>,
    /// First effect of each node, and the end.
    pub offset: Vec<usize>,
    /// For each factor the same of its own nodes, ascending.
    pub offset_of: Vec<Vec<usize>>,
    /// Where a lower triangle of the complement's order stands.
    pub layout: Arc<StripLayout>,
    /// For each level of the first factor the start of its neighbours.
    pub start: Vec<usize>,
    /// Node of each neighbour, ascending within a level.
    pub neighbour: Vec<u32>,
    /// Its block of cross-products.
    pub source: Vec<Source>,
    /// Start of its effects among the columns of W.
    pub effect_start: Vec<usize>,
    /// Row of the complement for each such column.
    pub effect_row: Vec<u32>,
    /// For each node the start of its incidences.
    pub incidence_start: Vec<usize>,
    /// Level of the first factor of each incidence.
    pub incidence_level: Vec<u32>,
    /// Its position in `neighbour`.
    pub incidence: Vec<usize>,
    /// For each neighbour its place among the incidences.
    pub incidence_of: Vec<usize>,
    /// For each node the number of effects of all incidences before its own.
    pub y_start: Vec<usize>,
    /// For each node the start of its later neighbours among the nodes.
    pub later_start: Vec<usize>,
    /// The later neighbours of each node.
    pub later: Vec<u32>,
    /// Blocks of the later neighbours; `true` if the block's rows are this node's effects.
    pub later_source: Vec<(Source, bool)>,
    /// Dense or sparse.
    pub storage: Storage,
    /// Whether the off-diagonal part is full enough for dense products.
    pub dense_w: bool,
}

/// Neighbours of the levels of the first factor, before ordering.
struct Raw {
    start: Vec<usize>,
    item: Vec<(u32, Source)>,
}

impl Schur {
    /// Makes the lists.
    #[must_use]
    pub fn new(moments: &Moments) -> Self {
        Self::unless_stopped(moments, &StopFlag::default())
    }

    /// Like [`Self::new`], but left where the user wants to stop.
    #[must_use]
    pub fn unless_stopped(moments: &Moments, stop: &StopFlag) -> Self {
        let natural = natural_nodes(moments);
        let raw = neighbours_of_first(moments, &natural);
        let sizes: Vec<usize> = natural.iter().map(|&(f, _)| moments.factors[f].k).collect();
        let q2: usize = sizes.iter().sum();
        let (order, pattern) = choose_order(moments, &natural, &raw, &sizes, q2, stop);
        Self::ordered(moments, &natural, raw, &order, pattern)
    }

    fn ordered(
        moments: &Moments,
        natural: &[(usize, usize)],
        raw: Raw,
        order: &[usize],
        pattern: Option<Pattern>,
    ) -> Self {
        let nodes = natural.len();
        let node: Vec<(usize, usize)> = order.iter().map(|&v| natural[v]).collect();
        let mut position = vec![0u32; nodes];
        for (new, &old) in order.iter().enumerate() {
            position[old] = new as u32;
        }
        let mut node_of: Vec<Vec<u32>> = moments.factors.iter().map(|_| Vec::new()).collect();
        for (old, &(f, _)) in natural.iter().enumerate() {
            node_of[f].push(position[old]);
        }
        let mut offset = vec![0];
        for &(f, _) in &node {
            offset.push(offset[offset.len() - 1] + moments.factors[f].k);
        }
        let mut offset_of: Vec<Vec<usize>> = moments.factors.iter().map(|_| Vec::new()).collect();
        for (v, &(f, _)) in node.iter().enumerate() {
            offset_of[f].push(offset[v]);
        }
        let mut items = raw.item;
        for item in &mut items {
            item.0 = position[item.0 as usize];
        }
        for w in raw.start.windows(2) {
            items[w[0]..w[1]].sort_unstable_by_key(|item| item.0);
        }
        let neighbour: Vec<u32> = items.iter().map(|item| item.0).collect();
        let source = items.iter().map(|item| item.1).collect();
        let mut effect_start = vec![0];
        let mut effect_row = Vec::new();
        for &v in &neighbour {
            let v = v as usize;
            effect_row.extend((offset[v]..offset[v + 1]).map(|e| e as u32));
            effect_start.push(effect_row.len());
        }
        let (incidence_start, incidence_level, incidence, incidence_of) =
            incidences(&raw.start, &neighbour, nodes);
        let (later_start, later, later_source) = later_neighbours(moments, &node_of, nodes);
        let mut y_start = vec![0];
        for v in 0..nodes {
            let effects =
                (incidence_start[v + 1] - incidence_start[v]) * (offset[v + 1] - offset[v]);
            y_start.push(y_start[v] + effects);
        }
        let q2 = offset[nodes];
        let layout = Arc::new(StripLayout::new(&offset));
        let storage = match pattern {
            Some(pattern) => Storage::Sparse(Arc::new(pattern)),
            None => Storage::Dense(Arc::clone(&layout)),
        };
        let rows = moments.factors[0].n_levels;
        let dense_w = q2 > 0 && effect_row.len() as f64 > 0.25 * rows as f64 * q2 as f64;
        Self {
            q2,
            node,
            node_of,
            layout,
            offset,
            offset_of,
            start: raw.start,
            neighbour,
            source,
            effect_start,
            effect_row,
            incidence_start,
            incidence_level,
            incidence,
            incidence_of,
            y_start,
            later_start,
            later,
            later_source,
            storage,
            dense_w,
        }
    }

    /// Number of nodes.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.node.len()
    }

    /// Multiply-adds of one evaluation with its gradient, roughly.
    #[must_use]
    pub fn work(&self, k1: usize) -> f64 {
        let factor = match &self.storage {
            Storage::Dense(_) => (self.q2 as f64).powi(3) / DENSE_ADVANTAGE,
            Storage::Sparse(pattern) => 3.0 * pattern.flops(),
        };
        2.0 * self.pair_work(k1) + factor
    }

    /// Multiply-adds of one pass over all pairs of neighbours.
    #[must_use]
    pub fn pair_work(&self, k1: usize) -> f64 {
        let pairs: f64 = self
            .start
            .windows(2)
            .map(|w| ((self.effect_start[w[1]] - self.effect_start[w[0]]) as f64).powi(2))
            .sum();
        pairs * k1 as f64 / if self.dense_w { DENSE_ADVANTAGE } else { 1.0 }
    }
}

fn natural_nodes(moments: &Moments) -> Vec<(usize, usize)> {
    (1..moments.factors.len())
        .flat_map(|f| (0..moments.factors[f].n_levels).map(move |j| (f, j)))
        .collect()
}

fn first_nodes(moments: &Moments) -> Vec<usize> {
    let mut first = vec![0; moments.factors.len() + 1];
    for f in 1..moments.factors.len() {
        first[f + 1] = first[f] + moments.factors[f].n_levels;
    }
    first
}

fn neighbours_of_first(moments: &Moments, natural: &[(usize, usize)]) -> Raw {
    let first = first_nodes(moments);
    let mut raw = Raw {
        start: vec![0],
        item: Vec::new(),
    };
    let pairs: Vec<(usize, &PairMoments)> = moments
        .pairs
        .iter()
        .enumerate()
        .filter(|(_, pair)| pair.f == 0)
        .collect();
    for j in 0..moments.factors[0].n_levels {
        if !natural.is_empty() {
            for &(at, pair) in &pairs {
                for entry in pair.start[j]..pair.start[j + 1] {
                    let v = first[pair.g] + pair.level[entry] as usize;
                    raw.item.push((
                        v as u32,
                        Source {
                            pair: at as u32,
                            entry,
                        },
                    ));
                }
            }
        }
        raw.start.push(raw.item.len());
    }
    raw
}

type Incidences = (Vec<usize>, Vec<u32>, Vec<usize>, Vec<usize>);

fn incidences(start: &[usize], neighbour: &[u32], nodes: usize) -> Incidences {
    let mut incidence_start = vec![0usize; nodes + 1];
    for &v in neighbour {
        incidence_start[v as usize + 1] += 1;
    }
    for v in 0..nodes {
        incidence_start[v + 1] += incidence_start[v];
    }
    let mut next = incidence_start.clone();
    let mut level = vec![0u32; neighbour.len()];
    let mut incidence = vec![0usize; neighbour.len()];
    let mut incidence_of = vec![0usize; neighbour.len()];
    for j in 0..start.len() - 1 {
        for at in start[j]..start[j + 1] {
            let slot = &mut next[neighbour[at] as usize];
            level[*slot] = j as u32;
            incidence[*slot] = at;
            incidence_of[at] = *slot;
            *slot += 1;
        }
    }
    (incidence_start, level, incidence, incidence_of)
}

type Later = (Vec<usize>, Vec<u32>, Vec<(Source, bool)>);

/// Blocks of cross-products among the nodes themselves: for each node those with a later one.
fn later_neighbours(moments: &Moments, node_of: &[Vec<u32>], nodes: usize) -> Later {
    let mut lists: Vec<Vec<(u32, Source, bool)>> = vec![Vec::new(); nodes];
    for (at, pair) in moments
        .pairs
        .iter()
        .enumerate()
        .filter(|(_, pair)| pair.f > 0)
    {
        for j in 0..pair.start.len() - 1 {
            let v = node_of[pair.f][j];
            for entry in pair.start[j]..pair.start[j + 1] {
                let l = node_of[pair.g][pair.level[entry] as usize];
                let source = Source {
                    pair: at as u32,
                    entry,
                };
                if v < l {
                    lists[v as usize].push((l, source, true));
                } else {
                    lists[l as usize].push((v, source, false));
                }
            }
        }
    }
    let mut later: Later = (vec![0], Vec::new(), Vec::new());
    for list in &mut lists {
        list.sort_unstable_by_key(|item| item.0);
        for &(l, source, own_rows) in list.iter() {
            later.1.push(l);
            later.2.push((source, own_rows));
        }
        later.0.push(later.1.len());
    }
    later
}

/// The order of the nodes and, where that takes fewer operations than a dense factor, the pattern of a sparse one.
fn choose_order(
    moments: &Moments,
    natural: &[(usize, usize)],
    raw: &Raw,
    sizes: &[usize],
    q2: usize,
    stop: &StopFlag,
) -> (Vec<usize>, Option<Pattern>) {
    let nodes = natural.len();
    let identity: Vec<usize> = (0..nodes).collect();
    let cliques: f64 = raw
        .start
        .windows(2)
        .map(|w| (w[1] - w[0]) as f64)
        .map(|neighbours| neighbours * (neighbours - 1.0))
        .sum();
    let square = (nodes as f64).powi(2);
    if q2 <= SMALL || cliques > 0.5 * square || most_linked(moments) > FULL * square {
        return (identity, None);
    }
    let adjacency = node_graph(moments, raw, nodes, stop);
    let mut column_start = vec![0];
    let mut row = Vec::new();
    for list in &adjacency {
        row.extend_from_slice(list);
        column_start.push(row.len());
    }
    let order = if row.len() < SHORT_ORDER {
        fill_reducing_order(nodes, &column_start, &row)
    } else {
        stop.wait_for(move || fill_reducing_order(nodes, &column_start, &row))
    };
    let dense = (q2 as f64).powi(3) / 3.0;
    match effect_pattern(&adjacency, &order, sizes, dense / DENSE_ADVANTAGE, stop) {
        Some(pattern) => (order, Some(pattern)),
        None => (identity, None),
    }
}

/// Pairs of levels in one list of those that meet.
fn most_linked(moments: &Moments) -> f64 {
    let pairs = moments.pairs.iter().filter(|pair| pair.f > 0);
    pairs.map(|pair| pair.level.len()).max().unwrap_or(0) as f64
}

/// Neighbours of each node in the complement (both directions, itself excluded), sorted.
fn node_graph(moments: &Moments, raw: &Raw, nodes: usize, stop: &StopFlag) -> Vec<Vec<usize>> {
    let neighbour: Vec<u32> = raw.item.iter().map(|item| item.0).collect();
    let (start, level, _, _) = incidences(&raw.start, &neighbour, nodes);
    let first = first_nodes(moments);
    let mut direct: Vec<Vec<usize>> = vec![Vec::new(); nodes];
    for pair in moments.pairs.iter().filter(|pair| pair.f > 0) {
        for j in 0..pair.start.len() - 1 {
            for &level in &pair.level[pair.start[j]..pair.start[j + 1]] {
                let (a, b) = (first[pair.f] + j, first[pair.g] + level as usize);
                direct[a].push(b);
                direct[b].push(a);
            }
        }
    }
    // each node is told to its neighbours, in order: their lists come out sorted
    let mut adjacency: Vec<Vec<usize>> = vec![Vec::new(); nodes];
    let mut mark = vec![usize::MAX; nodes];
    for v in 0..nodes {
        stop.check();
        mark[v] = v;
        let mut tell = |l: usize| {
            if mark[l] != v {
                mark[l] = v;
                adjacency[l].push(v);
            }
        };
        for &j in &level[start[v]..start[v + 1]] {
            for &l in &neighbour[raw.start[j as usize]..raw.start[j as usize + 1]] {
                tell(l as usize);
            }
        }
        for &l in &direct[v] {
            tell(l);
        }
    }
    adjacency
}

/// Pattern of the factor of the complement, effect by effect; `None` if it takes more multiply-adds than `limit`.
fn effect_pattern(
    adjacency: &[Vec<usize>],
    order: &[usize],
    sizes: &[usize],
    limit: f64,
    stop: &StopFlag,
) -> Option<Pattern> {
    let nodes = order.len();
    let mut position = vec![0; nodes];
    let mut offset = vec![0];
    for (new, &old) in order.iter().enumerate() {
        position[old] = new;
        offset.push(offset[new] + sizes[old]);
    }
    let mut below: Vec<Vec<u32>> = Vec::with_capacity(offset[nodes]);
    for (new, &old) in order.iter().enumerate() {
        stop.check();
        let mut later: Vec<usize> = adjacency[old]
            .iter()
            .map(|&l| position[l])
            .filter(|&l| l > new)
            .collect();
        later.sort_unstable();
        for a in 0..sizes[old] {
            let mut rows: Vec<u32> = (offset[new] + a + 1..offset[new + 1])
                .map(|e| e as u32)
                .collect();
            for &l in &later {
                rows.extend((offset[l]..offset[l + 1]).map(|e| e as u32));
            }
            below.push(rows);
        }
    }
    Pattern::factorize_within(&below, limit, stop)
}
