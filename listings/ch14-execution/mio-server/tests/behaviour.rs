//! The mio server does what every server of this chapter does, for ten thousand clients at a time.
#![cfg(target_os = "linux")]

use exec_behaviour::Kind;

/// User-space memory that an idle connection may cost, in bytes: as on epoll.
const IDLE_CONNECTION: usize = 1024;

exec_behaviour::suite! {
    Kind::Together { idle_connection: Some(IDLE_CONNECTION) };

    #[test]
    fn a_connection_serves_many_requests;

    #[test]
    fn a_connection_closes_when_the_client_or_its_version_says_so;

    #[test]
    fn a_thousand_pipelined_requests_are_answered_in_order;

    #[test]
    fn requests_may_be_split_at_every_byte;

    #[test]
    fn a_client_that_says_no_more_still_gets_its_answers;

    #[test]
    fn every_route_answers;

    #[test]
    fn a_body_comes_back_whatever_its_framing;

    #[test]
    fn a_client_that_asks_first_is_told_to_continue;

    #[test]
    fn malformed_and_smuggling_requests_are_refused_and_others_go_on;

    #[test]
    fn a_client_that_reads_one_byte_a_second_harms_nobody;

    #[test]
    fn a_client_that_never_reads_cannot_make_the_server_hoard;

    #[test]
    fn a_slow_loris_is_cut_off;

    #[test]
    fn silence_is_ended;

    #[test]
    fn ten_thousand_clients_are_served;

    #[test]
    fn running_out_of_descriptors_is_survived_and_loses_nobody;

    #[test]
    fn clients_that_vanish_leave_nothing_behind;

    #[test]
    fn a_graceful_shutdown_loses_no_request;

    #[test]
    fn a_shutdown_without_work_takes_a_moment;

    #[test]
    fn wrong_arguments_are_answered_with_the_usage;
}
