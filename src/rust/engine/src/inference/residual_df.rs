//! Residual degrees of freedom of a mixed model: the number nu for which sigma^2 chi^2_nu / nu is taken for the distribution of the
//! residual variance where those of many responses are moderated (Hoffman & Roussos 2021, Bioinformatics 37, 192-201; Smyth
//! 2004, SAGMB 3(1), of linear models, where nu = n - p).
//!
//! With H the matrix that makes fitted values of the (weighted) response, nu = tr((I - H)'(I - H)) = n - 2 tr H + tr H^2. Residuals
//! are W^1/2 e = Pt W^1/2 y with Pt = W^-1/2 P W^-1/2 relative to sigma^2, so that nu = tr(Pt Pt). As V = W^-1 + Z Lambda Lambda'Z'
//! and P V P = P, tr(P V) = n - p, with N = Lambda'Z'PZ Lambda
//!
//!   tr(Pt Pt) = n - p - 2 tr N + tr N^2,
//!
//! and both traces are of the directions of V that the Hessian asks for, with kappa = I: nothing of order n or q is formed for them.

use crate::criterion::direction::Direction;
use crate::criterion::hessian::traces;
use crate::criterion::objective::Criterion;
use crate::fit::conditional::complements;
use crate::fit::prepared::Prepared;
use crate::runtime::memory;
use crate::system::precision_product;

/// nu where the criterion was evaluated; `None` where the model has a residual structure, classes of levels or levels that count
/// as many, or where it is too dear.
pub(super) fn residual_df(prepared: &Prepared, criterion: &mut Criterion<'_>) -> Option<f64> {
    if prepared.is_counted() || !criterion.exact_cost().is_finite() {
        return None;
    }
    criterion.latest()?;
    let (factor, latest) = (criterion.factor.as_ref()?, criterion.latest.as_ref()?);
    let system = criterion.system();
    let factors = &system.moments.factors;
    if (0..factors.len()).any(|f| factor.t.has_classes(f)) {
        return None;
    }
    let h = &latest.solution.h;
    let directions: Vec<Direction> = (factors.iter().enumerate())
        .map(|(f, own)| {
            let mut kappa = memory::zeros(own.k * own.k);
            (0..own.k).for_each(|i| kappa[i * own.k + i] = 1.0);
            Direction {
                factor: f,
                kappa,
                ..Direction::default()
            }
        })
        .collect();
    let squares = traces(
        system,
        factor,
        &latest.inverse,
        &latest.solution,
        &directions,
        true,
        &mut Vec::new(),
    );
    // N = I - K^-1 (M^-1 + h h')
    let weighted = precision_product::times(system, h);
    let (eliminated, complement) = match &weighted {
        Some(rows) => (&rows.eliminated[..], &rows.complement[..]),
        None => (&h.eliminated[..], &h.complement[..]),
    };
    let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
    let fixed = dot(&h.eliminated, eliminated) + dot(&h.complement, complement);
    let of_levels = complements(system, &factor.t, &latest.inverse)?;
    let single: f64 = (of_levels.iter().flatten().zip(factors))
        .map(|(sum, own)| (0..own.k).map(|i| sum[i * own.k + i]).sum::<f64>())
        .sum();
    let n_less_p = (system.moments.n - h.m) as f64;
    let found = n_less_p - 2.0 * (single - fixed) + squares.iter().sum::<f64>();
    found.is_finite().then_some(found)
}
