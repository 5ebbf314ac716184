//! Which columns of a file are used, and as what.

use std::collections::HashSet;

use super::ReadOptions;
use crate::data::ReadProblem;

/// The columns of a file that are read, by their place in it.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::data) struct Choice {
    /// Features, in the order asked for or the file's.
    pub(in crate::data) features: Vec<usize>,
    /// The weights' column.
    pub(in crate::data) weights: Option<usize>,
    /// The labels' column.
    pub(in crate::data) labels: Option<usize>,
    /// Whether the features were asked for by name: then text in them is an error.
    pub(in crate::data) asked: bool,
}

impl Choice {
    /// The columns that the options ask for; without `columns` all that are neither weights nor labels.
    pub(in crate::data) fn of(
        names: &[String],
        options: &ReadOptions,
    ) -> Result<Self, ReadProblem> {
        let find = |name: &String| {
            names
                .iter()
                .position(|n| n == name)
                .ok_or_else(|| ReadProblem::UnknownColumn {
                    name: name.clone(),
                    nearest: nearest(name, names),
                    columns: names.to_vec(),
                })
        };
        if let Some(among) = &options.among {
            return Self::among(names, options, among);
        }
        let weights = options.weights.as_ref().map(find).transpose()?;
        let labels = options.labels.as_ref().map(find).transpose()?;
        let by_name = options
            .model
            .as_ref()
            .filter(|model| !unnamed(names) || model.iter().all(|name| names.contains(name)));
        let asked = options.columns.as_ref().or(by_name);
        let features = match asked {
            Some(columns) if columns.is_empty() => return Err(ReadProblem::NoColumns),
            Some(columns) => columns.iter().map(find).collect::<Result<Vec<_>, _>>()?,
            None => (0..names.len())
                .filter(|c| weights != Some(*c) && labels != Some(*c))
                .collect(),
        };
        let choice = Self {
            features,
            weights,
            labels,
            asked: asked.is_some(),
        };
        let mut seen = vec![false; names.len()];
        for column in choice.read() {
            if std::mem::replace(&mut seen[column], true) {
                return Err(ReadProblem::ColumnTwice {
                    name: names[column].clone(),
                });
            }
        }
        Ok(choice)
    }

    /// The columns that have one of some names, or all columns of a table without names once they are named.
    fn among(
        names: &[String],
        options: &ReadOptions,
        among: &[String],
    ) -> Result<Self, ReadProblem> {
        let features: Vec<usize> = match &options.columns {
            Some(columns) if !unnamed(names) => {
                let asked = ReadOptions {
                    columns: Some(columns.clone()),
                    ..ReadOptions::default()
                };
                return Self::of(names, &asked);
            }
            Some(columns) if columns.len() == names.len() => {
                let mut seen = HashSet::new();
                if let Some(name) = columns.iter().find(|name| !seen.insert(*name)) {
                    return Err(ReadProblem::ColumnTwice { name: name.clone() });
                }
                (0..names.len()).collect()
            }
            None if !unnamed(names) => (0..names.len())
                .filter(|&column| among.contains(&names[column]))
                .collect(),
            given => {
                return Err(ReadProblem::Nameless {
                    columns: names.len(),
                    given: given.as_ref().map_or(0, Vec::len),
                });
            }
        };
        if features.is_empty() {
            return Err(ReadProblem::NoneAmong {
                among: among.to_vec(),
                columns: names.to_vec(),
            });
        }
        Ok(Self {
            features,
            weights: None,
            labels: None,
            asked: true,
        })
    }

    /// All columns that are read: features, then weights, then labels.
    pub(in crate::data) fn read(&self) -> impl Iterator<Item = usize> + '_ {
        self.features
            .iter()
            .copied()
            .chain(self.weights)
            .chain(self.labels)
    }
}

/// Whether columns are called by their numbers, because the table has no header.
fn unnamed(names: &[String]) -> bool {
    let mut numbered = names.iter().enumerate();
    numbered.all(|(i, name)| *name == i.to_string())
}

/// One name a column: a column without one is called by its 0-based number, and of several that share one
/// the later become `x.1`, `x.2`, …
pub(in crate::data) fn distinct_names(found: Vec<String>) -> Vec<String> {
    let in_file: HashSet<&String> = found.iter().collect();
    let mut given: HashSet<String> = HashSet::new();
    let mut names = Vec::with_capacity(found.len());
    for (i, name) in found.iter().enumerate() {
        let number = i.to_string();
        let (mut name, mut taken) = match name.is_empty() {
            true => (number.clone(), in_file.contains(&number)),
            false => (name.clone(), false),
        };
        taken |= given.contains(&name);
        let stem = name.clone();
        let mut copy = 0;
        while taken {
            copy += 1;
            name = format!("{stem}.{copy}");
            taken = in_file.contains(&name) || given.contains(&name);
        }
        given.insert(name.clone());
        names.push(name);
    }
    names
}

/// The name that differs least from `name`, if it differs by little: one slip in three characters, never all of them.
fn nearest(name: &str, names: &[String]) -> Option<String> {
    let length = name.chars().count();
    let allowed = (length / 3).max(1);
    names
        .iter()
        .map(|candidate| {
            (
                slips(&name.to_lowercase(), &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(slips, _)| *slips <= allowed && *slips < length)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate.clone())
}

/// Letters to insert, leave out, replace, or swap with their neighbour (optimal string alignment).
fn slips(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| n.to_string()).collect()
    }

    #[test]
    fn every_column_has_a_name_of_its_own() {
        let names = |found: &[&str]| distinct_names(strings(found));
        assert_eq!(names(&["", "x", ""]), ["0", "x", "2"]);
        assert_eq!(names(&["x", "x", "x.1", "x"]), ["x", "x.2", "x.1", "x.3"]);
        assert_eq!(names(&["", "0"]), ["0.1", "0"]);
    }

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        let names = strings(&["CD3", "CD4", "CD19", "Sepal.Length"]);
        assert_eq!(nearest("CD91", &names).as_deref(), Some("CD19"));
        assert_eq!(nearest("cd4", &names).as_deref(), Some("CD4"));
        assert_eq!(
            nearest("sepal_lenght", &names).as_deref(),
            Some("Sepal.Length")
        );
        assert_eq!(nearest("weight", &names), None);
        assert_eq!(nearest("x", &strings(&["0", "1"])), None);
        assert_eq!(
            (
                slips("", "ab"),
                slips("kitten", "sitting"),
                slips("ab", "ba")
            ),
            (2, 3, 1)
        );
    }

    #[test]
    fn a_column_has_one_role() {
        let names = strings(&["x", "y", "w"]);
        let options = |columns: &[&str], weights: &str| ReadOptions {
            columns: Some(strings(columns)),
            weights: Some(weights.to_owned()),
            ..ReadOptions::default()
        };
        let choice = Choice::of(&names, &options(&["y", "x"], "w")).expect("distinct");
        assert_eq!((choice.features, choice.weights), (vec![1, 0], Some(2)));
        for (columns, weights) in [(["x", "x"], "w"), (["x", "w"], "w")] {
            let error = Choice::of(&names, &options(&columns, weights)).expect_err("twice");
            assert!(matches!(error, ReadProblem::ColumnTwice { .. }), "{error}");
        }
        let error = Choice::of(&names, &options(&[], "w")).expect_err("none");
        assert!(matches!(error, ReadProblem::NoColumns));
    }

    #[test]
    fn columns_are_found_among_the_names_allowed() {
        let choose = |names: &[&str], columns: Option<&[&str]>| {
            let options = ReadOptions {
                columns: columns.map(strings),
                among: Some(strings(&["z", "y", "x"])),
                ..ReadOptions::default()
            };
            Choice::of(&strings(names), &options)
                .map(|choice| choice.features)
                .map_err(|problem| problem.to_string())
        };
        let table = ["x", "site", "y"];
        assert_eq!(choose(&table, None), Ok(vec![0, 2]));
        assert_eq!(choose(&table, Some(&["y"])), Ok(vec![2]));
        assert_eq!(choose(&["0", "1"], Some(&["z", "x"])), Ok(vec![0, 1]));
        for (names, columns, said) in [
            (
                &["a", "b"][..],
                None,
                "none of \"z\", \"y\", \"x\" is a column; it has \"a\", \"b\"",
            ),
            (
                &["0", "1"],
                None,
                "2 columns without a header; name them with --columns",
            ),
            (
                &["0"],
                Some(&["z", "x"][..]),
                "1 column without a header, but --columns has 2 names",
            ),
            (
                &["0", "1"],
                Some(&["z", "z"]),
                "column \"z\" is asked for twice; name it once",
            ),
        ] {
            assert_eq!(choose(names, columns), Err(said.to_owned()));
        }
    }

    #[test]
    fn an_unknown_column_is_met_with_the_ones_there_are() {
        let names: Vec<String> = (0..12).map(|i| format!("CD{i}")).collect();
        let text = |name: &str| {
            let options = ReadOptions {
                columns: Some(strings(&[name])),
                ..ReadOptions::default()
            };
            Choice::of(&names, &options)
                .expect_err("unknown")
                .to_string()
        };
        let list = (0..10).map(|i| format!("\"CD{i}\"")).collect::<Vec<_>>();
        let list = format!("{} and 2 more", list.join(", "));
        assert_eq!(
            text("DC9"),
            format!("no column \"DC9\", did you mean \"CD9\"? It has {list}")
        );
        assert_eq!(text("age"), format!("no column \"age\"; it has {list}"));
    }
}
