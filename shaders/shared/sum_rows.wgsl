{
    let four = $nu * ROW_LANES + lane % ROW_LANES;
    let row = start + 4u * four;
    if quad < VEC4S && four < ROWS / 4u && row < segment.rows {
        let root = roots[roots_at + row / 4u];
        s1 = fma(z[four].rows[0].quarters[part][side], vec4(root.x), s1);
        s1 = fma(z[four].rows[1].quarters[part][side], vec4(root.y), s1);
        s1 = fma(z[four].rows[2].quarters[part][side], vec4(root.z), s1);
        s1 = fma(z[four].rows[3].quarters[part][side], vec4(root.w), s1);
    }
}
