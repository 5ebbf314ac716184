//! The two number types of the CPU path: conversions, 2ˣ and log₂ for vectors of them.

use fearless_simd::{SimdFloatElement, prelude::*};

use super::vectors::{Vector, load, splat, store};

/// Two vectors of f64, which hold as many numbers as one of f32.
pub(super) type Pair<S> = [<S as Simd>::f64s; 2];

/// f32 or f64.
pub(super) trait Real: SimdFloatElement + bytemuck::Pod + Send + Sync + Default {
    /// What [`Real::exp2`] gives for everything far below: 2⁻⁶⁴ (f32) or 2⁻¹²⁸ (f64).
    const TINY: Self;
    /// Its logarithm to base 2.
    const LOG2_TINY: Self;
    /// Log densities to base 2 are counted in units of 1 / STEPS: in f32 steps of the last place of numbers in [1, 2), so
    /// that [`Real::exp2`] has an exponent where its bits belong.
    const STEPS: f64;
    /// Terms of the polynomial of [`Real::exp2`] by Remez, exact at x = 0: the last and those before it.
    const EXP2: (Self, &'static [Self]);
    /// Log densities, in steps, below it stand for minus infinity.
    const LOWEST: Self;
    /// Entries of factors below it count for nothing; as denormals they would cost a hundred times their share.
    const NEGLIGIBLE: f64;
    /// Rounds.
    fn from_f64(x: f64) -> Self;
    /// Widens, exactly.
    fn to_f64(self) -> f64;
    /// What the polynomial of [`Real::exp2`] is in, and bits that [`Real::exp2_of`] takes, for x in steps.
    fn exp2_parts<S: Simd>(simd: S, x: Vector<S, Self>) -> (Vector<S, Self>, Vector<S, Self>);
    /// 2ˣ from the polynomial's value and the bits.
    fn exp2_of<S: Simd>(polynomial: Vector<S, Self>, bits: Vector<S, Self>) -> Vector<S, Self>;
    /// 2ˣ for x ≤ 0 in steps: within 2.5 ulp (f32, less than what x is off makes of it) or 2 (f64), and exactly
    /// [`Real::TINY`] below its logarithm, so that no denormal is met. Term by term of all vectors: of one after the other a
    /// processor cannot look ahead far enough to fill its units.
    #[inline(always)]
    fn exp2<S: Simd, const M: usize, const C: usize>(
        simd: S,
        mut x: [[Vector<S, Self>; M]; C],
    ) -> [[Vector<S, Self>; M]; C] {
        let number = |value: Self| splat::<S, Self>(simd, value);
        let lowest = number(Self::from_f64(Self::LOG2_TINY.to_f64() * Self::STEPS));
        let mut bits = x;
        for c in 0..C {
            for m in 0..M {
                (x[c][m], bits[c][m]) = Self::exp2_parts(simd, x[c][m].max(lowest));
            }
        }
        // How many they are is kept from the compiler: of a loop laid out in full it puts one vector's terms in a row.
        let (last, others) = std::hint::black_box(Self::EXP2);
        let mut p = [[number(last); M]; C];
        for term in others.iter().rev() {
            let term = number(*term);
            for c in 0..C {
                for m in 0..M {
                    p[c][m] = p[c][m].mul_add(x[c][m], term);
                }
            }
        }
        for c in 0..C {
            for m in 0..M {
                p[c][m] = Self::exp2_of(p[c][m], bits[c][m]);
            }
        }
        p
    }
    /// log₂ x for normal x > 0, within 2 ulp of the larger of it and 1.
    fn log2<S: Simd>(simd: S, x: Vector<S, Self>) -> Vector<S, Self>;
    /// 1 / x for normal x > 0, within 1 ulp; exact for powers of two.
    fn reciprocal<S: Simd>(simd: S, x: Vector<S, Self>) -> Vector<S, Self>;
    /// Adds the lanes to those of f64 sums. For f64 the second vector stays as it is.
    fn add_to<S: Simd>(x: Vector<S, Self>, sums: &mut Pair<S>);
    /// Multiplies lanes of f64 products by the lanes. For f64 the second vector stays as it is.
    fn multiply_to<S: Simd>(x: Vector<S, Self>, products: &mut Pair<S>);
    /// As many of these numbers as a vector of f32 holds, exactly.
    fn load_pair<S: Simd>(simd: S, values: &[Self]) -> Pair<S>;
    /// Rounds them to this type.
    fn store_pair<S: Simd>(pair: Pair<S>, values: &mut [Self]);
}

/// Whether approximate reciprocals are within 2⁻¹⁴, so that a step of Newton's brings them to f32 and two to f64. There a
/// panel's divisions, one after the other on one divider, would be waited for.
#[inline(always)]
fn has_close_reciprocals<S: Simd>(simd: S) -> bool {
    #[cfg(target_arch = "x86_64")]
    return matches!(simd.level(), fearless_simd::Level::Avx512(_));
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = simd;
        false
    }
}

/// One step towards 1 / x.
#[inline(always)]
fn newton<F: SimdFloat<S>, S: Simd>(one: F, x: F, inverse: F) -> F {
    inverse.mul_add((-x).mul_add(inverse, one), inverse)
}

/// The bits of a number in [1, 2) with this number's digits, and its exponent.
#[inline(always)]
pub(super) fn split(x: f64) -> (f64, f64) {
    let bits = x.to_bits();
    let exponent = (bits >> 52) as i64 - 1023;
    let mantissa = bits & ((1 << 52) - 1) | (1023 << 52);
    (exponent as f64, f64::from_bits(mantissa))
}

/// log₂(1 + x) / x on [√½ − 1, √2 − 1] by Remez, degree 7: log₂ is within 1e-7, 4e-10 on average.
const LOG2_F32: [f32; 8] = [
    1.442_694_9,
    -0.721_352_5,
    0.480_931_16,
    -0.360_263_46,
    0.286_868_87,
    -0.248_322_8,
    0.235_709_66,
    -0.149_733_33,
];

/// The same at Chebyshev's nodes, degree 18: log₂ is within 2e-16. A shorter series in (m − 1)/(m + 1) takes a division,
/// which costs more than its terms save.
const LOG2_F64: [f64; 19] = [
    std::f64::consts::LOG2_E,
    -0.721_347_520_444_459_4,
    0.480_898_346_963_043_2,
    -0.360_673_760_233_343_24,
    0.288_539_008_176_484_4,
    -0.240_449_171_868_964_17,
    0.206_099_289_937_782_95,
    -0.180_336_984_754_038_73,
    0.160_299_638_837_683_22,
    -0.144_265_967_466_213_73,
    0.131_145_113_767_010_2,
    -0.120_289_180_189_808_96,
    0.111_193_524_840_996_47,
    -0.102_466_290_583_958_5,
    0.093_391_087_264_349_98,
    -0.091_456_279_488_362_05,
    0.102_316_106_731_907_01,
    -0.095_309_877_318_621_85,
    0.043_157_810_072_091_136,
];

/// The bits of √½.
const SQRT_HALF_F32: i32 = std::f32::consts::FRAC_1_SQRT_2.to_bits().cast_signed();
const SQRT_HALF_F64: i64 = std::f64::consts::FRAC_1_SQRT_2.to_bits().cast_signed();

impl Real for f32 {
    const TINY: Self = f32::from_bits((127 - 64) << 23);
    const LOG2_TINY: Self = -64.0;
    const STEPS: f64 = 8_388_608.0;
    /// With x = n + f, f in [0, 1), and m = 1 + f: (2^f − f + 1) / 2, in (½, 1], whose bits and those of x in steps add up to
    /// the bits of 2ˣ. Within 9.2e-8 of 2ˣ but for rounding, and rounded to exactly 1 at m = 1.
    const EXP2: (Self, &'static [Self]) = (
        0.000_933_564_73,
        &[
            1.249_181_5,
            -0.323_255_12,
            0.054_097_81,
            0.019_201_534,
            -0.000_159_307_27,
        ],
    );
    /// A panel's and three others' rows of weight 2 add up to less than f32 holds.
    const LOWEST: Self = -1e36;
    const NEGLIGIBLE: f64 = 1e-30;

    #[inline(always)]
    fn from_f64(x: f64) -> Self {
        x as f32
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn exp2_parts<S: Simd>(_: S, x: S::f32s) -> (S::f32s, S::f32s) {
        let bits = x.to_int::<S::i32s>();
        let one_and_fraction = (bits & 0x007f_ffff) | 0x3f80_0000;
        (one_and_fraction.bitcast(), bits.bitcast())
    }

    #[inline(always)]
    fn exp2_of<S: Simd>(polynomial: S::f32s, bits: S::f32s) -> S::f32s {
        S::f32s::from_bits(polynomial.to_bits() + bits.to_bits())
    }

    #[inline(always)]
    fn log2<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
        // x = 2^e m with m in [√½, √2): the bits of √½ are taken off before the exponent is cut.
        let bits = x.bitcast::<S::i32s>() - SQRT_HALF_F32;
        let e = S::f32s::float_from(bits >> 23);
        let m: S::f32s = ((bits & 0x007f_ffff) + SQRT_HALF_F32).bitcast();
        let x = m - 1.0;
        let mut p = S::f32s::splat(simd, LOG2_F32[7]);
        for c in LOG2_F32[..7].iter().rev() {
            p = p.mul_add(x, S::f32s::splat(simd, *c));
        }
        p.mul_add(x, e)
    }

    #[inline(always)]
    fn reciprocal<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
        let one = S::f32s::splat(simd, 1.0);
        if has_close_reciprocals(simd) {
            newton(one, x, x.approximate_recip())
        } else {
            one / x
        }
    }

    #[inline(always)]
    fn add_to<S: Simd>(x: S::f32s, sums: &mut Pair<S>) {
        let (low, high) = x.widen();
        sums[0] += low;
        sums[1] += high;
    }

    #[inline(always)]
    fn multiply_to<S: Simd>(x: S::f32s, products: &mut Pair<S>) {
        let (low, high) = x.widen();
        products[0] *= low;
        products[1] *= high;
    }

    #[inline(always)]
    fn load_pair<S: Simd>(simd: S, values: &[f32]) -> Pair<S> {
        let (low, high) = S::f32s::from_slice(simd, values).widen();
        [low, high]
    }

    #[inline(always)]
    fn store_pair<S: Simd>(pair: Pair<S>, values: &mut [f32]) {
        pair[0].narrow(pair[1]).store_slice(values);
    }
}

/// 1.5 · 2^52: adding it rounds to an integer that then stands in the low bits.
const SHIFTER: f64 = 6_755_399_441_055_744.0;

impl Real for f64 {
    const TINY: Self = f64::from_bits((1023 - 128) << 52);
    const LOG2_TINY: Self = -128.0;
    const STEPS: f64 = 1.0;
    /// 2^f for x = n + f with an integer n and |f| ≤ ½, degree 11.
    #[expect(
        clippy::approx_constant,
        clippy::excessive_precision,
        reason = "coefficients as Remez gave them, ln 2 rounded among them"
    )]
    const EXP2: (Self, &'static [Self]) = (
        4.435_269_214_488_551_8e-10,
        &[
            1.0,
            0.693_147_180_559_945_29,
            0.240_226_506_959_101_55,
            0.055_504_108_664_819_918,
            0.009_618_129_107_588_337_1,
            0.001_333_355_814_679_012,
            0.000_154_035_304_625_114_4,
            1.525_273_348_978_799_7e-5,
            1.321_543_309_111_147_1e-6,
            1.017_819_810_877_755_6e-7,
            7.074_105_359_801_098_3e-9,
        ],
    );
    const LOWEST: Self = -1e300;
    const NEGLIGIBLE: f64 = 1e-290;

    #[inline(always)]
    fn from_f64(x: f64) -> Self {
        x
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }

    #[inline(always)]
    fn exp2_parts<S: Simd>(simd: S, x: S::f64s) -> (S::f64s, S::f64s) {
        let shifter = S::f64s::splat(simd, SHIFTER);
        let shifted = x + shifter;
        (x - (shifted - shifter), shifted)
    }

    #[inline(always)]
    fn exp2_of<S: Simd>(polynomial: S::f64s, bits: S::f64s) -> S::f64s {
        S::f64s::from_bits(polynomial.to_bits() + (bits.to_bits() << 52))
    }

    #[inline(always)]
    fn log2<S: Simd>(simd: S, x: S::f64s) -> S::f64s {
        let bits = x.bitcast::<S::i64s>() - SQRT_HALF_F64;
        let e = S::f64s::float_from(bits >> 52);
        let m: S::f64s = ((bits & 0x000f_ffff_ffff_ffff) + SQRT_HALF_F64).bitcast();
        let x = m - 1.0;
        let mut p = S::f64s::splat(simd, LOG2_F64[18]);
        for c in LOG2_F64[..18].iter().rev() {
            p = p.mul_add(x, S::f64s::splat(simd, *c));
        }
        p.mul_add(x, e)
    }

    #[inline(always)]
    fn reciprocal<S: Simd>(simd: S, x: S::f64s) -> S::f64s {
        let one = S::f64s::splat(simd, 1.0);
        if has_close_reciprocals(simd) {
            newton(one, x, newton(one, x, x.approximate_recip()))
        } else {
            one / x
        }
    }

    #[inline(always)]
    fn add_to<S: Simd>(x: S::f64s, sums: &mut Pair<S>) {
        sums[0] += x;
    }

    #[inline(always)]
    fn multiply_to<S: Simd>(x: S::f64s, products: &mut Pair<S>) {
        products[0] *= x;
    }

    #[inline(always)]
    fn load_pair<S: Simd>(simd: S, values: &[f64]) -> Pair<S> {
        [load(simd, values, 0), load(simd, values, 1)]
    }

    #[inline(always)]
    fn store_pair<S: Simd>(pair: Pair<S>, values: &mut [f64]) {
        store::<S, f64>(pair[0], values, 0);
        store::<S, f64>(pair[1], values, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::super::level::{self, on_level};
    use super::*;

    #[inline(always)]
    fn exp2_of<S: Simd, T: Real>(simd: S, x: f64) -> f64 {
        let x = Vector::<S, T>::splat(simd, T::from_f64(x * T::STEPS));
        T::exp2(simd, [[x]])[0][0].as_slice()[0].to_f64()
    }

    #[inline(always)]
    fn log2_of<S: Simd, T: Real>(simd: S, x: f64) -> f64 {
        T::log2(simd, Vector::<S, T>::splat(simd, T::from_f64(x))).as_slice()[0].to_f64()
    }

    #[inline(always)]
    fn reciprocal_of<S: Simd, T: Real>(simd: S, x: f64) -> f64 {
        T::reciprocal(simd, Vector::<S, T>::splat(simd, T::from_f64(x))).as_slice()[0].to_f64()
    }

    #[test]
    fn reciprocals_are_within_an_ulp() {
        for level in level::all() {
            for i in 0..=4000 {
                let x = f64::from((0.005 * f64::from(i)).exp2() as f32);
                let single = on_level!(level, simd => reciprocal_of::<_, f32>(simd, x));
                let double = on_level!(level, simd => reciprocal_of::<_, f64>(simd, x));
                let tolerance = |epsilon: f64| if i % 200 == 0 { 0.0 } else { epsilon };
                assert!(
                    (single * x - 1.0).abs() <= tolerance(f64::from(f32::EPSILON)),
                    "{x}: {single}"
                );
                assert!(
                    (double * x - 1.0).abs() <= tolerance(f64::EPSILON),
                    "{x}: {double}"
                );
            }
        }
    }

    #[test]
    fn exp2_is_right_and_stops_far_out() {
        for level in level::all() {
            for i in 0..=6000 {
                let x = f64::from((-0.01 * f64::from(i)) as f32);
                let single = on_level!(level, simd => exp2_of::<_, f32>(simd, x));
                let double = on_level!(level, simd => exp2_of::<_, f64>(simd, x));
                let exact = x.exp2();
                // The polynomial's error, 0.8 ulp of its lower end, that of its last sum, 1 ulp there, and what is cut from
                // x, 0.7; in f64 that of the last sum alone, twice.
                assert!(
                    (single - exact).abs() <= exact * 2.5 * f64::from(f32::EPSILON),
                    "{x}: {single}"
                );
                assert!(
                    (double - exact).abs() <= exact * 2.0 * f64::EPSILON,
                    "{x}: {double}"
                );
            }
            // Steps beside whole numbers, and the last before the lowest.
            let step = 1.0 / f32::STEPS;
            let beside = [-1.0, -2.0, -17.0]
                .map(|n| [n - 2.0_f64.powi(-19), n + step])
                .concat();
            for x in [-0.5 * step, -step, -64.0 + 32.0 * step]
                .into_iter()
                .chain(beside)
            {
                let found = on_level!(level, simd => exp2_of::<_, f32>(simd, x));
                assert!((f32::TINY.to_f64()..=1.0).contains(&found), "{x}: {found}");
                let exact = f64::from((x * f32::STEPS) as f32 / f32::STEPS as f32).exp2();
                assert!(
                    (found / exact - 1.0).abs() <= 2.5 * f64::from(f32::EPSILON),
                    "{x}: {found}"
                );
            }
            for x in [0.0, -0.0] {
                assert_eq!(on_level!(level, simd => exp2_of::<_, f32>(simd, x)), 1.0);
                assert_eq!(on_level!(level, simd => exp2_of::<_, f64>(simd, x)), 1.0);
            }
            for x in [-64.0, -65.0, -1e30, f64::NEG_INFINITY] {
                let found = on_level!(level, simd => exp2_of::<_, f32>(simd, x));
                assert_eq!(found, f32::TINY.to_f64());
            }
            for x in [-128.0, -1e300, f64::NEG_INFINITY] {
                let found = on_level!(level, simd => exp2_of::<_, f64>(simd, x));
                assert_eq!(found, f64::TINY);
            }
        }
    }

    #[test]
    fn log2_is_within_two_ulp() {
        for level in level::all() {
            for i in -4000..=4000 {
                let x = f64::from((0.005 * f64::from(i)).exp2() as f32);
                let single = on_level!(level, simd => log2_of::<_, f32>(simd, x));
                let double = on_level!(level, simd => log2_of::<_, f64>(simd, x));
                let exact = x.log2();
                let size = exact.abs().max(1.0);
                assert!(
                    (single - exact).abs() <= 2.0 * size * f64::from(f32::EPSILON),
                    "{x}: {single}"
                );
                assert!(
                    (double - exact).abs() <= 2.0 * size * f64::EPSILON,
                    "{x}: {double}"
                );
            }
        }
    }

    #[test]
    fn numbers_are_split_into_exponent_and_digits() {
        for x in [1.0, 1.5, 2.0, 0.75, 1e-300, 1e300] {
            let (exponent, mantissa) = split(x);
            assert!((1.0..2.0).contains(&mantissa));
            assert_eq!(mantissa * exponent.exp2(), x);
        }
    }
}
