// Stage `statistics_workgroup`: all statistics of a part of a summation block under one of several models, in the
// registers of a workgroup.
//
// A template, unrolled over D and K. The rows go by in tiles: first each invocation has a row, which it scores under
// every component, and leaves its features and responsibilities in workgroup memory; then it has a component and a
// slice of the tile's rows, of which it sums x - mu and its products. Scores are made once and samples read once.

//@ constants

// Odd distances between rows, so that neighbours read different banks.
struct Features {
    quads: array<vec4<f32>, QUADS | 1u>,
}
struct Shares {
    components: array<f32, K | 1u>,
}
// By pairs of rows, whose place is checked once.
struct FeaturesOfTwo {
    rows: array<Features, 2>,
}
struct SharesOfTwo {
    rows: array<Shares, 2>,
}
var<workgroup> features_of: array<FeaturesOfTwo, WORKGROUP / 2u>;
var<workgroup> shares_of: array<SharesOfTwo, WORKGROUP / 2u>;
// CHUNK sums of each invocation.
var<workgroup> tree: array<f32, CHUNK * WORKGROUP>;
var<workgroup> branches: array<f32, 32>;

@compute @workgroup_size(WORKGROUP)
fn statistics_workgroup(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = group.x + group.y * range.width;
    if index >= range.count {
        return;
    }
    let block = blocks[index];
    let rows_per_block = range.rows_per_block;
    let model = block.model;
    let own = lane % K;
    let slice = lane / K;

    //@ mean

    //@ accumulators

    // All of the workgroup goes through it equally often.
    for (var first = 0u; first < block.rows; first += WORKGROUP) {
        let row = first + lane;
        let at = block.first + min(row, block.rows - 1u);
        //@ row
        workgroupBarrier();
        if slice < SLICES {
            for (var pair = slice; pair < WORKGROUP / 2u; pair += SLICES) {
                //@ pair
            }
        }
        workgroupBarrier();
    }

    let partial = block.partial * STATISTICS;
    //@ sums
}
