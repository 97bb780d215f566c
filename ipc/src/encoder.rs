//! The edge `supervisor`–`encoder`.

use crate::channel::Message;
use crate::verdict::Violation;
use serde::{Deserialize, Serialize};

/// The supervisor tells `encoder`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SupervisorToEncoder {
    /// First message. Descriptors: channel to `network`, channel to `display`.
    Start,
    /// `display` was started anew. Descriptor: channel to it.
    Display,
}

impl Message for SupervisorToEncoder {
    const NAME: &'static str = "supervisor>encoder";
    fn descriptors(&self) -> usize {
        match self {
            Self::Start => 2,
            Self::Display => 1,
        }
    }
}

/// `encoder` tells the supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EncoderToSupervisor {
    /// A peer broke the rules.
    Violation(Violation),
}

impl Message for EncoderToSupervisor {
    const NAME: &'static str = "encoder>supervisor";
}
