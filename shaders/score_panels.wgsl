// Stage `score_panels`: what `score_tiles` does, where each parameter is a load like any other.
//
// A workgroup takes the same rows under OCTETS octets of components. Features and parameters pass through workgroup
// memory, CHUNK fours of features at a time. src/backend/gpu/generate.rs writes out what is done with some of them.

//@ constants

@group(0) @binding(0) var<uniform> batch: Batch;
// By fours of rows.
@group(0) @binding(1) var<storage, read> samples: array<vec4<f32>>;
// Per octet an entry of log constants, then one for each four features; see `struct Octet`.
@group(0) @binding(2) var<storage, read> components: array<array<vec4<f32>, 32>>;
// Segments x octets of components x rows, two vec4s each.
@group(0) @binding(3) var<storage, read_write> scores: array<vec4<f32>>;

// Invocations of an octet.
const LANES: u32 = WORKGROUP / OCTETS;
// Entries of an octet.
const ENTRIES: u32 = 1u + QUADS;

// Nested, so that a place is checked once for what is written out. Of four features the means, remainders and diagonals of
// eight components.
struct Quad {
    parameters: array<vec4<f32>, PARAMETERS>,
}
struct Quads {
    quads: array<Quad, WRITTEN>,
}
struct Panel {
    some: array<Quads, CHUNK / WRITTEN>,
}
// One feature of four rows an invocation.
struct Feature {
    rows: array<vec4<f32>, LANES>,
}
struct Features {
    features: array<Feature, 4u * WRITTEN>,
}
var<workgroup> panels: array<Panel, OCTETS>;
var<workgroup> features_of: array<Features, CHUNK / WRITTEN>;

@compute @workgroup_size(WORKGROUP)
fn score_panels(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let lane = index % LANES;
    let panel = index / LANES;
    let segment = segment_of(group.z);
    let own = 4u * (group.x * LANES + lane);
    // Beyond the segment the last rows again, and beyond the octets the last one, for nothing.
    let row = min(own, (segment.rows - 1u) / 4u * 4u);
    let octets = (batch.n_components + 7u) / 8u;
    let octet = min(group.y * OCTETS + panel, octets - 1u);
    let first = octet * ENTRIES;
    let at = (segment.first + row) / 4u;
    let stride = batch.rows_per_block / 4u;

    //@ squares
    //@ ahead

    // All of the workgroup goes through it equally often.
    for (var start = 0u; start < QUADS; start += CHUNK) {
        workgroupBarrier();
        //@ bring
        workgroupBarrier();
        // The next are under way while these are at work.
        //@ read
        // Squares of some features are added up by themselves, so that the long sum is rounded seldom.
        //@ runs
        for (var i = 0u; i < min(CHUNK, QUADS - start + WRITTEN - 1u) / WRITTEN; i++) {
            //@ features
        }
        //@ sums
    }

    if own < segment.rows && group.y * OCTETS + panel < octets {
        let to = 2u * ((group.z * octets + octet) * batch.segment_rows + own);
        //@ scores
    }
}
