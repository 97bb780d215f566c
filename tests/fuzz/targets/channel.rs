//! Every direction of every channel between our own processes. The first byte chooses one.
#![no_main]

use ipc::channel::{Message, decode};
use libfuzzer_sys::fuzz_target;

/// What decodes must encode to something that decodes to the same: the codec loses nothing.
fn direction<T: Message + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    for fds in 0..=ipc::channel::MAX_FDS {
        if let Ok(message) = decode::<T>(bytes, fds) {
            let again = ipc::channel::encode(&message).expect("a message within its limit");
            assert_eq!(decode::<T>(&again, fds).expect("our own bytes"), message);
        }
    }
}

const DIRECTIONS: [fn(&[u8]); 18] = [
    direction::<ipc::auth::NetworkToAuth>,
    direction::<ipc::auth::AuthToNetwork>,
    direction::<ipc::auth::SupervisorToAuth>,
    direction::<ipc::auth::AuthToSupervisor>,
    direction::<ipc::display::NetworkToDisplay>,
    direction::<ipc::display::DisplayToNetwork>,
    direction::<ipc::display::SupervisorToDisplay>,
    direction::<ipc::display::DisplayToSupervisor>,
    direction::<ipc::capture::EncoderToDisplay>,
    direction::<ipc::capture::DisplayToEncoder>,
    direction::<ipc::frames::NetworkToEncoder>,
    direction::<ipc::frames::EncoderToNetwork>,
    direction::<ipc::network::SupervisorToNetwork>,
    direction::<ipc::network::NetworkToSupervisor>,
    direction::<ipc::encoder::SupervisorToEncoder>,
    direction::<ipc::encoder::EncoderToSupervisor>,
    direction::<ipc::launcher::SupervisorToLauncher>,
    direction::<ipc::launcher::LauncherToSupervisor>,
];

fuzz_target!(|data: &[u8]| {
    let Some((first, bytes)) = data.split_first() else { return };
    DIRECTIONS[usize::from(*first) % DIRECTIONS.len()](bytes);
});
