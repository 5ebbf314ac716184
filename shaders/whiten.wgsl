// Stage `whiten`: y = U (x - mu) and the log density's score, one invocation per (row, component).
//
// U comes as 4 x 4 sub-blocks (D padded to a multiple of 4 with zeros), y goes out as vec4s, those of one
// quadruple of features side by side. Neighbouring invocations take neighbouring rows of one component: samples
// are read and coordinates written in order, U is the same for all. Up to D = 64 the text is unrolled and keeps
// the row in registers.

//@ constants

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> samples: array<f32>;
// Per component: log constant, mean, whitened remainder of the mean, sub-blocks of U by columns.
@group(0) @binding(2) var<storage, read> components: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> whitened: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> scores: array<f32>;

const COMPONENT: u32 = 1u + 2u * QUADS + 4u * (QUADS * (QUADS + 1u) / 2u);

//@ features

@compute @workgroup_size(64)
fn whiten(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let segment = segment_of(group.z);
    let row = group.x * 64u + lane;
    if row >= segment.rows {
        return;
    }
    let k = group.y;
    let mean = k * COMPONENT + 1u;
    let remainder = mean + QUADS;
    var factor = remainder + QUADS;
    let at = segment.first + row;
    let first = (group.z * batch.n_components + k) * batch.segment_rows;
    let to = first * QUADS + row;
    var squares = 0.0;
    //@ whiten
    scores[first + row] = components[mean - 1u].x - HALF_LOG2_E * min(squares, FARTHEST);
}
