// Pasted before the stages that work on batches of segments.

// Which segments, blocks and components a batch of dispatches works on.
struct Batch {
    // How many segments the submission has before the batch's first.
    first_segment: u32,
    // The batch's first entry of `spans`.
    first_span: u32,
    n_components: u32,
    // Rows that scratch memory holds per segment.
    segment_rows: u32,
    // Distance between two features of a row: samples are feature-major within a block.
    rows_per_block: u32,
    // vec4s of a segment's partials.
    partials_len: u32,
    padding_0: u32,
    padding_1: u32,
    // Two a vec4: where feature 0 of the first row stands in `samples`, and how many rows, at least 1.
    segments: array<vec4<u32>, SEGMENTS / 2u>,
}

// At most `segment_rows` consecutive rows of one summation block.
struct Segment {
    first: u32,
    rows: u32,
}

// The batch's segment `at`.
fn segment_of(at: u32) -> Segment {
    let pair = batch.segments[at / 2u];
    let segment = select(pair.xy, pair.zw, at % 2u == 1u);
    return Segment(segment.x, segment.y);
}
