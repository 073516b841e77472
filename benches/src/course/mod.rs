//! What is run: the same code for every contender, generic over the pool. Each lap builds its pool, warms it up, measures, and lets it go.

mod common;
mod latency;
mod memory;
mod shapes;
mod stop;
mod throughput;

pub(crate) use common::run;
pub(crate) use shapes::par_iter;
