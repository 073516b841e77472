//! The kernel's own view of a pool's threads: their names in `/proc/self/task`.

/// How many threads of this process have a name that begins with `prefix`. The kernel keeps 15 bytes of a name, so keep pools'
/// names short.
pub(crate) fn threads_named(prefix: &str) -> usize {
    let entries = std::fs::read_dir("/proc/self/task").expect("procfs is mounted");
    let names = entries.filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with(prefix)).count()
}
