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

@group(0) @binding(0) var<uniform> range: BlockRange;
@group(0) @binding(1) var<uniform> components: array<array<vec4<f32>, PARAMETERS>, MODELS>;
@group(0) @binding(2) var<storage, read> samples: array<f32>;
@group(0) @binding(3) var<storage, read> blocks: array<Block>;
@group(0) @binding(4) var<storage, read_write> partials: array<f32>;

//@ reduction

@compute @workgroup_size(WORKGROUP)
fn statistics_registers(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    //@ builtins
) {
    let index = group.x + group.y * range.width;
    if index >= range.count {
        return;
    }
    let block = blocks[index];
    let rows_per_block = range.rows_per_block;
    let model = block.model;

    //@ accumulators

    //@ parameters

    //@ product

    for (var row = lane; row < block.rows; row += WORKGROUP) {
        let at = block.first + row;
        //@ row
    }

    //@ logs

    let partial = block.partial * STATISTICS;
    //@ sums
}
