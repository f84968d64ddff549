//! Where workers run.

use std::{collections::HashSet, fs, io, thread};

use annulus::{Cores, Workers, blocking, pin_to_core};

use crate::{joined, on_each_driver, stop, support::skip::leave_out, waiting, within_bound};

/// The processors that the calling thread may use, and its name, as the kernel has them.
fn kernel_view() -> (String, String) {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let value = |field: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        line.expect("the kernel has the field").trim().to_owned()
    };
    (value("Cpus_allowed_list:"), value("Name:"))
}

#[test]
fn each_worker_is_pinned_to_its_core_and_named_by_its_number() {
    on_each_driver(|builder| {
        let workers = waiting(builder);
        let cores = Cores::All.list();
        assert_eq!(workers.len(), cores.len());
        for (worker, core) in workers.iter().zip(cores) {
            assert_eq!(worker.core(), core);
            let (allowed, name) = worker.call(kernel_view).join().unwrap();
            assert_eq!(allowed, core.to_string());
            assert_eq!(name, format!("annulus-{}", worker.index()));
        }
        stop(workers);
    });
}

#[test]
fn more_workers_than_cores_share_them_in_turn() {
    on_each_driver(|builder| {
        let workers = waiting(builder.count(8).thread_name("eight"));
        let cores = Cores::All.list();
        let found = workers.broadcast(|worker| (worker.index(), worker.core(), kernel_view()));
        for (index, found) in found.into_iter().enumerate() {
            let core = cores[index % cores.len()];
            let view = (core.to_string(), format!("eight-{index}"));
            assert_eq!(found.join().unwrap(), (index, core, view));
        }
        stop(workers);
    });
}

#[test]
fn a_count_below_the_cores_takes_the_first_ones() {
    let workers = waiting(Workers::builder().cores(Cores::Count(1)));
    assert_eq!(workers.len(), 1);
    assert_eq!(workers.worker(0).unwrap().core(), Cores::All.list()[0]);
    assert!(workers.worker(1).is_none());
    stop(workers);
    let workers = waiting(Workers::builder().count(0));
    assert_eq!(workers.len(), 1);
    stop(workers);
}

#[test]
fn a_list_names_the_cores_and_may_name_one_twice() {
    let last = *Cores::All.list().last().unwrap();
    let list = Cores::List(vec![last, last, last]);
    assert_eq!(list.list(), [last, last, last]);
    let workers = waiting(Workers::builder().cores(list));
    let cores: Vec<usize> = workers.iter().map(|worker| worker.core()).collect();
    assert_eq!(cores, [last, last, last]);
    stop(workers);
    assert_eq!(Cores::List(Vec::new()).list(), [Cores::All.list()[0]]);
}

#[test]
fn a_core_that_may_not_be_used_is_an_error_that_names_it() {
    let list = Cores::List(vec![Cores::All.list()[0], 1_000_000]);
    let start = Workers::builder().cores(list);
    let error = start
        .start(async |_worker| -> io::Result<()> { panic!("no worker runs") })
        .unwrap_err();
    let text = error.to_string();
    assert!(text.contains("may use, found 1000000"), "{text}");
    assert_eq!(error.worker(), None);
    assert!(error.is_start());
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn the_affinity_of_the_starting_thread_binds() {
    let cores = Cores::All.list();
    if cores.len() < 2 {
        return leave_out("there is one core");
    }
    within_bound(move || {
        pin_to_core(cores[1]).unwrap();
        let workers = waiting(Workers::builder());
        assert_eq!(workers.len(), 1);
        assert_eq!(workers.worker(0).unwrap().core(), cores[1]);
        stop(workers);
        let list = Cores::List(vec![cores[0]]);
        let start = Workers::builder().cores(list);
        let started = start.start(async |_worker| io::Result::Ok(()));
        assert!(started.unwrap_err().is_start());
    });
}

#[test]
fn each_worker_has_a_thread_and_a_runtime_of_its_own() {
    on_each_driver(|builder| {
        let workers = builder.count(4).start(async |worker| {
            annulus::spawn(async {}).await?;
            assert_eq!(annulus::Worker::current(), Some(worker));
            io::Result::Ok(thread::current().id())
        });
        let ids = joined(workers.unwrap()).unwrap();
        let ids: HashSet<_> = ids.into_iter().map(Option::unwrap).collect();
        assert_eq!(ids.len(), 4);
        assert!(annulus::Worker::current().is_none());
    });
}

#[test]
fn helper_threads_run_on_all_cores() {
    let own = kernel_view().0;
    let workers = Workers::builder().start(async |_worker| {
        let (cores, name) = blocking::run(kernel_view).await;
        assert_eq!(name, "annulus-blockin", "the kernel shows 15 bytes");
        io::Result::Ok(cores)
    });
    for cores in joined(workers.unwrap()).unwrap() {
        assert_eq!(cores.as_deref(), Some(&*own));
    }
}
