// Pasted before the stages that sum blocks, or parts of them, under several models at once.

// Which entries this dispatch sums: `count` of `blocks`, `width` workgroups in x. Those of the same rows under several
// models stand side by side, so that the rows are read into a cache once.
struct BlockRange {
    count: u32,
    width: u32,
    // Distance between two features of a row: samples are feature-major within a block.
    rows_per_block: u32,
    padding: u32,
}

@group(0) @binding(0) var<uniform> range: BlockRange;
//@ components
@group(0) @binding(2) var<storage, read> samples: array<f32>;
@group(0) @binding(3) var<storage, read> blocks: array<Block>;
@group(0) @binding(4) var<storage, read_write> partials: array<f32>;
