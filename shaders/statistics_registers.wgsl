// Stage `statistics_registers`: all statistics of one summation block under one of several models, kept in
// registers.
//
// A template: src/backend/gpu/generate.rs replaces each line `//@ name` by text unrolled over D and K, so
// that the only loop is the walk over rows. One workgroup owns one block and model; invocations take rows
// in turn.

//@ constants

override WORKGROUP: u32 = 64u;

// Which blocks this dispatch sums: `count` entries of `blocks`, `width` workgroups in x. Entries of one block
// under several models stand side by side, so that its rows are read into a cache once.
struct BlockRange {
    count: u32,
    width: u32,
    // Distance between two features of a row: samples are feature-major within a block.
    rows_per_block: u32,
    padding: u32,
}

struct Block {
    // Where the block's first number stands in `samples`.
    first: u32,
    // Rows, at least 1.
    rows: u32,
    // Which row of `partials` is the entry's.
    partial: u32,
    // Which of the models.
    model: u32,
}

@group(0) @binding(0) var<uniform> range: BlockRange;
@group(0) @binding(1) var<uniform> components: array<vec4<f32>, PARAMETERS * MODELS>;
@group(0) @binding(2) var<storage, read> samples: array<f32>;
@group(0) @binding(3) var<storage, read> blocks: array<Block>;
@group(0) @binding(4) var<storage, read_write> partials: array<f32>;

// CHUNK statistics at a time are summed over the workgroup: each by LANES invocations, then by one. The row
// of a statistic is LANES longer than the workgroup, so that neighbours read different banks.
const CHUNK: u32 = 16u;
override LANES: u32 = WORKGROUP / CHUNK;
override ROW: u32 = WORKGROUP + LANES;
var<workgroup> tree: array<f32, CHUNK * ROW>;
var<workgroup> branches: array<f32, WORKGROUP>;

// The sum of CHUNK entries, LANES apart, of the statistic that this invocation helps with.
fn branch(lane: u32) -> f32 {
    let first = (lane / LANES) * ROW + lane % LANES;
    var sum = 0.0;
    for (var i = 0u; i < CHUNK; i++) {
        sum += tree[first + i * LANES];
    }
    return sum;
}

// The sum of the branches of statistic `s` of the chunk.
fn trunk(s: u32) -> f32 {
    var sum = 0.0;
    for (var i = 0u; i < LANES; i++) {
        sum += branches[s * LANES + i];
    }
    return sum;
}

@compute @workgroup_size(WORKGROUP)
fn statistics_registers(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = group.x + group.y * range.width;
    if index >= range.count {
        return;
    }
    let block = blocks[index];
    let rows_per_block = range.rows_per_block;
    let model = block.model * PARAMETERS;

    //@ accumulators

    //@ parameters

    for (var row = lane; row < block.rows; row += WORKGROUP) {
        let at = block.first + row;
        //@ row
    }

    let partial = block.partial * STATISTICS;
    //@ sums
}
