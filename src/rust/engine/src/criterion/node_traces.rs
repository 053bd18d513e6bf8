//! Traces of products of [`crate::criterion::hessian`] in which no direction of the first factor takes part.

use crate::criterion::block_traces::BlockTraces;
use crate::criterion::direction::{of_class, Direction};
use crate::criterion::full_inverse::FullInverse;
use crate::linalg::dense;
use crate::runtime::workspace::Buffer;

/// sum over the nodes v of factor and class f and l of factor and class g of tr(N_lv kappa_a N_vl kappa_b), N = I - K^-1 S^-1 -
/// K^-1 H H': for each direction of f those of g.
///
/// Nodes that count as many are not linked (N_lv = 0), and the trace of each counts as often.
///
/// With O_lv = N_vl' the trace is a symmetric bilinear form of N_lv and O_lv: that of their mean with itself less that of half
/// their difference, which is zero where every K^-1 is the identity.
pub(super) fn node_traces<'a>(
    r: &FullInverse<'a>,
    (h, ph, p): (&[f64], &[f64], usize),
    directions: &[Direction],
    (f, g): ((usize, usize), (usize, usize)),
) -> Buffer<'a> {
    let factors = &r.system.moments.factors;
    let (kf, kg) = (factors[f.0].k, factors[g.0].k);
    let (of_f, of_g) = (
        of_class(directions, f.0, f.1),
        of_class(directions, g.0, g.1),
    );
    let (count_f, count_g) = (of_f.clone().count(), of_g.clone().count());
    let (workers, len) = (&r.system.workers, count_f * count_g);
    let strips = if len == 0 { 0 } else { r.layout.strips() };
    workers.sum(strips * strips, len, |piece, sums| {
        let (i, j) = (piece / strips, piece % strips);
        // within one factor and class, tile (j, i) gives what (i, j) gives with a and b exchanged
        let twice = f == g && i > j;
        if f == g && i < j {
            return;
        }
        let (rows, columns) = (r.layout.columns(i), r.layout.columns(j));
        let (from, to) = (r.nodes(j, f), r.nodes(i, g));
        if from.is_empty() || to.is_empty() {
            return;
        }
        let height = rows.len();
        let size = height * columns.len();
        let mut n = workers.buffer(size);
        r.weighted_tile((i, j), &mut n);
        let mut other = workers.buffer(if r.weighted.is_some() { size } else { 0 });
        r.turned_tile((i, j), &mut other);
        let complete = |tile: &mut [f64], left: &[f64], right: &[f64]| {
            if p > 0 {
                let (rows, columns) = (rows.start * p..rows.end * p, &columns);
                let columns = columns.start * p..columns.end * p;
                dense::add_outer(&left[rows], &right[columns], p, tile);
            }
            tile.iter_mut().for_each(|v| *v = -*v);
            if i == j {
                (0..height).for_each(|e| tile[e * height + e] += 1.0);
            }
        };
        complete(&mut n, ph, h);
        if !other.is_empty() {
            complete(&mut other, h, ph);
            for (n, o) in n.iter_mut().zip(other.iter_mut()) {
                (*n, *o) = (0.5 * (*n + *o), 0.5 * (*n - *o));
            }
        }
        let parts = [(&n, 1.0), (&other, -1.0)];
        let parts = || parts.iter().filter(|(part, _)| !part.is_empty());
        let column = |v: usize| (v - columns.start) * height;
        if kf == 1 && kg == 1 {
            // all kappas are numbers
            let square_of = |part: &[f64]| -> f64 {
                from.iter()
                    .map(|&v| {
                        let column = &part[column(v)..column(v + 1)];
                        let own = to.iter().map(|&l| column[l - rows.start].powi(2));
                        r.system.times_at(v) * own.sum::<f64>()
                    })
                    .sum()
            };
            let square: f64 = parts().map(|(part, sign)| sign * square_of(part)).sum();
            let both = if twice { 2.0 } else { 1.0 };
            for (x, a) in of_f.clone().enumerate() {
                for (y, b) in of_g.clone().enumerate() {
                    sums[x * count_g + y] =
                        both * square * directions[a].kappa[0] * directions[b].kappa[0];
                }
            }
            return;
        }
        let mut block = workers.buffer(kg * kf);
        let kappas = |a: usize| directions[a].kappa.as_slice();
        let own = (kg, of_g.clone().map(kappas));
        let mut traces = BlockTraces::new(workers, own, (kf, of_f.clone().map(kappas)));
        for &v in from {
            let times = r.system.times_at(v);
            for &l in to {
                for (part, sign) in parts() {
                    for c in 0..kf {
                        let at = column(v + c) + l - rows.start;
                        block[c * kg..(c + 1) * kg].copy_from_slice(&part[at..at + kg]);
                    }
                    traces.add(&block, times * *sign, sums);
                }
            }
        }
        traces.finish(sums);
        if twice {
            let once = workers.copy(sums);
            for x in 0..count_f {
                for y in 0..count_g {
                    sums[x * count_g + y] += once[y * count_g + x];
                }
            }
        }
    })
}
