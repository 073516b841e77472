//! One application.

use super::director::World;

pub(super) fn run(_: World) {}
