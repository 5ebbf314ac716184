//! Lower triangles, packed by rows: element (i, j), j ≤ i, stands at i(i+1)/2 + j.
//!
//! All matrices of an EM iteration are small (D × D) and triangular; these few loops are all it needs.

/// T = D(D+1)/2: how many numbers a packed D × D lower triangle holds.
pub const fn packed_len(d: usize) -> usize {
    d * (d + 1) / 2
}

/// Where element (i, j), j ≤ i, stands in a packed triangle.
#[inline]
pub const fn at(i: usize, j: usize) -> usize {
    i * (i + 1) / 2 + j
}

/// The row and the column of entry `at` of a packed lower triangle.
pub fn place(at: usize) -> (usize, usize) {
    let (mut i, mut j) = (0, at);
    while j > i {
        i += 1;
        j -= i;
    }
    (i, j)
}

/// A matrix that has no Cholesky factor: pivot `pivot` (from 0) is not positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotPositiveDefinite {
    /// The first row whose pivot is not positive.
    pub pivot: usize,
}

/// The Cholesky factor L of a symmetric matrix given by its packed lower triangle, A = L Lᵀ.
///
/// # Errors
/// A pivot that is not positive (or not finite).
pub fn cholesky(a: &[f64], d: usize) -> Result<Vec<f64>, NotPositiveDefinite> {
    let mut l = vec![0.0; packed_len(d)];
    for i in 0..d {
        let (done, row_i) = l.split_at_mut(at(i, 0));
        for j in 0..i {
            let row_j = &done[at(j, 0)..at(j, j)];
            let dot: f64 = row_j.iter().zip(row_i.iter()).map(|(x, y)| x * y).sum();
            row_i[j] = (a[at(i, j)] - dot) / done[at(j, j)];
        }
        let square: f64 = row_i[..i].iter().map(|x| x * x).sum();
        let pivot = a[at(i, i)] - square;
        if !(pivot > 0.0 && pivot.is_finite()) {
            return Err(NotPositiveDefinite { pivot: i });
        }
        row_i[i] = pivot.sqrt();
    }
    Ok(l)
}

/// The identity as a packed lower triangle.
pub fn identity(d: usize) -> Vec<f64> {
    let mut identity = vec![0.0; packed_len(d)];
    (0..d).for_each(|i| identity[at(i, i)] = 1.0);
    identity
}

/// The inverse of a packed lower triangle with a diagonal free of zeros.
pub fn invert(l: &[f64], d: usize) -> Vec<f64> {
    let mut inverse = vec![0.0; packed_len(d)];
    for i in 0..d {
        let diagonal = 1.0 / l[at(i, i)];
        inverse[at(i, i)] = diagonal;
        for j in 0..i {
            let dot: f64 = (j..i).map(|m| l[at(i, m)] * inverse[at(m, j)]).sum();
            inverse[at(i, j)] = -dot * diagonal;
        }
    }
    inverse
}

/// The product A B of two packed lower triangles.
pub fn multiply(a: &[f64], b: &[f64], d: usize) -> Vec<f64> {
    let mut product = vec![0.0; packed_len(d)];
    for i in 0..d {
        for j in 0..=i {
            product[at(i, j)] = (j..=i).map(|m| a[at(i, m)] * b[at(m, j)]).sum();
        }
    }
    product
}

/// A⁻¹ B for packed lower triangles, by forward substitution.
pub fn solve_triangle(a: &[f64], b: &[f64], d: usize) -> Vec<f64> {
    let mut x = vec![0.0; packed_len(d)];
    for i in 0..d {
        for j in 0..=i {
            let dot: f64 = (j..i).map(|m| a[at(i, m)] * x[at(m, j)]).sum();
            x[at(i, j)] = (b[at(i, j)] - dot) / a[at(i, i)];
        }
    }
    x
}

/// L⁻¹ v for a packed lower triangle, by forward substitution.
pub fn solve(l: &[f64], v: &[f64]) -> Vec<f64> {
    let mut x = v.to_vec();
    solve_in_place(l, &mut x);
    x
}

/// Replaces v by L⁻¹ v for a packed lower triangle.
pub fn solve_in_place(l: &[f64], v: &mut [f64]) {
    for i in 0..v.len() {
        let dot: f64 = (0..i).map(|j| l[at(i, j)] * v[j]).sum();
        v[i] = (v[i] - dot) / l[at(i, i)];
    }
}

/// L v for a packed lower triangle.
pub fn apply(l: &[f64], v: &[f64]) -> Vec<f64> {
    (0..v.len())
        .map(|i| (0..=i).map(|j| l[at(i, j)] * v[j]).sum())
        .collect()
}

/// The packed lower triangle of L Lᵀ.
pub fn square(l: &[f64], d: usize) -> Vec<f64> {
    let mut s = vec![0.0; packed_len(d)];
    for i in 0..d {
        for j in 0..=i {
            s[at(i, j)] = (0..=j).map(|m| l[at(i, m)] * l[at(j, m)]).sum();
        }
    }
    s
}

/// The packed lower triangle of U A Uᵀ for a packed lower triangle U and a symmetric A given by its own.
pub fn congruent(u: &[f64], a: &[f64], d: usize) -> Vec<f64> {
    let full = unpack_symmetric(a, d);
    // Row i of U A, then its products with the rows of U.
    let mut product = vec![0.0; packed_len(d)];
    for i in 0..d {
        let mut row = vec![0.0; d];
        for (u, full) in u[at(i, 0)..=at(i, i)].iter().zip(full.chunks_exact(d)) {
            row.iter_mut().zip(full).for_each(|(sum, a)| *sum += u * a);
        }
        for j in 0..=i {
            let terms = row.iter().zip(&u[at(j, 0)..=at(j, j)]);
            product[at(i, j)] = terms.map(|(row, u)| row * u).sum();
        }
    }
    product
}

/// The full symmetric matrix, row-major D × D, of a packed lower triangle.
pub fn unpack_symmetric(packed: &[f64], d: usize) -> Vec<f64> {
    let mut full = vec![0.0; d * d];
    for i in 0..d {
        for j in 0..=i {
            full[i * d + j] = packed[at(i, j)];
            full[j * d + i] = packed[at(i, j)];
        }
    }
    full
}

/// The packed lower triangle of a full row-major D × D matrix.
pub fn pack(full: &[f64], d: usize) -> Vec<f64> {
    (0..d)
        .flat_map(|i| full[i * d..=i * d + i].iter().copied())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // A = L Lᵀ with L = [2; 6 1; -8 5 3], Cholesky's textbook example.
    const A: [f64; 6] = [4.0, 12.0, 37.0, -16.0, -43.0, 98.0];
    const L: [f64; 6] = [2.0, 6.0, 1.0, -8.0, 5.0, 3.0];

    #[test]
    fn an_entry_stands_where_it_is_found() {
        for i in 0..9 {
            for j in 0..=i {
                assert_eq!(place(at(i, j)), (i, j));
            }
        }
    }

    #[test]
    fn cholesky_of_the_textbook_example() {
        assert_eq!(cholesky(&A, 3).expect("positive definite"), L);
        assert_eq!(square(&L, 3), A);
    }

    #[test]
    fn inverse_times_factor_is_the_identity() {
        let product = multiply(&invert(&L, 3), &L, 3);
        for i in 0..3 {
            for j in 0..=i {
                let expected = if i == j { 1.0 } else { 0.0 };
                assert!((product[at(i, j)] - expected).abs() < 1e-14);
            }
        }
        assert_eq!(solve_triangle(&L, &multiply(&L, &A, 3), 3), A);
    }

    #[test]
    fn solve_undoes_apply() {
        let v = [1.0, -2.0, 0.5];
        assert_eq!(solve(&L, &apply(&L, &v)), v);
    }

    #[test]
    fn an_indefinite_matrix_names_its_pivot() {
        assert_eq!(
            cholesky(&[1.0, 2.0, 1.0], 2),
            Err(NotPositiveDefinite { pivot: 1 })
        );
        assert_eq!(
            cholesky(&[f64::NAN], 1),
            Err(NotPositiveDefinite { pivot: 0 })
        );
    }

    #[test]
    fn pack_undoes_unpack() {
        assert_eq!(pack(&unpack_symmetric(&A, 3), 3), A);
    }
}
