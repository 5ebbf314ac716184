//! How the invocations of a workgroup add up what each has summed.

use super::{DeviceLimits, MOST_IN_REGISTERS};

/// Invocations of a workgroup that sums in registers.
fn workgroup(limits: &DeviceLimits) -> u32 {
    // Barriers and idle invocations are dear where the processor plays the GPU. Where they are not, few invocations
    // have the more rows each, between which adding up shares out, and enough to hide what reading takes.
    match limits.software {
        false if fits(128, MOST_IN_REGISTERS + 2, limits) => 128,
        _ => 64,
    }
}

/// Whether a device has so many invocations in a workgroup, and memory for them to add up so many statistics.
fn fits(workgroup: u32, statistics: usize, limits: &DeviceLimits) -> bool {
    workgroup <= limits.max_invocations
        && tree_memory(workgroup, statistics) <= limits.workgroup_memory_bytes
}

/// Statistics that are summed over a workgroup at a time: few, so that workgroup memory does not keep others from
/// running beside, where barriers are cheap.
pub const fn chunk(workgroup: u32) -> usize {
    if workgroup > 64 { 8 } else { 16 }
}

/// How the invocations of a workgroup add up what each has summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reduction {
    /// Invocations.
    pub workgroup: u32,
    /// The most subgroups that they make, 0 where they add up through workgroup memory instead.
    pub subgroups: u32,
}

impl Reduction {
    pub(super) fn of(statistics: usize, limits: &DeviceLimits) -> Self {
        let workgroup = workgroup(limits);
        let subgroups = match limits.least_subgroup {
            0 => 0,
            least => workgroup.div_ceil(least),
        };
        let fits = 4 * statistics as u32 * subgroups <= limits.workgroup_memory_bytes;
        Self {
            workgroup,
            subgroups: if fits { subgroups } else { 0 },
        }
    }

    /// How a workgroup of `sum_blocks` adds up: many rows at once where barriers are cheap, since one read after the
    /// other takes long.
    pub fn of_rows(limits: &DeviceLimits) -> Self {
        let workgroup = match limits.software {
            false if fits(256, chunk(256), limits) => 256,
            _ => 64,
        };
        Self {
            workgroup,
            subgroups: 0,
        }
    }

    /// The same through workgroup memory.
    pub(super) fn without_subgroups(self) -> Self {
        Self {
            subgroups: 0,
            ..self
        }
    }

    /// Loop iterations of an invocation that helps to add up so many statistics.
    pub(super) fn iterations(self, statistics: usize) -> usize {
        let workgroup = self.workgroup as usize;
        if self.subgroups > 0 {
            return statistics.div_ceil(workgroup) * (self.subgroups as usize + 1);
        }
        // Trees are written out.
        0
    }
}

/// Workgroup memory for adding up so many statistics, bytes.
const fn tree_memory(workgroup: u32, statistics: usize) -> u32 {
    let chunk = chunk(workgroup) as u32;
    let lanes = workgroup / chunk;
    4 * (chunk * (workgroup + lanes) + (statistics as u32).next_multiple_of(chunk) * (lanes + 1))
}
