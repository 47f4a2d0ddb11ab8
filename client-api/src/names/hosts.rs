//! The file `hosts.txt`: one `name=destination` a line, comments from `#` or `;`, extras from `#!`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::time::SystemTime;

use allium_wire::DestHash;

use super::{base64, rules};

/// The longest file that is read; the network's whole book has a few megabytes.
const LONGEST_FILE: u64 = 64 << 20;
/// The longest line.
const LONGEST_LINE: usize = 8192;
/// The most names that are kept.
const MOST_NAMES: usize = 250_000;
/// A destination's length in base64.
const DESTINATION: std::ops::RangeInclusive<usize> = 516..=616;

/// What tells one version of a file from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
}

/// A file that was read.
pub(super) struct Hosts {
    /// Whom each name stands for.
    pub(super) names: BTreeMap<String, DestHash>,
    /// Lines that say nothing useful.
    pub(super) skipped: usize,
    /// Which version of the file this is.
    pub(super) stamp: Stamp,
}

/// Why a file could not be read, and which version of it.
pub(super) struct LoadError {
    pub(super) source: io::Error,
    pub(super) stamp: Option<Stamp>,
}

/// Reads the file at `path`; `None` where it is the version `known`, or missing and nothing was known.
pub(super) fn load(path: &Path, known: Option<&Stamp>) -> Result<Option<Hosts>, LoadError> {
    let gone = Stamp { modified: None, length: 0 };
    let found = match std::fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let empty = Hosts { names: BTreeMap::new(), skipped: 0, stamp: gone.clone() };
            return Ok((known.is_some_and(|stamp| *stamp != gone)).then_some(empty));
        }
        // Whatever it is, it has been seen: the next look at the same state stays silent.
        Err(source) => {
            return if known == Some(&gone) {
                Ok(None)
            } else {
                Err(LoadError { source, stamp: Some(gone) })
            };
        }
    };
    let stamp = Stamp { modified: found.modified().ok(), length: found.len() };
    if known == Some(&stamp) {
        return Ok(None);
    }
    let failed = |source| LoadError { source, stamp: Some(stamp.clone()) };
    if found.len() > LONGEST_FILE {
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, "longer than 64 MiB")));
    }
    let file = File::open(path).map_err(failed)?;
    let (names, skipped) = parse(BufReader::new(file.take(LONGEST_FILE))).map_err(failed)?;
    Ok(Some(Hosts { names, skipped, stamp }))
}

/// Reads names from lines. Where a name stands twice, the first line counts.
///
/// # Errors
/// What the reader meets; no content is an error.
pub(super) fn parse(mut input: impl BufRead) -> io::Result<(BTreeMap<String, DestHash>, usize)> {
    let mut hosts = BTreeMap::new();
    let mut skipped = 0;
    let mut line = Vec::new();
    while hosts.len() < MOST_NAMES {
        line.clear();
        let more = (&mut input).take(LONGEST_LINE as u64 + 1).read_until(b'\n', &mut line)?;
        if more == 0 {
            break;
        }
        if line.len() > LONGEST_LINE && line.last() != Some(&b'\n') {
            skipped += 1;
            input.skip_until(b'\n')?;
            continue;
        }
        match entry(&line) {
            Entry::Name(name, hash) => {
                hosts.entry(name).or_insert(hash);
            }
            Entry::Nothing => {}
            Entry::Wrong => skipped += 1,
        }
    }
    Ok((hosts, skipped))
}

enum Entry {
    Name(String, DestHash),
    Nothing,
    Wrong,
}

fn entry(line: &[u8]) -> Entry {
    let Ok(line) = std::str::from_utf8(line) else { return Entry::Wrong };
    let line = line.trim_start_matches('\u{feff}').trim();
    if line.is_empty() || line.starts_with(['#', ';']) {
        return Entry::Nothing;
    }
    let Some((name, rest)) = line.split_once('=') else { return Entry::Wrong };
    let encoded = rest.split('#').next().unwrap_or(rest).trim();
    let name = name.trim().to_ascii_lowercase();
    if rules::check(&name).is_err() || !DESTINATION.contains(&encoded.len()) {
        return Entry::Wrong;
    }
    base64(encoded).map_or(Entry::Wrong, |destination| Entry::Name(name, destination.dest_hash()))
}
