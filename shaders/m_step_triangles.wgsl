// Stage `m_step_triangles`: a component's new mean and triangular factor, in whitened coordinates as
// src/em/update.rs has them. One workgroup a component: C and its factor G stay in workgroup memory.
//
// A template: where sums stand depends on the kernels that made them. SEEN is false where they are of r (x - mu) and
// of its products, which are whitened here: C = U S U^T, and the mean's step U s less the old remainder.

//@ constants

//@ bindings
//@ pooled

// Second moments, then C, then row by row the new factor.
var<workgroup> c: array<f32, TRIANGLE>;
// S1 / S0, then how far the rounded mean moves.
var<workgroup> shift: array<f32, D>;
// The same whitened, without the remainder.
var<workgroup> seen: array<f32, D>;
// Second moments that pivots are held against.
var<workgroup> scale: array<f32, D>;
// Variances of the features, where sums are not whitened.
var<workgroup> variances: array<f32, D>;
// Some rows of U S; then a right-hand side, of the mean's step and of the new remainder.
var<workgroup> line: array<f32, ROWS_AT_ONCE * D>;
// Row j of the new factor, and beyond its diagonal column j of G.
var<workgroup> crossing: array<f32, D>;

@compute @workgroup_size(WORKGROUP)
fn m_step_triangles(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let k = group.x;
    let model = group.y;
    if is_over(model) {
        return;
    }
    let before = walks[model].components[k];
    let is_gaussian = before.w > 0.5;
    let is_seen = SEEN || before.w > 1.5;
    let first = model * settings.sums;
    let own = model * MODEL_PARAMETERS + k * COMPONENT_PARAMETERS;
    let shares = row_of(walks[model].steps, model) + 2u * settings.logs;
    let to = shares + K + 1u + k * COMPONENT_PARAMETERS;
    // Rows of triangles are eight invocations' each.
    let rows = WORKGROUP / 8u;
    let row = lane / 8u;
    let column = lane % 8u;

    // Of all components, and of Gaussians.
    var part = vec4(0.0);
    for (var other = lane; other < K; other += WORKGROUP) {
        let s0 = sums[first + s0_at(other)];
        part += vec4(s0, select(0.0, s0, walks[model].components[other].w > 0.5), 0.0, 0.0);
    }
    found[lane] = part;
    workgroupBarrier();
    //@ total
    let s0 = sums[first + s0_at(k)];
    let weight = s0 / total.x;
    let has_samples = s0 > LEAST_SHARE * total.x;
    // Never 0, so that nothing overflows where the step is not taken.
    let share = select(1.0, s0, has_samples);

    for (var i = row; i < D; i += rows) {
        for (var j = column; j <= i; j += 8u) {
            //@ second
        }
    }
    for (var i = lane; i < D; i += WORKGROUP) {
        shift[i] = sums[first + s1_at(k, i)] / share;
    }
    workgroupBarrier();
    for (var i = lane; i < D; i += WORKGROUP) {
        //@ variance
        var sum = 0.0;
        for (var j = 0u; j <= i; j++) {
            sum += seen_by(own, i, j, is_gaussian, is_seen) * shift[j];
        }
        seen[i] = sum;
    }
    workgroupBarrier();
    //@ whiten

    var moved = 0.0;
    for (var i = row; i < D; i += rows) {
        for (var j = column; j <= i; j += 8u) {
            let square = seen[i] * seen[j];
            let second = c[at(i, j)];
            //@ centre
            c[at(i, j)] = centred;
            if i == j {
                scale[i] = of_pivot;
                moved += 0.5 * (centred - 1.0) * (centred - 1.0);
            } else {
                moved += centred * centred;
            }
        }
    }
    for (var i = lane; i < D; i += WORKGROUP) {
        let m = seen[i] - select(parameters[own + REMAINDER + i], 0.0, is_seen);
        moved += m * m;
        line[i] = seen[i] + select(0.0, parameters[own + REMAINDER + i], is_seen);
    }

    // How far the mean moves: U^-1 (remainder + m), if sums that are not whitened do not tell it themselves.
    let unknown = select(0u, D, is_seen);
    for (var i = 0u; i < unknown; i++) {
        workgroupBarrier();
        let delta = line[i] / factor(own, i, i, is_gaussian);
        for (var j = i + 1u + lane; j < D; j += WORKGROUP) {
            line[j] -= factor(own, j, i, is_gaussian) * delta;
        }
        if lane == 0u {
            shift[i] = delta;
        }
    }
    workgroupBarrier();
    // And how far in single precision.
    for (var i = lane; i < D; i += WORKGROUP) {
        let mean = parameters[own + i];
        let new_mean = as_is(mean + shift[i]);
        shift[i] = as_is(new_mean - mean);
        trace[to + i] = new_mean;
    }
    workgroupBarrier();
    // What that leaves, to be seen from the new factor: G^-1 (remainder + m - U t) where the rounded mean moved by t.
    for (var i = lane; i < D; i += WORKGROUP) {
        var left = seen[i] + select(0.0, parameters[own + REMAINDER + i], is_seen);
        for (var j = 0u; j <= i; j++) {
            left -= factor(own, i, j, is_gaussian) * shift[j];
        }
        line[i] = left;
    }

    // The columns of G, where C = G G^T, and with each what it takes off the rows below of G^-1 U and of the remainder.
    // What is ready of the new factor stands where C was done with.
    var is_sound = has_samples;
    var keeps_digits = true;
    for (var j = 0u; j < D; j++) {
        workgroupBarrier();
        let pivot = c[at(j, j)];
        is_sound = is_sound && pivot > LEAST_PIVOT * scale[j];
        let root = sqrt(max(pivot, 1e-20));
        // By places: of a loop that begins at `lane` FXC holds that the next barrier depends on it.
        let row_at = at(j, 0u);
        for (var p = row_at + lane; p < row_at + j; p += WORKGROUP) {
            let entry = c[p] / root;
            c[p] = entry;
            crossing[p - row_at] = entry;
        }
        for (var i = j + 1u + lane; i < D; i += WORKGROUP) {
            crossing[i] = c[at(i, j)] / root;
            c[at(i, j)] = factor(own, i, j, is_gaussian);
        }
        if lane == 0u {
            crossing[j] = factor(own, j, j, is_gaussian) / root;
            line[j] /= root;
        }
        workgroupBarrier();
        for (var i = j + 1u + row; i < D; i += rows) {
            for (var l = column; l <= i; l += 8u) {
                c[at(i, l)] -= crossing[i] * crossing[l];
            }
            if column == 0u {
                line[i] -= crossing[i] * line[j];
            }
        }
        if lane == 0u {
            c[at(j, j)] = crossing[j];
        }
    }
    workgroupBarrier();

    var constant = vec2(0.0);
    for (var i = lane; i < D; i += WORKGROUP) {
        constant = add_parts(constant, log2_parts(max(c[at(i, i)], 1e-30)));
        trace[to + REMAINDER + i] = line[i];
    }
    for (var p = lane; p < TRIANGLE; p += WORKGROUP) {
        trace[to + D + p] = c[p];
    }
    //@ growth

    workgroupBarrier();
    found[lane] = vec4(moved, fitness(is_sound, keeps_digits), constant);
    workgroupBarrier();
    //@ branches
    //@ verdict
}

// Entry (i, j) of the old factor, and of one that is fit for divisions where there is none.
fn factor(own: u32, i: u32, j: u32, is_gaussian: bool) -> f32 {
    let stand_in = select(0.0, 1.0, i == j);
    return select(stand_in, parameters[own + D + at(i, j)], is_gaussian);
}

// By what sums are multiplied to be whitened: nothing, where they are.
fn seen_by(own: u32, i: u32, j: u32, is_gaussian: bool, is_seen: bool) -> f32 {
    return factor(own, i, j, is_gaussian && !is_seen);
}
