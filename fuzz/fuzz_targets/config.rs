//! Fuzzes [`gatepost_fuzz::config`].
#![cfg_attr(fuzzing, no_main)]
gatepost_fuzz::target!(config);
