// Stage `accumulate`: the statistics of one component over one segment, as a product of a matrix with itself.
//
// z is the segment's whitened coordinates times the roots of the responsibilities, and one more vec4 that holds
// the root itself. Z'Z is then S2, S1 and S0 at once. Its lower triangle is cut into 4 x 4 tiles, one an
// invocation; where a workgroup has more invocations than tiles, slices of the rows share them out. Rows pass
// through workgroup memory, ROWS at a time.

//@ constants

@group(0) @binding(0) var<uniform> batch: Batch;
// Segments x components x vec4s of features x rows.
@group(0) @binding(1) var<storage, read> whitened: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> scores: array<f32>;
// Per segment: S1 and S0 (in x) of each component, then each component's tiles of S2 by columns.
@group(0) @binding(3) var<storage, read_write> partials: array<vec4<f32>>;

// The vec4 of the roots comes after those of the features.
const VEC4S: u32 = QUADS + 1u;
const TILES: u32 = VEC4S * (VEC4S + 1u) / 2u;
// An odd distance between rows, so that neighbours read different banks.
const STRIDE: u32 = VEC4S | 1u;

var<workgroup> z: array<vec4<f32>, ROWS * STRIDE>;

@compute @workgroup_size(WORKGROUP)
fn accumulate(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let k = group.y;
    let rows = segment_of(group.z).rows;
    let first = (group.z * batch.n_components + k) * batch.segment_rows;

    let tile = min(group.x * WORKGROUP + lane % LANES, TILES - 1u);
    let slice = lane / LANES;
    // tile = i (i + 1) / 2 + j; the root may be off by one unit.
    var i = u32((sqrt(f32(8u * tile + 1u)) - 1.0) * 0.5);
    if i * (i + 1u) / 2u > tile {
        i -= 1u;
    }
    if (i + 1u) * (i + 2u) / 2u <= tile {
        i += 1u;
    }
    let j = tile - i * (i + 1u) / 2u;

    var column_0 = vec4(0.0);
    var column_1 = vec4(0.0);
    var column_2 = vec4(0.0);
    var column_3 = vec4(0.0);
    // All of the workgroup goes through it equally often.
    for (var start = 0u; start < rows; start += ROWS) {
        workgroupBarrier();
        for (var at = lane; at < ROWS * VEC4S; at += WORKGROUP) {
            let row = start + at % ROWS;
            let quad = at / ROWS;
            var value = vec4(0.0);
            if row < rows {
                let root = sqrt(scores[first + row]);
                if quad < QUADS {
                    value = root * whitened[first * QUADS + quad * batch.segment_rows + row];
                } else {
                    value.x = root;
                }
            }
            z[at % ROWS * STRIDE + quad] = value;
        }
        workgroupBarrier();
        if slice < SLICES {
            for (var four = slice; four < ROWS / 4u; four += SLICES) {
                let at = 4u * four * STRIDE;
                let a0 = z[at + i];
                let b0 = z[at + j];
                column_0 = fma(a0, vec4(b0.x), column_0);
                column_1 = fma(a0, vec4(b0.y), column_1);
                column_2 = fma(a0, vec4(b0.z), column_2);
                column_3 = fma(a0, vec4(b0.w), column_3);
                let a1 = z[at + STRIDE + i];
                let b1 = z[at + STRIDE + j];
                column_0 = fma(a1, vec4(b1.x), column_0);
                column_1 = fma(a1, vec4(b1.y), column_1);
                column_2 = fma(a1, vec4(b1.z), column_2);
                column_3 = fma(a1, vec4(b1.w), column_3);
                let a2 = z[at + 2u * STRIDE + i];
                let b2 = z[at + 2u * STRIDE + j];
                column_0 = fma(a2, vec4(b2.x), column_0);
                column_1 = fma(a2, vec4(b2.y), column_1);
                column_2 = fma(a2, vec4(b2.z), column_2);
                column_3 = fma(a2, vec4(b2.w), column_3);
                let a3 = z[at + 3u * STRIDE + i];
                let b3 = z[at + 3u * STRIDE + j];
                column_0 = fma(a3, vec4(b3.x), column_0);
                column_1 = fma(a3, vec4(b3.y), column_1);
                column_2 = fma(a3, vec4(b3.z), column_2);
                column_3 = fma(a3, vec4(b3.w), column_3);
            }
        }
    }
    //@ slices

    if slice > 0u || group.x * WORKGROUP + lane >= TILES {
        return;
    }
    let partial = group.z * (batch.own + batch.pooled * batch.copies);
    let own = partial + k * VEC4S;
    if i == QUADS {
        // The roots' row of Z'Z: S1, and at its end S0.
        partials[own + j] = vec4(column_0.x, column_1.x, column_2.x, column_3.x);
    } else {
        let to = partial + batch.n_components * VEC4S + 4u * (k * (TILES - VEC4S) + tile);
        partials[to] = column_0;
        partials[to + 1u] = column_1;
        partials[to + 2u] = column_2;
        partials[to + 3u] = column_3;
    }
}
