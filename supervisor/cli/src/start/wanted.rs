//! The sockets that a command line asks for, as far as it alone decides.

use crate::auth::otpscreen;
use crate::auth::{self, Module, Sockets, What};
use crate::bind::{Host, SocketOptions, TcpBind, UnixAddress, UnixBind, masked};
use crate::encryption::{Encryption, Source, Written};
use crate::error::{Error, Result};
use crate::exposure::{self, NetworkSocket, Traffic, Typed};
use crate::hidden::Hidden;
use crate::offer;
use crate::options::StartArgs;
use crate::syntax::RawModule;
use crate::tls::{self, PassPhrase, Said, Tls, Verify};
use crate::trusted::Authorities;
use crate::users;
use ipc::spec::{AuthModule, CheckAsks};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// A socket that is to be opened.
pub struct Wanted {
    /// The option that says so, for errors.
    pub said: String,
    pub socket: Socket,
    pub refused_requests: Vec<String>,
    pub protection: Option<Protection>,
    pub chain: Vec<Module>,
    /// Options that a server has nothing to do with.
    pub for_clients: Vec<&'static str>,
}

impl Wanted {
    /// Can nobody between its clients and us read what they send? Only then may they be asked for
    /// the password itself.
    pub fn is_confidential(&self) -> bool {
        let local = !matches!(self.socket, Socket::Tcp { .. });
        local || self.protection.as_ref().is_some_and(Protection::is_always)
    }

    /// Nobody is asked for what others could read, or for an address that there is not.
    fn check(&self) -> Result<()> {
        let tcp = matches!(self.socket, Socket::Tcp { .. });
        let far = |module: &&Module| module.kind.sockets == Sockets::Network;
        if let Some(module) = self.chain.iter().find(far).filter(|_| !tcp) {
            return Err(Error::usage(format!(
                "{}: auth={} works on network sockets only: who connects to a unix socket has no address; use auth=peercred",
                self.said,
                module.name()
            )));
        }
        let shows = |module: &&Module| module.kind.sockets == Sockets::Tls;
        let tls = matches!(&self.protection, Some(Protection::Tls(_)));
        if let Some(module) = self.chain.iter().find(shows).filter(|_| !tls) {
            return Err(Error::usage(format!(
                "{}: auth={} works on --bind-ssl only: clients show certificates in TLS",
                self.said,
                module.name()
            )));
        }
        if self.chain.iter().filter(shows).count() > 1 {
            return Err(Error::usage(format!(
                "{}: a client has one certificate: auth=certificate once, with users=FILE for more than one user",
                self.said
            )));
        }
        let mut asks = self.chain.iter();
        match asks.find_map(|module| Some((module, module.kind.asks.secret()?))) {
            Some((module, what)) if !self.is_confidential() => Err(self.readable(module, what, "")),
            _ => Ok(()),
        }
    }

    /// The same, for modules whose files say what they ask for.
    pub fn may_ask(&self, module: &Module, opened: AuthModule) -> Result<AuthModule> {
        match opened {
            AuthModule::Check {
                asks: CheckAsks::Password,
                ..
            } if !self.is_confidential() => Err(self.readable(
                module,
                "password",
                match module.what {
                    What::Sqlite(_) => {
                        " (its passwords are hashed; bulkhead passwd add --plain makes a database that needs no more than a proof)"
                    }
                    _ => "",
                },
            )),
            opened => Ok(opened),
        }
    }

    fn readable(&self, module: &Module, what: &str, why: &str) -> Error {
        Error::usage(format!(
            "{}: auth={} is sent the {what} itself, which others could read on the way{why}: use --bind-ssl, add encryption=AES,keyfile=FILE (a new one: head -c 32 /dev/urandom | base64 > FILE), or use a unix socket (--bind=) and ssh",
            self.said,
            module.name()
        ))
    }
}

/// Nobody's password is passed on where others could read it.
fn check_servers(said: &str, chain: &[Module]) -> Result<()> {
    for module in chain {
        let (host, why) = match &module.what {
            What::Ldap(ldap) if !ldap.is_confidential() => (
                &ldap.host,
                "would send passwords in clear to {host}: add tls=yes or tls=starttls to its options, or --insecure",
            ),
            What::Sql(server) if !server.is_confidential() => (
                &server.host,
                "would be told in clear by {host} what users' passwords are: add tls=yes to its options, or --insecure",
            ),
            What::Keycloak(keycloak) => match keycloak.in_clear() {
                Some(found) => found,
                None => continue,
            },
            _ => continue,
        };
        let why = why.replace("{host}", host);
        return Err(Error::usage(format!(
            "{said}: auth={} {why}",
            module.name()
        )));
    }
    Ok(())
}

/// How what is sent is protected on the way.
#[derive(Clone)]
pub enum Protection {
    Aes(Encryption),
    Tls(Tls),
}

impl Protection {
    /// Is nothing ever sent in clear?
    fn is_always(&self) -> bool {
        match self {
            Self::Aes(_) => true,
            Self::Tls(tls) => !tls.optional,
        }
    }
}

/// Where it listens.
pub enum Socket {
    /// The session directory's own, by which the owner finds every session.
    Own,
    Unix(UnixAddress),
    Tcp {
        address: SocketAddr,
        any: bool,
    },
}

fn modules(option: &str, texts: &[String]) -> Result<Option<Vec<Module>>> {
    if texts.is_empty() {
        return Ok(None);
    }
    let read = || -> Result<Vec<Module>> {
        let raw = texts
            .iter()
            .map(|text| RawModule::parse(text))
            .collect::<Result<Vec<_>>>()?;
        auth::chain(&raw, &[])
    };
    read()
        .map(Some)
        .map_err(|error| error.at(format!("--{option}")))
}

fn owner_only() -> Vec<Module> {
    vec![Module::owner_only()]
}

fn socket_mode(args: &StartArgs) -> Result<u32> {
    let Some(text) = &args.socket_permissions else {
        return Ok(0o600);
    };
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 && mode & 0o600 == 0o600 => Ok(mode),
        _ => Err(Error::usage(format!(
            "--socket-permissions={text}: not an octal mode with which the owner can connect, such as 600 or 660"
        ))),
    }
}

fn unix_wanted(args: &StartArgs, mode: u32) -> Result<Vec<Wanted>> {
    let default = modules("auth", &args.auth)?;
    let auto = ["auto".to_owned()];
    let texts = if args.bind.is_empty() {
        &auto[..]
    } else {
        &args.bind[..]
    };
    let mut wanted = Vec::new();
    for text in texts {
        let bind =
            UnixBind::parse(text).map_err(|error| error.at(format!("--bind={}", masked(text))))?;
        let SocketOptions {
            auth,
            encryption,
            tls,
            refused_requests,
        } = bind.options;
        let off = Said {
            mode: Some(tls::Mode::Off),
            ..Said::default()
        };
        if !tls.is_empty() && tls != off {
            return Err(Error::usage(format!(
                "--bind={}: TLS is for network sockets",
                masked(text)
            )));
        }
        let chain = auth.or_else(|| default.clone()).unwrap_or_else(owner_only);
        if bind.address == UnixAddress::None {
            continue;
        }
        exposure::unix(
            text,
            &bind.address,
            mode,
            &chain,
            args.insecure == Some(true),
        )?;
        wanted.push(Wanted {
            said: format!("--bind={}", masked(text)),
            socket: Socket::Unix(bind.address),
            refused_requests,
            protection: encryption.map(Protection::Aes),
            chain,
            for_clients: Vec::new(),
        });
    }
    let has_own = |one: &Wanted| {
        let own = [UnixAddress::Auto, UnixAddress::NoAbstract];
        matches!(&one.socket, Socket::Unix(address) if own.contains(address))
    };
    if !wanted.iter().any(has_own) {
        wanted.push(Wanted {
            said: "--auth".into(),
            socket: Socket::Own,
            refused_requests: Vec::new(),
            protection: None,
            chain: default.unwrap_or_else(owner_only),
            for_clients: Vec::new(),
        });
    }
    Ok(wanted)
}

/// What the older switches say for TCP sockets without their own `encryption=`.
fn default_encryption(args: &StartArgs) -> Result<Option<Encryption>> {
    let mut written = Written::default();
    for (option, key, value) in [
        ("tcp-encryption", "encryption", &args.tcp_encryption),
        (
            "tcp-encryption-keyfile",
            "keyfile",
            &args.tcp_encryption_keyfile,
        ),
    ] {
        if let Some(value) = value {
            let at = |error: Error| error.at(format!("--{option}"));
            written.take(key, value).map_err(at)?;
        }
    }
    written
        .finish()
        .map_err(|error| error.at("--tcp-encryption"))
}

/// The options that make network sockets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tcp,
    Ssl,
}

impl Kind {
    fn option(self) -> &'static str {
        match self {
            Self::Tcp => "--bind-tcp",
            Self::Ssl => "--bind-ssl",
        }
    }
}

/// A network socket, as far as its own option and those for all say.
struct Bind<'a> {
    kind: Kind,
    text: &'a str,
    bind: TcpBind,
    ip: IpAddr,
    chain: Option<Vec<Module>>,
    protection: Option<Protection>,
}

/// What the options for all network sockets say.
struct Defaults {
    tcp_chain: Option<Vec<Module>>,
    ssl_chain: Option<Vec<Module>>,
    encryption: Option<Encryption>,
    tls: Said,
}

impl Defaults {
    fn read(args: &StartArgs) -> Result<Self> {
        Ok(Self {
            tcp_chain: modules("tcp-auth", &args.tcp_auth)?,
            ssl_chain: modules("ssl-auth", &args.ssl_auth)?,
            encryption: default_encryption(args)?,
            tls: Said {
                mode: args.ssl,
                upgrade: args.ssl_upgrade,
                certificate: args.ssl_cert.clone(),
                key: args.ssl_key.clone(),
                pass_phrase: pass_phrase(args),
                verify: args.ssl_client_verify_mode,
                authorities: authorities(args),
                flags: args.ssl_verify_flags,
                offer: offer::Said {
                    protocol: args.ssl_protocol,
                    without: args.ssl_options.clone(),
                    ciphers: args.ssl_ciphers.clone(),
                },
                for_clients: Vec::new(),
            },
        })
    }

    fn bind<'a>(&self, kind: Kind, text: &'a str, min_port: u16) -> Result<Bind<'a>> {
        let bind = TcpBind::parse(text, min_port)?;
        let ip = match &bind.address.host {
            Host::Default => IpAddr::from([127, 0, 0, 1]),
            Host::Any => IpAddr::from(Ipv6Addr::UNSPECIFIED),
            Host::Name(name) => users::address(name)?,
        };
        let chain = match kind {
            Kind::Tcp => &self.tcp_chain,
            Kind::Ssl => &self.ssl_chain,
        };
        let chain = bind.options.auth.clone().or_else(|| chain.clone());
        let shows = |module: &Module| module.kind.sockets == Sockets::Tls;
        let shows = chain.iter().flatten().any(shows);
        let protection = match kind {
            Kind::Tcp => self.tcp(&bind.options, shows)?,
            Kind::Ssl => Some(self.ssl(&bind.options, shows)?),
        };
        Ok(Bind {
            kind,
            text,
            chain,
            bind,
            ip,
            protection,
        })
    }

    fn tcp(&self, options: &SocketOptions, shows: bool) -> Result<Option<Protection>> {
        let encryption = match (options.encryption.clone(), &self.encryption) {
            // The socket says the mode, and the switch where the key is.
            (Some(own), Some(default)) if own.source == Source::Default => Some(Encryption {
                source: default.source.clone(),
                ..own
            }),
            (own, default) => own.or_else(|| default.clone()),
        };
        match (encryption, options.tls.optional(&self.tls, shows)?) {
            (Some(_), Some(_)) => Err(both()),
            (Some(encryption), None) => Ok(Some(Protection::Aes(encryption))),
            (None, tls) => Ok(tls.map(Protection::Tls)),
        }
    }

    fn ssl(&self, options: &SocketOptions, shows: bool) -> Result<Protection> {
        match &options.encryption {
            Some(_) => Err(both()),
            None => options.tls.required(&self.tls, shows).map(Protection::Tls),
        }
    }
}

/// A file counts first: whoever names it in a configuration file may have the text in another.
fn pass_phrase(args: &StartArgs) -> Option<PassPhrase> {
    let text = |text: &String| PassPhrase::Text(Hidden::new(text.clone()));
    let file = args.ssl_key_password_file.clone().map(PassPhrase::File);
    file.or_else(|| args.ssl_key_password.as_ref().map(text))
}

/// A file counts first, as above.
fn authorities(args: &StartArgs) -> Option<Authorities> {
    let file = args.ssl_ca_certs.clone().map(Authorities::File);
    file.or_else(|| args.ssl_ca_data.clone().map(Authorities::Data))
}

fn both() -> Error {
    Error::usage("encryption= and TLS: one is enough, and both are not built")
}

fn network_wanted(args: &StartArgs, typed: &Typed) -> Result<Vec<Wanted>> {
    let defaults = Defaults::read(args)?;
    let min_port = args.min_port.unwrap_or(1024);
    let tcp = args.bind_tcp.iter().map(|text| (Kind::Tcp, text));
    let ssl = args.bind_ssl.iter().map(|text| (Kind::Ssl, text));
    let binds = tcp
        .chain(ssl)
        .map(|(kind, text)| {
            let bind = defaults.bind(kind, text, min_port);
            bind.map_err(|error| error.at(format!("{}={}", kind.option(), masked(text))))
        })
        .collect::<Result<Vec<_>>>()?;
    let sockets: Vec<_> = binds
        .iter()
        .map(|bind| NetworkSocket {
            option: bind.kind.option(),
            text: bind.text,
            address: bind.ip,
            chain: bind.chain.as_deref(),
            traffic: match &bind.protection {
                None => Traffic::Clear,
                Some(protection) if protection.is_always() => Traffic::Encrypted,
                Some(_) => Traffic::Either,
            },
        })
        .collect();
    if args.insecure != Some(true) {
        // First: no other line would do.
        for bind in &binds {
            let said = format!("{}={}", bind.kind.option(), masked(bind.text));
            check_servers(&said, bind.chain.as_deref().unwrap_or_default())?;
        }
    }
    exposure::network(&sockets, args.insecure == Some(true), typed)?;
    let has = |kind| binds.iter().any(|bind| bind.kind == kind);
    let tls = |bind: &Bind<'_>| matches!(bind.protection, Some(Protection::Tls(_)));
    let upgrades =
        |bind: &Bind<'_>| matches!(&bind.protection, Some(Protection::Tls(tls)) if tls.upgrade);
    let shows = |bind: &Bind<'_>| matches!(&bind.protection, Some(Protection::Tls(tls)) if tls.clients.is_some());
    for (given, effect, text) in [
        (
            defaults.encryption.is_some(),
            has(Kind::Tcp),
            "--tcp-encryption without --bind-tcp encrypts nothing",
        ),
        (
            defaults.tcp_chain.is_some(),
            has(Kind::Tcp),
            "--tcp-auth without --bind-tcp protects nothing",
        ),
        (
            defaults.ssl_chain.is_some(),
            has(Kind::Ssl),
            "--ssl-auth without --bind-ssl protects nothing",
        ),
        (
            defaults.tls.mode == Some(tls::Mode::On),
            has(Kind::Tcp),
            "--ssl=on without --bind-tcp encrypts nothing: it is for TCP sockets, and --bind-ssl has TLS anyway",
        ),
        (
            defaults.tls.upgrade == Some(true),
            binds.iter().any(upgrades),
            "--ssl-upgrade changes nothing: it is for clients that begin in clear, on a TCP socket with ssl=on that does not say ssl-upgrade=no itself",
        ),
        (
            defaults.tls.certificate.is_some() || defaults.tls.key.is_some(),
            binds.iter().any(tls),
            "--ssl-cert and --ssl-key without --bind-ssl or --ssl=on encrypt nothing",
        ),
        (
            !defaults.tls.offer.is_empty(),
            binds.iter().any(tls),
            "--ssl-protocol, --ssl-ciphers and --ssl-options without --bind-ssl or --ssl=on encrypt nothing",
        ),
        (
            !matches!(defaults.tls.verify, None | Some(Verify::None))
                || defaults.tls.needs_clients(),
            binds.iter().any(shows),
            "--ssl-client-verify-mode, --ssl-ca-certs, --ssl-ca-data and --ssl-verify-flags check nothing: they need a --bind-ssl, and --ssl-client-verify-mode=required or auth=certificate",
        ),
    ] {
        if given && !effect {
            return Err(Error::usage(text));
        }
    }
    Ok(binds
        .into_iter()
        .map(|bind| Wanted {
            said: format!("{}={}", bind.kind.option(), masked(bind.text)),
            socket: Socket::Tcp {
                any: bind.bind.address.host == Host::Any,
                address: SocketAddr::new(bind.ip, bind.bind.address.port),
            },
            refused_requests: bind.bind.options.refused_requests,
            protection: bind.protection,
            chain: bind.chain.unwrap_or_default(),
            for_clients: bind.bind.options.tls.for_clients,
        })
        .collect())
}

/// The mode of unix sockets, and all sockets, as far as the command line alone decides.
pub fn wanted(args: &StartArgs, typed: &Typed) -> Result<(u32, Vec<Wanted>)> {
    let mode = socket_mode(args)?;
    let mut wanted = unix_wanted(args, mode)?;
    wanted.extend(network_wanted(args, typed)?);
    wanted.iter().try_for_each(Wanted::check)?;
    let modules = wanted.iter().flat_map(|one| &one.chain);
    otpscreen::check_windows(args.exit_with_windows == Some(true), modules)?;
    if args.insecure != Some(true) {
        let check = |one: &Wanted| check_servers(&one.said, &one.chain);
        wanted.iter().try_for_each(check)?;
    }
    match &wanted[..] {
        [
            Wanted {
                socket: Socket::Own,
                ..
            },
        ] => Err(Error::usage(
            "--bind=none without --bind-tcp or --bind-ssl: nobody could ever connect but through the session directory; say --bind=noabstract",
        )),
        _ => Ok((mode, wanted)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every module, as it is written at least, and with options beside it that must not get lost.
    fn modules() -> Vec<String> {
        let kinds = auth::kinds().iter().map(|kind| kind.name);
        let alone = kinds.map(|name| {
            let text = match name {
                "file" | "multifile" | "otp" => format!("{name}(filename=mine)"),
                "password" => "password(value=hunter2)".to_owned(),
                "capability" => "capability(value=:10)".to_owned(),
                "certificate" => "certificate(users=mine)".to_owned(),
                "exec" => "exec(command=/bin/ask ${username})".to_owned(),
                "mysql" | "sql" => format!("{name}(uri=mysql://u:hunter2@127.0.0.1/d)"),
                "kerberos-password" => format!("{name}(realm=R.TEST,kdc=kdc.test)"),
                "kerberos-token" | "gss" => format!("{name}(realm=R.TEST)"),
                "keycloak" => format!(
                    "{name}(server_url=https://login.test/,client_id=us,client_secret_key=hunter2,redirect_uri=https://x/)"
                ),
                _ => name.to_owned(),
            };
            let read = RawModule::parse(&text).and_then(|raw| auth::chain(&[raw], &[]));
            read.unwrap_or_else(|error| panic!("{name} needs a row here: {error}"));
            text
        });
        let more = [
            "otp(secret=hunter2,valid-window=1)",
            "ldap(host=127.0.0.1,username_format=(uid=%username,dc=x),prompt=who?)",
            "hosts(hosts-allow=a,hosts-deny=b)",
            "hosts,auth=none",
            "none,auth=hosts",
            "hosts,auth=password(value=hunter2,prompt=say it)",
            "file(filename=password.txt),auth=password(value=hunter2)",
            "password(value=hunter2),auth=otp(secret=hunter2)",
            "file,filename=mine",
            "hosts,hosts-allow=a,stop=no",
            "http-header(property=X-Door,proxies=(192.0.2.1,::1))",
            "http-header,auth=capability(value=x)",
        ];
        alone.chain(more.map(str::to_owned)).collect()
    }

    /// The names of these modules.
    fn asked(modules: &str) -> Vec<&'static str> {
        let texts = modules.split(",auth=");
        let name = |text: &str| text.split(['(', ',']).next().unwrap_or_default().to_owned();
        texts
            .map(|text| auth::kind(&name(text)).unwrap().name)
            .collect()
    }

    fn start(bind: &str, auth: Option<&str>, insecure: bool) -> Result<Vec<Wanted>> {
        let args = StartArgs {
            bind_tcp: vec![bind.to_owned()],
            tcp_auth: auth.map(str::to_owned).into_iter().collect(),
            insecure: Some(insecure),
            ..StartArgs::default()
        };
        let mut line = vec!["bulkhead", "start", "--bind-tcp", bind];
        let option = auth.map(|auth| format!("--tcp-auth={auth}"));
        line.extend(option.as_deref());
        let line = line.into_iter().map(str::to_owned).collect();
        wanted(&args, &Typed(line)).map(|(_, wanted)| wanted)
    }

    /// The bind string of a line that a refusal shows.
    fn shown(message: &str, before: &str) -> Option<String> {
        let (_, line) = message.split_once(before)?;
        let words = crate::syntax::words(line.split_once('`')?.0).unwrap();
        let at = words.iter().position(|word| word == "--bind-tcp").unwrap();
        Some(words[at + 1].clone())
    }

    /// Whatever is refused: the line made safe is accepted, and has everybody in it who keeps
    /// somebody out.
    #[test]
    fn the_line_made_safe_is_safe_whatever_the_modules_are() {
        let mut refused = 0;
        for modules in modules() {
            for address in ["127.0.0.1", "0.0.0.0", "[::]"] {
                for end in ["", ",encryption=AES-GCM,keyfile=mine.key"] {
                    let bind = format!("{address}:10000,auth={modules}{end}");
                    let default = modules.clone();
                    let beside = default.contains(",auth=") || default.contains("stop=");
                    let default = (!beside).then_some(default);
                    let beside = format!("{address}:10000{end}");
                    let rows = [(bind.as_str(), None), (beside.as_str(), default.as_deref())];
                    for (bind, default) in rows {
                        if default.is_none() && bind == beside {
                            continue;
                        }
                        let Err(error) = start(bind, default, false) else {
                            continue;
                        };
                        let message = error.to_string();
                        assert!(!message.contains("hunter2"), "{message}");
                        let Some(safe) = shown(&message, "safe: `") else {
                            // It says what to do instead.
                            assert!(
                                message.contains("works on unix sockets only")
                                    || message.contains("add encryption=")
                                    || message.contains("need TLS"),
                                "{bind}: {message}"
                            );
                            continue;
                        };
                        refused += 1;
                        // What is not shown has to be written again.
                        let whole = |shown: String, insecure| {
                            if !shown.contains("=***") {
                                return shown;
                            }
                            let error = start(&shown, default, insecure).err().unwrap();
                            assert!(error.to_string().contains("was not shown"), "{error}");
                            shown.replace("=***", "=hunter2")
                        };
                        let safe = whole(safe, false);
                        let opened = start(&safe, default, false);
                        let opened =
                            opened.unwrap_or_else(|error| panic!("{bind}: {safe}: {error}"));
                        let names = |wanted: &[Wanted]| -> Vec<_> {
                            let chain = &wanted.last().unwrap().chain;
                            chain.iter().map(Module::name).collect()
                        };
                        let now = names(&opened);
                        for name in asked(&modules) {
                            let kept = match name {
                                "none" | "allow" => continue,
                                "password" => now.contains(&"file"),
                                name => now.contains(&name),
                            };
                            assert!(kept, "{bind}: {name} is not in {safe}");
                        }
                        if let Some(anyway) = shown(&message, "as it is: `") {
                            let anyway = whole(anyway, true);
                            start(&anyway, default, true)
                                .unwrap_or_else(|error| panic!("{bind}: {anyway}: {error}"));
                        }
                    }
                }
            }
        }
        assert!(refused > 40, "{refused}");
        for (bind, safe) in [
            (
                "0.0.0.0:10000,auth=hosts",
                "127.0.0.1:10000,auth=hosts,auth=file(filename=password.txt)",
            ),
            (
                "0.0.0.0:10000,auth=otp,filename=k",
                "0.0.0.0:10000,auth=otp,filename=k,encryption=AES,keyfile=key.txt",
            ),
            (
                "127.0.0.1:10000,auth=none,encryption=AES,keyfile=k",
                "127.0.0.1:10000,auth=file(filename=password.txt),encryption=AES,keyfile=k",
            ),
        ] {
            let message = start(bind, None, false).err().unwrap().to_string();
            assert_eq!(shown(&message, "safe: `").unwrap(), safe, "{message}");
        }
    }
}
