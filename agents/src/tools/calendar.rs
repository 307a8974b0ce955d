//! The clinic's calendar: which times there are, who has them. Pure; days come from outside.

use serde::{Deserialize, Serialize};

/// The times of a day that can be booked, in order. The demo flow offers these.
pub(super) const TIMES: [&str; 4] = ["09:00", "09:30", "10:30", "11:00"];
pub(super) const HOURS: &str = "We are open Monday to Friday, from eight in the morning to six in the evening.";
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
/// 1970-01-01 was a Thursday.
const EPOCH_WEEKDAY: u64 = 3;

/// All appointments from today on. What is written to `appointments.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Calendar {
    pub appointments: Vec<Appointment>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Appointment {
    /// Four digits that the caller is told.
    pub reference: String,
    /// `Monday` to `Friday`.
    pub day: String,
    /// ISO 8601.
    pub date: String,
    /// `HH:MM`.
    pub time: String,
    /// Idempotency key of the booking.
    pub booked_by: String,
    /// Idempotency key of the cancellation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled_by: Option<String>,
}

/// The calendar works, and the answer is no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum No {
    SlotTaken,
    DayFull,
    NotFound,
    Closed,
    CodesGone,
}

impl No {
    /// What flows name in `on_refused`.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::SlotTaken => "slot_taken",
            Self::DayFull => "day_full",
            Self::NotFound => "not_found",
            Self::Closed => "closed",
            Self::CodesGone => "codes_gone",
        }
    }

    pub(super) fn detail(self) -> &'static str {
        match self {
            Self::SlotTaken => "somebody has this time already",
            Self::DayFull => "no time is free on this day",
            Self::NotFound => "there is no appointment with this code",
            Self::Closed => "the clinic has no appointments then",
            Self::CodesGone => "no code could be found for it",
        }
    }
}

/// A weekday and its next date after today.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Day {
    pub name: &'static str,
    pub date: String,
}

impl Day {
    /// The next such weekday after `today` (days since 1970-01-01), never today: the time might have passed.
    pub(super) fn next(name: &str, today: u64) -> Result<Self, No> {
        let same = |day: &str| day.eq_ignore_ascii_case(name.trim());
        let weekday = WEEKDAYS[..5].iter().position(|day| same(day)).ok_or(No::Closed)?;
        let ahead = (weekday as u64 + 7 - (today + EPOCH_WEEKDAY) % 7) % 7;
        let ahead = if ahead == 0 { 7 } else { ahead };
        Ok(Self { name: WEEKDAYS[weekday], date: iso_date(today + ahead) })
    }
}

/// Days since 1970-01-01 as ISO 8601, in the proleptic Gregorian calendar counted from 0000-03-01 in eras of 400 years.
pub(super) fn iso_date(days: u64) -> String {
    let from_march_0000 = days + 719_468;
    let era = from_march_0000 / 146_097;
    let day_of_era = from_march_0000 % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

impl Calendar {
    /// The free times of a day, the nearest to `wanted` first.
    pub(super) fn free(&self, day: &Day, wanted: Option<&str>) -> Result<Vec<&'static str>, No> {
        let mut free: Vec<&str> = TIMES.into_iter().filter(|time| !self.taken(day, time)).collect();
        if let Some(wanted) = wanted.and_then(minutes) {
            free.sort_by_key(|time| minutes(time).map(|time| time.abs_diff(wanted)));
        }
        if free.is_empty() { Err(No::DayFull) } else { Ok(free) }
    }

    /// Books a time. The same key again gets the same appointment.
    pub(super) fn book(
        &mut self,
        day: &Day,
        time: &str,
        key: &str,
        code: impl FnMut() -> u16,
    ) -> Result<&Appointment, No> {
        if let Some(index) = self.appointments.iter().position(|appointment| appointment.booked_by == key) {
            return Ok(&self.appointments[index]);
        }
        let time = *TIMES.iter().find(|known| minutes(known) == minutes(time)).ok_or(No::Closed)?;
        if self.taken(day, time) {
            return Err(No::SlotTaken);
        }
        let reference = self.unused(code)?;
        self.appointments.push(Appointment {
            reference,
            day: day.name.to_owned(),
            date: day.date.clone(),
            time: time.to_owned(),
            booked_by: key.to_owned(),
            cancelled_by: None,
        });
        self.appointments.last().ok_or(No::NotFound)
    }

    /// Cancels by code. The same key again gets the same answer.
    pub(super) fn cancel(&mut self, reference: &str, key: &str) -> Result<&Appointment, No> {
        let again = |a: &Appointment| a.cancelled_by.as_deref() == Some(key);
        let fits = |a: &Appointment| a.reference == reference && (a.cancelled_by.is_none() || again(a));
        let found = self.appointments.iter_mut().find(|appointment| fits(appointment)).ok_or(No::NotFound)?;
        found.cancelled_by = Some(key.to_owned());
        Ok(found)
    }

    /// Forgets the days before today, so that the file does not grow for ever.
    pub(super) fn forget_before(&mut self, today: u64) {
        let today = iso_date(today);
        self.appointments.retain(|appointment| appointment.date >= today);
    }

    fn taken(&self, day: &Day, time: &str) -> bool {
        let mut running = self.appointments.iter().filter(|appointment| appointment.cancelled_by.is_none());
        running.any(|appointment| appointment.date == day.date && appointment.time == time)
    }

    fn unused(&self, mut code: impl FnMut() -> u16) -> Result<String, No> {
        /// Four digits give 9,000 codes and a week has 20 times: a second draw is rare, a hundredth means a bad source.
        const DRAWS: usize = 100;
        let mut drawn = (0..DRAWS).map(|_| format!("{:04}", 1_000 + code() % 9_000));
        drawn.find(|code| !self.appointments.iter().any(|a| a.reference == *code)).ok_or(No::CodesGone)
    }
}

fn minutes(time: &str) -> Option<u32> {
    let (hour, minute) = time.split_once(':')?;
    Some(hour.parse::<u32>().ok()? * 60 + minute.parse::<u32>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21, a Saturday.
    const TODAY: u64 = 20_778;

    #[test]
    fn days_have_dates() {
        assert_eq!(iso_date(0), "1970-01-01");
        assert_eq!(iso_date(11_016), "2000-02-29");
        assert_eq!(iso_date(TODAY), "2026-11-21");
        let date = |day: &str, today: u64| Day::next(day, today).map(|day| day.date);
        assert_eq!(date("Monday", TODAY).unwrap(), "2026-11-23");
        assert_eq!(date("friday", TODAY).unwrap(), "2026-11-27");
        assert_eq!(date("monday", TODAY + 2).unwrap(), "2026-11-30", "never today");
        assert_eq!(date("sunday", TODAY), Err(No::Closed));
    }

    #[test]
    fn a_taken_time_is_refused_until_it_is_cancelled() {
        let mut calendar = Calendar::default();
        let day = Day::next("tuesday", TODAY).unwrap();
        let mut next = 0;
        let mut code = || {
            next += 1;
            next
        };
        let reference = calendar.book(&day, "9:30", "a", &mut code).unwrap().reference.clone();
        assert_eq!(reference, "1001");
        assert_eq!(calendar.book(&day, "09:30", "a", &mut code).unwrap().reference, reference, "the same wish");
        assert_eq!(calendar.book(&day, "09:30", "b", &mut code), Err(No::SlotTaken));
        assert_eq!(calendar.book(&day, "03:00", "b", &mut code), Err(No::Closed));
        assert_eq!(calendar.free(&day, Some("09:30")).unwrap(), ["09:00", "10:30", "11:00"]);
        assert_eq!(calendar.cancel("9999", "c"), Err(No::NotFound));
        assert_eq!(calendar.cancel(&reference, "c").unwrap().time, "09:30");
        assert!(calendar.cancel(&reference, "c").is_ok(), "the same wish");
        assert_eq!(calendar.cancel(&reference, "d"), Err(No::NotFound));
        assert!(calendar.book(&day, "09:30", "b", &mut code).is_ok());
        for (time, key) in [("09:00", "e"), ("10:30", "f"), ("11:00", "g")] {
            calendar.book(&day, time, key, &mut code).unwrap();
        }
        assert_eq!(calendar.free(&day, None), Err(No::DayFull));
        calendar.forget_before(TODAY + 30);
        assert!(calendar.appointments.is_empty());
    }

    #[test]
    fn codes_do_not_repeat() {
        let mut calendar = Calendar::default();
        let day = Day::next("monday", TODAY).unwrap();
        assert!(calendar.book(&day, "09:00", "a", || 7).is_ok());
        assert_eq!(calendar.book(&day, "09:30", "b", || 7), Err(No::CodesGone));
    }
}
