var factor = FACTOR;
var squares = 0.0;
for (var i = 0u; i < QUADS; i++) {
    var y = -components[k][REMAINDER + i];
    for (var j = 0u; j <= i; j++) {
        let x = features(at, j) - components[k][MEAN + j];
        y += components[k][factor] * x.x;
        y += components[k][factor + 1u] * x.y;
        y += components[k][factor + 2u] * x.z;
        y += components[k][factor + 3u] * x.w;
        factor += 4u;
    }
    squares += dot(y, y);
}
scores[to] = components[k][0].x - HALF_LOG2_E * min(squares, FARTHEST);
