//! Stages: WGSL text, bindings and the compiled pipeline of each.

use super::generate;
use super::shape::Shape;

/// What a binding is, in the order of the binding numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binding {
    /// A uniform struct.
    Uniform,
    /// One of several uniform structs in a buffer, [`uniform_stride`] apart.
    UniformAt,
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
        workgroup: u32,
    },
    Whiten {
        d: usize,
    },
    Responsibilities {
        d: usize,
        weighted: bool,
        each_row: bool,
    },
    Accumulate {
        d: usize,
    },
    ScoreDiagonal {
        d: usize,
    },
    AccumulateDiagonal {
        d: usize,
        spherical: bool,
    },
    ReducePartials,
}

impl StageKey {
    /// The stage's name: of its file, its entry point and its label.
    pub fn stem(self) -> &'static str {
        match self {
            Self::StatisticsRegisters { .. } => "statistics_registers",
            Self::Whiten { .. } => "whiten",
            Self::Responsibilities { .. } => "responsibilities",
            Self::Accumulate { .. } => "accumulate",
            Self::ScoreDiagonal { .. } => "score_diagonal",
            Self::AccumulateDiagonal { .. } => "accumulate_diagonal",
            Self::ReducePartials => "reduce_partials",
        }
    }

    /// The WGSL text.
    pub fn source(self) -> String {
        match self {
            Self::StatisticsRegisters {
                shape, weighted, ..
            } => generate::statistics_registers(shape, weighted),
            Self::Whiten { d } => generate::staged(include_str!("../../../shaders/whiten.wgsl"), d),
            Self::Responsibilities { d, .. } => {
                generate::staged(include_str!("../../../shaders/responsibilities.wgsl"), d)
            }
            Self::Accumulate { d } => {
                generate::staged(include_str!("../../../shaders/accumulate.wgsl"), d)
            }
            Self::ScoreDiagonal { d } => {
                generate::staged(include_str!("../../../shaders/score_diagonal.wgsl"), d)
            }
            Self::AccumulateDiagonal { d, .. } => {
                generate::staged(include_str!("../../../shaders/accumulate_diagonal.wgsl"), d)
            }
            Self::ReducePartials => generate::reduce_partials(),
        }
    }

    fn bindings(self) -> &'static [Binding] {
        use Binding::{Read, Uniform, UniformAt, Write};
        match self {
            Self::StatisticsRegisters { .. } => &[UniformAt, Uniform, Read, Read, Write],
            Self::Whiten { .. } => &[UniformAt, Read, Read, Write, Write],
            Self::Responsibilities { .. } => &[UniformAt, Read, Write, Write, Write],
            Self::Accumulate { .. } => &[UniformAt, Read, Read, Write],
            Self::ScoreDiagonal { .. } => &[UniformAt, Read, Read, Write],
            Self::AccumulateDiagonal { .. } => &[UniformAt, Read, Read, Read, Write],
            Self::ReducePartials => &[UniformAt, Read, Read, Write],
        }
    }

    fn constants(self) -> Vec<(&'static str, f64)> {
        match self {
            Self::StatisticsRegisters { workgroup, .. } => {
                vec![("WORKGROUP", f64::from(workgroup))]
            }
            Self::Responsibilities {
                weighted, each_row, ..
            } => vec![
                ("WEIGHTED", f64::from(u8::from(weighted))),
                ("EACH_ROW", f64::from(u8::from(each_row))),
            ],
            Self::AccumulateDiagonal { spherical, .. } => {
                vec![("SPHERICAL", f64::from(u8::from(spherical)))]
            }
            _ => vec![],
        }
    }
}

/// A compiled stage.
#[derive(Debug)]
pub(super) struct Stage {
    label: String,
    pipeline: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
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
                        Binding::Uniform | Binding::UniformAt => wgpu::BufferBindingType::Uniform,
                        Binding::Read => wgpu::BufferBindingType::Storage { read_only: true },
                        Binding::Write => wgpu::BufferBindingType::Storage { read_only: false },
                    },
                    has_dynamic_offset: *kind == Binding::UniformAt,
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
            label,
            pipeline,
            layout,
        }
    }

    /// Binds buffers in the order of the stage's bindings. The first is the uniform struct of `uniform_bytes`.
    pub fn bind(
        &self,
        device: &wgpu::Device,
        uniform_bytes: usize,
        buffers: &[&wgpu::Buffer],
    ) -> wgpu::BindGroup {
        let entries: Vec<_> = (0..)
            .zip(buffers)
            .map(|(binding, buffer)| wgpu::BindGroupEntry {
                binding,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer,
                    offset: 0,
                    size: match binding {
                        0 => wgpu::BufferSize::new(uniform_bytes as u64),
                        _ => None,
                    },
                }),
            })
            .collect();
        device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(&self.label),
            layout: &self.layout,
            entries: &entries,
        })
    }

    /// Encodes one dispatch with the uniform struct that stands `offset` bytes into its buffer.
    pub fn dispatch(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        bind_group: &wgpu::BindGroup,
        offset: usize,
        groups: [u32; 3],
    ) {
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, bind_group, &[offset as u32]);
        pass.dispatch_workgroups(groups[0], groups[1], groups[2]);
    }
}
