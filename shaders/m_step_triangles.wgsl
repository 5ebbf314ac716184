// Stage `m_step_triangles`: a component's new mean and triangular factor, in whitened coordinates as
// src/em/update.rs has them. One workgroup a component: C and its factor G stay in workgroup memory.
//
// A template: where sums stand depends on the kernels that made them. SEEN is false where they are of r (x - mu) and
// of its products, which are whitened here: C = U S U^T, and the mean's step U s less the old remainder.

//@ constants

//@ bindings
//@ pooled

// Second moments, then C, then G without its diagonal.
var<workgroup> c: array<f32, TRIANGLE>;
// S1 / S0, then how far the rounded mean moves.
var<workgroup> shift: array<f32, D>;
// The same whitened, without the remainder.
var<workgroup> seen: array<f32, D>;
// Second moments that pivots are held against.
var<workgroup> scale: array<f32, D>;
// The diagonal of G.
var<workgroup> roots: array<f32, D>;
// Variances of the features, where sums are not whitened.
var<workgroup> variances: array<f32, D>;
var<workgroup> line: array<f32, D>;
var<workgroup> totals: array<vec2<f32>, WORKGROUP>;

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

    // Of all components, and of Gaussians.
    var part = vec2(0.0);
    for (var other = lane; other < K; other += WORKGROUP) {
        let s0 = sums[first + s0_at(other)];
        part += vec2(s0, select(0.0, s0, walks[model].components[other].w > 0.5));
    }
    totals[lane] = part;
    workgroupBarrier();
    var total = vec2(0.0);
    for (var l = 0u; l < WORKGROUP; l++) {
        total += totals[l];
    }
    let s0 = sums[first + s0_at(k)];
    let weight = s0 / total.x;
    let has_samples = s0 > LEAST_SHARE * total.x;
    // Never 0, so that nothing overflows where the step is not taken.
    let share = select(1.0, s0, has_samples);

    for (var i = 0u; i < D; i++) {
        for (var j = lane; j <= i; j += WORKGROUP) {
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
    for (var i = 0u; i < D; i++) {
        for (var j = lane; j <= i; j += WORKGROUP) {
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

    // G, column by column.
    var is_sound = has_samples;
    var keeps_digits = true;
    for (var j = 0u; j < D; j++) {
        workgroupBarrier();
        let pivot = c[at(j, j)];
        is_sound = is_sound && pivot > LEAST_PIVOT * scale[j];
        let root = sqrt(max(pivot, 1e-20));
        if lane == 0u {
            roots[j] = root;
        }
        for (var i = j + 1u + lane; i < D; i += WORKGROUP) {
            c[at(i, j)] /= root;
        }
        workgroupBarrier();
        for (var i = j + 1u + lane; i < D; i += WORKGROUP) {
            let g = c[at(i, j)];
            for (var l = j + 1u; l <= i; l++) {
                c[at(i, l)] -= g * c[at(l, j)];
            }
        }
    }
    workgroupBarrier();

    // G^-1 U, a column an invocation.
    var constant = vec2(0.0);
    for (var j = lane; j < D; j += WORKGROUP) {
        for (var i = j; i < D; i++) {
            var entry = factor(own, i, j, is_gaussian);
            for (var l = j; l < i; l++) {
                entry -= c[at(i, l)] * trace[to + D + at(l, j)];
            }
            entry /= roots[i];
            if i == j {
                constant = add_parts(constant, log2_parts(max(entry, 1e-30)));
            }
            trace[to + D + at(i, j)] = entry;
        }
    }
    //@ growth

    // How far the mean moves, U^-1 (remainder + m), and how far in single precision.
    for (var i = 0u; i < D; i++) {
        workgroupBarrier();
        let delta = line[i] / factor(own, i, i, is_gaussian);
        for (var j = i + 1u + lane; j < D; j += WORKGROUP) {
            line[j] -= factor(own, j, i, is_gaussian) * delta;
        }
        if lane == 0u {
            let mean = parameters[own + i];
            // Sums that are not whitened tell it themselves.
            let new_mean = as_is(mean + select(shift[i], delta, is_seen));
            shift[i] = as_is(new_mean - mean);
            trace[to + i] = new_mean;
        }
    }
    workgroupBarrier();
    // What that leaves, seen from the new factor: G^-1 (remainder + m - U t) where the rounded mean moved by t.
    for (var i = lane; i < D; i += WORKGROUP) {
        var left = seen[i] + select(0.0, parameters[own + REMAINDER + i], is_seen);
        for (var j = 0u; j <= i; j++) {
            left -= factor(own, i, j, is_gaussian) * shift[j];
        }
        line[i] = left;
    }
    for (var i = 0u; i < D; i++) {
        workgroupBarrier();
        let remainder = line[i] / roots[i];
        for (var j = i + 1u + lane; j < D; j += WORKGROUP) {
            line[j] -= c[at(j, i)] * remainder;
        }
        if lane == 0u {
            trace[to + REMAINDER + i] = remainder;
        }
    }

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
