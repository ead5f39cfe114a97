//! The line in front of the model: bounded, first come first served, and left at any time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::mpsc;

use crate::chat::Chat;
use crate::refusal::Refusal;

/// What happens to a call, in this order: one of the first three, then text, then the end.
#[derive(Debug)]
pub(crate) enum Event {
    /// The request cannot be answered as it is.
    Refused(Refusal),
    /// The model could not be loaded.
    NotReady { advice: String },
    /// The prompt fits: an answer follows.
    Started { fingerprint: Arc<str> },
    /// More of the answer.
    Text(String),
    /// The answer is whole.
    Finished(Finish),
}

/// How an answer ended, and what it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Finish {
    pub(crate) is_cut_by_length: bool,
    pub(crate) prompt_tokens: usize,
    pub(crate) completion_tokens: usize,
}

/// A call that waits for the model.
#[derive(Debug)]
pub(crate) struct Job {
    id: u64,
    pub(crate) chat: Chat,
    pub(crate) events: mpsc::Sender<Event>,
}

/// Why [`Queue::wait`] returned.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    Job,
    Timeout,
    Closed,
}

/// The jobs that wait, and how many more there is room for.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    tickets_max: usize,
}

#[derive(Debug)]
struct State {
    waiting: VecDeque<Job>,
    /// Of the jobs that wait, of the one under way, and of answers that are not read to their end.
    tickets: usize,
    next_id: u64,
    is_closed: bool,
    /// How long a job takes: an average that forgets.
    job_duration: Duration,
}

/// A place in the queue, given up when dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    queue: Arc<Queue>,
    id: u64,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.queue.state.lock();
        state.tickets -= 1;
        let left = state.waiting.iter().position(|job| job.id == self.id);
        if let Some(index) = left {
            state.waiting.remove(index);
        }
    }
}

impl Queue {
    /// Returns a queue for one job under way and this many that wait.
    pub(crate) fn new(waiting_max: usize) -> Self {
        Self {
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                tickets: 0,
                next_id: 0,
                is_closed: false,
                job_duration: Duration::from_secs(3),
            }),
            changed: Condvar::new(),
            tickets_max: waiting_max.saturating_add(1),
        }
    }

    /// Puts a job in line, or says when it is worth trying again.
    pub(crate) fn push(
        self: &Arc<Self>,
        chat: Chat,
        events: mpsc::Sender<Event>,
    ) -> Result<Ticket, Duration> {
        let mut state = self.state.lock();
        if state.tickets >= self.tickets_max {
            let ahead = u32::try_from(state.waiting.len()).unwrap_or(u32::MAX);
            let wait = state.job_duration.saturating_mul(ahead.saturating_add(1));
            return Err(wait.clamp(Duration::from_secs(1), Duration::from_secs(60)));
        }
        let id = state.next_id;
        state.next_id += 1;
        state.tickets += 1;
        state.waiting.push_back(Job { id, chat, events });
        self.changed.notify_one();
        drop(state);
        Ok(Ticket {
            queue: Arc::clone(self),
            id,
        })
    }

    /// Waits until there is a job, until the time is over, or until the queue is closed.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> Woken {
        let mut state = self.state.lock();
        loop {
            if state.is_closed {
                return Woken::Closed;
            }
            if !state.waiting.is_empty() {
                return Woken::Job;
            }
            match timeout {
                None => self.changed.wait(&mut state),
                Some(timeout) => {
                    if self.changed.wait_for(&mut state, timeout).timed_out() {
                        return Woken::Timeout;
                    }
                }
            }
        }
    }

    /// Takes the first job.
    pub(crate) fn pop(&self) -> Option<Job> {
        self.state.lock().waiting.pop_front()
    }

    /// Says how long a job took, for those that are told when to come back.
    pub(crate) fn took(&self, duration: Duration) {
        let mut state = self.state.lock();
        state.job_duration = (state.job_duration * 3 + duration) / 4;
    }

    /// Drops the jobs that wait, and lets [`Queue::wait`] return.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        state.waiting.clear();
        self.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LocalConfig;

    fn queue(waiting_max: usize) -> Arc<Queue> {
        Arc::new(Queue::new(waiting_max))
    }

    /// Puts a job in line whose message is this name.
    fn push(queue: &Arc<Queue>, name: &str) -> Result<Ticket, Duration> {
        let body = format!(r#"{{"messages": [{{"role": "user", "content": "{name}"}}]}}"#);
        let config = LocalConfig::new("", "");
        let chat = Chat::parse(body.as_bytes(), false, &config).unwrap();
        queue.push(chat, mpsc::channel(1).0)
    }

    fn pop(queue: &Queue) -> Option<String> {
        queue
            .pop()
            .map(|mut job| job.chat.messages.remove(0).content)
    }

    #[test]
    fn who_comes_first_is_served_first() {
        let queue = queue(2);
        let _tickets = [push(&queue, "a").unwrap(), push(&queue, "b").unwrap()];
        assert_eq!(queue.wait(None), Woken::Job);
        assert_eq!(pop(&queue).as_deref(), Some("a"));
        assert_eq!(pop(&queue).as_deref(), Some("b"));
        assert_eq!(pop(&queue), None);
    }

    #[test]
    fn who_leaves_gives_up_the_place() {
        let queue = queue(1);
        let (first, second) = (push(&queue, "a").unwrap(), push(&queue, "b").unwrap());
        assert!(push(&queue, "c").is_err());
        drop(first);
        let _third = push(&queue, "c").unwrap();
        assert_eq!(pop(&queue).as_deref(), Some("b"));
        drop(second);
        assert_eq!(pop(&queue).as_deref(), Some("c"));
    }

    #[test]
    fn one_more_than_may_wait_is_told_when_to_come_back() {
        let queue = queue(0);
        let running = push(&queue, "a").unwrap();
        assert!(queue.pop().is_some());
        let retry_after = push(&queue, "b").unwrap_err();
        assert!((1..=60).contains(&retry_after.as_secs()), "{retry_after:?}");
        drop(running);
        let _running = push(&queue, "b").unwrap();
        for _ in 0..50 {
            queue.took(Duration::from_secs(40));
        }
        let later = push(&queue, "c").unwrap_err();
        assert!((30..=60).contains(&later.as_secs()), "{later:?}");
    }

    #[test]
    fn a_closed_queue_lets_nobody_wait() {
        let queue = queue(1);
        let _ticket = push(&queue, "a").unwrap();
        queue.close();
        assert_eq!(queue.wait(None), Woken::Closed);
        assert_eq!(pop(&queue), None);
        assert_eq!(self::queue(1).wait(Some(Duration::ZERO)), Woken::Timeout);
    }
}
