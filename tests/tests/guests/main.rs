//! What only holds in some guests of `cargo xtask vm`, and what must hold in all of them.

use anyhow::Result;
use serde_json::Value;
use zcwatch_tests::zcwatch::run;

/// Whatever the kernel has, doctor answers each question: by a hook, or that there is none.
#[test]
fn doctor_answers_on_every_kernel() -> Result<()> {
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

#[test]
#[ignore = "holds where the kernel lacks the hooks: run `cargo xtask vm --only refused`"]
fn a_kernel_without_the_hooks_is_refused_by_a_sentence() -> Result<()> {
    let ended = run(["report", "-p", &std::process::id().to_string(), "-d", "1s"])?;
    assert_eq!((ended.code(), ended.stdout.as_str()), (Some(4), ""), "{ended:?}");
    let sentence = ended.stderr.trim();
    println!("{sentence}");
    assert!(sentence.starts_with("zcwatch: ") && sentence.len() > 40, "{ended:?}");
    assert_eq!(sentence.lines().count(), 1, "{ended:?}");
    Ok(())
}
