// Stage `reduce_partials`: adds the partials of a block's segments in their order, one invocation per vec4.

//@ constants

// The segments of one summation block that are in the batch.
struct Span {
    // The first of them, counted from the batch's first.
    first: u32,
    // How many, at least 1.
    count: u32,
    // Which row of `sums` is the block's.
    row: u32,
    // 1 where an earlier batch began the block's row.
    continued: u32,
}

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> spans: array<Span>;
@group(0) @binding(2) var<storage, read> partials: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> sums: array<vec4<f32>>;

@compute @workgroup_size(64)
fn reduce_partials(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= batch.partials_len {
        return;
    }
    let span = spans[batch.first_span + id.z];
    let to = span.row * batch.partials_len + id.x;
    var sum = vec4(0.0);
    if span.continued == 1u {
        sum = sums[to];
    }
    for (var s = 0u; s < span.count; s++) {
        sum += partials[(span.first + s) * batch.partials_len + id.x];
    }
    sums[to] = sum;
}
