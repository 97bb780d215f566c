//! A real supervisor, confined as always, with fake workers and a test for a launcher.
//!
//! This executable is both: started as `bulkhead-<role>` it is that worker.

mod bench;
mod checks;
mod deaths;
mod door;
mod ends;
mod fake;
mod files;
mod reload;
mod rules;
mod serving;

use std::process::ExitCode;
use std::time::Instant;

macro_rules! tests {
    ($($module:ident::$name:ident),* $(,)?) => {
        /// Every test with its name.
        const ALL: &[(&str, fn())] = &[$((stringify!($name), $module::$name)),*];
    };
}

tests![
    serving::a_client_gets_the_session_only_after_the_verdict,
    serving::what_a_worker_inherits,
    serving::in_a_start_as_root_each_role_has_its_own_user,
    serving::clients_share_or_take_over,
    serving::one_shot_requests,
    deaths::a_killed_encoder_is_replaced,
    deaths::a_killed_display_is_replaced_and_keeps_its_clients,
    deaths::a_display_that_keeps_dying_is_given_up,
    deaths::a_killed_auth_costs_logins_in_flight_only,
    deaths::a_killed_keys_costs_logins_in_flight_on_encrypted_sockets_only,
    deaths::the_end_of_a_client_is_accounted,
    deaths::who_dies,
    deaths::a_worker_that_hangs_is_replaced,
    checks::yes_is_only_what_the_process_says,
    checks::a_process_that_needs_nobody_is_asked_at_once,
    checks::a_command_decides,
    checks::a_check_that_takes_too_long_is_no,
    checks::a_connection_that_goes_takes_its_check_with_it,
    checks::checks_have_a_number_and_others_go_on,
    checks::what_is_not_configured_is_no,
    files::nobody_goes_on_before_the_files_were_looked_at,
    files::who_waits_in_vain_is_told_about,
    files::a_new_auth_is_told_what_has_changed_since,
    files::another_file_counts_for_who_connects,
    files::a_check_without_its_file_is_no,
    files::files_that_are_none_are_nobody_s,
    files::key_data_is_another_for_who_connects,
    files::who_leaves_before_is_forgotten,
    rules::nobody_fills_the_log,
    rules::rules_are_kept_or_the_breaker_ends,
    rules::records_cannot_be_forged,
    rules::names_cannot_be_forged,
    rules::keys_knows_those_who_log_in_on_encrypted_sockets,
    door::probes_cost_nothing,
    door::a_thousand_half_open_connections,
    door::a_thousand_wrong_passwords,
    door::one_client_too_many_is_told_so,
    door::a_start_that_fails_at_any_step_leaves_nothing,
    reload::a_new_keys_takes_the_place_of_the_old,
    reload::an_old_keys_is_not_believed_about_others,
    reload::what_cannot_be_used_changes_nothing,
    reload::a_key_file_that_is_replaced_ends_what_is_tried,
    reload::one_visitor_at_a_time_and_not_for_long,
    reload::who_breaks_the_rules_is_sent_away,
    ends::ends_in_order,
    ends::a_start_that_fails_says_why,
    ends::another_display_than_the_one_asked_for_is_left_alone,
    ends::a_start_that_fails_stops_nothing,
    ends::the_launchers_end_is_the_sessions,
];

fn main() -> ExitCode {
    let mut arguments = std::env::args();
    let name = arguments.next().unwrap_or_default();
    if name.starts_with("bulkhead-") {
        fake::run(&name);
        return ExitCode::SUCCESS;
    }
    // What `cargo test NAME` passes; options of the usual harness mean nothing here.
    let filters: Vec<_> = arguments
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let mut failed = 0;
    for (name, test) in ALL {
        if !filters.is_empty() && !filters.iter().any(|filter| name.contains(filter.as_str())) {
            continue;
        }
        let start = Instant::now();
        let result = std::panic::catch_unwind(test);
        let word = if result.is_ok() { "ok" } else { "FAILED" };
        println!(
            "test {name} ... {word} ({} ms)",
            start.elapsed().as_millis()
        );
        failed += u32::from(result.is_err());
    }
    println!("{failed} failed");
    ExitCode::from(u8::from(failed > 0))
}
