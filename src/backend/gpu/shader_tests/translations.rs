//! Every text validates and becomes Metal's and DirectX's.

use naga::back::msl;

use super::{directx, keys, parse, specialise};

#[test]
fn every_text_validates_and_becomes_metal_and_directx() {
    for key in keys() {
        let parsed = specialise(key, &parse(key));
        let (text, _) = msl::write_string(
            &parsed.0,
            &parsed.1,
            &msl::Options {
                fake_missing_bindings: true,
                ..Default::default()
            },
            &msl::PipelineOptions::default(),
        )
        .unwrap_or_else(|error| panic!("{key:?}: {error:?}"));
        assert!(text.contains(key.stem()));
        assert!(directx(key, &parsed).contains(key.stem()));
    }
}
