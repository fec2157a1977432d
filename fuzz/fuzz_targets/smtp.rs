//! Fuzzes [`gatepost_fuzz::smtp`].
#![cfg_attr(fuzzing, no_main)]
gatepost_fuzz::target!(smtp);
