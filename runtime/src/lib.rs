//! The production side of Gatepost: configuration, sockets, TLS, clock, logs.
pub mod cli;
pub mod config;
pub mod net;
mod system_error;
pub mod tls;
