//! Jitter: how much later than its scheduled time a run starts, so that not all start at once.

use chrono::{DateTime, TimeDelta, Utc};

use super::Schedule;

impl Schedule {
    /// When a run of this standing job starts that is scheduled for a time. It is the same whenever it is
    /// computed.
    pub fn start_of(&self, job: &str, scheduled: DateTime<Utc>) -> DateTime<Utc> {
        scheduled + delay(job, scheduled, self.jitter)
    }
}

/// A part of the jitter, in milliseconds, that the job's name and the scheduled time decide.
fn delay(job: &str, scheduled: DateTime<Utc>, jitter: TimeDelta) -> TimeDelta {
    let Some(millis) = u64::try_from(jitter.num_milliseconds()).ok().filter(|millis| *millis > 0)
    else {
        return TimeDelta::zero();
    };
    let mut hash = blake3::Hasher::new();
    hash.update(&scheduled.timestamp().to_le_bytes()).update(job.as_bytes());
    let mut bytes = [0; 8];
    hash.finalize_xof().fill(&mut bytes);
    let millis = u64::from_le_bytes(bytes) % millis;
    TimeDelta::milliseconds(i64::try_from(millis).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_always_the_same_and_differs_between_jobs_and_times() {
        let (hour, jitter) = (TimeDelta::hours(1), TimeDelta::minutes(10));
        let first: DateTime<Utc> = "2026-11-29T02:00:00Z".parse().unwrap();
        // What a version of the program computes, the next one does as well.
        assert_eq!(delay("shop", first, jitter).num_milliseconds(), 116986);
        let delays: Vec<TimeDelta> =
            (0..500).map(|n| delay("shop", first + hour * n, jitter)).collect();
        assert!(delays.iter().all(|delay| *delay >= TimeDelta::zero() && *delay < jitter));
        let mean = delays.iter().sum::<TimeDelta>() / 500;
        assert!((mean - jitter / 2).abs() < TimeDelta::minutes(1), "{mean}");
        assert_ne!(delay("shop", first, jitter), delay("shop2", first, jitter));
        assert_eq!(delay("shop", first, TimeDelta::zero()), TimeDelta::zero());
    }
}
