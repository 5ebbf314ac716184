// Pasted before a stage: logarithms and powers of two as the statistics need them.

// log2(e) / 2: halves a squared distance and turns nats into bits.
const HALF_LOG2_E: f32 = 0.72134752;
// Squared distances stop here, so that no score overflows, nor the sum of a block's.
const FARTHEST: f32 = 1e34;

// 2^x for x <= 0, exactly 0 where f32 has no normal number left: some drivers stop at 2^-127 instead.
fn exp2_or_zero(x: f32) -> f32 {
    return select(0.0, exp2(x), x > -126.0);
}

// log2 of v >= 1 with full relative accuracy near 1, where drivers may be off by 2^-21.
// v = 2^e m, m in [sqrt(1/2), sqrt(2)), and log m = 2 artanh t, t = (m - 1) / (m + 1), |t| <= 0.172:
// the first term left out is below 4e-10 of the result.
fn log2_of(v: f32) -> f32 {
    let bits = bitcast<u32>(v);
    let e = (bits - 0x3f3504f3u) >> 23u;
    let m = bitcast<f32>(bits - (e << 23u));
    let t = (m - 1.0) / (m + 1.0);
    let t2 = t * t;
    let series = 1.0 + t2 * (0.33333333 + t2 * (0.2 + t2 * (0.14285714 + t2 * 0.11111111)));
    return f32(e) + t * series * 2.8853901;
}
