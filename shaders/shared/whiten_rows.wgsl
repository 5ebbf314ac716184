{
    let four = $nu * ROW_LANES + lane % ROW_LANES;
    let is_own = quad < VEC4S && four < ROWS / 4u;
    let row = start + 4u * four;
    let at = min(four, ROWS / 4u - 1u);
    // Two rows and a column at a time, for which there are registers.
    var root = vec2(0.0);
    if is_own && row < segment.rows {
        root = roots[roots_at + row / 4u].$parts;
    }
    let remainder = components[k][REMAINDER + used];
    var y0 = -root.x * remainder;
    var y1 = -root.y * remainder;
    var factor = FACTOR + 2u * used * (used + 1u);
    for (var q = 0u; q <= used; q++) {
        let z0 = z[at].rows[$first].quarters[q % QUARTERS][q / QUARTERS];
        let z1 = z[at].rows[$second].quarters[q % QUARTERS][q / QUARTERS];
        let u0 = components[k][factor];
        y0 = fma(u0, vec4(z0.x), y0);
        y1 = fma(u0, vec4(z1.x), y1);
        let u1 = components[k][factor + 1u];
        y0 = fma(u1, vec4(z0.y), y0);
        y1 = fma(u1, vec4(z1.y), y1);
        let u2 = components[k][factor + 2u];
        y0 = fma(u2, vec4(z0.z), y0);
        y1 = fma(u2, vec4(z1.z), y1);
        let u3 = components[k][factor + 3u];
        y0 = fma(u3, vec4(z0.w), y0);
        y1 = fma(u3, vec4(z1.w), y1);
        factor += 4u;
    }
    workgroupBarrier();
    if is_own {
        z[at].rows[$first].quarters[part][side] = y0;
        z[at].rows[$second].quarters[part][side] = y1;
    }
}
