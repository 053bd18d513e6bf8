//! Covariance matrices of the fixed effects from the residuals of independent clusters (sandwich estimators), and what their
//! degrees of freedom are made of.
//!
//! With C = (X'V^-1X)^-1 (V relative to sigma^2) and r_j = y_j - X_j beta-hat of cluster j the estimate is
//! C sum_j X_j'V_j^-1 A_j r_j r_j'A_j'V_j^-1X_j C, A_j an adjustment for r_j having less variance than V_j (Bell & McCaffrey 2002,
//! Survey Methodology 28; Pustejovsky & Tipton 2018, Journal of Business & Economic Statistics 36). C does not depend on the
//! scale of V, nor does anything else here.
//!
//! Everything is in coordinates of X in which C is the identity: X~ = X C^1/2, so that the leverage of a cluster is
//! H_jj = X~_j X~_j'V_j^-1. With D = X~ - Z b(X~), the rows less their best predictions by random effects, and e = y - X beta-hat -
//! Z b-hat, Henderson's equations give V^-1X~ = R^-1D and V^-1r = R^-1e, and from them
//!
//! h_j = X~_j'V_j^-1X~_j = D_j'R_j^-1D_j + U_j'K^-1U_j,   g_j = X~_j'V_j^-1r_j = D_j'R_j^-1e_j + U_j'K^-1u_j,
//!
//! U and u the spherical effects that belong to X~ and r, K their known correlations (the identity without): sums over the rows
//! and levels of a cluster, r x r and r.
//!
//! Write S_j = B_j'V_jB_j and T_j = X~_j'B_j, where B_j' = X~_j'V_j^-1A_j. Under the model the score s_j = B_j'r_j has the covariances
//! Cov(s_i, s_j) = (i = j) S_i - T_i'T_j with those of other clusters: all that degrees of freedom need
//! ([`crate::inference::sandwich_ddf`]).
//!
//! An adjustment that is a function of H_jj, A_j = f(I - H_jj), only needs h_j: X~_j'V_j^-1f(I - H_jj) = f(I - h_j)X~_j'V_j^-1, hence
//! s_j = F g_j, S_j = F h_j F, T_j = h_j F with F = f(I - h_j). The symmetric root is not one
//! ([`crate::inference::sandwich_root`]).

use crate::api::error::EngineError;
use crate::api::model::ModelData;
use crate::api::options::Options;
use crate::fit::prepare::prepare;
use crate::fit::user_start::required_start;
use crate::inference::evaluated::evaluated;
use crate::inference::sandwich_parts::{Clusters, Leverage, Part};
use crate::inference::sandwich_root::symmetric_root;
use crate::inference::sandwich_rows::ClusterRows;
use crate::runtime::interruptible::interruptible;
use crate::runtime::memory;
use crate::runtime::partition::pieces;
use crate::runtime::stop::StopFlag;

/// Clusters in one piece of work.
const CLUSTERS: usize = 64;

/// A_j.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adjustment {
    /// The identity.
    None,
    /// (I - H_jj)^-1/2, the principal root.
    Root,
    /// The symmetric A_j with A_j (V_j - X_j C X_j') A_j = V_j.
    SymmetricRoot,
    /// (I - H_jj)^-1: without the cluster.
    Inverse,
}

/// What a sandwich estimate is made of; matrices column-major, in coordinates of X in which C is the identity.
#[derive(Debug, Clone, Default)]
pub struct Sandwich {
    /// r, the rank of X.
    pub rank: usize,
    /// C^1/2, r x r: kept coefficients times these coordinates.
    pub root: Vec<f64>,
    /// s_j, r x clusters.
    pub scores: Vec<f64>,
    /// Directions of the coefficients that a cluster alone determines, r x any number: its residuals there are zero, whatever the
    /// variance.
    pub undetermined: Vec<f64>,
    /// The cluster of each of them, from 0.
    pub undetermined_in: Vec<usize>,
    /// S_j, r x r x clusters; empty unless asked for.
    pub spread: Vec<f64>,
    /// T_j likewise.
    pub cross: Vec<f64>,
    /// N_j where Cov(s_i, s_j) has N_i'N_j beside -T_i'T_j ([`crate::inference::pseudo_likelihood_sandwich`]), else empty.
    pub against: Vec<f64>,
}

/// Scores of all clusters, and with `moments` what their covariances are under the model, at `options.start`.
///
/// # Errors
/// See [`EngineError`]; [`EngineError::LargeCluster`] where the symmetric root takes too large a matrix.
pub fn sandwich(
    data: &ModelData<'_>,
    clusters: Clusters<'_>,
    adjustment: Adjustment,
    moments: bool,
    options: &Options,
    interrupt: &dyn Fn() -> bool,
) -> Result<Sandwich, EngineError> {
    data.require_observations("a sandwich estimate")?;
    clusters.validate(data.rows())?;
    interruptible(true, interrupt, |stop: &StopFlag, interrupt| {
        let mut prepared = prepare(data, options, stop)?;
        let theta = required_start(options, &prepared)?;
        prepared.settle(data, &theta, options, interrupt)?;
        let mut criterion = evaluated(&prepared, options, &theta, interrupt)?;
        let rows = ClusterRows::new(data, clusters, &prepared, &mut criterion, &theta)?;
        let r = rows.rank;
        let work = pieces(clusters.count, CLUSTERS);
        let parts = prepared.system.workers.map(work.len(), |piece| {
            let mut out = Sandwich::default();
            for cluster in work[piece].clone() {
                prepared.system.workers.check();
                let (h, g) = rows.sums(cluster);
                let leverage = Leverage::new(&h, r);
                let part = match adjustment {
                    Adjustment::None => Part {
                        score: g,
                        spread: h.clone(),
                        cross: h,
                    },
                    Adjustment::Root => leverage.part(&g, |left| 1.0 / left.sqrt()),
                    Adjustment::Inverse => leverage.part(&g, |left| 1.0 / left),
                    Adjustment::SymmetricRoot => {
                        symmetric_root(rows.system(cluster)?, &leverage, stop)?
                    }
                };
                out.scores.extend(part.score);
                if moments {
                    out.spread.extend(part.spread);
                    out.cross.extend(part.cross);
                }
                for a in (0..r).filter(|&a| leverage.left(a).is_none()) {
                    let direction = &leverage.vectors[a * r..(a + 1) * r];
                    out.undetermined.extend_from_slice(direction);
                    out.undetermined_in.push(cluster);
                }
            }
            Ok(out)
        });
        let m = clusters.count;
        let squares = if moments { r * r * m } else { 0 };
        let mut all = Sandwich {
            rank: r,
            root: rows.root(),
            scores: memory::with_capacity(r * m),
            spread: memory::with_capacity(squares),
            cross: memory::with_capacity(squares),
            ..Sandwich::default()
        };
        for part in parts {
            let part: Sandwich = part?;
            all.scores.extend(part.scores);
            all.spread.extend(part.spread);
            all.cross.extend(part.cross);
            all.undetermined.extend(part.undetermined);
            all.undetermined_in.extend(part.undetermined_in);
        }
        Ok(all)
    })
}
