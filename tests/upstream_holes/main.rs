//! Mistakes that were made in Xpra, tried on a whole session: one file for each row of the table
//! in `docs/security.md` that unit tests do not settle.

mod a03_codings;
mod a04_type_codes;
mod a05_listeners;
mod a05_matrix;
mod a06_upgrades;
mod a08_guesses;
mod a09_during_logins;
mod a09_secrets;
mod a13_lengths;
mod a14_identifiers;
mod a16_log_lines;
mod a20_modes;
mod a21_before_authentication;
mod a25_hostile_application;
mod a26_one_crash;

mod login;
mod peer;
