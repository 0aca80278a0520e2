//! How long a right callback waits for its page under each attack. Ends with 1 where one took more than 100 ms.
//!
//! `cargo bench --bench callback_under_attack`. The listener runs as in the program, on a thread of its own; the tests
//! of `tests/callback_attack.rs` hold what it answers.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench is a report")]

#[path = "../tests/support/attacks.rs"]
mod attacks;
#[path = "../tests/support/door.rs"]
mod door;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use attacks::{Attack, Siege, attacks};

const BOUND: Duration = Duration::from_millis(100);
const ROUNDS: usize = 5;

fn main() -> ExitCode {
    let mut slowest = Duration::ZERO;
    println!("{:<28}{:>12}{:>12}", "attack", "median", "slowest");
    let names: Vec<_> = attacks().into_iter().map(|(name, _)| name).collect();
    for (number, name) in names.into_iter().enumerate() {
        let mut times: Vec<_> = (0..ROUNDS).map(|_| time_under(attacks().swap_remove(number).1)).collect();
        times.sort_unstable();
        let last = times[ROUNDS - 1];
        println!("{name:<28}{:>9.1} ms{:>9.1} ms", milliseconds(times[ROUNDS / 2]), milliseconds(last));
        slowest = slowest.max(last);
    }
    if slowest > BOUND { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// From connecting to the last byte of the page.
#[allow(clippy::disallowed_methods, reason = "it measures time")]
fn time_under(attack: Attack) -> Duration {
    let (port_told, port) = mpsc::channel();
    let (done, until_done) = tokio::sync::oneshot::channel::<()>();
    let listener = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut door, port) = door::door();
            port_told.send(port).unwrap();
            door::callback(&mut door).await.reply.send(&door::CONFIRMED).await;
            // The attack goes on until the page has been read.
            until_done.await.unwrap();
        });
    });
    let port = port.recv().unwrap();
    let siege = Siege::lay(attack, port);
    siege.until_begun();
    let start = Instant::now();
    let mut browser = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    browser.write_all(door::filled(&door::right(), port).as_bytes()).unwrap();
    let mut page = String::new();
    browser.read_to_string(&mut page).unwrap();
    let time = start.elapsed();
    assert!(page.contains("ada@example.com"), "{page}");
    siege.end();
    done.send(()).unwrap();
    listener.join().unwrap();
    time
}
