// One tile's columns stand in a four and a side: what is written out here compilers take long for.
let tile_four = lane % LANES / SIDES;
let tile_side = lane % LANES % SIDES;
for (var s = 1u; s < SLICES; s++) {
    //@ columns
}
