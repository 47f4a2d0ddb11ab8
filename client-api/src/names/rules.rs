//! What a host name may be.
//! <https://geti2p.net/en/docs/naming#naming-rules>

/// Names that routers keep for themselves, and everything below them.
const RESERVED: [&str; 5] = ["proxy.i2p", "router.i2p", "console.i2p", "mail.i2p", "b32.i2p"];

/// Checks a host name in lower case.
///
/// # Errors
/// The rule that it breaks.
pub(super) fn check(name: &str) -> Result<(), &'static str> {
    let Some(stem) = name.strip_suffix(".i2p") else { return Err("it does not end in .i2p") };
    if stem.is_empty() {
        return Err("nothing stands before .i2p");
    }
    if name.len() > 67 {
        return Err("it is longer than 67 characters");
    }
    if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-') {
        return Err("only letters, digits, '.' and '-' are allowed");
    }
    if name.starts_with(['.', '-']) || stem.ends_with(['.', '-']) {
        return Err("it starts or ends with '.' or '-'");
    }
    if name.contains("..") || name.contains(".-") || name.contains("-.") {
        return Err("'..', '.-' and '-.' are not allowed");
    }
    if name.split('.').any(|label| label.strip_prefix("xn--").unwrap_or(label).contains("--")) {
        return Err("'--' is allowed in 'xn--' alone");
    }
    if RESERVED.iter().any(|kept| name == *kept || name.strip_suffix(kept).is_some_and(|s| s.ends_with('.')))
    {
        return Err("the name is reserved for routers' own use");
    }
    Ok(())
}
