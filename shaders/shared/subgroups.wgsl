// Subgroups sum among themselves, then one invocation a statistic adds what they found, in their order.
//@ subgroups
var<workgroup> found: array<f32, STATISTICS * SUBGROUPS>;
