//! `wgmm condition MODEL NAME=VALUE… [-o MODEL]` and `wgmm condition MODEL --data FILE -o OUT`.

use std::io::Write;
use std::path::Path;

use rayon::prelude::*;
use wgmm::data::{self, ReadOptions, TABLE_ENDINGS, Table, check_writable, write_atomically};
use wgmm::mixture::{Conditional, ModelError, ModelFile};

use super::args::{ConditionArgs, Shared};
use super::failure::{Failure, Outcome};
use super::input::{feature_names, read_model};
use super::output::{Columns, write_table};
use super::{json, summary};

/// Rows that a thread takes at a time.
const ROWS_A_PIECE: usize = 1024;
/// At most so many names are listed in one sentence.
const NAMES_LISTED: usize = 10;

pub(crate) fn run(shared: &Shared, args: &ConditionArgs) -> Result<Outcome, Failure> {
    match (&args.data, args.given.is_empty()) {
        (None, false) => values(shared, args),
        (Some(data), true) => table(shared, args, data),
        (None, true) => Err(Failure::usage(
            "nothing is known: give features as NAME=VALUE, or a table with --data",
        )),
        (Some(_), false) => Err(Failure::usage(
            "NAME=VALUE and --data: what is known comes from one of them",
        )),
    }
}

/// One set of values: the mixture of the other features.
fn values(shared: &Shared, args: &ConditionArgs) -> Result<Outcome, Failure> {
    let known = args
        .given
        .iter()
        .map(|text| parse(text))
        .collect::<Result<Vec<_>, _>>()?;
    for (i, (name, _)) in known.iter().enumerate() {
        if known[..i].iter().any(|(other, _)| other == name) {
            return Err(Failure::usage(format!("{name}: given twice")));
        }
    }
    let model = read_model(&args.model)?;
    if let Some(output) = &args.output {
        if output.as_os_str() == "-" {
            return Err(Failure::usage(
                "-o -: a model goes into a file; --json prints it",
            ));
        }
        check_writable(output, &["json"])?;
    }
    let names = feature_names(&model);
    let given = known
        .iter()
        .map(|(name, value)| Ok((find(&args.model, &names, name)?, *value)))
        .collect::<Result<Vec<_>, Failure>>()?;
    let rest = model
        .condition(&given)
        .map_err(|error| Failure::model(&args.model, &error))?;
    let features = remaining(&names, given.iter().map(|(feature, _)| *feature));
    let (mean, sd) = rest.moments();
    let file = ModelFile::new(&rest, None);
    if let Some(output) = &args.output {
        write_atomically(output, file.to_json().as_bytes())?;
    }
    if shared.json {
        let known: serde_json::Map<_, _> = known
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).into()))
            .collect();
        json::print(&serde_json::json!({
            "command": "condition",
            "version": env!("CARGO_PKG_VERSION"),
            "given": known,
            "features": features,
            "mean": mean,
            "standard_deviation": sd,
            "output": args.output.as_ref().map(|path| path.display().to_string()),
            "model": file,
        }))?;
    } else if !shared.quiet {
        let known: Vec<String> = known
            .iter()
            .map(|(name, value)| format!("{name} = {}", summary::number(*value)))
            .collect();
        let text = format!(
            "given {}\n\n{}\nmean ± standard deviation\n{}",
            known.join(", "),
            summary::mixture(&rest, &features),
            summary::moments(&features, &mean, &sd)
        );
        std::io::stdout().lock().write_all(text.as_bytes())?;
    }
    Ok(Outcome::Done)
}

/// A table of values: means and standard deviations of the other features, row by row.
fn table(shared: &Shared, args: &ConditionArgs, path: &Path) -> Result<Outcome, Failure> {
    // Not without an output, says the parser.
    let output = args.output.as_deref().unwrap_or(Path::new("-"));
    if shared.json && output.as_os_str() == "-" {
        return Err(Failure::usage(
            "--json and -o -: both take standard output; write the table to a file",
        ));
    }
    let model = read_model(&args.model)?;
    check_writable(output, &TABLE_ENDINGS)?;
    let names = feature_names(&model);
    for column in args.columns.iter().flatten() {
        find(&args.model, &names, column)?;
    }
    let options = ReadOptions {
        columns: args.columns.clone(),
        among: Some(names.clone()),
        skip_invalid: args.skip_invalid,
        ..ReadOptions::default()
    };
    let table = data::read(path, &options)?;
    // Columns without a header were named by the options.
    let given = match &args.columns {
        Some(columns) if !table.named => columns,
        _ => &table.features,
    };
    let indices = given
        .iter()
        .map(|name| find(&args.model, &names, name))
        .collect::<Result<Vec<_>, _>>()?;
    let conditional = Conditional::new(&model, &indices).map_err(|error| match error {
        ModelError::NothingLeft => Failure::run(format!(
            "{}: it has every feature of {}; say with --columns which are known",
            path.display(),
            args.model.display()
        )),
        other => Failure::model(&args.model, &other),
    })?;
    let features = remaining(&names, indices.iter().copied());
    let predictions = predict(&conditional, &table);
    note(shared, args, &table, &predictions, 2 * features.len());
    let header: Vec<String> = features
        .iter()
        .flat_map(|name| [format!("mean_{name}"), format!("sd_{name}")])
        .collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    write_table(
        output,
        &header,
        &Columns::Reals(predictions),
        table.total_rows,
        table.kept.as_deref(),
    )?;
    if shared.json {
        json::print(&serde_json::json!({
            "command": "condition",
            "version": env!("CARGO_PKG_VERSION"),
            "rows": table.samples.len(),
            "rows_skipped": table.total_rows - table.samples.len(),
            "given": given,
            "ignored": table.left_out,
            "features": features,
            "output": output.display().to_string(),
        }))?;
    }
    Ok(Outcome::Done)
}

/// The mean and the standard deviation of each remaining feature in turn, row by row.
fn predict(conditional: &Conditional, table: &Table) -> Vec<f64> {
    let (g, r) = (conditional.given().len(), conditional.remaining().len());
    let mut predictions = vec![0.0; table.samples.len() * 2 * r];
    predictions
        .par_chunks_mut(ROWS_A_PIECE * 2 * r)
        .enumerate()
        .for_each(|(piece, predictions)| {
            let (mut row, mut mean, mut sd) = (vec![0.0; g], vec![0.0; r], vec![0.0; r]);
            for (i, prediction) in predictions.chunks_exact_mut(2 * r).enumerate() {
                table.samples.copy_row(piece * ROWS_A_PIECE + i, &mut row);
                conditional.predict(&row, &mut mean, &mut sd);
                let pairs = prediction.chunks_exact_mut(2);
                for (pair, (mean, sd)) in pairs.zip(mean.iter().zip(&sd)) {
                    pair.copy_from_slice(&[*mean, *sd]);
                }
            }
        });
    predictions
}

/// What a user may want to know before the table is believed.
fn note(shared: &Shared, args: &ConditionArgs, table: &Table, predictions: &[f64], width: usize) {
    if shared.quiet {
        return;
    }
    if !table.left_out.is_empty() {
        eprintln!(
            "note: ignored, no features of {}: {}",
            args.model.display(),
            listed(&table.left_out)
        );
    }
    let skipped = table.total_rows - table.samples.len();
    if skipped > 0 {
        eprintln!("note: {skipped} of {} rows left out", table.total_rows);
    }
    let far = predictions
        .chunks_exact(width)
        .filter(|row| row.iter().any(|x| x.is_nan()))
        .count();
    if far > 0 {
        eprintln!("warning: {far} rows are too far away to compute with: left empty");
    }
}

/// A feature's name and its value.
fn parse(text: &str) -> Result<(&str, f64), Failure> {
    // No number holds =, a name may.
    let Some((name, value)) = text.rsplit_once('=') else {
        return Err(Failure::usage(format!("{text}: expected NAME=VALUE")));
    };
    match value.trim().parse() {
        Ok(number) if f64::is_finite(number) => Ok((name.trim(), number)),
        _ => Err(Failure::usage(format!(
            "{text}: {value:?} is not a finite number"
        ))),
    }
}

/// The number of a feature.
fn find(model: &Path, names: &[String], name: &str) -> Result<usize, Failure> {
    names.iter().position(|n| n == name).ok_or_else(|| {
        Failure::run(format!(
            "{}: no feature {name:?}; it has {}",
            model.display(),
            listed(names)
        ))
    })
}

/// The names of the features that are not given.
fn remaining(names: &[String], given: impl Iterator<Item = usize> + Clone) -> Vec<String> {
    names
        .iter()
        .enumerate()
        .filter(|(j, _)| given.clone().all(|g| g != *j))
        .map(|(_, name)| name.clone())
        .collect()
}

/// The first names, quoted, and how many more there are.
fn listed(names: &[String]) -> String {
    let first: Vec<String> = names
        .iter()
        .take(NAMES_LISTED)
        .map(|name| format!("{name:?}"))
        .collect();
    match names.len().saturating_sub(NAMES_LISTED) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}
