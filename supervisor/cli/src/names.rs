//! The names that Xpra's command line has and this one has not yet, so that each is refused by
//! name, and the forms that are translated before the command line is parsed.

use crate::error::{Error, Result};
use crate::options::{BOOLEANS, Cli};
use clap::CommandFactory;

/// What a name of Xpra's is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// An option for a feature that does not exist here: `--NAME=no` asks for what is the case,
    /// and is accepted.
    Feature,
    /// What is always so here: `--NAME=yes` is accepted.
    Always,
    /// Another option.
    Setting,
    /// A subcommand.
    Command,
}
use Kind::{Always, Command, Feature, Setting};

/// Every name of Xpra's that does not exist here yet, sorted by kind and name. A test compares it
/// with the stock client's own lists.
#[rustfmt::skip]
const NAMES: &[(&str, Kind)] = &[
    ("attach", Feature),
    ("audio", Feature),
    ("av-sync", Feature),
    ("bandwidth-detection", Feature),
    ("clipboard", Feature),
    ("control", Feature),
    ("dbus", Feature),
    ("dbus-control", Feature),
    ("dbus-launch", Feature),
    ("desktop-fullscreen", Feature),
    ("exit-ssh", Feature),
    ("file-transfer", Feature),
    ("forward-xdg-open", Feature),
    ("gsettings-sync", Feature),
    ("gstreamer", Feature),
    ("headerbar", Feature),
    ("html", Feature),
    ("http", Feature),
    ("http-scripts", Feature),
    ("keyboard-raw", Feature),
    ("mdns", Feature),
    ("microphone", Feature),
    ("mmap", Feature),
    ("mmap-group", Feature),
    ("notifications", Feature),
    ("open-files", Feature),
    ("open-url", Feature),
    ("opengl", Feature),
    ("printing", Feature),
    ("proxy-start-sessions", Feature),
    ("pulseaudio", Feature),
    ("rdp-upgrade", Feature),
    ("reconnect", Feature),
    ("remote-logging", Feature),
    ("rfb-upgrade", Feature),
    ("shell", Feature),
    ("speaker", Feature),
    ("splash", Feature),
    ("ssh-upgrade", Feature),
    ("start-new-commands", Feature),
    ("start-via-proxy", Feature),
    ("sync-xvfb", Feature),
    ("system-tray", Feature),
    ("systemd-run", Feature),
    ("tray", Feature),
    ("upnp", Feature),
    ("video", Feature),
    ("webcam", Feature),
    ("websocket-upgrade", Feature),
    ("xsettings", Feature),
    ("terminate-children", Always),
    ("add-printer-options", Setting),
    ("audio-sink", Setting),
    ("audio-source", Setting),
    ("auto-refresh-delay", Setting),
    ("backend", Setting),
    ("bandwidth-limit", Setting),
    ("bell", Setting),
    ("bind-quic", Setting),
    ("bind-rdp", Setting),
    ("bind-rfb", Setting),
    ("bind-ssh", Setting),
    ("bind-vsock", Setting),
    ("bind-ws", Setting),
    ("bind-wss", Setting),
    ("border", Setting),
    ("bwlimit", Setting),
    ("challenge-handlers", Setting),
    ("client-socket-dirs", Setting),
    ("clipboard-direction", Setting),
    ("clipboard-filter-file", Setting),
    ("commands", Setting),
    ("compress", Setting),
    ("compression-level", Setting),
    ("compression_level", Setting),
    ("compressors", Setting),
    ("csc-modules", Setting),
    ("cursors", Setting),
    ("delay-tray", Setting),
    ("desktop-scaling", Setting),
    ("displayfd", Setting),
    ("dock-icon", Setting),
    ("download-path", Setting),
    ("dpi", Setting),
    ("enable-pings", Setting),
    ("encoding", Setting),
    ("encodings", Setting),
    ("exec-wrapper", Setting),
    ("file-size-limit", Setting),
    ("http-origin", Setting),
    ("idle-timeout", Setting),
    ("input-devices", Setting),
    ("input-method", Setting),
    ("key-shortcut", Setting),
    ("keyboard-backend", Setting),
    ("keyboard-layout", Setting),
    ("keyboard-layouts", Setting),
    ("keyboard-model", Setting),
    ("keyboard-options", Setting),
    ("keyboard-sync", Setting),
    ("keyboard-variant", Setting),
    ("keyboard-variants", Setting),
    ("local-clipboard", Setting),
    ("lock", Setting),
    ("log-dir", Setting),
    ("lpadmin", Setting),
    ("lpinfo", Setting),
    ("max-size", Setting),
    ("microphone-codec", Setting),
    ("middle-click", Setting),
    ("min-quality", Setting),
    ("min-size", Setting),
    ("min-speed", Setting),
    ("minimal", Setting),
    ("modal-windows", Setting),
    ("mousewheel", Setting),
    ("open-command", Setting),
    ("packet-encoders", Setting),
    ("password", Setting),
    ("password-file", Setting),
    ("pdf-printer", Setting),
    ("pings", Setting),
    ("pixel-depth", Setting),
    ("pointer", Setting),
    ("postscript-printer", Setting),
    ("pulseaudio-command", Setting),
    ("pulseaudio-configure-commands", Setting),
    ("quality", Setting),
    ("quic-auth", Setting),
    ("rdp-auth", Setting),
    ("refresh-rate", Setting),
    ("register", Setting),
    ("remote-clipboard", Setting),
    ("remote-xpra", Setting),
    ("rfb-auth", Setting),
    ("seccomp", Setting),
    ("server-idle-timeout", Setting),
    ("session-registry", Setting),
    ("shortcut-modifiers", Setting),
    ("sound-source", Setting),
    ("source", Setting),
    ("source-start", Setting),
    ("speaker-codec", Setting),
    ("speed", Setting),
    ("ssh", Setting),
    ("ssh-auth", Setting),
    ("start-after-connect", Setting),
    ("start-child-after-connect", Setting),
    ("start-child-late", Setting),
    ("start-child-on-connect", Setting),
    ("start-child-on-disconnect", Setting),
    ("start-child-on-last-client-exit", Setting),
    ("start-env", Setting),
    ("start-late", Setting),
    ("start-on-connect", Setting),
    ("start-on-disconnect", Setting),
    ("start-on-last-client-exit", Setting),
    ("swap-keys", Setting),
    ("system-proxy-socket", Setting),
    ("systemd-run-args", Setting),
    ("title", Setting),
    ("tray-icon", Setting),
    ("use-display", Setting),
    ("username", Setting),
    ("version", Setting),
    ("video-decoders", Setting),
    ("video-encoders", Setting),
    ("video-scaling", Setting),
    ("vsock-auth", Setting),
    ("window-close", Setting),
    ("window-icon", Setting),
    ("windows", Setting),
    ("wm-name", Setting),
    ("ws-auth", Setting),
    ("wss-auth", Setting),
    ("about", Command),
    ("applications-menu", Command),
    ("attach", Command),
    ("auth", Command),
    ("autostart", Command),
    ("bug-report", Command),
    ("clean", Command),
    ("clean-displays", Command),
    ("clean-sockets", Command),
    ("compression", Command),
    ("configure", Command),
    ("connect-test", Command),
    ("control", Command),
    ("crypto-info", Command),
    ("dbus-session-list", Command),
    ("dbus-system-list", Command),
    ("desktop", Command),
    ("desktop-greeter", Command),
    ("displays", Command),
    ("docs", Command),
    ("documentation", Command),
    ("encode", Command),
    ("encoder", Command),
    ("encoding", Command),
    ("example", Command),
    ("expand", Command),
    ("gtk-info", Command),
    ("gui", Command),
    ("gui-info", Command),
    ("html5", Command),
    ("icon", Command),
    ("initenv", Command),
    ("keyboard", Command),
    ("launcher", Command),
    ("license", Command),
    ("list-clients", Command),
    ("list-mdns", Command),
    ("list-windows", Command),
    ("listen", Command),
    ("mdns-gui", Command),
    ("monitor", Command),
    ("monitor-info", Command),
    ("network-info", Command),
    ("notify", Command),
    ("nvinfo", Command),
    ("opengl", Command),
    ("opengl-probe", Command),
    ("opengl-save-probe", Command),
    ("opengl-test", Command),
    ("otp", Command),
    ("packet-encoding", Command),
    ("path-info", Command),
    ("pinentry", Command),
    ("print", Command),
    ("printing-info", Command),
    ("proxy", Command),
    ("qrcode", Command),
    ("record", Command),
    ("recover", Command),
    ("replay", Command),
    ("root-size", Command),
    ("run", Command),
    ("runner", Command),
    ("sbom", Command),
    ("send-file", Command),
    ("session-info", Command),
    ("sessions", Command),
    ("sessions-menu", Command),
    ("set", Command),
    ("set-monitor", Command),
    ("setting", Command),
    ("shadow", Command),
    ("shadow-screen", Command),
    ("shell", Command),
    ("show-about", Command),
    ("show-menu", Command),
    ("show-session-info", Command),
    ("show-ssl", Command),
    ("showconfig", Command),
    ("showsetting", Command),
    ("splash", Command),
    ("start-desktop", Command),
    ("start-expand", Command),
    ("start-gui", Command),
    ("start-monitor", Command),
    ("start-proxy", Command),
    ("start-shadow", Command),
    ("start-shadow-screen", Command),
    ("toolbox", Command),
    ("top", Command),
    ("unset", Command),
    ("upgrade", Command),
    ("upgrade-desktop", Command),
    ("upgrade-monitor", Command),
    ("upgrade-seamless", Command),
    ("upgrade-shadow", Command),
    ("version-check", Command),
    ("version-info", Command),
    ("video", Command),
    ("wait-for-wayland", Command),
    ("wait-for-x11", Command),
    ("webcam", Command),
    ("webcam-client", Command),
    ("wminfo", Command),
    ("wmname", Command),
    ("xinfo", Command),
    ("xshm", Command),
    ("xvfb", Command),
    ("xvfb-command", Command),
    ("xwait", Command),
];

fn kind(name: &str, command: bool) -> Option<Kind> {
    NAMES
        .iter()
        .find(|(other, kind)| *other == name && (*kind == Command) == command)
        .map(|(_, kind)| *kind)
}

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
    match kind(name, false) {
        Some(Feature) if means_off(value) => Ok(true),
        Some(Feature) => Err(Error::usage(format!(
            "--{name}: this option of Xpra's is not built yet; only --{name}=no is accepted"
        ))),
        // A session that is stopped ends everything in it.
        Some(Always) if means_off(value) => Err(Error::usage(format!(
            "--{name}=no: `bulkhead stop` ends the applications too; `bulkhead exit` leaves them"
        ))),
        Some(Always) => Ok(true),
        Some(_) => Err(Error::usage(format!(
            "--{name}: this option of Xpra's is not built yet"
        ))),
        None => Ok(false),
    }
}

/// Does our own subcommand have this option?
fn exists(command: Option<&clap::Command>, name: &str) -> bool {
    command
        .into_iter()
        .flat_map(clap::Command::get_arguments)
        .flat_map(|arg| {
            arg.get_long_and_visible_aliases()
                .into_iter()
                .flatten()
                .chain(arg.get_all_aliases().into_iter().flatten())
        })
        .any(|long| long == name)
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
    if kind(&command, true).is_some() {
        return Err(Error::usage(match command.as_str() {
            "attach" => {
                "attach: the client is not built yet; the stock `xpra attach` works".to_owned()
            }
            _ => format!("{command}: this command of Xpra's is not built yet"),
        }));
    }
    if command == "help" {
        // `help COMMAND` is `COMMAND --help`.
        out.extend(args.next());
        out.push("--help".to_owned());
        return Ok(out);
    }
    let cli = Cli::command();
    let ours = cli.find_subcommand(&command);
    let session = ours.is_some_and(|ours| ours.get_name() == "seamless");
    out.push(command);
    while let Some(arg) = args.next() {
        if arg == "--" {
            out.push(arg);
            out.extend(args);
            break;
        }
        if session && arg == "-d" {
            out.push(format!("--debug={}", args.next().unwrap_or_default()));
            continue;
        }
        if arg.starts_with("-z") {
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
            ("debug", None) if session => {
                out.push(match args.next_if(|next| is_categories(next)) {
                    Some(categories) => format!("--debug={categories}"),
                    None => arg,
                });
            }
            ("readwrite", None) if session => out.push("--readonly=no".to_owned()),
            ("enable-sharing", None) if session => out.push("--sharing=yes".to_owned()),
            _ if exists(ours, name) => out.push(arg),
            _ => match name.strip_prefix("no-").filter(|_| value.is_none()) {
                Some(plain) if session && BOOLEANS.contains(&plain) => {
                    out.push(format!("--{plain}=no"));
                }
                Some(plain) if missing_option(plain, Some("no"))? => {}
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

    fn translated(args: &[&str]) -> Result<Vec<String>> {
        let mut line = vec!["bulkhead".to_owned(), "start".to_owned()];
        line.extend(args.iter().map(|a| (*a).to_owned()));
        translate(line).map(|out| out[2..].to_vec())
    }

    #[test]
    fn no_name_is_there_twice_and_no_session_has_it() {
        for two in NAMES.windows(2) {
            let key = |(name, kind): (&'static str, Kind)| (kind as u8, name);
            assert!(key(two[0]) < key(two[1]), "{two:?}");
        }
        let command = Cli::command();
        let seamless = command.find_subcommand("seamless");
        for (name, kind) in NAMES {
            match kind {
                Command => assert!(command.find_subcommand(name).is_none(), "{name} exists"),
                _ => assert!(!exists(seamless, name), "{name} exists"),
            }
        }
    }

    /// Prints what the stock client's own parser knows, and its commands.
    const STOCK_NAMES: &str = r#"
import optparse, os, sys
def names(parser, *args):
    for group in [parser] + parser.option_groups:
        for option in group.option_list:
            for name in option._long_opts:
                print(name)
    for line in parser.usage.splitlines():
        words = line.split()
        if len(words) > 1:
            print(words[1])
    sys.stdout.flush()
    os._exit(0)
optparse.OptionParser.parse_args = names
from xpra.scripts.main import main
main("xpra", ["xpra", "info"])
"#;

    #[test]
    fn every_name_of_the_stock_client_is_known() {
        let home = std::env::var_os("HOME")
            .map(std::path::PathBuf::from)
            .unwrap_or_default();
        let cache = std::env::var_os("XDG_CACHE_HOME").map_or(home.join(".cache"), Into::into);
        let python = cache.join("bulkhead/xpra-6.5.5/bin/python3");
        if !python.exists() {
            println!("skipped: the stock client is not installed");
            return;
        }
        let scratch = tempfile::tempdir().unwrap();
        let output = std::process::Command::new(python)
            .args(["-c", STOCK_NAMES])
            .env("HOME", scratch.path())
            .env("XDG_RUNTIME_DIR", scratch.path())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let command = Cli::command();
        let seamless = command.find_subcommand("seamless");
        let unknown: Vec<_> = text
            .lines()
            .filter(|name| match name.strip_prefix("--") {
                Some("help") => false,
                Some(name) => !exists(seamless, name) && kind(name, false).is_none(),
                None => command.find_subcommand(name).is_none() && kind(name, true).is_none(),
            })
            .collect();
        assert!(text.lines().count() > 200, "{text}");
        assert_eq!(unknown, [""; 0]);
    }

    #[test]
    fn every_command_knows_the_names() {
        for command in ["info", "list", "stop", "audit", "screenshot"] {
            let line =
                |arg: &str| translate(["bulkhead", command, arg].map(str::to_owned).to_vec());
            let error = line("--html=on").unwrap_err().to_string();
            assert!(
                error.contains("--html: this option of Xpra's is not built yet"),
                "{error}"
            );
            assert_eq!(line("--html=off").unwrap().len(), 2);
        }
        let own = ["bulkhead", "info", "--password-file=x", "--socket-dirs=/x"].map(str::to_owned);
        assert_eq!(translate(own.to_vec()).unwrap(), own);
        let help = translate(["bulkhead", "help", "info"].map(str::to_owned).to_vec());
        assert_eq!(help.unwrap(), ["bulkhead", "info", "--help"]);
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
            "--bind-ws=:1",
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
