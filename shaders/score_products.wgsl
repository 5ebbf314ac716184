// Stage `score_products`: the log densities' scores where factors are large triangles, as products of matrices.
//
// y = U (x - mu) for four rows and BLOCK fours of coordinates at a time, which stay in registers and are squared: each
// number that is read serves all of the others. U comes as 4 x 4 sub-blocks by columns (D padded to a multiple of 4 with
// zeros), and those of the coordinates at hand go through workgroup memory, CHUNK fours of features at a time.
// Neighbouring invocations take neighbouring rows of one component, and a workgroup the same rows of COMPONENTS: what
// one of them reads of a sample is at hand for the others.

//@ constants

@group(0) @binding(0) var<uniform> batch: Batch;
// By fours of rows.
@group(0) @binding(1) var<storage, read> samples: array<vec4<f32>>;
// Per component: log constant, mean, whitened remainder of the mean, sub-blocks of U by columns.
@group(0) @binding(2) var<storage, read> components: array<array<vec4<f32>, COMPONENT>>;
// Segments x components x rows, by fours.
@group(0) @binding(3) var<storage, read_write> scores: array<vec4<f32>>;

const COMPONENT: u32 = 1u + 2u * QUADS + 4u * (QUADS * (QUADS + 1u) / 2u);
const MEAN: u32 = 1u;
const REMAINDER: u32 = MEAN + QUADS;
const FACTOR: u32 = REMAINDER + QUADS;
// Invocations of a component.
const LANES: u32 = WORKGROUP / COMPONENTS;

// Nested, so that a place is checked once for four features.
struct Columns {
    fours: array<array<vec4<f32>, 4>, BLOCK>,
    mean: vec4<f32>,
}
struct Panel {
    columns: array<Columns, CHUNK>,
}
var<workgroup> panels: array<Panel, COMPONENTS>;

@compute @workgroup_size(WORKGROUP)
fn score_products(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let lane = index % LANES;
    let c = index / LANES;
    let segment = segment_of(group.z);
    let own = (group.x * LANES + lane) * 4u;
    // Beyond the segment the last rows again, and beyond the components the last one, for nothing.
    let row = min(own, (segment.rows - 1u) / 4u * 4u);
    let k = min(group.y * COMPONENTS + c, batch.n_components - 1u);
    let at = (segment.first + row) / 4u;
    let stride = batch.rows_per_block / 4u;
    // What it brings into workgroup memory: of features the four's place, of the four a feature.
    let column = lane % (4u * CHUNK) / 4u;
    let part = lane % 4u;
    var squares = vec4(0.0);

    for (var block = 0u; block < WHOLE_BLOCKS; block++) {
        let i = block * BLOCK;
        //@ block
    }
    //@ rest

    if own < segment.rows && group.y * COMPONENTS + c < batch.n_components {
        let to = ((group.z * batch.n_components + k) * batch.segment_rows + own) / 4u;
        scores[to] = components[k][0].x - HALF_LOG2_E * min(squares, vec4(FARTHEST));
    }
}
