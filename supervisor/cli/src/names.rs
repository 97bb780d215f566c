//! The names that Xpra's command line has and this one has not yet, so that each is refused by
//! name, and the forms that are translated before the command line is parsed.

use crate::error::{Error, Result};
use crate::options::BOOLEANS;

/// Features that do not exist here: `--NAME=no` asks for what is the case and is accepted.
const ABSENT_FEATURES: [&str; 52] = [
    "attach",
    "audio",
    "av-sync",
    "bandwidth-detection",
    "clipboard",
    "control",
    "dbus",
    "dbus-control",
    "dbus-launch",
    "desktop-fullscreen",
    "file-transfer",
    "forward-xdg-open",
    "gsettings-sync",
    "gstreamer",
    "headerbar",
    "html",
    "http",
    "http-scripts",
    "keyboard-raw",
    "mdns",
    "microphone",
    "mmap",
    "mmap-group",
    "notifications",
    "open-files",
    "open-url",
    "opengl",
    "printing",
    "proxy-start-sessions",
    "pulseaudio",
    "rdp-upgrade",
    "reconnect",
    "remote-logging",
    "rfb-upgrade",
    "shell",
    "speaker",
    "splash",
    "ssh-upgrade",
    "ssl",
    "ssl-upgrade",
    "start-new-commands",
    "start-via-proxy",
    "sync-xvfb",
    "system-tray",
    "systemd-run",
    "tray",
    "upnp",
    "video",
    "webcam",
    "websocket-upgrade",
    "xsettings",
    "exit-ssh",
];

/// Other options of Xpra's.
const OTHERS: [&str; 142] = [
    "add-printer-options",
    "audio-sink",
    "audio-source",
    "auto-refresh-delay",
    "backend",
    "bandwidth-limit",
    "bell",
    "bind-quic",
    "bind-rdp",
    "bind-rfb",
    "bind-ssh",
    "bind-ssl",
    "bind-vsock",
    "bind-ws",
    "bind-wss",
    "border",
    "bwlimit",
    "challenge-handlers",
    "client-socket-dirs",
    "clipboard-direction",
    "clipboard-filter-file",
    "commands",
    "compress",
    "compression_level",
    "compression-level",
    "compressors",
    "csc-modules",
    "cursors",
    "delay-tray",
    "desktop-scaling",
    "displayfd",
    "dock-icon",
    "download-path",
    "dpi",
    "enable-pings",
    "encoding",
    "encodings",
    "encryption",
    "encryption-keyfile",
    "exec-wrapper",
    "file-size-limit",
    "http-origin",
    "idle-timeout",
    "input-devices",
    "input-method",
    "key-shortcut",
    "keyboard-backend",
    "keyboard-layout",
    "keyboard-layouts",
    "keyboard-model",
    "keyboard-options",
    "keyboard-sync",
    "keyboard-variant",
    "keyboard-variants",
    "local-clipboard",
    "lock",
    "log-dir",
    "lpadmin",
    "lpinfo",
    "max-size",
    "microphone-codec",
    "middle-click",
    "min-quality",
    "min-size",
    "min-speed",
    "minimal",
    "modal-windows",
    "mousewheel",
    "open-command",
    "packet-encoders",
    "password",
    "password-file",
    "pdf-printer",
    "pings",
    "pixel-depth",
    "pointer",
    "postscript-printer",
    "pulseaudio-command",
    "pulseaudio-configure-commands",
    "quality",
    "quic-auth",
    "rdp-auth",
    "refresh-rate",
    "register",
    "remote-clipboard",
    "remote-xpra",
    "rfb-auth",
    "seccomp",
    "server-idle-timeout",
    "session-registry",
    "shortcut-modifiers",
    "sound-source",
    "source",
    "source-start",
    "speaker-codec",
    "speed",
    "ssh",
    "ssh-auth",
    "ssl-auth",
    "ssl-ca-certs",
    "ssl-ca-data",
    "ssl-cert",
    "ssl-check-hostname",
    "ssl-ciphers",
    "ssl-client-verify-mode",
    "ssl-key",
    "ssl-key-password",
    "ssl-options",
    "ssl-protocol",
    "ssl-server-hostname",
    "ssl-server-verify-mode",
    "ssl-verify-flags",
    "start-after-connect",
    "start-child-after-connect",
    "start-child-late",
    "start-child-on-connect",
    "start-child-on-disconnect",
    "start-child-on-last-client-exit",
    "start-env",
    "start-late",
    "start-on-connect",
    "start-on-disconnect",
    "start-on-last-client-exit",
    "swap-keys",
    "system-proxy-socket",
    "systemd-run-args",
    "tcp-encryption",
    "tcp-encryption-keyfile",
    "title",
    "tray-icon",
    "use-display",
    "username",
    "video-decoders",
    "video-encoders",
    "video-scaling",
    "vsock-auth",
    "window-close",
    "window-icon",
    "windows",
    "wm-name",
    "ws-auth",
    "wss-auth",
];

/// Subcommands of Xpra's that do not exist here yet.
const COMMANDS: [&str; 49] = [
    "attach",
    "launcher",
    "gui",
    "listen",
    "desktop",
    "start-desktop",
    "monitor",
    "start-monitor",
    "expand",
    "start-expand",
    "shadow",
    "start-shadow",
    "shadow-screen",
    "start-shadow-screen",
    "proxy",
    "start-proxy",
    "encoder",
    "runner",
    "upgrade",
    "upgrade-seamless",
    "upgrade-desktop",
    "upgrade-monitor",
    "upgrade-shadow",
    "connect-test",
    "icon",
    "control",
    "run",
    "print",
    "list-clients",
    "list-windows",
    "displays",
    "sessions",
    "clean",
    "clean-sockets",
    "clean-displays",
    "recover",
    "list-mdns",
    "mdns-gui",
    "top",
    "record",
    "shell",
    "setup-ssl",
    "show-ssl",
    "auth",
    "showconfig",
    "showsetting",
    "webcam",
    "qrcode",
    "bug-report",
];

fn means_off(value: Option<&str>) -> bool {
    value.is_some_and(|value| {
        matches!(
            value.to_ascii_lowercase().as_str(),
            "no" | "off" | "false" | "0" | "none" | "disabled"
        )
    })
}

/// What may follow `--debug`, and is neither an option nor a display.
fn is_categories(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
}

/// Says whether an option of Xpra's is one that does not exist here. `Ok(true)`: it was asked to
/// be off, as it is. `Ok(false)`: not one of Xpra's that are missing.
///
/// # Errors
/// The option is refused.
pub fn missing_option(name: &str, value: Option<&str>) -> Result<bool> {
    if ABSENT_FEATURES.contains(&name) {
        return match means_off(value) {
            true => Ok(true),
            false => Err(Error::usage(format!(
                "--{name}: this option of Xpra's is not built yet; only --{name}=no is accepted"
            ))),
        };
    }
    // A session that is stopped ends everything in it.
    if name == "terminate-children" {
        return match means_off(value) {
            false => Ok(true),
            true => Err(Error::usage(
                "--terminate-children=no: `bulkhead stop` ends the applications too; `bulkhead exit` leaves them",
            )),
        };
    }
    match OTHERS.contains(&name) {
        true => Err(Error::usage(format!(
            "--{name}: this option of Xpra's is not built yet"
        ))),
        false => Ok(false),
    }
}

/// Translates what clap does not know: `--no-X`, `-d CATEGORIES`, other names for the same, and
/// refuses what is Xpra's and not built yet.
///
/// # Errors
/// A refusal, by name.
pub fn translate(args: Vec<String>) -> Result<Vec<String>> {
    let mut args = args.into_iter().peekable();
    let mut out: Vec<String> = args.next().into_iter().collect();
    let Some(command) = args.next() else {
        return Ok(out);
    };
    if COMMANDS.contains(&command.as_str()) {
        return Err(Error::usage(match command.as_str() {
            "attach" => {
                "attach: the client is not built yet; the stock `xpra attach` works".to_owned()
            }
            _ => format!("{command}: this command of Xpra's is not built yet"),
        }));
    }
    let session = ["seamless", "start", "start-seamless"].contains(&command.as_str());
    out.push(command);
    if !session {
        out.extend(args);
        return Ok(out);
    }
    while let Some(arg) = args.next() {
        if arg == "--" {
            out.push(arg);
            out.extend(args);
            break;
        }
        if arg == "-d" {
            out.push(format!("--debug={}", args.next().unwrap_or_default()));
            continue;
        }
        if arg == "-z" || arg.starts_with("-z") {
            return Err(Error::usage("-z: this option of Xpra's is not built yet"));
        }
        let Some(long) = arg.strip_prefix("--") else {
            out.push(arg);
            continue;
        };
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (long, None),
        };
        match (name, value) {
            // Xpra's takes categories.
            ("debug", None) => out.push(match args.next_if(|next| is_categories(next)) {
                Some(categories) => format!("--debug={categories}"),
                None => arg,
            }),
            ("readwrite", None) => out.push("--readonly=no".to_owned()),
            ("enable-sharing", None) => out.push("--sharing=yes".to_owned()),
            _ => match name.strip_prefix("no-") {
                Some(plain) if value.is_none() && BOOLEANS.contains(&plain) => {
                    out.push(format!("--{plain}=no"));
                }
                Some(plain) if value.is_none() && missing_option(plain, Some("no"))? => {}
                _ if missing_option(name, value)? => {}
                _ => out.push(arg),
            },
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Cli;
    use clap::CommandFactory;

    fn translated(args: &[&str]) -> Result<Vec<String>> {
        let mut line = vec!["bulkhead".to_owned(), "start".to_owned()];
        line.extend(args.iter().map(|a| (*a).to_owned()));
        translate(line).map(|out| out[2..].to_vec())
    }

    #[test]
    fn no_name_is_in_two_lists_and_none_of_them_exists() {
        let mut all: Vec<_> = ABSENT_FEATURES.iter().chain(&OTHERS).collect();
        all.sort_unstable();
        for two in all.windows(2) {
            assert_ne!(two[0], two[1]);
        }
        let command = Cli::command();
        let seamless = command.find_subcommand("seamless").unwrap();
        for arg in seamless.get_arguments() {
            for name in arg.get_long_and_visible_aliases().unwrap_or_default() {
                assert!(!all.contains(&&name), "{name} exists");
            }
        }
        for name in COMMANDS {
            assert!(command.find_subcommand(name).is_none(), "{name} exists");
        }
    }

    #[test]
    fn forms_are_translated() {
        let out = translated(&[
            ":1",
            "--no-daemon",
            "-d",
            "auth",
            "--readwrite",
            "--start",
            "a --no-x",
        ]);
        assert_eq!(
            out.unwrap(),
            [
                ":1",
                "--daemon=no",
                "--debug=auth",
                "--readonly=no",
                "--start",
                "a --no-x"
            ]
        );
        for (line, wanted) in [
            (&["--debug", "auth,x11"][..], &["--debug=auth,x11"][..]),
            (&["--debug", ":1"], &["--debug", ":1"]),
            (&["--debug", "--daemon"], &["--debug", "--daemon"]),
            (&["--debug=auth"], &["--debug=auth"]),
            (&["--terminate-children"], &[]),
        ] {
            assert_eq!(translated(line).unwrap(), wanted);
        }
        assert_eq!(
            translated(&["--", "--clipboard"]).unwrap(),
            ["--", "--clipboard"]
        );
    }

    #[test]
    fn what_is_missing_may_be_off_and_nothing_else() {
        assert_eq!(
            translated(&["--mdns=no", "--speaker=off", "--no-clipboard"]).unwrap(),
            [""; 0]
        );
        for arg in ["--mdns", "--clipboard=yes", "--html=/x"] {
            let error = translated(&[arg]).unwrap_err().to_string();
            assert!(error.contains("not built yet; only --"), "{error}");
        }
        for arg in [
            "--bind-ssl=:1",
            "--start-env=A=B",
            "--dpi",
            "--no-bell",
            "-z9",
        ] {
            let _ = translated(&[arg]).unwrap_err();
        }
        assert!(translate(vec!["bulkhead".into(), "shadow".into()]).is_err());
    }
}
