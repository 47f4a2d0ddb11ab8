use super::*;

fn error(text: &str) -> String {
    parse(Path::new("allium.toml"), text).unwrap_err().to_string()
}

#[test]
fn the_printed_default_is_the_default() {
    let (router, client) = parse(Path::new("default.toml"), DEFAULT).unwrap();
    let (plain_router, plain_client) = parse(Path::new("empty.toml"), "").unwrap();
    assert_eq!(format!("{router:?}"), format!("{plain_router:?}"));
    assert_eq!(format!("{client:?}"), format!("{plain_client:?}"));
    // With every example uncommented it must still be read.
    let examples: String = DEFAULT
        .lines()
        .map(|line| line.strip_prefix("#: ").unwrap_or(line))
        .flat_map(|line| [line, "\n"])
        .collect();
    parse(Path::new("examples.toml"), &examples).unwrap();
}

#[test]
fn mistakes_name_file_line_and_key() {
    let unknown = error("[network]\nid = 77\nflodfill = true\n");
    assert!(unknown.starts_with("allium.toml:3:") && unknown.contains("flodfill"), "{unknown}");
    let wrong = error("[tunnels]\n\nexploratory_length = 9\n");
    assert!(wrong.starts_with("allium.toml:3:") && wrong.contains("exploratory_length"), "{wrong}");
    let section = error("[ntpc2]\n");
    assert!(section.starts_with("allium.toml:1:") && section.contains("ntpc2"), "{section}");
    let address = error("[ntcp2]\nbind = \"localhost\"\n");
    assert!(address.contains(":2:") && address.contains("bind"), "{address}");
}

#[test]
fn what_a_test_network_writes_is_read() {
    let text = r#"
[network]
id = 77
allow_local = true
floodfill = true
[reseed]
urls = []
[ntcp2]
enabled = true
bind = "127.10.0.1:20000"
publish = "127.10.0.1:20000"
[ssu2]
enabled = false
bind = "127.10.0.1:20001"
publish = "127.10.0.1:20001"
[http_proxy]
listen = "127.0.0.1:20002"
[socks]
listen = "127.0.0.1:20003"
[sam]
listen = "127.0.0.1:20004"
udp_listen = "127.0.0.1:20004"
[console]
listen = "127.0.0.1:20005"
[[service]]
name = "web"
target = "127.0.0.1:8099"
keys = "web.dat"
inbound_length = 3
outbound_length = 3
[content]
enabled = true
quota = "2 GiB"
bootstrap = ["dtf6ysfjpms4jusi2cv6cty4rc7cvrgrndtyh7ltrxqxnuvnv22q.b32.i2p"]
gateway = "127.0.0.1:20006"
fcp = "127.0.0.1:20007"
"#;
    let (router, client) = parse(Path::new("allium.toml"), text).unwrap();
    assert_eq!((router.network.id, router.network.floodfill), (77, true));
    assert_eq!(client.services.len(), 1);
}

/// A row of docs/config.md: section, key, default and example.
struct Row {
    section: String,
    key: String,
    default: Option<String>,
    required: bool,
    example: String,
}

/// What stands in backticks, all of it.
fn code(cell: &str) -> Option<String> {
    Some(cell.strip_prefix('`')?.strip_suffix('`')?.to_owned())
}

/// The tables of docs/config.md that are below a `[section]`.
fn documented() -> Vec<Row> {
    let mut section = None;
    let mut rows = Vec::new();
    for line in include_str!("../../docs/config.md").lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = code(title);
        }
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let (Some(section), &[key, _, default, example, _]) = (&section, cells.as_slice()) else { continue };
        let Some(key) = code(key) else { continue };
        let known = ["none", "required"].contains(&default) || code(default).is_some();
        assert!(known, "{section} {key}: the default is {default:?}");
        rows.push(Row {
            section: section.clone(),
            key,
            default: code(default),
            required: default == "required",
            example: code(example).expect("an example in backticks"),
        });
    }
    rows
}

/// The names that the program would have taken in the place of an unknown one.
fn accepted(text: &str) -> Vec<String> {
    let said = error(text);
    let (_, names) = said.split_once(", expected").expect("it says what it expected");
    names.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_key_is_in_the_document_and_nothing_else() {
    let mut keys = Vec::new();
    for section in accepted("[nothing]\n") {
        let many = ["service", "tunnel"].contains(&section.as_str());
        let heading = if many { format!("[[{section}]]") } else { format!("[{section}]") };
        let names = accepted(&format!("{heading}\nnothing = 1\n"));
        keys.extend(names.into_iter().map(|key| (heading.clone(), key)));
    }
    let rows: Vec<_> = documented().into_iter().map(|row| (row.section, row.key)).collect();
    assert_eq!(rows, keys, "docs/config.md (left) and the code (right) differ in keys or their order");
}

#[test]
fn documented_defaults_and_examples_are_true() {
    let rows = documented();
    let mut sections: Vec<&str> = rows.iter().map(|row| row.section.as_str()).collect();
    sections.dedup();
    for section in sections {
        let of = |value: &dyn Fn(&Row) -> Option<String>| {
            let lines = rows.iter().filter(|row| row.section == section);
            let lines = lines.filter_map(|row| Some(format!("{} = {}\n", row.key, value(row)?)));
            format!("{section}\n{}", lines.collect::<String>())
        };
        let least = of(&|row| row.required.then(|| row.example.clone()));
        let spelled = of(&|row| if row.required { Some(row.example.clone()) } else { row.default.clone() });
        let read = |text: &str| format!("{:?}", parse(Path::new("config.md"), text).unwrap());
        assert_eq!(read(&least), read(&spelled), "a default of {section} is another one");
        read(&of(&|row| Some(row.example.clone())));
    }
}
