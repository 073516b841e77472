//! What a worker process needs of the operating system: a socket, pipes, the process itself, how large it is. The kernel's; in a simulation
//! a machine without a kernel, on invented time, so that all that is above this runs there as it is.

#[cfg(not(shuttle))]
mod cap;
#[cfg(not(shuttle))]
mod kernel;
#[cfg(not(shuttle))]
mod kin;
#[cfg(shuttle)]
pub(crate) mod simulated;

#[cfg(shuttle)]
pub(super) use simulated::{Cap, Host, Kin, Meter, Pipe, Socket, start, wait};
#[cfg(not(shuttle))]
pub(super) use {
    cap::{Cap, Caps},
    kernel::{Host, Meter, Pipe, Socket, wait},
    kin::{Direct, Kin},
};
