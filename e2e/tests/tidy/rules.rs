//! Rules for Rust files. Each is given one file and gives what is wrong with it, as `path:line: what`.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};
use syn::{spanned::Spanned, visit::Visit};

use crate::source::Source;

/// Where the library lives: layers, decisions and doors are rules for its folders.
pub(crate) const LIBRARY: &str = "crates/ebbtide/src/";

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;

/// The rooms of the library, lowest first. One may know its own layer and those below it.
const LAYERS: [&[&str]; 8] = [
    &["clock", "sync", "policy"],
    &["timer", "component", "report", "task", "error"],
    &["queue"],
    &["worker"],
    &["pool"],
    &["schedule", "http"],
    &["app"],
    &["simulation"],
];

/// The decisions there are. A new one is added here; one that loses its first line is missed.
const DECISIONS: [&str; 11] = [
    "app/order.rs",
    "app/plan.rs",
    "http/verdict.rs",
    "pool/ledger.rs",
    "pool/phase.rs",
    "pool/roster.rs",
    "pool/roster/failures.rs",
    "report/critical.rs",
    "schedule/timetable.rs",
    "worker/remote/death.rs",
    "worker/remote/flights.rs",
];

/// What a decision must not reach: anything that blocks, fails, reads the world or tells the time. (`Arc` is plain data.)
const IMPURE: [&str; 20] = [
    "std::thread",
    "std::sync",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::io",
    "std::fs",
    "std::net",
    "std::process",
    "std::env",
    "std::cell",
    "std::future",
    "std::task",
    "log",
    "tracing",
    "metrics",
    "tokio",
    "rand",
    "crate::sync",
    "crate::timer",
    "Moment::now",
];
const PURE_ALL_THE_SAME: [&str; 2] = ["std::sync::Arc", "std::sync::Weak"];

/// The only files with unsafe code, each with its argument in its header.
pub(crate) const UNSAFE: [&str; 5] = [
    "crates/ebbtide/src/pool/scope.rs",
    "crates/ebbtide/src/task/cell.rs",
    "crates/ebbtide/src/task/inline.rs",
    "crates/ebbtide/src/task/seat.rs",
    "crates/ebbtide/src/worker/process/sys.rs",
];

// In two parts, so that this file does not trip over its own rules.
const MARKERS: [&str; 6] = [
    concat!("dbg", "!("),
    concat!("to", "do!("),
    concat!("unimpl", "emented!("),
    concat!("FIX", "ME"),
    concat!("TO", "DO"),
    concat!("HA", "CK"),
];
const MACHINE_PATHS: [&str; 4] =
    [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];

/// The first line of a file says what the file is for.
pub(crate) fn header(file: &Source) -> Vec<String> {
    let first = file.text.lines().next().unwrap_or_default();
    match first.strip_prefix("//! ") {
        Some(text) if text.len() >= 10 => Vec::new(),
        _ => vec![format!("{}:1: no `//!` line that says what the file is for", file.path)],
    }
}

/// Unit tests that close a file are not counted.
pub(crate) fn file_length(file: &Source) -> Vec<String> {
    let tests: usize = file.tree().items.iter().filter(|item| is_unit_tests(item)).map(lines_of).sum();
    let lines = file.text.lines().count() - tests;
    if lines > FILE_LINES_MAX {
        return vec![format!("{}:1: {lines} lines, at most {FILE_LINES_MAX}", file.path)];
    }
    Vec::new()
}

pub(crate) fn function_length(file: &Source) -> Vec<String> {
    let mut finder = Functions { path: &file.path, findings: Vec::new() };
    finder.visit_file(&file.tree());
    finder.findings
}

/// A room knows its own layer and those below, and nobody goes in through the front door.
pub(crate) fn layering(file: &Source) -> Vec<String> {
    let inside = &file.path[LIBRARY.len()..];
    let room = inside.split(['/', '.']).next().unwrap_or_default();
    if matches!(room, "lib" | "manual") || inside.ends_with("/tests.rs") {
        return Vec::new();
    }
    let Some(own) = layer(room) else {
        return vec![format!("{}:1: the room `{room}` has no layer; give it one in tidy", file.path)];
    };
    let uses = paths(&file.tree(), &module_of(inside));
    let found = uses.into_iter().filter_map(|(line, path)| {
        let known = path.strip_prefix("crate::")?.split("::").next()?.to_owned();
        match layer(&known) {
            Some(other) if other <= own => None,
            Some(_) => Some(format!("{}:{line}: `{room}` must not know `{known}`", file.path)),
            None => Some(format!("{}:{line}: name the room `{path}` is in, not the front door", file.path)),
        }
    });
    found.collect()
}

/// A file that says it is a decision is pure; those that must be decisions say so.
pub(crate) fn decision(file: &Source) -> Vec<String> {
    let inside = &file.path[LIBRARY.len()..];
    if !file.text.starts_with("//! Decision: ") {
        let missed = DECISIONS.contains(&inside);
        let finding = format!("{}:1: is a decision and does not begin with `//! Decision: `", file.path);
        return missed.then_some(finding).into_iter().collect();
    }
    let mut findings = Vec::new();
    if !DECISIONS.contains(&inside) {
        findings.push(format!("{}:1: is a decision that tidy does not know; list it", file.path));
    }
    let tree = file.tree();
    for (line, path) in paths(&tree, &module_of(inside)) {
        let starts = |with: &&str| path == **with || path.starts_with(&format!("{with}::"));
        let ends = path.ends_with("Moment::now");
        let pure = PURE_ALL_THE_SAME.iter().any(starts);
        if (ends || IMPURE.iter().any(starts)) && !pure {
            findings.push(format!("{}:{line}: a decision must not use `{path}`", file.path));
        }
    }
    for (line, word) in words(&file.text) {
        if matches!(&*word, "async" | "await" | "unsafe") {
            findings.push(format!("{}:{line}: a decision must not be `{word}`", file.path));
        }
    }
    findings
}

/// Unsafe code only in the listed files; each has its argument, and the list has no stale line.
pub(crate) fn unsafe_code(file: &Source) -> Vec<String> {
    let first = words(&file.text).into_iter().find(|(_, word)| word == "unsafe");
    match (first, UNSAFE.contains(&&*file.path)) {
        (Some((line, _)), false) => {
            vec![format!("{}:{line}: unsafe code in a file that is not listed in tidy", file.path)]
        }
        (None, true) => vec![format!("{}:1: is listed for unsafe code and has none", file.path)],
        (Some(_), true) if !has_argument(&file.tree()) => {
            vec![format!("{}:1: no `#![expect(unsafe_code, reason = …)]` under the header", file.path)]
        }
        _ => Vec::new(),
    }
}

/// `mod.rs` and `lib.rs` hold modules and re-exports, nothing else.
pub(crate) fn door(file: &Source) -> Vec<String> {
    if !file.path.ends_with("/mod.rs") && !file.path.ends_with("/lib.rs") {
        return Vec::new();
    }
    let tree = file.tree();
    let other = tree.items.iter().filter(|item| match item {
        syn::Item::Mod(module) => module.content.is_some() && !is_unit_tests(item),
        syn::Item::Use(_) => false,
        other => !is_for_doctests(other),
    });
    other.map(|item| format!("{}:{}: a door only re-exports", file.path, item.span().start().line)).collect()
}

/// Folders of the library that have neither a `mod.rs` nor a file of their name beside them.
pub(crate) fn folders_without_door(files: &[Source]) -> Vec<String> {
    let paths: BTreeSet<&str> = files.iter().map(|file| &*file.path).collect();
    let folders: BTreeSet<&str> = paths.iter().filter_map(|path| Some(path.rsplit_once('/')?.0)).collect();
    let doorless = folders.into_iter().filter(|folder| {
        let doors = [format!("{folder}/mod.rs"), format!("{folder}/lib.rs"), format!("{folder}.rs")];
        !doors.iter().any(|door| paths.contains(&**door))
    });
    doorless.map(str::to_owned).collect()
}

pub(crate) fn left_over(file: &Source) -> Vec<String> {
    mentions(file, &MARKERS, "left over")
}

pub(crate) fn machine_path(file: &Source) -> Vec<String> {
    mentions(file, &MACHINE_PATHS, "a path of one machine")
}

fn mentions(file: &Source, words: &[&str], what: &str) -> Vec<String> {
    let lines = file.text.lines().zip(1..);
    let hits = lines.flat_map(|(line, number)| {
        let found = words.iter().filter(move |word| line.contains(**word));
        found.map(move |word| format!("{}:{number}: {what}: `{word}`", file.path))
    });
    hits.collect()
}

fn layer(room: &str) -> Option<usize> {
    LAYERS.iter().position(|rooms| rooms.contains(&room))
}

/// `task/cell.rs` is `crate::task::cell`, `task/mod.rs` is `crate::task`.
fn module_of(inside: &str) -> Vec<String> {
    let stem = inside.strip_suffix(".rs").unwrap_or(inside);
    let stem = stem.strip_suffix("/mod").unwrap_or(stem);
    std::iter::once("crate").chain(stem.split('/')).map(str::to_owned).collect()
}

fn lines_of(item: &syn::Item) -> usize {
    let span = item.span();
    span.end().line + 1 - span.start().line
}

fn is_unit_tests(item: &syn::Item) -> bool {
    matches!(item, syn::Item::Mod(module) if has_cfg(&module.attrs, "test"))
}

fn is_for_doctests(item: &syn::Item) -> bool {
    matches!(item, syn::Item::Struct(item) if has_cfg(&item.attrs, "doctest"))
}

fn has_cfg(attributes: &[syn::Attribute], what: &str) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == what,
        _ => false,
    })
}

fn has_argument(tree: &syn::File) -> bool {
    tree.attrs.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) => {
            let tokens = list.tokens.to_string();
            list.path.is_ident("expect") && tokens.starts_with("unsafe_code") && tokens.contains("reason")
        }
        _ => false,
    })
}

/// Every identifier and keyword of a file, with its line; those in comments and strings are not.
fn words(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    collect_words(text.parse().unwrap(), &mut found);
    found
}

fn collect_words(tokens: TokenStream, found: &mut Vec<(usize, String)>) {
    for token in tokens {
        match token {
            TokenTree::Ident(word) => found.push((word.span().start().line, word.to_string())),
            TokenTree::Group(group) => collect_words(group.stream(), found),
            _ => {}
        }
    }
}

struct Functions<'f> {
    path: &'f str,
    findings: Vec<String>,
}

impl Functions<'_> {
    fn look(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let (first, last) = (signature.span().start().line, block.span().end().line);
        let (lines, name) = (last + 1 - first, &signature.ident);
        if lines > FUNCTION_LINES_MAX {
            let finding =
                format!("{}:{first}: `{name}` has {lines} lines, at most {FUNCTION_LINES_MAX}", self.path);
            self.findings.push(finding);
        }
    }
}

impl<'t> Visit<'t> for Functions<'_> {
    fn visit_item_fn(&mut self, item: &'t syn::ItemFn) {
        self.look(&item.sig, &item.block);
        syn::visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'t syn::ImplItemFn) {
        self.look(&item.sig, &item.block);
        syn::visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'t syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.look(&item.sig, block);
        }
        syn::visit::visit_trait_item_fn(self, item);
    }
}

/// Every path a file names outside of its unit tests, made absolute where it begins with `crate`, `self` or `super`.
fn paths(tree: &syn::File, module: &[String]) -> Vec<(usize, String)> {
    let mut finder = Paths { module, found: Vec::new() };
    finder.visit_file(tree);
    finder.found
}

struct Paths<'m> {
    module: &'m [String],
    found: Vec<(usize, String)>,
}

impl Paths<'_> {
    fn add(&mut self, line: usize, segments: &[String]) {
        let supers = segments.iter().take_while(|segment| *segment == "super").count();
        let path = if supers > 0 || segments.first().is_some_and(|first| first == "self") {
            let kept = self.module.len().saturating_sub(supers);
            let rest = &segments[supers.max(1)..];
            [&self.module[..kept], rest].concat().join("::")
        } else {
            segments.join("::")
        };
        self.found.push((line, path));
    }

    fn add_tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.add_tree(&with(&path.ident), &path.tree),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_tree(before, tree)),
            syn::UseTree::Name(name) if name.ident == "self" => self.add(name.span().start().line, before),
            syn::UseTree::Name(name) => self.add(name.span().start().line, &with(&name.ident)),
            syn::UseTree::Rename(rename) => self.add(rename.span().start().line, &with(&rename.ident)),
            _ => self.add(tree.span().start().line, before),
        }
    }

    /// Paths in a macro's arguments, which the parser leaves as tokens.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let (mut line, mut colons) = (0, 0);
        for token in tokens {
            match token {
                TokenTree::Ident(word) if colons == 2 && !path.is_empty() => {
                    path.push(word.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                other => {
                    if path.len() > 1 {
                        self.add(line, &path);
                    }
                    path.clear();
                    colons = 0;
                    match other {
                        TokenTree::Ident(word) => {
                            line = word.span().start().line;
                            path.push(word.to_string());
                        }
                        TokenTree::Group(group) => self.add_tokens(group.stream()),
                        _ => {}
                    }
                }
            }
        }
        if path.len() > 1 {
            self.add(line, &path);
        }
    }
}

impl<'t> Visit<'t> for Paths<'_> {
    fn visit_item(&mut self, item: &'t syn::Item) {
        if !is_unit_tests(item) {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'t syn::ItemUse) {
        self.add_tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'t syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if segments.len() > 1 {
            self.add(path.span().start().line, &segments);
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'t syn::Macro) {
        self.add_tokens(item.tokens.clone());
        syn::visit::visit_macro(self, item);
    }

    // `pub(in crate::…)` and the paths of attributes reach nobody.
    fn visit_visibility(&mut self, _: &'t syn::Visibility) {}
    fn visit_attribute(&mut self, _: &'t syn::Attribute) {}
}
