//! Adapters: which there are, and which one a request means.

use std::sync::OnceLock;
use std::time::Instant;

use serde::Serialize;

use crate::backend::BackendError;

/// What kind of device an adapter is, in the order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    /// A GPU with memory of its own.
    Discrete,
    /// A GPU that shares the processor's memory.
    Integrated,
    /// A GPU lent to a virtual machine.
    Virtual,
    /// What the driver does not say.
    Other,
    /// A driver that computes on the processor.
    Software,
}

impl From<wgpu::DeviceType> for DeviceKind {
    fn from(kind: wgpu::DeviceType) -> Self {
        match kind {
            wgpu::DeviceType::DiscreteGpu => Self::Discrete,
            wgpu::DeviceType::IntegratedGpu => Self::Integrated,
            wgpu::DeviceType::VirtualGpu => Self::Virtual,
            wgpu::DeviceType::Cpu => Self::Software,
            wgpu::DeviceType::Other => Self::Other,
        }
    }
}

/// An adapter, for people and for results.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AdapterDescription {
    /// Its number in [`adapters`].
    pub index: usize,
    /// The adapter's name.
    pub name: String,
    /// The driver and its version.
    pub driver: String,
    /// The graphics interface it is reached by: `vulkan`, `metal` or `dx12`.
    pub api: String,
    /// What kind of device it is.
    pub kind: DeviceKind,
    /// The largest buffer, bytes.
    pub max_buffer_bytes: u64,
    /// The most that a shader sees of a buffer at once, bytes.
    pub max_binding_bytes: u64,
    /// Memory shared by a workgroup, bytes.
    pub workgroup_memory_bytes: u32,
    /// The most invocations of a workgroup.
    pub max_invocations_per_workgroup: u32,
}

impl AdapterDescription {
    fn of(index: usize, adapter: &wgpu::Adapter) -> Self {
        let info = adapter.get_info();
        let limits = adapter.limits();
        let driver = format!("{} {}", info.driver, info.driver_info);
        Self {
            index,
            name: info.name,
            driver: driver.trim().to_owned(),
            api: info.backend.to_str().to_owned(),
            kind: info.device_type.into(),
            max_buffer_bytes: limits.max_buffer_size,
            max_binding_bytes: limits.max_storage_buffer_binding_size,
            workgroup_memory_bytes: limits.max_compute_workgroup_storage_size,
            max_invocations_per_workgroup: limits.max_compute_invocations_per_workgroup,
        }
    }
}

/// Which adapter to open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    /// The first of the best kind: hardware before software.
    #[default]
    Best,
    /// A part of the adapter's name, in any case, or its number in [`adapters`].
    Named(String),
}

/// All adapters reached by Vulkan, Metal or DirectX 12 (narrowed by `WGPU_BACKEND`), in the driver's order.
pub fn adapters() -> Vec<AdapterDescription> {
    found()
        .adapters
        .iter()
        .map(|(_, about)| about.clone())
        .collect()
}

/// The adapter that `selection` means.
pub(super) fn select(
    selection: &Selection,
) -> Result<(wgpu::Adapter, AdapterDescription), BackendError> {
    let found = &found().adapters;
    let about: Vec<&AdapterDescription> = found.iter().map(|(_, about)| about).collect();
    match choose(&about, selection) {
        Some(i) => Ok(found[i].clone()),
        None => Err(BackendError::NoAdapter {
            wanted: match selection {
                Selection::Best => String::new(),
                Selection::Named(name) => format!(" called \"{name}\""),
            },
        }),
    }
}

/// The way to the drivers, and all adapters that they know of.
struct Found {
    #[cfg_attr(
        target_family = "wasm",
        expect(dead_code, reason = "browsers do not report")
    )]
    instance: wgpu::Instance,
    adapters: Vec<(wgpu::Adapter, AdapterDescription)>,
    /// How long it took, seconds.
    seconds: f64,
}

/// How long it took to load the drivers and to ask them for their adapters.
pub(super) fn finding_seconds() -> f64 {
    found().seconds
}

/// All adapters, looked for once a process: drivers are loaded, and print their complaints, each time.
fn found() -> &'static Found {
    static FOUND: OnceLock<Found> = OnceLock::new();
    FOUND.get_or_init(|| {
        let started = Instant::now();
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
        descriptor.backends &= wgpu::Backends::PRIMARY;
        let backends = descriptor.backends;
        let instance = wgpu::Instance::new(descriptor);
        let adapters = pollster::block_on(instance.enumerate_adapters(backends));
        let described = |(i, adapter): (usize, wgpu::Adapter)| {
            let about = AdapterDescription::of(i, &adapter);
            (adapter, about)
        };
        Found {
            adapters: adapters.into_iter().enumerate().map(described).collect(),
            instance,
            seconds: started.elapsed().as_secs_f64(),
        }
    })
}

/// Buffers, bind groups and pipelines that the process holds on all devices.
#[doc(hidden)]
#[cfg(not(target_family = "wasm"))]
pub fn live_objects() -> usize {
    found().instance.generate_report().map_or(0, |report| {
        let hub = report.hub;
        [hub.buffers, hub.bind_groups, hub.compute_pipelines]
            .iter()
            .map(|kind| kind.num_allocated)
            .sum()
    })
}

/// The position of the chosen one. A number means a position first, then a part of a name.
fn choose(about: &[&AdapterDescription], selection: &Selection) -> Option<usize> {
    let best = |of: &dyn Fn(&AdapterDescription) -> bool| {
        (0..about.len())
            .filter(|&i| of(about[i]))
            .min_by_key(|&i| (about[i].kind, i))
    };
    match selection {
        Selection::Best => best(&|_| true),
        Selection::Named(name) => {
            let number = name.parse().ok().filter(|&i: &usize| i < about.len());
            let part = name.to_lowercase();
            number.or_else(|| best(&|a| a.name.to_lowercase().contains(&part)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(index: usize, name: &str, kind: DeviceKind) -> AdapterDescription {
        AdapterDescription {
            index,
            name: name.to_owned(),
            driver: String::new(),
            api: "vulkan".to_owned(),
            kind,
            max_buffer_bytes: 1 << 30,
            max_binding_bytes: 1 << 27,
            workgroup_memory_bytes: 16_384,
            max_invocations_per_workgroup: 256,
        }
    }

    #[test]
    fn hardware_comes_before_software_and_names_are_parts() {
        let all = [
            adapter(0, "llvmpipe (LLVM 15)", DeviceKind::Software),
            adapter(1, "Iris", DeviceKind::Integrated),
            adapter(2, "Radeon 6800", DeviceKind::Discrete),
            adapter(3, "Radeon 7900", DeviceKind::Discrete),
        ];
        let about: Vec<_> = all.iter().collect();
        let named = |name: &str| choose(&about, &Selection::Named(name.to_owned()));
        assert_eq!(choose(&about, &Selection::Best), Some(2));
        assert_eq!(choose(&about[..1], &Selection::Best), Some(0));
        assert_eq!(named("RADEON"), Some(2));
        assert_eq!(named("7900"), Some(3));
        assert_eq!(named("0"), Some(0));
        assert_eq!(named("geforce"), None);
        assert_eq!(choose(&[], &Selection::Best), None);
    }
}
