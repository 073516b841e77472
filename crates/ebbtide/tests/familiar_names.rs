//! Familiar names from other pools are found through the documentation's search: each is an alias of something here.

use std::{collections::BTreeSet, fs, path::Path};

/// What people coming from elsewhere type first.
const NAMES: [&str; 32] = [
    "AbortSignal",
    "CancellationToken",
    "ExecutorCompletionService",
    "Future",
    "JoinHandle",
    "JoinSet",
    "Piscina",
    "RejectedExecutionHandler",
    "StructuredTaskScope",
    "TaskDecorator",
    "ThreadPoolExecutor",
    "as_completed",
    "awaitTermination",
    "cancel_futures",
    "close",
    "corePoolSize",
    "destroy",
    "graceful_timeout",
    "idleTimeout",
    "initializer",
    "invokeAll",
    "invokeAny",
    "keepAliveTime",
    "maxQueue",
    "maxThreads",
    "max_requests",
    "maxtasksperchild",
    "shutdownNow",
    "shutdown_timeout",
    "softRestart",
    "spawn_blocking",
    "waitForTasksToCompleteOnShutdown",
];

fn aliases(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in folder.read_dir().expect("readable").map(|entry| entry.expect("readable").path()) {
        if entry.is_dir() {
            aliases(&entry, found);
            continue;
        }
        let text = fs::read_to_string(entry).expect("UTF-8");
        let after = text.split("#[doc(alias = \"").skip(1);
        found.extend(after.filter_map(|rest| rest.split('"').next()).map(str::to_owned));
    }
}

#[test]
fn familiar_names_are_aliases() {
    let mut found = BTreeSet::new();
    aliases(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    let missing: Vec<_> = NAMES.into_iter().filter(|name| !found.contains(*name)).collect();
    assert!(missing.is_empty(), "nothing is found under {missing:?}");
}
