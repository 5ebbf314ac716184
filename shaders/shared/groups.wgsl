// Pasted before the stages that take components in groups.

struct GroupRange {
    // How many groups stand before the first of `components`.
    first_group: u32,
    // All groups of `log_normalisers`.
    groups: u32,
    // Entries of `blocks`.
    count: u32,
    // Distance between two features of a row: samples are feature-major within a block.
    rows_per_block: u32,
    // Groups of `statistics_groups`.
    sum_groups: u32,
    padding_0: u32,
    padding_1: u32,
    padding_2: u32,
}
