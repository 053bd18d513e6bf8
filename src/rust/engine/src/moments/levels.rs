//! Cross-products within the levels of one grouping factor.

use std::ops::Range;

use crate::api::model::Members;

/// Sums of the rows of each level, and how many there are; times the basis afterwards.
pub(crate) fn add_same(codes: &[i32], rows: &[f64], width: usize, zz: &mut [f64], zx: &mut [f64]) {
    fn of_width<const W: usize>(codes: &[i32], rows: &[f64], zz: &mut [f64], zx: &mut [f64]) {
        for (code, row) in codes.iter().zip(rows.chunks_exact(W)) {
            let j = *code as usize - 1;
            zz[j] += 1.0;
            let sums = &mut zx[j * W..(j + 1) * W];
            for a in 0..W {
                sums[a] += row[a];
            }
        }
    }
    match width {
        1 => of_width::<1>(codes, rows, zz, zx),
        2 => of_width::<2>(codes, rows, zz, zx),
        3 => of_width::<3>(codes, rows, zz, zx),
        4 => of_width::<4>(codes, rows, zz, zx),
        5 => of_width::<5>(codes, rows, zz, zx),
        6 => of_width::<6>(codes, rows, zz, zx),
        7 => of_width::<7>(codes, rows, zz, zx),
        8 => of_width::<8>(codes, rows, zz, zx),
        _ => {
            for (code, row) in codes.iter().zip(rows.chunks_exact(width)) {
                let j = *code as usize - 1;
                zz[j] += 1.0;
                let sums = &mut zx[j * width..(j + 1) * width];
                sums.iter_mut().zip(row).for_each(|(sum, v)| *sum += v);
            }
        }
    }
}

/// Lower triangles of z z' and z [x r] of the rows of each level.
pub(crate) fn add_levels(
    codes: &[i32],
    z: &[f64],
    k: usize,
    rows: &[f64],
    width: usize,
    zz: &mut [f64],
    zx: &mut [f64],
) {
    fn of_shape<const K: usize, const W: usize>(
        codes: &[i32],
        z: &[f64],
        rows: &[f64],
        zz: &mut [f64],
        zx: &mut [f64],
    ) {
        let rows = z.chunks_exact(K).zip(rows.chunks_exact(W));
        for (code, (z, row)) in codes.iter().zip(rows) {
            let j = *code as usize - 1;
            let squares = &mut zz[j * K * K..(j + 1) * K * K];
            for a in 0..K {
                for b in a..K {
                    squares[a * K + b] += z[a] * z[b];
                }
            }
            let sums = &mut zx[j * K * W..(j + 1) * K * W];
            for a in 0..K {
                for c in 0..W {
                    sums[a * W + c] += z[a] * row[c];
                }
            }
        }
    }
    match (k, width) {
        (1, 2) => of_shape::<1, 2>(codes, z, rows, zz, zx),
        (1, 3) => of_shape::<1, 3>(codes, z, rows, zz, zx),
        (1, 4) => of_shape::<1, 4>(codes, z, rows, zz, zx),
        (2, 2) => of_shape::<2, 2>(codes, z, rows, zz, zx),
        (2, 3) => of_shape::<2, 3>(codes, z, rows, zz, zx),
        (2, 4) => of_shape::<2, 4>(codes, z, rows, zz, zx),
        (2, 5) => of_shape::<2, 5>(codes, z, rows, zz, zx),
        (3, 4) => of_shape::<3, 4>(codes, z, rows, zz, zx),
        (3, 5) => of_shape::<3, 5>(codes, z, rows, zz, zx),
        (4, 5) => of_shape::<4, 5>(codes, z, rows, zz, zx),
        _ => {
            let rows = z.chunks_exact(k).zip(rows.chunks_exact(width));
            for (code, (z, row)) in codes.iter().zip(rows) {
                let j = *code as usize - 1;
                let squares = &mut zz[j * k * k..(j + 1) * k * k];
                for a in 0..k {
                    for b in a..k {
                        squares[a * k + b] += z[a] * z[b];
                    }
                }
                let sums = zx[j * k * width..(j + 1) * k * width].chunks_exact_mut(width);
                for (sums, za) in sums.zip(z) {
                    sums.iter_mut().zip(row).for_each(|(sum, v)| *sum += za * v);
                }
            }
        }
    }
}

/// The same of rows that are members of several levels; `z` gives the basis columns of a row.
pub(crate) fn add_members<'z>(
    members: Members<'_>,
    range: Range<usize>,
    z: impl Fn(usize) -> &'z [f64],
    rows: &[f64],
    width: usize,
    zz: &mut [f64],
    zx: &mut [f64],
) {
    for (i, row) in range.zip(rows.chunks_exact(width)) {
        let z = z(i);
        let k = z.len();
        for (j, weight) in members.of_row(i) {
            let squares = &mut zz[j * k * k..(j + 1) * k * k];
            for a in 0..k {
                for b in a..k {
                    squares[a * k + b] += weight * weight * z[a] * z[b];
                }
            }
            let sums = zx[j * k * width..(j + 1) * k * width].chunks_exact_mut(width);
            for (sums, za) in sums.zip(z) {
                let za = weight * za;
                sums.iter_mut().zip(row).for_each(|(sum, v)| *sum += za * v);
            }
        }
    }
}
