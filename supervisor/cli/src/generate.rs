//! Man pages and shell completions, made from the command line's own description.

use crate::error::{Error, Result, reason};
use crate::options::{Cli, Generate};
use clap::CommandFactory;
use std::path::Path;

/// Writes what was asked for.
///
/// # Errors
/// It cannot be written.
pub fn run(what: &Generate) -> Result<()> {
    match what {
        Generate::Man { directory } => man(directory),
        Generate::Completions { shell } => {
            clap_complete::generate(
                *shell,
                &mut Cli::command(),
                "bulkhead",
                &mut std::io::stdout(),
            );
            Ok(())
        }
    }
}

fn man(directory: &Path) -> Result<()> {
    let fail =
        |error: std::io::Error| Error::new(format!("{}: {}", directory.display(), reason(&error)));
    std::fs::create_dir_all(directory).map_err(fail)?;
    clap_mangen::generate_to(Cli::command(), directory).map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn man_pages_are_written() {
        let dir = tempfile::tempdir().unwrap();
        run(&Generate::Man {
            directory: dir.path().join("man"),
        })
        .unwrap();
        let page = std::fs::read_to_string(dir.path().join("man/bulkhead-seamless.1")).unwrap();
        assert!(page.contains("bind\\-tcp"), "{page}");
        assert!(dir.path().join("man/bulkhead.1").exists());
        assert!(!dir.path().join("man/bulkhead-generate.1").exists());
    }
}
