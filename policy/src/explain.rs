//! A policy in words.

use crate::{LandlockPath, Role, RulePath, StartMode, landlock_rights};
use std::fmt::Write;

/// What a role may do, for people: the text of `bulkhead policy ROLE`.
#[must_use]
pub fn explain(role: Role) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_policy(&mut out, role);
    out
}

fn list(items: &[&str]) -> String {
    if items.is_empty() {
        "none".into()
    } else {
        items.join(", ")
    }
}

fn write_policy(out: &mut String, role: Role) -> std::fmt::Result {
    let policy = crate::of(role);
    writeln!(out, "{role} ({})", role.executable())?;
    writeln!(out, "  {}", policy.purpose)?;
    writeln!(out, "  How many:  {}", policy.count)?;
    writeln!(out, "  Reads:     {}", policy.parses)?;
    writeln!(out, "  Holds:     {}", list(policy.holds))?;
    let channels: Vec<_> = policy.channels.iter().map(|role| role.name()).collect();
    writeln!(out, "  Talks to:  {}", list(&channels))?;

    writeln!(
        out,
        "\nDescriptors when it is executed (nothing else is open):"
    )?;
    for entry in policy.descriptors {
        let mark = if entry.onwards {
            ", and so on"
        } else if entry.optional {
            ", if there is one"
        } else if entry.closed_at_start || entry.read_at_start {
            ", closed before the first message"
        } else {
            ""
        };
        writeln!(out, "  {:>2}  {}{mark}", entry.fd, entry.what)?;
    }

    if !policy.received.is_empty() {
        writeln!(out, "\nDescriptors that it gets later:")?;
        for entry in policy.received {
            writeln!(out, "      {}", entry.what)?;
        }
    }

    let restart = &policy.restart;
    if restart.enabled {
        writeln!(
            out,
            "\nWhen it dies, a new one is started after {} ms, later ones after up to {} ms; after {} deaths \
             within {} s, or {} deaths by its own sandbox, it stays away for the session.",
            restart.first_pause_ms,
            restart.longest_pause_ms,
            restart.give_up_after,
            restart.within_s,
            restart.give_up_after_violations
        )?;
    } else {
        writeln!(out, "\nWhen it dies, no new one is started in its place.")?;
    }
    if let Some(reason) = policy.unconfined {
        return writeln!(out, "\nUNCONFINED: {reason}");
    }

    writeln!(out, "\nCapabilities:")?;
    for mode in StartMode::ALL {
        writeln!(out, "  {mode:<5} {}", list(policy.capabilities(mode)))?;
    }
    writeln!(out, "Namespaces of its own:")?;
    for mode in StartMode::ALL {
        let names: Vec<_> = policy
            .namespaces(mode)
            .iter()
            .map(|one| one.name())
            .collect();
        writeln!(out, "  {mode:<5} {}", list(&names))?;
    }
    writeln!(out, "Limits:")?;
    for limit in policy.limits {
        writeln!(out, "  {:<11}{}", limit.resource.name(), limit.value)?;
    }

    writeln!(
        out,
        "Landlock ({} rights and scopes, as far as the kernel knows them):",
        landlock_rights().len()
    )?;
    if policy.landlock.paths.is_empty() {
        writeln!(out, "  no file, no directory, no device")?;
    }
    for path in policy.landlock.paths {
        match path {
            LandlockPath::WorkerExecutables => {
                writeln!(
                    out,
                    "  reads and executes the workers' executables; nothing else"
                )?;
            }
        }
    }
    if policy.landlock.deny_tcp {
        writeln!(out, "  binds and connects no TCP port")?;
    }
    if policy.landlock.scope_abstract_unix {
        writeln!(out, "  reaches no abstract unix socket from outside")?;
    }
    if policy.landlock.scope_signal {
        writeln!(out, "  signals no process outside")?;
    }

    writeln!(
        out,
        "\nSystem calls ({} of them; anything else kills the process):",
        policy.calls().len()
    )?;
    for rule in policy.rules {
        let conditions: Vec<_> = rule.conditions.iter().map(|one| one.text).collect();
        writeln!(out, "  {}({})", rule.call, conditions.join(", "))?;
        let mark = match rule.path {
            RulePath::Always => "",
            RulePath::ErrorPath => " [only when something went wrong]",
            RulePath::NoVdso => " [only without a vDSO]",
        };
        writeln!(out, "      {}{mark}", rule.why)?;
        if let Some(text) = rule.justification {
            writeln!(out, "      any arguments: {text}")?;
        }
    }
    Ok(())
}
