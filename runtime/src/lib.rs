//! The production side of Gatepost: configuration, sockets, TLS, clock, logs.
pub mod cli;
pub mod config;
pub mod drain;
pub mod driver;
mod handshake;
pub mod net;
pub mod observe;
pub mod pid_file;
mod pipe;
mod relay;
pub mod resolve;
mod rewound;
mod scratch;
pub mod server;
mod stream;
mod system_error;
pub mod tls;
mod unsent;
