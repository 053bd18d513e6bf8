//! Pieces of work, and outputs that fall into them, each written by the thread that does that piece of work; found by halves,
//! without a list of them.

use std::ops::Range;

use faer::MatMut;

/// Piece `i` of `0..n`, cut into pieces of `size` (the last one shorter).
#[must_use]
pub fn piece(n: usize, size: usize, i: usize) -> Range<usize> {
    (i * size).min(n)..((i + 1) * size).min(n)
}

/// Cuts `0..n` into pieces of `size` (the last one shorter).
#[must_use]
pub fn pieces(n: usize, size: usize) -> Vec<Range<usize>> {
    (0..n)
        .step_by(size.max(1))
        .map(|start| start..(start + size).min(n))
        .collect()
}

/// Some pieces of an output, one after the other.
pub trait Partition: Send + Sized {
    /// One piece.
    type Part;

    /// The pieces before piece `at` and the pieces from it on.
    fn split(self, at: usize) -> (Self, Self);

    /// The only one.
    fn part(self) -> Self::Part;
}

/// A slice cut where `start` says.
#[derive(Debug)]
pub struct Cut<'a, T, F> {
    values: &'a mut [T],
    start: F,
    from: usize,
}

/// Cuts a slice into pieces of which piece i starts at `start(i)`.
pub fn cut<T, F: Fn(usize) -> usize>(values: &mut [T], start: F) -> Cut<'_, T, F> {
    Cut {
        values,
        start,
        from: 0,
    }
}

/// Cuts a slice into pieces of `size` (the last one shorter).
pub fn chunks<T>(
    values: &mut [T],
    size: usize,
) -> Cut<'_, T, impl Fn(usize) -> usize + Copy + Send> {
    let end = values.len();
    cut(values, move |i| (i * size).min(end))
}

impl<'a, T: Send, F: Fn(usize) -> usize + Copy + Send> Partition for Cut<'a, T, F> {
    type Part = &'a mut [T];

    fn split(self, at: usize) -> (Self, Self) {
        let Self {
            values,
            start,
            from,
        } = self;
        let to = start(at);
        let (values, rest) = values.split_at_mut(to - from);
        (
            Self {
                values,
                start,
                from,
            },
            Self {
                values: rest,
                start,
                from: to,
            },
        )
    }

    fn part(self) -> &'a mut [T] {
        self.values
    }
}

/// A matrix whose rows are cut where `start` says.
#[derive(Debug)]
pub struct CutRows<'a, F> {
    matrix: MatMut<'a, f64>,
    start: F,
    from: usize,
}

/// Cuts a matrix into pieces of which piece i starts at row `start(i)`.
pub fn cut_rows<F: Fn(usize) -> usize>(matrix: MatMut<'_, f64>, start: F) -> CutRows<'_, F> {
    CutRows {
        matrix,
        start,
        from: 0,
    }
}

impl<'a, F: Fn(usize) -> usize + Copy + Send> Partition for CutRows<'a, F> {
    type Part = MatMut<'a, f64>;

    fn split(self, at: usize) -> (Self, Self) {
        let Self {
            matrix,
            start,
            from,
        } = self;
        let to = start(at);
        let (matrix, rest) = matrix.split_at_row_mut(to - from);
        (
            Self {
                matrix,
                start,
                from,
            },
            Self {
                matrix: rest,
                start,
                from: to,
            },
        )
    }

    fn part(self) -> MatMut<'a, f64> {
        self.matrix
    }
}

impl<A: Partition, B: Partition> Partition for (A, B) {
    type Part = (A::Part, B::Part);

    fn split(self, at: usize) -> (Self, Self) {
        let (a, later_a) = self.0.split(at);
        let (b, later_b) = self.1.split(at);
        ((a, b), (later_a, later_b))
    }

    fn part(self) -> Self::Part {
        (self.0.part(), self.1.part())
    }
}

impl<A: Partition, B: Partition, C: Partition> Partition for (A, B, C) {
    type Part = (A::Part, B::Part, C::Part);

    fn split(self, at: usize) -> (Self, Self) {
        let (a, later_a) = self.0.split(at);
        let (b, later_b) = self.1.split(at);
        let (c, later_c) = self.2.split(at);
        ((a, b, c), (later_a, later_b, later_c))
    }

    fn part(self) -> Self::Part {
        (self.0.part(), self.1.part(), self.2.part())
    }
}

/// `f(i, part i)` for the pieces `pieces`, which are all of `output`, by halves on the threads of the pool this runs in.
pub fn halves<P: Partition>(pieces: Range<usize>, output: P, f: &(impl Fn(usize, P::Part) + Sync)) {
    if pieces.len() == 1 {
        f(pieces.start, output.part());
        return;
    }
    let middle = pieces.start + pieces.len() / 2;
    let (left, right) = output.split(middle);
    rayon::join(
        || halves(pieces.start..middle, left, f),
        || halves(middle..pieces.end, right, f),
    );
}

/// Like [`halves`], but one piece after the other.
pub fn in_turn<P: Partition>(pieces: Range<usize>, output: P, f: &impl Fn(usize, P::Part)) {
    let mut rest = output;
    for i in pieces.start + 1..pieces.end {
        let (part, later) = rest.split(i);
        f(i - 1, part.part());
        rest = later;
    }
    f(pieces.end - 1, rest.part());
}
