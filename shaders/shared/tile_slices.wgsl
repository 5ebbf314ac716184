// Adds up, in the slices' order, AT_ONCE columns from `first` on of the workgroup's tiles, and writes them.
fn add_slices(at: u32, group: u32, first: u32, moments: u32) {
    let own = at % (SQUARES + PAIRS);
    let column = first + at / (SQUARES + PAIRS);
    let is_square = own < SQUARES;
    let tile = select(group * PAIRS + own - SQUARES, group * SQUARES + own, is_square);
    if at >= AT_ONCE * (SQUARES + PAIRS) {
        return;
    }
    if tile >= select(ALL_PAIRS, ALL_SQUARES, is_square) || column >= select(PAIR, SQUARE, is_square) {
        return;
    }
    //@ slices
    partials[moments + moments_at(tile, is_square) + column] = sum;
}
