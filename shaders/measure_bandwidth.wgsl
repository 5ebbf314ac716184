// Reads a buffer once and in order. What is written is a sixty-fourth of that.

const ROUNDS: u32 = 64u;

@group(0) @binding(0) var<storage, read> numbers: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> results: array<vec4<f32>>;

@compute @workgroup_size(64)
fn measure_bandwidth(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = group.x * 64u * ROUNDS + lane;
    var sum = vec4(0.0);
    for (var i = 0u; i < ROUNDS; i += 4u) {
        let at = first + 64u * i;
        sum += (numbers[at] + numbers[at + 64u]) + (numbers[at + 128u] + numbers[at + 192u]);
    }
    results[group.x * 64u + lane] = sum;
}
