//! Each rule is given something bad and has to find it, and the same made good and has to be content.

use crate::{papers, rules, source::Source};

/// Runs a rule on a file of the library.
fn found(rule: fn(&Source) -> Vec<String>, place: &str, text: &str) -> String {
    rule(&Source::new(&format!("{}{place}", rules::LIBRARY), text)).join("\n")
}

#[test]
fn a_file_without_header() {
    for bad in
        ["", "use std::fmt;\n", "// Not a doc comment.\n", "//! Short.\n", "\n//! After a blank line.\n"]
    {
        assert!(found(rules::header, "task/x.rs", bad).contains(":1: no `//!` line"), "{bad:?}");
    }
    assert_eq!(found(rules::header, "task/x.rs", "//! What a task is.\n"), "");
}

#[test]
fn a_long_file() {
    let lines = |count: usize| "//! Long.\n".repeat(count);
    assert!(found(rules::file_length, "task/x.rs", &lines(601)).contains("601 lines"));
    assert_eq!(found(rules::file_length, "task/x.rs", &lines(600)), "");
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "    // A line.\n".repeat(100));
    assert_eq!(found(rules::file_length, "task/x.rs", &format!("{}{tests}", lines(600))), "");
}

#[test]
fn a_long_function_also_in_an_impl_a_trait_and_a_function() {
    let body = |count: usize| format!("{{\n{}}}", "let _ = 1;\n".repeat(count - 2));
    let (long, short) = (body(71), body(70));
    let shapes: [fn(&str) -> String; 4] = [
        |body| format!("fn f() {body}"),
        |body| format!("impl X {{ pub async fn f(&self) {body} }}"),
        |body| format!("trait X {{ fn f(&self) {body} }}"),
        |body| format!("mod m {{ unsafe fn f() {body} }}"),
    ];
    for shape in shapes {
        assert!(found(rules::function_length, "task/x.rs", &shape(&long)).contains("`f` has 71 lines"));
        assert_eq!(found(rules::function_length, "task/x.rs", &shape(&short)), "");
    }
    let inner = format!("fn outer() {{ fn inner() {long} }}");
    assert!(found(rules::function_length, "task/x.rs", &inner).contains("`inner`"));
}

#[test]
fn an_arrow_that_goes_up() {
    let up = [
        "use crate::pool::Pool;",
        "use crate::{\n    clock::Moment,\n    pool::Pool,\n};",
        "use crate::{task::{cell, id}, pool::{self, phase::Phase}};",
        "use super::super::pool::Pool;",
        "fn f(pool: &crate::pool::Pool) {}",
        "fn f() { println!(\"{}\", crate::pool::name()); }",
        "use crate::pool as p;",
        "use crate::pool::*;",
    ];
    for text in up {
        assert!(
            found(rules::layering, "task/cell.rs", text).contains("`task` must not know `pool`"),
            "{text}"
        );
        assert_eq!(found(rules::layering, "pool/core.rs", text), "", "{text}");
    }
    let front = found(rules::layering, "task/cell.rs", "use crate::TaskError;");
    assert!(front.contains("not the front door"), "{front}");
    assert!(found(rules::layering, "attic/x.rs", "").contains("has no layer"));
    let beside = "use super::id::TaskId;\nuse crate::{clock::Moment, report::Mode};\nuse self::x::Y;";
    assert_eq!(found(rules::layering, "task/cell.rs", beside), "");
    let tests = "#[cfg(test)]\nmod tests { use crate::pool::Pool; }";
    assert_eq!(found(rules::layering, "task/cell.rs", tests), "");
}

#[test]
fn a_decision_that_is_not_pure() {
    let decide = |body: &str| format!("//! Decision: whom to start.\n{body}\n");
    let impure = [
        "use std::thread;",
        "use std::{collections::BTreeMap, sync::{Arc, Mutex}};",
        "use std::time::{Duration, Instant};",
        "fn f() -> std::time::SystemTime { std::time::SystemTime::now() }",
        "use std::io;",
        "async fn f() {}",
        "fn f() { let _ = async { 1 }; }",
        "fn f() { unsafe { g() } }",
        "fn f() { log::warn!(\"seen\"); }",
        "fn f() { tracing::info!(\"seen\"); }",
        "use crate::sync::Mutex;",
        "use crate::timer::Alarm;",
        "fn f() { let now = Moment::now(); }",
        "fn f() { let now = crate::clock::Moment::now(); }",
    ];
    for body in impure {
        let findings = found(rules::decision, "pool/roster.rs", &decide(body));
        assert!(findings.contains("a decision must not"), "{body}: {findings}");
    }
    let pure = "use std::{sync::Arc, time::Duration};\nuse crate::clock::Moment;\nfn f(now: Moment, why: Arc<str>) {}";
    assert_eq!(found(rules::decision, "pool/roster.rs", &decide(pure)), "");
    assert!(found(rules::decision, "pool/roster.rs", "//! Whom to start.\n").contains("does not begin"));
    assert!(found(rules::decision, "pool/new.rs", &decide("")).contains("does not know"));
    assert_eq!(found(rules::decision, "pool/drive.rs", "//! Hands.\nuse std::thread;\n"), "");
}

#[test]
fn unsafe_code_elsewhere_or_without_argument() {
    let argued = "//! Why.\n#![expect(unsafe_code, reason = \"because\")]\nfn f() { unsafe { g() } }";
    let bare = "//! Why.\nfn f() { unsafe { g() } }";
    let in_macro = "//! Why.\nm! { unsafe { g() } }";
    assert!(found(rules::unsafe_code, "pool/core.rs", argued).contains("not listed"));
    assert!(found(rules::unsafe_code, "pool/core.rs", in_macro).contains("not listed"));
    assert!(found(rules::unsafe_code, "pool/scope.rs", bare).contains("no `#![expect"));
    assert!(found(rules::unsafe_code, "pool/scope.rs", "//! None.\n").contains("has none"));
    assert_eq!(found(rules::unsafe_code, "pool/scope.rs", argued), "");
    let talk = "//! About `unsafe`.\n// unsafe\nfn f() { g(\"unsafe\") }";
    assert_eq!(found(rules::unsafe_code, "pool/core.rs", talk), "");
}

#[test]
fn a_door_that_does_something() {
    for bad in ["fn f() {}", "mod m { fn f() {} }", "struct S;", "const C: u8 = 1;"] {
        assert!(found(rules::door, "task/mod.rs", bad).contains("only re-exports"), "{bad}");
        assert_eq!(found(rules::door, "task/cell.rs", bad), "");
    }
    let good = "//! A room.\nmod cell;\npub(crate) use cell::Cell;\n#[cfg(test)]\nmod tests;\n";
    assert_eq!(found(rules::door, "task/mod.rs", good), "");
    let file = |place: &str| Source::new(&format!("{}{place}", rules::LIBRARY), "");
    let files = [file("lib.rs"), file("task/cell.rs"), file("report/text.rs"), file("report/text/words.rs")];
    let doorless = rules::folders_without_door(&files);
    assert_eq!(doorless, ["crates/ebbtide/src/report", "crates/ebbtide/src/task"]);
}

#[test]
fn something_left_over() {
    for mark in [concat!("dbg", "!(x)"), concat!("// FIX", "ME later"), concat!("to", "do!()")] {
        let findings = found(rules::left_over, "task/x.rs", &format!("fine\n{mark}\n"));
        assert!(findings.contains(":2: left over"), "{mark}: {findings}");
    }
    assert_eq!(found(rules::left_over, "task/x.rs", "// To do is not a marker.\n"), "");
}

#[test]
fn a_path_of_one_machine() {
    for path in [concat!("/wo", "rk/x"), concat!("/ro", "ot/.cargo"), concat!("/ho", "me/me")] {
        assert!(found(rules::machine_path, "task/x.rs", path).contains("of one machine"), "{path}");
    }
    assert_eq!(found(rules::machine_path, "task/x.rs", "/tmp/x crates/worker/x"), "");
}

#[test]
fn a_crate_without_lints() {
    let manifest = |text: &str| papers::lints(&Source::new("x/Cargo.toml", text)).len();
    assert_eq!(manifest("[package]\nname = \"x\"\n"), 1);
    assert_eq!(manifest("[lints]\n\n[dependencies]\nx.workspace = true\n"), 1);
    assert_eq!(manifest("[package]\n\n[lints]\nworkspace = true\n"), 0);
}

#[test]
fn a_dependency_without_reason() {
    let design = Source::new("DESIGN.md", "| `serde` | data |");
    let reasons = |text: &str| papers::reasons(&Source::new("x/Cargo.toml", text), &design).len();
    assert_eq!(reasons("[dependencies]\nserde.workspace = true\nebbtide.workspace = true\n# rand\n"), 0);
    assert_eq!(reasons("[features]\nrand = []\n\n[dependencies]\nrand = \"1\"\n"), 1);
    assert_eq!(
        reasons("[target.'cfg(unix)'.dependencies]\nrand = \"1\"\n[dev-dependencies]\nquick = \"1\"\n"),
        2
    );
}

#[test]
fn a_claim_that_no_test_holds() {
    let tests = "#[test]\nfn a_value_comes_back() {}\nfn helper() {}\n#[test]\n#[ignore]\nfn slow() {}\n";
    let files = [Source::new("crates/x/tests/smoke.rs", tests)];
    let claims = |text: &str| papers::claims(&Source::new("README.md", text), &files).len();
    assert_eq!(claims("held by `smoke.rs::a_value_comes_back` and `smoke.rs::slow`"), 0);
    assert_eq!(claims("held by `smoke.rs::helper`"), 1, "not a test");
    assert_eq!(claims("held by `smoke.rs::gone`, `other.rs::a_value_comes_back`"), 2);
    let named = |text: &str| papers::named_files(&Source::new("README.md", text), &files).len();
    assert_eq!(named("see `crates/x/tests/smoke.rs` and [it](crates/x/tests/smoke.rs#L1)"), 0);
    assert_eq!(named("see `crates/x/gone.rs` and [it](e2e/gone.md)"), 2);
}
