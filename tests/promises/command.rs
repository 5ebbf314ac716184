//! The command as users and their scripts meet it: exit codes, both streams, files, JSON.

mod devices;
mod fits;
mod models;
mod refusals;

use serde_json::Value;

use crate::util::Dir;

/// Two groups of a hundred rows, on no line.
fn table() -> String {
    let mut text = "x,y,w,site\n".to_owned();
    for i in 0..200u32 {
        let (a, b) = (
            f64::from(i * 37 % 101) / 50.0,
            f64::from(i * 53 % 97) / 40.0,
        );
        let far = f64::from(i % 2) * 10.0;
        text.push_str(&format!("{},{},{},north\n", far + a, b - far, 1 + i % 3));
    }
    text
}

fn fitted(dir: &Dir, more: &[&str]) -> Value {
    dir.wgmm()
        .args(["fit", "t.csv", "--columns", "x,y", "-k", "2", "--json"])
        .args(more)
        .run()
        .assert_success()
        .json()
}
