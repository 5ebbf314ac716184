//! Tests of the WGSL texts without a device: they parse, validate and translate, their structs are the host's,
//! and barriers stand in uniform control flow. Whoever has other compilers gets them as files.

mod barriers;
mod keys;
mod names;
mod problems;
mod structs;
mod translations;
mod written;

use naga::Module;
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};

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
