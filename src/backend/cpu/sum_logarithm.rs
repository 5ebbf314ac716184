//! log₂ of a sum of a few relative densities, from the sum and its reciprocal, which a pass has at hand.
//!
//! With z = s/√K in [1/√K, √K] for a sum s of K densities, the largest of them 1: log z / (z − 1/z) = L / (2 sinh L) is a
//! smooth function of z + 1/z = 2 cosh L, singular at −2 alone. Few terms of it do, and no exponent is to be taken off.

use fearless_simd::prelude::*;

use super::real::Real;
use super::vectors::{Vector, splat};

/// log₂ s = (s − K/s) p(s + K/s − centre) + ½ log₂ K on 1 ≤ s ≤ K. The terms of p are Remez', for the least error of log₂ s.
/// A centre keeps rounding small; for few components in f32 an operation is saved instead.
struct Terms<const N: usize> {
    k: f64,
    half_log2_k: f64,
    centre: f64,
    terms: [f64; N],
}

/// Up to four components in f32, within 8e-9 but for rounding.
const FOUR_F32: Terms<5> = Terms {
    k: 4.0,
    half_log2_k: 1.0,
    centre: 0.0,
    terms: [
        0.555_780_66,
        -0.075_910_430_9,
        0.009_311_313_57,
        -0.000_738_165_057,
        2.654_819_68e-5,
    ],
};

/// Up to eight components in f32, within 4e-8 but for rounding.
const EIGHT_F32: Terms<6> = Terms {
    k: 8.0,
    half_log2_k: 1.5,
    centre: 7.25,
    terms: [
        0.233_500_66,
        -0.012_167_012_4,
        0.000_756_978_802,
        -5.043_114_23e-5,
        3.529_207_93e-6,
        -2.283_456_44e-7,
    ],
};

/// Up to four components in f64, within 2e-16 but for rounding.
const FOUR_F64: Terms<10> = Terms {
    k: 4.0,
    half_log2_k: 1.0,
    centre: 4.5,
    terms: [
        0.346_358_952_962_397_9,
        -0.027_275_352_339_252_55,
        0.002_571_565_131_462_272,
        -0.000_259_569_472_967_793_15,
        2.716_135_349_174_28e-5,
        -2.906_206_545_728_573e-6,
        3.157_007_126_159_415_5e-7,
        -3.467_927_217_694_616e-8,
        3.867_194_023_427_679e-9,
        -4.196_744_870_668_872e-10,
    ],
};

/// Up to eight components in f64, within 2e-16 but for rounding.
const EIGHT_F64: Terms<13> = Terms {
    k: 8.0,
    half_log2_k: 1.5,
    centre: 7.25,
    terms: [
        0.233_500_656_174_193_7,
        -0.012_167_037_878_367_9,
        0.000_757_019_274_901_966_7,
        -5.038_091_928_640_454e-5,
        3.474_453_844_328_884e-6,
        -2.449_550_019_774_834e-7,
        1.753_105_052_876_867e-8,
        -1.268_408_416_241_466e-9,
        9.252_606_220_187_516e-11,
        -6.790_062_066_275_049e-12,
        5.036_014_248_739_381e-13,
        -3.869_639_488_351_015e-14,
        2.537_686_521_673_306e-15,
    ],
};

/// log₂ of sums of K relative densities, the largest of them 1, whose reciprocals are `inverses`. For few components within
/// 3 ulp of the larger of 1 and ½ log₂ K in f32, less than the log densities beside them are off, and 2 ulp in f64; for more
/// within those of [`Real::log2`].
#[inline(always)]
pub(super) fn log2_of_sums<S: Simd, T: Real, const M: usize>(
    simd: S,
    k: usize,
    sums: &[Vector<S, T>; M],
    inverses: &[Vector<S, T>; M],
) -> [Vector<S, T>; M] {
    let single = size_of::<T>() == size_of::<f32>();
    match k {
        0..=4 if single => FOUR_F32.log2::<S, T, M>(simd, sums, inverses),
        0..=4 => FOUR_F64.log2::<S, T, M>(simd, sums, inverses),
        5..=8 if single => EIGHT_F32.log2::<S, T, M>(simd, sums, inverses),
        5..=8 => EIGHT_F64.log2::<S, T, M>(simd, sums, inverses),
        _ => {
            let mut logs = *sums;
            for m in 0..M {
                logs[m] = T::log2(simd, sums[m]);
            }
            logs
        }
    }
}

impl<const N: usize> Terms<N> {
    #[inline(always)]
    fn log2<S: Simd, T: Real, const M: usize>(
        &self,
        simd: S,
        sums: &[Vector<S, T>; M],
        inverses: &[Vector<S, T>; M],
    ) -> [Vector<S, T>; M] {
        let k = number::<S, T>(simd, self.k);
        let minus_k = number::<S, T>(simd, -self.k);
        let centre = number::<S, T>(simd, self.centre);
        let half = number::<S, T>(simd, self.half_log2_k);
        let (mut logs, mut u, mut p) = (*sums, *sums, [number::<S, T>(simd, self.terms[N - 1]); M]);
        for m in 0..M {
            u[m] = inverses[m].mul_add(k, sums[m] - centre);
        }
        for term in self.terms[..N - 1].iter().rev() {
            let term = number::<S, T>(simd, *term);
            for m in 0..M {
                p[m] = p[m].mul_add(u[m], term);
            }
        }
        for m in 0..M {
            logs[m] = p[m].mul_add(inverses[m].mul_add(minus_k, sums[m]), half);
        }
        logs
    }
}

#[inline(always)]
fn number<S: Simd, T: Real>(simd: S, x: f64) -> Vector<S, T> {
    splat::<S, T>(simd, T::from_f64(x))
}

#[cfg(test)]
mod tests {
    use super::super::level::{self, on_level};
    use super::*;

    #[inline(always)]
    fn log2_of<S: Simd, T: Real>(simd: S, k: usize, s: f64) -> f64 {
        let sum = number::<S, T>(simd, s);
        let inverse = T::reciprocal(simd, sum);
        let [log2] = log2_of_sums::<S, T, 1>(simd, k, &[sum], &[inverse]);
        log2.as_slice()[0].to_f64()
    }

    #[test]
    fn logarithms_of_sums_are_right() {
        for level in level::all() {
            for k in 1..=10 {
                let size = (0.5 * (k as f64).log2()).max(1.0);
                for i in 0..=20_000 {
                    let part = f64::from(i) / 20_000.0;
                    let s = f64::from((1.0 + (k - 1) as f64 * part) as f32);
                    let single = on_level!(level, simd => log2_of::<_, f32>(simd, k, s));
                    let double = on_level!(level, simd => log2_of::<_, f64>(simd, k, s));
                    let exact = s.log2();
                    let size = size.max(if k > 8 { exact } else { 0.0 });
                    assert!(
                        (single - exact).abs() <= 3.0 * size * f64::from(f32::EPSILON),
                        "{k} components, {s}: {single}"
                    );
                    assert!(
                        (double - exact).abs() <= 2.0 * size * f64::EPSILON,
                        "{k} components, {s}: {double}"
                    );
                }
            }
        }
    }
}
