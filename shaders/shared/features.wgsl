// Features 4 i to 4 i + 3 of the row at `at`. Beyond D any finite number does: factors are 0 there.
fn features(at: u32, i: u32) -> vec4<f32> {
    let stride = batch.rows_per_block;
    return vec4(
        samples[at + min(4u * i, D - 1u) * stride],
        samples[at + min(4u * i + 1u, D - 1u) * stride],
        samples[at + min(4u * i + 2u, D - 1u) * stride],
        samples[at + min(4u * i + 3u, D - 1u) * stride],
    );
}
