//! The modules that look at files: many users, one-time codes, and rules about addresses.

mod common;

use bulkhead_auth::conversation::{Conversation, Step, Verifier};
use bulkhead_auth::modules::Modules;
use bulkhead_auth::otp;
use common::{in_force, listener};
use ipc::ListenerId;
use ipc::auth::{AuthToNetwork, Digest, NetworkToAuth, PeerFacts, Refusal};
use ipc::sessions::Summary;
use ipc::spec::{AuthModule, AuthStep, SecretAt};
use std::fs::File;
use std::path::Path;
use wire::challenge::{self as maths, Hash};

const SALT: &[u8] = &[7; 32];
/// Base32 of `12345678901234567890`.
const KEY: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

fn at(index: u16) -> SecretAt {
    SecretAt {
        index,
        in_place: true,
    }
}

/// A chain with its files, and what it remembers of those who came.
struct Door {
    modules: Modules,
    verifier: Verifier,
    /// Of who was let in last.
    sessions: Option<Summary>,
}

/// What became of a client: the prompts, and who it is or why not.
type Outcome = (Vec<String>, Result<String, Refusal>);

impl Door {
    fn new(chain: Vec<AuthStep>, files: &[&Path]) -> Self {
        let files = files.iter().map(|path| File::open(path).unwrap());
        let (modules, verifier) = in_force(vec![listener(chain, true)], files.collect());
        Self {
            modules,
            verifier,
            sessions: None,
        }
    }

    /// A client that says this name and gives these answers.
    fn knock(&mut self, address: &str, username: &str, answers: &[&[u8]]) -> Outcome {
        let peer = PeerFacts::Tcp {
            address: address.parse().unwrap(),
        };
        let mut conversation = Conversation::new(ListenerId(0), peer);
        let mut say = |said| conversation.receive(said, &self.modules, &mut self.verifier);
        let mut step = say(NetworkToAuth::Hello {
            username: username.into(),
            digests: vec![Digest::Xor, Digest::HmacSha512],
            salt_digests: vec![Digest::Xor, Digest::HmacSha512],
            small: false,
        });
        let (mut prompts, mut answers) = (Vec::new(), answers.iter());
        while let Step::Ask(AuthToNetwork::Challenge {
            salt,
            digest,
            salt_digest,
            prompt,
        }) = &step
        {
            assert_eq!(*salt_digest, Digest::HmacSha512);
            let mix = maths::Digest::Hmac(Hash::Sha512);
            let salt = maths::combined_salt(mix, salt, SALT).unwrap();
            let answer = answers.next().expect("another answer");
            let response = match digest {
                Digest::Xor => maths::xor_response(answer, &salt),
                _ => maths::hmac_response(Hash::Sha512, answer, &salt),
            };
            prompts.push(prompt.clone());
            step = say(NetworkToAuth::Response {
                response,
                client_salt: SALT.to_vec(),
            });
        }
        let verdict = match step {
            Step::Accept {
                username, sessions, ..
            } => {
                self.sessions = sessions;
                Ok(username)
            }
            Step::Refuse {
                why,
                text,
                username: said,
                ..
            } => {
                // Whatever the reason is, the client is told the same.
                assert_eq!(
                    (text.as_str(), said.as_str()),
                    ("authentication failed", username)
                );
                Err(why)
            }
            step => panic!("{step:?}"),
        };
        (prompts, verdict)
    }
}

const HERE: &str = "10.0.0.1:5";

fn users() -> AuthStep {
    AuthStep {
        client_username: true,
        ..AuthModule::Users { secret: at(0) }.into()
    }
}

/// What the file says of a user's sessions goes to the supervisor with the yes.
#[test]
fn who_is_let_in_comes_with_what_is_known_of_the_sessions() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("users");
    std::fs::write(
        &path,
        "ann|first|1000|staff|:10,:11|A=b|speed=1\nbob|second\n",
    )
    .unwrap();
    let mut door = Door::new(vec![users()], &[&path]);
    let mut come = |name: &str, password: &str| {
        door.knock(HERE, name, &[password.as_bytes()]).1.unwrap();
        door.sessions.take().map(|sessions| sessions.to_string())
    };
    let ann = "user 1000, group staff, 2 displays, 1 variable, 1 option";
    assert_eq!(come("ann", "first"), Some(ann.to_owned()));
    assert_eq!(come("bob", "second"), None);
}

#[test]
fn each_user_has_an_own_password() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("users");
    std::fs::write(&path, "ann|first\nbob|second|1000\n").unwrap();
    let mut door = Door::new(vec![users()], &[&path]);
    let mut come = |name: &str, password: &str| door.knock(HERE, name, &[password.as_bytes()]);
    let prompt = |name: &str| vec![format!("password for user '{name}'")];
    assert_eq!(come("ann", "first"), (prompt("ann"), Ok("ann".into())));
    assert_eq!(come("bob", "second"), (prompt("bob"), Ok("bob".into())));
    assert_eq!(come("ann", "second"), (prompt("ann"), Err(Refusal::Failed)));
    // A user who does not exist is asked and told the same.
    let nobody = (prompt("carl"), Err(Refusal::UnknownUser));
    assert_eq!(come("carl", "first"), nobody);
    assert_eq!(come("carl", "nobody's secret"), nobody);
    // What is written into the file counts at once; a mistake in it keeps everybody out.
    std::fs::write(&path, "ann|third\n").unwrap();
    assert_eq!(come("ann", "first").1, Err(Refusal::Failed));
    assert_eq!(come("ann", "third").1, Ok("ann".into()));
    assert_eq!(come("bob", "second").1, Err(Refusal::UnknownUser));
    std::fs::write(&path, "ann|third\nbob\n").unwrap();
    assert_eq!(come("ann", "third").1, Err(Refusal::Unusable));
    // A file that is put in its place was never opened.
    let other = directory.path().join("other");
    std::fs::write(&other, "ann|fourth\n").unwrap();
    std::fs::rename(&other, &path).unwrap();
    assert_eq!(come("ann", "fourth").1, Err(Refusal::Unusable));
}

#[test]
fn without_the_clients_name_it_is_the_owner() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("users");
    std::fs::write(&path, "me|mine\nann|first\n").unwrap();
    let owner = AuthStep {
        client_username: false,
        ..users()
    };
    let mut door = Door::new(vec![owner], &[&path]);
    let prompts = vec!["password for user 'me'".to_owned()];
    assert_eq!(
        door.knock(HERE, "ann", &[b"first"]),
        (prompts.clone(), Err(Refusal::Failed))
    );
    assert_eq!(
        door.knock(HERE, "ann", &[b"mine"]),
        (prompts, Ok("me".into()))
    );
}

#[test]
fn a_code_is_good_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    std::fs::write(&path, format!("{KEY}\n")).unwrap();
    let module = AuthModule::Otp {
        secret: at(0),
        window: 1,
    };
    let mut door = Door::new(vec![module.into()], &[&path]);
    let key = otp::Key::read(KEY.as_bytes()).unwrap();
    let mut come = |code: &[u8]| door.knock(HERE, "x", &[code]);
    let asked = vec!["OTP".to_owned()];
    // With a window of one, that of the step after now is good for longer than this takes.
    let next = otp::now() / otp::STEP + 1;
    let code = key.code(next);
    let mut wrong = *code;
    wrong[5] = b'0' + (wrong[5] - b'0' + 1) % 10;
    let others = [next - 1, next, next + 1].map(|step| *key.code(step));
    if !others.contains(&wrong) {
        assert_eq!(come(&wrong), (asked.clone(), Err(Refusal::Failed)));
    }
    assert_eq!(come(b""), (asked.clone(), Err(Refusal::Failed)));
    assert_eq!(
        come(&[code.as_slice(), b"\n"].concat()),
        (asked.clone(), Ok("me".into()))
    );
    assert_eq!(come(&*code), (asked.clone(), Err(Refusal::UsedCode)));
    // Nor is the one before it, that somebody may have looked at.
    assert_eq!(come(&*key.code(next - 1)), (asked, Err(Refusal::UsedCode)));
}

#[test]
fn addresses_are_looked_at_before_anybody_is_asked() {
    let directory = tempfile::tempdir().unwrap();
    let paths = ["allow", "deny", "users"].map(|name| directory.path().join(name));
    std::fs::write(&paths[0], "xpra: 10. EXCEPT 10.0.0.9\n").unwrap();
    std::fs::write(&paths[1], "ALL: ALL\n").unwrap();
    std::fs::write(&paths[2], "ann|first\n").unwrap();
    let hosts = AuthModule::Hosts {
        allow: at(0),
        deny: at(1),
        names: None,
    };
    let users = AuthStep {
        module: AuthModule::Users { secret: at(2) },
        ..users()
    };
    let files: Vec<_> = paths.iter().map(std::path::PathBuf::as_path).collect();
    let mut door = Door::new(vec![hosts.into(), users], &files);
    assert_eq!(door.knock(HERE, "ann", &[b"first"]).1, Ok("ann".into()));
    assert_eq!(
        door.knock(HERE, "ann", &[b"second"]).1,
        Err(Refusal::Failed)
    );
    let unasked = (vec![], Err(Refusal::Origin));
    assert_eq!(door.knock("10.0.0.9:5", "ann", &[b"first"]), unasked);
    assert_eq!(door.knock("[::1]:5", "ann", &[b"first"]), unasked);
    std::fs::write(&paths[0], "xpra: LOCAL\n").unwrap();
    assert_eq!(
        door.knock(HERE, "ann", &[]),
        (vec![], Err(Refusal::Unusable))
    );
    // With no rules left everybody would pass: then nobody does.
    std::fs::write(&paths[0], "").unwrap();
    std::fs::write(&paths[1], "").unwrap();
    assert_eq!(
        door.knock(HERE, "ann", &[]),
        (vec![], Err(Refusal::Unusable))
    );
}
