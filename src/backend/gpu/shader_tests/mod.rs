//! Tests of the WGSL texts without a device: they parse, validate and translate, their structs are the host's,
//! and barriers stand in uniform control flow. Whoever has other compilers gets them as files.

mod barriers;
mod keys;
mod names;
mod problems;
mod structs;
mod translations;
mod written;

use naga::back::hlsl;
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{Module, ShaderStage};

use super::plan::Reduction;
use super::stage::StageKey;
use keys::keys;
pub(super) use problems::{PROBLEMS, Problem};

fn reduction(workgroup: u32, subgroups: u32) -> Reduction {
    Reduction {
        workgroup,
        subgroups,
    }
}

fn parse(key: StageKey) -> (Module, ModuleInfo) {
    let text = key.source();
    let module = naga::front::wgsl::parse_str(&text)
        .unwrap_or_else(|error| panic!("{key:?}: {}", error.emit_to_string(&text)));
    let info = Validator::new(ValidationFlags::all(), Capabilities::SUBGROUP)
        .validate(&module)
        .unwrap_or_else(|error| panic!("{key:?}: {error:?}"));
    (module, info)
}

/// The module with the stage's constants in place.
fn specialise(key: StageKey, (module, info): &(Module, ModuleInfo)) -> (Module, ModuleInfo) {
    let constants = key.constants().into_iter();
    let constants = constants.map(|(name, value)| (name.to_owned(), value));
    let entry = Some((ShaderStage::Compute, key.stem()));
    naga::back::pipeline_constants::process_overrides(module, info, entry, &constants.collect())
        .map(|(module, info)| (module.into_owned(), info.into_owned()))
        .unwrap_or_else(|error| panic!("{key:?}: {error:?}"))
}

/// DirectX's text, with the checks that wgpu writes into it.
fn directx(key: StageKey, (module, info): &(Module, ModuleInfo)) -> String {
    // What subgroups need, and what FXC is given.
    let subgroups = key.source().contains("subgroupAdd");
    let mut text = String::new();
    let options = hlsl::Options {
        shader_model: if subgroups {
            hlsl::ShaderModel::V6_0
        } else {
            hlsl::ShaderModel::V5_1
        },
        fake_missing_bindings: true,
        restrict_indexing: true,
        force_loop_bounding: true,
        // `Stage::compile` asks for none.
        zero_initialize_workgroup_memory: false,
        ..Default::default()
    };
    hlsl::Writer::new(&mut text, &options, &Default::default())
        .write(module, info, None)
        .unwrap_or_else(|error| panic!("{key:?}: {error:?}"));
    text
}
