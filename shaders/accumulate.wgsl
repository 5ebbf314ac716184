// Stage `accumulate`: the statistics of one segment, one invocation per (component, 4 x 4 tile of S2).
//
// The tile (I, J <= I) of component k is the sum of r y_I y_J' over at most 256 rows. The tiles with J = 0
// also sum r y_I, the first one r.

//@ constants

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> whitened: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> scores: array<f32>;
// Per segment: S1 and S0 (in x) of each component, then each component's tiles by columns.
@group(0) @binding(3) var<storage, read_write> partials: array<vec4<f32>>;

const TILES: u32 = QUADS * (QUADS + 1u) / 2u;

@compute @workgroup_size(64)
fn accumulate(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= batch.n_components * TILES {
        return;
    }
    let k = id.x / TILES;
    let tile = id.x % TILES;
    // tile = i (i + 1) / 2 + j; the root may be off by one unit.
    var i = u32((sqrt(f32(8u * tile + 1u)) - 1.0) * 0.5);
    if i * (i + 1u) / 2u > tile {
        i -= 1u;
    }
    if (i + 1u) * (i + 2u) / 2u <= tile {
        i += 1u;
    }
    let j = tile - i * (i + 1u) / 2u;

    let rows = segment_of(id.z).rows;
    let first = (id.z * batch.n_components + k) * batch.segment_rows;
    var s0 = 0.0;
    var s1 = vec4(0.0);
    var column_0 = vec4(0.0);
    var column_1 = vec4(0.0);
    var column_2 = vec4(0.0);
    var column_3 = vec4(0.0);
    for (var row = 0u; row < rows; row++) {
        let r = scores[first + row];
        let at = (first + row) * QUADS;
        let z = r * whitened[at + i];
        let y = whitened[at + j];
        s0 += r;
        s1 += z;
        column_0 += z * y.x;
        column_1 += z * y.y;
        column_2 += z * y.z;
        column_3 += z * y.w;
    }
    let partial = id.z * (batch.own + batch.pooled * batch.copies);
    let own = partial + k * (QUADS + 1u);
    if j == 0u {
        partials[own + i] = s1;
    }
    if tile == 0u {
        partials[own + QUADS] = vec4(s0, 0.0, 0.0, 0.0);
    }
    let to = partial + batch.n_components * (QUADS + 1u) + 4u * id.x;
    partials[to] = column_0;
    partials[to + 1u] = column_1;
    partials[to + 2u] = column_2;
    partials[to + 3u] = column_3;
}
