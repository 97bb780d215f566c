//! Which sockets may be opened: a network socket that anybody can use, or whose traffic anybody
//! on the way can read, is refused unless `--insecure` is given, and the refusal shows the same
//! command line made safe.

use crate::auth::{Asks, Module, OtpKey, Sockets, What};
use crate::bind::{UnixAddress, masked};
use crate::error::{Error, Result};
use crate::syntax::{RawBind, RawModule};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The command line as it was typed, for the lines that a refusal shows.
#[derive(Clone, Debug, Default)]
pub struct Typed(pub Vec<String>);

/// A socket's option, what it said, and what it is to say.
type Change = (&'static str, String, String);

/// The options whose values are changed.
const OPTIONS: [&str; 2] = ["--bind-tcp", "--bind-ssl"];

impl Typed {
    /// The line with values of [`OPTIONS`] replaced, for a shell, without passwords. What comes
    /// from a configuration file is added.
    fn with(&self, changes: &[Change]) -> String {
        let known = |word: &str| OPTIONS.into_iter().find(|option| *option == word);
        let mut words: Vec<String> = Vec::with_capacity(self.0.len() + changes.len());
        let mut typed = vec![false; changes.len()];
        for (at, word) in self.0.iter().enumerate() {
            let before = at.checked_sub(1).and_then(|at| known(&self.0[at]));
            let with_value = word
                .split_once('=')
                .and_then(|(option, value)| Some((known(option)?, value)));
            let (option, joined, value) = match (with_value, before) {
                (Some((option, value)), _) => (option, true, value),
                (None, Some(option)) => (option, false, word.as_str()),
                (None, None) => {
                    words.push(word.clone());
                    continue;
                }
            };
            let change = changes
                .iter()
                .position(|(of, old, _)| *of == option && old == value);
            let value = change.map_or(value, |change| {
                typed[change] = true;
                &changes[change].2
            });
            words.push(match joined {
                true => format!("{option}={value}"),
                false => value.to_owned(),
            });
        }
        let added = changes.iter().zip(typed).filter(|(_, typed)| !typed);
        words.extend(added.map(|((option, _, new), _)| format!("{option}={new}")));
        words
            .iter()
            .map(|word| quoted(&masked(word)))
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn insecure(&self, changes: &[Change]) -> String {
        let line = self.with(changes);
        match self.0.iter().any(|word| word == "--insecure") {
            true => line,
            false => line + " --insecure",
        }
    }
}

/// Quotes a word for a shell where it needs it.
#[must_use]
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+:,./@%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// Does somebody in it keep anybody out?
fn authenticates(chain: &[Module]) -> bool {
    chain.iter().any(|module| module.kind.authenticates)
}

/// The files that a line made safe refers to and that may not be there yet, with what makes each,
/// for nobody else to read.
type NewFiles = BTreeMap<String, String>;

/// A line end would be part of the password.
fn new_password(files: &mut NewFiles, chain: &[Module]) -> String {
    let taken = |name: &String| {
        let own = chain.iter().filter_map(Module::file);
        own.into_iter().any(|file| file == name.as_str())
    };
    let names = std::iter::once("password.txt".to_owned())
        .chain((2..).map(|number| format!("password-{number}.txt")));
    let free = |name: &String| !taken(name);
    let name = names.into_iter().find(free).unwrap_or_default();
    let make =
        format!("(umask 077; set -C; head -c 15 /dev/urandom | base64 | tr -d '\\n' > {name})");
    files.insert(name.clone(), make);
    name
}

/// The modules, each as it would be written alone, with an authentication that keeps people out and
/// no secret on the command line. What keeps somebody out stays.
fn kept(chain: &[Module], files: &mut NewFiles) -> Vec<RawModule> {
    let with_file = |name: &str, module: Option<&Module>, file: String| {
        let mut options = vec![("filename".to_owned(), file)];
        options.extend(module.into_iter().flat_map(|module| module.written.clone()));
        RawModule {
            name: name.to_owned(),
            options,
        }
    };
    let stays = |module: &&Module| !matches!(module.what, What::None | What::Allow);
    let mut modules = Vec::with_capacity(chain.len() + 1);
    for module in chain.iter().filter(stays) {
        modules.push(match &module.what {
            What::Password { .. } => with_file("file", Some(module), new_password(files, chain)),
            What::Otp {
                key: OtpKey::Value(_),
                ..
            } => {
                let name = "otp.txt".to_owned();
                files.insert(name.clone(), format!("bulkhead otp-key {name}"));
                with_file("otp", Some(module), name)
            }
            _ => RawModule {
                name: module.name().to_owned(),
                options: module.written.clone(),
            },
        });
    }
    if !authenticates(chain) {
        modules.push(with_file("file", None, new_password(files, chain)));
    }
    modules
}

/// The key file of the lines made safe, and what makes it.
const KEY_FILE: &str = "key.txt";
const MAKE_KEY_FILE: &str = "(umask 077; set -C; head -c 32 /dev/urandom | base64 > key.txt)";

/// Is it to be sent what others could read?
fn needs_encryption(socket: &NetworkSocket<'_>) -> bool {
    asks(socket, |asks| asks.secret().is_some())
}

/// Is it, or might it be?
fn may_need_encryption(socket: &NetworkSocket<'_>) -> bool {
    asks(socket, |asks| {
        asks.secret().is_some() || asks == Asks::ProofOrPassword
    })
}

fn asks(socket: &NetworkSocket<'_>, what: impl Fn(Asks) -> bool) -> bool {
    let asks = |module: &Module| what(module.kind.asks);
    !socket.is_encrypted() && socket.chain.is_some_and(|chain| chain.iter().any(asks))
}

/// The same bind string, as it can be opened.
fn made_safe(socket: &NetworkSocket<'_>, files: &mut NewFiles) -> String {
    let Ok(mut raw) = RawBind::parse(socket.text) else {
        return socket.text.to_owned();
    };
    let chain = socket.chain.unwrap_or_default();
    let typed = |module: &Module| {
        let what = &module.what;
        let key = matches!(
            what,
            What::Otp {
                key: OtpKey::Value(_),
                ..
            }
        );
        key || matches!(what, What::Password { .. })
    };
    if !authenticates(chain) || chain.iter().any(typed) {
        raw.options
            .retain(|(key, _)| key != "auth" && !crate::auth::is_option(key));
        let modules = kept(chain, files);
        let auth = modules
            .iter()
            .map(|one| ("auth".to_owned(), one.to_string()));
        raw.options.splice(0..0, auth);
    }
    if may_need_encryption(socket) {
        files.insert(KEY_FILE.to_owned(), MAKE_KEY_FILE.to_owned());
        if socket.traffic == Traffic::Either {
            // One is enough, and TLS that clients may do without is none.
            raw.options.retain(|(key, _)| !key.starts_with("ssl"));
            raw.options.push(("ssl".to_owned(), "off".to_owned()));
        }
        for (key, value) in [("encryption", "AES"), ("keyfile", KEY_FILE)] {
            raw.options.push((key.to_owned(), value.to_owned()));
        }
    } else if !socket.is_encrypted() && !socket.address.is_loopback() {
        return on_loopback(raw, socket.address);
    }
    raw.to_string()
}

/// The same bind string on the loopback interface.
fn on_loopback(mut raw: RawBind, address: IpAddr) -> String {
    let port = raw
        .address
        .rsplit_once(':')
        .map_or("", |(_, port)| port)
        .to_owned();
    let host = if address.is_ipv6() && raw.address.starts_with('[') {
        "[::1]"
    } else {
        "127.0.0.1"
    };
    raw.address = format!("{host}:{port}");
    raw.to_string()
}

/// What goes over a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Everything can be read along.
    Clear,
    /// As each client likes.
    Either,
    /// Nothing goes in clear.
    Encrypted,
}

/// A network socket that was asked for.
#[derive(Debug)]
pub struct NetworkSocket<'a> {
    /// The option that asks for it.
    pub option: &'static str,
    /// As it was written.
    pub text: &'a str,
    /// Where it will listen.
    pub address: IpAddr,
    /// Its modules, its own or those for all of its kind; `None`: nothing was said.
    pub chain: Option<&'a [Module]>,
    /// What its clients send.
    pub traffic: Traffic,
}

impl NetworkSocket<'_> {
    fn is_encrypted(&self) -> bool {
        self.traffic == Traffic::Encrypted
    }
}

/// Why a network socket is not opened; `None` if it is. What it would have to say to be opened
/// all the same comes with it.
fn objection(socket: &NetworkSocket<'_>, insecure: bool) -> Option<(&'static str, String)> {
    let Some(chain) = socket.chain else {
        let anyway = match socket.text.contains(',') {
            true => socket.text.replacen(',', ",auth=none,", 1),
            false => format!("{},auth=none", socket.text),
        };
        return Some(("it has no authentication", anyway));
    };
    let why = match (authenticates(chain), socket.address.is_loopback()) {
        (true, true) => return None,
        (true, false) if socket.is_encrypted() => return None,
        _ if insecure => return None,
        (false, true) => "every user of this machine could use it (no authentication)",
        (false, false) => "everybody could use it (no authentication)",
        (true, false) if socket.traffic == Traffic::Either => {
            "other machines can reach it, and with ssl= it takes clients in clear as well: who is on the way could read along and take it over (--bind-ssl takes none)"
        }
        (true, false) => {
            "other machines can reach it, and it is not encrypted: who is on the way could read along and take it over"
        }
    };
    Some((why, socket.text.to_owned()))
}

/// Decides about the network sockets.
///
/// # Errors
/// Why not, with the same line made safe, and the line for those who want it anyway.
pub fn network(sockets: &[NetworkSocket<'_>], insecure: bool, typed: &Typed) -> Result<()> {
    let (mut reasons, mut safe, mut anyway) = (String::new(), Vec::new(), Vec::new());
    let (mut remote, mut possible) = (false, true);
    let mut files = NewFiles::new();
    for socket in sockets {
        let shown = format!("{}={}", socket.option, masked(socket.text));
        let chain = socket.chain.unwrap_or_default();
        let local = |module: &&Module| module.kind.sockets == Sockets::Unix;
        if let Some(module) = chain.iter().find(local) {
            return Err(Error::usage(format!(
                "{shown}: auth={} works on unix sockets only: the kernel does not say who is at the other end of a network",
                module.name()
            )));
        }
        let Some((why, as_it_is)) = objection(socket, insecure) else {
            continue;
        };
        reasons += &format!("{shown}: refused: {why}; ");
        let repaired = made_safe(socket, &mut files);
        possible &= !needs_encryption(socket);
        remote |=
            !socket.address.is_loopback() && !socket.is_encrypted() && !may_need_encryption(socket);
        safe.push((socket.option, socket.text.to_owned(), repaired));
        anyway.push((socket.option, socket.text.to_owned(), as_it_is));
    }
    if reasons.is_empty() {
        return Ok(());
    }
    let tunnel = match remote {
        true => " (other machines come through ssh -L)",
        false => "",
    };
    // Nobody is sent a password in clear, whatever else is said.
    let anyway = match possible {
        true => format!("; as it is: `{}`", typed.insecure(&anyway)),
        false => String::new(),
    };
    let make: String = files
        .iter()
        .map(|(file, make)| format!("; {file} comes from `{make}`"))
        .collect();
    Err(Error::usage(format!(
        "{reasons}safe: `{}`{tunnel}{anyway}{make}",
        typed.with(&safe)
    )))
}

/// Decides about a unix socket, whose mode says who can reach it.
///
/// # Errors
/// Others than the owner could use it without authentication.
pub fn unix(
    text: &str,
    address: &UnixAddress,
    mode: u32,
    chain: &[Module],
    insecure: bool,
) -> Result<()> {
    if insecure || authenticates(chain) {
        return Ok(());
    }
    let shown = masked(text);
    if let UnixAddress::Abstract(name) = address {
        return Err(Error::usage(format!(
            "--bind={shown}: refused: every user of this machine can reach @{name}, and it has no authentication; use auth=peercred, or add --insecure"
        )));
    }
    if mode & 0o077 != 0 {
        return Err(Error::usage(format!(
            "--bind={shown}: refused: with --socket-permissions={mode:o} others can reach it, and it has no authentication; use --socket-permissions=600 or auth=peercred(uid=USER), or add --insecure"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bind::TcpBind;

    fn decide(text: &str, address: &str, insecure: bool) -> Result<()> {
        let bind = TcpBind::parse(text, 1024).unwrap();
        let typed = Typed(
            ["bulkhead", "start", "--bind-tcp", text]
                .map(str::to_owned)
                .to_vec(),
        );
        let socket = NetworkSocket {
            option: "--bind-tcp",
            text,
            address: address.parse().unwrap(),
            chain: bind.options.auth.as_deref(),
            traffic: match bind.options.encryption {
                Some(_) => Traffic::Encrypted,
                None => Traffic::Clear,
            },
        };
        network(&[socket], insecure, &typed)
    }

    #[test]
    fn the_whole_table_of_network_sockets() {
        let auth = [
            ("", None),
            (",auth=none", Some(false)),
            (",auth=allow", Some(false)),
            (",auth=fail", Some(true)),
            (",auth=reject", Some(true)),
            (",auth=env", Some(true)),
            (",auth=password,value=x", Some(true)),
            (",auth=file,filename=x", Some(true)),
            (",auth=none,auth=env", Some(true)),
            (",auth=hosts", Some(false)),
            (",auth=capability,value=x", Some(false)),
            (",auth=http-header", Some(false)),
            (",auth=http-header,proxies=192.0.2.1", Some(false)),
            (",auth=capability(value=x),auth=http-header", Some(false)),
            (",auth=http-header,auth=env", Some(true)),
        ];
        for (text, authenticates) in auth {
            for (address, local) in [
                ("127.0.0.1", true),
                ("127.9.9.9", true),
                ("::1", true),
                ("0.0.0.0", false),
                ("::", false),
                ("192.168.1.2", false),
                ("::ffff:127.0.0.1", false),
            ] {
                for insecure in [false, true] {
                    let open = match authenticates {
                        None => false,
                        Some(_) if insecure => true,
                        Some(authenticates) => authenticates && local,
                    };
                    let outcome = decide(&format!("x:10000{text}"), address, insecure);
                    assert_eq!(
                        outcome.is_ok(),
                        open,
                        "{text} {address} {insecure}: {outcome:?}"
                    );
                }
            }
        }
        assert!(decide(":10000,auth=peercred", "127.0.0.1", true).is_err());
    }

    #[test]
    fn the_line_made_safe_is_accepted_and_tells_no_password() {
        for text in [
            "0.0.0.0:10000,auth=password,value=hunter2,stop=no",
            "*:10000",
            "0.0.0.0:10000,auth=none",
            "0.0.0.0:10000,auth=file(filename=a b)",
            "127.0.0.1:10000,stop=no",
        ] {
            let local = text.starts_with("127");
            let message = decide(text, if local { "127.0.0.1" } else { "0.0.0.0" }, false)
                .unwrap_err()
                .to_string();
            assert!(!message.contains("hunter2"), "{message}");
            let line = message.split('`').nth(1).unwrap();
            let words = crate::syntax::words(line).unwrap();
            let safe = words.last().unwrap();
            decide(safe, "127.0.0.1", false).unwrap_or_else(|e| panic!("{text}: {safe}: {e}"));
            let line = message.split('`').nth(3).unwrap();
            assert!(line.ends_with(" --insecure"), "{line}");
            let words = crate::syntax::words(line).unwrap();
            // What is not shown has to be written again.
            let anyway = words[words.len() - 2].replace("***", "hunter2");
            decide(&anyway, "0.0.0.0", true).unwrap();
        }
    }

    #[test]
    fn what_goes_over_a_socket_decides_who_may_reach_it() {
        let modules = |name: &str| {
            let raw = crate::syntax::RawModule::parse(name).unwrap();
            crate::auth::chain(&[raw], &[]).unwrap()
        };
        let (chain, open_to_all) = (modules("fail"), modules("none"));
        let decide = |option, traffic, address: &str, chain: Option<&[Module]>| {
            let text = "x:10000,ssl-cert=c";
            let typed = Typed(
                ["bulkhead", "start", option, text]
                    .map(str::to_owned)
                    .to_vec(),
            );
            let address = address.parse().unwrap();
            let socket = NetworkSocket {
                option,
                text,
                address,
                chain,
                traffic,
            };
            network(&[socket], false, &typed)
        };
        for (traffic, open) in [
            (Traffic::Clear, false),
            (Traffic::Either, false),
            (Traffic::Encrypted, true),
        ] {
            for option in OPTIONS {
                let local = decide(option, traffic, "127.0.0.1", Some(&chain));
                assert!(local.is_ok(), "{local:?}");
                let remote = decide(option, traffic, "0.0.0.0", Some(&chain));
                assert_eq!(remote.is_ok(), open, "{traffic:?}: {remote:?}");
                // TLS is no authentication.
                for nobody in [None, Some(&open_to_all[..])] {
                    for address in ["0.0.0.0", "127.0.0.1"] {
                        assert!(decide(option, traffic, address, nobody).is_err());
                    }
                }
            }
        }
        let error = decide("--bind-ssl", Traffic::Encrypted, "0.0.0.0", None);
        let error = error.unwrap_err().to_string();
        let safe = "start --bind-ssl 'x:10000,auth=file(filename=password.txt),ssl-cert=c'`";
        assert!(error.contains(safe), "{error}");
        let error = decide("--bind-tcp", Traffic::Either, "0.0.0.0", Some(&chain));
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("--bind-ssl takes none")
        );
    }

    #[test]
    fn unix_sockets_are_held_by_their_mode() {
        let path = UnixAddress::Path("/x".into());
        let name = UnixAddress::Abstract("x".into());
        let chain = |name: &str| {
            let raw = crate::syntax::RawModule::parse(name).unwrap();
            crate::auth::chain(&[raw], &[]).unwrap()
        };
        let (none, reject) = (chain("none"), chain("reject"));
        assert!(unix("/x", &path, 0o600, &none, false).is_ok());
        assert!(unix("/x", &path, 0o660, &none, false).is_err());
        assert!(unix("/x", &path, 0o666, &reject, false).is_ok());
        assert!(unix("@x", &name, 0o600, &none, false).is_err());
        assert!(unix("@x", &name, 0o600, &none, true).is_ok());
    }
}
