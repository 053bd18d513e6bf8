//! tr(P V_a P V_b) (ML: of V^-1), which turns the average information into the exact Hessian.
//!
//! With V_a = Z Lambda kappa_a Lambda'Z' and N = Lambda'Z'PZ Lambda = I - [Mbar^-1]_ZZ, Mbar being M bordered by Q (REML) or M
//! itself (ML), the trace is the sum over pairs of levels of tr(N_lj kappa_a N_jl kappa_b). Levels of the first factor
//! enter through N_jl = delta_jl (I - D_j^-1) - F_j'Rbar F_l, F_j' = L_j^-T [W_j, W_Xj], so that the J^2 pairs collapse into
//! Phi_a = sum_j F_j kappa_a F_j' and tr(Rbar Phi_a Rbar Phi_b): nothing of order q x q is formed for them.
//!
//! Where levels have a known precision matrix K^-1, V_a = Z Lambda (K x kappa_a) Lambda'Z' and Lambda'Z'PZ Lambda = K^-1 - K^-1
//! [Mbar^-1]_ZZ K^-1, so that N = I - K^-1 [Mbar^-1]_ZZ, which is not symmetric, takes the place of the N above: the trace is the
//! sum of tr(N_lj kappa_a N_jl kappa_b). K^-1 is the identity for the first factor and commutes with each kappa.

use crate::basis::parameters::Parameters;
use crate::criterion::block_traces::block_work;
use crate::criterion::direction::{apply_directions, dot, of_class, of_factor, Direction};
use crate::criterion::eliminated_traces::{first_traces, products};
use crate::criterion::full_inverse::FullInverse;
use crate::criterion::node_traces::node_traces;
use crate::linalg::sparse::DENSE_ADVANTAGE;
use crate::linalg::{dense, small};
use crate::moments::level_precision;
use crate::runtime::workspace::Buffer;
use crate::system::complement::{Complement, Storage};
use crate::system::equations::{Factor, Rows, SelectedInverse, System};
use crate::system::precision_product;
use crate::system::solution::Solution;

/// Multiply-adds (at the speed of sparse ones) that [`traces`] would take; infinite where it would need too much memory.
#[must_use]
pub fn cost(system: &System, parameters: &Parameters, p: usize) -> f64 {
    let order = (system.schur.q2 + p) as f64;
    let first = parameters
        .list
        .iter()
        .filter(|a| parameters.place[a.basis].0 == 0)
        .count() as f64;
    if order > 6000.0 || first * order * order > 2e8 {
        return f64::INFINITY;
    }
    let product = match &system.schur.storage {
        Storage::Dense(_) => order.powi(3) / DENSE_ADVANTAGE,
        Storage::Sparse(pattern) => 2.0 * order * (pattern.nnz() as f64 + p as f64 * order),
    };
    let rows = system.q1() as f64 * (p as f64).powi(2);
    let (levels, k1) = (system.moments.factors[0].n_levels as f64, system.k1());
    let (by_form, one_by_one) = block_work((k1, k1), (first as usize, first as usize));
    let blocks = 2.0 * levels * by_form.min(one_by_one) as f64;
    let weighted = level_precision::work(&system.moments) * order;
    first * (product + rows + system.schur.pair_work(system.k1()))
        + blocks
        + 10.0 * order * order
        + weighted
}

/// tr(P V_a P V_b) (`reml`; else of V^-1) for all pairs of directions, m x m.
///
/// Rbar = S^-1 + G G' with G = [H; -Lx^-T] is not formed: with V_a = L_S^-1 [Phi_a G]_S and M_a = G'Phi_a G,
/// tr(Rbar Phi_a Rbar Phi_b) = tr(S^-1 Phi_a S^-1 Phi_b) + 2 tr(V_a'V_b) + tr(M_a M_b).
///
/// `phis` is what the Phi of each direction of the first factor are written to, from one call to the next.
#[must_use]
pub fn traces<'a>(
    system: &'a System,
    factor: &Factor,
    inverse: &SelectedInverse,
    solution: &Solution,
    directions: &[Direction],
    reml: bool,
    phis: &mut Vec<Complement>,
) -> Buffer<'a> {
    let images = Images::new(system, factor, solution, directions, reml);
    let parts = (inverse, solution, &images);
    traces_from(system, factor, parts, directions, reml, phis)
}

/// As [`traces`], but the factor of a dense complement gives its place to the products: it is gone afterwards.
#[must_use]
pub fn traces_in_place<'a>(
    system: &'a System,
    factor: &mut Factor,
    inverse: &SelectedInverse,
    solution: &Solution,
    directions: &[Direction],
    reml: bool,
    phis: &mut Vec<Complement>,
) -> Buffer<'a> {
    let images = Images::new(system, factor, solution, directions, reml);
    if let Some(s) = factor.give_up_complement() {
        phis.insert(0, s);
    }
    let parts = (inverse, solution, &images);
    traces_from(system, factor, parts, directions, reml, phis)
}

fn traces_from<'a>(
    system: &'a System,
    factor: &Factor,
    (inverse, solution, images): (&SelectedInverse, &Solution, &Images<'_>),
    directions: &[Direction],
    reml: bool,
    phis: &mut Vec<Complement>,
) -> Buffer<'a> {
    let m = directions.len();
    let p = if reml { solution.h.m } else { 0 };
    let own = first_traces(system, factor, inverse, solution, directions, p);
    let r = FullInverse::new(system, factor, inverse);
    let products = products(system, factor, &r, directions, phis);
    let first = of_factor(directions, 0);
    let count = first.clone().count();
    let mut out = system.workers.buffer(m * m);
    let mut set = |a: usize, b: usize, value: f64| {
        out[b * m + a] = value;
        out[a * m + b] = value;
    };
    for (i, a) in first.clone().enumerate() {
        for (j, b) in first.clone().enumerate().skip(i) {
            let fixed = match (images.get(i), images.get(j)) {
                (Some(x), Some(y)) => {
                    2.0 * dot(x.half, y.half) + small::trace_product(x.inner, y.inner, p)
                }
                _ => 0.0,
            };
            let at = i * count + j;
            set(a, b, own[at] + products[at] + fixed);
        }
    }
    let mixed = &products[count * count..];
    let of_complement = Rows {
        eliminated: &[][..],
        complement: &solution.h.complement[..],
        m: solution.h.m,
    };
    let weighted = if p > 0 {
        precision_product::times(system, &of_complement)
    } else {
        None
    };
    // K^-1 H
    let ph = weighted
        .as_ref()
        .map_or(of_complement.complement, |rows| &rows.complement[..]);
    for b in (0..m).filter(|&b| directions[b].factor != 0) {
        let turned =
            (p > 0).then(|| turned(system, (&solution.h.complement, ph, p), &directions[b]));
        for (i, a) in first.clone().enumerate() {
            // tr(kappa_b (U H' + H U' + H M H')) with U = S^-1 [Phi_a G]_S
            let fixed = match (images.get(i), &turned) {
                (Some(x), Some((kh, hkh))) => {
                    2.0 * dot(kh, x.solved) + small::trace_product(x.inner, hkh, p)
                }
                _ => 0.0,
            };
            set(a, b, mixed[i * m + b] + fixed);
        }
    }
    // each factor and class of its levels
    let factors = system.moments.factors.len();
    let groups = |from: usize| {
        (from..factors).flat_map(|f| (0..factor.t.classes(f)).map(move |class| (f, class)))
    };
    for x in groups(1) {
        for y in groups(x.0).filter(|&y| y >= x) {
            let sums = node_traces(&r, (&solution.h.complement, ph, p), directions, (x, y));
            let of = |(f, class)| of_class(directions, f, class);
            let pairs = of(x).flat_map(|a| of(y).map(move |b| (a, b)));
            // the levels of x with those of y and, where these are others, those of y with those of x
            let once = |(a, b): (usize, usize)| x == y && a == b;
            for (pair, value) in pairs
                .zip(sums.iter())
                .filter(|((a, b), _)| x != y || a >= b)
            {
                let (a, b) = pair;
                out[b * m + a] += value;
                if !once(pair) {
                    out[a * m + b] += value;
                }
            }
        }
    }
    out
}

/// Phi_a G for each direction of the first factor, all from F_j'G = -L_j'h_j; none without REML or fixed effects.
struct Images<'a> {
    values: Buffer<'a>,
    q2: usize,
    p: usize,
}

/// One of them.
struct Image<'a> {
    /// V_a = L_S^-1 [Phi_a G]_S, q2 x p.
    half: &'a [f64],
    /// S^-1 [Phi_a G]_S.
    solved: &'a [f64],
    /// M_a = G'Phi_a G, p x p.
    inner: &'a [f64],
}

impl<'a> Images<'a> {
    pub(crate) fn new(
        system: &'a System,
        factor: &Factor,
        solution: &Solution,
        directions: &[Direction],
        reml: bool,
    ) -> Self {
        let (h, q2) = (&solution.h, system.schur.q2);
        let p = h.m;
        let first = of_factor(directions, 0);
        let count = if reml && p > 0 {
            first.clone().count()
        } else {
            0
        };
        let each = (2 * q2 + p) * p;
        let mut values = system.workers.buffer(count * each);
        for (own, a) in values.chunks_exact_mut(each.max(1)).zip(first) {
            let mut rows = apply_directions(system, std::slice::from_ref(&directions[a]), h);
            let (half, rest) = own.split_at_mut(q2 * p);
            let (solved, inner) = rest.split_at_mut(q2 * p);
            let effects = h.eliminated.len() / p;
            dense::add_transposed_product(
                &h.eliminated,
                &rows.eliminated,
                effects,
                p,
                p,
                1.0,
                inner,
            );
            if q2 > 0 {
                factor.forward(system, &mut rows);
            }
            half.copy_from_slice(&rows.complement);
            solved.copy_from_slice(half);
            factor.s.solve_transposed(solved, p);
        }
        Self { values, q2, p }
    }

    fn get(&self, i: usize) -> Option<Image<'_>> {
        let size = self.q2 * self.p;
        let each = 2 * size + self.p * self.p;
        let own = self.values.get(i * each..(i + 1) * each)?;
        let (half, rest) = own.split_at(size);
        let (solved, inner) = rest.split_at(size);
        (each > 0).then_some(Image {
            half,
            solved,
            inner,
        })
    }
}

/// kappa_b K^-1 H (q2 x p) and H'kappa_b K^-1 H (p x p) for a direction of another factor than the first, from H, K^-1 H and p.
fn turned<'a>(
    system: &'a System,
    (h, ph, p): (&[f64], &[f64], usize),
    direction: &Direction,
) -> (Buffer<'a>, Buffer<'a>) {
    let rows: Rows<&[f64]> = Rows {
        eliminated: &[],
        complement: ph,
        m: p,
    };
    let kh = apply_directions(system, std::slice::from_ref(direction), &rows).complement;
    let mut hkh = system.workers.buffer(p * p);
    let q2 = system.schur.q2;
    dense::add_transposed_product(h, &kh, q2, p, p, 1.0, &mut hkh);
    (kh, hkh)
}
