// Pasted before the stages that work on summation blocks.

// An entry of `blocks`.
struct Block {
    // Where the block's first number stands in `samples`.
    first: u32,
    // Rows, at least 1.
    rows: u32,
    // Which row of `partials` is the entry's.
    partial: u32,
    // Which of the models.
    model: u32,
}
