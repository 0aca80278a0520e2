//! The library behind `astro`, so that tests enter where `main` enters, with a different outside world.
//!
//! From the top: [`cli`] turns the command line into one request and reports its outcome. [`commands`] has a module per
//! command; `login` is the longest one, and the only one that uses all the pieces. Every other authenticated command goes
//! through [`session`], which finds the login of a domain and returns a token that is valid now. [`error`] has one type for
//! every failure of a command, with its hint and exit code.
//!
//! Below them are the pieces, which don't know each other: [`oauth`] (the authorization code flow, the callback listener,
//! the token endpoint), [`jwt`] (the verification of tokens), [`api`] (Astro's own), [`houston`] (that of Astro
//! Private Cloud), [`config`] (the file shared with the
//! Go CLI), [`credentials`] (the keychain), [`ui`] (the terminal) and [`browser`]. [`system`] is the outside world:
//! environment, clock, randomness, network, terminal, keychain. The rest is small and at the bottom: [`http`], [`domain`],
//! [`token`], [`text`] and others.
//!
//! A token comes in through [`oauth`], as text that cannot be printed. Only [`jwt`] turns it into claims, and only with a
//! valid signature; `login` stores it; [`session`] reads and refreshes it. It leaves the program in three places: in the
//! `Authorization` header of a request, in a store, and on the stdout of `astro auth token`.

pub mod api;
pub mod blocking;
pub mod browser;
pub mod cli;
pub mod commands;
pub mod config;
pub mod core_dumps;
pub mod credentials;
pub mod domain;
pub mod email;
pub mod environment;
pub mod error;
pub mod houston;
pub mod http;
pub mod jwt;
pub mod log;
pub mod next_astro;
pub mod oauth;
pub mod session;
pub mod system;
pub mod text;
pub mod time_format;
pub mod token;
pub mod ui;
