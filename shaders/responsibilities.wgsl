// Stage `responsibilities`: scores become weighted responsibilities, or their roots, in place, one invocation per row.

//@ constants

// Whether rows carry a weight (feature D of `samples`) that multiplies their responsibilities and logs.
override WEIGHTED: bool = false;
// Whether responsibilities themselves and each row's log density are written, instead of roots.
override EACH_ROW: bool = false;

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> samples: array<f32>;
@group(0) @binding(2) var<storage, read_write> scores: array<f32>;
// Per workgroup of 64 rows: sums of w max q and w log2 (sum of 2^(q - max q)).
@group(0) @binding(3) var<storage, read_write> logs: array<vec2<f32>>;
// Per row: max q and log2 (sum of 2^(q - max q)).
@group(0) @binding(4) var<storage, read_write> densities: array<vec2<f32>>;

var<workgroup> tree: array<vec2<f32>, 64>;
var<workgroup> branches: array<vec2<f32>, 8>;

@compute @workgroup_size(64)
fn responsibilities(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = batch.first_segment + group.z;
    let segment = segment_of(group.z);
    let row = group.x * 64u + lane;
    var density = vec2(0.0);
    if row < segment.rows {
        let first = group.z * batch.n_components * batch.segment_rows + row;
        let stride = batch.segment_rows;
        // Some components at once, since each read takes long; then the rest of them.
        let whole = batch.n_components / AT_ONCE * AT_ONCE;
        var top = scores[first];
        for (var k = 0u; k < whole; k += AT_ONCE) {
            let at = first + k * stride;
            //@ scores
            //@ largest
        }
        for (var k = whole; k < batch.n_components; k++) {
            top = max(top, scores[first + k * stride]);
        }
        // Runs of 32 terms, so that a thousand components cost no digits.
        var sum = 0.0;
        var run = 0.0;
        for (var k = 0u; k < whole; k += AT_ONCE) {
            let at = first + k * stride;
            //@ scores
            //@ powers
            if (k + AT_ONCE) % 32u == 0u {
                sum += run;
                run = 0.0;
            }
        }
        for (var k = whole; k < batch.n_components; k++) {
            run += exp2_or_zero(scores[first + k * stride] - top);
        }
        sum += run;
        density = vec2(top, log2_of(sum));
        if EACH_ROW {
            densities[index * batch.segment_rows + row] = density;
        }
        var share = 1.0 / sum;
        if WEIGHTED {
            let weight = samples[segment.first + D * batch.rows_per_block + row];
            share *= weight;
            density *= weight;
        }
        for (var k = 0u; k < whole; k += AT_ONCE) {
            let at = first + k * stride;
            //@ scores
            //@ shares
        }
        for (var k = whole; k < batch.n_components; k++) {
            let at = first + k * stride;
            let r = exp2_or_zero(scores[at] - top) * share;
            scores[at] = select(sqrt(r), r, EACH_ROW);
        }
    } else if row < batch.segment_rows {
        // `accumulate` takes rows by fours.
        let first = group.z * batch.n_components * batch.segment_rows + row;
        for (var k = 0u; k < batch.n_components; k++) {
            scores[first + k * batch.segment_rows] = 0.0;
        }
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
