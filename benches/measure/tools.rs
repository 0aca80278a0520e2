//! The tools that measure: hyperfine, time, valgrind and strace, each run on one command in an environment of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A command line, with all that it is given.
#[derive(Clone, Default)]
pub(crate) struct Line {
    words: Vec<String>,
    environment: Vec<(String, String)>,
    stdin: Option<PathBuf>,
    /// What is run before each time.
    prepare: Option<String>,
}

impl Line {
    pub(crate) fn new(program: &Path, arguments: &[&str]) -> Self {
        let words = [program.to_str().unwrap()].into_iter().chain(arguments.iter().copied());
        Self { words: words.map(str::to_owned).collect(), ..Self::default() }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn stdin(mut self, file: &Path) -> Self {
        self.stdin = Some(file.to_owned());
        self
    }

    pub(crate) fn after(mut self, prepare: String) -> Self {
        self.prepare = Some(prepare);
        self
    }

    /// Runs it to its end, which must be a good one, through another program.
    pub(crate) fn run(&self, through: &[&str]) -> String {
        if let Some(prepare) = &self.prepare {
            let words: Vec<&str> = prepare.split(' ').collect();
            assert!(Command::new(words[0]).args(&words[1..]).status().unwrap().success());
        }
        let words: Vec<&str> = through.iter().copied().chain(self.words.iter().map(String::as_str)).collect();
        let mut command = self.command(words[0]);
        command.args(&words[1..]);
        if let Some(file) = &self.stdin {
            command.stdin(fs::File::open(file).unwrap());
        }
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words:?}: {stderr}");
        stderr
    }

    /// The median of the time it takes, in milliseconds.
    pub(crate) fn milliseconds(&self, runs: usize) -> f64 {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut hyperfine = self.command("hyperfine");
        hyperfine.args(["-N", "--warmup", "3", "--runs", &runs.to_string(), "--export-json"]).arg(file.path());
        if let Some(prepare) = &self.prepare {
            hyperfine.args(["--prepare", prepare]);
        }
        let quoted: Vec<String> = self.words.iter().map(|word| format!("'{word}'")).collect();
        let mut line = quoted.join(" ");
        if let Some(stdin) = &self.stdin {
            // Older ones have no `--input`, and a small shell that becomes the program costs half a millisecond.
            line = format!("sh -c \"exec {line} <'{}'\"", stdin.display());
        }
        let output = hyperfine.arg(&line).output().expect("hyperfine is installed");
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        let measured: serde_json::Value = serde_json::from_slice(&fs::read(file.path()).unwrap()).unwrap();
        measured["results"][0]["median"].as_f64().unwrap() * 1000.0
    }

    /// The most memory that was resident at once, in megabytes.
    pub(crate) fn megabytes(&self) -> f64 {
        let file = tempfile::NamedTempFile::new().unwrap();
        self.run(&["/usr/bin/time", "--format", "%M", "--output", file.path().to_str().unwrap()]);
        let kilobytes: f64 = fs::read_to_string(file.path()).unwrap().trim().parse().unwrap();
        kilobytes * 1024.0 / 1e6
    }

    /// How many millions of instructions it takes in user space.
    pub(crate) fn instructions(&self) -> f64 {
        let options = ["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"];
        let told = self.run(&["valgrind", options[0], options[1], options[2]]);
        let (_, count) = told.lines().find(|line| line.contains("refs:")).unwrap().split_once("refs:").unwrap();
        count.trim().replace(',', "").parse::<f64>().unwrap() / 1e6
    }

    /// How many threads it starts and how many sockets it opens. The pair by which the runtime hears of signals goes
    /// nowhere, and does not count.
    pub(crate) fn threads_and_sockets(&self) -> usize {
        let file = tempfile::NamedTempFile::new().unwrap();
        let calls = "trace=clone,clone3,fork,vfork,socket";
        self.run(&["strace", "-f", "-qq", "-e", "signal=none", "-e", calls, "-o", file.path().to_str().unwrap()]);
        fs::read_to_string(file.path()).unwrap().lines().filter(|line| !line.contains("resumed")).count()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/bin:/bin").envs(self.environment.iter().cloned()).stdin(Stdio::null());
        command
    }
}

impl From<Line> for Command {
    fn from(line: Line) -> Self {
        let mut command = line.command(&line.words[0]);
        command.args(&line.words[1..]);
        command
    }
}
