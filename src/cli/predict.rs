//! `wgmm predict MODEL DATA -o OUT`.

use wgmm::data::check_writable;
use wgmm::em::{self, Options};
use wgmm::mixture::label;

use super::args::{PredictArgs, Shared};
use super::failure::{Failure, Outcome};
use super::input::read_model;
use super::json;
use super::output::{Column, TABLES, write_table};

pub(crate) fn run(shared: &Shared, args: &PredictArgs) -> Result<Outcome, Failure> {
    let model = read_model(&args.model)?;
    check_writable(&args.output, TABLES)?;
    let options = shared.evaluation(model.len())?;
    let table = args.data.read_for(&args.model, &model)?;
    let (k, n) = (model.len(), table.samples.len());
    let mut labels = Vec::new();
    let mut shares: Vec<Vec<f64>> = vec![Vec::new(); if args.proba { k } else { 0 }];
    let device = em::evaluate(&model, &table.samples, &options, &mut |part| {
        for row in part.responsibilities.chunks_exact(k) {
            if args.proba {
                shares.iter_mut().zip(row).for_each(|(column, r)| column.push(*r));
            } else {
                labels.push(label(row));
            }
        }
    })
    .map_err(|e| Failure::fit(&args.data.data, &table.features, &shared.device, e))?;
    let columns: Vec<Column> = if args.proba {
        let named = |(k, values)| Column::Numbers { name: format!("p{k}"), values };
        shares.into_iter().enumerate().map(named).collect()
    } else {
        vec![Column::Labels { name: "label".to_owned(), values: labels }]
    };
    write_table(&args.output, &columns, table.total_rows, table.kept.as_deref())?;
    if shared.json {
        json::print(&serde_json::json!({
            "command": "predict",
            "version": env!("CARGO_PKG_VERSION"),
            "rows": n,
            "rows_skipped": table.total_rows - n,
            "components": k,
            "device": device,
            "output": args.output.display().to_string(),
        }))?;
    }
    Ok(Outcome::Done)
}

impl Shared {
    /// Options for evaluating a given model: in double precision unless asked otherwise.
    pub(crate) fn evaluation(&self, k: usize) -> Result<Options, Failure> {
        Ok(Options {
            device: self.device()?,
            precision: match self.precision() {
                em::PrecisionChoice::Auto if self.device == "auto" || self.device == "cpu" => {
                    em::PrecisionChoice::F64
                }
                other => other,
            },
            ..Options::new(k)
        })
    }
}
