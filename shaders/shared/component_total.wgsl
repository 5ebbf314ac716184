if lane < BRANCHES {
    var sum = found[lane];
    for (var l = lane + BRANCHES; l < WORKGROUP; l += BRANCHES) {
        sum += found[l];
    }
    found[lane] = sum;
}
workgroupBarrier();
var total = vec4(0.0);
for (var l = 0u; l < BRANCHES; l++) {
    total += found[l];
}
