//! The page as text: what it says, what it does not let in, how large it gets. What it looks like is tested in a browser (`e2e`).

use serde_json::{Value, json};

use super::super::{app::AppReport, value::Report};

/// Where the pool that holds the stop up is among the components.
const INCREMENTS: usize = 3;

/// A stop of eight components, 5.9 s long, that task 88090 held up.
fn sample() -> Value {
    serde_json::from_str(include_str!("sample.json")).unwrap()
}

fn report(change: impl FnOnce(&mut Value)) -> AppReport {
    let mut value = sample();
    change(&mut value);
    serde_json::from_value(value).unwrap()
}

fn pool() -> Report {
    serde_json::from_value(sample()["components"][INCREMENTS]["pool"].clone()).unwrap()
}

/// No tag, entity or attribute is left open, and nothing is loaded or run.
fn is_sound(page: &str) {
    for word in [
        "<script",
        "<link",
        "<img",
        "<iframe",
        "href=",
        "src=",
        "url(http",
        "@import",
        "onload",
        "javascript:",
    ] {
        assert!(!page.contains(word), "{word}");
    }
    let mut open: Vec<&str> = Vec::new();
    for piece in page.split('<').skip(1) {
        let (tag, _) =
            piece.split_once('>').unwrap_or_else(|| panic!("a tag that does not end: {piece:.40}"));
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        let name = tag.trim_start_matches('/').split([' ', '/', '\n']).next().unwrap();
        if let Some(closed) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(closed), "{tag}");
        } else if !tag.ends_with('/') && !matches!(name, "!doctype" | "meta" | "br") {
            open.push(name);
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}

#[test]
fn the_page_says_what_happened() {
    let page = report(|_| {}).to_html();
    is_sound(&page);
    for text in [
        "<bdi>counter</bdi> stopped in 5.92 s, nothing was lost",
        "exit code 0",
        "stopped by SIGTERM",
        "Without task 88090 it would have been",
        "increments",
        "c-drain",
        "c-close",
        "critical path",
        "deregistration delay 1 s",
        "counter waited for",
    ] {
        let text = text.replace("counter waited for", "redis waited for increments");
        assert!(page.contains(&text), "{text}");
    }
    assert!(page.contains("prefers-color-scheme:dark"));
}

#[test]
fn a_pool_has_a_page_too() {
    let page = pool().to_html();
    is_sound(&page);
    assert!(page.contains("Pool <bdi>increments</bdi> shut down in 3.90 s"), "{page}");
    assert!(page.contains("Without task 88090 “slow increment” on increments-2 it would have been 1.50 s"));
    assert!(page.contains("data-worker=\"increments-1\""));
    is_sound(&pool().to_svg());
}

#[test]
fn hostile_names_become_neither_markup_nor_direction() {
    let hostile = "</text></svg></title><script>alert(1)</script>\"'&\u{202e}txt\u{2066}\u{0}\u{1b}[2J";
    let page = report(|value| {
        value["app"] = hostile.into();
        value["critical_path"] = hostile.into();
        value["reason"] = json!({"why": "component_ended", "component": hostile, "error": hostile});
        value["signals"][0]["signal"] = hostile.into();
        value["warnings"] = json!([hostile]);
        for step in value["critical"].as_array_mut().unwrap() {
            step["because"] = hostile.into();
        }
        for component in value["components"].as_array_mut().unwrap() {
            component["name"] = hostile.into();
            component["waited_for"] = hostile.into();
            component["error"] = hostile.into();
            component["progress"] = hostile.into();
            component["held_by"] = json!([hostile]);
            component["depends_on"] = json!([hostile]);
            component["detail"] = json!({hostile: hostile});
        }
        let pool = &mut value["components"][INCREMENTS]["pool"];
        pool["pool"] = hostile.into();
        pool["failed"] = hostile.into();
        for worker in pool["workers"].as_array_mut().unwrap() {
            worker["name"] = hostile.into();
            worker["ran"]["name"] = hostile.into();
        }
    });
    for text in [page.to_html(), page.to_svg(), page.components[INCREMENTS].pool.as_ref().unwrap().to_html()]
    {
        is_sound(&text);
        let odd = |character: char| {
            (character.is_control() && character != '\n')
                || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        assert!(!text.contains(odd));
        assert!(text.contains("\\u{202e}"), "it is shown as an escape");
    }
}

#[test]
fn a_long_report_stays_small_and_says_what_it_leaves_out() {
    let long = "a name that is much longer than any sensible person would make it ".repeat(20);
    let huge = report(|value| {
        let entry = json!({"at_ms": 5.0, "what": "stop_began", "component": long});
        value["timeline"] = vec![entry; 10_000].into();
        let components = value["components"].as_array().unwrap().clone();
        let many = components.iter().cycle().take(400).cloned().enumerate().map(|(index, mut component)| {
            component["name"] = format!("{long}{index}").into();
            if !component["pool"].is_null() {
                let workers = component["pool"]["workers"].as_array().unwrap().clone();
                component["pool"]["workers"] = workers.iter().cycle().take(1_000).cloned().collect();
            }
            component
        });
        value["components"] = many.collect();
    });
    let page = huge.to_html();
    is_sound(&page);
    assert!(page.len() < 2 << 20, "{} bytes", page.len());
    for text in
        ["… and 9_500 rows more", "… and 200 components more", "… and 360 components more, listed below"]
    {
        assert!(page.contains(text), "{text}");
    }

    let mut pool = pool();
    pool.timeline = pool.timeline.iter().cycle().take(10_000).cloned().collect();
    pool.workers = pool.workers.iter().cycle().take(10_000).cloned().collect();
    let page = pool.to_html();
    is_sound(&page);
    assert!(page.len() < 1 << 20, "{} bytes", page.len());
    assert!(page.contains("… and 9_500 turns more") && page.contains("… and 9_960 workers more"));
}

#[test]
fn odd_reports_have_a_page_as_well() {
    let odd: [fn(&mut Value); 6] = [
        |value| value["components"] = json!([]),
        |value| value["duration_ms"] = 0.into(),
        |value| value["duration_ms"] = json!(1e15),
        |value| value["ready_ms"] = Value::Null,
        |value| value["reason"] = json!({"why": "start_failed", "component": "redis", "error": "refused"}),
        |value| {
            for component in value["components"].as_array_mut().unwrap() {
                component["end"] = "hung".into();
                component["start"] = Value::Null;
                component["stop"]["to_ms"] = Value::Null;
            }
        },
    ];
    for (change, index) in odd.into_iter().zip(0..) {
        let report = report(change);
        is_sound(&report.to_html());
        assert!(!report.to_svg().contains("NaN"), "{index}");
    }
}

/// A stop that a second signal forced: a hung task, a resource that was kept open under it, a start that failed.
fn forced() -> AppReport {
    report(|value| {
        value["exit_code"] = 16.into();
        value["forced_ms"] = json!(2_600.0);
        value["deadline_ms"] = json!(6_500.0);
        value["signals"]
            .as_array_mut()
            .unwrap()
            .push(json!({"at_ms": 2_600.0, "signal": "SIGTERM", "meaning": "force"}));
        let components = value["components"].as_array_mut().unwrap();
        let pool = &mut components[INCREMENTS];
        pool["end"] = "hung".into();
        pool["forced_ms"] = json!(2_600.0);
        pool["pool"]["workers"][1]["end"] = "abandoned".into();
        pool["pool"]["workers"][1]["ran"]["ended_ms"] = Value::Null;
        pool["pool"]["mode"] = "abort".into();
        pool["pool"]["outcomes"]["abandoned"] = 1.into();
        pool["pool"]["during"] = json!({"completed": 120, "failed": 4, "panicked": 1, "cancelled": 22, "timed_out": 3, "killed": 0,
            "crashed": 0, "abandoned": 1, "returned": 176});
        components[2]["end"] = "kept_open".into();
        components[2]["held_by"] = json!(["increments-2"]);
        components[2]["stop"] = Value::Null;
        components[1]["end"] = "stop_failed".into();
        components[1]["error"] = "the collector refused the connection".into();
        value["critical_path"] =
            "increments-2 was abandoned with task 88090 \"slow increment\"; without it 2.60 s".into();
        value["warnings"] = json!(["the plan may take 31 s, the deadline is 6.50 s"]);
    })
}

#[test]
fn a_forced_stop_shows_who_is_to_blame() {
    let page = forced().to_html();
    is_sound(&page);
    for text in [
        "forced by a second signal",
        "SIGTERM at 2.60 s forced it",
        "HUNG",
        "KEPT OPEN",
        "by increments-2",
        "STOP FAILED",
        "did not end",
        "deadline 6.50 s",
        "c-forced",
        "the collector refused the connection",
        "THE LAW IS BROKEN",
        "176 returned",
    ] {
        assert!(page.contains(text), "{text}");
    }
}
