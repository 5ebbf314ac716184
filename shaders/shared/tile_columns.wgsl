workgroupBarrier();
if place < share * SLICES {
    //@ given
}
workgroupBarrier();
add_slices(lane, group.x, $first, moments);
