//! The answer to `info`: what the supervisor knows.

use crate::client::{DESCRIBE, Who, Work};
use crate::session::Session;
use ipc::display::{SupervisorToDisplay, WindowDescription};
use ipc::keys::Encryption;
use ipc::network::{InfoValue, SupervisorToNetwork};
use ipc::{ConnectionId, Size};
use policy::Role;
use std::time::Instant;

/// Entries in one message; with the bounds on their texts they fit.
const PER_PAGE: usize = 64;
/// Longest text of a value.
const MAX_TEXT: usize = 512;

/// Facts in the making.
#[derive(Default)]
struct Facts(Vec<(String, InfoValue)>);

impl Facts {
    fn int(&mut self, key: impl Into<String>, value: impl TryInto<i64>) {
        self.0.push((
            key.into(),
            InfoValue::Int(value.try_into().unwrap_or(i64::MAX)),
        ));
    }
    fn bool(&mut self, key: impl Into<String>, value: bool) {
        self.0.push((key.into(), InfoValue::Bool(value)));
    }
    fn text(&mut self, key: impl Into<String>, value: impl AsRef<str>) {
        let value = value.as_ref();
        let value = value[..value.floor_char_boundary(MAX_TEXT)].to_owned();
        self.0.push((key.into(), InfoValue::Text(value)));
    }
}

impl Session {
    /// Begins an answer: first `display` is asked for the windows.
    pub fn start_info(&mut self, id: ConnectionId, now: Instant) {
        self.last_number += 1;
        let token = self.last_number;
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.work = Work::Info {
                token,
                until: now + DESCRIBE,
            };
        }
        self.display.ask(&mut self.log, now);
        match self.display.usable() {
            Some(display) => {
                display.tell(
                    &SupervisorToDisplay::Describe { token },
                    vec![],
                    &mut self.log,
                );
            }
            None => self.finish_info(id, None, now),
        }
    }

    /// `display` has described the windows.
    pub fn described(
        &mut self,
        answer: u64,
        root: Size,
        windows: &[WindowDescription],
        now: Instant,
    ) {
        let asked = self
            .connections
            .iter()
            .find(|(_, one)| matches!(one.work, Work::Info { token, .. } if token == answer));
        if let Some((id, _)) = asked {
            self.finish_info(*id, Some((root, windows)), now);
        }
    }

    /// Sends an answer, with the windows or without.
    pub fn finish_info(
        &mut self,
        id: ConnectionId,
        display: Option<(Size, &[WindowDescription])>,
        now: Instant,
    ) {
        let mut facts = Facts::default();
        self.server_facts(&mut facts, now);
        self.sandbox_facts(&mut facts, now);
        self.client_facts(&mut facts, now);
        if let Some((root, windows)) = display {
            window_facts(&mut facts, root, windows);
        }
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        for page in facts.0.chunks(PER_PAGE) {
            let page = SupervisorToNetwork::Info(page.to_vec());
            connection.network.tell(&page, vec![], &mut self.log);
        }
        connection
            .network
            .tell(&SupervisorToNetwork::InfoEnd, vec![], &mut self.log);
        self.one_shot_done(id, now);
    }

    fn server_facts(&self, facts: &mut Facts, now: Instant) {
        let spec = &self.spec;
        facts.text("server.type", "bulkhead");
        facts.text("server.mode", "seamless");
        facts.text("server.build.version", env!("CARGO_PKG_VERSION"));
        facts.int("server.pid", self.nursery.pid);
        facts.int("server.start_time", self.start_time);
        facts.int(
            "server.uptime",
            now.saturating_duration_since(self.started).as_secs(),
        );
        facts.text("server.uuid", &spec.uuid);
        facts.text("server.machine-id", &spec.machine_id);
        facts.text("server.hostname", &spec.hostname);
        facts.text("server.session-name", &spec.session_name);
        facts.bool("server.readonly", spec.readonly);
        let sharing = match spec.sharing {
            Some(true) => "yes",
            Some(false) => "no",
            None => "auto",
        };
        facts.text("server.sharing", sharing);
        facts.text(
            "display.name",
            format!(":{}", self.display_number.unwrap_or_default()),
        );
        for (index, listener) in spec.listeners.iter().enumerate() {
            facts.text(format!("network.sockets.{index}"), &listener.name);
        }
        let counters = &self.counters;
        for (name, value) in [
            ("accepted", counters.accepted),
            ("penalised", counters.penalised),
            ("crowded", counters.crowded),
            ("refused", counters.refused),
            ("authenticated", counters.authenticated),
        ] {
            facts.int(format!("network.connections.{name}"), value);
        }
    }

    fn sandbox_facts(&self, facts: &mut Facts, now: Instant) {
        facts.text("sandbox.mode", self.nursery.sandbox.name());
        facts.text("sandbox.start", self.nursery.mode.name());
        facts.int("sandbox.landlock-abi", self.landlock_abi);
        facts.int("sandbox.violations", self.counters.violations);
        facts.int("sandbox.kills", self.counters.sandbox);
        facts.int("sandbox.restarts.auth", self.auth.restarts.total);
        facts.int("sandbox.restarts.keys", self.keys.restarts.total);
        facts.int("sandbox.restarts.display", self.display.restarts.total);
        for role in [Role::Supervisor].into_iter().chain(Role::WORKERS) {
            let calls = i64::try_from(policy::of(role).calls().len()).unwrap_or(i64::MAX);
            facts.int(format!("sandbox.calls.{role}"), calls);
        }
        for (role, pid, connection, started) in self.processes() {
            let key = format!("sandbox.process.{pid}");
            facts.text(format!("{key}.role"), role.name());
            facts.int(
                format!("{key}.age"),
                now.saturating_duration_since(started).as_secs(),
            );
            if let Some(connection) = connection {
                facts.int(format!("{key}.connection"), connection.0);
            }
        }
    }

    fn client_facts(&self, facts: &mut Facts, now: Instant) {
        facts.int("clients", self.attached().count() as u64);
        for (index, (id, attached)) in self.attached().enumerate() {
            let key = |name: &str| format!("client.{index}.{name}");
            let it = &attached.description;
            facts.int(key("connection.id"), id.0);
            facts.text(key("type"), &it.client_type);
            facts.text(key("version"), &it.version);
            facts.text(key("hostname"), &it.hostname);
            facts.text(key("uuid"), &it.uuid);
            facts.bool(key("share"), it.share);
            facts.bool(key("readonly"), attached.rights.readonly);
            facts.int(
                key("connected"),
                now.saturating_duration_since(attached.since).as_secs(),
            );
            facts.int(key("encoder-restarts"), attached.restarts.total);
            let Some(connection) = self.connections.get(&id) else {
                continue;
            };
            facts.text(key("connection.peer"), Who(&connection.peer).to_string());
            if let Some(verdict) = &connection.verdict {
                facts.text(key("user"), &verdict.username);
                facts.text(key("authentication"), &verdict.module);
            }
            let encryption = self.encryption(connection.listener).map(Encryption::name);
            facts.text(key("encryption"), encryption.unwrap_or("none"));
        }
    }
}

fn window_facts(facts: &mut Facts, root: Size, windows: &[WindowDescription]) {
    facts.int("display.width", root.width());
    facts.int("display.height", root.height());
    for window in windows {
        let key = format!("windows.{}", window.window.wire());
        facts.text(format!("{key}.title"), &window.title);
        let (position, size) = (window.geometry.position, window.geometry.size);
        let geometry = format!(
            "{}x{}+{}+{}",
            size.width(),
            size.height(),
            position.x,
            position.y
        );
        facts.text(format!("{key}.geometry"), geometry);
        facts.bool(format!("{key}.override-redirect"), window.override_redirect);
    }
}
