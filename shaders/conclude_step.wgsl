// Stage `conclude_step`: whether a model takes the step that its components made, or the host should look first:
// where a step is not for single precision, where it leads to where passes must go another way, or steps have
// converged. One workgroup a model.

//@ constants

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> settings: Settings;
@group(0) @binding(1) var<storage, read_write> walks: array<Walk>;
// Per model its components' and one more: 1 if the step is taken, and the largest log2 constant.
@group(0) @binding(2) var<storage, read_write> verdicts: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> trace: array<f32>;

var<workgroup> found: array<vec4<f32>, WORKGROUP>;
// So many invocations add up what others found.
const BRANCHES: u32 = 16u;

// Of two verdicts on different components one on both.
fn both(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    let reference = select(a.zw, b.zw, b.z + b.w > a.z + a.w);
    return vec4(a.x + b.x, min(a.y, b.y), reference);
}

@compute @workgroup_size(WORKGROUP)
fn conclude_step(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let model = group.x;
    let first = model * (K + 1u);
    let none = vec4(0.0, 1.0, -1e30, 0.0);
    var part = none;
    for (var k = lane; k < K; k += WORKGROUP) {
        part = both(part, verdicts[first + k]);
    }
    found[lane] = part;
    workgroupBarrier();
    //@ branches
    if lane > 0u {
        return;
    }
    var all = none;
    for (var l = 0u; l < BRANCHES; l++) {
        all = both(all, found[l]);
    }
    let squared_length = all.x;
    let below = times_below(model, squared_length);
    let converged = has_converged(model, below);
    let goes_on = all.y == 1.0 && !converged;
    if is_over(model) {
        verdicts[first + K] = vec4(0.0);
    } else if goes_on {
        verdicts[first + K] = vec4(1.0, 0.0, all.zw);
        let row = row_of(walks[model].steps, model);
        trace[row + 2u * settings.logs + K] = squared_length;
        walks[model].steps += 1u;
        walks[model].last = squared_length;
        walks[model].below = below;
    } else {
        verdicts[first + K] = vec4(0.0);
        walks[model].stopped = reason(all.y, converged);
    }
}
