if lane == 0u {
    var all = found[0];
    for (var l = 1u; l < BRANCHES; l++) {
        all = both(all, found[l]);
    }
    let change = weight - before.x;
    let length = change * change / before.x + select(0.0, before.x * all.x, is_gaussian);
    let is_sound = has_samples && length < 1e30;
    let fit = select(UNSOUND, select(FIT, all.y, is_gaussian), is_sound);
    let log_weight = add_parts(before.yz, log2_parts(weight));
    let log_constant = add_parts(log_weight, select(vec2(0.0), all.zw, is_gaussian));
    verdicts[model * (K + 1u) + k] = vec4(length, fit, log_constant);
    trace[shares + k] = s0;
    // For `commit_step`.
    trace[to + COMPONENT_PARAMETERS - 1u] = weight;
}
