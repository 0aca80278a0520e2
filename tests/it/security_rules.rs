//! Checks docs/security.md: each rule is listed once and has a test with its id in the name, and each named file exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const GROUPS: [(&str, usize); 6] = [("AR", 20), ("LB", 28), ("TK", 11), ("JW", 18), ("CL", 19), ("RF", 21)];

/// Reads a file of the project. A missing file counts as empty.
fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap_or_default()
}

fn known_ids() -> Vec<String> {
    GROUPS.iter().flat_map(|(group, last)| (1..=*last).map(move |number| format!("{group}-{number}"))).collect()
}

/// Returns the rules in the tables of the page, as id and text.
fn rules(page: &str) -> Vec<(&str, &str)> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "));
    rows.filter(|(id, _)| GROUPS.iter().any(|(group, _)| id.strip_prefix(group).is_some_and(|n| n.starts_with('-'))))
        .collect()
}

/// Adds the names of all test functions in the files below `folder`.
fn test_names(folder: &Path, names: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            test_names(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(path).unwrap();
            let mut is_test = false;
            for line in source.lines().map(str::trim_start) {
                let function = line.strip_prefix("async fn ").or_else(|| line.strip_prefix("fn "));
                match function.and_then(|rest| rest.split_once('(')) {
                    Some((name, _)) if is_test => names.push(name.to_owned()),
                    _ => {}
                }
                // Other attributes, and comments, may stand between `#[test]` and the function.
                is_test = line.starts_with("#[test]")
                    || line.starts_with("#[tokio::test")
                    || is_test && (line.starts_with("#[") || line.starts_with("//"));
            }
        }
    }
}

/// Returns the ids at the beginning of a test's name: `lb_3_lb_10_port_taken` has LB-3 and LB-10.
fn ids(name: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let mut parts = name.split('_');
    while let Some((group, number)) = parts.next().zip(parts.next()) {
        let group = group.to_ascii_uppercase();
        if !GROUPS.iter().any(|(known, _)| *known == group) || number.parse::<u8>().is_err() {
            break;
        }
        ids.push(format!("{group}-{number}"));
    }
    ids
}

#[test]
fn rules_are_listed_once_and_in_order() {
    let page = read("docs/security.md");
    let listed: Vec<&str> = rules(&page).into_iter().map(|(id, _)| id).collect();
    assert_eq!(listed, known_ids());
}

#[test]
fn ids_are_parsed_from_test_names() {
    assert_eq!(ids("lb_1_ar_19_rf_2_link_is_sent"), ["LB-1", "AR-19", "RF-2"]);
    assert_eq!(ids("lb_19_page"), ["LB-19"]);
    assert_eq!(ids("link_lb_1_page"), [""; 0]);
}

#[test]
fn rules_have_a_test_unless_they_do_not_apply() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names = Vec::new();
    test_names(&root.join("src"), &mut names);
    test_names(&root.join("tests"), &mut names);
    assert!(names.len() > 500, "{}", names.len());
    let tested: BTreeSet<String> = names.iter().flat_map(|name| ids(name)).collect();

    let page = read("docs/security.md");
    for (id, text) in rules(&page) {
        assert!(tested.contains(id) || text.contains("; does not apply: "), "no test has the id of {id}: {text}");
    }
    let known: BTreeSet<String> = known_ids().into_iter().collect();
    let unknown: Vec<&String> = tested.difference(&known).collect();
    assert!(unknown.is_empty(), "{unknown:?} are not in docs/security.md");
}

#[test]
fn tables_name_the_files_of_their_rules() {
    let page = read("docs/security.md");
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
