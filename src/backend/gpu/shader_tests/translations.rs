//! Every text validates and becomes Metal's and DirectX's.

use naga::back::{hlsl, msl};

use super::{keys, parse};

#[test]
fn every_text_validates_and_becomes_metal_and_directx() {
    for key in keys() {
        let (module, info) = parse(key);
        let (module, info) = naga::back::pipeline_constants::process_overrides(
            &module,
            &info,
            Some((naga::ShaderStage::Compute, key.stem())),
            &Default::default(),
        )
        .unwrap_or_else(|error| panic!("{key:?}: {error:?}"));
        let (text, _) = msl::write_string(
            &module,
            &info,
            &msl::Options {
                fake_missing_bindings: true,
                ..Default::default()
            },
            &msl::PipelineOptions::default(),
        )
        .unwrap_or_else(|error| panic!("{key:?}: {error:?}"));
        assert!(text.contains(key.stem()));
        let mut text = String::new();
        let options = hlsl::Options {
            // What subgroups need.
            shader_model: hlsl::ShaderModel::V6_0,
            fake_missing_bindings: true,
            ..Default::default()
        };
        hlsl::Writer::new(&mut text, &options, &Default::default())
            .write(&module, &info, None)
            .unwrap_or_else(|error| panic!("{key:?}: {error:?}"));
        assert!(text.contains(key.stem()));
    }
}
