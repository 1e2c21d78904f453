//! A counter without a lock, as one writes it first. The test sees that it is not compiled.

use std::thread;

fn main() {
    // ANCHOR: refused
    let mut count = 0;
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| count += 1);
        }
    });
    // ANCHOR_END: refused
    println!("{count}");
}
