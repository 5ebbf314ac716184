// Stage `score_diagonal`: the log density's score where factors are diagonal, one invocation per (row, component).
//
// The whitened coordinates y = u (x - mu) are not kept: a multiply-add makes each of them again, and that is
// less than reading it back.

//@ constants

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> samples: array<f32>;
// Per component: log constant, mean, whitened remainder of the mean, diagonal of U.
@group(0) @binding(2) var<storage, read> components: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> scores: array<f32>;

const COMPONENT: u32 = 1u + 3u * QUADS;

//@ features

@compute @workgroup_size(64)
fn score_diagonal(@builtin(global_invocation_id) id: vec3<u32>) {
    let segment = segment_of(id.z);
    let row = id.x;
    if row >= segment.rows {
        return;
    }
    let k = id.y;
    let mean = k * COMPONENT + 1u;
    let remainder = mean + QUADS;
    let factor = remainder + QUADS;
    let at = segment.first + row;
    var squares = 0.0;
    for (var i = 0u; i < QUADS; i++) {
        let x = features(at, i) - components[mean + i];
        let y = components[factor + i] * x - components[remainder + i];
        squares += dot(y, y);
    }
    let slot = (id.z * batch.n_components + k) * batch.segment_rows + row;
    scores[slot] = components[mean - 1u].x - HALF_LOG2_E * min(squares, FARTHEST);
}
