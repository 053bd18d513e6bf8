//! The random effects' own coordinates: each term's basis columns are rotated and scaled so that their mean cross-product
//! is the identity, which takes units, scales and badly centred covariates out of the optimisation. Classes of levels with
//! covariances of their own have bases of their own: an effect then weighs the same in each of them.

use crate::api::model::{Column, Members, ModelData, RandomTerm, Structure};
use crate::basis::covariances::{LevelClasses, Levels};
use crate::linalg::small;
use crate::runtime::memory;
use crate::runtime::parallel::Workers;
use crate::runtime::partition::pieces;

const PIECE: usize = 65_536;

/// Weight, relative to the geometric mean of all, up to which a row tells what a term's coordinates are. A few rows that weigh
/// orders of magnitude more would leave next to nothing of a column beside the others, or of all other rows: coordinates in
/// which smallest variances are large ones.
const HEAVY: f64 = 1e3;

/// Change of basis of one term, or of one class of its levels: internal columns = columns * `change` (k x k, upper triangular).
#[derive(Debug, Clone)]
pub struct TermBasis {
    /// Term in the user's list.
    pub term: usize,
    /// The levels whose covariance matrix it belongs to.
    pub levels: Levels,
    /// Number of columns.
    pub k: usize,
    /// First column of the term among those of its grouping factor.
    pub offset: usize,
    /// Grouping factor, in the engine's order (0 is eliminated).
    pub factor: usize,
    /// Covariance structure.
    pub structure: Structure,
    /// k x k upper triangular, column-major.
    pub change: Vec<f64>,
}

impl TermBasis {
    /// B^-1, through the transpose of the upper triangular B: from effects of the user's columns to the internal ones.
    #[must_use]
    pub(crate) fn inverse(&self) -> Vec<f64> {
        let k = self.k;
        let mut transposed = memory::zeros(k * k);
        small::transpose(&self.change, k, &mut transposed);
        let lower = small::invert_lower(&transposed, k);
        small::transpose(&lower, k, &mut transposed);
        transposed
    }

    /// What each column is multiplied by, where none are mixed.
    #[must_use]
    pub(crate) fn scales(&self) -> Vec<f64> {
        (0..self.k).map(|i| self.change[i * self.k + i]).collect()
    }

    /// B G B': a covariance matrix of the internal effects as one of the user's.
    #[must_use]
    pub fn to_user(&self, g: &[f64]) -> Vec<f64> {
        let k = self.k;
        let mut half = memory::zeros(k * k);
        let mut out = memory::zeros(k * k);
        small::mul_nn(&self.change, g, k, k, k, &mut half);
        small::mul_nt(&half, &self.change, k, k, k, &mut out);
        out
    }
}

/// Terms of one grouping factor, in the user's numbering.
#[derive(Debug, Clone)]
pub struct FactorLayout {
    /// Index in the user's list; `None` for the empty factor that stands first where no factor can be eliminated level by
    /// level.
    pub user: Option<usize>,
    /// Number of levels.
    pub n_levels: usize,
    /// Columns of all its terms together.
    pub k: usize,
    /// Its terms: the first basis of each, those of further classes of levels follow.
    pub terms: Vec<usize>,
    /// Classes of its levels, each with covariances of its own: those of its terms, crossed where they differ.
    pub classes: Option<LevelClasses>,
}

impl FactorLayout {
    /// A factor without levels.
    fn empty() -> Self {
        Self {
            user: None,
            n_levels: 0,
            k: 1,
            terms: Vec::new(),
            classes: None,
        }
    }

    /// Class of a level; 0 where there are none.
    #[must_use]
    pub fn class(&self, level: usize) -> usize {
        let classes = self.classes.as_ref();
        classes.map_or(0, |classes| classes.of(level))
    }

    /// Levels of rows that may be members of several.
    #[must_use]
    pub fn members<'a>(&self, data: &ModelData<'a>) -> Option<Members<'a>> {
        data.factors[self.user?].members
    }

    /// Levels of row `i` from 0 and their weights; none for the empty factor.
    pub fn of_row<'a>(
        &self,
        data: &ModelData<'a>,
        i: usize,
    ) -> impl Iterator<Item = (usize, f64)> + 'a {
        let factor = self.user.map(|user| data.factors[user].of_row(i));
        factor.into_iter().flatten()
    }

    /// Level of each row from 1; none for the empty factor, and where rows are members of several levels.
    #[must_use]
    pub fn codes<'a>(&self, data: &ModelData<'a>) -> &'a [i32] {
        self.user.map_or(&[], |user| data.factors[user].codes)
    }
}

/// Bases of all terms, class after class within a term, and the factors in elimination order: the one with most effects first, of
/// those that may be (whose levels are independent given all else). The columns of `unmixed` terms are only scaled; `squares` are Z'WZ of a term's
/// columns over all rows of some levels, k x k (from rows: [`squares_of_rows`]).
#[must_use]
pub fn lay_out(
    data: &ModelData<'_>,
    may_be_first: impl Fn(&FactorLayout) -> bool,
    unmixed: &[bool],
    squares: impl Fn(usize, &Levels) -> Vec<f64>,
) -> (Vec<FactorLayout>, Vec<TermBasis>) {
    let mut factors: Vec<FactorLayout> = data
        .factors
        .iter()
        .enumerate()
        .map(|(user, f)| FactorLayout {
            user: Some(user),
            n_levels: f.n_levels,
            k: 0,
            terms: Vec::new(),
            classes: None,
        })
        .collect();
    let mut offsets = Vec::with_capacity(data.terms.len());
    let mut first = 0;
    for term in &data.terms {
        let factor = &mut factors[term.factor];
        offsets.push(factor.k);
        factor.k += term.columns.len();
        factor.terms.push(first);
        let own = classes_of(term);
        first += own.as_ref().map_or(1, LevelClasses::count);
        // those within which each term has one covariance matrix
        factor.classes = match (factor.classes.take(), own) {
            (Some(before), Some(own)) if before != own => Some(before.crossed_with(&own)),
            (before, own) => before.or(own),
        };
    }
    factors.retain(|f| f.k > 0);
    let eliminated = (0..factors.len())
        .filter(|&i| may_be_first(&factors[i]))
        .max_by_key(|&i| {
            // levels that count as many have to go before those that they are nested in
            let k = if data.is_counted() { 1 } else { factors[i].k };
            (factors[i].n_levels * k, std::cmp::Reverse(i))
        })
        .map_or_else(FactorLayout::empty, |first| factors.remove(first));
    factors.insert(0, eliminated);
    let n = data.n() as f64;
    let bases = data
        .terms
        .iter()
        .enumerate()
        .flat_map(|(t, term)| {
            let k = term.columns.len();
            let factor = factors
                .iter()
                .position(|f| f.user == Some(term.factor))
                .unwrap_or(0);
            let levels: Vec<Levels> = match (&factors[factor].classes, classes_of(term)) {
                (None, _) => vec![Levels::All],
                (Some(all), None) => vec![all.all()],
                (Some(all), Some(own)) => all.each_of(&own).collect(),
            };
            let (n_levels, offset) = (factors[factor].n_levels, offsets[t]);
            let unmixed = unmixed.get(t) == Some(&true);
            let squares = &squares;
            levels.into_iter().map(move |levels| {
                // relative to as many rows as these levels have on average
                let rows = match levels {
                    Levels::All => n,
                    Levels::Of { .. } => {
                        n * levels.among(n_levels).count() as f64 / n_levels as f64
                    }
                };
                let mut mean = squares(t, &levels);
                mean.iter_mut().for_each(|v| *v /= rows);
                TermBasis {
                    term: t,
                    levels,
                    k,
                    offset,
                    factor,
                    structure: term.structure,
                    change: whitening(&mean, k, term.structure, unmixed),
                }
            })
        })
        .collect();
    (factors, bases)
}

/// The classes of the levels of a term.
fn classes_of(term: &RandomTerm<'_>) -> Option<LevelClasses> {
    let classes = term.classes?;
    Some(LevelClasses::new(classes.codes, classes.count))
}

/// Weight at which rows count for the bases at most; infinite where none is much heavier than the others.
fn largest_weight(data: &ModelData<'_>) -> f64 {
    // weights of condensed rows are mostly numbers of observations
    let Some(weights) = data.weights.filter(|_| data.stands_for.is_none()) else {
        return f64::INFINITY;
    };
    let range = weights
        .iter()
        .fold((f64::INFINITY, 0.0), |(least, most), &w| {
            (w.min(least), w.max(most))
        });
    if range.1 <= HEAVY * range.0 {
        return f64::INFINITY;
    }
    let logs = weights.iter().map(|w| w.ln()).sum::<f64>();
    HEAVY * (logs / data.rows() as f64).exp()
}

/// Z'WZ of each term's columns over all rows of some levels, k x k, rows that are much heavier than the others counting for less.
pub fn squares_of_rows<'a>(
    data: &'a ModelData<'_>,
    workers: &'a Workers,
) -> impl Fn(usize, &Levels) -> Vec<f64> + 'a {
    let most = largest_weight(data);
    move |term, levels| cross_product(data, &data.terms[term], levels, most, workers)
}

/// Z'WZ of one term's columns over all rows of some levels, k x k, no weight counting for more than `most`.
fn cross_product(
    data: &ModelData<'_>,
    term: &RandomTerm<'_>,
    levels: &Levels,
    most: f64,
    workers: &Workers,
) -> Vec<f64> {
    let columns = &term.columns;
    let k = columns.len();
    let codes = match levels {
        Levels::All => None,
        Levels::Of { .. } => Some(data.factors[term.factor].codes),
    };
    let members = data.factors[term.factor].members;
    // Z_j'WZ_j summed over the levels of a row
    let times = |i: usize| {
        let squares = |members: Members<'_>| members.of_row(i).map(|(_, w)| w * w).sum();
        members.map_or(1.0, squares)
    };
    let is_own = |i: usize| codes.is_none_or(|codes| levels.contains(codes[i] as usize - 1));
    if k == 1 && matches!(columns[0], Column::Constant) && codes.is_none() && members.is_none() {
        let sum = |weights: &[f64]| weights.iter().map(|w| w.min(most)).sum();
        return vec![data.weights.map_or(data.rows() as f64, sum)];
    }
    let work = pieces(data.rows(), PIECE);
    let parts = workers.map(work.len(), |piece| {
        let mut total = memory::zeros(k * k);
        let mut z = memory::zeros(k);
        for i in work[piece].clone().filter(|&i| is_own(i)) {
            let w = times(i) * data.weights.map_or(1.0, |w| w[i].min(most));
            for (value, column) in z.iter_mut().zip(columns) {
                *value = column.at(i);
            }
            for a in 0..k {
                let wa = w * z[a];
                for b in a..k {
                    total[a * k + b] += wa * z[b];
                }
            }
        }
        total
    });
    let mut total = memory::zeros(k * k);
    for part in parts {
        total.iter_mut().zip(&part).for_each(|(a, b)| *a += b);
    }
    for a in 0..k {
        for b in a + 1..k {
            total[b * k + a] = total[a * k + b];
        }
    }
    total
}

/// Upper triangular B with B' mean B = I (unstructured), or a diagonal one (diagonal structures and rank-deficient bases), or
/// a multiple of the identity (structures that tie the columns' variances or correlations).
fn whitening(mean: &[f64], k: usize, structure: Structure, unmixed: bool) -> Vec<f64> {
    if structure == Structure::Fixed {
        // the determinants of a restricted likelihood are those of the user's columns
        return vec![1.0];
    }
    let scale: Vec<f64> = (0..k)
        .map(|i| {
            if mean[i * k + i] > 0.0 {
                1.0 / mean[i * k + i].sqrt()
            } else {
                1.0
            }
        })
        .collect();
    let mut change = memory::zeros(k * k);
    (0..k).for_each(|i| change[i * k + i] = scale[i]);
    if k == 1 {
        return change;
    }
    if !structure.is_closed_under_scaling() {
        let trace: f64 = (0..k).map(|i| mean[i * k + i]).sum();
        let common = if trace > 0.0 {
            (k as f64 / trace).sqrt()
        } else {
            1.0
        };
        (0..k).for_each(|i| change[i * k + i] = common);
        return change;
    }
    if unmixed || !structure.is_closed_under_rotation() {
        return change;
    }
    let mut l: Vec<f64> =
        memory::collect((0..k * k).map(|e| mean[e] * scale[e % k] * scale[e / k]));
    if !small::cholesky(&mut l, k) || (0..k).any(|i| l[i * k + i] < 1e-6) {
        return change;
    }
    // mean = D^-1 L L' D^-1 with D = diag(scale): B = D L^-T
    let inverse = small::invert_lower(&l, k);
    for c in 0..k {
        for i in 0..=c {
            change[c * k + i] = scale[i] * inverse[i * k + c];
        }
    }
    change
}
