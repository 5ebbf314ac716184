//! Limited-memory BFGS: the last few steps and gradients as an approximation of the inverse Hessian.
//!
//! Nocedal & Wright (2006), *Numerical Optimization*, algorithm 7.4; with a Hessian at hand, that is the matrix
//! the pairs improve on.

use std::collections::VecDeque;

use super::hessian::Inverse;

/// Pairs kept.
const PAIRS: usize = 20;
/// The least curvature of a pair, sᵀy / sᵀs.
const LEAST_CURVATURE: f64 = 1e-9;

/// What is known of the curvature about a chart's anchor.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    pairs: VecDeque<Pair>,
    initial: Option<Inverse>,
}

/// A step, the change of the gradient along it and their product.
#[derive(Clone, Debug)]
struct Pair {
    step: Vec<f64>,
    change: Vec<f64>,
    product: f64,
}

impl Memory {
    /// Begins from the inverse of a Hessian.
    pub(super) fn from_inverse(initial: Inverse) -> Self {
        Self {
            pairs: VecDeque::new(),
            initial: Some(initial),
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Takes a step and the change of the gradient along it, unless the change is within `noise` or the function is
    /// not convex along the step.
    pub(super) fn store(&mut self, step: Vec<f64>, change: Vec<f64>, noise: f64) {
        let product = dot(&step, &change);
        if product <= LEAST_CURVATURE * dot(&step, &step) || dot(&change, &change) <= noise * noise
        {
            return;
        }
        if self.pairs.len() == PAIRS {
            self.pairs.pop_front();
        }
        self.pairs.push_back(Pair {
            step,
            change,
            product,
        });
    }

    /// Minus the approximate inverse Hessian times the gradient; `None` where nothing is known.
    pub(super) fn direction(&self, gradient: &[f64]) -> Option<Vec<f64>> {
        let mut direction: Vec<f64> = gradient.iter().map(|g| -g).collect();
        let mut shares = Vec::with_capacity(self.pairs.len());
        for pair in self.pairs.iter().rev() {
            let share = dot(&pair.step, &direction) / pair.product;
            add(&mut direction, -share, &pair.change);
            shares.push(share);
        }
        match (&self.initial, self.pairs.back()) {
            (Some(inverse), _) => direction = inverse.apply(&direction),
            (None, Some(last)) => {
                let scale = last.product / dot(&last.change, &last.change);
                direction.iter_mut().for_each(|x| *x *= scale);
            }
            (None, None) => return None,
        }
        for (pair, share) in self.pairs.iter().zip(shares.iter().rev()) {
            let back = dot(&pair.change, &direction) / pair.product;
            add(&mut direction, share - back, &pair.step);
        }
        Some(direction)
    }
}

/// aᵀb.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// to += share · from.
pub(super) fn add(to: &mut [f64], share: f64, from: &[f64]) {
    to.iter_mut()
        .zip(from)
        .for_each(|(to, from)| *to += share * from);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quadratic_is_minimised_in_a_few_exact_steps() {
        // f = ½ Σ c_i x_i²; with exact line searches BFGS ends after as many steps as there are coordinates.
        let curvatures = [1.0, 10.0, 0.1, 3.0];
        let gradient =
            |x: &[f64]| -> Vec<f64> { x.iter().zip(curvatures).map(|(x, c)| c * x).collect() };
        let mut x = vec![1.0, -2.0, 3.0, 0.5];
        let mut memory = Memory::default();
        assert!(memory.direction(&gradient(&x)).is_none());
        for _ in 0..5 {
            let g = gradient(&x);
            let d = memory
                .direction(&g)
                .unwrap_or_else(|| g.iter().map(|g| -g).collect());
            let t = -dot(&g, &d) / dot(&d, &gradient(&d));
            let step: Vec<f64> = d.iter().map(|d| t * d).collect();
            add(&mut x, 1.0, &step);
            let change = gradient(&x).iter().zip(&g).map(|(a, b)| a - b).collect();
            memory.store(step, change, 0.0);
        }
        assert!(dot(&x, &x) < 1e-20, "{x:?}");
    }

    #[test]
    fn pairs_without_curvature_or_below_the_noise_are_not_kept() {
        let mut memory = Memory::default();
        memory.store(vec![1.0], vec![-1.0], 0.0);
        memory.store(vec![1.0], vec![1e-3], 1e-2);
        assert!(memory.direction(&[1.0]).is_none());
        memory.store(vec![1.0], vec![2.0], 1e-2);
        assert_eq!(memory.direction(&[1.0]), Some(vec![-0.5]));
        memory.clear();
        assert!(memory.direction(&[1.0]).is_none());
    }
}
