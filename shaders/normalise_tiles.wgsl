// Stage `normalise_tiles`: the largest score of each row, and its weight over the sum of 2^(score - largest).

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

var<workgroup> tree: array<vec2<f32>, 64>;
var<workgroup> branches: array<vec2<f32>, 8>;

@compute @workgroup_size(64)
fn normalise_tiles(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = batch.first_segment + group.z;
    let segment = segment_of(group.z);
    let row = group.x * 64u + lane;
    var density = vec2(0.0);
    if row < segment.rows {
        let octets = (batch.n_components + 7u) / 8u;
        let first = 2u * (group.z * octets * batch.segment_rows + row);
        let stride = 2u * batch.segment_rows;
        var tops = scores[first];
        for (var o = 0u; o < octets; o++) {
            let at = first + o * stride;
            tops = max(tops, max(scores[at], scores[at + 1u]));
        }
        let top = max(max(tops.x, tops.y), max(tops.z, tops.w));
        // Four sums of runs of 16 terms, so that a thousand components cost no digits.
        var sums = vec4(0.0);
        var run = vec4(0.0);
        for (var o = 0u; o < octets; o++) {
            let at = first + o * stride;
            run += powers(scores[at] - top) + powers(scores[at + 1u] - top);
            if (o & 7u) == 7u {
                sums += run;
                run = vec4(0.0);
            }
        }
        sums += run;
        let sum = (sums.x + sums.y) + (sums.z + sums.w);
        density = vec2(top, log2_of(sum));
        var share = 1.0 / sum;
        if WEIGHTED {
            let weight = samples[segment.first + D * batch.rows_per_block + row];
            share *= weight;
            density *= weight;
        }
        normalisers[group.z * batch.segment_rows + row] = vec2(top, share);
    }
    tree[lane] = density;
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
