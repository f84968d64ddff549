//! Environment variables that make no sense.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
};

use annulus::{DriverKind, Runtime};

use crate::child::{child, descriptors, everything_works};

fn is_refused(name: &str, variable: &str, value: &str, expected: &'static str) {
    let other = if variable == "ANNULUS_DRIVER" {
        "ANNULUS_KERNEL"
    } else {
        "ANNULUS_DRIVER"
    };
    let by_kernel = variable == "ANNULUS_KERNEL";
    child(name, &[(variable, value), (other, "")], || {
        let before = descriptors();
        let error = Runtime::builder().build().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains(expected), "{error}");
        let panic = catch_unwind(AssertUnwindSafe(|| annulus::run(async {}))).unwrap_err();
        let text = panic.downcast_ref::<String>().unwrap();
        assert!(text.starts_with("annulus cannot start: "), "{text}");
        assert!(text.contains(expected), "{text}");
        // A kernel that makes no sense is never passed over in silence; a driver is, where the
        // program has chosen one.
        let poll = Runtime::builder().driver(DriverKind::Poll).build();
        assert_eq!(poll.is_err(), by_kernel);
        drop(poll);
        assert_eq!(descriptors(), before);
    });
}

#[test]
fn a_driver_that_does_not_exist_is_refused() {
    let name = "environment::a_driver_that_does_not_exist_is_refused";
    let expected = "expected ANNULUS_DRIVER to be ring or poll, found \"epoll\"";
    is_refused(name, "ANNULUS_DRIVER", "epoll", expected);
}

#[test]
fn a_driver_in_capitals_is_refused() {
    let name = "environment::a_driver_in_capitals_is_refused";
    let expected = "expected ANNULUS_DRIVER to be ring or poll, found \"RING\"";
    is_refused(name, "ANNULUS_DRIVER", "RING", expected);
}

#[test]
fn a_kernel_that_is_too_old_is_refused() {
    let name = "environment::a_kernel_that_is_too_old_is_refused";
    let expected = "expected ANNULUS_KERNEL to be at least 5.6";
    is_refused(name, "ANNULUS_KERNEL", "5.5", expected);
}

#[test]
fn a_kernel_without_a_minor_number_is_refused() {
    let name = "environment::a_kernel_without_a_minor_number_is_refused";
    let expected = "a kernel version such as 5.10, found \"6\"";
    is_refused(name, "ANNULUS_KERNEL", "6", expected);
}

#[test]
fn a_kernel_that_is_no_number_is_refused() {
    let name = "environment::a_kernel_that_is_no_number_is_refused";
    let expected = "a kernel version such as 5.10, found \"new\"";
    is_refused(name, "ANNULUS_KERNEL", "new", expected);
}

#[test]
fn empty_variables_mean_nothing() {
    let name = "environment::empty_variables_mean_nothing";
    let variables = [("ANNULUS_DRIVER", ""), ("ANNULUS_KERNEL", "")];
    child(name, &variables, || annulus::run(everything_works()));
}

#[test]
fn each_driver_can_be_chosen() {
    let name = "environment::each_driver_can_be_chosen";
    let variables = [("ANNULUS_DRIVER", "poll"), ("ANNULUS_KERNEL", "5.10")];
    child(name, &variables, || {
        let runtime = Runtime::builder().build().unwrap();
        assert_eq!(runtime.driver_kind(), DriverKind::Poll);
        runtime.block_on(everything_works());
        // The program's word counts for more than the environment's.
        if let Ok(ring) = Runtime::builder().driver(DriverKind::Ring).build() {
            assert_eq!(ring.driver_kind(), DriverKind::Ring);
            ring.block_on(everything_works());
        }
    });
}
