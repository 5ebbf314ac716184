// Stage `accumulate`: the statistics of one component over one segment, as a product of a matrix with itself.
//
// z is the segment's distances x - mu times the roots of the responsibilities, ROWS rows at a time in workgroup
// memory. The lower triangle of Z'Z is cut into EDGE x EDGE tiles, one an invocation; where they are few, those on the
// diagonal are triangles, two an invocation. Where a workgroup has more invocations, slices of the rows share them out.
// The host whitens the sums. A component whose features are so correlated that this would cost digits says so, and its
// rows are whitened before.

//@ constants

@group(0) @binding(0) var<uniform> batch: Batch;
// By fours of rows.
@group(0) @binding(1) var<storage, read> samples: array<vec4<f32>>;
// Per component: log constant and whether to whiten, mean, whitened remainder of the mean, sub-blocks of U by columns.
@group(0) @binding(2) var<storage, read> components: array<array<vec4<f32>, COMPONENT>>;
// Segments x components x rows, by fours: the roots of responsibilities.
@group(0) @binding(3) var<storage, read> roots: array<vec4<f32>>;
// Per segment: S1 and S0 (in x) of each component, then of each component S2: its tiles by columns, its triangles by rows.
@group(0) @binding(4) var<storage, read_write> partials: array<vec4<f32>>;

const COMPONENT: u32 = 1u + 2u * QUADS + 4u * (QUADS * (QUADS + 1u) / 2u);
const MEAN: u32 = 1u;
const REMAINDER: u32 = MEAN + QUADS;
const FACTOR: u32 = REMAINDER + QUADS;
const SIDES: u32 = (D + EDGE - 1u) / EDGE;
// vec4s of a row.
const VEC4S: u32 = SIDES * EDGE / 4u;
// vec4s of a side of a tile.
const QUARTERS: u32 = EDGE / 4u;
// Fours of rows that are used, or what holds a vec4 an invocation.
const FOURS: u32 = (max(ROWS, (WORKGROUP + VEC4S - 1u) / VEC4S) + 3u) / 4u;
// Invocations that share a vec4 of features while rows are brought in.
const ROW_LANES: u32 = WORKGROUP / VEC4S;

// Nested, so that a place is checked once for four rows and the sides of a tile. The first vec4s of all sides stand side
// by side, then the second ones: neighbours read neighbouring banks. The padding is such that other slices' do not
// meet them, nor those of neighbours that bring in rows.
struct Row {
    quarters: array<array<vec4<f32>, SIDES>, QUARTERS>,
}
struct Four {
    rows: array<Row, 4>,
    padding: array<vec4<f32>, PADDING>,
}
var<workgroup> z: array<Four, FOURS>;

@compute @workgroup_size(WORKGROUP)
fn accumulate(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let k = group.y;
    let segment = segment_of(group.z);
    let roots_at = (group.z * batch.n_components + k) * batch.segment_rows / 4u;
    let stride = batch.rows_per_block / 4u;
    let whitens = WHITENS && components[k][0].y > 0.0;

    // The four features that this invocation brings in. Beyond D any finite number does.
    let quad = lane / ROW_LANES;
    let side = quad / QUARTERS;
    let part = quad % QUARTERS;
    let used = min(quad, QUADS - 1u);
    let features = segment.first / 4u + 4u * used * stride;
    var mean = vec4(0.0);
    var s0 = 0.0;
    var s1 = vec4(0.0);

    // Its tile or its pair of triangles, and its slice of the rows. Where it has none it takes the last one, for nothing.
    let is_square = lane < SPLIT;
    let place = select(lane - SPLIT, lane, is_square);
    let share = select(PAIRS, SQUARES, is_square);
    let all = select(ALL_PAIRS, ALL_SQUARES, is_square);
    let turn_of = select(place / max(PAIRS, 1u), place / max(SQUARES, 1u), is_square);
    let slice = min(turn_of, SLICES - 1u);
    let tile = min(group.x * share + place - turn_of * share, all - 1u);
    let sides = sides_of(tile, is_square);
    let i = sides.x;
    let j = sides.y;
    //@ columns

    //@ first

    // All of the workgroup goes through it equally often. Rows are read while others are still at those before, or ahead of the walk.
    for (var start = 0u; start < segment.rows; start += ROWS) {
        //@ read
        workgroupBarrier();
        //@ bring
        workgroupBarrier();
        if whitens {
            //@ whiten
            workgroupBarrier();
        }
        if WHITENS {
            //@ sum
        }
        //@ next
        if is_square {
            //@ squares
        } else {
            //@ triangles
        }
    }

    // S1 and S0: the invocations that brought in the same features add up. Each has a row of `z`.
    let turn = lane % ROW_LANES;
    workgroupBarrier();
    if quad < VEC4S {
        z[turn / 4u].rows[turn % 4u].quarters[part][side] = s1;
    }
    workgroupBarrier();
    let partial = group.z * batch.partials_len;
    let own = partial + k * (VEC4S + 1u);
    if group.x == 0u && quad < VEC4S && turn == 0u {
        //@ rows
        partials[own + quad] = s1;
    }
    workgroupBarrier();
    if quad == 0u {
        z[turn / 4u].rows[turn % 4u].quarters[0][0].x = s0;
    }
    workgroupBarrier();
    if group.x == 0u && lane == 0u {
        //@ weights
        partials[own + VEC4S] = vec4(s0, 0.0, 0.0, 0.0);
    }

    let moments = partial + batch.n_components * (VEC4S + 1u) + k * (ALL_SQUARES * SQUARE + ALL_PAIRS * PAIR);
    //@ sums
}

// The sides of square tile i (i + 1) / 2 + j, counted from BELOW rows of tiles down, or of a pair of triangles: the last may
// have the same twice.
fn sides_of(tile: u32, is_square: bool) -> vec2<u32> {
    if !is_square {
        return vec2(2u * tile, min(2u * tile + 1u, SIDES - 1u));
    }
    // The root may be off by one unit.
    var i = u32((sqrt(f32(8u * tile + 1u)) - 1.0) * 0.5);
    if i * (i + 1u) / 2u > tile {
        i -= 1u;
    }
    if (i + 1u) * (i + 2u) / 2u <= tile {
        i += 1u;
    }
    return vec2(i + BELOW, tile - i * (i + 1u) / 2u);
}

// Where a tile or a pair of triangles stands among a component's second moments.
fn moments_at(tile: u32, is_square: bool) -> u32 {
    return select(ALL_SQUARES * SQUARE + tile * PAIR, tile * SQUARE, is_square);
}

//@ slices
