// Four times `exp2_or_zero`.
fn powers(x: vec4<f32>) -> vec4<f32> {
    return select(vec4(0.0), exp2(x), x > vec4(-126.0));
}
