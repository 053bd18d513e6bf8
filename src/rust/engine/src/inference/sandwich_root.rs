//! The symmetric root adjustment of one cluster.
//!
//! Of the A with A (V - X C X') A' = V the symmetric one (Pustejovsky & Tipton 2018, section 2.1) is A = L G^-1/2 L' for any root
//! L of V = L L', with G = L'(V - X C X')L. With x = L^-1X~ = L'V^-1X~, which has the cross-product h, and Q = L'L
//!
//! G = N N',   N = Q (I - x x')^1/2 = Q (I - x W diag(1 / (1 + (1 - lambda)^1/2)) W' x'),
//!
//! h = W diag(lambda) W'. The singular values of N are as far apart as the eigenvalues of V; those of G would be their squares.
//! With Y = G^-1/2 x the score is Y'Q L'V^-1r, and S = Y'Q^2Y, T = x'Q Y: that L is a Cholesky factor makes no difference. Where
//! the cluster alone determines a combination of the coefficients N is singular, and the inverse root is that of Moore and Penrose.

use crate::api::error::EngineError;
use crate::inference::sandwich_parts::{Leverage, Part};
use crate::inference::sandwich_system::ClusterSystem;
use crate::linalg::singular::left_singular;
use crate::linalg::small;
use crate::runtime::memory;
use crate::runtime::stop::StopFlag;

/// Order from which the decomposition, which cannot be interrupted, has a thread of its own.
const LONG: usize = 300;

/// What a cluster adds with the symmetric root.
pub(super) fn symmetric_root(
    system: ClusterSystem,
    leverage: &Leverage,
    stop: &StopFlag,
) -> Result<Part, EngineError> {
    let (n, r) = (system.n, leverage.r);
    let broken = || EngineError::numerical("the covariance matrix of a cluster");
    let mut root = system.covariance;
    if !small::cholesky(&mut root, n) {
        return Err(broken());
    }
    // L' in the upper triangle
    let mut turned = memory::zeros(n * n);
    for j in 0..n {
        for i in j..n {
            turned[i * n + j] = root[j * n + i];
        }
    }
    let times_turned = |rows: &[f64], columns: usize| {
        let mut given = memory::zeros(n * columns);
        small::transpose(rows, columns, &mut given);
        let mut out = memory::zeros(n * columns);
        small::mul_nn(&turned, &given, n, n, columns, &mut out);
        out
    };
    let x = times_turned(&system.fixed, r);
    let response = times_turned(&system.response, 1);
    let mut q = memory::zeros(n * n);
    small::mul_nt(&turned, &turned, n, n, n, &mut q);
    // (I - x x')^1/2
    let kappa = leverage.function(|_, left| 1.0 / (1.0 + left.unwrap_or(0.0).sqrt()));
    let mut qx = memory::zeros(n * r);
    small::mul_nn(&q, &x, n, n, r, &mut qx);
    let mut half = memory::zeros(n * r);
    small::mul_nn(&qx, &kappa, n, r, r, &mut half);
    let mut factor = memory::zeros(n * n);
    small::mul_nt(&half, &x, n, r, n, &mut factor);
    factor.iter_mut().zip(&q).for_each(|(f, q)| *f = q - *f);
    let found = stop.wait_for_long(n > LONG, move || left_singular(&factor, n));
    let (values, vectors) = found.ok_or_else(broken)?;
    let lost = (0..r).filter(|&a| leverage.left(a).is_none()).count();
    let kept = n.saturating_sub(lost);
    if values.iter().take(kept).any(|&v| v <= 0.0) {
        return Err(broken());
    }
    // Y = U S^-1 U'x
    let vectors = &vectors[..kept * n];
    let mut along = memory::zeros(kept * r);
    small::mul_tn(vectors, &x, n, kept, r, &mut along);
    for column in along.chunks_exact_mut(kept.max(1)) {
        column.iter_mut().zip(&values).for_each(|(v, s)| *v /= s);
    }
    let mut y = memory::zeros(n * r);
    small::mul_nn(vectors, &along, n, kept, r, &mut y);
    let mut qy = memory::zeros(n * r);
    small::mul_nn(&q, &y, n, n, r, &mut qy);
    let mut part = Part {
        score: memory::zeros(r),
        spread: memory::zeros(r * r),
        cross: memory::zeros(r * r),
    };
    small::mul_tn(&qy, &response, n, r, 1, &mut part.score);
    small::mul_tn(&qy, &qy, n, r, r, &mut part.spread);
    small::mul_tn(&x, &qy, n, r, r, &mut part.cross);
    Ok(part)
}
