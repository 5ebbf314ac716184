// Stage `whiten`: y = U (x - mu) and the log density's score, one invocation per (row, component).
//
// U comes as 4 x 4 sub-blocks (D padded to a multiple of 4 with zeros), y goes out as vec4s. Neighbouring
// invocations take neighbouring rows of one component: samples are read in order, U is the same for all.

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
fn whiten(@builtin(global_invocation_id) id: vec3<u32>) {
    let segment = segment_of(id.z);
    let row = id.x;
    if row >= segment.rows {
        return;
    }
    let k = id.y;
    let mean = k * COMPONENT + 1u;
    let remainder = mean + QUADS;
    var factor = remainder + QUADS;
    let at = segment.first + row;
    let slot = (id.z * batch.n_components + k) * batch.segment_rows + row;
    var squares = 0.0;
    for (var i = 0u; i < QUADS; i++) {
        var y = -components[remainder + i];
        for (var j = 0u; j <= i; j++) {
            let x = features(at, j) - components[mean + j];
            y += components[factor] * x.x;
            y += components[factor + 1u] * x.y;
            y += components[factor + 2u] * x.z;
            y += components[factor + 3u] * x.w;
            factor += 4u;
        }
        whitened[slot * QUADS + i] = y;
        squares += dot(y, y);
    }
    scores[slot] = components[mean - 1u].x - HALF_LOG2_E * min(squares, FARTHEST);
}
