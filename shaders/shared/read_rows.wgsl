// A segment's roots are zeros up to a multiple of four rows.
{
    let four = $nu * ROW_LANES + lane % ROW_LANES;
    let row = $start + 4u * four;
    let at = min(row, segment.rows - 1u) / 4u;
    root_$n = select(vec4(0.0), roots[roots_at + at], four < ROWS / 4u && row < segment.rows);
    x_$n = samples[features + at];
    y_$n = samples[features + $1 * stride + at];
    v_$n = samples[features + $2 * stride + at];
    w_$n = samples[features + $3 * stride + at];
}
