//! `ebbtide report`: the reports of a real application and of a real run, as text and as a page that a browser draws.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::Duration;

use e2e::browser::{Liking, document, screenshot};
use e2e::run::{Ebbtide, Ended, pause};
use ebbtide::{App, AppReport, BoxError, Pool};
use serde_json::Value;

/// Put into a copy of the page, so that the browser says where it drew what.
const PROBE: &str = r#"<pre id="probe"></pre><script>
const bars = [...document.querySelectorAll("main > figure > svg rect[class]")].map(bar => {
  const {x, y, width, height} = bar.getBoundingClientRect();
  const group = bar.closest("[data-component],[data-worker]");
  return {class: bar.getAttribute("class"), of: group && (group.dataset.component || group.dataset.worker), x, y, width, height};
});
document.getElementById("probe").textContent = JSON.stringify(bars);
</script></main>"#;

/// An application that served for a moment and whose stop a task held up.
fn stopped() -> AppReport {
    let app = App::builder("counter").embedded().deadline(Duration::from_secs(20));
    let close = |_: &str| pause(Duration::from_millis(150));
    let open = || {
        pause(Duration::from_millis(40));
        Ok::<_, BoxError>("redis")
    };
    let redis = app.resource("redis", open, close);
    let pool = app.pool("increments", Pool::builder().workers(2..=2).using(&redis)).unwrap();
    let running = app.run();
    for _ in 0..20 {
        pool.execute(|_, _| pause(Duration::from_millis(5))).unwrap();
    }
    let slow = pool.task("<script>slow").submit(|_, _| pause(Duration::from_millis(700))).unwrap();
    pause(Duration::from_millis(150));
    running.stop_handle().stop();
    let report = running.wait();
    slow.wait().unwrap();
    assert_eq!(report.exit_code, 0, "{report}");
    report
}

fn shown(args: &[&Path], option: &str) -> Ended {
    let mut words = vec!["report".into(), args[0].as_os_str().to_owned()];
    words.extend(args[1..].iter().flat_map(|out| [option.into(), out.as_os_str().to_owned()]));
    Ebbtide::bare(words).start().wait()
}

/// What the browser reads in a page and what it drew where; a page lets nobody ask, so it is asked of a copy.
fn probed(page: &str, folder: &Path) -> (String, Vec<Value>) {
    let (before, rest) = page.split_once("<meta http-equiv=\"Content-Security-Policy\"").unwrap();
    let open = format!("{before}{}", rest.split_once(">\n").unwrap().1).replace("</main>", PROBE);
    let copy = folder.join("probe.html");
    std::fs::write(&copy, open).unwrap();
    let text = document(&copy);
    let probe = text.split_once("<pre id=\"probe\">").unwrap().1.split_once("</pre>").unwrap().0;
    let bars = serde_json::from_str(&probe.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"));
    let bars = bars.unwrap();
    (text, bars)
}

fn near(one: [u8; 3], other: u32) -> bool {
    let other = other.to_be_bytes();
    one.iter().zip(&other[1..]).all(|(one, other)| one.abs_diff(*other) <= 6)
}

#[test]
fn the_page_of_an_application_is_drawn_where_its_layout_says() {
    let folder = tempfile::tempdir().unwrap();
    let (json, html) = (folder.path().join("report.json"), folder.path().join("report.html"));
    std::fs::write(&json, stopped().to_json()).unwrap();
    let written = shown(&[&json, &html], "--html");
    assert_eq!((written.code, &*written.stderr), (Some(0), ""));
    let page = std::fs::read_to_string(&html).unwrap();

    let screen = screenshot(&html, Liking::Light);
    let (text, bars) = probed(&page, folder.path());
    for word in ["counter", "redis", "increments", "exit code 0", "critical path", "&lt;script&gt;slow"] {
        assert!(text.contains(word), "{word}");
    }
    assert!(!page.contains("<script"), "a task's name became markup");

    let colours = [
        ("c-start", 0x0056_b4e9),
        ("c-serve", 0x00c5_def0),
        ("c-drain", 0x0000_72b2),
        ("c-close", 0x0000_9e73),
        ("path", 0x0015_202b),
    ];
    let number = |bar: &Value, name: &str| bar[name].as_f64().unwrap();
    for (class, colour) in colours {
        let wide = bars.iter().filter(|bar| bar["class"] == class && number(bar, "width") >= 8.0);
        let drawn: Vec<_> = wide.filter(|bar| class == "path" || !bar["of"].is_null()).collect();
        assert!(!drawn.is_empty(), "no bar of class {class} among {bars:#?}");
        for bar in drawn {
            // Near the end: nothing is written there, and no time is left out.
            let (x, y) = (
                number(bar, "x") + number(bar, "width") * 0.9,
                number(bar, "y") + number(bar, "height") - 4.5,
            );
            let seen = screen.at(x, y);
            assert!(near(seen, colour), "{bar} is {seen:?} at {x}, {y}");
        }
    }
    let long = bars.iter().find(|bar| bar["of"] == "increments" && bar["class"] == "c-drain").unwrap();
    let short = bars.iter().find(|bar| bar["of"] == "redis" && bar["class"] == "c-close").unwrap();
    assert!(number(long, "width") > number(short, "width"), "the pool took longer to stop than redis");
    assert!(number(short, "x") >= number(long, "x") + number(long, "width") - 1.0, "redis waited for it");
    assert!(screen.ink() > 50_000, "{} pixels are drawn", screen.ink());

    let dark = screenshot(&html, Liking::Dark);
    assert!(
        near(screen.at(2.0, 2.0), 0x00ff_ffff) && near(dark.at(2.0, 2.0), 0x0011_161c),
        "{:?}",
        dark.at(2.0, 2.0)
    );
}

#[test]
fn the_report_of_a_run_is_shown_as_text_page_and_picture() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("report.json");
    let args = ["--report", json.to_str().unwrap(), "--", "true"];
    assert_eq!(Ebbtide::run(args).feed("a\nb\nc\n").code, Some(0));

    let text = shown(&[&json], "");
    assert_eq!((text.code, &*text.stderr), (Some(0), ""));
    assert!(
        text.text().contains("3 tasks accounted for") && text.text().contains("exit code 0"),
        "{}",
        text.text()
    );
    let html = folder.path().join("run.html");
    assert_eq!(shown(&[&json, &html], "--html").code, Some(0));
    assert!(document(&html).contains("3 completed"));
    let svg = folder.path().join("run.svg");
    assert_eq!(shown(&[&json, &svg], "--svg").code, Some(0));
    assert!(screenshot(&svg, Liking::Light).ink() > 1_000);
}

#[test]
fn the_picture_in_the_readme_is_what_the_command_draws() {
    let folder = tempfile::tempdir().unwrap();
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs");
    let svg = folder.path().join("stop.svg");
    assert_eq!(shown(&[&docs.join("stop.json"), &svg], "--svg").code, Some(0));
    let same =
        std::fs::read_to_string(svg).unwrap() == std::fs::read_to_string(docs.join("stop.svg")).unwrap();
    assert!(same, "draw it again: cargo run -- report docs/stop.json --svg docs/stop.svg");
}

#[test]
fn what_is_no_report_is_named_clearly() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.json");
    let missing = shown(&[&file], "");
    assert_eq!(missing.code, Some(74));
    assert!(
        missing.stderr.contains("cannot read") && missing.stderr.contains("report.json"),
        "{}",
        missing.stderr
    );
    for (text, said) in [
        ("{\"format\": ", "is not JSON: EOF while parsing a value at line 1 column 11"),
        ("{\"app\": \"counter\"}", "is no report of ebbtide"),
        ("{\"format\": \"ebbtide-pool-report\", \"version\": 9}", "this ebbtide reads version 1"),
        ("{\"format\": \"ebbtide-pool-report\", \"version\": 1}", "is not whole: missing field"),
    ] {
        std::fs::write(&file, text).unwrap();
        let wrong = shown(&[&file], "");
        assert_eq!(wrong.code, Some(2), "{text}");
        assert!(wrong.stderr.contains(said), "{text}: {}", wrong.stderr);
    }
    let stopped_report = stopped().to_json();
    std::fs::write(&file, &stopped_report).unwrap();
    let nowhere = folder.path().join("no/such/folder.html");
    let lost = shown(&[&file, &nowhere], "--html");
    assert_eq!(lost.code, Some(74));
    assert!(lost.stderr.contains("cannot write"), "{}", lost.stderr);
    // What would overwrite the report, or a page that was just written.
    let page = folder.path().join("page");
    let (file_again, twice) = (
        shown(&[&file, &file], "--html"),
        Ebbtide::bare([
            "report".as_ref(),
            file.as_os_str(),
            "--html".as_ref(),
            page.as_os_str(),
            "--svg".as_ref(),
            page.as_os_str(),
        ])
        .start()
        .wait(),
    );
    for (refused, said) in
        [(file_again, "FILE and --html are the same file"), (twice, "--html and --svg are the same file")]
    {
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), stopped_report);
    assert!(!page.exists());
    // More than any report, without writing it.
    let huge = Ebbtide::bare(["report", "/dev/zero"]).start().wait();
    assert_eq!(huge.code, Some(2));
    assert!(huge.stderr.contains("more than 64 MiB"), "{}", huge.stderr);
}
