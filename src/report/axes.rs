//! Axes: the range that data covers, and ticks at round numbers (1, 2, 5 times a power of ten).

use super::text::superscript;

/// Beyond this, differences and squares of f64 overflow; no picture needs more.
const LARGEST: f64 = 1e300;
/// Ranges below this share of the values themselves drown in their rounding.
const RESOLUTION: f64 = 1e-12;
/// Room on either side of the data, as a share of its range.
const MARGIN: f64 = 0.04;

/// A labelled place on an axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    /// Where it stands, 0 (low end) to 1 (high end).
    pub at: f64,
    /// Its number, short.
    pub label: String,
}

/// A linear axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    /// From low to high.
    pub ticks: Vec<Tick>,
    /// What the labels leave out, to follow the axis's name: " − 1000000", " (in 10⁻³)", or both.
    pub unit: String,
}

impl Axis {
    /// An axis for the finite ones of `values`, with about `n_ticks` ticks; with `whole`, at whole numbers.
    pub fn covering(values: impl Iterator<Item = f64>, n_ticks: usize, whole: bool) -> Self {
        let (low, high) = values
            .filter(|v| v.is_finite())
            .map(|v| v.clamp(-LARGEST, LARGEST))
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
                (low.min(v), high.max(v))
            });
        let (low, high) = widened(low, high);
        let (factor, exponent) = step((high - low) / n_ticks as f64, whole);
        let size = factor as f64 * ten(exponent);
        // Widened ranges span at least 1e-12 of their values: these quotients are far below 2⁵³.
        let (first, last) = ((low / size).ceil() as i64, (high / size).floor() as i64);
        let (labels, unit) = labels(first..=last, factor, exponent);
        let ticks = (first..=last)
            .zip(labels)
            .map(|(i, label)| Tick {
                at: (i as f64 * size - low) / (high - low),
                label,
            })
            .collect();
        Self {
            low,
            high,
            ticks,
            unit,
        }
    }

    /// Where a value stands, 0 (low end) to 1 (high end).
    pub fn fraction(&self, value: f64) -> f64 {
        (value.clamp(-LARGEST, LARGEST) - self.low) / (self.high - self.low)
    }

    /// The length of one unit as a share of the axis.
    pub fn scale(&self) -> f64 {
        1.0 / (self.high - self.low)
    }
}

/// The range with its margins; one that is empty or a point gets a width of its own.
fn widened(low: f64, high: f64) -> (f64, f64) {
    if low > high {
        return (0.0, 1.0);
    }
    let largest = low.abs().max(high.abs());
    if largest < 1.0 / LARGEST {
        return (-1.0, 1.0);
    }
    let range = high - low;
    if range <= RESOLUTION * largest {
        let half = 0.1 * largest;
        return (low - half, high + half);
    }
    (low - MARGIN * range, high + MARGIN * range)
}

/// The number of 1, 2, 5 times a power of ten nearest to `raw` > 0 by ratio, as factor and exponent.
fn step(raw: f64, whole: bool) -> (i64, i32) {
    let exponent = raw.log10().floor() as i32;
    if whole && exponent < 0 {
        return (1, 0);
    }
    let mantissa = raw / ten(exponent);
    // Between neighbours f and g the border is √(f g).
    match mantissa * mantissa {
        m if m < 2.0 => (1, exponent),
        m if m < 10.0 => (2, exponent),
        m if m < 50.0 => (5, exponent),
        _ => (1, exponent + 1),
    }
}

/// 10ᵉ, correctly rounded on every machine (`powi` is not).
fn ten(exponent: i32) -> f64 {
    // A number in this form always parses.
    format!("1e{exponent}").parse().unwrap_or(1.0)
}

/// The labels of the numbers i·factor·10^exponent, and what they leave out. Whole-number arithmetic:
/// no label shows rounding.
fn labels(
    range: std::ops::RangeInclusive<i64>,
    factor: i64,
    exponent: i32,
) -> (Vec<String>, String) {
    let mut numbers: Vec<i64> = range.map(|i| i * factor).collect();
    let mut unit = String::new();
    let largest = |numbers: &[i64]| numbers.iter().map(|n| n.abs()).max().unwrap_or(0);
    if largest(&numbers) >= 100_000 {
        // Towards zero from the middle: labels of a few digits, small ones where zero is near.
        let base = numbers[numbers.len() / 2] / 100 * 100;
        numbers.iter_mut().for_each(|n| *n -= base);
        let sign = if base < 0 { '+' } else { '−' };
        let base = decimal(base.abs(), exponent);
        let base = match base.split_once('.') {
            Some((whole, zeros)) if zeros.bytes().all(|b| b == b'0') => whole,
            _ => &base,
        };
        unit = format!(" {sign} {base}");
    }
    let digits = largest(&numbers).max(1).ilog10() as i32;
    let magnitude = exponent + digits;
    let power = if exponent >= -4 && magnitude < 6 {
        0
    } else {
        magnitude.div_euclid(3) * 3
    };
    if power != 0 {
        unit.push_str(&format!(" (in 10{})", superscript(power)));
    }
    let labels = numbers
        .iter()
        .map(|n| decimal(*n, exponent - power))
        .collect();
    (labels, unit)
}

/// n·10ᵉ written out, with a true minus sign; in powers of ten where that takes more than 16 digits.
fn decimal(n: i64, exponent: i32) -> String {
    let sign = if n < 0 { "−" } else { "" };
    let digits = n.unsigned_abs().to_string();
    let point = digits.len() as i32 + exponent;
    if n == 0 {
        return "0".into();
    }
    if !(-16..=16).contains(&point) {
        let tail = digits[1..].trim_end_matches('0');
        let dot = if tail.is_empty() { "" } else { "." };
        return format!(
            "{sign}{}{dot}{tail}·10{}",
            &digits[..1],
            superscript(point - 1)
        );
    }
    if exponent >= 0 {
        return format!("{sign}{digits}{}", "0".repeat(exponent as usize));
    }
    if point > 0 {
        let (whole, fraction) = digits.split_at(point as usize);
        format!("{sign}{whole}.{fraction}")
    } else {
        format!("{sign}0.{}{digits}", "0".repeat(-point as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(low: f64, high: f64) -> (Vec<String>, String) {
        let axis = Axis::covering([low, high].into_iter(), 6, false);
        assert!(axis.ticks.iter().all(|t| (0.0..=1.0).contains(&t.at)));
        // Six wanted, the step off by √2.5 at most, and one more for the fence post.
        assert!((3..=10).contains(&axis.ticks.len()), "{axis:?}");
        let labels = axis.ticks.into_iter().map(|t| t.label).collect();
        (labels, axis.unit)
    }

    #[test]
    fn ticks_stand_at_round_numbers() {
        assert_eq!(axis(-4.2, 7.3).0, ["−4", "−2", "0", "2", "4", "6"]);
        assert_eq!(axis(0.0, 1.0).0, ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(axis(0.0, 1.0).1, "");
    }

    #[test]
    fn huge_tiny_and_far_away_ranges_have_short_labels() {
        assert_eq!(
            axis(0.0, 1e12),
            (
                ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]
                    .map(String::from)
                    .to_vec(),
                " (in 10¹²)".into()
            )
        );
        assert_eq!(axis(1e-12, 3e-12).1, " (in 10⁻¹²)");
        let (labels, unit) = axis(1_000_000.0, 1_000_001.0);
        assert_eq!(unit, " − 1000000");
        assert_eq!(labels, ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(axis(1e6, 1e6 + 0.01).1, " − 1000000");
        let (labels, unit) = axis(-1_000_001.0, -1_000_000.0);
        assert_eq!(unit, " + 1000000");
        assert_eq!(labels, ["−1.0", "−0.8", "−0.6", "−0.4", "−0.2", "0"]);
    }

    #[test]
    fn no_range_is_too_hard() {
        for (low, high) in [
            (0.0, 0.0),
            (5.0, 5.0),
            (1e12, 1e12),
            (-1e-12, -1e-12),
            (f64::MIN, f64::MAX),
            (1e-310, 2e-310),
            (0.0, f64::MIN_POSITIVE),
            (1e15, 1e15 + 1.0),
            (1e15, 1e15 + 1e4),
            (1e300, 1e300),
            (f64::NAN, f64::INFINITY),
        ] {
            let axis = Axis::covering([low, high].into_iter(), 6, false);
            assert!(!axis.ticks.is_empty(), "{low} {high}");
            for tick in &axis.ticks {
                assert!((0.0..=1.0).contains(&tick.at), "{low} {high} {axis:?}");
                assert!(tick.label.chars().count() <= 7, "{low} {high} {axis:?}");
            }
        }
    }

    #[test]
    fn whole_numbers_only() {
        let axis = Axis::covering([1.0, 3.0].into_iter(), 8, true);
        let labels: Vec<&str> = axis.ticks.iter().map(|t| t.label.as_str()).collect();
        assert_eq!(labels, ["1", "2", "3"]);
    }
}
