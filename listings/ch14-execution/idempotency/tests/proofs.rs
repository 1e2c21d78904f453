//! What the page says of idempotency, seen in the listing's run, and the suite on SQLite.
#![cfg(unix)]

mod suite;

use std::sync::LazyLock;
use std::time::Duration;

use exec_idempotency::store::{self, Row};
use record::What;
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use suite::Database;
use testkit::{Program, Run, listing};

/// One run for all proofs. It starts a hundred processes.
static RUN: LazyLock<Run> = LazyLock::new(|| {
    listing!()
        // Who comes while the first is still at it, and who after, is a matter of chance.
        .varying(
            r"\d+ the same 201 replayed, \d+ 409",
            "N the same 201 replayed, N 409",
        )
        .deadline(Duration::from_secs(60))
        .run()
        .succeeds()
});

#[track_caller]
fn prints(text: &str) {
    assert!(
        RUN.stdout.contains(text),
        "{text:?} is not in {}",
        RUN.stdout
    );
}

#[test]
fn a_run_prints_what_the_page_shows() {
    RUN.matches_output();
    RUN.matches_record();
}

#[test]
fn a_request_that_is_repeated_is_told_the_same_and_charged_once() {
    let key = "8e03978e-40d5-43e8-bc93-6894a57f9324";
    let request = format!("  shop-1 {key} visa-1 4200  201 paid");
    prints(&format!("{request}\n{request}, replayed\n"));
    prints(&format!("  shop-2 {key} visa-1 4200  201 paid\n"));
    // Of six requests, for shop-1 and for shop-2.
    prints("the bank has charged 2 times");
}

#[test]
fn a_known_key_with_another_payment_is_refused() {
    prints("visa-1 9900  422 this key was used for another payment\n");
}

#[test]
fn a_hundred_processes_are_told_the_same() {
    prints("  1 is told 201, ");
    prints("  asked once more, all are told the same: 1 body\n");
    prints("  the bank was asked 1 time and has charged 1 time\n");
}

#[test]
fn killed_at_any_step_and_repeated_there_is_one_charge_but_in_one_transaction_there_are_two() {
    let table = RUN.table("killed");
    let column =
        |index: usize| -> Vec<&str> { table.rows.iter().map(|row| row[index].as_str()).collect() };
    assert_eq!(column(3), ["1"; 7]);
    assert_eq!(column(4), ["1", "1", "-", "2", "2", "2", "1"]);
    // At once either nothing has happened, or all has, or somebody may still be at it.
    let at_once = [
        "`201`",
        "`201`",
        "`409`",
        "`409`",
        "`409`",
        "`409`",
        "`201 replayed`",
    ];
    assert_eq!(column(1), at_once);
}

#[test]
fn after_a_crash_the_bank_is_asked_with_the_same_reference_and_the_client_answered() {
    let sequence = RUN.sequence("crash");
    let labels: Vec<&str> = sequence
        .events
        .iter()
        .map(|event| match &event.what {
            What::Message { label, .. } | What::State { label, .. } => label.as_str(),
        })
        .collect();
    assert_eq!(
        labels,
        [
            "payment with key",
            "key, reference",
            "charge reference",
            "charged",
            "killed",
            "started again",
            "payment with key",
            "reference",
            "charge reference",
            "charged",
            "payment, answer",
            "`201`",
        ]
    );
    assert!(sequence.events.is_sorted_by_key(|event| event.at_us));
}

#[test]
fn a_day_later_the_key_means_another_payment() {
    prints("a minute before a day 201 paid, replayed\n");
    prints("after a day           201 paid\n  the bank has charged 2 times\n");
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    let wrong: [&[&str]; 8] = [
        &["fast"],
        &["bank"],
        &["bank", "ledger.db", "nowhere"],
        &["bank", "ledger.db", "--later", "3"],
        &["worker", "payments.db"],
        &["worker", "payments.db", "127.0.0.1:7000", "more"],
        &["worker", "payments.db", "127.0.0.1:7000", "--later", "soon"],
        &["worker", "payments.db", "127.0.0.1:7000", "--fast"],
    ];
    for arguments in wrong {
        let run = listing!().args(arguments).run();
        assert_eq!(run.status.code(), Some(2), "{arguments:?}");
        assert!(
            run.stderr.contains("usage: exec-idempotency"),
            "{arguments:?}"
        );
    }
}

#[test]
fn a_worker_without_a_database_says_why() {
    let database = "/nowhere/payments.db";
    let worker = listing!()
        .args(["worker", database, "127.0.0.1:7000"])
        .run();
    assert_eq!(worker.status.code(), Some(1));
    assert!(
        worker.stderr.contains("SQLite: unable to open"),
        "{}",
        worker.stderr
    );
}

/// A bank as a reader starts it, and a worker who gets its request from a pipe.
#[test]
fn a_reader_can_pay_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let bank = listing!()
        .arg("bank")
        .arg(folder.path().join("ledger.db"))
        .serve();
    let worker: Program = listing!()
        .arg("worker")
        .arg(folder.path().join("payments.db"))
        .arg(bank.address().to_string())
        .input("shop-1 8e03978e visa-1 4200\nshop-1 8e03978e visa-1 4200\nforget\nrecover\n");
    let run = worker.run().succeeds();
    let lines: Vec<&str> = run.stdout.lines().collect();
    let [ready, first, second, forgot, recovered] = lines[..] else {
        panic!("{lines:?}");
    };
    assert_eq!(
        (ready, forgot, recovered),
        ("ready", "forgot 0", "recovered 0")
    );
    assert_eq!(first.replace("fresh", "replayed"), second);
}

fn row(key: &str) -> Row {
    Row {
        client: "client".to_owned(),
        key: key.to_owned(),
        payment: "visa-1 4200".to_owned(),
        reference: format!("reference of {key}"),
        leased_until_s: 0,
        expires_s: 0,
        answer: None,
    }
}

#[test]
fn sqlite_begin_immediate_lets_one_writer_in_at_a_time() {
    let database = Database::sqlite();
    let mut first = store::open(&database.name).unwrap();
    let mut one = first.begin().unwrap();
    assert!(one.insert(&row("key")).unwrap());
    // One who does not wait is turned away before it reads anything,
    let impatient = Connection::open(&database.name).unwrap();
    impatient.busy_timeout(Duration::ZERO).unwrap();
    let error = impatient.execute_batch("BEGIN IMMEDIATE").unwrap_err();
    assert_eq!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy));
    // and one who does finds what the first has left.
    let name = database.name.clone();
    let second = std::thread::spawn(move || {
        let mut store = store::open(&name).unwrap();
        let mut two = store.begin().unwrap();
        two.insert(&row("key")).unwrap()
    });
    one.commit().unwrap();
    assert!(!second.join().unwrap());
}

#[test]
fn sqlite_refuses_a_write_after_a_read_if_another_wrote_in_between() {
    let database = Database::sqlite();
    let mut store = store::open(&database.name).unwrap();
    let mut reader = Connection::open(&database.name).unwrap();
    reader.busy_timeout(store::PATIENCE).unwrap();
    let reading = reader
        .transaction_with_behavior(TransactionBehavior::Deferred)
        .unwrap();
    let count = "SELECT count(*) FROM request";
    let before: i64 = reading.query_row(count, [], |row| row.get(0)).unwrap();
    assert_eq!(before, 0);
    let mut other = store.begin().unwrap();
    assert!(other.insert(&row("key")).unwrap());
    other.commit().unwrap();
    // However patient it is: what it has read is no longer so.
    let error = reading.execute("DELETE FROM request", []).unwrap_err();
    let extended = error.sqlite_error().unwrap().extended_code;
    assert_eq!(extended, rusqlite::ffi::SQLITE_BUSY_SNAPSHOT);
}

/// No server limits how many connections SQLite has.
const ANY: usize = usize::MAX;

#[test]
fn a_hundred_processes_at_once_get_one_charge_and_one_answer() {
    suite::a_hundred_processes_at_once_get_one_charge_and_one_answer(Database::sqlite(), ANY);
}

#[test]
fn a_hundred_threads_at_once_get_one_charge_and_one_answer() {
    suite::a_hundred_threads_at_once_get_one_charge_and_one_answer(Database::sqlite(), ANY);
}

#[test]
fn a_worker_killed_at_any_step_charges_once() {
    suite::a_worker_killed_at_any_step_charges_once(Database::sqlite);
}

#[test]
fn a_worker_killed_while_it_goes_on_for_a_dead_one_charges_once() {
    suite::a_worker_killed_while_it_goes_on_for_a_dead_one_charges_once(Database::sqlite);
}

#[test]
fn what_no_client_asks_for_again_is_completed() {
    suite::what_no_client_asks_for_again_is_completed(Database::sqlite);
}

#[test]
fn a_slow_worker_that_counts_as_dead_does_no_harm() {
    suite::a_slow_worker_that_counts_as_dead_does_no_harm(Database::sqlite);
}

#[test]
fn a_slow_worker_does_not_answer_for_a_later_payment_of_the_same_key() {
    suite::a_slow_worker_does_not_answer_for_a_later_payment_of_the_same_key(Database::sqlite());
}

#[test]
fn of_a_hundred_that_find_a_dead_worker_one_goes_on() {
    suite::of_a_hundred_that_find_a_dead_worker_one_goes_on(Database::sqlite(), ANY);
}

#[test]
fn a_bank_killed_at_any_step_charges_once() {
    suite::a_bank_killed_at_any_step_charges_once(Database::sqlite);
}

#[test]
fn without_a_bank_nothing_is_stored_and_the_next_attempt_pays() {
    suite::without_a_bank_nothing_is_stored_and_the_next_attempt_pays(Database::sqlite());
}

#[test]
fn another_payment_under_a_known_key_is_refused_whatever_became_of_the_first() {
    suite::another_payment_under_a_known_key_is_refused_whatever_became_of_the_first(
        Database::sqlite,
    );
}

#[test]
fn keys_of_two_clients_have_nothing_to_do_with_each_other() {
    suite::keys_of_two_clients_have_nothing_to_do_with_each_other(Database::sqlite());
}

#[test]
fn a_declined_payment_is_an_answer_and_is_kept() {
    suite::a_declined_payment_is_an_answer_and_is_kept(Database::sqlite());
}

#[test]
fn an_answer_is_kept_for_a_day_and_an_unanswered_request_for_ever() {
    suite::an_answer_is_kept_for_a_day_and_an_unanswered_request_for_ever(Database::sqlite());
}

#[test]
fn in_one_transaction_a_crash_behind_the_charge_charges_twice() {
    suite::in_one_transaction_a_crash_behind_the_charge_charges_twice(Database::sqlite);
}

#[test]
fn what_is_no_request_is_refused_and_changes_nothing() {
    suite::what_is_no_request_is_refused_and_changes_nothing(Database::sqlite());
}

#[test]
fn forgetting_goes_in_batches_and_skips_what_is_unanswered() {
    suite::forgetting_goes_in_batches_and_skips_what_is_unanswered(Database::sqlite());
}

#[test]
fn a_hundred_may_open_a_new_database_at_once() {
    suite::a_hundred_may_open_a_new_database_at_once(Database::sqlite, ANY);
}
