// CHUNK statistics at a time are summed over the workgroup, each by LANES invocations; in the end one invocation a
// statistic adds what those found. The row of a statistic is LANES longer than the workgroup, and its branches one
// longer than LANES, so that neighbours read different banks.
//@ chunk
override LANES: u32 = WORKGROUP / CHUNK;
override ROW: u32 = WORKGROUP + LANES;
var<workgroup> tree: array<f32, CHUNK * ROW>;
var<workgroup> branches: array<f32, CHUNKS * CHUNK * (LANES + 1u)>;

// The sum of CHUNK entries, LANES apart, of the statistic that this invocation helps with.
fn branch(lane: u32) -> f32 {
    let first = (lane / LANES) * ROW + lane % LANES;
    var sum = tree[first];
    //@ branch
    return sum;
}

// The sum of the branches of statistic `s`.
fn trunk(s: u32) -> f32 {
    let first = s * (LANES + 1u);
    var sum = branches[first];
    //@ trunk
    return sum;
}
