//! Keeps docs/dependencies.md true: it has a line for each direct dependency in Cargo.toml, and for no other.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Returns the dependencies in the tables of Cargo.toml of this kind, of all targets.
fn declared(manifest: &str, kind: &str) -> BTreeSet<String> {
    let is_meant = |table: &&str| {
        let name = table.lines().next().and_then(|line| line.strip_suffix(']'));
        name.and_then(|name| name.rsplit('.').next()) == Some(kind)
    };
    let tables = manifest.split("\n[").filter(is_meant);
    let names = tables.flat_map(|table| table.lines().skip(1)).filter_map(|line| line.split_once(" = "));
    names.map(|(name, _)| name.to_owned()).collect()
}

/// Returns the first column of the table below this heading.
fn explained(page: &str, heading: &str) -> BTreeSet<String> {
    let section = page.split("\n## ").find(|section| section.starts_with(heading)).unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    rows.filter(|name| *name != "crate").map(str::to_owned).collect()
}

#[test]
fn every_dependency_has_a_reason() {
    let (manifest, page) = (read("Cargo.toml"), read("docs/dependencies.md"));
    for (kind, heading) in [("dependencies", "In the program"), ("dev-dependencies", "In the tests alone")] {
        let declared = declared(&manifest, kind);
        assert!(declared.len() > 5, "{declared:?}");
        assert_eq!(explained(&page, heading), declared, "{kind}");
    }
}

#[test]
fn unsafe_code_is_forbidden() {
    assert!(read("Cargo.toml").contains("\nunsafe_code = \"forbid\"\n"));
}
