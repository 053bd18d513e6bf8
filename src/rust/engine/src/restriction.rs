//! Covariance parameters that are held at a value or tied to each other.
//!
//! The internal parameters are x = x_0 + A z with free variables z: a held parameter has a row of zeros in A, tied ones have
//! their only entry in the same column. The gradient in z is A'g, the Hessian A'HA, and an asymptotic covariance matrix of z
//! becomes A C A' for x.

use crate::covariance::Parameters;
use crate::criterion::Criterion;
use crate::error::EngineError;
use crate::kink::{self, Kink};
use crate::memory;
use crate::optimize::{Objective, Wanted};
use crate::options::Options;
use crate::random_basis::TermBasis;
use crate::raw::raw_parameters;
use crate::residual_rows::ResidualPart;
use crate::terms::{ModelData, Structure};

/// What each parameter is: held, or a multiple of a variable.
#[derive(Debug, Clone)]
pub(crate) struct Restriction {
    /// Variable and ratio of each parameter; `None`: held.
    place: Vec<Option<(usize, f64)>>,
    /// Values of the held ones.
    base: Vec<f64>,
    variables: usize,
    /// The held parameter that is at a kink of the criterion.
    kink: Option<usize>,
}

impl Restriction {
    /// All of `x` are free.
    pub fn none(x: &[f64]) -> Self {
        Self {
            place: (0..x.len()).map(|a| Some((a, 1.0))).collect(),
            base: x.to_vec(),
            variables: x.len(),
            kink: None,
        }
    }

    /// Holds some parameters at their values in `x`.
    pub fn holding(x: &[f64], held: impl Fn(usize) -> bool) -> Self {
        let mut variables = 0;
        let place = (0..x.len())
            .map(|a| {
                let own = (!held(a)).then_some((variables, 1.0));
                variables += usize::from(own.is_some());
                own
            })
            .collect();
        Self {
            place,
            base: x.to_vec(),
            variables,
            kink: None,
        }
    }

    /// Is a parameter a variable of its own, neither held nor tied to another?
    pub fn is_free(&self, a: usize) -> bool {
        let variable = |place: &Option<(usize, f64)>| place.map(|(variable, _)| variable);
        let own = variable(&self.place[a]);
        let users = self.place.iter().filter(|place| variable(place) == own);
        own.is_some() && users.count() == 1
    }

    /// The same with one more parameter held, at a kink; `None` where it is held or tied already.
    pub fn held_at(mut self, (a, value): Kink) -> Option<Self> {
        if self.is_restricted(a) {
            return None;
        }
        let (own, _) = self.place[a].take()?;
        for (v, _) in self.place.iter_mut().flatten() {
            if *v > own {
                *v -= 1;
            }
        }
        self.base[a] = value;
        self.variables -= 1;
        self.kink = Some(a);
        Some(self)
    }

    /// The parameter that is held because the criterion has a kink there.
    pub fn kink(&self) -> Option<usize> {
        self.kink
    }

    /// Number of free variables.
    pub fn variables(&self) -> usize {
        self.variables
    }

    /// The same for (x, further), one more parameter that is free or not.
    pub fn with_another(&self, value: f64, free: bool) -> Self {
        let mut out = self.clone();
        out.place.push(free.then_some((self.variables, 1.0)));
        out.base.push(value);
        out.variables += usize::from(free);
        out
    }

    /// A dz: the step of x that goes with one of z.
    pub fn step(&self, dz: &[f64]) -> Vec<f64> {
        let along = |place: &Option<(usize, f64)>| place.map_or(0.0, |(v, ratio)| ratio * dz[v]);
        self.place.iter().map(along).collect()
    }

    /// x of z.
    pub fn expand(&self, z: &[f64]) -> Vec<f64> {
        self.place
            .iter()
            .zip(&self.base)
            .map(|(place, base)| place.map_or(*base, |(v, ratio)| ratio * z[v]))
            .collect()
    }

    /// z of an x (of the first parameter of each variable).
    pub fn variables_at(&self, x: &[f64]) -> Vec<f64> {
        let mut z = vec![f64::NAN; self.variables];
        for (place, value) in self.place.iter().zip(x) {
            if let Some((v, ratio)) = place {
                if z[*v].is_nan() {
                    z[*v] = value / ratio;
                }
            }
        }
        z
    }

    /// A'g.
    pub fn gradient(&self, g: &[f64]) -> Vec<f64> {
        let mut out = memory::zeros(self.variables);
        for (place, value) in self.place.iter().zip(g) {
            if let Some((v, ratio)) = place {
                out[*v] += ratio * value;
            }
        }
        out
    }

    /// A'HA.
    pub fn hessian(&self, h: &[f64]) -> Vec<f64> {
        let (m, d) = (self.place.len(), self.variables);
        let mut out = memory::zeros(d * d);
        for (j, b) in self.place.iter().enumerate() {
            for (i, a) in self.place.iter().enumerate() {
                if let (Some((v, x)), Some((w, y))) = (a, b) {
                    out[w * d + v] += x * y * h[j * m + i];
                }
            }
        }
        out
    }

    /// A C A' for a covariance matrix of (z, further variables) of order d + `more`.
    pub fn covariance(&self, c: &[f64], more: usize) -> Vec<f64> {
        let (m, d) = (self.place.len(), self.variables);
        let place = |a: usize| -> Option<(usize, f64)> {
            if a < m {
                self.place[a]
            } else {
                Some((d + a - m, 1.0))
            }
        };
        let (small, large) = (d + more, m + more);
        let mut out = memory::zeros(large * large);
        for b in 0..large {
            for a in 0..large {
                if let (Some((v, x)), Some((w, y))) = (place(a), place(b)) {
                    out[b * large + a] = x * y * c[w * small + v];
                }
            }
        }
        out
    }

    /// Size of each variable: of its smallest parameter.
    pub fn scale(&self, scale: &[f64]) -> Vec<f64> {
        let mut out = vec![f64::INFINITY; self.variables];
        for (place, s) in self.place.iter().zip(scale) {
            if let Some((v, ratio)) = place {
                out[*v] = out[*v].min(s / ratio.abs());
            }
        }
        out
    }

    /// Whether any parameter of a term is held or tied.
    pub fn touches(&self, parameters: &Parameters, term: usize) -> bool {
        (parameters.start[term]..parameters.start[term + 1]).any(|a| self.is_restricted(a))
    }

    fn is_restricted(&self, a: usize) -> bool {
        match self.place[a] {
            None => true,
            Some((v, _)) => {
                let others = self.place.iter().enumerate();
                others
                    .filter(|(b, _)| *b != a)
                    .any(|(_, place)| place.is_some_and(|(w, _)| w == v))
            }
        }
    }
}

/// A criterion in its free variables.
pub(crate) struct Restricted<'a, 'b> {
    pub criterion: &'a mut Criterion<'b>,
    pub restriction: &'a Restriction,
}

impl Objective for Restricted<'_, '_> {
    fn value(&mut self, z: &[f64]) -> Option<f64> {
        self.criterion.value(&self.restriction.expand(z))
    }

    fn derivatives(&mut self, wanted: Wanted) -> (Vec<f64>, Vec<f64>, bool) {
        let (gradient, hessian, is_exact) = self.criterion.derivatives(wanted);
        (
            self.restriction.gradient(&gradient),
            self.restriction.hessian(&hessian),
            is_exact,
        )
    }

    fn learns(&self) -> bool {
        self.criterion.learns()
    }

    fn scale(&self, z: &[f64]) -> Vec<f64> {
        let x = self.restriction.expand(z);
        self.restriction.scale(&self.criterion.scale(&x))
    }

    fn noise(&self, f: f64) -> f64 {
        self.criterion.noise(f)
    }
}

/// Terms with a parameter that is held or tied: their bases must not mix columns.
pub(crate) fn restricted_terms(data: &ModelData<'_>, options: &Options) -> Vec<bool> {
    let mut at = 0;
    data.terms
        .iter()
        .map(|term| {
            let k = term.columns.len();
            let own = at..at + crate::covariance::covariance(term.structure, k).len();
            at = own.end;
            own.clone().any(|a| {
                options.hold.get(a).is_some_and(|v| !v.is_nan())
                    || options.tie.get(a).is_some_and(|set| {
                        options.tie.iter().filter(|other| *other == set).count() > 1
                    })
            })
        })
        .collect()
}

/// The restriction that the options ask for; `start` are internal parameters at which held ones have their values.
pub(crate) fn restriction(
    data: &ModelData<'_>,
    options: &Options,
    parameters: &Parameters,
    bases: &[TermBasis],
    residual: Option<&ResidualPart>,
    start: &[f64],
) -> Result<Option<Restriction>, EngineError> {
    let m = parameters.len();
    let terms = parameters.list.len();
    let held = |a: usize| {
        options.hold.get(a).is_some_and(|v| !v.is_nan())
            || (a >= terms && residual.is_some_and(|part| part.model.held()[a - terms]))
    };
    // derivatives at a given point do not exist in the direction of a kink
    let at_kink = residual
        .filter(|_| !options.optimize)
        .and_then(|part| kink::given(terms, part.model.kink(&start[terms..]), start))
        .filter(|&(a, _)| !held(a));
    let set = |a: usize| options.tie.get(a).copied();
    let tied = |a: usize| set(a).is_some() && (0..m).any(|b| b != a && set(b) == set(a));
    if !(0..m).any(|a| held(a) || tied(a)) {
        return Ok(at_kink.and_then(|kink| Restriction::none(start).held_at(kink)));
    }
    let mut place: Vec<Option<(usize, f64)>> = Vec::with_capacity(m);
    let mut of_set: Vec<(usize, usize, f64)> = Vec::new();
    let mut variables = 0;
    for a in 0..m {
        if held(a) {
            place.push(None);
            continue;
        }
        // natural = unit * internal
        let unit = unit(data, parameters, bases, a);
        let known = of_set.iter().find(|(s, _, _)| set(a) == Some(*s));
        if let (true, Some(&(_, variable, first))) = (tied(a), known) {
            place.push(Some((variable, first / unit)));
            continue;
        }
        if tied(a) {
            of_set.push((set(a).unwrap_or(a), variables, unit));
        }
        place.push(Some((variables, 1.0)));
        variables += 1;
    }
    let restriction = Restriction {
        place,
        base: start.to_vec(),
        variables,
        kink: None,
    };
    let natural = |x: &[f64]| {
        let of_terms = bases
            .iter()
            .enumerate()
            .flat_map(|(t, basis)| raw_parameters(basis, parameters, x, t));
        let phi = residual.map_or_else(Vec::new, |part| {
            part.model.natural(parameters.of_residual(x))
        });
        of_terms.chain(phi).collect::<Vec<f64>>()
    };
    check_natural(&restriction, start, natural, options)?;
    Ok(match at_kink {
        Some(kink) => restriction.clone().held_at(kink).or(Some(restriction)),
        None => Some(restriction),
    })
}

/// Whether natural parameters that are held or tied stay so as the free variables move: an internal parameter that stands
/// still does not make a natural one stand still that depends on others too (a correlation of toep() on all partial ones of
/// smaller lags, one of us() on two rows of the factor).
fn check_natural(
    restriction: &Restriction,
    start: &[f64],
    natural: impl Fn(&[f64]) -> Vec<f64>,
    options: &Options,
) -> Result<(), EngineError> {
    let z = restriction.variables_at(start);
    for sign in [1.0, -1.0] {
        let moved: Vec<f64> = z
            .iter()
            .enumerate()
            .map(|(v, value)| {
                let share = 0.05 * (1.0 + 0.37 * (v % 5) as f64);
                value + sign * share * value.abs().max(0.2)
            })
            .collect();
        let there = natural(&restriction.expand(&moved));
        let same = |x: f64, y: f64| (x - y).abs() <= 1e-8 * x.abs().max(y.abs()).max(1e-4);
        for (a, value) in there.iter().enumerate() {
            let held = options
                .hold
                .get(a)
                .is_some_and(|h| !h.is_nan() && !same(*h, *value));
            let set = options.tie.get(a);
            let tied = set.is_some()
                && (0..a).any(|b| options.tie.get(b) == set && !same(there[b], *value));
            if held || tied {
                return Err(EngineError::Restriction { parameter: a });
            }
        }
    }
    Ok(())
}

/// Natural over internal value of a standard deviation or factor entry; 1 for the others.
fn unit(data: &ModelData<'_>, parameters: &Parameters, bases: &[TermBasis], a: usize) -> f64 {
    let Some(parameter) = parameters.list.get(a) else {
        return 1.0;
    };
    let basis = &bases[parameter.term];
    match parameter.entries.first() {
        Some(&(row, _)) => basis.change[row * basis.k + row],
        None => {
            let homogeneous = matches!(
                data.terms[parameter.term].structure,
                Structure::Correlated {
                    homogeneous: true,
                    ..
                }
            );
            if homogeneous && parameter.index == 0 {
                basis.change[0]
            } else {
                1.0
            }
        }
    }
}
