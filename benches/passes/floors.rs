//! What this machine can do at most: bytes read and multiply-adds a second, on all threads.

use std::hint::black_box;

use fearless_simd::{Level, SimdFloatElement, dispatch, prelude::*};
use rayon::prelude::*;

use super::clock::Clock;

pub(crate) struct Floors {
    pub(crate) bytes_per_second: f64,
    pub(crate) f32_flops: f64,
    pub(crate) f64_flops: f64,
}

/// Independent chains: enough to hide the latency of a multiply-add on two ports.
const CHAINS: usize = 12;
const ROUNDS: usize = 4_000_000;

pub(crate) fn measure() -> Floors {
    Floors {
        bytes_per_second: best(read),
        f32_flops: best(flops::<f32>),
        f64_flops: best(flops::<f64>),
    }
}

fn best(rate: fn() -> f64) -> f64 {
    (0..5).map(|_| rate()).fold(0.0, f64::max)
}

/// Bytes read a second, from memory that no cache holds.
fn read() -> f64 {
    let values = vec![1u64; 1 << 26];
    let clock = Clock::start();
    let sum: u64 = values
        .par_chunks(1 << 16)
        .map(|c| c.iter().sum::<u64>())
        .sum();
    black_box(sum);
    (values.len() * 8) as f64 / clock.seconds()
}

/// Floating-point operations a second of multiply-adds on registers.
pub(crate) fn flops<T: SimdFloatElement + Send>() -> f64 {
    let threads = rayon::current_num_threads();
    let clock = Clock::start();
    let lanes: usize = rayon::broadcast(|_| {
        let level = Level::new();
        dispatch!(level, simd => chains::<_, T>(simd))
    })
    .into_iter()
    .sum::<usize>()
        / threads;
    (threads * lanes * 2 * CHAINS * ROUNDS) as f64 / clock.seconds()
}

#[inline(always)]
fn chains<S: Simd, T: SimdFloatElement>(simd: S) -> usize {
    let start = T::Native::<S>::splat(simd, T::from(1u8));
    let factor = black_box(start);
    let mut sums = [start; CHAINS];
    for _ in 0..ROUNDS {
        for sum in &mut sums {
            *sum = sum.mul_add(factor, factor);
        }
    }
    for sum in sums {
        black_box(sum);
    }
    T::Native::<S>::LEN
}
