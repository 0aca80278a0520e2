use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::super::{Context, Document, DocumentError};
use super::*;
use crate::domain::Domain;

/// Block whose meaning hangs on those around them, or that are more than a line.
const ODD: [&str; 54] = [
    "",
    "  ",
    "# note",
    "        # note",
    "---",
    "...",
    "... # note",
    "- x",
    "    - x",
    "? x",
    ": x",
    "\t",
    "\t# note",
    "    b: |",
    "    b: |+",
    "        text: >2-",
    "            more",
    "     more",
    "        c:",
    "    c:   # note",
    "c:",
    "        d: &a x",
    "        e: *a",
    "        <<: *a",
    "    f: {g: h,",
    "        i: j}",
    "    k: [l] # note",
    "        'm",
    "        n': o",
    "        p: q\r",
    "        r: s\u{85}",
    "        t: \"u\u{2028}v\"",
    "    \u{feff}w: x",
    "        é: ü",
    "contexts:",
    "Contexts:",
    "contexts: {}",
    "other:",
    "    pr1001_astronomer-dev_io:",
    "    PR1001_astronomer-dev_io:",
    "    \"pr1001_astronomer-dev_io\":",
    "        domain: pr1001.astronomer-dev.io",
    "        Domain: ''",
    "        token: \"x\" # note",
    "            token: x",
    "       token: x",
    "        token: a: b",
    "        token: a:",
    "        token: \"a",
    "        \"a: b\": c",
    "        note: a\u{1}\u{b}\u{7f}",
    "    contexts:",
    "    other_io: x",
    "   other_io:",
];

/// A file as the Go CLI writes it, with a few lines that it never would.
fn text() -> impl Strategy<Value = String> {
    let context = |number: usize| {
        let below = "token: \"\"\n        more: 'b c: d'\n        workspace: x\n";
        format!(
            "    pr100{number}_astronomer-dev_io:\n        domain: pr100{number}.astronomer-dev.io\n        {below}"
        )
    };
    let odd = prop::collection::vec((any::<Index>(), select(&ODD[..])), 0..3);
    (odd, 1..7_usize, any::<bool>(), select(vec!["\n", "", "\n\n", "\r\n"])).prop_map(
        move |(odd, count, first, end)| {
            let contexts: String = (0..count).map(context).collect();
            let mut text = format!("project:\n    name: x y\nother: z\ncontexts:\n{contexts}");
            if first {
                text.insert_str(0, "context: pr1000.astronomer-dev.io\n");
            } else {
                text.push_str("context: pr1000.astronomer-dev.io\n");
            }
            let mut lines: Vec<&str> = text.lines().collect();
            for (index, line) in odd {
                lines.insert(index.index(lines.len() + 1), line);
            }
            lines.join("\n") + end
        },
    )
}

#[derive(Debug, Clone, Copy)]
enum Change {
    Switch,
    LogIn,
    Update,
    Clear,
    Delete,
}

fn change(document: &mut Document, change: Change, domain: &Domain) -> Result<(), DocumentError> {
    match change {
        Change::Switch => document.set_current_context(Some(domain.as_str())),
        Change::LogIn => document.update_context(domain, |context| {
            *context = Context { user_email: Some("a@b.c".into()), workspace: Some("w".into()), ..Context::default() };
        }),
        Change::Update => document.update_context(domain, |context| context.organization = Some("o".into())),
        Change::Clear => document.clear_context(domain),
        Change::Delete => document.delete_context(domain),
    }
}

fn same(one: &Document, other: &Document) -> Result<(), TestCaseError> {
    prop_assert_eq!(one.as_str(), other.as_str());
    prop_assert_eq!(one.contexts(), other.contexts());
    prop_assert_eq!(one.domains(), other.domains());
    prop_assert_eq!(one.current_context(), other.current_context());
    Ok(())
}

/// How many of the contexts of this file, with `line` in the second, are left out.
fn left_out(line: &str) -> usize {
    let context = |key: &str| format!("    {key}:\n        domain: x\n        token: \"\"\n");
    let contexts = [context("a_io"), context("b_io") + line, context("c_io"), context("d_io"), context("\"e:1\"")];
    let text = Arc::new(format!("project:\n    name: x y\ncontexts:\n{}context: x\n", contexts.concat()));
    LeftOut::of(&text).map_or(0, |(left_out, _)| left_out.contexts.len())
}

#[test]
fn what_programs_write_is_left_out() {
    for line in [
        "",
        "        expiresin: 2026-11-24T10:00:00.5+02:00\n",
        "        refreshtoken: a.b-c_d\n",
        "        user_email: ada@example.com\n",
        "        name: it's [a] {b} \"c\" & *d, |e>\n",
        "        url: https://example.com:8080/a?b=c\n",
        "        more: 'a # b: c'\n",
    ] {
        assert_eq!(left_out(line), 3, "{line:?}");
    }
}

#[test]
fn what_is_not_plain_stays() {
    for line in [
        "# note\n",
        "\n",
        "        token: x\n",
        "        Name: x\n",
        "        name:\n",
        "            name: x\n",
        "      name: x\n",
    ] {
        assert_eq!(left_out(line), 2, "{line:?}");
    }
}

#[test]
fn a_context_whose_name_has_capitals_stays() {
    assert_eq!(left_out("    Z_io:\n        domain: x\n"), 3);
    assert_eq!(left_out("    z_io:\n        domain: x\n"), 4);
}

#[test]
fn an_edit_brings_in_what_it_edits_alone() {
    let context =
        |number: usize| format!("    pr{number}_astronomer-dev_io:\n        domain: pr{number}.astronomer-dev.io\n");
    let text = format!("contexts:\n{}context: x\n", (1000..1006).map(context).collect::<String>());
    for (what, number, left) in [
        (Change::Switch, 1001, 4),
        (Change::LogIn, 1009, 4),
        (Change::LogIn, 1001, 3),
        (Change::Update, 1000, 3),
        (Change::Update, 1005, 4),
        (Change::Clear, 1001, 3),
        (Change::Delete, 1001, 3),
        (Change::Delete, 1005, 4),
    ] {
        let mut document = Document::parse(text.as_str()).unwrap();
        change(&mut document, what, &format!("pr{number}.astronomer-dev.io").parse().unwrap()).unwrap();
        assert_eq!(document.0.left_out.contexts.len(), left, "{what:?} {number}");
    }
}

#[test]
fn what_was_left_out_fits_only_between_others() {
    let context = |key: &str| format!("    {key}:\n        domain: x\n");
    let rest = ["contexts:\n", &context("b_io"), &context("c_io"), "context: x\n"].concat();
    let text = rest.replacen("    b_io", &(context("a_io") + "    b_io"), 1);
    let (left_out, excerpt) = LeftOut::of(&Arc::new(text.clone())).unwrap();
    assert_eq!(excerpt, rest);
    let put_into = |excerpt: &str, splices: &[Splice]| Some(left_out.moved(splices, excerpt)?.put_into(excerpt));
    assert_eq!(put_into(&rest, &[]), Some(text.clone()));
    let first = ("x: y\n".to_owned() + &rest, "x: y\n".to_owned() + &text);
    assert_eq!(put_into(&first.0, &[(0..0, "x: y\n".to_owned())]), Some(first.1));
    assert_eq!(put_into(&rest.replace("    ", "  "), &[]), None);
    assert_eq!(put_into(&rest.replace("b_io", "a_io"), &[]), None);
    assert_eq!(put_into(&rest.replace("b_io", "A_io"), &[]), None);
    assert_eq!(put_into(&rest.replace("domain: x", "domain: [x]"), &[]), None);
    assert_eq!(put_into(&rest, &[(0..12, "contexts:\n  ".to_owned())]), None);
}

#[test]
fn a_file_that_is_not_plain_stays_whole() {
    for line in [
        "        name: aé\n",
        "        name: a\tb\n",
        "        name: a\r\n",
        "        name: a: b\n",
        "        name: a:\n",
        "        name: a # b\n",
        "        name: a \n",
        "        name:  a\n",
        "        name: \"a\n",
        "        name: \"a\\x\"\n",
        "        name: 'a''b'\n",
        "        name: [a]\n",
        "        name: |\n",
        "        name: &a b\n",
        "        name: *a\n",
        "        name: !a b\n",
        "        - name\n",
        "        ? name\n",
        "        <<: x\n",
        "        name\n",
        "  name: x\n",
        "    c_io:\n",
        "    C_io: x\n",
        "---\n",
    ] {
        assert_eq!(left_out(line), 0, "{line:?}");
    }
    assert_eq!(left_out(&format!("        {}: x\n", "n".repeat(LONGEST_KEY + 1))), 0);
}

proptest! {
    #[test]
    fn an_excerpt_says_and_becomes_what_the_whole_does(
        text in text(),
        changes in prop::collection::vec((
            select(&[Change::Switch, Change::LogIn, Change::Update, Change::Clear, Change::Delete][..]),
            0..8_usize,
        ), 0..4),
    ) {
        let (excerpt, whole) = (Document::parse(text.as_str()), Document::parse_whole(text));
        let (mut excerpt, mut whole) = match (excerpt, whole) {
            (Ok(excerpt), Ok(whole)) => (excerpt, whole),
            (excerpt, whole) => {
                prop_assert_eq!(excerpt.err(), whole.err());
                return Ok(());
            }
        };
        same(&excerpt, &whole)?;
        for (what, number) in changes {
            let domain: Domain = format!("pr100{number}.astronomer-dev.io").parse().unwrap();
            prop_assert_eq!(excerpt.context(&domain), whole.context(&domain));
            prop_assert_eq!(change(&mut excerpt, what, &domain), change(&mut whole, what, &domain));
            same(&excerpt, &whole)?;
            same(&excerpt, &Document::parse_whole(whole.as_str().to_owned()).unwrap())?;
        }
    }
}
