//! The real `bulkhead`: what is wrong is said in one line and leaves nothing behind, and what it
//! starts gets exactly what it is meant to have. The processes that it starts are stand-ins here
//! that write down what they find.

mod place;

use files::display::{lock_file, socket as x_socket};
use place::{NOBODY, Place, display, is_root, text, uid};
use policy::Role;
use std::fs;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt;

#[test]
fn mistakes_on_the_command_line_are_one_line() {
    let place = Place::new();
    for (args, wanted) in [
        (&["start", "--frobnicate"][..], "'--frobnicate'"),
        (
            &["start", "--dpi=96"],
            "--dpi: this option of Xpra's is not built yet",
        ),
        (
            &["start", "--sandbox=off"],
            "--sandbox=off; write enforce or best-effort; try",
        ),
        (
            &["start", "--min-port=abc"],
            "--min-port=abc: not a port: write a number from 0 to 65535; try",
        ),
        (
            &["start", "--start=/etc/passwd"],
            "--start=/etc/passwd: `/etc/passwd`: may not be executed",
        ),
        (
            &["start", "--xvfb=/etc/passwd"],
            "--xvfb: `/etc/passwd`: may not be executed",
        ),
        (
            &["start", "--bind=/proc/x"],
            "--bind=/proc/x: unix socket /proc/x: ",
        ),
        (
            &["start", "--pidfile=/proc/x"],
            "--pidfile: pid file /proc/x: ",
        ),
        (
            &["start", "--socket-dir=/proc/self/x"],
            "--socket-dir: directory /proc/self/x: cannot be made",
        ),
        (&["start", "--env=x"], "--env=x: not NAME=VALUE"),
        (&["start", ":x"], "`:x` is not a display: write :N"),
        (&["start", ":1", ":2"], "':2'"),
        (&["frob"], "'frob'"),
        (&[], "no command"),
        (&["start", "--exit-with-children"], "needs a --start-child="),
        (&["start", "--bind=none"], "nobody could ever connect"),
        (
            &["start", "--socket-permissions=9"],
            "--socket-permissions=9",
        ),
        (
            &["start", "--uid=root"],
            "only root can start a session of another user",
        ),
        (
            &["start", "--uid=no-such-user"],
            "there is no user `no-such-user`",
        ),
        (&["start", "--start='"], "--start: "),
        (
            &["start", "--start=no-such-program"],
            "no program `no-such-program`",
        ),
        (
            &["start", "--chdir=/nonexistent"],
            "--chdir=/nonexistent: no such file or directory",
        ),
        (
            &["start", "--bind-tcp=:10000,auth=env"],
            "the variable XPRA_PASSWORD is not set",
        ),
        (
            &["start", "--bind=@x,auth=none"],
            "every user of this machine can reach @x",
        ),
        (
            &["start", "--bind-tcp=:10000,auth=fail,encryption=AES"],
            "encryption=AES-CBC has no key: add keyfile=FILE",
        ),
        (
            &[
                "start",
                "--bind-tcp=:10000,auth=fail,encryption=AES,keyfile=/nonexistent",
            ],
            "key file /nonexistent: no such file or directory",
        ),
        // The socket says the mode, and the switch where the key is.
        (
            &[
                "start",
                "--bind-tcp=:10000,auth=fail,encryption=AES-GCM",
                "--tcp-encryption=AES-CTR",
                "--tcp-encryption-keyfile=/nonexistent",
            ],
            "key file /nonexistent: no such file or directory",
        ),
        (
            &[
                "start",
                "--bind-tcp=:10000,auth=file,filename=/etc/hostname,encryption=AES,keyfile=/etc/hostname",
            ],
            "keyfile= is the password",
        ),
        (
            &[
                "start",
                "--bind-tcp=:10000,auth=password,value=a-b-c,encryption=AES,keydata=a-b-c",
            ],
            "keydata= is the password",
        ),
        (
            &[
                "start",
                "--bind-tcp=:10000,auth=fail,encryption=AES,keydata=top,secret",
            ],
            "an option near a secret (***) is not option=value",
        ),
        (
            &[
                "start",
                "--tcp-encryption=AES-GCM",
                "--tcp-encryption-keyfile=k",
            ],
            "--tcp-encryption without --bind-tcp encrypts nothing",
        ),
        (&["stop", ":59999"], "there is no session :59999"),
        (&["stop"], "there is no session"),
        (&["info", "tcp://127.0.0.1:1"], "connection refused"),
        (&["audit", ":59999"], "there is no session :59999"),
        (&["info", "--html=on"], "--html: this option of Xpra's"),
        (&["screenshot", ":7"], "`:7` is a session and no file"),
    ] {
        place.refused(args, wanted);
    }
}

#[test]
fn a_key_file_that_is_empty_or_that_others_may_read_is_refused() {
    let place = Place::new();
    for (mode, text, why) in [
        (0o600, "", "is empty"),
        (
            0o644,
            "key",
            "others may read it (mode 644): chmod 600 FILE",
        ),
        (
            0o640,
            "key",
            "others may read it (mode 640): chmod 600 FILE",
        ),
        (
            0o602,
            "key",
            "others may write it (mode 602): chmod 600 FILE",
        ),
    ] {
        let file = place.file("key", mode, text);
        let why = format!("key file {file}: {}", why.replace("FILE", &file));
        for options in ["encryption=AES,keyfile=", "encryption=AES-GCM,keyfile="] {
            let bind = format!("--bind-tcp=:10000,auth=fail,{options}{file}");
            place.refused(&["start", &bind], &why);
        }
        let switch = format!("--tcp-encryption-keyfile={file}");
        let bind = "--bind-tcp=:10000,auth=fail";
        place.refused(&["start", bind, "--tcp-encryption=AES-GCM", &switch], &why);
    }
}

#[test]
fn the_directory_of_the_commands_is_entered_with_their_users_rights() {
    let place = Place::new();
    let file = place.file("file", 0o600, "");
    let chdir = format!("--chdir={file}");
    place.refused(&["start", &chdir], &format!("{chdir}: not a directory"));
    if needs::root("start a session for somebody else") {
        place.chmod("path", 0o700);
        let chdir = format!("--chdir={}", place.path("path").display());
        place.refused(&["start", &chdir], &format!("{chdir}: permission denied"));
        let mut command = place.command(&["start", "--uid=nobody", &chdir]);
        command.uid(0).gid(0);
        let wanted =
            format!("{chdir}: permission denied (with the rights of nobody, whose session it is)");
        place.refused_command(command, &wanted);
    }
}

#[test]
fn network_sockets_that_are_not_safe_are_refused() {
    let place = Place::new();
    for (bind, wanted) in [
        (
            "--bind-tcp=0.0.0.0:10000,auth=password,value=hunter2",
            "it is not encrypted",
        ),
        ("--bind-tcp=*:10000,auth=fail", "it is not encrypted"),
        ("--bind-tcp=[::]:10000,auth=fail", "it is not encrypted"),
        ("--bind-tcp=127.0.0.1:10000", "it has no authentication"),
        ("--bind-tcp=127.0.0.1:10000,auth=none", "no authentication"),
    ] {
        place.refused(&["start", "--start=xterm", bind], wanted);
        let text = text(&place.command(&["start", bind]).output().unwrap());
        assert!(
            text.contains("safe: `") && text.contains("--insecure`") && !text.contains("hunter2"),
            "{text}"
        );
    }
}

/// As a person does: pastes the lines into a shell, in a directory where everything that looks
/// like a pattern finds a file.
#[test]
fn the_line_made_safe_can_be_pasted_and_is_safe() {
    let place = Place::new();
    for trap in [
        "--bind-tcp=X:0,auth=none,stop=no",
        "--bind-tcp=1:0,auth=none",
    ] {
        place.file(trap, 0o600, "");
    }
    let name = display();
    let output = place
        .command(&[
            "start",
            &name,
            "--daemon=no",
            "--min-port=0",
            "--start=xterm -T '[a]b' \"$HOME\" ; `id`",
            "--bind-tcp=*:0,stop=no",
            "--bind-tcp",
            "[::]:0,auth=none",
            "--bind-tcp=[::1]:0",
            "--bind-tcp=127.0.0.1:0,auth=fail",
        ])
        .output()
        .unwrap();
    let refusal = text(&output);
    assert_eq!(output.status.code(), Some(2), "{refusal}");
    for bind in ["*:0,stop=no", "[::]:0,auth=none", "[::1]:0"] {
        let refused = format!("--bind-tcp={bind}: refused: ");
        assert!(refusal.contains(&refused), "{refusal}");
    }
    let (_, lines) = refusal.split_once("safe: `").unwrap();
    let (safe, _) = lines.split_once("` (other").unwrap();
    let (_, make) = lines.split_once("comes from `").unwrap();
    let make = make.trim_end().trim_end_matches('`');
    let shell = |line: &str| {
        let mut command = place.command(&[]);
        let mut shell = std::process::Command::new("sh");
        shell
            .args(["-c", line])
            .env_clear()
            .current_dir(place.path("home"));
        shell.envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        if is_root() {
            shell.uid(NOBODY).gid(NOBODY);
        }
        command.env_clear();
        shell.output().unwrap()
    };
    let password = place.path("home/password.txt");
    let made = shell(make);
    assert!(made.status.success(), "{make}: {}", text(&made));
    let meta = password.metadata().unwrap();
    assert_eq!((meta.mode() & 0o777, meta.len()), (0o600, 20));
    assert!(!shell(make).status.success(), "a password is not replaced");

    let words = |line: &str| -> Vec<String> {
        let words = text(&shell(&format!(
            "for word in {line}; do echo \"$word\"; done"
        )));
        words.lines().skip(2).map(str::to_owned).collect()
    };
    assert_eq!(
        words(safe),
        [
            &name,
            "--daemon=no",
            "--min-port=0",
            "--start=xterm -T '[a]b' \"$HOME\" ; `id`",
            "--bind-tcp=127.0.0.1:0,auth=file(filename=password.txt),stop=no",
            "--bind-tcp",
            "[::1]:0,auth=file(filename=password.txt)",
            "--bind-tcp=[::1]:0,auth=file(filename=password.txt)",
            "--bind-tcp=127.0.0.1:0,auth=fail",
        ]
    );
    let (_, anyway) = lines.split_once("as it is: `").unwrap();
    let (anyway, _) = anyway.split_once("`; password.txt").unwrap();
    assert_eq!(
        words(anyway)[4..],
        [
            "--bind-tcp=*:0,auth=none,stop=no",
            "--bind-tcp",
            "[::]:0,auth=none",
            "--bind-tcp=[::1]:0,auth=none",
            "--bind-tcp=127.0.0.1:0,auth=fail",
            "--insecure",
        ]
    );
    let started = shell(safe);
    assert!(started.status.success(), "{}", text(&started));
}

#[test]
fn password_files_that_cannot_be_used_are_named() {
    let place = Place::new();
    for (file, wanted) in [
        (
            "missing.txt".to_owned(),
            "password file missing.txt: no such file or directory",
        ),
        (
            "/proc/1/environ".to_owned(),
            "password file /proc/1/environ: permission denied",
        ),
        (
            place.file("shared.txt", 0o666, "x"),
            "others may write it (mode 666): chmod 600",
        ),
        (place.file("empty.txt", 0o600, ""), "is empty"),
        (place.path("home").display().to_string(), "is a directory"),
    ] {
        place.refused(
            &[
                "start",
                &format!("--bind-tcp=:10000,auth=file,filename={file}"),
            ],
            wanted,
        );
    }
}

#[test]
fn a_port_in_use_is_named_and_nothing_is_left() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let bind = format!("--bind-tcp={address},auth=fail");
    place.refused(
        &["start", &display(), &bind],
        &format!("tcp {address}: the port is in use"),
    );
    place.refused(
        &["start", &bind],
        &format!("tcp {address}: the port is in use"),
    );
    place.refused(
        &[
            "start",
            "--bind-tcp=192.0.2.1:10000,auth=fail",
            "--insecure",
        ],
        "does not have that address",
    );
}

#[test]
fn a_missing_x_server_or_part_of_ours_is_named() {
    let place = Place::new();
    fs::remove_file(place.path("path/Xvfb")).unwrap();
    let mut command = place.command(&["start"]);
    command.env("PATH", place.path("path"));
    place.refused_command(
        command,
        "Xvfb is not installed (on Debian: apt install xvfb)",
    );
    place.refused(
        &["start", "--xvfb=/nonexistent/X -a"],
        "`/nonexistent/X`: there is no such program",
    );
    place.script("path/Xvfb", "#!/bin/sh\n");
    fs::remove_file(place.path("bin/bulkhead-display")).unwrap();
    place.refused(&["start"], "bulkhead-display is missing");
}

/// What an option wants done is done by a process of its own: without that there is no session, and none
/// that does without.
#[test]
fn a_part_that_an_option_needs_is_named() {
    let place = Place::new();
    let files = ["keytab", "key.txt", "password.txt"];
    let [keytab, key, password] = files.map(|name| place.file(name, 0o600, name));
    // Who is not root has services of their own.
    let services = place.path("home/services").display().to_string();
    fs::create_dir(&services).unwrap();
    place.file(
        "services/xpra",
        0o600,
        &format!(
            "auth required pam_pwdfile.so pwdfile={password}\naccount required pam_permit.so\n"
        ),
    );
    if is_root() {
        chown(&services, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let on = |socket: String| format!("--bind-tcp=127.0.0.1:0,{socket}");
    for role in policy::Role::ALL {
        // A role that is new has its row here.
        let bind = match role {
            Role::Supervisor | Role::Launcher | Role::Network | Role::Auth | Role::Display | Role::Encoder => {
                on(format!("auth=file,filename={password}"))
            }
            Role::Keys => on(format!("auth=file,filename={password},encryption=AES-GCM,keyfile={key}")),
            Role::AuthLdap => "--auth=ldap(host=127.0.0.1)".to_owned(),
            Role::AuthPam => format!("--auth=pam(service=xpra,service-dir={services})"),
            Role::AuthSqlite => format!("--auth=sqlite(filename={password})"),
            Role::AuthSql => "--auth=sql(uri=postgresql://xpra@127.0.0.1/users)".to_owned(),
            Role::AuthFido => "--auth=u2f".to_owned(),
            Role::AuthKerberos => format!("--auth=gss(realm=EXAMPLE.ORG,keytab={keytab})"),
            Role::AuthCertificate => "--bind-ssl=127.0.0.1:0,auth=certificate(subject=CN=ann),ssl-ca-certs=ca.pem,ssl-cert=cert.pem".to_owned(),
            Role::AuthKeycloak => "--auth=keycloak(server_url=https://127.0.0.1/,client_id=us,redirect_uri=https://xpra.example.org/)".to_owned(),
            Role::AuthOtpscreen => "--auth=otpscreen".to_owned(),
            Role::AuthNames => on(format!("auth=hosts(nameserver=127.0.0.1),auth=file(filename={password})")),
            // Nothing of a session: it asks one.
            Role::Ctl => continue,
        };
        let name = role.executable();
        let away = place.path("away");
        let there = place.path("bin").join(name);
        fs::rename(&there, &away).unwrap();
        place.refused(
            &["start", "--min-port=0", &bind],
            &format!("{name} is missing"),
        );
        fs::rename(&away, &there).unwrap();
    }
}

#[test]
fn a_display_that_is_in_use_is_named() {
    let place = Place::new();
    let name = display();
    let number = &name[1..];
    let lock = lock_file(number.parse().unwrap());
    let in_use = |by: &str| format!("display {name} is in use: {by}");
    fs::write(&lock, format!("{:>10}\n", std::process::id())).unwrap();
    let by = in_use(&format!("process {} has it", std::process::id()));
    place.refused(&["start", &name], &by);
    fs::remove_file(&lock).unwrap();

    // An X server that takes no lock: in the file system, or by an abstract name only.
    let socket = x_socket(number.parse().unwrap());
    let _ = fs::create_dir(socket.parent().unwrap());
    let live = UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o777)).unwrap();
    let by = in_use(&format!("an X server answers at {}", socket.display()));
    place.refused(&["start", &name], &by);
    drop(live);
    fs::remove_file(&socket).unwrap();
    let abstract_name = SocketAddr::from_abstract_name(socket.as_os_str().as_bytes()).unwrap();
    let live = UnixListener::bind_addr(&abstract_name).unwrap();
    let by = in_use(&format!("an X server answers at @{}", socket.display()));
    place.refused(&["start", &name], &by);
    drop(live);
    assert!(!lock.exists());

    let run = place.path("run/xpra");
    fs::create_dir_all(run.join(number)).unwrap();
    for dir in [run.clone(), run.join(number)] {
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
        if is_root() {
            chown(&dir, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    let socket = run.join(number).join("socket");
    let _live = UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o777)).unwrap();
    place.refused(&["start", &name], &in_use("a server answers at"));
    fs::remove_file(&socket).unwrap();

    let other = UnixListener::bind(run.join(format!("box-{number}"))).unwrap();
    fs::set_permissions(
        run.join(format!("box-{number}")),
        fs::Permissions::from_mode(0o777),
    )
    .unwrap();
    place.refused(&["start", &name], "another server listens there");
    drop(other);
}

/// The first display from :100 on that nobody has.
fn first_free() -> u32 {
    let free = |display: &u32| !lock_file(*display).exists() && !x_socket(*display).exists();
    (100..1100).find(free).unwrap()
}

#[test]
fn what_another_users_x_server_has_left_is_named_and_passed_over() {
    if !needs::root("leave a lock of another user's") {
        return;
    }
    let place = Place::new();
    // The number that is chosen is not one of this test process's own.
    place.stand_in("bulkhead-launcher", "rm /tmp/.X${1#:}-lock");
    let first = first_free();
    let (lock, socket) = (lock_file(first), x_socket(first));
    for left in [&lock, &socket] {
        match left == &lock {
            true => fs::write(left, "1999999999\n").unwrap(),
            false => {
                drop(UnixListener::bind(left).unwrap());
                fs::set_permissions(left, fs::Permissions::from_mode(0o777)).unwrap();
            }
        }
        let left_there = left.display();
        let advice = format!(
            "an X server of root's that has ended left {left_there}; choose another display, or have root remove that file: rm {left_there}"
        );
        place.refused(&["start", &format!(":{first}")], &advice);
        let output = place.command(&["start", "--daemon=no"]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        let chosen = place.report("supervisor", "args");
        let chosen: u32 = chosen.lines().last().unwrap()[1..].parse().unwrap();
        assert!(chosen > first, "{chosen}");
        assert!(left.symlink_metadata().is_ok());
        fs::remove_file(left).unwrap();
        place.report("launcher", "done");
        fs::remove_file(place.path("reports/bulkhead-launcher.done")).unwrap();
    }
}

#[test]
fn directories_that_cannot_be_used_are_named() {
    let place = Place::new();
    let open = place.path("home/open");
    fs::create_dir(&open).unwrap();
    if is_root() {
        chown(&open, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    place.refused(
        &["start", &format!("--socket-dir={}", open.display())],
        "chmod go-w",
    );
    place.refused(
        &["start", &format!("--bind={}/", open.display())],
        "chmod go-w",
    );
    place.refused(&["start", "--sessions-dir=/proc/self/x"], "cannot be made");
    place.refused(
        &["start", "--log-file=/nonexistent/log"],
        "log file /nonexistent/log: no such file",
    );
    place.refused(
        &["start", "--pidfile=/nonexistent/pid"],
        "pid file /nonexistent/pid: no such file",
    );
    place.refused(
        &["start", &format!("--bind=/{}", "x".repeat(120))],
        "too long for a socket",
    );
    place.chmod("run", 0o500);
    place.refused(&["start"], "cannot be made: permission denied");
}

#[test]
fn configuration_mistakes_name_file_and_line() {
    let place = Place::new();
    let dir = place.path("home/.config/bulkhead");
    fs::create_dir_all(&dir).unwrap();
    let file = dir.join("bulkhead.toml");
    let write = |mode, text: &str| {
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    };
    write(0o644, "start = \"xterm\"\nfrob = 1\n");
    place.refused(&["start"], "bulkhead.toml:2: there is no option `frob`");
    write(0o666, "");
    place.refused(&["start"], "others may write it");
    write(0o644, "bind-tcp = \"0.0.0.0:10000,auth=fail\"\n");
    place.refused(&["start"], "--bind-tcp=127.0.0.1:10000,auth=fail`");
    // What is wrong with a value that can be read is said with its place too.
    for (option, value, wanted) in [
        ("bind-tcp", "x", "--bind-tcp=x: `x` has no port"),
        (
            "start",
            "/etc/passwd",
            "--start=/etc/passwd: `/etc/passwd`: may not be executed",
        ),
        (
            "log-file",
            "/nonexistent/x",
            "--log-file: log file /nonexistent/x: no such file",
        ),
        (
            "chdir",
            "/nonexistent",
            "--chdir=/nonexistent: no such file or directory",
        ),
        (
            "sessions-dir",
            "/proc/self/x",
            "--sessions-dir: directory /proc/self/x: cannot be made",
        ),
    ] {
        write(0o644, &format!("# A comment.\n{option} = \"{value}\"\n"));
        place.refused(&["start"], &format!("bulkhead.toml:2: {wanted}"));
        // Not where the command line says it.
        let argument = format!("--{option}={value}");
        let place_less = format!("bulkhead: {wanted}");
        let output = place.command(&["start", &argument]).output().unwrap();
        assert!(text(&output).starts_with(&place_less), "{}", text(&output));
    }
}

#[test]
fn root_needs_a_user_who_is_not_root() {
    if !needs::root("start a session for somebody else") {
        return;
    }
    let place = Place::new();
    for (args, wanted) in [
        (&["start"][..], "a start as root needs --uid=USER"),
        (&["start", "--uid=root"], "a session is never root's"),
        (&["start", "--uid=0"], "a session is never root's"),
        (&["start", "--uid=00"], "a session is never root's"),
        (&["start", "--uid=-1"], "there is no user `-1`"),
        (&["start", "--uid=4294967295"], "there is no user"),
        (&["start", "--uid=4294967296"], "there is no user"),
        (
            &["start", "--uid=nobody", "--worker-uid-base=0"],
            "must be nobody's, and not root's",
        ),
        (
            &["start", "--uid=nobody", "--worker-uid-base=65530"],
            "must be nobody's, and not root's",
        ),
        (
            &["start", "--uid=nobody", "--gid=0"],
            "never of the group root",
        ),
    ] {
        let mut command = place.command(args);
        command.uid(0).gid(0);
        place.refused_command(command, wanted);
    }
}

#[test]
fn the_processes_get_what_they_are_meant_to_have_and_no_secret() {
    let place = Place::new();
    let name = display();
    let number = &name[1..];
    let secret = place.file("password.txt", 0o600, "hunter1");
    let bind = format!(
        "--bind-tcp=127.0.0.1:0,auth=file,filename={secret},auth=env,name=MINE,auth=password,value=hunter2"
    );
    let output = place
        .command(&[
            "start",
            &name,
            "--daemon=no",
            "--start=xterm -e 'a b'",
            "--min-port=0",
            &bind,
        ])
        .env("MINE", "hunter3")
        .env("XPRA_PASSWORD", "hunter4")
        .env("NOTIFY_SOCKET", "/run/notify")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert!(
        text(&output).contains("warning: auth=password"),
        "{}",
        text(&output)
    );

    for role in ["supervisor", "launcher"] {
        for kind in ["args", "env"] {
            assert!(
                !place.report(role, kind).contains("hunter"),
                "{role} {kind}"
            );
        }
    }
    assert_eq!(
        place.report("supervisor", "args").lines().last(),
        Some(name.as_str())
    );
    let env = place.report("supervisor", "env");
    let known: Vec<_> = env
        .lines()
        .filter(|line| !line.starts_with("PWD="))
        .collect();
    assert_eq!(known, ["NOTIFY_SOCKET=/run/notify"]);
    assert!(!place.report("launcher", "env").contains("NOTIFY"));
    assert_eq!(place.report("supervisor", "cwd"), "/\n");

    // 0 to 4; three unix sockets and one for TCP; thirteen executables; the empty directory; what
    // auth is given and its three secrets; what the launcher is told of its file.
    let found = place.descriptors("supervisor");
    let kinds: Vec<_> = found
        .values()
        .map(|what| match what.split([':', ' ']).next().unwrap() {
            path if path.contains("/bin/bulkhead-") => "executable",
            path if path.contains("/xpra/empty-") => "empty",
            path if path.ends_with("/password.txt") => "password.txt",
            other => other,
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "/dev/null",
            "pipe",
            "pipe",
            "socket",
            "/memfd",
            "socket",
            "socket",
            "socket",
            "socket",
            "executable",
            "executable",
            "executable",
            "executable",
            "executable",
            "executable",
            "executable",
            "executable",
            "executable",
            "executable",
            "executable",
            "executable",
            "executable",
            "empty",
            "/memfd",
            "password.txt",
            "/memfd",
            "/memfd",
            "/memfd"
        ],
        "{found:?}"
    );
    let found = place.descriptors("launcher");
    let kinds: Vec<_> = found
        .iter()
        .map(|(fd, what)| format!("{fd} {}", what.split(':').next().unwrap()))
        .collect();
    let log = place.path("run/xpra").join(number).join("server.log");
    assert_eq!(
        kinds,
        [
            "0 /dev/null",
            &format!("1 {}", log.display()),
            &format!("2 {}", log.display()),
            "3 socket",
            "4 /memfd"
        ]
    );

    let session = place.path("run/xpra").join(number);
    for (path, mode) in [
        (place.path("run/xpra"), 0o700),
        (session.clone(), 0o700),
        (session.join("socket"), 0o600),
        (session.join("server.log"), 0o600),
        (place.path("run/xpra").join(format!("box-{number}")), 0o600),
    ] {
        let meta = path.symlink_metadata().unwrap();
        assert_eq!(
            (meta.mode() & 0o777, meta.uid()),
            (mode, uid()),
            "{}",
            path.display()
        );
    }
    assert_eq!(fs::read_dir(&session).unwrap().count(), 3);
}

#[test]
fn in_the_background_the_terminal_hears_what_became_of_it() {
    // The pipe for the answer is the last descriptor.
    let answer = |line: &str| {
        format!(
            "for fd in /proc/$$/fd/*; do n=${{fd##*/}}; [ -p $fd ] && [ $n -gt ${{last:-0}} ] && last=$n; done\necho '{line}' >&$last\n"
        )
    };
    let place = Place::new();
    let name = display();
    place.stand_in("bulkhead-supervisor", &answer(&format!("ready {name}")));
    let output = place.command(&["start", &name]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(
        text(&output),
        format!("session {name} is ready; attach with: xpra attach {name}\n")
    );
    // Where the stock client does not look for a number it gets the path.
    let sessions = place.path("home/sessions");
    for bind in ["auto", "noabstract"] {
        let name = display();
        let wanted = match bind {
            "auto" => format!("xpra attach {name}\n"),
            _ => format!(
                "xpra attach socket://{}/{}/socket\n",
                sessions.display(),
                &name[1..]
            ),
        };
        place.stand_in("bulkhead-supervisor", &answer(&format!("ready {name}")));
        let sessions_dir = format!("--sessions-dir={}", sessions.display());
        let bind = format!("--bind={bind}");
        let output = place
            .command(&["start", &name, &sessions_dir, &bind])
            .output()
            .unwrap();
        assert!(text(&output).ends_with(&wanted), "{}", text(&output));
    }
    assert_eq!(
        fs::read_to_string(place.path("run/xpra").join(&name[1..]).join("server.pid"))
            .unwrap()
            .lines()
            .count(),
        1
    );

    let name = display();
    place.stand_in("bulkhead-supervisor", &answer("failed the X server ended"));
    let output = place.command(&["start", &name]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output).starts_with("bulkhead: the session did not start: the X server ended (log: "),
        "{}",
        text(&output)
    );

    let name = display();
    place.stand_in("bulkhead-supervisor", "echo last words; exit 3");
    let output = place.command(&["start", &name]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output).contains("did not start: last words"),
        "{}",
        text(&output)
    );
}

#[test]
fn a_waiting_launcher_is_taken_over() {
    use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr};
    use nix::sys::socket::{bind, listen, socket};
    use std::os::fd::AsRawFd;
    let place = Place::new();
    let name = display();
    // A start as root needs a directory of root's.
    let run = if is_root() { "sessions" } else { "run/xpra" };
    let sessions = place.path(run);
    let sessions_dir = format!("--sessions-dir={}", sessions.display());
    // A launcher is believed only if it is of our own user: as root, everything here is root's.
    let start = |more: &[&str]| {
        let mut command = place.command(&["start", &name, "--daemon=no", &sessions_dir]);
        command.args(more);
        if is_root() {
            command
                .uid(0)
                .gid(0)
                .arg("--uid=nobody")
                .env("XDG_RUNTIME_DIR", "/nonexistent");
        }
        command.output().unwrap()
    };
    let output = start(&[]);
    assert!(output.status.success(), "{}", text(&output));
    place.report("launcher", "done");
    fs::remove_file(place.path("reports/bulkhead-launcher.done")).unwrap();
    let dir = sessions.join(&name[1..]);
    // Its user may enter it, and use what is meant for them.
    let (owner, mode) = if is_root() {
        (0, 0o711)
    } else {
        (uid(), 0o700)
    };
    let meta = dir.metadata().unwrap();
    assert_eq!((meta.uid(), meta.mode() & 0o777), (owner, mode));
    let meta = dir.join("socket").metadata().unwrap();
    assert_eq!((meta.uid(), meta.mode() & 0o777), (uid(), 0o600));
    fs::create_dir(dir.join("x11")).unwrap();
    chown(dir.join("x11"), Some(uid()), None).unwrap();

    let launcher = socket(
        AddressFamily::Unix,
        SockType::SeqPacket,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
    .unwrap();
    bind(
        launcher.as_raw_fd(),
        &UnixAddr::new(&dir.join("launcher.sock")).unwrap(),
    )
    .unwrap();
    listen(&launcher, Backlog::new(1).unwrap()).unwrap();
    let output = start(&["--start=xterm"]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(
        text(&output).contains("is taken over with its applications"),
        "{}",
        text(&output)
    );
    assert!(!place.path("reports/bulkhead-launcher.done").exists());
}

#[test]
fn one_shot_commands_become_ctl_with_the_secret_in_memory_only() {
    let place = Place::new();
    let socket = place.path("home/socket");
    let _server = UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o777)).unwrap();
    let output = place
        .command(&["screenshot", "out.png", socket.to_str().unwrap()])
        .env("XPRA_PASSWORD", "hunter4")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let found = place.descriptors("ctl");
    let kinds: Vec<_> = found
        .values()
        .skip(3)
        .map(|what| what.split([':', ' ']).next().unwrap().to_owned())
        .collect();
    assert_eq!(
        found.keys().copied().collect::<Vec<_>>(),
        [0, 1, 2, 3, 4, 5, 6]
    );
    assert_eq!((kinds[0].as_str(), kinds[2].as_str()), ("/memfd", "socket"));
    assert!(
        found[&4].ends_with("(deleted)") && found[&6].starts_with("/memfd:picture"),
        "{found:?}"
    );
    assert!(
        !place.report("ctl", "env").contains("hunter")
            && !place.report("ctl", "args").contains("hunter")
    );
}

#[test]
fn help_and_lists_go_to_standard_output() {
    let place = Place::new();
    for (args, wanted) in [
        (&["--help"][..], "bulkhead stop :100"),
        (&["seamless", "--help"], "Where it listens:"),
        (&["--version"], "bulkhead 0."),
        (&["help"], "bulkhead stop :100"),
        (&["help", "seamless"], "Where it listens:"),
        (&["list"], "sessions"),
        (&["policy", "network"], "bulkhead-network"),
        (&["generate", "completions", "zsh"], "#compdef bulkhead"),
        (&["generate", "--help"], "Usage: bulkhead generate"),
    ] {
        let output = place.command(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", text(&output));
        assert!(
            String::from_utf8_lossy(&output.stdout).contains(wanted),
            "{args:?}: {}",
            text(&output)
        );
        assert_eq!(output.stderr, b"");
    }
}
