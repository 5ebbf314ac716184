// Stage `accumulate_diagonal`: the statistics of one segment where factors are diagonal, one invocation per
// (component, vec4 of features), over at most 256 rows.

//@ constants

// Whether one second moment a component is wanted instead of one a feature. Each invocation hands back its
// own part of it.
override SPHERICAL: bool = false;

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> samples: array<f32>;
// Per component: log constant, mean, whitened remainder of the mean, diagonal of U.
@group(0) @binding(2) var<storage, read> components: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> scores: array<f32>;
// Per (segment, component): S1, second moments, S0, and zeros up to a multiple of four.
@group(0) @binding(4) var<storage, read_write> partials: array<f32>;

const COMPONENT: u32 = 1u + 3u * QUADS;

//@ features

@compute @workgroup_size(64)
fn accumulate_diagonal(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= batch.n_components * QUADS {
        return;
    }
    let k = id.x / QUADS;
    let i = id.x % QUADS;
    let parameters = k * COMPONENT + 1u + i;
    let mean = components[parameters];
    let remainder = components[parameters + QUADS];
    let factor = components[parameters + 2u * QUADS];

    let segment = segment_of(id.z);
    let part = id.z * batch.n_components + k;
    let first = part * batch.segment_rows;
    var s0 = 0.0;
    var s1 = vec4(0.0);
    var s2 = vec4(0.0);
    for (var row = 0u; row < segment.rows; row++) {
        let r = scores[first + row];
        let y = factor * (features(segment.first + row, i) - mean) - remainder;
        let z = r * y;
        s0 += r;
        s1 += z;
        s2 += z * y;
    }

    let length = 4u * (batch.own / batch.n_components);
    let at = part * length;
    let to = at + 4u * i;
    partials[to] = s1.x;
    partials[to + 1u] = s1.y;
    partials[to + 2u] = s1.z;
    partials[to + 3u] = s1.w;
    let second = at + 4u * QUADS;
    var tail = second;
    if SPHERICAL {
        partials[second + i] = s2.x + s2.y + s2.z + s2.w;
        tail += QUADS;
    } else {
        partials[second + 4u * i] = s2.x;
        partials[second + 4u * i + 1u] = s2.y;
        partials[second + 4u * i + 2u] = s2.z;
        partials[second + 4u * i + 3u] = s2.w;
        tail += 4u * QUADS;
    }
    if i == 0u {
        partials[tail] = s0;
        for (var rest = tail + 1u; rest < at + length; rest++) {
            partials[rest] = 0.0;
        }
    }
}
