// Stage `score_full`: the log densities' scores where factors are triangles, some rows of one component an invocation.
//
// The whitened coordinates y = U (x - mu) are squared and not kept. U comes as 4 x 4 sub-blocks (D padded to a
// multiple of 4 with zeros). Neighbouring invocations take neighbouring rows of one component: samples are read in
// order, U is the same for all and read once for all rows of an invocation. Up to D = 64 the text is unrolled and
// keeps the rows in registers.

//@ constants

@group(0) @binding(0) var<uniform> batch: Batch;
// By so many rows as an invocation has.
@group(0) @binding(1) var<storage, read> samples: array<Rows>;
// Per component: log constant, mean, whitened remainder of the mean, sub-blocks of U by columns.
@group(0) @binding(2) var<storage, read> components: array<array<vec4<f32>, COMPONENT>>;
// Segments x components x rows.
@group(0) @binding(3) var<storage, read_write> scores: array<Rows>;

const COMPONENT: u32 = 1u + 2u * QUADS + 4u * (QUADS * (QUADS + 1u) / 2u);
const MEAN: u32 = 1u;
const REMAINDER: u32 = MEAN + QUADS;
const FACTOR: u32 = REMAINDER + QUADS;

//@ features

@compute @workgroup_size(64)
fn score_full(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let segment = segment_of(group.z);
    let row = (group.x * 64u + lane) * ROWS;
    if row >= segment.rows {
        return;
    }
    let k = group.y;
    let at = (segment.first + row) / ROWS;
    let stride = batch.rows_per_block / ROWS;
    let to = ((group.z * batch.n_components + k) * batch.segment_rows + row) / ROWS;
    //@ score
}
