//! The integration tests: one crate, so that the support code is compiled once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test fails so"
)]

mod support;

#[cfg(unix)]
mod beside_go;
mod callback;
mod callback_attack;
#[cfg(unix)]
mod chromium;
#[cfg(unix)]
mod ci_snippets;
mod cli;
mod completion;
mod config_compat;
mod context;
#[cfg(target_os = "linux")]
mod crash;
mod demo;
#[cfg(unix)]
mod disk;
mod doctor;
mod environment_token;
#[cfg(unix)]
mod exec;
mod fuzz_corpus;
mod go_flags;
#[cfg(all(unix, not(target_os = "macos")))]
mod homes;
mod hostile_text;
#[cfg(target_os = "linux")]
mod keychain;
#[cfg(target_os = "linux")]
mod keychain_faults;
mod keychain_native;
#[cfg(all(unix, not(target_os = "macos")))]
mod keychain_program;
mod lifecycle;
mod login_again;
mod login_api_token;
mod login_browser;
mod login_link;
mod login_place;
mod login_storage;
mod login_token;
mod logout;
mod logout_leftovers;
mod network_faults;
#[cfg(unix)]
mod next_astro;
#[cfg(unix)]
mod other_users;
#[cfg(unix)]
mod packaging;
#[cfg(unix)]
mod page;
#[cfg(unix)]
mod paste_stdin;
#[cfg(target_os = "linux")]
mod path_variables;
#[cfg(target_os = "linux")]
mod pictures;
mod places;
#[cfg(target_os = "linux")]
mod ports;
#[cfg(target_os = "linux")]
mod private_cloud;
#[cfg(target_os = "linux")]
mod private_cloud_faults;
#[cfg(target_os = "linux")]
mod private_cloud_logins;
#[cfg(unix)]
mod pty;
#[cfg(unix)]
mod pty_ui;
#[cfg(target_os = "linux")]
mod readonly_disk;
#[cfg(all(unix, not(target_os = "macos")))]
mod recipes;
mod refresh;
#[cfg(target_os = "linux")]
mod rehearsal;
mod scripted_login;
mod security_rules;
mod service;
mod shared_login;
#[cfg(target_os = "linux")]
mod signals;
mod status;
mod storage_choice;
#[cfg(all(unix, not(target_os = "macos")))]
mod storage_question;
#[cfg(target_os = "linux")]
mod tls;
#[cfg(unix)]
mod token;
#[cfg(unix)]
mod token_demands;
#[cfg(target_os = "linux")]
mod torn_config;
#[cfg(target_os = "linux")]
mod vault;
mod yaml_readers;
