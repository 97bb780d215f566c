//! Reading a policy file: the shape of the TOML, and its conditions.

use crate::build::calls::CALLS;
use crate::build::names::{CONSTANTS, SIGNATURES};
use crate::types::{
    Condition, Descriptor, DescriptorKind, Landlock, LandlockPath, Limit, Namespace, Received,
    Refused, Resource, Restart, Role, Rule, RulePath, Test,
};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A policy file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    purpose: String,
    parses: String,
    holds: Vec<String>,
    count: String,
    unconfined: Option<String>,
    dies_with_parent: bool,
    locks_memory: bool,
    #[serde(default)]
    reads_as_root: bool,
    channels: Vec<String>,
    #[serde(default)]
    descriptors: Vec<FileDescriptor>,
    #[serde(default)]
    received: Vec<FileReceived>,
    #[serde(default)]
    limits: BTreeMap<String, Amount>,
    #[serde(default)]
    namespaces: PerMode,
    #[serde(default)]
    capabilities: PerMode,
    landlock: Option<FileLandlock>,
    restart: FileRestart,
    seccomp: Option<Seccomp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileDescriptor {
    fd: i32,
    what: String,
    #[serde(default)]
    optional: bool,
    #[serde(default)]
    onwards: bool,
    #[serde(default)]
    closed_at_start: bool,
    #[serde(default)]
    read_at_start: bool,
    #[serde(default)]
    kinds: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileReceived {
    what: String,
    kind: String,
}

/// A number, or text such as `64 MiB`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Amount {
    Number(u64),
    Text(String),
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct PerMode {
    root: Vec<String>,
    user: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileLandlock {
    paths: Vec<String>,
    deny_tcp: bool,
    scopes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRestart {
    enabled: bool,
    #[serde(default)]
    first_pause_ms: u64,
    #[serde(default)]
    longest_pause_ms: u64,
    #[serde(default)]
    give_up_after: u32,
    #[serde(default)]
    within_s: u64,
    #[serde(default)]
    give_up_after_violations: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Seccomp {
    default: String,
    allow: Vec<Call>,
    #[serde(default)]
    refuse: Vec<Call>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    call: String,
    #[serde(default)]
    when: Vec<String>,
    with: Option<String>,
    why: String,
    justification: Option<String>,
    only: Option<String>,
}

/// A policy file, understood but not yet judged.
pub struct Source {
    pub role: Role,
    pub purpose: String,
    pub parses: String,
    pub holds: Vec<String>,
    pub count: String,
    pub unconfined: Option<String>,
    pub dies_with_parent: bool,
    pub locks_memory: bool,
    pub reads_as_root: bool,
    pub channels: Vec<Role>,
    pub descriptors: Vec<Descriptor>,
    pub received: Vec<Received>,
    pub limits: Vec<Limit>,
    pub namespaces: [Vec<Namespace>; 2],
    pub capabilities: [Vec<String>; 2],
    pub landlock: Landlock,
    pub restart: Restart,
    pub default: Option<String>,
    pub rules: Vec<Rule>,
}

/// Keeps text for the life of the build script (or test), so that the crate's own types, which
/// hold static text, serve here too.
fn keep(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

/// Understands a policy file.
pub fn read(role: Role, text: &str) -> Result<Source, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    let channels = file
        .channels
        .iter()
        .map(|name| Role::from_name(name).ok_or(format!("channels: no role is called `{name}`")))
        .collect::<Result<_, _>>()?;
    let limits = file
        .limits
        .iter()
        .map(|(name, amount)| limit(name, amount))
        .collect::<Result<_, _>>()?;
    let namespaces = |names: &[String]| {
        names
            .iter()
            .map(|name| namespace(name))
            .collect::<Result<Vec<_>, _>>()
    };
    let (default, allow, refuse) = match file.seccomp {
        Some(seccomp) => (Some(seccomp.default), seccomp.allow, seccomp.refuse),
        None => (None, Vec::new(), Vec::new()),
    };
    let mut rules = Vec::new();
    for (table, entries) in [("allow", allow), ("refuse", refuse)] {
        for (index, entry) in entries.iter().enumerate() {
            let place = |error| format!("{table} {} (`{}`): {error}", index + 1, entry.call);
            if entry.with.is_some() != (table == "refuse") {
                return Err(place("`with` names the error of what is refused".into()));
            }
            rules.extend(rule(entry).map_err(place)?);
        }
    }
    Ok(Source {
        role,
        purpose: file.purpose,
        parses: file.parses,
        holds: file.holds,
        count: file.count,
        unconfined: file.unconfined,
        dies_with_parent: file.dies_with_parent,
        locks_memory: file.locks_memory,
        reads_as_root: file.reads_as_root,
        channels,
        descriptors: file
            .descriptors
            .iter()
            .map(|entry| {
                let kinds = entry.kinds.iter().map(|name| descriptor_kind(name));
                Ok(Descriptor {
                    fd: entry.fd,
                    what: keep(&entry.what),
                    kinds: kinds.collect::<Result<Vec<_>, String>>()?.leak(),
                    optional: entry.optional,
                    onwards: entry.onwards,
                    closed_at_start: entry.closed_at_start,
                    read_at_start: entry.read_at_start,
                })
            })
            .collect::<Result<_, String>>()?,
        received: file
            .received
            .iter()
            .map(|entry| {
                Ok(Received {
                    what: keep(&entry.what),
                    kind: descriptor_kind(&entry.kind)?,
                })
            })
            .collect::<Result<_, String>>()?,
        limits,
        namespaces: [
            namespaces(&file.namespaces.root)?,
            namespaces(&file.namespaces.user)?,
        ],
        capabilities: [file.capabilities.root, file.capabilities.user],
        landlock: landlock(file.landlock)?,
        restart: Restart {
            enabled: file.restart.enabled,
            first_pause_ms: file.restart.first_pause_ms,
            longest_pause_ms: file.restart.longest_pause_ms,
            give_up_after: file.restart.give_up_after,
            within_s: file.restart.within_s,
            give_up_after_violations: file.restart.give_up_after_violations,
        },
        default,
        rules,
    })
}

fn limit(name: &str, amount: &Amount) -> Result<Limit, String> {
    let resource = Resource::ALL
        .into_iter()
        .find(|resource| resource.name() == name)
        .ok_or(format!("limits: no limit is called `{name}`"))?;
    let value = match amount {
        Amount::Number(value) => *value,
        Amount::Text(text) => size(text).ok_or(format!(
            "limits: `{text}` is not `N KiB`, `N MiB` or `N GiB`"
        ))?,
    };
    Ok(Limit { resource, value })
}

/// `N KiB`, `N MiB` or `N GiB` in bytes.
fn size(text: &str) -> Option<u64> {
    let (number, unit) = text.split_once(' ')?;
    let shift = match unit {
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

fn namespace(name: &str) -> Result<Namespace, String> {
    [
        Namespace::User,
        Namespace::Mount,
        Namespace::Net,
        Namespace::Ipc,
        Namespace::Uts,
        Namespace::Cgroup,
    ]
    .into_iter()
    .find(|namespace| namespace.name() == name)
    .ok_or(format!("namespaces: no namespace is called `{name}`"))
}

fn landlock(file: Option<FileLandlock>) -> Result<Landlock, String> {
    let Some(file) = file else {
        return Ok(Landlock {
            paths: &[],
            deny_tcp: false,
            scope_abstract_unix: false,
            scope_signal: false,
        });
    };
    let mut paths = Vec::new();
    for path in &file.paths {
        match path.as_str() {
            "worker-executables" => paths.push(LandlockPath::WorkerExecutables),
            "named-files" => paths.push(LandlockPath::NamedFiles),
            read if read.starts_with("read /") => paths.push(LandlockPath::Read(keep(&read[5..]))),
            _ => return Err(format!("landlock: no kind of path is called `{path}`")),
        }
    }
    for scope in &file.scopes {
        if !["abstract-unix", "signal"].contains(&scope.as_str()) {
            return Err(format!("landlock: no scope is called `{scope}`"));
        }
    }
    let scoped = |name: &str| file.scopes.iter().any(|scope| scope == name);
    Ok(Landlock {
        paths: paths.leak(),
        deny_tcp: file.deny_tcp,
        scope_abstract_unix: scoped("abstract-unix"),
        scope_signal: scoped("signal"),
    })
}

/// One `[[seccomp.allow]]` or `[[seccomp.refuse]]` entry: several rules when a condition says `in`.
fn rule(entry: &Call) -> Result<Vec<Rule>, String> {
    let number = CALLS
        .iter()
        .find(|(name, _)| *name == entry.call)
        .map(|(_, number)| *number)
        .ok_or("no system call has this name on x86-64")?;
    let path = match entry.only.as_deref() {
        None => RulePath::Always,
        Some("error-path") => RulePath::ErrorPath,
        Some("no-vdso") => RulePath::NoVdso,
        Some(other) => return Err(format!("only: `{other}` is not `error-path` or `no-vdso`")),
    };
    let refused = entry.with.as_deref().map(refused).transpose()?;
    let mut alternatives: Vec<Vec<Condition>> = vec![Vec::new()];
    for text in &entry.when {
        let choices = condition(&entry.call, text)?;
        alternatives = alternatives
            .iter()
            .flat_map(|before| {
                choices.iter().map(move |choice| {
                    let mut all: Vec<Condition> = before.iter().map(copy).collect();
                    all.push(copy(choice));
                    all
                })
            })
            .collect();
    }
    Ok(alternatives
        .into_iter()
        .map(|conditions| Rule {
            call: keep(&entry.call),
            number,
            conditions: conditions.leak(),
            why: keep(&entry.why),
            justification: entry.justification.as_deref().map(keep),
            path,
            refused,
        })
        .collect())
}

fn refused(name: &str) -> Result<Refused, String> {
    // 0 would be a call that says that it was performed; above is no errno (seccomp(2)).
    let errno: Option<u16> = bits(name)?.try_into().ok();
    let is_name = name.starts_with('E') && !name.contains('|');
    errno
        .filter(|errno| is_name && (1..=4095).contains(errno))
        .map(|errno| Refused {
            name: keep(name),
            errno,
        })
        .ok_or(format!("with: `{name}` is no error"))
}

fn copy(condition: &Condition) -> Condition {
    Condition {
        argument: condition.argument,
        wide: condition.wide,
        test: condition.test,
        text: condition.text,
    }
}

/// `argument OPERATOR value`, where the operator is `==`, `within` (no other bits), `includes`
/// (all of these bits), `<=` or `in` (one of several values, separated by commas).
fn condition(call: &str, text: &str) -> Result<Vec<Condition>, String> {
    let wrong = || format!("`{text}` is not `ARGUMENT ==|within|includes|<=|in VALUE`");
    let mut words = text.splitn(3, ' ');
    let (Some(name), Some(operator), Some(value)) = (words.next(), words.next(), words.next())
    else {
        return Err(wrong());
    };
    let arguments = SIGNATURES
        .iter()
        .find(|(known, _)| *known == call)
        .map(|(_, arguments)| *arguments)
        .ok_or("the arguments of this call are not in build/names.rs")?;
    let position = arguments
        .iter()
        .position(|argument| argument.name == name)
        .ok_or(format!("the call has no argument `{name}`"))?;
    let make = |test: Test, text: &str| Condition {
        argument: u8::try_from(position).unwrap_or(u8::MAX),
        wide: arguments[position].wide,
        test,
        text: keep(text),
    };
    Ok(match operator {
        "==" => vec![make(Test::Equal(bits(value)?), text)],
        "within" => vec![make(Test::Within(bits(value)?), text)],
        "includes" => vec![make(Test::Includes(bits(value)?), text)],
        "<=" => vec![make(Test::AtMost(bits(value)?), text)],
        "in" => value
            .split(',')
            .map(|one| {
                let one = one.trim();
                Ok(make(Test::Equal(bits(one)?), &format!("{name} == {one}")))
            })
            .collect::<Result<_, String>>()?,
        _ => return Err(wrong()),
    })
}

/// Constants, sizes and numbers joined by `|`. Numbers are decimal: bits have names.
fn bits(text: &str) -> Result<u64, String> {
    text.split('|').try_fold(0, |all, part| {
        let part = part.trim();
        let value = if part.starts_with(|first: char| first.is_ascii_digit()) {
            size(part).or_else(|| part.parse().ok())
        } else {
            CONSTANTS
                .iter()
                .find(|(name, _)| *name == part)
                .map(|(_, value)| *value)
        };
        value.map(|value| all | value).ok_or(format!(
            "`{part}` is neither a number nor a constant of build/names.rs"
        ))
    })
}

fn descriptor_kind(name: &str) -> Result<DescriptorKind, String> {
    let known = DescriptorKind::ALL.into_iter();
    known
        .into_iter()
        .find(|kind| kind.name() == name)
        .ok_or_else(|| format!("descriptors: no kind `{name}`"))
}
