//! What is made out of the definition of the command line: completions and manual pages.

use std::io::{self, Write as _};

use crate::args::{self, Page};
use crate::{exit, messages};

/// Prints the completion script for `shell`.
pub(crate) fn completions(shell: clap_complete::Shell) -> u8 {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::definition(), "ebbtide", &mut script);
    print(&script)
}

/// Prints a manual page as roff.
pub(crate) fn man(page: Page) -> u8 {
    let mut definition = args::definition();
    // Builds the names of the subcommands ("ebbtide run") as help shows them.
    definition.build();
    let chosen = match page {
        Page::Ebbtide => Some(definition),
        Page::Run => definition.find_subcommand("run").cloned().map(|run| run.name("ebbtide-run")),
        Page::Doctor => definition.find_subcommand("doctor").cloned().map(|page| page.name("ebbtide-doctor")),
        Page::Report => definition.find_subcommand("report").cloned().map(|page| page.name("ebbtide-report")),
    };
    let mut roff = Vec::new();
    match chosen.map(|command| clap_mangen::Man::new(command).render(&mut roff)) {
        Some(Ok(())) => print(&roff),
        Some(Err(_)) | None => exit::IO,
    }
}

fn print(text: &[u8]) -> u8 {
    let written: io::Result<()> = io::stdout().lock().write_all(text);
    match written {
        Ok(()) => exit::OK,
        Err(error) => {
            messages::say(format_args!("cannot write to the standard output: {error}"));
            exit::IO
        }
    }
}
