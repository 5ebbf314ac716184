// Stage `merge_normalisers`: the groups' normalisers become one, one invocation per row.
//
// It takes the first group's place: the largest score of all and the row's weight over the sum of
// 2^(score - largest), by which `statistics_groups` multiplies.

//@ constants

// Whether rows carry a weight (feature D of `samples`) that multiplies their responsibilities and logs.
override WEIGHTED: bool = false;

@group(0) @binding(0) var<uniform> range: GroupRange;
@group(0) @binding(1) var<storage, read> samples: array<f32>;
@group(0) @binding(2) var<storage, read> blocks: array<Block>;
@group(0) @binding(3) var<storage, read_write> normalisers: array<vec2<f32>>;
// Per entry and workgroup of 64 rows: sums of w max q and w log2 (sum of 2^(q - max q)).
@group(0) @binding(4) var<storage, read_write> logs: array<vec2<f32>>;

var<workgroup> tree: array<vec2<f32>, 64>;
var<workgroup> branches: array<vec2<f32>, 8>;

@compute @workgroup_size(64)
fn merge_normalisers(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let block = blocks[group.z];
    let row = group.x * 64u + lane;
    var density = vec2(0.0);
    if row < block.rows {
        let at = group.z * range.rows_per_block + row;
        let stride = range.count * range.rows_per_block;
        var top = normalisers[at].x;
        for (var g = 1u; g < range.groups; g++) {
            top = max(top, normalisers[at + g * stride].x);
        }
        // Runs of 32 terms, so that many groups cost no digits.
        var sum = 0.0;
        var run = 0.0;
        for (var g = 0u; g < range.groups; g++) {
            let part = normalisers[at + g * stride];
            run += exp2_or_zero(part.x - top) * part.y;
            if (g & 31u) == 31u {
                sum += run;
                run = 0.0;
            }
        }
        sum += run;
        density = vec2(top, log2_of(sum));
        var share = 1.0 / sum;
        if WEIGHTED {
            let weight = samples[block.first + D * range.rows_per_block + row];
            share *= weight;
            density *= weight;
        }
        normalisers[at] = vec2(top, share);
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
        logs[block.partial * ((range.rows_per_block + 63u) / 64u) + group.x] = sum;
    }
}
