if lane < BRANCHES {
    var all = found[lane];
    for (var l = lane + BRANCHES; l < WORKGROUP; l += BRANCHES) {
        all = both(all, found[l]);
    }
    found[lane] = all;
}
workgroupBarrier();
