//! The colours of all pictures.

/// Titles and the truth.
pub(super) const INK: &str = "#1f2328";
/// Subtitles, tick labels, legends.
pub(super) const MUTED: &str = "#5f6873";
/// The two axes.
pub(super) const AXIS: &str = "#c3c9d0";
/// Lines across the plot.
pub(super) const GRID: &str = "#eceff2";
/// The page.
pub(super) const PAPER: &str = "#ffffff";
/// Samples without a component.
pub(super) const PLAIN: &str = "#7b8590";

/// Okabe and Ito's idea (hues that red- and green-blind eyes still tell apart), with our own values: any
/// two differ by 0.1 or more in OKLab for every kind of colour vision, and all stand out on white.
const COLORS: [&str; 8] = [
    "#2f5fd0", // blue
    "#d76007", // orange
    "#009b84", // teal
    "#9a2d92", // purple
    "#53b7eb", // sky
    "#e69f00", // amber
    "#6b1d4e", // wine
    "#715b52", // brown
];

/// The golden angle in degrees: hues stepped by it never come close to an earlier one soon.
const HUE_STEP: f64 = 137.507_764_05;

/// The colour of component (or series) `k`, as `#rrggbb`: the same in every picture. The first eight are
/// safe for colour-blind eyes; from the ninth on hues step by the golden angle, in three lightnesses.
///
/// # Examples
/// ```
/// use wgmm::report::color;
/// assert_eq!(color(0), "#2f5fd0");
/// assert_ne!(color(8), color(9));
/// ```
pub fn color(k: usize) -> String {
    let Some(step) = k.checked_sub(COLORS.len()) else {
        return COLORS[k].into();
    };
    let hue = (25.0 + step as f64 * HUE_STEP) % 360.0;
    let lightness = [0.38, 0.45, 0.28][step % 3];
    hsl(hue, 0.62, lightness)
}

/// Hue in degrees, saturation and lightness in 0..=1, as `#rrggbb`.
fn hsl(hue: f64, saturation: f64, lightness: f64) -> String {
    let reach = saturation * lightness.min(1.0 - lightness);
    let channel = |offset: f64| {
        let k = (offset + hue / 30.0) % 12.0;
        let value = lightness - reach * (k - 3.0).min(9.0 - k).clamp(-1.0, 1.0);
        (value * 255.0).round() as u8
    };
    format!(
        "#{:02x}{:02x}{:02x}",
        channel(0.0),
        channel(8.0),
        channel(4.0)
    )
}

#[cfg(test)]
mod tests {
    use glam::{DMat3, DVec3};

    use super::*;

    fn linear(color: &str) -> DVec3 {
        let channel = |i: usize| {
            let v = f64::from(u8::from_str_radix(&color[i..i + 2], 16).expect("two hex digits"));
            let v = v / 255.0;
            if v <= 0.04045 {
                v / 12.92
            } else {
                ((v + 0.055) / 1.055).powf(2.4)
            }
        };
        DVec3::new(channel(1), channel(3), channel(5))
    }

    fn oklab(rgb: DVec3) -> DVec3 {
        let lms = DMat3::from_cols_array(&[
            0.412_221, 0.536_333, 0.051_446, 0.211_903, 0.680_700, 0.107_397, 0.088_302, 0.281_719,
            0.629_979,
        ])
        .transpose()
            * rgb.clamp(DVec3::ZERO, DVec3::ONE);
        let roots = DVec3::new(lms.x.cbrt(), lms.y.cbrt(), lms.z.cbrt());
        DMat3::from_cols_array(&[
            0.210_454, 0.793_618, -0.004_072, 1.977_998, -2.428_592, 0.450_594, 0.025_904,
            0.782_772, -0.808_676,
        ])
        .transpose()
            * roots
    }

    /// How linear RGB looks to usual eyes, and to red-, green- and blue-blind ones (Machado, Oliveira &
    /// Fernandes 2009).
    const VISIONS: [[f64; 9]; 4] = [
        [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        [
            0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116,
            1.051998,
        ],
        [
            0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.011820, 0.042940,
            0.968881,
        ],
        [
            1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367,
            0.303900,
        ],
    ];

    #[test]
    fn the_first_eight_differ_for_all_eyes() {
        for vision in VISIONS {
            let seen = DMat3::from_cols_array(&vision).transpose();
            let seen = COLORS.map(|color| oklab(seen * linear(color)));
            for (i, one) in seen.iter().enumerate() {
                for (j, other) in seen[..i].iter().enumerate() {
                    // 0.02 is about a just noticeable difference.
                    let apart = one.distance(*other);
                    assert!(apart > 0.1, "{i} {j}: {apart}");
                }
            }
        }
    }

    #[test]
    fn all_stand_out_on_white() {
        for k in 0..64 {
            let luminance = linear(&color(k)).dot(DVec3::new(0.2126, 0.7152, 0.0722));
            let contrast = 1.05 / (luminance + 0.05);
            assert!(contrast > 2.0, "{k} {} {contrast}", color(k));
        }
    }

    #[test]
    fn neighbours_beyond_the_eighth_differ() {
        let all: std::collections::BTreeSet<String> = (0..64).map(color).collect();
        assert_eq!(all.len(), 64);
    }
}
