//! Residual (R-side) structures: eps ~ N(0, sigma^2 R), R = D C D in each residual group, groups independent.
//!
//! D = diag(d_i) holds the variance functions, C the correlations, both as in Pinheiro & Bates (2000), chapter 5. Precision
//! weights are the caller's: a model with weights W has W^-1/2 R W^-1/2.
//!
//! Rows are handled in the order of [`Residual::order`]: groups one after another, by position within each. Groups with the
//! same positions (for stationary structures: with the same gaps) share one correlation matrix, a *pattern*. C^-1 is kept
//! by pattern: tridiagonal for AR(1), its continuous-time form, the exponential in one dimension and ante-dependence; two
//! numbers for compound symmetry; dense otherwise.
//!
//! Correlations are those of [`crate::structure::correlation`]; the parameters of variance functions are
//!
//! | function | natural parameters | internal parameters |
//! |---|---|---|
//! | ident | d_s / d_1, s = 2, ... | log |
//! | power | delta | delta |
//! | exponential | delta | delta times the covariate's standard deviation |
//! | constant and power | constants, then powers | log constants, powers |
//!
//! Every formula is written once, generic in its number type; hyper-dual numbers turn it into exact derivatives.

use std::ops::Range;
use std::sync::LazyLock;

use crate::api::error::EngineError;
use crate::api::model::ResidualStructure;
use crate::linalg::hyperdual::{HyperDual, Scalar};
use crate::structure::correlation::domain::Domain;
use crate::structure::correlation::structure::{Components, Inverse};
use crate::structure::residual::by_class::ByClass;
use crate::structure::residual::layout::Layout;
use crate::structure::residual::scale;

/// Places that one piece of work covers.
pub(crate) const PLACES: usize = 8192;

/// Patterns that one piece of work covers.
pub(crate) const PATTERNS: usize = 16;

/// Inverse scales whose squares, times anything, are numbers.
pub(crate) const SCALES: Range<f64> = 1e-130..1e130;

/// Change of a correlation on the way from internal to natural parameters and back that makes no difference.
const TOLD: f64 = 1e-6;

/// Halvings of a spatial range in search of a positive definite start.
const HALVINGS: usize = 60;

/// A residual structure with everything that does not depend on its parameters.
#[derive(Debug, Clone)]
pub struct Residual {
    pub(super) layout: Layout,
    pub(super) correlation: Option<ByClass>,
    pub(super) scales: Vec<scale::Term>,
    /// For how many rows each place stands; empty: for one.
    pub(super) times: Vec<f64>,
    /// First parameter of each scale, and the end.
    pub(crate) first: Vec<usize>,
    pub(crate) start: Vec<f64>,
    pub(crate) held: Vec<bool>,
}

impl Residual {
    /// Independent rows of one variance: no parameters. It stands where a model has no residual structure.
    #[must_use]
    pub fn independent() -> &'static Self {
        static INDEPENDENT: LazyLock<Residual> = LazyLock::new(|| Residual {
            layout: Layout::independent(0),
            correlation: None,
            scales: Vec::new(),
            times: Vec::new(),
            first: vec![0],
            start: Vec::new(),
            held: Vec::new(),
        });
        &INDEPENDENT
    }

    /// Checks and sorts the structure of `n` rows.
    ///
    /// # Errors
    /// [`EngineError::Dimension`], [`EngineError::NotFinite`], [`EngineError::DuplicatePosition`],
    /// [`EngineError::SingleRowGroups`], [`EngineError::LongResidualGroup`], [`EngineError::ZeroCovariate`] or
    /// [`EngineError::ResidualStart`].
    pub fn new(structure: &ResidualStructure<'_>, n: usize) -> Result<Self, EngineError> {
        let (layout, correlation) = match &structure.correlation {
            None => (Layout::independent(n), None),
            Some(correlation) => {
                let (layout, own) = Layout::new(structure, correlation, n)?;
                (layout, Some(own))
            }
        };
        let scales = structure
            .scales
            .iter()
            .map(|scale| scale::Term::new(scale, &layout.order))
            .collect::<Result<Vec<_>, _>>()?;
        let mut first = vec![correlation.map_or(0, ByClass::len)];
        for scale in &scales {
            first.push(first[first.len() - 1] + scale.len());
        }
        let mut residual = Self {
            layout,
            correlation,
            scales,
            times: Vec::new(),
            first,
            start: Vec::new(),
            held: structure.held.clone(),
        };
        residual.choose_start(&structure.start)?;
        Ok(residual)
    }

    fn choose_start(&mut self, given: &[f64]) -> Result<(), EngineError> {
        let refuse = |text: &str| Err(EngineError::ResidualStart(text.to_owned()));
        let m = self.len();
        if !given.is_empty() && given.len() != m {
            return refuse("starting values must be as many as the residual parameters");
        }
        if self.held.is_empty() {
            self.held = vec![false; m];
        }
        if self.held.len() != m {
            return refuse("`held` must be as long as the residual parameters");
        }
        let correlation = self.correlation;
        let family = correlation.map(|c| c.family);
        for (class, own) in correlation
            .into_iter()
            .flat_map(|c| (0..c.classes).map(move |class| (class, c.own(class))))
        {
            let held = &self.held[own];
            let all_held = held.iter().all(|&h| h);
            let separate = family.is_none_or(|f| f.is_separate());
            if !separate && !all_held && held.iter().any(|&h| h) {
                return refuse("the correlations of this structure can only be held all together");
            }
            let mut patterns = self.layout.patterns.iter();
            if !all_held && patterns.all(|p| p.class != class || p.m() < 2) {
                return Err(EngineError::SingleRowGroups);
            }
        }
        let mut natural = match correlation {
            Some(c) => c.repeated(&c.family.start(self.layout.typical_distance(c.family))),
            None => Vec::new(),
        };
        let chosen = given.first().is_none_or(|v| v.is_nan());
        let by_unit = family.is_some_and(|f| f.is_by_unit());
        if chosen && by_unit && !(1e-300..1.0 - 1e-13).contains(&natural[0]) {
            return Err(EngineError::CorrelationOfUnit);
        }
        natural.extend(self.scales.iter().flat_map(scale::Term::start));
        for (value, &given) in natural.iter_mut().zip(given) {
            if !given.is_nan() {
                *value = given;
            }
        }
        let has_range = family.is_some_and(|f| f.metric().is_some());
        let halvings = if chosen && has_range { HALVINGS } else { 0 };
        for _ in 0..=halvings {
            match self.internal(&natural) {
                None => break,
                Some(phi) if self.is_far(&phi) => return Err(EngineError::FarScale),
                Some(phi) if self.at(&phi).is_some() => {
                    self.start = phi;
                    return Ok(());
                }
                Some(_) => {
                    for class in 0..correlation.map_or(0, |c| c.classes) {
                        let range = correlation.map_or(0, |c| c.own(class).start);
                        natural
                            .iter_mut()
                            .skip(range)
                            .take(1)
                            .for_each(|v| *v *= 0.5);
                    }
                }
            }
        }
        refuse("the starting values of the residual structure give no positive definite matrix")
    }

    /// Number of parameters phi: those of the correlation, then those of each scale.
    #[must_use]
    pub fn len(&self) -> usize {
        self.first[self.scales.len()]
    }

    /// Whether there is no parameter.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of correlation parameters.
    #[must_use]
    pub fn correlations(&self) -> usize {
        self.first[0]
    }

    /// Rows (from 0) by group, by position within the group (in space and without positions: in their own order).
    #[must_use]
    pub fn order(&self) -> &[u32] {
        &self.layout.order
    }

    /// Number of groups; without correlation each row is one.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.layout.groups()
    }

    /// Places of a group in [`Self::order`].
    #[must_use]
    pub fn group(&self, g: usize) -> Range<usize> {
        self.layout.group(g)
    }

    /// Pattern of a group.
    #[must_use]
    pub fn pattern_of(&self, g: usize) -> usize {
        self.layout.pattern_of[g] as usize
    }

    /// Number of patterns.
    #[must_use]
    pub fn patterns(&self) -> usize {
        self.layout.patterns.len()
    }

    /// Number of groups with this pattern, all those counted that others stand for.
    #[must_use]
    pub fn count(&self, pattern: usize) -> usize {
        self.layout.patterns[pattern].count
    }

    /// Rows of one group with this pattern.
    #[must_use]
    pub fn rows(&self, pattern: usize) -> usize {
        self.layout.patterns[pattern].m()
    }

    /// Internal parameters to start from.
    #[must_use]
    pub fn start(&self) -> Vec<f64> {
        self.start.clone()
    }

    /// The log range nearest to that of `phi` at which a linear correlation ends just at some distance between rows: the
    /// criterion has a kink in the first parameter there. `None` for other structures and for a range that is held.
    pub(crate) fn kink(&self, phi: &[f64]) -> Option<f64> {
        if !self.correlation?.family.has_kinks() || self.held[0] {
            return None;
        }
        let distances = self.layout.patterns.iter().flat_map(|p| &p.distances);
        distances
            .filter(|d| **d > 0.0)
            .map(|d| d.ln())
            .min_by(|a, b| (a - phi[0]).abs().total_cmp(&(b - phi[0]).abs()))
    }

    /// Which parameters stay where they start.
    #[must_use]
    pub fn held(&self) -> &[bool] {
        &self.held
    }

    /// Natural parameters that no row, or no two rows of a group, depend on: a pair of visits that no group has, a stratum
    /// without rows. The criterion says nothing about them.
    #[must_use]
    pub fn unseen(&self) -> Vec<usize> {
        let mut seen = vec![false; self.len()];
        if let Some(correlation) = self.correlation {
            let family = correlation.family;
            // one pair of rows is as good as any where all parameters depend on all pairs
            let neighbours = family.inverse() == Inverse::Tridiagonal || family.is_separate();
            for pattern in &self.layout.patterns {
                for t in pattern.places.clone().skip(1) {
                    let first = if neighbours {
                        t - 1
                    } else {
                        pattern.places.start
                    };
                    for s in first..t {
                        let (x, y) = (self.layout.point(s), self.layout.point(t));
                        family.mark(x, y, &mut seen[correlation.own(pattern.class)]);
                    }
                }
            }
        }
        for (k, scale) in self.scales.iter().enumerate() {
            let own = &mut seen[self.own(k)];
            for place in 0..self.layout.order.len() {
                for touched in scale.touched(place).into_iter().flatten() {
                    own[touched] = true;
                }
            }
        }
        (0..seen.len()).filter(|&a| !seen[a]).collect()
    }

    /// Parameters of scale `k` among all.
    pub(crate) fn own(&self, k: usize) -> Range<usize> {
        self.first[k]..self.first[k + 1]
    }

    /// Internal parameters of natural ones; `None` outside of the parameter space.
    #[must_use]
    pub fn internal(&self, natural: &[f64]) -> Option<Vec<f64>> {
        if natural.len() != self.len() || natural.iter().any(|v| !v.is_finite()) {
            return None;
        }
        let mut phi = match self.correlation {
            Some(correlation) => correlation.internal(&natural[..self.first[0]])?,
            None => Vec::new(),
        };
        for (k, scale) in self.scales.iter().enumerate() {
            phi.extend(scale.internal(&natural[self.own(k)])?);
        }
        Some(phi)
    }

    /// Whether natural parameters, which a fit keeps, tell the correlation of neighbours: that at one unit of a time may be 0 or 1
    /// for a double where theirs is not.
    #[must_use]
    pub fn can_be_told(&self, phi: &[f64]) -> bool {
        let Some(correlation) = self.correlation.filter(|c| c.family.is_by_unit()) else {
            return true;
        };
        let distance = self.layout.typical_distance(correlation.family);
        let neighbours = |phi: &[f64]| -> Vec<f64> {
            let laws = correlation.laws(&phi[..self.first[0]], 0).into_iter();
            laws.map(|law| law.between(&[0.0], &[distance])).collect()
        };
        self.internal(&self.natural(phi)).is_some_and(|back| {
            let both = neighbours(&back).into_iter().zip(neighbours(phi));
            both.into_iter().all(|(a, b)| (a - b).abs() <= TOLD)
        })
    }

    fn natural_of<S: Scalar>(&self, phi: &[S]) -> Vec<S> {
        let mut natural = match self.correlation {
            Some(correlation) => correlation.natural(&phi[..self.first[0]]),
            None => Vec::new(),
        };
        for (k, scale) in self.scales.iter().enumerate() {
            natural.extend(scale.natural(&phi[self.own(k)]));
        }
        natural
    }

    /// What kind of number each natural parameter is.
    #[must_use]
    pub fn kinds(&self) -> Vec<Domain> {
        let mut kinds = self.correlation.map_or_else(Vec::new, ByClass::domains);
        kinds.extend(self.scales.iter().flat_map(scale::Term::kinds));
        kinds
    }

    /// Variance components as SAS has them, where sigma^2 is `tau`: covariances where R is free or one variance and
    /// covariances make it up (UN, CS, TOEP), variances of strata instead of ratios, otherwise natural parameters.
    pub(crate) fn components(&self, phi: &[HyperDual], tau: HyperDual) -> Vec<HyperDual> {
        let mut out = self.natural_of(phi);
        let correlations = self.first[0];
        let own_variances = match self.scales.as_slice() {
            [] => false,
            [scale] => scale.is_ident(),
            _ => return out,
        };
        if let Some(covariances) = self.covariances(&out, tau) {
            out[..correlations].copy_from_slice(&covariances);
        }
        if own_variances {
            out[correlations..]
                .iter_mut()
                .for_each(|ratio| *ratio = ratio.square() * tau);
        }
        out
    }

    /// Covariances in the place of correlations, where these and the standard deviations of classes, or of visits in
    /// classes, make R up; `natural` are all parameters.
    fn covariances(&self, natural: &[HyperDual], tau: HyperDual) -> Option<Vec<HyperDual>> {
        let correlation = self.correlation?;
        // pairs of cells whose covariances the parameters of a class are
        let (visits, pairs): (usize, Vec<(usize, usize)>) = match correlation.family.components() {
            Components::Covariances => (1, vec![(0, 0); correlation.family.len()]),
            Components::Pairs(visits) => (
                visits,
                (0..visits)
                    .flat_map(|j| (j + 1..visits).map(move |i| (i, j)))
                    .collect(),
            ),
            Components::Natural => return None,
        };
        let strata = match self.scales.as_slice() {
            [] => None,
            [_] => Some(self.strata_of_cells(correlation.classes, visits)?),
            _ => return None,
        };
        let ratios = &natural[correlation.len()..];
        let deviation = |class: usize, visit: usize| {
            let stratum = strata.as_ref().map_or(0, |s| s[class * visits + visit]);
            let ratio = stratum.checked_sub(1).map(|ratio| ratios[ratio]);
            ratio.unwrap_or(HyperDual::constant(1.0))
        };
        let of_class = |class: usize| {
            let rho = &natural[correlation.own(class)];
            pairs
                .iter()
                .zip(rho)
                .map(move |(&pair, &rho)| (class, pair, rho))
        };
        let all = (0..correlation.classes).flat_map(of_class);
        Some(
            all.map(|(class, (i, j), rho)| rho * deviation(class, i) * deviation(class, j) * tau)
                .collect(),
        )
    }

    /// Stratum of the only variance function, from 0, at each visit of each class, visit after visit; `visits` is 1 where they
    /// do not matter. `None` where a stratum is anything but such a cell, or not all of them occur.
    fn strata_of_cells(&self, classes: usize, visits: usize) -> Option<Vec<usize>> {
        let scale = &self.scales[0];
        if !scale.is_ident() || scale.len() + 1 != classes * visits {
            return None;
        }
        let mut strata = vec![None; classes * visits];
        for g in 0..self.groups() {
            let class = self.layout.patterns[self.pattern_of(g)].class;
            for place in self.group(g) {
                let visit = if visits > 1 {
                    self.layout.point(place)[0] as usize - 1
                } else {
                    0
                };
                let own = *strata[class * visits + visit].get_or_insert(scale.stratum(place));
                if own != scale.stratum(place) {
                    return None;
                }
            }
        }
        let mut strata: Vec<usize> = strata.into_iter().collect::<Option<_>>()?;
        let found = strata.clone();
        strata.sort_unstable();
        strata.dedup();
        (strata.len() == found.len()).then_some(found)
    }

    /// Natural parameters, those that users see.
    #[must_use]
    pub fn natural(&self, phi: &[f64]) -> Vec<f64> {
        self.natural_of(phi)
    }

    /// d natural_i / d phi_a, column-major.
    #[must_use]
    pub fn natural_jacobian(&self, phi: &[f64]) -> Vec<f64> {
        (0..phi.len())
            .flat_map(|a| self.natural_of(&HyperDual::seeded(phi, a, a)))
            .map(|v| v.a)
            .collect()
    }

    /// d2 natural_i / d phi_a d phi_b.
    #[must_use]
    pub fn natural_second(&self, phi: &[f64], a: usize, b: usize) -> Vec<f64> {
        let natural = self.natural_of(&HyperDual::seeded(phi, a, b));
        natural.into_iter().map(|v| v.ab).collect()
    }

    /// Number of rows that a place stands for.
    pub(crate) fn times_of(&self, place: usize) -> f64 {
        self.times.get(place).copied().unwrap_or(1.0)
    }

    /// Whether there are variance functions.
    #[must_use]
    pub fn has_scales(&self) -> bool {
        !self.scales.is_empty()
    }

    /// log d of a place.
    pub(crate) fn log_scale(&self, phi: &[f64], place: usize) -> f64 {
        let scales = self.scales.iter().enumerate();
        scales
            .map(|(k, scale)| scale.log_at(&phi[self.own(k)], place))
            .sum()
    }
}
