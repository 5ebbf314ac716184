//! `wgmm predict MODEL DATA -o OUT`.

use wgmm::data::{TABLE_ENDINGS, check_writable};
use wgmm::em::{self, Options};

use super::args::{PredictArgs, Shared};
use super::failure::{Failure, Outcome};
use super::input::read_model;
use super::json;
use super::output::{Columns, write_table};

pub(crate) fn run(shared: &Shared, args: &PredictArgs) -> Result<Outcome, Failure> {
    let model = read_model(&args.model)?;
    check_writable(&args.output, &TABLE_ENDINGS)?;
    let options = shared.evaluation(model.len())?;
    let table = args.data.read_for(&args.model, &model)?;
    let (k, n) = (model.len(), table.samples.len());
    let shares = model.n_responsibilities();
    let mut labels = Vec::new();
    let mut responsibilities = Vec::new();
    let device = em::evaluate(&model, &table.samples, &options, &mut |part| {
        if args.proba {
            responsibilities.extend_from_slice(part.responsibilities);
        } else {
            let rows = part.responsibilities.chunks_exact(shares);
            labels.extend(rows.map(|row| model.label(row)));
        }
    })
    .map_err(|e| Failure::fit(&args.data.data, &table.features, &shared.device, e))?;
    let (header, columns) = if args.proba {
        (
            (0..k)
                .map(|k| format!("p{k}"))
                .chain(model.noise().map(|_| "noise".to_owned()))
                .collect(),
            Columns::Reals(responsibilities),
        )
    } else {
        (vec!["label".to_owned()], Columns::Labels(labels))
    };
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    write_table(
        &args.output,
        &header,
        &columns,
        table.total_rows,
        table.kept.as_deref(),
    )?;
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
            gpu_memory: self.gpu_memory(),
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
