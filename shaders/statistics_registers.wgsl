// Stage `statistics_registers`: all statistics of one summation block under one of several models, kept in
// registers.
//
// A template: src/backend/gpu/generate.rs replaces each line `//@ name` by text unrolled over D and K, so
// that the only loop is the walk over rows. One workgroup owns one block and model; invocations take rows
// in turn.

//@ constants

override WORKGROUP: u32 = 64u;
override TAKEN: u32 = AT_ONCE * WORKGROUP;

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
    //@ model

    //@ accumulators

    //@ parameters

    //@ product

    //@ ahead

    // DirectX's text of a `for` would ask each time whether it is the first.
    var row = lane;
    loop {
        if row >= block.rows {
            break;
        }
        //@ row
        row += TAKEN;
    }

    //@ logs

    let partial = block.partial * STATISTICS;
    //@ sums
}
