//! A model in pieces: effects that have no rows in common, and no entry of a known precision matrix, are apart.

use std::ops::Deref;
use std::sync::Arc;

use crate::criterion::direction::Direction;
use crate::moments::blocks::{FactorMoments, Moments, PairMoments};
use crate::runtime::memory;
use crate::system::elimination::Schur;
use crate::system::equations::System;

/// Order of the complement up to which pieces are taken together.
const TOGETHER: usize = 48;

/// The whole system, or one made of some of its levels.
pub(super) enum Held<'a> {
    Whole(&'a System),
    Part(Box<System>),
}

impl Deref for Held<'_> {
    type Target = System;

    fn deref(&self) -> &System {
        match self {
            Self::Whole(system) => system,
            Self::Part(system) => system,
        }
    }
}

/// Some of the levels of each factor.
pub(super) struct Piece<'a> {
    /// Their cross-products.
    pub system: Held<'a>,
    /// For each factor which levels of the model they are; empty for all.
    levels: Vec<Vec<usize>>,
}

impl Piece<'_> {
    /// Which level of the model a level is.
    pub fn level(&self, f: usize, level: usize) -> usize {
        self.levels.get(f).map_or(level, |levels| levels[level])
    }

    /// The levels of a direction.
    pub fn levels<'b>(&'b self, direction: &'b Direction) -> impl Iterator<Item = usize> + 'b {
        let f = direction.factor;
        let all = 0..self.system.moments.factors[f].n_levels;
        all.filter(move |&level| direction.levels.contains(self.level(f, level)))
    }

    /// `width` values for each effect of the levels, from those for all.
    pub fn of_effects(&self, all: &[Vec<f64>], width: usize) -> Vec<Vec<f64>> {
        let factors = self.system.moments.factors.iter().zip(all).enumerate();
        let some = |(f, (factor, all)): (usize, (&FactorMoments, &Vec<f64>))| {
            let size = factor.k * width;
            some_of(all, size, (0..factor.n_levels).map(|j| self.level(f, j)))
        };
        factors.map(some).collect()
    }
}

/// The blocks of `size` numbers of some levels.
fn some_of(all: &[f64], size: usize, levels: impl Iterator<Item = usize>) -> Vec<f64> {
    levels
        .flat_map(|level| &all[level * size..(level + 1) * size])
        .copied()
        .collect()
}

/// The first node, of those that have something to do with each other, for each node of the complement.
fn first_nodes(system: &System) -> Vec<usize> {
    fn root(of: &mut [usize], mut v: usize) -> usize {
        while of[v] != v {
            of[v] = of[of[v]];
            v = of[v];
        }
        v
    }
    let schur = &system.schur;
    let mut of: Vec<usize> = memory::collect(0..schur.nodes());
    let mut join = |v: usize, w: usize| {
        let (v, w) = (root(&mut of, v), root(&mut of, w));
        of[v.max(w)] = v.min(w);
    };
    for range in schur.start.windows(2) {
        for pair in schur.neighbour[range[0]..range[1]].windows(2) {
            join(pair[0] as usize, pair[1] as usize);
        }
    }
    for v in 0..schur.nodes() {
        for &l in &schur.later[schur.later_start[v]..schur.later_start[v + 1]] {
            join(v, l as usize);
        }
    }
    for v in 0..schur.nodes() {
        of[v] = root(&mut of, v);
    }
    of
}

/// Effects of the nodes that have something to do with each other, by the first of them.
fn orders(schur: &Schur, first: &[usize]) -> Vec<usize> {
    let mut orders = vec![0; first.len()];
    for (v, &first) in first.iter().enumerate() {
        orders[first] += schur.offset[v + 1] - schur.offset[v];
    }
    orders
}

/// Order of the largest complement of a piece.
pub(super) fn largest_piece(system: &System) -> usize {
    let orders = orders(&system.schur, &first_nodes(system));
    orders.into_iter().max().unwrap_or(0)
}

/// All pieces, small ones together.
pub(super) fn pieces(system: &System) -> Vec<Piece<'_>> {
    let (schur, moments) = (&system.schur, &system.moments);
    let first = first_nodes(system);
    let orders = orders(schur, &first);
    // the piece of each node
    let mut place = vec![0; first.len()];
    let (mut count, mut order) = (1, 0);
    for (v, &root) in first.iter().enumerate() {
        if root != v {
            place[v] = place[root];
            continue;
        }
        if order > 0 && order + orders[v] > TOGETHER {
            (count, order) = (count + 1, 0);
        }
        order += orders[v];
        place[v] = count - 1;
    }
    if count == 1 {
        return vec![Piece {
            system: Held::Whole(system),
            levels: Vec::new(),
        }];
    }
    let of_level = |f: usize, level: usize| match f {
        0 => {
            let neighbours = &schur.neighbour[schur.start[level]..schur.start[level + 1]];
            neighbours.first().map_or(0, |&v| place[v as usize])
        }
        _ => place[schur.node_of[f][level] as usize],
    };
    let mut levels = vec![vec![Vec::new(); moments.factors.len()]; count];
    // each level's number within its piece
    let mut number: Vec<Vec<u32>> = Vec::new();
    for (f, factor) in moments.factors.iter().enumerate() {
        let mut own = memory::with_capacity(factor.n_levels);
        for level in 0..factor.n_levels {
            let to: &mut Vec<usize> = &mut levels[of_level(f, level)][f];
            own.push(to.len() as u32);
            to.push(level);
        }
        number.push(own);
    }
    let piece = |levels: Vec<Vec<usize>>| {
        let moments = moments_of(moments, &levels, &number);
        Piece {
            system: Held::Part(Box::new(System {
                schur: Arc::new(Schur::new(&moments)),
                moments,
                workers: Arc::clone(&system.workers),
            })),
            levels,
        }
    };
    levels.into_iter().map(piece).collect()
}

/// Cross-products of effects of some levels of each factor; `number` is that of each level among them.
fn moments_of(all: &Moments, levels: &[Vec<usize>], number: &[Vec<u32>]) -> Moments {
    let factor = |(f, factor): (usize, &FactorMoments)| {
        let (k, levels) = (factor.k, || levels[f].iter().copied());
        let known = if factor.level_precision.is_empty() {
            Vec::new()
        } else {
            some_of(&factor.level_precision, 1, levels())
        };
        FactorMoments {
            n_levels: levels().count(),
            k,
            zz: some_of(&factor.zz, k * k, levels()),
            zx: Vec::new(),
            level_precision: known,
            multiplicity: Vec::new(),
        }
    };
    let pair = |pair: &PairMoments| {
        let size = all.factors[pair.f].k * all.factors[pair.g].k;
        let mut out = PairMoments::empty(pair.f, pair.g);
        for &j in &levels[pair.f] {
            let entries = pair.start[j]..pair.start[j + 1];
            for entry in entries.clone() {
                out.level.push(number[pair.g][pair.level[entry] as usize]);
            }
            out.value
                .extend_from_slice(&pair.value[entries.start * size..entries.end * size]);
            if !pair.level_precision.is_empty() {
                out.level_precision
                    .extend_from_slice(&pair.level_precision[entries]);
            }
            out.start.push(out.level.len());
        }
        out
    };
    Moments {
        n: all.n,
        p1: all.p1,
        xx: Vec::new(),
        factors: all.factors.iter().enumerate().map(factor).collect(),
        pairs: all.pairs.iter().map(pair).collect(),
        sum_log_weights: 0.0,
        log_det_level_precision: 0.0,
        rest: None,
    }
}
