// Stage `total_rows`: adds a model's rows of sums to its totals, one invocation a sum. Each total is two numbers, what it
// is and what that lacks, so that hundreds of thousands of rows cost no digits; rows are taken in their order, so that it
// does not matter how many are at hand at a time.

// Which rows are added to which totals.
struct RowRange {
    // Entries of `rows`, at least 1.
    count: u32,
    // Numbers of a row.
    len: u32,
    // Workgroups in x.
    width: u32,
    // 1 where these are the first.
    begins: u32,
    // A zero that compilers do not know.
    zero: u32,
    padding_0: u32,
    padding_1: u32,
    padding_2: u32,
}

//@ constants

@group(0) @binding(0) var<uniform> range: RowRange;
// Which row of `partials` is the next.
@group(0) @binding(1) var<storage, read> rows: array<u32>;
@group(0) @binding(2) var<storage, read> partials: array<f32>;
// What the totals are, then what they lack.
@group(0) @binding(3) var<storage, read_write> totals: array<f32>;

// The same number, of which compilers know nothing: they may otherwise take (a + b) - a for b, or add in another order.
fn as_is(x: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(x) ^ range.zero);
}

// A total and one number more (Knuth's sum of two): what the rounded sum lacks is a number, too.
fn add(total: vec2<f32>, x: f32) -> vec2<f32> {
    let sum = as_is(total.x + x);
    let part = as_is(sum - total.x);
    let lost = as_is(as_is(total.x - as_is(sum - part)) + as_is(x - part));
    return vec2(sum, as_is(total.y + lost));
}

@compute @workgroup_size(64)
fn total_rows(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let own = (group.x + group.y * range.width) * 64u + lane;
    if own >= range.len {
        return;
    }
    var total = vec2(0.0);
    if range.begins == 0u {
        total = vec2(totals[own], totals[range.len + own]);
    }
    let last = range.count - 1u;
    // Some reads at once, since each takes as long as many sums.
    for (var r = 0u; r <= last; r += AT_ONCE) {
        //@ add
    }
    totals[own] = total.x;
    totals[range.len + own] = total.y;
}
