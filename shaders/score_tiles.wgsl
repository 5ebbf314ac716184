// Stage `score_tiles`: the log densities' scores where factors are diagonal, four rows by eight components an
// invocation: a multiply-add's operands are read once for four or for eight of them.
//
// The whitened coordinates y = u (x - mu) are not kept. src/backend/gpu/generate.rs writes out what is done with
// four features.

//@ constants

@group(0) @binding(0) var<uniform> batch: Batch;
// By fours of rows.
@group(0) @binding(1) var<storage, read> samples: array<vec4<f32>>;
// Per component, filled up to whole octets: log constant, mean, whitened remainder of the mean, diagonal of U.
@group(0) @binding(2) var<storage, read> components: array<vec4<f32>>;
// Segments x octets of components x rows, two vec4s each.
@group(0) @binding(3) var<storage, read_write> scores: array<vec4<f32>>;

const COMPONENT: u32 = 1u + 3u * QUADS;

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
    let first = 8u * octet * COMPONENT;
    let at = (segment.first + row) / 4u;
    let stride = batch.rows_per_block / 4u;

    //@ squares

    for (var i = 0u; i < QUADS; i++) {
        let parameters = first + 1u + i;
        //@ features
    }

    let octets = (batch.n_components + 7u) / 8u;
    let to = 2u * ((group.z * octets + octet) * batch.segment_rows + row);
    //@ scores
}
