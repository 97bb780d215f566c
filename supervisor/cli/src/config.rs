//! Configuration files: the options of `bulkhead seamless` under the same names. The command
//! line wins over the user's file, and that over the system's.

use crate::error::{Error, Result, reason};
use crate::options::{Cli, Command, StartArgs};
use crate::{names, parse_only};
use clap::CommandFactory;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// The system's file.
pub const SYSTEM: &str = "/etc/bulkhead/bulkhead.toml";
/// Largest file that is read, in bytes.
const MAX_LEN: u64 = 1 << 20;

/// The files that exist, the one that wins first.
#[must_use]
pub fn files(home: Option<&Path>) -> Vec<PathBuf> {
    let user = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|dir| dir.is_absolute())
        .or_else(|| home.map(|home| home.join(".config")));
    user.map(|dir| dir.join("bulkhead/bulkhead.toml"))
        .into_iter()
        .chain([PathBuf::from(SYSTEM)])
        .collect()
}

/// Where what a file says is: option, and file and line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(Vec<(String, String)>);

impl Origins {
    /// The error of an option, which it begins with, with the place where that was said.
    #[must_use]
    pub fn explain(&self, error: Error) -> Error {
        let message = error.to_string();
        let option = message.strip_prefix("--").map(|rest| {
            let name = |c: char| c.is_ascii_lowercase() || c == '-';
            rest.split(|c| !name(c)).next().unwrap_or_default()
        });
        match self
            .0
            .iter()
            .find(|(known, _)| Some(known.as_str()) == option)
        {
            Some((_, place)) => error.at(place),
            None => error,
        }
    }
}

/// Adds to what the command line says what the files say, and tells what is from where.
///
/// # Errors
/// A file that cannot be read or is wrong, with the line.
pub fn complete(mut args: StartArgs, files: &[PathBuf]) -> Result<(StartArgs, Origins)> {
    let mut origins = Origins::default();
    for path in files {
        let Some(text) = read(path)? else { continue };
        let entries = parse(&text, &path.display().to_string())?;
        // Who is let in does not depend on the order of lines.
        let both =
            |entry: &&Entry| ["ssl-ca-certs", "ssl-ca-data"].contains(&entry.option.as_str());
        if let Some(second) = entries.iter().filter(both).nth(1) {
            let error = Error::usage("ssl-ca-certs and ssl-ca-data: which of them?");
            return Err(error.at(&second.place));
        }
        for Entry {
            option,
            place,
            said,
        } in entries
        {
            let with = or(args.clone(), said);
            if with != args {
                origins.0.push((option, place));
            }
            args = with;
        }
    }
    Ok((args, origins))
}

/// What one key of a file says.
#[derive(Debug)]
pub struct Entry {
    /// The key.
    pub option: String,
    /// File and line.
    pub place: String,
    /// The option, and nothing else.
    pub said: StartArgs,
}

fn read(path: &Path) -> Result<Option<String>> {
    let fail = |why: String| Error::new(format!("{}: {why}", path.display()));
    let meta = match path.metadata() {
        Ok(meta) => meta,
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(fail(reason(&error))),
    };
    // It names programs that are started.
    if meta.mode() & 0o022 != 0 {
        return Err(fail(format!(
            "others may write it (mode {:o}): chmod go-w it",
            meta.mode() & 0o777
        )));
    }
    if meta.uid() != 0 && meta.uid() != nix::unistd::geteuid().as_raw() {
        return Err(fail(format!(
            "belongs to the user {}, not to you or root",
            meta.uid()
        )));
    }
    if meta.len() > MAX_LEN {
        return Err(fail(format!("is longer than {MAX_LEN} bytes")));
    }
    std::fs::read_to_string(path)
        .map(Some)
        .map_err(|error| fail(reason(&error)))
}

/// Reads a configuration file's text.
///
/// # Errors
/// What is wrong, with `name` and the line.
pub fn parse(text: &str, name: &str) -> Result<Vec<Entry>> {
    let line = |at: usize| text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
    let table = DeTable::parse(text).map_err(|error| {
        let place = error.span().map_or(1, |span| line(span.start));
        Error::usage(format!("{name}:{place}: {}", error.message()))
    })?;
    let command = Cli::command();
    let known: Vec<&clap::Arg> = command
        .find_subcommand("seamless")
        .into_iter()
        .flat_map(clap::Command::get_arguments)
        .collect();
    let mut keys: Vec<_> = table.get_ref().iter().collect();
    keys.sort_by_key(|(key, _)| key.span().start);
    let mut entries = Vec::new();
    for (key, value) in keys {
        let place = format!("{name}:{}", line(key.span().start));
        let option = key.get_ref().as_ref();
        let at = |error: Error| error.at(&place);
        let values = values(value.get_ref()).map_err(|error| at(error.at(option)))?;
        let found = known.iter().find(|arg| arg.get_long() == Some(option));
        let Some(arg) = found else {
            let mut off = false;
            for value in &values {
                off = names::missing_option(option, Some(value)).map_err(at)?;
            }
            if off {
                continue;
            }
            return Err(at(unknown(option, &known)));
        };
        if values.len() > 1 && !matches!(arg.get_action(), clap::ArgAction::Append) {
            return Err(at(Error::usage(format!(
                "{option}: takes one value, not a list"
            ))));
        }
        let mut line = vec!["bulkhead".to_owned(), "seamless".to_owned()];
        line.extend(values.iter().map(|value| format!("--{option}={value}")));
        if let Command::Seamless(said) = parse_only(&line).map_err(at)?.command {
            entries.push(Entry {
                option: option.to_owned(),
                place,
                said: *said,
            });
        }
    }
    Ok(entries)
}

/// What to say of a key that is none: the option that begins or ends like it is probably meant.
fn unknown(key: &str, known: &[&clap::Arg]) -> Error {
    let names = known.iter().filter_map(|arg| arg.get_long());
    let alike = |name: &&str| {
        let both = name.bytes().zip(key.bytes());
        let start = both.take_while(|(one, other)| one == other).count();
        let both = name.bytes().rev().zip(key.bytes().rev());
        let end = both.take_while(|(one, other)| one == other).count();
        start + end + 2 >= name.len().max(key.len())
    };
    let meant = names.clone().find(alike);
    Error::usage(format!(
        "there is no option `{key}`{}; keys are the options of `bulkhead seamless --help` without the dashes",
        meant
            .map(|name| format!("; did you mean `{name}`?"))
            .unwrap_or_default()
    ))
}

fn values(value: &DeValue<'_>) -> Result<Vec<String>> {
    Ok(match value {
        DeValue::Array(list) => {
            let mut all = Vec::new();
            for item in list.iter() {
                match item.get_ref() {
                    DeValue::Array(_) => return Err(Error::usage("a list in a list")),
                    item => all.extend(values(item)?),
                }
            }
            all
        }
        DeValue::String(text) => vec![text.to_string()],
        DeValue::Boolean(yes) => vec![if *yes { "yes" } else { "no" }.to_owned()],
        DeValue::Integer(number) if number.radix() == 10 => vec![number.as_str().to_owned()],
        other => {
            return Err(Error::usage(format!(
                "this is of the type {}; write a text in quotes, a decimal number, true, false, or a list of these",
                other.type_str()
            )));
        }
    })
}

/// `first`, and `second` where `first` says nothing.
fn or(first: StartArgs, second: StartArgs) -> StartArgs {
    fn list<T>(first: Vec<T>, second: Vec<T>) -> Vec<T> {
        if first.is_empty() { second } else { first }
    }
    StartArgs {
        display: first.display.or(second.display),
        start: list(first.start, second.start),
        start_child: list(first.start_child, second.start_child),
        env: list(first.env, second.env),
        chdir: first.chdir.or(second.chdir),
        xvfb: first.xvfb.or(second.xvfb),
        session_name: first.session_name.or(second.session_name),
        exit_with_children: first.exit_with_children.or(second.exit_with_children),
        exit_with_client: first.exit_with_client.or(second.exit_with_client),
        exit_with_windows: first.exit_with_windows.or(second.exit_with_windows),
        daemon: first.daemon.or(second.daemon),
        pidfile: first.pidfile.or(second.pidfile),
        bind: list(first.bind, second.bind),
        bind_tcp: list(first.bind_tcp, second.bind_tcp),
        bind_ssl: list(first.bind_ssl, second.bind_ssl),
        min_port: first.min_port.or(second.min_port),
        socket_dir: list(first.socket_dir, second.socket_dir),
        sessions_dir: first.sessions_dir.or(second.sessions_dir),
        socket_permissions: first.socket_permissions.or(second.socket_permissions),
        auth: list(first.auth, second.auth),
        tcp_auth: list(first.tcp_auth, second.tcp_auth),
        ssl_auth: list(first.ssl_auth, second.ssl_auth),
        ssl: first.ssl.or(second.ssl),
        ssl_upgrade: first.ssl_upgrade.or(second.ssl_upgrade),
        ssl_cert: first.ssl_cert.or(second.ssl_cert),
        ssl_key: first.ssl_key.or(second.ssl_key),
        // Two ways to say one thing: the first place that says it counts.
        ssl_key_password_file: match first.ssl_key_password {
            Some(_) => None,
            None => first.ssl_key_password_file.or(second.ssl_key_password_file),
        },
        ssl_key_password: first.ssl_key_password.or(second.ssl_key_password),
        ssl_client_verify_mode: first
            .ssl_client_verify_mode
            .or(second.ssl_client_verify_mode),
        ssl_ca_certs: match first.ssl_ca_data {
            Some(_) => None,
            None => first.ssl_ca_certs.clone().or(second.ssl_ca_certs),
        },
        ssl_ca_data: match first.ssl_ca_certs {
            Some(_) => None,
            None => first.ssl_ca_data.or(second.ssl_ca_data),
        },
        ssl_verify_flags: first.ssl_verify_flags.or(second.ssl_verify_flags),
        ssl_protocol: first.ssl_protocol.or(second.ssl_protocol),
        ssl_ciphers: first.ssl_ciphers.or(second.ssl_ciphers),
        ssl_options: first.ssl_options.or(second.ssl_options),
        ssl_check_hostname: first.ssl_check_hostname.or(second.ssl_check_hostname),
        ssl_server_hostname: first.ssl_server_hostname.or(second.ssl_server_hostname),
        ssl_server_verify_mode: first
            .ssl_server_verify_mode
            .or(second.ssl_server_verify_mode),
        tcp_encryption: first.tcp_encryption.or(second.tcp_encryption),
        tcp_encryption_keyfile: first
            .tcp_encryption_keyfile
            .or(second.tcp_encryption_keyfile),
        insecure: first.insecure.or(second.insecure),
        readonly: first.readonly.or(second.readonly),
        sharing: first.sharing.or(second.sharing),
        resize_display: first.resize_display.or(second.resize_display),
        uid: first.uid.or(second.uid),
        gid: first.gid.or(second.gid),
        worker_uid_base: first.worker_uid_base.or(second.worker_uid_base),
        sandbox: first.sandbox.or(second.sandbox),
        log_file: first.log_file.or(second.log_file),
        log_format: first.log_format.or(second.log_format),
        debug: first.debug.or(second.debug),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Sandbox;
    use proptest::prelude::*;

    #[test]
    fn every_kind_of_value_is_read() {
        let text = "# comment\nstart = [\"xterm\", 'a b']\ndaemon = false\nmin-port = 80\nreadonly = \"on\"\nsandbox = \"best-effort\"\nmdns = false\n";
        let entries = parse(text, "f").unwrap();
        let said = entries.into_iter().map(|entry| entry.said);
        let args = said.fold(StartArgs::default(), or);
        assert_eq!(args.start, ["xterm", "a b"]);
        assert_eq!(
            (args.daemon, args.min_port, args.readonly),
            (Some(false), Some(80), Some(true))
        );
        assert_eq!(args.sandbox, Some(Sandbox::BestEffort));
    }

    #[test]
    fn the_first_place_that_says_a_pass_phrase_counts() {
        let read = |text: &str| {
            let entries = parse(text, "f").unwrap().into_iter();
            entries
                .map(|entry| entry.said)
                .fold(StartArgs::default(), or)
        };
        let [text, file] = ["ssl-key-password = \"x\"", "ssl-key-password-file = \"f\""].map(read);
        let one = or(text.clone(), file.clone());
        assert_eq!(
            (one.ssl_key_password.as_deref(), one.ssl_key_password_file),
            (Some("x"), None)
        );
        // Of two in one place the file counts, and so it does here (`wanted::pass_phrase`).
        let other = or(file, text);
        assert_eq!(other.ssl_key_password_file, Some("f".into()));
    }

    #[test]
    fn two_kinds_of_authorities_in_one_file_are_a_question() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let (file, data) = ("ssl-ca-certs = 'f'\n", "ssl-ca-data = '3000'\n");
        for text in [file.to_owned() + data, data.to_owned() + file] {
            let both = write("both", &text);
            let error = complete(StartArgs::default(), &[both]).unwrap_err();
            assert!(
                error
                    .to_string()
                    .contains(":2: ssl-ca-certs and ssl-ca-data")
            );
        }
        // Of two files the first counts.
        let (file, data) = (write("file", file), write("data", data));
        let (args, _) = complete(StartArgs::default(), &[file.clone(), data.clone()]).unwrap();
        assert!(args.ssl_ca_certs.is_some() && args.ssl_ca_data.is_none());
        let (args, _) = complete(StartArgs::default(), &[data, file]).unwrap();
        assert!(args.ssl_ca_certs.is_none() && args.ssl_ca_data.is_some());
    }

    #[test]
    fn mistakes_name_file_and_line() {
        for (text, wanted) in [
            (
                "start = \"x\"\nfrob = 1\n",
                "f:2: there is no option `frob`; keys are the options of",
            ),
            (
                "\nclipboard = true\n",
                "f:2: --clipboard: this option of Xpra's is not built yet",
            ),
            (
                "bind-ws = \":1\"",
                "f:1: --bind-ws: this option of Xpra's is not built yet",
            ),
            (
                "daemon = \"perhaps\"",
                "f:1: --daemon=perhaps: `perhaps` is neither yes nor no (nor on, off,",
            ),
            (
                "min-port = \"abc\"",
                "f:1: --min-port=abc: not a port: write a number from 0 to 65535",
            ),
            ("min-port = 70000", "f:1: --min-port=70000: not a port"),
            (
                "sandbox = \"off\"",
                "f:1: --sandbox=off; write enforce or best-effort",
            ),
            (
                "min-prot = 1",
                "f:1: there is no option `min-prot`; did you mean `min-port`?",
            ),
            (
                "min-port = 0x50",
                "f:1: min-port: this is of the type integer; write a text in quotes, a decimal",
            ),
            ("min-port = 1.5", "f:1: min-port: this is of the type float"),
            (
                "[section]\nstart = 1",
                "f:1: section: this is of the type table",
            ),
            ("a = [[1]]", "a list in a list"),
            (
                "daemon = [true, false]",
                "f:1: daemon: takes one value, not a list",
            ),
            ("start = \n", "f:1: "),
            ("a = 1\na = 2", "f:2: "),
            ("display = 7", "there is no option `display`"),
        ] {
            let error = parse(text, "f").unwrap_err().to_string();
            assert!(error.contains(wanted), "{text:?}: {error}");
            assert!(!error.contains('\n'));
        }
    }

    #[test]
    fn the_command_line_wins_over_both_files() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (user, system) = (dir.path().join("user"), dir.path().join("system"));
        std::fs::write(&user, "start = \"b\"\nreadonly = true\n").unwrap();
        std::fs::write(
            &system,
            "start = \"c\"\nreadonly = false\nsession-name = \"s\"\n",
        )
        .unwrap();
        let files = [user.clone(), system.clone(), dir.path().join("missing")];
        let typed = StartArgs {
            start: vec!["a".into()],
            ..StartArgs::default()
        };
        let (args, origins) = complete(typed, &files).unwrap();
        // The command line's own has no place in a file; of two files the first counts.
        let at = |message: &str| origins.explain(Error::new(message)).to_string();
        assert_eq!(at("--start=a: no"), "--start=a: no");
        assert_eq!(
            at("--readonly: no"),
            format!("{}:2: --readonly: no", user.display())
        );
        let wanted = format!("{}:3: --session-name=s: no", system.display());
        assert_eq!(at("--session-name=s: no"), wanted);
        assert_eq!(at("--session: no"), "--session: no");
        assert_eq!(
            (args.start, args.readonly, args.session_name.as_deref()),
            (vec!["a".to_owned()], Some(true), Some("s"))
        );
        std::fs::set_permissions(&user, std::fs::Permissions::from_mode(0o666)).unwrap();
        assert!(
            complete(StartArgs::default(), &files)
                .unwrap_err()
                .to_string()
                .contains("others may write")
        );
    }

    proptest! {
        #[test]
        fn nothing_panics(text in ".{0,200}", key in "[a-z-]{1,12}", value in ".{0,20}") {
            let _ = parse(&text, "f");
            let _ = parse(&format!("{key} = {value}"), "f");
        }
    }
}
