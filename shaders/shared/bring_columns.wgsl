workgroupBarrier();
//@ fours
if lane < CHUNK {
    panels[c].columns[lane].mean = components[k][MEAN + min(first + lane, QUADS - 1u)];
}
workgroupBarrier();
