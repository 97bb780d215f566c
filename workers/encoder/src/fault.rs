//! What a peer can do wrong. The supervisor ends whoever did it.

use ipc::capture::CaptureBuffer;
use ipc::channel::ChannelError;
use ipc::frames::{Coding, OutputBuffer};
use ipc::shared::SharedError;

/// A broken rule.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// What the channel itself found.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// An index that no buffer can have.
    #[error("{0:?} is out of range")]
    CaptureIndex(CaptureBuffer),
    /// Memory that is not as the contract says.
    #[error("{0:?}: {1}")]
    CaptureMemory(CaptureBuffer, #[source] SharedError),
    /// A buffer that was never passed.
    #[error("{0:?} was never passed")]
    CaptureUnknown(CaptureBuffer),
    /// A buffer that is ours at the moment.
    #[error("{0:?} is not released")]
    CaptureHeld(CaptureBuffer),
    /// A picture that does not fit the buffer it is said to lie in.
    #[error("{buffer:?} has {bytes} bytes, the picture {needed}")]
    CaptureShort {
        /// The buffer.
        buffer: CaptureBuffer,
        /// Its size.
        bytes: u32,
        /// What the picture takes.
        needed: u32,
    },
    /// A rectangle that sticks out of its window.
    #[error("a rectangle outside of its window")]
    OutsideWindow,
    /// A frame that nobody pulled.
    #[error("a frame that was not pulled")]
    NotPulled,
    /// Icon or cursor above 256×256, or a hot spot outside.
    #[error("an icon or cursor that is out of range")]
    IconRange,
    /// More windows than anyone has.
    #[error("too many windows")]
    TooManyWindows,
    /// Screenshot parts without an end.
    #[error("too many parts of a screenshot")]
    TooManyParts,
    /// The first message was another, or came twice.
    #[error("start is not the first message, or not the only start")]
    Start,
    /// A buffer that is not with `network`.
    #[error("{0:?} is not with network")]
    NotSent(OutputBuffer),
    /// A picture that was never sent.
    #[error("acknowledges picture {0}, which was never sent")]
    NeverSent(u64),
    /// A number outside of its range.
    #[error("quality or speed out of range")]
    TuningRange,
    /// A coding that the client did not announce (security goal A3).
    #[error("{0:?} was not announced")]
    NotAnnounced(Coding),
}
