//! Recorded cases: what the command prints and how it exits, one behaviour a file.

/// `TRYCMD=overwrite` records anew; what is random or timed must then be replaced by `[..]` again. A case with
/// files has them in its `.in` folder; its `.out` folder is what makes trycmd run it in a copy of that one.
#[test]
fn recorded_cases() {
    // What a build says depends on whether it has the second engine.
    let other = if cfg!(feature = "ort") { "without-ort" } else { "with-ort" };
    let cases = trycmd::TestCases::new();
    // What a host for production does not have.
    if !cfg!(feature = "attacks") {
        for name in ["help", "help-attack", "help-demo", "help-evaluate", "help-quantise"] {
            cases.skip(format!("tests/cmd/{name}.trycmd"));
        }
    }
    cases
        .env("DEEPRING_TRUST", "trust.json")
        .env("NO_COLOR", "1")
        .env("COLUMNS", "100")
        .case("tests/cmd/*.trycmd")
        .skip(format!("tests/cmd/{other}.trycmd"));
}
