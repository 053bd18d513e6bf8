//! The Schur complement from cross-products and W.

use crate::basis::covariances::Covariances;
use crate::linalg::small;
use crate::linalg::triangle::Triangle;
use crate::runtime::partition::{cut, piece};
use crate::system::complement::Complement;
use crate::system::equations::System;
use crate::system::pieces::{
    first_node, neighbours_among, node_piece, node_pieces, nodes_by_level,
};

/// out = [I + T_2'A_22T_2 if `t` is given] + sign * sum_j W_j'K_j W_j, lower triangle; K_j, symmetric k1 x k1
/// blocks, is `middle`, or the identity.
pub fn assemble(
    system: &System,
    w: &[f64],
    middle: Option<&[f64]>,
    sign: f64,
    t: Option<&Covariances>,
    out: &mut Complement,
) {
    let schur = &system.schur;
    if schur.q2 == 0 {
        return;
    }
    let is_dense = matches!(out, Complement::Dense(_));
    let by_rows = schur.dense_w && is_dense;
    let by_levels = nodes_by_level(system).filter(|_| is_dense && !by_rows);
    write_columns(system, out, |at, first, workspace, column| {
        if let Some(t) = t {
            own_column(system, t, at, first, workspace, column);
        }
        if !by_rows && by_levels.is_none() {
            add_products(system, (w, middle, sign), at, first, workspace, column);
        }
    });
    match (out, by_levels) {
        (Complement::Dense(s), Some(nodes)) => {
            add_products_by_level(system, (w, middle, sign), nodes, s);
        }
        (Complement::Dense(s), None) if by_rows => {
            add_dense_products(system, w, middle, sign, s);
        }
        _ => {}
    }
}

/// Each column of the lower triangle, zeros at first: `add((node, effect), first, workspace, column)`, where `column` starts
/// with row `first` and `workspace` holds two vectors of the most effects.
fn write_columns(
    system: &System,
    out: &mut Complement,
    add: impl Fn((usize, usize), usize, &mut [f64], &mut [f64]) + Sync,
) {
    let schur = &system.schur;
    let (workers, count) = (&system.workers, node_pieces(schur));
    let most = system.most_effects();
    let columns = |piece: usize| {
        node_piece(schur, piece)
            .flat_map(|v| (schur.offset[v]..schur.offset[v + 1]).map(move |j| (v, j)))
    };
    match out {
        Complement::Dense(s) => {
            let layout = &*s.layout;
            let start = |i| layout.column_start(schur.offset[first_node(schur, i)]);
            workers.for_each(count, cut(&mut s.data, start), |piece, values| {
                let mut workspace = workers.buffer(2 * most);
                for (v, j) in columns(piece) {
                    let first = layout.first_row(j);
                    let at = layout.column_start(j) - start(piece);
                    let column = &mut values[at..at + schur.q2 - first];
                    column.fill(0.0);
                    add((v, j - schur.offset[v]), first, &mut workspace, column);
                }
            });
        }
        Complement::Sparse { pattern, values } => {
            let start = |i| pattern.column_start[schur.offset[first_node(schur, i)]];
            workers.for_each(count, cut(values, start), |piece, values| {
                let mut column = workers.scratch(schur.q2);
                let mut workspace = workers.buffer(2 * most);
                let base = start(piece);
                for (v, j) in columns(piece) {
                    let range = pattern.column_start[j]..pattern.column_start[j + 1];
                    let rows = &pattern.row[range.clone()];
                    rows.iter().for_each(|&row| column[row as usize] = 0.0);
                    add((v, j - schur.offset[v]), 0, &mut workspace, &mut column);
                    let own = &mut values[range.start - base..range.end - base];
                    for (value, &row) in own.iter_mut().zip(rows) {
                        *value = column[row as usize];
                    }
                }
            });
        }
    }
}

/// Column (node v, effect a) of I + T_2'A_22T_2, rows from its own on; `column` starts with row `first`, `workspace` holds two
/// vectors of the most effects.
fn own_column(
    system: &System,
    t: &Covariances,
    (v, a): (usize, usize),
    first: usize,
    workspace: &mut [f64],
    column: &mut [f64],
) {
    let schur = &system.schur;
    let (f, level) = schur.node[v];
    let k = system.moments.factors[f].k;
    let zz = &system.moments.factors[f].zz[level * k * k..(level + 1) * k * k];
    // T'(A (T e_a)), with T lower triangular
    let own = t.of(f, level);
    let t_column = &own[a * k..(a + 1) * k];
    let (half, product) = workspace.split_at_mut(workspace.len() / 2);
    let half = &mut half[..k];
    small::mul_nn(zz, t_column, k, k, 1, half);
    for row in a..k {
        let value: f64 = (row..k).map(|i| own[row * k + i] * half[i]).sum();
        column[schur.offset[v] + row - first] = value;
    }
    column[schur.offset[v] + a - first] += system.moments.factors[f].precision(level);
    for at in schur.later_start[v]..schur.later_start[v + 1] {
        let l = schur.later[at] as usize;
        let (g, other) = schur.node[l];
        let t_other = t.of(g, other);
        let kg = system.moments.factors[g].k;
        let (source, own_rows) = schur.later_source[at];
        let block = system.block(source);
        // (A_lv T_v e_a), then T_l'
        let product = &mut product[..kg];
        if own_rows {
            small::mul_tn(block, t_column, k, kg, 1, product);
        } else {
            small::mul_nn(block, t_column, kg, k, 1, product);
        }
        for row in 0..kg {
            column[schur.offset[l] + row - first] += (row..kg)
                .map(|i| t_other[row * kg + i] * product[i])
                .sum::<f64>();
        }
        let level_precision = &system.moments.pairs[source.pair as usize].level_precision;
        if let Some(q) = level_precision.get(source.entry) {
            column[schur.offset[l] + a - first] += q;
        }
    }
}

/// Adds the same column of sign * sum_j W_j'K_j W_j (see [`assemble`]).
fn add_products(
    system: &System,
    (w, middle, sign): (&[f64], Option<&[f64]>, f64),
    (v, a): (usize, usize),
    first: usize,
    workspace: &mut [f64],
    column: &mut [f64],
) {
    let (schur, k1) = (&system.schur, system.k1());
    for x in schur.incidence_start[v]..schur.incidence_start[v + 1] {
        let j = schur.incidence_level[x] as usize;
        let from = schur.effect_start[schur.incidence[x]] + a;
        let turned = &mut workspace[..k1];
        add_product(system, (w, middle, sign), (j, from), first, turned, column);
    }
}

/// Adds the column of one level j of the first factor, whose effect is at `from` among the columns of W; `turned` holds k1 values.
fn add_product(
    system: &System,
    (w, middle, sign): (&[f64], Option<&[f64]>, f64),
    (j, from): (usize, usize),
    first: usize,
    turned: &mut [f64],
    column: &mut [f64],
) {
    let (schur, k1) = (&system.schur, system.k1());
    let to = schur.effect_start[schur.start[j + 1]];
    let rows = &schur.effect_row[from..to];
    let mut own = &w[from * k1..(from + 1) * k1];
    if let Some(middle) = middle {
        let k = &middle[j * k1 * k1..(j + 1) * k1 * k1];
        small::mul_nn(k, own, k1, k1, 1, turned);
        own = turned;
    }
    if k1 == 1 {
        let c = sign * own[0];
        for (l, &row) in w[from..to].iter().zip(rows) {
            column[row as usize - first] += c * l;
        }
    } else {
        for (l, &row) in w[from * k1..to * k1].chunks_exact(k1).zip(rows) {
            let s: f64 = l.iter().zip(own).map(|(x, y)| x * y).sum();
            column[row as usize - first] += sign * s;
        }
    }
}

/// Adds all of sign * sum_j W_j'K_j W_j, level by level for so many nodes at a time.
fn add_products_by_level(
    system: &System,
    parts: (&[f64], Option<&[f64]>, f64),
    nodes: usize,
    s: &mut Triangle,
) {
    let (schur, workers, k1) = (&system.schur, &system.workers, system.k1());
    let count = schur.nodes().div_ceil(nodes);
    let own = |i: usize| piece(schur.nodes(), nodes, i);
    let layout = &*s.layout;
    let start = |i| layout.column_start(schur.offset[own(i).start]);
    workers.for_each(count, cut(&mut s.data, start), |i, values| {
        let (own, base) = (own(i), start(i));
        let mut turned = workers.buffer(k1);
        for j in 0..system.moments.factors[0].n_levels {
            for at in neighbours_among(schur, j, &own) {
                let v = schur.neighbour[at] as usize;
                for (a, c) in (schur.offset[v]..schur.offset[v + 1]).enumerate() {
                    let first = layout.first_row(c);
                    let column = layout.column_start(c) - base;
                    let column = &mut values[column..column + schur.q2 - first];
                    let from = schur.effect_start[at] + a;
                    add_product(system, parts, (j, from), first, &mut turned, column);
                }
            }
        }
    });
}

/// Rows of W that are spread out at once.
const SPREAD: usize = 256;

/// Levels of the first factor whose rows are spread out at once, and how often.
pub(crate) fn spread_pieces(system: &System) -> (usize, usize) {
    let size = (SPREAD / system.k1()).max(1);
    (size, system.moments.factors[0].n_levels.div_ceil(size))
}

/// The rows of W of some levels as a full matrix: row-major, one row for each effect of the first factor.
pub(crate) fn spread(system: &System, w: &[f64], levels: std::ops::Range<usize>, out: &mut [f64]) {
    let (schur, k1, q2) = (&system.schur, system.k1(), system.schur.q2);
    out.fill(0.0);
    for (j, block) in levels.zip(out.chunks_exact_mut(k1 * q2)) {
        for e in schur.effect_start[schur.start[j]]..schur.effect_start[schur.start[j + 1]] {
            for a in 0..k1 {
                block[a * q2 + schur.effect_row[e] as usize] = w[e * k1 + a];
            }
        }
    }
}

fn add_dense_products(
    system: &System,
    w: &[f64],
    middle: Option<&[f64]>,
    sign: f64,
    s: &mut Triangle,
) {
    let (k1, q2) = (system.k1(), system.schur.q2);
    let (size, count) = spread_pieces(system);
    let mut rows = system.workers.buffer(size * k1 * q2);
    let mut other = system.workers.buffer(middle.map_or(0, |_| rows.len()));
    for i in 0..count {
        let levels = piece(system.moments.factors[0].n_levels, size, i);
        let m = levels.len() * k1;
        let rows = &mut rows[..m * q2];
        spread(system, w, levels.clone(), rows);
        let right = if let Some(middle) = middle {
            let other = &mut other[..m * q2];
            for ((j, from), to) in levels
                .zip(rows.chunks_exact(k1 * q2))
                .zip(other.chunks_exact_mut(k1 * q2))
            {
                // row-major blocks: the columns of the transpose
                let k = &middle[j * k1 * k1..(j + 1) * k1 * k1];
                small::mul_nn(from, k, q2, k1, k1, to);
            }
            &*other
        } else {
            &*rows
        };
        s.add_product_of_rows(rows, right, m, sign, &system.workers);
    }
}
