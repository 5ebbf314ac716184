{
    let four = $nu * ROW_LANES + lane % ROW_LANES;
    if quad < VEC4S && four < ROWS / 4u {
        // A segment's roots are zeros up to a multiple of four rows.
        let row = start + 4u * four;
        let at = min(row, segment.rows - 1u) / 4u;
        let root = select(vec4(0.0), roots[roots_at + at], row < segment.rows);
        let mean = components[k][MEAN + used];
        let x = samples[features.x + at] - mean.x;
        let y = samples[features.y + at] - mean.y;
        let v = samples[features.z + at] - mean.z;
        let w = samples[features.w + at] - mean.w;
        let z0 = root.x * vec4(x.x, y.x, v.x, w.x);
        let z1 = root.y * vec4(x.y, y.y, v.y, w.y);
        let z2 = root.z * vec4(x.z, y.z, v.z, w.z);
        let z3 = root.w * vec4(x.w, y.w, v.w, w.w);
        z[four].rows[0].sides[side].quads[part] = z0;
        z[four].rows[1].sides[side].quads[part] = z1;
        z[four].rows[2].sides[side].quads[part] = z2;
        z[four].rows[3].sides[side].quads[part] = z3;
        s0 += dot(root, root);
        if !whitens {
            s1 = fma(z0, vec4(root.x), s1);
            s1 = fma(z1, vec4(root.y), s1);
            s1 = fma(z2, vec4(root.z), s1);
            s1 = fma(z3, vec4(root.w), s1);
        }
    }
}
