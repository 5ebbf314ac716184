// Stage `score_diagonal`: the log density's score where factors are diagonal, one invocation per (row, component).
//
// The whitened coordinates y = u (x - mu) are not kept: a multiply-add makes each of them again, and that is
// less than reading it back.

//@ constants

//@ octets

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> samples: array<f32>;
@group(0) @binding(2) var<storage, read> components: array<Octet>;
@group(0) @binding(3) var<storage, read_write> scores: array<f32>;

//@ features

@compute @workgroup_size(64)
fn score_diagonal(@builtin(global_invocation_id) id: vec3<u32>) {
    let segment = segment_of(id.z);
    let row = id.x;
    if row >= segment.rows {
        return;
    }
    let k = id.y;
    let first = k / 8u * ENTRIES;
    let own = k % 8u;
    let at = segment.first + row;
    var squares = 0.0;
    for (var i = 0u; i < QUADS; i++) {
        let entry = first + 1u + i;
        let x = features(at, i) - components[entry].means[own];
        let y = components[entry].factors[own] * x - components[entry].remainders[own];
        squares += dot(y, y);
    }
    let slot = (id.z * batch.n_components + k) * batch.segment_rows + row;
    scores[slot] = components[first].means[own].x - HALF_LOG2_E * min(squares, FARTHEST);
}
