// CHUNK statistics at a time are summed over the workgroup: each by LANES invocations, then by one. The row
// of a statistic is LANES longer than the workgroup, so that neighbours read different banks.
//@ chunk
override LANES: u32 = WORKGROUP / CHUNK;
override ROW: u32 = WORKGROUP + LANES;
var<workgroup> tree: array<f32, CHUNK * ROW>;
var<workgroup> branches: array<f32, WORKGROUP>;

// The sum of CHUNK entries, LANES apart, of the statistic that this invocation helps with.
fn branch(lane: u32) -> f32 {
    let first = (lane / LANES) * ROW + lane % LANES;
    var sum = 0.0;
    for (var i = 0u; i < CHUNK; i++) {
        sum += tree[first + i * LANES];
    }
    return sum;
}

// The sum of the branches of statistic `s` of the chunk.
fn trunk(s: u32) -> f32 {
    var sum = 0.0;
    for (var i = 0u; i < LANES; i++) {
        sum += branches[s * LANES + i];
    }
    return sum;
}
