// Pasted before the stages that make a component's M-step.

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> settings: Settings;
@group(0) @binding(1) var<storage, read> walks: array<Walk>;
// Per model and component mean, factor, remainder, constant.
@group(0) @binding(2) var<storage, read> parameters: array<f32>;
@group(0) @binding(3) var<storage, read> sums: array<f32>;
@group(0) @binding(4) var<storage, read_write> trace: array<f32>;
// What each component says of the step: its length, how far it is fit (parts.wgsl); its new log2 constant, a whole number and a part.
@group(0) @binding(5) var<storage, read_write> verdicts: array<vec4<f32>>;

// What each invocation found: shares, then of the step's length, how far it is fit, of the log2 constant.
var<workgroup> found: array<vec4<f32>, WORKGROUP>;
// So many add up what others found.
const BRANCHES: u32 = 16u;

// Of two verdicts on a component's step one on both.
fn both(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    return vec4(a.x + b.x, min(a.y, b.y), add_parts(a.zw, b.zw));
}
