{
    let four = $nu * ROW_LANES + lane % ROW_LANES;
    let root = root_$n;
    let z0 = root.x * (vec4(x_$n.x, y_$n.x, v_$n.x, w_$n.x) - mean);
    let z1 = root.y * (vec4(x_$n.y, y_$n.y, v_$n.y, w_$n.y) - mean);
    let z2 = root.z * (vec4(x_$n.z, y_$n.z, v_$n.z, w_$n.z) - mean);
    let z3 = root.w * (vec4(x_$n.w, y_$n.w, v_$n.w, w_$n.w) - mean);
    if quad < VEC4S && four < ROWS / 4u {
        z[four].rows[0].quarters[part][side] = z0;
        z[four].rows[1].quarters[part][side] = z1;
        z[four].rows[2].quarters[part][side] = z2;
        z[four].rows[3].quarters[part][side] = z3;
    }
    s0 += dot(root, root);
    // Rows that may be whitened are summed where they are then.
    if !WHITENS {
        s1 = fma(z0, vec4(root.x), s1);
        s1 = fma(z1, vec4(root.y), s1);
        s1 = fma(z2, vec4(root.z), s1);
        s1 = fma(z3, vec4(root.w), s1);
    }
}
