//! Which parameters are held at a value or tied to each other.

use crate::api::error::EngineError;
use crate::api::model::ModelData;
use crate::api::options::Options;
use crate::api::theta::UserTheta;
use crate::basis::internal_theta::{FreeTheta, InternalTheta};
use crate::basis::parameters::Parameters;
use crate::basis::random::TermBasis;
use crate::basis::restriction::Restriction;
use crate::basis::user::user_parameters;
use crate::search::kink;
use crate::structure::residual::Residual;

/// Terms with a parameter that is held or tied: their bases must not mix columns.
pub(crate) fn restricted_terms(data: &ModelData<'_>, options: &Options) -> Vec<bool> {
    let mut at = 0;
    data.terms
        .iter()
        .map(|term| {
            let k = term.columns.len();
            let each = crate::structure::random::covariance(term.structure, k).len();
            let own = at..at + each * term.classes.map_or(1, |classes| classes.count);
            at = own.end;
            own.clone().any(|a| {
                options.held_at(a).is_some()
                    || options.tie.get(a).is_some_and(|set| {
                        options.tie.iter().filter(|other| *other == set).count() > 1
                    })
            })
        })
        .collect()
}

/// The restriction that the options ask for; `start` are internal parameters at which held ones have their values.
pub(crate) fn restriction(
    options: &Options,
    parameters: &Parameters,
    bases: &[TermBasis],
    model: &Residual,
    start: &InternalTheta,
) -> Result<Option<Restriction>, EngineError> {
    let m = parameters.len();
    let terms = parameters.list.len();
    let held = |a: usize| options.held_at(a).is_some() || (a >= terms && model.held()[a - terms]);
    // derivatives at a given point do not exist in the direction of a kink
    let at_kink = kink::given(terms, model.kink(parameters.of_residual(start)), start)
        .filter(|&(a, _)| !options.optimize && !held(a));
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
        let unit = unit(parameters, bases, a);
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
    let restriction = Restriction::new(place, start.values().to_vec(), variables);
    let natural = |x: &InternalTheta| {
        let of_terms = bases
            .iter()
            .enumerate()
            .flat_map(|(t, basis)| user_parameters(basis, parameters, x, t));
        let phi = model.natural(parameters.of_residual(x));
        of_terms.chain(phi).collect::<Vec<f64>>()
    };
    check_natural(&restriction, start, natural, options)?;
    Ok(match at_kink {
        Some(kink) => restriction.clone().held_at(kink).or(Some(restriction)),
        None => Some(restriction),
    })
}

/// Checks that natural parameters that are held or tied stay so as the free variables move: holding an internal parameter does
/// not hold a natural one that depends on others too (a correlation of toep() on all partial ones of smaller lags, one of us()
/// on two rows of the factor).
fn check_natural(
    restriction: &Restriction,
    start: &InternalTheta,
    natural: impl Fn(&InternalTheta) -> Vec<f64>,
    options: &Options,
) -> Result<(), EngineError> {
    let FreeTheta(z) = restriction.variables_at(start);
    for sign in [1.0, -1.0] {
        let moved: Vec<f64> = z
            .iter()
            .enumerate()
            .map(|(v, value)| {
                let share = 0.05 * (1.0 + 0.37 * (v % 5) as f64);
                value + sign * share * value.abs().max(0.2)
            })
            .collect();
        let there = natural(&restriction.expand(&FreeTheta(moved)));
        let same = |x: f64, y: f64| (x - y).abs() <= 1e-8 * x.abs().max(y.abs()).max(1e-4);
        for (a, value) in there.iter().enumerate() {
            let held = options.held_at(a).is_some_and(|held| !same(held, *value));
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

/// Steps of an internal parameter between which a natural one is looked for.
const STEPS: [f64; 12] = [
    0.05, 0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0,
];

/// The user's parameters near `start` at which each held one has its value: where beside a held correlation those of the start
/// are impossible, internal coordinates know others that are not. A natural parameter that can be held depends on its own internal
/// one and on others that are held: its own is moved until the natural one is right.
///
/// # Errors
/// [`EngineError::HeldValue`] where that is nowhere, [`EngineError::Restriction`] where it depends on free ones, too.
pub(crate) fn beside_held(
    options: &Options,
    start: &InternalTheta,
    natural: impl Fn(&InternalTheta) -> UserTheta,
) -> Result<UserTheta, EngineError> {
    let mut x = start.clone();
    let held = |a: usize| options.held_at(a);
    for parameter in 0..x.len() {
        let Some(value) = held(parameter) else {
            continue;
        };
        let at = |b: usize, moved: f64| {
            let mut there = x.clone();
            there[b] = moved;
            natural(&there).values()[parameter]
        };
        let Some(root) = root_near(x[parameter], |moved| at(parameter, moved) - value) else {
            let own = at(parameter, x[parameter]);
            let depends = |b: usize| (at(b, x[b] + STEPS[0]) - own).abs() > 1e-8 * own.abs();
            let of_others = (0..x.len()).any(|b| b != parameter && held(b).is_none() && depends(b));
            return Err(if of_others {
                EngineError::Restriction { parameter }
            } else {
                EngineError::HeldValue { parameter }
            });
        };
        x[parameter] = root;
    }
    let found = natural(&x);
    let values = found.values().iter().enumerate();
    Ok(values.map(|(a, own)| held(a).unwrap_or(*own)).collect())
}

/// Where a function is zero, by bisection between the places nearest to `x` at which it changes its sign.
fn root_near(x: f64, off: impl Fn(f64) -> f64) -> Option<f64> {
    let here = off(x);
    let steps = STEPS.iter().flat_map(|step| [x + step, x - step]);
    let other = steps.map(|at| (at, off(at)));
    let (mut out, _) = other
        .filter(|(_, there)| there.is_finite())
        .find(|(_, there)| here == 0.0 || here * there <= 0.0)?;
    let mut inside = x;
    for _ in 0..60 {
        let middle = 0.5 * (inside + out);
        if here * off(middle) > 0.0 {
            inside = middle;
        } else {
            out = middle;
        }
    }
    Some(0.5 * (inside + out))
}

/// Natural over internal value of a standard deviation or factor entry; 1 for the others, and for standard deviations of effects
/// with one each, of which none is an internal parameter.
fn unit(parameters: &Parameters, bases: &[TermBasis], a: usize) -> f64 {
    let Some(parameter) = parameters.list.get(a) else {
        return 1.0;
    };
    let basis = &bases[parameter.basis];
    match parameter.entries.first() {
        Some(&(row, _)) => basis.change[row * basis.k + row],
        None if parameters.structures[parameter.basis]
            .row(parameter.index)
            .is_some() =>
        {
            let row = parameters.structures[parameter.basis].row(parameter.index);
            row.map_or(1.0, |row| basis.change[row * basis.k + row])
        }
        None if parameter.index == 0 && !basis.structure.is_closed_under_scaling() => {
            basis.change[0]
        }
        None => 1.0,
    }
}
