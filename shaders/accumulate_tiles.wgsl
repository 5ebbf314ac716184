// Stage `accumulate_tiles`: the statistics of one segment where factors are diagonal, as a product of two matrices.
//
// Responsibilities and samples pass through workgroup memory, ROWS rows at a time; an invocation has eight
// components (four where features have second moments) by four features of the sums, and slices of the rows share
// out what invocations are left. Sums are of x - mu; the host whitens them. Where a spherical component's mean is so near the
// origin that it costs no digits, mu is taken off at the end. src/backend/gpu/generate.rs writes out what is done with a few rows.

//@ constants

//@ octets

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> samples: array<f32>;
@group(0) @binding(2) var<storage, read> components: array<Octet>;
// Segments x octets of components x rows, two vec4s each.
@group(0) @binding(3) var<storage, read> scores: array<vec4<f32>>;
// Segments x rows: the largest score, and the row's weight over its sum.
@group(0) @binding(4) var<storage, read> normalisers: array<vec2<f32>>;
// Per (segment, component): S1, the second moments of features, and one vec4 of S0 and the squared distances.
@group(0) @binding(5) var<storage, read_write> partials: array<vec4<f32>>;

// vec4s of components in a row of responsibilities.
const PAIRS: u32 = 2u * OCTETS;

// Nested, so that a place is checked once for UNROLLED rows.
// Neighbouring invocations have neighbouring vec4s.
struct Packs {
    packs: array<vec4<f32>, PACKS>,
}
struct Shares {
    parts: array<Packs, PACK / 4u>,
}
struct SomeShares {
    rows: array<Shares, UNROLLED>,
}
// An odd number, so that rows beside each other lie in different banks.
struct Features {
    quads: array<vec4<f32>, FEATURES | 1u>,
}
struct SomeFeatures {
    rows: array<Features, UNROLLED>,
}
var<workgroup> shares: array<SomeShares, ROWS / UNROLLED>;
var<workgroup> features_of: array<SomeFeatures, ROWS / UNROLLED>;
//@ totals
// What invocations add up at the end.
var<workgroup> trunk: array<vec4<f32>, WORKGROUP>;

//@ features

@compute @workgroup_size(WORKGROUP)
fn accumulate_tiles(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let segment = segment_of(group.z);
    let octets = (batch.n_components + 7u) / 8u;
    // The components and the four features whose sums this invocation has, and its slice of the rows.
    //@ place
    let slice = lane / LANES;
    let own = 8u * (OCTETS * group.y + own_pack % OCTETS) + 4u * (own_pack / OCTETS);
    let quad = group.x * FEATURES + own_quad;
    // Its components stand in one octet.
    let owned = min(own, 8u * octets - PACK);
    let means = owned / 8u * ENTRIES + 1u + min(quad, QUADS - 1u);
    // The pair of vec4s whose responsibilities it makes.
    let pair = lane % PAIRS;
    let made_octet = group.y * OCTETS + pair % OCTETS;
    let made = min(made_octet, octets - 1u);
    let constant = made * ENTRIES;
    let half = 4u * (pair / OCTETS);
    let constants = vec4(
        components[constant].means[half].x,
        components[constant].means[half + 1u].x,
        components[constant].means[half + 2u].x,
        components[constant].means[half + 3u].x,
    );
    let scores_at = 2u * (group.z * octets + made) * batch.segment_rows + pair / OCTETS;
    let normalisers_at = group.z * batch.segment_rows;
    var s0 = vec4(0.0);
    var squares = vec4(0.0);

    //@ sums

    // All of the workgroup goes through it equally often.
    for (var first = 0u; first < segment.rows; first += ROWS) {
        // All reads are under way before any of them is waited for.
        //@ reads
        workgroupBarrier();
        //@ stores
        workgroupBarrier();
        //@ walk
    }

    let length = batch.partials_len / batch.n_components;
    let part = group.z * batch.n_components;

    // S0 and the squared distances: the invocations that made a pair add up.
    trunk[lane] = s0;
    workgroupBarrier();
    if lane < PAIRS {
        for (var other = lane + PAIRS; other < WORKGROUP; other += PAIRS) {
            s0 += trunk[other];
        }
        //@ total
    }
    workgroupBarrier();
    trunk[lane] = squares;
    workgroupBarrier();
    if group.x == 0u && lane < PAIRS && made_octet < octets {
        for (var other = lane + PAIRS; other < WORKGROUP; other += PAIRS) {
            squares += trunk[other];
        }
        let k = 8u * made_octet + half;
        //@ tails
    }
    workgroupBarrier();

    //@ slices

    //@ moves
    //@ partials
}
