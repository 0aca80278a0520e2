//! One file a command.

pub mod login;
