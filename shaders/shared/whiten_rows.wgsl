{
    let four = $nu * ROW_LANES + lane % ROW_LANES;
    let is_own = quad < VEC4S && four < ROWS / 4u;
    let row = start + 4u * four;
    let at = 4u * min(four, ROWS / 4u - 1u);
    var root = vec4(0.0);
    if is_own && row < segment.rows {
        root = roots[roots_at + row / 4u];
    }
    let remainder = components[k][REMAINDER + used];
    var y0 = -root.x * remainder;
    var y1 = -root.y * remainder;
    var y2 = -root.z * remainder;
    var y3 = -root.w * remainder;
    var factor = FACTOR + 2u * used * (used + 1u);
    for (var q = 0u; q <= used; q++) {
        let z0 = z[at].quads[q];
        let z1 = z[at + 1u].quads[q];
        let z2 = z[at + 2u].quads[q];
        let z3 = z[at + 3u].quads[q];
        let u0 = components[k][factor];
        let u1 = components[k][factor + 1u];
        let u2 = components[k][factor + 2u];
        let u3 = components[k][factor + 3u];
        y0 = fma(u0, vec4(z0.x), fma(u1, vec4(z0.y), fma(u2, vec4(z0.z), fma(u3, vec4(z0.w), y0))));
        y1 = fma(u0, vec4(z1.x), fma(u1, vec4(z1.y), fma(u2, vec4(z1.z), fma(u3, vec4(z1.w), y1))));
        y2 = fma(u0, vec4(z2.x), fma(u1, vec4(z2.y), fma(u2, vec4(z2.z), fma(u3, vec4(z2.w), y2))));
        y3 = fma(u0, vec4(z3.x), fma(u1, vec4(z3.y), fma(u2, vec4(z3.z), fma(u3, vec4(z3.w), y3))));
        factor += 4u;
    }
    workgroupBarrier();
    if is_own {
        z[at].quads[quad] = y0;
        z[at + 1u].quads[quad] = y1;
        z[at + 2u].quads[quad] = y2;
        z[at + 3u].quads[quad] = y3;
        s1 = fma(y0, vec4(root.x), fma(y1, vec4(root.y), fma(y2, vec4(root.z), fma(y3, vec4(root.w), s1))));
    }
}
