//! One dispatch for all kernels, and how many registers an instruction set has.

use std::marker::PhantomData;

use fearless_simd::prelude::*;

/// Evaluates `$op` with `$simd` bound to the token of `$level`, compiled for it. On x86 the levels below AVX2 share
/// one instance: they differ in nothing that the kernels use.
macro_rules! on_level {
    ($level:expr, $simd:ident => $op:expr) => {{
        #[cfg(target_arch = "x86_64")]
        {
            use fearless_simd::Simd as _;
            let level: fearless_simd::Level = $level;
            if let Some($simd) = level.as_avx512() {
                $simd.vectorize(
                    #[inline(always)]
                    || $op,
                )
            } else if let Some($simd) = level.as_avx2() {
                $simd.vectorize(
                    #[inline(always)]
                    || $op,
                )
            } else if let Some($simd) = level.as_sse2() {
                $simd.vectorize(
                    #[inline(always)]
                    || $op,
                )
            } else {
                unreachable!("x86-64 has SSE2")
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            fearless_simd::dispatch!($level, $simd => $op)
        }
    }};
}
pub(super) use on_level;

/// Plain loops, compiled for the instruction set of this machine. To reach them, closures and what they call must be
/// inlined.
#[inline(always)]
pub(crate) fn vectorized<R>(loops: impl FnOnce() -> R) -> R {
    on_level!(fearless_simd::Level::new(), simd => {
        let _ = simd;
        loops()
    })
}

/// Every instruction set of this machine that the kernels have an instance for.
#[cfg(test)]
pub(super) fn all() -> Vec<fearless_simd::Level> {
    let best = fearless_simd::Level::new();
    #[cfg(target_arch = "x86_64")]
    return [
        best.as_avx512().map(fearless_simd::Level::Avx512),
        best.as_avx2().map(fearless_simd::Level::Avx2),
        best.as_sse2().map(fearless_simd::Level::Sse2),
    ]
    .into_iter()
    .flatten()
    .collect();
    #[cfg(not(target_arch = "x86_64"))]
    vec![best]
}

/// The vector registers of an instruction set.
pub(super) struct Registers<S>(PhantomData<S>);

impl<S: Simd> Registers<S> {
    /// Whether there are 32 of them, not 16.
    pub(super) const ARE_32: bool = S::f32s::LEN == 16 || cfg!(target_arch = "aarch64");
}
