//! The two number types of the CPU path, and 2ˣ for vectors of them.

use fearless_simd::{SimdFloatElement, prelude::*};

/// A vector of `T` in the instruction set `S`.
pub(super) type Vector<S, T> = <T as SimdFloatElement>::Native<S>;

/// f32 or f64.
pub(super) trait Real: SimdFloatElement + Send + Sync + 'static {
    /// Rounds.
    fn from_f64(x: f64) -> Self;
    /// Widens, exactly.
    fn to_f64(self) -> f64;
    /// 2ˣ for x ≤ 0: within 1 ulp, and exactly 0 below −64 (f32) or −128 (f64), so that no denormal is met.
    fn exp2<S: Simd>(simd: S, x: Vector<S, Self>) -> Vector<S, Self>;
}

/// 2^f for |f| ≤ ½ by Remez, degree 6.
#[expect(
    clippy::approx_constant,
    reason = "coefficients as Remez gave them, ln 2 rounded among them"
)]
const EXP2_F32: [f32; 7] = [
    1.0,
    0.693_147_2,
    0.240_226_47,
    0.055_503_29,
    0.009_618_489,
    0.001_339_993_1,
    0.000_153_458_33,
];

/// 2^f for |f| ≤ ½ by Remez, degree 11.
#[expect(
    clippy::approx_constant,
    clippy::excessive_precision,
    reason = "coefficients as Remez gave them, ln 2 rounded among them"
)]
const EXP2_F64: [f64; 12] = [
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
    4.435_269_214_488_551_8e-10,
];

/// 1.5 · 2^mantissa: adding it rounds to an integer that then stands in the low bits.
const SHIFTER_F32: f32 = 12_582_912.0;
const SHIFTER_F64: f64 = 6_755_399_441_055_744.0;

impl Real for f32 {
    #[inline(always)]
    fn from_f64(x: f64) -> Self {
        x as f32
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn exp2<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
        let x = x.max(S::f32s::splat(simd, -64.0));
        let shifted = x + SHIFTER_F32;
        let f = x - (shifted - SHIFTER_F32);
        let mut p = S::f32s::splat(simd, EXP2_F32[6]);
        for c in EXP2_F32[..6].iter().rev() {
            p = p.mul_add(f, S::f32s::splat(simd, *c));
        }
        let scaled = S::f32s::from_bits(p.to_bits() + (shifted.to_bits() << 23));
        // 2^-64: what clamped exponents give.
        scaled - f32::from_bits((127 - 64) << 23)
    }
}

impl Real for f64 {
    #[inline(always)]
    fn from_f64(x: f64) -> Self {
        x
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }

    #[inline(always)]
    fn exp2<S: Simd>(simd: S, x: S::f64s) -> S::f64s {
        let x = x.max(S::f64s::splat(simd, -128.0));
        let shifted = x + SHIFTER_F64;
        let f = x - (shifted - SHIFTER_F64);
        let mut p = S::f64s::splat(simd, EXP2_F64[11]);
        for c in EXP2_F64[..11].iter().rev() {
            p = p.mul_add(f, S::f64s::splat(simd, *c));
        }
        let scaled = S::f64s::from_bits(p.to_bits() + (shifted.to_bits() << 52));
        scaled - f64::from_bits((1023 - 128) << 52)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fearless_simd::{Level, dispatch};

    #[inline(always)]
    fn exp2_of<S: Simd, T: Real>(simd: S, x: f64) -> f64 {
        T::exp2(simd, Vector::<S, T>::splat(simd, T::from_f64(x))).as_slice()[0].to_f64()
    }

    #[test]
    fn exp2_is_within_an_ulp_and_zero_far_out() {
        let level = Level::new();
        for i in 0..=6000 {
            let x = f64::from((-0.01 * f64::from(i)) as f32);
            let single = dispatch!(level, simd => exp2_of::<_, f32>(simd, x));
            let double = dispatch!(level, simd => exp2_of::<_, f64>(simd, x));
            // 1 ulp relative, and the 2^-64 (2^-128) taken off.
            let exact = x.exp2();
            assert!(
                (single - exact).abs() <= exact * f64::from(f32::EPSILON) + 6e-20,
                "{x}: {single}"
            );
            assert!(
                (double - exact).abs() <= exact * 2.0 * f64::EPSILON + 3e-39,
                "{x}: {double}"
            );
        }
        for x in [-64.0, -65.0, -1e30] {
            assert_eq!(dispatch!(level, simd => exp2_of::<_, f32>(simd, x)), 0.0);
        }
        for x in [-128.0, -1e300] {
            assert_eq!(dispatch!(level, simd => exp2_of::<_, f64>(simd, x)), 0.0);
        }
    }
}
