//! How a workgroup shares out the components of a model, a tile of rows at a time.

use super::super::shape::{Shape, quads};
use super::found::Found;
use super::{DeviceLimits, LONGEST_RUN, MOST_IN_REGISTERS, MOST_SCORES, UNIFORM_BYTES};

/// The most numbers alive at once in an invocation: what the compiler for RDNA3 keeps without spilling.
pub const MOST_ALIVE_IN_WORKGROUP: usize = 113;
/// The same on NVIDIA's chips, which give an invocation up to 255 registers.
pub const MOST_ALIVE_OF_NVIDIA: usize = 228;
/// Constants that a chip without scalar reads has at hand, bytes: on an H100 1.5 KB cost nothing, and with 4 KB each
/// number was fetched anew for each row.
const CONSTANTS_AT_HAND: usize = 1536;
/// Registers of a multiprocessor of NVIDIA's, for want of others' numbers, and of an invocation beside the numbers that are alive.
pub(super) const REGISTERS: usize = 64 << 10;
const OTHER_REGISTERS: usize = 24;
/// Invocations of which each of the four schedulers of a multiprocessor of NVIDIA's has a warp. Others burden some of them more. On an
/// H200, beside workgroups of 128, those of 96 took 34 and 41 % longer than the rest of the model says (D = 10 K = 20, D = 11
/// K = 13), of 192 6 and 9; of 64 19 % longer, 6 % less, and diagonal D = 16 K = 20 16 % longer.
const EVEN: usize = 128;
/// Invocations of a multiprocessor that are enough to hide half of what waiting takes.
const BUSY_INVOCATIONS: usize = 512;
/// The most invocations that own a component: each has all features' distances to make. On an H100 three at D = 20 took
/// 1.5 times as long as products of matrices, and two at D = 16 three quarters.
const MOST_OWNERS: usize = 2;
/// Workgroup memory that every device has, bytes.
const MEMORY_BYTES: usize = 16 << 10;
/// Operations of the text for a row's scores: with the sums some 25 KB of machine code.
const MOST_OPERATIONS: usize = 2000;
/// Operations of the rows that are written out, about.
const MOST_WRITTEN: usize = 512;
/// Rows of the largest blocks.
const BLOCK_ROWS: usize = 4096;

/// How the invocations of `statistics_workgroup` share out components and rows: a function of the shape and of the
/// device's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sharing {
    /// Invocations.
    pub workgroup: usize,
    /// How many invocations share the rows of a component.
    pub slices: usize,
    /// Rows of a slice.
    pub run: usize,
    /// How many of them are written out.
    pub written: usize,
    /// Components whose scores are taken at a time: all where they stay in registers.
    pub some: usize,
    /// How many invocations have the parameters of a component in registers, those of some coordinates each, and score
    /// what they are to sum; 0 where scores are of rows.
    pub owners: usize,
}

impl Sharing {
    /// Sums that are added up over slices at a time, one an invocation.
    pub const fn chunk(self, k: usize) -> usize {
        let most = self.lanes() / k;
        if most < 4 { most } else { 4 }
    }

    /// The sharing of a shape that costs least, or `None` where one component's sums do not fit the registers of those that
    /// have it, where rows are scored and groups cost less, where so many components leave workgroup memory no room for a row, or
    /// where the processor plays the GPU, for which barriers are dear.
    pub fn of(shape: Shape, limits: &DeviceLimits) -> Option<Self> {
        // It is asked for in every call, for each model, and looking for it takes up to half a millisecond.
        static FOUND: Found<[usize; 6], Option<Sharing>> = Found::new();
        if limits.software {
            return None;
        }
        let key = [
            shape.covariance_type as usize,
            shape.d,
            shape.k,
            limits.scalar_reads as usize,
            limits.max_invocations as usize,
            limits.most_alive,
        ];
        FOUND.or_find(key, || Self::search(shape, limits))
    }

    fn search(shape: Shape, limits: &DeviceLimits) -> Option<Self> {
        let k = shape.k;
        let some_of_rows = some(shape);
        let scores_rows = scores_rows(shape, some_of_rows);
        let constants = 4 * k * shape.parameters_len();
        let owners = match limits.scalar_reads || (scores_rows && constants <= CONSTANTS_AT_HAND) {
            true => 0,
            false => owners(shape, limits).unwrap_or(0),
        };
        if owners == 0 && !scores_rows {
            return None;
        }
        // Whole waves of 64, of two owners together.
        let lanes: &[usize] = match owners {
            0 | 1 => &[64, 128, 192, 256],
            _ => &[32, 64, 96, 128],
        };
        let slices = lanes
            .iter()
            .flat_map(|&lanes| (1..=lanes / k).map(move |slices| (lanes * owners.max(1), slices)));
        let runs = slices.flat_map(|(w, slices)| (1..=w / slices).map(move |run| (w, slices, run)));
        runs.map(|(workgroup, slices, run)| Self {
            workgroup,
            slices,
            run,
            written: written(run, shape, owners),
            some: if owners > 0 {
                some_of_owners(k)
            } else {
                some_of_rows
            },
            owners,
        })
        .filter(|sharing| {
            sharing.workgroup <= limits.max_invocations as usize
                && sharing.memory_bytes(shape) <= MEMORY_BYTES
        })
        .min_by_key(|sharing| sharing.cost(shape))
        .filter(|sharing| owners > 0 || sharing.cost(shape) < cost_of_groups(shape))
    }

    /// Invocations that are the same owner, or all.
    const fn lanes(self) -> usize {
        match self.owners {
            0 => self.workgroup,
            owners => self.workgroup / owners,
        }
    }

    /// Workgroup memory: rows, a vec4 between slices; responsibilities; means; what adding up takes.
    fn memory_bytes(self, shape: Shape) -> usize {
        let Self { slices, run, .. } = self;
        let (k, row) = (shape.k, 16 * (quads(shape.d) | 1));
        let features = slices * (run * row + 16);
        let shares = 4 * k.next_multiple_of(self.some) * ((slices * run) | 1);
        let means = if self.owners > 0 { 0 } else { k * row };
        let sums = 4 * slices * k * self.chunk(k);
        let owners = self.owners.max(1);
        // Each array begins with a whole vec4.
        let squares = if shape.is_spherical() { shares } else { 0 };
        let arrays = [owners * shares, squares, owners * sums, 8 * slices]
            .map(|bytes| bytes.next_multiple_of(16));
        features + means + arrays.iter().sum::<usize>()
    }

    /// How often some components are scored for a row.
    pub const fn turns(self, k: usize) -> usize {
        k.div_ceil(self.some)
    }

    /// Rows of a tile.
    pub const fn tile(self) -> usize {
        self.slices * self.run
    }

    /// How often an invocation takes rows of a tile.
    pub const fn rounds(self) -> usize {
        self.run / self.written
    }

    /// Instructions for a large block, all invocations together: of a row's scores, of a slice under one component, of
    /// a turn of its loop, and of adding up; and four for each byte that is written, in whose time a GPU makes ten to
    /// twenty, but mostly besides.
    fn cost(self, shape: Shape) -> usize {
        let sums = shape.component_in_workgroup_len();
        // Scores that wait in memory are read and written twice more, in three loops.
        let waiting = match self.turns(shape.k) {
            1 => 0,
            turns => 4 * shape.k + 36 * turns,
        };
        // Squared distances are left in workgroup memory and read there.
        let square = shape.is_spherical() as usize;
        let (d, read) = (shape.d, 2 + quads(shape.d) + shape.d + square);
        let (score, row) = match self.owners {
            0 => (
                7 + shape.least_score() + square,
                read + shape.least_moments(),
            ),
            owners => {
                let both = shape.least_score() - d + shape.least_moments();
                (6 + owners, 2 * read + both / owners)
            }
        };
        let scores = 80 + shape.k * score + waiting;
        let turns = match self.rounds() {
            1 => 0,
            rounds => 12 * rounds,
        };
        let tiles = BLOCK_ROWS.div_ceil(self.tile());
        let parts = BLOCK_ROWS.div_ceil(self.part_rows(BLOCK_ROWS));
        let invocation =
            tiles * (scores + self.run * row + turns) + parts * (4 + self.slices) * sums / 2;
        let cost = self.workgroup * invocation + 16 * parts * shape.k * sums;
        match self.owners {
            0 => cost,
            _ => {
                let waiting = cost + cost * BUSY_INVOCATIONS / self.resident(shape);
                match self.workgroup.is_multiple_of(EVEN) {
                    true => waiting,
                    false => waiting + waiting / 4,
                }
            }
        }
    }

    /// Invocations that the registers of a multiprocessor hold at once, whole workgroups of them.
    fn resident(self, shape: Shape) -> usize {
        let registers = alive_of_owners(shape, self.owners) + OTHER_REGISTERS;
        (REGISTERS / registers / self.workgroup).max(1) * self.workgroup
    }

    /// Rows that a workgroup sums, whole tiles: no invocation adds up more than [`LONGEST_RUN`] of either kind.
    pub fn part_rows(self, rows_per_block: usize) -> usize {
        let tiles = (LONGEST_RUN / self.run).clamp(1, LONGEST_RUN);
        let parts = rows_per_block.div_ceil(tiles * self.tile());
        rows_per_block.div_ceil(parts).next_multiple_of(self.tile())
    }
}

/// What the groups' kernels, which score twice, cost for a large block: a quarter more than that, by what compilers made
/// of them.
const fn cost_of_groups(shape: Shape) -> usize {
    let row = 2 * shape.least_score() + shape.least_moments() + 16;
    BLOCK_ROWS * shape.k * row * 5 / 4
}

/// The most rows of a slice that are written out: all, if they are hardly more than [`MOST_WRITTEN`] allows, or a part of it, for all owners.
fn written(run: usize, shape: Shape, owners: usize) -> usize {
    let owned = shape.least_moments() / owners.max(1) + shape.d;
    let most = (MOST_WRITTEN / owned / owners.clamp(1, 2)).max(1);
    // A quarter more is better than a loop of two rounds, which some compilers write out, or of very many.
    if 4 * run <= 5 * most {
        return run;
    }
    (1..=run.min(most))
        .rev()
        .find(|n| run.is_multiple_of(*n))
        .unwrap_or(1)
}

/// Numbers alive beside each other: sums, a row, its distances, so many scores and, where they are summed, squares.
const fn alive(shape: Shape, scores: usize) -> usize {
    let scores = scores + scores * shape.is_spherical() as usize;
    shape.component_in_workgroup_len() + 2 * shape.d + scores
}

/// Whether a component's sums fit an invocation's registers beside so many scores, and all parameters a uniform buffer.
fn scores_rows(shape: Shape, some: usize) -> bool {
    // Turns have places in memory of their own.
    let places = if some < shape.k { 8 } else { 0 };
    shape.component_in_workgroup_len() <= MOST_IN_REGISTERS
        && alive(shape, some) + places <= MOST_ALIVE_IN_WORKGROUP
        && 4 * shape.k * shape.parameters_len() <= UNIFORM_BYTES
}

/// How many invocations own a component: the fewest whose registers hold what they need.
fn owners(shape: Shape, limits: &DeviceLimits) -> Option<usize> {
    // Squared distances are one owner's.
    let most = if shape.is_spherical() { 1 } else { MOST_OWNERS };
    (1..=most).find(|&owners| alive_of_owners(shape, owners) <= limits.most_alive)
}

/// Numbers alive beside each other in one of so many owners of a component: parameters, sums, a row, its distances.
fn alive_of_owners(shape: Shape, owners: usize) -> usize {
    let alive = |own: &Vec<usize>| {
        let terms: usize = own.iter().map(|&i| shape.row_len(i)).sum();
        let features = match shape.is_diagonal() {
            true => own.len(),
            false => own.iter().max().map_or(0, |most| most + 1),
        };
        let second = if shape.is_spherical() { 1 } else { terms };
        let (parameters, sums) = (features + terms + own.len() + 1, 1 + own.len() + second);
        parameters + sums + 2 * features + 8
    };
    coordinates(shape, owners)
        .iter()
        .map(alive)
        .max()
        .unwrap_or(0)
}

/// The coordinates of so many owners of a component, each about as much work: in turn where each is made of one feature,
/// and else the longest first, to who has least.
pub fn coordinates(shape: Shape, owners: usize) -> Vec<Vec<usize>> {
    if shape.is_diagonal() {
        // Features are read by fours.
        let most = 4 * quads(shape.d).div_ceil(owners);
        let of = |owner: usize| (owner * most..((owner + 1) * most).min(shape.d)).collect();
        return (0..owners).map(of).collect();
    }
    let mut all = vec![(0, Vec::new()); owners];
    for i in (0..shape.d).rev() {
        if let Some((work, own)) = all.iter_mut().min_by_key(|(work, _)| *work) {
            *work += shape.row_len(i) + 4;
            own.insert(0, i);
        }
    }
    all.into_iter().map(|(_, own)| own).collect()
}

/// How many components' scores an invocation takes at a time that has none of the parameters.
fn some_of_owners(k: usize) -> usize {
    if k <= MOST_SCORES { k } else { 16 }
}

/// How many components are scored at a time: all that registers hold and whose text is not too long, or some whose
/// parameters are whole vec4s.
fn some(shape: Shape) -> usize {
    let (k, d) = (shape.k, shape.d);
    let operations = shape.factor_len() + 3 * d + 8;
    let most = MOST_SCORES.min(MOST_OPERATIONS / operations);
    if k <= most && alive(shape, k) <= MOST_ALIVE_IN_WORKGROUP {
        return k;
    }
    let few = [16, 8].into_iter().find(|n| n * operations <= MOST_WRITTEN);
    few.unwrap_or(4).min(k)
}
