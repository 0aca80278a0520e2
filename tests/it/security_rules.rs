//! Keeps docs/security.md true: each rule is listed once, and each file and test it names exists.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// How many rules each group has.
const GROUPS: [(&str, usize); 6] = [("AR", 20), ("LB", 27), ("TK", 11), ("JW", 18), ("CL", 19), ("RF", 15)];

/// A file of the project. One that cannot be read is as good as an empty one: it holds no rule and no test.
fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap_or_default()
}

fn page() -> String {
    read("docs/security.md")
}

/// The rules in the page's tables: their ids and what covers them.
fn rules(page: &str) -> Vec<(&str, &str)> {
    let cells = page.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let rows = cells.map(|line| line.split(" | ").collect::<Vec<_>>());
    let rows = rows.filter_map(|row| if let [id, _, covers] = row[..] { Some((id, covers)) } else { None });
    rows.filter(|(id, _)| GROUPS.iter().any(|(group, _)| id.strip_prefix(group).is_some_and(|n| n.starts_with('-'))))
        .collect()
}

/// The tests named in a text, as `file::name`: what stands between backticks and holds two colons.
fn named(text: &str) -> Vec<(&str, &str)> {
    text.split('`').skip(1).step_by(2).filter_map(|code| code.split_once("::")).collect()
}

#[test]
fn each_rule_is_listed_once_and_in_order() {
    let page = page();
    let listed: Vec<&str> = rules(&page).into_iter().map(|(id, _)| id).collect();
    let known: Vec<String> =
        GROUPS.iter().flat_map(|(group, last)| (1..=*last).map(move |number| format!("{group}-{number}"))).collect();
    assert_eq!(listed, known);
}

#[test]
fn each_rule_names_a_test_or_says_why_not() {
    for (id, covers) in rules(&page()) {
        assert!(covers.contains("does not apply") || !named(covers).is_empty(), "{id}: {covers}");
        assert!(!covers.contains("not tested yet"), "{id}: {covers}");
    }
}

#[test]
fn each_table_says_which_files_keep_its_rules_and_they_exist() {
    let page = page();
    let tables = page.split("\n## ").filter(|section| section.contains("| id |"));
    let mut count = 0;
    for table in tables {
        let (head, _) = table.split_once("| id |").unwrap_or_default();
        let files: Vec<&str> = head.split('`').skip(1).step_by(2).filter(|code| code.starts_with("src/")).collect();
        assert!(head.contains("\n\nKept by ") && files.len() > 2, "{head}");
        for file in files {
            assert!(!read(file).is_empty(), "there is no {file}");
        }
        count += 1;
    }
    assert_eq!(count, GROUPS.len());
}

#[test]
fn each_test_that_is_named_exists() {
    let page = page();
    let mut sources = BTreeMap::new();
    // `file::test` explains the notation.
    for (file, name) in named(&page).into_iter().filter(|test| *test != ("file", "test")) {
        let source = sources.entry(file).or_insert_with(|| read(file));
        assert!(source.contains(&format!("fn {name}(")), "{file} has no test {name}");
    }
    assert!(sources.len() > 10, "{:?}", sources.keys());
}
