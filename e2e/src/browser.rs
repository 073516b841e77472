//! A page in a real browser: headless Chromium, its screenshot as pixels, its document as text.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::run::{command, now, pause};

/// A browser that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(120);
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
const WIDTH: u32 = 1240;
const HEIGHT: u32 = 1400;

/// What the reader likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liking {
    /// Dark text on a light page.
    Light,
    /// The other way round.
    Dark,
}

/// A screenshot.
#[derive(Debug)]
pub struct Screen {
    width: usize,
    rgb: Vec<u8>,
}

/// The browser takes a screenshot of a page that is a file.
///
/// # Panics
/// When there is no browser, or it does not do that.
#[must_use]
pub fn screenshot(page: &Path, liking: Liking) -> Screen {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("screen.png");
    browse(page, liking, &[format!("--screenshot={}", file.display())]);
    let png = File::open(&file).expect("the browser writes a screenshot");
    decode(BufReader::new(png))
}

/// The document as it is after the browser has read it.
///
/// # Panics
/// When there is no browser, or it does not do that.
#[must_use]
pub fn document(page: &Path) -> String {
    browse(page, Liking::Light, &["--dump-dom".to_owned()])
}

impl Screen {
    /// The colour at a place.
    ///
    /// # Panics
    /// When it is not on the screen.
    #[must_use]
    pub fn at(&self, x: f64, y: f64) -> [u8; 3] {
        let place = (y as usize * self.width + x as usize) * 3;
        assert!(
            x >= 0.0 && (x as usize) < self.width && place + 3 <= self.rgb.len(),
            "{x}, {y} is on the screen"
        );
        [self.rgb[place], self.rgb[place + 1], self.rgb[place + 2]]
    }

    /// How many pixels are not of the colour of the top left one.
    #[must_use]
    pub fn ink(&self) -> usize {
        self.rgb.chunks_exact(3).filter(|pixel| *pixel != &self.rgb[..3]).count()
    }
}

fn browse(page: &Path, liking: Liking, args: &[String]) -> String {
    let profile = tempfile::tempdir().expect("a folder");
    let mut browser = command(browser());
    browser.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
    ]);
    browser.args([
        "--no-first-run",
        "--disable-background-networking",
        "--disable-extensions",
        "--force-device-scale-factor=1",
    ]);
    browser.arg(format!("--blink-settings=preferredColorScheme={}", u8::from(liking == Liking::Light)));
    browser.arg(format!("--user-data-dir={}", profile.path().display()));
    browser.arg(format!("--window-size={WIDTH},{HEIGHT}")).args(args);
    browser.arg(format!("file://{}", page.display()));
    finish(&mut browser)
}

/// Waits for its end; what it leaves running is ended with it.
fn finish(browser: &mut Command) -> String {
    browser.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
    let mut child = browser.spawn().expect("the browser starts");
    let mut output = child.stdout.take().expect("its output is a pipe");
    let reader = std::thread::Builder::new().name("page".to_owned()).spawn(move || {
        let mut text = Vec::new();
        output.read_to_end(&mut text).map(|_| text)
    });
    let begun = now();
    let status = loop {
        match child.try_wait().expect("it can be waited for") {
            Some(status) => break Some(status),
            None if begun.elapsed() > PATIENCE => break None,
            None => pause(Duration::from_millis(20)),
        }
    };
    if let Some(group) = Pid::from_raw(child.id().cast_signed()) {
        // There may be nobody left.
        let _ = kill_process_group(group, Signal::KILL);
    }
    let status = status.unwrap_or_else(|| {
        let _ = child.wait();
        panic!("the browser was not done after {PATIENCE:?}")
    });
    assert!(status.success(), "the browser ended with {status}");
    let text = reader.expect("a thread starts").join().expect("it does not panic").expect("it can be read");
    String::from_utf8(text).expect("a document is text")
}

fn browser() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .flat_map(|folder| NAMES.map(|name| folder.join(name)))
        .find(|program| program.is_file());
    found.unwrap_or_else(|| panic!("none of {NAMES:?} is installed; on Debian: apt-get install chromium"))
}

fn decode(png: impl std::io::BufRead + std::io::Seek) -> Screen {
    let mut reader = png::Decoder::new(png).read_info().expect("a PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("of a sensible size")];
    let info = reader.next_frame(&mut pixels).expect("a whole PNG");
    assert_eq!((info.bit_depth, info.width), (png::BitDepth::Eight, WIDTH));
    pixels.truncate(info.buffer_size());
    let rgb = match info.color_type {
        png::ColorType::Rgb => pixels,
        png::ColorType::Rgba => {
            pixels.chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
        }
        other => panic!("a screenshot of {other:?}"),
    };
    Screen { width: WIDTH as usize, rgb }
}
