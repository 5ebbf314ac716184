//! Correlations of features and overlap of components, as text for people.

use std::fmt::Write;

use wgmm::mixture::{CovarianceType, Mixture};

use super::summary::by_weight;

/// Up to so many features or components are shown by all their pairs.
const WHOLE: usize = 6;
/// Of more, so many pairs are shown.
const PAIRS: usize = 6;

/// The correlations of each component, heaviest first: all of them for a few features, else the strongest.
/// Empty for one feature.
pub(crate) fn correlations(mixture: &Mixture, features: &[String]) -> String {
    let d = features.len();
    if d == 1 {
        return String::new();
    }
    let kind = mixture.covariance_type();
    let shown: Vec<(String, usize)> = match kind {
        CovarianceType::Diag | CovarianceType::Spherical => {
            return format!("\nno correlations within components ({})\n", kind.name());
        }
        CovarianceType::Tied => vec![("all components".to_owned(), 0)],
        CovarianceType::Full => by_weight(mixture)
            .into_iter()
            .map(|k| (format!("component {k}"), k))
            .collect(),
    };
    let mut text = match d <= WHOLE {
        true => "\ncorrelations\n".to_owned(),
        false => format!("\nthe {PAIRS} strongest correlations\n"),
    };
    for (name, k) in shown {
        let matrix = mixture.correlations(k);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {name}");
        text.push_str(&pairs(
            features,
            |i, j| matrix[i * d + j],
            |r| format!("{r:.3}"),
        ));
    }
    text
}

/// How much components have in common: all pairs of a few, heaviest first, else those that share most.
/// Empty for one component.
pub(crate) fn overlap(mixture: &Mixture) -> String {
    let k = mixture.len();
    if k == 1 {
        return String::new();
    }
    let order = by_weight(mixture);
    let names: Vec<String> = order.iter().map(usize::to_string).collect();
    let matrix = mixture.overlap();
    let mut text = match k <= WHOLE {
        true => "\noverlap of components (Bhattacharyya coefficient)\n".to_owned(),
        false => {
            format!("\nthe {PAIRS} largest overlaps of components (Bhattacharyya coefficient)\n")
        }
    };
    text.push_str(&pairs(
        &names,
        |i, j| matrix[order[i] * k + order[j]],
        |share| match share {
            0.0 => "0".to_owned(),
            share if share < 1e-3 => format!("{share:.1e}"),
            share => format!("{share:.4}"),
        },
    ));
    text
}

/// The values of all pairs of a few names as a lower triangle, else the largest by size, one pair a line.
fn pairs(
    names: &[String],
    value: impl Fn(usize, usize) -> f64,
    shown: impl Fn(f64) -> String,
) -> String {
    let mut text = String::new();
    if names.len() > WHOLE {
        let mut pairs: Vec<(usize, usize)> = (0..names.len())
            .flat_map(|i| (0..i).map(move |j| (j, i)))
            .collect();
        pairs.sort_by(|a, b| value(b.1, b.0).abs().total_cmp(&value(a.1, a.0).abs()));
        for (j, i) in pairs.into_iter().take(PAIRS) {
            let pair = format!("{} × {}", names[j], names[i]);
            let _ = writeln!(text, "{pair:>22}  {:>8}", shown(value(i, j)));
        }
        return text;
    }
    let width = |name: &String| name.chars().count().max(8);
    let first = names.iter().map(width).max().unwrap_or(0);
    let last = names.len() - 1;
    let _ = write!(text, "{:>first$}", "");
    for name in &names[..last] {
        let _ = write!(text, "  {name:>0$}", width(name));
    }
    text.push('\n');
    for i in 1..names.len() {
        let _ = write!(text, "{:>first$}", names[i]);
        for j in 0..i {
            let _ = write!(text, "  {:>1$}", shown(value(i, j)), width(&names[j]));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgmm::mixture::Covariances;

    #[test]
    fn a_few_features_are_a_triangle() {
        let mixture = Mixture::new(
            vec![1.0],
            vec![0.0; 3],
            3,
            Covariances::Tied(vec![1.0, 0.5, 0.0, 0.5, 1.0, -0.25, 0.0, -0.25, 1.0]),
        )
        .expect("valid");
        let names = ["x", "y", "a longer name"].map(str::to_owned);
        assert_eq!(
            correlations(&mixture, &names),
            "\ncorrelations\n  all components\n                      x         y\n            \
             y     0.500\na longer name     0.000    -0.250\n"
        );
        assert_eq!(overlap(&mixture), "");
    }

    #[test]
    fn of_many_components_the_nearest_are_told() {
        // The weights fall, so that the order of components is theirs.
        let weights = [0.3, 0.2, 0.15, 0.12, 0.1, 0.08, 0.05].to_vec();
        let means = vec![0.0, 10.0, 30.0, 60.0, 61.0, 150.0, 210.0];
        let mixture =
            Mixture::new(weights, means, 1, Covariances::Spherical(vec![1.0; 7])).expect("valid");
        let text = overlap(&mixture);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2 + PAIRS);
        assert_eq!(lines[2], "                 3 × 4    0.8825");
        assert_eq!(lines[3], "                 0 × 1    3.7e-6");
    }
}
