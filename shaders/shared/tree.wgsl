// CHUNK statistics at a time are summed over the workgroup, each by LANES invocations; in the end one invocation a
// statistic adds what those found. A statistic has LANES numbers more than the workgroup invocations, and its branches
// are one more than LANES, so that neighbours read different banks. Nested, so that places are checked once.
//@ chunk
var<workgroup> tree: array<array<array<f32, LANES>, CHUNK + 1u>, CHUNK>;
var<workgroup> branches: array<array<f32, LANES + 1u>, CHUNKS * CHUNK>;

// The sum of CHUNK entries, LANES apart, of the statistic that this invocation helps with.
fn branch(lane: u32) -> f32 {
    let s = lane / LANES;
    let own = lane % LANES;
    var sum = tree[s][0][own];
    //@ branch
    return sum;
}

// The sum of the branches of statistic `s`.
fn trunk(s: u32) -> f32 {
    var sum = branches[s][0];
    //@ trunk
    return sum;
}
