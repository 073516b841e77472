//! The files of the workspace, as the rules see them.

use std::{fs, path::Path};

/// One text file.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Relative to the workspace, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// What is looked at by name where there is no extension.
const BY_NAME: [&str; 2] = ["test", "run"];
const EXTENSIONS: [&str; 6] = ["rs", "md", "toml", "yml", "sh", "txt"];

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    pub(crate) fn is_rust(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|extension| extension == "rs")
    }

    pub(crate) fn tree(&self) -> syn::File {
        syn::parse_file(&self.text).unwrap_or_else(|error| panic!("{}: {error}", self.path))
    }
}

/// Every text file that is ours.
pub(crate) fn workspace() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory).unwrap().map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
            let kind = entry.file_type().unwrap();
            if kind.is_dir() && !is_foreign(&name) {
                pending.push(path);
            } else if kind.is_file() && is_text(Path::new(&name)) {
                let place = path.strip_prefix(root).unwrap().to_str().unwrap();
                files.push(Source::new(place, &fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files
}

fn is_foreign(directory: &str) -> bool {
    directory.starts_with("target") || matches!(directory, ".git" | "node_modules")
}

fn is_text(name: &Path) -> bool {
    match name.extension().and_then(|extension| extension.to_str()) {
        Some(extension) => EXTENSIONS.contains(&extension),
        None => BY_NAME.iter().any(|known| name == Path::new(known)),
    }
}
