$buffer[lane] = $column;
workgroupBarrier();
for (var s = 1u; s < $slices; s++) {
    $column += $buffer[lane % LANES + s * LANES];
}
workgroupBarrier();
