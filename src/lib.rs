//! The library behind `astro`, so that tests enter where `main` enters, with a different outside world.

pub mod api;
pub mod cli;
pub mod commands;
pub mod config;
pub mod credentials;
pub mod domain;
pub mod error;
pub mod http;
pub mod jwt;
pub mod oauth;
pub mod system;
pub mod text;
pub mod token;
pub mod ui;
