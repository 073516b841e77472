//! Worker pools that stop right.
