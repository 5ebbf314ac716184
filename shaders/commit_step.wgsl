// Stage `commit_step`: a component's new parameters, where its model takes the step, go where the next M-step and the
// next pass read them. One workgroup a component.

//@ constants

@group(0) @binding(0) var<uniform> settings: Settings;
@group(0) @binding(1) var<storage, read_write> walks: array<Walk>;
@group(0) @binding(2) var<storage, read> verdicts: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> trace: array<f32>;
// As the M-step reads them.
@group(0) @binding(4) var<storage, read_write> parameters: array<f32>;
//@ targets

@compute @workgroup_size(64)
fn commit_step(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let k = group.x;
    let model = group.y;
    let taken = verdicts[model * (K + 1u) + K];
    if taken.x < 0.5 {
        return;
    }
    let own = model * MODEL_PARAMETERS + k * COMPONENT_PARAMETERS;
    let row = row_of(walks[model].steps - 1u, model);
    let at_component = row + 2u * settings.logs + K + 1u + k * COMPONENT_PARAMETERS;
    if walks[model].components[k].w > 0.5 {
        for (var i = 0u; i < D; i++) {
            //@ rows
        }
        for (var i = lane; i < D; i += 64u) {
            write_mean(own, k, i, trace[at_component + i]);
            write_remainder(own, k, i, trace[at_component + REMAINDER + i]);
        }
    }
    if lane == 0u {
        let last = at_component + COMPONENT_PARAMETERS - 1u;
        walks[model].components[k].x = trace[last];
        let verdict = verdicts[model * (K + 1u) + k];
        let relative = (verdict.z - taken.z) + (verdict.w - taken.w);
        write_constant(own, k, relative);
        trace[last] = relative;
    }
}
