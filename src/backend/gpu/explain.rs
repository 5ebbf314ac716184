//! A plan in words, for people who ask how their mixture is evaluated.

use super::plan::{DeviceLimits, Groups, Plan, Reduction, Regime, SampleLayout};
use super::residency::Residency;
use super::shape::Shape;

/// What the cost model chose: the regime and its kernels, sizes, and what stays in the device's memory.
pub fn explain(
    plan: &Plan,
    (layout, residency): (&SampleLayout, Residency),
    shape: Shape,
    limits: &DeviceLimits,
) -> String {
    let how = match plan.regime {
        Regime::Registers {
            reduction,
            part_rows,
            near,
            ..
        } => format!(
            "all {} sums in registers, one read of the samples{}, {}, {part_rows} rows each",
            shape.statistics_len(),
            if near { " as they are" } else { "" },
            workgroups(reduction)
        ),
        Regime::Workgroup { sharing, part_rows } => format!(
            "all {} sums in the registers of a workgroup of {}, one read of the samples, {part_rows} rows each",
            shape.k * shape.component_in_workgroup_len(),
            sharing.workgroup
        ),
        Regime::Groups(Groups {
            reduction,
            score,
            sum,
            ..
        }) => {
            let (scored, summed) = (shape.k.div_ceil(score), shape.k.div_ceil(sum));
            format!(
                "components scored in {scored} {} of {score}, then summed in {summed} {} of {sum} in registers, {}",
                plural(scored, "group"),
                plural(summed, "group"),
                workgroups(reduction)
            )
        }
        Regime::Staged {
            segment_rows,
            segments_per_batch,
            ..
        } => format!(
            "scores, responsibilities and sums as matrix products, {segments_per_batch} segments of {segment_rows} rows at a time \
             with {} of scratch memory",
            bytes(segments_per_batch * segment_rows * shape.scratch_bytes_per_row())
        ),
    };
    let blocks = layout.blocks.len();
    let steps = match plan.steps((layout, shape), 1, limits) {
        steps if steps > 0 => {
            format!("; plain EM takes {steps} {} at once", plural(steps, "step"))
        }
        _ => String::new(),
    };
    format!(
        "{how}; {blocks} {} of {} rows, {} a submission{steps}; {}",
        plural(blocks, "block"),
        layout.blocks.rows_per_block(),
        plan.blocks_per_submission.min(layout.blocks_per_buffer),
        where_samples_are(layout, residency),
    )
}

fn where_samples_are(layout: &SampleLayout, residency: Residency) -> String {
    let Residency {
        resident,
        blocks_per_piece,
    } = residency;
    let bytes_of = |blocks: usize| bytes(4 * blocks * layout.block_len());
    if residency.is_whole() {
        let buffers = resident.div_ceil(layout.blocks_per_buffer);
        return format!(
            "samples stay on the device, {} in {buffers} {}",
            bytes_of(resident),
            plural(buffers, "buffer")
        );
    }
    format!(
        "{resident} {} of samples, {}, {} on the device, the others, {}, are sent in each pass through two buffers of {}",
        plural(resident, "block"),
        bytes_of(resident),
        if resident == 1 { "stays" } else { "stay" },
        bytes_of(layout.blocks.len() - resident),
        bytes_of(blocks_per_piece)
    )
}

fn workgroups(reduction: Reduction) -> String {
    let how = match reduction.subgroups {
        0 => "workgroup memory",
        _ => "subgroups",
    };
    format!("workgroups of {} that add up by {how}", reduction.workgroup)
}

fn plural(count: usize, word: &str) -> String {
    format!("{word}{}", if count == 1 { "" } else { "s" })
}

/// So many bytes in a unit that leaves few digits.
fn bytes(bytes: usize) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(size, _)| bytes >= *size) {
        Some((size, unit)) => format!("{:.1} {unit}", bytes as f64 / size as f64),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mixture::CovarianceType::{Diag, Full};

    const LIMITS: DeviceLimits = DeviceLimits {
        max_binding_bytes: 128 << 20,
        max_samples_bytes: 4 << 20,
        max_workgroups: 65_535,
        max_invocations: 256,
        workgroup_memory_bytes: 16_384,
        max_storage_buffers: 8,
        least_subgroup: 32,
        max_submission_blocks: usize::MAX,
        software: false,
        discrete: false,
        scalar_reads: true,
        most_alive: 113,
    };

    fn words(covariance_type: crate::mixture::CovarianceType, d: usize, k: usize) -> String {
        let shape = Shape {
            covariance_type,
            d,
            k,
        };
        let layout = SampleLayout::new(1_000_000, d, false, &LIMITS).expect("a block fits");
        let plan = Plan::new(&layout, shape, &LIMITS).expect("a plan");
        let residency = Residency::new(&layout, None).expect("no bound");
        explain(&plan, (&layout, residency), shape, &LIMITS)
    }

    #[test]
    fn each_regime_says_what_it_does_and_what_stays() {
        assert_eq!(
            words(Full, 2, 4),
            "all 24 sums in registers, one read of the samples, workgroups of 128 that add up by subgroups, 4096 rows each; \
             245 blocks of 4096 rows, 128 a \
             submission; plain EM takes 63 steps at once; samples stay on the device, 7.7 MiB in 2 buffers"
        );
        let groups = words(Full, 4, 20);
        assert!(
            groups.starts_with("components scored in 1 group of 20, then summed in 4 groups of 5"),
            "{groups}"
        );
        let staged = words(Diag, 128, 1024);
        assert!(
            staged.contains("64 segments of 192 rows") || staged.contains("of 256 rows"),
            "{staged}"
        );
        assert!(staged.contains("MiB of scratch memory"), "{staged}");
    }

    #[test]
    fn what_passes_through_is_told() {
        let layout = SampleLayout::new(1_000_000, 2, false, &LIMITS).expect("a block fits");
        let residency = Residency::new(&layout, Some(2 << 20)).expect("64 blocks");
        assert_eq!(
            where_samples_are(&layout, residency),
            "32 blocks of samples, 1.0 MiB, stay on the device, the others, 6.7 MiB, are sent in each pass through two \
             buffers of 512.0 KiB"
        );
    }

    #[test]
    fn bytes_have_a_unit() {
        assert_eq!(
            [8, 2048, 3 << 20].map(bytes),
            ["8 bytes", "2.0 KiB", "3.0 MiB"]
        );
    }
}
