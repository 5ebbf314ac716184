workgroupBarrier();
if slice == s {
    //@ given
}
workgroupBarrier();
if slice == 0u {
    //@ taken
}
