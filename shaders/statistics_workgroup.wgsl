// Stage `statistics_workgroup`: all statistics of a part of a summation block under one of several models, in the
// registers of a workgroup.
//
// A template, unrolled over D and K, or over some components at a time. The rows go by in tiles: first each invocation
// has a row, which it scores under every component, and leaves its features and responsibilities in workgroup memory;
// then it has a component and a slice of the tile's rows, of which it sums x - mu and its products. Scores are made once
// and samples read once. Where each parameter is a load like any other an invocation has its component's parameters in
// registers, or several have those of some of its coordinates, and scores what it is to sum; those that have a row make
// responsibilities of the scores in between.

//@ constants

// Nested, so that a place is checked once for the rows that are written out; odd distances, so that neighbours read
// different banks.
struct Features {
    quads: array<vec4<f32>, QUADS | 1u>,
}
struct FeaturesOfSome {
    rows: array<Features, WRITTEN>,
}
struct FeaturesOfSlice {
    somes: array<FeaturesOfSome, ROUNDS>,
    padding: vec4<f32>,
}
struct SharesOfSome {
    rows: array<f32, WRITTEN>,
}
struct SharesOfSlice {
    somes: array<SharesOfSome, ROUNDS>,
}
//@ shares
struct SharesOfComponents {
    components: array<SharesOfComponent, SOME>,
}
var<workgroup> features_of: array<FeaturesOfSlice, SLICES>;
var<workgroup> shares_of: array<SharesOfComponents, OWNERS * ((K + SOME - 1u) / SOME)>;
//@ squares_of
//@ means_of
// CHUNK sums of each invocation that has some.
struct Sum {
    slices: array<array<f32, K>, SLICES>,
}
var<workgroup> tree: array<Sum, OWNERS * CHUNK>;
var<workgroup> branches: array<vec2<f32>, SLICES>;

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
    //@ model
    //@ place
    // Where its row of a tile stands.
    let in_slice = lane / RUN;
    let in_run = lane % RUN / WRITTEN;
    let in_some = lane % WRITTEN;

    //@ parameters

    //@ accumulators

    // All of the workgroup goes through it equally often.
    for (var first = 0u; first < block.rows; first += TILE) {
        let row = first + lane;
        let at = block.first + min(row, block.rows - 1u);
        if lane < TILE {
            //@ row
        }
        workgroupBarrier();
        //@ scores
        if slice < SLICES {
            //@ mean
            //@ slice
        }
        workgroupBarrier();
    }

    let partial = block.partial * STATISTICS;
    //@ sums
}
