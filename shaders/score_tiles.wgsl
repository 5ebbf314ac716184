// Stage `score_tiles`: the log densities' scores where factors are diagonal, four rows by eight components an
// invocation: a multiply-add's operands are read once for four or for eight of them.
//
// The whitened coordinates y = u (x - mu) are not kept. src/backend/gpu/generate.rs writes out what is done with
// four features.

//@ constants

//@ octets

@group(0) @binding(0) var<uniform> batch: Batch;
// By fours of rows.
@group(0) @binding(1) var<storage, read> samples: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> components: array<Octet>;
// Segments x octets of components x rows, two vec4s each.
@group(0) @binding(3) var<storage, read_write> scores: array<vec4<f32>>;

@compute @workgroup_size(64)
fn score_tiles(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let segment = segment_of(group.z);
    let row = 4u * lane;
    if row >= segment.rows {
        return;
    }
    let octet = group.y;
    let first = octet * ENTRIES;
    let at = (segment.first + row) / 4u;
    let stride = batch.rows_per_block / 4u;

    //@ squares

    // Squares of 32 features are added up by themselves, so that the long sum is rounded seldom.
    for (var start = 0u; start < QUADS; start += 8u) {
        //@ runs
        for (var i = start; i < min(start + 8u, QUADS); i++) {
            let entry = first + 1u + i;
            //@ features
        }
        //@ sums
    }

    let octets = (batch.n_components + 7u) / 8u;
    let to = 2u * ((group.z * octets + octet) * batch.segment_rows + row);
    //@ scores
}
