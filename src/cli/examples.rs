//! The texts below the options in a command's help: examples, environment variables and exit codes.

use clap::builder::StyledStr;

const EXIT_CODES: &str = "Exit codes:
  0    success
  1    failed: network, storage, or another problem on this machine
  2    invalid command line
  4    not authenticated: the login or the token was refused
  130  canceled";

const ENVIRONMENT: &str = "Environment:
  ASTRO_DOMAIN                Default domain
  ASTRO_API_TOKEN             Token that overrides any login; never stored
  ASTRO_HOME                  Directory of .astro/config.yaml, if not your home
  ASTRO_NO_INSECURE_FALLBACK  Set to 1 to fail instead of saving credentials
                              unencrypted";

const MAIN: &str = "  astro login                     log in with the browser
  astro auth status               show who is logged in, and until when
  astro auth doctor               diagnose login problems
  astro help login                show every option of a command";

const LOGIN: &str = "  astro login                              log in with the browser
  astro login --login-link                 log in with a browser elsewhere
  printenv ASTRO_JWT | astro login -t -    log in without a browser, as in CI
  astro login --organization acme --workspace etl";

const LOGOUT: &str = "  astro logout                    log out of the current domain
  astro logout astronomer.io      log out of this domain
  astro logout --all              log out of all domains";

const AUTH: &str = "  astro auth status               show who is logged in, and until when
  astro auth token                print a token for other programs
  astro auth doctor               diagnose login problems";

const STATUS: &str = "  astro auth status               show the stored login
  astro auth status --check       also verify the token with the API
  astro auth status --json | jq -r .state";

const DOCTOR: &str = "  astro auth doctor               diagnose login problems
  astro auth doctor --json | jq -r .would";

const TOKEN: &str = "  printf 'Authorization: Bearer %s' \"$(astro auth token)\" |
    curl --header @- https://api.astronomer.io/v1/organizations";

const EXEC: &str = "  astro auth exec -- af dags list
  astro auth exec --env AIRFLOW_CLI_TOKEN -- airflowctl dags list
  astro auth exec --valid-for 2h -- ./long-job.sh";

const CONTEXT: &str = "  astro context list              list domains and mark the current one
  astro context switch astronomer.io";

const CONTEXT_LIST: &str = "  astro context list
  astro context list --json | jq -r '.contexts[] | select(.current).domain'";

const CONTEXT_SWITCH: &str = "  astro context switch            choose from a list
  astro context switch astronomer.io";

const CONTEXT_DELETE: &str = "  astro context delete pr1234.astronomer-dev.io
  astro context delete pr1234.astronomer-dev.io --force    skip confirmation";

const ORGANIZATION: &str = "  astro organization list         list your organizations
  astro organization switch acme  switch to another organization";

const ORGANIZATION_LIST: &str = "  astro organization list
  astro organization list --json | jq -r '.organizations[].name'";

const ORGANIZATION_SWITCH: &str = "  astro organization switch       choose from a list
  astro organization switch acme";

const WORKSPACE: &str = "  astro workspace list            list the organization's workspaces
  astro workspace switch etl      switch to another workspace";

const WORKSPACE_LIST: &str = "  astro workspace list
  astro workspace list --json | jq -r '.workspaces[].name'";

const WORKSPACE_SWITCH: &str = "  astro workspace switch          choose from a list
  astro workspace switch etl";

const COMPLETION: &str = "  # in ~/.bashrc
  eval \"$(astro completion bash)\"
  # in ~/.zshrc, after `compinit`
  eval \"$(astro completion zsh)\"
  # in ~/.config/fish/config.fish
  astro completion fish | source
  # in $PROFILE, for PowerShell
  astro completion powershell | Out-String | Invoke-Expression
  # in ~/.config/elvish/rc.elv
  eval (astro completion elvish | slurp)";

pub(super) fn add(command: clap::Command) -> clap::Command {
    add_below(command, "astro")
}

/// Adds a last line to the help of the whole program.
pub(super) fn end_with(command: clap::Command, line: &str) -> clap::Command {
    let below = |text: Option<&StyledStr>| format!("{}\n\n{line}", text.cloned().unwrap_or_default());
    let (short, long) = (below(command.get_after_help()), below(command.get_after_long_help()));
    command.after_help(short).after_long_help(long)
}

fn add_below(command: clap::Command, path: &str) -> clap::Command {
    let command = match after_help(path) {
        (short, Some(long)) => command.after_help(short).after_long_help(long),
        (short, None) => command.after_help(short),
    };
    command.mut_subcommands(|below| {
        let path = format!("{path} {}", below.get_name());
        add_below(below, &path)
    })
}

fn after_help(path: &str) -> (String, Option<String>) {
    let (examples, more) = match path {
        "astro" => (MAIN, Some(format!("{ENVIRONMENT}\n\n{EXIT_CODES}"))),
        "astro login" | "astro auth login" => (LOGIN, Some(EXIT_CODES.to_owned())),
        "astro logout" | "astro auth logout" => (LOGOUT, Some(EXIT_CODES.to_owned())),
        "astro auth" => (AUTH, None),
        "astro auth status" => (STATUS, Some(EXIT_CODES.to_owned())),
        "astro auth doctor" => (DOCTOR, Some(EXIT_CODES.to_owned())),
        "astro auth exec" => (EXEC, Some(EXIT_CODES.to_owned())),
        "astro auth token" => (TOKEN, Some(EXIT_CODES.to_owned())),
        "astro context" => (CONTEXT, None),
        "astro context list" => (CONTEXT_LIST, None),
        "astro context switch" => (CONTEXT_SWITCH, None),
        "astro context delete" => (CONTEXT_DELETE, None),
        "astro organization" => (ORGANIZATION, None),
        "astro organization list" => (ORGANIZATION_LIST, None),
        "astro organization switch" => (ORGANIZATION_SWITCH, None),
        "astro workspace" => (WORKSPACE, None),
        "astro workspace list" => (WORKSPACE_LIST, None),
        "astro workspace switch" => (WORKSPACE_SWITCH, None),
        "astro completion" => (COMPLETION, None),
        // A command without examples fails the test of the help.
        _ => return (String::new(), None),
    };
    let short = format!("Examples:\n{examples}");
    let long = more.map(|more| format!("{short}\n\n{more}"));
    (short, long)
}
