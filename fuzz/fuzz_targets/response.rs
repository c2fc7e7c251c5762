//! Any bytes as a response: no panic, no hanging, no body beyond the limit, no error that cannot be printed.

#![no_main]

mod loopback;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|response: &[u8]| {
    let _ = loopback::scrape(response);
});
