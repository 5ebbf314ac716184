// Stage `pool_moments`: what all components share of the second moments about their new means, over all shares; as
// `m_step_triangles` reads it, not whitened where sums are not. One workgroup a feature.

//@ constants

@group(0) @binding(0) var<uniform> settings: Settings;
@group(0) @binding(1) var<storage, read> walks: array<Walk>;
@group(0) @binding(2) var<storage, read> sums: array<f32>;
@group(0) @binding(3) var<storage, read_write> pooled: array<f32>;

@compute @workgroup_size(64)
fn pool_moments(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group.x;
    let model = group.y;
    let first = model * settings.sums;
    for (var j = lane; j <= i; j += 64u) {
        // Second moments, what the means take, and shares.
        var sum = vec3(0.0);
        // Runs of 32 terms, so that many components cost no digits.
        var run = vec3(0.0);
        for (var g = 0u; g < SHARED; g++) {
            run.x += sums[first + shared_at(g, i, j)];
            if (g & 31u) == 31u {
                sum += run;
                run = vec3(0.0);
            }
        }
        for (var k = 0u; k < K; k++) {
            let s0 = sums[first + s0_at(k)];
            if walks[model].components[k].w > 0.5 && s0 > 0.0 {
                let mean = sums[first + s1_at(k, i)] / s0;
                run += vec3(0.0, mean * sums[first + s1_at(k, j)], s0);
                if SHARED == 0u {
                    run.x += sums[first + s2_at(k, i, j)];
                }
            }
            if (k & 31u) == 31u {
                sum += run;
                run = vec3(0.0);
            }
        }
        sum += run;
        pooled[model * TRIANGLE + at(i, j)] = (sum.x - sum.y) / max(sum.z, 1e-37);
    }
}
