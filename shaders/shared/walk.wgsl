// Pasted before the stages that take EM steps on the device.

// What is the same for all models.
struct Settings {
    // Summation blocks.
    blocks: u32,
    models: u32,
    // Structs of `ranges`.
    ranges: u32,
    // A zero that compilers do not know.
    zero: u32,
}

// A model on its way.
struct Walk {
    // 0 while it goes on; else the next step is the host's.
    stopped: u32,
    // EM steps taken, and the most that are wanted.
    steps: u32,
    most: u32,
    // How often running the estimated gain still to be had was below the tolerance, and how often is enough.
    below: u32,
    times: u32,
    // Squared lengths: the last step's, negative where there is none, and what is rounding alone.
    last: f32,
    negligible: f32,
    tol: f32,
    // Per component its weight; what of its log2 constant never changes, a whole number and a part; 1 for a Gaussian.
    components: array<vec4<f32>, K>,
}

// Numbers of a row of `trace`, one a step and model: two logarithms a block, the sums, the step's squared length and
// the parameters after it.
fn row_len() -> u32 {
    return 2u * settings.blocks + SUMS + 1u + K * COMPONENT_PARAMETERS;
}
