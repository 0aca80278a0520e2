//! The packaging of a release: the layout of the archive, which `cargo binstall` relies on, and the Homebrew formula.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const URL: &str = "https://example.com/someone/astro/releases/download/v1.2.3";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn script(name: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(root().join("packaging").join(name));
    command.args(arguments).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn parts(folder: &Path) {
    let names = [
        "astro",
        "astro.cdx.json",
        "astro.1",
        "astro-login.1",
        "astro.bash",
        "_astro",
        "astro.fish",
        "_astro.ps1",
        "astro.elv",
    ];
    for name in names {
        fs::write(folder.join(name), format!("this is {name}\n")).unwrap();
    }
}

#[test]
fn unsafe_code_is_forbidden() {
    assert!(fs::read_to_string(root().join("Cargo.toml")).unwrap().contains("\nunsafe_code = \"forbid\"\n"));
}

#[test]
fn archive_has_program_manual_completions_and_docs() {
    let folder = tempfile::tempdir().unwrap();
    parts(folder.path());
    let (parts, out) = (folder.path().to_str().unwrap(), folder.path().join("out"));
    let target = "x86_64-unknown-linux-musl";
    let pack = || stdout(&script("archive", &[target, &format!("{parts}/astro"), parts, out.to_str().unwrap()]));
    let archive = pack();
    let name = format!("astro-{VERSION}-{target}");
    assert_eq!(archive, format!("{}/{name}.tar.gz\n", out.display()));
    let packed = fs::read(archive.trim_end()).unwrap();

    let listed = Command::new("tar").args(["-tzf", archive.trim_end()]).output().unwrap();
    let listed = stdout(&listed);
    let mut listed: Vec<&str> = listed.lines().filter(|line| !line.ends_with('/')).collect();
    listed.sort_unstable();
    let in_folder = |folder: &str| {
        let entries = fs::read_dir(root().join(folder)).unwrap().map(Result::unwrap);
        let files = entries.filter(|entry| entry.path().is_file());
        files.map(|entry| format!("{name}/{folder}/{}", entry.file_name().display())).collect::<Vec<_>>()
    };
    let mut expected: Vec<String> = [
        "CHANGELOG.md",
        "LICENSE",
        "README.md",
        "SECURITY.md",
        "astro",
        "astro.cdx.json",
        "completions/_astro",
        "completions/_astro.ps1",
        "completions/astro.bash",
        "completions/astro.elv",
        "completions/astro.fish",
        "man/astro-login.1",
        "man/astro.1",
    ]
    .map(|file| format!("{name}/{file}"))
    .to_vec();
    expected.extend(["docs", "docs/images"].into_iter().flat_map(in_folder));
    expected.sort();
    assert_eq!(listed, expected);

    // The archive is reproducible, if tar can omit the time.
    if cfg!(target_os = "linux") {
        assert_eq!(fs::read(pack().trim_end()).unwrap(), packed);
    }
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "needs Python 3.11 and zip"]
fn each_wheel_holds_archive_program_and_is_reproducible() {
    let folder = tempfile::tempdir().unwrap();
    parts(folder.path());
    let parts = folder.path().to_str().unwrap();
    fs::write(folder.path().join("astro.exe"), "this is astro.exe\n").unwrap();
    let out = folder.path().join("out");
    let linux = |processor| format!("manylinux_2_17_{processor}.manylinux2014_{processor}.musllinux_1_1_{processor}");
    let targets = [
        ("x86_64-unknown-linux-musl", linux("x86_64")),
        ("aarch64-unknown-linux-musl", linux("aarch64")),
        ("x86_64-apple-darwin", "macosx_10_12_x86_64".to_owned()),
        ("aarch64-apple-darwin", "macosx_11_0_arm64".to_owned()),
        ("x86_64-pc-windows-msvc", "win_amd64".to_owned()),
    ];
    for (target, platform) in &targets {
        let program = if target.contains("windows") { "astro.exe" } else { "astro" };
        fs::write(folder.path().join(program), format!("the program for {target}\n")).unwrap();
        let archive = script("archive", &[target, &format!("{parts}/{program}"), parts, out.to_str().unwrap()]);
        let (archive, out) = (stdout(&archive), out.to_str().unwrap());
        let wheel = || stdout(&script("wheel", &[archive.trim_end(), out]));
        let path = wheel();
        assert_eq!(path, format!("{out}/astro_login-{VERSION}-py3-none-{platform}.whl\n"));
        let packed = fs::read(path.trim_end()).unwrap();
        wheel();
        assert_eq!(fs::read(path.trim_end()).unwrap(), packed, "{target}");
    }
    let sums = Command::new("sh").args(["-c", "sha256sum *.tar.gz >../sums"]).current_dir(&out).status().unwrap();
    assert!(sums.success());
    let path = out.join("astro-login.rb");
    let formula = stdout(&script("formula", &[VERSION, folder.path().join("sums").to_str().unwrap(), URL]));
    fs::write(&path, &formula).unwrap();
    let finish = |targets: &[&str]| script("finish", &[&[VERSION, out.to_str().unwrap()], targets].concat());
    let error = |targets: &[&str]| String::from_utf8(finish(targets).stderr).unwrap();
    let all = targets.each_ref().map(|(target, _)| *target);
    let listed = stdout(&finish(&all));
    assert_eq!((listed.lines().count(), &listed), (11, &fs::read_to_string(out.join("SHA256SUMS")).unwrap()));

    let swapped = formula
        .replace("x86_64-unknown", "X")
        .replace("aarch64-unknown", "x86_64-unknown")
        .replace('X', "aarch64-unknown");
    let wrong = [
        (swapped, format!("astro-login.rb lacks the checksum of astro-{VERSION}-{}.tar.gz", all[0])),
        (formula.replace(VERSION, "9.9.9"), format!("astro-login.rb is not of {VERSION}")),
    ];
    for (text, reason) in wrong {
        fs::write(&path, text).unwrap();
        assert_eq!(error(&all), format!("error: {reason}\n"));
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(error(&all), "error: there is no astro-login.rb\n");
    fs::write(&path, &formula).unwrap();
    assert!(error(&all[1..]).starts_with("error: of no target: "));
    assert_eq!(
        error(&[&all[..], &["x86_64-unknown-linux-gnu"]].concat()),
        format!("error: there is no astro-{VERSION}-x86_64-unknown-linux-gnu.tar.gz\n")
    );
    let [first, second] =
        [0, 1].map(|index| out.join(format!("astro_login-{VERSION}-py3-none-{}.whl", targets[index].1)));
    fs::copy(&second, &first).unwrap();
    let reason = format!("has not the program of astro-{VERSION}-{}.tar.gz\n", all[0]);
    assert!(error(&all).ends_with(&reason), "{}", error(&all));
    fs::write(&first, "no wheel").unwrap();
    assert_eq!(error(&all), "error: BadZipFile('File is not a zip file')\n");
}

#[test]
fn binstall_names_match_archives() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    for line in [
        "pkg-url = \"{ repo }/releases/download/v{ version }/astro-{ version }-{ target }.tar.gz\"",
        "pkg-url = \"{ repo }/releases/download/v{ version }/astro-{ version }-{ target }.zip\"",
        "bin-dir = \"astro-{ version }-{ target }/{ bin }{ binary-ext }\"",
    ] {
        assert!(manifest.contains(line), "{line}");
    }
}

/// Returns the output of `sha256sum`, and the checksum of each target.
fn sums(folder: &Path, targets: &[&str]) -> (String, Vec<String>) {
    let sums: Vec<String> = (1..=targets.len()).map(|number| format!("{number:064x}")).collect();
    let lines = targets.iter().zip(&sums).map(|(target, sum)| format!("{sum}  astro-1.2.3-{target}.tar.gz\n"));
    let path = folder.join("SHA256SUMS");
    fs::write(&path, lines.collect::<String>()).unwrap();
    (path.to_str().unwrap().to_owned(), sums)
}

const TARGETS: [&str; 4] =
    ["aarch64-apple-darwin", "aarch64-unknown-linux-musl", "x86_64-apple-darwin", "x86_64-unknown-linux-musl"];

#[test]
fn formula_has_checksum_of_each_archive() {
    let folder = tempfile::tempdir().unwrap();
    let (path, sums) = sums(folder.path(), &TARGETS);
    let formula = stdout(&script("formula", &["1.2.3", &path, URL]));
    for (target, sum) in TARGETS.iter().zip(sums) {
        let lines = format!("      url \"{URL}/astro-1.2.3-{target}.tar.gz\"\n      sha256 \"{sum}\"\n");
        assert!(formula.contains(&lines), "{formula}");
    }
    assert!(formula.contains("\n  homepage \"https://example.com/someone/astro\"\n  version \"1.2.3\"\n"), "{formula}");
    assert!(!formula.contains('@'), "{formula}");
}

#[test]
fn missing_checksum_fails_formula() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = sums(folder.path(), &TARGETS[1..]);
    let output = script("formula", &["1.2.3", &path, URL]);
    let error_chain = format!("error: {path} has no checksum of astro-1.2.3-aarch64-apple-darwin.tar.gz\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), error_chain);
    assert_eq!((output.stdout, output.status.code()), (Vec::new(), Some(1)));
}

#[test]
fn changelog_has_this_version() {
    let changelog = fs::read_to_string(root().join("CHANGELOG.md")).unwrap();
    assert!(changelog.contains("\n## [Unreleased]\n"));
    assert!(changelog.contains(&format!("\n## [{VERSION}]")), "{VERSION}");
}

#[test]
fn workflow_actions_are_pinned_by_commit() {
    let mut found = 0;
    for workflow in fs::read_dir(root().join(".github/workflows")).unwrap() {
        let text = fs::read_to_string(workflow.unwrap().path()).unwrap();
        for image in text.lines().filter_map(|line| line.split_once("image: ")).map(|(_, image)| image) {
            assert!(image.split_once("@sha256:").is_some_and(|(_, digest)| digest.len() == 64), "{image}");
        }
        for used in text.lines().filter_map(|line| line.split_once("uses: ")).map(|(_, used)| used) {
            let (_, commit) = used.split_once('@').unwrap();
            let (commit, version) = commit.split_once(" # v").unwrap_or((commit, ""));
            assert!(commit.len() == 40 && commit.bytes().all(|it| it.is_ascii_hexdigit()), "{used}");
            assert!(version.starts_with(|it: char| it.is_ascii_digit()), "{used}");
            found += 1;
        }
    }
    assert!(found > 10, "they are found: {found}");
}
