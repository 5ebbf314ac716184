// Stage `sum_blocks`: a model's sums over its rows of partials, whatever they mean, for the M-step on the device.
// Logarithms go to the host as they are, which adds them in f64.
//
// A template, see `statistics_registers`. A workgroup adds CHUNK sums of one model. Runs in single precision are as
// long as there are rows for an invocation, then a tree.

//@ constants

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> settings: Settings;
@group(0) @binding(1) var<storage, read> walks: array<Walk>;
@group(0) @binding(2) var<storage, read> partials: array<f32>;
// A buffer of their own, or the partials.
@group(0) @binding(3) var<storage, read> logs: array<f32>;
@group(0) @binding(4) var<storage, read_write> sums: array<f32>;
@group(0) @binding(5) var<storage, read_write> trace: array<f32>;
// The uniform structs of `statistics_registers` or `statistics_workgroup`, RANGE_STRIDE apart; x counts blocks.
@group(0) @binding(6) var<storage, read_write> ranges: array<vec4<u32>>;

//@ reduction

@compute @workgroup_size(WORKGROUP)
fn sum_blocks(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let model = group.y;
    if group.x == 0u && model == 0u && lane == 0u {
        var all = true;
        for (var m = 0u; m < settings.models; m++) {
            all = all && is_over(m);
        }
        // The passes that follow find no block to sum.
        if all {
            for (var r = 0u; r < settings.ranges; r++) {
                ranges[r * RANGE_STRIDE].x = 0u;
            }
        }
    }
    if is_over(model) {
        return;
    }
    let row = row_of(walks[model].steps, model);
    let first = group.x * CHUNK;
    // All of a model's workgroups together.
    let groups = (settings.sums + CHUNK - 1u) / CHUNK;
    for (var p = group.x * WORKGROUP + lane; p < settings.logs; p += groups * WORKGROUP) {
        let at = settings.first_log + (p * settings.models + model) * settings.log_stride;
        trace[row + 2u * p] = logs[at];
        trace[row + 2u * p + 1u] = logs[at + 1u];
    }

    //@ accumulators

    for (var r = lane; r < settings.rows; r += WORKGROUP) {
        let at = (r * settings.models + model) * settings.stride;
        //@ add
    }

    //@ tree
    workgroupBarrier();
    branches[lane / LANES][lane % LANES] = branch(lane);
    workgroupBarrier();
    if lane < CHUNK && first + lane < settings.sums {
        sums[model * settings.sums + first + lane] = trunk(lane);
    }
}
