//! A list of events, in any order that a driver could bring them.

use std::sync::Arc;

use gatepost_core::{End, Event, Peer, Protocol, StartTls, SystemError, Wire};

use crate::extras::Extras;
use crate::rarities::Rarities;
use crate::setting::{Setting, address};
use crate::wires::Line;
use crate::world::World;

/// So many settings the first octet tells apart.
const SETTINGS: u8 = 72;

/// Octets as a list of events for one session. The first chooses the setting, with the two behind it if its highest bit
/// is set, and with three more if what is left of it is more than there are
/// settings; then each event is an octet that says what happens on which wire, and for those that carry octets, one for
/// their number and so many. What cannot happen on a wire in its present state does not.
///
/// # Panics
///
/// If something that must hold does not.
pub fn session(octets: &[u8]) {
    let Some((&choice, mut rest)) = octets.split_first() else { return };
    let (mut extras, mut rarities) = (Extras::of(0, 0), Rarities::of([0; 3]));
    if let (128.., &[first, second, ref behind @ ..]) = (choice, rest) {
        (extras, rest) = (Extras::of(first, second), behind);
        if let (SETTINGS.., &[first, second, third, ref behind @ ..]) = (choice % 128, rest) {
            (rarities, rest) = (Rarities::of([first, second, third]), behind);
        }
    }
    let choice = choice % 128 % SETTINGS;
    let mut world = World::new(Setting {
        extras,
        rarities,
        protocol: match choice % 3 {
            0 => Protocol::Imap,
            1 => Protocol::Pop3,
            _ => Protocol::Smtp,
        },
        starttls: match choice / 3 % 3 {
            0 => StartTls::Off,
            1 => StartTls::On,
            _ => StartTls::Only,
        },
        unauthenticated: choice / 9 % 2 == 1,
        keepalive: choice / 18 % 2 == 1,
        proxy_protocol: choice / 36 % 2 == 1,
    });
    while let (Some((&what, behind)), true) = (rest.split_first(), world.lives()) {
        rest = behind;
        let wire = match what % 4 {
            0 | 1 => Wire::Client,
            2 => Wire::Auth,
            _ => Wire::Backend,
        };
        match what / 4 % 8 {
            0..=3 => {
                let (&count, behind) = rest.split_first().unwrap_or((&0, &[]));
                let (said, behind) = behind.split_at(behind.len().min(count.into()));
                rest = behind;
                if world.hears(wire) && !said.is_empty() {
                    world.tell(Event::Received(wire, said));
                }
            }
            4 if what >= 128 && wire == Wire::Auth && world.reusable => reuse(&mut world),
            4 => answer(&mut world, wire, true),
            5 => answer(&mut world, wire, false),
            6 if what >= 128 => world.tell(Event::Drain),
            6 => world.wait(),
            _ if world.wires.line(wire).may_end() => world.tell(Event::Ended(wire, end(what))),
            _ => {}
        }
    }
    // Whatever state it was left in, nothing but time is needed to end it.
    for _ in 0..1000 {
        world.wait();
    }
    assert!(!world.lives(), "a session that time does not end: {:?}", world.session.deadline());
}

/// There is a connection to the auth server that was kept.
fn reuse(world: &mut World) {
    if world.wires.line(Wire::Auth) == Line::Dialing {
        world.reusable = false;
        world.wires.set(Wire::Auth, Line::Open);
        let peer = Peer { remote: address(2, 9000).into(), local: address(1, 50_002).into() };
        world.tell(Event::Reused(Wire::Auth, peer));
    }
}

/// Answers what the session has asked for on `wire`, if it has.
fn answer(world: &mut World, wire: Wire, well: bool) {
    match (world.wires.line(wire), well) {
        (Line::Dialing, true) => {
            world.wires.set(wire, Line::Open);
            let peer = Peer { remote: address(3, 143).into(), local: address(1, 50_001).into() };
            world.tell(Event::Opened(wire, peer));
        }
        (Line::Dialing, false) => world.tell(Event::Ended(wire, broken(111, "Connection refused"))),
        (Line::Securing, true) => {
            world.wires.set(wire, Line::Open);
            let Setting { extras, rarities, .. } = world.setting;
            let facts = rarities.told_of(extras.facts());
            world.tell(Event::Secured(wire, facts));
        }
        (Line::Securing, false) => world.tell(Event::Ended(wire, End::Insecure(Arc::from("bad record")))),
        _ => {}
    }
}

fn end(what: u8) -> End {
    match what / 32 % 3 {
        0 => End::Finished,
        1 => broken(104, "Connection reset by peer"),
        _ => End::Insecure(Arc::from("decryption failed")),
    }
}

fn broken(code: i32, text: &str) -> End {
    End::Broken(SystemError { call: "recv()", code, text: text.to_owned() })
}
