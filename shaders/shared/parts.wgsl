// Pasted before the stages that make new parameters.

// A component with a smaller share of the samples is left to the host.
const LEAST_SHARE: f32 = 1e-20;
// A pivot of C is what the mean's step leaves of the second moment. Rounding, some 1e-7 of that, must be small beside it.
const LEAST_PIVOT: f32 = 1e-3;
// How far a component's step is fit to be taken: not in single precision, only if passes go another way then, or all.
const UNSOUND: f32 = 0.0;
const FIT_FOR_OTHERS: f32 = 0.5;
const FIT: f32 = 1.0;

fn fitness(is_sound: bool, keeps_digits: bool) -> f32 {
    return select(UNSOUND, select(FIT_FOR_OTHERS, FIT, keeps_digits), is_sound);
}

// The same number, of which compilers know nothing: they may otherwise take (a + b) - a for b.
fn as_is(x: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(x) ^ settings.zero);
}

// The sum of two numbers that are each a whole number and a part of 0 to 1, which keeps its last places that way.
fn add_parts(a: vec2<f32>, b: vec2<f32>) -> vec2<f32> {
    let part = a.y + b.y;
    let carry = select(0.0, 1.0, part >= 1.0);
    return vec2(a.x + b.x + carry, part - carry);
}

// log2 of a positive number in that form.
fn log2_parts(x: f32) -> vec2<f32> {
    let bits = bitcast<u32>(x);
    let whole = f32(i32(bits >> 23u) - 127);
    return vec2(whole, log2_of(bitcast<f32>((bits & 0x7fffffu) | 0x3f800000u)));
}
