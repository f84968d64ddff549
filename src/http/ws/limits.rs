//! The limits on the messages of a peer.

/// The limits on the messages of a peer.
///
/// Each acts when the header of the frame that crosses it is complete, before its payload comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limits {
    /// The bytes of a message, all its fragments together; of a compressed one, when it is
    /// inflated. Above it the connection is closed with 1009. The default is 1 MiB.
    pub(crate) message_bytes_max: u64,

    /// The frames of one message. Above it the connection is closed with 1008. The default of 1,024
    /// lets programs through that send a message while they make it; tiny fragments cost far more
    /// work than their bytes.
    pub(crate) fragments_max: u32,
}

impl Limits {
    /// The bytes of a compressed message on the wire. Data that does not become smaller grows by
    /// five bytes for each 64 KiB and for each flush of its sender, so there is some room.
    pub(super) fn deflated_bytes_max(&self) -> u64 {
        let room = self.message_bytes_max / 64 + 64;
        self.message_bytes_max.saturating_add(room)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes_max: 1 << 20,
            fragments_max: 1024,
        }
    }
}
