//! The library behind `astro`, so that tests enter where `main` enters, with a different outside world.
//!
//! From the top: [`cli`] turns the command line into one request and reports how it ended. [`commands`] has a file for
//! each command; `login` is the longest story, and the only place that sees all the pieces at once. [`session`] is what
//! every other authenticated command goes through: it finds the login of a domain and hands out a token that is valid now.
//! [`error`] has one type for all that can end a command, with what to do about it and the exit code.
//!
//! Below them stand the pieces, which don't know each other: [`oauth`] (the authorization code flow, the callback
//! listener, the token endpoint), [`jwt`] (what may be believed of a token), [`api`] (Astro's own), [`config`] (the file
//! shared with the Go CLI), [`credentials`] (the keychain), [`ui`] (the terminal) and [`browser`]. [`system`] holds the
//! outside world together: environment, clock, randomness, network, terminal, keychain. Everything else is small and at
//! the bottom: [`http`], [`domain`], [`token`], [`text`] and their like.
//!
//! A token comes in through [`oauth`], as text that cannot be printed; only [`jwt`] makes claims of it, and only with a
//! good signature; `login` stores it, and [`session`] reads and renews it. It leaves the program in three places: in a
//! request's `Authorization` header, in a store, and on the stdout of `astro auth token`.

pub mod api;
pub mod aside;
pub mod browser;
pub mod choice;
pub mod cli;
pub mod commands;
pub mod config;
pub mod core_dumps;
pub mod credentials;
pub mod domain;
pub mod email;
pub mod environment;
pub mod error;
pub mod http;
pub mod jwt;
pub mod log;
pub mod oauth;
pub mod session;
pub mod system;
pub mod text;
pub mod token;
pub mod ui;
pub mod when;
