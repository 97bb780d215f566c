//! Opens the sockets of a session.

use super::plan::Plan;
use super::wanted::{Protection, Socket};
use crate::auth::{Module, What};
use crate::bind::UnixAddress;
use crate::claim::{self, Claim, abstract_name};
use crate::encryption::Source;
use crate::error::{Error, Result};
use crate::places::{self, Places, RELOAD_SOCKET, SOCKET};
use crate::reload::Record;
use crate::tls;
use crate::undo::Undo;
use crate::{exposure, listen};
use files::Spot;
use ipc::keys::Encryption as Demand;
use ipc::spec::{AuthModule, KeysSpec, ListenerKind};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// A socket that is open.
pub struct Opened {
    pub fd: OwnedFd,
    pub kind: ListenerKind,
    pub name: String,
    pub refused_requests: Vec<String>,
    /// What its clients have to do.
    pub demand: Option<Demand>,
    pub protection: Option<Protection>,
    pub chain: Vec<Module>,
}

impl Opened {
    /// May the operator's files decide who is let in here?
    pub fn asks_files(&self) -> bool {
        let by_file = |module: &Module| match &module.what {
            What::Allow
            | What::None
            | What::Fail
            | What::Reject
            | What::PeerCred { .. }
            | What::Env { .. }
            | What::Password { .. }
            | What::Capability { .. }
            | What::HttpHeader(_)
            | What::Exec(_)
            | What::Pam(_)
            | What::Fido(_)
            | What::Screen(_) => false,
            What::File { .. }
            | What::MultiFile { .. }
            | What::Otp { .. }
            | What::Hosts { .. }
            | What::Certificate(_)
            | What::Ldap(_)
            | What::Sqlite(_)
            | What::Sql(_)
            | What::Kerberos(_)
            | What::Keycloak(_) => true,
        };
        self.protection.is_some() || self.chain.iter().any(by_file)
    }
}

/// Opens the sockets.
pub fn open_sockets(plan: &mut Plan, claim: &mut Claim, undo: &mut Undo) -> Result<Vec<Opened>> {
    let user = plan.owner.ids();
    let name = plan.places.socket_name(claim.display);
    let mut opened = Vec::new();
    let mut listeners = Vec::new();
    let keys = plan.keys.listeners.drain(..);
    let mut key_data = Vec::new();
    let sockets = plan.wanted.drain(..).zip(plan.secrets.listeners.drain(..));
    for ((wanted, auth), key) in sockets.zip(keys) {
        let (key, demand) = key.map(|key| (key.held, key.demand)).unzip();
        let mut paths: Vec<PathBuf> = Vec::new();
        let mut abstract_names: Vec<String> = Vec::new();
        // What the session makes by itself was not asked for.
        let at = |error: Error| match &wanted.socket {
            Socket::Unix(UnixAddress::Auto | UnixAddress::NoAbstract) | Socket::Own => error,
            _ => error.at(&wanted.said),
        };
        match &wanted.socket {
            Socket::Tcp { address, any } => {
                let (fd, local) = listen::tcp(*address, *any).map_err(at)?;
                listeners.push(auth);
                key_data.push(key);
                opened.push(Opened {
                    fd,
                    kind: ListenerKind::Tcp,
                    name: local.to_string(),
                    refused_requests: wanted.refused_requests,
                    demand,
                    protection: wanted.protection,
                    chain: wanted.chain,
                });
                continue;
            }
            Socket::Own => paths.push(claim.dir.join(SOCKET)),
            Socket::Unix(address @ (UnixAddress::Auto | UnixAddress::NoAbstract)) => {
                paths.push(claim.dir.join(SOCKET));
                for dir in &plan.places.sockets {
                    undo.directories(plan.places.ensure(dir, 0o700)?);
                    paths.push(dir.join(&name));
                }
                if *address == UnixAddress::Auto {
                    abstract_names.push(abstract_name(claim.display));
                }
            }
            Socket::Unix(UnixAddress::Path(path)) => {
                paths.push(places::expand(path, &plan.places.home))
            }
            Socket::Unix(UnixAddress::Directory(dir)) => {
                let dir = places::expand(dir, &plan.places.home);
                undo.directories(places::ensure(&dir, 0o700).map_err(at)?);
                paths.push(dir.join(&name));
            }
            Socket::Unix(UnixAddress::Abstract(name)) => abstract_names.push(name.clone()),
            Socket::Unix(UnixAddress::None) => {}
        }
        let mode = match wanted.socket {
            Socket::Own => 0o600,
            _ => plan.mode,
        };
        for path in paths {
            let spot = Spot::new(&path, user);
            let (fd, made) = listen::unix(&spot, mode, user).map_err(at)?;
            undo.file(made.clone());
            if path.parent() != Some(&claim.dir) {
                plan.launcher.remove_at_end.push(made);
            }
            listeners.push(auth.clone());
            key_data.push(key.clone());
            opened.push(Opened {
                fd,
                kind: ListenerKind::Unix,
                name: path.display().to_string(),
                refused_requests: wanted.refused_requests.clone(),
                demand: demand.clone(),
                protection: wanted.protection.clone(),
                chain: wanted.chain.clone(),
            });
        }
        for abstract_name in abstract_names {
            // No mode guards an abstract name: the kernel's word on who connects comes first.
            let mut auth = auth.clone();
            if !auth
                .chain
                .iter()
                .any(|step| matches!(step.module, AuthModule::PeerCred { .. }))
                && matches!(wanted.socket, Socket::Unix(UnixAddress::Auto))
            {
                let owner = AuthModule::PeerCred {
                    uids: vec![plan.owner.user.uid, 0],
                    gids: Vec::new(),
                };
                auth.chain.insert(0, owner.into());
            }
            let held = (abstract_name == claim::abstract_name(claim.display))
                .then(|| claim.abstract_socket.take())
                .flatten();
            listeners.push(auth);
            key_data.push(key.clone());
            opened.push(Opened {
                fd: match held {
                    Some(held) => held,
                    None => listen::abstract_unix(&abstract_name).map_err(at)?,
                },
                kind: ListenerKind::Unix,
                name: format!("@{abstract_name}"),
                refused_requests: wanted.refused_requests.clone(),
                demand: demand.clone(),
                protection: wanted.protection.clone(),
                chain: wanted.chain.clone(),
            });
        }
    }
    plan.secrets.listeners = listeners;
    plan.key_spec = key_data;
    Ok(opened)
}

/// Where `bulkhead reload` finds this session, if one of its sockets has a certificate; and what it
/// has to open then. Both are in the session directory, which is ours alone.
pub fn open_door(
    plan: &Plan,
    claim: &Claim,
    opened: &[Opened],
    undo: &mut Undo,
) -> Result<Option<OwnedFd>> {
    Record::remove(&claim.dir);
    let keys = KeysSpec {
        listeners: plan.key_spec.clone(),
    };
    let listeners = opened.iter().map(|socket| {
        let tls = match &socket.protection {
            Some(Protection::Tls(tls)) => Some(tls),
            Some(Protection::Aes(_)) | None => None,
        };
        (socket.name.as_str(), tls)
    });
    let record = Record::new(plan.owner.switch.as_ref(), &keys, listeners)?;
    if record.is_empty() {
        return Ok(None);
    }
    record.save(&claim.dir)?;
    let (door, made) = listen::door(&claim.dir.join(RELOAD_SOCKET))?;
    undo.file(made);
    Ok(Some(door))
}

/// What a person types to attach.
pub fn attach_hint(claim: &Claim, places: &Places, opened: &[Opened]) -> String {
    let Some(tcp) = opened
        .iter()
        .find(|socket| socket.kind == ListenerKind::Tcp)
    else {
        let display = claim.display;
        let known = format!("@{}", abstract_name(display));
        if opened.iter().any(|socket| socket.name == known) || places.stock_looks_in(&claim.dir) {
            return format!("xpra attach :{display}");
        }
        let socket = claim.dir.join(SOCKET);
        let address = format!("socket://{}", socket.display());
        return format!("xpra attach {}", exposure::quoted(&address));
    };
    let host = tcp
        .name
        .replace("0.0.0.0:", "localhost:")
        .replace("[::]:", "localhost:");
    let mut files = tcp.chain.iter().filter_map(|module| match &module.what {
        What::File { filename } => Some(filename),
        _ => None,
    });
    let absolute = |file: &PathBuf| std::path::absolute(file).unwrap_or_else(|_| file.clone());
    let scheme = match &tcp.protection {
        Some(Protection::Tls(_)) => "ssl",
        Some(Protection::Aes(_)) | None => "tcp",
    };
    let mut attach = format!("xpra attach {scheme}://{host}/");
    match &tcp.protection {
        Some(Protection::Aes(encryption)) => {
            // Not in the address: the stock client with windows looks for it here only.
            attach += &format!(" --encryption={}", encryption.mode.name());
            if let Source::File(file) = &encryption.source {
                let file = exposure::quoted(&absolute(file).to_string_lossy());
                attach += &format!(" --encryption-keyfile={file}");
            }
        }
        Some(Protection::Tls(wanted)) => {
            // As `bulkhead setup-ssl` leaves it.
            let authority = wanted
                .pair()
                .map(|files| files.certificate.with_file_name(tls::AUTHORITY));
            if let Some(file) = authority.ok().filter(|file| file.exists()) {
                let file = exposure::quoted(&absolute(&file).to_string_lossy());
                attach += &format!(" --ssl-ca-certs={file}");
            }
            if wanted.clients.is_some() {
                attach += " --ssl-cert=FILE --ssl-key=FILE";
            }
        }
        None => {}
    }
    match (files.next(), files.next()) {
        (Some(file), None) => {
            let file = exposure::quoted(&absolute(file).to_string_lossy());
            format!("{attach} --password-file={file}")
        }
        _ => attach,
    }
}
