//! `wgmm sample MODEL -n N -o OUT`.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use wgmm::data::{TABLE_ENDINGS, check_writable};

use super::args::{SampleArgs, Shared};
use super::failure::{Failure, Outcome};
use super::input::{feature_names, read_model};
use super::json;
use super::output::{Columns, write_table};

pub(crate) fn run(shared: &Shared, args: &SampleArgs) -> Result<Outcome, Failure> {
    if args.n == 0 {
        return Err(Failure::usage("-n 0: at least 1 row can be drawn"));
    }
    let model = read_model(&args.model)?;
    check_writable(&args.output, &TABLE_ENDINGS)?;
    let mut rng = ChaCha8Rng::seed_from_u64(shared.seed);
    let (values, _) = model.sample(args.n, &mut rng);
    let names = feature_names(&model);
    let header: Vec<&str> = names.iter().map(String::as_str).collect();
    write_table(&args.output, &header, &Columns::Reals(values), args.n, None)?;
    if shared.json {
        json::print(&serde_json::json!({
            "command": "sample",
            "version": env!("CARGO_PKG_VERSION"),
            "rows": args.n,
            "seed": shared.seed,
            "output": args.output.display().to_string(),
        }))?;
    }
    Ok(Outcome::Done)
}
