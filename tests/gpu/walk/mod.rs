//! EM steps that the device takes by itself.

mod fits;
mod m_step;
mod submissions;

use wgmm::backend::gpu::Gpu;
use wgmm::backend::{Backend, Components, Walk, Walked, Watch};
use wgmm::mixture::CovarianceType;

const TYPES: [CovarianceType; 4] = [
    CovarianceType::Full,
    CovarianceType::Tied,
    CovarianceType::Diag,
    CovarianceType::Spherical,
];

/// So many steps at most, whatever their lengths.
fn of(components: &Components, most: usize) -> Walk<'_> {
    Walk {
        model: components.into(),
        most,
        watch: Watch::default(),
    }
}

fn steps(gpu: &mut Gpu, components: &Components, most: usize) -> Walked {
    let mut walked = gpu.walk(&[of(components, most)]).expect("a walk");
    walked.swap_remove(0)
}

fn same(a: &Walked, b: &Walked) -> bool {
    (&a.steps, a.stopped, &a.statistics) == (&b.steps, b.stopped, &b.statistics)
}
