//! The report for people.

use super::Report;
use crate::error::one_line;
use std::collections::BTreeMap;

/// A table of the processes, and in sentences what differs.
#[must_use]
pub fn in_words(report: &Report) -> String {
    let mut rows = vec![
        [
            "ROLE",
            "PID",
            "UID",
            "SECCOMP",
            "NNP",
            "CAPS",
            "ATTACH",
            "NAMESPACES",
            "FDS",
            "LABEL",
            "RESULT",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    for entry in &report.processes {
        let hidden = || "?".to_owned();
        rows.push(vec![
            entry.role.to_owned(),
            entry.pid.to_string(),
            entry.uid.to_string(),
            match entry.seccomp_filters {
                Some(count) if entry.seccomp == "filter" => format!("{count} filters"),
                _ => entry.seccomp.to_owned(),
            },
            if entry.no_new_privs { "yes" } else { "no" }.to_owned(),
            entry.capabilities.clone(),
            match entry.dumpable {
                Some(true) => "possible",
                Some(false) => "refused",
                None => "?",
            }
            .to_owned(),
            match (entry.namespaces.as_slice(), &entry.namespaces_not_readable) {
                ([], unknown) if unknown.is_empty() => "none".to_owned(),
                (own, unknown) => own
                    .iter()
                    .cloned()
                    .chain(unknown.iter().map(|name| format!("{name}?")))
                    .collect::<Vec<_>>()
                    .join(","),
            },
            entry
                .descriptors
                .map_or_else(hidden, |count| count.to_string()),
            entry.label.clone().unwrap_or_else(|| "-".to_owned()),
            match (entry.confined, entry.differences.len()) {
                (false, 0) => "unconfined by design".to_owned(),
                (true, 0) => "as its policy".to_owned(),
                (_, count) => format!("{count} DIFFERENT"),
            },
        ]);
    }
    let widths: Vec<usize> = (0..rows[0].len())
        .map(|column| {
            rows.iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = format!(
        "Session :{}, started as {}\n\n",
        report.display, report.mode
    );
    for row in &rows {
        let line: Vec<_> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        text += line.join("  ").trim_end();
        text.push('\n');
    }
    text.push('\n');
    text += &match report.landlock_abi {
        0 => "Landlock: the running kernel has none\n".to_owned(),
        abi => format!(
            "Landlock: version {abi} of the running kernel, not shown in /proc; a process that could not enter it has not started\n"
        ),
    };
    if !report.landlock_rights_unknown_to_kernel.is_empty() {
        text += &format!(
            "Landlock rights that this kernel does not know (system-call filters and namespaces stand for them): {}\n",
            report.landlock_rights_unknown_to_kernel.join(", ")
        );
    }
    let mut hidden: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for entry in &report.processes {
        for what in &entry.not_readable {
            hidden
                .entry(*what)
                .or_default()
                .push(format!("{} {}", entry.role, entry.pid));
        }
    }
    for (what, who) in hidden {
        text += &format!("Not readable by this user: {what} of {}\n", who.join(", "));
    }
    for difference in &report.differences {
        text += &format!("DIFFERENT: {}\n", one_line(difference));
    }
    for entry in &report.processes {
        for difference in &entry.differences {
            text += &format!(
                "DIFFERENT: {} {}: {}\n",
                entry.role,
                entry.pid,
                one_line(difference)
            );
        }
    }
    let hidden = report.not_readable();
    if let Some(command) = &report.root_command {
        text += &format!("Root can read it: {command}\n");
    }
    text += &match report.differences() {
        0 if hidden == 0 => "Everything is as the policies say.\n".to_owned(),
        0 => format!(
            "Everything that could be read is as the policies say; {hidden} things could not be read.\n"
        ),
        1 => "One difference.\n".to_owned(),
        count => format!("{count} differences.\n"),
    };
    text
}
