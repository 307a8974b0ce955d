//! The checks end by themselves, whatever hangs.

use std::process::Command;

use tandem_tidy::root;

#[test]
fn what_hangs_is_ended_and_says_its_limit() {
    let within = |limit: &str, command: &str| {
        let output = Command::new(root().join(".ci/within")).args([limit, "bash", "-c", command]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    // `output` waits until the pipe is closed: by the grandchild too.
    let (status, said) = within("0.2s", "sleep 600 & sleep 600");
    assert_eq!(status, Some(124), "{said}");
    assert!(said.contains("limit of 0.2s"), "{said}");
    assert_eq!(within("60s", "exit 3"), (Some(3), String::new()));
}
