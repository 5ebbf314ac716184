z[lane] = $column;
workgroupBarrier();
for (var s = 1u; s < $slices; s++) {
    $column += z[lane % LANES + s * LANES];
}
workgroupBarrier();
