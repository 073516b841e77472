//! What the face of this room is on systems where worker processes are not supported.

/// Worker processes need Linux; elsewhere this does nothing, so that `main` can begin the same everywhere.
pub const fn init() {}
