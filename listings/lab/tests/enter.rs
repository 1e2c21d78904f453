//! Entering, and tests that run inside.
#![cfg(target_os = "linux")]

#[test]
fn a_test_runs_inside_and_may_make_namespaces() {
    lab::test(|| {
        lab::enter().expect("inside, there is nothing left to enter");
        assert!(std::env::args().any(|argument| argument == "--exact"));
    });
}

#[test]
#[should_panic(expected = "inside, the answer was 42")]
fn a_panic_inside_fails_the_outer_test_with_the_same_message() {
    lab::test(|| panic!("inside, the answer was {}", 42));
}

#[test]
#[should_panic(expected = "did not run to its end")]
fn a_process_that_dies_inside_fails_the_outer_test() {
    lab::test(|| std::process::exit(0));
}

mod nested {
    #[test]
    fn a_test_in_a_module_is_found_by_its_whole_name() {
        lab::test(|| {});
    }
}
