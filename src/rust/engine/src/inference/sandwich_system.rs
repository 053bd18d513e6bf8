//! The covariance matrix of a cluster, or of fewer rows that stand for its own (see [`crate::inference::sandwich_root`]).

use crate::api::error::EngineError;
use crate::inference::sandwich_rows::{ClusterRows, Known, Set, Touched};
use crate::linalg::{dense, small};
use crate::runtime::memory;

/// Largest order of a dense matrix of a cluster.
const LARGEST: usize = 3000;

/// V_j = B B' + R of a cluster, or of fewer rows that stand for its own, with V_j^-1 [X~ r], row-major.
pub(super) struct ClusterSystem {
    pub n: usize,
    /// n x n, column-major.
    pub covariance: Vec<f64>,
    /// n x r.
    pub fixed: Vec<f64>,
    pub response: Vec<f64>,
}

impl ClusterRows<'_> {
    /// The covariance matrix of a cluster. Where residuals are independent, rows of one residual variance are replaced by as few as
    /// have the same cross-products of [B D e], by a rotation of the rows: V_j is a multiple of the identity beyond them, before
    /// as after it.
    ///
    /// # Errors
    /// [`EngineError::LargeCluster`], [`EngineError::Numerical`].
    pub fn system(&self, cluster: usize) -> Result<ClusterSystem, EngineError> {
        let places = self.places_of(cluster);
        let (touched, q) = self.touched(cluster);
        let (r, p1) = (self.rank, self.rank + 1);
        let width = q + p1;
        let classes = self.classes_of_variance(places);
        let order = classes.as_ref().map_or(places.len(), |classes| {
            classes.iter().map(|c| c.1.len().min(width)).sum()
        });
        if order > LARGEST {
            return Err(EngineError::LargeCluster { order });
        }
        let mut covariance = memory::zeros(order * order);
        let mut rows = memory::zeros(order * width);
        let mut inverse = memory::zeros(order * p1);
        match classes {
            None => {
                self.write_design(places, &touched, width, &mut rows);
                self.write_residual_covariance(places, &mut covariance);
                for (&place, out) in places.iter().zip(inverse.chunks_exact_mut(p1)) {
                    let root = self.root_of_weight(place);
                    let own = &self.inverse[place as usize * p1..(place as usize + 1) * p1];
                    out.iter_mut().zip(own).for_each(|(x, v)| *x = root * v);
                }
            }
            Some(classes) => {
                let mut at = 0;
                for (variance, own) in classes {
                    let m = own.len().min(width);
                    let to = &mut rows[at * width..(at + m) * width];
                    if m == own.len() {
                        self.write_design(&own, &touched, width, to);
                    } else {
                        let mut all = memory::zeros(own.len() * width);
                        self.write_design(&own, &touched, width, &mut all);
                        let mut triangle = memory::zeros(width * width);
                        dense::triangle_of_qr(&all, own.len(), width, &mut triangle);
                        small::transpose(&triangle, width, to);
                    }
                    for i in at..at + m {
                        covariance[i * order + i] = variance;
                        let row = &rows[i * width + q..(i + 1) * width];
                        let out = &mut inverse[i * p1..(i + 1) * p1];
                        out.iter_mut().zip(row).for_each(|(x, v)| *x = v / variance);
                    }
                    at += m;
                }
            }
        }
        let mut design = memory::zeros(order * q);
        for (i, row) in rows.chunks_exact(width).enumerate() {
            (0..q).for_each(|c| design[c * order + i] = row[c]);
        }
        for own in &touched {
            self.correlate_levels(own, order, &mut design)?;
        }
        let mut of_levels = memory::zeros(order * order);
        small::mul_nt(&design, &design, order, q, order, &mut of_levels);
        covariance
            .iter_mut()
            .zip(&of_levels)
            .for_each(|(v, w)| *v += w);
        Ok(ClusterSystem {
            n: order,
            covariance,
            fixed: inverse
                .chunks_exact(p1)
                .flat_map(|row| row[..r].iter().copied())
                .collect(),
            response: inverse.chunks_exact(p1).map(|row| row[r]).collect(),
        })
    }

    fn root_of_weight(&self, place: u32) -> f64 {
        let row = self.part.model.order()[place as usize] as usize;
        self.data.weights.map_or(1.0, |w| w[row].sqrt())
    }

    /// Places by their residual variance, relative to sigma^2; `None` where residuals are correlated.
    fn classes_of_variance(&self, places: &[u32]) -> Option<Vec<(f64, Vec<u32>)>> {
        let structure = self.data.residual.as_ref();
        if structure.is_some_and(|structure| structure.correlation.is_some()) {
            return None;
        }
        let variance = |place: u32| {
            let scale = self.whitening.inverse_scale.get(place as usize);
            (self.root_of_weight(place) * scale.unwrap_or(&1.0)).powi(-2)
        };
        let mut sorted: Vec<(f64, u32)> = places.iter().map(|&p| (variance(p), p)).collect();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut classes: Vec<(f64, Vec<u32>)> = Vec::new();
        for (variance, place) in sorted {
            match classes.last_mut() {
                Some((last, own)) if last.total_cmp(&variance).is_eq() => own.push(place),
                _ => classes.push((variance, vec![place])),
            }
        }
        Some(classes)
    }

    /// Rows [B D e], without the weights: B = Z Lambda.
    fn write_design(&self, places: &[u32], touched: &[Touched], width: usize, out: &mut [f64]) {
        let p1 = self.rank + 1;
        for (&place, row) in places.iter().zip(out.chunks_exact_mut(width)) {
            let unweighted = 1.0 / self.root_of_weight(place);
            let place = place as usize;
            for own in touched {
                let (f, k) = (own.factor, own.k);
                let level = self.part.rows.level[f][place];
                let Ok(at) = own.levels.binary_search(&level) else {
                    continue;
                };
                let z = &self.part.rows.z[f][place * k..(place + 1) * k];
                let t = self.t.of(f, level as usize);
                for i in 0..k {
                    let s: f64 = (i..k).map(|l| t[i * k + l] * z[l]).sum();
                    row[own.first + at * k + i] = unweighted * s;
                }
            }
            let solved = &self.solved[place * p1..(place + 1) * p1];
            let rest = &mut row[width - p1..];
            rest.iter_mut()
                .zip(solved)
                .for_each(|(x, v)| *x = unweighted * v);
        }
    }

    /// R of a cluster, which holds whole residual groups.
    fn write_residual_covariance(&self, places: &[u32], out: &mut [f64]) {
        let n = places.len();
        let mut at = 0;
        while at < n {
            let group = self.part.rows.group[places[at] as usize] as usize;
            let own = self.whitening.covariance(&self.part.model, group);
            let m = own.len().isqrt();
            let roots: Vec<f64> = places[at..]
                .iter()
                .take(m)
                .map(|&place| self.root_of_weight(place))
                .collect();
            for (i, a) in roots.iter().enumerate() {
                for (j, b) in roots.iter().enumerate() {
                    out[(at + i) * n + at + j] = own[i * m + j] / (a * b);
                }
            }
            at += m.max(1);
        }
    }

    /// B <- B (K^1/2 (x) I) where the levels of a factor have known correlations K.
    fn correlate_levels(
        &self,
        own: &Touched,
        n: usize,
        design: &mut [f64],
    ) -> Result<(), EngineError> {
        let Some(known) = &self.known[own.factor] else {
            return Ok(());
        };
        let (m, k) = (own.levels.len(), own.k);
        let mut correlation = self.correlation(known, own)?;
        if !small::cholesky(&mut correlation, m) {
            return Err(EngineError::numerical("the correlations of levels"));
        }
        let columns = own.first * n..(own.first + m * k) * n;
        let old = memory::copy(&design[columns.clone()]);
        let new = &mut design[columns];
        new.fill(0.0);
        for to in 0..m {
            for from in to..m {
                let weight = correlation[to * m + from];
                for i in 0..k {
                    let column = &old[(from * k + i) * n..(from * k + i + 1) * n];
                    new[(to * k + i) * n..(to * k + i + 1) * n]
                        .iter_mut()
                        .zip(column)
                        .for_each(|(x, v)| *x += weight * v);
                }
            }
        }
        Ok(())
    }

    /// K of the levels that a cluster has, from the inverse of K^-1 of all levels that are connected with them.
    fn correlation(&self, known: &Known, own: &Touched) -> Result<Vec<f64>, EngineError> {
        let m = own.levels.len();
        let mut out = memory::zeros(m * m);
        let mut sets: Vec<u32> = own
            .levels
            .iter()
            .map(|&level| known.set_of[level as usize])
            .collect();
        sets.sort_unstable();
        sets.dedup();
        for set in sets {
            let Set { levels, entries } = &known.sets[set as usize];
            let order = levels.len();
            if order > LARGEST {
                return Err(EngineError::LargeCluster { order });
            }
            let mut precision = memory::zeros(order * order);
            for &(to, from, q) in entries {
                precision[from as usize * order + to as usize] += q;
            }
            if !small::cholesky(&mut precision, order) {
                return Err(EngineError::numerical("the correlations of levels"));
            }
            let covariance = small::inverse_from_cholesky(&precision, order);
            let mine: Vec<(usize, usize)> = own
                .levels
                .iter()
                .enumerate()
                .filter_map(|(i, level)| Some((i, levels.binary_search(level).ok()?)))
                .collect();
            for &(i, a) in &mine {
                for &(j, b) in &mine {
                    out[j * m + i] = covariance[b * order + a];
                }
            }
        }
        Ok(out)
    }
}
