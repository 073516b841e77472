//! A worker that is this very program once more, whose main forgot to look whether it is one.

#[test]
fn a_program_that_does_not_look_whether_it_is_a_worker_starts_one_and_not_one_in_the_other() {
    let output = e2e::run::command(env!("CARGO_BIN_EXE_forgetful")).output().expect("it starts");
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{errors}");
    assert!(
        said.contains("was itself started as the worker \\\"adder\\\"") && said.contains("is_worker()"),
        "{said}{errors}"
    );
    assert!(!said.contains("a worker of a worker"), "{said}");
}
