//! The kernels meant for hardware against the f64 reference, a software adapter taken for a card.

use wgmm::backend::gpu::{Device, Hardware, Options};
use wgmm::mixture::CovarianceType;

use crate::data::{cards, components, open, without};
use crate::reference::{FULL, OTHERS, check_on};

#[test]
fn kernels_for_hardware_agree() {
    for hardware in cards(Hardware::Amd) {
        for (d, k) in [(2, 4), (2, 20), (4, 9), (10, 7), (11, 13), (16, 5)] {
            for covariance_type in OTHERS.into_iter().chain([FULL]) {
                for weighted in [false, true] {
                    let model = components(d, k, covariance_type);
                    check_on(&hardware, 20_003, weighted, &[model]);
                }
            }
        }
        // Blocks of 2,304 rows, which a card takes in two parts; the last has 1,760.
        let models = [2, 4, 4].map(|k| components(2, k, FULL));
        check_on(&hardware, 140_000, true, &models);
        check_on(&hardware, 140_000, false, &models[1..2]);
    }
    let hardware = played(Hardware::Nvidia);
    for (d, k) in [(2, 4), (10, 7), (16, 5)] {
        for covariance_type in OTHERS.into_iter().chain([FULL]) {
            let model = components(d, k, covariance_type);
            check_on(&hardware, 20_003, d == 10, &[model]);
        }
    }
    // Scores as products: fours of coordinates that are left over, features that are; four components a workgroup and two,
    // places beyond the last.
    for (d, k) in [
        (35, 4),
        (64, 3),
        (70, 3),
        (100, 3),
        (128, 2),
        (36, 15),
        (21, 9),
    ] {
        for covariance_type in [FULL, CovarianceType::Tied] {
            let model = components(d, k, covariance_type);
            check_on(&hardware, 1_513, true, &[model]);
        }
    }
}

#[test]
fn second_moments_by_tiles_agree() {
    let cards = [Hardware::Amd, Hardware::Nvidia].map(played);
    let least = open(Options {
        as_hardware: Some(Hardware::Amd),
        least_limits: true,
        ..Options::default()
    });
    for device in cards.iter().chain([&least]) {
        // A triangle that is left over, tiles that fill whole subgroups and others, slices and none, and more tiles than a
        // workgroup takes.
        for (n, d) in [
            (2_049, 17),
            (1_513, 24),
            (700, 32),
            (63, 33),
            (4_099, 64),
            (257, 90),
            (300, 200),
        ] {
            check_on(device, n, n % 2 == 1, &[components(d, 2, FULL)]);
        }
    }
}

#[test]
fn octets_of_components_agree() {
    use CovarianceType::{Diag, Spherical};
    // More than a component's owner has registers for.
    const D: usize = 40;
    let cards = [Hardware::Amd, Hardware::Nvidia].map(played);
    // One octet at a time, two and four a workgroup; octets and features that are left over; fewer features than one four. (On AMD's
    // most of the spherical ones are in groups.)
    let shapes = [
        (Spherical, 1, 300),
        (Spherical, 5, 270),
        (Spherical, 53, 20),
        (Spherical, 49, 64),
        (Spherical, 47, 3),
        (Diag, 130, 9),
        (Diag, 83, 64),
    ];
    for hardware in &cards {
        for (n, (covariance_type, d, k)) in
            [1, 63, 255, 256, 257, 700, 1513].into_iter().zip(shapes)
        {
            let model = components(d, k, covariance_type);
            check_on(hardware, n, n % 2 == 1, &[model]);
        }
        // Some so narrow that their means are far from the origin, beside others in one octet and in octets of their own.
        for every in [1, 2, 16] {
            let mut model = components(D, 64, Spherical);
            for k in (0..64).filter(|k| k / every % 2 == 0) {
                model.factors[D * k..D * (k + 1)]
                    .iter_mut()
                    .for_each(|u| *u *= 16.0);
            }
            check_on(hardware, 1513, false, &[model]);
        }
    }
}

/// Someone's card, played by the processor.
fn played(hardware: Hardware) -> Device {
    open(Options {
        as_hardware: Some(hardware),
        ..Options::default()
    })
}

#[test]
fn tiles_of_workgroups_agree_whatever_the_rows() {
    use CovarianceType::{Diag, Spherical, Tied};
    let of_rows = [
        (FULL, 11, 13),
        (FULL, 4, 20),
        (FULL, 10, 2),
        // Scores that wait in memory, some at a time and a rest.
        (FULL, 11, 14),
        (FULL, 4, 50),
        (Tied, 5, 9),
        (Diag, 9, 12),
        (Spherical, 9, 12),
        (Spherical, 27, 20),
    ];
    let of_owners = [
        (FULL, 11, 13),
        (FULL, 4, 50),
        // More components than a uniform buffer holds.
        (FULL, 2, 130),
        (Tied, 5, 17),
        (Spherical, 16, 20),
        (Spherical, 36, 35),
        (Spherical, 3, 130),
        // Two owners each.
        (FULL, 13, 3),
        (Diag, 41, 35),
    ];
    // Whether rows are near the origin is nothing to these kernels.
    let cards = [Hardware::Amd, Hardware::Nvidia].map(played);
    for (hardware, shapes) in cards.iter().zip([&of_rows[..], &of_owners]) {
        // Less than a run, a run, a tile, a part; a tile and a row more.
        for n in [1, 2, 13, 63, 64, 65, 126, 127, 253, 1513] {
            for &(covariance_type, d, k) in shapes {
                let model = components(d, k, covariance_type);
                check_on(hardware, n, n % 2 == 1, &[model]);
            }
        }
        for (d, k) in [(11, 13), (4, 50)] {
            let model = without(components(d, k, FULL), 4);
            check_on(hardware, 1000, true, &[model]);
        }
    }
    // Several models in a dispatch.
    let models = [20, 20, 20].map(|k| components(5, k, FULL));
    check_on(&cards[1], 20_003, true, &models);
}
