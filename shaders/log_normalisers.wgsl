// Stage `log_normalisers`: per row and group of components, the largest score and the sum of 2^(score - largest).
//
// A template: src/backend/gpu/generate.rs replaces each line `//@ name` by text unrolled over D and the group's
// components. An invocation has one row, or walks the block where its parameters are hoisted out of the loop.

//@ constants

@group(0) @binding(0) var<uniform> range: GroupRange;
@group(0) @binding(1) var<uniform> components: array<array<vec4<f32>, PARAMETERS>, UNIFORM_LEN / PARAMETERS>;
@group(0) @binding(2) var<storage, read> samples: array<f32>;
@group(0) @binding(3) var<storage, read> blocks: array<Block>;
// Groups x entries x rows.
@group(0) @binding(4) var<storage, read_write> normalisers: array<vec2<f32>>;

@compute @workgroup_size(64)
fn log_normalisers(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let rows_per_block = range.rows_per_block;
    let block = blocks[group.z];
    //@ model
    let part = (range.first_group + group.y) * range.count + group.z;

    //@ parameters

    //@ walk
        let at = block.first + row;
        //@ row
        normalisers[part * rows_per_block + row] = vec2(top, sum);
    }
}
