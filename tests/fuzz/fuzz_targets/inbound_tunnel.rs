#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| allium_fuzz::inbound_tunnel(data));
