#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| allium_fuzz::i2np_message(data));
