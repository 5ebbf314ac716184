for (var i = 0u; i < QUADS; i++) {
    var y = -components[remainder + i];
    for (var j = 0u; j <= i; j++) {
        let x = features(at, j) - components[mean + j];
        y += components[factor] * x.x;
        y += components[factor + 1u] * x.y;
        y += components[factor + 2u] * x.z;
        y += components[factor + 3u] * x.w;
        factor += 4u;
    }
    whitened[to + i * batch.segment_rows] = y;
    squares += dot(y, y);
}
