//! A path: never a panic, and what is accepted holds nothing that an origin could read in another way.
#![no_main]

use edge402::http::path::CanonicalPath;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|path: &str| {
    let Ok(canonical) = CanonicalPath::new(path) else { return };
    assert_eq!(canonical.as_str(), path);
    let lower = path.to_ascii_lowercase();
    for ambiguous in ["//", "\\", "%2f", "%5c", "%2e", "%00", "%252", "/../", "/./"] {
        assert!(!lower.contains(ambiguous), "{path:?} holds {ambiguous}");
    }
    assert!(canonical.segments().iter().all(|segment| !segment.is_empty() && segment != "." && segment != ".."));
});
