//! Drawing samples from a mixture.

use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal, weighted::WeightedIndex};

use super::{Mixture, triangle};

impl Mixture {
    /// Draws `n` samples: row-major n × D values and each row's component, K for noise.
    ///
    /// The same generator state gives the same rows on every machine.
    pub fn sample(&self, n: usize, rng: &mut impl Rng) -> (Vec<f64>, Vec<usize>) {
        let d = self.n_features();
        let factors: Vec<Vec<f64>> = (0..self.len()).map(|k| self.cholesky(k)).collect();
        let noise = self.noise();
        let weights = self.weights().iter().copied();
        let component = WeightedIndex::new(weights.chain(noise.map(|noise| noise.weight)))
            .expect("weights are not negative and sum to 1");
        let mut values = Vec::with_capacity(n * d);
        let mut labels = Vec::with_capacity(n);
        let mut normal = vec![0.0; d];
        for _ in 0..n {
            let k = component.sample(rng);
            if let (true, Some(noise)) = (k == self.len(), noise) {
                let sides = noise.lower.iter().zip(&noise.upper);
                values.extend(sides.map(|(low, high)| low + (high - low) * rng.random::<f64>()));
                labels.push(k);
                continue;
            }
            normal.fill_with(|| StandardNormal.sample(rng));
            values.extend(
                triangle::apply(&factors[k], &normal)
                    .iter()
                    .zip(self.mean(k))
                    .map(|(v, m)| v + m),
            );
            labels.push(k);
        }
        (values, labels)
    }
}
