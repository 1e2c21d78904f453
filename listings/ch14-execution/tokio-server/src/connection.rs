//! One connection: a task that reads as if it had a thread for itself.

use std::future::{Future as _, poll_fn};
use std::io;
use std::mem;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use exec_service::{Output, Session, Step, Syscall};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::sleep_until;

use crate::worker::{Desk, Worker};

/// What a task is woken for.
enum Woken {
    /// Something was read, or all was written.
    Moved(io::Result<Step>),
    /// It is the time that the alarm was set to.
    Alarm,
    /// The server is to end.
    End,
}

// ANCHOR: serve
/// Serves one client until its connection ends.
pub async fn serve(mut socket: TcpStream, worker: &Worker) -> io::Result<()> {
    let mut session = Session::new(&worker.desk.borrow().service, Instant::now());
    // Set, and looked at when it rings: most deadlines are moved before they are reached.
    let mut alarm = pin!(sleep_until(session.deadline().into()));
    let mut end = pin!(worker.end.notified());
    let mut ending = false;
    let mut parked = Output::default();
    let mut step = Step::Read;
    loop {
        let woken = match step {
            Step::Read | Step::Write | Step::Wait => {
                poll_fn(|context| {
                    let desk = &mut *worker.desk.borrow_mut();
                    let moved = match step {
                        Step::Read => desk.poll_read(&mut socket, &mut session, context),
                        Step::Write => {
                            desk.poll_write(&mut socket, &mut session, &mut parked, context)
                        }
                        _ => Poll::Pending,
                    };
                    if session.deadline() < alarm.deadline().into() {
                        alarm.as_mut().reset(session.deadline().into());
                    }
                    if let Poll::Ready(step) = moved {
                        Poll::Ready(Woken::Moved(step))
                    } else if alarm.as_mut().poll(context).is_ready() {
                        Poll::Ready(Woken::Alarm)
                    } else if !ending
                        && (worker.ending.get() || end.as_mut().poll(context).is_ready())
                    {
                        Poll::Ready(Woken::End)
                    } else {
                        Poll::Pending
                    }
                })
                .await
            }
            Step::Linger => {
                worker.desk.borrow().service.count(Syscall::Shutdown);
                poll_fn(|context| Pin::new(&mut socket).poll_shutdown(context)).await?;
                let service = &worker.desk.borrow().service;
                Woken::Moved(Ok(session.half_closed(service, Instant::now())))
            }
            Step::Close => return Ok(()),
        };
        step = match woken {
            Woken::Moved(step) => step?,
            Woken::Alarm => {
                let now = Instant::now();
                alarm.as_mut().reset(session.deadline().max(now).into());
                let desk = &mut *worker.desk.borrow_mut();
                let output = if parked.is_empty() {
                    &mut desk.output
                } else {
                    &mut parked
                };
                session.expired(&mut desk.service, now, output)
            }
            Woken::End => {
                ending = true;
                session.drain(&worker.desk.borrow().service, Instant::now());
                step
            }
        };
    }
}
// ANCHOR_END: serve

impl Desk {
    // ANCHOR: read
    /// Reads into the desk's buffer, if there is something to read, and hands it to the session.
    fn poll_read(
        &mut self,
        socket: &mut TcpStream,
        session: &mut Session,
        context: &mut Context,
    ) -> Poll<io::Result<Step>> {
        let mut buffer = ReadBuf::new(&mut self.buffer);
        let read = ready!(Pin::new(socket).poll_read(context, &mut buffer));
        self.service.count(Syscall::Recvfrom);
        read?;
        let now = Instant::now();
        self.service.tick(now);
        Poll::Ready(Ok(match buffer.filled() {
            [] => session.end_of_input(&mut self.service, now, &mut self.output),
            bytes => session.receive(&mut self.service, bytes, now, &mut self.output),
        }))
    }
    // ANCHOR_END: read

    // ANCHOR: write
    /// Writes the output, all of it. What cannot be written yet is parked with the connection, as the
    /// desk's next user needs the desk.
    fn poll_write(
        &mut self,
        socket: &mut TcpStream,
        session: &mut Session,
        parked: &mut Output,
        context: &mut Context,
    ) -> Poll<io::Result<Step>> {
        let mut moved = parked.is_empty();
        if !parked.is_empty() {
            self.output = mem::take(parked);
        }
        while !self.output.is_empty() {
            let socket = Pin::new(&mut *socket);
            let written = match self.output.body() {
                None => socket.poll_write(context, self.output.bytes()),
                Some(_) => socket.poll_write_vectored(context, &self.output.slices()),
            };
            let call = self
                .output
                .body()
                .map_or(Syscall::Sendto, |_| Syscall::Writev);
            match written {
                Poll::Ready(Ok(len)) => {
                    self.service.count(call);
                    self.output.advance(len);
                    moved = true;
                }
                Poll::Ready(Err(error)) => {
                    self.service.count(call);
                    self.output = Output::default();
                    return Poll::Ready(Err(error));
                }
                Poll::Pending => {
                    *parked = *self.output.park();
                    if moved {
                        session.blocked(&self.service, Instant::now());
                    }
                    return Poll::Pending;
                }
            }
        }
        let now = Instant::now();
        Poll::Ready(Ok(session.flushed(
            &mut self.service,
            now,
            &mut self.output,
        )))
    }
    // ANCHOR_END: write
}
