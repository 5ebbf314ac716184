// Stage `nearest`: which of some centres is nearest to each point, four points by eight centres an invocation at a time.
//
// Squares of differences are summed, never expanded: what is near is told apart as well as the points themselves.

struct NearestRange {
    // Blocks of 256 points.
    blocks: u32,
    features: u32,
    // Octets of centres, and how many of them a slice has.
    octets: u32,
    octets_per_slice: u32,
}

@group(0) @binding(0) var<uniform> range: NearestRange;
// Blocks x features x points, by fours of points.
@group(0) @binding(1) var<storage, read> points: array<vec4<f32>>;
// Octets x features x centres, two vec4s each.
@group(0) @binding(2) var<storage, read> centres: array<vec4<f32>>;
// Slices x blocks x fours of points: the squared distances to the nearest centre of the slice, and which it is.
@group(0) @binding(3) var<storage, read_write> found: array<vec4<f32>>;

// Above every squared distance: that to the centres that fill up the last octet.
const FARTHEST: f32 = 3.0e38;

@compute @workgroup_size(64)
fn nearest(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let block = group.x;
    let slice = group.y;
    let first = slice * range.octets_per_slice;
    let end = min(first + range.octets_per_slice, range.octets);
    let place = block * range.features * 64u + lane;
    var distances = vec4(FARTHEST);
    var labels = vec4(0.0);
    for (var octet = first; octet < end; octet++) {
        let at = 2u * octet * range.features;
        //@ zeros
        for (var j = 0u; j < range.features; j++) {
            let x = points[place + 64u * j];
            let low = centres[at + 2u * j];
            let high = centres[at + 2u * j + 1u];
            //@ squares
        }
        let label = f32(8u * octet);
        //@ smallest
    }
    let to = 2u * ((slice * range.blocks + block) * 64u + lane);
    found[to] = distances;
    found[to + 1u] = labels;
}
