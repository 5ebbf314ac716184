// Columns of a tile stand in a four and a side, those of as many slices as there is room for: what is written out here
// compilers take long for.
for (var first = 1u; first < SLICES; first += SHARES) {
    let place = lane - first * LANES;
    //@ columns
}
