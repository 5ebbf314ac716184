// Pasted before the stages that work on batches of segments.

// Which segments, blocks and components a batch of dispatches works on.
struct Batch {
    // The batch's first entry of `segments`.
    first_segment: u32,
    // The batch's first entry of `spans`.
    first_span: u32,
    n_components: u32,
    // Rows that scratch memory holds per segment.
    segment_rows: u32,
    // Distance between two features of a row: samples are feature-major within a block.
    rows_per_block: u32,
    // vec4s of a segment's partials: `own`, then `copies` times `pooled`, of which the sum is wanted.
    own: u32,
    pooled: u32,
    copies: u32,
}

// At most `segment_rows` consecutive rows of one summation block.
struct Segment {
    // Where feature 0 of the first row stands in `samples`.
    first: u32,
    // Rows, at least 1.
    rows: u32,
}
