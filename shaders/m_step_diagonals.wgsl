// Stage `m_step_diagonals`: a component's new mean and diagonal factor, in whitened coordinates as src/em/update.rs has
// them. One workgroup a component.
//
// A template: where sums stand depends on the kernels that made them. SEEN is false where they are of r (x - mu) and
// its squares, which are whitened here; spherical components' squares are whitened either way.

//@ constants

//@ bindings

@compute @workgroup_size(WORKGROUP)
fn m_step_diagonals(
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
    let first = model * settings.sums;
    let own = model * MODEL_PARAMETERS + k * COMPONENT_PARAMETERS;
    let shares = row_of(walks[model].steps, model) + 2u * settings.logs;
    let to = shares + K + 1u + k * COMPONENT_PARAMETERS;

    let s0 = sums[first + s0_at(k)];
    // Never 0, so that nothing overflows where the step is not taken.
    let share = select(1.0, s0, s0 > 0.0);
    // Shares of all components and of Gaussians; squares of the mean's step.
    var part = vec4(0.0);
    for (var other = lane; other < K; other += WORKGROUP) {
        let s0 = sums[first + s0_at(other)];
        part += vec4(s0, select(0.0, s0, walks[model].components[other].w > 0.5), 0.0, 0.0);
    }
    for (var i = lane; i < D; i += WORKGROUP) {
        let m = mean_step(first, own, k, i, share, is_gaussian);
        part.z += m * m;
    }
    found[lane] = part;
    workgroupBarrier();
    //@ total
    let weight = s0 / total.x;
    let has_samples = s0 > LEAST_SHARE * total.x;

    var is_sound = has_samples;
    let keeps_digits = true;
    var moved = select(0.0, total.z, lane == 0u);
    var constant = vec2(0.0);
    for (var i = lane; i < D; i += WORKGROUP) {
        let u = factor(own, i, is_gaussian);
        let m = mean_step(first, own, k, i, share, is_gaussian);
        //@ variance
        let pivot = second - taken;
        is_sound = is_sound && pivot > LEAST_PIVOT * second;
        // A spherical component's stands for all of its features.
        moved += 0.5 * (pivot - 1.0) * (pivot - 1.0);
        let g = sqrt(max(pivot, 1e-20));
        let new_u = u / g;
        constant = add_parts(constant, log2_parts(max(new_u, 1e-30)));
        let step = m + parameters[own + REMAINDER + i];
        let mean = parameters[own + i];
        let new_mean = as_is(mean + step / u);
        let t = as_is(new_mean - mean);
        trace[to + i] = new_mean;
        trace[to + D + i] = new_u;
        trace[to + REMAINDER + i] = (step - u * t) / g;
    }

    workgroupBarrier();
    found[lane] = vec4(moved, fitness(is_sound, keeps_digits), constant);
    workgroupBarrier();
    //@ branches
    //@ verdict
}

// Entry i of the old factor, or of one that is fit for divisions where there is none.
fn factor(own: u32, i: u32, is_gaussian: bool) -> f32 {
    return select(1.0, parameters[own + D + i], is_gaussian);
}

// How far feature i of the mean moves, whitened.
fn mean_step(first: u32, own: u32, k: u32, i: u32, share: f32, is_gaussian: bool) -> f32 {
    let shift = sums[first + s1_at(k, i)] / share;
    if SEEN {
        return shift;
    }
    return factor(own, i, is_gaussian) * shift - parameters[own + REMAINDER + i];
}
