// Stage `m_step`: new parameters of a model from its sums, in whitened coordinates as src/em/update.rs has them, and
// whether the host should look first: where a step is not for single precision, or steps have converged. Then
// parameters stay.
//
// A template: src/backend/gpu/generate.rs replaces each line `//@ name` by text unrolled over D. One workgroup a
// model, one invocation a component; those beyond the last repeat the last and write nothing.

//@ constants

override WORKGROUP: u32 = 64u;

// A component with a smaller share of the samples is left to the host.
const LEAST_SHARE: f32 = 1e-20;
// A pivot of C is what the mean's step leaves of the second moment. Rounding, some 1e-7 of that, must be small beside it.
const LEAST_PIVOT: f32 = 1e-3;

@group(0) @binding(0) var<uniform> settings: Settings;
@group(0) @binding(1) var<storage, read_write> walks: array<Walk>;
// The uniform buffer of `statistics_registers`.
@group(0) @binding(2) var<storage, read_write> parameters: array<f32>;
@group(0) @binding(3) var<storage, read_write> trace: array<f32>;

// S0 of each component, 0 for what is no Gaussian in the second.
var<workgroup> shares: array<vec2<f32>, K>;
// What each component says of the step: its length, 1 if it is sound; its new log2 constant, a whole number and a part.
var<workgroup> verdicts: array<vec4<f32>, K>;
//@ pooled

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

@compute @workgroup_size(WORKGROUP)
fn m_step(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let model = group.x;
    let k = min(lane, K - 1u);
    let is_over = walks[model].stopped != 0u || walks[model].steps == walks[model].most;
    let steps = walks[model].steps;
    let last = walks[model].last;
    let below_before = walks[model].below;
    let before = walks[model].components[k];
    let is_gaussian = before.w > 0.5;
    let row = (steps * settings.models + model) * row_len();
    let all_sums = row + 2u * settings.blocks;
    let sums = all_sums + k * COMPONENT_SUMS;
    let first = model * MODEL_PARAMETERS + k * COMPONENT_PARAMETERS;

    let s0 = trace[sums];
    if lane < K {
        shares[lane] = vec2(s0, select(0.0, s0, is_gaussian));
    }
    workgroupBarrier();
    var total = vec2(0.0);
    for (var c = 0u; c < K; c++) {
        total += shares[c];
    }
    let weight = s0 / total.x;
    let has_samples = s0 > LEAST_SHARE * total.x;
    // Never 0, so that nothing overflows where the step is not taken.
    let share = select(1.0, s0, has_samples);

    let to = all_sums + SUMS + 1u + k * COMPONENT_PARAMETERS;

    //@ pool

    // Of C and m: the squared length of the component's own step.
    var moved = 0.0;
    var is_definite = true;
    var constant = add_parts(before.yz, log2_parts(weight));
    if lane < K && is_gaussian {
        //@ update
    }
    let change = weight - before.x;
    let own = change * change / before.x + before.x * moved;
    let is_sound = has_samples && is_definite && own < 1e30;
    if lane < K {
        verdicts[lane] = vec4(own, select(0.0, 1.0, is_sound), constant);
    }
    workgroupBarrier();
    var squared_length = 0.0;
    var all_sound = true;
    var reference = verdicts[0].zw;
    for (var c = 0u; c < K; c++) {
        let verdict = verdicts[c];
        squared_length += verdict.x;
        all_sound = all_sound && verdict.y > 0.5;
        if verdict.z + verdict.w > reference.x + reference.y {
            reference = verdict.zw;
        }
    }
    // What src/em/convergence.rs asks.
    let shrinks = squared_length < last;
    let rate = select(0.0, sqrt(squared_length / max(last, 1e-37)), shrinks);
    let is_below = squared_length < walks[model].negligible
        || (shrinks && rate < 1.0 && 0.5 * squared_length < walks[model].tol * (1.0 - rate));
    let below = select(0u, below_before + 1u, is_below);
    let converged = walks[model].tol > 0.0 && below >= walks[model].times;
    let goes_on = !is_over && all_sound && !converged;

    // All have read what is now written.
    storageBarrier();
    if lane == 0u && !is_over {
        if goes_on {
            walks[model].steps = steps + 1u;
            walks[model].last = squared_length;
            walks[model].below = below;
            trace[all_sums + SUMS] = squared_length;
        } else {
            walks[model].stopped = 1u;
        }
    }
    if lane < K && goes_on {
        walks[model].components[k].x = weight;
        if is_gaussian {
            for (var i = 0u; i < COMPONENT_PARAMETERS - 1u; i++) {
                parameters[first + i] = trace[to + i];
            }
        }
        let relative = (constant.x - reference.x) + (constant.y - reference.y);
        parameters[first + COMPONENT_PARAMETERS - 1u] = relative;
        trace[to + COMPONENT_PARAMETERS - 1u] = relative;
    }
}
