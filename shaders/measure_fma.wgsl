// Eight chains of multiply-adds of vec4s, which nothing else holds up. The numbers come from a buffer, so that no
// compiler knows the end beforehand.

const ROUNDS: u32 = 256u;

@group(0) @binding(0) var<storage, read> numbers: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> results: array<vec4<f32>>;

@compute @workgroup_size(64)
fn measure_fma(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let a = numbers[0];
    let b = numbers[1];
    let start = vec4(f32(lane));
    //@ chains
    for (var i = 0u; i < ROUNDS; i++) {
        //@ steps
    }
    //@ sum
    results[group.x * 64u + lane] = sum;
}
