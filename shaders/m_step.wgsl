// Stage `m_step`: new parameters of a model from its sums, in whitened coordinates as src/em/update.rs has them, and
// whether the host should look first: where a step is not for single precision, where it leads to where passes must go
// another way, or steps have converged. Then parameters stay.
//
// A template: src/backend/gpu/generate.rs replaces each line `//@ name` by text unrolled over D. One workgroup a
// model, one invocation a component; those beyond the last repeat the last and write nothing.

//@ constants

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> settings: Settings;
@group(0) @binding(1) var<storage, read_write> walks: array<Walk>;
// The uniform buffer of `statistics_registers`.
@group(0) @binding(2) var<storage, read_write> parameters: array<f32>;
@group(0) @binding(3) var<storage, read_write> trace: array<f32>;
@group(0) @binding(4) var<storage, read> sums: array<f32>;

// S0 of each component, 0 for what is no Gaussian in the second.
var<workgroup> shares: array<vec2<f32>, K>;
// What each component says of the step: its length, how far it is fit (parts.wgsl); its new log2 constant, a whole number and a part.
var<workgroup> verdicts: array<vec4<f32>, K>;
//@ pooled

@compute @workgroup_size(WORKGROUP)
fn m_step(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let model = group.x;
    let k = min(lane, K - 1u);
    let was_over = is_over(model);
    let steps = walks[model].steps;
    let before = walks[model].components[k];
    let is_gaussian = before.w > 0.5;
    let in_trace = row_of(steps, model) + 2u * settings.logs;
    let model_sums = model * settings.sums;
    let own_sums = model_sums + k * COMPONENT_SUMS;
    let first = model * MODEL_PARAMETERS + k * COMPONENT_PARAMETERS;

    let s0 = sums[own_sums];
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

    let to = in_trace + K + 1u + k * COMPONENT_PARAMETERS;

    //@ pool

    // Of C and m: the squared length of the component's own step.
    var moved = 0.0;
    var is_definite = true;
    var keeps_digits = true;
    var constant = add_parts(before.yz, log2_parts(weight));
    if lane < K && is_gaussian {
        //@ update
    }
    let change = weight - before.x;
    let own = change * change / before.x + before.x * moved;
    let is_sound = has_samples && is_definite && own < 1e30;
    if lane < K {
        verdicts[lane] = vec4(own, fitness(is_sound, keeps_digits), constant);
    }
    workgroupBarrier();
    var squared_length = 0.0;
    var fit = FIT;
    var reference = verdicts[0].zw;
    for (var c = 0u; c < K; c++) {
        let verdict = verdicts[c];
        squared_length += verdict.x;
        fit = min(fit, verdict.y);
        if verdict.z + verdict.w > reference.x + reference.y {
            reference = verdict.zw;
        }
    }
    let below = times_below(model, squared_length);
    let converged = has_converged(model, below);
    let goes_on = !was_over && fit == FIT && !converged;

    // All have read what is now written.
    storageBarrier();
    if lane == 0u && !was_over {
        if goes_on {
            walks[model].steps = steps + 1u;
            walks[model].last = squared_length;
            walks[model].below = below;
            trace[in_trace + K] = squared_length;
        } else {
            walks[model].stopped = reason(fit, converged);
        }
    }
    if lane < K && goes_on {
        walks[model].components[k].x = weight;
        trace[in_trace + k] = s0;
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
