//! Covariance parameters that are held at a value or tied to each other.
//!
//! The internal parameters are x = x_0 + A z with free variables z: a held parameter has a row of zeros in A, tied ones have
//! their only entry in the same column. The gradient in z is A'g, the Hessian A'HA, and an asymptotic covariance matrix of z
//! becomes A C A' for x.

use crate::basis::internal_theta::{FreeTheta, InternalTheta};
use crate::basis::parameters::Parameters;
use crate::runtime::memory;

/// Index and value of a parameter at a kink.
pub(crate) type Kink = (usize, f64);

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
    /// Variable and ratio of each parameter (`None`: held), the values of the held ones, and how many variables there are.
    pub fn new(place: Vec<Option<(usize, f64)>>, base: Vec<f64>, variables: usize) -> Self {
        Self {
            place,
            base,
            variables,
            kink: None,
        }
    }

    /// All of `x` are free.
    pub fn none(x: &InternalTheta) -> Self {
        Self {
            place: (0..x.len()).map(|a| Some((a, 1.0))).collect(),
            base: x.values().to_vec(),
            variables: x.len(),
            kink: None,
        }
    }

    /// Holds some parameters at their values in `x`.
    pub fn holding(x: &InternalTheta, held: impl Fn(usize) -> bool) -> Self {
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
            base: x.values().to_vec(),
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

    /// Is a parameter held?
    pub fn holds(&self, a: usize) -> bool {
        self.place[a].is_none()
    }

    /// Variables all of whose parameters are such.
    pub fn variables_of(&self, is_such: impl Fn(usize) -> bool) -> Vec<usize> {
        let mut out = vec![true; self.variables];
        for (a, place) in self.place.iter().enumerate() {
            if let Some((v, _)) = place {
                out[*v] &= is_such(a);
            }
        }
        (0..self.variables).filter(|&v| out[v]).collect()
    }

    /// The parameters from the `first` on, of the same variables.
    pub fn from(&self, first: usize) -> Self {
        Self {
            place: self.place[first..].to_vec(),
            base: self.base[first..].to_vec(),
            variables: self.variables,
            kink: None,
        }
    }

    /// Like `self`, with one more parameter held, at a kink; `None` where it is held or tied already.
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

    /// Like `self`, for (x, further) with one more parameter, which is free or not.
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

    /// The step of x that goes with one of a single variable.
    pub fn along(&self, variable: usize) -> Vec<f64> {
        let ratio = |place: &Option<(usize, f64)>| match place {
            Some((own, ratio)) if *own == variable => *ratio,
            _ => 0.0,
        };
        self.place.iter().map(ratio).collect()
    }

    /// x of z.
    pub fn expand(&self, z: &FreeTheta) -> InternalTheta {
        InternalTheta::new(self.values(z))
    }

    /// The numbers of x of z; after [`Self::from`], phi alone.
    pub fn values(&self, FreeTheta(z): &FreeTheta) -> Vec<f64> {
        self.place
            .iter()
            .zip(&self.base)
            .map(|(place, base)| place.map_or(*base, |(v, ratio)| ratio * z[v]))
            .collect()
    }

    /// The nearest x at which held and tied parameters have their values.
    pub fn allowed(&self, x: &InternalTheta) -> InternalTheta {
        self.expand(&self.variables_at(x))
    }

    /// z of an x (of the first parameter of each variable).
    pub fn variables_at(&self, x: &InternalTheta) -> FreeTheta {
        let mut z = vec![f64::NAN; self.variables];
        for (place, value) in self.place.iter().zip(x.values()) {
            if let Some((v, ratio)) = place {
                if z[*v].is_nan() {
                    z[*v] = value / ratio;
                }
            }
        }
        FreeTheta(z)
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
