//! The folder that `scripts/release --dry-run 99.0.0 "$RELEASE"` has left.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const VERSION: &str = "99.0.0";

/// Returns the standard output of a command in the folder of the release, which must succeed.
fn run(folder: &Path, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[ignore = "needs a release in $RELEASE"]
#[expect(clippy::disallowed_methods, reason = "the folder is new in each run")]
fn release_folder_is_complete_and_of_one_version() {
    let folder = PathBuf::from(std::env::var_os("RELEASE").unwrap());
    let names: BTreeSet<String> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let targets: Vec<String> = names
        .iter()
        .filter_map(|name| name.strip_suffix(".tar.gz"))
        .map(|name| name.strip_prefix(&format!("astro-{VERSION}-")).unwrap().to_owned())
        .collect();
    assert!(!targets.is_empty());

    let mut expected: BTreeSet<String> = ["SHA256SUMS", "astro-login.rb"].map(String::from).into();
    for target in &targets {
        let processor = target.split('-').next().unwrap();
        expected.insert(format!("astro-{VERSION}-{target}.tar.gz"));
        expected.insert(match target.strip_prefix(processor).unwrap() {
            "-unknown-linux-gnu" => {
                let processor = if processor == "aarch64" { "arm64" } else { "amd64" };
                format!("astro-login_{VERSION}-1_{processor}.deb")
            }
            "-unknown-linux-musl" => format!(
                "astro_login-{VERSION}-py3-none-manylinux_2_17_{processor}.manylinux2014_{processor}.musllinux_1_1_{processor}.whl"
            ),
            other => panic!("{other}"),
        });
    }
    assert_eq!(names, expected);

    let checked = run(&folder, "sha256sum", &["--check", "--strict", "SHA256SUMS"]);
    let checked: BTreeSet<String> = checked.lines().map(|line| line.strip_suffix(": OK").unwrap().to_owned()).collect();
    assert_eq!(checked, &names - &BTreeSet::from(["SHA256SUMS".to_owned()]));

    for target in &targets {
        let name = format!("astro-{VERSION}-{target}");
        let read = |file: &str| run(&folder, "tar", &["-xzOf", &format!("{name}.tar.gz"), &format!("{name}/{file}")]);
        assert!(read("CHANGELOG.md").contains(&format!("\n## [Unreleased]\n\n## [{VERSION}] - 20")), "{target}");
        assert!(read("man/astro.1").contains(VERSION), "{target}");
        let bom: Value = serde_json::from_str(&read("astro.cdx.json")).unwrap();
        assert_eq!(
            (&bom["bomFormat"], &bom["metadata"]["component"]["version"]),
            (&"CycloneDX".into(), &VERSION.into())
        );
        assert_eq!(bom["metadata"]["properties"][0]["value"], target.as_str());
        assert_eq!(bom["metadata"]["component"]["bom-ref"], format!("path+file:///astro-login#astro-login@{VERSION}"));
    }
    for deb in names.iter().filter(|name| name.starts_with("astro-login_")) {
        assert_eq!(run(&folder, "dpkg-deb", &["--field", deb, "Version"]), format!("{VERSION}-1\n"));
    }
    let formula = fs::read_to_string(folder.join("astro-login.rb")).unwrap();
    assert!(formula.contains(&format!("\n  version \"{VERSION}\"\n")), "{formula}");

    let changelog = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("CHANGELOG.md")).unwrap();
    let (_, unreleased) = changelog.split_once("\n## [Unreleased]\n").unwrap();
    let unreleased = unreleased.split("\n## [").next().unwrap();
    let notes = fs::read_to_string(folder.with_extension("notes.md")).unwrap();
    let unreleased = unreleased.trim();
    assert_eq!(notes.trim(), if unreleased.is_empty() { "Nothing that users notice." } else { unreleased });
}
