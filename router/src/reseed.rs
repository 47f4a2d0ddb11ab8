//! The first routers: signed bundles over HTTPS or from a file, or a folder of RouterInfos.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use allium_netdb::reseed::{self, Signer};
use allium_wire::{Date, RouterInfo};
use tracing::{info, warn};

use crate::core::Input;
use crate::shared::Shared;
use crate::store::{read_limited, read_router_infos};

/// With fewer routers known than this, more are fetched.
const FEW: usize = 25;
/// With so many valid routers, no further server is asked.
const ENOUGH: usize = 75;
/// The most bytes of a bundle.
const BUNDLE: u64 = 1 << 20;
const TIMEOUT: Duration = Duration::from_secs(40);
/// Waits between rounds that brought nothing.
const AGAIN: [u64; 5] = [30, 60, 120, 300, 600];

/// Brings routers until enough are known, or nothing was asked for.
pub(crate) async fn run(shared: Arc<Shared>, mut known: usize) {
    let config = shared.config.reseed.clone();
    let urls = config.urls.clone().unwrap_or_else(|| {
        let public = shared.config.network.id == 2;
        reseed::SERVERS.iter().filter(|_| public).map(|url| (*url).to_owned()).collect()
    });
    if known >= FEW || (urls.is_empty() && config.file.is_none()) {
        return;
    }
    for round in 0.. {
        let (routers, complaints) = gather(&shared, &urls).await;
        for complaint in complaints {
            warn!("reseed: {complaint}");
        }
        if !routers.is_empty() {
            known += routers.len();
            info!("reseeded: {} routers", routers.len());
            let _ = shared.core.send(Input::Learned(routers)).await;
        }
        if known >= FEW || urls.is_empty() {
            return;
        }
        let wait = AGAIN.get(round).or(AGAIN.last()).copied().unwrap_or(600);
        warn!("reseed: only {known} routers are known so far; trying again in {wait} s");
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_secs(wait)) => {}
        }
    }
}

/// Valid routers from all sources, and what went wrong at the others.
async fn gather(shared: &Arc<Shared>, urls: &[String]) -> (Vec<RouterInfo>, Vec<String>) {
    let config = shared.config.reseed.clone();
    let net_id = shared.config.network.id;
    let date = shared.clock.now().date;
    let mut urls = urls.to_vec();
    shared.fork_rng().shuffle(&mut urls);
    let task = move || {
        let mut complaints = Vec::new();
        let mut routers = Vec::new();
        let mut signers = reseed::signers();
        for path in &config.signers {
            match signer(path) {
                Ok(signer) => signers.push(signer),
                Err(why) => complaints.push(why),
            }
        }
        if let Some(file) = &config.file {
            match from_file(file, &signers, net_id, date) {
                Ok(found) => routers.extend(found),
                Err(why) => complaints.push(why),
            }
        }
        for url in &urls {
            if routers.len() >= ENOUGH {
                break;
            }
            let bundle = fetch(url, net_id, config.authority.as_deref());
            match bundle.and_then(|bundle| open(url, &bundle, &signers, net_id, date)) {
                Ok(found) => routers.extend(found),
                Err(why) => complaints.push(why),
            }
        }
        (routers, complaints)
    };
    tokio::task::spawn_blocking(task).await.unwrap_or_default()
}

/// Checks a bundle; a bundle counts by the valid routers in it, and without any it is an error.
fn open(
    from: &str,
    bundle: &[u8],
    signers: &[Signer],
    net_id: u8,
    date: Date,
) -> Result<Vec<RouterInfo>, String> {
    let bundle = reseed::open(bundle, signers, net_id, date).map_err(|error| format!("{from}: {error}"))?;
    if bundle.routers.is_empty() {
        let (invalid, foreign, stale) = (bundle.invalid, bundle.foreign, bundle.stale);
        return Err(format!(
            "{from}: no valid router in the bundle ({invalid} malformed, {foreign} of another network, {stale} too old)"
        ));
    }
    Ok(bundle.routers)
}

fn from_file(path: &Path, signers: &[Signer], net_id: u8, date: Date) -> Result<Vec<RouterInfo>, String> {
    if path.is_dir() {
        let files = read_router_infos(path, 4096);
        let infos = files.iter().filter_map(|(_, data)| reseed::read_router_info_file(data));
        let infos: Vec<RouterInfo> = infos.filter(|info| info.net_id() == Some(net_id)).collect();
        if infos.is_empty() {
            return Err(format!(
                "{}: no valid routerInfo-….dat of this network in the folder",
                path.display()
            ));
        }
        return Ok(infos);
    }
    let data = read_limited(path, BUNDLE).map_err(|error| error.to_string())?;
    let data = data.ok_or_else(|| format!("{} is not there", path.display()))?;
    open(&path.display().to_string(), &data, signers, net_id, date)
}

fn fetch(url: &str, net_id: u8, authority: Option<&Path>) -> Result<Vec<u8>, String> {
    use ureq::tls::{Certificate, RootCerts, TlsConfig};
    let failed = |why: String| format!("{url}: {why}");
    if !url.starts_with("https://") {
        return Err(failed("only https:// is fetched from".to_owned()));
    }
    let mut tls = TlsConfig::builder();
    if let Some(path) = authority {
        let pem = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let certificate =
            Certificate::from_pem(&pem).map_err(|error| format!("{}: {error}", path.display()))?;
        tls = tls.root_certs(RootCerts::Specific(Arc::new(vec![certificate])));
    }
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .user_agent("Wget/1.11.4")
        .tls_config(tls.build())
        .build()
        .into();
    let url = format!("{}/{}", url.trim_end_matches('/'), reseed::request(net_id));
    let mut response = agent.get(&url).call().map_err(|error| failed(error.to_string()))?;
    response.body_mut().with_config().limit(BUNDLE).read_to_vec().map_err(|error| failed(error.to_string()))
}

/// A further signer: the RSA key of a certificate (or public key) in PEM. The file's name is the signer's, with
/// `_at_` for `@`.
fn signer(path: &Path) -> Result<Signer, String> {
    let failed = |why: &str| format!("{}: {why}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| failed(&error.to_string()))?;
    let id = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().replacen("_at_", "@", 1);
    let (modulus, exponent) = rsa_key(&text).ok_or_else(|| failed("no RSA key in it"))?;
    Signer::new(id, &modulus, exponent).ok_or_else(|| failed("its RSA key is no good for bundles"))
}

/// The modulus and exponent of the RSA key in a PEM certificate or public key.
fn rsa_key(pem: &str) -> Option<(Vec<u8>, u32)> {
    /// The algorithm's identifier (rsaEncryption, no parameters), which stands before the key in both.
    const RSA: &[u8] = &[0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1, 5, 0];
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).map(str::trim).collect();
    let der = allium_wire::text::base64_decode(&base64.replace('+', "-").replace('/', "~")).ok()?;
    let at = der.windows(RSA.len()).position(|window| window == RSA)? + RSA.len();
    let (bits, _) = der_value(der.get(at..)?, 3)?;
    let (sequence, _) = der_value(bits.get(1..)?, 0x30)?;
    let (modulus, rest) = der_value(sequence, 2)?;
    let (exponent, _) = der_value(rest, 2)?;
    let number =
        exponent.iter().try_fold(0u32, |n, byte| n.checked_mul(256)?.checked_add(u32::from(*byte)))?;
    let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
    Some((modulus.get(zeros..)?.to_vec(), number))
}

/// The content of a DER value with this tag, and what follows it.
fn der_value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.split_first()?;
    let (length, rest) = rest.split_first()?;
    if *first != tag {
        return None;
    }
    let (length, rest) = if *length < 0x80 {
        (usize::from(*length), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
        (bytes.iter().try_fold(0usize, |n, byte| n.checked_mul(256)?.checked_add(usize::from(*byte)))?, rest)
    };
    rest.split_at_checked(length)
}
