//! Fuzzes [`gatepost_fuzz::framing`].
#![cfg_attr(fuzzing, no_main)]
gatepost_fuzz::target!(framing);
