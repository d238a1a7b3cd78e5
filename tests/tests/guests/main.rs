//! What holds on every kernel, those that zcwatch refuses included: for the guests of
//! `cargo xtask vm`.

use anyhow::Result;
use serde_json::Value;
use zcwatch_tests::zcwatch::run;

/// Whatever the kernel has, doctor answers each question: by a hook, or that there is none.
#[test]
fn doctor() -> Result<()> {
    let ended = run(["doctor", "--format", "json"])?;
    let doctor: Value = serde_json::from_str(&ended.stdout)?;
    assert_eq!(doctor["schema"], "zcwatch.doctor/1", "{doctor:#}");
    let questions = doctor["questions"].as_array().map_or(&[][..], Vec::as_slice);
    assert!(questions.len() >= 11, "{doctor:#}");
    for answer in questions {
        assert!(answer["asks"].is_string(), "{answer:#}");
        assert!(answer["hook"].is_string() || answer["hook"].is_null(), "{answer:#}");
    }
    let usable = doctor["usable"].as_bool();
    assert_eq!(ended.code(), Some(if usable == Some(true) { 0 } else { 4 }), "{ended:?}");
    assert_eq!(usable, Some(doctor["error"].is_null()), "{doctor:#}");
    println!("usable: {usable:?}, {}", doctor["error"]);
    Ok(())
}
