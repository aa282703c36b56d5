use super::*;
use crate::evaluate::made::{model, results, row, with, with_ring};
use crate::evaluate::record::Run;
use crate::report::is_well_formed;

/// The large numbers of a page, each with what it counts and its class.
fn tiles(page: &str) -> Vec<String> {
    let tiles = page.split("<div class=\"tile ").skip(1);
    tiles.map(|t| t.split("</span>").next().unwrap().replace("</b><span>", " ")).collect()
}

#[test]
fn the_large_numbers_are_counted_over_all_networks() {
    let mut results = results();
    results.models.push(crate::evaluate::record::Model { sha256: "m1".to_owned(), ..model(100) });
    results.rows.push(with_ring(row("zero", None, 0, 0.3, true), true, Some(true)));
    let absent = Outcome::NotApplicable("<b>".to_owned());
    results.rows.push(with(row("zero", None, 1, 0.0, true), absent));
    let mut other = with_ring(row("zero", None, 2, 0.9, true), true, Some(true));
    other.model = "m1".to_owned();
    results.rows.push(other);
    let all_refused = tiles(&page(&results, &[]));
    assert_eq!(all_refused[0], "\"><b>5 attacks measured");
    assert_eq!(all_refused[1], "\"><b>1 did not apply");
    // From 0.9 to 0.05.
    assert_eq!(all_refused[2], "bad\"><b>85.0 points accuracy lost at most");
    assert_eq!(all_refused[3], "good\"><b>2 of 2 refused by DeepRing");
    results.rows.push(with_ring(row("zero", None, 3, 0.3, true), false, None));
    assert_eq!(tiles(&page(&results, &[]))[3], "bad\"><b>2 of 3 refused by DeepRing");
    // Without a ring there is nothing to say of one.
    let without = crate::evaluate::made::results();
    assert_eq!(tiles(&page(&without, &[])).len(), 3);
}

#[test]
fn a_long_table_is_folded_and_a_short_one_is_not() {
    let table = |rows: usize| Table {
        title: "<t>".to_owned(),
        note: "a & b".to_owned(),
        columns: vec!["c", "n"],
        texts: 1,
        rows: (0..rows).map(|i| vec![format!("<{i}>"), i.to_string()]).collect(),
    };
    let (short, long) = (html(&table(FOLDED)), html(&table(FOLDED + 1)));
    assert!(!short.contains("<details>") && short.contains("<h3>&lt;t&gt;</h3>"));
    assert!(long.contains(&format!("<summary>{} rows</summary>", FOLDED + 1)));
    for markup in [&short, &long] {
        assert!(is_well_formed(markup) && markup.contains("<p class=\"fine\">a &amp; b.</p>"));
    }
    let silent = Table { note: String::new(), ..table(1) };
    assert!(!html(&silent).contains("class=\"fine\""));
}

#[test]
fn each_network_has_its_own_drawings_and_what_made_them_is_told() {
    let mut results = results();
    results.runs = vec![Run {
        command: "deepring <evaluate>".to_owned(),
        version: "1".to_owned(),
        date: "2026-01-01".to_owned(),
        cpu: "cpu & more".to_owned(),
        cores: 2,
        optimised: false,
        seeds: 3,
        check: "run".to_owned(),
        settings: "0123456789abcdef0123".to_owned(),
    }];
    let plot = |model: &str, title: &str| Plot {
        name: title.to_owned(),
        model: model.to_owned(),
        title: format!("<{title}>"),
        svg: format!("<svg id=\"{title}\"></svg>"),
    };
    let page = page(&results, &[plot("m0", "own"), plot("m9", "foreign")]);
    assert!(is_well_formed(&page));
    assert!(page.contains("id=\"own\"") && page.contains("&lt;own&gt;"));
    assert!(!page.contains("foreign"));
    let told = "2026-01-01: deepring &lt;evaluate&gt; (version 1; cpu &amp; more, 2 cores, not an optimised \
                build: its times say nothing; 3 seeds; check run; settings 0123456789abcdef)";
    assert!(page.contains(told), "{page}");
}
