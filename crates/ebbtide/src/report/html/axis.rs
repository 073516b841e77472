//! An axis of time: where a moment is, and where it is worth a line.

use std::time::Duration;

use super::{
    super::text::words::duration,
    ink::{Ink, ink},
};

/// Room a tick's label wants.
const TICK: f64 = 84.0;

/// A stretch of time on a stretch of paper.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    left: f64,
    right: f64,
    total: Duration,
}

/// The top and the bottom of something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tall(pub(super) f64, pub(super) f64);

impl Axis {
    /// From zero to `total` (at least a microsecond) between `left` and `right`.
    pub(super) fn new(left: f64, right: f64, total: Duration) -> Self {
        Self { left, right, total: total.max(Duration::from_micros(1)) }
    }

    /// Where a moment is; what is beyond an end is at the end.
    pub(super) fn x(&self, moment: Duration) -> f64 {
        let part = moment.min(self.total).as_secs_f64() / self.total.as_secs_f64();
        self.left + (self.right - self.left) * part
    }

    pub(super) fn left(&self) -> f64 {
        self.left
    }

    pub(super) fn right(&self) -> f64 {
        self.right
    }

    /// Lines at round moments with their labels above them.
    pub(super) fn draw(&self, ink: &mut Ink, label: f64, lines: Tall) {
        for tick in self.ticks() {
            let x = self.x(tick);
            ink!(
                ink,
                r#"<line class="grid" x1="{x:.1}" x2="{x:.1}" y1="{:.1}" y2="{:.1}"/>"#,
                lines.0,
                lines.1
            );
            let anchor = if tick.is_zero() { "start" } else { "middle" };
            let text = duration(tick);
            ink!(ink, r#"<text class="tick" x="{x:.1}" y="{label:.1}" text-anchor="{anchor}">{text}</text>"#);
        }
    }

    /// Round moments: 1, 2 or 5 of a unit apart.
    fn ticks(&self) -> Vec<Duration> {
        let most = ((self.right - self.left) / TICK).max(1.0);
        let total = self.total.as_nanos();
        let wanted = self.total.as_nanos() as f64 / most;
        let step = rounds().find(|step| *step as f64 >= wanted).unwrap_or(total);
        let last = total / step;
        (0..=last).map(|index| nanos(step * index)).collect()
    }
}

/// 1, 2, 5, 10, … nanoseconds, and from a second on what a clock shows.
fn rounds() -> impl Iterator<Item = u128> {
    const SECOND: u128 = 1_000_000_000;
    const CLOCK: [u128; 16] =
        [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 21_600, 43_200];
    let small = (0..9).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_u128.pow(power)));
    let days = (0..12).flat_map(|power| [1, 2, 5].map(|digit| digit * 86_400 * SECOND * 10_u128.pow(power)));
    small.chain(CLOCK.map(|seconds| seconds * SECOND)).chain(days)
}

fn nanos(nanos: u128) -> Duration {
    const SECOND: u128 = 1_000_000_000;
    let seconds = u64::try_from(nanos / SECOND).unwrap_or(u64::MAX);
    Duration::new(seconds, u32::try_from(nanos % SECOND).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_not_crowded() {
        for total in [1, 900, 1_000_000, 5_920_000_000, 61_000_000_000, 86_400_000_000_000, u64::MAX] {
            let axis = Axis::new(100.0, 940.0, Duration::from_nanos(total));
            let ticks = axis.ticks();
            assert!((2..=11).contains(&ticks.len()), "{total}: {ticks:?}");
            assert!(ticks.windows(2).all(|pair| pair[0] < pair[1]), "{total}: {ticks:?}");
            assert!(*ticks.last().unwrap() <= axis.total);
        }
        let axis = Axis::new(0.0, 840.0, Duration::from_millis(5_920));
        assert_eq!(axis.ticks(), (0..=5).map(Duration::from_secs).collect::<Vec<_>>());
        assert!(!Axis::new(0.0, 840.0, Duration::MAX).ticks().is_empty());
    }

    #[test]
    fn a_moment_has_its_place() {
        let axis = Axis::new(100.0, 300.0, Duration::from_secs(2));
        assert_eq!(axis.x(Duration::from_secs(1)), 200.0);
        assert_eq!(axis.x(Duration::from_secs(9)), 300.0);
        assert_eq!(Axis::new(100.0, 300.0, Duration::ZERO).x(Duration::ZERO), 100.0);
    }
}
