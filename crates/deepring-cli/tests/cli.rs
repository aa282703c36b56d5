//! Recorded cases: what the command prints and how it exits, one behaviour a file.

/// `TRYCMD=overwrite` records anew; what is random or timed must then be replaced by `[..]` again. A case with
/// files has them in its `.in` folder; its `.out` folder is what makes trycmd run it in a copy of that one.
#[test]
fn recorded_cases() {
    // What a build says depends on whether it has the second engine.
    let other = if cfg!(feature = "ort") { "without-ort" } else { "with-ort" };
    trycmd::TestCases::new()
        .env("DEEPRING_TRUST", "trust.json")
        .env("NO_COLOR", "1")
        .env("COLUMNS", "100")
        .case("tests/cmd/*.trycmd")
        .skip(format!("tests/cmd/{other}.trycmd"));
}
