//! Every direction of every channel between our own processes, for the fuzz target and for the
//! test that looks at its seeds.

use ipc::channel::{MAX_FDS, Message, decode, encode};

/// One direction.
pub struct Direction {
    /// As the channel is called.
    pub name: &'static str,
    /// Decodes; what decodes must encode to something that decodes to the same. The message as
    /// text, or why there is none.
    pub check: fn(&[u8]) -> Result<String, String>,
}

fn check<T: Message + PartialEq + std::fmt::Debug>(bytes: &[u8]) -> Result<String, String> {
    let mut answer = Err(String::new());
    for fds in 0..=MAX_FDS {
        match decode::<T>(bytes, fds) {
            Ok(message) => {
                let again = encode(&message).expect("a message within its limit");
                let twice = decode::<T>(&again, fds).expect("our own bytes");
                assert_eq!(twice, message);
                answer = Ok(format!("{message:?}"));
            }
            Err(error) if answer.is_err() => answer = Err(error.to_string()),
            Err(_) => {}
        }
    }
    answer
}

macro_rules! directions {
    ($($module:ident: $($message:ident)*;)*) => {
        /// All of them.
        pub const DIRECTIONS: &[Direction] = &[$($(Direction {
            name: <ipc::$module::$message as Message>::NAME,
            check: check::<ipc::$module::$message>,
        },)*)*];
    };
}

directions! {
    auth: NetworkToAuth AuthToNetwork SupervisorToAuth AuthToSupervisor;
    display: NetworkToDisplay DisplayToNetwork SupervisorToDisplay DisplayToSupervisor;
    capture: EncoderToDisplay DisplayToEncoder;
    frames: NetworkToEncoder EncoderToNetwork;
    network: SupervisorToNetwork NetworkToSupervisor;
    encoder: SupervisorToEncoder EncoderToSupervisor;
    launcher: SupervisorToLauncher LauncherToSupervisor;
    keys: NetworkToKeys KeysToNetwork SupervisorToKeys KeysToSupervisor;
    check: SupervisorToCheck CheckToSupervisor AuthToCheck CheckToAuth;
    reload: CommandToSupervisor SupervisorToCommand;
}

/// The first byte chooses a direction.
pub fn chosen(data: &[u8]) -> Option<(&'static Direction, &[u8])> {
    let (first, bytes) = data.split_first()?;
    Some((&DIRECTIONS[usize::from(*first) % DIRECTIONS.len()], bytes))
}
