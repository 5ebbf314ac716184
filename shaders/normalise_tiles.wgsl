// Stage `normalise_tiles`: the largest score of each row, and its weight over the sum of 2^(score - largest).
//
// Four invocations share a row, so that enough reads are under way: the halves of octets, and every other octet. A score
// is read once; sums go on from a larger score than the largest so far. src/backend/gpu/generate.rs writes out what is
// done with a few octets.

//@ constants

// Whether rows carry a weight (feature D of `samples`) that multiplies their responsibilities and logs.
override WEIGHTED: bool = false;

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> samples: array<f32>;
// Segments x octets of components x rows, two vec4s each.
@group(0) @binding(2) var<storage, read> scores: array<vec4<f32>>;
// Segments x rows.
@group(0) @binding(3) var<storage, read_write> normalisers: array<vec2<f32>>;
// Per workgroup of 64 rows: sums of w max q and w log2 (sum of 2^(q - max q)).
@group(0) @binding(4) var<storage, read_write> logs: array<vec2<f32>>;

// Below every score.
const LOWEST: f32 = -3.4e38;

// Of each invocation the largest score and the sum.
var<workgroup> parts: array<vec2<f32>, 256>;
var<workgroup> tree: array<vec2<f32>, 64>;
var<workgroup> branches: array<vec2<f32>, 8>;

@compute @workgroup_size(256)
fn normalise_tiles(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = batch.first_segment + group.z;
    let segment = segment_of(group.z);
    // Rows beyond the end read what the last one does.
    let read = min(group.x * 64u + lane / 2u % 64u, segment.rows - 1u);
    let octets = (batch.n_components + 7u) / 8u;
    let first = 2u * (group.z * octets * batch.segment_rows + read) + lane % 2u;
    let stride = 2u * batch.segment_rows;
    var top = LOWEST;
    var sums = vec4(0.0);
    for (var o = lane / 128u; o < octets; o += 2u * UNROLLED) {
        //@ scores
        let largest = max(top, max(max(tops.x, tops.y), max(tops.z, tops.w)));
        //@ powers
        sums = sums * exp2_or_zero(top - largest) + run;
        top = largest;
    }
    parts[lane] = vec2(top, (sums.x + sums.y) + (sums.z + sums.w));
    workgroupBarrier();
    let row = group.x * 64u + lane;
    var density = vec2(0.0);
    if lane < 64u && row < segment.rows {
        let own = array(
            parts[2u * lane],
            parts[2u * lane + 1u],
            parts[2u * lane + 128u],
            parts[2u * lane + 129u],
        );
        let tops = vec4(own[0].x, own[1].x, own[2].x, own[3].x);
        let top = max(max(tops.x, tops.y), max(tops.z, tops.w));
        let terms = powers(tops - top) * vec4(own[0].y, own[1].y, own[2].y, own[3].y);
        let sum = (terms.x + terms.y) + (terms.z + terms.w);
        density = vec2(top, log2_of(sum));
        var share = 1.0 / sum;
        if WEIGHTED {
            let weight = samples[segment.first + D * batch.rows_per_block + row];
            share *= weight;
            density *= weight;
        }
        normalisers[group.z * batch.segment_rows + row] = vec2(top, share);
    }
    if lane < 64u {
        tree[lane] = density;
    }
    workgroupBarrier();
    if lane < 8u {
        var sum = vec2(0.0);
        for (var i = 0u; i < 8u; i++) {
            sum += tree[lane + 8u * i];
        }
        branches[lane] = sum;
    }
    workgroupBarrier();
    if lane == 0u {
        var sum = vec2(0.0);
        for (var i = 0u; i < 8u; i++) {
            sum += branches[i];
        }
        logs[index * ((batch.segment_rows + 63u) / 64u) + group.x] = sum;
    }
}
