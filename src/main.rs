//! `astro`, the binary: argv and the environment go in, an exit code comes out.

use std::process::ExitCode;

use astro_login::cli;
use astro_login::environment::Environment;

#[expect(clippy::disallowed_methods, reason = "the one place where the environment is read")]
fn main() -> ExitCode {
    cli::run(std::env::args_os(), Environment::new(std::env::vars_os()))
}
