//! Tells clients what has changed, as fast as each of them reads.

use crate::client::{Client, View};
use crate::session::{Session, XResult};
use crate::window::{Window, Windows};
use ipc::display::DisplayToNetwork;
use ipc::verdict::Peer;
use ipc::{ChannelError, ConnectionId, Size, WindowId};
use std::time::Instant;

impl Session {
    /// Sends every client what it does not know yet.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn tell_clients(&mut self) -> XResult<()> {
        let (root, max_root) = (self.size, self.max_size);
        let now = Instant::now();
        let mut failed: Vec<(ConnectionId, ChannelError)> = Vec::new();
        for client in self.clients.values_mut().filter(|c| c.is_present()) {
            if let Err(error) = tell(client, &self.windows, (root, max_root), now) {
                failed.push((client.id, error));
            }
        }
        for (id, error) in failed {
            self.channel_failed(Peer::Network(id), &error)?;
        }
        Ok(())
    }

    /// When a client is to be told something although nothing happens.
    #[must_use]
    pub fn next_settled(&self) -> Option<Instant> {
        let listening = self.clients.values().filter(|c| !c.network.wants_write());
        let views = listening.flat_map(|c| c.views.values());
        views.filter_map(|view| view.settle).min()
    }
}

/// Sends until the channel is full or all is told.
fn tell(
    client: &mut Client,
    windows: &Windows,
    root: (Size, Size),
    now: Instant,
) -> Result<(), ChannelError> {
    let Client {
        network,
        views,
        lost,
        synced,
        ring,
        ..
    } = client;
    // One message may wait for the peer to read, not more.
    macro_rules! send {
        ($message:expr) => {
            network.send(&$message, Vec::new())?;
            if network.wants_write() {
                return Ok(());
            }
        };
    }
    if network.wants_write() {
        return Ok(());
    }
    while let Some(id) = lost.pop_first() {
        send!(DisplayToNetwork::LostWindow(id));
    }
    if std::mem::take(&mut client.root) {
        send!(DisplayToNetwork::DesktopSize {
            root: root.0,
            max_root: root.1
        });
    }
    for window in windows.iter() {
        let Some(view) = views.get_mut(&window.id) else {
            continue;
        };
        if !view.told {
            view.told = true;
            view.counter = window.counter;
            view.changed.clear();
            (view.moved, view.raise) = (false, false);
            send!(DisplayToNetwork::NewWindow {
                window: window.id,
                geometry: window.place.geometry(),
                override_redirect: window.override_redirect,
                metadata: window.all_facts(view.known_before),
            });
        }
        while let Some(message) = news(view, window, now) {
            send!(message);
        }
    }
    if !*synced {
        *synced = true;
        send!(DisplayToNetwork::Synced);
    }
    if let Some(bell) = ring.take() {
        let known = |id: &WindowId| views.get(id).is_some_and(|view| view.told);
        send!(DisplayToNetwork::Bell {
            window: bell.window.filter(known),
            percent: bell.percent,
            pitch: bell.pitch,
            duration: bell.duration,
        });
    }
    Ok(())
}

/// The next thing to tell of a window.
fn news(view: &mut View, window: &Window, now: Instant) -> Option<DisplayToNetwork> {
    let id = window.id;
    if !view.changed.is_empty() {
        let keys = std::mem::take(&mut view.changed);
        let metadata: Vec<_> = keys
            .into_iter()
            .filter_map(|key| window.fact(key))
            .collect();
        if !metadata.is_empty() {
            return Some(DisplayToNetwork::Metadata {
                window: id,
                metadata,
            });
        }
    }
    if std::mem::take(&mut view.moved) {
        view.settle = None;
        let geometry = window.place.geometry();
        let resize_counter = window.counter;
        return Some(DisplayToNetwork::MoveResize {
            window: id,
            geometry,
            resize_counter,
        });
    }
    if view.settle.is_some_and(|at| at <= now) {
        view.settle = None;
        return Some(DisplayToNetwork::Resize {
            window: id,
            size: window.place.geometry().size,
            resize_counter: window.counter,
        });
    }
    if std::mem::take(&mut view.raise) {
        return Some(DisplayToNetwork::Raise(id));
    }
    let drag = view.drag.take()?;
    Some(DisplayToNetwork::InitiateMoveResize {
        window: id,
        position: drag.position,
        direction: drag.direction,
        button: drag.button,
    })
}
