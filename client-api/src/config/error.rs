//! What a wrong configuration file is told: file, line, key and what is the matter.

use std::path::Path;

/// Writes an error of `toml` as `FILE:LINE: key `x`: message`.
///
/// `source` is the text that was read. The key is left out where the error is about none (a file that is no TOML).
pub fn load_error(path: &Path, source: &str, error: &toml::de::Error) -> String {
    let message = error.message().trim().replace('\n', ", ");
    let Some(span) = error.span() else {
        return format!("{}: {message}", path.display());
    };
    let start = floor(source, span.start);
    let line = source[..start].matches('\n').count() + 1;
    let key = quoted_after(&message, "unknown field ").or_else(|| quoted_after(&message, "missing field "));
    let key =
        key.map_or_else(|| key_before(source, start), |name| Some(within_section(source, start, &name)));
    match key {
        Some(key) => format!("{}:{line}: key `{key}`: {message}", path.display()),
        None => format!("{}:{line}: {message}", path.display()),
    }
}

/// The nearest character boundary at or below `at`.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The name in backticks that follows `prefix` in a message.
fn quoted_after(message: &str, prefix: &str) -> Option<String> {
    let (_, rest) = message.split_once(prefix)?;
    let name = rest.strip_prefix('`')?.split('`').next()?;
    Some(name.to_owned())
}

/// The name of a `[section]` or `[[section]]` line.
fn section_name(line: &str) -> Option<&str> {
    let line = line.split('#').next()?.trim();
    let name = line.strip_prefix('[')?.strip_suffix(']')?;
    let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name).trim();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    (!name.is_empty() && name.chars().all(plain)).then_some(name)
}

/// The key of a `key = value` line.
fn key_name(line: &str) -> Option<&str> {
    let (key, _) = line.split_once('=')?;
    let key = key.trim();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '"');
    (!key.is_empty() && key.chars().all(plain)).then_some(key)
}

/// The lines up to and including the one at `at`, the last first.
fn lines_before(source: &str, at: usize) -> impl Iterator<Item = &str> {
    let end = source[at..].find('\n').map_or(source.len(), |length| at + length);
    source[..end].lines().rev()
}

/// `name` with the section in which `at` stands before it.
fn within_section(source: &str, at: usize, name: &str) -> String {
    match lines_before(source, at).find_map(section_name) {
        Some(section) => format!("{section}.{name}"),
        None => name.to_owned(),
    }
}

/// The key whose value `at` is in: on this line, or above it for a value of several lines.
fn key_before(source: &str, at: usize) -> Option<String> {
    for line in lines_before(source, at) {
        if let Some(section) = section_name(line) {
            return Some(section.to_owned());
        }
        if let Some(key) = key_name(line) {
            return Some(within_section(source, at, key));
        }
    }
    None
}
