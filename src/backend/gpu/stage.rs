//! Stages: WGSL text, bindings and the compiled pipeline of each.

use std::sync::Arc;

use super::generate;
use super::groups::GroupRange;
use super::layout::{ParameterLayout, SumLayout};
use super::plan::{MStep, Reduction, Sharing, Tiles, Tiling, UNIFORM_BYTES};
use super::shape::Shape;
use super::staged::Batch;
use super::statistics_registers::BlockRange;

/// What a binding is, in the order of the binding numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binding {
    /// A uniform struct.
    Uniform,
    /// One of several uniform structs in a buffer, [`uniform_stride`] apart.
    ///
    /// Its bytes.
    UniformAt(usize),
    /// A storage buffer that is only read.
    Read,
    /// A storage buffer that is written.
    Write,
}

/// Distance between uniform structs in a buffer: a multiple of what WebGPU guarantees to suffice.
pub(super) const fn uniform_stride<T>() -> usize {
    size_of::<T>().next_multiple_of(256)
}

/// Which stage, for which shape. One compiled pipeline each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(
    missing_docs,
    reason = "the fields are the shapes that the texts depend on"
)]
pub(super) enum StageKey {
    StatisticsRegisters {
        shape: Shape,
        weighted: bool,
        reduction: Reduction,
        /// Of an invocation.
        rows_at_once: usize,
        /// The most at once.
        models: usize,
        /// Whether rows are taken as they are.
        near: bool,
    },
    MStep {
        shape: Shape,
        near: bool,
    },
    SumBlocks {
        k: usize,
        reduction: Reduction,
    },
    PoolMoments {
        shape: Shape,
        sums: SumLayout,
    },
    MStepTriangles {
        shape: Shape,
        sums: SumLayout,
        workgroup: usize,
    },
    MStepDiagonals {
        shape: Shape,
        sums: SumLayout,
    },
    ConcludeStep {
        k: usize,
    },
    CommitStep {
        shape: Shape,
        parameters: ParameterLayout,
    },
    StatisticsWorkgroup {
        shape: Shape,
        weighted: bool,
        sharing: Sharing,
        /// The most at once.
        models: usize,
    },
    /// Of a group of `shape.k` components.
    LogNormalisers {
        shape: Shape,
        hoisted: bool,
        /// Whether there is no other.
        alone: bool,
    },
    MergeNormalisers {
        d: usize,
        weighted: bool,
    },
    /// Of a group of `shape.k` components.
    StatisticsGroups {
        shape: Shape,
        reduction: Reduction,
        hoisted: bool,
    },
    ScoreFull {
        d: usize,
        /// Of an invocation.
        rows: usize,
    },
    ScoreProducts {
        d: usize,
        /// Of a workgroup.
        components: usize,
    },
    Responsibilities {
        d: usize,
        weighted: bool,
        each_row: bool,
    },
    Accumulate {
        d: usize,
        tiling: Tiling,
        /// Whether there may be components whose rows are whitened.
        whitens: bool,
    },
    ScoreDiagonal {
        d: usize,
    },
    ScoreTiles {
        d: usize,
    },
    ScorePanels {
        d: usize,
        /// Of a workgroup.
        octets: usize,
    },
    NormaliseTiles {
        d: usize,
        weighted: bool,
    },
    AccumulateTiles {
        d: usize,
        tiles: Tiles,
    },
    ReducePartials,
    TotalRows,
    Nearest,
    MeasureBandwidth,
    MeasureFma,
}

impl StageKey {
    /// The stage's name: of its file, its entry point and its label.
    pub fn stem(self) -> &'static str {
        match self {
            Self::StatisticsRegisters { .. } => "statistics_registers",
            Self::MStep { .. } => "m_step",
            Self::SumBlocks { .. } => "sum_blocks",
            Self::PoolMoments { .. } => "pool_moments",
            Self::MStepTriangles { .. } => "m_step_triangles",
            Self::MStepDiagonals { .. } => "m_step_diagonals",
            Self::ConcludeStep { .. } => "conclude_step",
            Self::CommitStep { .. } => "commit_step",
            Self::StatisticsWorkgroup { .. } => "statistics_workgroup",
            Self::LogNormalisers { .. } => "log_normalisers",
            Self::MergeNormalisers { .. } => "merge_normalisers",
            Self::StatisticsGroups { .. } => "statistics_groups",
            Self::ScoreFull { .. } => "score_full",
            Self::ScoreProducts { .. } => "score_products",
            Self::Responsibilities { .. } => "responsibilities",
            Self::Accumulate { .. } => "accumulate",
            Self::ScoreDiagonal { .. } => "score_diagonal",
            Self::ScoreTiles { .. } => "score_tiles",
            Self::ScorePanels { .. } => "score_panels",
            Self::NormaliseTiles { .. } => "normalise_tiles",
            Self::AccumulateTiles { .. } => "accumulate_tiles",
            Self::ReducePartials => "reduce_partials",
            Self::TotalRows => "total_rows",
            Self::Nearest => "nearest",
            Self::MeasureBandwidth => "measure_bandwidth",
            Self::MeasureFma => "measure_fma",
        }
    }

    /// The WGSL text.
    pub fn source(self) -> String {
        match self {
            Self::StatisticsRegisters {
                shape,
                weighted,
                reduction,
                rows_at_once,
                models,
                near,
            } => generate::statistics_registers(
                (shape, near),
                weighted,
                (reduction, rows_at_once),
                models,
            ),
            Self::MStep { shape, near } => generate::steps::m_step(shape, near),
            Self::SumBlocks { k, reduction } => generate::components::sum_blocks(k, reduction),
            Self::PoolMoments { shape, sums } => generate::components::pool_moments(shape, sums),
            Self::MStepTriangles {
                shape,
                sums,
                workgroup,
            } => {
                let rows_at_once = MStep::rows_at_once(shape, workgroup);
                generate::components::m_step_triangles(shape, sums, rows_at_once)
            }
            Self::MStepDiagonals { shape, sums } => {
                generate::components::m_step_diagonals(shape, sums)
            }
            Self::ConcludeStep { k } => generate::components::conclude_step(k),
            Self::CommitStep { shape, parameters } => {
                generate::components::commit_step(shape, parameters)
            }
            Self::StatisticsWorkgroup {
                shape,
                weighted,
                sharing,
                models,
            } => generate::statistics_workgroup(shape, weighted, sharing, models),
            Self::LogNormalisers {
                shape,
                hoisted,
                alone,
            } => generate::log_normalisers(shape, hoisted, alone),
            Self::MergeNormalisers { d, .. } => generate::merge_normalisers(d),
            Self::StatisticsGroups {
                shape,
                reduction,
                hoisted,
            } => generate::statistics_groups(shape, hoisted, reduction),
            Self::ScoreFull { d, rows } => generate::score_full(d, rows),
            Self::ScoreProducts { d, components } => generate::score_products(d, components),
            Self::Responsibilities { d, .. } => generate::responsibilities(d),
            Self::Accumulate { d, tiling, .. } => generate::accumulate(d, tiling),
            Self::ScoreDiagonal { d } => {
                generate::staged(include_str!("../../../shaders/score_diagonal.wgsl"), d)
            }
            Self::ScoreTiles { d } => generate::score_tiles(d),
            Self::ScorePanels { d, octets } => generate::score_panels(d, octets),
            Self::NormaliseTiles { d, .. } => generate::normalise_tiles(d),
            Self::AccumulateTiles { d, tiles } => generate::accumulate_tiles(d, tiles),
            Self::ReducePartials => generate::reduce_partials(),
            Self::TotalRows => generate::total_rows(),
            Self::Nearest => generate::nearest(),
            Self::MeasureBandwidth => {
                include_str!("../../../shaders/measure_bandwidth.wgsl").to_owned()
            }
            Self::MeasureFma => generate::measure_fma(),
        }
    }

    fn bindings(self) -> &'static [Binding] {
        use Binding::{Read, Uniform, UniformAt, Write};
        const BATCH: Binding = UniformAt(size_of::<Batch>());
        const RANGE: Binding = UniformAt(size_of::<GroupRange>());
        const CHUNK: Binding = UniformAt(UNIFORM_BYTES);
        match self {
            Self::StatisticsWorkgroup { sharing, .. } if sharing.owners > 0 => {
                &[UniformAt(size_of::<BlockRange>()), Read, Read, Read, Write]
            }
            Self::StatisticsRegisters { .. } | Self::StatisticsWorkgroup { .. } => &[
                UniformAt(size_of::<BlockRange>()),
                Uniform,
                Read,
                Read,
                Write,
            ],
            Self::MStep { .. } => &[Uniform, Write, Write, Write, Read],
            Self::SumBlocks { .. } => &[Uniform, Read, Read, Read, Write, Write, Write],
            Self::PoolMoments { .. } => &[Uniform, Read, Read, Write],
            Self::MStepTriangles { shape, .. } if shape.pooled_len() > 0 => {
                &[Uniform, Read, Read, Read, Write, Write, Read]
            }
            Self::MStepTriangles { .. } | Self::MStepDiagonals { .. } => {
                &[Uniform, Read, Read, Read, Write, Write]
            }
            Self::ConcludeStep { .. } => &[Uniform, Write, Write, Write],
            Self::CommitStep { parameters, .. } => {
                const MOST: &[Binding] = &[Uniform, Write, Read, Write, Write, Write, Write];
                &MOST[..5 + parameters.buffers()]
            }
            Self::LogNormalisers { .. } => &[RANGE, CHUNK, Read, Read, Write],
            Self::MergeNormalisers { .. } => &[RANGE, Read, Read, Write, Write],
            Self::StatisticsGroups { .. } => &[RANGE, CHUNK, Read, Read, Read, Write],
            Self::ScoreFull { .. } | Self::ScoreProducts { .. } => &[BATCH, Read, Read, Write],
            Self::Responsibilities { .. } => &[BATCH, Read, Write, Write, Write],
            Self::Accumulate { .. } => &[BATCH, Read, Read, Read, Write],
            Self::ScoreDiagonal { .. } => &[BATCH, Read, Read, Write],
            Self::ScoreTiles { .. } | Self::ScorePanels { .. } => &[BATCH, Read, Read, Write],
            Self::NormaliseTiles { .. } => &[BATCH, Read, Read, Write, Write],
            Self::AccumulateTiles { .. } => &[BATCH, Read, Read, Read, Read, Write],
            Self::ReducePartials => &[BATCH, Read, Read, Write],
            Self::TotalRows => &[Uniform, Read, Read, Write],
            Self::Nearest => &[Uniform, Read, Read, Write],
            Self::MeasureBandwidth | Self::MeasureFma => &[Read, Write],
        }
    }

    /// The values of its overrides.
    pub fn constants(self) -> Vec<(&'static str, f64)> {
        match self {
            Self::StatisticsRegisters { reduction, .. }
            | Self::SumBlocks { reduction, .. }
            | Self::StatisticsGroups { reduction, .. } => {
                vec![("WORKGROUP", f64::from(reduction.workgroup))]
            }
            Self::MergeNormalisers { weighted, .. } | Self::NormaliseTiles { weighted, .. } => {
                vec![("WEIGHTED", f64::from(u8::from(weighted)))]
            }
            Self::Responsibilities {
                weighted, each_row, ..
            } => vec![
                ("WEIGHTED", f64::from(u8::from(weighted))),
                ("EACH_ROW", f64::from(u8::from(each_row))),
            ],
            Self::MStepTriangles { workgroup, .. } => vec![("WORKGROUP", workgroup as f64)],
            Self::Accumulate { whitens, .. } => {
                vec![("WHITENS", f64::from(u8::from(whitens)))]
            }
            _ => vec![],
        }
    }
}

/// A compiled stage.
#[derive(Debug)]
pub(super) struct Stage {
    stem: &'static str,
    label: String,
    pipeline: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
    bindings: &'static [Binding],
}

impl Stage {
    /// Compiles; the caller watches for errors.
    pub fn compile(device: &wgpu::Device, key: StageKey) -> Self {
        let label = format!("wgmm.{}", key.stem());
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(&label),
            source: wgpu::ShaderSource::Wgsl(key.source().into()),
        });
        let entries: Vec<_> = (0..)
            .zip(key.bindings())
            .map(|(binding, kind)| wgpu::BindGroupLayoutEntry {
                binding,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer {
                    ty: match kind {
                        Binding::Uniform | Binding::UniformAt(_) => {
                            wgpu::BufferBindingType::Uniform
                        }
                        Binding::Read => wgpu::BufferBindingType::Storage { read_only: true },
                        Binding::Write => wgpu::BufferBindingType::Storage { read_only: false },
                    },
                    has_dynamic_offset: matches!(kind, Binding::UniformAt(_)),
                    min_binding_size: None,
                },
                count: None,
            })
            .collect();
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some(&label),
            entries: &entries,
        });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(&label),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&label),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some(key.stem()),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &key.constants(),
                // No result depends on workgroup memory that its stage did not write.
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        });
        Self {
            stem: key.stem(),
            label,
            pipeline,
            layout,
            bindings: key.bindings(),
        }
    }

    /// Binds buffers in the order of the stage's bindings.
    pub fn bind(self: &Arc<Self>, device: &wgpu::Device, buffers: &[&wgpu::Buffer]) -> Arc<Bound> {
        let entries: Vec<_> = (0..)
            .zip(self.bindings.iter().zip(buffers))
            .map(|(binding, (kind, buffer))| wgpu::BindGroupEntry {
                binding,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer,
                    offset: 0,
                    size: match kind {
                        Binding::UniformAt(bytes) => wgpu::BufferSize::new(*bytes as u64),
                        _ => None,
                    },
                }),
            })
            .collect();
        Arc::new(Bound {
            group: device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(&self.label),
                layout: &self.layout,
                entries: &entries,
            }),
            stage: self.clone(),
            buffers: buffers.iter().map(|&buffer| buffer.clone()).collect(),
        })
    }
}

/// A stage and the buffers that it works on.
#[derive(Debug)]
pub(super) struct Bound {
    stage: Arc<Stage>,
    group: wgpu::BindGroup,
    buffers: Vec<wgpu::Buffer>,
}

impl Bound {
    /// The buffers in the order of the bindings.
    pub fn buffers(&self) -> &[wgpu::Buffer] {
        &self.buffers
    }

    /// The stage's name.
    pub fn stem(&self) -> &'static str {
        self.stage.stem
    }

    /// The stage's name, and the bytes of the buffers in the order of the bindings.
    #[cfg(test)]
    pub fn bytes(&self) -> (&str, Vec<usize>) {
        let sizes = self.buffers.iter().map(|buffer| buffer.size() as usize);
        (self.stem(), sizes.collect())
    }

    /// Encodes one dispatch with the uniform structs that stand `offsets` bytes into their buffers.
    pub fn dispatch(&self, pass: &mut wgpu::ComputePass<'_>, offsets: &[u32], [x, y, z]: [u32; 3]) {
        pass.set_pipeline(&self.stage.pipeline);
        pass.set_bind_group(0, &self.group, offsets);
        pass.dispatch_workgroups(x, y, z);
    }
}

/// Binds the buffers of stages that follow each other.
pub fn bind_all<'a>(
    device: &wgpu::Device,
    stages: impl IntoIterator<Item = &'a Arc<Stage>>,
    buffers: &[Vec<&wgpu::Buffer>],
) -> Vec<Arc<Bound>> {
    let pairs = stages.into_iter().zip(buffers);
    pairs
        .map(|(stage, buffers)| stage.bind(device, buffers))
        .collect()
}
