//! A function of a few numbers, given as a program in reverse Polish notation that R makes of a formula, and the scale on
//! which its values are even. Evaluated with hyper-dual numbers it has its exact derivatives.

use crate::linalg::hyperdual::Scalar;

/// One step of a program: what it takes comes from the top of the stack, and its result goes there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    /// A number.
    Constant(f64),
    /// A component, counted from 0.
    Component(usize),
    /// x + y.
    Add,
    /// x - y.
    Subtract,
    /// x y.
    Multiply,
    /// x / y.
    Divide,
    /// x to a fixed power.
    Power(f64),
    /// Square root.
    Root,
    /// Exponential.
    Exp,
    /// Natural logarithm.
    Log,
}

/// The scale on which steps along a function are even, by the values that it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Above 0: the logarithm.
    Positive,
    /// Between -1 and 1: Fisher's z.
    Correlation,
    /// Between 0 and 1: the logit.
    Unit,
    /// Any number: itself.
    Real,
}

impl Scale {
    /// From a value to the scale.
    pub(super) fn scaled<S: Scalar>(self, x: S) -> S {
        let one = S::constant(1.0);
        match self {
            Self::Positive => x.ln(),
            Self::Correlation => ((one + x) / (one - x)).ln() * 0.5,
            Self::Unit => (x / (one - x)).ln(),
            Self::Real => x,
        }
    }

    /// A value without the rounding that takes it out of its range.
    pub(super) fn inside(self, x: f64) -> f64 {
        match self {
            Self::Positive => x.max(0.0),
            Self::Correlation => x.clamp(-1.0, 1.0),
            Self::Unit => x.clamp(0.0, 1.0),
            Self::Real => x,
        }
    }

    /// Back from the scale.
    pub(super) fn natural(self, s: f64) -> f64 {
        match self {
            Self::Positive => s.exp(),
            Self::Correlation => s.tanh(),
            Self::Unit => (1.0 + (-s).exp()).recip(),
            Self::Real => s,
        }
    }

    /// How far going on tells something more.
    pub(super) fn farthest(self) -> f64 {
        match self {
            Self::Correlation => 8.0,
            Self::Unit => 16.0,
            Self::Positive | Self::Real => f64::INFINITY,
        }
    }
}

/// A function of the variance components.
#[derive(Debug, Clone)]
pub struct Function {
    steps: Vec<Step>,
    scale: Scale,
    /// The components that it depends on.
    used: Vec<usize>,
}

impl Function {
    /// A program that leaves one number; `None` where it takes more than there is, or leaves more.
    #[must_use]
    pub fn new(steps: Vec<Step>, scale: Scale) -> Option<Self> {
        let mut height = 0usize;
        for step in &steps {
            let (takes, gives) = match step {
                Step::Constant(_) | Step::Component(_) => (0, 1),
                Step::Add | Step::Subtract | Step::Multiply | Step::Divide => (2, 1),
                Step::Power(_) | Step::Root | Step::Exp | Step::Log => (1, 1),
            };
            height = height.checked_sub(takes)? + gives;
        }
        let mut used: Vec<usize> = (steps.iter())
            .filter_map(|step| match step {
                Step::Component(c) => Some(*c),
                _ => None,
            })
            .collect();
        used.sort_unstable();
        used.dedup();
        (height == 1).then_some(Self { steps, scale, used })
    }

    /// The scale of its values.
    pub(super) fn scale(&self) -> Scale {
        self.scale
    }

    /// The components that it depends on, sorted.
    pub(super) fn used(&self) -> &[usize] {
        &self.used
    }

    /// The largest component that it names.
    pub(super) fn last_component(&self) -> Option<usize> {
        self.used.last().copied()
    }

    /// Its value, given the components that it uses.
    pub(super) fn evaluate<S: Scalar>(&self, components: &[S]) -> S {
        let mut stack: Vec<S> = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let mut pop = || stack.pop().unwrap_or(S::constant(f64::NAN));
            let value = match *step {
                Step::Constant(value) => S::constant(value),
                Step::Component(c) => {
                    let at = self.used.binary_search(&c);
                    at.map_or(S::constant(f64::NAN), |at| components[at])
                }
                Step::Power(p) => power(pop(), p),
                Step::Root => pop().sqrt(),
                Step::Exp => pop().exp(),
                Step::Log => pop().ln(),
                Step::Add | Step::Subtract | Step::Multiply | Step::Divide => {
                    let (y, x) = (pop(), pop());
                    match step {
                        Step::Add => x + y,
                        Step::Subtract => x - y,
                        Step::Multiply => x * y,
                        _ => x / y,
                    }
                }
            };
            stack.push(value);
        }
        stack.pop().unwrap_or(S::constant(f64::NAN))
    }
}

/// x^p: of a negative number, too, where p is an integer.
fn power<S: Scalar>(x: S, p: f64) -> S {
    #[allow(clippy::cast_possible_truncation)]
    if p.fract() == 0.0 && p.abs() < 1024.0 {
        x.powi(p as i32)
    } else {
        x.powf(p)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::hyperdual::HyperDual;

    #[test]
    fn a_program_takes_what_is_there_and_leaves_one_number() {
        let share = vec![
            Step::Component(3),
            Step::Component(3),
            Step::Component(7),
            Step::Add,
            Step::Divide,
        ];
        let function = Function::new(share.clone(), Scale::Real).unwrap();
        assert_eq!(function.used, [3, 7]);
        assert!((function.evaluate(&[1.0, 3.0]) - 0.25).abs() < 1e-15);
        assert!(Function::new(share[..4].to_vec(), Scale::Real).is_none());
        assert!(Function::new(share[1..].to_vec(), Scale::Real).is_none());
        assert!(Function::new(Vec::new(), Scale::Real).is_none());
    }

    #[test]
    fn every_step_and_scale_has_its_value_and_derivatives() {
        // ((x^3 / sqrt(y) - exp(x y)) log(y))^1.5 + 2
        let steps = vec![
            Step::Component(0),
            Step::Power(3.0),
            Step::Component(1),
            Step::Root,
            Step::Divide,
            Step::Component(0),
            Step::Component(1),
            Step::Multiply,
            Step::Exp,
            Step::Subtract,
            Step::Component(1),
            Step::Log,
            Step::Multiply,
            Step::Power(1.5),
            Step::Constant(2.0),
            Step::Add,
        ];
        let (x, y): (f64, f64) = (0.7, 0.4);
        let closed =
            |x: f64, y: f64| ((x.powi(3) / y.sqrt() - (x * y).exp()) * y.ln()).powf(1.5) + 2.0;
        let real = Function::new(steps.clone(), Scale::Real).unwrap();
        assert!((real.evaluate(&[x, y]) - closed(x, y)).abs() < 1e-14);
        let d = HyperDual::seeded(&[x, y], 0, 1);
        let h = 1e-4;
        let found = real.evaluate(&d);
        let first = (closed(x + h, y) - closed(x - h, y)) / (2.0 * h);
        let mixed = (closed(x + h, y + h) - closed(x + h, y - h) - closed(x - h, y + h)
            + closed(x - h, y - h))
            / (4.0 * h * h);
        assert!((found.a - first).abs() < 1e-6, "{} {first}", found.a);
        assert!((found.ab - mixed).abs() < 1e-6, "{} {mixed}", found.ab);
        for scale in [
            Scale::Positive,
            Scale::Correlation,
            Scale::Unit,
            Scale::Real,
        ] {
            assert!((scale.natural(scale.scaled(0.3)) - 0.3).abs() < 1e-15);
            assert!(scale.scaled(0.3).abs() < scale.farthest());
        }
        let negative = Function::new(vec![Step::Component(0), Step::Power(2.0)], Scale::Real);
        assert!((negative.unwrap().evaluate(&[-3.0]) - 9.0).abs() < 1e-14);
    }
}
