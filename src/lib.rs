//! The library behind `astro`, so that tests enter where `main` enters, with a different outside world.

pub mod api;
pub mod aside;
pub mod browser;
pub mod choice;
pub mod cli;
pub mod commands;
pub mod config;
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
