//! Fuzzes [`gatepost_fuzz::pop3`].
#![cfg_attr(fuzzing, no_main)]
gatepost_fuzz::target!(pop3);
