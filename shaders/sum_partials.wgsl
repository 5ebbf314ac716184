// Stage `sum_partials`: what `statistics_registers` found in each block, added up over the blocks of a model, for the
// M-step on the device. Logarithms go to the host as they are, which adds them in f64.
//
// A template, see `statistics_registers`. A workgroup adds CHUNK statistics of one model. Runs in single precision
// are as long as there are blocks for an invocation, then a tree.

//@ constants

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> settings: Settings;
@group(0) @binding(1) var<storage, read> partials: array<f32>;
@group(0) @binding(2) var<storage, read> walks: array<Walk>;
// The uniform structs of `statistics_registers`, RANGE_STRIDE apart; x counts blocks.
@group(0) @binding(3) var<storage, read_write> ranges: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read_write> trace: array<f32>;

//@ reduction

fn is_over(model: u32) -> bool {
    return walks[model].stopped != 0u || walks[model].steps == walks[model].most;
}

@compute @workgroup_size(WORKGROUP)
fn sum_partials(
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
    let row = (walks[model].steps * settings.models + model) * row_len();
    let first = group.x * CHUNK;

    //@ accumulators

    for (var b = lane; b < settings.blocks; b += WORKGROUP) {
        let at = (b * settings.models + model) * STATISTICS;
        //@ add
        if group.x == 0u {
            trace[row + 2u * b] = partials[at + SUMS];
            trace[row + 2u * b + 1u] = partials[at + SUMS + 1u];
        }
    }

    //@ tree
    workgroupBarrier();
    branches[lane + lane / LANES] = branch(lane);
    workgroupBarrier();
    if lane < CHUNK && first + lane < SUMS {
        trace[row + 2u * settings.blocks + first + lane] = trunk(lane);
    }
}
