//! Man pages and shell completions, made from the command line's own description.

use crate::error::{Error, Result, reason};
use crate::options::{Cli, Generate, GenerateCli};
use crate::usage_error;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use std::path::Path;

/// Reads the command line, whose second word is `generate`, and writes what was asked for.
///
/// # Errors
/// What was asked for does not exist, or cannot be written.
pub fn run(args: Vec<String>) -> Result<()> {
    let cli = match GenerateCli::try_parse_from(args.into_iter().skip(1)) {
        Ok(cli) => cli,
        Err(error) if error.kind() == ErrorKind::DisplayHelp => {
            return crate::print(&error.render().to_string());
        }
        Err(error) => return Err(usage_error(&error, Some("generate"))),
    };
    match cli.what {
        Generate::Man { directory } => man(&directory),
        Generate::Completions { shell } => {
            let mut out = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "bulkhead", &mut out);
            crate::print(&String::from_utf8_lossy(&out))
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
        let directory = dir.path().join("man").display().to_string();
        run(["bulkhead", "generate", "man", &directory]
            .map(str::to_owned)
            .to_vec())
        .unwrap();
        let page = std::fs::read_to_string(dir.path().join("man/bulkhead-seamless.1")).unwrap();
        assert!(page.contains("bind\\-tcp"), "{page}");
        assert!(dir.path().join("man/bulkhead.1").exists());
        assert!(!dir.path().join("man/bulkhead-generate.1").exists());
        let page = std::fs::read_to_string(dir.path().join("man/bulkhead.1")).unwrap();
        assert!(!page.contains("generate"), "{page}");
    }
}
