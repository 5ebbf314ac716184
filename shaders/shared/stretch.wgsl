workgroupBarrier();
for (var at = lane; at < ROWS * VEC4S; at += WORKGROUP) {
    let row = $first + at % ROWS;
    let quad = at / ROWS;
    var value = vec4(0.0);
    if row < rows {
        let root = sqrt(scores[first + row]);
        if quad < QUADS {
            value = root * whitened[first * QUADS + quad * batch.segment_rows + row];
        } else {
            value.x = root;
        }
    }
    z[at % ROWS * STRIDE + quad] = value;
}
workgroupBarrier();
if slice < $slices {
    for (var four = slice; four < ROWS / 4u; four += $slices) {
        let at = 4u * four * STRIDE;
        let a0 = z[at + i];
        let b0 = z[at + j];
        column_0 = fma(a0, vec4(b0.x), column_0);
        column_1 = fma(a0, vec4(b0.y), column_1);
        column_2 = fma(a0, vec4(b0.z), column_2);
        column_3 = fma(a0, vec4(b0.w), column_3);
        let a1 = z[at + STRIDE + i];
        let b1 = z[at + STRIDE + j];
        column_0 = fma(a1, vec4(b1.x), column_0);
        column_1 = fma(a1, vec4(b1.y), column_1);
        column_2 = fma(a1, vec4(b1.z), column_2);
        column_3 = fma(a1, vec4(b1.w), column_3);
        let a2 = z[at + 2u * STRIDE + i];
        let b2 = z[at + 2u * STRIDE + j];
        column_0 = fma(a2, vec4(b2.x), column_0);
        column_1 = fma(a2, vec4(b2.y), column_1);
        column_2 = fma(a2, vec4(b2.z), column_2);
        column_3 = fma(a2, vec4(b2.w), column_3);
        let a3 = z[at + 3u * STRIDE + i];
        let b3 = z[at + 3u * STRIDE + j];
        column_0 = fma(a3, vec4(b3.x), column_0);
        column_1 = fma(a3, vec4(b3.y), column_1);
        column_2 = fma(a3, vec4(b3.z), column_2);
        column_3 = fma(a3, vec4(b3.w), column_3);
    }
}
