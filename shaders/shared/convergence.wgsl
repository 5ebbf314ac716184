// Pasted before the stages that ask what src/em/convergence.rs asks.

// How often running the estimated gain was below the tolerance, with a step of this squared length.
fn times_below(model: u32, squared_length: f32) -> u32 {
    let last = walks[model].last;
    let shrinks = squared_length < last;
    let rate = select(0.0, sqrt(squared_length / max(last, 1e-37)), shrinks);
    let is_below = squared_length < walks[model].negligible
        || (shrinks && rate < 1.0 && 0.5 * squared_length < walks[model].tol * (1.0 - rate));
    return select(0u, walks[model].below + 1u, is_below);
}

fn has_converged(model: u32, below: u32) -> bool {
    return walks[model].tol > 0.0 && below >= walks[model].times;
}

// Why a model stops whose components are so far fit.
fn reason(fit: f32, has_converged: bool) -> u32 {
    return select(STOPPED, LEFT, fit > 0.0 && fit < 1.0 && !has_converged);
}
