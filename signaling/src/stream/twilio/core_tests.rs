use std::time::Duration;

use proptest::prelude::*;
use tandem_contract::record::Outcome;
use tandem_contract::{BotName, ConfigVersion, NodeId, SessionId};

use super::super::peer::{Network, Peer};
use super::*;
use crate::stream::message::{Mode, Started};

const START: &str = r#"{"event":"start","start":{"streamSid":"MZ1","callSid":"CA1","customParameters":{"token":"t"}}}"#;

fn ms(at: u64) -> Time {
    Time::from_millis(at)
}

struct World {
    core: TwilioCore,
    now: Time,
    told: Vec<LegEvent>,
    sent: Vec<String>,
    closed: Option<Closing>,
    caller: usize,
}

impl World {
    fn new() -> Self {
        let core = TwilioCore::new(Time::ZERO);
        Self { core, now: Time::ZERO, told: Vec::new(), sent: Vec::new(), closed: None, caller: 0 }
    }

    fn running() -> Self {
        let mut world = Self::new();
        world.text(r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#);
        world.text(START);
        let bot = BotName::new("demo").unwrap();
        let (session, version) = (SessionId::new(NodeId(0)), ConfigVersion(1));
        world.input(StreamInput::Accepted {
            started: Started { session, bot, version, mode: Mode::Voice, rate: RATE },
            resumed: None,
        });
        assert_eq!(std::mem::take(&mut world.told), [LegEvent::Answered]);
        world
    }

    fn text(&mut self, frame: &str) {
        self.input(StreamInput::Text { frame: frame.to_owned() });
    }

    fn input(&mut self, input: StreamInput) {
        let mut out = Vec::new();
        self.core.handle(self.now, input, &mut out);
        self.drain(out);
    }

    fn timeout(&mut self) {
        let mut out = Vec::new();
        self.core.handle_timeout(self.now, &mut out);
        self.drain(out);
    }

    fn drain(&mut self, out: Vec<Effect>) {
        for effect in out {
            match effect {
                StreamEffect::Leg { event } => self.told.push(event),
                StreamEffect::Caller { samples } => self.caller += samples.len(),
                StreamEffect::Start { .. } | StreamEffect::Park { .. } => {}
            }
        }
        while let Some(item) = self.core.poll_send(self.now) {
            match item {
                TwilioOut::Text { text } => self.sent.push(text),
                TwilioOut::Ping => {}
                TwilioOut::Close { closing } => self.closed = Some(closing),
            }
        }
    }

    fn audio(&mut self, utterance: u32, frame: u32) {
        let samples = (0..160).map(|at| tone(utterance, frame * 160 + at)).collect();
        self.input(StreamInput::Audio { audio: AgentAudio { utterance, offset: frame * 160, samples } });
    }

    fn clear(&mut self, utterance: u32) {
        let utterance = UtteranceId(utterance);
        self.input(StreamInput::Leg { command: LegCommand::Clear { utterance } });
    }

    fn played(&self, utterance: u32) -> Option<u64> {
        let of = |event: &LegEvent| match event {
            LegEvent::Played { utterance: heard, offset } if heard.0 == utterance => Some(*offset),
            _ => None,
        };
        self.told.iter().rev().find_map(of)
    }
}

/// A sample that says where it is from, as far as mu-law can tell: never silence.
fn tone(utterance: u32, at: u32) -> i16 {
    [876, 1884, 3900, 7932, 15996][((at / 160 + utterance) % 5) as usize]
}

#[test]
fn a_stream_begins_speaks_and_ends() {
    let mut world = World::running();
    world.text(r#"{"event":"media","media":{"payload":"//8A"}}"#);
    assert_eq!(world.caller, 3);
    world.text(r#"{"event":"dtmf","dtmf":{"track":"inbound_track","digit":"5"}}"#);
    assert_eq!(world.told, [LegEvent::Dtmf { digit: '5' }]);
    world.audio(1, 0);
    assert!(world.sent[0].starts_with(r#"{"event":"media","streamSid":"MZ1""#), "{:?}", world.sent);
    assert_eq!(world.sent[1], r#"{"event":"mark","streamSid":"MZ1","mark":{"name":"0.1.160"}}"#);
    world.text(r#"{"event":"stop","stop":{"callSid":"CA1"}}"#);
    assert_eq!(world.told.last(), Some(&LegEvent::Ended { reason: LegEnd::CallerHungUp }));
    let outcome = Outcome::Ended(LegEnd::CallerHungUp);
    world.input(StreamInput::Event { event: SessionEvent::Ended { outcome } });
    assert_eq!(world.closed, Some(Closing::Done));
    assert!(world.core.is_over());
}

#[test]
fn a_hang_up_of_ours_closes_when_the_record_is_written() {
    let mut world = World::running();
    world.input(StreamInput::Leg { command: LegCommand::HangUp });
    assert_eq!(world.told, [LegEvent::Ended { reason: LegEnd::AgentHungUp }]);
    assert_eq!(world.closed, None);
    world.input(StreamInput::SessionGone);
    assert_eq!(world.closed, Some(Closing::Done));
}

#[test]
fn what_breaks_the_protocol_ends_the_stream_and_says_why() {
    for (frame, wanted) in [
        ("{", "not JSON"),
        (r#"{"event":"media","media":{"payload":"//8A"}}"#, "before start"),
        (r#"{"event":"start","start":{"streamSid":"a b"}}"#, "streamSid"),
    ] {
        let mut world = World::new();
        world.text(frame);
        let Some(Closing::Problem { error }) = &world.closed else { panic!("{frame}: {:?}", world.closed) };
        assert!(error.to_string().contains(wanted), "{error}");
        assert_eq!(world.told, [], "no session to tell");
    }
    let mut world = World::running();
    world.text(START);
    assert_eq!(world.closed, Some(Closing::Problem { error: StreamError::StartTwice }));
    assert_eq!(world.told, [LegEvent::Ended { reason: LegEnd::WireLost }]);
}

#[test]
fn silence_of_the_wire_is_noticed() {
    let mut world = World::new();
    world.now = ms(5_000);
    world.timeout();
    assert!(matches!(&world.closed, Some(Closing::Problem { error: StreamError::StartTimeout { .. } })));
    let mut world = World::running();
    world.now = ms(29_999);
    world.timeout();
    assert_eq!(world.closed, None);
    world.now = ms(30_000);
    world.timeout();
    assert!(matches!(&world.closed, Some(Closing::Problem { error: StreamError::Idle { .. } })));
    assert_eq!(world.told, [LegEvent::Ended { reason: LegEnd::WireLost }]);
}

#[test]
fn a_flood_of_audio_is_cut() {
    let mut world = World::running();
    let second = message::media("MZ1", &[0; 8000]);
    for _ in 0..10 {
        world.text(&second);
    }
    assert_eq!((world.caller, world.core.samples_flooded()), (16_000, 64_000));
}

#[test]
fn marks_that_a_clear_throws_back_are_not_heard() {
    let mut world = World::running();
    for frame in 0..25 {
        world.now = ms(u64::from(frame) * 20);
        world.audio(1, frame);
    }
    world.text(r#"{"event":"mark","mark":{"name":"0.1.160"}}"#);
    world.now = ms(500);
    world.text(r#"{"event":"mark","mark":{"name":"0.1.2080"}}"#);
    assert_eq!(world.played(1), Some(2_080));
    world.now = ms(540);
    world.clear(1);
    // 40 ms since the mark: 320 samples more.
    assert_eq!(world.played(1), Some(2_400));
    assert_eq!(world.sent.last().unwrap(), r#"{"event":"clear","streamSid":"MZ1"}"#);
    world.text(r#"{"event":"mark","mark":{"name":"0.1.2720"}}"#);
    world.text(r#"{"event":"mark","mark":{"name":"7.1.4000"}}"#);
    world.text(r#"{"event":"mark","mark":{"name":"somebody else's"}}"#);
    assert_eq!(world.played(1), Some(2_400), "thrown back, not heard");
    assert!(world.told.contains(&LegEvent::Withheld { utterance: UtteranceId(1), offset: 2_400 }));
}

/// A call whose network has a round trip of 100 ms, 540 ms into utterance 1, of which 2,080 samples were played at 500 ms.
fn interrupted_behind_a_network() -> World {
    let mut world = World::running();
    world.now = ms(100);
    world.input(StreamInput::Pong);
    for frame in 0..25 {
        world.now = ms(u64::from(frame) * 20);
        world.audio(1, frame);
    }
    world.now = ms(500);
    world.text(r#"{"event":"mark","mark":{"name":"0.1.2080"}}"#);
    world.now = ms(540);
    world.clear(1);
    assert_eq!(
        (world.played(1), world.core.timeout()),
        (Some(2_080), Some(ms(640))),
        "it is waited for what comes back"
    );
    world
}

#[test]
fn marks_that_were_on_their_way_at_a_clear_count_and_later_ones_do_not() {
    let mut world = interrupted_behind_a_network();
    world.now = ms(639);
    world.text(r#"{"event":"mark","mark":{"name":"0.1.2720"}}"#);
    world.now = ms(640);
    world.text(r#"{"event":"mark","mark":{"name":"0.1.3360"}}"#);
    world.timeout();
    // It was played at 400 ms by our clock; 140 ms went by until the clear.
    assert_eq!(world.played(1), Some(2_080 + 140 * 8));
}

#[test]
fn a_network_that_stands_still_is_not_heard() {
    let mut world = interrupted_behind_a_network();
    world.now = ms(640);
    world.timeout();
    assert_eq!(world.played(1), Some(2_080), "nothing beyond the last mark");
    assert!(world.told.contains(&LegEvent::Withheld { utterance: UtteranceId(1), offset: 2_080 }));
}

/// A round trip of 100 ms, and a short utterance 1 that ran dry: nine frames, all behind a mark, from 100 ms on.
fn short_words_behind_a_network() -> World {
    let mut world = World::running();
    world.now = ms(100);
    world.input(StreamInput::Pong);
    for frame in 0..9 {
        world.now = ms(100 + u64::from(frame) * 20);
        world.audio(1, frame);
    }
    world
}

#[test]
fn a_clear_of_which_all_marks_come_back_still_says_what_was_heard() {
    let mut world = short_words_behind_a_network();
    world.now = ms(350);
    world.clear(1);
    assert_eq!((world.played(1), world.core.timeout()), (None, Some(ms(450))));
    world.now = ms(400);
    world.text(r#"{"event":"mark","mark":{"name":"0.1.1440"}}"#);
    world.now = ms(450);
    world.timeout();
    assert_eq!(world.played(1), Some(1_440));
    assert!(!world.told.iter().any(|event| matches!(event, LegEvent::Withheld { .. })), "nothing is left to say");
}

#[test]
fn who_hangs_up_behind_a_network_that_stands_still_has_not_heard_what_it_held_up() {
    let ends = [
        StreamInput::Text { frame: r#"{"event":"stop","stop":{"callSid":"CA1"}}"#.to_owned() },
        StreamInput::Gone { closed: false },
        StreamInput::Text { frame: "{".to_owned() },
        StreamInput::Leg { command: LegCommand::HangUp },
    ];
    for end in ends {
        for stands_still in [true, false] {
            let mut world = short_words_behind_a_network();
            world.now = ms(250);
            world.text(r#"{"event":"mark","mark":{"name":"0.1.160"}}"#);
            // The next mark is due at 320 ms of our clock and jitter.
            world.now = ms(if stands_still { 600 } else { 290 });
            world.input(end.clone());
            let told = LegEvent::Played { utterance: UtteranceId(1), offset: 160 };
            assert_eq!(world.told.iter().filter(|event| **event == told).count(), 1 + usize::from(stands_still));
            assert!(matches!(world.told.last(), Some(LegEvent::Ended { .. })), "{end:?}: {:?}", world.told);
        }
    }
}

#[test]
fn a_ping_of_the_far_end_is_no_answer_to_ours() {
    let mut world = World::running();
    world.input(StreamInput::Heartbeat);
    world.now = ms(100);
    world.input(StreamInput::Pong);
    world.audio(1, 0);
    world.now = ms(150);
    world.clear(1);
    assert_eq!(world.core.timeout(), Some(ms(250)), "the way there and back takes 100 ms");
}

#[test]
fn a_far_end_that_sends_no_marks_is_taken_at_our_word() {
    let mut world = World::running();
    for frame in 0..(10 * 50 + 1) {
        world.now = ms(u64::from(frame) * 20);
        world.audio(1, frame);
    }
    world.now += Duration::from_millis(10);
    world.clear(1);
    assert_eq!(world.played(1), Some(10 * 8_000 + 80));
}

#[test]
fn a_socket_that_takes_nothing_loses_audio_and_the_ledger_knows() {
    let mut world = World::running();
    let mut out = Vec::new();
    for frame in 0..30 {
        let samples = Arc::from([0i16; 160].as_slice());
        let audio = AgentAudio { utterance: 1, offset: frame * 160, samples };
        world.core.handle(ms(1), StreamInput::Audio { audio }, &mut out);
    }
    let hole = StreamEffect::Leg { event: LegEvent::Lost { utterance: UtteranceId(1), offset: 25 * 160 } };
    assert_eq!((out.first(), world.core.frames_dropped()), (Some(&hole), 5));
}

/// Speaks utterance 1 as the worker does (two frames of lead), clears at `cut`, and resumes after `gap` or never. `pongs`:
/// the far end answers pings.
fn interrupted(mut peer: Peer, cut: u64, resume_after: Option<u64>, pongs: Option<u64>) -> (World, Peer) {
    const FRAMES: u32 = 60;
    let mut world = World::running();
    let (mut next, mut silent_until) = (0, None);
    for at in 0..4_000 {
        world.now = ms(at);
        world.timeout();
        if pongs == Some(at) {
            world.input(StreamInput::Pong);
        }
        for text in peer.run(world.now) {
            world.text(&text);
        }
        if at == cut {
            world.clear(1);
            silent_until = Some(resume_after.map_or(u64::MAX, |gap| cut + gap));
        }
        let silent = silent_until.is_some_and(|until| at < until);
        if at % 20 == 7 && !silent {
            let lead = if next == 0 { 3 } else { 1 };
            for frame in (next..FRAMES).take(lead) {
                world.audio(1, frame);
                next = frame + 1;
            }
        }
        for text in world.sent.drain(..) {
            peer.take(ms(at), text);
        }
    }
    (world, peer)
}

/// Utterance 1, which is cut at `begun` where 2 begins; the clear of 1 comes `late`. Gives what was heard, and how much of
/// it is of 1, when the clear came to the far end and at last. Of 1 all samples are negative, of 2 none.
fn cleared_late(delay: u64, begun: u64, late: u64) -> (Vec<i16>, usize, usize) {
    let mut world = World::running();
    let mut peer = Peer::new(Duration::from_millis(delay));
    let mut next = [0, 0];
    let of_first = |peer: &Peer| peer.heard().iter().filter(|sample| **sample < 0).count();
    let mut when_cleared = 0;
    for at in 0..4_000 {
        world.now = ms(at);
        world.timeout();
        for text in peer.run(world.now) {
            world.text(&text);
        }
        if at == delay * 2 {
            world.input(StreamInput::Pong);
        }
        if at == begun + late {
            world.clear(1);
        }
        if at == begun + late + delay + 1 {
            when_cleared = of_first(&peer);
        }
        if at % 20 == 7 {
            let utterance = usize::from(at >= begun);
            let lead = if next == [0, 0] { 3 } else { 1 };
            for frame in (next[utterance]..60).take(lead) {
                next[utterance] = frame + 1;
                let sign = if utterance == 0 { -1 } else { 1 };
                let samples = (0..160).map(|n| sign * tone(2, frame * 160 + n)).collect();
                let audio = AgentAudio { utterance: utterance as u32 + 1, offset: frame * 160, samples };
                world.input(StreamInput::Audio { audio });
            }
        }
        for text in world.sent.drain(..) {
            peer.take(ms(at), text);
        }
    }
    peer.run(ms(6_000));
    (peer.heard(), when_cleared, of_first(&peer))
}

proptest! {
    /// Whatever the socket held up: nothing that was interrupted is said again, and the answer is said whole.
    #[test]
    fn a_late_clear_silences_nothing_newer(delay in 0u64..60, begun in 200u64..900, late in 0u64..500) {
        let (heard, when_cleared, at_last) = cleared_late(delay, begun, late);
        prop_assert_eq!(when_cleared, at_last, "of what was interrupted");
        let whole: Vec<i16> = (0..60 * 160).map(|at| tone(2, at)).collect();
        let newer: Vec<i16> = heard.into_iter().filter(|sample| *sample > 0).collect();
        let twice = newer.len() as i64 - whole.len() as i64;
        prop_assert!((-8..=16).contains(&twice), "{} samples", twice);
        prop_assert!(newer[newer.len() - 1_500..] == whole[whole.len() - 1_500..], "it comes to its end");
    }

    #[test]
    fn what_counts_as_heard_was_heard(delay in 0u64..150, cut in 20u64..1_100, pongs: bool) {
        let peer = Peer::new(Duration::from_millis(delay));
        let (world, mut peer) = interrupted(peer, cut, None, pongs.then_some(delay * 2));
        peer.run(ms(6_000));
        let truth = peer.heard().len() as u64;
        let told = world.played(1).unwrap_or(0);
        prop_assert!(told <= truth + 8, "told {told}, heard {truth} (a millisecond is 8)");
        // Without a measured network both its ways may hide what was played, and the first frame's mark may seem late.
        let slack = 8 * (if pongs { 2 } else { delay * 2 + 22 });
        prop_assert!(told + slack >= truth, "told {told}, heard {truth}");
    }

    /// However long the network stands still, and whichever way: nothing counts beyond the next mark (and a frame of jitter).
    /// Where marks still come, nothing is missing beyond the last one. Behind longer ways we answer before all marks are back, and in
    /// the first round trip of a call nobody knows what a mark takes.
    #[test]
    fn what_a_network_held_up_was_not_heard(
        delay in 0u64..125,
        cut in 20u64..1_100,
        there in (0u64..1_200, 0u64..1_000),
        home in prop::option::of((0u64..1_200, 0u64..1_000)),
    ) {
        prop_assume!(cut >= delay * 2);
        let network = |(begins, lasts)| Network {
            delay: Duration::from_millis(delay),
            stall: (ms(begins), Duration::from_millis(lasts)),
        };
        let peer = Peer::behind(network(there), network(home.unwrap_or_default()));
        let (world, mut peer) = interrupted(peer, cut, None, Some(delay * 2));
        peer.run(ms(6_000));
        let truth = peer.heard().len() as u64;
        let told = world.played(1).unwrap_or(0);
        prop_assert!(told <= truth + 100 * 8 + 8, "told {told}, heard {truth} (a millisecond is 8)");
        prop_assert!(home.is_some() || told + 100 * 8 + 16 >= truth, "told {told}, heard {truth}");
    }

    #[test]
    fn nothing_is_lost_or_said_twice_when_it_resumes(delay in 0u64..60, cut in 20u64..900, gap in 200u64..900) {
        let peer = Peer::new(Duration::from_millis(delay));
        let (_, mut peer) = interrupted(peer, cut, Some(gap), Some(delay * 2));
        peer.run(ms(6_000));
        let whole: Vec<i16> = (0..60 * 160).map(|at| tone(1, at)).collect();
        let heard = peer.heard();
        let twice = heard.len() as i64 - whole.len() as i64;
        prop_assert!((-8..=16).contains(&twice), "{twice} samples");
        let tail = 1_500;
        prop_assert!(heard[heard.len() - tail..] == whole[whole.len() - tail..], "it comes to its end");
    }

    /// The same behind a network that stands still: a mark's way at most, and not all that it held up.
    #[test]
    fn what_a_network_held_up_is_said_when_it_resumes(
        delay in 0u64..60,
        cut in 20u64..900,
        gap in 200u64..900,
        stall in (0u64..900, 0u64..900),
    ) {
        let there = Network {
            delay: Duration::from_millis(delay),
            stall: (ms(stall.0), Duration::from_millis(stall.1)),
        };
        let peer = Peer::behind(there, Network { delay: there.delay, ..Network::default() });
        let (_, mut peer) = interrupted(peer, cut, Some(gap), Some(delay * 2));
        peer.run(ms(6_000));
        let twice = peer.heard().len() as i64 - 60 * 160;
        prop_assert!((-808..=816).contains(&twice), "{twice} samples");
    }

    #[test]
    fn any_input_is_survived(frames in prop::collection::vec("(\\{\"event\":\"(start|media|mark|dtmf|stop)\".{0,40}\\})|.{0,30}", 0..20)) {
        let mut world = World::new();
        for frame in frames {
            world.text(&frame);
        }
    }
}

#[test]
fn its_state_survives_serde() {
    let mut world = World::running();
    world.audio(1, 0);
    world.now = ms(30);
    world.clear(1);
    let text = serde_json::to_string(&world.core).unwrap();
    let back: TwilioCore = serde_json::from_str(&text).unwrap();
    assert_eq!(back, world.core);
}
