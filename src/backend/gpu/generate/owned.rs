//! `statistics_workgroup` where invocations own components: each has the parameters of one, or of some of its coordinates, in
//! registers, scores what it is to sum, and those that have a row make responsibilities of the scores in between.

use std::fmt::Write;

use super::super::plan::{Sharing, coordinates};
use super::super::shape::{Shape, quads};
use super::PARTS;
use super::workgroup::{in_rounds, in_turns, own, row_weight, share, waiting_softmax};
use crate::mixture::triangle;

/// Numbers of an invocation that sums beside parameters, sums, a row and its distances, about.
const OTHER_NUMBERS: usize = 8;

/// The texts of a shape.
pub(super) struct Owned {
    shape: Shape,
    sharing: Sharing,
    owners: Vec<Owner>,
}

/// Some coordinates of a component, and where what they need and sum stands among the component's numbers.
struct Owner {
    number: usize,
    coordinates: Vec<usize>,
    parameters: Vec<usize>,
    sums: Vec<usize>,
}

impl Owned {
    pub fn new(shape: Shape, sharing: Sharing) -> Self {
        let owners = coordinates(shape, sharing.owners).into_iter().enumerate();
        Self {
            owners: owners
                .map(|(number, own)| Owner::new(shape, number, own))
                .collect(),
            shape,
            sharing,
        }
    }

    /// The place of an invocation: its component, its slice of the rows, and which of the owners it is.
    pub fn place(&self) -> String {
        match self.owners.len() {
            1 => "let own = lane % K;\nlet slice = lane / K;\n".to_owned(),
            _ => "let owner = lane / LANES;\nlet own = lane % LANES % K;\nlet slice = lane % LANES / K;\n".to_owned(),
        }
    }

    /// The text of each owner, where invocations are different ones.
    fn of_each(&self, text: impl Fn(&Owner) -> String) -> String {
        match &self.owners[..] {
            [one] => text(one),
            all => {
                let of =
                    |owner: &Owner| format!("if owner == {}u {{\n{}}}", owner.number, text(owner));
                all.iter().map(of).collect::<Vec<_>>().join(" else ") + "\n"
            }
        }
    }

    /// Reads the parameters.
    pub fn parameters(&self) -> String {
        let len = self.shape.parameters_len();
        let most = self.owners.iter().map(|owner| owner.parameters.len()).max();
        let mut text = String::new();
        line!(
            text,
            "let parameters = 4u * PARAMETERS * block.model + own * {len}u;"
        );
        for n in 0..most.unwrap_or(0) {
            line!(text, "var p{n} = 0.0;");
        }
        text + &self.of_each(|owner| {
            let mut text = String::new();
            for (n, at) in owner.parameters.iter().enumerate() {
                line!(text, "p{n} = components[parameters + {at}u];");
            }
            text
        })
    }

    /// A variable a sum.
    pub fn accumulators(&self) -> String {
        let most = self.owners.iter().map(|owner| owner.sums.len()).max();
        let mut text = String::new();
        for n in 0..most.unwrap_or(0) {
            line!(text, "var sum_{n} = 0.0;");
        }
        text + "var tops = 0.0;\nvar logs = 0.0;\n"
    }

    /// Each invocation's scores of its slice, then each row's responsibilities.
    pub fn scores(&self, weighted: bool) -> String {
        let (sharing, k) = (self.sharing, self.shape.k);
        let mut text = String::new();
        line!(text, "if slice < SLICES {{");
        text += &self.of_each(|owner| in_rounds(sharing, |some| self.scores_of_owner(owner, some)));
        line!(text, "}}\nworkgroupBarrier();\nif lane < TILE {{");
        text += &match sharing.some == k && k <= 2 * self.shape.d + OTHER_NUMBERS {
            true => self.shares(weighted),
            false => self.shares_in_turns(weighted),
        };
        line!(text, "}}\nworkgroupBarrier();");
        text
    }

    /// An owner's place of a written row among the scores, or the squares.
    fn own(&self, of: &str, number: usize, row: (&str, usize)) -> String {
        own(of, number, (self.sharing, self.shape.k), row)
    }

    /// Differences of written row `n` from the mean, as far as an owner needs them.
    fn distances(&self, owner: &Owner, some: &str, n: usize) -> String {
        let mut text = String::new();
        let features = owner.features(self.shape);
        for q in 0..quads(features.iter().max().map_or(0, |most| most + 1)) {
            line!(
                text,
                "let v_{q} = features_of[slice].somes[{some}].rows[{n}].quads[{q}];"
            );
        }
        for j in features {
            line!(
                text,
                "let d{j} = v_{}.{} - {};",
                j / 4,
                PARTS[j % 4],
                owner.parameter(j)
            );
        }
        text
    }

    /// A score of a row, of all owners.
    fn whole_score(&self, some: &str, c: usize) -> String {
        let turns = self.sharing.turns(self.shape.k);
        let places = (0..self.sharing.owners).map(|owner| match owner {
            0 => share(some, c),
            _ => share(&format!("{some} + {}u", owner * turns), c),
        });
        places.collect::<Vec<_>>().join(" + ")
    }

    /// A row's responsibilities, where its scores stay in registers: those of a row and its distances are free then.
    fn shares(&self, weighted: bool) -> String {
        let k = self.shape.k;
        let all = |name: &str| (0..k).map(|c| format!("{name}{c}")).collect::<Vec<_>>();
        let mut text = String::new();
        for c in 0..k {
            line!(text, "let q{c} = {};", self.whole_score("0u", c));
        }
        let top = all("q").into_iter().reduce(|a, b| format!("max({a}, {b})"));
        line!(text, "let top = {};", top.unwrap_or_default());
        for c in 0..k {
            line!(text, "let e{c} = exp2(q{c} - top);");
        }
        line!(text, "let sum = {};", all("e").join(" + "));
        text += &row_weight(self.shape.d, weighted);
        for c in 0..k {
            line!(text, "{} = e{c} * share;", share("0u", c));
        }
        text
    }

    /// The same some at a time, which wait in their places.
    fn shares_in_turns(&self, weighted: bool) -> String {
        let (sharing, k) = (self.sharing, self.shape.k);
        let mut text = waiting_softmax(sharing, k, |some, count| {
            let mut turn = String::new();
            for c in 0..count {
                let (to, all) = (share(some, c), self.whole_score(some, c));
                match sharing.owners {
                    1 => line!(turn, "top = max(top, {to});"),
                    _ => line!(
                        turn,
                        "let q{c} = {all};\n{to} = q{c};\ntop = max(top, q{c});"
                    ),
                }
            }
            turn
        });
        text += &row_weight(self.shape.d, weighted);
        text += &in_turns(sharing, k, |some, count| {
            (0..count).fold(String::new(), |mut turn, c| {
                line!(turn, "{} *= share;", share(some, c));
                turn
            })
        });
        text
    }

    /// What the coordinates of an owner add to the scores of the rows that are written out. All of them are stored at the end: drivers
    /// move no read of a row before what is written to workgroup memory, and would wait for each.
    fn scores_of_owner(&self, owner: &Owner, some: &str) -> String {
        let (shape, written) = (self.shape, self.sharing.written);
        let mut text = String::new();
        for n in 0..written {
            line!(text, "var m{n} = 0.0;");
        }
        text.extend((0..written).map(|n| self.squares(owner, some, n)));
        for n in 0..written {
            if shape.is_spherical() {
                line!(text, "{} = m{n};", self.own("squares_of", 0, (some, n)));
            }
            let to = self.own("shares_of", owner.number, (some, n));
            let constant = shape.parameters_len() - 1;
            match owner.number {
                0 => line!(
                    text,
                    "{to} = fma(-HALF_LOG2_E, m{n}, {});",
                    owner.parameter(constant)
                ),
                _ => line!(text, "{to} = -HALF_LOG2_E * m{n};"),
            }
        }
        text
    }

    /// The squares of written row `n`'s coordinates, as far as they are an owner's.
    fn squares(&self, owner: &Owner, some: &str, n: usize) -> String {
        let (d, shape) = (self.shape.d, self.shape);
        let mut text = "{\n".to_owned() + &self.distances(owner, some, n);
        for (at, &i) in owner.coordinates.iter().enumerate() {
            let remainder = format!("-{}", owner.parameter(d + shape.factor_len() + i));
            let y = of_row(shape, i).fold(remainder, |y, (place, j)| {
                format!("fma({}, d{j}, {y})", owner.parameter(d + place))
            });
            line!(text, "let y{i} = {y};");
            match at {
                0 => line!(text, "m{n} = y{i} * y{i};"),
                _ => line!(text, "m{n} = fma(y{i}, y{i}, m{n});"),
            }
        }
        line!(text, "m{n} = min(m{n}, FARTHEST);");
        text + "}\n"
    }

    /// What an invocation does with its slice.
    pub fn slice(&self) -> String {
        self.of_each(|owner| {
            in_rounds(self.sharing, |some| {
                let rows = 0..self.sharing.written;
                rows.map(|n| self.moments(owner, some, n)).collect()
            })
        })
    }

    /// The moments of written row `n`.
    fn moments(&self, owner: &Owner, some: &str, n: usize) -> String {
        let (d, shape) = (self.shape.d, self.shape);
        let mut text = String::new();
        line!(text, "{{\nlet r = {};", self.own("shares_of", 0, (some, n)));
        text += &self.distances(owner, some, n);
        if owner.number == 0 {
            line!(text, "{} += r;", owner.sum(0));
        }
        if shape.is_spherical() {
            for &i in &owner.coordinates {
                let sum = owner.sum(1 + i);
                line!(text, "{sum} = fma(r, d{i}, {sum});");
            }
            let (square, sum) = (self.own("squares_of", 0, (some, n)), owner.sum(1 + d));
            line!(text, "{sum} = fma(r, {square}, {sum});\n}}");
            return text;
        }
        for &i in &owner.coordinates {
            line!(text, "let t{i} = r * d{i};\n{} += t{i};", owner.sum(1 + i));
            for (place, j) in of_row(shape, i) {
                let sum = owner.sum(1 + d + place);
                line!(text, "{sum} = fma(t{i}, d{j}, {sum});");
            }
        }
        text + "}\n"
    }

    /// Sums over the slices of each component, some sums of each owner at a time.
    pub fn sums(&self) -> String {
        let (sharing, k) = (self.sharing, self.shape.k);
        let (chunk, len) = (sharing.chunk(k), self.shape.component_in_workgroup_len());
        let most = self
            .owners
            .iter()
            .map(|owner| owner.sums.len())
            .max()
            .unwrap_or(0);
        let mut text = String::new();
        line!(text, "let to = partial + own * {len}u;");
        let place = |owner: &Owner, n: usize| owner.number * chunk + n;
        for first in (0..most).step_by(chunk) {
            let some =
                |owner: &Owner| first.min(owner.sums.len())..(first + chunk).min(owner.sums.len());
            line!(text, "if slice < SLICES {{");
            text += &self.of_each(|owner| {
                some(owner).fold(String::new(), |mut text, at| {
                    let n = place(owner, at - first);
                    line!(text, "tree[{n}].slices[slice][own] = sum_{at};");
                    text
                })
            });
            line!(text, "}}\nworkgroupBarrier();");
            text += &self.of_each(|owner| {
                let sums = &owner.sums[some(owner)];
                let mut text = String::new();
                if sums.is_empty() {
                    return text;
                }
                let tree = match place(owner, 0) {
                    0 => "tree[slice]".to_owned(),
                    n => format!("tree[{n}u + slice]"),
                };
                let slices = (0..sharing.slices).map(|s| format!("{tree}.slices[{s}][own]"));
                let sum = slices.collect::<Vec<_>>().join(" + ");
                line!(text, "if slice < {}u {{", sums.len());
                line!(text, "    partials[to + {}] = {sum};\n}}", of_slice(sums));
                text
            });
            line!(text, "workgroupBarrier();");
        }
        text
    }
}

impl Owner {
    fn new(shape: Shape, number: usize, coordinates: Vec<usize>) -> Self {
        let d = shape.d;
        let mut owner = Self {
            number,
            coordinates,
            parameters: Vec::new(),
            sums: Vec::new(),
        };
        owner.parameters.extend(owner.features(shape));
        if number == 0 {
            owner.sums.push(0);
        }
        for &i in &owner.coordinates {
            owner
                .parameters
                .extend(of_row(shape, i).map(|(place, _)| d + place));
            owner.parameters.push(d + shape.factor_len() + i);
            owner.sums.push(1 + i);
            if !shape.is_spherical() {
                let of_row = of_row(shape, i);
                owner.sums.extend(of_row.map(|(place, _)| 1 + d + place));
            }
        }
        if number == 0 {
            owner.parameters.push(shape.parameters_len() - 1);
        }
        if shape.is_spherical() {
            owner.sums.push(1 + d);
        }
        owner.sums.sort_unstable();
        owner
    }

    /// The features that its coordinates are made of.
    fn features(&self, shape: Shape) -> Vec<usize> {
        let all = self.coordinates.iter().flat_map(|&i| of_row(shape, i));
        let mut features: Vec<usize> = all.map(|(_, j)| j).collect();
        features.sort_unstable();
        features.dedup();
        features
    }

    /// The name of a component's parameter `at`, which is among its own.
    fn parameter(&self, at: usize) -> String {
        format!("p{}", position(&self.parameters, at))
    }

    fn sum(&self, at: usize) -> String {
        format!("sum_{}", position(&self.sums, at))
    }
}

/// The text of the one of some numbers that stands at `slice`.
fn of_slice(numbers: &[usize]) -> String {
    let first = numbers.first().copied().unwrap_or(0);
    if numbers
        .iter()
        .enumerate()
        .all(|(n, number)| *number == first + n)
    {
        return format!("{first}u + slice");
    }
    let others = (1..).zip(&numbers[1..]);
    others.fold(format!("{first}u"), |text, (n, number)| {
        format!("select({text}, {number}u, slice == {n}u)")
    })
}

/// Where `at` stands among numbers that hold it.
fn position(numbers: &[usize], at: usize) -> usize {
    let found = numbers.iter().position(|&number| number == at);
    debug_assert!(found.is_some(), "{at}");
    found.unwrap_or(0)
}

/// Places in the factor, or among second moments, and features of coordinate `i`.
fn of_row(shape: Shape, i: usize) -> impl Iterator<Item = (usize, usize)> {
    let diagonal = shape.is_diagonal();
    (i + 1 - shape.row_len(i)..=i).map(move |j| (if diagonal { i } else { triangle::at(i, j) }, j))
}
