workgroupBarrier();
if slice >= first && slice < first + SHARES {
    let four = place / SIDES;
    let side = place % SIDES;
    //@ given
}
workgroupBarrier();
if slice == 0u {
    for (var s = 0u; s < min(SHARES, SLICES - first); s++) {
        let other = lane + s * LANES;
        let four = other / SIDES;
        let side = other % SIDES;
        //@ taken
    }
}
