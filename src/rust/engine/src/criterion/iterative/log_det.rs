//! The function of which the trace is estimated, and the derivative of that estimate of log|M|.

use crate::basis::covariances::Covariances;
use crate::basis::internal_theta::InternalTheta;
use crate::basis::parameters::Parameters;
use crate::criterion::gradient::term_slopes;
use crate::criterion::iterative::lanes::{Lane, LANES};
use crate::criterion::iterative::operator::Operator;
use crate::criterion::iterative::pair_sums::PairSums;
use crate::criterion::iterative::pcg;
use crate::criterion::level_sums::{LevelSums, Sum};
use crate::linalg::small;
use crate::runtime::memory;
use crate::runtime::workspace::Buffer;
use crate::system::equations::{Factor, System};

/// log(1 - e) + e, with all pairs + e^2/2, at x = 1 - e.
pub(super) fn remainder(x: f64, with_pairs: bool) -> f64 {
    let e = 1.0 - x;
    if !with_pairs {
        x.ln() + e
    } else if e.abs() < 1e-3 {
        // without cancellation
        -e.powi(3) * (1.0 / 3.0 + e * (0.25 + e * (0.2 + e / 6.0)))
    } else {
        x.ln() + e + 0.5 * e * e
    }
}

/// (f(x) - f(y)) / (x - y) of [`remainder`].
fn divided(x: f64, y: f64, with_pairs: bool) -> f64 {
    let gap = (x - y) / y;
    let log = if gap == 0.0 {
        1.0 / y
    } else {
        gap.ln_1p() / (gap * y)
    };
    let square = if with_pairs { 1.0 - 0.5 * (x + y) } else { 0.0 };
    log - 1.0 - square
}

/// Adds the derivative of log|M| to the sums over levels; returns what each random vector contributed, T^-T times its own sums.
///
/// It is the derivative of the estimate itself. S changes by dS = d(L_P)(I - E)L_P' + ..., so that with dL_P = L_P F, F_v the lower
/// half of L_v^-1 dP_v L_v^-T (its diagonal halved), d(I - E) = L_P^-1 dS L_P^-T - F (I - E) - (I - E) F'. Of that follow
///
///   d log|P|        = sum_v tr(L_v^-T L_v^-1 dP_v),
///   d (-tr(E^2)/2)  = tr(E L_P^-1 dS L_P^-T) + sum_v tr(L_v^-T [E^2]_vv L_v^-1 dP_v),
///   u'd(I - E) u    = x'dS x - sum_v tr(L_v^-T K_v L_v^-1 dP_v),  x = L_P^-T u,
///
/// where K_v is symmetric with the lower triangle of u_v [(I - E) u]_v'; the derivative of r'g(E)r is a sum of the third
/// ([`super::lanczos::derivative`]). Each is 2 tr(dT'B) with B = T^-T times sums over levels, since (T'AT) X = M X - X:
/// x'dS x takes X = (-L_1^-T W~u, x), where M X = (0, Sx), and tr(N dP_v) takes P_v - I and -L_j^-T W_jv N W_jv' L_j^-1. Only the
/// lower triangle of T^-1 dT is there, so B may be replaced by T^-T times the symmetric matrix with the lower triangle of T'B.
pub(super) fn logarithm_sums(
    system: &System,
    t: &Covariances,
    (operator, runs, pairs): (&Operator, &[pcg::Run], Option<&PairSums>),
    sums: &mut LevelSums<'_, Buffer<'_>>,
) -> Vec<Vec<Vec<f64>>> {
    let moments = &system.moments;
    let mut total = operator.complement.clone();
    for (class, first) in pairs
        .iter()
        .flat_map(|pairs| pairs.eliminated.iter().enumerate())
    {
        take(t.of_class(0, class), first, &mut total[class]);
    }
    let parts = system.workers.map(runs.len(), |group| {
        let squares = pairs.map(|pairs| pairs.squares.as_slice());
        quadrature_sums(system, t, (operator, &runs[group]), squares, group == 0)
    });
    let mut draws = Vec::new();
    for (group, outer) in parts.iter().enumerate() {
        let weight = if group == 0 {
            1.0
        } else {
            1.0 / ((parts.len() - 1) * LANES) as f64
        };
        for lane in 0..LANES {
            let mut own: Vec<Vec<f64>> = Vec::with_capacity(outer.len());
            for (at, ((f, class), block)) in t.each().zip(outer).enumerate() {
                let k = moments.factors[f].k;
                let symmetric: Vec<f64> = memory::collect(
                    (0..k * k).map(|e| block[(e % k).min(e / k) * k + (e % k).max(e / k)][lane]),
                );
                let mut part = memory::zeros(k * k);
                take(t.of_class(f, class), &symmetric, &mut part);
                total[at]
                    .iter_mut()
                    .zip(&part)
                    .for_each(|(x, y)| *x += weight * y);
                own.push(part);
            }
            if group > 0 {
                draws.push(own);
            }
        }
    }
    for (of, block) in t.each().zip(total) {
        let k = moments.factors[of.0].k;
        // I - M^-1 = T' A Lambda M^-1, summed over levels
        let complement = sums.get_mut(Sum::Complement, of);
        small::mul_tn(t.of_class(of.0, of.1), &block, k, k, k, complement);
        sums.get_mut(Sum::Product, of).copy_from_slice(&block);
    }
    draws
}

/// -T'B of each factor and class for the derivatives of r'g(E)r, lane by lane; in the first lane, if `known`, also what log|P| and tr(E^2)
/// say of P.
fn quadrature_sums(
    system: &System,
    t: &Covariances,
    (operator, run): (&Operator, &pcg::Run),
    squares: Option<&[f64]>,
    known: bool,
) -> Vec<Vec<Lane>> {
    let (k1, entries) = (system.k1(), operator.block_entries());
    // u u' and (I - E)u u' of each node
    let mut outer = vec![[0.0; LANES]; entries];
    let mut moved = outer.clone();
    let mut first = vec![vec![[0.0; LANES]; k1 * k1]; t.classes(0)];
    let mut w = vec![[0.0; LANES]; system.q1()];
    run.derivatives(
        |x, y| divided(x, y, squares.is_some()),
        |direction| {
            let signed = |rows: &[Lane]| -> Vec<Lane> {
                let times = |row: &Lane| std::array::from_fn(|i| direction.sign[i] * row[i]);
                rows.iter().map(times).collect()
            };
            let x = signed(&direction.x);
            operator.add_outer(system, &x, &direction.x, &mut outer);
            operator.add_outer(system, &direction.ax, &x, &mut moved);
            operator.times(system, &direction.x, &mut w);
            let own = operator.eliminated_outer(system, t, &signed(&w), &w);
            for (total, own) in first.iter_mut().flatten().zip(own.iter().flatten()) {
                total.iter_mut().zip(own).for_each(|(x, y)| *x += y);
            }
        },
    );
    // K_v, whose upper triangle is that of (I - E)u u'
    let mut of_p = vec![[0.0; LANES]; entries];
    for pair in operator.block_starts().windows(2) {
        let k = (pair[1] - pair[0]).isqrt();
        for e in 0..k * k {
            let (low, high) = ((e % k).min(e / k), (e % k).max(e / k));
            let entry = moved[pair[0] + high * k + low];
            let at = pair[0] + e;
            for i in 0..LANES {
                of_p[at][i] = -entry[i];
            }
        }
    }
    for ((moved, outer), of_p) in moved.iter_mut().zip(&mut outer).zip(&of_p) {
        for i in 0..LANES {
            moved[i] += of_p[i];
            outer[i] += of_p[i];
        }
    }
    if known {
        if let Some(squares) = squares {
            for ((of_p, outer), square) in of_p.iter_mut().zip(&mut outer).zip(squares) {
                of_p[0] += square;
                outer[0] += square;
            }
        }
        for pair in operator.block_starts().windows(2) {
            let k = (pair[1] - pair[0]).isqrt();
            (0..k).for_each(|a| of_p[pair[0] + a * k + a][0] += 1.0);
        }
    }
    let mut out = operator.complement_weighted(system, t, &outer, &moved);
    let weighted = operator.eliminated_weighted(system, t, &of_p);
    for (out, (weighted, first)) in out.iter_mut().zip(weighted.into_iter().zip(&first)) {
        *out = weighted;
        for (total, own) in out.iter_mut().zip(first) {
            total.iter_mut().zip(own).for_each(|(x, y)| *x += y);
        }
    }
    out
}

/// out -= T^-T B.
fn take(t: &[f64], b: &[f64], out: &mut [f64]) {
    let k = (b.len() as f64).sqrt() as usize;
    let mut column = memory::zeros(k);
    for (b, out) in b.chunks_exact(k).zip(out.chunks_exact_mut(k)) {
        column.copy_from_slice(b);
        small::solve_lower_transposed(t, k, &mut column);
        out.iter_mut().zip(&column).for_each(|(x, y)| *x -= y);
    }
}

/// Slopes of log|M| that belong to sums U = T^-T (I - M^-1) over the levels of each factor and class.
pub(super) fn log_det_slopes(
    factor: &Factor,
    parameters: &Parameters,
    theta: &InternalTheta,
    sums: &[Vec<f64>],
) -> Vec<f64> {
    let terms = parameters.place.iter().zip(&parameters.levels);
    let scores: Vec<Vec<f64>> = terms
        .map(|(&(f, offset, k), levels)| {
            let kf = parameters.factor_k[f];
            let at = |block: &[f64], e: usize| block[(offset + e / k) * kf + offset + e % k];
            let t = factor.t.block(f, levels.class(), (offset, k));
            let sum = |e: usize| -> f64 {
                let classes = levels.classes();
                classes
                    .map(|class| at(&sums[factor.t.place(f, class)], e))
                    .sum()
            };
            let mut score = memory::zeros(k * k);
            for i in 0..k {
                let mut row: Vec<f64> = (0..k).map(|c| sum(c * k + i)).collect();
                small::solve_lower_transposed(&t, k, &mut row);
                (0..k).for_each(|c| score[c * k + i] = row[c]);
            }
            memory::collect((0..k * k).map(|e| 0.5 * (score[e] + score[(e % k) * k + e / k])))
        })
        .collect();
    term_slopes(factor, parameters, theta, &scores).collect()
}
