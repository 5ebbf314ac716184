//! What time is taken by: with one thread CPU time, which other work on the machine lengthens little, else the clock.

use std::time::{Duration, Instant};

use cpu_time::ProcessTime;

pub(crate) enum Clock {
    Wall(Instant),
    Processor(ProcessTime),
}

impl Clock {
    pub(crate) fn start() -> Self {
        match rayon::current_num_threads() {
            1 => Self::Processor(ProcessTime::now()),
            _ => Self::Wall(Instant::now()),
        }
    }

    /// Seconds since the start.
    pub(crate) fn seconds(&self) -> f64 {
        let elapsed: Duration = match self {
            Self::Wall(start) => start.elapsed(),
            Self::Processor(start) => start.elapsed(),
        };
        elapsed.as_secs_f64()
    }
}
