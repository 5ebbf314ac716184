// Parameters of eight components with diagonal factors: an entry of the log constants, in x of `means`, then one for
// each four features, zeros beyond D. The distance between entries is a power of two, so that places within one are
// constants beside an address and not sums of their own.
struct Octet {
    means: array<vec4<f32>, 8>,
    // Whitened remainders of the means.
    remainders: array<vec4<f32>, 8>,
    // Diagonals of U.
    factors: array<vec4<f32>, 8>,
    padding: array<vec4<f32>, 8>,
}

// Entries of eight components.
const ENTRIES: u32 = 1u + QUADS;
