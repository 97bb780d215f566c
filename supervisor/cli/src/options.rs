//! The command line.

use crate::error::{Error, Result};
use crate::offer::{Ciphers, Protocol, Without};
use crate::tls::{Mode, Verify};
use crate::trusted::{Flags, Pem};
use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use std::path::PathBuf;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Yellow.on_default().bold())
    .usage(AnsiColor::Yellow.on_default().bold())
    .literal(AnsiColor::Green.on_default())
    .placeholder(AnsiColor::Cyan.on_default());

/// Serves X11 applications to Xpra clients, each job in its own sandboxed process.
#[derive(Debug, Parser)]
#[command(
    name = "bulkhead",
    bin_name = "bulkhead",
    version,
    styles = STYLES,
    max_term_width = 100,
    disable_help_subcommand = true,
    disable_help_flag = true,
    infer_long_args = false,
    after_help = "Examples:
  bulkhead seamless :100 --start=xterm
      a session with a terminal; `xpra attach :100` on this machine shows it
  bulkhead seamless --start=xterm --bind-tcp=127.0.0.1:10000,auth=file,filename=password.txt
      the same on a TCP port of this machine, with a password
  bulkhead list
  bulkhead audit :100
  bulkhead stop :100

Options of a command: bulkhead COMMAND --help, or bulkhead help COMMAND"
)]
pub struct Cli {
    /// Print help
    #[arg(short, long, global = true, action = clap::ArgAction::HelpShort, display_order = 99)]
    help: Option<bool>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a session whose windows appear one by one on the client
    #[command(visible_alias = "start", alias = "start-seamless")]
    Seamless(Box<StartArgs>),
    /// Show the sessions of this user
    #[command(visible_alias = "list-sessions")]
    List(ListArgs),
    /// Print what a session tells about itself
    Info(TargetArgs),
    /// Print the Xpra version that a session speaks, and the version of this command
    Version(TargetArgs),
    /// Print the lines that name a session
    Id(TargetArgs),
    /// Save the session's screen as a PNG file
    Screenshot(ScreenshotArgs),
    /// Disconnect a session's clients
    Detach(TargetArgs),
    /// End a session with its applications
    Stop(TargetArgs),
    /// End a session's server; the next start of that display takes its applications over
    Exit(TargetArgs),
    /// Have a session use the certificates and keys that are in its files now; clients stay attached
    Reload(ReloadArgs),
    /// Make a certificate for --bind-ssl, with its key
    SetupSsl(SetupSslArgs),
    /// Compare every process of a session with its policy, as the kernel enforces it
    Audit(AuditArgs),
    /// Say in words what the processes of a role may do
    Policy(PolicyArgs),
    /// Make a key of one-time codes for auth=otp, and show it as a QR code
    OtpKey(OtpKeyArgs),
    /// Try an authentication module as a session would: status 0 when it lets in, 1 when not
    AuthTest(AuthTestArgs),
    /// Add, change, remove and list the users of a database for auth=sqlite
    Passwd(PasswdArgs),
    /// Make a security key known to auth=u2f, by its public key
    U2f(RegisterArgs),
    /// Make a security key known to auth=fido2, by its public key
    Fido2(RegisterArgs),
}

const LISTEN: &str = "Where it listens";
const AUTH: &str = "Who may connect";
const RUN: &str = "What runs";
const LIFE: &str = "How long it lives";
const CLIENTS: &str = "What clients may do";
const PLACE: &str = "Where it runs";
const LOGS: &str = "Safety and logs";

/// Options of `bulkhead seamless`. What is `None` or empty was not said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
#[command(after_help = "\
Booleans are --X, --X=yes|no|on|off|true|false|1|0 or --no-X.
The same names, without the dashes, are keys in /etc/bulkhead/bulkhead.toml and
~/.config/bulkhead/bulkhead.toml; the command line wins.

Examples:
  bulkhead seamless :100 --start=xterm --exit-with-children
  bulkhead seamless --start=xterm --bind-tcp=127.0.0.1:10000,auth=file,filename=password.txt
  XPRA_PASSWORD=secret bulkhead start :7 --start=xterm --bind-tcp=:10000,auth=env --daemon=no")]
pub struct StartArgs {
    /// The display's number; without it a free one from :100 on is chosen
    #[arg(value_name = ":N", value_parser = display)]
    pub display: Option<u32>,

    /// Start this command in the session (may be repeated)
    #[arg(long, value_name = "COMMAND", help_heading = RUN, value_hint = ValueHint::CommandString)]
    pub start: Vec<String>,
    /// The same, and --exit-with-children waits for its end (may be repeated)
    #[arg(long, value_name = "COMMAND", help_heading = RUN, value_hint = ValueHint::CommandString)]
    pub start_child: Vec<String>,
    /// Variable for the X server and the commands (may be repeated)
    #[arg(long, value_name = "NAME=VALUE", help_heading = RUN)]
    pub env: Vec<String>,
    /// Directory in which the commands start
    #[arg(long, value_name = "DIR", help_heading = RUN, value_hint = ValueHint::DirPath)]
    pub chdir: Option<PathBuf>,
    /// The X server and its options [default: Xvfb with a screen of 8192x4096]
    #[arg(long, value_name = "COMMAND", help_heading = RUN, value_hint = ValueHint::CommandString)]
    pub xvfb: Option<String>,
    /// What clients call the session
    #[arg(long, value_name = "TEXT", help_heading = RUN)]
    pub session_name: Option<String>,

    /// End when the last command of --start-child has ended [default: no]
    #[arg(long, value_name = "BOOL", help_heading = LIFE, value_parser = flag, num_args = 0..=1, require_equals = true, default_missing_value = "yes")]
    pub exit_with_children: Option<bool>,
    /// End when the last client has gone [default: no]
    #[arg(long, value_name = "BOOL", help_heading = LIFE, value_parser = flag, num_args = 0..=1, require_equals = true, default_missing_value = "yes")]
    pub exit_with_client: Option<bool>,
    /// End when the last window has gone [default: no]
    #[arg(long, value_name = "BOOL", help_heading = LIFE, value_parser = flag, num_args = 0..=1, require_equals = true, default_missing_value = "yes")]
    pub exit_with_windows: Option<bool>,
    /// Go to the background when the session is ready [default: yes]
    #[arg(long, value_name = "BOOL", help_heading = LIFE, value_parser = flag, num_args = 0..=1, require_equals = true, default_missing_value = "yes")]
    pub daemon: Option<bool>,
    /// File for the process id [default: server.pid in the session directory]
    #[arg(long, value_name = "FILE", help_heading = LIFE, value_hint = ValueHint::FilePath)]
    pub pidfile: Option<PathBuf>,

    /// Unix socket: auto, noabstract, none, /PATH, /DIR/ or @NAME, then ,OPTION=VALUE… (may be
    /// repeated) [default: auto]
    #[arg(long, value_name = "WHERE", help_heading = LISTEN)]
    pub bind: Vec<String>,
    /// TCP socket: [HOST]:PORT, then ,auth=MODULE… and ,OPTION=VALUE… (may be repeated)
    #[arg(long, value_name = "HOST:PORT", help_heading = LISTEN)]
    pub bind_tcp: Vec<String>,
    /// The same with TLS, for clients with ssl://HOST:PORT (may be repeated)
    #[arg(long, value_name = "HOST:PORT", help_heading = LISTEN)]
    pub bind_ssl: Vec<String>,
    /// Lowest port that may be used [default: 1024]
    #[arg(long, value_name = "PORT", help_heading = LISTEN, value_parser = port)]
    pub min_port: Option<u16>,
    /// Directory for the socket HOSTNAME-N of --bind=auto (may be repeated)
    #[arg(long, alias = "socket-dirs", value_name = "DIR", help_heading = LISTEN, value_hint = ValueHint::DirPath)]
    pub socket_dir: Vec<PathBuf>,
    /// Directory in which the session directory N is made
    #[arg(long, value_name = "DIR", help_heading = LISTEN, value_hint = ValueHint::DirPath)]
    pub sessions_dir: Option<PathBuf>,
    /// Mode of unix sockets, octal [default: 600]
    #[arg(long, value_name = "MODE", help_heading = LISTEN)]
    pub socket_permissions: Option<String>,

    /// Authentication of unix sockets without their own auth=: MODULE or MODULE(option=value,…)
    /// (repeat for a chain) [default: peercred: the owner]
    #[arg(long, value_name = "MODULE", help_heading = AUTH)]
    pub auth: Vec<String>,
    /// Authentication of TCP sockets without their own auth= (repeat for a chain); http-header
    /// believes proxies at 127.0.0.0/8 and ::1 only, unless proxies= says others
    #[arg(long, value_name = "MODULE", help_heading = AUTH)]
    pub tcp_auth: Vec<String>,
    /// Authentication of --bind-ssl without its own auth=, likewise (repeat for a chain)
    #[arg(long, value_name = "MODULE", help_heading = AUTH)]
    pub ssl_auth: Vec<String>,
    /// TLS on TCP sockets without their own ssl=, beside clients in clear: on, auto: if there is
    /// --ssl-cert, tcp: the same as on, or off [default: off]
    #[arg(long, value_name = "MODE", help_heading = AUTH, value_parser = ssl, num_args = 0..=1, require_equals = true, default_missing_value = "on")]
    pub ssl: Option<Mode>,
    /// Where clients in clear are served beside TLS, ask those who can to change to it [default: yes]
    #[arg(long, value_name = "BOOL", help_heading = AUTH, value_parser = flag, num_args = 0..=1, require_equals = true, default_missing_value = "yes")]
    pub ssl_upgrade: Option<bool>,
    /// Certificate for TLS on sockets without their own ssl-cert=, with those it is signed with
    /// (PEM) [default: that of `bulkhead setup-ssl`]
    #[arg(long, value_name = "FILE", help_heading = AUTH, value_hint = ValueHint::FilePath)]
    pub ssl_cert: Option<PathBuf>,
    /// Its key (PEM) [default: in the file of the certificate]
    #[arg(long, value_name = "FILE", help_heading = AUTH, value_hint = ValueHint::FilePath)]
    pub ssl_key: Option<PathBuf>,
    /// The pass phrase of the key [default: what the variable XPRA_SSL_KEY_PASSWORD says]
    #[arg(long, value_name = "TEXT", help_heading = AUTH, conflicts_with = "ssl_key_password_file")]
    pub ssl_key_password: Option<String>,
    /// A file with the pass phrase of the key
    #[arg(long, value_name = "FILE", help_heading = AUTH, value_hint = ValueHint::FilePath)]
    pub ssl_key_password_file: Option<PathBuf>,
    /// What clients show on TLS sockets that do not say it themselves: none, required: a certificate that
    /// one of --ssl-ca-certs has signed, or optional: such a one or none [default: none]
    #[arg(long, value_name = "MODE", help_heading = AUTH, value_parser = verify)]
    pub ssl_client_verify_mode: Option<Verify>,
    /// Who may sign the certificates of clients, and which are revoked (PEM)
    #[arg(long, value_name = "FILE", help_heading = AUTH, value_hint = ValueHint::FilePath)]
    pub ssl_ca_certs: Option<PathBuf>,
    /// The same in the option itself: hexadecimal digits or base64 of certificates
    #[arg(long, value_name = "DATA", help_heading = AUTH, value_parser = data, conflicts_with = "ssl_ca_certs")]
    pub ssl_ca_data: Option<Pem>,
    /// How certificates of clients are looked at, as OpenSSL calls it: CRL_CHECK_CHAIN wants revocation lists
    #[arg(long, value_name = "NAMES", help_heading = AUTH, value_parser = verify_flags)]
    pub ssl_verify_flags: Option<Flags>,
    /// Versions of TLS: TLSv1_3, TLS (1.2 and newer), or TLSv1_2 (nothing newer) [default: TLSv1_3]
    #[arg(long, value_name = "VERSION", help_heading = AUTH, value_parser = protocol)]
    pub ssl_protocol: Option<Protocol>,
    /// Cipher suites of TLS, the best first: names of OpenSSL's or IANA's, and DEFAULT [default: DEFAULT]
    #[arg(long, value_name = "NAMES", help_heading = AUTH, value_parser = ciphers)]
    pub ssl_ciphers: Option<Ciphers>,
    /// Options of TLS as OpenSSL calls them, such as NO_TLSv1_2; nothing that would weaken it
    #[arg(long, value_name = "NAMES", help_heading = AUTH, value_parser = without)]
    pub ssl_options: Option<Without>,
    /// For clients, whose configuration may be in the same file: a server does nothing with it
    #[arg(long, value_name = "BOOL", help_heading = AUTH, value_parser = flag, num_args = 0..=1, require_equals = true, default_missing_value = "yes")]
    pub ssl_check_hostname: Option<bool>,
    /// For clients as well
    #[arg(long, value_name = "NAME", help_heading = AUTH)]
    pub ssl_server_hostname: Option<String>,
    /// For clients as well: none, optional or required
    #[arg(long, value_name = "MODE", help_heading = AUTH, value_parser = verify)]
    pub ssl_server_verify_mode: Option<Verify>,
    /// Encryption of TCP sockets without their own encryption=: AES (the same as AES-CBC), AES-CTR,
    /// AES-CFB, or AES-GCM, which also notices changes
    #[arg(long, alias = "encryption", value_name = "AES[-MODE]", help_heading = AUTH)]
    pub tcp_encryption: Option<String>,
    /// Its key file
    #[arg(long, alias = "encryption-keyfile", value_name = "FILE", help_heading = AUTH, value_hint = ValueHint::FilePath)]
    pub tcp_encryption_keyfile: Option<String>,
    /// Open network sockets that anybody can use or read along, and say so
    #[arg(long, value_name = "BOOL", help_heading = AUTH, value_parser = flag, num_args = 0..=1, require_equals = true, default_missing_value = "yes")]
    pub insecure: Option<bool>,

    /// Clients see and cannot touch [default: no]
    #[arg(long, value_name = "BOOL", help_heading = CLIENTS, value_parser = flag, num_args = 0..=1, require_equals = true, default_missing_value = "yes")]
    pub readonly: Option<bool>,
    /// Several clients at a time: yes, no, or auto: if all agree [default: auto]
    #[arg(long, value_name = "BOOL|auto", help_heading = CLIENTS, value_parser = sharing, num_args = 0..=1, require_equals = true, default_missing_value = "yes")]
    pub sharing: Option<Sharing>,
    /// The screen takes the client's size [default: yes]
    #[arg(long, value_name = "BOOL", help_heading = CLIENTS, value_parser = resize, num_args = 0..=1, require_equals = true, default_missing_value = "yes")]
    pub resize_display: Option<bool>,

    /// User for the X server and the commands (start as root only; never root)
    #[arg(long, value_name = "USER", help_heading = PLACE, value_hint = ValueHint::Username)]
    pub uid: Option<String>,
    /// Their group [default: the user's own]
    #[arg(long, value_name = "GROUP", help_heading = PLACE)]
    pub gid: Option<String>,
    /// First of the 32 user ids of the workers (start as root only)
    /// [default: 1900000000 + 32 * display]
    #[arg(long, value_name = "UID", help_heading = PLACE, value_parser = user_id)]
    pub worker_uid_base: Option<u32>,

    /// enforce: every layer or no session; best-effort: do without what the kernel lacks, and
    /// name it [default: enforce]
    #[arg(long, value_name = "MODE", help_heading = LOGS)]
    pub sandbox: Option<Sandbox>,
    /// File for the log in the background [default: server.log in the session directory]
    #[arg(long, value_name = "FILE", help_heading = LOGS, value_hint = ValueHint::FilePath)]
    pub log_file: Option<PathBuf>,
    /// How records look [default: auto: human on a terminal, else json]
    #[arg(long, value_name = "FORMAT", help_heading = LOGS)]
    pub log_format: Option<LogFormat>,
    /// Log everything; categories of Xpra's are accepted, and turn everything on too
    #[arg(short, long, value_name = "BOOL|CATEGORIES", help_heading = LOGS, value_parser = debug, num_args = 0..=1, require_equals = true, default_missing_value = "yes")]
    pub debug: Option<bool>,
}

/// `--sandbox=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Sandbox {
    /// Every layer or no session.
    Enforce,
    /// What the running kernel lacks is named and done without.
    BestEffort,
}

/// `--log-format=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Human on a terminal, else JSON.
    Auto,
    /// One readable line a record.
    Human,
    /// One JSON object a line.
    Json,
}

/// `--sharing=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Always.
    Yes,
    /// Never.
    No,
    /// When all clients agree.
    Auto,
}

/// Where sessions are looked for.
#[derive(Clone, Debug, Default, Args)]
pub struct Places {
    /// Directory to look for sockets in (may be repeated)
    #[arg(long, alias = "socket-dirs", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub socket_dir: Vec<PathBuf>,
    /// Directory to look for session directories in
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub sessions_dir: Option<PathBuf>,
}

/// Options of `bulkhead list`.
#[derive(Clone, Debug, Args)]
pub struct ListArgs {
    /// Where to look.
    #[command(flatten)]
    pub places: Places,
}

/// A session and how to get in.
#[derive(Clone, Debug, Args)]
pub struct TargetArgs {
    /// :N, tcp://HOST:PORT, or a socket's path; without it the only session there is
    #[arg(value_name = "SESSION")]
    pub target: Option<String>,
    /// What this command itself does where the kernel lacks something: enforce or best-effort
    /// [default: enforce]
    #[arg(long, value_name = "MODE")]
    pub sandbox: Option<Sandbox>,
    /// How to get in.
    #[command(flatten)]
    pub login: Login,
}

/// How to get in.
#[derive(Clone, Debug, Args)]
pub struct Login {
    /// File with the password; else the variable XPRA_PASSWORD is used
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub password_file: Option<PathBuf>,
    /// Where to look.
    #[command(flatten)]
    pub places: Places,
}

/// Options of `bulkhead screenshot`.
#[derive(Clone, Debug, Args)]
pub struct ScreenshotArgs {
    /// The file to write
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Which session.
    #[command(flatten)]
    pub target: TargetArgs,
}

/// Options of `bulkhead reload`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
The files are those that the session was started with, by their names: whoever has started it opens them
again. They are checked as at the start, and the key is tried. If anything is wrong nothing changes, this
says what, and the status is 1. The pass phrase of a key is read again from ssl-key-password-file=, else it
is what the variable XPRA_SSL_KEY_PASSWORD says now, else what it was.
Examples:
  bulkhead reload :100
  runuser -u ann -- bulkhead reload :100    as root, for a session that ann has started")]
pub struct ReloadArgs {
    /// :N; without it the only session there is
    #[arg(value_name = ":N", value_parser = display)]
    pub display: Option<u32>,

    /// Where to look.
    #[command(flatten)]
    pub places: Places,
}

/// Options of `bulkhead setup-ssl`.
#[derive(Clone, Debug, Args)]
pub struct SetupSslArgs {
    /// What clients call this machine: names and addresses [default: its name, localhost, 127.0.0.1
    /// and ::1]
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Where to put the files [default: ~/.config/bulkhead/ssl, where --bind-ssl looks]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: Option<PathBuf>,
}

/// Options of `bulkhead audit`.
#[derive(Clone, Debug, Args)]
pub struct AuditArgs {
    /// :N; without it the only session there is
    #[arg(value_name = ":N", value_parser = display)]
    pub display: Option<u32>,
    /// For programs
    #[arg(long)]
    pub json: bool,
    /// Where to look.
    #[command(flatten)]
    pub places: Places,
}

/// Options of `bulkhead policy`.
#[derive(Clone, Debug, Args)]
pub struct PolicyArgs {
    /// The role
    #[arg(value_name = "ROLE", value_parser = clap::builder::PossibleValuesParser::new(policy::Role::ALL.map(policy::Role::name)))]
    pub role: String,
}

/// Arguments of `otp-key`.
#[derive(Clone, Debug, Args)]
pub struct OtpKeyArgs {
    /// The file to make
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub file: PathBuf,
    /// What the device calls whoever logs in
    #[arg(long, value_name = "NAME", default_value = "session")]
    pub account: String,
    /// What the device calls whatever is logged in to
    #[arg(long, value_name = "NAME", default_value = "Xpra")]
    pub issuer_name: String,
}

/// Arguments of `auth-test`.
#[derive(Clone, Debug, Args)]
pub struct AuthTestArgs {
    /// The module with its options, e.g. multifile(filename=users.txt)
    #[arg(value_name = "MODULE")]
    pub module: String,
    /// Who the client says it is [default: the user who asks]
    #[arg(long, value_name = "NAME")]
    pub username: Option<String>,
    /// File with the password; else the variable XPRA_PASSWORD is used, else it is asked for
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub password_file: Option<PathBuf>,
    /// For whose session, as root
    #[arg(long, value_name = "USER")]
    pub uid: Option<String>,
    /// What is done where the kernel lacks something: enforce or best-effort [default: enforce]
    #[arg(long, value_name = "MODE")]
    pub sandbox: Option<Sandbox>,
}

/// Arguments of `passwd`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
The password is asked for at the terminal, or is the first line of standard input.

Examples:
  bulkhead passwd add ann
  pwgen 20 1 | bulkhead passwd change ann --database /etc/bulkhead/users.sdb
  bulkhead passwd list")]
pub struct PasswdArgs {
    /// The database
    #[arg(long, value_name = "FILE", global = true, default_value = crate::auth::databases::FILENAME, value_hint = clap::ValueHint::FilePath)]
    pub database: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub action: PasswdAction,
}

/// What `passwd` does.
#[derive(Clone, Debug, Subcommand)]
pub enum PasswdAction {
    /// Add a user; the first one makes the database
    Add {
        /// The user's name, as the client has to say it
        #[arg(value_name = "USER")]
        user: String,
        /// Make a database that keeps passwords in clear, for sockets without encryption
        #[arg(long)]
        plain: bool,
    },
    /// Give a user another password
    Change {
        /// The user's name
        #[arg(value_name = "USER")]
        user: String,
    },
    /// Remove a user
    Remove {
        /// The user's name
        #[arg(value_name = "USER")]
        user: String,
    },
    /// Print the names of the users
    List,
}

/// Arguments of `u2f` and `fido2`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
The key itself is not needed here: FILE is what its registration gave on the machine where it is plugged in, such \
as the file that `xpra fido2` made there in ~/.config/xpra (fido2-pub.hex).

Examples:
  bulkhead fido2 fido2-pub.hex --label=ann-blue
  openssl ec -in software-key.pem -pubout | bulkhead u2f -")]
pub struct RegisterArgs {
    /// A public key of P-256 (hexadecimal, base64, PEM or DER), or the answer to a U2F registration; - is standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Part of the name of the file that is made [default: a number]
    #[arg(long, value_name = "NAME")]
    pub label: Option<String>,
    /// Where the file is made [default: bulkhead in ~/.config, where sessions look]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub directory: Option<PathBuf>,
}

/// Writes man pages and shell completions, as `make install` does.
// A command line of its own, so that it is in neither.
#[derive(Debug, Parser)]
#[command(
    name = "bulkhead generate",
    bin_name = "bulkhead generate",
    subcommand_required = true
)]
pub struct GenerateCli {
    /// What to write.
    #[command(subcommand)]
    pub what: Generate,
}

/// What can be generated.
#[derive(Clone, Debug, Subcommand)]
pub enum Generate {
    /// bulkhead.1 and one page a command
    Man {
        /// The directory to write into
        #[arg(value_hint = ValueHint::DirPath)]
        directory: PathBuf,
    },
    /// Completions for a shell, to standard output
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Options of `bulkhead seamless` that are booleans, for `--no-X`.
pub const BOOLEANS: [&str; 12] = [
    "exit-with-children",
    "exit-with-client",
    "exit-with-windows",
    "daemon",
    "insecure",
    "readonly",
    "sharing",
    "resize-display",
    "debug",
    "ssl",
    "ssl-check-hostname",
    "ssl-upgrade",
];

/// Reads a boolean as Xpra writes them.
///
/// # Errors
/// Any other text, by name.
pub fn boolean(text: &str) -> Result<bool> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "on" | "true" | "1" => Ok(true),
        "no" | "off" | "false" | "0" => Ok(false),
        _ => Err(Error::usage(format!(
            "`{text}` is neither yes nor no (nor on, off, true, false, 1, 0)"
        ))),
    }
}

fn port(text: &str) -> std::result::Result<u16, Error> {
    text.parse()
        .map_err(|_| Error::usage("not a port: write a number from 0 to 65535"))
}

fn user_id(text: &str) -> std::result::Result<u32, Error> {
    text.parse()
        .map_err(|_| Error::usage("not a user id: write a number from 1 to 4294967279"))
}

fn flag(text: &str) -> std::result::Result<bool, Error> {
    boolean(text)
}

fn sharing(text: &str) -> std::result::Result<Sharing, Error> {
    if text == "auto" {
        return Ok(Sharing::Auto);
    }
    boolean(text)
        .map(|yes| if yes { Sharing::Yes } else { Sharing::No })
        .map_err(|_| Error::usage(format!("`{text}` is neither yes, no nor auto")))
}

fn ssl(text: &str) -> std::result::Result<Mode, Error> {
    Mode::parse(text)
}

fn verify(text: &str) -> std::result::Result<Verify, Error> {
    Verify::parse(text)
}

fn data(text: &str) -> std::result::Result<Pem, Error> {
    Pem::parse(text)
}

fn verify_flags(text: &str) -> std::result::Result<Flags, Error> {
    Flags::parse(text)
}

fn protocol(text: &str) -> std::result::Result<Protocol, Error> {
    Protocol::parse(text)
}

fn ciphers(text: &str) -> std::result::Result<Ciphers, Error> {
    Ciphers::parse(text)
}

fn without(text: &str) -> std::result::Result<Without, Error> {
    Without::parse(text)
}

fn resize(text: &str) -> std::result::Result<bool, Error> {
    match text {
        "auto" => Ok(true),
        _ if text.starts_with(|c: char| ('2'..='9').contains(&c)) || text.contains('x') => Err(
            Error::usage(format!("a fixed size (`{text}`) is not built yet")),
        ),
        _ => boolean(text),
    }
}

fn debug(text: &str) -> std::result::Result<bool, Error> {
    if let Ok(yes) = boolean(text) {
        return Ok(yes);
    }
    let word = |word: &str| {
        !word.is_empty()
            && word
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    match text.split(',').all(word) {
        true => Ok(true),
        false => Err(Error::usage(format!("`{text}` is no list of categories"))),
    }
}

/// Reads a display: `:7`, or `7`.
///
/// # Errors
/// Any other text, by name.
pub fn display(text: &str) -> std::result::Result<u32, Error> {
    let digits = text.strip_prefix(':').unwrap_or(text);
    match digits.parse::<u32>() {
        Ok(number) if number <= 65535 && digits.bytes().all(|b| b.is_ascii_digit()) => Ok(number),
        _ => Err(Error::usage(format!(
            "`{text}` is not a display: write :N with N up to 65535"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_parser_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn booleans() {
        for text in ["yes", "On", "TRUE", "1"] {
            assert!(boolean(text).unwrap());
        }
        for text in ["no", "OFF", "false", "0"] {
            assert!(!boolean(text).unwrap());
        }
        assert!(
            boolean("perhaps")
                .unwrap_err()
                .to_string()
                .contains("`perhaps`")
        );
    }

    #[test]
    fn displays() {
        assert_eq!(display(":100"), Ok(100));
        assert_eq!(display("7"), Ok(7));
        for bad in ["", ":", ":x", ":-1", ":+1", "::1", ":65536", ":1.0"] {
            assert!(display(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_list_of_booleans_is_complete() {
        let command = Cli::command();
        let seamless = command.find_subcommand("seamless").unwrap();
        let mut flags: Vec<_> = seamless
            .get_arguments()
            .filter(|arg| {
                arg.get_num_args()
                    .is_some_and(|n| n.min_values() == 0 && n.max_values() == 1)
            })
            .filter_map(clap::Arg::get_long)
            .collect();
        flags.sort_unstable();
        let mut known = BOOLEANS.to_vec();
        known.sort_unstable();
        assert_eq!(flags, known);
    }
}
