// Stage `statistics_groups`: the statistics of one group of components over one summation block, kept in
// registers, where `log_normalisers` and `merge_normalisers` have said what all components sum to.
//
// A template, unrolled over D and the group's components like `statistics_registers`. Scores are made again:
// the same operations in the same order as in `log_normalisers`, and cheaper than a place in memory for each.

//@ constants

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> range: GroupRange;
@group(0) @binding(1) var<uniform> components: array<array<vec4<f32>, PARAMETERS>, UNIFORM_LEN / PARAMETERS>;
@group(0) @binding(2) var<storage, read> samples: array<f32>;
@group(0) @binding(3) var<storage, read> blocks: array<Block>;
// Entries x rows: the largest score, and the row's weight over its sum.
@group(0) @binding(4) var<storage, read> normalisers: array<vec2<f32>>;
// Entries x groups x statistics.
@group(0) @binding(5) var<storage, read_write> partials: array<f32>;

//@ reduction

@compute @workgroup_size(WORKGROUP)
fn statistics_groups(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    //@ builtins
) {
    let rows_per_block = range.rows_per_block;
    let block = blocks[group.z];
    let model = group.y;

    //@ accumulators

    //@ parameters

    for (var row = lane; row < block.rows; row += WORKGROUP) {
        let at = block.first + row;
        let normaliser = normalisers[group.z * rows_per_block + row];
        //@ row
    }

    let partial = (group.z * range.sum_groups + range.first_group + group.y) * STATISTICS;
    //@ sums
}
