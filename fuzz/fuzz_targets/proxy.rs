//! Fuzzes [`gatepost_fuzz::proxy`].
#![cfg_attr(fuzzing, no_main)]
gatepost_fuzz::target!(proxy);
