// A segment's roots are zeros up to a multiple of four rows.
let four_$n = $nu * ROW_LANES + lane % ROW_LANES;
let row_$n = start + 4u * four_$n;
let at_$n = min(row_$n, segment.rows - 1u) / 4u;
let is_own_$n = four_$n < ROWS / 4u && row_$n < segment.rows;
let root_$n = select(vec4(0.0), roots[roots_at + at_$n], is_own_$n);
let x_$n = samples[features + at_$n] - mean.x;
let y_$n = samples[features + $1 * stride + at_$n] - mean.y;
let v_$n = samples[features + $2 * stride + at_$n] - mean.z;
let w_$n = samples[features + $3 * stride + at_$n] - mean.w;
