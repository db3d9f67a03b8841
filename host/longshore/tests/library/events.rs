//! What happens to a run is told while it happens.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use futures::StreamExt;
use longshore::{Class, Event, Transfer};

use crate::support::{Lake, settings, with_plugins};

#[tokio::test]
async fn progress_reaches_all_of_it_and_phases_come_in_their_order() {
    let lake = Lake::new();
    let transfer = lake.region().tables(["customer", "nation"]).source("scale", 0.1);
    let run = transfer.start();
    let events: Vec<Event> = run.events().collect().await;
    let report = run.await.unwrap();
    let phases = events.iter().filter_map(|event| match event {
        Event::Phase { run, phase } => Some((run.as_str(), phase.as_str())),
        _ => None,
    });
    let expected = ["planning", "reading", "committing", "succeeded"];
    assert!(phases.eq(expected.map(|phase| (report.run.as_str(), phase))), "{events:?}");
    let last = events.iter().rev().find_map(|event| match event {
        Event::Progress(progress) => Some(progress),
        _ => None,
    });
    let last = last.unwrap();
    assert_eq!((last.fraction, last.rows), (1.0, report.rows));
    let names: Vec<&str> = last.relations.iter().map(|relation| relation.name.as_str()).collect();
    assert_eq!(names, ["customer", "nation"]);
    assert!(last.relations.iter().all(|one| one.chunks_done == one.chunks && one.fraction == 1.0));
}

#[tokio::test]
async fn a_source_that_is_away_ends_the_run_with_an_error_that_says_who_must_act() {
    // A port that nobody listens on.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let lake = Lake::new();
    let transfer = Transfer::copy(&format!("postgres://me@127.0.0.1:{port}/shop"), &lake.url());
    let run = transfer.tables(["orders"]).settings(&settings()).start();
    let events: Vec<Event> = run.events().collect().await;
    let is_failed =
        |event: &Event| matches!(event, Event::Phase { phase, .. } if phase == "failed");
    assert!(events.last().is_some_and(is_failed), "{events:?}");
    let error = run.await.unwrap_err();
    assert_eq!((error.class(), error.class().owner()), (Class::Connection, "the platform"));
    assert!(error.is_worth_a_retry());
}

#[tokio::test]
async fn an_attempt_that_fails_is_told_and_its_chunk_is_read_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://127.0.0.1:{}/rows", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        let mut is_busy = true;
        for request in listener.incoming() {
            is_busy = answer(request.unwrap(), is_busy);
        }
    });
    let settings = with_plugins().retries(1).retry_backoff(Duration::from_millis(1));
    let transfer = Transfer::copy("tpch:", &url).tables(["region"]).target("retries", 0);
    let run = transfer.settings(&settings.build().unwrap()).start();
    let events: Vec<Event> = run.events().collect().await;
    let failed: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::AttemptFailed(attempt) => {
                Some((attempt.relation.as_str(), attempt.chunk, attempt.attempt))
            }
            _ => None,
        })
        .collect();
    assert_eq!(failed, [("region", 0, 0)], "{events:?}");
    let report = run.await.unwrap();
    assert_eq!((report.rows, report.relations[0].retries), (5, 1));
}

/// Reads a request to its end, and answers it. Who is busy takes no rows, once; gives whether it still is.
fn answer(stream: TcpStream, is_busy: bool) -> bool {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap() > 0 && line != "\r\n" {
        let header = line.to_ascii_lowercase();
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    reader.read_exact(&mut vec![0; length]).unwrap();
    let is_refused = is_busy && length > 0;
    let status = if is_refused { "503 Busy" } else { "200 OK" };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    // Whoever only looked whether somebody listens has gone.
    let _ = reader.get_mut().write_all(head.as_bytes());
    is_busy && !is_refused
}
